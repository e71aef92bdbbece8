/* Unmapping any range of a space. All it may need is reserved before anything changes, so that it cannot
 * stop half-way; and with faults kept off, so that it needs no more later. */
#include "core/check.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/reclaim.h"
#include "core/mm/region_cut.h"
#include "core/mm/space.h"

/* Is what this part showed to be discarded, rather than released with the object or kept? */
static bool must_discard(const struct region *region, bool whole)
{
    return region->object && object_is_exclusive(region->object) &&
           !(whole && __atomic_load_n(&region->object->references, __ATOMIC_RELAXED) == 1);
}

/* Gives back what a plan has reserved, and lets faults in again. */
static inline void end_plan(struct space *space, struct unmap_plan *plan) REQUIRES(space->lock)
{
    space_end_busy(space);
    if (plan->tail)
        region_free(plan->tail);
    frame_reserve_end(&plan->frames);
}

static inline result_t reserve_part(struct region *region, struct part part,
                                    struct unmap_plan *plan)
{
    struct object *object = region->object;
    bool inner = part.base > region->node.base && part.end < region->node.end;
    if ((inner && UNLIKELY(!(plan->tail = region_alloc()))) ||
        (!part.whole && region_reserve_split(region, part, &plan->frames) != OK))
        return ENOMEM;
    return must_discard(region, part.whole)
               ? object->ops->reserve_discard(object, region_slot(region, part.base),
                                              (part.end - part.base) >> PAGE_SHIFT, &plan->frames)
               : OK;
}

/* Of a range whose lowest region is `first`. Whole tables are busy: what faults would make beside the range, large
 * pages and leaves, might reach into it. */
__attribute__((always_inline)) static inline result_t
unmap_reserve(struct space *space, struct range range, struct region *first,
              struct unmap_plan *plan) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    *plan = (struct unmap_plan){.first = first};
    space_set_busy(space, whole_tables(range));
    for (struct region *region = first; region; region = region_next_below(region, end)) {
        if (UNLIKELY(reserve_part(region, part_of(region, range), plan) != OK)) {
            end_plan(space, plan);
            return ENOMEM;
        }
    }
    return OK;
}

/* Cuts a part, whose entries are gone and flushed, out of its region, which may end, and gives up what it showed. The
 * object outlives that: the dead still have their references. */
__attribute__((always_inline)) static inline void
cut_out(struct space *space, struct region *region, struct part part, struct unmap_plan *plan)
    REQUIRES(space->lock)
{
    struct object *object = region->object;
    bool discard = must_discard(region, part.whole);
    uint64_t first_slot = region_slot(region, part.base);
    uint64_t slot_count = (part.end - part.base) >> PAGE_SHIFT;
    if (discard && UNLIKELY(plan->frames.first != 0))
        object->ops->prepare_discard(object, region, part.base, part.end, &plan->frames);

    if (part.whole) {
        region_tree_remove(&space->tree, &region->node);
        region_bury(&plan->dead, region);
    } else if (part.base > region->node.base && part.end < region->node.end) {
        region_carve(region, part.base, part.end, plan->tail);
        plan->tail = NULL;
    } else {
        region_hold(region);
        if (part.base > region->node.base)
            region_tree_set_end(&space->tree, &region->node, part.base);
        else
            region_tree_set_base(&space->tree, &region->node, part.end);
        region_release(region);
    }

    if (discard)
        object->ops->discard(object, first_slot, slot_count);
}

__attribute__((always_inline)) static inline void
unmap_commit(struct space *space, struct range range, struct unmap_plan *plan) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    for (struct region *region = plan->first; region; region = region_next_below(region, end)) {
        struct part part = part_of(region, range);
        bool can_have_entries = region->usable != PROT_NONE;
        region_hold(region);
        if (!part.whole && UNLIKELY(region->large))
            page_directory_split(&space->directory, part.base, part.end, &plan->frames, &gather);
        if (can_have_entries)
            page_directory_unmap(&space->directory, part.base, part.end, &gather);
        region_release(region);
    }
    tlb_gather_flush_gone(&gather, space, range.base, end);

    struct region *region = plan->first;
    while (region) {
        struct region *next = region_next_below(region, end);
        cut_out(space, region, part_of(region, range), plan);
        region = next;
    }
    end_plan(space, plan);
    region_destroy_dead(&plan->dead);
}

result_t space_unmap_reserve_locked(struct space *space, struct range range,
                                    struct unmap_plan *plan)
{
    return unmap_reserve(space, range, space_first_in(space, range), plan);
}

void space_unmap_commit_locked(struct space *space, struct range range, struct unmap_plan *plan)
{
    unmap_commit(space, range, plan);
}

/* Unmaps a region as a whole whose content ends with it: then nothing is reserved, and nothing discarded. It leaves the
 * tree first: a fault that has found it is waited for, and none will find it. */
__attribute__((always_inline)) static inline void unmap_whole(struct space *space,
                                                              struct region *region)
    REQUIRES(space->lock)
{
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    region_tree_remove(&space->tree, &region->node);
    space_wait_for_faults(space);
    region_hold(region);
    if (region->usable != PROT_NONE)
        page_directory_unmap(&space->directory, region->node.base, region->node.end, &gather);
    region_release(region);
    tlb_gather_flush_gone(&gather, space, region->node.base, region->node.end);
    region_end(region);
}

__attribute__((noinline)) static result_t unmap_parts(struct space *space, struct range range,
                                                      struct region *first) REQUIRES(space->lock)
{
    struct unmap_plan plan;
    result_t result = unmap_reserve(space, range, first, &plan);
    if (result == OK)
        unmap_commit(space, range, &plan);
    return result;
}

void space_remove_locked(struct space *space, struct region *region)
{
    struct range range = {region->node.base, region_size_bytes(region)};
    struct unmap_plan plan = {.first = region};
    space_set_busy(space, whole_tables(range));
    space_unmap_commit_locked(space, range, &plan);
}

static bool is_whole_range(const struct region *region, struct range range)
{
    return region->node.base == range.base && region_size_bytes(region) == range.size_bytes;
}

__attribute__((always_inline)) static inline result_t unmap_once(struct space *space,
                                                                 struct range range)
{
    result_t result = space_validate_range(space, range);
    if (UNLIKELY(result != OK))
        return result;

    lock_acquire(&space->lock);
    struct region *first = space_first_in(space, range);
    if (LIKELY(first && is_whole_range(first, range) && !must_discard(first, true)))
        unmap_whole(space, first);
    else
        result = unmap_parts(space, range, first);
    space_check(space);
    space_unlock(space);
    return result;
}

result_t space_unmap(struct space *space, struct range range)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = unmap_once(space, range);
    } while (reclaim_retry(result, &tries));
    return result;
}
