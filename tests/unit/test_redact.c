/* The redactor: no form of a secret survives, whole or in pieces; what is no secret stays as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "engine/redact.h"

#define A "\xE2\x80\xB9secret:a\xE2\x80\xBA"
#define B "\xE2\x80\xB9secret:b\xE2\x80\xBA"

static struct rb_redactor *of(const char *a, const char *b)
{
    struct rb_redactor *r = rb_redactor_new();
    rb_redactor_add(r, "a", a, strlen(a));
    if (b)
        rb_redactor_add(r, "b", b, strlen(b));
    return r;
}

/* The whole at once, and in pieces of every size: both must be `want`. */
static void becomes(struct rb_redactor *r, const char *text, const char *want)
{
    size_t n = strlen(text);
    for (size_t piece = 0; piece <= n; piece++) {
        struct rb_buf out;
        struct rb_redact_stream s = {0};
        rb_buf_init(&out, 1 << 20);
        if (!piece)
            rb_redact(r, text, n, &out);
        for (size_t i = 0; piece && i < n; i += piece)
            rb_redact_feed(r, &s, text + i, n - i < piece ? n - i : piece, &out);
        rb_redact_end(r, &s, &out);
        if (strcmp(rb_buf_text(&out), want) != 0)
            print_error("in pieces of %zu: %s\n", piece, text);
        assert_string_equal(rb_buf_text(&out), want);
        rb_buf_release(&out);
    }
}

static void plain(void **state)
{
    (void)state;
    struct rb_redactor *r = of("hunter22", NULL);
    becomes(r, "", "");
    becomes(r, "nothing here", "nothing here");
    becomes(r, "hunter22", A);
    becomes(r, "hunter2hunter22hunter2", "hunter2" A "hunter2");
    becomes(r, "huhunter22hunter22", "hu" A A);
    becomes(r, "hunter2", "hunter2");
    rb_redactor_free(r);
}

static void of_overlapping_ones_nothing_is_left(void **state)
{
    (void)state;
    struct rb_redactor *r = of("abcdefgh", "efghijklmn");
    becomes(r, "-abcdefghijklmn-", "-" B "-");
    becomes(r, "-abcdefghijklm-", "-" A "ijklm-");
    rb_redactor_free(r);
    r = of("abcdefgh", "abcdefghijkl");
    becomes(r, "abcdefghijkl abcdefghijk", B " " A "ijk");
    rb_redactor_free(r);
    r = of("aaaaaaaa", NULL);
    becomes(r, "aaaaaaaaaaaaaaaaaaab", A "b");
    rb_redactor_free(r);
}

static void forms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"x=p%40ss+w%2fr%64'\"\\!&", "x=" A "&"},
        {"x=%70%40%73%73%20%77%2F%72%64%27%22%5c%21&", "x=" A "&"},
        {"p@ss%20w/rd'\"\\!", A},
        {"{\"v\":\"p@ss w\\/rd'\\\"\\\\!\"}", "{\"v\":\"" A "\"}"},
        {"\\u0070\\u0040ss w\\u002Frd\\u0027\\u0022\\u005c!", A},
        {"echo 'p@ss w/rd'\\''\"\\!'", "echo '" A "'"},
        {"echo 'p@ss w/rd'\"'\"'\"\\!'", "echo '" A "'"},
        {"echo \"p@ss w/rd'\\\"\\\\!\"", "echo \"" A "\""},
        {"echo p@ss\\ w/rd\\'\\\"\\\\\\!", "echo " A},
        {"$'p@ss w/rd\\'\"\\\\!'", "$'" A "'"},
        {"$'\\x70\\x40\\163s w/rd\\'\"\\\\!'", "$'" A "'"},
        {"70:40:73:73 20 77 2f-72642722 5C21", A},
        {"70407373\n20772F72642722\r\n5C21.", A "."},
    };
    struct rb_redactor *r = of("p@ss w/rd'\"\\!", NULL);
    for (size_t i = 0; i < RB_COUNT(cases); i++)
        becomes(r, cases[i].text, cases[i].want);
    rb_redactor_free(r);
    r = of("pass w\xC3\xA9rd\n\xF0\x9F\x94\x91!", NULL);
    becomes(r, "\"pass w\\u00e9rd\\n\\ud83d\\udd11!\"", "\"" A "\"");
    becomes(r, "$'pass w\\303\\251rd\\n\\360\\237\\224\\221!'", "$'" A "'");
    becomes(r, "pass+w%C3%A9rd%0A%F0%9F%94%91%21", A);
    rb_redactor_free(r);
}

static void base64(void **state)
{
    (void)state;
    static const char secret[] = "T0p/s3cr>t??~~~value-that-is-long-enough-to-be-wrapped-by-base64-once";
    struct rb_redactor *r = of(secret, NULL);
    for (size_t before = 0; before < 5; before++) {
        for (size_t after = 0; after < 4; after++) {
            for (int form = 0; form < 4; form++) {
                char text[200];
                struct rb_buf coded, wrapped, out;
                snprintf(text, sizeof(text), "%.*s%s%.*s", (int)before, "\xFF\xFEuser:", secret, (int)after, "\n\xFFz");
                rb_buf_init(&coded, 4096);
                rb_buf_init(&wrapped, 4096);
                rb_buf_init(&out, 4096);
                rb_base64(&coded, text, strlen(text));
                if (form & 1)
                    for (size_t i = 0; i < coded.len; i++)
                        coded.data[i] = coded.data[i] == '+' ? '-' : coded.data[i] == '/' ? '_' : coded.data[i];
                while (form & 1 && coded.len && coded.data[coded.len - 1] == '=')
                    coded.len--;
                for (size_t i = 0; i < coded.len; i++) {
                    rb_buf_addc(&wrapped, coded.data[i]);
                    if (form & 2 && i % 76 == 75)
                        rb_buf_adds(&wrapped, form & 1 ? "\r\n" : "\n");
                }
                rb_redact(r, rb_buf_text(&wrapped), wrapped.len, &out);
                if (!strstr(rb_buf_text(&out), A) || out.len > 13 + 4 + before * 2 + after * 2)
                    print_error("%s\n%s\n", rb_buf_text(&wrapped), rb_buf_text(&out));
                assert_non_null(strstr(rb_buf_text(&out), A));
                assert_true(out.len <= 13 + 4 + before * 2 + after * 2);
                rb_buf_release(&coded);
                rb_buf_release(&wrapped);
                rb_buf_release(&out);
            }
        }
    }
    rb_redactor_free(r);
}

/* -- any secret, any form, any pieces ------------------------------------------------------------------------------ */

static uint32_t seed = 20261128;

static unsigned chance(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void encode(int form, const char *s, size_t n, struct rb_buf *out)
{
    static const char *const quotes = "'\"\\$` ";
    for (size_t i = 0; form < 6 && i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        bool some = chance(3) == 0;
        switch (form) {
        case 0: rb_buf_addc(out, (char)c); break;
        case 1:
            if (c == ' ' && some)
                rb_buf_addc(out, '+');
            else if (some || c == '%' || c == '+' || c == ' ')
                rb_buf_addf(out, chance(2) ? "%%%02x" : "%%%02X", c);
            else
                rb_buf_addc(out, (char)c);
            break;
        case 2:
            if (some || c < 0x20)
                rb_buf_addf(out, chance(2) ? "\\u%04x" : "\\u%04X", c);
            else if (c == '"' || c == '\\' || (c == '/' && chance(2)))
                rb_buf_addf(out, "\\%c", c);
            else
                rb_buf_addc(out, (char)c);
            break;
        case 3: rb_buf_adds(out, c == '\'' ? "'\\''" : (char[]){(char)c, 0}); break;
        case 4:
            if (strchr(quotes, c))
                rb_buf_addc(out, '\\');
            rb_buf_addc(out, (char)c);
            break;
        case 5: rb_buf_addf(out, chance(2) ? "%02x" : "%02X", c); break;
        }
    }
    if (form == 6)
        rb_base64(out, s, n);
}

static void no_form_of_any_secret_survives(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        char secret[80];
        size_t n = 8 + chance(60);
        for (size_t i = 0; i < n; i++) /* printable, with many of those that forms change */
            secret[i] = chance(4) ? (char)(' ' + chance(95)) : "'\"\\/%+ $`&"[chance(10)];
        secret[n] = '\0';
        struct rb_redactor *r = of(secret, "another-secret");
        struct rb_buf text, out;
        struct rb_redact_stream s = {0};
        int form = round % 7;
        rb_buf_init(&text, 1 << 20);
        rb_buf_init(&out, 1 << 20);
        rb_buf_addf(&text, "<%.*s>", (int)chance(40), "0123456789abcdef0123456789abcdef01234567");
        encode(form, secret, n, &text);
        rb_buf_adds(&text, form == 6 ? " <end>" : "<end>");
        for (size_t at = 0; at < text.len;) {
            size_t piece = 1 + chance(chance(2) ? 3 : 50);
            piece = piece < text.len - at ? piece : text.len - at;
            rb_redact_feed(r, &s, text.data + at, piece, &out);
            at += piece;
        }
        rb_redact_end(r, &s, &out);
        const char *got = rb_buf_text(&out), *place = strstr(got, A);
        if (!place)
            print_error("form %d of %s\n%s\n%s\n", form, secret, text.data, got);
        assert_non_null(place);
        /* Nothing but a piece of the frame is around it: of a quoted one a quote may stay. */
        assert_true(strlen(place) <= strlen(A) + strlen("== <end>") + 2);
        assert_non_null(strstr(place, "<end>"));
        rb_buf_release(&text);
        rb_buf_release(&out);
        rb_redactor_free(r);
    }
}

static void other_texts_stay_as_they_are(void **state)
{
    (void)state;
    struct rb_redactor *r = of("s3cr3t-t0ken", "hunter22 hunter22");
    for (int round = 0; round < 500; round++) {
        char text[400];
        struct rb_buf out;
        struct rb_redact_stream s = {0};
        size_t n = chance(sizeof(text));
        for (size_t i = 0; i < n; i++)
            text[i] = chance(2) ? "s3cr\\%'\"7u0x+ h\n"[chance(16)] : (char)chance(256);
        rb_buf_init(&out, 1 << 20);
        for (size_t at = 0, piece; at < n; at += piece) {
            piece = 1 + chance(60);
            piece = piece < n - at ? piece : n - at;
            rb_redact_feed(r, &s, text + at, piece, &out);
        }
        rb_redact_end(r, &s, &out);
        assert_int_equal(out.len, n);
        if (n)
            assert_memory_equal(rb_buf_text(&out), text, n);
        rb_buf_release(&out);
    }
    rb_redactor_free(r);
}

static void what_is_held_back_has_a_bound(void **state)
{
    (void)state;
    struct rb_redactor *r = of("aaaaaaaaaaaa", "\\\\\\\\\\\\\\\\");
    static const char *const endless[] = {"a", "\\", "\n", "'", "%", "aaaa\n\n\n\n"};
    for (size_t i = 0; i < RB_COUNT(endless); i++) {
        struct rb_redact_stream s = {0};
        struct rb_buf out, piece;
        rb_buf_init(&out, 1 << 24);
        rb_buf_init(&piece, 1 << 16);
        while (piece.len < 8000)
            rb_buf_adds(&piece, endless[i]);
        for (int k = 0; k < 40; k++) {
            rb_redact_feed(r, &s, piece.data, piece.len, &out);
            assert_true(s.held.len < 100000);
        }
        rb_redact_end(r, &s, &out);
        rb_buf_release(&out);
        rb_buf_release(&piece);
    }
    rb_redactor_free(r);
}

static void the_tail_of_a_cut_text(void **state)
{
    (void)state;
    struct rb_redactor *r = of("hunter22", NULL);
    assert_int_equal(rb_redact_tail(r, "ab", 2), 0);
    assert_int_equal(rb_redact_tail(r, "ab hunt", 7), 4);
    assert_int_equal(rb_redact_tail(r, "ab %68un", 8), 5);
    assert_int_equal(rb_redact_tail(r, "hunter22", 8), 0);
    rb_redactor_free(r);
    r = of("abcabcabc", NULL); /* its end is its beginning: the whole is left out, not a part */
    assert_int_equal(rb_redact_tail(r, "-abcabcabc", 10), 9);
    rb_redactor_free(r);
}

static void short_ones_and_none(void **state)
{
    (void)state;
    struct rb_redactor *r = of("seven77", NULL);
    assert_false(rb_redactor_any(r));
    becomes(r, "seven77", "seven77");
    becomes(NULL, "text", "text");
    assert_false(rb_redact_finds(NULL, "text", 4));
    rb_redactor_free(r);
    rb_redactor_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(of_overlapping_ones_nothing_is_left),
        cmocka_unit_test(forms),
        cmocka_unit_test(base64),
        cmocka_unit_test(no_form_of_any_secret_survives),
        cmocka_unit_test(other_texts_stay_as_they_are),
        cmocka_unit_test(what_is_held_back_has_a_bound),
        cmocka_unit_test(the_tail_of_a_cut_text),
        cmocka_unit_test(short_ones_and_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
