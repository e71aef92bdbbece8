/* Operations on any range of a space: unmap, protect. Each reserves all it may need before it changes
 * anything, so that it cannot stop half-way. */
#include "core/check.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/space.h"

/* --- unmap ------------------------------------------------------------------------------------------------- */

/* Is what this part showed to be discarded, rather than released with the object or kept? */
static bool must_discard(const struct region *region, bool whole)
{
    return region->object && region->object->exclusive &&
           !(whole && region->object->references == 1);
}

/* Gives back what a plan has reserved. */
static void end_plan(struct unmap_plan *plan)
{
    if (plan->tail)
        region_destroy(plan->tail);
    plan->tail = NULL;
    frame_reserve_end(&plan->frames);
}

__attribute__((always_inline)) static inline result_t
unmap_reserve(struct space *space, struct range range, struct unmap_plan *plan)
    REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    *plan = (struct unmap_plan){.first = space_first_in(space, range)};
    for (struct region *region = plan->first; region; region = region_next_below(region, end)) {
        struct part part = part_of(region, range);
        bool inner = part.base > region->node.base && part.end < region->node.end;
        if (inner && !(plan->tail = region_create_bare(space)))
            return ENOMEM;
        if (UNLIKELY(!part.whole && region->large) &&
            page_directory_reserve_split(&space->directory, part.base, part.end, &plan->frames) !=
                OK) {
            end_plan(plan);
            return ENOMEM;
        }
        if (!must_discard(region, part.whole))
            continue;
        if (region->object->ops->reserve_discard(region->object, region_slot(region, part.base),
                                                 (part.end - part.base) >> PAGE_SHIFT,
                                                 &plan->frames) != OK) {
            end_plan(plan);
            return ENOMEM;
        }
    }
    return OK;
}

/* Cuts a part, whose entries are gone and flushed, out of its region and gives up what it showed. */
__attribute__((always_inline)) static inline void
cut_out(struct space *space, struct region *region, struct part part, struct unmap_plan *plan)
    REQUIRES(space->lock)
{
    struct object *object = region->object;
    bool discard = must_discard(region, part.whole);
    uint64_t first_slot = region_slot(region, part.base);
    uint64_t slot_count = (part.end - part.base) >> PAGE_SHIFT;
    if (discard) {
        object_get(object); /* outlives the region */
        object->ops->prepare_discard(object, region, part.base, part.end, &plan->frames);
    }

    if (part.whole) {
        region_tree_remove(&space->tree, &region->node);
        region_destroy(region);
    } else if (part.base > region->node.base && part.end < region->node.end) {
        region_carve(&space->tree, region, part.base, part.end, plan->tail);
        plan->tail = NULL;
    } else if (part.base > region->node.base) {
        region_tree_set_end(&space->tree, &region->node, part.base);
    } else {
        region->first_slot = region_slot(region, part.end);
        region_tree_set_base(&space->tree, &region->node, part.end);
    }

    if (discard) {
        object->ops->discard(object, first_slot, slot_count);
        object_put(object);
    }
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
        if (part.whole)
            region_set_going(region);
        else if (UNLIKELY(region->large))
            page_directory_split(&space->directory, part.base, part.end, &plan->frames, &gather);
        if (can_have_entries)
            page_directory_unmap(&space->directory, part.base, part.end, &gather);
    }
    tlb_gather_flush(&gather, space);

    struct region *region = plan->first;
    while (region) {
        struct region *next = region_next_below(region, end);
        cut_out(space, region, part_of(region, range), plan);
        region = next;
    }
    end_plan(plan);
}

result_t space_unmap_reserve_locked(struct space *space, struct range range,
                                    struct unmap_plan *plan)
{
    return unmap_reserve(space, range, plan);
}

void space_unmap_commit_locked(struct space *space, struct range range, struct unmap_plan *plan)
{
    unmap_commit(space, range, plan);
}

void space_remove_locked(struct space *space, struct region *region)
{
    struct unmap_plan plan = {.first = region};
    struct range range = {region->node.base, region_size_bytes(region)};
    space_unmap_commit_locked(space, range, &plan);
}

static result_t unmap_or_again(struct space *space, struct range range, unsigned tries)
{
    result_t result = space_validate_range(space, range);
    if (result != OK)
        return result;

    struct unmap_plan plan;
    lock_acquire(&space->lock);
    result = unmap_reserve(space, range, &plan);
    if (result == OK)
        unmap_commit(space, range, &plan);
    space_check(space);
    lock_release(&space->lock);
    return reclaim_retry(result, &tries) ? unmap_or_again(space, range, tries) : result;
}

result_t space_unmap(struct space *space, struct range range)
{
    return unmap_or_again(space, range, reclaim_begin());
}

/* --- protect ----------------------------------------------------------------------------------------------- */

/* Where the range begins, and the parts that splitting at its ends will need; NULL: none. */
struct protect_plan {
    struct region *first;
    struct region *head;         /* becomes the part behind the range's base */
    struct region *tail;         /* becomes the part behind the range's end */
    struct frame_reserve frames; /* to split large pages at either end */
};

static void end_protect_plan(struct protect_plan *plan)
{
    if (plan->head)
        region_destroy(plan->head);
    if (plan->tail)
        region_destroy(plan->tail);
    frame_reserve_end(&plan->frames);
}

/* What cutting a region in two may need. */
static result_t reserve_cut(const struct region *region, uint64_t at, struct region **part,
                            struct frame_reserve *reserve)
{
    if (region->large &&
        page_directory_reserve_split(&region->space->directory, at, at, reserve) != OK)
        return ENOMEM;
    *part = region_create_bare(region->space);
    return *part ? OK : ENOMEM;
}

static result_t protect_reserve(struct space *space, struct range range, unsigned prot,
                                struct protect_plan *plan) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    struct region *first = space_first_in(space, range);
    *plan = (struct protect_plan){.first = first};
    if (!first || first->node.base > range.base)
        return ENOENT;

    struct region *last = first;
    for (;;) {
        if (last->object && (prot & ~last->object->ops->rights) != 0)
            return EACCES;
        if (last->node.end >= end)
            break;
        struct region *next = region_of_node(region_tree_next(&last->node));
        if (!next || next->node.base != last->node.end)
            return ENOENT;
        last = next;
    }

    bool cut_first = first->prot != prot && first->node.base < range.base;
    bool cut_last = last->prot != prot && last->node.end > end;
    if ((cut_first && reserve_cut(first, range.base, &plan->head, &plan->frames) != OK) ||
        (cut_last && reserve_cut(last, end, &plan->tail, &plan->frames) != OK)) {
        end_protect_plan(plan);
        return ENOMEM;
    }
    return OK;
}

/* Gives the region, which lies in the range as a whole, its new rights. */
static inline void change_rights(struct space *space, struct region *region, unsigned prot,
                                 struct tlb_gather *gather) REQUIRES(space->lock)
{
    bool had_rights = region->prot != PROT_NONE;
    region_set_prot(region, prot);
    if (!region->object || !had_rights)
        return;
    if (prot == PROT_NONE)
        page_directory_unmap(&space->directory, region->node.base, region->node.end, gather);
    else
        page_directory_protect(&space->directory, region->node.base, region->node.end,
                               region->entry_bits, gather);
}

/* `behind` becomes what lies above the address. */
static inline void cut(struct region *region, uint64_t at, struct region *behind,
                       struct frame_reserve *reserve, struct tlb_gather *gather)
{
    struct space *space = region->space;
    if (UNLIKELY(region->large))
        page_directory_split(&space->directory, at, at, reserve, gather);
    region_carve(&space->tree, region, at, at, behind);
}

static inline void protect_commit(struct space *space, struct range range, unsigned prot,
                                  struct protect_plan *plan) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    struct region *region = plan->first;
    if (plan->head) {
        cut(region, range.base, plan->head, &plan->frames, &gather);
        region = plan->head;
    }
    for (; region; region = region_next_below(region, end)) {
        if (region->prot == prot)
            continue;
        if (region->node.end > end)
            cut(region, end, plan->tail, &plan->frames, &gather);
        change_rights(space, region, prot, &gather);
    }
    tlb_gather_flush(&gather, space);
    frame_reserve_end(&plan->frames);
}

/* Merges what now fits: neighbours inside the range and, where it was not just split, across its ends. */
static inline void merge_range(struct space *space, struct range range,
                               const struct protect_plan *plan) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    struct region *region = plan->head;
    if (!region) {
        struct region_node *previous = region_tree_previous(&plan->first->node);
        region = previous ? region_of_node(previous) : plan->first;
    }
    uint64_t last_seam = plan->tail ? end - 1 : end;
    while (region && region->node.base < end && region->node.end <= last_seam) {
        if (!region_merge_next(&space->tree, region))
            region = region_of_node(region_tree_next(&region->node));
    }
}

static result_t protect_or_again(struct space *space, struct range range, unsigned prot,
                                 unsigned tries)
{
    result_t result = space_validate_range(space, range);
    if (result != OK)
        return result;
    if (prot > (PROT_READ | PROT_WRITE | PROT_EXEC))
        return EINVAL;

    struct protect_plan plan;
    lock_acquire(&space->lock);
    result = protect_reserve(space, range, prot, &plan);
    if (result == OK) {
        protect_commit(space, range, prot, &plan);
        merge_range(space, range, &plan);
    }
    space_check(space);
    lock_release(&space->lock);
    return reclaim_retry(result, &tries) ? protect_or_again(space, range, prot, tries) : result;
}

result_t space_protect(struct space *space, struct range range, unsigned prot)
{
    return protect_or_again(space, range, prot, reclaim_begin());
}
