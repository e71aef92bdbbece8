/* The augmented red-black tree of regions. See region_tree.h. */
#include "core/mm/region_tree.h"

#include "core/check.h"
#include "core/mm/region_tree_nodes.h"

static void count_visits(uint64_t visits)
{
    machine_cpu()->counters[COUNTER_TREE_VISIT] += visits;
}

void region_tree_init(struct region_tree *tree, uint64_t low, uint64_t high)
{
    *tree = (struct region_tree){.low = low, .high = high};
}

/* --- finding -------------------------------------------------------------------------------------------- */

struct region_node *region_tree_find_from(const struct region_tree *tree, uint64_t address)
{
    uint64_t visits = 0;
    struct region_node *best = NULL;
    struct region_node *node = tree->root;
    for (; node; node = best->left) {
        for (; node && address >= node->end; node = node->right)
            visits++;
        if (!node)
            break;
        visits++;
        best = node;
    }
    count_visits(visits);
    return best;
}

static struct region_node *leftmost(struct region_node *node)
{
    while (node->left)
        node = node->left;
    return node;
}

struct region_node *region_tree_first(const struct region_tree *tree)
{
    return tree->root ? leftmost(tree->root) : NULL;
}

struct region_node *region_tree_next(const struct region_node *node)
{
    if (node->right)
        return leftmost(node->right);
    while (node->parent && node->parent->right == node)
        node = node->parent;
    return node->parent;
}

struct region_node *region_tree_previous(const struct region_node *node)
{
    if (node->left) {
        struct region_node *last = node->left;
        while (last->right)
            last = last->right;
        return last;
    }
    while (node->parent && node->parent->left == node)
        node = node->parent;
    return node->parent;
}

/* --- augmentation ----------------------------------------------------------------------------------------- */

/* A hole that this node and those above it have in their subtrees has grown to `hole` bytes. Where a larger
 * one is known only the sum changes, there and above. */
static void grow_path(struct region_node *node, uint64_t hole, uint64_t grown)
{
    for (; node && node->largest < hole; node = node->parent) {
        node->free += grown;
        node->largest = hole;
    }
    for (; node; node = node->parent)
        node->free += grown;
}

/* A hole of `hole` bytes has lost `lost` of them, at one end or in its midst. */
static void shrink_path(struct region_node *node, uint64_t hole, uint64_t lost)
{
    for (; node && node->largest == hole && node->free == lost; node = node->parent)
        node->free = node->largest = 0; /* nothing else is free */
    for (; node && node->largest == hole; node = node->parent) {
        node->free -= lost;
        node->largest = largest_in(node);
    }
    for (; node; node = node->parent)
        node->free -= lost;
}

/* Nodes from `node` up to, but not including, one of those above it have other holes below them. */
static void update_below(struct region_node *node, const struct region_node *top)
{
    for (; node != top; node = node->parent)
        update(node);
}

/* --- inserting and removing ------------------------------------------------------------------------------------ */

/* Makes the node, whose hole is set, a leaf below `parent` (NULL: the root), in the place that *child is. */
static inline void link_leaf(struct region_tree *tree, struct region_node *node,
                             struct region_node *parent, struct region_node **child)
{
    put(&node->left, NULL);
    put(&node->right, NULL);
    put(child, node);
    node->parent = parent;
    node->largest = node->hole;
    node->free = node->hole;
    node->red = parent != NULL;
    tree->count++;
}

/* Directly behind `previous`. */
static inline void link_behind(struct region_tree *tree, struct region_node *node,
                               struct region_node *previous)
{
    if (tree->last == previous)
        tree->last = node;
    if (!previous->right) {
        link_leaf(tree, node, previous, &previous->right);
        return;
    }
    struct region_node *next = leftmost(previous->right);
    link_leaf(tree, node, next, &next->left);
}

/* Directly in front of `next`: below it or below its predecessor, which is itself below it. NULL: behind
 * all others. */
static inline void link_before(struct region_tree *tree, struct region_node *node,
                               struct region_node *next)
{
    if (next && !next->left) {
        link_leaf(tree, node, next, &next->left);
    } else if (next) {
        struct region_node *previous = next->left;
        while (previous->right)
            previous = previous->right;
        link_leaf(tree, node, previous, &previous->right);
    } else {
        struct region_node *last = tree->last;
        tree->last = node;
        link_leaf(tree, node, last, last ? &last->right : &tree->root);
    }
}

/* Where the hole in front of `next` (NULL: the top hole) begins. */
static inline uint64_t hole_start(const struct region_tree *tree, const struct region_node *next)
{
    if (next)
        return next->base - next->hole;
    return tree->last ? tree->last->end : tree->low;
}

/* The node is to lie in that hole. */
static inline void put_in_hole(struct region_node *node, uint64_t start, uint64_t base,
                               uint64_t size_bytes)
{
    put_range(node, base, size_bytes);
    node->hole = base - start;
}

/* Inserts the node, which put_in_hole() was for, in front of `next` (NULL: behind all others). */
__attribute__((always_inline)) static inline void
insert_before(struct region_tree *tree, struct region_node *node, struct region_node *next)
{
    begin(tree);
    if (next) {
        uint64_t hole = next->hole;
        next->hole = next->base - node->end;
        link_before(tree, node, next);
        if (node->hole != 0) /* else no sum below `next` changes */
            update_below(node->parent, next);
        shrink_path(next, hole, node->end - node->base);
    } else {
        link_before(tree, node, NULL);
        if (node->hole != 0)
            grow_path(node->parent, node->hole, node->hole);
    }
    if (node->parent && node->parent->red)
        region_tree_rebalance_after_insert(tree, node);
    end(tree);
}

static bool place_in_hole(struct region_node *node, uint64_t start, uint64_t hole,
                          uint64_t size_bytes, uint64_t align_bytes)
{
    uint64_t skipped = -start & (align_bytes - 1);
    if (skipped > hole || hole - skipped < size_bytes)
        return false;
    put_range(node, start + skipped, size_bytes);
    node->hole = skipped;
    return true;
}

/* The lowest node in this subtree with a hole of that size in front of it; the caller knows that there
 * is one. */
static struct region_node *lowest_fit(struct region_node *node, uint64_t size_bytes,
                                      uint64_t *visits)
{
    for (;;) {
        ++*visits;
        if (node->left && node->left->largest >= size_bytes)
            node = node->left;
        else if (node->hole >= size_bytes)
            return node;
        else
            node = node->right;
    }
}

/* The next higher node with a hole of that size, or NULL. */
static struct region_node *next_fit(struct region_node *node, uint64_t size_bytes, uint64_t *visits)
{
    if (node->right && node->right->largest >= size_bytes)
        return lowest_fit(node->right, size_bytes, visits);
    while (node->parent) {
        ++*visits;
        struct region_node *child = node;
        node = node->parent;
        if (node->right == child)
            continue;
        if (node->hole >= size_bytes)
            return node;
        if (node->right && node->right->largest >= size_bytes)
            return lowest_fit(node->right, size_bytes, visits);
    }
    return NULL;
}

result_t region_tree_place_anywhere(struct region_tree *tree, struct region_node *node,
                                    uint64_t size_bytes, uint64_t align_bytes)
{
    if (size_bytes == 0 || !is_page_aligned(size_bytes))
        return EINVAL;

    uint64_t visits = 0;
    struct region_node *next = NULL;
    if (tree->root && tree->root->largest >= size_bytes)
        next = lowest_fit(tree->root, size_bytes, &visits);
    while (next &&
           !place_in_hole(node, next->base - next->hole, next->hole, size_bytes, align_bytes))
        next = next_fit(next, size_bytes, &visits);
    count_visits(visits);
    if (!next) {
        uint64_t top_start = hole_start(tree, NULL);
        if (!place_in_hole(node, top_start, tree->high - top_start, size_bytes, align_bytes))
            return ENOMEM;
    }

    insert_before(tree, node, next);
    return OK;
}

/* --- random placement ---------------------------------------------------------------------------------------- */

struct hole {
    uint64_t start;
    uint64_t end;
    struct region_node *next; /* the node behind it; NULL: the top hole */
};

static struct hole top_hole(const struct region_tree *tree)
{
    return (struct hole){hole_start(tree, NULL), tree->high, NULL};
}

static struct hole hole_before(struct region_node *node)
{
    return (struct hole){node->base - node->hole, node->base, node};
}

/* The hole that holds the free byte number `offset`, counted over the subtree and then the top hole;
 * *offset becomes the offset in the hole. One descent. */
static struct hole hole_at(const struct region_tree *tree, uint64_t *offset)
{
    struct region_node *node = tree->root;
    if (!node || *offset >= node->free) {
        *offset -= node ? node->free : 0;
        return top_hole(tree);
    }
    for (;;) {
        uint64_t left = node->left ? node->left->free : 0;
        if (*offset < left) {
            node = node->left;
            continue;
        }
        *offset -= left;
        if (*offset < node->hole)
            return hole_before(node);
        *offset -= node->hole;
        node = node->right;
    }
}

/* How many aligned places for `size_bytes` a hole has. */
static uint64_t places_in(struct hole hole, uint64_t size_bytes, uint64_t align_bytes)
{
    uint64_t first = (hole.start + align_bytes - 1) & ~(align_bytes - 1);
    if (first < hole.start || first > hole.end || hole.end - first < size_bytes)
        return 0;
    return (hole.end - first - size_bytes) / align_bytes + 1;
}

/* The next fitting hole in order of addresses; `from` NULL: the first. The top hole comes last. */
static struct region_node *next_fitting(const struct region_tree *tree, struct region_node *from,
                                        uint64_t size_bytes, uint64_t *visits)
{
    if (from)
        return next_fit(from, size_bytes, visits);
    if (!tree->root || tree->root->largest < size_bytes)
        return NULL;
    return lowest_fit(tree->root, size_bytes, visits);
}

/* Chooses place number `chosen` of all places in all fitting holes. */
static struct hole hole_of_place(const struct region_tree *tree, uint64_t size_bytes,
                                 uint64_t align_bytes, uint64_t *chosen, uint64_t *visits)
{
    struct region_node *node = NULL;
    while ((node = next_fitting(tree, node, size_bytes, visits)) != NULL) {
        uint64_t places = places_in(hole_before(node), size_bytes, align_bytes);
        if (*chosen < places)
            return hole_before(node);
        *chosen -= places;
    }
    return top_hole(tree);
}

static uint64_t count_places(const struct region_tree *tree, uint64_t size_bytes,
                             uint64_t align_bytes, uint64_t *visits)
{
    uint64_t places = places_in(top_hole(tree), size_bytes, align_bytes);
    struct region_node *node = NULL;
    while ((node = next_fitting(tree, node, size_bytes, visits)) != NULL)
        places += places_in(hole_before(node), size_bytes, align_bytes);
    return places;
}

result_t region_tree_place_randomized(struct region_tree *tree, struct region_node *node,
                                      uint64_t size_bytes, uint64_t align_bytes,
                                      struct random *random)
{
    if (size_bytes == 0 || !is_page_aligned(size_bytes))
        return EINVAL;

    uint64_t visits = 0;
    uint64_t free_pages = region_tree_free_bytes(tree) >> PAGE_SHIFT;
    for (unsigned draw = 0; draw < REGION_TREE_DRAWS && free_pages != 0; draw++) {
        uint64_t offset = random_below(random, free_pages) << PAGE_SHIFT;
        struct hole hole = hole_at(tree, &offset);
        uint64_t base = hole.start + offset;
        if ((base & (align_bytes - 1)) != 0 || hole.end - base < size_bytes)
            continue;
        put_in_hole(node, hole.start, base, size_bytes);
        insert_before(tree, node, hole.next);
        return OK;
    }

    uint64_t places = count_places(tree, size_bytes, align_bytes, &visits);
    count_visits(visits);
    if (places == 0)
        return ENOMEM;
    uint64_t chosen = random_below(random, places);
    struct hole hole = hole_of_place(tree, size_bytes, align_bytes, &chosen, &visits);
    uint64_t first = (hole.start + align_bytes - 1) & ~(align_bytes - 1);
    put_in_hole(node, hole.start, first + chosen * align_bytes, size_bytes);
    insert_before(tree, node, hole.next);
    return OK;
}

/* Is it inside the range, and which node follows? */
static result_t find_free(const struct region_tree *tree, uint64_t base, uint64_t size_bytes,
                          struct region_node **next)
{
    if (size_bytes == 0 || !is_page_aligned(size_bytes) || !is_page_aligned(base))
        return EINVAL;
    if (base < tree->low || base > tree->high || tree->high - base < size_bytes)
        return ERANGE;
    *next = region_tree_find_from(tree, base);
    if (*next && (*next)->base < base + size_bytes)
        return EEXIST;
    return OK;
}

result_t region_tree_place_specifically(struct region_tree *tree, struct region_node *node,
                                        uint64_t base, uint64_t size_bytes)
{
    struct region_node *next;
    result_t result = find_free(tree, base, size_bytes, &next);
    if (result != OK)
        return result;

    put_in_hole(node, hole_start(tree, next), base, size_bytes);
    insert_before(tree, node, next);
    return OK;
}

void region_tree_place_last(struct region_tree *tree, struct region_node *node, uint64_t base,
                            uint64_t end_address)
{
    DEBUG_ASSERT(base >= (tree->last ? tree->last->end : tree->low) && end_address <= tree->high);
    put_in_hole(node, hole_start(tree, NULL), base, end_address - base);
    insert_before(tree, node, NULL);
}

bool region_tree_is_free(const struct region_tree *tree, uint64_t base, uint64_t size_bytes)
{
    struct region_node *next;
    return find_free(tree, base, size_bytes, &next) == OK;
}

/* What taking a node out of the shape of the tree has changed. */
struct unlinked {
    struct region_node *lowest; /* the lowest node whose subtree changed */
    struct region_node *orphan; /* took the place that lost its colour; may be NULL */
    struct region_node *orphan_parent;
    bool lost_black;
};

/* The successor, where it takes the node's place, says of the subtree what the node said. */
__attribute__((always_inline)) static inline struct unlinked unlink_node(struct region_tree *tree,
                                                                         struct region_node *node)
{
    if (!node->right) {
        struct region_node *child = node->left;
        if (child)
            child->parent = node->parent;
        replace_child(tree, node->parent, node, child);
        return (struct unlinked){
            .lowest = node->parent,
            .orphan = child,
            .orphan_parent = node->parent,
            .lost_black = !node->red,
        };
    }

    struct region_node *heir = leftmost(node->right);
    bool lone = !node->left; /* then the right child is a red leaf */
    struct unlinked unlinked = {
        .orphan = lone ? heir : heir->right,
        .orphan_parent = lone                   ? node->parent
                         : heir->parent == node ? heir
                                                : heir->parent,
        .lost_black = lone ? !node->red : !heir->red,
    };
    unlinked.lowest = lone ? heir : unlinked.orphan_parent;
    if (heir->parent != node) {
        put(&heir->parent->left, heir->right);
        if (heir->right)
            heir->right->parent = heir->parent;
        put(&heir->right, node->right);
        heir->right->parent = heir;
    }
    put(&heir->left, node->left);
    if (heir->left)
        heir->left->parent = heir;
    heir->parent = node->parent;
    if (!lone)
        heir->red = node->red;
    heir->largest = node->largest;
    heir->free = node->free;
    replace_child(tree, node->parent, node, heir);
    return unlinked;
}

void region_tree_remove(struct region_tree *tree, struct region_node *node)
{
    struct region_node *next = NULL;
    if (node == tree->last)
        tree->last = region_tree_previous(node);
    else
        next = region_tree_next(node);

    bool has_heir = node->right != NULL;
    begin(tree);
    struct unlinked unlinked = unlink_node(tree, node);
    if (next) {
        next->hole = next->base - (node->base - node->hole);
        if (node->hole != 0 || has_heir)
            update_below(unlinked.lowest, next);
        grow_path(next, next->hole, node->end - node->base);
    } else if (node->hole != 0) {
        shrink_path(unlinked.lowest, node->hole, node->hole);
    }
    if (unlinked.lost_black)
        region_tree_rebalance_after_remove(tree, unlinked.orphan, unlinked.orphan_parent);
    tree->count--;
    put(&node->left, NULL);
    put(&node->right, NULL);
    node->parent = NULL;
    end(tree);
}

void region_tree_set_end(struct region_tree *tree, struct region_node *node, uint64_t new_end)
{
    struct region_node *next = region_tree_next(node);
    uint64_t old_end = node->end;
    DEBUG_ASSERT(new_end > node->base && new_end <= (next ? next->base : tree->high));
    begin(tree);
    put_address(&node->end, new_end);
    end(tree);
    if (!next)
        return;
    uint64_t hole = next->hole;
    next->hole = next->base - new_end;
    if (new_end <= old_end)
        grow_path(next, next->hole, old_end - new_end);
    else
        shrink_path(next, hole, new_end - old_end);
}

void region_tree_set_base(struct region_tree *tree, struct region_node *node, uint64_t base)
{
    DEBUG_ASSERT(base >= node->base && base < node->end);
    uint64_t grown = base - node->base;
    node->hole += grown;
    begin(tree);
    put_address(&node->base, base);
    end(tree);
    grow_path(node, node->hole, grown);
}

void region_tree_carve(struct region_tree *tree, struct region_node *node, struct region_node *tail,
                       uint64_t from, uint64_t to)
{
    DEBUG_ASSERT(node->base < from && from < to && to < node->end);
    begin(tree);
    put_range(tail, to, node->end - to);
    put_address(&node->end, from);
    tail->hole = to - from;
    link_behind(tree, tail, node);
    grow_path(tail->parent, to - from, to - from);
    if (tail->parent->red)
        region_tree_rebalance_after_insert(tree, tail);
    end(tree);
}

void region_tree_split(struct region_tree *tree, struct region_node *node,
                       struct region_node *front, uint64_t from, struct region_node *tail,
                       uint64_t to)
{
    DEBUG_ASSERT((!front || (node->base < from && from < node->end)) &&
                 (!tail || (node->base < to && to < node->end)));
    begin(tree);
    if (front) {
        put_range(front, node->base, from - node->base);
        put_address(&node->base, from);
        front->hole = node->hole;
        node->hole = 0;
        link_before(tree, front, node);
        if (front->parent != node)
            update_below(front->parent, node);
        if (front->parent->red)
            region_tree_rebalance_after_insert(tree, front);
    }
    if (tail) {
        put_range(tail, to, node->end - to);
        put_address(&node->end, to);
        tail->hole = 0;
        link_behind(tree, tail, node);
        if (tail->parent->red)
            region_tree_rebalance_after_insert(tree, tail);
    }
    end(tree);
}

/* One goes, and the other is returned. */
__attribute__((always_inline)) static inline struct region_node *
join_next(struct region_tree *tree, struct region_node *node, struct region_node *next)
{
    DEBUG_ASSERT(node->end == next->base && next->hole == 0);
    struct region_node *goes = node->right ? next : node;
    struct region_node *child = goes->left ? goes->left : goes->right;
    replace_child(tree, goes->parent, goes, child);
    if (child)
        child->parent = goes->parent;
    if (goes == next) {
        put_address(&node->end, next->end);
        if (tree->last == next)
            tree->last = node;
    } else {
        put_address(&next->base, node->base);
        next->hole = node->hole;
        update_below(node->parent, next);
    }
    if (child)
        child->red = false; /* a red leaf, in the place of a black node */
    else if (!goes->red)
        region_tree_rebalance_after_remove(tree, NULL, goes->parent);
    tree->count--;
    return goes == next ? node : next;
}

struct region_node *region_tree_join(struct region_tree *tree, struct region_node *node,
                                     struct region_node *before, struct region_node *after)
{
    begin(tree);
    if (before)
        node = join_next(tree, before, node);
    if (after)
        node = join_next(tree, node, after);
    end(tree);
    return node;
}
