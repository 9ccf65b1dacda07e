/* Owns what becomes of ops whose outcome the journal does not hold: the end of a replay, and the decisions on doubts
 * (D3 "In doubt"). Never guesses: what is unknown is asked, repeated only where its class allows it, or failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/outcome.h"
#include "engine/value.h"

#define EVENT_KEPT ((size_t)16 << 10) /* of memory, between two outcomes */

/* Its outcome is known: what asks the world for it is not needed any more. Live and in a replay at the same place of
 * the order, so that the function takes the same way. */
static void stop_function(struct rb_effect *e)
{
    struct rb_task *t = e->doubt_task;
    e->doubt_task = NULL;
    if (t)
        rb_task_cancel(t, "the outcome of its operation is known");
}

/* -- delivering ---------------------------------------------------------------------------------------------------- */

void rb_effect_deliver(struct rb_effect *e)
{
    struct rb_run *run = e->run;
    struct rb_buf *event = &run->event;
    rb_fault_point("effect.before-outcome");
    rb_outcome_build(e, event);
    int64_t seq = rb_journal_append(run->journal, e->key, "result", event->data, event->len);
    rb_fault_point("effect.after-outcome");
    if (e->place.len)
        rb_run_note_receipt(run, e, seq);
    if (event->cap > EVENT_KEPT)
        rb_buf_release(event);
    stop_function(e);
    rb_list_remove(&e->done_link);
    rb_list_remove(&e->link);
    if (e->task)
        rb_task_wake(e->task);
    else
        rb_effect_free(e);
}

int rb_effect_feed(struct rb_run *run, struct rb_recorded *ev, struct rb_err *err)
{
    struct rb_keyed *k = rb_replay_key(&run->replay, ev->key);
    struct rb_effect *e = k ? k->pending : NULL;
    if (!e || e->state != RB_EFFECT_PENDING)
        return RB_ENOENT;
    if (!rb_json_member_is(ev->data, ev->data_len, "op", e->type->kind) ||
        (rb_json_member(ev->data, ev->data_len, "digest").p &&
         !rb_json_member_is(ev->data, ev->data_len, "digest", e->digest)))
        return rb_err_set(err, RB_EINVAL, "\"%s\" is now %s %.300s at %s", e->key, e->type->kind, rb_buf_text(&e->args),
                          e->where);
    int rc = rb_outcome_read(e, ev, err);
    if (rc)
        return rc;
    rb_replay_claim(&run->replay, ev);
    k->pending = NULL;
    e->state = RB_EFFECT_DONE;
    stop_function(e);
    rb_list_remove(&e->link);
    if (e->task)
        rb_task_wake(e->task);
    return RB_OK;
}

/* -- doubts -------------------------------------------------------------------------------------------------------- */

static void append_doubt(struct rb_effect *e, const char *kind)
{
    struct rb_buf data;
    struct rb_json j;
    rb_buf_init(&data, 4096);
    rb_json_init(&j, &data);
    rb_json_object(&j);
    rb_json_kint(&j, "n", e->n);
    rb_json_ktext(&j, "why", e->unsure);
    rb_json_end_object(&j);
    int64_t seq = rb_journal_append(e->run->journal, e->key, kind, data.data, data.len);
    if (strcmp(kind, "doubt.call") == 0)
        e->doubt_call = seq;
    rb_buf_release(&data);
}

/* Has the person who is asked been told the same before? Another look may have found another reason. */
static bool asked_already(const struct rb_effect *e, const struct rb_keyed *k)
{
    return k && k->doubt && (!e->unsure || rb_json_member_is(k->doubt->data, k->doubt->data_len, "why", e->unsure));
}

static void ask_person(struct rb_effect *e, const struct rb_keyed *k)
{
    e->state = RB_EFFECT_DOUBT;
    if (!asked_already(e, k))
        append_doubt(e, "doubt");
}

static int l_spawn_doubt(lua_State *L) /* protected: there may be no room for one more task */
{
    struct rb_effect *e = lua_touserdata(L, 1);
    const char *ordinal = strrchr(e->key, '/');
    char name[64];
    int n = snprintf(name, sizeof(name), "%.40s doubt", ordinal ? ordinal + 1 : e->key);
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->doubt_ref);
    e->doubt_task = rb_task_spawn(L, e->run, NULL, rb_scope_child(e->task->scope, name, (size_t)n), 0);
    return 0;
}

/* Starts the on_doubt function in a task of its own; its ops have keys below "<key> doubt". False: it can not be. */
static bool call_function(struct rb_effect *e)
{
    lua_State *L = e->run->vm.L;
    e->doubt_says[0] = '\0';
    lua_pushcfunction(L, l_spawn_doubt);
    lua_pushlightuserdata(L, e);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        lua_pop(L, 1);
        snprintf(e->doubt_says, sizeof(e->doubt_says), "ask");
        return false;
    }
    rb_list_push(&e->run->helpers, &e->doubt_task->sibling);
    return true;
}

static void doubt(struct rb_effect *e, const struct rb_keyed *k)
{
    switch (e->on_doubt) {
    case RB_DOUBT_RETRY:
        e->twice = true;
        rb_effect_rerun(e);
        break;
    case RB_DOUBT_FAIL:
        rb_effect_failed(e, "in_doubt", RB_OUTCOME_UNKNOWN, false,
                         "%s had started when the host stopped, and its outcome is not known (on_doubt = \"fail\")%s%s",
                         e->type->kind, e->unsure ? ": " : "", e->unsure ? e->unsure : "");
        break;
    case RB_DOUBT_ASK: ask_person(e, k); break;
    case RB_DOUBT_FUNCTION:
        e->state = RB_EFFECT_DOUBT;
        append_doubt(e, "doubt.call");
        if (!call_function(e))
            ask_person(e, k);
        break;
    }
}

int rb_effect_feed_doubt(struct rb_run *run, struct rb_recorded *ev)
{
    struct rb_keyed *k = rb_replay_key(&run->replay, ev->key);
    struct rb_effect *e = k ? k->pending : NULL;
    if (!e || e->doubt_ref == LUA_NOREF)
        return RB_ENOENT;
    rb_replay_claim(&run->replay, ev);
    e->doubt_call = ev->seq;
    call_function(e);
    return RB_OK;
}

void rb_effect_resolve(struct rb_effect *e, const char *as, const char *value, size_t len, const char *actor,
                       int64_t signal)
{
    if (strcmp(as, "done") == 0) {
        rb_effect_decide_done(e, "done", value, len, actor, signal);
    } else if (strcmp(as, "retry") == 0) {
        e->twice = true;
        rb_effect_rerun(e);
    } else {
        if (actor)
            rb_buf_adds(&e->actor, actor);
        e->signal = signal;
        rb_effect_failed(e, "in_doubt", RB_OUTCOME_UNKNOWN, false,
                         "the outcome of %s was in doubt, and was settled as failed", e->type->kind);
    }
}

void rb_effect_doubt_ended(struct rb_effect *e)
{
    struct rb_task *t = e->doubt_task;
    lua_State *co = t->co;
    int first = lua_gettop(co) - t->results + 1;
    const char *says = t->ok && t->results >= 1 && lua_type(co, first) == LUA_TSTRING ? lua_tostring(co, first) : "ask";
    if (strcmp(says, "done") != 0 && strcmp(says, "retry") != 0 && strcmp(says, "fail") != 0)
        says = "ask";
    snprintf(e->doubt_says, sizeof(e->doubt_says), "%s", says);
    rb_buf_reset(&e->decided);
    struct rb_err err = {0};
    if (t->ok && t->results >= 2 && rb_value_encode(co, first + 1, "result", &e->run->codec, &e->decided, &err)) {
        rb_buf_reset(&e->decided);
        snprintf(e->doubt_says, sizeof(e->doubt_says), "ask");
    }
    e->doubt_task = NULL;
    rb_task_free_tree(t);
    if (e->state != RB_EFFECT_DOUBT)
        return; /* replaying: rb_effect_settle_pending() looks at what it said */
    if (strcmp(e->doubt_says, "ask") == 0) {
        ask_person(e, NULL);
        return;
    }
    char *value = e->decided.len ? rb_strndup(e->decided.data, e->decided.len) : NULL;
    rb_effect_resolve(e, e->doubt_says, value, value ? strlen(value) : 0, NULL, 0);
    free(value);
}

/* A decision of a person that was journaled (a resolve event), but its consequence was not. */
static void apply_resolve(struct rb_effect *e, const char *data, size_t n)
{
    char as[16];
    rb_json_member_text(data, n, "as", as, sizeof(as));
    struct rb_slice value = rb_json_member(data, n, "value"), actor = rb_json_member(data, n, "actor");
    char *who = actor.p ? rb_strndup(actor.p, actor.n) : NULL;
    rb_effect_resolve(e, as, value.p, value.n, who, rb_json_member_int(data, n, "signal", 0));
    free(who);
}

static bool unknown_outcome(const struct rb_recorded *ev)
{
    struct rb_slice error = rb_json_member(ev->data, ev->data_len, "error");
    return error.p && rb_json_member_is(error.p, error.n, "outcome", "unknown");
}

/* Nobody but the journal, a function or a person can say what became of it. */
static void settle_doubt(struct rb_effect *e)
{
    struct rb_keyed *k = rb_replay_key(&e->run->replay, e->key);
    if (e->decision) { /* a person's, who was asked before and has said it meanwhile */
        char *said = e->decision;
        e->decision = NULL;
        apply_resolve(e, said, strlen(said));
        free(said);
    } else if (k->resolve) {
        apply_resolve(e, k->resolve->data, k->resolve->data_len);
    } else if (e->doubt_task) {
        e->state = RB_EFFECT_DOUBT; /* its function still runs, and says */
    } else if (e->doubt_says[0] && e->doubt_call > k->intent->seq) {
        e->state = RB_EFFECT_DOUBT;
        if (strcmp(e->doubt_says, "ask") == 0) {
            ask_person(e, k);
        } else {
            char *value = e->decided.len ? rb_strndup(e->decided.data, e->decided.len) : NULL;
            rb_effect_resolve(e, e->doubt_says, value, value ? strlen(value) : 0, NULL, 0);
            free(value);
        }
    } else {
        doubt(e, k);
    }
}

/* -- receipts ------------------------------------------------------------------------------------------------------ */

/* Asks the place where it was started what became of it, if the journal names one. */
static bool look(struct rb_effect *e, const struct rb_recorded *intent)
{
    struct rb_slice place = rb_json_member(intent->data, intent->data_len, "place");
    if (!place.p || !e->type->look || e->cls != RB_CLASS_EFFECT)
        return false;
    rb_buf_reset(&e->place);
    rb_buf_add(&e->place, place.p, place.n);
    e->twice = rb_json_member_true(intent->data, intent->data_len, "twice");
    e->again = e->twice;
    e->state = RB_EFFECT_RUNNING;
    e->looking = true;
    e->started = rb_clock_boot();
    if (e->task && e->task->grace_until)
        rb_timer_arm(&e->grace, e->task->grace_until);
    rb_fault_point("effect.before-look");
    e->type->look(e);
    if (e->cancel_wanted && e->looking && e->state == RB_EFFECT_RUNNING)
        rb_effect_cancel(e, false);
    return true;
}

/* A person who was asked before has said that it was done, or shall not be. To start it then would do it after all, or
 * a second time. */
static bool settled_by_person(struct rb_effect *e)
{
    const struct rb_keyed *k = rb_replay_key(&e->run->replay, e->key);
    if (e->decision)
        return !rb_json_member_is(e->decision, strlen(e->decision), "as", "retry");
    return k && k->resolve && !rb_json_member_is(k->resolve->data, k->resolve->data_len, "as", "retry");
}

void rb_effect_absent(struct rb_effect *e)
{
    if (!e->looking)
        return;
    if (e->n <= e->run->doubted_to) {
        rb_effect_unsure(e, "the journal is an older copy: it may have ended since, and its receipt been taken away");
        return;
    }
    e->looking = false;
    if (!e->cancel_wanted && settled_by_person(e)) {
        settle_doubt(e);
        rb_run_wake(e->run);
        return;
    }
    rb_buf_reset(&e->place);
    char data[64]; /* what is repeated after this repeats nothing */
    int n = snprintf(data, sizeof(data), "{\"n\":%lld}", (long long)e->n);
    rb_journal_append(e->run->journal, e->key, "op.unstarted", data, (size_t)n);
    if (e->cancel_wanted) {
        rb_effect_failed(e, "cancelled", RB_OUTCOME_NOT_STARTED, false, "cancelled before it started");
        return;
    }
    e->state = RB_EFFECT_NEW;
    rb_effect_open(e);
}

void rb_effect_unsure(struct rb_effect *e, const char *why)
{
    if (!e->looking)
        return;
    e->looking = false;
    free(e->unsure);
    e->unsure = rb_strdup(why);
    if (e->cancel_wanted) {
        rb_effect_failed(e, "cancelled", RB_OUTCOME_UNKNOWN, false,
                         "it was started by a host that is gone, and what became of it is not known: %s", why);
    } else if (e->run->mode == RB_RUN_PARKING) {
        e->state = RB_EFFECT_HELD; /* the next resume looks again */
        rb_run_wake(e->run);
    } else {
        settle_doubt(e);
        rb_run_wake(e->run);
    }
}

bool rb_effect_decide_later(struct rb_effect *e, const char *resolve_json)
{
    if (!e->looking || e->state != RB_EFFECT_RUNNING)
        return false;
    free(e->decision);
    e->decision = rb_strdup(resolve_json);
    return true;
}

/* -- the end of a replay ------------------------------------------------------------------------------------------- */

/* What is started now: may an earlier start of it have done its work? */
static bool repeats(const struct rb_effect *e, const struct rb_keyed *k)
{
    return k && e->cls == RB_CLASS_EFFECT && (k->twice || (k->voided && unknown_outcome(k->voided)));
}

static void settle_cancelled(struct rb_effect *e, const struct rb_keyed *k)
{
    bool started = k && k->intent && e->cls == RB_CLASS_EFFECT;
    e->n = k && k->intent ? k->intent->seq : 0;
    if (!started || k->voided || !look(e, k->intent))
        rb_effect_failed(e, "cancelled", started ? RB_OUTCOME_UNKNOWN : RB_OUTCOME_NOT_STARTED, false, "cancelled");
}

void rb_effect_settle_pending(struct rb_effect *e)
{
    struct rb_keyed *k = rb_replay_key(&e->run->replay, e->key);
    if (k)
        k->pending = NULL;
    if (e->cancel_wanted) {
        settle_cancelled(e, k);
        return;
    }
    if (k && k->skip) {
        e->n = k->voided && k->intent ? k->intent->seq : 0;
        rb_buf_adds(&e->actor, "{\"reason\":");
        rb_json_quote(&e->actor, k->skip, strlen(k->skip));
        rb_buf_addc(&e->actor, '}');
        rb_effect_decide_done(e, "skip", NULL, 0, NULL, 0);
        return;
    }
    if (!k || !k->intent || (k->voided && (k->rerun || e->cls != RB_CLASS_EFFECT || !unknown_outcome(k->voided)))) {
        e->twice = e->again = repeats(e, k);
        rb_effect_open(e);
        return;
    }
    e->n = k->intent->seq;
    e->attempt = k->attempts;
    if (e->cls != RB_CLASS_EFFECT) { /* a wait goes on where it was: its deadline is the recorded one */
        e->until = rb_json_member_int(k->intent->data, k->intent->data_len, "until", 0);
        rb_effect_continue(e);
    } else if (k->voided || !look(e, k->intent)) { /* of an outcome that was recorded the receipt is gone */
        settle_doubt(e);
    }
}
