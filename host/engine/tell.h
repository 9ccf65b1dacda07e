/* Telling people: a message goes to a channel of the configuration, with its secrets, its least severity and its rate,
 * again when the receiver asks for it, and to the channel it falls back to when it can not be delivered. */
#ifndef RB_TELL_H
#define RB_TELL_H

#include <jansson.h>

#include "base/list.h"
#include "engine/effect.h"
#include "io/message.h"

#define RB_TELL_TIMEOUT_MS 30000

struct rb_host;
struct rb_observer;
struct rb_telling;

struct rb_told {
    bool delivered;
    const char *channel;     /* that took it: the one that was named, or one it falls back to */
    const char *held;        /* not delivered on purpose: "severity", "rate"; NULL */
    enum rb_outcome outcome; /* of a failure */
    char message[900];       /* of a failure */
};

struct rb_tell_options {
    struct rb_run *run;
    const char *channel;
    const struct rb_message *message; /* copied */
    uint64_t timeout_ms;              /* of the whole; 0: the channel's, else RB_TELL_TIMEOUT_MS */
    bool always;                      /* neither severity nor rate hold it back */
    /* Once, on the loop, never from within rb_tell_start(); the telling frees itself afterwards. */
    void (*fn)(void *arg, const struct rb_told *told);
    void *arg;
};

void rb_tell_start(const struct rb_tell_options *opt, struct rb_telling **out);
void rb_tell_cancel(struct rb_telling *t); /* fn follows soon */
void rb_tell_drop(struct rb_telling *t);   /* fn will not be called */

/* A channel of the configuration, borrowed; NULL: RB_ENOENT names the nearest one. */
const json_t *rb_tell_channel(const struct rb_run *run, const char *name, struct rb_err *err);
/* Says in the message where it comes from. */
void rb_tell_origin(const struct rb_run *run, struct rb_message *m);
bool rb_tell_dedups(const json_t *channel); /* its receiver knows a message that comes twice */

/* A run that is none, for messages that no runbook sends: rb_run_free() it. */
struct rb_run *rb_tell_alone(struct rb_host *h, const struct rb_observer *observer);

/* Messages of a run that a channel's rate has held back. */
struct rb_backlog {
    struct rb_list link;
    char *channel;
    int count; /* not told of yet */
    int told;  /* how often it was told of what was held back */
    enum rb_severity worst;
    struct rb_timer opens; /* when the next may pass */
    struct rb_run *run;
    struct rb_rate *rate;
};
void rb_tell_free(struct rb_run *run); /* the run's counts */
/* After a replay: one was delivered at this time (wall µs); so many were held back and not told
 * of, and so often it was told of others. */
void rb_tell_passed(struct rb_run *run, const char *channel, int64_t at);
void rb_tell_restore(struct rb_run *run, const char *channel, int count, int told);

#endif
