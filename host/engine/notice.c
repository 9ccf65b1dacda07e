/* Owns the telling of a run's states to whom its header names, and of what a rate has held back. Says nothing about how
 * a message travels (tell.c). */
#include "engine/notice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/tell.h"

#define NOTICE_MS 10000 /* how long the telling may hold up a run that leaves */
#define TEXT_MAX ((size_t)16 << 10)

struct rb_notices {
    struct rb_run *run;
    struct rb_list going;  /* struct notice */
    json_t *told;          /* "ref channel" → true: told, or being told */
    int64_t generation;    /* event with which what now ends has begun */
    int64_t person, doubt; /* latest ops that are waited for */
    int64_t parked;        /* event of the park; 0 */
    struct rb_timer unanswered, limit;
};

/* One channel that is being told one thing. */
struct notice {
    struct rb_list link;
    struct rb_notices *of;
    char state[16]; /* of the header's notify; "more" */
    char ref[64];
    char *channel, *error;
    bool stays; /* the run is not about to leave */
    int held;   /* more: so many */
    enum rb_severity worst;
    struct rb_durable durable;
    struct rb_telling *telling;
};

/* -- state --------------------------------------------------------------------------------------------------------- */

static void on_unanswered(struct rb_timer *t);
static void on_limit(struct rb_timer *t);

static struct rb_notices *notices(struct rb_run *run)
{
    if (run->notices)
        return run->notices;
    struct rb_notices *n = rb_alloc(sizeof(*n));
    n->run = run;
    n->told = json_object();
    n->generation = 1;
    rb_list_init(&n->going);
    rb_timer_init(&n->unanswered, run->host->loop, on_unanswered);
    rb_timer_init(&n->limit, run->host->loop, on_limit);
    run->notices = n;
    return n;
}

/* The channels of a state as the header has them: a JSON list. A new reference; NULL: none. */
static json_t *channels(const struct rb_run *run, const char *state)
{
    if (!run->header_json || run->dry || run->stage) /* a test tells nobody */
        return NULL;
    struct rb_slice all = rb_json_member(run->header_json, strlen(run->header_json), "notify");
    struct rb_slice list = all.p ? rb_json_member(all.p, all.n, state) : all;
    return list.p ? json_loadb(list.p, list.n, 0, NULL) : NULL;
}

int rb_notice_check(struct rb_run *run, struct rb_err *err)
{
    struct rb_slice all = rb_json_member(run->header_json, strlen(run->header_json), "notify");
    json_t *states = all.p ? json_loadb(all.p, all.n, 0, NULL) : NULL, *list, *one;
    const char *state;
    size_t i;
    int rc = RB_OK;
    if (run->stage) /* a test tells nobody, and knows no channels */
        json_object_clear(states);
    json_object_foreach(states, state, list)
    {
        json_array_foreach(list, i, one) if (!rc && !rb_tell_channel(run, json_string_value(one), err))
        {
            rc = RB_EINVAL;
            rb_err_prefix(err, "the header's notify.%s", state);
        }
    }
    json_decref(states);
    if (rc)
        err->code = rc;
    return rc;
}

static bool mark(struct rb_notices *n, const char *ref, const char *channel)
{
    char key[400];
    snprintf(key, sizeof(key), "%s %s", ref, channel);
    if (json_object_get(n->told, key))
        return false;
    json_object_set_new(n->told, key, json_true());
    return true;
}

void rb_notice_generation(struct rb_run *run, int64_t seq)
{
    notices(run)->generation = seq;
}

/* -- one notice ---------------------------------------------------------------------------------------------------- */

/* How a state is said, and how bad it is. */
static const struct saying {
    const char *state, *says;
    enum rb_severity severity;
} sayings[] = {
    {"waiting", "waits for an answer", RB_WARNING},
    {"in_doubt", "is in doubt", RB_ERROR},
    {"failed", "failed", RB_ERROR},
    {"parked", "was parked", RB_WARNING},
    {"denied", "was denied", RB_WARNING},
    {"cancelled", "was cancelled", RB_WARNING},
    {"succeeded", "succeeded", RB_INFO},
    {"more", "has held messages back", RB_INFO},
};

static const struct saying *saying(const char *state)
{
    size_t i = 0;
    while (i + 1 < RB_COUNT(sayings) && strcmp(sayings[i].state, state) != 0)
        i++;
    return &sayings[i];
}

static void drop(struct notice *o)
{
    rb_list_remove(&o->link);
    rb_durable_cancel(&o->durable);
    if (o->telling)
        rb_tell_drop(o->telling);
    free(o->channel);
    free(o->error);
    free(o);
}

static void complain(const struct notice *o, const char *why)
{
    struct rb_run *run = o->of->run;
    struct rb_buf line;
    rb_buf_init(&line, 1500);
    rb_buf_addf(&line, "warning: nobody was told by channel %s that the run %s: %s", o->channel, saying(o->state)->says,
                why);
    if (run->observer.on_told)
        run->observer.on_told(run->observer.arg, run, rb_buf_text(&line));
    rb_buf_release(&line);
}

static void record(struct notice *o, const struct rb_told *told, const char *error)
{
    struct rb_run *run = o->of->run;
    struct rb_buf data;
    struct rb_json j;
    rb_buf_init(&data, 8192);
    rb_json_init(&j, &data);
    rb_json_object(&j);
    rb_json_ktext(&j, "for", o->state);
    rb_json_ktext(&j, "channel", o->channel);
    rb_json_ktext(&j, "ref", o->ref);
    if (o->held)
        rb_json_kint(&j, "held", o->held);
    rb_json_kbool(&j, "ok", error == NULL);
    if (told && told->delivered && strcmp(told->channel, o->channel) != 0)
        rb_json_ktext(&j, "by", told->channel);
    rb_json_ktext(&j, "error", error);
    rb_json_end_object(&j);
    rb_journal_append(run->journal, "", "notice", data.data, data.len);
    rb_buf_release(&data);
    if (error)
        complain(o, error);
}

static void on_told(void *arg, const struct rb_told *told)
{
    struct notice *o = arg;
    struct rb_run *run = o->of->run;
    o->telling = NULL;
    rb_fault_point("notice.before-record");
    record(o, told, told->delivered ? NULL : told->message);
    rb_fault_point("notice.after-record");
    drop(o);
    rb_run_wake(run);
}

static void headline(const struct notice *o, struct rb_buf *out)
{
    const struct rb_run *run = o->of->run;
    const char *what = run->title && *run->title ? run->title : run->runbook;
    rb_buf_addf(out, "%s %s", what ? what : run->id, saying(o->state)->says);
}

/* What the run has come to is durable and shown: now it may be told. */
static void on_durable(struct rb_durable *w)
{
    struct notice *o = RB_CONTAINER(w, struct notice, durable);
    struct rb_run *run = o->of->run;
    struct rb_message m = {.severity = saying(o->state)->severity, .at = rb_clock_wall(), .run = run->id};
    struct rb_buf title, text, clean, id;
    rb_buf_init(&title, 1000);
    rb_buf_init(&text, TEXT_MAX);
    rb_buf_init(&clean, TEXT_MAX * 2);
    rb_buf_init(&id, 200);
    if (o->held) {
        m.severity = o->worst;
        rb_buf_addf(&text, "and %d more, held back by the channel's rate; `rbhost log %s` has them", o->held, run->id);
    } else {
        headline(o, &title);
        if (run->observer.describe)
            run->observer.describe(run->observer.arg, run, o->state, o->error, o->stays, &text);
        else
            rb_buf_addf(&text, "run %s%s%s", run->id, o->error ? ": " : "", o->error ? o->error : "");
    }
    rb_secret_redact(run, rb_buf_text(&text), text.len, &clean);
    rb_buf_addf(&id, "%s-%s", run->id, o->ref);
    m.id = (char *)(uintptr_t)rb_buf_text(&id);
    m.title = title.len ? (char *)(uintptr_t)rb_buf_text(&title) : NULL;
    m.text = (char *)(uintptr_t)rb_buf_text(&clean);
    m.dedup = o->held ? NULL : run->id; /* what was opened by a failure is closed by a success */
    m.action = strcmp(o->state, "succeeded") == 0 ? RB_RESOLVE : RB_TRIGGER;
    m.runbook = run->runbook;
    m.environment = run->environment;
    struct rb_tell_options opt = {
        .run = run, .channel = o->channel, .message = &m, .always = true, .fn = on_told, .arg = o};
    rb_tell_start(&opt, &o->telling);
    rb_buf_release(&title);
    rb_buf_release(&text);
    rb_buf_release(&clean);
    rb_buf_release(&id);
}

static struct notice *begin(struct rb_notices *n, const char *state, const char *ref, const char *channel,
                            const char *error, bool stays)
{
    struct notice *o = rb_alloc(sizeof(*o));
    o->of = n;
    snprintf(o->state, sizeof(o->state), "%s", state);
    snprintf(o->ref, sizeof(o->ref), "%s", ref);
    o->channel = rb_strdup(channel);
    o->error = rb_strdup(error);
    o->stays = stays;
    rb_list_init(&o->link);
    rb_list_init(&o->durable.link);
    rb_list_push(&n->going, &o->link);
    o->durable.fn = on_durable;
    rb_journal_when_durable(n->run->journal, rb_journal_seq(n->run->journal), &o->durable);
    return o;
}

static void tell_all(struct rb_run *run, const char *state, int64_t of, const char *error, bool stays)
{
    json_t *list = channels(run, state), *one;
    struct rb_notices *n = list ? notices(run) : NULL;
    char ref[64];
    size_t i;
    snprintf(ref, sizeof(ref), "%s-%lld", state, (long long)of);
    json_array_foreach(list, i, one) if (mark(n, ref, json_string_value(one)))
        begin(n, state, ref, json_string_value(one), error, stays);
    json_decref(list);
}

/* -- what a rate has held back ------------------------------------------------------------------------------------- */

static void tell_held(struct rb_backlog *b)
{
    struct rb_run *run = b->run;
    char ref[64], sum[RB_SHA_HEX];
    if (!b->count || run->dry || run->mode == RB_RUN_STOPPED || run->stop_status)
        return;
    rb_timer_disarm(&b->opens);
    rb_sha_of_hex(b->channel, strlen(b->channel), sum);
    snprintf(ref, sizeof(ref), "more-%.8s-%d", sum, ++b->told); /* the same after a crash before it is recorded */
    struct notice *o = begin(notices(run), "more", ref, b->channel, NULL, true);
    o->held = b->count;
    o->worst = b->worst;
    b->count = 0;
}

void rb_notice_rate_opens(struct rb_timer *t)
{
    tell_held(RB_CONTAINER(t, struct rb_backlog, opens));
}

/* -- states -------------------------------------------------------------------------------------------------------- */

static void tell_waits(struct rb_run *run, bool stays)
{
    struct rb_notices *n = run->notices;
    if (n && n->person)
        tell_all(run, "waiting", n->person, NULL, stays);
    if (n && n->doubt)
        tell_all(run, "in_doubt", n->doubt, NULL, stays);
}

static void on_unanswered(struct rb_timer *t)
{
    struct rb_notices *n = RB_CONTAINER(t, struct rb_notices, unanswered);
    if (n->run->mode == RB_RUN_LIVE && !n->run->stop_status)
        tell_waits(n->run, true);
}

void rb_notice_look(struct rb_run *run, int64_t person, int64_t doubt, bool leaves)
{
    if (run->dry || (!person && !doubt && !run->notices))
        return;
    struct rb_notices *n = notices(run);
    bool fresh = person > n->person || doubt > n->doubt;
    n->person = person;
    n->doubt = doubt;
    if (!person && !doubt)
        rb_timer_disarm(&n->unanswered);
    else if (fresh && run->notice_after_ms > 0)
        rb_timer_arm_ms(&n->unanswered, (uint64_t)run->notice_after_ms);
    else if (fresh && !leaves)
        tell_waits(run, true);
}

bool rb_notice_settled(struct rb_run *run, const char *status, const char *error)
{
    if (run->dry || run->mode == RB_RUN_REPLAY)
        return true;
    bool waits = strcmp(status, "waiting") == 0 || strcmp(status, "in_doubt") == 0;
    struct rb_notices *n = run->notices;
    if (waits)
        tell_waits(run, false);
    else if (strcmp(status, "parked") == 0)
        tell_all(run, "parked", n && n->parked ? n->parked : (notices(run)->parked = rb_journal_seq(run->journal)),
                 error, false);
    else
        tell_all(run, strcmp(status, "timed_out") == 0 || strcmp(status, "undoing") == 0 ? "failed" : status,
                 n ? n->generation : 1, error, false);
    RB_LIST_EACH (it, &run->backlogs)
        tell_held(RB_CONTAINER(it, struct rb_backlog, link));
    n = run->notices;
    if (!n || rb_list_empty(&n->going)) {
        if (n)
            rb_timer_disarm(&n->limit);
        return true;
    }
    if (!rb_timer_armed(&n->limit))
        rb_timer_arm_ms(&n->limit, NOTICE_MS);
    return false;
}

static void give_up(struct rb_notices *n, const char *why)
{
    RB_LIST_EACH_SAFE (it, next, &n->going) {
        struct notice *o = RB_CONTAINER(it, struct notice, link);
        record(o, NULL, why);
        drop(o);
    }
    rb_run_wake(n->run);
}

static void on_limit(struct rb_timer *t)
{
    give_up(RB_CONTAINER(t, struct rb_notices, limit), "it took longer than 10 s, and the run does not wait for it");
}

void rb_notice_hurry(struct rb_run *run)
{
    if (run->notices && !rb_list_empty(&run->notices->going))
        give_up(run->notices, "the run was stopped at once");
}

/* -- after a replay ------------------------------------------------------------------------------------------------ */

/* One more of a channel in a table of counts. */
static void count(json_t *counts, const char *channel)
{
    json_object_set_new(counts, channel, json_integer(json_integer_value(json_object_get(counts, channel)) + 1));
}

static void read_notice(struct rb_run *run, const struct rb_recorded *ev, json_t *held, json_t *more)
{
    char ref[64] = "", channel[256] = "";
    rb_json_member_text(ev->data, ev->data_len, "ref", ref, sizeof(ref));
    rb_json_member_text(ev->data, ev->data_len, "channel", channel, sizeof(channel));
    if (rb_json_member_is(ev->data, ev->data_len, "for", "more")) {
        json_int_t left =
            json_integer_value(json_object_get(held, channel)) - rb_json_member_int(ev->data, ev->data_len, "held", 0);
        json_object_set_new(held, channel, json_integer(left > 0 ? left : 0));
        count(more, channel);
    } else if (rb_json_member_true(ev->data, ev->data_len, "ok")) {
        mark(notices(run), ref, channel);
    }
}

static void read_result(struct rb_run *run, const struct rb_recorded *ev, json_t *held)
{
    char channel[256];
    struct rb_slice v = rb_json_member(ev->data, ev->data_len, "value");
    if (!v.p || !rb_json_member_text(v.p, v.n, "channel", channel, sizeof(channel)))
        return;
    if (rb_json_member_true(v.p, v.n, "delivered"))
        rb_tell_passed(run, channel, ev->at);
    if (rb_json_member_is(v.p, v.n, "held", "rate"))
        count(held, channel);
}

void rb_notice_live(struct rb_run *run)
{
    json_t *held = json_object(), *more = json_object(), *n;
    const char *channel;
    for (int64_t seq = 1; seq <= (int64_t)run->replay.count; seq++) {
        const struct rb_recorded *ev = rb_replay_at(&run->replay, seq);
        if (strcmp(ev->kind, "run.retry") == 0 || strcmp(ev->kind, "undo.start") == 0)
            rb_notice_generation(run, seq);
        else if (strcmp(ev->kind, "notice") == 0)
            read_notice(run, ev, held, more);
        else if (strcmp(ev->kind, "result") == 0 && rb_json_member_is(ev->data, ev->data_len, "op", "notify"))
            read_result(run, ev, held);
    }
    json_object_foreach(held, channel, n) rb_tell_restore(run, channel, (int)json_integer_value(n),
                                                          (int)json_integer_value(json_object_get(more, channel)));
    json_decref(held);
    json_decref(more);
}

void rb_notice_free(struct rb_run *run)
{
    struct rb_notices *n = run->notices;
    if (n) {
        RB_LIST_EACH_SAFE (it, next, &n->going)
            drop(RB_CONTAINER(it, struct notice, link));
        rb_timer_disarm(&n->unanswered);
        rb_timer_disarm(&n->limit);
        json_decref(n->told);
        free(n);
        run->notices = NULL;
    }
    rb_tell_free(run);
}
