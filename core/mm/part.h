/* Walking the regions that a range touches, and the part of each that lies in it. For the files that
 * implement operations on spaces. */
#ifndef CORE_MM_PART_H
#define CORE_MM_PART_H

#include "core/mm/object.h"
#include "core/mm/space.h"

/* EINVAL: empty or unaligned; ERANGE: not inside the range for regions. */
static inline result_t space_validate_range(const struct space *space, struct range range)
{
    if (range.size_bytes == 0 || !is_page_aligned(range.size_bytes) || !is_page_aligned(range.base))
        return EINVAL;
    if (range.base < space->tree.low || range.base > space->tree.high ||
        space->tree.high - range.base < range.size_bytes)
        return ERANGE;
    return OK;
}

/* The lowest region that the range touches, or NULL. O(log n). */
static inline struct region *space_first_in(struct space *space, struct range range)
    REQUIRES(space->lock)
{
    struct region *region = region_of_node(region_tree_find_from(&space->tree, range.base));
    return region && region->node.base < range.base + range.size_bytes ? region : NULL;
}

/* The next region if it begins below `end`. */
static inline struct region *region_next_below(struct region *region, uint64_t end)
{
    if (region->node.end >= end)
        return NULL;
    struct region *next = region_of_node(region_tree_next(&region->node));
    return next && next->node.base < end ? next : NULL;
}

/* The part of a region that lies in a range. */
struct part {
    uint64_t base;
    uint64_t end;
    bool whole;
};

static inline struct part part_of(const struct region *region, struct range range)
{
    uint64_t end = range.base + range.size_bytes;
    struct part part = {
        .base = region->node.base > range.base ? region->node.base : range.base,
        .end = region->node.end < end ? region->node.end : end,
    };
    part.whole = part.base == region->node.base && part.end == region->node.end;
    return part;
}

/* Is this mapped by a large page? */
static inline bool is_large_at(const struct region *region, uint64_t address)
{
    return UNLIKELY(region->large) && page_directory_large(&region->space->directory, address);
}

/* The address behind the page that maps this one. */
static inline uint64_t region_next_page(const struct region *region, uint64_t address)
{
    return is_large_at(region, address) ? (address | (TABLE_BYTES - 1)) + 1 : address + PAGE_SIZE;
}

/* Cuts [from, to), which may be empty, out of the region: `tail` (bare) becomes the part behind it.
 * Cannot fail. As region_tree_carve(). */
static inline void region_carve(struct region_tree *tree, struct region *region, uint64_t from,
                                uint64_t to, struct region *tail)
{
    tail->prot = region->prot;
    tail->entry_bits = region->entry_bits;
    tail->shared = region->shared;
    tail->stack = region->stack;
    tail->large = region->large;
    tail->cache = region->cache;
    region_tree_carve(tree, &region->node, &tail->node, from, to);
    if (!region->object)
        return;
    object_get(region->object);
    region_show(tail, region->object, region_slot(region, to));
}

/* Is all of the range mapped, with objects behind it? O(log n + regions in it). */
static inline bool space_is_backed(struct space *space, struct range range) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    uint64_t covered = range.base;
    for (struct region *region = space_first_in(space, range); region;
         region = region_next_below(region, end)) {
        if (region->node.base > covered || !region->object)
            return false;
        covered = region->node.end;
    }
    return covered >= end;
}

#endif
