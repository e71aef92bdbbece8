/* Fork: a copy of a space that shares all pages until one side writes. Costs tables, not pages. */
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/reclaim.h"
#include "core/mm/space.h"

/* The object that the child's region shows: the same one for a shared region, else one copy for all
 * private pieces of the parent's object. */
static result_t fork_object(struct region *region, struct tlb_gather *gather, struct object **copy)
{
    struct object *object = region->object;
    if (region->shared) {
        object_get(object);
        *copy = object;
        return OK;
    }
    if (object->fork_copy) {
        object_get(object->fork_copy);
        *copy = object->fork_copy;
        return OK;
    }
    result_t result = object->ops->fork(object, region->space, gather, copy);
    if (result == OK)
        object->fork_copy = *copy;
    return result;
}

static result_t fork_region(struct region *region, struct space *child, struct tlb_gather *gather)
{
    struct object *copy = NULL;
    struct region *twin = region_create(child, region->prot);
    if (!twin)
        return ENOMEM;
    twin->shared = region->shared;
    twin->stack = region->stack;
    twin->large = region->large;
    twin->cache = region->cache;
    if (region->object && fork_object(region, gather, &copy) != OK) {
        region_destroy(twin);
        return ENOMEM;
    }

    region_tree_place_last(&child->tree, &twin->node, region->node.base, region->node.end);
    if (copy)
        region_show(twin, copy, region->first_slot);
    return OK;
}

static result_t fork_regions(struct space *parent, struct space *child) REQUIRES(parent->lock)
{
    result_t result = OK;
    struct tlb_gather gather;
    tlb_gather_init(&gather);
    struct region_node *node = region_tree_first(&parent->tree);
    for (; node && result == OK; node = region_tree_next(node))
        result = fork_region(region_of_node(node), child, &gather);
    tlb_gather_flush(&gather, parent);

    struct region_node *end = node;
    for (node = region_tree_first(&parent->tree); node != end; node = region_tree_next(node)) {
        struct region *region = region_of_node(node);
        if (!region->object)
            continue;
        region->object->fork_copy = NULL;
        if (result == OK && region->shared)
            region->object->exclusive = false;
    }
    return result;
}

static result_t fork_once(struct space *parent, struct space **out)
{
    struct space *child;
    if (space_create(&child) != OK)
        return ENOMEM;

    space_set_aslr(child, parent->aslr);
    lock_acquire(&parent->lock);
    result_t result = fork_regions(parent, child);
    lock_release(&parent->lock);
    if (result != OK) {
        space_destroy(child);
        return result;
    }
    space_check(child);
    *out = child;
    return OK;
}

result_t space_fork(struct space *parent, struct space **out)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = fork_once(parent, out);
    } while (reclaim_retry(result, &tries));
    return result;
}
