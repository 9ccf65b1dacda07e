/* One command on its way: its streams, its request to a master, its end. Which master, and when, is ssh.c's. Only for
 * io/ssh*.c. */
#ifndef RB_SSH_SESSION_H
#define RB_SSH_SESSION_H

#include "io/ssh_input.h"
#include "io/ssh_master.h"
#include "io/ssh_mux.h"

enum rb_ssh_state {
    RB_SSH_WAITING, /* for a master; nothing is open */
    RB_SSH_ASKED,   /* a master has, or is being given, the request */
    RB_SSH_OPEN,    /* the session runs */
    RB_SSH_DOUBTED, /* it has ended without a code: is the master alive? */
    RB_SSH_LOSING,  /* the master does not answer: once it is gone it is known what it said */
    RB_SSH_ENDING,  /* the session has ended; its output is still being read */
    RB_SSH_ENDED,   /* on_done has to be called */
};

/* Our end of one pipe. */
struct rb_ssh_stream {
    uv_poll_t poll;
    int fd; /* -1: closed, or never there */
    int number;
};

struct rb_ssh {
    struct rb_loop *loop;
    struct rb_list link;          /* ssh.c's: in a queue, with its master, among the ended */
    struct rb_ssh_master *master; /* while it is at work on one */
    void *dest;                   /* ssh.c's */
    int refusals;                 /* how often it had to be given to another master */
    enum rb_ssh_state state;
    const struct rb_ssh_watcher *watcher;

    char *command;
    struct rb_mux *mux;
    struct rb_ssh_stream io[3];
    int theirs[3]; /* what the master is given; ours to close until it has them; -1: none, or borrowed */
    int handles;
    bool unowned, closing;
    uint32_t id; /* the session's number, by which ssh tells why it ended */
    bool exited;
    struct rb_timer drain;
    bool has_input;
    struct rb_ssh_input input;
    struct rb_ssh_options opt; /* without what was copied */
    struct rb_ssh_result result;
    char text[RB_SSH_TEXT_MAX];
};

/* What ssh.c does when a session comes to a crossroad. None is called from within begin or close. */
struct rb_ssh_watcher {
    void (*on_unreached)(struct rb_ssh *s);                 /* the master took nothing: WAITING again */
    void (*on_refused)(struct rb_ssh *s, const char *text); /* the server opens no (further) session: WAITING again */
    void (*on_losing)(struct rb_ssh *s);                    /* LOSING */
    void (*on_ended)(struct rb_ssh *s);                     /* ENDING or ENDED: the master's slot is free */
};

struct rb_ssh *rb_ssh_session_new(struct rb_loop *loop, const struct rb_ssh_options *opt,
                                  const struct rb_ssh_watcher *watcher);
/* Opens its streams and asks s->master for a session. Non-zero: WAITING still; RB_ENOENT: the master is not there,
 * RB_EAGAIN: it is too busy, RB_EIO: there are not enough descriptors. null_fd: /dev/null. */
int rb_ssh_session_begin(struct rb_ssh *s, int null_fd, struct rb_err *err);
/* It ends, whatever it is doing: the result is set (text: "" for the end that it has had) and it is ENDED. */
void rb_ssh_session_end(struct rb_ssh *s, enum rb_ssh_end end, enum rb_ssh_why why, const char *text);
/* Calls on_done, and frees it when its handles are closed. */
void rb_ssh_session_done(struct rb_ssh *s);
/* Its end, as the loop goes: on_done is called at once. */
void rb_ssh_session_drop(struct rb_ssh *s);

#endif
