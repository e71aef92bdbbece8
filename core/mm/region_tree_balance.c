/* The red-black rules of the region tree (Cormen et al., "Introduction to Algorithms", 13). */
#include "core/mm/region_tree_nodes.h"

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
        put(&x->right, inner);
        put(&y->left, x);
    } else {
        inner = y->right;
        put(&x->left, inner);
        put(&y->right, x);
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

void region_tree_rebalance_after_insert(struct region_tree *tree, struct region_node *node)
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

void region_tree_rebalance_after_remove(struct region_tree *tree, struct region_node *node,
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
