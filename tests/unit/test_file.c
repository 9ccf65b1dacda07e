/* The file driver by itself: paths as text, what a link in the way leads to, the bases of the policy, stopping, and
 * that no descriptor stays open. */
#include <fcntl.h>

#include "io/file.h"
#include "loop_fixture.h"

static char root[256];
static int ended;

static const char *at(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_holds(const char *name, const char *text)
{
    char got[256] = "";
    FILE *f = fopen(at(name), "re");
    assert_non_null(f);
    got[fread(got, 1, sizeof(got) - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(got, text);
}

static int setup(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char made[200], *real;
    snprintf(made, sizeof(made), "%.180s/file.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(made) || !(real = realpath(made, NULL)))
        return -1;
    snprintf(root, sizeof(root), "%s", real);
    free(real);
    return loop_setup(state);
}

static int teardown(void **state)
{
    char command[400];
    loop_teardown(state);
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

static void on_done(struct rb_file *f)
{
    (void)f;
    ended++;
    rb_loop_stop(&loop);
}

static struct rb_file *new_file(enum rb_file_verb verb, const char *name)
{
    struct rb_file *f = rb_file_new(verb);
    f->place.path = strdup(at(name));
    f->max = 1000;
    f->on_done = on_done;
    return f;
}

static void run(struct rb_file *f)
{
    ended = 0;
    rb_file_start(&loop, f);
    assert_int_equal(ended, 0); /* never from within */
    rb_loop_run(&loop);
    assert_int_equal(ended, 1);
}

static void test_normal_paths(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a", "/f/a"},
        {"/a", "/a"},
        {"./a/./b/", "/f/a/b"},
        {"../a", "/a"},
        {"../../../a", "/a"},
        {"/", "/"},
        {"..", "/"},
        {".", "/f"},
        {"//a//b", "/a/b"},
        {"/a/..", "/"},
        {"/a/b/../../..", "/"},
        {"a..b", "/f/a..b"},
        {"...", "/f/..."},
        {"a/../b", "/f/b"},
        {"/../x", "/x"},
    };
    struct rb_err err;
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        struct rb_buf out;
        rb_buf_init(&out, 8192);
        assert_int_equal(rb_file_normal("/f", rows[i][0], &out, &err), 0);
        assert_string_equal(rb_buf_text(&out), rows[i][1]);
        rb_buf_release(&out);
    }
    struct rb_buf out;
    rb_buf_init(&out, 8192);
    assert_int_equal(rb_file_normal("/f", "", &out, &err), RB_EINVAL);
    char *longer = malloc(RB_FILE_PATH_MAX + 1);
    memset(longer, 'a', RB_FILE_PATH_MAX);
    longer[RB_FILE_PATH_MAX] = '\0';
    assert_int_equal(rb_file_normal("/f", longer, &out, &err), RB_EINVAL);
    free(longer);
    rb_buf_release(&out);
}

static void test_a_link_is_not_followed_and_said_to_lead_somewhere(void **state)
{
    (void)state;
    put("real", "text");
    assert_int_equal(symlink("real", at("link")), 0);
    assert_int_equal(mkdir(at("folder"), 0755), 0);
    assert_int_equal(symlink(root, at("folder/up")), 0);
    static const char *const rows[][2] = {{"link", "real"}, {"folder/up/real", "real"}, {"folder/up/folder/up/x", "x"}};
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        struct rb_file *f = new_file(i == 2 ? RB_FILE_WRITE : RB_FILE_READ, rows[i][0]);
        run(f);
        assert_int_equal(f->end, RB_FILE_ELSEWHERE);
        assert_string_equal(f->place.elsewhere, at(rows[i][1]));
        free(f->place.path); /* agreed: there */
        f->place.path = f->place.elsewhere;
        f->place.elsewhere = NULL;
        run(f);
        assert_int_equal(f->end, RB_FILE_DONE);
        rb_file_free(f);
    }
    assert_holds("x", "");
}

static void test_the_base_may_be_reached_by_links_and_what_is_below_may_not(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("real"), 0755), 0);
    assert_int_equal(mkdir(at("outside"), 0755), 0);
    put("real/file", "text");
    put("outside/file", "text");
    assert_int_equal(symlink("real", at("base")), 0);
    assert_int_equal(symlink("file", at("real/inside")), 0);
    assert_int_equal(symlink("../outside", at("real/out")), 0);
    size_t base = strlen(at("base"));
    static const char *const rows[][2] = {{"base/file", NULL}, {"base/inside", "base/file"}, {"base/out", "outside"}};
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        struct rb_file *f = new_file(RB_FILE_READ, rows[i][0]);
        f->place.bases[0] = f->place.bases[1] = base;
        run(f);
        assert_int_equal(f->end, rows[i][1] ? RB_FILE_ELSEWHERE : RB_FILE_DONE);
        if (rows[i][1]) /* below the base by the base's own name: as a policy knows it */
            assert_string_equal(f->place.elsewhere, at(rows[i][1]));
        rb_file_free(f);
    }
    /* two bases: the second is beneath the first, by a link that stays there */
    assert_int_equal(mkdir(at("real/deep"), 0755), 0);
    put("real/deep/file", "deep");
    assert_int_equal(symlink("deep", at("real/current")), 0);
    for (int i = 0; i < 2; i++) {
        struct rb_file *f = new_file(RB_FILE_READ, i ? "real/out/file" : "real/current/file");
        f->place.bases[0] = strlen(at("real"));
        f->place.bases[1] = strlen(at(i ? "real/out" : "real/current"));
        run(f);
        if (i)
            assert_string_equal(f->place.elsewhere, at("outside/file")); /* out of the first: to be asked about */
        else
            assert_string_equal(rb_buf_text(&f->content), "deep");
        rb_file_free(f);
    }
}

static void test_stopped_before_it_began(void **state)
{
    (void)state;
    put("f", "old");
    struct rb_file *f = new_file(RB_FILE_WRITE, "f");
    rb_buf_adds(&f->content, "new");
    ended = 0;
    rb_file_stop(f);
    rb_file_start(&loop, f);
    rb_loop_run(&loop);
    assert_int_equal(ended, 1);
    assert_int_equal(f->end, RB_FILE_STOPPED);
    assert_holds("f", "old");
    rb_file_free(f);
}

static void test_what_an_interrupted_attempt_left_is_removed(void **state)
{
    (void)state;
    put("f", "new");
    put(".rbhost-0123456789abcdef-11111111", "ne");
    put(".rbhost-fedcba9876543210-11111111", "of another");
    for (int interrupted = 1; interrupted >= 0; interrupted--) {
        struct rb_file *f = new_file(RB_FILE_WRITE, "f");
        struct stat before, after;
        snprintf(f->tag, sizeof(f->tag), "0123456789abcdef");
        f->again = f->sweep = true;
        rb_buf_adds(&f->content, "new");
        assert_int_equal(stat(at("f"), &before), 0);
        run(f);
        assert_int_equal(f->end, RB_FILE_DONE);
        assert_int_equal(stat(at("f"), &after), 0);
        /* with a temporary file the rename was not reached: it is written; without, what is there is what was
         * written */
        assert_int_equal(before.st_ino != after.st_ino, interrupted);
        assert_int_equal(access(at(".rbhost-0123456789abcdef-11111111"), F_OK), -1);
        assert_int_equal(access(at(".rbhost-fedcba9876543210-11111111"), F_OK), 0);
        rb_file_free(f);
    }
}

static void test_many_times(void **state)
{
    (void)state;
    struct rb_file *w = new_file(RB_FILE_WRITE, "f"), *l = new_file(RB_FILE_LIST, "");
    for (int i = 0; i < 100; i++) {
        rb_buf_adds(&w->content, "x");
        run(w);
        assert_int_equal(w->end, RB_FILE_DONE);
        run(l);
        assert_int_equal(l->end, RB_FILE_DONE);
        assert_int_equal(l->count, 1);
    }
    rb_file_free(w);
    rb_file_free(l);
}

/* The first loop of a process opens what the process keeps. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_paths),
        cmocka_unit_test_setup_teardown(test_a_link_is_not_followed_and_said_to_lead_somewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_base_may_be_reached_by_links_and_what_is_below_may_not, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_stopped_before_it_began, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_an_interrupted_attempt_left_is_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_times, setup, teardown),
    };
    return cmocka_run_group_tests_name("file", tests, first_loop, NULL);
}
