/* Owns one command that leaves a receipt: started here, or found again after a crash; how it is followed, ended, let
 * go, and what came of it. What a receipt is and why it can be believed: host/shim/shim.c.
 *
 *   start -> reports of the shim --(the last one)-----------------> on_done -> free
 *               | it is gone without one
 *               v
 *   look --> consider() --> ended, absent, unknown, elsewhere ----> on_done -> free
 *               |  ^
 *               v  | it has ended (pidfd)
 *            watch the shim, or the command when the shim is gone
 *
 * - The files are the truth. Reports of the shim only say when to look at them, and spare the reading of the last line.
 * - A live command and one found again are followed in the same way: by reading on in its files.
 * - on_done is called from a callback of the loop only. Reading a file of the receipt does not count as blocking: what
 *   is there was written a moment ago, and its size has a cap. */
#include "io/receipt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/fault.h"
#include "io/receipt_files.h"
#include "io/receipt_launch.h"
#include "io/timer.h"
#include "shim/shim.h"

#define CHUNK 65536
#define AGAIN_MS 250 /* nothing tells us: no descriptor to be had, no inotify */

struct rb_receipt {
    struct rb_receipts *r;
    struct rb_loop *loop;
    char *id;
    bool found;          /* by a look; else started here */
    bool same_place;     /* this boot: its processes can be asked for */
    int fd;              /* the shim's reports, or a process by pidfd; -1 */
    uv_poll_t poll;      /* open as long as fd */
    uv_fs_event_t files; /* of the receipt's folder, while somebody watches */
    bool watching_files;
    struct rb_timer again; /* look again, from the loop */
    struct rb_timer grace; /* of a command without a shim */
    int holds;             /* open handles, and callbacks at work; the last one frees the receipt */
    bool finished;         /* on_done was called, or it was let go */
    bool unowned;          /* and has returned: only holds keep it */

    pid_t shim;     /* our child, while it reports; 0 */
    long pid;       /* of the command, 0: not known */
    bool orphan;    /* the command has lost its shim: fd is its own pidfd */
    bool stop, now; /* it was told to end; whoever is found later is told, too */
    uint64_t grace_ms;
    struct rb_receipt_program program;
    struct rb_buf reports; /* what has not come whole */

    int file[2];      /* out, err; -1 */
    uint64_t read[2]; /* bytes of them that are in the result */
    void (*on_output)(void *arg, int stream, const char *data, size_t len);
    void (*on_done)(void *arg, struct rb_receipt_result *result);
    void *arg;
    struct rb_receipt_result result;
};

static void consider(struct rb_receipt *c);

/* -- memory and handles -------------------------------------------------------------------------------------------- */

static void maybe_free(struct rb_receipt *c)
{
    if (!c->unowned || c->holds)
        return;
    rb_buf_release(&c->result.proc.out.buf);
    rb_buf_release(&c->result.proc.err.buf);
    rb_buf_release(&c->reports);
    free(c->program.path);
    free(c->program.cwd);
    free(c->id);
    free(c);
}

/* Each callback of the loop holds the receipt while it works with it: what it calls back may let go of it. */
static void hold(struct rb_receipt *c)
{
    c->holds++;
}

static void release(struct rb_receipt *c)
{
    c->holds--;
    maybe_free(c);
}

static void on_files_closed(uv_handle_t *h)
{
    release(h->data);
}

/* What was watched has ended, and the handle is free for what is found now. */
static void on_poll_closed(uv_handle_t *h)
{
    struct rb_receipt *c = h->data;
    if (!c->finished)
        consider(c);
    release(c);
}

/* Takes fd: on failure it is closed. */
static int watch(struct rb_receipt *c, int fd, uv_poll_cb cb)
{
    int rc = uv_poll_init(&c->loop->uv, &c->poll, fd);
    if (rc) {
        close(fd);
        return rc;
    }
    c->poll.data = c;
    c->fd = fd;
    hold(c);
    uv_poll_start(&c->poll, UV_READABLE, cb);
    return RB_OK;
}

static void unwatch(struct rb_receipt *c)
{
    if (c->fd < 0)
        return;
    /* forgets the descriptor at once; only the callback comes later */
    uv_close((uv_handle_t *)&c->poll, on_poll_closed);
    close(c->fd);
    c->fd = -1;
}

/* Closes everything that could call back. */
static void let_go(struct rb_receipt *c)
{
    c->finished = true;
    rb_timer_disarm(&c->again);
    rb_timer_disarm(&c->grace);
    unwatch(c);
    if (c->watching_files)
        uv_close((uv_handle_t *)&c->files, on_files_closed);
    c->watching_files = false;
    for (int i = 0; i < 2; i++)
        if (c->file[i] >= 0)
            close(c->file[i]);
    c->file[0] = c->file[1] = -1;
}

/* The caller holds c. */
static void finish(struct rb_receipt *c, enum rb_receipt_state state)
{
    let_go(c);
    if (c->shim)
        rb_receipt_leave(c->r, c->shim, false);
    c->shim = 0;
    c->result.state = state;
    c->on_done(c->arg, &c->result);
    c->unowned = true;
}

static void finish_because(struct rb_receipt *c, enum rb_receipt_state state, const char *fmt, ...) RB_PRINTF(3, 4);
static void finish_because(struct rb_receipt *c, enum rb_receipt_state state, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->result.why, sizeof(c->result.why), fmt, ap);
    va_end(ap);
    finish(c, state);
}

/* -- output -------------------------------------------------------------------------------------------------------- */

static struct rb_capture *capture(struct rb_receipt *c, int stream)
{
    return stream ? &c->result.proc.err : &c->result.proc.out;
}

/* Reads on in the files, up to their end. */
static void follow(struct rb_receipt *c)
{
    char chunk[CHUNK], name[RB_RECEIPT_ID_MAX + 16];
    for (int i = 0; i < 2; i++) {
        if (c->file[i] < 0) {
            snprintf(name, sizeof(name), "%s/%s", c->id, i ? "err" : "out");
            c->file[i] = openat(c->r->root, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        }
        ssize_t n = 0;
        while (c->file[i] >= 0 && !c->finished &&
               (n = pread(c->file[i], chunk, sizeof(chunk), (off_t)c->read[i])) > 0) {
            c->read[i] += (uint64_t)n;
            rb_buf_add(&capture(c, i)->buf, chunk, (size_t)n);
            if (c->on_output)
                c->on_output(c->arg, i + 1, chunk, (size_t)n);
        }
    }
}

static bool lacks(const struct rb_receipt *c, const struct rb_receipt_end *end)
{
    return end->kept[0] > c->read[0] || end->kept[1] > c->read[1];
}

static void collect(struct rb_receipt *c, const struct rb_receipt_end *end)
{
    struct rb_proc_result *p = &c->result.proc;
    if (lacks(c, end))
        follow(c);
    if (c->finished)
        return;
    if (c->found && lacks(c, end)) { /* a script would take what is there for all that it said */
        finish_because(c, RB_RECEIPT_UNKNOWN,
                       "it has ended (%s %d), but its output is gone: swept after 7 days, or lost with the machine",
                       end->proc.signal ? "by signal" : "exit code",
                       end->proc.signal ? end->proc.signal : end->proc.code);
        return;
    }
    struct rb_capture out = p->out, err = p->err;
    *p = end->proc;
    p->out.buf = out.buf;
    p->err.buf = err.buf;
    for (int i = 0; i < 2; i++)
        if (capture(c, i)->buf.len < capture(c, i)->total)
            capture(c, i)->buf.cut = true;
    rb_fault_point("receipt.ended");
    finish(c, RB_RECEIPT_ENDED);
}

/* -- what the shim reports ----------------------------------------------------------------------------------------- */

static void refuse(struct rb_receipt *c, int step, int errnum)
{
    rb_receipt_explain(c->r, c->id, &c->program, step, errnum, &c->result.err);
    finish(c, RB_RECEIPT_REFUSED);
}

static void on_report(struct rb_receipt *c, const struct rb_shim_head *head, const char *data)
{
    struct rb_shim_failure failure;
    struct rb_receipt_end end;
    char line[RB_SHIM_REPORT_MAX];
    int32_t pid;
    switch ((enum rb_shim_kind)head->kind) {
    case RB_SHIM_STARTED:
        memcpy(&pid, data, sizeof(pid));
        c->pid = pid;
        break;
    case RB_SHIM_FAILED:
        memcpy(&failure, data, sizeof(failure));
        refuse(c, failure.step, failure.errnum);
        break;
    case RB_SHIM_MORE:
        if (c->on_output)
            follow(c);
        break;
    case RB_SHIM_BEYOND: /* the file has not this; before it comes everything that the file has */
        if (c->on_output)
            follow(c);
        if (c->on_output)
            c->on_output(c->arg, head->stream, data, head->len);
        break;
    case RB_SHIM_ENDED:
        memcpy(line, data, head->len);
        line[head->len] = '\0';
        if (rb_receipt_read_end(line, &end))
            collect(c, &end);
        break;
    }
}

static void take_reports(struct rb_receipt *c)
{
    struct rb_shim_head head;
    char data[RB_SHIM_REPORT_MAX];
    size_t at = 0;
    while (!c->finished && c->reports.len - at >= sizeof(head)) {
        memcpy(&head, c->reports.data + at, sizeof(head));
        if (c->reports.len - at - sizeof(head) < head.len)
            break;
        memcpy(data, c->reports.data + at + sizeof(head), head.len);
        at += sizeof(head) + head.len;
        on_report(c, &head, data);
    }
    memmove(c->reports.data, c->reports.data + at, c->reports.len - at);
    c->reports.len -= at;
}

static void on_reports(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    struct rb_receipt *c = h->data;
    char chunk[CHUNK];
    hold(c);
    ssize_t n = read(c->fd, chunk, sizeof(chunk));
    if (n > 0) {
        rb_buf_add(&c->reports, chunk, (size_t)n);
        take_reports(c);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) { /* it is gone and has not said how it ended */
        rb_receipt_leave(c->r, c->shim, false);
        c->shim = 0;
        unwatch(c); /* then consider() */
    }
    release(c);
}

/* -- telling it to end --------------------------------------------------------------------------------------------- */

/* To the group of a command without a shim: while its leader is not reaped the number is the group's, and after that
 * while no process has it (io/proc.c). */
static void signal_orphans(const struct rb_receipt *c, int signum)
{
    bool leads = c->fd >= 0 && pidfd_send_signal(c->fd, 0, NULL, 0) == 0;
    if (leads || (kill((pid_t)c->pid, 0) && errno == ESRCH))
        kill((pid_t)-c->pid, signum);
}

static void on_grace(struct rb_timer *t)
{
    signal_orphans(RB_CONTAINER(t, struct rb_receipt, grace), SIGKILL);
}

/* Passes on what was asked for, to whoever is there to hear it. */
static void give_orders(struct rb_receipt *c)
{
    int signum = c->now ? RB_SHIM_NOW : c->stop ? RB_SHIM_STOP : 0;
    if (!signum || c->finished)
        return;
    if (c->shim) {
        kill(c->shim, signum); /* our child, not reaped: nobody else has its number */
    } else if (c->fd >= 0 && !c->orphan) {
        pidfd_send_signal(c->fd, signum, NULL, 0);
    } else if (c->fd >= 0 && c->now) {
        signal_orphans(c, SIGKILL);
    } else if (c->fd >= 0) {
        signal_orphans(c, SIGTERM);
        signal_orphans(c, SIGCONT);
        rb_timer_arm_ms(&c->grace, c->grace_ms);
    }
}

void rb_receipt_kill(struct rb_receipt *c)
{
    if (c->stop || c->now)
        return;
    c->stop = true;
    give_orders(c);
}

void rb_receipt_kill_now(struct rb_receipt *c)
{
    if (c->now)
        return;
    c->now = true;
    give_orders(c);
}

void rb_receipt_detach(struct rb_receipt *c)
{
    hold(c);
    let_go(c);
    if (c->shim)
        rb_receipt_leave(c->r, c->shim, true);
    c->shim = 0;
    c->unowned = true;
    release(c);
}

int rb_receipt_pid(const struct rb_receipt *c)
{
    return (int)c->pid;
}

/* -- what became of it? -------------------------------------------------------------------------------------------- */

static void on_process_end(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    struct rb_receipt *c = h->data;
    if (c->orphan && (c->stop || c->now))
        signal_orphans(c, SIGKILL); /* what is left of its group: nobody will look after it */
    unwatch(c);                     /* then consider() */
}

static void on_files(uv_fs_event_t *h, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    struct rb_receipt *c = h->data;
    hold(c);
    follow(c);
    release(c);
}

static void watch_files(struct rb_receipt *c)
{
    char path[PATH_MAX];
    if (c->watching_files || !c->on_output)
        return;
    snprintf(path, sizeof(path), "%.3500s/%s", c->r->path, c->id);
    if (uv_fs_event_init(&c->loop->uv, &c->files))
        return;
    hold(c);
    c->files.data = c;
    if (uv_fs_event_start(&c->files, on_files, path, 0) == 0)
        c->watching_files = true;
    else
        uv_close((uv_handle_t *)&c->files, on_files_closed);
}

/* Takes pidfd. */
static void watch_process(struct rb_receipt *c, int pidfd, long command, bool orphan)
{
    c->pid = command;
    c->orphan = orphan;
    if (watch(c, pidfd, on_process_end)) {
        rb_timer_arm_ms(&c->again, AGAIN_MS);
        return;
    }
    give_orders(c);
    watch_files(c);
    if (!c->on_output)
        return;
    follow(c);
    if (!c->watching_files && !c->finished)
        rb_timer_arm_ms(&c->again, AGAIN_MS);
}

/* Nothing of it was ever executed, and nothing will be. */
static void absent(struct rb_receipt *c)
{
    if (c->found) {
        finish(c, RB_RECEIPT_ABSENT);
        return;
    }
    rb_err_set(&c->result.err, RB_EIO, "%s was not started: the program that keeps its receipt was killed before",
               c->program.path);
    finish(c, RB_RECEIPT_REFUSED);
}

static void unknown(struct rb_receipt *c, const char *why)
{
    follow(c); /* what it wrote may help whoever has to decide */
    if (!c->finished)
        finish_because(c, RB_RECEIPT_UNKNOWN, "%s", why);
}

static void consider_held(struct rb_receipt *c, const struct rb_receipt_lock *lock)
{
    if (!lock->child) {
        absent(c);
        return;
    }
    int fd = rb_receipt_process(lock->child, lock->child_at);
    if (fd >= 0)
        watch_process(c, fd, lock->child, true);
    else if (fd == RB_ENOENT)
        unknown(c, "the program that kept its receipt was killed while it ran");
    else
        rb_timer_arm_ms(&c->again, AGAIN_MS);
}

static void consider(struct rb_receipt *c)
{
    struct rb_err err;
    struct rb_receipt_lock lock;
    bool alone = false; /* the shim is gone, and the lock was read after that */
    for (;;) {
        int rc = rb_receipt_read_lock(c->r->root, c->id, &lock, &err);
        if (rc) {
            finish_because(c, rc == RB_ECORRUPT ? RB_RECEIPT_UNKNOWN : RB_RECEIPT_ELSEWHERE, "%.190s", err.msg);
            return;
        }
        if (lock.ended) {
            collect(c, &lock.end);
            return;
        }
        if (!c->same_place) { /* what is written on a disk may have got lost; what is there may be believed */
            if (lock.kind == RB_RECEIPT_LOCK_HELD && lock.child)
                unknown(c, "the machine (or the container) was started anew while it ran");
            else
                finish_because(c, RB_RECEIPT_ELSEWHERE, "the machine (or the container) was started anew since");
            return;
        }
        if (lock.kind == RB_RECEIPT_LOCK_TOMBSTONE) {
            absent(c);
            return;
        }
        if (lock.kind == RB_RECEIPT_LOCK_NONE) {
            rc = rb_receipt_entomb(c->r->root, c->id, &err);
            if (rc == RB_EEXIST)
                continue;
            if (rc)
                finish_because(c, RB_RECEIPT_ELSEWHERE, "%.190s", err.msg);
            else
                absent(c);
            return;
        }
        if (alone) {
            consider_held(c, &lock);
            return;
        }
        int fd = rb_receipt_process(lock.shim, lock.shim_at);
        if (fd == RB_EIO) {
            rb_timer_arm_ms(&c->again, AGAIN_MS);
            return;
        }
        if (fd >= 0) {
            watch_process(c, fd, lock.child, false);
            return;
        }
        alone = true;
    }
}

static void on_again(struct rb_timer *t)
{
    struct rb_receipt *c = RB_CONTAINER(t, struct rb_receipt, again);
    hold(c);
    if (c->result.why[0]) { /* known from the beginning, and told now */
        finish(c, RB_RECEIPT_ELSEWHERE);
    } else if (c->fd < 0) {
        consider(c);
    } else {
        follow(c);
        if (!c->finished)
            rb_timer_arm_ms(t, AGAIN_MS);
    }
    release(c);
}

/* -- the beginning ------------------------------------------------------------------------------------------------- */

static int check_id(const char *id, struct rb_err *err)
{
    size_t n = strlen(id);
    if (n == 0 || n > RB_RECEIPT_ID_MAX || id[0] == '.' || strchr(id, '/'))
        return rb_err_set(err, RB_EINVAL, "\"%.80s\" can not be the name of a receipt", id);
    return RB_OK;
}

static struct rb_receipt *new_receipt(struct rb_receipts *r, struct rb_loop *loop, const char *id,
                                      const struct rb_proc_options *opt,
                                      void (*on_done)(void *arg, struct rb_receipt_result *result))
{
    struct rb_receipt *c = rb_alloc(sizeof(*c));
    rb_receipts_use(r, loop);
    c->r = r;
    c->loop = loop;
    c->id = rb_strdup(id);
    c->fd = c->file[0] = c->file[1] = -1;
    c->grace_ms = opt->grace_ms;
    c->on_output = opt->on_output;
    c->on_done = on_done;
    c->arg = opt->arg;
    rb_timer_init(&c->again, loop, on_again);
    rb_timer_init(&c->grace, loop, on_grace);
    rb_buf_init(&c->reports, CHUNK + sizeof(struct rb_shim_head) + RB_SHIM_REPORT_MAX);
    rb_buf_init(&c->result.proc.out.buf, opt->max_output);
    rb_buf_init(&c->result.proc.err.buf, opt->max_output);
    return c;
}

int rb_receipt_start(struct rb_receipts *r, struct rb_loop *loop, const char *id, const struct rb_proc_options *opt,
                     void (*on_done)(void *arg, struct rb_receipt_result *result), struct rb_receipt **out,
                     struct rb_err *err)
{
    int report;
    if (!opt->argv || !opt->argv[0])
        return rb_err_set(err, RB_EINVAL, "the command is empty");
    if (!opt->argv[0][0])
        return rb_err_set(err, RB_EINVAL, "the command's name is an empty string");
    int rc = check_id(id, err);
    if (!rc)
        rc = rb_timer_open(loop, err);
    if (rc)
        return rc;
    struct rb_receipt *c = new_receipt(r, loop, id, opt, on_done);
    c->same_place = true;
    rc = rb_receipt_launch(r, id, opt, &c->shim, &report, &c->program, err);
    if (rc) {
        c->unowned = true;
        maybe_free(c);
        return rc;
    }
    if (watch(c, report, on_reports)) /* nothing may fail now: its reports are not needed */
        rb_timer_arm_ms(&c->again, 0);
    *out = c;
    return RB_OK;
}

int rb_receipt_look(struct rb_receipts *r, struct rb_loop *loop, const struct rb_receipt_place *place, const char *id,
                    const struct rb_proc_options *opt, void (*on_done)(void *arg, struct rb_receipt_result *result),
                    struct rb_receipt **out, struct rb_err *err)
{
    int rc = check_id(id, err);
    if (!rc)
        rc = rb_timer_open(loop, err);
    if (rc)
        return rc;
    struct rb_receipt *c = new_receipt(r, loop, id, opt, on_done);
    c->found = true;
    c->same_place = strcmp(place->boot, r->place.boot) == 0;
    if (strcmp(place->root, r->place.root) != 0)
        snprintf(c->result.why, sizeof(c->result.why), "it was started with another folder of receipts than %.140s",
                 r->path);
    else if (strcmp(place->user, r->place.user) != 0)
        snprintf(c->result.why, sizeof(c->result.why), "it was started by another user (uid %.20s)", place->user);
    rb_timer_arm_ms(&c->again, 0); /* on_done never comes from within this call */
    *out = c;
    return RB_OK;
}
