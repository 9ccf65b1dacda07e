/* Owns the paths that name operations. The names depend only on the order in which one task opens scopes and calls
 * operations, never on the order in which things arrive. */
#include "engine/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define TITLE_MAX 200
#define PATH_MAX_BYTES 4096

struct rb_scope *rb_scope_root(void)
{
    struct rb_scope *s = rb_alloc(sizeof(*s));
    s->refs = 1;
    s->path = rb_strdup("");
    rb_strmap_init(&s->names);
    return s;
}

static void add_escaped(struct rb_buf *b, const char *title, size_t len)
{
    if (len > TITLE_MAX) {
        len = TITLE_MAX;
        while (len && ((unsigned char)title[len] & 0xC0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++) {
        if (title[i] == '/' || title[i] == '\\')
            rb_buf_addc(b, '\\');
        rb_buf_addc(b, (unsigned char)title[i] < 0x20 || title[i] == 0x7F ? ' ' : title[i]);
    }
}

struct rb_scope *rb_scope_child(struct rb_scope *parent, const char *title, size_t len)
{
    struct rb_buf path;
    rb_buf_init(&path, PATH_MAX_BYTES);
    rb_buf_add(&path, parent->path, parent->path_len);
    if (parent->path_len)
        rb_buf_addc(&path, '/');
    size_t from = path.len;
    add_escaped(&path, title, len);
    void **times = rb_strmap_at(&parent->names, rb_buf_text(&path) + from, path.len - from);
    intptr_t n = (intptr_t)*times + 1;
    *times = (void *)n;
    if (n > 1)
        rb_buf_addf(&path, "~%ld", (long)n);
    struct rb_scope *s = rb_alloc(sizeof(*s));
    s->refs = 1;
    s->parent = rb_scope_ref(parent);
    s->path_len = path.len;
    s->path = rb_buf_detach(&path);
    rb_strmap_init(&s->names);
    return s;
}

struct rb_scope *rb_scope_ref(struct rb_scope *s)
{
    s->refs++;
    return s;
}

void rb_scope_unref(struct rb_scope *s)
{
    while (s && --s->refs == 0) {
        struct rb_scope *parent = s->parent;
        rb_strmap_release(&s->names, NULL);
        free(s->path);
        free(s);
        s = parent;
    }
}

char *rb_scope_next_key(struct rb_scope *s)
{
    char number[24];
    int n = snprintf(number, sizeof(number), "%lld", (long long)++s->ordinal);
    char *key = rb_alloc(s->path_len + (size_t)n + 2);
    size_t at = 0;
    if (s->path_len) {
        memcpy(key, s->path, s->path_len);
        at = s->path_len;
        key[at++] = '/';
    }
    memcpy(key + at, number, (size_t)n);
    return key;
}

void rb_scope_mark_effect(struct rb_scope *s)
{
    for (; s && !s->effects; s = s->parent)
        s->effects = true;
}
