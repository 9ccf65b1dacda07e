/* Owns the ways in which a run leaves this process: it ends, is parked, waits for a person, or is lost to another
 * owner. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/notice.h"
#include "engine/value.h"

bool rb_run_ops_busy(struct rb_run *run)
{
    RB_LIST_EACH (it, &run->ops) {
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if (e->cls != RB_CLASS_WAIT && (e->state == RB_EFFECT_RUNNING || e->state == RB_EFFECT_LOCATE ||
                                        e->state == RB_EFFECT_INTENT || e->state == RB_EFFECT_DONE))
            return true;
    }
    return false;
}

bool rb_run_may_stay(const struct rb_run *run)
{
    return strcmp(run->stop_status, "waiting") == 0 || strcmp(run->stop_status, "in_doubt") == 0 ||
           strcmp(run->stop_status, "undoing") == 0;
}

static void stopped(struct rb_run *run)
{
    if (run->mode == RB_RUN_STOPPED)
        return;
    run->mode = RB_RUN_STOPPED;
    rb_timer_disarm(&run->park_timer);
    rb_timer_disarm(&run->wait_timer);
    rb_timer_disarm(&run->deadline_timer);
    if (rb_run_may_stay(run))
        rb_journal_disown(run->journal);
    if (run->observer.on_stopped)
        run->observer.on_stopped(run->observer.arg, run, run->stop_status, run->stop_error);
}

static void on_stop_durable(struct rb_durable *w)
{
    stopped(RB_CONTAINER(w, struct rb_run, stop_wait));
}

void rb_run_stop(struct rb_run *run, const char *status, const char *error)
{
    if (run->stop_status)
        return;
    run->stop_status = rb_strdup(status);
    run->stop_error = rb_strdup(error);
    run->stop_wait.fn = on_stop_durable;
    if (!rb_run_may_stay(run))
        rb_journal_disown(run->journal);
    rb_journal_when_durable(run->journal, rb_journal_seq(run->journal), &run->stop_wait);
}

void rb_run_lost(struct rb_run *run, int rc, const struct rb_err *err)
{
    if (run->stop_status && run->mode == RB_RUN_STOPPED)
        return;
    free(run->stop_status);
    free(run->stop_error);
    rb_durable_cancel(&run->stop_wait);
    run->stop_status = rb_strdup("lost");
    run->stop_error = rb_strdup(err->msg);
    (void)rc;
    run->mode = RB_RUN_PARKING; /* nothing of it may start in a slot that becomes free below */
    RB_LIST_EACH_SAFE (it, next, &run->ops) {
        /* what runs is not ours any more, or can not be recorded: it is left to its receipt */
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if (e->task)
            e->task->op = NULL;
        rb_effect_free(e);
    }
    rb_notice_free(run);
    stopped(run);
}

/* -- the end ------------------------------------------------------------------------------------------------------- */

/* Numbers of the ops whose errors ended the run: error.op, and those of error.errors (a checklist's, settle's). [-0,
 * +0, m] */
static void collect_failing(lua_State *L, int index, struct rb_buf *ops, struct rb_buf *steps, int depth)
{
    if (depth > 20 || lua_type(L, index) != LUA_TTABLE || !lua_checkstack(L, 6))
        return;
    int top = lua_gettop(L);
    index = lua_absindex(L, index);
    if (lua_getfield(L, index, "op") == LUA_TNUMBER) {
        rb_buf_addf(ops, "%s%lld", ops->len > 1 ? "," : "", (long long)lua_tointeger(L, -1));
    } else if (lua_getfield(L, index, "step") == LUA_TSTRING) {
        size_t n;
        const char *path = lua_tolstring(L, -1, &n);
        if (steps->len > 1)
            rb_buf_addc(steps, ',');
        rb_json_quote(steps, path, n);
    }
    if (lua_getfield(L, index, "errors") == LUA_TTABLE) {
        lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
        for (lua_Integer i = 1; i <= n; i++) {
            lua_rawgeti(L, -1, i);
            collect_failing(L, -1, ops, steps, depth + 1);
            lua_pop(L, 1);
        }
    }
    lua_settop(L, top);
}

struct ending {
    struct rb_run *run;
    struct rb_buf error, failing, failing_steps, line, restart;
    char kind[64];
};

/* [-0, +0, m] Of a dry run that has listed effects: what ended it may be that nothing was made. What a real run would
 * raise as well stays as it is. The error is at 2. */
static void say_dry(lua_State *L, const struct rb_run *run, const char *kind)
{
    static const char certain[] = " denied policy usage params check checklist cancelled budget memory nondeterminism "
                                  "restart ";
    char word[80];
    snprintf(word, sizeof(word), " %.64s ", kind);
    if (!run->dry || !run->assumed || strstr(certain, word))
        return;
    lua_getfield(L, 2, "message");
    lua_pushfstring(L, "a dry run can not be followed further than here, behind what was only listed: %s",
                    lua_isstring(L, -1) ? lua_tostring(L, -1) : kind);
    lua_setfield(L, 2, "message");
    lua_pop(L, 1);
}

static int l_describe_error(lua_State *L)
{
    struct ending *end = lua_touserdata(L, 1);
    struct rb_task *root = end->run->root;
    struct rb_err err = {0};
    lua_settop(L, 1);
    lua_checkstack(root->co, 4);
    lua_pushvalue(root->co, -1);
    lua_xmove(root->co, L, 1);
    rb_error_normalize(L, 2);
    const char *kind = rb_error_kind(L, 2);
    snprintf(end->kind, sizeof(end->kind), "%s", kind ? kind : "lua");
    say_dry(L, end->run, end->kind);
    rb_vm_error_text(L, 2, &end->line);
    collect_failing(L, 2, &end->failing, &end->failing_steps, 0);
    if (strcmp(end->kind, "restart") == 0 && lua_getfield(L, 2, "params") == LUA_TTABLE &&
        rb_value_encode(L, -1, "params", NULL, &end->restart, &err))
        rb_buf_reset(&end->restart);
    lua_settop(L, 2);
    if (rb_value_encode(L, 2, "error", &end->run->codec, &end->error, &err)) {
        rb_buf_reset(&end->error); /* the script has put something into the error that can not be kept */
        struct rb_json j;
        rb_json_init(&j, &end->error);
        rb_json_object(&j);
        rb_json_ktext(&j, "kind", end->kind);
        rb_json_key(&j, "message");
        rb_json_string(&j, rb_buf_text(&end->line), end->line.len);
        rb_json_end_object(&j);
    }
    return 0;
}

static void append_end(struct rb_run *run, const char *kind, const char *status, struct ending *end)
{
    struct rb_buf data;
    struct rb_json j;
    rb_buf_init(&data, (size_t)64 << 20);
    rb_json_init(&j, &data);
    rb_json_object(&j);
    rb_json_ktext(&j, "status", status);
    if (end->error.len)
        rb_json_kraw(&j, "error", end->error.data, end->error.len);
    rb_json_ktext(&j, "successor", run->successor[0] ? run->successor : NULL);
    if (end->failing.len > 2)
        rb_json_kraw(&j, "failing", end->failing.data, end->failing.len);
    if (end->failing_steps.len > 2)
        rb_json_kraw(&j, "failing_steps", end->failing_steps.data, end->failing_steps.len);
    struct rb_buf undo;
    rb_buf_init(&undo, (size_t)8 << 20);
    rb_undo_json(run, &undo);
    if (undo.len > 2)
        rb_json_kraw(&j, run->phase == RB_PHASE_UNDO ? "left" : "undo", undo.data, undo.len);
    rb_buf_release(&undo);
    rb_json_end_object(&j);
    snprintf(run->status, sizeof(run->status), "%s", status);
    rb_journal_row(run->journal, status, "", end->line.len ? rb_buf_text(&end->line) : "", rb_clock_wall(), 0);
    rb_fault_point("run.before-end");
    rb_journal_append(run->journal, "", kind, data.data, data.len);
    rb_buf_release(&data);
}

static void ending_init(struct ending *end, struct rb_run *run)
{
    *end = (struct ending){.run = run};
    rb_buf_init(&end->error, (size_t)16 << 20);
    rb_buf_init(&end->failing, 1 << 20);
    rb_buf_init(&end->failing_steps, 1 << 20);
    rb_buf_init(&end->line, 1500);
    rb_buf_init(&end->restart, (size_t)16 << 20);
    rb_buf_addc(&end->failing, '[');
    rb_buf_addc(&end->failing_steps, '[');
}

static void ending_release(struct ending *end)
{
    rb_buf_release(&end->error);
    rb_buf_release(&end->failing);
    rb_buf_release(&end->failing_steps);
    rb_buf_release(&end->line);
    rb_buf_release(&end->restart);
}

/* Whom the header names is told before the end is written; the run is woken, and ends, when they were. */
static bool settled(struct rb_run *run, const char *status, struct ending *end)
{
    if (run->successor[0]) /* it goes on as another run: that is no end for anybody */
        status = "restarted";
    if (rb_notice_settled(run, status, end->line.len ? rb_buf_text(&end->line) : NULL))
        return true;
    ending_release(end);
    return false;
}

static void finish(struct rb_run *run, const char *status, struct ending *end)
{
    if (!settled(run, status, end))
        return;
    rb_buf_addc(&end->failing, ']');
    rb_buf_addc(&end->failing_steps, ']');
    append_end(run, run->phase == RB_PHASE_UNDO ? "undo.end" : "run.end", status, end);
    rb_run_stop(run, status, end->line.len ? rb_buf_text(&end->line) : NULL);
    ending_release(end);
}

/* on_failure = "undo": the end says `undoing`, so that a resume after a crash knows that the compensations are still to
 * come. */
static void end_and_undo(struct rb_run *run, struct ending *end)
{
    if (!settled(run, "undoing", end))
        return;
    rb_buf_addc(&end->failing, ']');
    rb_buf_addc(&end->failing_steps, ']');
    append_end(run, "run.end", "undoing", end);
    ending_release(end);
    rb_run_begin_undo(run);
}

/* restart_with(): the successor exists before this run says that it has ended, and is found again if that is where the
 * host dies. */
static const char *restart(struct rb_run *run, struct ending *end)
{
    struct rb_err err = {0};
    int rc = rb_run_create_successor(run, rb_buf_text(&end->restart), &err);
    rb_buf_reset(&end->error);
    rb_buf_reset(&end->line);
    if (!rc)
        return "succeeded";
    rb_buf_addf(&end->line, "the successor of the run could not be made: %s", err.msg);
    return "failed";
}

void rb_run_end(struct rb_run *run)
{
    struct ending end;
    ending_init(&end, run);
    const char *status = run->phase == RB_PHASE_UNDO ? "undone" : "succeeded";
    if (!run->root->ok) {
        lua_State *L = run->vm.L;
        lua_pushcfunction(L, l_describe_error);
        lua_pushlightuserdata(L, &end);
        if (lua_pcall(L, 1, 0, 0)) {
            rb_buf_reset(&end.error);
            rb_buf_adds(&end.line, "the run failed, and its error could not be described: not enough memory");
            lua_pop(L, 1);
        }
        status = "failed";
        if (run->phase == RB_PHASE_MAIN && (strcmp(end.kind, "denied") == 0 || strcmp(end.kind, "policy") == 0))
            status = "denied";
        if (run->phase == RB_PHASE_MAIN && end.restart.len)
            status = restart(run, &end);
    }
    if (run->phase == RB_PHASE_MAIN && run->cancelled && !run->root->ok) {
        status = run->timed_out ? "timed_out" : "cancelled";
        rb_buf_reset(&end.line);
        rb_buf_adds(&end.line, run->cancel_text);
    }
    if (run->phase == RB_PHASE_MAIN && strcmp(status, "failed") == 0 && rb_undo_armed(run) &&
        rb_json_member_is(run->header_json, strlen(run->header_json), "on_failure", "undo")) {
        end_and_undo(run, &end);
        return;
    }
    finish(run, status, &end);
}

void rb_run_end_fatal(struct rb_run *run)
{
    if (!run->stopping) {
        run->stopping = true;
        RB_LIST_EACH_SAFE (it, next, &run->ops) {
            struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
            if (e->state == RB_EFFECT_RUNNING || e->state == RB_EFFECT_LOCATE || e->state == RB_EFFECT_INTENT ||
                e->state == RB_EFFECT_HELD || e->state == RB_EFFECT_QUEUED)
                rb_effect_cancel(e, true);
        }
        rb_run_wake(run);
        return;
    }
    if (rb_run_ops_busy(run) || run->stop_status)
        return;
    if (!run->fatal_kind) { /* parked, and what ran has been ended */
        rb_run_park_now(run);
        return;
    }
    struct ending end;
    struct rb_json j;
    ending_init(&end, run);
    rb_json_init(&j, &end.error);
    rb_json_object(&j);
    rb_json_ktext(&j, "kind", run->fatal_kind);
    rb_json_ktext(&j, "message", run->fatal_text);
    if (run->vm.dead && run->vm.dead_where[0]) {
        rb_json_ktext(&j, "where", run->vm.dead_where);
        rb_buf_addf(&end.line, "%s: ", run->vm.dead_where);
    }
    rb_json_end_object(&j);
    rb_buf_adds(&end.line, run->fatal_text);
    finish(run, "failed", &end);
}
