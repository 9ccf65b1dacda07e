/* Owns one command's way through a master: the pipes whose far ends the master is given, its capture, and what its end
 * means. Knows nothing of other sessions.
 *
 *   WAITING -> ASKED -> OPEN --(a code)-----------------------------> ENDING --(end of file, or drain)--> ENDED
 *      ^          |       `--(none)-> DOUBTED --(master alive)------------^                                  ^
 *      |          |                      `------(not)-> LOSING --(master gone: ssh.c)------------------------|
 *      |          |--(gone without a word) -> LOSING                                                         |
 *      `----------'  (took nothing; refused)              rb_ssh_close() ------------------------------------'
 *
 * - Pipes, not socket pairs: ssh sees what it would see in a shell. The master makes its ends non-blocking, which are
 *   descriptions of their own.
 * - A session that ends without a code was ended by a signal, if the master is alive after it: one whose connection has
 *   gone serves nobody any more.
 * - A server that opens a session may still refuse to run the command. The master then writes one line, with the
 *   session's number, as if it were the command's own error output. */
#include "io/ssh_session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"

#define CHUNK 65536
#define CHUNKS_PER_TURN 8
#define CHUNKS_AT_THE_END 16
#define QUIET_MS 1000    /* between the code and more output lies the network; so long is silence */
#define HELD_US 30000000 /* after the code; then output that goes on is somebody else's */
#define ASK_AGAIN_MS 50
#define ANSWER_MS 10000 /* an alive check that takes longer was not answered */

/* -- memory, handles, descriptors ---------------------------------------------------------------------------------- */

static void maybe_free(struct rb_ssh *s)
{
    if (!s->unowned || s->handles || s->input.reading)
        return;
    rb_capture_release(&s->result.out);
    rb_capture_release(&s->result.err);
    rb_ssh_input_release(&s->input);
    free(s->command);
    free(s);
}

static void on_closed(uv_handle_t *h)
{
    struct rb_ssh *s = h->data;
    s->handles--;
    maybe_free(s);
}

static void close_stream(struct rb_ssh_stream *st)
{
    if (st->fd < 0)
        return;
    uv_close((uv_handle_t *)&st->poll, on_closed); /* forgets the descriptor at once; only the callback comes later */
    close(st->fd);
    st->fd = -1;
}

static void close_theirs(struct rb_ssh *s)
{
    for (int i = 0; i < 3; i++) {
        if (s->theirs[i] >= 0)
            close(s->theirs[i]);
        s->theirs[i] = -1;
    }
}

static void close_all(struct rb_ssh *s)
{
    if (s->mux)
        rb_mux_close(s->mux);
    s->mux = NULL;
    rb_timer_disarm(&s->drain);
    close_theirs(s);
    for (int i = 0; i < 3; i++)
        close_stream(&s->io[i]);
}

static int open_pipe(struct rb_ssh *s, int i, struct rb_err *err)
{
    int fds[2];
    struct rb_ssh_stream *st = &s->io[i];
    if (pipe2(fds, O_CLOEXEC))
        return rb_err_sys(err, RB_EIO, errno, "can not make a pipe for a command on another machine");
    s->theirs[i] = fds[i == 0 ? 0 : 1];
    int ours = fds[i == 0 ? 1 : 0];
    int rc = uv_poll_init(&s->loop->uv, &st->poll, ours); /* makes it non-blocking, too */
    if (rc) {
        close(ours);
        return rb_err_set(err, RB_EIO, "can not watch a command on another machine: %s", uv_strerror(rc));
    }
    st->poll.data = s;
    st->fd = ours;
    st->number = i;
    s->handles++;
    return RB_OK;
}

/* -- input and output ---------------------------------------------------------------------------------------------- */

static void settle(struct rb_ssh *s);

/* The command has ended and its session has not: output is on its way, or somebody over there still holds it open. */
static void wait_for_silence(struct rb_ssh *s)
{
    uint64_t ms = s->opt.drain_ms > QUIET_MS ? s->opt.drain_ms : QUIET_MS;
    if (!rb_timer_armed(&s->drain) || rb_clock_boot() - s->result.ended < HELD_US)
        rb_timer_arm_ms(&s->drain, ms);
}

static void on_writable(uv_poll_t *h, int status, int events)
{
    (void)events;
    struct rb_ssh *s = h->data;
    struct rb_ssh_stream *st = &s->io[0];
    enum rb_ssh_fed fed = status ? RB_SSH_FED_ALL : rb_ssh_input_feed(&s->input, st->fd);
    if (fed == RB_SSH_FED_ALL)
        close_stream(st);
    else if (fed == RB_SSH_FED_WAIT)
        uv_poll_stop(&st->poll);
}

static void on_input_read(struct rb_ssh_input *in)
{
    struct rb_ssh *s = RB_CONTAINER(in, struct rb_ssh, input);
    if (s->io[0].fd >= 0)
        uv_poll_start(&s->io[0].poll, UV_WRITABLE, on_writable);
    else
        maybe_free(s);
}

/* Reads until there is nothing more, at most `chunks` times, and closes the stream at its end of file. */
static void read_stream(struct rb_ssh *s, struct rb_ssh_stream *st, int chunks, int status)
{
    struct rb_capture *c = st->number == 1 ? &s->result.out : &s->result.err;
    char chunk[CHUNK];
    for (int i = 0; i < chunks && st->fd >= 0; i++) { /* who is told of output may let go of it all */
        ssize_t n = read(st->fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && status == 0)
            return;
        if (n <= 0) {
            close_stream(st);
            return;
        }
        rb_capture_add(c, chunk, (size_t)n);
        if (s->state == RB_SSH_OPEN && s->exited)
            wait_for_silence(s);
        if (s->opt.on_output)
            s->opt.on_output(s->opt.arg, st->number, chunk, (size_t)n);
    }
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    (void)events;
    struct rb_ssh *s = h->data;
    struct rb_ssh_stream *st = RB_CONTAINER(h, struct rb_ssh_stream, poll);
    read_stream(s, st, CHUNKS_PER_TURN, status);
    if (st->fd < 0)
        settle(s);
}

/* -- the end ------------------------------------------------------------------------------------------------------- */

/* Did the server refuse to run it? See above; the number is one that a command does not know. */
static bool is_exec_refused(const struct rb_ssh *s)
{
    char line[64];
    size_t n = (size_t)snprintf(line, sizeof(line), "exec request failed on channel %u", (unsigned)s->id);
    const struct rb_buf *said = &s->result.err.buf;
    return s->result.end == RB_SSH_SIGNALLED && s->result.out.total == 0 && said->len >= n && said->len <= n + 2 &&
           memcmp(said->data, line, n) == 0;
}

void rb_ssh_session_end(struct rb_ssh *s, enum rb_ssh_end end, enum rb_ssh_why why, const char *text)
{
    if (s->state == RB_SSH_ENDED)
        return;
    close_all(s);
    s->state = RB_SSH_ENDED;
    s->result.end = end;
    s->result.why = why;
    if (text != s->text)
        snprintf(s->text, sizeof(s->text), "%s", text);
    if (!s->result.ended)
        s->result.ended = rb_clock_boot();
    s->watcher->on_ended(s);
}

/* Its session has ended and both outputs are at their end, or nobody waits for that any more. */
static void finish(struct rb_ssh *s)
{
    if (is_exec_refused(s))
        rb_ssh_session_end(s, RB_SSH_NOT_STARTED, RB_SSH_WHY_SESSION, "the server opens a session and runs no command");
    else
        rb_ssh_session_end(s, s->result.end, RB_SSH_WHY_NONE, "");
}

static void settle(struct rb_ssh *s)
{
    if (s->state == RB_SSH_ENDING && s->io[1].fd < 0 && s->io[2].fd < 0)
        finish(s);
}

static void wait_for_output(struct rb_ssh *s)
{
    if (!rb_timer_armed(&s->drain))
        rb_timer_arm_ms(&s->drain, s->opt.drain_ms);
}

static void session_over(struct rb_ssh *s, enum rb_ssh_end end)
{
    rb_timer_disarm(&s->drain);
    s->state = RB_SSH_ENDING;
    s->result.end = end;
    if (!s->exited)
        s->result.ended = rb_clock_boot();
    rb_fault_point("ssh.ended");
    s->watcher->on_ended(s);
    wait_for_output(s);
    settle(s);
}

static void lose(struct rb_ssh *s)
{
    rb_timer_disarm(&s->drain);
    s->state = RB_SSH_LOSING;
    s->result.ended = rb_clock_boot();
    s->watcher->on_losing(s);
}

static void on_answer(void *arg, enum rb_mux_end end, int code, const char *text)
{
    struct rb_ssh *s = arg;
    (void)code;
    (void)text;
    s->mux = NULL;
    if (end == RB_MUX_ALIVE)
        session_over(s, RB_SSH_SIGNALLED);
    else
        lose(s);
}

/* It has ended without a code. */
static void doubt(struct rb_ssh *s)
{
    struct rb_err err;
    struct rb_mux_options ask = {.on_end = on_answer, .arg = s};
    int rc = RB_ENOENT;
    s->state = RB_SSH_DOUBTED;
    if (s->master) {
        ask.path = s->master->path;
        rc = rb_mux_start(s->loop, &ask, &s->mux, &err);
    }
    if (rc == RB_ENOENT)
        lose(s);
    else if (rc) /* too many ask, or too many descriptors are open: that says nothing of the master */
        rb_timer_arm_ms(&s->drain, ASK_AGAIN_MS);
    else
        rb_timer_arm_ms(&s->drain, ANSWER_MS);
}

static void on_drain(struct rb_timer *t)
{
    struct rb_ssh *s = RB_CONTAINER(t, struct rb_ssh, drain);
    if (s->state == RB_SSH_DOUBTED && !s->mux) {
        doubt(s);
        return;
    }
    if (s->state == RB_SSH_DOUBTED) {
        rb_mux_close(s->mux);
        s->mux = NULL;
        lose(s);
        return;
    }
    for (int i = 1; i < 3; i++) {
        if (s->io[i].fd >= 0) /* what was written before its end is in the pipe, and is its output */
            read_stream(s, &s->io[i], CHUNKS_AT_THE_END, 0);
        if (s->io[i].fd >= 0)
            s->result.held_open = true;
    }
    if (s->state == RB_SSH_OPEN && s->exited) { /* who still holds the output over there keeps it */
        s->result.end = RB_SSH_EXITED;
        finish(s);
    } else if (s->state == RB_SSH_ENDING) {
        finish(s);
    }
}

/* -- the talk with the master -------------------------------------------------------------------------------------- */

static void on_opened(void *arg, uint32_t id)
{
    struct rb_ssh *s = arg;
    close_theirs(s);
    rb_fault_point("ssh.opened");
    s->state = RB_SSH_OPEN;
    s->id = id;
    s->result.started = rb_clock_boot();
    if (s->master)
        s->master->used = true;
    for (int i = 1; i < 3; i++)
        if (s->io[i].fd >= 0)
            uv_poll_start(&s->io[i].poll, UV_READABLE, on_readable);
    if (s->io[0].fd >= 0)
        uv_poll_start(&s->io[0].poll, UV_WRITABLE, on_writable);
    if (s->opt.on_opened)
        s->opt.on_opened(s->opt.arg);
}

static void on_exit_code(void *arg, int code)
{
    struct rb_ssh *s = arg;
    s->exited = true;
    s->result.code = code;
    s->result.ended = rb_clock_boot();
    wait_for_silence(s);
}

static void on_end(void *arg, enum rb_mux_end end, int code, const char *text)
{
    struct rb_ssh *s = arg;
    (void)code;
    s->mux = NULL;
    close_theirs(s);
    switch (end) {
    case RB_MUX_EXITED: session_over(s, RB_SSH_EXITED); return;
    case RB_MUX_CLOSED: doubt(s); return;
    case RB_MUX_UNSURE: lose(s); return;
    case RB_MUX_DENIED: rb_ssh_session_end(s, RB_SSH_NOT_STARTED, RB_SSH_WHY_SESSION, text); return;
    case RB_MUX_REFUSED:
        close_all(s);
        s->state = RB_SSH_WAITING;
        s->watcher->on_refused(s, text);
        return;
    default:
        close_all(s);
        s->state = RB_SSH_WAITING;
        s->watcher->on_unreached(s);
        return;
    }
}

int rb_ssh_session_begin(struct rb_ssh *s, int null_fd, struct rb_err *err)
{
    struct rb_mux_options ask = {
        .path = s->master->path,
        .command = s->command,
        .fds = {null_fd, s->opt.stdout_fd, -1},
        .on_opened = on_opened,
        .on_exit = on_exit_code,
        .on_end = on_end,
        .arg = s,
    };
    int rc = RB_OK;
    if (s->has_input)
        rc = open_pipe(s, 0, err);
    if (!rc && s->opt.stdout_fd <= 2)
        rc = open_pipe(s, 1, err);
    if (!rc)
        rc = open_pipe(s, 2, err);
    for (int i = 0; i < 3; i++)
        if (s->theirs[i] >= 0)
            ask.fds[i] = s->theirs[i];
    if (!rc)
        rc = rb_mux_start(s->loop, &ask, &s->mux, err);
    if (rc) {
        close_all(s);
        return rc;
    }
    s->state = RB_SSH_ASKED;
    if (rb_mux_is_sent(s->mux))
        close_theirs(s);
    return RB_OK;
}

/* -- birth and death ----------------------------------------------------------------------------------------------- */

struct rb_ssh *rb_ssh_session_new(struct rb_loop *loop, const struct rb_ssh_options *opt,
                                  const struct rb_ssh_watcher *watcher)
{
    struct rb_ssh *s = rb_alloc(sizeof(*s));
    s->loop = loop;
    s->watcher = watcher;
    s->opt = *opt;
    s->opt.stdin_data = NULL;
    s->opt.command = NULL;
    memset(&s->opt.target, 0, sizeof(s->opt.target));
    s->command = rb_strdup(opt->command);
    rb_list_init(&s->link);
    for (int i = 0; i < 3; i++)
        s->theirs[i] = s->io[i].fd = -1;
    s->input.on_read = on_input_read;
    s->has_input =
        rb_ssh_input_init(&s->input, loop, opt->stdin_data, opt->stdin_len, opt->stdin_fd > 2 ? opt->stdin_fd : -1);
    rb_timer_init(&s->drain, loop, on_drain);
    rb_capture_init(&s->result.out, opt->max_output);
    rb_capture_init(&s->result.err, opt->max_output);
    s->result.text = s->text;
    return s;
}

void rb_ssh_session_done(struct rb_ssh *s)
{
    rb_capture_end(&s->result.out);
    rb_capture_end(&s->result.err);
    s->result.stdin_short = s->result.started && rb_ssh_input_left(&s->input);
    s->opt.on_done(s->opt.arg, &s->result);
    s->unowned = true;
    maybe_free(s);
}

void rb_ssh_session_drop(struct rb_ssh *s)
{
    close_all(s);
    rb_list_remove(&s->link);
    if (s->state != RB_SSH_ENDED) { /* whoever waits for it has something to free */
        s->result.end = RB_SSH_CLOSED;
        s->result.why = RB_SSH_WHY_NONE;
        s->state = RB_SSH_ENDED;
    }
    rb_ssh_session_done(s);
}
