/* Making, splitting, merging and ending regions. See region.h. */
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

void region_split(struct region_tree *tree, struct region *region, uint64_t at, struct region *tail)
{
    region_set_prot(tail, region->prot);
    tail->shared = region->shared;
    tail->stack = region->stack;
    region_tree_split(tree, &region->node, &tail->node, at);
    if (!region->object)
        return;
    object_get(region->object);
    region_show(tail, region->object, region_slot(region, at));
}

bool region_merge_next(struct region_tree *tree, struct region *region)
{
    struct region *next = region_of_node(region_tree_next(&region->node));
    if (!next || next->node.base != region->node.end || next->object != region->object ||
        next->prot != region->prot || next->shared != region->shared ||
        next->stack != region->stack)
        return false;
    if (region->object && region_slot(region, region->node.end) != next->first_slot)
        return false;
    uint64_t end = next->node.end;
    region_tree_remove(tree, &next->node);
    region_tree_set_end(tree, &region->node, end);
    region_destroy(next);
    return true;
}
