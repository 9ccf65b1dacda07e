/* Blocking calls on uv's thread pool, with their end on the loop. The pool gives no order and its threads are shared
 * by everybody: bounded calls only (a name look-up, hashing a file), no waiting for a person. */
#ifndef RB_WORK_H
#define RB_WORK_H

#include "loop/loop.h"

/* One call. Embed it, fill run and on_done, keep it alive until on_done has been entered; it may be freed or started
 * again there. */
struct rb_work {
    uv_work_t req;
    void (*run)(struct rb_work *w); /* on another thread: touches only what this piece of work owns */
    /* On the loop, once, never from within rb_work_start(). status: RB_OK, or RB_ECANCELED when run was not called. */
    void (*on_done)(struct rb_work *w, int status);
};

void rb_work_start(struct rb_loop *loop, struct rb_work *w);

/* True when it had not begun: on_done follows with RB_ECANCELED. False: it is running or done, and on_done tells. */
bool rb_work_cancel(struct rb_work *w);

#endif
