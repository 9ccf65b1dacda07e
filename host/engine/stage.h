/* What stands in for the world of a run: of one that is tested, and of one that tests. Every other run has none, and
 * then nothing here is asked. The one who fills it is bind/bind_mock.c. */
#ifndef RB_STAGE_H
#define RB_STAGE_H

#include <lua.h>

#include "engine/bindings.h"

struct rb_effect;
struct rb_run;

/* Outlives the runs that have it (rb_run_options.stage). Any member may be NULL. */
struct rb_stage {
    const struct rb_binding *bindings; /* in place of the primitives of these names */
    const char *root;                  /* the module of stdlib/rt that is the root task; NULL: the runbook */
    int64_t clock;                     /* its wall clock, µs since 1970; 0: the real one */
    int64_t began;                     /* by that clock, for the time-out of its header */
    /* It is being made: what it shall know (rb_secret_learn) may be told. */
    void (*made)(struct rb_stage *s, struct rb_run *run);
    /* An op that is about to go its way: may put another type in the place of e->type. Must not raise. */
    void (*called)(struct rb_stage *s, struct rb_effect *e);
};

struct rb_stage *rb_stage_of(lua_State *L); /* of the run of this state; NULL */

/* The wall clock as the run sees it. lib_outside.c */
int64_t rb_stage_clock(const struct rb_run *run);

/* When the time of the whole run is over, by the clock of its stage; 0: never. And: it is over now. run.c */
int64_t rb_stage_deadline(const struct rb_run *run);
void rb_stage_time_over(struct rb_run *run);

/* Nothing goes on by itself any more: each of its tasks waits for an op that has started. */
bool rb_stage_idle(const struct rb_run *run);

#endif
