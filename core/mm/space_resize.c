/* Resizing and sharing what is mapped. See space.h. */
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/space_identity.h"

/* May the region show `more_bytes` behind its end? Makes its object longer where it is the only one
 * that shows it. */
static result_t extend_object(struct region *region, uint64_t more_bytes)
{
    struct object *object = region->object;
    uint64_t end_slot = region_slot(region, region->node.end);
    if (!object)
        return OK;
    if (object->exclusive)
        return object->ops->extend(object, end_slot, more_bytes >> PAGE_SHIFT);
    uint64_t object_end = object->phase + object->page_count;
    return end_slot + (more_bytes >> PAGE_SHIFT) <= object_end ? OK : ERANGE;
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
    result_t result = extend_object(last, more_bytes);
    if (result == OK)
        region_tree_set_end(&space->tree, &last->node, end + more_bytes);
    return result;
}

result_t space_resize(struct space *space, struct range range, uint64_t size_bytes)
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

/* Takes a reference to what the range shows, and notes how. */
static result_t get_shown(struct space *from, struct range range, struct map_args *args)
{
    lock_acquire(&from->lock);
    result_t result = OK;
    struct region *region = region_of_node(region_tree_find(&from->tree, range.base));
    if (!region || !region->object) {
        result = ENOENT;
    } else if (region->node.end - range.base < range.size_bytes) {
        result = EINVAL;
    } else {
        struct object *object = region->object;
        object_get(object);
        object->exclusive = false;
        region->shared = true;
        args->object = object;
        args->offset_bytes = (region_slot(region, range.base) - object->phase) << PAGE_SHIFT;
        args->prot = region->prot;
    }
    lock_release(&from->lock);
    return result;
}

result_t space_share(struct space *space, const struct map_args *args, struct space *from,
                     struct range range, virt_t *base)
{
    struct map_args shared = *args;
    result_t result = space_validate_range(from, range);
    if (result == OK)
        result = get_shown(from, range, &shared);
    if (result != OK)
        return result;

    shared.size_bytes = range.size_bytes;
    shared.shared = true;
    result = space_map(space, &shared, base);
    object_put(shared.object);
    return result;
}
