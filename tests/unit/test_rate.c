/* The counting of what passes in a time. */
#include "io/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S 1000000LL

static void test_words(void **state)
{
    (void)state;
    static const char *const good[] = {"1/1s", "10/1m", "5/90s", "3/1h30m", "2/1d", "4/60"};
    static const char *const bad[] = {"", "10", "0/1m", "-1/1m", "x/1m", "10/", "10/0s", "10/1x", "10/m", "10 /1m"};
    struct rb_rate r;
    for (size_t i = 0; i < RB_COUNT(good); i++) {
        assert_int_equal(rb_rate_init(&r, good[i]), RB_OK);
        assert_true(r.max > 0 && r.window >= S);
        rb_rate_release(&r);
    }
    for (size_t i = 0; i < RB_COUNT(bad); i++)
        assert_int_equal(rb_rate_init(&r, bad[i]), RB_EINVAL);
}

static void test_span(void **state)
{
    (void)state;
    assert_int_equal(rb_rate_span("90s"), 90 * S);
    assert_int_equal(rb_rate_span("1h30m"), 5400 * S);
    assert_int_equal(rb_rate_span("250ms"), S / 4);
    assert_int_equal(rb_rate_span("1s500ms"), 3 * S / 2);
    assert_int_equal(rb_rate_span("60"), 60 * S);
    assert_int_equal(rb_rate_span("2d"), 172800 * S);
    assert_int_equal(rb_rate_span("soon"), 0);
    assert_int_equal(rb_rate_span("5 m"), 0);
    assert_int_equal(rb_rate_span(""), 0);
}

static void test_window(void **state)
{
    (void)state;
    struct rb_rate r;
    assert_int_equal(rb_rate_init(&r, "3/10s"), RB_OK);
    assert_true(rb_rate_admit(&r, 100 * S));
    assert_true(rb_rate_admit(&r, 101 * S));
    assert_true(rb_rate_admit(&r, 104 * S));
    assert_false(rb_rate_admit(&r, 104 * S));
    assert_int_equal(rb_rate_opens(&r, 104 * S), 110 * S);
    assert_false(rb_rate_admit(&r, 110 * S - 1));
    assert_true(rb_rate_admit(&r, 110 * S)); /* the first is out of the window, and only the first */
    assert_false(rb_rate_admit(&r, 110 * S));
    assert_int_equal(rb_rate_opens(&r, 110 * S), 111 * S);
    assert_true(rb_rate_admit(&r, 200 * S));
    rb_rate_release(&r);
}

static void test_none(void **state)
{
    (void)state;
    struct rb_rate r;
    assert_int_equal(rb_rate_init(&r, NULL), RB_OK);
    for (int i = 0; i < 5000; i++)
        assert_true(rb_rate_admit(&r, 1));
    rb_rate_count(&r, 1);
    assert_int_equal(rb_rate_opens(&r, 7), 7);
    rb_rate_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_span),
                                       cmocka_unit_test(test_window), cmocka_unit_test(test_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
