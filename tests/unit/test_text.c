/* Text for people: nothing in it commands a terminal; widths; cuts; quoting; values of the journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "front/text.h"

#define REPLACED "\xef\xbf\xbd"

static char *line(const char *s, size_t n)
{
    struct rb_buf b;
    rb_buf_init(&b, 4096);
    rb_text_line(&b, s, n);
    char *text = rb_buf_detach(&b);
    return text ? text : rb_strdup("");
}

static void cleaned(const char *s, size_t n, const char *want)
{
    char *got = line(s, n);
    assert_string_equal(got, want);
    free(got);
}

#define CLEANED(text, want) cleaned(text, sizeof(text) - 1, want)

static void test_neutral(void **state)
{
    (void)state;
    CLEANED("plain \xc3\xa4\xe2\x9c\x93", "plain \xc3\xa4\xe2\x9c\x93");
    CLEANED("\x1b[31mred\x1b[0m", "red");
    CLEANED("a\x1b]0;title\x07z", "az");
    CLEANED("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\z", "alinkz");
    CLEANED("a\x1bP1$rx\x1b\\z", "az");
    CLEANED("a\x1b(Bz", "az");
    CLEANED("a\x1b"
            "7z\x1b"
            "8",
            "az");
    CLEANED("cut \x1b[31", "cut ");
    CLEANED("cut \x1b]0;never ends", "cut ");
    CLEANED("cut \x1b", "cut ");
    CLEANED("\x1b]0;x\nnext", " next"); /* an unended title eats its line only */
    CLEANED("bell\x07"
            "back\x08 del\x7f",
            "bell" REPLACED "back" REPLACED " del" REPLACED);
    CLEANED("c1 \xc2\x9b"
            "31m",
            "c1 " REPLACED "31m");
    CLEANED("nul\0x", "nul" REPLACED "x");
    CLEANED("a\tb\r\nc\n", "a b c");
    CLEANED("cr\rx", "cr" REPLACED "x");
    CLEANED("bidi \xe2\x80\xae"
            "x",
            "bidi " REPLACED "x");
}

static void test_not_utf8(void **state)
{
    (void)state;
    CLEANED("\xff\xfe", REPLACED REPLACED);
    CLEANED("\xc0\xaf", REPLACED REPLACED);              /* overlong */
    CLEANED("\xed\xa0\x80", REPLACED REPLACED REPLACED); /* surrogate */
    CLEANED("\xf4\x90\x80\x80", REPLACED REPLACED REPLACED REPLACED);
    CLEANED("cut \xe2\x9c", "cut " REPLACED REPLACED);
}

static void last_is(const char *s, const char *want)
{
    struct rb_buf b;
    rb_buf_init(&b, 4096);
    rb_text_last(&b, s, strlen(s));
    assert_string_equal(rb_buf_text(&b), want);
    rb_buf_release(&b);
}

static void test_last_line(void **state)
{
    (void)state;
    last_is("one\ntwo\n", "two");
    last_is("one\n\n  \n", "one");
    last_is(" 10%\r 20%\r 30%", " 30%");
    last_is("one\n\x1b[0m\n", "one");
    last_is("", "");
    last_is("\n\n", "");
}

static void fits(const char *s, size_t columns, const char *want)
{
    struct rb_buf b;
    rb_buf_init(&b, 4096);
    size_t width = rb_text_fit(&b, s, strlen(s), columns);
    assert_string_equal(rb_buf_text(&b), want);
    assert_int_equal(width, rb_text_width(want, strlen(want)));
    assert_true(width <= columns);
    rb_buf_release(&b);
}

static void test_width(void **state)
{
    (void)state;
    rb_text_locale();
    assert_int_equal(rb_text_width("abc", 3), 3);
    assert_int_equal(rb_text_width("\xe6\x97\xa5\xe6\x9c\xac", 6), 4); /* wide */
    assert_int_equal(rb_text_width("e\xcc\x81", 3), 1);                /* combining */
    fits("abcdef", 6, "abcdef");
    fits("abcdef", 5, "abcd\xe2\x80\xa6");
    fits("abcdef", 1, "\xe2\x80\xa6");
    fits("abcdef", 0, "");
    fits("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5, "\xe6\x97\xa5\xe6\x9c\xac\xe2\x80\xa6");
    fits("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4, "\xe6\x97\xa5\xe2\x80\xa6");
}

static void shell_is(const char *word, const char *want)
{
    struct rb_buf b;
    rb_buf_init(&b, 4096);
    rb_text_shell(&b, word);
    assert_string_equal(rb_buf_text(&b), want);
    rb_buf_release(&b);
}

static void test_shell(void **state)
{
    (void)state;
    shell_is("/a/b-c_1.lua", "/a/b-c_1.lua");
    shell_is("", "''");
    shell_is("a b", "'a b'");
    shell_is("it's", "'it'\\''s'");
    shell_is("#x", "'#x'");
    shell_is("$(x)", "'$(x)'");
    shell_is("a~b", "'a~b'");
}

static void value_is(const char *json, const char *want)
{
    struct rb_buf b;
    json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    rb_buf_init(&b, 4096);
    rb_text_value(&b, v);
    assert_string_equal(rb_buf_text(&b), want);
    rb_buf_release(&b);
    json_decref(v);
}

static void test_values(void **state)
{
    (void)state;
    value_is("\"a\\u001b[31mb\"", "ab");
    value_is("3.5", "3.5");
    value_is("true", "true");
    value_is("{\"$secret\":\"token\"}", "\xe2\x80\xb9secret:token\xe2\x80\xba");
    value_is("{\"$b64\":\"AAEC\"}", "(3 bytes that are not text)");
    value_is("{\"$b64\":\"AAE=\"}", "(2 bytes that are not text)");
    value_is("{\"$num\":\"-inf\"}", "-inf");
    value_is("{\"$blob\":\"00\",\"size\":9,\"head\":\"begin\"}", "begin \xe2\x80\xa6 (9 bytes)");
    value_is("[1,\"x\"]", "[1,\"x\"]");
}

static void op_is(const char *op, const char *args, const char *want)
{
    struct rb_buf b;
    json_t *v = json_loads(args, JSON_DECODE_ANY, NULL);
    rb_buf_init(&b, 4096);
    rb_text_op(&b, op, v);
    assert_string_equal(rb_buf_text(&b), want);
    rb_buf_release(&b);
    json_decref(v);
}

static void test_operations(void **state)
{
    (void)state;
    op_is("exec", "{\"argv\":[\"git\",\"log\",\"a b\"]}", "exec git log 'a b'");
    op_is("exec", "{\"argv\":[\"sh\",\"-c\",\"echo \\u001b[2J\"]}", "exec sh -c 'echo '");
    op_is("sleep", "{}", "sleep");
    op_is("signal", "{\"name\":\"go\"}", "signal go");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neutral),    cmocka_unit_test(test_not_utf8), cmocka_unit_test(test_last_line),
        cmocka_unit_test(test_width),      cmocka_unit_test(test_shell),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
