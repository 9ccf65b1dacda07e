/* The uv loop of the process: one thread, nothing on it may block. */
#ifndef RB_LOOP_H
#define RB_LOOP_H

#include <uv.h>

#include "base/err.h"
#include "base/list.h"

struct rb_loop {
    uv_loop_t uv;
    uv_prepare_t prepare; /* runs the turn hooks before the loop may block */
    uv_idle_t idle;       /* active while rb_loop_again() was asked: poll does not block */
    struct rb_list turns; /* struct rb_turn */
    struct rb_list signals;
    bool again;
    bool stopped;
};

/* Work that is done once per loop turn, before the loop blocks: the ready queue of the engine. */
struct rb_turn {
    struct rb_list link;
    void (*run)(struct rb_turn *t);
};

/* A watched signal; embed it, keep it alive until rb_loop_release(). */
struct rb_signal {
    struct rb_list link;
    uv_signal_t handle;
    void (*on_signal)(struct rb_signal *s, int signum);
};

int rb_loop_init(struct rb_loop *loop, struct rb_err *err);

/* Runs until rb_loop_stop(). Every uv handle that is open must belong to somebody who closes it. */
void rb_loop_run(struct rb_loop *loop);
void rb_loop_stop(struct rb_loop *loop);

/* Runs the turn hooks again soon, without blocking in poll. Cheap; call it whenever something became ready. */
void rb_loop_again(struct rb_loop *loop);

void rb_loop_turn_add(struct rb_loop *loop, struct rb_turn *t); /* borrows t until removed */
void rb_loop_turn_remove(struct rb_loop *loop, struct rb_turn *t);

int rb_loop_signal_add(struct rb_loop *loop, struct rb_signal *s, int signum, struct rb_err *err);
void rb_loop_signal_remove(struct rb_loop *loop, struct rb_signal *s); /* asynchronous close; s must outlive release */

/* Closes the loop's own handles, runs close callbacks, and returns the number of handles that somebody else left
 * open (0 is the only good answer; tests fail on more). */
int rb_loop_release(struct rb_loop *loop);

#endif
