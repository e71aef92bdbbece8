/* Merging and ending regions. See region.h. */
#include "core/mm/region.h"

#include "core/mm/object.h"
#include "core/mm/space.h"

void region_destroy(struct region *region)
{
    struct object *object = region->object;
    if (object) {
        object_detach(object, region);
        object_put(object);
    }
    heap_free(region, sizeof *region);
}

static bool fit(const struct region *region, const struct region *next)
{
    return next->node.base == region->node.end && next->prot == region->prot &&
           next->object == region->object && next->shared == region->shared &&
           next->stack == region->stack && next->large == region->large &&
           next->cache == region->cache &&
           (!region->object || region_slot(region, region->node.end) == next->first_slot);
}

bool region_merge_next(struct region_tree *tree, struct region *region)
{
    struct region *next = region_of_node(region_tree_next(&region->node));
    if (!next || !fit(region, next))
        return false;
    region_tree_join(tree, &region->node, &next->node);
    region_destroy(next);
    return true;
}
