/* Owns the life of a child: its pipes, its capture, its end and the ending of its group. How it is started is
 * proc_spawn.c's; Lua, the journal and what a result means are nobody's business here.
 *
 * Life of a struct rb_proc:
 *
 *   start -> running --(pidfd: reaped)--> ended --(both outputs at end of file, or drain_ms)--> on_done -> free
 *               | time-out, rb_proc_kill            if it was told to end: only when its group is gone, too,
 *               +-> told (TERM) --grace_ms--> KILL  or has been sent KILL
 *
 * - The child is reaped as soon as it has ended, by its number and nothing else: there is no SIGCHLD handler.
 * - Signals go to the group. Its number is ours while the child is not reaped, and after that while a member is left;
 *   then the system may give it to a stranger. group_alive() tells these apart.
 * - on_done is called from a callback of the loop only. Whoever changes the state from elsewhere arms `look`. */
#include "io/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "io/proc_spawn.h"
#include "io/timer.h"

#define CHUNK 65536          /* a pipe holds as much, so one read mostly empties it */
#define CHUNKS_PER_TURN 8    /* then the other children have their turn */
#define CHUNKS_AT_THE_END 16 /* 1 MiB, the largest pipe that an ordinary user can make */
#define LOOK_FIRST_MS 5      /* nothing wakes us when a group's last member ends: look, less and less often */
#define LOOK_LAST_MS 250
#define LOOK_CHILD_MS 20 /* at a child that no descriptor could be had for */

/* Our end of one pipe. fd is -1 when it is closed or was never there. */
struct stream {
    uv_poll_t poll; /* open as long as fd */
    int fd;
    int number; /* the child's descriptor: 0, 1, 2 */
};

struct rb_proc {
    struct rb_loop *loop;
    struct stream io[3];
    uv_poll_t end; /* on pidfd, -1: not watched */
    int pidfd;
    int handles;   /* uv handles whose close callback has not run; the last one frees the proc */
    bool finished; /* on_done was called, or the start failed */
    bool unowned;  /* and has returned: only the handles keep it */

    pid_t pid;
    bool ended;            /* reaped */
    bool told;             /* TERM or KILL was sent to the group because somebody wanted it to end */
    bool killed;           /* KILL was sent */
    struct rb_timer limit; /* the time-out; once told, the grace */
    struct rb_timer drain; /* end of file has to come until then */
    struct rb_timer look;  /* settle() again, from the loop */
    uint64_t look_ms;
    uint64_t grace_ms, drain_ms;

    char *input;
    size_t input_len, input_sent;
    bool stdin_stays;
    void (*on_output)(void *arg, int stream, const char *data, size_t len);
    void (*on_done)(void *arg, struct rb_proc_result *result);
    void *arg;
    struct rb_proc_result result;
};

static void settle(struct rb_proc *p);

/* -- memory, handles, descriptors ---------------------------------------------------------------------------------- */

static void maybe_free(struct rb_proc *p)
{
    if (!p->unowned || p->handles)
        return;
    rb_capture_release(&p->result.out);
    rb_capture_release(&p->result.err);
    if (p->input) /* it may be a password */
        explicit_bzero(p->input, p->input_len);
    free(p->input);
    free(p);
}

static void on_closed(uv_handle_t *h)
{
    struct rb_proc *p = h->data;
    p->handles--;
    maybe_free(p);
}

/* Takes fd: on failure it is closed. */
static int watch_fd(struct rb_proc *p, uv_poll_t *poll, int *slot, int fd, struct rb_err *err)
{
    int rc = uv_poll_init(&p->loop->uv, poll, fd); /* makes fd non-blocking, too */
    if (rc) {
        close(fd);
        return rb_err_set(err, RB_EIO, "can not watch a child process: %s", uv_strerror(rc));
    }
    poll->data = p;
    p->handles++;
    *slot = fd;
    return RB_OK;
}

static void unwatch_fd(uv_poll_t *poll, int *slot)
{
    if (*slot < 0)
        return;
    uv_close((uv_handle_t *)poll, on_closed); /* forgets the descriptor at once; only the callback comes later */
    close(*slot);
    *slot = -1;
}

/* Opens both ends of the three streams: ours in p, the child's in theirs. On failure, too, the caller closes them. */
static int open_streams(struct rb_proc *p, const struct rb_proc_options *opt, int theirs[3], struct rb_err *err)
{
    for (int i = 0; i < 3; i++) {
        int fds[2];
        if (i == 0 && !opt->stdin_data) {
            theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
            if (theirs[0] < 0)
                return rb_err_sys(err, RB_EIO, errno, "can not open /dev/null for a child process");
            continue;
        }
        if (pipe2(fds, O_CLOEXEC)) /* and no socket pair: children look at what they are given */
            return rb_err_sys(err, RB_EIO, errno, "can not make a pipe for a child process");
        theirs[i] = fds[i == 0 ? 0 : 1];
        int rc = watch_fd(p, &p->io[i].poll, &p->io[i].fd, fds[i == 0 ? 1 : 0], err);
        if (rc)
            return rc;
    }
    return RB_OK;
}

/* -- input and output ---------------------------------------------------------------------------------------------- */

static void close_stream(struct stream *s)
{
    unwatch_fd(&s->poll, &s->fd);
}

static void on_writable(uv_poll_t *h, int status, int events)
{
    (void)events;
    struct rb_proc *p = h->data;
    struct stream *s = &p->io[0];
    ssize_t n = 0;
    if (p->input_sent < p->input_len)
        n = write(s->fd, p->input + p->input_sent, p->input_len - p->input_sent);
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && status == 0)
        return;
    if (n > 0)
        p->input_sent += (size_t)n;
    if (n >= 0 && p->input_sent == p->input_len && p->stdin_stays) {
        uv_poll_stop(&s->poll);
    } else if (n < 0 || p->input_sent == p->input_len) { /* EPIPE is no error: a command need not read its input */
        close_stream(s);
        free(p->input);
        p->input = NULL;
    }
}

/* Reads until there is nothing more, at most `chunks` times, and closes s at its end of file. */
static void read_stream(struct rb_proc *p, struct stream *s, int chunks, int status)
{
    struct rb_capture *c = s->number == 1 ? &p->result.out : &p->result.err;
    char chunk[CHUNK];
    for (int i = 0; i < chunks; i++) {
        ssize_t n = read(s->fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && status == 0)
            return;
        if (n <= 0) {
            close_stream(s);
            return;
        }
        rb_capture_add(c, chunk, (size_t)n);
        if (p->on_output)
            p->on_output(p->arg, s->number, chunk, (size_t)n);
    }
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    (void)events;
    struct rb_proc *p = h->data;
    struct stream *s = RB_CONTAINER(h, struct stream, poll);
    read_stream(p, s, CHUNKS_PER_TURN, status);
    if (s->fd < 0)
        settle(p);
}

/* -- the end ------------------------------------------------------------------------------------------------------- */

/* Is a signal to the group sure to reach nobody else, and somebody at all? While one member is left the system does
 * not give the number away; so if there is a process of that number though ours was reaped, our group is gone. */
static bool group_alive(const struct rb_proc *p)
{
    if (!p->ended)
        return true;
    if (kill(p->pid, 0) == 0 || errno == EPERM)
        return false;
    return kill(-p->pid, 0) == 0 || errno == EPERM;
}

/* Is a member left that has not ended? In a container whose first process reaps nothing the dead ones stay for ever,
 * and a signal of 0 can not tell them. Looks at /proc, and only while a group that was told to end is still there. */
static bool group_works(const struct rb_proc *p)
{
    if (!group_alive(p))
        return false;
    DIR *proc = opendir("/proc");
    if (!proc)
        return true;
    bool works = false, seen = false;
    struct dirent *entry;
    while (!works && (entry = readdir(proc))) {
        char path[300], stat[512], state = 0;
        int group = 0;
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, stat, sizeof(stat) - 1);
        if (fd >= 0)
            close(fd);
        if (n <= 0)
            continue;
        stat[n] = '\0';
        const char *after_name = strrchr(stat, ')'); /* proc(5): pid (name) state ppid pgrp */
        if (!after_name || sscanf(after_name + 1, " %c %*d %d", &state, &group) != 2 || group != (int)p->pid)
            continue;
        seen = true;
        works = state != 'Z' && state != 'X';
    }
    closedir(proc);
    return works || !seen; /* a group that /proc does not show is taken at its word */
}

static void signal_group(const struct rb_proc *p, int signum)
{
    if (group_alive(p))
        kill(-p->pid, signum);
}

/* Takes the child's status if it has ended. */
static void reap(struct rb_proc *p)
{
    siginfo_t si = {0};
    if (p->ended)
        return;
    while (waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG)) {
        if (errno != EINTR) /* somebody else took it; to guess how the child ended would be worse than a crash */
            rb_die("the status of process %d is lost (errno %d)", (int)p->pid, errno);
    }
    if (si.si_pid == 0)
        return;
    p->ended = true;
    p->result.ended = rb_clock_boot();
    p->result.code = si.si_code == CLD_EXITED ? si.si_status : -1;
    p->result.signal = si.si_code == CLD_EXITED ? 0 : si.si_status;
    unwatch_fd(&p->end, &p->pidfd);
    if (!p->told)
        rb_timer_disarm(&p->limit);
    rb_fault_point("proc.exited");
}

/* Nothing of it wakes us any more. */
static void quiet(struct rb_proc *p)
{
    p->finished = true;
    rb_timer_disarm(&p->limit);
    rb_timer_disarm(&p->drain);
    rb_timer_disarm(&p->look);
    for (int i = 0; i < 3; i++)
        close_stream(&p->io[i]);
}

static void finish(struct rb_proc *p)
{
    quiet(p);
    p->result.stdin_short = p->input_sent < p->input_len;
    rb_capture_end(&p->result.out);
    rb_capture_end(&p->result.err);
    p->on_done(p->arg, &p->result);
    p->unowned = true;
    maybe_free(p);
}

/* Decides what is still to be waited for. May call on_done and free p. */
static void settle(struct rb_proc *p)
{
    if (!p->ended || p->finished)
        return;
    if (p->told && !p->killed && group_works(p)) {
        if (!rb_timer_armed(&p->look)) {
            rb_timer_arm_ms(&p->look, p->look_ms);
            p->look_ms = p->look_ms * 2 < LOOK_LAST_MS ? p->look_ms * 2 : LOOK_LAST_MS;
        }
    } else if (p->io[1].fd < 0 && p->io[2].fd < 0) {
        finish(p);
    } else if (!rb_timer_armed(&p->drain)) {
        rb_timer_arm_ms(&p->drain, p->drain_ms);
    }
}

static void on_end(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    struct rb_proc *p = h->data;
    reap(p);
    settle(p);
}

/* Nothing may fail once the child exists: without a descriptor for it we look again and again, which only is slower. */
static void watch_end(struct rb_proc *p)
{
    int fd = pidfd_open(p->pid, 0);
    if (fd >= 0 && watch_fd(p, &p->end, &p->pidfd, fd, NULL) == RB_OK)
        uv_poll_start(&p->end, UV_READABLE, on_end);
    else
        rb_timer_arm_ms(&p->look, LOOK_CHILD_MS);
}

static void on_look(struct rb_timer *t)
{
    struct rb_proc *p = RB_CONTAINER(t, struct rb_proc, look);
    if (!p->ended && p->pidfd < 0) {
        reap(p);
        if (!p->ended)
            watch_end(p);
    }
    settle(p);
}

static void on_drain(struct rb_timer *t)
{
    struct rb_proc *p = RB_CONTAINER(t, struct rb_proc, drain);
    for (int i = 1; i < 3; i++) {
        if (p->io[i].fd >= 0) /* what the child wrote before its end is in the pipe, and is its output */
            read_stream(p, &p->io[i], CHUNKS_AT_THE_END, 0);
        if (p->io[i].fd >= 0)
            p->result.held_open = true;
    }
    finish(p);
}

static void tell_kill(struct rb_proc *p)
{
    p->told = p->killed = true;
    rb_timer_disarm(&p->limit);
    signal_group(p, SIGKILL);
}

/* Why it is told only matters if it has not ended by itself: then the group is what is left to end. */
static void tell(struct rb_proc *p, enum rb_proc_end why)
{
    if (!p->ended)
        p->result.end = why;
    p->told = true;
    rb_timer_disarm(&p->drain);
    signal_group(p, SIGTERM);
    signal_group(p, SIGCONT); /* a stopped one would take TERM only when it is continued */
    rb_timer_arm_ms(&p->limit, p->grace_ms);
}

static void on_limit(struct rb_timer *t)
{
    struct rb_proc *p = RB_CONTAINER(t, struct rb_proc, limit);
    reap(p); /* it may have ended in time, and we only hear of it later */
    if (p->told)
        tell_kill(p);
    else if (!p->ended)
        tell(p, RB_PROC_TIMED_OUT);
    settle(p);
}

void rb_proc_kill(struct rb_proc *p)
{
    if (p->told || p->finished)
        return;
    reap(p);
    tell(p, RB_PROC_KILLED);
    if (p->ended)
        rb_timer_arm_ms(&p->look, 0);
}

void rb_proc_kill_now(struct rb_proc *p)
{
    if (p->killed || p->finished)
        return;
    reap(p);
    if (!p->ended && !p->told)
        p->result.end = RB_PROC_KILLED;
    tell_kill(p);
    if (p->ended)
        rb_timer_arm_ms(&p->look, 0);
}

void rb_proc_drop(struct rb_proc *p, int wait_ms)
{
    if (!p->told)
        tell(p, RB_PROC_KILLED);
    struct pollfd ends = {.fd = p->pidfd, .events = POLLIN};
    if (!p->ended && p->pidfd >= 0)
        poll(&ends, 1, wait_ms);
    tell_kill(p);
    if (!p->ended && p->pidfd >= 0)
        poll(&ends, 1, wait_ms); /* to be reaped; one that even KILL can not end is left to the system */
    reap(p);
    quiet(p);
    unwatch_fd(&p->end, &p->pidfd);
    p->unowned = true;
    maybe_free(p);
}

int rb_proc_pid(const struct rb_proc *p)
{
    return (int)p->pid;
}

/* -- the start ----------------------------------------------------------------------------------------------------- */

static struct rb_proc *new_proc(struct rb_loop *loop, const struct rb_proc_options *opt)
{
    struct rb_proc *p = rb_alloc(sizeof(*p));
    p->loop = loop;
    p->pidfd = -1;
    for (int i = 0; i < 3; i++) {
        p->io[i].fd = -1;
        p->io[i].number = i;
    }
    rb_timer_init(&p->limit, loop, on_limit);
    rb_timer_init(&p->drain, loop, on_drain);
    rb_timer_init(&p->look, loop, on_look);
    p->look_ms = LOOK_FIRST_MS;
    p->grace_ms = opt->grace_ms;
    p->drain_ms = opt->drain_ms;
    p->stdin_stays = opt->stdin_stays;
    p->on_output = opt->on_output;
    p->on_done = opt->on_done;
    p->arg = opt->arg;
    rb_capture_init(&p->result.out, opt->max_output);
    rb_capture_init(&p->result.err, opt->max_output);
    p->result.started = rb_clock_boot(); /* before the spawn: a short command may be over when that returns */
    return p;
}

static void begin(struct rb_proc *p, const struct rb_proc_options *opt)
{
    watch_end(p);
    uv_poll_start(&p->io[1].poll, UV_READABLE, on_readable);
    uv_poll_start(&p->io[2].poll, UV_READABLE, on_readable);
    if (opt->stdin_data) {
        p->input = rb_alloc(opt->stdin_len);
        if (opt->stdin_len)
            memcpy(p->input, opt->stdin_data, opt->stdin_len);
        p->input_len = opt->stdin_len;
        uv_poll_start(&p->io[0].poll, UV_WRITABLE, on_writable);
    }
    if (opt->timeout_ms)
        rb_timer_arm_ms(&p->limit, opt->timeout_ms);
}

int rb_proc_start(struct rb_loop *loop, const struct rb_proc_options *opt, struct rb_proc **out, struct rb_err *err)
{
    int theirs[3] = {-1, -1, -1};
    if (!opt->argv || !opt->argv[0])
        return rb_err_set(err, RB_EINVAL, "the command is empty");
    if (!opt->argv[0][0])
        return rb_err_set(err, RB_EINVAL, "the command's name is an empty string");
    int rc = rb_timer_open(loop, err);
    if (rc)
        return rc;
    struct rb_proc *p = new_proc(loop, opt);
    rc = open_streams(p, opt, theirs, err);
    if (!rc)
        rc = rb_proc_spawn(opt, theirs, &p->pid, err);
    for (int i = 0; i < 3; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    if (rc) {
        for (int i = 0; i < 3; i++)
            close_stream(&p->io[i]);
        p->finished = p->unowned = true;
        maybe_free(p);
        return rc;
    }
    begin(p, opt);
    *out = p;
    return RB_OK;
}
