/* Looking up a member without a parser, against a parser: on generated objects, on every beginning of them (which lie
 * at the very end of their memory, for the sanitizer), and on text with wrong bytes in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/jsonscan.h"

static uint64_t seed;

static unsigned below(unsigned n) /* a deterministic sequence: xorshift64 */
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 20) % n;
}

static const char *const names[] = {"op", "n", "ok",  "value", "error",  "kind", "a",
                                    "",   "é", "opx", "o",     "status", "x y"};

static void blank(struct rb_buf *b, bool blanks)
{
    while (blanks && below(3) == 0)
        rb_buf_addc(b, " \n\t\r"[below(4)]);
}

static void generate_string(struct rb_buf *b)
{
    static const char *const parts[] = {"a", "op", "\\\"", "\\\\", "\\n", "\\u0041", "é",    "{",    "}",
                                        "[", "]",  ",",    ":",    "\\/", " ",       "true", "null", "\\ud83d\\ude00"};
    rb_buf_addc(b, '"');
    for (unsigned n = below(6); n > 0; n--)
        rb_buf_adds(b, parts[below(RB_COUNT(parts))]);
    rb_buf_addc(b, '"');
}

static void generate(struct rb_buf *b, int depth, bool blanks)
{
    unsigned what = below(depth > 4 ? 6 : 8);
    switch (what) {
    case 0: rb_buf_adds(b, "true"); break;
    case 1: rb_buf_adds(b, below(2) ? "false" : "null"); break;
    case 2: rb_buf_addf(b, "%d", (int)below(2000) - 1000); break;
    case 3: rb_buf_adds(b, below(2) ? "1.5e-3" : "9223372036854775807"); break;
    case 4:
    case 5: generate_string(b); break;
    default:
        rb_buf_addc(b, what == 6 ? '[' : '{');
        blank(b, blanks);
        for (unsigned i = 0, n = below(5); i < n; i++) {
            if (i) {
                rb_buf_addc(b, ',');
                blank(b, blanks);
            }
            if (what == 7) {
                rb_buf_addf(b, "\"%s\"", names[(below(4) + i * 4) % RB_COUNT(names)]);
                blank(b, blanks);
                rb_buf_addc(b, ':');
                blank(b, blanks);
            }
            generate(b, depth + 1, blanks);
            blank(b, blanks);
        }
        rb_buf_addc(b, what == 6 ? ']' : '}');
    }
}

/* An object whose members have different names. */
static void generate_object(struct rb_buf *b, bool blanks)
{
    rb_buf_reset(b);
    blank(b, blanks);
    rb_buf_addc(b, '{');
    blank(b, blanks);
    bool first = true;
    for (size_t i = 0; i < RB_COUNT(names); i++) {
        if (below(3) == 0)
            continue;
        if (!first) {
            rb_buf_addc(b, ',');
            blank(b, blanks);
        }
        first = false;
        rb_buf_addf(b, "\"%s\"", names[i]);
        blank(b, blanks);
        rb_buf_addc(b, ':');
        blank(b, blanks);
        generate(b, 0, blanks);
        blank(b, blanks);
    }
    rb_buf_addc(b, '}');
    blank(b, blanks);
}

static void compare(const char *json, size_t n, json_t *tree)
{
    for (size_t i = 0; i < RB_COUNT(names); i++) {
        const json_t *want = json_object_get(tree, names[i]);
        struct rb_slice s = rb_json_member(json, n, names[i]);
        if (!want != !s.p)
            fail_msg("%s: %s of %.*s", names[i], want ? "not found" : "found", (int)n, json);
        if (!want) {
            assert_int_equal(rb_json_member_int(json, n, names[i], -77), -77);
            continue;
        }
        assert_true(s.p >= json && s.p + s.n <= json + n);
        json_t *got = json_loadb(s.p, s.n, JSON_DECODE_ANY, NULL);
        if (!got || !json_equal(got, want) || s.p[0] == ' ' || s.p[s.n - 1] == ' ')
            fail_msg("%s is \"%.*s\" of %.*s", names[i], (int)s.n, s.p, (int)n, json);
        json_decref(got);
        assert_int_equal(rb_json_member_true(json, n, names[i]), json_is_true(want));
        assert_int_equal(rb_json_member_int(json, n, names[i], -77),
                         json_is_integer(want) ? json_integer_value(want) : -77);
        char text[1000];
        assert_int_equal(rb_json_member_text(json, n, names[i], text, sizeof text), json_is_string(want));
        bool plain = json_is_string(want) && !memchr(s.p, '\\', s.n);
        if (plain)
            assert_string_equal(text, json_string_value(want));
        if (plain)
            assert_true(rb_json_member_is(json, n, names[i], json_string_value(want)));
        assert_false(rb_json_member_is(json, n, names[i], "something else"));
    }
}

static void every_look(const char *json, size_t n)
{
    char text[8];
    for (size_t i = 0; i < RB_COUNT(names); i++) {
        struct rb_slice s = rb_json_member(json, n, names[i]);
        if (s.p)
            assert_true(s.p >= json && s.p + s.n <= json + n);
        rb_json_member_int(json, n, names[i], 0);
        rb_json_member_true(json, n, names[i]);
        rb_json_member_is(json, n, names[i], "a");
        for (size_t room = 0; room <= sizeof text; room += 4)
            rb_json_member_text(json, n, names[i], text, room);
    }
}

/* Member by member: all of them, and nothing else. */
static void walk(const char *json, size_t n, json_t *tree)
{
    const char *p = json;
    struct rb_slice key, value;
    json_t *seen = json_object();
    while (rb_json_next(&p, json + n, &key, &value)) {
        char name[100];
        snprintf(name, sizeof name, "%.*s", (int)key.n, key.p);
        json_object_set_new(seen, name, json_loadb(value.p, value.n, JSON_DECODE_ANY, NULL));
    }
    if (!json_equal(seen, tree))
        fail_msg("%zu members of %.*s", json_object_size(seen), (int)n, json);
    json_decref(seen);
}

static void generated_objects(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 1 << 20);
    seed = 20261122;
    for (int round = 0; round < 4000; round++) {
        generate_object(&b, round % 2);
        json_t *tree = json_loadb(b.data, b.len, 0, NULL);
        if (!tree)
            fail_msg("the test made what is no JSON: %s", b.data);
        compare(b.data, b.len, tree);
        walk(b.data, b.len, tree);
        json_decref(tree);
    }
    rb_buf_release(&b);
}

static void every_beginning(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 1 << 20);
    seed = 4711;
    for (int round = 0; round < 40; round++) {
        generate_object(&b, round % 2);
        for (size_t n = 0; n < b.len; n++) {
            char *exact = malloc(n ? n : 1);
            memcpy(exact, b.data, n);
            every_look(exact, n);
            free(exact);
        }
    }
    rb_buf_release(&b);
}

static void wrong_bytes(void **state)
{
    (void)state;
    struct rb_buf b;
    rb_buf_init(&b, 1 << 20);
    seed = 99;
    for (int round = 0; round < 2000; round++) {
        generate_object(&b, round % 2);
        char *exact = malloc(b.len);
        memcpy(exact, b.data, b.len);
        for (unsigned k = below(4) + 1; k > 0; k--)
            exact[below((unsigned)b.len)] = "\"\\{}[],: \0\xFF"
                                            "0"[below(12)];
        every_look(exact, b.len);
        free(exact);
    }
    rb_buf_release(&b);
}

static void integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t v;
    } rows[] = {
        {"0", 0},
        {"-1", -1},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"9223372036854775808", 7}, /* what is no integer of 64 bits is none */
        {"-9223372036854775809", 7},
        {"99999999999999999999", 7},
        {"999999999999999999999999", 7},
        {"1.5", 7},
        {"1e3", 7},
        {"-", 7},
        {"\"1\"", 7},
        {"true", 7},
        {"null", 7},
        {"[1]", 7},
        {"{}", 7},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        char json[80];
        int n = snprintf(json, sizeof json, "{\"v\":%s}", rows[i].text);
        if (rb_json_member_int(json, (size_t)n, "v", 7) != rows[i].v)
            fail_msg("%s is not what it should be", json);
    }
}

static void texts(void **state)
{
    (void)state;
    static const char json[] = "{\"a\":\"x\\n\\t\\\"\\\\\\/y\\u0041z\",\"b\":\"aé€😀\",\"c\":null,\"d\":\"\"}";
    char out[40];
    assert_true(rb_json_member_text(json, sizeof json - 1, "a", out, sizeof out));
    assert_string_equal(out, "x\n\t\"\\/y?z");
    assert_false(rb_json_member_text(json, sizeof json - 1, "c", out, sizeof out));
    assert_string_equal(out, "");
    assert_false(rb_json_member_text(json, sizeof json - 1, "none", out, sizeof out));
    assert_true(rb_json_member_text(json, sizeof json - 1, "d", out, sizeof out));
    assert_string_equal(out, "");
    static const char whole[] = "aé€😀";
    static const size_t cut[] = {0, 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10}; /* by the room: never within a character */
    for (size_t room = 1; room < RB_COUNT(cut); room++) {
        memset(out, '?', sizeof out);
        assert_true(rb_json_member_text(json, sizeof json - 1, "b", out, room));
        assert_int_equal(strlen(out), cut[room]);
        assert_memory_equal(out, whole, cut[room]);
        assert_int_equal(out[room], '?');
    }
}

static void only_the_top_level_counts(void **state)
{
    (void)state;
    static const char json[] = "{\"x\":{\"op\":1,\"n\":\"\\\"op\\\":2\"},\"y\":[{\"op\":3}],\"\\u006fp\":4,\"op\":5}";
    assert_int_equal(rb_json_member_int(json, sizeof json - 1, "op", 0), 5);
    assert_int_equal(rb_json_member_int(json, sizeof json - 1, "n", 0), 0);
    static const char *const none[] = {"",       "{",  "{}",      "[]",       "[\"op\",1]",
                                       "\"op\"", "op", "{\"op\"", "{\"op\"}", "{'op':1}"};
    for (size_t i = 0; i < RB_COUNT(none); i++)
        assert_null(rb_json_member(none[i], strlen(none[i]), "op").p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generated_objects),
        cmocka_unit_test(every_beginning),
        cmocka_unit_test(wrong_bytes),
        cmocka_unit_test(integers),
        cmocka_unit_test(texts),
        cmocka_unit_test(only_the_top_level_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
