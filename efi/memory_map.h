/* The firmware's memory map, made trustworthy: ascending, disjoint, page-aligned ranges.
 *
 * Concepts: a map is painted range by range; what is painted later covers what was there. Firmware's
 * descriptors are painted by kind, weakest first (enum boot_memory_kind is in that order), so that
 * where two overlap the one that allows less wins. The loader's own allocations come last. */
#ifndef EFI_MEMORY_MAP_H
#define EFI_MEMORY_MAP_H

#include "core/boot_info.h"
#include "core/result.h"

/* Invariant: ranges are ascending, disjoint and not empty. */
struct memory_map {
    struct boot_memory_range *ranges;
    size_t count;
    size_t capacity;
    size_t repaired; /* descriptors that overlapped, were not aligned or went too high */
};

/* Descriptors as GetMemoryMap() returns them; `stride` is the firmware's size of one. */
struct memory_descriptors {
    const void *data;
    size_t size_bytes;
    size_t stride;
};

/* Replaces what is in the map. Afterwards no two neighbours are of the same kind. ENOMEM when the map
 * has too little capacity (twice the number of descriptors is always enough), EINVAL for an impossible
 * stride. O(descriptors * ranges). */
result_t memory_map_from_firmware(struct memory_map *map,
                                  const struct memory_descriptors *descriptors);

/* Covers a page-aligned, non-empty range. ENOMEM: two more ranges did not fit; nothing has changed. */
result_t memory_map_paint(struct memory_map *map, const struct boot_memory_range *range);

/* The end of the range. */
static inline uint64_t memory_range_end(const struct boot_memory_range *range)
{
    return range->start + range->page_count * PAGE_SIZE;
}

/* Must the direct map show it? RAM and the tables and code of the firmware: yes; devices and holes: no. */
bool memory_kind_is_mapped(uint32_t kind);

/* Does any page of [start, end) have to be in the direct map? */
bool memory_map_is_mapped(const struct memory_map *map, uint64_t start, uint64_t end);

/* The lowest usable page in [first, end), or 0. */
uint64_t memory_map_find_page(const struct memory_map *map, uint64_t first, uint64_t end);

#endif
