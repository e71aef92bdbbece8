/* Advice about memory: what will be needed, what will not, what is to be kept. See space.h. */
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/region_cut.h"

static bool can_forget(const struct region *region)
{
    return object_is_exclusive(region->object) && region->object->ops->forget;
}

/* Of a range whose lowest region is `first`, and which is busy. */
static result_t reserve_dontneed(struct region *first, struct range range,
                                 struct frame_reserve *reserve)
{
    uint64_t end = range.base + range.size_bytes;
    for (struct region *region = first; region; region = region_next_below(region, end)) {
        struct part part = part_of(region, range);
        struct object *object = region->object;
        if (region_reserve_split(region, part, reserve) != OK ||
            (can_forget(region) &&
             object->ops->reserve_discard(object, region_slot(region, part.base),
                                          (part.end - part.base) >> PAGE_SHIFT, reserve) != OK))
            return ENOMEM;
    }
    return OK;
}

static void commit_dontneed(struct space *space, struct region *first, struct range range,
                            struct frame_reserve *reserve) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    for (struct region *region = first; region; region = region_next_below(region, end)) {
        struct part part = part_of(region, range);
        region_hold(region);
        if (region->large)
            page_directory_split(&space->directory, part.base, part.end, reserve, &gather);
        page_directory_unmap(&space->directory, part.base, part.end, &gather);
        region_release(region);
    }
    tlb_gather_flush(&gather, space);
    for (struct region *region = first; region; region = region_next_below(region, end)) {
        struct part part = part_of(region, range);
        struct object *object = region->object;
        if (!can_forget(region))
            continue;
        object->ops->prepare_discard(object, region, part.base, part.end, reserve);
        object->ops->forget(object, region_slot(region, part.base),
                            (part.end - part.base) >> PAGE_SHIFT);
    }
}

/* Content that is private and shown nowhere else is forgotten; other memory only loses its entries. */
static result_t dontneed(struct space *space, struct range range) REQUIRES(space->lock)
{
    struct frame_reserve reserve = {0};
    struct region *first = space_first_in(space, range);
    space_set_busy(space, whole_tables(range));
    result_t result = reserve_dontneed(first, range, &reserve);
    if (result == OK)
        commit_dontneed(space, first, range, &reserve);
    space_end_busy(space);
    frame_reserve_end(&reserve);
    return result;
}

/* Frees the tables of a range that stayed empty. */
static void prune_tables(struct space *space, uint64_t base, uint64_t end)
{
    for (uint64_t at = base; at < end; at = (at | (TABLE_BYTES - 1)) + 1)
        page_directory_prune(&space->directory, at);
}

/* Makes the tables of all that can be read in the range: a read needs nothing else. */
static result_t reserve_tables(struct space *space, struct range range) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    for (struct region *region = space_first_in(space, range); region;
         region = region_next_below(region, end)) {
        struct part part = part_of(region, range);
        struct table_place place;
        uint64_t at = (region->prot & PROT_READ) != 0 ? part.base : part.end;
        for (; at < part.end; at = (at | (TABLE_BYTES - 1)) + 1) {
            if (is_large_at(region, at) ||
                page_directory_reserve(&space->directory, at, &place) == OK)
                continue;
            prune_tables(space, range.base, at);
            return ENOMEM;
        }
    }
    return OK;
}

static result_t map_readable(struct space *space, struct range range) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    for (struct region *region = space_first_in(space, range); region;
         region = region_next_below(region, end)) {
        struct part part = part_of(region, range);
        if ((region->prot & PROT_READ) == 0)
            continue;
        for (uint64_t at = part.base; at < part.end; at = region_next_page(region, at)) {
            enum fault_outcome outcome = region_fault(region, at, ACCESS_READ).outcome;
            if (outcome == FAULT_NOMEM)
                return ENOMEM;
            if (outcome != FAULT_RESOLVED)
                page_directory_prune(&space->directory, at);
        }
    }
    return OK;
}

/* Another CPU's fault might want a large page where a table is made for this one. */
static result_t willneed(struct space *space, struct range range) REQUIRES(space->lock)
{
    space_set_busy(space, whole_tables(range));
    result_t result = reserve_tables(space, range);
    if (result == OK)
        result = map_readable(space, range);
    space_end_busy(space);
    return result;
}

result_t space_advise(struct space *space, struct range range, enum advice advice)
{
    result_t result = space_validate_range(space, range);
    if (result != OK)
        return result;

    unsigned tries = reclaim_begin();
    do {
        lock_acquire(&space->lock);
        if (!space_is_backed(space, range))
            result = ENOENT;
        else
            result = advice == ADVICE_DONTNEED ? dontneed(space, range) : willneed(space, range);
        space_check(space);
        space_unlock(space);
    } while (reclaim_retry(result, &tries));
    return result;
}

static result_t set_volatile(struct space *space, struct range range, bool to_volatile,
                             bool *purged) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    if (!space_is_backed(space, range))
        return ENOENT;
    struct region *region = space_first_in(space, range);
    struct object *object = region->object;
    while ((region = region_next_below(region, end)) != NULL) {
        if (region->object != object)
            return EINVAL;
    }
    return object->ops->set_volatile ? object->ops->set_volatile(object, to_volatile, purged)
                                     : ENOTSUP;
}

result_t space_set_volatile(struct space *space, struct range range, bool to_volatile, bool *purged)
{
    *purged = false;
    result_t result = space_validate_range(space, range);
    if (result != OK)
        return result;

    unsigned tries = reclaim_begin();
    do {
        lock_acquire(&space->lock);
        result = set_volatile(space, range, to_volatile, purged);
        lock_release(&space->lock);
    } while (reclaim_retry(result, &tries));
    return result;
}

static result_t sync(struct space *space, struct range range) REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    result_t result = OK;
    struct region *first = space_first_in(space, range);
    for (struct region *region = first; region; region = region_next_below(region, end)) {
        if (!region->object->ops->sync)
            return ENOTSUP;
    }
    for (struct region *region = first; region && result == OK;
         region = region_next_below(region, end)) {
        struct part part = part_of(region, range);
        result = region->object->ops->sync(region->object, region_slot(region, part.base),
                                           (part.end - part.base) >> PAGE_SHIFT);
    }
    return result;
}

result_t space_sync(struct space *space, struct range range)
{
    result_t result = space_validate_range(space, range);
    if (result != OK)
        return result;
    lock_acquire(&space->lock);
    result = space_is_backed(space, range) ? sync(space, range) : ENOENT;
    lock_release(&space->lock);
    return result;
}
