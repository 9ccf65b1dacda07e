/* Owns a command's life once it runs: its output into the files, its input, its time-out, the ending of its group, and
 * the last line of its lock. Decides as io/proc.c does; the differences come from having no host to ask:
 *
 *   running --(reaped)--> ended --(both outputs at end of file, or drain_ms)--> the line "end" -> gone
 *      | time-out, a signal of the host     if it was told to end: only when its group is gone, too,
 *      +-> told (TERM) --grace_ms--> KILL   or has been sent KILL
 *
 * The line: "end CODE SIGNAL WHY HELD SHORT STARTED ENDED", then for out and err "TOTAL KEPT SHA256", the digest being
 * of all that came. Reports to the host are best effort: it finds everything in the files. */
#include "shim/life.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#define CHUNK 65536
#define CHUNKS_AT_THE_END 16 /* 1 MiB, the largest pipe that an ordinary user can make */
#define LOOK_FIRST_MS 5      /* nothing wakes us when a group's last member ends: look, less and less often */
#define LOOK_LAST_MS 250
/* who ends sooner, in silence, is not announced: its end says all, in one wake of the host */
#define SHORT_MS 20
#define SLEEP_MAX_MS 60000 /* poll does not count the time that the machine is suspended; we do, so look again */
#define NEVER INT64_MAX

struct life {
    struct command *c;
    bool announced, ended, told, killed, held;
    enum rb_shim_why why;
    int code, signal;
    int64_t ended_at;
    int64_t limit;    /* the time-out; once told, the grace */
    int64_t drain_at; /* end of file has to come until then */
    int64_t look_ms;
};

int64_t now_us(void)
{
    struct timespec t = {0};
    SYS(clock_gettime, CLOCK_BOOTTIME, &t, 0, 0, 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t after(uint64_t ms)
{
    int64_t now = now_us();
    return ms < (uint64_t)(NEVER - now) / 1000 ? now + (int64_t)ms * 1000 : NEVER;
}

bool write_whole(int fd, const void *data, size_t len)
{
    return SYS(write, fd, data, len, 0, 0) == (long)len;
}

bool report(enum rb_shim_kind kind, int stream, const void *data, size_t len)
{
    static _Alignas(8) char message[RB_SHIM_REPORT_MAX];
    struct rb_shim_head *head = (void *)message;
    *head = (struct rb_shim_head){.kind = (uint8_t)kind, .stream = (uint8_t)stream, .len = (uint16_t)len};
    for (size_t i = 0; i < len; i++)
        message[sizeof(*head) + i] = ((const char *)data)[i];
    return write_whole(REPORT_FD, message, sizeof(*head) + len);
}

/* -- input and output ---------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        SYS(close, *fd, 0, 0, 0, 0);
    *fd = -1;
}

void feed(struct command *c)
{
    while (c->input_fd >= 0 && c->input_left) {
        long n = SYS(write, c->input_fd, c->input, c->input_left, 0, 0);
        if (n == -EAGAIN)
            return;
        if (n < 0) /* EPIPE is no error: a command need not read its input */
            break;
        c->input += n;
        c->input_left -= (uint64_t)n;
    }
    close_fd(&c->input_fd);
}

/* What the disk does not take is counted, and missing from the file: as if it were beyond the cap. */
static void keep(struct command *c, struct stream *s, const char *data, size_t len)
{
    uint64_t room = c->request->max_output - s->kept;
    size_t take = s->full ? 0 : len < room ? len : (size_t)room, done = 0;
    if (take && s->file < 0) {
        long fd = SYS(openat, ROOT_FD, s->name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600, 0);
        s->file = fd < 0 ? -1 : (int)fd;
    }
    while (done < take) {
        long n = s->file < 0 ? -EBADF : SYS(write, s->file, data + done, take - done, 0, 0);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    s->kept += done;
    s->full = s->full || done < len;
    if (!(c->request->flags & RB_SHIM_LIVE))
        return;
    if (done)
        report(RB_SHIM_MORE, s->number, NULL, 0);
    const size_t most = RB_SHIM_REPORT_MAX - sizeof(struct rb_shim_head);
    for (size_t n; done < len; done += n) {
        n = len - done < most ? len - done : most;
        if (!report(RB_SHIM_BEYOND, s->number, data + done, n))
            return;
    }
}

/* One read; false at the end of file, where the stream is closed. */
static bool take_output(struct command *c, struct stream *s)
{
    static char chunk[CHUNK];
    long n = SYS(read, s->fd, chunk, sizeof(chunk), 0, 0);
    if (n <= 0) {
        close_fd(&s->fd);
        return false;
    }
    fault_point(8);
    s->total += (uint64_t)n;
    hash_add(&s->hash, chunk, (size_t)n);
    keep(c, s, chunk, (size_t)n);
    return true;
}

static bool readable_now(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct timespec none = {0};
    return SYS(ppoll, &p, 1, &none, NULL, 0) > 0;
}

/* A descendant holds the output open, and has had its time. What lies in the pipe is still the command's. */
static void stop_waiting(struct life *l)
{
    for (int i = 0; i < 2; i++) {
        struct stream *s = &l->c->out[i];
        for (int n = 0; n < CHUNKS_AT_THE_END && s->fd >= 0 && readable_now(s->fd); n++)
            take_output(l->c, s);
        l->held = l->held || s->fd >= 0;
        close_fd(&s->fd);
    }
}

/* -- the end ------------------------------------------------------------------------------------------------------- */

/* While a member of the group is left the system does not give its number away: if there is a process of that number
 * though ours was reaped, the group is gone (io/proc.c). */
static bool group_alive(const struct life *l)
{
    if (!l->ended)
        return true;
    long rc = SYS(kill, l->c->pid, 0, 0, 0, 0);
    if (rc == 0 || rc == -EPERM)
        return false;
    rc = SYS(kill, -l->c->pid, 0, 0, 0, 0);
    return rc == 0 || rc == -EPERM;
}

static void signal_group(const struct life *l, int signum)
{
    if (group_alive(l))
        SYS(kill, -l->c->pid, signum, 0, 0, 0);
}

static void tell(struct life *l, enum rb_shim_why why)
{
    if (l->told)
        return;
    if (!l->ended)
        l->why = why;
    l->told = true;
    l->drain_at = NEVER;
    /* Orphans of the group come to us and are reaped, so that a group of nothing but dead ones counts as gone, also
     * where the first process of a container reaps nothing. */
    SYS(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    signal_group(l, SIGTERM);
    signal_group(l, SIGCONT); /* a stopped one would take TERM only when it is continued */
    l->limit = after(l->c->request->grace_ms);
}

static void tell_kill(struct life *l)
{
    if (!l->ended && !l->told)
        l->why = RB_SHIM_KILLED;
    l->told = l->killed = true;
    l->limit = NEVER;
    signal_group(l, SIGKILL);
}

static void reap(struct life *l)
{
    int status = 0;
    long pid;
    while ((pid = SYS(wait4, -1, &status, WNOHANG, NULL, 0)) > 0) {
        if (pid != l->c->pid || l->ended)
            continue;
        l->ended = true;
        l->ended_at = now_us();
        l->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        l->signal = WIFEXITED(status) ? 0 : WTERMSIG(status);
        if (!l->told)
            l->limit = NEVER;
        fault_point(9);
    }
}

static void take_signals(struct life *l)
{
    struct signalfd_siginfo si;
    bool stop = false, now = false;
    while (SYS(read, l->c->signals, &si, sizeof(si), 0, 0) == (long)sizeof(si)) {
        stop = stop || si.ssi_signo == RB_SHIM_STOP;
        now = now || si.ssi_signo == RB_SHIM_NOW;
    }
    reap(l); /* before: it may have ended by itself */
    if (now)
        tell_kill(l);
    else if (stop)
        tell(l, RB_SHIM_KILLED);
}

static void write_end(struct life *l)
{
    struct command *c = l->c;
    struct line line = {.len = 0};
    uint8_t digest[32];
    const int64_t numbers[] = {l->code, l->signal, l->why, l->held, c->input_left > 0, c->started, l->ended_at};
    line_text(&line, "end");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        line_number(&line, ' ', numbers[i]);
    for (int i = 0; i < 2; i++) {
        struct stream *s = &c->out[i];
        line_number(&line, ' ', (int64_t)s->total);
        line_number(&line, ' ', (int64_t)s->kept);
        hash_end(&s->hash, digest);
        line_hex(&line, ' ', digest, sizeof(digest));
    }
    line_text(&line, "\n");
    fault_point(10);
    /* if the disk does not take even this, it is in doubt for the next host */
    write_whole(c->lock, line.text, line.len);
    fault_point(11);
    report(RB_SHIM_ENDED, 0, line.text, line.len);
}

/* Is there anything left to wait for? */
static bool settled(struct life *l)
{
    if (!l->ended || (l->told && !l->killed && group_alive(l)))
        return false;
    if (l->c->out[0].fd < 0 && l->c->out[1].fd < 0)
        return true;
    if (l->drain_at == NEVER)
        l->drain_at = after(l->c->request->drain_ms);
    return false;
}

static int64_t sleep_us(struct life *l)
{
    int64_t until = l->limit < l->drain_at ? l->limit : l->drain_at, us = (int64_t)SLEEP_MAX_MS * 1000;
    if (until != NEVER) {
        int64_t left = until - now_us();
        us = left < 0 ? 0 : left < us ? left : us;
    }
    if (!l->announced)
        us = us < SHORT_MS * 1000 ? us : SHORT_MS * 1000;
    if (l->ended && l->told && !l->killed) {
        us = l->look_ms * 1000 < us ? l->look_ms * 1000 : us;
        l->look_ms = l->look_ms * 2 < LOOK_LAST_MS ? l->look_ms * 2 : LOOK_LAST_MS;
    }
    return us;
}

static void announce(struct life *l)
{
    int32_t pid = (int32_t)l->c->pid;
    l->announced = true;
    report(RB_SHIM_STARTED, 0, &pid, sizeof(pid));
}

static void wait_once(struct life *l)
{
    struct command *c = l->c;
    int64_t us = sleep_us(l);
    struct timespec timeout = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    struct pollfd p[4] = {{.fd = c->out[0].fd, .events = POLLIN},
                          {.fd = c->out[1].fd, .events = POLLIN},
                          {.fd = c->signals, .events = POLLIN},
                          {.fd = c->input_fd, .events = POLLOUT}};
    bool forever = us == (int64_t)SLEEP_MAX_MS * 1000 && l->limit == NEVER && l->drain_at == NEVER;
    bool quiet = SYS(ppoll, p, 4, forever ? NULL : &timeout, NULL, 0) == 0;
    if (!l->announced && (quiet || ((p[0].revents | p[1].revents) & POLLIN)))
        announce(l);
    for (int i = 0; i < 2; i++)
        if (p[i].revents)
            take_output(c, &c->out[i]);
    if (p[2].revents)
        take_signals(l);
    if (p[3].revents)
        feed(c);
    if (c->input_fd < 0)
        forget_request(c);
}

void live(struct command *c)
{
    struct life l = {.c = c, .limit = NEVER, .drain_at = NEVER, .look_ms = LOOK_FIRST_MS};
    if (c->request->timeout_ms)
        l.limit = after(c->request->timeout_ms);
    while (!settled(&l)) {
        wait_once(&l);
        if (l.limit != NEVER && now_us() >= l.limit) {
            reap(&l); /* it may have ended in time, and we only hear of it later */
            if (l.told)
                tell_kill(&l);
            else if (!l.ended)
                tell(&l, RB_SHIM_TIMED_OUT);
        }
        if (l.drain_at != NEVER && now_us() >= l.drain_at)
            stop_waiting(&l);
    }
    close_fd(&c->input_fd);
    write_end(&l);
}
