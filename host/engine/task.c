/* Owns coroutines: the only file that suspends and resumes Lua. Knows the op a task waits for only as something with an
 * outcome.
 *
 * A task is suspended by one call, rb_task_await(), with one continuation, await_k(). Callbacks never resume Lua: they
 * complete the op, and run.c resumes ready tasks at one place in the loop's turn. Cancellation raises in the
 * continuation, so that a script's <close> handlers run and may wait; a task that never waits is ended by the budget of
 * its slice. */
#include "engine/task.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/core.h"
#include "engine/error.h"

static int await_k(lua_State *L, int status, lua_KContext ctx);

struct rb_task *rb_task_current(lua_State *L)
{
    struct rb_run *run = rb_run_of(L);
    if (!run->current)
        rb_error_raise(L, "usage", "not_started", "this can only be called while the run's tasks are running");
    return run->current;
}

void rb_task_check_waitable(lua_State *L, const char *what)
{
    if (!rb_vm_can_wait(L))
        rb_error_raise(
            L, "usage", "not_started",
            "%s can not wait here: a comparison of table.sort, a replacement of gsub, a module's own body, __tostring "
            "and "
            "similar callbacks can not be suspended; call it before, keep its result in a variable and use that",
            what);
    struct rb_task *task = rb_task_current(L);
    if (task->no_wait)
        rb_error_raise(L, "usage", "not_started", "%s can not be used here", what);
}

/* -- bodies -------------------------------------------------------------------------------------------------------- */

int rb_task_on_error(lua_State *L) /* the author's frames are still there */
{
    rb_error_normalize(L, 1);
    lua_settop(L, 1);
    if (lua_getfield(L, 1, "traceback") == LUA_TNIL) {
        struct rb_buf trace;
        rb_buf_init(&trace, 4000);
        rb_vm_traceback(L, &trace);
        if (trace.len) {
            lua_pushlstring(L, rb_buf_text(&trace), trace.len);
            lua_setfield(L, 1, "traceback");
        }
        rb_buf_release(&trace);
    }
    lua_settop(L, 1);
    return 1;
}

static int body_k(lua_State *L, int status, lua_KContext ctx)
{
    struct rb_task *task = (struct rb_task *)ctx;
    task->ok = status == LUA_OK || status == LUA_YIELD;
    if (status == LUA_ERRMEM)
        task->run->vm.dead = RB_VM_MEMORY;
    if (!task->ok)
        rb_error_normalize(L, lua_gettop(L));
    return lua_gettop(L) - 1; /* without the message handler at the bottom */
}

static int body(lua_State *L) /* fn, arguments… */
{
    struct rb_task *task = rb_task_current(L);
    int room = rb_secret_any(task->run) ? RB_VM_STACK_ROOM_SECRETS : RB_VM_STACK_ROOM;
    luaL_checkstack(L, room, "no room for a task");
    lua_pushcfunction(L, rb_task_on_error);
    lua_insert(L, 1);
    if (task->cancel_wanted && !task->shield) { /* it was cancelled before it began */
        task->cancel_delivered = true;
        lua_settop(L, 1);
        rb_error_push(L, "cancelled", "not_started", "cancelled: %s",
                      task->cancel_why ? task->cancel_why : "no longer wanted");
        return body_k(L, LUA_ERRRUN, (lua_KContext)task);
    }
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, (lua_KContext)task, body_k);
    return body_k(L, status, (lua_KContext)task);
}

/* -- coroutines ---------------------------------------------------------------------------------------------------- */

/* A coroutine whose body has returned can have another: its stack is there, and the collector has nothing to do. Not
 * one that the script has got hold of (coroutine.running), which has to stay dead. */
static void give_back(struct rb_task *task)
{
    struct rb_run *run = task->run;
    lua_State *L = run->vm.L;
    bool idle = task->state == RB_TASK_DONE && task->started && lua_status(task->co) == LUA_OK;
    if (idle && !task->context.seen && run->idle_count < RB_COUNT(run->idle)) {
        lua_settop(task->co, 0);
        run->idle[run->idle_count++] = task->co_ref;
    } else {
        luaL_unref(L, LUA_REGISTRYINDEX, task->co_ref);
    }
}

/* [-0, +1, m] with its reference in the registry. */
static lua_State *push_coroutine(lua_State *L, struct rb_run *run, int *ref)
{
    if (run->idle_count) {
        *ref = run->idle[--run->idle_count];
        lua_rawgeti(L, LUA_REGISTRYINDEX, *ref);
        return lua_tothread(L, -1);
    }
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, -1);
    *ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return co;
}

struct rb_task *rb_task_spawn(lua_State *L, struct rb_run *run, struct rb_task *parent, struct rb_scope *scope,
                              int nargs)
{
    if (run->tasks >= run->host->limits.max_tasks) {
        rb_scope_unref(scope);
        rb_error_raise(L, "limit", "not_started",
                       "more than %d tasks at once; run them with each(list, { limit = n }, fn)",
                       run->host->limits.max_tasks);
    }
    int ref; /* what may raise comes before there is a task */
    lua_State *co = push_coroutine(L, run, &ref);
    luaL_checkstack(co, nargs + 4, "too many arguments of a task");
    lua_pushcfunction(co, body);
    lua_insert(L, -(nargs + 2)); /* the thread below fn and its arguments */
    lua_xmove(L, co, nargs + 1);
    lua_pop(L, 1);
    struct rb_task *task = rb_alloc(sizeof(*task));
    rb_list_init(&task->ready);
    rb_list_init(&task->sibling);
    rb_list_init(&task->children);
    rb_list_init(&task->ended);
    task->run = run;
    task->parent = parent;
    task->id = ++run->next_task;
    task->scope = scope;
    task->co = co;
    task->co_ref = ref;
    task->context.unwind_depth = -1;
    if (parent) {
        rb_list_push(&parent->children, &task->sibling);
        task->reads_only = parent->reads_only;
        task->on_doubt = parent->on_doubt;
        task->in_memo = parent->in_memo;
        task->in_tx = parent->in_tx;
        task->grace_until = parent->grace_until;
    }
    run->tasks++;
    task->state = RB_TASK_READY;
    rb_list_push(&run->ready, &task->ready);
    rb_run_wake(run);
    return task;
}

static void set_ready(struct rb_task *task)
{
    task->state = RB_TASK_READY;
    rb_list_push(&task->run->ready, &task->ready);
    rb_run_wake(task->run);
}

static void ended(struct rb_task *task)
{
    task->state = RB_TASK_DONE;
    if (task->op) { /* a coroutine of the script was dropped while it waited */
        struct rb_effect *op = task->op;
        task->op = NULL;
        rb_effect_cancel(op, true);
    }
    struct rb_task *parent = task->parent;
    if (!parent) {
        rb_run_task_ended(task->run, task);
        return;
    }
    rb_list_remove(&task->sibling);
    rb_list_push(&parent->ended, &task->sibling);
    if (parent->state == RB_TASK_JOINING)
        set_ready(parent);
}

void rb_task_resume(struct rb_task *task)
{
    struct rb_run *run = task->run;
    int nargs = task->started ? 0 : lua_gettop(task->co) - 1;
    int results = 0;
    task->started = true;
    task->state = RB_TASK_RUNNING;
    run->current = task;
    run->vm.context = &task->context;
    rb_vm_slice(&run->vm);
    int status = lua_resume(task->co, run->vm.L, nargs, &results);
    run->vm.context = &run->vm.own_context;
    run->current = NULL;
    if (status == LUA_YIELD) {
        bool ours = results == 1 && lua_touserdata(task->co, -1) == (void *)(uintptr_t)&rb_await_sentinel;
        lua_pop(task->co, results);
        if (ours && (task->state == RB_TASK_WAITING || task->state == RB_TASK_JOINING)) {
            return;
        }
        lua_settop(task->co, 0);
        task->ok = false;
        rb_error_push(
            task->co, "usage", NULL,
            "coroutine.yield was called outside of a coroutine; wait with sleep, wait_until or another operation");
        results = 1;
    } else if (status != LUA_OK) {
        task->ok = false; /* the error is on top */
        if (status == LUA_ERRMEM)
            run->vm.dead = RB_VM_MEMORY;
        results = 1;
    }
    task->results = results;
    ended(task);
}

/* -- waiting ------------------------------------------------------------------------------------------------------- */

int rb_task_await(lua_State *L)
{
    struct rb_task *task = rb_task_current(L);
    task->state = RB_TASK_WAITING;
    lua_pushlightuserdata(L, (void *)(uintptr_t)&rb_await_sentinel);
    return lua_yieldk(L, 1, (lua_KContext)task, await_k);
}

/* [-0, +n, -] takes an ended child: id, ok, values… */
static int collect(lua_State *L, struct rb_task *task)
{
    struct rb_task *child = RB_CONTAINER(rb_list_pop(&task->ended), struct rb_task, sibling);
    int n = child->results;
    luaL_checkstack(L, n + 2, "too many results of a task");
    lua_pushinteger(L, child->id);
    lua_pushboolean(L, child->ok);
    lua_xmove(child->co, L, n);
    child->results = 0;
    rb_task_free_tree(child);
    return n + 2;
}

static bool cancel_due(const struct rb_task *task)
{
    return task->cancel_wanted && !task->cancel_delivered && !task->shield;
}

static int wait_child(lua_State *L, struct rb_task *task)
{
    if (cancel_due(task)) {
        /* nothing outlives its call: the children end first, then the cancellation is raised here */
        while (!rb_list_empty(&task->ended))
            lua_pop(L, collect(L, task));
        if (rb_list_empty(&task->children))
            rb_task_check_cancel(L, task);
    } else if (!rb_list_empty(&task->ended)) {
        return collect(L, task);
    } else if (rb_list_empty(&task->children)) {
        return 0;
    }
    task->state = RB_TASK_JOINING;
    lua_pushlightuserdata(L, (void *)(uintptr_t)&rb_await_sentinel);
    return lua_yieldk(L, 1, (lua_KContext)task, await_k);
}

int rb_task_wait_child(lua_State *L)
{
    rb_task_check_waitable(L, "waiting for tasks");
    return wait_child(L, rb_task_current(L));
}

static int await_k(lua_State *L, int status, lua_KContext ctx)
{
    struct rb_task *task = (struct rb_task *)ctx;
    (void)status;
    struct rb_effect *op = task->op;
    if (!op)
        return wait_child(L, task);
    task->op = NULL;
    bool ok = op->ok;
    lua_rawgeti(L, LUA_REGISTRYINDEX, op->value_ref);
    if (op->cut)
        task->cut = true;
    rb_effect_free(op);
    rb_task_check_cancel(L, task);
    return ok ? 1 : lua_error(L);
}

void rb_task_wake(struct rb_task *task)
{
    if (task->state == RB_TASK_WAITING)
        set_ready(task);
}

/* -- cancelling ---------------------------------------------------------------------------------------------------- */

void rb_task_cancel(struct rb_task *task, const char *why)
{
    if (task->state == RB_TASK_DONE || task->cancel_wanted)
        return;
    task->cancel_wanted = true;
    task->cancel_why = rb_strdup(why);
    if (task->shield)
        return;
    if (task->state == RB_TASK_WAITING && task->op)
        rb_effect_cancel(task->op, false);
    RB_LIST_EACH_SAFE (it, next, &task->children)
        rb_task_cancel(RB_CONTAINER(it, struct rb_task, sibling), why);
}

void rb_task_check_cancel(lua_State *L, struct rb_task *task)
{
    bool due = cancel_due(task);
    if (!due && !task->cut)
        return;
    if (due) {
        task->cancel_delivered = true;
        task->context.unwind_depth = task->context.depth;
        task->grace_until = rb_clock_boot() + task->run->host->limits.cancel_grace_ms * 1000;
    }
    rb_error_raise(L, "cancelled", "not_started", "cancelled: %s%s",
                   task->cancel_why ? task->cancel_why : "no longer wanted",
                   due ? "" : " (the time for clean-up has passed)");
}

void rb_task_free_tree(struct rb_task *task)
{
    if (!task)
        return;
    struct rb_list *it;
    while ((it = rb_list_pop(&task->children)) || (it = rb_list_pop(&task->ended)))
        rb_task_free_tree(RB_CONTAINER(it, struct rb_task, sibling));
    rb_list_remove(&task->sibling);
    rb_list_remove(&task->ready);
    if (task->op) {
        struct rb_effect *op = task->op;
        task->op = NULL;
        op->task = NULL;              /* run.c frees ops that still run */
        if (rb_list_empty(&op->link)) /* it has been delivered, and its task was never resumed */
            rb_effect_free(op);
    }
    if (task->run->vm.L)
        give_back(task);
    task->run->tasks--;
    rb_scope_unref(task->scope);
    free(task->cancel_why);
    free(task);
}
