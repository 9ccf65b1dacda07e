/* What the tests of ssh's driver share: a lab of hosts (tests/sshd.py), commands there, and waiting for their ends with
 * the loop running. */
#ifndef RB_TEST_SSH_FIXTURE_H
#define RB_TEST_SSH_FIXTURE_H

#include <signal.h>

#include "base/clock.h"
#include "io/ssh.h"
#include "io/timer.h"
#include "loop_fixture.h"
#include "part_fixture.h"

#define HOSTS 40

static char lab_config[256], lab_dir[256], lab_other_key[300];
static int lab_port;

/* -- the lab ------------------------------------------------------------------------------------------------------- */

/* One of its verbs; the number that came back, or how many of a list. */
#define lab(...) lab_number(ask_part(__VA_ARGS__))

static inline long lab_number(json_t *said)
{
    json_t *ok = json_object_get(said, "ok");
    long n = json_is_array(ok) ? (long)json_array_size(ok) : (long)json_integer_value(ok);
    json_decref(said);
    return n;
}

static inline int start_lab(void **state)
{
    char hosts[16];
    const char *const argv[] = {"tests/sshd.py", lab_dir, hosts, NULL}, *tmp = getenv("TMPDIR");
    if (first_loop(state))
        return -1;
    snprintf(lab_dir, sizeof(lab_dir), "%s/lab.%d", tmp ? tmp : "/tmp", (int)getpid());
    snprintf(hosts, sizeof(hosts), "%d", HOSTS);
    json_t *said = start_part(argv);
    if (!said)
        return -1;
    snprintf(lab_config, sizeof(lab_config), "%s", json_string_value(json_object_get(said, "config")));
    snprintf(lab_other_key, sizeof(lab_other_key), "%s/id_other", lab_dir);
    lab_port = (int)json_integer_value(json_object_get(said, "port"));
    json_decref(said);
    return 0;
}

/* -- commands ------------------------------------------------------------------------------------------------------ */

/* One command of a test and, after its end, what is known of it. */
struct far {
    struct rb_ssh *ssh;
    int opened, done;
    struct rb_ssh_result r; /* the captures' buffers are copied to out and err, the text to text */
    char *out, *err;
    size_t out_len;
    char text[512];
    uint64_t live[3];
    bool close_on_opened, close_on_output, stop_on_opened;
};

static inline void on_opened(void *arg)
{
    struct far *f = arg;
    f->opened++;
    assert_int_equal(f->done, 0);
    if (f->stop_on_opened)
        rb_loop_stop(&loop);
    if (f->close_on_opened)
        rb_ssh_close(f->ssh);
}

static inline void on_output(void *arg, int stream, const char *data, size_t len)
{
    struct far *f = arg;
    (void)data;
    f->live[stream] += len;
    if (f->close_on_output)
        rb_ssh_close(f->ssh);
}

static inline void on_done(void *arg, struct rb_ssh_result *result)
{
    struct far *f = arg;
    f->done++;
    rb_ssh_close(f->ssh); /* more often is harmless */
    f->r = *result;
    snprintf(f->text, sizeof(f->text), "%s", result->text);
    f->out_len = result->out.buf.len;
    f->out = rb_buf_detach(&result->out.buf);
    f->err = rb_buf_detach(&result->err.buf);
    one_has_ended();
}

static inline struct rb_ssh_options options(struct far *f, const char *host, const char *command)
{
    *f = (struct far){0};
    return (struct rb_ssh_options){
        .target = {.host = host, .config = lab_config},
        .command = command,
        .max_output = 1 << 20,
        .drain_ms = 60000,
        .on_opened = on_opened,
        .on_output = on_output,
        .on_done = on_done,
        .arg = f,
    };
}

static inline void start(struct far *f, const struct rb_ssh_options *opt)
{
    struct rb_err err = {0};
    int rc = rb_ssh_start(&loop, opt, &f->ssh, &err);
    assert_string_equal(err.msg, "");
    assert_int_equal(rc, RB_OK);
    assert_int_equal(f->done, 0);
    waiting++;
}

static inline void start_simple(struct far *f, const char *host, const char *command)
{
    struct rb_ssh_options opt = options(f, host, command);
    start(f, &opt);
}

static inline void run_with(struct far *f, const struct rb_ssh_options *opt)
{
    start(f, opt);
    rb_loop_run(&loop);
    assert_int_equal(f->done, 1);
}

static inline void run(struct far *f, const char *host, const char *command)
{
    struct rb_ssh_options opt = options(f, host, command);
    run_with(f, &opt);
}

/* Started, and back when its session is open. */
static inline void open_session(struct far *f, const char *host, const char *command)
{
    struct rb_ssh_options opt = options(f, host, command);
    f->stop_on_opened = true;
    start(f, &opt);
    rb_loop_run(&loop);
    assert_int_equal(f->opened, 1);
    assert_int_equal(f->done, 0);
}

static inline void drop(struct far *f)
{
    free(f->out);
    free(f->err);
}

/* How it ended, with all that says why where it is another end than was meant. */
static inline void ends(const struct far *f, enum rb_ssh_end end, enum rb_ssh_why why)
{
    if (f->r.end != end || f->r.why != why)
        fail_msg("end %d, why %s: %s (out %s, err %s); wanted end %d, why %s", f->r.end, rb_ssh_why_name(f->r.why),
                 f->text, f->out, f->err, end, rb_ssh_why_name(why));
}

#endif
