/* Intrusive doubly linked list: a head and members are both `struct rb_list`; an unlinked one points to itself. */
#ifndef RB_LIST_H
#define RB_LIST_H

#include "base/rb.h"

struct rb_list {
    struct rb_list *prev, *next;
};

static inline void rb_list_init(struct rb_list *l)
{
    l->prev = l->next = l;
}

static inline bool rb_list_empty(const struct rb_list *l)
{
    return l->next == l;
}

static inline void rb_list_push(struct rb_list *head, struct rb_list *l) /* at the end */
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void rb_list_remove(struct rb_list *l) /* safe on an unlinked, initialised member */
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    rb_list_init(l);
}

static inline struct rb_list *rb_list_pop(struct rb_list *head) /* from the front; NULL when empty */
{
    if (rb_list_empty(head))
        return NULL;
    struct rb_list *l = head->next;
    rb_list_remove(l);
    return l;
}

#define RB_LIST_EACH(it, head) for (struct rb_list *it = (head)->next; it != (head); it = it->next)
#define RB_LIST_EACH_SAFE(it, tmp, head) \
    for (struct rb_list *it = (head)->next, *tmp = it->next; it != (head); it = tmp, tmp = it->next)

#endif
