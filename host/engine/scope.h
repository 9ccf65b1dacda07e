/* Scopes give operations their keys: a path of titles, branch and loop keys and attempt numbers, then an ordinal (D3
 * "Key"). A scope belongs to the task that opened it; child tasks begin with a scope of their own below it. Counted
 * references. */
#ifndef RB_SCOPE_H
#define RB_SCOPE_H

#include "base/buf.h"
#include "base/strmap.h"

struct rb_scope {
    struct rb_scope *parent; /* holds a reference */
    int refs;
    char *path; /* escaped, without a trailing slash; "" for the root */
    size_t path_len;
    int64_t ordinal;        /* of the last operation directly in this scope */
    struct rb_strmap names; /* title → how often it was used (as intptr_t) */
    bool effects;           /* an effect has started here or below: its compensations are armed */
};

struct rb_scope *rb_scope_root(void);
/* A scope below parent; a repeated title gets ~2, ~3 …; "/" and "\" are escaped, control characters become spaces,
 * titles are cut at 200 bytes. Of a path that would be longer than 4 KiB, the parent's part becomes ~ and its digest:
 * no two scopes have one path. */
struct rb_scope *rb_scope_child(struct rb_scope *parent, const char *title, size_t len);
struct rb_scope *rb_scope_ref(struct rb_scope *s);
void rb_scope_unref(struct rb_scope *s);
/* The key of the scope's next operation, allocated (free() it). */
char *rb_scope_next_key(struct rb_scope *s);
void rb_scope_mark_effect(struct rb_scope *s); /* here and upward */

#endif
