/* Mapping: choosing a place and showing an object there. See space.h. */
#include "core/mm/anonymous.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/space_identity.h"

__attribute__((always_inline)) static inline result_t validate_place(const struct space *space,
                                                                     const struct map_args *args)
{
    if (args->align_bytes < PAGE_SIZE || (args->align_bytes & (args->align_bytes - 1)) != 0)
        return EINVAL;
    if (LIKELY(args->at != MAP_AT_FIXED))
        return OK; /* what is too large finds no hole */

    uint64_t low = space->tree.low;
    uint64_t high = space->tree.high;
    if (args->size_bytes > high - low)
        return ERANGE;
    if ((args->address & (args->align_bytes - 1)) != 0)
        return EINVAL;
    if (args->address < low || args->address > high - args->size_bytes)
        return ERANGE;
    return OK;
}

/* Does the region show an object of its own in place of the one named? */
static bool gets_copy(const struct map_args *args)
{
    return args->object && !args->shared && args->object->ops->make_private;
}

__attribute__((always_inline)) static inline result_t validate_map(const struct space *space,
                                                                   const struct map_args *args)
{
    if (args->size_bytes == 0 || !is_page_aligned(args->size_bytes) || args->prot > PROT_ALL)
        return EINVAL;
    const struct object *object = args->object;
    if (object) {
        uint64_t object_bytes = object->page_count << PAGE_SHIFT;
        if (!is_page_aligned(args->offset_bytes))
            return EINVAL;
        if (args->offset_bytes > object_bytes ||
            (args->size_bytes > object_bytes - args->offset_bytes && !object->ops->overhangs))
            return ERANGE;
        if ((args->prot & ~object->ops->rights) != 0 && !gets_copy(args))
            return EACCES;
    }
    if (UNLIKELY(args->cache > CACHE_WRITE_BACK) && !(object && object->ops->any_cache))
        return ENOTSUP;
    return validate_place(space, args);
}

/* The object to show, with a reference: the one named, or a fresh anonymous one. NULL: no memory. */
__attribute__((always_inline)) static inline struct object *get_object(const struct map_args *args)
{
    struct object *object = args->object;
    if (UNLIKELY(gets_copy(args))) {
        /* What cannot be written needs no frames of its own. */
        bool commit = args->commit && (args->prot & PROT_WRITE) != 0;
        return object->ops->make_private(object, args->offset_bytes >> PAGE_SHIFT,
                                         args->size_bytes >> PAGE_SHIFT, commit, &object) == OK
                   ? object
                   : NULL;
    }
    if (UNLIKELY(object != NULL)) {
        object_get(object);
        return object;
    }
    if (anonymous_create(args->size_bytes >> PAGE_SHIFT, args->commit ? COMMIT_ON : COMMIT_OFF,
                         &object) != OK)
        return NULL;
    object->company = 0;
    return object;
}

/* A region with its object, in no tree yet. NULL: no memory. */
__attribute__((always_inline)) static inline struct region *
make_region(struct space *space, const struct map_args *args, struct object **object)
{
    struct region *region = region_create(space, args->prot);
    *object = NULL;
    if (!region)
        return NULL;
    region->shared = args->shared;
    region->stack = args->stack;
    region->large = args->large;
    region->cache = (uint8_t)args->cache;
    if (args->object && gets_copy(args))
        region->large = false; /* a file has small pages */
    if (args->unbacked || (*object = get_object(args)) != NULL)
        return region;
    region_destroy(region);
    return NULL;
}

/* As many draws as leave no doubt that there is no room above SPACE_FIXED_HIGH, or hardly any. */
#define ASLR_DRAWS 8

result_t space_place_node(struct space *space, struct region_node *node, uint64_t size_bytes,
                          uint64_t align_bytes)
{
    if (!space->aslr)
        return region_tree_place_anywhere(&space->tree, node, size_bytes, align_bytes);
    for (unsigned draw = 1;; draw++) {
        result_t result = region_tree_place_randomized(&space->tree, node, size_bytes, align_bytes,
                                                       &space->random);
        if (result != OK || node->base >= SPACE_FIXED_HIGH || draw == ASLR_DRAWS)
            return result;
        region_tree_remove(&space->tree, node);
    }
}

/* A large page needs an aligned place. False: there is none, or no large page would fit. */
static bool place_for_large(struct space *space, const struct map_args *args, struct region *region)
    REQUIRES(space->lock)
{
    return args->size_bytes >= TABLE_BYTES && args->align_bytes < TABLE_BYTES &&
           space_place_node(space, &region->node, args->size_bytes, TABLE_BYTES) == OK;
}

static result_t place_at(struct space *space, const struct map_args *args, struct region *region)
    REQUIRES(space->lock)
{
    if (args->at == MAP_AT_ANY && args->large && place_for_large(space, args, region))
        return OK;
    if (args->at == MAP_AT_ANY)
        return space_place_node(space, &region->node, args->size_bytes, args->align_bytes);
    if (args->at == MAP_AT_RANDOM)
        return region_tree_place_randomized(&space->tree, &region->node, args->size_bytes,
                                            args->align_bytes, &space->random);
    result_t result = region_tree_place_specifically(&space->tree, &region->node, args->address,
                                                     args->size_bytes);
    if (result != EEXIST || args->if_taken != IF_TAKEN_ELSEWHERE)
        return result;
    return space_place_node(space, &region->node, args->size_bytes, args->align_bytes);
}

/* Not simply at the lowest place that fits. */
__attribute__((noinline)) static result_t
place_as_named(struct space *space, const struct map_args *args, struct region *region)
    REQUIRES(space->lock)
{
    space_identity_hold(space);
    result_t result = place_at(space, args, region);
    space_identity_release(space);
    return result;
}

__attribute__((always_inline)) static inline result_t
place(struct space *space, const struct map_args *args, struct region *region) REQUIRES(space->lock)
{
    if (LIKELY(args->at == MAP_AT_ANY && !args->large && space->first_fit))
        return region_tree_place_anywhere(&space->tree, &region->node, args->size_bytes,
                                          args->align_bytes);
    return place_as_named(space, args, region);
}

/* Gives the placed region its object, which was made for it and which nobody knows yet. */
static inline void show_fresh(struct region *region, struct object *object)
{
    uint64_t phase = (region->node.base >> PAGE_SHIFT) % LEAF_SLOTS;
    object->ops->set_phase(object, (uint16_t)phase);
    object->placed = true;
    region->object = object;
    region_set_first_slot(region, phase);
    list_add_last(&object->regions, &region->object_link);
    region_show(region);
}

/* Gives the placed region an object, whose phase the first mapping decides. */
__attribute__((noinline)) static void show_known(struct region *region, struct object *object,
                                                 const struct map_args *args)
{
    uint64_t offset_bytes = object == args->object ? args->offset_bytes : 0;
    object_hold(object);
    if (!object->placed) {
        uint64_t phase = (region->node.base - offset_bytes) >> PAGE_SHIFT;
        object->ops->set_phase(object, phase % LEAF_SLOTS);
        object->placed = true;
    }
    region_aim(region, object, object->phase + (offset_bytes >> PAGE_SHIFT));
    list_add_last(&object->regions, &region->object_link);
    region_show(region);
    object_release(object);
}

__attribute__((always_inline)) static inline void show(struct region *region, struct object *object,
                                                       const struct map_args *args)
{
    if (LIKELY(!args->object))
        show_fresh(region, object);
    else
        show_known(region, object, args);
}

/* Maps every page as an access would, the strongest that the rights allow, but those that are `bus`. */
static result_t populate(struct region *region)
{
    if (!region->object || region->prot == PROT_NONE)
        return OK;
    unsigned access = (region->prot & PROT_WRITE) != 0 ? ACCESS_WRITE : ACCESS_READ;
    uint64_t end = region->node.end;
    for (uint64_t at = region->node.base; at < end; at = region_next_page(region, at)) {
        if (region_fault(region, at, access).outcome == FAULT_NOMEM)
            return ENOMEM;
    }
    return OK;
}

/* Whoever walks the regions of the object finds nothing in the one, then in the other space. */
static void end_aside(struct space *aside, struct space *space, struct region *region)
{
    region_hold(region);
    page_directory_fini(&aside->directory);
    region->space = space;
    region_release(region);
}

/* What replaces something must not fail once that is gone: it is populated in tables of its own, which
 * the space takes over afterwards. They are there before others can find the region in its object's list. ENOMEM: they
 * are gone again; the region may show the object. */
static result_t populate_aside(struct space *aside, const struct map_args *args,
                               struct region *region, struct object *object)
{
    struct space *space = region->space;
    if (page_directory_init(&aside->directory) != OK)
        return ENOMEM;
    aside->cpu_count = 0;
    aside->busy_bytes = 0;
    region->node.base = args->address;
    region->node.end = args->address + args->size_bytes;
    region->space = aside;
    show(region, object, args);
    if (populate(region) == OK)
        return OK;
    end_aside(aside, space, region);
    return ENOMEM;
}

/* Puts a region where the range is free by now, over what was mapped there, if anything. */
static result_t replace(struct space *space, const struct map_args *args, struct region *region,
                        struct object *object) REQUIRES(space->lock)
{
    struct space aside;
    struct unmap_plan plan;
    struct range taken = {args->address, args->size_bytes};
    bool populated = args->populate && object;
    if (space_identity_meets(space, taken))
        return EEXIST; /* only regions are replaced */
    result_t result = populated ? populate_aside(&aside, args, region, object) : OK;
    if (result != OK)
        return result;
    result = space_unmap_reserve_locked(space, taken, &plan);
    if (result != OK) {
        if (populated)
            end_aside(&aside, space, region);
        return result;
    }

    space_unmap_commit_locked(space, taken, &plan);
    if (!populated) {
        result = place(space, args, region);
        ASSERT(result == OK);
        if (object)
            show(region, object, args);
        return OK;
    }
    region_hold(region);
    page_directory_take_over(&space->directory, &aside.directory, args->address,
                             args->address + args->size_bytes);
    region->space = space;
    result = place(space, args, region);
    region_release(region);
    ASSERT(result == OK);
    return OK;
}

static void give_up(struct region *region, struct object *object)
{
    if (object && !region->object)
        object_put(object);
    region_destroy(region);
}

__attribute__((noinline)) static result_t map_replacing(struct space *space,
                                                        const struct map_args *args,
                                                        struct region *region,
                                                        struct object *object) REQUIRES(space->lock)
{
    result_t result = replace(space, args, region, object);
    if (result != OK)
        give_up(region, object);
    return result;
}

__attribute__((always_inline)) static inline result_t
map_beside(struct space *space, const struct map_args *args, struct region *region,
           struct object *object) REQUIRES(space->lock)
{
    result_t result = place(space, args, region);
    if (UNLIKELY(result != OK)) {
        give_up(region, object);
        return result;
    }
    if (object)
        show(region, object, args);
    if (UNLIKELY(args->populate) && populate(region) != OK) {
        space_remove_locked(space, region);
        return ENOMEM;
    }
    return OK;
}

/* Puts a region that was made for it into the space. On failure nothing is left of the region. */
__attribute__((always_inline)) static inline result_t
map_made(struct space *space, const struct map_args *args, struct region *region,
         struct object *object, virt_t *base) REQUIRES(space->lock)
{
    bool over = args->at == MAP_AT_FIXED && args->if_taken == IF_TAKEN_REPLACE;
    result_t result = UNLIKELY(over) ? map_replacing(space, args, region, object)
                                     : map_beside(space, args, region, object);
    if (UNLIKELY(result != OK))
        return result;
    *base = region_base(region);
    space_check(space);
    return OK;
}

__attribute__((always_inline)) static inline result_t
map_once(struct space *space, const struct map_args *args, virt_t *base)
{
    result_t result = validate_map(space, args);
    if (UNLIKELY(result != OK))
        return result;

    struct object *object;
    struct region *region = make_region(space, args, &object);
    if (UNLIKELY(!region))
        return ENOMEM;
    lock_acquire(&space->lock);
    result = map_made(space, args, region, object, base);
    space_unlock(space);
    return result;
}

result_t space_map(struct space *space, const struct map_args *args, virt_t *base)
{
    result_t result;
    unsigned tries = reclaim_begin();
    do {
        result = map_once(space, args, base);
    } while (reclaim_retry(result, &tries));
    return result;
}

result_t space_map_locked(struct space *space, const struct map_args *args, virt_t *base)
{
    result_t result = validate_map(space, args);
    if (result != OK)
        return result;

    struct object *object;
    struct region *region = make_region(space, args, &object);
    return region ? map_made(space, args, region, object, base) : ENOMEM;
}
