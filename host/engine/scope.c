/* Owns the paths that name operations. The names depend only on the order in which one task opens scopes and calls
 * operations, never on the order in which things arrive. */
#include "engine/scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/sha.h"

#define TITLE_MAX 200
#define NAME_MAX_BYTES (2 * TITLE_MAX + 24) /* every byte escaped, and a number */
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
    bool text = rb_utf8_valid(title, len); /* keys are text for whoever reads the journal */
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)title[i];
        if (c == '/' || c == '\\')
            rb_buf_addc(b, '\\');
        rb_buf_addc(b, c < 0x20 || c == 0x7F ? ' ' : c >= 0x80 && !text ? '?' : title[i]);
    }
}

/* The title, with ~2, ~3 … when it is not the first of its name. A title that reads so itself has that name, too. */
static void unique_name(struct rb_scope *parent, const char *title, size_t len, struct rb_buf *name)
{
    add_escaped(name, title, len);
    if (!name->len)
        rb_buf_addc(name, '~'); /* without a name its path would be its parent's */
    size_t plain = name->len;
    intptr_t n = (intptr_t)*rb_strmap_at(&parent->names, name->data, plain) + 1;
    bool taken = n > 1;
    while (taken) {
        name->len = plain;
        rb_buf_addf(name, "~%ld", (long)n);
        taken = rb_strmap_get(&parent->names, name->data, name->len) != NULL;
        n += taken;
    }
    *rb_strmap_at(&parent->names, name->data, plain) = (void *)n;
    if (name->len > plain)
        *rb_strmap_at(&parent->names, name->data, name->len) = (void *)1;
}

struct rb_scope *rb_scope_child(struct rb_scope *parent, const char *title, size_t len)
{
    struct rb_buf path, name;
    rb_buf_init(&path, PATH_MAX_BYTES);
    rb_buf_init(&name, NAME_MAX_BYTES);
    unique_name(parent, title, len, &name);
    if (parent->path_len + 1 + name.len <= PATH_MAX_BYTES) {
        rb_buf_add(&path, parent->path, parent->path_len);
    } else { /* cut, the paths of different scopes would be one */
        char digest[RB_SHA_HEX];
        rb_sha_of_hex(parent->path, parent->path_len, digest);
        rb_buf_addf(&path, "~%s", digest);
    }
    if (path.len)
        rb_buf_addc(&path, '/');
    rb_buf_add(&path, rb_buf_text(&name), name.len);
    rb_buf_release(&name);
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
    char number[RB_DECIMAL_MAX];
    size_t n = rb_decimal(++s->ordinal, number);
    char *key = rb_alloc(s->path_len + n + 2);
    size_t at = 0;
    if (s->path_len) {
        memcpy(key, s->path, s->path_len);
        at = s->path_len;
        key[at++] = '/';
    }
    memcpy(key + at, number, n);
    return key;
}

void rb_scope_mark_effect(struct rb_scope *s)
{
    for (; s && !s->effects; s = s->parent)
        s->effects = true;
}
