/* Physical memory as it is: frames that the object neither takes nor frees. Only what PageLab has
 * reason to trust: page 0 (read-only), and the window of RAM that it keeps for this. */
#ifndef CORE_MM_PHYSICAL_H
#define CORE_MM_PHYSICAL_H

#include "core/mm/object.h"

/* The window: PHYSICAL_WINDOW_BYTES of RAM, aligned to its size. */
phys_t physical_window(uint64_t *size_bytes);
/* Are these frames inside the window? */
bool physical_in_window(phys_t at, uint64_t page_count);

/* References 1. EINVAL: unaligned or empty; ERANGE: neither page 0 nor inside the window; ENOMEM. */
result_t physical_create(phys_t at, uint64_t page_count, struct object **object);

#endif
