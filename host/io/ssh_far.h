/* What is said to the shell on another machine, and what it answers: texts only, no connection, no loop. Everything is
 * POSIX sh and needs nothing installed (dash, bash, busybox ash, a FreeBSD-like minimal PATH); the user's login shell
 * may be any (csh, fish): what it sees is one line that it only has to pass to `/bin/sh -c`.
 *
 * A receipt is a folder below the receipts root of the machine; its rules are in D3 "Receipts", its files at the top of
 * ssh_far.sh. Secrets go over standard input only. */
#ifndef RB_SSH_FAR_H
#define RB_SSH_FAR_H

#include "base/buf.h"
#include "base/err.h"

/* What runs there. Texts are borrowed. */
struct rb_far_command {
    const char *const *argv; /* or NULL: */
    const char *text;        /* for /bin/sh -c */
    const char *cwd;         /* or NULL */
    const char *const *env;  /* "NAME=value", NULL at the end, or NULL; over standard input, never in an argv */
    bool sudo;               /* through `sudo -n`, or with sudo_password `sudo -S`; never asks */
    const char *sudo_password;
    const void *stdin_data; /* or NULL */
    size_t stdin_len;
    uint64_t timeout_ms, grace_ms; /* enforced over there; 0: none */
    size_t max_output;             /* of each stream; receipts only: what is kept */
};

/* A request: the one line for rb_ssh_options.command and the bytes for its standard input. */
struct rb_far_request {
    struct rb_buf command, input;
};
void rb_far_request_release(struct rb_far_request *r); /* wipes the input */

/* A word, quoted for a POSIX shell so that it is that word: '…'. RB_EINVAL for a NUL. */
int rb_far_quote(struct rb_buf *out, const char *word, size_t len, struct rb_err *err);

/* A command without a receipt (reads, survive = false). Its first line on stdout is "rbhost-pid PID\n", which
 * rb_far_strip() takes off; PID leads a process group. */
int rb_far_plain(const struct rb_far_command *c, struct rb_far_request *out, struct rb_err *err);

/* What the far side is: the answer goes to rb_far_read_place(). */
int rb_far_probe(struct rb_far_request *out, struct rb_err *err);
struct rb_far_place {
    char root[64], boot[64], machine[64], user[64]; /* ids; root is "" when no receipts can be kept: why says it */
    char why[160];
};
int rb_far_read_place(const char *answer, size_t len, struct rb_far_place *out, struct rb_err *err);

/* Starts it under the receipt id (letters, digits, '-', '.'): refuses, without starting, when the root id is not
 * place->root, the boot id not place->boot, or the receipt is there already. */
int rb_far_launch(const struct rb_far_place *place, const char *id, const struct rb_far_command *c,
                  struct rb_far_request *out, struct rb_err *err);

/* Looks at a receipt after a crash. When it was never started, the once-lock is taken so that a launch that is still
 * under way can not start it any more. When it runs, waits for its end and streams meanwhile. cancel: ends it first. */
int rb_far_look(const struct rb_far_place *place, const char *id, bool cancel, uint64_t grace_ms,
                struct rb_far_request *out, struct rb_err *err);

/* Ends what was started under this id or, without one, the process group of this pid (TERM, then KILL after grace_ms),
 * and answers whether it is gone. */
int rb_far_kill(const struct rb_far_place *place, const char *id, long pid, uint64_t grace_ms,
                struct rb_far_request *out, struct rb_err *err);

/* Empties receipts whose outcome is recorded; all: and removes them, since every launch is accounted for. Also removes
 * those that are older than 7 days. ids: NULL at the end. */
int rb_far_forget(const struct rb_far_place *place, const char *const *ids, bool all, struct rb_far_request *out,
                  struct rb_err *err);

/* Answers of launch and look: framed on stdout, so that both streams, the state and the status come apart. Feed what
 * comes; on_output is given the command's own output as it arrives (a read's, too: rb_far_plain has no frames). */
enum rb_far_state {
    RB_FAR_NOTHING,  /* no verdict has come (yet) */
    RB_FAR_REFUSED,  /* never started: `why` */
    RB_FAR_ABSENT,   /* look: certainly never started, and never will be */
    RB_FAR_RUNNING,  /* it has begun: pid */
    RB_FAR_ENDED,    /* code or signal */
    RB_FAR_UNKNOWN,  /* it began, and how it ended is not known: `why` */
    RB_FAR_ELSEWHERE /* another machine, another boot, another root, receipts gone: nothing can be said: `why` */
};
struct rb_far_answer {
    enum rb_far_state state;
    long pid;
    int code, signal;        /* ENDED */
    bool timed_out, stopped; /* ENDED: why it was told to end */
    uint64_t total[2];       /* bytes that came on stdout, stderr in all */
    char why[256];
    void (*on_output)(void *arg, int stream, const char *data, size_t len);
    void *arg;
    struct rb_buf pending; /* the decoder's own */
    uint64_t frame_left;
    int frame_stream;
};
void rb_far_answer_init(struct rb_far_answer *a);
int rb_far_answer_feed(struct rb_far_answer *a, const char *data, size_t len, struct rb_err *err);
void rb_far_answer_release(struct rb_far_answer *a);

#endif
