/* What the tests of io/proc.c and io/proc_spawn.c share: a child, its run, and the look for what it left behind. */
#ifndef RB_TEST_PROC_CHILD_H
#define RB_TEST_PROC_CHILD_H

#include <signal.h>

#include "io/proc.h"
#include "loop_fixture.h"

#define ENV_PATH "PATH=/usr/local/bin:/usr/bin:/bin"

/* One child of a test and, after its end, what is known of it. */
struct child {
    struct rb_proc *proc;
    int pid;
    int done;
    struct rb_proc_result r; /* the captures' buffers are copied to out and err */
    char *out, *err;
    size_t out_len, err_len;
    uint64_t live[3];
    enum { NEVER, KILL, KILL_NOW, BOTH } on_first; /* what the first output makes us do */
    uint64_t kill_at;                              /* after so many bytes */
};

static const char *const plain_env[] = {ENV_PATH, "LC_ALL=C", NULL};

static inline int teardown(void **state)
{
    assert_no_child();
    return loop_teardown(state);
}

static inline void on_output(void *arg, int stream, const char *data, size_t len)
{
    struct child *c = arg;
    assert_non_null(data);
    assert_true(stream == 1 || stream == 2);
    c->live[stream] += len;
    if (c->on_first == NEVER || c->live[stream] < c->kill_at)
        return;
    if (c->on_first != KILL_NOW)
        rb_proc_kill(c->proc);
    if (c->on_first != KILL)
        rb_proc_kill_now(c->proc);
    rb_proc_kill(c->proc); /* more often is harmless */
}

static inline void on_done(void *arg, struct rb_proc_result *result)
{
    struct child *c = arg;
    c->done++;
    rb_proc_kill(c->proc);
    rb_proc_kill_now(c->proc);
    c->r = *result;
    c->out_len = result->out.buf.len;
    c->err_len = result->err.buf.len;
    c->out = rb_buf_detach(&result->out.buf);
    c->err = rb_buf_detach(&result->err.buf);
    one_has_ended();
}

static inline struct rb_proc_options options(struct child *c, const char *const *argv)
{
    *c = (struct child){.kill_at = 1};
    return (struct rb_proc_options){
        .argv = argv,
        .envp = plain_env,
        .max_output = 1 << 20,
        .grace_ms = 60000,
        .drain_ms = 60000,
        .on_output = on_output,
        .on_done = on_done,
        .arg = c,
    };
}

static inline void start(struct child *c, const struct rb_proc_options *opt)
{
    struct rb_err err = {0};
    int rc = rb_proc_start(&loop, opt, &c->proc, &err);
    assert_string_equal(err.msg, "");
    assert_int_equal(rc, RB_OK);
    c->pid = rb_proc_pid(c->proc);
    assert_true(c->pid > 1);
    assert_int_equal(c->done, 0);
    waiting++;
}

static inline void run(struct child *c, const struct rb_proc_options *opt)
{
    start(c, opt);
    rb_loop_run(&loop);
    assert_int_equal(c->done, 1);
    assert_true(c->r.ended >= c->r.started);
}

static inline void drop(struct child *c)
{
    free(c->out);
    free(c->err);
}

static inline void run_sh(struct child *c, const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct rb_proc_options opt = options(c, argv);
    run(c, &opt);
}

#define T(name) cmocka_unit_test_setup_teardown(name, loop_setup, teardown)

#endif
