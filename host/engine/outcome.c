/* Owns the outcome of an op as bytes and as Lua value. Live, the value is built once on the Lua stack and walked into
 * the event; in a replay the event is read back; both give the script the same thing. */
#include "engine/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/error.h"
#include "engine/value.h"

#define EVENT_MAX ((size_t)64 << 20)
#define EVENT_USUAL 2000 /* bytes */

static const char *outcome_word(enum rb_outcome o)
{
    static const char *const words[] = {NULL, "not_started", "failed", "unknown"};
    return words[o];
}

/* -- live ---------------------------------------------------------------------------------------------------------- */

/* [-0, +1, m] the value of a success. */
static void push_value(lua_State *L, struct rb_effect *e)
{
    if (e->decided.len) {
        struct rb_err err = {0};
        if (rb_value_decode(L, e->decided.data, e->decided.len, &e->run->codec, &err))
            lua_pushnil(L);
    } else if (e->as && e->type->assume) {
        e->type->assume(e, L);
    } else if (!e->as && e->type->push) {
        e->type->push(e, L);
    } else {
        lua_pushnil(L);
    }
}

/* [-0, +1, m] the error of a failure, without `op`. */
static void push_error(lua_State *L, struct rb_effect *e)
{
    lua_createtable(L, 0, 8);
    lua_pushstring(L, e->error_kind);
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, e->error_message ? e->error_message : e->error_kind);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, e->type->kind);
    lua_setfield(L, -2, "call");
    if (e->where[0]) {
        lua_pushstring(L, e->where);
        lua_setfield(L, -2, "where");
    }
    bool hopeless = strcmp(e->error_kind, "policy") == 0; /* the answer will be the same */
    lua_pushboolean(L, !hopeless && (e->retryable || e->outcome == RB_OUTCOME_NOT_STARTED || e->idempotent ||
                                     e->cls == RB_CLASS_READ));
    lua_setfield(L, -2, "retryable");
    if (outcome_word(e->outcome)) {
        lua_pushstring(L, outcome_word(e->outcome));
        lua_setfield(L, -2, "outcome");
    }
    if (e->type->explain)
        e->type->explain(e, L);
    if (e->error_has_result && e->type->push) {
        e->type->push(e, L);
        lua_setfield(L, -2, "result");
    }
}

struct built {
    struct rb_effect *e;
    struct rb_buf *out;
};

static int l_build(lua_State *L) /* protected: an error here is memory, or a value that is not plain */
{
    struct built *b = lua_touserdata(L, 1);
    struct rb_effect *e = b->e;
    struct rb_err err = {0};
    if (e->ok)
        push_value(L, e);
    else
        push_error(L, e);
    struct rb_buf *sealed = e->secret ? rb_effect_buf(L, EVENT_MAX) : NULL;
    if (sealed) {
        lua_insert(L, -2);
        rb_sealed_outcome(L, e, sealed);
    }
    if (!(e->ok && lua_isnil(L, -1))) {
        rb_buf_adds(b->out, e->ok ? ",\"value\":" : ",\"error\":");
        size_t from = b->out->len;
        int64_t filtered = e->run->filtered;
        if (rb_value_encode(L, -1, e->type->kind, &e->run->codec, b->out, &err))
            return luaL_error(L, "%s", err.msg);
        if (e->run->filtered != filtered) { /* a secret was found in it: the script gets what a replay will give it */
            lua_pop(L, 1);
            if (rb_value_decode(L, b->out->data + from, b->out->len - from, &e->run->codec, &err))
                return luaL_error(L, "%s", err.msg);
        }
    }
    if (sealed)
        rb_buf_add(b->out, rb_buf_text(sealed), sealed->len);
    if (!e->ok) { /* its own number, which is not known before the event is appended when it is a read */
        lua_pushinteger(L, e->n ? e->n : rb_journal_seq(e->run->journal) + 1);
        lua_setfield(L, -2, "op");
        rb_error_bless(L, -1);
    }
    e->value_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static void head(struct rb_effect *e, struct rb_json *j)
{
    rb_json_ktext(j, "op", e->type->kind);
    if (e->n) {
        rb_json_kint(j, "n", e->n);
    } else {
        rb_json_ktext(j, "digest", e->digest);
        rb_json_ktext(j, "title", e->title);
        rb_json_ktext(j, "where", e->where);
        rb_json_kraw(j, "args", e->args.len ? e->args.data : "{}", e->args.len ? e->args.len : 2);
    }
    rb_json_kbool(j, "ok", e->ok);
    rb_json_ktext(j, "as", e->as);
    if (e->twice)
        rb_json_kbool(j, "twice", true);
    if (e->cut)
        rb_json_kbool(j, "cut", true);
    if (e->actor.len)
        rb_json_kraw(j, "actor", e->actor.data, e->actor.len);
    if (e->signal)
        rb_json_kint(j, "signal", e->signal);
    if (e->started)
        rb_json_kint(j, "us", rb_clock_boot() - e->started);
}

void rb_outcome_build(struct rb_effect *e, struct rb_buf *event)
{
    lua_State *L = e->run->vm.L;
    struct rb_json j;
    struct built b = {e, event};
    size_t start;
    rb_buf_reserve(event, EVENT_USUAL);
    for (int attempt = 0;; attempt++) {
        rb_buf_reset(event);
        rb_json_init(&j, event);
        rb_json_object(&j);
        head(e, &j);
        start = event->len;
        lua_pushcfunction(L, l_build);
        lua_pushlightuserdata(L, &b);
        if (lua_pcall(L, 1, 0, 0) == LUA_OK)
            break;
        /* The value can not be kept. The effect has happened all the same: the task gets an error that says so. */
        const char *why = lua_tostring(L, -1);
        struct rb_err err;
        rb_err_set(&err, RB_ETOOBIG, "the result of %s can not be kept: %s", e->type->kind,
                   why ? why : "not enough memory");
        lua_pop(L, 1);
        event->len = start;
        if (attempt == 1) { /* not even the error fits: the run is out of memory, and ends with that */
            rb_buf_addf(event,
                        ",\"error\":{\"kind\":\"memory\",\"message\":\"not enough memory\",\"outcome\":\"unknown\"}");
            e->value_ref = LUA_REFNIL;
            e->run->vm.dead = RB_VM_MEMORY;
            break;
        }
        e->ok = e->error_has_result = false;
        e->outcome = e->cls == RB_CLASS_EFFECT ? RB_OUTCOME_UNKNOWN : RB_OUTCOME_FAILED;
        snprintf(e->error_kind, sizeof(e->error_kind), "result");
        free(e->error_message);
        e->error_message = rb_strdup(err.msg);
    }
    rb_buf_addc(event, '}');
}

/* -- replay -------------------------------------------------------------------------------------------------------- */

struct reading {
    struct rb_effect *e;
    const struct rb_recorded *ev;
    struct rb_err *err;
};

static int l_read(lua_State *L)
{
    struct reading *r = lua_touserdata(L, 1);
    struct rb_effect *e = r->e;
    struct rb_slice s = rb_json_member(r->ev->data, r->ev->data_len, e->ok ? "value" : "error");
    if (!s.p) {
        if (!e->ok)
            return luaL_error(L, "it holds no error");
        lua_pushnil(L);
    } else if (rb_value_decode(L, s.p, s.n, &e->run->codec, r->err)) {
        return luaL_error(L, "%s", r->err->msg);
    }
    if (!e->ok) {
        lua_pushinteger(L, e->n ? e->n : r->ev->seq);
        lua_setfield(L, -2, "op");
        rb_error_bless(L, -1);
    }
    e->value_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

int rb_outcome_read(struct rb_effect *e, const struct rb_recorded *ev, struct rb_err *err)
{
    lua_State *L = e->run->vm.L;
    struct reading r = {e, ev, err};
    e->ok = rb_json_member_true(ev->data, ev->data_len, "ok");
    e->n = rb_json_member_int(ev->data, ev->data_len, "n", 0);
    e->cut = rb_json_member_true(ev->data, ev->data_len, "cut");
    lua_pushcfunction(L, l_read);
    lua_pushlightuserdata(L, &r);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return RB_OK;
    rb_err_set(err, RB_ECORRUPT, "event %lld of run %s can not be read back: %s", (long long)ev->seq, e->run->id,
               lua_tostring(L, -1));
    lua_pop(L, 1);
    return RB_ECORRUPT;
}
