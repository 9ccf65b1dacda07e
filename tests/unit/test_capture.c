/* What is said of a program's output in a message: its last line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "io/capture.h"

static void last_is(const char *out, size_t out_len, const char *err, const char *want)
{
    struct rb_buf a, b;
    char line[16];
    rb_buf_init(&a, 1000);
    rb_buf_init(&b, 1000);
    rb_buf_add(&a, out, out_len);
    rb_buf_adds(&b, err);
    memset(line, 'x', sizeof(line));
    rb_capture_last_line(&a, &b, line, sizeof(line));
    assert_string_equal(line, want);
    rb_buf_release(&a);
    rb_buf_release(&b);
}

static void test_last_line(void **state)
{
    (void)state;
    last_is("", 0, "", "");
    last_is("\n \r\n", 4, "", "");
    last_is("one\ntwo\n\n", 9, "", "two");
    last_is("one", 3, "error\n", "error");
    last_is("a\tb\x7f"
            "c\r\n",
            7, "", "a b c");
    last_is("a\0b", 3, "", "a b");
    last_is("0123456789012345", 16, "", "012345678901234");
    last_is("0123456789012\xc3\xa9\xc3\xa9", 17, "", "0123456789012\xc3\xa9"); /* as long as it may be */
    last_is("01234567890123\xc3\xa9", 16, "", "01234567890123");               /* no half of a character */
    last_is("\xff\xfe", 2, "", "(its last line ");                             /* itself cut here */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_last_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
