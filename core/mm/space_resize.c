/* Resizing and sharing what is mapped. See space.h. */
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/space_identity.h"

/* Are these slots of a private object shown by a piece of the mapping that was moved away? */
static bool shown_by_another(struct object *object, uint64_t first_slot, uint64_t slot_count)
{
    for (struct list_node *link = object->regions.next; link != &object->regions;
         link = link->next) {
        const struct region *region = region_of_link(link);
        if (region_first_slot(region) < first_slot + slot_count &&
            first_slot < region_end_slot(region))
            return true;
    }
    return false;
}

/* May the region show `more_bytes` behind its end? Makes its object longer where it is the only one
 * that shows it. */
static result_t extend_object(struct region *region, uint64_t more_bytes)
{
    struct object *object = region->object;
    uint64_t end_slot = region_slot(region, region->node.end);
    uint64_t slot_count = more_bytes >> PAGE_SHIFT;
    if (!object)
        return OK;
    if (object_is_exclusive(object))
        return shown_by_another(object, end_slot, slot_count)
                   ? ENOMEM
                   : object->ops->extend(object, end_slot, slot_count);
    uint64_t object_end = object->phase + object->page_count;
    bool fits = end_slot + slot_count <= object_end;
    return fits || object->ops->overhangs ? OK : ERANGE;
}

static result_t grow(struct space *space, struct range range, uint64_t more_bytes)
    REQUIRES(space->lock)
{
    uint64_t end = range.base + range.size_bytes;
    struct region *last = region_of_node(region_tree_find(&space->tree, end - PAGE_SIZE));
    if (!last || last->node.end != end)
        return ENOENT;
    if (more_bytes > space->tree.high - end)
        return ERANGE;
    if (!region_tree_is_free(&space->tree, end, more_bytes) ||
        space_identity_meets(space, (struct range){end, more_bytes}))
        return ENOMEM;
    space_set_busy(space, space_everywhere(space)); /* the object may get another slot table */
    result_t result = extend_object(last, more_bytes);
    if (result == OK) {
        region_hold(last);
        region_tree_set_end(&space->tree, &last->node, end + more_bytes);
        region_release(last);
    }
    space_end_busy(space);
    return result;
}

static result_t resize_once(struct space *space, struct range range, uint64_t size_bytes)
{
    result_t result = space_validate_range(space, range);
    if (result != OK)
        return result;
    if (size_bytes == 0 || !is_page_aligned(size_bytes))
        return EINVAL;
    if (size_bytes < range.size_bytes)
        return space_unmap(space,
                           (struct range){range.base + size_bytes, range.size_bytes - size_bytes});
    if (size_bytes == range.size_bytes)
        return OK;

    lock_acquire(&space->lock);
    result = grow(space, range, size_bytes - range.size_bytes);
    space_check(space);
    lock_release(&space->lock);
    return result;
}

result_t space_resize(struct space *space, struct range range, uint64_t size_bytes)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = resize_once(space, range, size_bytes);
    } while (reclaim_retry(result, &tries));
    return result;
}

/* The region that shows all of the range. */
static result_t find_shown(struct space *from, struct range range, struct region **region)
    REQUIRES(from->lock)
{
    *region = region_of_node(region_tree_find(&from->tree, range.base));
    if (!*region || !(*region)->object)
        return ENOENT;
    return (*region)->node.end - range.base < range.size_bytes ? EINVAL : OK;
}

/* With the lock of the only space that knows the object. */
static void set_exclusive(struct space *space, struct object *object,
                          bool exclusive) NO_LOCK_ANALYSIS
{
    space_set_busy(space, space_everywhere(space));
    lock_acquire(&object->lock);
    object_set_exclusive(object, exclusive);
    lock_release(&object->lock);
    space_end_busy(space);
}

/* Maps what `source` shows there; until that has succeeded it is nobody's but the source's. */
static result_t share_locked(struct space *space, struct map_args *args, struct region *source,
                             virt_t *base) REQUIRES(space->lock)
{
    struct object *object = source->object;
    bool was_exclusive = object_is_exclusive(object);
    bool was_shared = source->shared;
    args->object = object;
    args->prot = source->prot;
    args->large = source->large;
    args->cache = (enum cache)source->cache;
    args->shared = true;
    if (was_exclusive)
        set_exclusive(source->space, object, false);
    source->shared = true;
    result_t result = space_map_locked(space, args, base);
    if (result != OK) {
        if (was_exclusive)
            set_exclusive(source->space, object, true);
        source->shared = was_shared;
    }
    return result;
}

/* Two spaces, the one with the lower address first. */
static void lock_both(struct space *one, struct space *other) NO_LOCK_ANALYSIS
{
    lock_acquire(one < other ? &one->lock : &other->lock);
    if (one != other)
        lock_acquire(one < other ? &other->lock : &one->lock);
}

static void unlock_both(struct space *one, struct space *other) NO_LOCK_ANALYSIS
{
    lock_release(&one->lock);
    if (one != other)
        lock_release(&other->lock);
}

static result_t share_once(struct space *space, const struct map_args *args, struct space *from,
                           struct range range, virt_t *base) NO_LOCK_ANALYSIS
{
    struct map_args shared = *args;
    struct region *source;
    result_t result = space_validate_range(from, range);
    if (result != OK)
        return result;

    lock_both(space, from);
    result = find_shown(from, range, &source);
    if (result == OK) {
        uint64_t slot = region_slot(source, range.base);
        shared.offset_bytes = (slot - source->object->phase) << PAGE_SHIFT;
        shared.size_bytes = range.size_bytes;
        result = share_locked(space, &shared, source, base);
    }
    unlock_both(space, from);
    return result;
}

result_t space_share(struct space *space, const struct map_args *args, struct space *from,
                     struct range range, virt_t *base)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = share_once(space, args, from, range, base);
    } while (reclaim_retry(result, &tries));
    return result;
}
