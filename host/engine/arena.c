/* Owns the memory of a Lua state. Knows nothing of Lua but its habit: very many small pieces, most of which live
 * shortly, and a state that ends as a whole. Pieces are never joined: what one size has given back, only that size gets
 * again. That costs at most what the run needed at its peak. */
#include "engine/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define CHUNK_LEAST ((size_t)16 << 10)
#define CHUNK_MOST ((size_t)64 << 10) /* less than what malloc takes from the kernel each time */

struct rb_arena_chunk {
    struct rb_arena_chunk *next;
    size_t size; /* and so the first piece is aligned */
};

#ifdef __SANITIZE_ADDRESS__
static const size_t small = 0; /* the sanitizer sees each piece */
#else
static const size_t small = RB_ARENA_SMALL;
#endif

static size_t class_of(size_t n)
{
    return (n - 1) / RB_ARENA_STEP;
}

/* must: who shrinks can not be told that there is no memory. */
static bool add_chunk(struct rb_arena *a, bool must)
{
    size_t size = a->chunk_size ? a->chunk_size : CHUNK_LEAST;
    struct rb_arena_chunk *c = must ? rb_realloc(NULL, size) : malloc(size);
    if (!c)
        return false;
    while (a->end - a->next >= (ptrdiff_t)RB_ARENA_STEP) { /* the rest of the last one is for who needs as much */
        size_t n = (size_t)(a->end - a->next) < RB_ARENA_SMALL ? (size_t)(a->end - a->next) : RB_ARENA_SMALL;
        n -= n % RB_ARENA_STEP;
        *(void **)(void *)a->next = a->free[class_of(n)];
        a->free[class_of(n)] = a->next;
        a->next += n;
    }
    c->next = a->chunks;
    c->size = size;
    a->chunks = c;
    a->next = (char *)(c + 1);
    a->end = (char *)c + size;
    a->chunk_size = size < CHUNK_MOST ? size * 2 : size;
    return true;
}

static void *take(struct rb_arena *a, size_t n, bool must)
{
    size_t cls = class_of(n), whole = (cls + 1) * RB_ARENA_STEP;
    void *p = a->free[cls];
    if (p) {
        a->free[cls] = *(void **)p;
        return p;
    }
    if ((size_t)(a->end - a->next) < whole && !add_chunk(a, must))
        return NULL;
    p = a->next;
    a->next += whole;
    return p;
}

static void give(struct rb_arena *a, void *p, size_t n)
{
    void **slot = &a->free[class_of(n)];
    *(void **)p = *slot;
    *slot = p;
}

void *rb_arena_resize(struct rb_arena *a, void *p, size_t old, size_t n)
{
    bool from_small = old && old <= small, to_small = n && n <= small;
    if (from_small && to_small && class_of(old) == class_of(n))
        return p;
    if (!from_small && !to_small && n)
        return realloc(p, n);
    void *q = !n ? NULL : to_small ? take(a, n, n <= old) : malloc(n);
    if (n && !q)
        return NULL;
    if (q && old)
        memcpy(q, p, old < n ? old : n);
    if (from_small)
        give(a, p, old);
    else
        free(p);
    return q;
}

void rb_arena_release(struct rb_arena *a)
{
    for (struct rb_arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *a = (struct rb_arena){0};
}
