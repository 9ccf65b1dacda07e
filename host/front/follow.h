/* A run that another process owns, as its events come. */
#ifndef RB_FOLLOW_H
#define RB_FOLLOW_H

#include "front/cli.h"
#include "loop/loop.h"

struct rb_follow {
    struct rb_loop *loop;
    struct rb_store *store; /* borrowed, for reading */
    char run[RB_RUN_ID_MAX];
    int64_t seq; /* last event given */
    uv_fs_event_t fs;
    uv_timer_t timer;
    /* Each new event, in order; non-zero stops the walk until the next look. */
    int (*on_event)(void *arg, const struct rb_event *ev);
    /* After each look at the journal. rc: of the look. */
    void (*on_look)(void *arg, int rc, const struct rb_err *err);
    void *arg;
};

/* Fill loop, store, run, seq and the callbacks first. Looks whenever the journal's folder changes (inotify), and every
 * 200 ms. */
int rb_follow_start(struct rb_follow *f, struct rb_err *err);
void rb_follow_stop(struct rb_follow *f); /* the handles close with the loop's release */

#endif
