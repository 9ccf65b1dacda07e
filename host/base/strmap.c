/* Owns maps from strings to pointers. There is no removal: nothing here needs one. */
#include "base/strmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static uint64_t hash_of(const char *s, size_t n) /* FNV-1a */
{
    uint64_t h = 14695981039346656037ull;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 1099511628211ull;
    return h;
}

static struct rb_strmap_slot *find(const struct rb_strmap *m, const char *key, size_t len, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct rb_strmap_slot *s = &m->slots[i];
        if (!s->key || (s->hash == hash && s->len == len && memcmp(s->key, key, len) == 0))
            return s;
    }
}

static void grow(struct rb_strmap *m)
{
    struct rb_strmap_slot *old = m->slots;
    size_t old_cap = m->cap;
    m->cap = old_cap ? old_cap * 2 : 16;
    m->slots = rb_alloc(m->cap * sizeof(*m->slots));
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].key)
            *find(m, old[i].key, old[i].len, old[i].hash) = old[i];
    free(old);
}

void rb_strmap_init(struct rb_strmap *m)
{
    *m = (struct rb_strmap){0};
}

void rb_strmap_release(struct rb_strmap *m, void (*free_value)(void *value))
{
    for (size_t i = 0; i < m->cap; i++) {
        if (!m->slots[i].key)
            continue;
        free(m->slots[i].key);
        if (free_value)
            free_value(m->slots[i].value);
    }
    free(m->slots);
    rb_strmap_init(m);
}

void **rb_strmap_at(struct rb_strmap *m, const char *key, size_t len)
{
    if (m->count * 4 >= m->cap * 3)
        grow(m);
    uint64_t hash = hash_of(key, len);
    struct rb_strmap_slot *s = find(m, key, len, hash);
    if (!s->key) {
        *s = (struct rb_strmap_slot){.key = rb_strndup(key, len), .len = len, .hash = hash};
        m->count++;
    }
    return &s->value;
}

void *rb_strmap_get(const struct rb_strmap *m, const char *key, size_t len)
{
    return m->cap ? find(m, key, len, hash_of(key, len))->value : NULL;
}
