/* Making JSON text: quoting, UTF-8, base64, commas. What a parser makes of the text is jansson's word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

static void quote(struct rb_buf *out, const char *s, size_t n)
{
    rb_buf_init(out, 1 << 20);
    rb_json_quote(out, s, n);
}

static void every_byte_below_0x80(void **state)
{
    (void)state;
    for (int c = 0; c < 0x80; c++) {
        char in[3] = {'<', (char)c, '>'}, want[16];
        static const char *const short_ones[128] = {
            ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t", ['"'] = "\\\"", ['\\'] = "\\\\"};
        if (short_ones[c])
            snprintf(want, sizeof want, "\"<%s>\"", short_ones[c]);
        else if (c < 0x20 || c == 0x7F)
            snprintf(want, sizeof want, "\"<\\u%04x>\"", c);
        else
            snprintf(want, sizeof want, "\"<%c>\"", c);
        struct rb_buf b;
        quote(&b, in, 3);
        assert_string_equal(rb_buf_text(&b), want);
        json_t *v = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(v);
        assert_int_equal(json_string_length(v), 3);
        assert_memory_equal(json_string_value(v), in, 3);
        json_decref(v);
        rb_buf_release(&b);
    }
}

/* Each byte at each place, for what looks at eight at a time. */
static void what_is_plain(void **state)
{
    (void)state;
    char text[21];
    for (size_t n = 0; n < sizeof(text); n++) {
        memset(text, 'a', n);
        assert_true(rb_json_is_plain(text, n));
        for (size_t at = 0; at < n; at++)
            for (int c = 0; c < 256; c++) {
                memset(text, 'a', n);
                text[at] = (char)c;
                bool plain = c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
                if (rb_json_is_plain(text, n) != plain)
                    fail_msg("byte 0x%02x at %zu of %zu: plain is %d", (unsigned)c, at, n, !plain);
            }
    }
}

static void quoting_runs_of_text(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"\n", "\"\\n\""},
        {"\n\n", "\"\\n\\n\""},
        {"a\nb", "\"a\\nb\""},
        {"\"quoted\"", "\"\\\"quoted\\\"\""},
        {"é\xE2\x82\xAC\xF0\x9F\x98\x80/", "\"é\xE2\x82\xAC\xF0\x9F\x98\x80/\""},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        struct rb_buf b;
        quote(&b, rows[i].in, strlen(rows[i].in));
        assert_string_equal(rb_buf_text(&b), rows[i].out);
        rb_buf_release(&b);
    }
}

static void utf8_table(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool valid;
    } rows[] = {
        {"", true},
        {"a\x7F", true},
        {"\x80", false}, /* a byte that continues nothing */
        {"\xBF", false},
        {"\xC0\x80", false}, /* overlong */
        {"\xC1\xBF", false},
        {"\xC2\x80", true},
        {"\xDF\xBF", true},
        {"\xC2", false}, /* too short */
        {"\xC2 ", false},
        {"\xC2\xC2", false},
        {"\xE0\x80\x80", false},
        {"\xE0\x9F\xBF", false},
        {"\xE0\xA0\x80", true},
        {"\xE0\xA0", false},
        {"\xE1\x80\x7F", false},
        {"\xED\x9F\xBF", true},
        {"\xED\xA0\x80", false}, /* surrogates */
        {"\xED\xBF\xBF", false},
        {"\xEE\x80\x80", true},
        {"\xEF\xBF\xBD", true},
        {"\xEF\xBF\xBF", true},
        {"\xEF\xBF", false},
        {"\xF0\x8F\xBF\xBF", false},
        {"\xF0\x90\x80\x80", true},
        {"\xF0\x90\x80", false},
        {"\xF0\x90\x80\xC0", false},
        {"\xF0\x90\xC0\x80", false},
        {"\xF4\x8F\xBF\xBF", true},
        {"\xF4\x90\x80\x80", false}, /* beyond U+10FFFF */
        {"\xF5\x80\x80\x80", false},
        {"\xF8\x88\x80\x80\x80", false},
        {"\xFC\x84\x80\x80\x80\x80", false},
        {"\xFE", false},
        {"\xFF", false},
        {"abc\xC3\xA9xyz\xE2\x82\xAC", true},
        {"abc\xC3\xA9xyz\xE2\x82", false},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++)
        if (rb_utf8_valid(rows[i].s, strlen(rows[i].s)) != rows[i].valid)
            fail_msg("row %zu: \"%s\" is said to be %s", i, rows[i].s, rows[i].valid ? "invalid" : "valid");
    assert_true(rb_utf8_valid("\0\0", 2));
    assert_false(rb_utf8_valid("\xC3\xA9", 1)); /* the length counts, not what follows */
}

/* Every sequence of one to three bytes that matters, against jansson. */
static void utf8_against_an_oracle(void **state)
{
    (void)state;
    static const unsigned char edge[] = {'a',  0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                         0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    for (size_t n = 1; n <= 4; n++) {
        size_t index[4] = {0};
        for (;;) {
            char text[8] = "\"";
            for (size_t i = 0; i < n; i++)
                text[1 + i] = (char)edge[index[i]];
            text[1 + n] = '"';
            json_t *v = json_loadb(text, n + 2, JSON_DECODE_ANY, NULL);
            bool want = v != NULL;
            json_decref(v);
            assert_int_equal(rb_utf8_valid(text + 1, n), want);
            size_t at = 0;
            while (at < n && ++index[at] == sizeof edge)
                index[at++] = 0;
            if (at == n)
                break;
        }
    }
}

static void base64_both_ways(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xFF\xFE\xFD", "//79"},
                                          {"\xFB\xEF\xBE", "++++"}};
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        struct rb_buf b, back;
        rb_buf_init(&b, 100);
        rb_buf_init(&back, 100);
        rb_base64(&b, rows[i][0], strlen(rows[i][0]));
        assert_string_equal(rb_buf_text(&b), rows[i][1]);
        assert_int_equal(rb_base64_decode(&back, rows[i][1], strlen(rows[i][1])), RB_OK);
        assert_string_equal(rb_buf_text(&back), rows[i][0]);
        rb_buf_release(&b);
        rb_buf_release(&back);
    }
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + i / 256);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct rb_buf b, back;
        rb_buf_init(&b, 1000);
        rb_buf_init(&back, n);
        rb_base64(&b, bytes, n);
        assert_int_equal(b.len, (n + 2) / 3 * 4);
        assert_int_equal(rb_base64_decode(&back, rb_buf_text(&b), b.len), RB_OK);
        assert_int_equal(back.len, n);
        assert_memory_equal(rb_buf_text(&back), bytes, n);
        rb_buf_release(&b);
        rb_buf_release(&back);
    }
}

static void base64_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",    "Zg",     "Zg=",  "Zm9",    "Zm9v=",    "====",     "Z===",
                                      "=Zg=", "Zg=v",   "Zh==", "Zm9=",   "Zg==Zg==", "Zm9v Zm8", "Zm-v",
                                      "Zm_v", "Zm9v\n", " Zm9", "Zg==\n", "Zm9\xC3"};
    for (size_t i = 0; i < RB_COUNT(bad); i++) {
        struct rb_buf out;
        rb_buf_init(&out, 100);
        if (rb_base64_decode(&out, bad[i], strlen(bad[i])) != RB_EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        rb_buf_release(&out);
    }
    struct rb_buf out;
    rb_buf_init(&out, 2);
    assert_int_equal(rb_base64_decode(&out, "Zg\0=", 4), RB_EINVAL);
    rb_buf_reset(&out);
    assert_int_equal(rb_base64_decode(&out, "Zm9v", 4), RB_ETOOBIG);
    assert_int_equal(out.len, 2);
    rb_buf_release(&out);
}

static void a_writer_keeps_commas(void **state)
{
    (void)state;
    struct rb_buf b;
    struct rb_json j;
    rb_buf_init(&b, 1000);
    rb_json_init(&j, &b);
    rb_json_object(&j);
    rb_json_kint(&j, "least", INT64_MIN);
    rb_json_kint(&j, "most", INT64_MAX);
    rb_json_kbool(&j, "yes", true);
    rb_json_ktext(&j, "absent", NULL);
    rb_json_ktext(&j, "t\"", "a\nb");
    rb_json_key(&j, "null");
    rb_json_text(&j, NULL);
    rb_json_key(&j, "bytes");
    rb_json_string(&j, "\xFF\0", 2);
    rb_json_kraw(&j, "raw", "[1, 2]", 6);
    rb_json_key(&j, "list");
    rb_json_array(&j);
    rb_json_null(&j);
    rb_json_array(&j);
    rb_json_end_array(&j);
    rb_json_object(&j);
    rb_json_end_object(&j);
    rb_json_bool(&j, false);
    rb_json_end_array(&j);
    rb_json_kint(&j, "", 0);
    rb_json_end_object(&j);
    assert_string_equal(rb_buf_text(&b),
                        "{\"least\":-9223372036854775808,\"most\":9223372036854775807,\"yes\":true,"
                        "\"t\\\"\":\"a\\nb\",\"null\":null,\"bytes\":{\"$b64\":\"/wA=\"},\"raw\":[1, 2],"
                        "\"list\":[null,[],{},false],\"\":0}");
    json_t *v = json_loadb(b.data, b.len, 0, NULL);
    assert_non_null(v);
    assert_int_equal(json_object_size(v), 9);
    json_decref(v);
    rb_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_below_0x80),  cmocka_unit_test(what_is_plain),
        cmocka_unit_test(quoting_runs_of_text),   cmocka_unit_test(utf8_table),
        cmocka_unit_test(utf8_against_an_oracle), cmocka_unit_test(base64_both_ways),
        cmocka_unit_test(base64_refusals),        cmocka_unit_test(a_writer_keeps_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
