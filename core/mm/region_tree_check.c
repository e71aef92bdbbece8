/* The invariants of the region tree, checked from scratch. See region_tree.h. */
#include "core/mm/region_tree.h"

static bool is_red(const struct region_node *node)
{
    return node && node->red;
}

/* Do the largest hole and the sum follow from its own hole and its children? */
static bool knows_holes_below(const struct region_node *node)
{
    const struct region_node *children[] = {node->left, node->right};
    uint64_t largest = node->hole;
    uint64_t free = node->hole;
    for (unsigned i = 0; i < ARRAY_COUNT(children); i++) {
        if (!children[i])
            continue;
        free += children[i]->free;
        if (children[i]->largest > largest)
            largest = children[i]->largest;
    }
    return largest == node->largest && free == node->free;
}

static const char *check_node(const struct region_tree *tree, const struct region_node *node,
                              uint64_t previous_end)
{
    if (node->base >= node->end || node->base < tree->low || node->end > tree->high)
        return "a region is empty or outside the range of its tree";
    if (node->base < previous_end)
        return "regions overlap or are out of order";
    if (node->hole != node->base - previous_end)
        return "the hole in front of a region is wrong";
    if (node->red && (is_red(node->left) || is_red(node->right)))
        return "a red region has a red child";
    if ((node->left && node->left->parent != node) || (node->right && node->right->parent != node))
        return "a region's child has another parent";
    if (!knows_holes_below(node))
        return "the largest hole or the free sum below a region is wrong";
    return NULL;
}

/* Black nodes from this one up to the root. */
static unsigned black_height(const struct region_node *node)
{
    unsigned height = 0;
    for (; node; node = node->parent)
        height += !node->red;
    return height;
}

const char *region_tree_check(const struct region_tree *tree)
{
    uint64_t previous_end = tree->low;
    uint64_t count = 0;
    unsigned height = 0;
    const struct region_node *last = NULL;
    if (is_red(tree->root))
        return "the root is red";
    for (const struct region_node *node = region_tree_first(tree); node;
         node = region_tree_next(node)) {
        const char *problem = check_node(tree, node, previous_end);
        if (problem)
            return problem;
        if (!node->left || !node->right) {
            unsigned here = black_height(node);
            if (height != 0 && here != height)
                return "paths have different numbers of black regions";
            height = here;
        }
        previous_end = node->end;
        last = node;
        if (++count > tree->count)
            break;
    }
    if (count != tree->count)
        return "the number of regions is wrong";
    return last == tree->last ? NULL : "the last region is not the last";
}
