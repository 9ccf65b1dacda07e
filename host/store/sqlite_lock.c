/* Owns the lock file, which admits one commit or checkpoint at a time among all processes, and the deferral of Ctrl-Z
 * while it is held. Knows nothing of what is committed.
 *
 * Ctrl-Z. A process that is stopped while it holds the lock would block every other one. SIGTSTP goes to the process,
 * so a mask of the writer thread is no help; instead there is one word, `state`, that says how many commits are going
 * on and whether the process is about to stop:
 *
 *   the handler:    free → STOPPING, stop as usual (default action), back to free when continued
 *                   busy → `wanted` is set; who ends the last commit stops the process
 *   a commit:       waits until STOPPING is gone, then counts itself in; so it never begins between the handler's
 *                   look and the stop
 *
 * Only the default action is replaced: a program that ignores or handles SIGTSTP is left alone and may call
 * rb_store_suspend(). SIGSTOP can not be deferred; whoever waits then names the holder. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "store/sqlite.h"

#define STOPPING 0x40000000

static atomic_int state;
static atomic_bool wanted;

static void pause_for(long nanoseconds)
{
    struct timespec ts = {.tv_nsec = nanoseconds};
    nanosleep(&ts, NULL);
}

static void on_tstp(int signum);

/* The default action of SIGTSTP, so that a shell sees what it expects and an orphaned process group is not stopped for
 * ever. Async-signal-safe. */
static void stop_now(void)
{
    struct sigaction dfl, old;
    sigset_t set, oldset;
    memset(&dfl, 0, sizeof(dfl));
    dfl.sa_handler = SIG_DFL;
    sigaction(SIGTSTP, &dfl, &old);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &set, &oldset);
    raise(SIGTSTP);
    pthread_sigmask(SIG_SETMASK, &oldset, NULL);
    sigaction(SIGTSTP, &old, NULL);
}

void rb_store_suspend(void)
{
    int error = errno;
    atomic_store(&wanted, true);
    /* Looked at after `wanted` is set: a commit that ends in between sees it. */
    int none = 0;
    if (atomic_compare_exchange_strong(&state, &none, STOPPING)) {
        if (atomic_exchange(&wanted, false))
            stop_now();
        atomic_store(&wanted, false); /* continuing discards every stop that was asked for meanwhile */
        atomic_store(&state, 0);
    }
    errno = error;
}

static void on_tstp(int signum)
{
    (void)signum;
    rb_store_suspend();
}

void rb_sqlite_defer_stop(void)
{
    struct sigaction now, own;
    if (sigaction(SIGTSTP, NULL, &now) || now.sa_handler != SIG_DFL)
        return;
    memset(&own, 0, sizeof(own));
    own.sa_handler = on_tstp;
    own.sa_flags = SA_RESTART;
    sigemptyset(&own.sa_mask);
    sigaction(SIGTSTP, &own, NULL);
}

static void section_enter(void)
{
    int v = atomic_load(&state);
    for (;;) {
        if (v & STOPPING) {
            pause_for(100000); /* the process is about to stop, or has just been continued */
            v = atomic_load(&state);
        } else if (atomic_compare_exchange_weak(&state, &v, v + 1)) {
            return;
        }
    }
}

static void section_leave(void)
{
    if (atomic_fetch_sub(&state, 1) == 1 && atomic_load(&wanted))
        rb_store_suspend();
}

void rb_sqlite_describe_pid(long pid, char *out, size_t n)
{
    char path[64], line[200];
    snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
    ssize_t got = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        got = read(fd, line, sizeof(line) - 1);
        close(fd);
    }
    while (got > 0 && line[got - 1] == '\0')
        got--;
    if (got <= 0) {
        snprintf(out, n, "pid %ld", pid);
        return;
    }
    for (ssize_t i = 0; i < got; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7F)
            line[i] = ' ';
    line[got] = '\0';
    const char *slash = NULL; /* the program's name without its folder */
    for (const char *p = line; *p && *p != ' '; p++)
        if (*p == '/')
            slash = p;
    snprintf(out, n, "pid %ld (%s)", pid, slash ? slash + 1 : line);
}

/* The lock file holds the pid of who took it last; it is written only when that changes, so that a lone writer does not
 * make the file system journal a second file with each commit. It is written over and not emptied before, which would
 * give its block back only to ask for one again. */
static void sign(struct rb_store *s)
{
    char have[24] = "", mine[24];
    int n = snprintf(mine, sizeof(mine), "%ld\n", (long)getpid());
    ssize_t had = pread(s->lock_fd, have, sizeof(have) - 1, 0);
    if (had == n && memcmp(have, mine, (size_t)n) == 0)
        return;
    if (pwrite(s->lock_fd, mine, (size_t)n, 0) != n || (had > n && ftruncate(s->lock_fd, n)))
        return; /* a full disk: only the name is missing */
}

static void describe_holder(struct rb_store *s, char *out, size_t n)
{
    char text[24] = "";
    if (pread(s->lock_fd, text, sizeof(text) - 1, 0) > 0 && atol(text) > 0)
        rb_sqlite_describe_pid(atol(text), out, n);
    else
        snprintf(out, n, "another process");
}

int rb_sqlite_lock(struct rb_store *s, struct rb_err *err)
{
    rb_fault_point("store.lock.before");
    int64_t until = 0;
    long nap = 50000;
    for (;;) {
        section_enter();
        if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
            break;
        int error = errno;
        section_leave(); /* while it waits, Ctrl-Z stops at once */
        if (error != EWOULDBLOCK && error != EINTR)
            return rb_err_sys(err, RB_EIO, error, "cannot lock %s/lock", s->dir);
        int64_t now = rb_clock_boot();
        if (!until)
            until = now + s->lock_wait_ms * 1000;
        if (now >= until) {
            char holder[256];
            describe_holder(s, holder, sizeof(holder));
            return rb_err_set(err, RB_EBUSY,
                              "the journal %s is held by %s for more than %.3g s; is it stopped or hanging?", s->path,
                              holder, (double)s->lock_wait_ms / 1000);
        }
        pause_for(nap);
        nap = nap < 1300000 ? nap * 3 / 2 : 2000000;
    }
    sign(s);
    return RB_OK;
}

void rb_sqlite_unlock(struct rb_store *s)
{
    flock(s->lock_fd, LOCK_UN);
    section_leave();
}

void rb_sqlite_foreign_holder(struct rb_store *s, char *out, size_t n)
{
    /* SQLite's write lock in WAL mode is byte 120 of the -shm file (sqlite.org/walformat.html). The file must not be
     * opened here: closing it again would drop SQLite's own locks in this process. */
    snprintf(out, n, "another program");
    char path[4096], line[256];
    struct stat st;
    snprintf(path, sizeof(path), "%s-shm", s->path);
    if (stat(path, &st))
        return;
    FILE *f = fopen("/proc/locks", "re");
    if (!f)
        return;
    while (fgets(line, sizeof(line), f)) {
        long pid;
        unsigned major_no, minor_no;
        unsigned long long inode, from;
        char to[24];
        if (sscanf(line, "%*d: POSIX %*s WRITE %ld %x:%x:%llu %llu %23s", &pid, &major_no, &minor_no, &inode, &from,
                   to) != 6)
            continue;
        bool covers = from <= 120 && (strcmp(to, "EOF") == 0 || strtoull(to, NULL, 10) >= 120);
        if (inode == st.st_ino && covers && pid != getpid()) {
            rb_sqlite_describe_pid(pid, out, n);
            break;
        }
    }
    fclose(f);
}
