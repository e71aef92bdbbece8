/* The audit: what every object must account for. mm_audit() itself is in mm.h.
 *
 * Concepts: the walk counts each use of each frame into the frame's own `audit` field; afterwards kind,
 * count and references of every frame must agree, and so must promises and the heap. */
#ifndef CORE_MM_AUDIT_H
#define CORE_MM_AUDIT_H

#include "core/mm/slots.h"

struct audit;
struct object;

/* One more use of a frame that must be of this kind. Returns how many there are now. */
uint32_t audit_count_frame(struct audit *audit, struct frame *frame, enum frame_kind kind);
/* An object of the kernel heap. */
void audit_count_heap_object(struct audit *audit);
/* All frames and kernel objects of a slot table, its pages being FRAME_DATA. */
void audit_count_slots(struct audit *audit, const struct slot_table *table);
/* What an object is promised by itself. */
void audit_count_promises(struct audit *audit, uint64_t promised);
/* Counts all of an object, once, however many regions and objects lead to it. */
void audit_object(struct audit *audit, struct object *object);
/* The first failure is kept. */
void audit_fail(struct audit *audit, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
