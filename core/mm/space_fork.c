/* Fork: a copy of a space that shares all pages until one side writes. Costs tables, not pages. */
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"

struct fork {
    struct space *parent;
    struct space *child;
    struct tlb_gather gather; /* of the parent */
    bool locked;              /* mm.fork_lock is held */
};

/* Private objects that others know may be forked from other spaces as well. */
static void lock_forks(struct fork *fork, const struct object *object) NO_LOCK_ANALYSIS
{
    if (LIKELY(object_is_exclusive(object)) || fork->locked)
        return;
    lock_acquire(&mm.fork_lock);
    fork->locked = true;
}

static void unlock_forks(struct fork *fork) NO_LOCK_ANALYSIS
{
    if (fork->locked)
        lock_release(&mm.fork_lock);
}

/* The object that the child's region shows: the same one for a shared region, else one copy for all
 * private pieces of the parent's object. */
static result_t fork_object(struct fork *fork, struct region *region, struct object **copy)
{
    struct object *object = region->object;
    if (region->shared) {
        object_get(object);
        *copy = object;
        return OK;
    }
    lock_forks(fork, object);
    if (object->fork_copy) {
        object_get(object->fork_copy);
        *copy = object->fork_copy;
        return OK;
    }
    result_t result = object->ops->fork(object, &fork->gather, copy);
    if (result == OK)
        object->fork_copy = *copy;
    return result;
}

static result_t fork_region(struct fork *fork, struct region *region)
{
    struct object *copy = NULL;
    struct region *twin = region_create(fork->child, region->prot);
    if (!twin)
        return ENOMEM;
    twin->shared = region->shared;
    twin->stack = region->stack;
    twin->large = region->large;
    twin->cache = region->cache;
    if (region->object && fork_object(fork, region, &copy) != OK) {
        region_destroy(twin);
        return ENOMEM;
    }

    region_tree_place_last(&fork->child->tree, &twin->node, region->node.base, region->node.end);
    if (copy) {
        region_aim(twin, copy, region_first_slot(region));
        object_attach(copy, twin);
        region_show(twin);
    }
    return OK;
}

static void end_region(struct region *region, result_t result)
{
    struct object *object = region->object;
    if (!object)
        return;
    if (!region->shared) {
        object->fork_copy = NULL;
    } else if (result == OK && object_is_exclusive(object)) {
        object_set_exclusive(object, false);
    }
}

/* Other CPUs' faults wait: until the flush they could go on writing to a page that has been copied. */
static result_t fork_regions(struct fork *fork) REQUIRES(fork->parent->lock)
{
    result_t result = OK;
    tlb_gather_init(&fork->gather);
    space_set_busy(fork->parent, space_everywhere(fork->parent));
    struct region_node *node = region_tree_first(&fork->parent->tree);
    for (; node && result == OK; node = region_tree_next(node))
        result = fork_region(fork, region_of_node(node));
    tlb_gather_flush(&fork->gather, fork->parent);

    struct region_node *end = node;
    for (node = region_tree_first(&fork->parent->tree); node != end; node = region_tree_next(node))
        end_region(region_of_node(node), result);
    space_end_busy(fork->parent);
    return result;
}

static result_t fork_once(struct space *parent, struct space **out)
{
    struct fork fork = {.parent = parent};
    if (space_create(&fork.child) != OK)
        return ENOMEM;

    space_set_aslr(fork.child, parent->aslr);
    lock_acquire(&fork.parent->lock);
    result_t result = fork_regions(&fork);
    unlock_forks(&fork);
    if (result != OK)
        space_destroy_regions(fork.child); /* they may be in lists that the parent's lock guards */
    lock_release(&fork.parent->lock);
    if (result != OK) {
        space_destroy(fork.child);
        return result;
    }
    space_check(fork.child);
    *out = fork.child;
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
