/* One `ssh -MN`: a connection to a destination, with a control socket. It ends with the host, even when that is killed.
 * Only for io/ssh*.c. */
#ifndef RB_SSH_MASTER_H
#define RB_SSH_MASTER_H

#include "io/ssh_folder.h"
#include "io/ssh_why.h"
#include "io/timer.h"

enum rb_ssh_master_state {
    RB_SSH_MASTER_STARTING,
    RB_SSH_MASTER_UP,
    RB_SSH_MASTER_ENDING, /* was told to end, or does not answer any more */
    RB_SSH_MASTER_GONE,
};

struct rb_ssh_master {
    char path[RB_SSH_PATH_MAX]; /* its control socket */
    enum rb_ssh_master_state state;
    bool stood; /* it was UP once */

    /* The pool's. */
    struct rb_list link;     /* in its destination */
    struct rb_list sessions; /* struct rb_ssh that are at work on it */
    unsigned count;          /* of these */
    unsigned cap;            /* how many the server lets it have */
    bool used;               /* a session was opened on it once */
    bool left_some;          /* sessions were let go of: what they run counts over there until it has ended */
    struct rb_timer idle;

    /* Why it is gone: rb_ssh_why_of(), or RB_SSH_WHY_LOST when it had stood. */
    enum rb_ssh_why why;
    bool busy; /* the server hung up before it said a word: it may have too many who knock */
    char text[RB_SSH_TEXT_MAX];

    /* ssh_master.c's. */
    struct rb_loop *loop;
    struct rb_proc *proc;
    struct rb_timer limit; /* until it stands */
    struct rb_timer look;  /* at its socket, where the folder can not be watched */
    bool timed_out;
    uint64_t connect_ms;
    void (*on_change)(void *arg, struct rb_ssh_master *m);
    void *arg;
};

#define RB_SSH_CONNECT_MS 30000

/* on_change: it is UP, later or instead GONE; after GONE it is freed. Never from within start. watched: somebody calls
 * rb_ssh_master_look() when the folder of its socket has changed. */
int rb_ssh_master_start(struct rb_loop *loop, const struct rb_ssh_target *target, const char *path, bool watched,
                        void (*on_change)(void *arg, struct rb_ssh_master *m), void *arg, struct rb_ssh_master **out,
                        struct rb_err *err);
void rb_ssh_master_look(struct rb_ssh_master *m);
/* Tells it to end: GONE follows. */
void rb_ssh_master_close(struct rb_ssh_master *m);
/* Ends and frees it at once, as the loop goes. */
void rb_ssh_master_drop(struct rb_ssh_master *m);

#endif
