/* The names of operations: paths, repetitions, escapes, ordinals; and the mark that an effect leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/scope.h"

static struct rb_scope *child(struct rb_scope *parent, const char *title)
{
    return rb_scope_child(parent, title, strlen(title));
}

static void expect_key(struct rb_scope *s, const char *want)
{
    char *key = rb_scope_next_key(s);
    assert_string_equal(key, want);
    free(key);
}

/* The path of a new child that is let go at once. */
static void expect_path(struct rb_scope *parent, const char *title, const char *want)
{
    struct rb_scope *s = child(parent, title);
    assert_string_equal(s->path, want);
    assert_int_equal(s->path_len, strlen(want));
    rb_scope_unref(s);
}

static void keys_and_ordinals(void **state)
{
    (void)state;
    struct rb_scope *root = rb_scope_root();
    assert_string_equal(root->path, "");
    expect_key(root, "1");
    expect_key(root, "2");
    struct rb_scope *roll = child(root, "Roll out"), *web = child(roll, "web1");
    expect_key(web, "Roll out/web1/1");
    expect_key(roll, "Roll out/1"); /* each scope counts for itself */
    expect_key(web, "Roll out/web1/2");
    expect_key(root, "3");
    rb_scope_unref(web);
    rb_scope_unref(roll);
    rb_scope_unref(root);
}

static void repeated_titles(void **state)
{
    (void)state;
    struct rb_scope *root = rb_scope_root();
    expect_path(root, "Deploy", "Deploy");
    expect_path(root, "Deploy", "Deploy~2");
    expect_path(root, "Deploy", "Deploy~3");
    expect_path(root, "deploy", "deploy");
    struct rb_scope *other = child(root, "other");
    expect_path(other, "Deploy", "other/Deploy"); /* names are counted in their own scope */
    rb_scope_unref(other);
    for (int i = 4; i <= 1000; i++) {
        char want[32];
        snprintf(want, sizeof want, "Deploy~%d", i);
        expect_path(root, "Deploy", want);
    }
    rb_scope_unref(root);
}

/* A title that looks like a repetition must not get the name of one. */
static void titles_that_look_like_repetitions(void **state)
{
    (void)state;
    struct rb_scope *root = rb_scope_root();
    expect_path(root, "a", "a");
    expect_path(root, "a", "a~2");
    expect_path(root, "a~2", "a~2~2");
    expect_path(root, "a", "a~3");
    expect_path(root, "b~2", "b~2");
    expect_path(root, "b~3", "b~3");
    expect_path(root, "b", "b");
    expect_path(root, "b", "b~4");
    expect_path(root, "b", "b~5");
    expect_path(root, "b~2", "b~2~2");
    rb_scope_unref(root);
}

static void escapes(void **state)
{
    (void)state;
    struct rb_scope *root = rb_scope_root();
    expect_path(root, "a/b", "a\\/b");
    expect_path(root, "a\\", "a\\\\");
    expect_path(root, "\\/", "\\\\\\/");
    expect_path(root, "tab\tand\nline\x7F", "tab and line ");
    expect_path(root, "tab and line ", "tab and line ~2"); /* what reads the same is counted as the same */
    expect_path(root, "été €", "été €");
    struct rb_scope *nul = rb_scope_child(root, "a\0b", 3);
    assert_string_equal(nul->path, "a b");
    struct rb_scope *below = child(nul, "/");
    expect_key(below, "a b/\\//1");
    rb_scope_unref(below);
    rb_scope_unref(nul);
    rb_scope_unref(root);
}

/* Without a title there is a name too: else the scope's keys would be its parent's. */
static void empty_titles(void **state)
{
    (void)state;
    struct rb_scope *root = rb_scope_root(), *empty = child(root, "");
    expect_key(root, "1");
    expect_key(empty, "~/1");
    expect_path(root, "", "~~2");
    expect_path(root, "~", "~~3");
    expect_path(empty, "", "~/~");
    rb_scope_unref(empty);
    rb_scope_unref(root);
}

static void long_titles_are_cut_at_a_character(void **state)
{
    (void)state;
    static const char *const tails[] = {"a", "é", "€", "😀"};
    for (size_t t = 0; t < RB_COUNT(tails); t++) {
        for (size_t before = 190; before <= 205; before++) {
            char title[256];
            memset(title, 'x', before);
            memcpy(title + before, tails[t], strlen(tails[t]) + 1);
            size_t len = strlen(title);
            struct rb_scope *root = rb_scope_root(), *s = rb_scope_child(root, title, len);
            size_t want = len <= 200 ? len : before <= 200 ? before : 200;
            assert_int_equal(s->path_len, want);
            assert_memory_equal(s->path, title, want);
            assert_true(rb_utf8_valid(s->path, s->path_len));
            struct rb_scope *again = rb_scope_child(root, title, len);
            assert_int_equal(again->path_len, want + 2);
            assert_string_equal(again->path + want, "~2");
            rb_scope_unref(again);
            rb_scope_unref(s);
            rb_scope_unref(root);
        }
    }
    char slashes[300];
    memset(slashes, '/', sizeof slashes);
    struct rb_scope *root = rb_scope_root(), *s = rb_scope_child(root, slashes, sizeof slashes);
    assert_int_equal(s->path_len, 400);
    struct rb_scope *again = rb_scope_child(root, slashes, sizeof slashes);
    assert_int_equal(again->path_len, 402);
    rb_scope_unref(again);
    rb_scope_unref(s);
    /* no character begins here: all of it is cut, and it has a name all the same */
    memset(slashes, 0x80, sizeof slashes);
    s = rb_scope_child(root, slashes, sizeof slashes);
    assert_true(s->path_len > 0);
    rb_scope_unref(s);
    rb_scope_unref(root);
}

/* However deep: no two scopes have one path, and no path is without end. */
static void deep_paths_stay_apart(void **state)
{
    (void)state;
    struct rb_strmap seen;
    rb_strmap_init(&seen);
    char title[101];
    memset(title, 't', 100);
    title[100] = '\0';
    struct rb_scope *s = rb_scope_root();
    for (int depth = 0; depth < 300; depth++) {
        struct rb_scope *left = child(s, title), *right = child(s, title);
        void **at = rb_strmap_at(&seen, left->path, left->path_len);
        assert_null(*at);
        *at = left;
        at = rb_strmap_at(&seen, right->path, right->path_len);
        assert_null(*at);
        *at = right;
        assert_true(left->path_len <= 4096 && right->path_len <= 4096);
        assert_string_equal(right->path + right->path_len - 3, "t~2");
        rb_scope_unref(left);
        rb_scope_unref(s);
        s = right;
    }
    assert_int_equal(seen.count, 600);
    rb_scope_unref(s);
    rb_strmap_release(&seen, NULL);
}

static void effects_mark_upward(void **state)
{
    (void)state;
    struct rb_scope *root = rb_scope_root(), *a = child(root, "a"), *b = child(a, "b"), *c = child(b, "c"),
                    *side = child(a, "side");
    rb_scope_mark_effect(b);
    assert_true(b->effects && a->effects && root->effects);
    assert_false(c->effects || side->effects);
    rb_scope_mark_effect(c); /* stops where the mark is already */
    assert_true(c->effects);
    assert_false(side->effects);
    rb_scope_unref(side);
    rb_scope_unref(c);
    rb_scope_unref(b);
    rb_scope_unref(a);
    rb_scope_unref(root);
}

static void a_child_holds_its_parents(void **state)
{
    (void)state;
    struct rb_scope *root = rb_scope_root(), *a = child(root, "a"), *b = child(a, "b");
    assert_int_equal(root->refs, 2);
    assert_int_equal(a->refs, 2);
    rb_scope_unref(root);
    rb_scope_unref(a);
    expect_key(b, "a/b/1");
    assert_ptr_equal(b->parent, a);
    assert_ptr_equal(rb_scope_ref(b), b);
    rb_scope_unref(b);
    expect_key(b, "a/b/2");
    rb_scope_unref(b);
    rb_scope_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_ordinals),
        cmocka_unit_test(repeated_titles),
        cmocka_unit_test(titles_that_look_like_repetitions),
        cmocka_unit_test(escapes),
        cmocka_unit_test(empty_titles),
        cmocka_unit_test(long_titles_are_cut_at_a_character),
        cmocka_unit_test(deep_paths_stay_apart),
        cmocka_unit_test(effects_mark_upward),
        cmocka_unit_test(a_child_holds_its_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
