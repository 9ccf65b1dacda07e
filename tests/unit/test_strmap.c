/* Maps from byte strings to pointers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/strmap.h"

static void an_empty_one(void **state)
{
    (void)state;
    struct rb_strmap m;
    rb_strmap_init(&m);
    assert_null(rb_strmap_get(&m, "a", 1));
    rb_strmap_release(&m, free);
    rb_strmap_release(&m, free);
    assert_int_equal(m.count, 0);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t n;
    } keys[] = {{"", 0}, {"a", 1}, {"a\0", 2}, {"a\0b", 3}, {"\0", 1}, {"\0\0", 2}, {"A", 1}, {"\xFF", 1}};
    struct rb_strmap m;
    rb_strmap_init(&m);
    for (size_t i = 0; i < RB_COUNT(keys); i++) {
        char copy[8];
        memcpy(copy, keys[i].s, keys[i].n);
        void **at = rb_strmap_at(&m, copy, keys[i].n);
        memset(copy, '?', sizeof copy); /* the map has its own */
        assert_null(*at);
        *at = (void *)(uintptr_t)(i + 1);
    }
    assert_int_equal(m.count, RB_COUNT(keys));
    for (size_t i = 0; i < RB_COUNT(keys); i++) {
        assert_int_equal((uintptr_t)rb_strmap_get(&m, keys[i].s, keys[i].n), i + 1);
        assert_int_equal((uintptr_t)*rb_strmap_at(&m, keys[i].s, keys[i].n), i + 1);
    }
    assert_int_equal(m.count, RB_COUNT(keys));
    assert_null(rb_strmap_get(&m, "b", 1));
    assert_int_equal(m.count, RB_COUNT(keys)); /* looking does not add */
    rb_strmap_release(&m, NULL);
}

enum { MANY = 100000 };

static int freed;

static void on_free(void *value)
{
    freed++;
    free(value);
}

static void a_hundred_thousand(void **state)
{
    (void)state;
    struct rb_strmap m;
    rb_strmap_init(&m);
    for (int i = 0; i < MANY; i++) {
        char key[32];
        int n = snprintf(key, sizeof key, "Roll out/web%d/%d", i, i % 7);
        void **at = rb_strmap_at(&m, key, (size_t)n);
        assert_null(*at);
        *at = rb_strdup(key);
    }
    assert_int_equal(m.count, MANY);
    assert_true(m.cap > m.count);
    for (int i = 0; i < MANY; i++) {
        char key[32];
        int n = snprintf(key, sizeof key, "Roll out/web%d/%d", i, i % 7);
        const char *value = rb_strmap_get(&m, key, (size_t)n);
        assert_non_null(value);
        assert_string_equal(value, key);
        n = snprintf(key, sizeof key, "Roll out/web%d/%d", i, i % 7 + 1);
        assert_null(rb_strmap_get(&m, key, (size_t)n));
    }
    freed = 0;
    rb_strmap_release(&m, on_free);
    assert_int_equal(freed, MANY);
    assert_null(m.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(a_hundred_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
