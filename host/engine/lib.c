/* Owns the functions of the engine that stdlib/rt calls (the table `host`), and the registration of the verbs. The
 * verbs themselves are Lua: stdlib/rt/verbs.lua and what it requires. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/sha.h"
#include "engine/bindings.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/runbook.h"
#include "engine/value.h"

#define DATA_MAX ((size_t)16 << 20)

/* -- tasks and scopes ---------------------------------------------------------------------------------------------- */

static int l_spawn(lua_State *L) /* title, fn, … → id */
{
    size_t len;
    const char *title = luaL_checklstring(L, 1, &len);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct rb_task *parent = rb_task_current(L);
    struct rb_task *t =
        rb_task_spawn(L, rb_run_of(L), parent, rb_scope_child(parent->scope, title, len), lua_gettop(L) - 2);
    lua_pushinteger(L, t->id);
    return 1;
}

static int l_cancel_children(lua_State *L) /* why [, all but this id] */
{
    struct rb_task *task = rb_task_current(L);
    const char *why = luaL_checkstring(L, 1);
    lua_Integer except = luaL_optinteger(L, 2, 0);
    RB_LIST_EACH_SAFE (it, next, &task->children) {
        struct rb_task *child = RB_CONTAINER(it, struct rb_task, sibling);
        if (child->id != except)
            rb_task_cancel(child, why);
    }
    return 0;
}

static int l_scope_push(lua_State *L) /* title → path */
{
    size_t len;
    const char *title = luaL_checklstring(L, 1, &len);
    struct rb_task *task = rb_task_current(L);
    struct rb_scope *s = rb_scope_child(task->scope, title, len);
    rb_scope_unref(task->scope); /* its child holds it */
    task->scope = s;
    lua_pushlstring(L, s->path, s->path_len);
    return 1;
}

/* The error that is raised next passes every pcall of this task, as a cancellation does. false: it has come to where
 * it was meant for, and pcalls are as usual again. */
static int l_unwind(lua_State *L)
{
    struct rb_task *task = rb_task_current(L);
    if (lua_isnone(L, 1) || lua_toboolean(L, 1))
        task->context.unwind_depth = task->context.depth;
    else if (!task->cancel_delivered)
        task->context.unwind_depth = -1;
    return 0;
}

static int l_scope_path(lua_State *L)
{
    struct rb_scope *s = rb_task_current(L)->scope;
    lua_pushlstring(L, s->path, s->path_len);
    return 1;
}

static int l_scope_pop(lua_State *L)
{
    struct rb_task *task = rb_task_current(L);
    struct rb_scope *s = task->scope;
    if (!s->parent)
        return luaL_error(L, "the outermost scope can not be left");
    task->scope = rb_scope_ref(s->parent);
    rb_scope_unref(s);
    return 0;
}

static int l_flag(lua_State *L) /* name, +1 | -1 → the new count */
{
    struct rb_task *task = rb_task_current(L);
    const char *name = luaL_checkstring(L, 1);
    int by = (int)luaL_checkinteger(L, 2);
    int *flag = strcmp(name, "shield") == 0       ? &task->shield
                : strcmp(name, "reads_only") == 0 ? &task->reads_only
                : strcmp(name, "memo") == 0       ? &task->in_memo
                : strcmp(name, "tx") == 0         ? &task->in_tx
                                                  : &task->no_wait;
    *flag += by;
    lua_pushinteger(L, *flag);
    return 1;
}

static int l_set_reads_only(lua_State *L) /* value → the old value */
{
    struct rb_task *task = rb_task_current(L);
    int value = (int)luaL_checkinteger(L, 1);
    lua_pushinteger(L, task->reads_only);
    task->reads_only = value;
    return 1;
}

/* → how many effects a dry run has only listed: outside of checks, and in those that act */
static int l_assumed(lua_State *L)
{
    struct rb_run *run = rb_run_of(L);
    lua_pushinteger(L, run->assumed);
    lua_pushinteger(L, run->probed);
    return 2;
}

/* -- events -------------------------------------------------------------------------------------------------------- */

/* kind, table [, place] → number of the event. Written at once; claimed at the same place by a replay. place: true, its
 * key is the scope's path; a string, that is its key; else it gets the scope's next one. */
static int l_event(lua_State *L)
{
    struct rb_run *run = rb_run_of(L);
    struct rb_task *task = rb_task_current(L);
    const char *kind = luaL_checkstring(L, 1);
    lua_settop(L, 3);
    struct rb_buf *data = rb_effect_buf(L, DATA_MAX);
    struct rb_err err;
    if (rb_value_encode(L, 2, "value", &run->codec, data, &err))
        return rb_error_raise(L, "usage", "not_started", "%s", err.msg);
    if (lua_type(L, 3) == LUA_TSTRING) {
        lua_pushvalue(L, 3);
    } else {
        char *made = lua_toboolean(L, 3) ? NULL : rb_scope_next_key(task->scope);
        lua_pushstring(L, made ? made : task->scope->path);
        free(made);
    }
    lua_pushinteger(L, rb_record_event(L, run, lua_tostring(L, -1), kind, rb_buf_text(data), data->len));
    return 1;
}

/* op, fn, … → value. The function makes the value now; a replay gets the same one from the journal and does not call
 * it. */
int rb_lib_pin(lua_State *L)
{
    struct rb_run *run = rb_run_of(L);
    const char *op = luaL_checkstring(L, 1);
    struct rb_err err;
    char *made = rb_scope_next_key(rb_task_current(L)->scope);
    const char *key = lua_pushstring(L, made);
    free(made);
    lua_insert(L, 1); /* below, where the call leaves it alone */
    struct rb_recorded *ev = rb_record_pinned(L, run, key, op);
    if (ev) {
        struct rb_slice v = rb_json_member(ev->data, ev->data_len, "value");
        if (!v.p)
            lua_pushnil(L);
        else if (rb_value_decode(L, v.p, v.n, &run->codec, &err))
            return rb_error_raise(L, "journal", NULL, "event %lld can not be read back: %s", (long long)ev->seq,
                                  err.msg);
        return 1;
    }
    lua_call(L, lua_gettop(L) - 3, 1);
    struct rb_buf *data = rb_effect_buf(L, DATA_MAX);
    rb_buf_addf(data, "{\"op\":\"%s\"", op);
    if (!lua_isnil(L, -2)) {
        rb_buf_adds(data, ",\"value\":");
        if (rb_value_encode(L, -2, "value", &run->codec, data, &err))
            return rb_error_raise(L, "usage", "not_started", "%s", err.msg);
    }
    rb_buf_addc(data, '}');
    rb_record_event(L, run, key, "record", data->data, data->len);
    lua_pop(L, 1);
    return 1;
}

/* A memo ends in an operation of its own, live as in a replay: so its result has its place in the order of outcomes,
 * and the task gives way to others at the same points. */
struct memo_op {
    struct rb_effect effect;
    int value; /* registry */
};

static struct memo_op *memo_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct memo_op, effect);
}

static int memo_start(struct rb_effect *e, struct rb_err *err)
{
    (void)err;
    rb_effect_done(e);
    return RB_OK;
}

static void memo_push(struct rb_effect *e, lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, memo_of(e)->value);
}

static void memo_free(struct rb_effect *e)
{
    if (e->run->vm.L)
        luaL_unref(e->run->vm.L, LUA_REGISTRYINDEX, memo_of(e)->value);
    free(memo_of(e));
}

static const struct rb_effect_type memo_type = {
    .kind = "memo", .start = memo_start, .push = memo_push, .free = memo_free};

static int l_memo_key(lua_State *L) /* → the key under which a memo is kept, does the journal hold it? */
{
    struct rb_run *run = rb_run_of(L);
    rb_task_check_waitable(L, "memo");
    struct rb_task *task = rb_task_current(L);
    char *made = rb_scope_next_key(task->scope);
    const char *key = lua_pushstring(L, made);
    free(made);
    const struct rb_keyed *k = run->mode == RB_RUN_REPLAY ? rb_replay_key(&run->replay, key) : NULL;
    if (k && k->result && k->effects)
        rb_scope_mark_effect(task->scope); /* its body, which is not called again, has started one */
    lua_pushboolean(L, k && k->result);
    return 2;
}

static int l_memo_end(lua_State *L) /* key [, value] → value; when the replay has come to it, the recorded one */
{
    const char *key = luaL_checkstring(L, 1);
    lua_settop(L, 2);
    struct memo_op *op = rb_effect_new(L, sizeof(*op), &memo_type, RB_CLASS_READ);
    op->value = LUA_NOREF;
    lua_pushvalue(L, 2);
    op->value = luaL_ref(L, LUA_REGISTRYINDEX);
    return rb_effect_call_at(L, &op->effect, key);
}

/* state | nil → the state before of the task's math.random; nil: it is seeded anew, from the scope, at the next use. A
 * memo's body has numbers of its own, so that those that follow are the same when a replay does not call it. */
static int l_random_state(lua_State *L)
{
    struct rb_vm_context *c = rb_run_of(L)->vm.context;
    uint64_t state[5];
    memcpy(state, c->random, sizeof(c->random));
    state[4] = c->random_seeded;
    if (lua_isnil(L, 1)) {
        c->random_seeded = false;
    } else {
        uint64_t to[5];
        luaL_argcheck(L, lua_rawlen(L, 1) == sizeof(to), 1, "a state");
        memcpy(to, lua_tostring(L, 1), sizeof(to));
        memcpy(c->random, to, sizeof(c->random));
        c->random_seeded = to[4] != 0;
    }
    lua_pushlstring(L, (const char *)state, sizeof(state));
    return 1;
}

static int l_plain(lua_State *L) /* value, what: raises when it is not plain data */
{
    struct rb_buf *out = rb_effect_buf(L, DATA_MAX);
    struct rb_err err;
    if (rb_value_encode(L, 1, luaL_checkstring(L, 2), NULL, out, &err))
        return rb_error_raise(L, "usage", NULL, "%s", err.msg);
    return 0;
}

static int l_digest(lua_State *L) /* value → hex */
{
    struct rb_buf *out = rb_effect_buf(L, DATA_MAX);
    struct rb_err err;
    char hex[RB_SHA_HEX];
    if (rb_value_encode(L, 1, "value", NULL, out, &err))
        return rb_error_raise(L, "usage", "not_started", "%s", err.msg);
    rb_sha_of_hex(rb_buf_text(out), out->len, hex);
    lua_pushstring(L, hex);
    return 1;
}

/* -- the host's surroundings --------------------------------------------------------------------------------------- */

static int l_is_secret(lua_State *L)
{
    lua_pushboolean(L, rb_secret_is(L, 1));
    return 1;
}

static int try_k(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    lua_pushboolean(L, status == LUA_OK || status == LUA_YIELD);
    lua_replace(L, 1); /* where the message handler was */
    return lua_gettop(L);
}

/* fn, … → ok, values… | false, error. Unlike the script's pcall it also stops a cancellation on its way, so that scopes
 * are left and steps are closed; whoever calls it raises the error again. */
static int l_try(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushcfunction(L, rb_task_on_error);
    lua_insert(L, 1);
    return try_k(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, try_k), 0);
}

static int l_task_id(lua_State *L)
{
    lua_pushinteger(L, rb_task_current(L)->id);
    return 1;
}

static int l_set_on_doubt(lua_State *L) /* word → the word before, or nil */
{
    static const char *const words[] = {"default", "ask", "retry", "fail", NULL};
    struct rb_task *task = rb_task_current(L);
    int before = task->on_doubt;
    task->on_doubt = luaL_checkoption(L, 1, "default", words);
    lua_pushstring(L, words[before]);
    return 1;
}

static int l_global(lua_State *L) /* name → what runbooks see under that name */
{
    luaL_checkstring(L, 1);
    rb_vm_push_env(L);
    lua_pushvalue(L, 1);
    lua_rawget(L, -2);
    return 1;
}

/* -- undo ---------------------------------------------------------------------------------------------------------- */

static int l_undo(lua_State *L) /* title, fn → n */
{
    size_t len;
    const char *title = luaL_checklstring(L, 1, &len);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    rb_task_current(L);
    lua_pushinteger(L, rb_undo_register(L, rb_run_of(L), title, len));
    return 1;
}

static int l_settled(lua_State *L)
{
    struct rb_run *run = rb_run_of(L);
    run->undo_cleared = (int64_t)run->undo_count;
    return 0;
}

static int l_undo_next(lua_State *L) /* → n, title, fn of the next to run; nothing when all are done */
{
    struct rb_undo *u = rb_undo_next(rb_run_of(L));
    if (!u)
        return 0;
    lua_pushinteger(L, u->n);
    lua_pushstring(L, u->title);
    lua_rawgeti(L, LUA_REGISTRYINDEX, u->fn_ref);
    return 3;
}

static int l_undo_done(lua_State *L) /* n */
{
    struct rb_undo *u = rb_undo_at(rb_run_of(L), luaL_checkinteger(L, 1));
    if (u)
        u->done = true;
    return 0;
}

/* -- the rest ------------------------------------------------------------------------------------------------------ */

static int l_info(lua_State *L) /* → { run, runbook, dry, step, limit, file, folder, actor } */
{
    struct rb_run *run = rb_run_of(L);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, run->id);
    lua_setfield(L, -2, "run");
    lua_pushstring(L, run->runbook);
    lua_setfield(L, -2, "runbook");
    lua_pushstring(L, run->file);
    lua_setfield(L, -2, "file");
    lua_pushstring(L, run->folder);
    lua_setfield(L, -2, "folder");
    lua_pushboolean(L, run->dry);
    lua_setfield(L, -2, "dry");
    lua_pushboolean(L, run->confirm_steps);
    lua_setfield(L, -2, "step");
    lua_pushstring(L, run->limit);
    lua_setfield(L, -2, "limit");
    lua_pushstring(L, run->actor.name);
    lua_setfield(L, -2, "actor");
    return 1;
}

static int l_params(lua_State *L) /* → the checked parameters */
{
    struct rb_run *run = rb_run_of(L);
    struct rb_err err;
    if (rb_value_decode(L, run->params_json, strlen(run->params_json), &run->codec, &err))
        return luaL_error(L, "the parameters can not be read: %s", err.msg);
    return 1;
}

static int l_check_params(lua_State *L) /* raises all that is wrong with parameters for this runbook */
{
    struct rb_run *run = rb_run_of(L);
    struct rb_buf *given = rb_effect_buf(L, DATA_MAX), *values = rb_effect_buf(L, DATA_MAX);
    struct rb_err err;
    if (rb_value_encode(L, 1, "restart_with", NULL, given, &err) ||
        rb_params_resolve(run->header_json, rb_buf_text(given), values, &err))
        return rb_error_raise(L, "params", "not_started", "%s", err.msg);
    return 0;
}

static int l_header(lua_State *L) /* → the header as data */
{
    struct rb_run *run = rb_run_of(L);
    struct rb_err err;
    if (rb_value_decode(L, run->header_json, strlen(run->header_json), NULL, &err))
        return luaL_error(L, "the header can not be read: %s", err.msg);
    return 1;
}

static int l_error(lua_State *L) /* kind, outcome | nil, message, fields | nil: → a new error */
{
    rb_error_push(L, luaL_checkstring(L, 1), lua_tostring(L, 2), "%s", luaL_checkstring(L, 3));
    if (lua_istable(L, 4)) {
        lua_pushnil(L);
        while (lua_next(L, 4)) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_settable(L, -4);
        }
    }
    return 1;
}

static int l_normalize(lua_State *L) /* anything that was raised → one of our errors */
{
    lua_settop(L, 1);
    rb_error_normalize(L, 1);
    return 1;
}

static int l_error_text(lua_State *L)
{
    struct rb_buf *out = rb_effect_buf(L, 8192);
    rb_vm_error_text(L, 1, out);
    lua_pushlstring(L, rb_buf_text(out), out->len);
    return 1;
}

static int l_check_cancel(lua_State *L)
{
    rb_task_check_cancel(L, rb_task_current(L));
    return 0;
}

static const struct rb_binding own[] = {
    {"spawn", l_spawn},
    {"wait_child", rb_task_wait_child},
    {"cancel_children", l_cancel_children},
    {"scope_push", l_scope_push},
    {"scope_pop", l_scope_pop},
    {"scope_path", l_scope_path},
    {"unwind", l_unwind},
    {"flag", l_flag},
    {"set_reads_only", l_set_reads_only},
    {"assumed", l_assumed},
    {"event", l_event},
    {"pin", rb_lib_pin},
    {"plain", l_plain},
    {"digest", l_digest},
    {"undo", l_undo},
    {"settled", l_settled},
    {"undo_next", l_undo_next},
    {"undo_done", l_undo_done},
    {"info", l_info},
    {"params", l_params},
    {"check_params", l_check_params},
    {"header", l_header},
    {"error", l_error},
    {"normalize", l_normalize},
    {"error_text", l_error_text},
    {"check_cancel", l_check_cancel},
    {"memo_key", l_memo_key},
    {"is_secret", l_is_secret},
    {"secret_equal", rb_secret_l_equal},
    {"random_secret", rb_sealed_random},
    {"memo_end", l_memo_end},
    {"random_state", l_random_state},
    {"try", l_try},
    {"task_id", l_task_id},
    {"set_on_doubt", l_set_on_doubt},
    {"global", l_global},
    {NULL, NULL},
};

static const struct rb_binding *primitives;

void rb_lib_bindings(const struct rb_binding *table)
{
    primitives = table;
}

/* [-0, +0, e] every verb that rt/verbs returns becomes a global of the runbook. */
static int l_register(lua_State *L)
{
    struct rb_err err;
    if (rb_vm_rt(L, "verbs", &err))
        return luaL_error(L, "%s", err.msg);
    rb_vm_push_env(L);
    lua_pushnil(L);
    while (lua_next(L, -3)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    return 0;
}

int rb_lib_register(struct rb_run *run, struct rb_err *err)
{
    lua_State *L = run->vm.L;
    lua_gc(L, LUA_GCSTOP);
    rb_vm_host_functions(&run->vm, own);
    rb_vm_host_functions(&run->vm, rb_lib_outside);
    rb_vm_host_functions(&run->vm, primitives);
    rb_vm_host_functions(&run->vm, run->stage ? run->stage->bindings : NULL);
    lua_pushcfunction(L, l_register);
    if (lua_pcall(L, 0, 0, 0)) {
        rb_err_set(err, RB_EINVAL, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
        return RB_EINVAL; /* and nothing runs in this state */
    }
    run->vm.error_tables = true;
    rb_vm_seal(&run->vm);
    rb_vm_rest(&run->vm);
    return RB_OK;
}
