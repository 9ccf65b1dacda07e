/* A map from byte strings to pointers, by open addressing. Keys are copied. */
#ifndef RB_STRMAP_H
#define RB_STRMAP_H

#include "base/rb.h"

struct rb_strmap_slot {
    char *key; /* NULL: free */
    size_t len;
    uint64_t hash;
    void *value;
};

struct rb_strmap {
    struct rb_strmap_slot *slots;
    size_t count, cap;
};

void rb_strmap_init(struct rb_strmap *m);
void rb_strmap_release(struct rb_strmap *m, void (*free_value)(void *value)); /* free_value may be NULL */
/* The place of the key's value; a new one holds NULL. Valid until the next rb_strmap_at(). */
void **rb_strmap_at(struct rb_strmap *m, const char *key, size_t len);
void *rb_strmap_get(const struct rb_strmap *m, const char *key, size_t len); /* NULL when absent */

#endif
