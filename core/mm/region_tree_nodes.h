/* The nodes of a region tree, for the files that implement it: changing them under the eyes of other CPUs,
 * and what each says of its subtree. */
#ifndef CORE_MM_REGION_TREE_NODES_H
#define CORE_MM_REGION_TREE_NODES_H

#include "core/mm/region_tree.h"

/* --- changes that other CPUs look at -----------------------------------------------------------------------
 * Between begin and end, by put() and put_address(), a release each: the odd number is seen before. */

static inline void begin(struct region_tree *tree)
{
    __atomic_store_n(&tree->sequence, tree->sequence + 1, __ATOMIC_RELAXED);
}

static inline void end(struct region_tree *tree)
{
    __atomic_store_n(&tree->sequence, tree->sequence + 1, __ATOMIC_RELEASE);
}

static inline void put(struct region_node **link, struct region_node *node)
{
    __atomic_store_n(link, node, __ATOMIC_RELEASE);
}

static inline void put_address(uint64_t *address, uint64_t value)
{
    __atomic_store_n(address, value, __ATOMIC_RELEASE);
}

static inline void put_range(struct region_node *node, uint64_t base, uint64_t size_bytes)
{
    put_address(&node->base, base);
    put_address(&node->end, base + size_bytes);
}

/* --- the shape --------------------------------------------------------------------------------------------- */

static inline void replace_child(struct region_tree *tree, struct region_node *parent,
                                 struct region_node *old, struct region_node *new)
{
    if (!parent)
        put(&tree->root, new);
    else if (parent->left == old)
        put(&parent->left, new);
    else
        put(&parent->right, new);
}

/* What the node says of its subtree follows from its hole and its children. */
static inline uint64_t largest_in(const struct region_node *node)
{
    uint64_t largest = node->hole;
    if (node->left && node->left->largest > largest)
        largest = node->left->largest;
    if (node->right && node->right->largest > largest)
        largest = node->right->largest;
    return largest;
}

static inline void update(struct region_node *node)
{
    node->largest = largest_in(node);
    node->free =
        node->hole + (node->left ? node->left->free : 0) + (node->right ? node->right->free : 0);
}

/* Restores the rule "no red node has a red child" above a fresh red node. */
void region_tree_rebalance_after_insert(struct region_tree *tree, struct region_node *node);
/* `node` (may be NULL), below `parent`, is one black short. */
void region_tree_rebalance_after_remove(struct region_tree *tree, struct region_node *node,
                                        struct region_node *parent);

#endif
