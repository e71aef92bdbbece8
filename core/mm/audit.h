/* The audit: what every object must account for. mm_audit() itself is in mm.h.
 *
 * Concepts: the walk counts each use of each frame into the frame's own `audit` field; afterwards kind,
 * count and references of every frame must agree, and so must promises and the heap. */
#ifndef CORE_MM_AUDIT_H
#define CORE_MM_AUDIT_H

#include "core/mm/frames.h"

struct audit;

/* One more use of a frame that must be of this kind. Returns how many there are now. */
uint32_t audit_count_frame(struct audit *audit, struct frame *frame, enum frame_kind kind);
/* A data frame was met for the first time. */
void audit_count_data(struct audit *audit);
/* An object of the kernel heap. */
void audit_count_heap_object(struct audit *audit);
/* What an object is promised by itself, and how many slots with data it has. */
void audit_count_promises(struct audit *audit, uint64_t promised, uint64_t resident);
/* The first failure is kept. */
void audit_fail(struct audit *audit, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
