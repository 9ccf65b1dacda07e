/* The small parts of base: error text, lists, digests, clocks, the nearest word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/nearest.h"
#include "base/sha.h"

/* -- errors -------------------------------------------------------------------------------------------------------- */

static void error_texts(void **state)
{
    (void)state;
    struct rb_err err = {0};
    assert_int_equal(rb_err_set(&err, RB_ENOENT, "no %s", "file"), RB_ENOENT);
    assert_int_equal(err.code, RB_ENOENT);
    assert_string_equal(err.msg, "no file");
    assert_int_equal(rb_err_prefix(&err, "line %d", 3), RB_ENOENT);
    assert_string_equal(err.msg, "line 3: no file");
    rb_err_set(&err, RB_EIO, "%s again", err.msg); /* its own text as an argument */
    assert_string_equal(err.msg, "line 3: no file again");
    assert_int_equal(rb_err_sys(&err, RB_EDENIED, EACCES, "%s", "/x"), RB_EDENIED);
    assert_string_equal(err.msg, "/x: Permission denied");
    assert_int_equal(rb_err_set(NULL, RB_EFULL, "nobody reads this"), RB_EFULL);
    assert_int_equal(rb_err_sys(NULL, RB_EFULL, ENOSPC, "nor this"), RB_EFULL);
    assert_int_equal(rb_err_prefix(NULL, "nor this"), RB_OK);
}

static void long_error_texts_are_cut(void **state)
{
    (void)state;
    struct rb_err err = {0};
    char text[2 * RB_ERR_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    rb_err_set(&err, RB_EIO, "<%s", text);
    assert_int_equal(strlen(err.msg), RB_ERR_MAX - 1);
    rb_err_prefix(&err, "before");
    assert_int_equal(strlen(err.msg), RB_ERR_MAX - 1);
    assert_memory_equal(err.msg, "before: <xxx", 12);
    rb_err_sys(&err, RB_EIO, ENOENT, "%s", text);
    assert_int_equal(strlen(err.msg), RB_ERR_MAX - 1);
}

static void allocation(void **state)
{
    (void)state;
    char *p = rb_alloc(0);
    assert_non_null(p);
    p = rb_realloc(p, 0);
    assert_non_null(p);
    free(p);
    p = rb_alloc(1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(p[i], 0);
    free(p);
    assert_null(rb_strdup(NULL));
    p = rb_strndup("abc\0def", 7);
    assert_memory_equal(p, "abc\0def", 8);
    free(p);
}

static void the_end_for_lack_of_memory(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        rb_die("out of %s", "memory");
    }
    close(ends[1]);
    char said[200] = "";
    size_t len = 0;
    ssize_t n;
    while (len < sizeof said - 1 && (n = read(ends[0], said + len, sizeof said - 1 - len)) > 0)
        len += (size_t)n;
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_memory_equal(said, "rbhost: out of memory\n", 22);
}

/* -- lists --------------------------------------------------------------------------------------------------------- */

struct item {
    int n;
    struct rb_list link;
};

static void lists(void **state)
{
    (void)state;
    struct rb_list head;
    struct item items[5];
    rb_list_init(&head);
    assert_true(rb_list_empty(&head));
    assert_null(rb_list_pop(&head));
    for (int i = 0; i < 5; i++) {
        items[i].n = i;
        rb_list_push(&head, &items[i].link);
    }
    assert_false(rb_list_empty(&head));
    rb_list_remove(&items[2].link);
    rb_list_remove(&items[2].link); /* twice does no harm */
    rb_list_remove(&items[0].link);
    rb_list_remove(&items[4].link);
    int sum = 0;
    RB_LIST_EACH (it, &head)
        sum = sum * 10 + RB_CONTAINER(it, struct item, link)->n;
    assert_int_equal(sum, 13);
    rb_list_push(&head, &items[0].link);
    sum = 0;
    RB_LIST_EACH_SAFE (it, next, &head) {
        sum = sum * 10 + RB_CONTAINER(it, struct item, link)->n;
        rb_list_remove(it);
    }
    assert_int_equal(sum, 130);
    assert_true(rb_list_empty(&head));
    rb_list_push(&head, &items[3].link);
    assert_ptr_equal(rb_list_pop(&head), &items[3].link);
    assert_true(rb_list_empty(&items[3].link));
    assert_null(rb_list_pop(&head));
}

/* -- digests: the examples of FIPS 180 ----------------------------------------------------------------------------- */

static void digests(void **state)
{
    (void)state;
    char hex[RB_SHA_HEX];
    rb_sha_of_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    rb_sha_of_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    rb_sha_of_hex(million, 1000000, hex);
    free(million);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    uint8_t sum[RB_SHA_LEN], again[RB_SHA_LEN];
    rb_sha("abc", 3, sum);
    rb_sha_hex(sum, hex);
    assert_int_equal(rb_sha_parse(hex, again), RB_OK);
    assert_memory_equal(sum, again, RB_SHA_LEN);
}

static void what_is_no_digest(void **state)
{
    (void)state;
    uint8_t sum[RB_SHA_LEN];
    char hex[80];
    memset(hex, 'a', sizeof hex);
    hex[64] = '\0';
    assert_int_equal(rb_sha_parse(hex, sum), RB_OK);
    for (int i = 0; i < 64; i++) {
        static const char bad[] = "gG A/:`\x01\xFF";
        for (const char *c = bad; *c; c++) {
            hex[i] = *c;
            assert_int_equal(rb_sha_parse(hex, sum), RB_EINVAL);
        }
        hex[i] = 'a';
    }
    hex[63] = '\0';
    assert_int_equal(rb_sha_parse(hex, sum), RB_EINVAL);
    memset(hex, 'a', 65);
    hex[65] = '\0';
    assert_int_equal(rb_sha_parse(hex, sum), RB_EINVAL);
    assert_int_equal(rb_sha_parse("", sum), RB_EINVAL);
}

/* -- clocks -------------------------------------------------------------------------------------------------------- */

static void times_as_text(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {-1000000, "1969-12-31T23:59:59.000000Z"},
        {951827696000000, "2000-02-29T12:34:56.000000Z"},
        {2147483648000000, "2038-01-19T03:14:08.000000Z"},
        {4107542399999999, "2100-02-28T23:59:59.999999Z"},
        {4107542400000000, "2100-03-01T00:00:00.000000Z"},
        {253402300799000000, "9999-12-31T23:59:59.000000Z"},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        char out[32];
        rb_clock_format(rows[i].us, out);
        assert_string_equal(out, rows[i].text);
    }
    char out[32];
    rb_clock_format(INT64_MAX, out);
    assert_string_equal(out, "294247-01-10T04:00:54.775807Z");
    rb_clock_format(INT64_MIN, out);
    assert_string_equal(out, "-290308-12-21T19:59:05.224192Z");
}

static void spans_as_text(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {-5, "0ms"},
        {0, "0ms"},
        {999, "0ms"},
        {1000, "1ms"},
        {999999, "999ms"},
        {1000000, "1.0s"},
        {1299999, "1.2s"},
        {59999999, "59.9s"},
        {60000000, "1m00s"},
        {184000000, "3m04s"},
        {3599999999, "59m59s"},
        {3600000000, "1h00m"},
        {7500000000, "2h05m"},
        {86399999999, "23h59m"},
        {86400000000, "1d00h"},
        {INT64_MAX, "106751991d04h"},
        {INT64_MIN, "0ms"},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        char out[16];
        rb_clock_span(rows[i].us, out);
        assert_string_equal(out, rows[i].text);
    }
}

static void clocks_go_on(void **state)
{
    (void)state;
    int64_t boot = rb_clock_boot(), cpu = rb_clock_thread_cpu();
    assert_true(rb_clock_wall() > 1600000000000000);
    volatile unsigned work = 0;
    while (rb_clock_thread_cpu() == cpu)
        work = work + 1;
    assert_true(rb_clock_thread_cpu() > cpu);
    assert_true(rb_clock_boot() > boot);
}

/* -- the nearest word ---------------------------------------------------------------------------------------------- */

static void distances(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int slips;
    } rows[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"abc", "abc", 0},
        {"abc", "abd", 1},
        {"abc", "ab", 1},
        {"abc", "abcd", 1},
        {"abc", "acb", 1}, /* neighbours swapped */
        {"ca", "abc", 3},  /* swapped and then parted: each place changes once */
        {"kitten", "sitting", 3},
        {"time", "TIME", 2}, /* four halves */
        {"time", "Time", 1},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        assert_int_equal(rb_nearest_distance(rows[i].a, rows[i].b), rows[i].slips);
        assert_int_equal(rb_nearest_distance(rows[i].b, rows[i].a), rows[i].slips);
    }
    char longer[66], same[66];
    memset(longer, 'a', 65);
    longer[65] = '\0';
    memcpy(same, longer, sizeof same);
    assert_int_equal(rb_nearest_distance(longer, same), 65); /* beyond 64 bytes: very far */
    longer[64] = same[64] = '\0';
    assert_int_equal(rb_nearest_distance(longer, same), 0);
    same[0] = 'b';
    assert_int_equal(rb_nearest_distance(longer, same), 1);
}

static void nearest_words(void **state)
{
    (void)state;
    static const char *const words[] = {"timeout", "title", "read", "cwd", "env", "Env", "idempotent", "a"};
    static const char *const rows[][2] = {
        {"tmeout", "timeout"},
        {"timeuot", "timeout"},
        {"TIMEOUT", NULL},
        {"titel", "title"},
        {"raed", "read"},
        {"reed", "read"},
        {"rd", NULL},
        {"cdw", "cwd"},
        {"xyz", NULL},
        {"", NULL},
        {"b", NULL},
        {"A", "a"},
        {"env", "env"},
        {"ENV", "Env"},
        {"indempotnet", "idempotent"},
        {"nothing", NULL},
    };
    for (size_t i = 0; i < RB_COUNT(rows); i++) {
        const char *found = rb_nearest(rows[i][0], words, RB_COUNT(words));
        if (!rows[i][1] != !found || (found && strcmp(found, rows[i][1]) != 0))
            fail_msg("\"%s\": %s, not %s", rows[i][0], found ? found : "none", rows[i][1] ? rows[i][1] : "none");
    }
    assert_null(rb_nearest("x", words, 0));
    static const char *const equals[] = {"bat", "cat"};
    assert_ptr_equal(rb_nearest("rat", equals, 2), equals[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_texts),
        cmocka_unit_test(long_error_texts_are_cut),
        cmocka_unit_test(allocation),
        cmocka_unit_test(the_end_for_lack_of_memory),
        cmocka_unit_test(lists),
        cmocka_unit_test(digests),
        cmocka_unit_test(what_is_no_digest),
        cmocka_unit_test(times_as_text),
        cmocka_unit_test(spans_as_text),
        cmocka_unit_test(clocks_go_on),
        cmocka_unit_test(distances),
        cmocka_unit_test(nearest_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
