/* What the tests of ssh's driver share: a lab of hosts (tests/sshd.py), commands there, and waiting for their ends with
 * the loop running. */
#ifndef RB_TEST_SSH_FIXTURE_H
#define RB_TEST_SSH_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/clock.h"
#include "io/ssh.h"
#include "io/timer.h"

#define HOSTS 40

static struct rb_loop loop;
static int waiting; /* ends that have not come */
static int fds_before;

static int lab_pid;
static FILE *to_lab, *from_lab;
static char lab_config[256], lab_dir[256], lab_other_key[300];
static int lab_port;

/* -- the lab ------------------------------------------------------------------------------------------------------- */

static inline json_t *lab_line(void)
{
    char line[65536];
    if (!fgets(line, sizeof(line), from_lab))
        fail_msg("tests/sshd.py has ended");
    json_t *said = json_loads(line, 0, NULL);
    assert_non_null(said);
    return said;
}

/* One of its verbs; the number that came back, or how many of a list. */
static inline long RB_PRINTF(1, 2) lab(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(to_lab, fmt, ap);
    va_end(ap);
    fputc('\n', to_lab);
    fflush(to_lab);
    json_t *said = lab_line();
    if (json_object_get(said, "error"))
        fail_msg("%s: %s", fmt, json_string_value(json_object_get(said, "error")));
    json_t *ok = json_object_get(said, "ok");
    long n = json_is_array(ok) ? (long)json_array_size(ok) : (long)json_integer_value(ok);
    json_decref(said);
    return n;
}

static inline int start_lab(void)
{
    struct rb_err err;
    if (rb_loop_init(&loop, &err) || rb_loop_release(&loop)) /* what libuv opens once for good */
        return -1;
    int in[2], out[2];
    char hosts[16];
    const char *tmp = getenv("TMPDIR");
    snprintf(lab_dir, sizeof(lab_dir), "%s/lab.%d", tmp ? tmp : "/tmp", (int)getpid());
    snprintf(hosts, sizeof(hosts), "%d", HOSTS);
    if (pipe(in) || pipe(out))
        return -1;
    lab_pid = fork();
    if (lab_pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", "tests/sshd.py", lab_dir, hosts, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    to_lab = fdopen(in[1], "w");
    from_lab = fdopen(out[0], "r");
    json_t *said = lab_line();
    snprintf(lab_config, sizeof(lab_config), "%s", json_string_value(json_object_get(said, "config")));
    snprintf(lab_other_key, sizeof(lab_other_key), "%s/id_other", lab_dir);
    lab_port = (int)json_integer_value(json_object_get(said, "port"));
    json_decref(said);
    return 0;
}

static inline int stop_lab(void **state)
{
    (void)state;
    int status = 0;
    fclose(to_lab);
    fclose(from_lab);
    waitpid(lab_pid, &status, 0);
    return status;
}

/* -- commands ------------------------------------------------------------------------------------------------------ */

static inline int count_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static inline int setup(void **state)
{
    (void)state;
    struct rb_err err;
    fds_before = count_fds();
    waiting = 0;
    return rb_loop_init(&loop, &err);
}

static inline int teardown(void **state)
{
    (void)state;
    assert_int_equal(rb_loop_release(&loop), 0);
    assert_int_equal(count_fds(), fds_before);
    return 0;
}

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
    if (--waiting == 0)
        rb_loop_stop(&loop);
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
