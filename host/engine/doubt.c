/* Owns what becomes of ops whose outcome the journal does not hold: the end of a replay, and the decisions on doubts
 * (D3 "In doubt"). Never guesses: what is unknown is asked, repeated only where its class allows it, or failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/outcome.h"
#include "engine/value.h"

/* -- delivering ---------------------------------------------------------------------------------------------------- */

void rb_effect_deliver(struct rb_effect *e)
{
    struct rb_run *run = e->run;
    struct rb_buf event;
    rb_buf_init(&event, (size_t)128 << 20);
    rb_fault_point("effect.before-outcome");
    rb_outcome_build(e, &event);
    rb_journal_append(run->journal, e->key, "result", event.data, event.len);
    rb_fault_point("effect.after-outcome");
    rb_buf_release(&event);
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
    rb_list_remove(&e->link);
    if (e->task)
        rb_task_wake(e->task);
    return RB_OK;
}

/* -- doubts -------------------------------------------------------------------------------------------------------- */

static void ask_person(struct rb_effect *e, const struct rb_keyed *k)
{
    e->state = RB_EFFECT_DOUBT;
    if (k && k->doubt)
        return;
    char data[64];
    int n = snprintf(data, sizeof(data), "{\"n\":%lld}", (long long)e->n);
    rb_journal_append(e->run->journal, e->key, "doubt", data, (size_t)n);
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
    char data[64];
    int n;
    switch (e->on_doubt) {
    case RB_DOUBT_RETRY:
        e->twice = true;
        rb_effect_rerun(e);
        break;
    case RB_DOUBT_FAIL:
        rb_effect_failed(e, "in_doubt", RB_OUTCOME_UNKNOWN, false,
                         "%s had started when the host stopped, and its outcome is not known (on_doubt = \"fail\")",
                         e->type->kind);
        break;
    case RB_DOUBT_ASK: ask_person(e, k); break;
    case RB_DOUBT_FUNCTION:
        e->state = RB_EFFECT_DOUBT;
        n = snprintf(data, sizeof(data), "{\"n\":%lld}", (long long)e->n);
        e->doubt_call = rb_journal_append(e->run->journal, e->key, "doubt.call", data, (size_t)n);
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

/* A decision of a person that was journaled, but its consequence was not. */
static void apply_resolve(struct rb_effect *e, const struct rb_recorded *ev)
{
    char as[16];
    rb_json_member_text(ev->data, ev->data_len, "as", as, sizeof(as));
    struct rb_slice value = rb_json_member(ev->data, ev->data_len, "value");
    struct rb_slice actor = rb_json_member(ev->data, ev->data_len, "actor");
    char *who = actor.p ? rb_strndup(actor.p, actor.n) : NULL;
    rb_effect_resolve(e, as, value.p, value.n, who, rb_json_member_int(ev->data, ev->data_len, "signal", 0));
    free(who);
}

static bool unknown_outcome(const struct rb_recorded *ev)
{
    struct rb_slice error = rb_json_member(ev->data, ev->data_len, "error");
    return error.p && rb_json_member_is(error.p, error.n, "outcome", "unknown");
}

void rb_effect_settle_pending(struct rb_effect *e)
{
    struct rb_keyed *k = rb_replay_key(&e->run->replay, e->key);
    if (k)
        k->pending = NULL;
    if (!k || e->cancel_wanted) {
        bool started = k && k->intent && e->cls == RB_CLASS_EFFECT;
        if (!e->cancel_wanted) {
            rb_effect_open(e);
        } else {
            e->n = started || (k && k->intent) ? k->intent->seq : 0;
            rb_effect_failed(e, "cancelled", started ? RB_OUTCOME_UNKNOWN : RB_OUTCOME_NOT_STARTED, false, "cancelled");
        }
        return;
    }
    if (k->skip) {
        e->n = k->voided && k->intent ? k->intent->seq : 0;
        rb_buf_adds(&e->actor, "{\"reason\":");
        rb_json_quote(&e->actor, k->skip, strlen(k->skip));
        rb_buf_addc(&e->actor, '}');
        rb_effect_decide_done(e, "skip", NULL, 0, NULL, 0);
        return;
    }
    if (!k->intent || (k->voided && (k->rerun || e->cls != RB_CLASS_EFFECT || !unknown_outcome(k->voided)))) {
        rb_effect_open(e);
        return;
    }
    e->n = k->intent->seq;
    e->attempt = k->attempts;
    if (e->cls != RB_CLASS_EFFECT) { /* a wait goes on where it was: its deadline is the recorded one */
        e->until = rb_json_member_int(k->intent->data, k->intent->data_len, "until", 0);
        rb_effect_continue(e);
    } else if (k->resolve) {
        apply_resolve(e, k->resolve);
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
