/* Owns coroutines of scripts. Stands on Lua's own library, whose resume and yield it calls as functions, and adds what
 * a host with waiting operations needs. Knows nothing of tasks and operations.
 *
 * 1. An await inside a coroutine: the engine yields &rb_await_sentinel; resume sees it, yields it on, and goes on with
 *    the coroutine when it is
 *    resumed itself. The script's coroutine counts as "normal" meanwhile, and nobody else can resume or close it.
 * 2. A coroutine's body runs in a protected call of its own coroutine: when it fails, its to-be-closed variables are
 *    closed at once and may wait.
 * 3. resume is a protected call (lua_base.c): it holds up neither a dead VM nor a cancellation.
 * 4. Only what coroutine.create and wrap have made can be resumed, yielded from and closed: never a task of the host.
 * 5. Caps: 5.4.4 crashes in a chain of 20,000 coroutines that close each other. */
#include <string.h>

#include "engine/error.h"
#include "engine/lua_lib.h"

enum {
    MAX_LIVE = 10000,
    MAX_NESTING = 60, /* Lua's own limit of 200 C levels would be met soon after, with a text that nobody understands */
    MAX_CLOSING = 30,
};

/* In the registry: coroutine → protected calls that were open inside it when it yielded (+ AWAITING, CLOSING). Weak.
 * What is not in it is dead or not ours. */
static const char registry_key = 0;
#define AWAITING ((lua_Integer)1 << 32)
#define CLOSING ((lua_Integer)1 << 33)

/* [-0, +0, m] */
static bool known(lua_State *L, int index, lua_Integer *inner)
{
    index = lua_absindex(L, index);
    rb_lib_weak(L, &registry_key);
    lua_pushvalue(L, index);
    bool is = lua_rawget(L, -2) == LUA_TNUMBER;
    *inner = lua_tointeger(L, -1);
    lua_pop(L, 2);
    return is;
}

static void remember(lua_State *L, int index, lua_Integer inner)
{
    index = lua_absindex(L, index);
    rb_lib_weak(L, &registry_key);
    lua_pushvalue(L, index);
    lua_pushinteger(L, inner);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static void forget(lua_State *L, int index)
{
    struct rb_vm *vm = rb_vm_of(L);
    lua_Integer inner;
    index = lua_absindex(L, index);
    if (!known(L, index, &inner))
        return;
    rb_lib_weak(L, &registry_key);
    lua_pushvalue(L, index);
    lua_pushnil(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    if (vm->coroutines > 0)
        vm->coroutines--;
}

/* The count includes abandoned ones until they are looked for. */
static void check_live(lua_State *L)
{
    struct rb_vm *vm = rb_vm_of(L);
    if (vm->coroutines < MAX_LIVE)
        return;
    rb_vm_check(L);
    lua_gc(L, LUA_GCCOLLECT);
    rb_lib_weak(L, &registry_key);
    vm->coroutines = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        vm->coroutines++;
    lua_pop(L, 1);
    if (vm->coroutines >= MAX_LIVE)
        luaL_error(L, "more than %d coroutines are alive", MAX_LIVE);
}

static int finish_body(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    if (status == LUA_ERRMEM)
        rb_vm_of(L)->dead = RB_VM_MEMORY;
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    return lua_gettop(L);
}

/* Body of every coroutine; upvalue 1: the script's function. */
static int body(lua_State *L)
{
    luaL_checkstack(L, RB_VM_STACK_ROOM, "no room for a coroutine");
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, 0, finish_body);
    return finish_body(L, status, 0);
}

/* [-0, +1, e] the function at index 1 as a coroutine that waits for its first arguments. */
static void push_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    check_live(L);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, body, 1);
    lua_xmove(L, co, 1);
    remember(L, -1, 0);
    rb_vm_of(L)->coroutines++;
}

static int l_create(lua_State *L)
{
    push_new(L);
    return 1;
}

static lua_State *check_coroutine(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

/* "suspended", "running", "normal" or "dead" of the coroutine at index 1. */
static const char *status_of(lua_State *L)
{
    lua_Integer inner;
    bool ours = known(L, 1, &inner);
    if (ours && (inner & AWAITING))
        return "normal";
    lua_State *co = lua_tothread(L, 1);
    if (!ours && co != L && lua_status(co) == LUA_YIELD)
        return "normal"; /* a task of the host that waits */
    lua_pushcfunction(L, rb_vm_of(L)->real.status);
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    static const char *const names[] = {"suspended", "running", "normal", "dead"};
    size_t i = 0;
    while (i + 1 < RB_COUNT(names) && strcmp(names[i], lua_tostring(L, -1)) != 0)
        i++;
    lua_pop(L, 1);
    return i == 0 && !ours ? "normal" : names[i];
}

static int l_status(lua_State *L)
{
    check_coroutine(L);
    lua_pushstring(L, status_of(L));
    return 1;
}

/* -- resume -------------------------------------------------------------------------------------------------------- */

/* What has to outlive an await, in a lua_KContext: number of the protected call, wrap or resume, called from where
 * nothing can wait. */
enum { BLOCKED = 1, WRAP = 2, NUMBER = 4 };

static int go_on(lua_State *L, int status, lua_KContext ctx);

/* Results of resume are (ok, values…); wrap returns the values or raises the error, with the place of the call before
 * it if it is text. */
static int give(lua_State *L, int results, bool wrap)
{
    if (!wrap)
        return results;
    if (lua_toboolean(L, -results))
        return results - 1;
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

/* Resumes the coroutine at index 1 with what is above it until it yields, ends or fails. */
static int run(lua_State *L, lua_KContext ctx)
{
    struct rb_vm *vm = rb_vm_of(L);
    lua_State *co = lua_tothread(L, 1);
    int results = vm->real.resume(L);
    bool ok = lua_toboolean(L, -results);
    struct rb_vm_context *context = vm->context; /* of this task, also when others ran meanwhile */
    if (ok && results == 2 && lua_islightuserdata(L, -1) &&
        lua_touserdata(L, -1) == (void *)(uintptr_t)&rb_await_sentinel) {
        remember(L, 1, AWAITING);
        lua_settop(L, 1);
        lua_pushcfunction(L, vm->real.yield);
        lua_pushlightuserdata(L, (void *)(uintptr_t)&rb_await_sentinel);
        lua_callk(L, 1, 0, ctx, go_on);
        /* Only when L can not yield, and then the engine, having asked rb_vm_can_wait, does not wait. */
        return luaL_error(L, "a wait could not be passed on to the task");
    }
    int number = (int)(ctx / NUMBER);
    int inner = context->depth - number;
    context->depth = number;
    context->blocked -= ctx & BLOCKED ? 1 : 0;
    context->nesting--;
    if (ok && lua_status(co) == LUA_YIELD)
        remember(L, 1, inner);
    else
        forget(L, 1);
    rb_lib_leave(L, !ok, lua_status(co) == LUA_ERRMEM);
    return give(L, results, ctx & WRAP);
}

/* The engine has resumed the caller of resume: the coroutine goes on behind its await, without arguments. */
static int go_on(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    remember(L, 1, 0);
    lua_settop(L, 1);
    return run(L, ctx);
}

/* The coroutine at 1, its arguments above. */
static int start(lua_State *L, bool wrap)
{
    struct rb_vm *vm = rb_vm_of(L);
    struct rb_vm_context *context = vm->context;
    lua_Integer inner;
    bool ours = known(L, 1, &inner);
    const char *status = status_of(L);
    const char *refusal = NULL;
    if (strcmp(status, "dead") == 0)
        refusal = "cannot resume dead coroutine";
    else if (!ours || strcmp(status, "suspended") != 0)
        refusal = "cannot resume non-suspended coroutine";
    else if (context->nesting >= MAX_NESTING)
        refusal = "too many coroutines, each resumed by the one before";
    if (refusal) {
        lua_pushboolean(L, false);
        lua_pushstring(L, refusal);
        return give(L, 2, wrap);
    }
    rb_vm_tick(L);
    bool blocked = !lua_isyieldable(L);
    context->blocked += blocked;
    context->nesting++;
    int number = rb_lib_enter(L);
    context->depth += (int)inner;
    return run(L, (lua_KContext)number * NUMBER + (wrap ? WRAP : 0) + (blocked ? BLOCKED : 0));
}

static int l_resume(lua_State *L)
{
    check_coroutine(L);
    return start(L, false);
}

/* The function that wrap returns; upvalue 1: the coroutine. */
static int l_wrapped(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    return start(L, true);
}

static int l_wrap(lua_State *L)
{
    push_new(L);
    lua_pushcclosure(L, l_wrapped, 1);
    return 1;
}

/* -- the rest ------------------------------------------------------------------------------------------------------ */

/* Is L a coroutine of the script that may yield? */
static bool may_yield(lua_State *L, lua_State *co)
{
    lua_Integer inner;
    luaL_checkstack(co, 1, NULL);
    lua_pushthread(co);
    lua_xmove(co, L, co == L ? 0 : 1);
    bool may = known(L, -1, &inner) && !(inner & CLOSING) && lua_isyieldable(co);
    lua_pop(L, 1);
    return may;
}

static int l_yield(lua_State *L)
{
    if (!may_yield(L, L)) {
        lua_Integer inner;
        lua_pushthread(L);
        if (known(L, -1, &inner) && (inner & CLOSING))
            return luaL_error(L, "attempt to yield in a coroutine that is being closed");
        return luaL_error(L, known(L, -1, &inner)
                                 ? "attempt to yield across a C-call boundary (inside table.sort, gsub, require …)"
                                 : "attempt to yield from outside a coroutine");
    }
    return rb_vm_of(L)->real.yield(L);
}

static int l_isyieldable(lua_State *L)
{
    lua_State *co = lua_isnone(L, 1) ? L : check_coroutine(L);
    lua_pushboolean(L, may_yield(L, co));
    return 1;
}

/* A task's own coroutine is the main one, as far as a script can see. */
static int l_running(lua_State *L)
{
    lua_Integer inner;
    lua_pushthread(L);
    bool task = !known(L, -1, &inner);
    if (task)
        rb_vm_of(L)->context->seen = true;
    lua_pushboolean(L, task);
    return 2;
}

/* To-be-closed variables of a suspended coroutine are closed outside of any coroutine that could wait. */
static int l_close(lua_State *L)
{
    struct rb_vm *vm = rb_vm_of(L);
    lua_State *co = check_coroutine(L);
    lua_settop(L, 1);
    const char *status = status_of(L);
    if (strcmp(status, "suspended") != 0 && strcmp(status, "dead") != 0)
        return luaL_error(L, "cannot close a %s coroutine", status);
    if (vm->closing >= MAX_CLOSING)
        return luaL_error(L, "coroutine.close inside coroutine.close, too many times (%d)", MAX_CLOSING);
    struct rb_vm_context *context = vm->context;
    lua_Integer inner;
    bool ours = known(L, 1, &inner);
    if (ours)
        remember(L, 1, CLOSING);
    int number = rb_lib_enter(L);
    vm->closing++;
    context->blocked++;
    lua_pushcfunction(L, vm->real.close);
    lua_pushvalue(L, 1);
    int failed = lua_pcall(L, 1, LUA_MULTRET, 0);
    context->blocked--;
    vm->closing--;
    context->depth = number;
    if (failed != LUA_OK) {
        lua_pushboolean(L, false);
        lua_insert(L, -2);
    }
    if (ours)
        forget(L, 1);
    bool ok = lua_toboolean(L, 2);
    rb_lib_leave(L, !ok, failed == LUA_ERRMEM || lua_status(co) == LUA_ERRMEM);
    return lua_gettop(L) - 1;
}

void rb_lib_coroutine(lua_State *L, int real)
{
    (void)real;
    static const luaL_Reg functions[] = {
        {"create", l_create},   {"resume", l_resume}, {"wrap", l_wrap},
        {"yield", l_yield},     {"status", l_status}, {"isyieldable", l_isyieldable},
        {"running", l_running}, {"close", l_close},   {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
