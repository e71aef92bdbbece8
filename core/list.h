/* An intrusive, circular, doubly linked list. An uninitialised node is not "empty": list_init() it. */
#ifndef CORE_LIST_H
#define CORE_LIST_H

#include "core/types.h"

struct list_node {
    struct list_node *next;
    struct list_node *previous;
};

static inline void list_init(struct list_node *head)
{
    head->next = head;
    head->previous = head;
}

static inline bool list_is_empty(const struct list_node *head)
{
    return head->next == head;
}

static inline void list_add_last(struct list_node *head, struct list_node *node)
{
    node->next = head;
    node->previous = head->previous;
    head->previous->next = node;
    head->previous = node;
}

static inline void list_add_first(struct list_node *head, struct list_node *node)
{
    node->previous = head;
    node->next = head->next;
    head->next->previous = node;
    head->next = node;
}

static inline void list_remove(struct list_node *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    node->next = NULL;
    node->previous = NULL;
}

#endif
