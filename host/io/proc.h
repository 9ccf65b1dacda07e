/* Child processes: posix_spawn (libuv's fork is slow from a large host), pidfd, own session, capped capture.
 *
 * One struct rb_proc is one child. The driver knows no Lua and no journal. Nothing it does blocks the loop. */
#ifndef RB_PROC_H
#define RB_PROC_H

#include "io/capture.h"
#include "loop/loop.h"

struct rb_proc;

enum rb_proc_end {
    RB_PROC_EXITED,    /* by itself: code or signal */
    RB_PROC_TIMED_OUT, /* its time-out passed and the group was told to end */
    RB_PROC_KILLED,    /* rb_proc_kill() was called before it ended by itself */
};

struct rb_proc_result {
    enum rb_proc_end end;
    int code;       /* exit code, -1 when a signal ended it */
    int signal;     /* number, 0 when it exited */
    bool held_open; /* it ended, but a descendant still holds its output open: the capture was closed after drain_ms */
    bool stdin_short; /* it ended without taking all of its input (what lay in the pipe, 64 KiB, counts as taken) */
    int64_t started, ended; /* rb_clock_boot() */
    struct rb_capture out, err;
};

struct rb_proc_options {
    /* argv[0] with a slash is taken as is (below cwd when relative), else sought in the PATH of envp, as execvp does:
     * what can not be executed is passed over, an empty entry means cwd, a text file without "#!" goes to /bin/sh. */
    const char *const *argv;
    const char *const *envp; /* the child's whole environment */
    const char *cwd;         /* NULL: the host's */
    const void *stdin_data;  /* NULL: /dev/null. Copied. */
    size_t stdin_len;
    bool stdin_stays;    /* its input stays open behind stdin_data until it has ended: end of file there is our end */
    size_t max_output;   /* for each of stdout and stderr */
    uint64_t timeout_ms; /* 0: none */
    uint64_t grace_ms;   /* between TERM and KILL of the group */
    uint64_t drain_ms;   /* how long to wait for end of file after the child has ended */
    /* Live output, on the loop, before the end; may be NULL. stream is 1 or 2. It may call rb_proc_kill(). */
    void (*on_output)(void *arg, int stream, const char *data, size_t len);
    /* Once, on the loop, never from within rb_proc_start(): everything is collected and reaped. `result` is borrowed
     * for the call; the captures may be taken with rb_buf_detach(). The proc frees itself afterwards. */
    void (*on_done)(void *arg, struct rb_proc_result *result);
    void *arg;
};

/* Starts it. On success *out is valid until on_done has returned. On failure nothing was started and on_done will
 * not be called: RB_ENOENT (no such command or folder), RB_EDENIED (not executable, a directory), RB_EINVAL (NUL,
 * empty argv), RB_EIO (the system: too many processes or descriptors, argument list too long). */
int rb_proc_start(struct rb_loop *loop, const struct rb_proc_options *opt, struct rb_proc **out, struct rb_err *err);

/* TERM to the group, KILL after grace_ms; on_done follows, later, when the child and all of its group are gone or were
 * sent KILL. If the child has ended and only its output is still open, what is left of its group is ended so, and the
 * result stays RB_PROC_EXITED. Further calls do nothing. A process that left the group (setsid) is out of reach. */
void rb_proc_kill(struct rb_proc *p);

/* KILL to the group at once; for the second signal of an operator. on_done follows. */
void rb_proc_kill_now(struct rb_proc *p);

/* Ends it at once and forgets it, when the loop is about to go: TERM, KILL after at most wait_ms, which are spent
 * waiting. on_done will not come. */
void rb_proc_drop(struct rb_proc *p, int wait_ms);

int rb_proc_pid(const struct rb_proc *p); /* also the id of its process group and session */

#endif
