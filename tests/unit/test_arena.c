/* The memory of a Lua state: what pieces hold, through every change of their sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "engine/arena.h"

#define PIECES 300

#ifdef __SANITIZE_ADDRESS__
#define LEFT 0 /* what a state that ends need not give back */
#else
#define LEFT RB_ARENA_SMALL
#endif

static uint64_t seed;

static unsigned below(unsigned n) /* a deterministic sequence: xorshift64 */
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 20) % n;
}

static struct {
    unsigned char *p, mark;
    size_t n;
} pieces[PIECES];

static void check(const unsigned char *p, unsigned char mark, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(p[i], mark);
}

static void resize(struct rb_arena *a, int i, size_t n)
{
    size_t old = pieces[i].n;
    unsigned char *p = rb_arena_resize(a, pieces[i].p, old, n);
    if (!n) {
        assert_null(p);
    } else {
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % RB_ARENA_STEP, 0);
        check(p, pieces[i].mark, old < n ? old : n);
        pieces[i].mark = (unsigned char)(i + below(5));
        memset(p, pieces[i].mark, n);
    }
    pieces[i].p = p;
    pieces[i].n = n;
}

static void pieces_keep_what_they_hold(void **state)
{
    (void)state;
    struct rb_arena a = {0};
    seed = 4711;
    for (int round = 0; round < 100000; round++) {
        static const unsigned spans[] = {20, 200, 600, 5000};
        int i = (int)below(PIECES);
        check(pieces[i].p, pieces[i].mark, pieces[i].n);
        resize(&a, i, below(4) == 0 ? 0 : 1 + below(spans[below(4)]));
    }
    for (size_t n = 1; n < 2 * RB_ARENA_SMALL; n++) /* growing by one, and back */
        resize(&a, 0, n);
    for (size_t n = 2 * RB_ARENA_SMALL; n > 0; n--)
        resize(&a, 0, n);
    for (int i = 0; i < PIECES; i++)
        if (pieces[i].n > LEFT)
            resize(&a, i, 0);
    rb_arena_release(&a);
    assert_null(a.chunks);
    rb_arena_release(&a);
}

#ifndef __SANITIZE_ADDRESS__
static void what_was_given_back_is_used_again(void **state)
{
    (void)state;
    struct rb_arena a = {0};
    void *p = rb_arena_resize(&a, NULL, 0, 40);
    assert_null(rb_arena_resize(&a, p, 40, 0));
    assert_ptr_equal(rb_arena_resize(&a, NULL, 0, 33), p);
    assert_ptr_equal(rb_arena_resize(&a, p, 33, 48), p);
    assert_ptr_not_equal(rb_arena_resize(&a, NULL, 0, 48), p);
    rb_arena_release(&a);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_keep_what_they_hold),
#ifndef __SANITIZE_ADDRESS__
        cmocka_unit_test(what_was_given_back_is_used_again),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
