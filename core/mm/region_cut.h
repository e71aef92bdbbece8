/* Cutting regions, and making one of neighbours, with the lock of their space held. None of it can fail: whoever cuts
 * brings memory for the piece. */
#ifndef CORE_MM_REGION_CUT_H
#define CORE_MM_REGION_CUT_H

#include "core/mm/part.h"

/* Takes the frames that splitting large pages at the ends of a part needs. Before faults are kept off, and without
 * the object's lock, others make large pages still. ENOMEM: changed nothing but the reserve. */
static inline result_t region_reserve_split(struct region *region, struct part part,
                                            struct frame_reserve *reserve)
{
    if (LIKELY(!region->large))
        return OK;
    region_hold(region);
    result_t result =
        page_directory_reserve_split(&region->space->directory, part.base, part.end, reserve);
    region_release(region);
    return result;
}

/* Makes `piece` what the region is, but for its place. */
static inline void copy_region(struct region *piece, const struct region *region)
{
    piece->space = region->space;
    piece->object = region->object;
    piece->slot_bias = region->slot_bias;
    piece->entry_bits = region->entry_bits;
    piece->traits = region->traits;
}

static inline void join_object(struct object *object, struct region *piece)
{
    object_get(object);
    list_add_last(&object->regions, &piece->object_link);
}

/* `front`, unless NULL, becomes the part of the region below `from`, `tail` the one from `to` on. With the
 * region held; as region_tree_split(). */
static inline void region_split(struct region *region, struct region *front, uint64_t from,
                                struct region *tail, uint64_t to)
{
    if (tail)
        copy_region(tail, region);
    if (front)
        copy_region(front, region);
    region_tree_split(&region->space->tree, &region->node, front ? &front->node : NULL, from,
                      tail ? &tail->node : NULL, to);
    struct object *object = region->object;
    if (!object)
        return;
    if (front)
        join_object(object, front);
    if (tail)
        join_object(object, tail);
}

/* Cuts [from, to) out of the region's inside: `tail` becomes the part behind it. As region_tree_carve(). */
static inline void region_carve(struct region *region, uint64_t from, uint64_t to,
                                struct region *tail)
{
    region_hold(region);
    copy_region(tail, region);
    region_tree_carve(&region->space->tree, &region->node, &tail->node, from, to);
    if (region->object)
        join_object(region->object, tail);
    region_release(region);
}

/* Does `next`, the region behind, go on where this one ends, so that one would do for both? */
static inline bool region_goes_on(const struct region *region, const struct region *next)
{
    return next->node.base == region->node.end && next->object == region->object &&
           next->traits == region->traits &&
           (!region->object || next->slot_bias == region->slot_bias);
}

/* The other piece keeps its reference, so that this one is not the last. */
static inline void end_piece(struct region *piece, struct dead_regions *dead)
{
    if (piece->object) {
        list_remove(&piece->object_link);
        __atomic_fetch_sub(&piece->object->references, 1, __ATOMIC_RELAXED);
    }
    region_bury(dead, piece);
}

/* Makes the region, which is held, and the neighbours that go on with it (NULL: not that one) one, which is
 * returned; the others join *dead, for region_free_dead(). As region_tree_join(). */
static inline struct region *region_merge(struct region *region, struct region *before,
                                          struct region *after, struct dead_regions *dead)
{
    struct region *whole = region_of_node(region_tree_join(&region->space->tree, &region->node,
                                                           before ? &before->node : NULL,
                                                           after ? &after->node : NULL));
    if (before && before != whole)
        end_piece(before, dead);
    if (region != whole)
        end_piece(region, dead);
    if (after && after != whole)
        end_piece(after, dead);
    return whole;
}

void region_free_buried(struct dead_regions *dead);

/* As region_destroy_dead(), for what was merged: its object knows nothing of it any more. */
static inline void region_free_dead(struct dead_regions *dead)
{
    if (dead->first)
        region_free_buried(dead);
}

#endif
