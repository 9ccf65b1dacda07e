/* Whom the header's `notify` names is told when the run waits, is in doubt, is parked or ends; and what a channel's
 * rate has held back is told of later. What was told is journaled (`notice`), so that a resume does not tell it again.
 *
 * A final state is told before its run.end is written, when nothing can change it any more: behind that event stands
 * nothing. It never fails the run, and holds it up for NOTICE_MS at most. */
#ifndef RB_NOTICE_H
#define RB_NOTICE_H

#include "base/err.h"
#include "io/timer.h"

struct rb_run;
struct rb_notices;

/* Does the configuration have the channels that the header names? RB_EINVAL names the one that is missing. */
int rb_notice_check(struct rb_run *run, struct rb_err *err);

/* The run waits for persons (n of the latest such op, 0 none) and has doubts (the same): they are told of when nobody
 * has answered in time. leaves: it is about to, and says so then. */
void rb_notice_look(struct rb_run *run, int64_t person, int64_t doubt, bool leaves);

/* The run leaves as this status, perhaps with an error: true when everybody was told. Else the run is woken when they
 * were, and asks again. */
bool rb_notice_settled(struct rb_run *run, const char *status, const char *error);

/* Whoever was not told yet is not told any more: somebody wants to leave at once. */
void rb_notice_hurry(struct rb_run *run);
/* A retry or an undo has begun with this event: its end is another one. */
void rb_notice_generation(struct rb_run *run, int64_t seq);
void rb_notice_live(struct rb_run *run); /* a replay is through: what its journal says was told */
void rb_notice_free(struct rb_run *run);

void rb_notice_rate_opens(struct rb_timer *t); /* of a struct rb_backlog */

#endif
