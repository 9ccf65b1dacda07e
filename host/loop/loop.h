/* The uv loop of the process: one thread, nothing on it may block. */
#ifndef RB_LOOP_H
#define RB_LOOP_H

#include <uv.h>

#include "base/err.h"
#include "base/list.h"

/* What a driver keeps once for each loop (the timers, libcurl's connections), made at first use and given up with the
 * loop. */
struct rb_loop_guest {
    void (*release)(struct rb_loop_guest *g); /* closes its handles, frees itself in their close callback */
    struct rb_list link;
};

struct rb_loop {
    uv_loop_t uv;
    uv_prepare_t prepare; /* runs the turn hooks before the loop may block */
    uv_idle_t idle;       /* active while rb_loop_again() was asked: poll does not block */
    struct rb_list turns; /* struct rb_turn */
    struct rb_list signals;
    struct rb_list guests;        /* struct rb_loop_guest, the newest last */
    struct rb_loop_guest *timers; /* io/timer.c's, or NULL: what every other guest may need, so it goes last */
    bool again;
    bool stopped;
    bool running; /* within rb_loop_run(): what is called now must not block */
    bool released;
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

/* Also makes the process fit for a loop: SIGPIPE is ignored (a closed pipe is EPIPE, not death), SIGCHLD is at its
 * default (whoever started us may have ignored it, and then no child could be waited for), the descriptors 0, 1 and 2
 * are there (on /dev/null if need be: what is printed must not end up in whatever was opened there), and the thread
 * pool gets 16 threads unless UV_THREADPOOL_SIZE says otherwise. Call it first, before any thread is started. */
int rb_loop_init(struct rb_loop *loop, struct rb_err *err);

/* Runs until rb_loop_stop(); at once over when that was called since the last run. Every uv handle that is open must
 * belong to somebody who closes it. */
void rb_loop_run(struct rb_loop *loop);
void rb_loop_stop(struct rb_loop *loop);

/* Runs the turn hooks again soon, without blocking in poll. Cheap; call it whenever something became ready. */
void rb_loop_again(struct rb_loop *loop);

/* A hook may add and remove hooks, also itself. One that was added while the hooks run has its first turn later. */
void rb_loop_turn_add(struct rb_loop *loop, struct rb_turn *t); /* borrows t until removed */
void rb_loop_turn_remove(struct rb_loop *loop, struct rb_turn *t);

/* The caller sets s->on_signal before. Several may watch one number. After a failure, too, s must outlive release. */
int rb_loop_signal_add(struct rb_loop *loop, struct rb_signal *s, int signum, struct rb_err *err);
void rb_loop_signal_remove(struct rb_loop *loop, struct rb_signal *s); /* asynchronous close; s must outlive release */

/* The guest that this function releases, or NULL: each driver has one of its own. */
struct rb_loop_guest *rb_loop_guest_find(const struct rb_loop *loop, void (*release)(struct rb_loop_guest *g));
/* Released with the loop, those that came last first. */
void rb_loop_guest_add(struct rb_loop *loop, struct rb_loop_guest *g);

/* Closes the loop's own handles and the signals, waits for work that is on the thread pool, runs close callbacks, and
 * returns the number of handles that somebody else left open (0 is the only good answer; tests fail on more). With 0,
 * no descriptor of the loop is open any more. */
int rb_loop_release(struct rb_loop *loop);

#endif
