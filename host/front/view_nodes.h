/* The nodes of a run's picture. Private to view.c and view_event.c. */
#ifndef RB_VIEW_NODES_H
#define RB_VIEW_NODES_H

#include "front/view.h"

#define RB_VIEW_LINE 4096 /* bytes of a line that is kept */

/* A copy of text (NULL clears) in place of what was there; the second makes it one neutral line. */
void rb_view_set(char **slot, const char *text);
void rb_view_set_clean(char **slot, const char *text);

/* By the first n bytes of a key; NULL when there is none. */
struct rb_node *rb_node_find(const struct rb_view *v, const char *key, size_t n);
/* Makes it and its scopes when they are missing; the root for an empty key. */
struct rb_node *rb_node_at(struct rb_view *v, const char *key, size_t n, enum rb_node_type type, int64_t at);
/* Length of the scope of a key: up to its last separator, 0 when it is at the top. "\/" is no separator. */
size_t rb_node_scope(const char *key, size_t n);
/* Forgets one without children. */
void rb_node_drop(struct rb_view *v, struct rb_node *p);

void rb_view_undos_clear(struct rb_view *v);

#endif
