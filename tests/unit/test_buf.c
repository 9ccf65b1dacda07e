/* Byte buffers: the cap and its mark, growth, detaching, bytes that are no text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void an_empty_one(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 10);
    assert_string_equal(rb_buf_text(&b), "");
    assert_null(b.data);
    assert_int_equal(rb_buf_add(&b, "x", 0), RB_OK);
    assert_null(b.data);
    assert_false(b.cut);
    char *text = rb_buf_detach(&b); /* even this is a text of its own */
    assert_string_equal(text, "");
    free(text);
    rb_buf_release(&b);
    rb_buf_release(&b);
    assert_int_equal(b.max, 10);
}

static void every_size_around_the_cap(void **state)
{
    (void)state;
    for (size_t max = 0; max < 140; max++) {
        for (size_t n = 0; n < 140; n++) {
            struct rb_buf b;
            char text[140];
            memset(text, 'a', sizeof text);
            rb_buf_init(&b, max);
            assert_int_equal(rb_buf_add(&b, text, n), n > max ? RB_ETOOBIG : RB_OK);
            assert_int_equal(b.len, n > max ? max : n);
            assert_int_equal(b.cut, n > max);
            assert_int_equal(strlen(rb_buf_text(&b)), b.len);
            assert_int_equal(rb_buf_addc(&b, 'b'), n >= max ? RB_ETOOBIG : RB_OK);
            assert_int_equal(b.cut, n >= max);
            assert_int_equal(rb_buf_add(&b, "", 0), RB_OK); /* nothing always fits */
            rb_buf_release(&b);
        }
    }
}

static void the_mark_stays_until_a_reset(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 4);
    assert_int_equal(rb_buf_adds(&b, "abc"), RB_OK);
    assert_int_equal(rb_buf_adds(&b, "def"), RB_ETOOBIG);
    assert_string_equal(rb_buf_text(&b), "abcd");
    assert_true(b.cut);
    char *before = b.data;
    rb_buf_reset(&b);
    assert_false(b.cut);
    assert_string_equal(rb_buf_text(&b), "");
    assert_int_equal(rb_buf_adds(&b, "wxyz"), RB_OK);
    assert_ptr_equal(b.data, before);
    assert_string_equal(rb_buf_text(&b), "wxyz");
    rb_buf_release(&b);
}

static void growth_keeps_what_is_there(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, (size_t)1 << 20);
    for (size_t i = 0; i < 200000; i++)
        assert_int_equal(rb_buf_addc(&b, (char)(i * 7)), RB_OK);
    assert_int_equal(b.len, 200000);
    for (size_t i = 0; i < b.len; i++)
        assert_int_equal(b.data[i], (char)(i * 7));
    assert_int_equal(b.data[b.len], '\0');
    rb_buf_release(&b);
}

static void bytes_and_nul(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 100);
    rb_buf_add(&b, "a\0b\xFF", 4);
    rb_buf_addf(&b, "%c%d", '\0', 5);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data,
                        "a\0b\xFF\0"
                        "5",
                        7);
    rb_buf_release(&b);
}

static void formats_of_every_length(void **state)
{
    (void)state;
    for (int n = 505; n < 520; n++) { /* around the room on the stack */
        struct rb_buf b;
        rb_buf_init(&b, 2000);
        assert_int_equal(rb_buf_addf(&b, "<%*d>", n, 7), RB_OK);
        assert_int_equal(b.len, n + 2);
        assert_string_equal(b.data + n, "7>");
        rb_buf_release(&b);
        rb_buf_init(&b, 510);
        assert_int_equal(rb_buf_addf(&b, "%*d", n, 7), n > 510 ? RB_ETOOBIG : RB_OK);
        assert_int_equal(b.len, n > 510 ? 510 : n);
        assert_int_equal(b.cut, n > 510);
        rb_buf_release(&b);
    }
}

static void detaching_gives_the_memory_away(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 5);
    rb_buf_adds(&b, "abcdefgh");
    char *text = rb_buf_detach(&b);
    assert_string_equal(text, "abcde");
    assert_int_equal(b.len, 0);
    assert_false(b.cut);
    assert_int_equal(b.max, 5);
    rb_buf_adds(&b, "new");
    assert_string_equal(text, "abcde");
    assert_string_equal(rb_buf_text(&b), "new");
    free(text);
    rb_buf_release(&b);
}

static void extending_all_or_nothing(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 100);
    assert_int_equal(rb_buf_adds(&b, "ab"), RB_OK);
    memset(rb_buf_extend(&b, 98), 'x', 98);
    assert_int_equal(b.len, 100);
    assert_int_equal(strlen(rb_buf_text(&b)), 100);
    assert_null(rb_buf_extend(&b, 1));
    assert_null(rb_buf_extend(&b, SIZE_MAX));
    assert_int_equal(b.len, 100);
    assert_false(b.cut);
    rb_buf_release(&b);
}

static void decimals(void **state)
{
    (void)state;
    static const int64_t numbers[] = {0, 1, -1, 9, 10, -10, 1234567890123456789, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < RB_COUNT(numbers); i++) {
        char want[32], got[RB_DECIMAL_MAX];
        int n = snprintf(want, sizeof(want), "%lld", (long long)numbers[i]);
        assert_int_equal(rb_decimal(numbers[i], got), n);
        assert_string_equal(got, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_one),
        cmocka_unit_test(every_size_around_the_cap),
        cmocka_unit_test(the_mark_stays_until_a_reset),
        cmocka_unit_test(growth_keeps_what_is_there),
        cmocka_unit_test(bytes_and_nul),
        cmocka_unit_test(formats_of_every_length),
        cmocka_unit_test(detaching_gives_the_memory_away),
        cmocka_unit_test(extending_all_or_nothing),
        cmocka_unit_test(decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
