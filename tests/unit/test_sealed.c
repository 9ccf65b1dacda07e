/* Secrets encrypted in the journal: they open where they were closed, and nowhere else; the key is made once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core.h"
#include "engine/sealed.h"

struct fixture {
    struct rb_host host;
    struct rb_run run;
    char dir[64], path[128];
};

static int up(void **state)
{
    struct fixture *f = rb_alloc(sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/rb-sealed-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/a/b/secret.key", f->dir);
    f->host.secret_key = f->path;
    f->run.host = &f->host;
    snprintf(f->run.id, sizeof(f->run.id), "run-one");
    *state = f;
    return 0;
}

static int down(void **state)
{
    struct fixture *f = *state;
    char command[200];
    rb_sealed_forget_key(&f->host);
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void closes(struct fixture *f, const char *text, size_t n, struct rb_buf *out)
{
    struct rb_err err;
    rb_buf_init(out, 1 << 20);
    assert_int_equal(rb_sealed_close(&f->run, "step/3", "name", text, n, out, &err), RB_OK);
}

/* Opens it as something else says it is; gives the status. */
static int opens(struct fixture *f, const char *id, const char *key, const char *name, const struct rb_buf *sealed,
                 const char *want, struct rb_err *err)
{
    struct rb_buf text;
    char real[RB_RUN_ID_MAX];
    memcpy(real, f->run.id, sizeof(real));
    snprintf(f->run.id, sizeof(f->run.id), "%s", id);
    rb_buf_init(&text, 1 << 20);
    int rc = rb_sealed_open(&f->run, key, name, rb_buf_text(sealed), sealed->len, &text, err);
    if (!rc)
        assert_string_equal(rb_buf_text(&text), want);
    else
        assert_int_equal(text.len, 0);
    rb_buf_release(&text);
    memcpy(f->run.id, real, sizeof(real));
    return rc;
}

static void opens_where_it_was_closed(void **state)
{
    struct fixture *f = *state;
    struct rb_buf a, b;
    struct rb_err err;
    closes(f, "hunter22", 8, &a);
    closes(f, "hunter22", 8, &b);
    assert_string_not_equal(rb_buf_text(&a), rb_buf_text(&b)); /* a nonce of its own */
    assert_null(strstr(rb_buf_text(&a), "hunter22"));
    assert_int_equal(opens(f, "run-one", "step/3", "name", &a, "hunter22", &err), RB_OK);
    assert_int_equal(opens(f, "run-one", "step/3", "name", &b, "hunter22", &err), RB_OK);
    rb_buf_release(&a);
    rb_buf_release(&b);
    closes(f, "", 0, &a);
    assert_int_equal(opens(f, "run-one", "step/3", "name", &a, "", &err), RB_OK);
    rb_buf_release(&a);
}

static void does_not_open_elsewhere(void **state)
{
    struct fixture *f = *state;
    struct rb_buf a;
    struct rb_err err;
    closes(f, "hunter22", 8, &a);
    assert_int_equal(opens(f, "run-two", "step/3", "name", &a, "", &err), RB_ECORRUPT);
    assert_int_equal(opens(f, "run-one", "step/4", "name", &a, "", &err), RB_ECORRUPT);
    assert_int_equal(opens(f, "run-one", "step/3", "other", &a, "", &err), RB_ECORRUPT);
    assert_int_equal(opens(f, "run-one", "step/3name", "", &a, "", &err), RB_ECORRUPT);
    assert_non_null(strstr(err.msg, "changed, or moved"));
    rb_buf_release(&a);
}

static void any_change_is_found(void **state)
{
    struct fixture *f = *state;
    struct rb_buf a;
    struct rb_err err;
    closes(f, "hunter22", 8, &a);
    for (size_t i = 0; i < a.len; i++) {
        char was = a.data[i];
        a.data[i] = was == 'A' ? 'B' : 'A';
        assert_true(opens(f, "run-one", "step/3", "name", &a, "", &err) < 0);
        a.data[i] = was;
    }
    for (size_t n = a.len; n--;) {
        a.len = n;
        assert_true(opens(f, "run-one", "step/3", "name", &a, "", &err) < 0);
    }
    rb_buf_release(&a);
}

static void a_wrong_or_missing_key_is_named(void **state)
{
    struct fixture *f = *state;
    struct rb_buf a;
    struct rb_err err;
    closes(f, "hunter22", 8, &a);
    rb_sealed_forget_key(&f->host);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(opens(f, "run-one", "step/3", "name", &a, "", &err), RB_ENOENT);
    assert_non_null(strstr(err.msg, f->path));
    assert_int_equal(access(f->path, F_OK), -1); /* a resume makes none */
    assert_int_equal(rb_sealed_ready(&f->host, &err), RB_OK);
    assert_int_equal(opens(f, "run-one", "step/3", "name", &a, "", &err), RB_EINVAL);
    assert_non_null(strstr(err.msg, "another key"));
    assert_non_null(strstr(err.msg, f->path));
    rb_buf_release(&a);
}

static void a_key_file_is_checked(void **state)
{
    struct fixture *f = *state;
    struct rb_err err;
    struct stat st;
    assert_int_equal(rb_sealed_ready(&f->host, &err), RB_OK);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, RB_SEAL_KEY_LEN);
    rb_sealed_forget_key(&f->host);
    assert_int_equal(chmod(f->path, 0644), 0);
    assert_int_equal(rb_sealed_ready(&f->host, &err), RB_EINVAL);
    assert_non_null(strstr(err.msg, "chmod 600"));
    assert_int_equal(chmod(f->path, 0600), 0);
    assert_int_equal(truncate(f->path, 31), 0);
    assert_int_equal(rb_sealed_ready(&f->host, &err), RB_EINVAL);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(rb_sealed_ready(&f->host, &err), RB_EINVAL); /* and does not hang */
    f->host.secret_key = NULL;
    assert_int_equal(rb_sealed_ready(&f->host, &err), RB_ENOENT);
}

static void make(struct rb_host *h)
{
    struct rb_err err;
    assert_int_equal(rb_sealed_ready(h, &err), RB_OK);
}

/* Processes that need it at the same time end with one key. */
static void who_comes_second_takes_the_first_ones_key(void **state)
{
    struct fixture *f = *state;
    struct rb_host other = {.secret_key = f->path};
    make(&f->host);
    make(&other);
    assert_memory_equal(f->host.seal_key, other.seal_key, RB_SEAL_KEY_LEN);
    rb_sealed_forget_key(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opens_where_it_was_closed, up, down),
        cmocka_unit_test_setup_teardown(does_not_open_elsewhere, up, down),
        cmocka_unit_test_setup_teardown(any_change_is_found, up, down),
        cmocka_unit_test_setup_teardown(a_wrong_or_missing_key_is_named, up, down),
        cmocka_unit_test_setup_teardown(a_key_file_is_checked, up, down),
        cmocka_unit_test_setup_teardown(who_comes_second_takes_the_first_ones_key, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
