/* What is said to the shell on another machine, and what it answers: texts only, no connection, no loop. Everything is
 * POSIX sh and needs nothing installed (dash, bash, busybox ash, a FreeBSD-like minimal PATH); the user's login shell
 * may be any (csh, fish): what it sees is one line that it only has to pass to `/bin/sh -c`.
 *
 * A receipt is a folder below the receipts root of the machine, ${XDG_STATE_HOME:-~/.local/state}/rbhost/receipts; its
 * files are at the top of ssh_far/common.sh. The line and its arguments hold no secret and nothing of the command's
 * environment: these go over standard input, as does all that a login shell could read in its own way. */
#ifndef RB_SSH_FAR_H
#define RB_SSH_FAR_H

#include "base/buf.h"
#include "base/err.h"

/* What runs there. Texts are borrowed. */
struct rb_far_command {
    const char *const *argv; /* or NULL: */
    const char *text;        /* for /bin/sh -c */
    const char *cwd;         /* or NULL: the home; relative to it */
    const char *const *env;  /* "NAME=value", NULL at the end, or NULL; through sudo only what its rules let pass */
    bool posix_login;        /* rb_far_head says so of an earlier one: its login shell starts it without another */
    bool sudo;               /* as root, through `sudo -n`, or with sudo_password `sudo -S`; never asks */
    const char *sudo_password;
    const void *stdin_data; /* or NULL */
    size_t stdin_len;
    uint64_t timeout_ms, grace_ms; /* enforced over there; 0: none (rb_far_plain is cheapest without, see there) */
    size_t max_output;             /* of each stream; receipts only: what is kept, all is counted */
};

/* A request: the one line for rb_ssh_options.command and the bytes for its standard input. */
struct rb_far_request {
    struct rb_buf command, input;
};
void rb_far_request_release(struct rb_far_request *r); /* wipes the input */

/* A word, quoted for a POSIX shell so that it is that word: '…'. RB_EINVAL for a NUL. */
int rb_far_quote(struct rb_buf *out, const char *word, size_t len, struct rb_err *err);

/* A command without a receipt (reads, survive = false). Its first line on stdout is "rbhost-pid PID\n"; PID leads a
 * process group, which rb_far_kill() ends; the login shell's name may follow it. Or it is "rbhost-no WHY\n": it has not
 * been started. With a time-out it is ended by a signal when that has passed. With posix_login a shell that is none
 * says neither, and has started nothing.
 *
 * RB_EINVAL, here and of rb_far_launch(): a NUL, a command's name that is empty or begins with '-', a variable's name
 * that sh can not set. */
int rb_far_plain(const struct rb_far_command *c, struct rb_far_request *out, struct rb_err *err);

/* What rb_far_plain() puts before a command's output, and what the rc files of the login shell have said before that.
 * Given all of stdout, or what has come up to now: returns how many bytes to leave out, 0 as long as the line is not
 * there. The line's whole content goes to *head. */
struct rb_far_head {
    long pid;      /* 0: none yet */
    bool posix;    /* the login shell reads what /bin/sh does: rb_far_command.posix_login */
    char why[256]; /* not empty: it has not been started */
};
size_t rb_far_strip(const char *data, size_t len, struct rb_far_head *head);

/* A command whose output is its own from the first byte on, and that nobody has to end: without cwd, env, time-out and
 * receipt. Lines of the error output: "rbhost-here" first of all, else no shell has answered; "rbhost-no WHY": it has
 * not been started. */
int rb_far_bare(const struct rb_far_command *c, struct rb_far_request *out, struct rb_err *err);

/* What the far side is: the answer goes to rb_far_read_place(). */
int rb_far_probe(struct rb_far_request *out, struct rb_err *err);
struct rb_far_place {
    char root[64], boot[64], machine[64], user[64]; /* ids; root is "" when no receipts can be kept: why says it */
    char why[160];
};
int rb_far_read_place(const char *answer, size_t len, struct rb_far_place *out, struct rb_err *err);

/* Starts it under the receipt id (letters, digits, '-', '_', '.'; not more than 100): refuses, without starting, when
 * the place is not this one, or the receipt is there already. An id is for one launch: after REFUSED or ABSENT another
 * attempt needs another id. */
int rb_far_launch(const struct rb_far_place *place, const char *id, const struct rb_far_command *c,
                  struct rb_far_request *out, struct rb_err *err);

/* Looks at a receipt after a crash. When it was never started, the once-lock is taken so that a launch that is still
 * under way can not start it any more. When it runs, waits for its end and streams meanwhile, from the first byte.
 * cancel: ends it first (TERM, KILL after grace_ms). After the machine was started again only a verdict that is there
 * with all of its output is told. */
int rb_far_look(const struct rb_far_place *place, const char *id, bool cancel, uint64_t grace_ms,
                struct rb_far_request *out, struct rb_err *err);

/* Ends what was started under this id or, without one, the process group of this pid (TERM, then KILL after grace_ms),
 * and answers what became of it, without its output: ENDED, UNKNOWN, ELSEWHERE as for a look; ABSENT: it was never
 * started, or of a pid: the group is gone; RUNNING: it could not be ended, `why`. */
int rb_far_kill(const struct rb_far_place *place, const char *id, long pid, uint64_t grace_ms,
                struct rb_far_request *out, struct rb_err *err);

/* Empties receipts whose outcome is recorded, and leaves what keeps a late launch from starting; all: removes them,
 * since every launch is accounted for. Also removes those that are older than 7 days. What runs stays, and of what has
 * begun since the machine was started and was not asked for that it has begun. The answer needs
 * no reading: ABSENT, with how many were removed and how many run. ids: NULL at the end. */
int rb_far_forget(const struct rb_far_place *place, const char *const *ids, bool all, struct rb_far_request *out,
                  struct rb_err *err);

/* Answers of launch and look: framed on stdout, so that both streams, the state and the status come apart. Feed what
 * comes; on_output is given the command's own output as it arrives (a read's, too: rb_far_plain has no frames). */
enum rb_far_state {
    RB_FAR_NOTHING,  /* no verdict has come (yet) */
    RB_FAR_REFUSED,  /* never started: `why` */
    RB_FAR_ABSENT,   /* look: certainly never started, and never will be */
    RB_FAR_RUNNING,  /* it has begun: pid (no verdict yet) */
    RB_FAR_ENDED,    /* code or signal */
    RB_FAR_UNKNOWN,  /* it began, and how it ended is not known: `why` */
    RB_FAR_ELSEWHERE /* another machine, another boot, another root, receipts gone: nothing can be said: `why` */
};
struct rb_far_answer {
    enum rb_far_state state;
    long pid;
    int code, signal;        /* ENDED */
    bool timed_out, stopped; /* ENDED: why it was told to end */
    bool held_open;          /* ENDED: something that it left behind still holds its output open */
    bool disk_full;          /* ENDED: less was kept than max_output, since the disk over there is full */
    long removed, left;      /* forget: receipts that are gone; that run, and so stay */
    uint64_t total[2];       /* bytes that came on stdout, stderr in all */
    char why[256];
    void (*on_output)(void *arg, int stream, const char *data, size_t len);
    void *arg;
    struct rb_buf pending; /* the decoder's own, as what follows */
    bool greeted;          /* past what the login shell said of its own */
    bool corrupt;          /* what comes may be the command's own words: none of it is believed any more */
    uint64_t frame_left;
    int frame_stream;
};
void rb_far_answer_init(struct rb_far_answer *a);
/* RB_ECORRUPT: this is no answer; the state stays what it was. */
int rb_far_answer_feed(struct rb_far_answer *a, const char *data, size_t len, struct rb_err *err);
void rb_far_answer_release(struct rb_far_answer *a);

#endif
