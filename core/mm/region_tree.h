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
 * Locking: the owner's; region_tree_try_find() needs none: a sequence number tells it when it has to start
 * again (C. Lameter, "Effective synchronization on Linux/NUMA systems", 2005). Nodes that leave the tree
 * must not be freed or reused while a CPU is in a section. Source of the augmentation: Cormen et al., "Introduction to Algorithms", 14.2. */
#ifndef CORE_MM_REGION_TREE_H
#define CORE_MM_REGION_TREE_H

#include "core/annotate.h"
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
    uint64_t sequence; /* odd while nodes or ranges change, or-ed with REGION_TREE_BUSY; atomic */
};

void region_tree_init(struct region_tree *tree, uint64_t low, uint64_t high);

/* The node that contains the address, or NULL. O(log n). Inline: it is half of a denied fault. */
static inline struct region_node *region_tree_find(const struct region_tree *tree, uint64_t address)
{
    uint64_t visits = 0;
    struct region_node *node = tree->root;
    while (node) {
        visits++;
        if (address >= node->end)
            node = node->right;
        else if (address < node->base)
            node = node->left;
        else
            break;
    }
    machine_cpu()->counters[COUNTER_TREE_VISIT] += visits;
    return node;
}

/* The same without the owner's lock, for who is in a section (section.h). False: the tree was being
 * changed. *found is the owner's to change, and may be about to be; *seen is the tree's sequence number. */
static inline bool region_tree_try_find(const struct region_tree *tree, uint64_t address,
                                        struct region_node **found, uint64_t *seen)
{
    uint64_t visits = 0;
    uint64_t sequence = __atomic_load_n(&tree->sequence, __ATOMIC_ACQUIRE) & ~1ull;
    struct region_node *node = PEEK(tree->root);
    while (node) {
        visits++;
        if (LIKELY(address >= PEEK(node->end)))
            node = PEEK(node->right);
        else if (LIKELY(address < PEEK(node->base)))
            node = PEEK(node->left);
        else
            break;
    }
    machine_cpu()->counters[COUNTER_TREE_VISIT] += visits;
    *found = node;
    *seen = sequence;
    __atomic_signal_fence(__ATOMIC_ACQUIRE); /* the number is read last */
    return LIKELY(__atomic_load_n(&tree->sequence, __ATOMIC_RELAXED) == sequence); /* never odd */
}

/* Whoever has found a node looks again: from now on, and, while `busy`, whenever it finds one. */
#define REGION_TREE_BUSY (1ull << 63)
static inline void region_tree_set_busy(struct region_tree *tree, bool busy)
{
    uint64_t next = (tree->sequence + 2) & ~REGION_TREE_BUSY;
    __atomic_store_n(&tree->sequence, busy ? next | REGION_TREE_BUSY : next, __ATOMIC_RELEASE);
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
                            uint64_t end_address);
/* O(log n). */
void region_tree_remove(struct region_tree *tree, struct region_node *node);
/* Moves the node's end, within its own range or into the hole behind it. O(log n). */
void region_tree_set_end(struct region_tree *tree, struct region_node *node, uint64_t new_end);
/* Moves the node's base up, inside its own range. O(log n). */
void region_tree_set_base(struct region_tree *tree, struct region_node *node, uint64_t base);
/* Takes [from, to) out of the node's inside: `tail` becomes the part behind it. None of these can fail.
 * O(log n). */
void region_tree_carve(struct region_tree *tree, struct region_node *node, struct region_node *tail,
                       uint64_t from, uint64_t to);
/* `front`, unless NULL, takes over what the node has below `from`, `tail` what it has from `to` on.
 * O(1) amortised, but where the node is not a leaf O(log n). */
void region_tree_split(struct region_tree *tree, struct region_node *node,
                       struct region_node *front, uint64_t from, struct region_node *tail,
                       uint64_t to);
/* The node and its neighbours, `before` and `after`, with no hole in between (NULL: not that one), become
 * one, which is returned: the highest of them. What leaves the tree has one child at most. O(1) amortised,
 * or as above. */
struct region_node *region_tree_join(struct region_tree *tree, struct region_node *node,
                                     struct region_node *before, struct region_node *after);

/* Is [base, base + size) inside the tree's range and free? */
bool region_tree_is_free(const struct region_tree *tree, uint64_t base, uint64_t size_bytes);
/* Free bytes of the whole range. O(1). */
static inline uint64_t region_tree_free_bytes(const struct region_tree *tree)
{
    uint64_t top = tree->high - (tree->last ? tree->last->end : tree->low);
    return top + (tree->root ? tree->root->free : 0);
}

/* Verifies every invariant; the text of the first that is broken, NULL when all hold. O(n). */
const char *region_tree_check(const struct region_tree *tree);

#endif
