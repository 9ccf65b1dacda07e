/* Owns what people say to a run: answers, approvals, decisions on doubts, signals, cancel, pause; from the owner's own
 * terminal, or from another process through the store's signals. The run's owner is the only one who journals them. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/core.h"

void rb_actor_self(struct rb_actor *a)
{
    *a = (struct rb_actor){.uid = (int)getuid()};
    struct passwd pw, *found = NULL;
    char text[4096];
    if (getpwuid_r(getuid(), &pw, text, sizeof(text), &found) == 0 && found)
        snprintf(a->name, sizeof(a->name), "%s", found->pw_name);
    else
        snprintf(a->name, sizeof(a->name), "uid:%d", a->uid);
}

void rb_actor_json(const struct rb_actor *a, struct rb_buf *out)
{
    struct rb_json j;
    rb_json_init(&j, out);
    rb_json_object(&j);
    rb_json_ktext(&j, "name", a->name);
    rb_json_kint(&j, "uid", a->uid);
    rb_json_ktext(&j, "claimed", a->claimed[0] ? a->claimed : NULL);
    rb_json_end_object(&j);
}

/* -- letters: signals by name -------------------------------------------------------------------------------------- */

void rb_letter_free(struct rb_letter *l)
{
    free(l->name);
    free(l->data);
    free(l->actor);
    free(l);
}

struct rb_letter *rb_run_letter(struct rb_run *run, const char *name)
{
    RB_LIST_EACH (it, &run->mailbox) {
        struct rb_letter *l = RB_CONTAINER(it, struct rb_letter, link);
        if (strcmp(l->name, name) == 0) {
            rb_list_remove(&l->link);
            return l;
        }
    }
    return NULL;
}

bool rb_effect_take_letter(struct rb_effect *e, const char *name)
{
    struct rb_letter *l = rb_run_letter(e->run, name);
    struct rb_err err = {0};
    if (!l)
        return false;
    e->type->decide(e, "signal", l->data, l->actor, l->id, &err);
    rb_letter_free(l);
    return true;
}

static int take_signal(struct rb_run *run, const char *name, const char *data, const char *actor, int64_t id)
{
    struct rb_letter *l = rb_alloc(sizeof(*l));
    l->name = rb_strdup(name);
    l->data = rb_strdup(data);
    l->actor = rb_strdup(actor);
    l->id = id;
    rb_list_push(&run->mailbox, &l->link);
    RB_LIST_EACH (it, &run->ops) {
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if (e->state != RB_EFFECT_RUNNING || !e->type->wants || !e->type->wants(e, name))
            continue;
        rb_effect_take_letter(e, name);
        break;
    }
    return RB_OK;
}

/* -- decisions ----------------------------------------------------------------------------------------------------- */

static int resolve(struct rb_run *run, struct rb_effect *e, const char *data, const char *actor, int64_t signal,
                   struct rb_err *err)
{
    char as[16] = "";
    size_t n = strlen(data);
    rb_json_member_text(data, n, "as", as, sizeof(as));
    if (!e->looking && (e->state != RB_EFFECT_DOUBT || e->doubt_task))
        return rb_err_set(err, RB_EINVAL, "operation #%lld of run %s is not in doubt", (long long)e->n, run->id);
    if (strcmp(as, "done") != 0 && strcmp(as, "retry") != 0 && strcmp(as, "fail") != 0)
        return rb_err_set(err, RB_EINVAL, "a doubt is settled as done, retry or fail, not \"%s\"", as);
    struct rb_buf event;
    rb_buf_init(&event, (size_t)4 << 20);
    struct rb_json j;
    rb_json_init(&j, &event);
    rb_json_object(&j);
    rb_json_kint(&j, "n", e->n);
    rb_json_ktext(&j, "as", as);
    rb_json_kraw(&j, "actor", actor, strlen(actor));
    if (signal)
        rb_json_kint(&j, "signal", signal);
    struct rb_slice value = rb_json_member(data, n, "value"), comment = rb_json_member(data, n, "comment");
    if (comment.p)
        rb_json_kraw(&j, "comment", comment.p, comment.n);
    if (value.p)
        rb_json_kraw(&j, "value", value.p, value.n);
    rb_json_end_object(&j);
    rb_journal_append(run->journal, e->key, "resolve", event.data, event.len);
    if (!rb_effect_decide_later(e, event.data))
        rb_effect_resolve(e, as, value.p, value.n, actor, 0);
    rb_buf_release(&event);
    return RB_OK;
}

static int cancel(struct rb_run *run, const char *data, const char *actor, int64_t signal)
{
    if (run->cancel_event || run->cancelled)
        return RB_OK;
    struct rb_buf event;
    struct rb_json j;
    struct rb_slice reason = rb_json_member(data, strlen(data), "reason");
    rb_buf_init(&event, 1 << 20);
    rb_json_init(&j, &event);
    rb_json_object(&j);
    rb_json_kraw(&j, "actor", actor, strlen(actor));
    if (reason.p)
        rb_json_kraw(&j, "reason", reason.p, reason.n);
    if (signal)
        rb_json_kint(&j, "signal", signal);
    rb_json_end_object(&j);
    run->cancel_event = rb_buf_detach(&event);
    rb_run_wake(run);
    return RB_OK;
}

/* at: when it was said; 0 now. */
static int apply(struct rb_run *run, const char *kind, const char *target, const char *data, const char *actor,
                 int64_t signal, int64_t at, struct rb_err *err)
{
    if (run->mode == RB_RUN_STOPPED || run->stop_status)
        return rb_err_set(err, RB_EINVAL, "run %s has stopped here", run->id);
    if (strcmp(kind, "cancel") == 0)
        return cancel(run, data, actor, signal);
    if (strcmp(kind, "pause") == 0) {
        run->park_signal = signal;
        rb_run_park(run, "paused", false);
        return RB_OK;
    }
    if (strcmp(kind, "signal") == 0)
        return take_signal(run, target, data, actor, signal);
    struct rb_effect *e = rb_effect_find(run, strtoll(target, NULL, 10));
    if (!e)
        return rb_err_set(err, RB_EINVAL,
                          "run %s waits for nothing with the number %s; `rbhost show %s` lists what it waits for",
                          run->id, target, run->id);
    if (strcmp(kind, "resolve") == 0)
        return resolve(run, e, data, actor, signal, err);
    if (e->state != RB_EFFECT_RUNNING || !e->type->person)
        return rb_err_set(err, RB_EINVAL, "operation #%s of run %s does not wait for a person", target, run->id);
    if (e->until && at > e->until) /* while nobody drove the run */
        return rb_err_set(err, RB_EINVAL, "the time for operation #%s of run %s was over when it was decided", target,
                          run->id);
    return e->type->decide(e, kind, data, actor, signal, err);
}

/* Secrets that somebody has typed leave before the run or its journal sees them. */
static int decide(struct rb_run *run, const char *kind, const char *target, const char *data, const char *actor,
                  int64_t signal, int64_t at, struct rb_err *err)
{
    struct rb_buf clean;
    rb_buf_init(&clean, SIZE_MAX / 2);
    bool filtered = rb_secret_filter(run, true, data, strlen(data), &clean);
    int rc = apply(run, kind, target, filtered ? rb_buf_text(&clean) : data, actor, signal, at, err);
    rb_buf_release(&clean);
    return rc;
}

/* Off a terminal a run leaves as soon as only a person can go on. It stays when its owner answers in that moment. */
static void stay(struct rb_run *run)
{
    if (run->mode == RB_RUN_STOPPED || !run->stop_status || !rb_run_may_stay(run))
        return;
    rb_durable_cancel(&run->stop_wait);
    free(run->stop_status);
    free(run->stop_error);
    run->stop_status = run->stop_error = NULL;
    rb_run_wake(run);
}

int rb_run_decide(struct rb_run *run, const char *kind, const char *target, const char *data_json,
                  const struct rb_actor *actor, struct rb_err *err)
{
    struct rb_buf who;
    rb_buf_init(&who, 4096);
    rb_actor_json(actor, &who);
    stay(run);
    int rc = decide(run, kind, target, data_json ? data_json : "{}", rb_buf_text(&who), 0, 0, err);
    rb_buf_release(&who);
    return rc;
}

static int on_signal_row(void *arg, const struct rb_signal_row *sig)
{
    struct rb_run *run = arg;
    struct rb_err err = {0};
    char id[24];
    snprintf(id, sizeof(id), "%lld", (long long)sig->id);
    run->signals_seen = sig->id;
    if (sig->id <= run->signals_old && strcmp(sig->kind, "signal") != 0)
        return 0; /* a second cancel, say, of a run that has ended since and is retried */
    if (sig->id <= run->signals_parked && strcmp(sig->kind, "pause") == 0)
        return 0; /* it was parked on this wish and on all before */
    if (!rb_strmap_get(&run->replay.signals_used, id, strlen(id)))
        /* one that does not fit (any more) is left alone */
        decide(run, sig->kind, sig->target, sig->data, sig->actor, sig->id, sig->at, &err);
    return 0;
}

static int on_older_row(void *arg, const struct rb_signal_row *sig)
{
    *(int64_t *)arg = sig->id;
    return 0;
}

void rb_run_write_signals(struct rb_run *run, struct rb_buf *json)
{
    struct rb_err err = {0};
    run->signals_old = run->signals_seen;
    if (!run->signals_seen) /* after a replay: nothing has been looked at */
        rb_store_signals(run->host->store, run->id, 0, on_older_row, &run->signals_old, &err);
    if (run->signals_old)
        rb_buf_addf(json, ",\"signals\":%lld", (long long)run->signals_old);
}

/* What the last event of this kind says of signals; or `least`, if that is more. */
static int64_t recorded_id(struct rb_run *run, const char *kind, const char *member, int64_t least)
{
    const struct rb_recorded *ev = rb_replay_last(&run->replay, kind);
    int64_t id = ev ? rb_json_member_int(ev->data, ev->data_len, member, 0) : 0;
    return id > least ? id : least;
}

void rb_run_read_signals(struct rb_run *run)
{
    struct rb_err err = {0};
    if (run->mode == RB_RUN_LIVE && !run->signals_seen) { /* the first look */
        run->signals_old = recorded_id(run, "run.retry", "signals", run->signals_old);
        run->signals_old = recorded_id(run, "undo.start", "signals", run->signals_old);
        run->signals_parked = recorded_id(run, "run.park", "signal", 0);
    }
    if (run->mode == RB_RUN_LIVE &&
        rb_store_signals(run->host->store, run->id, run->signals_seen, on_signal_row, run, &err))
        rb_run_fail_internal(run, "journal", "%s", err.msg);
}
