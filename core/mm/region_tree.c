/* The augmented red-black tree of regions. See region_tree.h. */
#include "core/mm/region_tree.h"

#include "core/check.h"

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
    while (node) {
        visits++;
        if (address < node->end) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
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

static void update(struct region_node *node)
{
    uint64_t largest = node->hole;
    uint64_t free = node->hole;
    if (node->left) {
        free += node->left->free;
        if (node->left->largest > largest)
            largest = node->left->largest;
    }
    if (node->right) {
        free += node->right->free;
        if (node->right->largest > largest)
            largest = node->right->largest;
    }
    node->largest = largest;
    node->free = free;
}

/* A hole that this node and those above it have in their subtrees has grown to `hole` bytes. */
static void grow_path(struct region_node *node, uint64_t hole, uint64_t grown)
{
    for (; node; node = node->parent) {
        node->free += grown;
        if (node->largest < hole)
            node->largest = hole;
    }
}

/* A hole of `hole` bytes has lost `lost` of them, at one end or in its midst. Where a larger one is known
 * only the sum changes, there and above. */
static void shrink_path(struct region_node *node, uint64_t hole, uint64_t lost)
{
    for (; node && node->largest == hole; node = node->parent) {
        node->free -= lost;
        if (node->free == 0)
            node->largest = 0;
        else
            update(node);
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

/* --- red-black tree ----------------------------------------------------------------------------------------- */

static void replace_child(struct region_tree *tree, struct region_node *parent,
                          struct region_node *old, struct region_node *new)
{
    if (!parent)
        tree->root = new;
    else if (parent->left == old)
        parent->left = new;
    else
        parent->right = new;
}

/*      x                y
 *     / \              / \
 *    a   y    -->     x   c      and the mirror image; y takes over what x said of the subtree.
 *       / \          / \
 *      b   c        a   b                                                                       */
static void rotate(struct region_tree *tree, struct region_node *x, struct region_node *y)
{
    struct region_node *inner;
    if (x->right == y) {
        inner = y->left;
        x->right = inner;
        y->left = x;
    } else {
        inner = y->right;
        x->left = inner;
        y->right = x;
    }
    if (inner)
        inner->parent = x;
    y->parent = x->parent;
    replace_child(tree, x->parent, x, y);
    x->parent = y;

    y->largest = x->largest;
    y->free = x->free;
    update(x);
}

static bool is_red(const struct region_node *node)
{
    return node && node->red;
}

/* Restores the rule "no red node has a red child" above a fresh red node. */
static void rebalance_after_insert(struct region_tree *tree, struct region_node *node)
{
    while (is_red(node->parent)) {
        struct region_node *parent = node->parent;
        struct region_node *grand = parent->parent; /* exists: the root is black */
        struct region_node *uncle = grand->left == parent ? grand->right : grand->left;
        if (is_red(uncle)) {
            parent->red = false;
            uncle->red = false;
            grand->red = true;
            node = grand;
            continue;
        }
        bool outer = (grand->left == parent) == (parent->left == node);
        if (!outer) {
            rotate(tree, parent, node);
            parent = node;
        }
        parent->red = false;
        grand->red = true;
        rotate(tree, grand, parent);
        break;
    }
    tree->root->red = false;
}

/* `node` (may be NULL), below `parent`, is one black short. */
static void rebalance_after_remove(struct region_tree *tree, struct region_node *node,
                                   struct region_node *parent)
{
    while (parent && !is_red(node)) {
        struct region_node *sibling = parent->left == node ? parent->right : parent->left;
        if (sibling->red) {
            sibling->red = false;
            parent->red = true;
            rotate(tree, parent, sibling);
            sibling = parent->left == node ? parent->right : parent->left;
        }
        struct region_node *near = parent->left == node ? sibling->left : sibling->right;
        struct region_node *far = parent->left == node ? sibling->right : sibling->left;
        if (!is_red(near) && !is_red(far)) {
            sibling->red = true;
            node = parent;
            parent = node->parent;
            continue;
        }
        if (!is_red(far)) {
            near->red = false;
            sibling->red = true;
            rotate(tree, sibling, near);
            far = sibling;
            sibling = near;
        }
        sibling->red = parent->red;
        parent->red = false;
        far->red = false;
        rotate(tree, parent, sibling);
        return;
    }
    if (node)
        node->red = false;
}

/* --- inserting and removing ------------------------------------------------------------------------------------ */

/* Makes the node, whose hole is set, a red leaf below `parent`, in the place that *child is. */
static inline void link_leaf(struct region_tree *tree, struct region_node *node,
                             struct region_node *parent, struct region_node **child)
{
    *child = node;
    node->left = NULL;
    node->right = NULL;
    node->parent = parent;
    node->largest = node->hole;
    node->free = node->hole;
    node->red = true;
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

/* Inserts the node, whose range is set and free, in front of `next` (NULL: behind all others). */
static void insert_before(struct region_tree *tree, struct region_node *node,
                          struct region_node *next)
{
    if (next) {
        uint64_t hole = next->hole;
        node->hole = node->base - (next->base - hole);
        next->hole = next->base - node->end;
        link_before(tree, node, next);
        update_below(node->parent, next);
        shrink_path(next, hole, node->end - node->base);
    } else {
        node->hole = node->base - (tree->last ? tree->last->end : tree->low);
        link_before(tree, node, NULL);
        grow_path(node->parent, node->hole, node->hole);
    }
    rebalance_after_insert(tree, node);
}

static bool place_in_hole(struct region_node *node, uint64_t hole_start, uint64_t hole_end,
                          uint64_t size_bytes, uint64_t align_bytes)
{
    uint64_t base = (hole_start + align_bytes - 1) & ~(align_bytes - 1);
    if (base < hole_start || base > hole_end || hole_end - base < size_bytes)
        return false;
    node->base = base;
    node->end = base + size_bytes;
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
           !place_in_hole(node, next->base - next->hole, next->base, size_bytes, align_bytes))
        next = next_fit(next, size_bytes, &visits);
    count_visits(visits);
    if (!next) {
        uint64_t top_start = tree->last ? tree->last->end : tree->low;
        if (!place_in_hole(node, top_start, tree->high, size_bytes, align_bytes))
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
    return (struct hole){tree->last ? tree->last->end : tree->low, tree->high, NULL};
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
        node->base = base;
        node->end = base + size_bytes;
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
    node->base = first + chosen * align_bytes;
    node->end = node->base + size_bytes;
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

    node->base = base;
    node->end = base + size_bytes;
    insert_before(tree, node, next);
    return OK;
}

void region_tree_place_last(struct region_tree *tree, struct region_node *node, uint64_t base,
                            uint64_t end)
{
    DEBUG_ASSERT(base >= (tree->last ? tree->last->end : tree->low) && end <= tree->high);
    node->base = base;
    node->end = end;
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
    struct region_node *heir; /* the successor, where it went up to the node's place */
    bool lost_black;
};

/* The successor, where it takes the node's place, says of the subtree what the node said. */
static struct unlinked unlink_node(struct region_tree *tree, struct region_node *node)
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
        .heir = heir,
        .lost_black = lone ? !node->red : !heir->red,
    };
    unlinked.lowest = lone ? heir : unlinked.orphan_parent;
    if (heir->parent != node) {
        heir->parent->left = heir->right;
        if (heir->right)
            heir->right->parent = heir->parent;
        heir->right = node->right;
        heir->right->parent = heir;
    }
    heir->left = node->left;
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

static inline void end_removal(struct region_tree *tree, struct region_node *node,
                               const struct unlinked *unlinked)
{
    if (unlinked->lost_black)
        rebalance_after_remove(tree, unlinked->orphan, unlinked->orphan_parent);
    tree->count--;
    node->left = NULL;
    node->right = NULL;
    node->parent = NULL;
}

void region_tree_remove(struct region_tree *tree, struct region_node *node)
{
    struct region_node *next = region_tree_next(node);
    if (!next)
        tree->last = region_tree_previous(node);

    struct unlinked unlinked = unlink_node(tree, node);
    if (next) {
        next->hole = next->base - (node->base - node->hole);
        update_below(unlinked.lowest, next);
        grow_path(next, next->hole, node->end - node->base);
    } else {
        shrink_path(unlinked.lowest, node->hole, node->hole);
    }
    end_removal(tree, node, &unlinked);
}

void region_tree_set_end(struct region_tree *tree, struct region_node *node, uint64_t end)
{
    struct region_node *next = region_tree_next(node);
    uint64_t old_end = node->end;
    DEBUG_ASSERT(end > node->base && end <= (next ? next->base : tree->high));
    node->end = end;
    if (!next)
        return;
    uint64_t hole = next->hole;
    next->hole = next->base - end;
    if (end <= old_end)
        grow_path(next, next->hole, old_end - end);
    else
        shrink_path(next, hole, end - old_end);
}

void region_tree_set_base(struct region_tree *tree, struct region_node *node, uint64_t base)
{
    (void)tree;
    DEBUG_ASSERT(base >= node->base && base < node->end);
    uint64_t grown = base - node->base;
    node->hole += grown;
    node->base = base;
    grow_path(node, node->hole, grown);
}

void region_tree_carve(struct region_tree *tree, struct region_node *node, struct region_node *tail,
                       uint64_t from, uint64_t to)
{
    DEBUG_ASSERT(node->base < from && from <= to && to < node->end);
    tail->base = to;
    tail->end = node->end;
    tail->hole = to - from;
    node->end = from;
    link_behind(tree, tail, node);
    if (tail->hole != 0)
        grow_path(tail->parent, tail->hole, tail->hole);
    rebalance_after_insert(tree, tail);
}

void region_tree_join(struct region_tree *tree, struct region_node *node, struct region_node *next)
{
    DEBUG_ASSERT(node->end == next->base && next->hole == 0);
    node->end = next->end;
    if (tree->last == next)
        tree->last = node;
    struct unlinked unlinked = unlink_node(tree, next);
    /* It had no hole to be missed; but its successor is, where that went up past others. */
    if (unlinked.heir)
        update_below(unlinked.lowest, unlinked.heir);
    end_removal(tree, next, &unlinked);
}

uint64_t region_tree_free_bytes(const struct region_tree *tree)
{
    uint64_t top = tree->high - (tree->last ? tree->last->end : tree->low);
    return top + (tree->root ? tree->root->free : 0);
}
