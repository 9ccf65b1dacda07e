/* Owns the way of a message from who says it to a channel that takes it: severity, rate, secrets, repetition, the
 * channel it falls back to. Knows no channel's form (io/notify.c does), and no journal. */
#include "engine/tell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/nearest.h"
#include "engine/core.h"
#include "engine/notice.h"
#include "io/notify.h"
#include "io/rate.h"

#define ATTEMPTS 4        /* of one channel */
#define PAUSE_MS 500      /* before the second; doubled each time */
#define FALLBACKS 5       /* channels in a row */
#define CHANNELS_MAX 1000 /* for the nearest name */

struct rb_telling {
    struct rb_tell_options opt;
    struct rb_message message;
    const char *name; /* of the channel that is tried; the configuration's */
    json_t *channel;  /* its table, with secrets in place; ours */
    json_t *hole;     /* the table or list in which a secret is being put */
    const char *hole_key;
    size_t hole_index;
    struct rb_secret_wait secret;
    bool fetching, dropped, cancelled;
    struct rb_notify *sending;
    struct rb_timer timer; /* the beginning, and pauses */
    int64_t until;         /* boot µs */
    int attempt, hops;
    struct rb_told told;
};

static void try_channel(struct rb_telling *t);
static void fill(struct rb_telling *t);

/* -- channels of the configuration --------------------------------------------------------------------------------- */

const json_t *rb_tell_channel(const struct rb_run *run, const char *name, struct rb_err *err)
{
    const json_t *all = rb_host_config(run->host, "channels"), *one = json_object_get(all, name), *value;
    const char *names[CHANNELS_MAX], *key;
    size_t n = 0;
    if (json_is_object(one))
        return one;
    json_object_foreach((json_t *)(uintptr_t)all, key, value) if (n < CHANNELS_MAX) names[n++] = key;
    const char *near = rb_nearest(name, names, n);
    if (!n)
        rb_err_set(err, RB_ENOENT,
                   "there is no channel %s: the configuration has none; channels = { %s = { type = \"terminal\" } }",
                   name, name);
    else
        rb_err_set(err, RB_ENOENT, "there is no channel %s in the configuration%s%s%s", name,
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return NULL;
}

void rb_tell_origin(const struct rb_run *run, struct rb_message *m)
{
    m->run = run->id[0] ? rb_strdup(run->id) : NULL;
    m->runbook = rb_strdup(run->runbook);
    m->environment = rb_strdup(run->environment);
}

bool rb_tell_dedups(const json_t *channel)
{
    const struct rb_channel_kind *kind = rb_channel_kind(channel);
    return kind && kind->dedups;
}

struct rb_run *rb_tell_alone(struct rb_host *h, const struct rb_observer *observer)
{
    struct rb_actor actor = {0};
    struct rb_run_options opt = {.actor = &actor, .observer = *observer};
    const char *label = json_string_value(rb_host_config(h, "environment"));
    opt.environment = label;
    return rb_run_make(h, &opt);
}

/* -- rate ---------------------------------------------------------------------------------------------------------- */

static struct rb_backlog *backlog(struct rb_run *run, const char *channel)
{
    struct rb_err err;
    RB_LIST_EACH (it, &run->backlogs) {
        struct rb_backlog *b = RB_CONTAINER(it, struct rb_backlog, link);
        if (strcmp(b->channel, channel) == 0)
            return b;
    }
    struct rb_backlog *b = rb_alloc(sizeof(*b));
    b->channel = rb_strdup(channel);
    b->run = run;
    b->rate = rb_alloc(sizeof(*b->rate));
    const json_t *c = rb_tell_channel(run, channel, &err);
    rb_rate_init(b->rate, rb_channel_text(c, "rate")); /* the configuration was checked */
    rb_timer_init(&b->opens, run->host->loop, rb_notice_rate_opens);
    rb_list_push(&run->backlogs, &b->link);
    return b;
}

void rb_tell_free(struct rb_run *run)
{
    struct rb_list *it;
    while ((it = rb_list_pop(&run->backlogs))) {
        struct rb_backlog *b = RB_CONTAINER(it, struct rb_backlog, link);
        rb_timer_disarm(&b->opens);
        rb_rate_release(b->rate);
        free(b->rate);
        free(b->channel);
        free(b);
    }
}

void rb_tell_passed(struct rb_run *run, const char *channel, int64_t at)
{
    struct rb_err err;
    int64_t ago = rb_clock_wall() - at;
    if (rb_tell_channel(run, channel, &err))
        rb_rate_count(backlog(run, channel)->rate, rb_clock_boot() - (ago > 0 ? ago : 0));
}

void rb_tell_restore(struct rb_run *run, const char *channel, int count, int told)
{
    struct rb_err err;
    if (!rb_tell_channel(run, channel, &err))
        return;
    struct rb_backlog *b = backlog(run, channel);
    b->told = told;
    b->count = count;
    b->worst = RB_INFO;
    if (count)
        rb_timer_arm(&b->opens, rb_rate_opens(b->rate, rb_clock_boot()));
}

/* Does the rate hold it back? Then it is counted. */
static bool over_rate(struct rb_telling *t)
{
    struct rb_backlog *b = backlog(t->opt.run, t->name);
    int64_t now = rb_clock_boot();
    if (rb_rate_admit(b->rate, now) || t->opt.always)
        return false;
    if (!b->count++ || t->message.severity > b->worst)
        b->worst = t->message.severity;
    if (!rb_timer_armed(&b->opens))
        rb_timer_arm(&b->opens, rb_rate_opens(b->rate, now));
    return true;
}

/* -- the end ------------------------------------------------------------------------------------------------------- */

static void destroy(struct rb_telling *t)
{
    rb_timer_disarm(&t->timer);
    if (t->fetching)
        rb_secret_forget(&t->secret);
    rb_message_release(&t->message);
    json_decref(t->channel);
    free(t);
}

static void finish(struct rb_telling *t)
{
    if (!t->dropped)
        t->opt.fn(t->opt.arg, &t->told);
    destroy(t);
}

static bool known_severity(const json_t *channel, enum rb_severity *least)
{
    return rb_severity_parse(rb_channel_text(channel, "min_severity"), least) == RB_OK;
}

/* It can not be delivered here: the channel it falls back to, or the end. */
static void failed(struct rb_telling *t, enum rb_outcome outcome, const char *message)
{
    struct rb_err err;
    struct rb_buf clean; /* an answer may repeat what it was sent, a complaint what it is about */
    size_t len = strlen(t->told.message);
    rb_buf_init(&clean, sizeof(t->told.message));
    rb_secret_redact(t->opt.run, message, strlen(message), &clean);
    snprintf(t->told.message + len, sizeof(t->told.message) - len, "%schannel %s: %s", len ? "; " : "", t->name,
             rb_buf_text(&clean));
    rb_buf_release(&clean);
    if (t->told.outcome != RB_OUTCOME_UNKNOWN && (outcome != RB_OUTCOME_NOT_STARTED || !len))
        t->told.outcome = outcome; /* of all that was tried, the worst */
    const char *fallback = rb_channel_text(t->channel, "fallback");
    const json_t *next =
        fallback && !t->cancelled && ++t->hops < FALLBACKS ? rb_tell_channel(t->opt.run, fallback, &err) : NULL;
    if (!next) {
        finish(t);
        return;
    }
    /* the name in the configuration, which outlives the table that is ours */
    const json_t *old = rb_tell_channel(t->opt.run, t->name, &err);
    t->name = rb_channel_text(old, "fallback");
    t->attempt = 0;
    try_channel(t);
}

/* -- sending ------------------------------------------------------------------------------------------------------- */

static void on_line(void *arg, const char *line)
{
    const struct rb_telling *t = arg;
    struct rb_run *run = t->opt.run;
    if (run->observer.on_told)
        run->observer.on_told(run->observer.arg, run, line);
}

static int64_t left_ms(const struct rb_telling *t)
{
    return (t->until - rb_clock_boot()) / 1000;
}

static void on_sent(void *arg, const struct rb_notify_result *r)
{
    static const enum rb_outcome outcomes[] = {[RB_NOTIFY_TAKEN] = RB_OUTCOME_NONE,
                                               [RB_NOTIFY_NOT_SENT] = RB_OUTCOME_NOT_STARTED,
                                               [RB_NOTIFY_REFUSED] = RB_OUTCOME_FAILED,
                                               [RB_NOTIFY_UNKNOWN] = RB_OUTCOME_UNKNOWN};
    struct rb_telling *t = arg;
    t->sending = NULL;
    if (r->end == RB_NOTIFY_TAKEN) {
        t->told.delivered = true;
        t->told.channel = t->name;
        finish(t);
        return;
    }
    int64_t pause = r->after_ms > 0 ? r->after_ms : (int64_t)PAUSE_MS << (t->attempt - 1);
    /* what may have been taken is repeated only where its receiver knows it again */
    bool safe = r->end != RB_NOTIFY_UNKNOWN || rb_tell_dedups(t->channel);
    if (r->again && safe && !t->cancelled && t->attempt < ATTEMPTS && pause < left_ms(t)) {
        rb_timer_arm_ms(&t->timer, (uint64_t)pause);
        return;
    }
    failed(t, outcomes[r->end], r->message);
}

static void send_now(struct rb_telling *t)
{
    struct rb_err err;
    struct rb_notify_options opt = {.channel = t->channel,
                                    .message = &t->message,
                                    .http = rb_host_config(t->opt.run->host, "http"),
                                    .name = t->name,
                                    .on_line = on_line,
                                    .on_done = on_sent,
                                    .arg = t};
    int64_t left = left_ms(t);
    opt.timeout_ms = left > 1 ? (uint64_t)left : 1;
    t->attempt++;
    if (rb_notify_start(t->opt.run->host->loop, &opt, &t->sending, &err))
        failed(t, RB_OUTCOME_NOT_STARTED, err.msg);
}

/* -- secrets ------------------------------------------------------------------------------------------------------- */

static void on_secret(struct rb_secret_wait *w, const char *text, size_t len, const struct rb_err *err)
{
    struct rb_telling *t = RB_CONTAINER(w, struct rb_telling, secret);
    t->fetching = false;
    if (!text) {
        failed(t, RB_OUTCOME_NOT_STARTED, err->msg);
        return;
    }
    json_t *value = json_stringn(text, len);
    if (!value) {
        failed(t, RB_OUTCOME_NOT_STARTED, "one of its secrets is no text");
        return;
    }
    if (json_is_array(t->hole))
        json_array_set_new(t->hole, t->hole_index, value);
    else
        json_object_set_new(t->hole, t->hole_key, value);
    fill(t);
}

/* The first { secret = "name" } in it; NULL: none is left. */
static const char *find_hole(struct rb_telling *t, json_t *in)
{
    json_t *value;
    const char *key, *name;
    size_t i;
    if (json_is_array(in)) {
        json_array_foreach(in, i, value)
        {
            name = rb_channel_text(value, "secret");
            if (name || (name = find_hole(t, value)) != NULL) {
                if (rb_channel_text(value, "secret")) {
                    t->hole = in;
                    t->hole_index = i;
                }
                return name;
            }
        }
        return NULL;
    }
    json_object_foreach(in, key, value)
    {
        name = rb_channel_text(value, "secret");
        if (name || (name = find_hole(t, value)) != NULL) {
            if (rb_channel_text(value, "secret")) {
                t->hole = in;
                t->hole_key = key;
            }
            return name;
        }
    }
    return NULL;
}

static void fill(struct rb_telling *t)
{
    const char *name = find_hole(t, t->channel);
    if (!name) {
        send_now(t);
        return;
    }
    t->fetching = true;
    t->secret.fn = on_secret;
    rb_list_init(&t->secret.link);
    rb_secret_fetch(t->opt.run, name, &t->secret);
}

/* -- the way ------------------------------------------------------------------------------------------------------- */

static void try_channel(struct rb_telling *t)
{
    struct rb_err err;
    enum rb_severity least;
    const json_t *channel = rb_tell_channel(t->opt.run, t->name, &err);
    json_decref(t->channel);
    t->channel = NULL;
    if (!channel) {
        failed(t, RB_OUTCOME_NOT_STARTED, err.msg);
        return;
    }
    t->channel = json_deep_copy(channel);
    if (!t->opt.always && !t->hops && t->message.action == RB_TRIGGER && known_severity(channel, &least) &&
        t->message.severity < least)
        t->told.held = "severity";
    else if (over_rate(t))
        t->told.held = "rate";
    if (!t->told.held) {
        fill(t);
        return;
    }
    t->told.channel = t->name;
    finish(t);
}

static void on_timer(struct rb_timer *timer)
{
    struct rb_telling *t = RB_CONTAINER(timer, struct rb_telling, timer);
    if (!t->name)
        finish(t);
    else if (t->cancelled)
        failed(t, t->attempt ? RB_OUTCOME_FAILED : RB_OUTCOME_NOT_STARTED, "stopped before it was delivered");
    else if (t->attempt)
        send_now(t);
    else
        try_channel(t);
}

static uint64_t channel_timeout(struct rb_run *run, const char *name)
{
    struct rb_err err;
    const json_t *c = rb_tell_channel(run, name, &err), *v = json_object_get(c, "timeout");
    int64_t us = json_is_string(v) ? rb_rate_span(json_string_value(v)) : (int64_t)(json_number_value(v) * 1e6);
    return us >= 1000 ? (uint64_t)(us / 1000) : RB_TELL_TIMEOUT_MS;
}

void rb_tell_start(const struct rb_tell_options *opt, struct rb_telling **out)
{
    struct rb_telling *t = rb_alloc(sizeof(*t));
    struct rb_err err;
    t->opt = *opt;
    rb_message_copy(&t->message, opt->message);
    t->opt.message = NULL;
    t->opt.channel = NULL;
    /* the name as the configuration has it: that one outlives the call */
    const json_t *all = rb_host_config(opt->run->host, "channels"), *value;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)all, key, value) if (strcmp(key, opt->channel) == 0) t->name = key;
    uint64_t ms = opt->timeout_ms ? opt->timeout_ms : channel_timeout(opt->run, opt->channel);
    t->until = rb_clock_boot() + (int64_t)ms * 1000;
    rb_timer_init(&t->timer, opt->run->host->loop, on_timer);
    if (!t->name) {
        rb_tell_channel(opt->run, opt->channel, &err);
        snprintf(t->told.message, sizeof(t->told.message), "%.800s", err.msg);
        t->told.outcome = RB_OUTCOME_NOT_STARTED;
    }
    rb_timer_arm_ms(&t->timer, 0);
    *out = t;
}

void rb_tell_cancel(struct rb_telling *t)
{
    if (t->cancelled)
        return;
    t->cancelled = true;
    if (t->sending) {
        rb_notify_cancel(t->sending);
        return;
    }
    if (t->fetching)
        rb_secret_forget(&t->secret);
    t->fetching = false;
    rb_timer_arm_ms(&t->timer, 0);
}

void rb_tell_drop(struct rb_telling *t)
{
    if (t->sending)
        rb_notify_drop(t->sending);
    destroy(t);
}
