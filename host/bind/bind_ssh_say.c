/* Owns one request to a host in a session of its own: what is asked about the machine, what is told to the shell there
 * besides the command that an op is about. Knows no op. */
#include <stdlib.h>
#include <string.h>

#include "bind/bind_ssh.h"
#include "io/timer.h"

#define ANSWER_MAX ((size_t)256 << 10)
#define DRAIN_MS 2000
#define ANSWER_MS 120000 /* once its session is open */

struct ssh_say {
    struct rb_ssh *session;
    void (*fn)(void *arg, const struct ssh_said *said); /* NULL: nobody waits */
    void *arg;
    struct rb_timer limit;
    uint64_t limit_ms;
    bool late;
};

static void on_limit(struct rb_timer *t)
{
    struct ssh_say *s = RB_CONTAINER(t, struct ssh_say, limit);
    s->late = true;
    rb_ssh_close(s->session);
}

static void on_opened(void *arg)
{
    struct ssh_say *s = arg;
    rb_timer_arm_ms(&s->limit, s->limit_ms);
}

static void on_done(void *arg, struct rb_ssh_result *r)
{
    struct ssh_say *s = arg;
    struct ssh_said said = {.ran = r->end == RB_SSH_EXITED,
                            .late = s->late && r->end == RB_SSH_CLOSED,
                            .code = r->code,
                            .why = r->why,
                            .text = r->text,
                            .out = rb_buf_text(&r->out.buf),
                            .out_len = r->out.buf.len};
    struct rb_buf line;
    rb_timer_disarm(&s->limit);
    rb_buf_init(&line, 300);
    if (said.ran && said.code) { /* what the shell says stands on its error output */
        char last[256];
        rb_capture_last_line(&r->out.buf, &r->err.buf, last, sizeof(last));
        rb_buf_addf(&line, "exit code %d%s%s", said.code, last[0] ? ": " : "", last);
        said.text = rb_buf_text(&line);
    }
    if (s->fn)
        s->fn(s->arg, &said);
    rb_buf_release(&line);
    free(s);
}

struct ssh_say *rb_ssh_say(struct rb_loop *loop, const struct rb_ssh_target *target, struct rb_far_request *r,
                           void (*fn)(void *arg, const struct ssh_said *said), void *arg, struct rb_err *err)
{
    struct ssh_say *s = rb_alloc(sizeof(*s));
    s->fn = fn;
    s->arg = arg;
    s->limit_ms = ANSWER_MS;
    rb_timer_init(&s->limit, loop, on_limit);
    struct rb_ssh_options opt = {.target = *target,
                                 .command = rb_buf_text(&r->command),
                                 .stdin_data = rb_buf_text(&r->input),
                                 .stdin_len = r->input.len,
                                 .stdin_fd = -1,
                                 .stdout_fd = -1,
                                 .max_output = ANSWER_MAX,
                                 .drain_ms = DRAIN_MS,
                                 .on_opened = on_opened,
                                 .on_done = on_done,
                                 .arg = s};
    int rc = rb_ssh_start(loop, &opt, &s->session, err);
    rb_far_request_release(r);
    if (!rc)
        return s;
    free(s);
    return NULL;
}

void rb_ssh_say_within(struct ssh_say *s, uint64_t ms)
{
    s->limit_ms = ms;
}

void rb_ssh_say_leave(struct ssh_say *s)
{
    s->fn = NULL;
}

void rb_ssh_say_drop(struct ssh_say *s)
{
    s->fn = NULL;
    rb_ssh_close(s->session);
}
