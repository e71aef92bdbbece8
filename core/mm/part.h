/* Changing regions, and walking those that a range touches, with the part of each that lies in it. For
 * the files that implement operations on spaces.
 *
 * An operation that takes something away from a range, rights, entries or content, or changes what regions
 * say of it, keeps faults off first: it makes the range busy, and waits for the faults that are under way. A fault
 * that finds it busy waits for the space's lock, and starts again. */
#ifndef CORE_MM_PART_H
#define CORE_MM_PART_H

#include "core/mm/object.h"
#include "core/mm/section.h"
#include "core/mm/space.h"

/* EINVAL: empty or unaligned; ERANGE: not inside the range for regions. */
static inline result_t space_validate_range(const struct space *space, struct range range)
{
    if (range.size_bytes == 0 || !is_page_aligned(range.size_bytes | range.base))
        return EINVAL;
    uint64_t room =
        space->tree.high - range.base; /* more than there is when the base is too high */
    if (range.base < space->tree.low || range.base > space->tree.high || room < range.size_bytes)
        return ERANGE;
    return OK;
}

/* Until the faults of other CPUs that are under way have ended, and none of them can have in its hands any more what has
 * left the tree before. With no lock that a fault takes. O(1) while nobody else has the space loaded. */
static inline void space_wait_for_faults(const struct space *space)
{
    if (UNLIKELY(space_is_elsewhere(space, machine_cpu())))
        section_wait_for(&space->cpus);
}

/* From here to the end no other CPU is in a fault in the range; this CPU's own, region_fault(), may be. As
 * space_wait_for_faults(). */
static inline void space_set_busy(struct space *space, struct range range) REQUIRES(space->lock)
{
    __atomic_store_n(&space->busy_base, range.base, __ATOMIC_RELAXED);
    __atomic_store_n(&space->busy_bytes, range.size_bytes, __ATOMIC_RELAXED);
    region_tree_set_busy(&space->tree, true);
    space_wait_for_faults(space);
}

static inline void space_end_busy(struct space *space) REQUIRES(space->lock)
{
    __atomic_store_n(&space->busy_bytes, 0, __ATOMIC_RELEASE);
    region_tree_set_busy(&space->tree, false);
}

/* Wherever regions can be. */
static inline struct range space_everywhere(const struct space *space)
{
    return (struct range){space->tree.low, space->tree.high - space->tree.low};
}

/* The page tables that map a range: leaves of objects that are alone are changed as wholes. */
static inline struct range whole_tables(struct range range)
{
    uint64_t base = range.base & ~(TABLE_BYTES - 1);
    uint64_t end = (range.base + range.size_bytes + TABLE_BYTES - 1) & ~(TABLE_BYTES - 1);
    return (struct range){base, end - base};
}

/* While a region changes nobody walks its object's list, not from another space either. */
static inline void region_hold(struct region *region) NO_LOCK_ANALYSIS
{
    if (region->object)
        object_hold(region->object);
}

static inline void region_release(struct region *region) NO_LOCK_ANALYSIS
{
    if (region->object)
        object_release(region->object);
}

/* Maps one page of the region as a fault would. */
static inline struct fault_result region_fault(struct region *region, uint64_t address,
                                               unsigned access)
{
    struct cpu *cpu = machine_cpu();
    struct fault_result result;
    do {
        section_enter(cpu);
        result = region->object->ops->fault(region->object, region, address, access);
        section_leave(cpu);
    } while (UNLIKELY(result.outcome == FAULT_AGAIN));
    return result;
}

/* region_destroy(), inline. */
__attribute__((always_inline)) static inline void region_end(struct region *region)
{
    struct object *object = region->object;
    if (object) {
        object_detach(object, region);
        object_put(object);
    }
    region_free(region);
}

/* Ends all regions of a space that is not loaded anywhere. */
void space_destroy_regions(struct space *space);

/* The end of an operation. */
static inline void space_unlock(struct space *space) RELEASE(space->lock)
{
    section_drain();
    lock_release(&space->lock);
}

/* The lowest region that the range touches, or NULL. O(log n). */
static inline struct region *space_first_in(struct space *space, struct range range)
    REQUIRES(space->lock)
{
    struct region_node *node = space->tree.last; /* what grows and shrinks is often the highest */
    if (!node || range.base < node->base)
        node = region_tree_find_from(&space->tree, range.base);
    else if (range.base >= node->end)
        node = NULL;
    struct region *region = region_of_node(node);
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
    if (LIKELY(!region->large))
        return false;
    struct page_directory *directory = &region->space->directory;
    lock_acquire(&directory->lock);
    bool large = page_directory_large(directory, address) != NULL;
    lock_release(&directory->lock);
    return large;
}

/* The address behind the page that maps this one. */
static inline uint64_t region_next_page(const struct region *region, uint64_t address)
{
    return is_large_at(region, address) ? (address | (TABLE_BYTES - 1)) + 1 : address + PAGE_SIZE;
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
