/* Mapping: choosing a place and showing an object there. See space.h. */
#include "core/mm/anonymous.h"
#include "core/mm/internal.h"
#include "core/mm/object.h"
#include "core/mm/part.h"
#include "core/mm/reclaim.h"
#include "core/mm/space_identity.h"

#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)

__attribute__((always_inline)) static inline result_t validate_place(const struct space *space,
                                                                     const struct map_args *args)
{
    uint64_t low = space->tree.low;
    uint64_t high = space->tree.high;
    if (args->align_bytes < PAGE_SIZE || (args->align_bytes & (args->align_bytes - 1)) != 0)
        return EINVAL;
    if (args->size_bytes > high - low)
        return args->at == MAP_AT_FIXED ? ERANGE : ENOMEM;
    if (args->at != MAP_AT_FIXED)
        return OK;
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
    if (object) {
        object_get(object);
        return object;
    }
    if (anonymous_create(args->size_bytes >> PAGE_SHIFT, args->commit ? COMMIT_ON : COMMIT_OFF,
                         &object) != OK)
        return NULL;
    object->exclusive = true;
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
    region->large = args->large && !gets_copy(args); /* a file has small pages */
    region->cache = (uint8_t)args->cache;
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

static inline result_t place(struct space *space, const struct map_args *args,
                             struct region *region) REQUIRES(space->lock)
{
    if (LIKELY(args->at == MAP_AT_ANY && !args->large && space->first_fit))
        return region_tree_place_anywhere(&space->tree, &region->node, args->size_bytes,
                                          args->align_bytes);
    space_identity_hold(space);
    result_t result = place_at(space, args, region);
    space_identity_release(space);
    return result;
}

/* Gives the placed region its object, whose phase the first mapping decides. */
static inline void show(struct region *region, struct object *object, const struct map_args *args)
{
    uint64_t offset_bytes = object == args->object ? args->offset_bytes : 0;
    if (!object->placed) {
        uint64_t phase = (region->node.base - offset_bytes) >> PAGE_SHIFT;
        object->ops->set_phase(object, phase % LEAF_SLOTS);
        object->placed = true;
    }
    region_show(region, object, object->phase + (offset_bytes >> PAGE_SHIFT));
}

/* Maps every page as an access would, the strongest that the rights allow, but those that are `bus`. */
static result_t populate(struct region *region)
{
    if (!region->object || region->prot == PROT_NONE)
        return OK;
    unsigned access = (region->prot & PROT_WRITE) != 0 ? ACCESS_WRITE : ACCESS_READ;
    uint64_t end = region->node.end;
    for (uint64_t at = region->node.base; at < end; at = region_next_page(region, at)) {
        if (region->object->ops->fault(region->object, region, at, access).outcome == FAULT_NOMEM)
            return ENOMEM;
    }
    return OK;
}

/* What replaces something must not fail once that is gone: it is populated in tables of its own, which
 * the space takes over afterwards. ENOMEM: the tables are gone again; the region shows the object. */
static result_t populate_aside(struct space *aside, const struct map_args *args,
                               struct region *region, struct object *object)
{
    region->node.base = args->address;
    region->node.end = args->address + args->size_bytes;
    region->space = aside;
    show(region, object, args);
    if (page_directory_init(&aside->directory) != OK)
        return ENOMEM;
    if (populate(region) == OK)
        return OK;
    page_directory_fini(&aside->directory);
    return ENOMEM;
}

/* Puts a region where the range is free by now, over what was mapped there, if anything. */
static result_t map_replacing(struct space *space, const struct map_args *args,
                              struct region *region, struct object *object) REQUIRES(space->lock)
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
            page_directory_fini(&aside.directory);
        return result;
    }

    space_unmap_commit_locked(space, taken, &plan);
    result = place(space, args, region);
    ASSERT(result == OK);
    region->space = space;
    if (populated)
        page_directory_take_over(&space->directory, &aside.directory, args->address,
                                 args->address + args->size_bytes);
    return OK;
}

/* Puts a region that was made for it into the space. On failure nothing is left of the region. */
__attribute__((always_inline)) static inline result_t
map_made(struct space *space, const struct map_args *args, struct region *region,
         struct object *object, virt_t *base) REQUIRES(space->lock)
{
    bool replace = args->at == MAP_AT_FIXED && args->if_taken == IF_TAKEN_REPLACE;
    result_t result =
        replace ? map_replacing(space, args, region, object) : place(space, args, region);
    if (result != OK) {
        if (object && !region->object)
            object_put(object);
        region_destroy(region);
        return result;
    }

    if (object && !region->object)
        show(region, object, args);
    *base = region_base(region);
    if (args->populate && !replace && populate(region) != OK) {
        space_remove_locked(space, region);
        return ENOMEM;
    }
    space_check(space);
    return OK;
}

static result_t map_or_again(struct space *space, const struct map_args *args, virt_t *base,
                             unsigned tries)
{
    result_t result = validate_map(space, args);
    if (result != OK)
        return result;

    struct object *object;
    struct region *region = make_region(space, args, &object);
    result = ENOMEM;
    if (LIKELY(region != NULL)) {
        lock_acquire(&space->lock);
        result = map_made(space, args, region, object, base);
        lock_release(&space->lock);
    }
    return reclaim_retry(result, &tries) ? map_or_again(space, args, base, tries) : result;
}

result_t space_map(struct space *space, const struct map_args *args, virt_t *base)
{
    return map_or_again(space, args, base, reclaim_begin());
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
