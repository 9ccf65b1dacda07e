/* A command on another machine, as an op: its state, for bind_ssh.c (its way) and bind_ssh_result.c (how it ended). */
#ifndef RB_BIND_SSH_OP_H
#define RB_BIND_SSH_OP_H

#include "bind/bind_ssh.h"

enum ssh_stage {
    SSH_REST,
    SSH_PROBING,  /* locate: what is the machine, can it keep a receipt? */
    SSH_PLAIN,    /* it runs in a session, and ends with nobody's knowledge when that is lost */
    SSH_LAUNCHED, /* it runs under a receipt, which its session watches */
    SSH_LOOKING,  /* another session watches the receipt */
    SSH_WAITING,  /* the connection was lost: for the moment to look again */
};

/* What became of the command. */
struct ssh_verdict {
    bool there;
    int code, signal; /* signal -1: one of which only that it was one is known */
    bool timed_out, stopped, held_open, disk_full;
    int64_t ended; /* rb_clock_boot() */
};

struct ssh_op {
    struct rb_effect effect;
    struct ssh_where where;
    /* What is run: owned. */
    char **argv, **env;
    char *text, *cwd, *sudo_password, *input;
    size_t input_len;
    bool sudo, has_input, check;
    bool posix_login; /* PLAIN: the login shell was trusted to start it */
    size_t max_output;
    uint64_t timeout_ms;

    enum ssh_stage stage;
    struct rb_ssh *session; /* that runs or watches it */
    struct ssh_say *probe, *killer;
    struct rb_timer timer;
    bool orphan;   /* the op has been dropped: the session's end frees it */
    bool detached; /* the host leaves: it runs on */
    bool stopping, timed_out, cut;
    bool awaiting, silent;     /* for the shell over there to say anything; it has not */
    int64_t opened;            /* its session, rb_clock_boot() */
    int tries;                 /* to look again, since the connection was lost */
    struct ssh_outage *outage; /* while it is */
    struct rb_far_place place;
    struct rb_far_answer answer;
    struct rb_buf head;       /* PLAIN: the line before the command's output */
    struct rb_buf shell_said; /* under a receipt: the error output of what watches it */
    char refused[256];        /* PLAIN: why it was not started */
    long pid;                 /* PLAIN: of its process group; 0 not yet known */
    int64_t begun;            /* rb_clock_boot() */
    uint64_t shown[2];        /* bytes of each stream that were shown live, over all sessions */
    struct rb_capture cap[2];
    struct ssh_verdict verdict;
};

static inline struct ssh_op *ssh_op_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct ssh_op, effect);
}

/* -- bind_ssh_args.c ----------------------------------------------------------------------------------------------- */

/* [-0, +0, e] argv or text, cwd and env of the table at 1. */
void rb_ssh_read_command(lua_State *L, struct ssh_op *op, struct rb_json *j);

/* -- bind_ssh_outage.c --------------------------------------------------------------------------------------------- */

/* Its host can not be reached, and will be asked again; it was reached, or nobody asks any more. */
void rb_ssh_outage_begin(struct ssh_op *op);
void rb_ssh_outage_end(struct ssh_op *op, bool connected);

/* -- bind_ssh_watch.c ---------------------------------------------------------------------------------------------- */

#define RB_SSH_OVERDUE_MS 15000 /* behind its time-out: the connection must be dead */
/* Its session is open: op->timer goes off, with op->awaiting, when no word comes; or when it should have ended. */
void rb_ssh_watch_opened(struct ssh_op *op);
void rb_ssh_watch_heard(struct ssh_op *op);                            /* the first word has come */
void rb_ssh_watch_silent(const struct ssh_op *op, struct rb_buf *out); /* what to say when none has */

/* -- bind_ssh_result.c --------------------------------------------------------------------------------------------- */

void rb_ssh_capture_reset(struct ssh_op *op);
/* Output of the command: kept up to max_output, counted, shown to whoever watches. */
void rb_ssh_capture(void *op, int stream, const char *data, size_t len);
/* op->verdict says how it ended: the effect is done, or failed. */
void rb_ssh_finish(struct ssh_op *op);
/* It was not begun. */
void rb_ssh_not_begun(struct ssh_op *op, enum rb_ssh_why why, const char *text);
void rb_ssh_refused(struct ssh_op *op, const char *why);                            /* by the shell over there */
void rb_ssh_no_shell(struct ssh_op *op, enum rb_outcome outcome, const char *said); /* what it said instead */
/* The connection went, and nobody can say what became of it. */
void rb_ssh_silent(struct ssh_op *op, uint64_t ms); /* it did not say in time where a command would start */
void rb_ssh_late(struct ssh_op *op);                /* its time is over, and it could not be stopped */
void rb_ssh_lost(struct ssh_op *op, enum rb_outcome outcome, const char *text);
void rb_ssh_stopped(struct ssh_op *op, enum rb_outcome outcome, const char *text); /* it was cancelled */
/* What is lost of a read is nothing. */
enum rb_outcome rb_ssh_unknown(const struct ssh_op *op);
char *rb_ssh_title(const struct ssh_op *op); /* "ssh web1: git fetch" */
void rb_ssh_push(struct rb_effect *e, lua_State *L);
void rb_ssh_assume(struct rb_effect *e, lua_State *L);

#endif
