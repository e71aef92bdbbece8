/* All regions of one space: an intrusive red-black tree over half-open ranges, in which each node knows
 * the hole in front of it and, of the nodes below it, the largest hole and the sum of holes.
 *
 *       low      a.base    a.end     b.base   b.end      high
 *        |--hole(a)--|=== a ===|--hole(b)--|== b ==|--top hole--|
 *
 * Concepts: the tree is the only authority on what is free. Finding a place and inserting are one step;
 * nothing here allocates: callers bring a node, and get it back when they remove it.
 * Invariants (region_tree_check): bases rise in order, nothing overlaps or leaves [low, high);
 * hole == base - end of the predecessor (or low); largest and free are the maximum and the sum of
 * `hole` over the subtree; red-black rules.
 * Locking: the owner's. Source of the augmentation: Cormen et al., "Introduction to Algorithms", 14.2. */
#ifndef CORE_MM_REGION_TREE_H
#define CORE_MM_REGION_TREE_H

#include "core/machine.h"
#include "core/random.h"
#include "core/result.h"
#include "core/types.h"

struct region_node {
    struct region_node *left;
    struct region_node *right;
    struct region_node *parent;
    uint64_t base;    /* bytes, page aligned */
    uint64_t end;     /* exclusive */
    uint64_t hole;    /* bytes between the predecessor's end, or low, and base */
    uint64_t largest; /* the largest hole in the subtree */
    uint64_t free;    /* the sum of holes in the subtree */
    bool red;
};

struct region_tree {
    struct region_node *root;
    struct region_node *last; /* the highest; NULL: empty */
    uint64_t low;
    uint64_t high;
    uint64_t count;
};

void region_tree_init(struct region_tree *tree, uint64_t low, uint64_t high);

/* The node that contains the address, or NULL. O(log n). Inline: it is half of a denied fault. */
static inline struct region_node *region_tree_find(const struct region_tree *tree, uint64_t address)
{
    uint64_t visits = 0;
    struct region_node *node = tree->root;
    while (node) {
        visits++;
        if (address < node->base)
            node = node->left;
        else if (address >= node->end)
            node = node->right;
        else
            break;
    }
    machine_cpu()->counters[COUNTER_TREE_VISIT] += visits;
    return node;
}

/* The lowest node whose end is above the address, or NULL. O(log n). */
struct region_node *region_tree_find_from(const struct region_tree *tree, uint64_t address);
/* In order of addresses; NULL at the end. O(1) amortised. */
struct region_node *region_tree_first(const struct region_tree *tree);
struct region_node *region_tree_next(const struct region_node *node);
struct region_node *region_tree_previous(const struct region_node *node);

/* Places the node at the lowest address that fits, an exact fit included. align_bytes is a power of two,
 * at least a page. ENOMEM: no hole. O(log n) for page alignment, plus a step for each hole that is large
 * enough but misaligned. */
result_t region_tree_place_anywhere(struct region_tree *tree, struct region_node *node,
                                    uint64_t size_bytes, uint64_t align_bytes);
/* Places it at an address drawn from all that fit, each with exactly the same chance. ENOMEM: no hole.
 * O(log n) for up to REGION_TREE_DRAWS draws of a free page; when none fits, O(holes that are large
 * enough). */
#define REGION_TREE_DRAWS 16
result_t region_tree_place_randomized(struct region_tree *tree, struct region_node *node,
                                      uint64_t size_bytes, uint64_t align_bytes,
                                      struct random *random);
/* Places it at [base, base + size). ERANGE: outside the tree's range; EEXIST: taken. O(log n). */
result_t region_tree_place_specifically(struct region_tree *tree, struct region_node *node,
                                        uint64_t base, uint64_t size_bytes);
/* Places it behind all others; the caller knows that the range is free. O(log n). */
void region_tree_place_last(struct region_tree *tree, struct region_node *node, uint64_t base,
                            uint64_t end);
/* O(log n). */
void region_tree_remove(struct region_tree *tree, struct region_node *node);
/* Moves the node's end, within its own range or into the hole behind it. O(log n). */
void region_tree_set_end(struct region_tree *tree, struct region_node *node, uint64_t end);
/* Moves the node's base up, inside its own range. O(log n). */
void region_tree_set_base(struct region_tree *tree, struct region_node *node, uint64_t base);
/* Takes [from, to), which may be empty, out of the node: `tail` becomes the part behind it. Neither this
 * nor the next can fail. O(log n); O(1) amortised where the range is empty. */
void region_tree_carve(struct region_tree *tree, struct region_node *node, struct region_node *tail,
                       uint64_t from, uint64_t to);
/* The node takes over the range of `next`, which begins where it ends and leaves the tree. O(1)
 * amortised. */
void region_tree_join(struct region_tree *tree, struct region_node *node, struct region_node *next);

/* Is [base, base + size) inside the tree's range and free? */
bool region_tree_is_free(const struct region_tree *tree, uint64_t base, uint64_t size_bytes);
/* Free bytes of the whole range. O(1). */
uint64_t region_tree_free_bytes(const struct region_tree *tree);

/* Verifies every invariant; the text of the first that is broken, NULL when all hold. O(n). */
const char *region_tree_check(const struct region_tree *tree);

#endif
