/* Changing the rights of a range. What this may need is reserved before anything changes, so that it cannot
 * stop half-way.
 *
 *   before   |------- rw -------|          region: the one that keeps its node
 *   after    |-rw-|-- r --|-rw--|
 *            front  region  tail
 */
#include "core/check.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/page_directory_rights.h"
#include "core/mm/reclaim.h"
#include "core/mm/region_cut.h"
#include "core/mm/space.h"

/* What is cut off where the range begins and where it ends; NULL: nothing. */
struct cuts {
    struct region *front;
    struct region *tail;
};

static void end_cuts(struct cuts *cuts)
{
    if (cuts->front)
        region_free(cuts->front);
    if (cuts->tail)
        region_free(cuts->tail);
}

static inline bool gives(const struct region *region, unsigned prot)
{
    return !region->object || (prot & ~region->object->ops->rights) == 0;
}

/* A region that is cut has the new rights before the pieces of it are found: all of it is to be busy. */
static inline struct range whole_of(const struct region *first, const struct region *last)
{
    return (struct range){first->node.base, last->node.end - first->node.base};
}

/* All entries of the region get its rights, as far as they may; it is held. */
__attribute__((noinline)) static void change_entries(struct region *region,
                                                     struct tlb_gather *gather)
{
    struct page_directory *directory = &region->space->directory;
    if (region->prot == PROT_NONE)
        page_directory_unmap(directory, region->node.base, region->node.end, gather);
    else
        page_directory_protect(directory, region->node.base, region->node.end, region->entry_bits,
                               gather);
}

/* The region keeps what it has in the range, with other rights; the cuts become what it has outside. */
static void change_region(struct region *region, struct range range, unsigned prot,
                          const struct cuts *cuts, struct frame_reserve *reserve,
                          struct tlb_gather *gather)
{
    struct part part = part_of(region, range);
    struct region *front = part.base > region->node.base ? cuts->front : NULL;
    struct region *tail = part.end < region->node.end ? cuts->tail : NULL;
    region_hold(region);
    if (UNLIKELY(region->large))
        page_directory_split(&region->space->directory, part.base, part.end, reserve, gather);
    if (!part.whole)
        region_split(region, front, part.base, tail, part.end);
    bool can_have_entries = region->usable != PROT_NONE;
    region_set_prot(region, prot);
    if (can_have_entries)
        change_entries(region, gather);
    region_release(region);
}

/* --- one region ---------------------------------------------------------------------------------------------- */

/* Merges what now fits: the region, which is held, and its neighbours, but for those that are cut off it and one
 * that the range does not touch. Returns what has become of it. */
__attribute__((always_inline)) static inline struct region *merge_around(struct region *region,
                                                                         uint64_t end,
                                                                         const struct region *front,
                                                                         struct dead_regions *dead)
{
    struct region *before = front ? NULL : region_of_node(region_tree_previous(&region->node));
    struct region *after =
        region->node.end > end ? NULL : region_of_node(region_tree_next(&region->node));
    if (before && !region_goes_on(before, region))
        before = NULL;
    if (after && !region_goes_on(region, after))
        after = NULL;
    return before || after ? region_merge(region, before, after, dead) : region;
}

/* Of all there is this is what programs do most: other rights for one page of one region. */
static inline bool is_small(const struct region *region, struct range range, unsigned prot)
{
    return range.size_bytes == PAGE_SIZE && prot != PROT_NONE && prot != region->prot &&
           !region->large;
}

__attribute__((always_inline)) static inline result_t
protect_small(struct space *space, struct region *region, uint64_t base, unsigned prot)
    REQUIRES(space->lock)
{
    uint64_t end = base + PAGE_SIZE;
    struct dead_regions dead = {0};
    struct region *front = NULL;
    struct region *tail = NULL;
    if (region->node.base < base && UNLIKELY(!(front = region_alloc())))
        return ENOMEM;
    if (region->node.end > end && UNLIKELY(!(tail = region_alloc()))) {
        end_cuts(&(struct cuts){.front = front});
        return ENOMEM;
    }

    bool changed = false;
    space_set_busy(space, whole_of(region, region));
    region_hold(region);
    if (front || tail)
        region_split(region, front, base, tail, end);
    bool can_have_entries = region->usable != PROT_NONE;
    region_set_prot(region, prot);
    if (can_have_entries)
        changed = page_directory_protect_page(&space->directory, base, region->entry_bits);
    if (!front || !tail)
        region = merge_around(region, end, front, &dead);
    region_release(region);
    if (changed)
        tlb_flush_page(base, space, REPLACED_BY_ANOTHER);
    space_end_busy(space);
    region_free_dead(&dead);
    return OK;
}

static result_t change_inside(struct region *region, struct range range, unsigned prot,
                              const struct cuts *cuts, struct dead_regions *dead)
{
    struct frame_reserve reserve = {0};
    struct tlb_gather gather;
    if (region->prot != prot &&
        region_reserve_split(region, part_of(region, range), &reserve) != OK) {
        frame_reserve_end(&reserve);
        return ENOMEM;
    }
    tlb_gather_init(&gather);
    if (region->prot != prot)
        change_region(region, range, prot, cuts, &reserve, &gather);
    tlb_gather_flush(&gather, region->space);
    frame_reserve_end(&reserve);
    region_hold(region);
    region = merge_around(region, range.base + range.size_bytes, cuts->front, dead);
    region_release(region);
    return OK;
}

static inline result_t reserve_ends(const struct region *region, struct range range,
                                    struct cuts *cuts)
{
    if ((region->node.base < range.base && !(cuts->front = region_alloc())) ||
        (region->node.end > range.base + range.size_bytes && !(cuts->tail = region_alloc()))) {
        end_cuts(cuts);
        return ENOMEM;
    }
    return OK;
}

/* The range lies in the region. */
__attribute__((noinline)) static result_t protect_inside(struct space *space, struct region *region,
                                                         struct range range, unsigned prot)
    REQUIRES(space->lock)
{
    struct cuts cuts = {0};
    struct dead_regions dead = {0};
    if (region->prot != prot && reserve_ends(region, range, &cuts) != OK)
        return ENOMEM;
    space_set_busy(space, whole_of(region, region));
    result_t result = change_inside(region, range, prot, &cuts, &dead);
    space_end_busy(space);
    if (result != OK)
        end_cuts(&cuts);
    region_free_dead(&dead);
    return result;
}

/* --- several regions ----------------------------------------------------------------------------------------- */

/* The last region of those in the range, if they leave no gap and give the rights. */
static result_t last_to_protect(struct region *region, uint64_t end, unsigned prot,
                                struct region **last)
{
    for (;;) {
        if (!gives(region, prot))
            return EACCES;
        *last = region;
        if (region->node.end >= end)
            return OK;
        struct region *next = region_of_node(region_tree_next(&region->node));
        if (!next || next->node.base != region->node.end)
            return ENOENT;
        region = next;
    }
}

static result_t reserve_cuts(struct region *first, struct region *last, struct range range,
                             unsigned prot, struct cuts *cuts, struct frame_reserve *reserve)
{
    bool cut_first = first->prot != prot && first->node.base < range.base;
    bool cut_last = last->prot != prot && last->node.end > range.base + range.size_bytes;
    if ((cut_first && !(cuts->front = region_alloc())) ||
        (cut_last && !(cuts->tail = region_alloc())) ||
        region_reserve_split(first, part_of(first, range), reserve) != OK ||
        region_reserve_split(last, part_of(last, range), reserve) != OK) {
        end_cuts(cuts);
        frame_reserve_end(reserve);
        return ENOMEM;
    }
    return OK;
}

/* The same for all regions in the range. */
static void merge_range(struct region *first, uint64_t end, const struct cuts *cuts)
{
    struct dead_regions dead = {0};
    uint64_t last_seam = cuts->tail ? end - 1 : end;
    struct region *region = cuts->front ? NULL : region_of_node(region_tree_previous(&first->node));
    if (!region)
        region = first;
    while (region->node.end <= last_seam) {
        struct region *next = region_of_node(region_tree_next(&region->node));
        if (!next)
            break;
        if (region_goes_on(region, next)) {
            region_hold(region);
            region = region_merge(region, NULL, next, &dead);
            region_release(region);
        } else {
            region = next;
        }
    }
    region_free_dead(&dead);
}

__attribute__((noinline)) static result_t protect_across(struct space *space, struct region *first,
                                                         struct range range, unsigned prot)
    REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    struct frame_reserve reserve = {0};
    struct cuts cuts = {0};
    struct region *last;
    result_t result = space_validate_range(space, range);
    if (result == OK)
        result = first ? last_to_protect(first, end, prot, &last) : ENOENT;
    if (result != OK)
        return result;

    struct tlb_gather gather;
    tlb_gather_init(&gather);
    space_set_busy(space, whole_of(first, last));
    result = reserve_cuts(first, last, range, prot, &cuts, &reserve);
    for (struct region *region = first; region && result == OK;
         region = region_next_below(region, end)) {
        if (region->prot != prot)
            change_region(region, range, prot, &cuts, &reserve, &gather);
    }
    tlb_gather_flush(&gather, space);
    space_end_busy(space);
    if (result == OK)
        merge_range(first, end, &cuts);
    frame_reserve_end(&reserve);
    return result;
}

__attribute__((always_inline)) static inline result_t
protect_once(struct space *space, struct range range, unsigned prot)
{
    if (range.size_bytes == 0 || !is_page_aligned(range.base | range.size_bytes) ||
        prot > (PROT_READ | PROT_WRITE | PROT_EXEC))
        return EINVAL;

    lock_acquire(&space->lock);
    struct region *region = region_of_node(region_tree_find(&space->tree, range.base));
    result_t result;
    if (UNLIKELY(!region) || UNLIKELY(range.size_bytes > region->node.end - range.base))
        result = protect_across(space, region, range, prot);
    else if (UNLIKELY(!gives(region, prot)))
        result = EACCES;
    else if (LIKELY(is_small(region, range, prot)))
        result = protect_small(space, region, range.base, prot);
    else
        result = protect_inside(space, region, range, prot);
    space_check(space);
    space_unlock(space);
    return result;
}

__attribute__((noinline)) static result_t protect_again(struct space *space, struct range range,
                                                        unsigned prot, unsigned tries)
{
    result_t result;
    do {
        result = protect_once(space, range, prot);
    } while (reclaim_retry(result, &tries));
    return result;
}

result_t space_protect(struct space *space, struct range range, unsigned prot)
{
    unsigned tries = reclaim_begin();
    result_t result = protect_once(space, range, prot);
    return reclaim_retry(result, &tries) ? protect_again(space, range, prot, tries) : result;
}
