/* Contiguous memory: frames in a row, all there from the start, zeroed; for devices that see physical
 * addresses. */
#ifndef CORE_MM_CONTIGUOUS_H
#define CORE_MM_CONTIGUOUS_H

#include "core/mm/object.h"

/* align_bytes: of the first frame, a power of two, at least a page. below: all frames end there or
 * lower; 0: anywhere. References 1. EINVAL; ENOMEM: no such row of frames. O(pages + frames / 64). */
result_t contiguous_create(uint64_t page_count, uint64_t align_bytes, phys_t below,
                           struct object **object);

/* The first frame of an object that contiguous_create() has made. */
phys_t contiguous_first(struct object *object);

#endif
