/* Deadlines by CLOCK_BOOTTIME: time that the machine was suspended counts. All timers of a loop share one descriptor
 * and one uv handle, so a timer costs its struct and a place in a heap, and nothing is closed asynchronously: after
 * rb_timer_disarm() its memory may go at once. Loop thread only. */
#ifndef RB_TIMER_H
#define RB_TIMER_H

#include "loop/loop.h"

/* Embed it; the fields are timer.c's, but `at` may be read while it is armed. */
struct rb_timer {
    struct rb_loop *loop;
    void (*fn)(struct rb_timer *t);
    int64_t at;          /* rb_clock_boot() microseconds */
    uint64_t order;      /* of two for the same microsecond, the one armed first fires first */
    size_t place;        /* in the heap, from 1; 0: not there */
    struct rb_list link; /* due, and about to be called */
};

/* Opens what the timers of a loop share, if need be. Only for who must report its failure (too many open files):
 * rb_timer_init() does the same and ends the process when it fails. */
int rb_timer_open(struct rb_loop *loop, struct rb_err *err);

/* fn is called on the loop, with the timer no longer armed; it may arm it again or free it. */
void rb_timer_init(struct rb_timer *t, struct rb_loop *loop, void (*fn)(struct rb_timer *t));

/* (Re)arms it for rb_clock_boot() >= at_boot_us. A time that has passed fires in the next turn, never from within
 * this call. */
void rb_timer_arm(struct rb_timer *t, int64_t at_boot_us);
/* For `ms` from now; a span without end in sight (292,000 years) never fires. */
void rb_timer_arm_ms(struct rb_timer *t, uint64_t ms);

/* fn will not be called any more. Does nothing on one that is not armed, nor on one that is all zero because nobody
 * came to rb_timer_init(). Must come before rb_loop_release(). */
void rb_timer_disarm(struct rb_timer *t);
bool rb_timer_armed(const struct rb_timer *t);

#endif
