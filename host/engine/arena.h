/* The memory of one Lua state: small pieces come from chunks that are its own, so that making and dropping one costs a
 * few instructions and a state that ends gives everything back at once. Not thread-safe. */
#ifndef RB_ARENA_H
#define RB_ARENA_H

#include "base/rb.h"

#define RB_ARENA_STEP ((size_t)16) /* sizes are rounded up to it; also how pieces are aligned */
#define RB_ARENA_SMALL ((size_t)512)

struct rb_arena_chunk;

struct rb_arena {                               /* zeroed is empty */
    void *free[RB_ARENA_SMALL / RB_ARENA_STEP]; /* pieces that were given back, by size */
    char *next, *end;                           /* what is left of the last chunk */
    struct rb_arena_chunk *chunks;
    size_t chunk_size;
};

/* As realloc(), with the size that the piece has now (0: p is NULL); n = 0 gives it back and returns NULL. NULL when
 * there is no memory, and p is what it was; never when it shrinks. */
void *rb_arena_resize(struct rb_arena *a, void *p, size_t old, size_t n);
/* Every small piece is gone after this; larger ones must have been given back. */
void rb_arena_release(struct rb_arena *a);

#endif
