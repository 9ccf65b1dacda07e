/* Owns the way of an op from the call to the resumed task (D3 "An operation's way"). Knows no primitive: what one does
 * is behind its struct rb_effect_type. Doubts are doubt.c's, the bytes of a result event outcome.c's.
 *
 * State of an op, and the function that makes each step:
 *   NEW → PENDING [rb_effect_open: replaying] | HELD [parking] | QUEUED [no slot] | LOCATE [it leaves a receipt] |
 *         INTENT | RUNNING [a read, a wait]
 *   PENDING → DONE [rb_effect_feed] | DOUBT, INTENT, RUNNING [rb_effect_settle_pending, at the end of the replay]
 *   LOCATE  → INTENT [rb_effect_located] | HELD [parking]
 *   INTENT  → RUNNING [on_intent_durable]: invariant 1, nothing has started before this line
 *   RUNNING → DONE [rb_effect_done, rb_effect_failed] | DOUBT, NEW [looked for: rb_effect_unsure, rb_effect_absent]
 *           | HELD [parked: rb_effect_detach]
 *   DOUBT   → DONE [rb_effect_decide_done] | INTENT [rb_effect_rerun]
 *   DONE    → freed [rb_effect_deliver journals it and wakes the task; await_k frees it] */
#include "engine/effect.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/outcome.h"
#include "engine/policy.h"

#define ARGS_MAX ((size_t)1 << 20)
#define BOX_META "rbhost.effect"

/* -- made by a primitive ------------------------------------------------------------------------------------------- */

static int l_box_gc(lua_State *L)
{
    struct rb_effect **box = lua_touserdata(L, 1);
    if (*box)
        rb_effect_free(*box);
    *box = NULL;
    return 0;
}

static void on_grace_over(struct rb_timer *t)
{
    struct rb_effect *e = RB_CONTAINER(t, struct rb_effect, grace);
    e->cut = true;
    rb_effect_cancel(e, true);
}

void *rb_effect_new(lua_State *L, size_t size, const struct rb_effect_type *type, enum rb_class cls)
{
    struct rb_effect **box = lua_newuserdatauv(L, sizeof(struct rb_effect *), 0);
    *box = NULL;
    if (luaL_newmetatable(L, BOX_META)) {
        lua_pushcfunction(L, l_box_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    struct rb_effect *e = rb_alloc(size);
    e->type = type;
    e->cls = cls;
    e->on_doubt = cls == RB_CLASS_EFFECT ? RB_DOUBT_ASK : RB_DOUBT_RETRY;
    e->doubt_ref = e->value_ref = LUA_NOREF;
    e->run = rb_run_of(L);
    rb_buf_init(&e->args, ARGS_MAX);
    rb_buf_init(&e->world, (size_t)1 << 30);
    rb_buf_init(&e->reach, ARGS_MAX * 2 + 65536); /* what is in the arguments, and its escapes */
    rb_buf_init(&e->decided, ARGS_MAX);
    rb_buf_init(&e->actor, 4096);
    rb_buf_init(&e->place, 65536);
    rb_list_init(&e->link);
    rb_list_init(&e->done_link);
    rb_list_init(&e->slot_link);
    rb_list_init(&e->durable.link);
    rb_timer_init(&e->grace, e->run->host->loop, on_grace_over);
    e->box = box;
    *box = e;
    return e;
}

static int l_buf_gc(lua_State *L)
{
    struct rb_buf *b = lua_touserdata(L, 1);
    if (b->data && rb_secret_any(rb_run_of(L))) /* perhaps one of them was put in */
        explicit_bzero(b->data, b->cap);
    rb_buf_release(b);
    return 0;
}

struct rb_buf *rb_effect_buf(lua_State *L, size_t max)
{
    struct rb_buf *b = lua_newuserdatauv(L, sizeof(*b), 0);
    rb_buf_init(b, max);
    if (luaL_newmetatable(L, "rbhost.buf")) {
        lua_pushcfunction(L, l_buf_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return b;
}

static void give_back_slot(struct rb_effect *e)
{
    struct rb_slots *slots = &e->run->host->exec;
    struct rb_list *it;
    if (!e->has_slot)
        return;
    e->has_slot = false;
    slots->used--;
    if (slots->serving) /* one of the queue has ended at once: the loop below goes on */
        return;
    slots->serving = true;
    while (slots->used < slots->max &&
           (it = rb_list_pop(&slots->queue))) /* one of a run that is parking takes no slot */
        rb_effect_open(RB_CONTAINER(it, struct rb_effect, slot_link));
    slots->serving = false;
}

void rb_effect_free(struct rb_effect *e)
{
    give_back_slot(e);
    lua_State *L = e->run->vm.L;
    if (L) {
        luaL_unref(L, LUA_REGISTRYINDEX, e->value_ref);
        luaL_unref(L, LUA_REGISTRYINDEX, e->doubt_ref);
    }
    rb_timer_disarm(&e->grace);
    rb_durable_cancel(&e->durable);
    rb_list_remove(&e->link);
    rb_list_remove(&e->done_link);
    rb_list_remove(&e->slot_link);
    rb_buf_release(&e->args);
    rb_buf_release(&e->world);
    rb_buf_release(&e->reach);
    rb_buf_release(&e->decided);
    rb_buf_release(&e->actor);
    rb_buf_release(&e->place);
    rb_buf_release(&e->live[0].held);
    rb_buf_release(&e->live[1].held);
    free(e->title);
    free(e->key);
    free(e->error_message);
    free(e->decision);
    free(e->unsure);
    if (e->type->free)
        e->type->free(e);
    else
        free(e);
}

void rb_effect_options(lua_State *L, int index, struct rb_effect *e)
{
    if (lua_type(L, index) != LUA_TTABLE)
        return;
    index = lua_absindex(L, index);
    if (lua_getfield(L, index, "title") == LUA_TSTRING)
        e->title = rb_strdup(lua_tostring(L, -1));
    lua_getfield(L, index, "read");
    if (lua_toboolean(L, -1)) {
        e->cls = RB_CLASS_READ;
        e->on_doubt = RB_DOUBT_RETRY;
    }
    lua_getfield(L, index, "idempotent");
    if (lua_toboolean(L, -1)) {
        e->idempotent = true;
        e->on_doubt = RB_DOUBT_RETRY;
    }
    lua_getfield(L, index, "secret");
    e->secret = lua_toboolean(L, -1);
    int type = lua_getfield(L, index, "on_doubt");
    if (type == LUA_TFUNCTION) {
        e->on_doubt = RB_DOUBT_FUNCTION;
        lua_pushvalue(L, -1);
        e->doubt_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    e->doubt_stated = type != LUA_TNIL;
    if (type != LUA_TNIL && type != LUA_TFUNCTION) {
        const char *word = type == LUA_TSTRING ? lua_tostring(L, -1) : "";
        if (strcmp(word, "ask") == 0)
            e->on_doubt = RB_DOUBT_ASK;
        else if (strcmp(word, "retry") == 0)
            e->on_doubt = RB_DOUBT_RETRY;
        else if (strcmp(word, "fail") == 0)
            e->on_doubt = RB_DOUBT_FAIL;
        else
            rb_error_raise(L, "usage", "not_started", "on_doubt is \"ask\", \"retry\", \"fail\" or a function, not %s",
                           type == LUA_TSTRING ? word : lua_typename(L, type));
    }
    lua_pop(L, 5);
}

void rb_effect_reach(struct rb_effect *e, const char *kind, const char *name, size_t len)
{
    rb_buf_add(&e->reach, kind, strlen(kind) + 1);
    rb_buf_add(&e->reach, name, len);
    rb_buf_addc(&e->reach, '\0');
}

/* -- the call ------------------------------------------------------------------------------------------------------ */

static void make_digest(struct rb_effect *e)
{
    const struct rb_buf *b = e->world.len ? &e->world : &e->args;
    struct sha256_ctx ctx;
    uint8_t sum[RB_SHA_LEN];
    sha256_init(&ctx);
    sha256_update(&ctx, strlen(e->type->kind) + 1, (const uint8_t *)e->type->kind);
    sha256_update(&ctx, b->len, (const uint8_t *)rb_buf_text(b));
    sha256_digest(&ctx, RB_SHA_LEN, sum);
    rb_sha_hex(sum, e->digest);
}

/* Is what the journal has under this key this call? */
static bool same_call(const struct rb_effect *e, const struct rb_recorded *ev)
{
    return rb_json_member_is(ev->data, ev->data_len, "op", e->type->kind) &&
           (!rb_json_member(ev->data, ev->data_len, "digest").p ||
            rb_json_member_is(ev->data, ev->data_len, "digest", e->digest));
}

static void differs(struct rb_effect *e, const struct rb_recorded *ev)
{
    char op[32], where[160];
    struct rb_slice args = rb_json_member(ev->data, ev->data_len, "args");
    rb_json_member_text(ev->data, ev->data_len, "op", op, sizeof(op));
    rb_json_member_text(ev->data, ev->data_len, "where", where, sizeof(where));
    rb_run_fail_internal(
        e->run, "nondeterminism",
        "the runbook has taken another way than the journal of this run records: \"%s\" was %s %.*s at %s, and is now "
        "%s %.300s at %s. "
        "What a runbook does may depend only on its parameters and on results of operations: use now(), uuid() and "
        "env() for what changes from time to time. Nothing was started; go on with a new run, or `rbhost show %s`",
        e->key, op, args.n > 300 ? 300 : (int)args.n, args.p ? args.p : "", where, e->type->kind, rb_buf_text(&e->args),
        e->where, e->run->id);
}

int rb_effect_call(lua_State *L, struct rb_effect *e)
{
    return rb_effect_call_at(L, e, NULL);
}

int rb_effect_call_at(lua_State *L, struct rb_effect *e, const char *key)
{
    struct rb_task *task = rb_task_current(L);
    rb_task_check_waitable(L, e->type->kind);
    rb_task_check_cancel(L, task);
    if (task->reads_only > 0 && e->cls == RB_CLASS_EFFECT)
        rb_error_raise(L, "usage", "not_started",
                       "%s may change something, and a check only looks: add read = true if it does not change "
                       "anything, or acts = true to the check's row",
                       e->type->kind);
    if (task->in_tx && e->cls != RB_CLASS_READ && !e->within_tx)
        rb_error_raise(
            L, "usage", "not_started",
            "%s can not be used inside db:tx: a transaction may be rolled back and its function called again, "
            "and it holds locks of the database meanwhile; do it before or behind, or use the tx that the "
            "function is given",
            e->type->kind);
    if (e->args.cut || e->reach.cut)
        rb_error_raise(L, "usage", "not_started", "the arguments of %s are larger than %zu bytes", e->type->kind,
                       ARGS_MAX);
    struct rb_run *run = e->run;
    rb_vm_where(L, e->where, sizeof(e->where));
    if (task->on_doubt && e->cls == RB_CLASS_EFFECT && !e->idempotent && !e->doubt_stated)
        e->on_doubt = (enum rb_on_doubt)(task->on_doubt - 1);
    e->key = key ? rb_strdup(key) : rb_scope_next_key(task->scope);
    make_digest(e);
    if (run->mode == RB_RUN_REPLAY) {
        struct rb_keyed *k = rb_replay_key(&run->replay, e->key);
        const struct rb_recorded *known = k ? (k->intent ? k->intent : k->result) : NULL;
        if (known && !same_call(e, known)) {
            differs(e, known);
            rb_error_raise(L, "nondeterminism", "not_started",
                           "the runbook has taken another way than its journal records");
        }
        if (k) {
            k->called = true;
            k->pending = e;
            if (k->intent && e->cls == RB_CLASS_EFFECT)
                rb_scope_mark_effect(task->scope);
        }
    }
    if (run->stage && run->stage->called)
        run->stage->called(run->stage, e);
    *e->box = NULL;
    e->box = NULL;
    e->task = task;
    e->state = RB_EFFECT_NEW;
    task->op = e;
    rb_list_push(&run->ops, &e->link);
    rb_list_push(&run->fresh, &e->done_link);
    return rb_task_await(L);
}

/* -- going its way ------------------------------------------------------------------------------------------------- */

static void begin(struct rb_effect *e)
{
    struct rb_err err = {0};
    e->state = RB_EFFECT_RUNNING;
    e->started = rb_clock_boot();
    if (e->cancel_wanted) {
        rb_effect_failed(e, "cancelled", RB_OUTCOME_NOT_STARTED, false, "cancelled before it started");
        return;
    }
    if (e->cls == RB_CLASS_EFFECT)
        rb_fault_point("effect.before-start");
    if (e->type->start(e, &err)) {
        char kind[32];
        snprintf(kind, sizeof(kind), "%s", e->error_kind[0] ? e->error_kind : e->type->kind);
        rb_effect_failed(e, kind, RB_OUTCOME_NOT_STARTED, false, "%s", err.msg);
    }
    if (e->cls == RB_CLASS_EFFECT)
        rb_fault_point("effect.after-start");
}

static void on_intent_durable(struct rb_durable *w)
{
    struct rb_effect *e = RB_CONTAINER(w, struct rb_effect, durable);
    if (e->run->mode == RB_RUN_PARKING && !e->cancel_wanted) {
        /* the journal must say that it never started, or a resume would ask */
        char data[64];
        int n = snprintf(data, sizeof(data), "{\"n\":%lld}", (long long)e->n);
        rb_journal_append(e->run->journal, e->key, "op.unstarted", data, (size_t)n);
        e->state = RB_EFFECT_HELD;
        rb_run_wake(e->run); /* it may be what the parking has waited for */
        return;
    }
    begin(e);
}

void rb_effect_continue(struct rb_effect *e)
{
    begin(e);
}

static void append_opening(struct rb_effect *e)
{
    struct rb_buf b;
    struct rb_json j;
    rb_buf_init(&b, ARGS_MAX + 65536);
    rb_json_init(&j, &b);
    rb_json_object(&j);
    rb_json_ktext(&j, "op", e->type->kind);
    rb_json_ktext(&j, "digest", e->digest);
    if (e->cls == RB_CLASS_EFFECT)
        rb_json_kint(&j, "attempt", e->attempt);
    if (e->until)
        rb_json_kint(&j, "until", e->until);
    if (e->twice)
        rb_json_kbool(&j, "twice", true);
    if (e->type->person)
        rb_json_kbool(&j, "person", true);
    rb_json_ktext(&j, "title", e->title);
    rb_json_ktext(&j, "where", e->where);
    rb_json_kraw(&j, "args", e->args.len ? e->args.data : "{}", e->args.len ? e->args.len : 2);
    if (e->place.len)
        rb_json_kraw(&j, "place", e->place.data, e->place.len);
    rb_json_end_object(&j);
    e->n = rb_journal_append(e->run->journal, e->key, e->cls == RB_CLASS_WAIT ? "wait" : "intent", b.data, b.len);
    rb_buf_release(&b);
}

/* Writes what it is about to do, and does it when that is durable. */
static void intend(struct rb_effect *e)
{
    struct rb_keyed *k = rb_replay_key(&e->run->replay, e->key);
    append_opening(e);
    if (k)
        k->attempts++;
    if (e->cls == RB_CLASS_WAIT) {
        begin(e);
        return;
    }
    rb_scope_mark_effect(e->task->scope);
    e->state = RB_EFFECT_INTENT;
    if (rb_mutation("intent-not-flushed")) {
        begin(e);
        return;
    }
    e->durable.fn = on_intent_durable;
    rb_journal_when_durable(e->run->journal, e->n, &e->durable);
}

static void launch(struct rb_effect *e)
{
    struct rb_keyed *k = rb_replay_key(&e->run->replay, e->key);
    e->attempt = (k ? k->attempts : 0) + 1;
    if (e->cls == RB_CLASS_READ) {
        begin(e);
    } else if (e->cls == RB_CLASS_EFFECT && e->receipt) {
        e->state = RB_EFFECT_LOCATE;
        e->type->locate(e);
    } else {
        intend(e);
    }
}

void rb_effect_located(struct rb_effect *e, const char *place, size_t len)
{
    if (e->state != RB_EFFECT_LOCATE)
        return;
    rb_buf_reset(&e->place);
    rb_buf_add(&e->place, place, len);
    if (e->cancel_wanted) {
        rb_effect_failed(e, "cancelled", RB_OUTCOME_NOT_STARTED, false, "cancelled before it started");
    } else if (e->run->mode != RB_RUN_LIVE) {
        e->state = RB_EFFECT_HELD;
        rb_run_wake(e->run);
    } else {
        intend(e);
    }
}

void rb_effect_receipt(const struct rb_effect *e, char out[RB_RECEIPT_MAX])
{
    snprintf(out, RB_RECEIPT_MAX, "%s-%lld", e->run->id, (long long)e->n);
}

void rb_effect_detach(struct rb_effect *e)
{
    if (e->state != RB_EFFECT_RUNNING || e->cls != RB_CLASS_EFFECT || !e->place.len || !e->type->detach(e))
        return;
    e->state = RB_EFFECT_HELD;
    e->detached = true;
}

/* Is something that it reaches not allowed? Asked live only: a replay has the answer in the journal. */
static bool refused(const struct rb_effect *e, struct rb_err *err)
{
    const char *p = rb_buf_text(&e->reach), *end = p + e->reach.len;
    while (p < end) {
        const char *kind = p, *name = kind + strlen(kind) + 1;
        if (rb_policy_check(e->run, kind, name, err))
            return true;
        p = name + strlen(name) + 1;
    }
    return false;
}

void rb_effect_open(struct rb_effect *e)
{
    struct rb_run *run = e->run;
    if (run->dry && e->cls == RB_CLASS_EFFECT && !e->type->tells)
        ++*(e->task && e->task->reads_only ? &run->probed : &run->assumed);
    if (run->mode == RB_RUN_REPLAY) {
        e->state = RB_EFFECT_PENDING;
        return;
    }
    if (run->mode != RB_RUN_LIVE) {
        e->state = RB_EFFECT_HELD;
        return;
    }
    if (e->task && e->task->grace_until)
        rb_timer_arm(&e->grace, e->task->grace_until);
    struct rb_err err = {0};
    if (e->type->prepare && e->type->prepare(e, &err)) {
        char kind[32];
        snprintf(kind, sizeof(kind), "%s", e->error_kind[0] ? e->error_kind : "usage");
        rb_effect_failed(e, kind, RB_OUTCOME_NOT_STARTED, false, "%s", err.msg);
        return;
    }
    if (refused(e, &err)) {
        rb_effect_failed(e, "policy", RB_OUTCOME_NOT_STARTED, false, "%s%s", err.msg,
                         e->again ? " (what it did when it was started before is not known)" : "");
        return;
    }
    if (e->secret && rb_sealed_ready(run->host, &err)) {
        rb_effect_failed(e, "secret", RB_OUTCOME_NOT_STARTED, false, "%s", err.msg);
        return;
    }
    if (run->dry && e->cls != RB_CLASS_READ && !e->real) {
        rb_effect_decide_done(e, "dry", NULL, 0, NULL, 0);
        return;
    }
    struct rb_slots *slots = e->type->slots ? &run->host->exec : NULL;
    if (slots && slots->used >= slots->max) {
        e->state = RB_EFFECT_QUEUED;
        rb_list_push(&slots->queue, &e->slot_link);
        return;
    }
    if (slots) {
        slots->used++;
        e->has_slot = true;
    }
    launch(e);
}

static void flush_output(struct rb_effect *e);

static void complete(struct rb_effect *e)
{
    if (e->state == RB_EFFECT_DONE)
        return;
    e->looking = false;
    flush_output(e);
    e->state = RB_EFFECT_DONE;
    rb_timer_disarm(&e->grace);
    rb_list_remove(&e->slot_link);
    rb_list_remove(&e->done_link);
    rb_list_push(&e->run->done, &e->done_link);
    give_back_slot(e);
    rb_run_wake(e->run);
}

void rb_effect_done(struct rb_effect *e)
{
    e->ok = true;
    complete(e);
}

void rb_effect_failed(struct rb_effect *e, const char *kind, enum rb_outcome outcome, bool has_result, const char *fmt,
                      ...)
{
    va_list ap;
    struct rb_buf text;
    rb_buf_init(&text, 8192);
    va_start(ap, fmt);
    rb_buf_addfv(&text, fmt, ap);
    va_end(ap);
    if (e->again && outcome == RB_OUTCOME_NOT_STARTED) /* this time; what it did before is not known */
        outcome = RB_OUTCOME_UNKNOWN;
    e->ok = false;
    snprintf(e->error_kind, sizeof(e->error_kind), "%s", kind);
    e->outcome = outcome;
    e->error_has_result = has_result;
    free(e->error_message);
    e->error_message = rb_buf_detach(&text);
    complete(e);
}

void rb_effect_decide_done(struct rb_effect *e, const char *as, const char *value, size_t value_len,
                           const char *actor_json, int64_t signal)
{
    e->as = as;
    rb_buf_reset(&e->decided);
    if (value)
        rb_buf_add(&e->decided, value, value_len);
    if (actor_json)
        rb_buf_adds(&e->actor, actor_json);
    e->signal = signal;
    rb_effect_done(e);
}

static void show(struct rb_effect *e, int stream, const char *data, size_t len)
{
    struct rb_observer *o = &e->run->observer;
    if (o->on_output && len && !e->secret)
        o->on_output(o->arg, e->run, e->n, e->key, stream, data, len);
}

void rb_effect_output(struct rb_effect *e, int stream, const char *data, size_t len)
{
    struct rb_buf clean;
    if (!rb_secret_any(e->run)) {
        show(e, stream, data, len);
        return;
    }
    rb_buf_init(&clean, SIZE_MAX / 2);
    rb_redact_feed(e->run->redactor, &e->live[stream - 1], data, len, &clean);
    show(e, stream, rb_buf_text(&clean), clean.len);
    rb_buf_release(&clean);
}

/* What was held back, at the end. */
static void flush_output(struct rb_effect *e)
{
    for (int stream = 1; stream <= 2; stream++) {
        struct rb_buf rest;
        rb_buf_init(&rest, SIZE_MAX / 2);
        rb_redact_end(e->run->redactor, &e->live[stream - 1], &rest);
        show(e, stream, rb_buf_text(&rest), rest.len);
        rb_buf_release(&rest);
    }
}

bool rb_effect_watched(const struct rb_effect *e)
{
    return e->run->observer.on_output != NULL && !e->secret;
}

struct rb_loop *rb_effect_loop(const struct rb_effect *e)
{
    return e->run->host->loop;
}

const struct rb_limits *rb_effect_limits(const struct rb_effect *e)
{
    return &e->run->host->limits;
}

const json_t *rb_effect_config(const struct rb_effect *e, const char *key)
{
    return rb_host_config(e->run->host, key);
}

const char *rb_effect_journal(const struct rb_effect *e)
{
    return rb_store_path(e->run->host->store);
}

int rb_effect_attempt(const struct rb_effect *e)
{
    const struct rb_replay *r = &e->run->replay;
    if (!e->twice)
        return e->attempt;
    for (size_t i = r->count; i > 0; i--) { /* the latest intent that was no repetition */
        const struct rb_recorded *ev = &r->events[i - 1];
        if (strcmp(ev->kind, "intent") == 0 && strcmp(ev->key, e->key) == 0 &&
            !rb_json_member_true(ev->data, ev->data_len, "twice"))
            return (int)rb_json_member_int(ev->data, ev->data_len, "attempt", 1);
    }
    return 1;
}

void rb_effect_rerun(struct rb_effect *e)
{
    e->state = RB_EFFECT_NEW;
    e->again = true;
    rb_buf_reset(&e->place);
    rb_effect_open(e);
}

struct rb_effect *rb_effect_find(struct rb_run *run, int64_t n)
{
    RB_LIST_EACH (it, &run->ops) {
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if (n && e->n == n)
            return e;
    }
    return NULL;
}

/* -- cancelling ---------------------------------------------------------------------------------------------------- */

static void on_stop_durable(struct rb_durable *w)
{
    struct rb_effect *e = RB_CONTAINER(w, struct rb_effect, durable);
    if (e->state == RB_EFFECT_RUNNING)
        e->type->cancel(e, e->cut);
}

/* Stopping something that has started is an effect too: it has an intent of its own. */
static void stop_started(struct rb_effect *e, bool now)
{
    if (e->cls != RB_CLASS_EFFECT || now) {
        e->type->cancel(e, now);
        return;
    }
    if (e->stop_sent)
        return;
    e->stop_sent = true;
    struct rb_buf b;
    struct rb_json j;
    rb_buf_init(&b, 1024);
    rb_json_init(&j, &b);
    rb_json_object(&j);
    rb_json_kint(&j, "n", e->n);
    rb_json_ktext(&j, "why", e->run->mode == RB_RUN_PARKING ? "park" : "cancelled");
    rb_json_end_object(&j);
    int64_t seq = rb_journal_append(e->run->journal, e->key, "op.stop", b.data, b.len);
    rb_buf_release(&b);
    e->durable.fn = on_stop_durable;
    rb_journal_when_durable(e->run->journal, seq, &e->durable);
}

void rb_effect_cancel(struct rb_effect *e, bool now)
{
    e->cancel_wanted = true;
    switch (e->state) {
    case RB_EFFECT_NEW: /* rb_effect_open() is still to come */
    case RB_EFFECT_HELD:
    case RB_EFFECT_QUEUED:
        rb_effect_failed(e, "cancelled", RB_OUTCOME_NOT_STARTED, false, "cancelled before it started");
        break;
    case RB_EFFECT_DOUBT:
        if (e->doubt_task) {
            rb_task_cancel(e->doubt_task, "its operation was cancelled");
            e->doubt_task = NULL;
        }
        rb_effect_failed(e, "cancelled", RB_OUTCOME_UNKNOWN, false, "cancelled while its outcome was in doubt");
        break;
    case RB_EFFECT_LOCATE: e->type->cancel(e, now); break;
    case RB_EFFECT_RUNNING: stop_started(e, now); break;
    case RB_EFFECT_PENDING: /* the journal knows its outcome, or rb_effect_settle_pending() decides */
        if (e->doubt_task) {
            rb_task_cancel(e->doubt_task, "its operation was cancelled");
            e->doubt_task = NULL;
        }
        break;
    case RB_EFFECT_INTENT: /* begin() sees the wish */
    case RB_EFFECT_DONE: break;
    }
}
