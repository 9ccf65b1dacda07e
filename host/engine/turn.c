/* Owns the loop turn of a run: the one place where tasks are resumed. Live and in a replay it is the same: run every
 * ready task until all wait, then one outcome, and again. So the order of outcomes in the journal is the order in which
 * tasks were resumed (invariant 4). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/notice.h"

#define TURN_MAX_US 10000 /* then the loop looks at its descriptors again */

void rb_run_wake(struct rb_run *run)
{
    if (run->again)
        return;
    run->again = true;
    rb_list_push(&run->host->runnable, &run->turn_link);
    rb_loop_again(run->host->loop);
}

void rb_run_fail_internal(struct rb_run *run, const char *kind, const char *fmt, ...)
{
    if (run->fatal_kind)
        return;
    va_list ap;
    struct rb_buf text;
    rb_buf_init(&text, 8192);
    va_start(ap, fmt);
    rb_buf_addfv(&text, fmt, ap);
    va_end(ap);
    run->fatal_kind = rb_strdup(kind);
    run->fatal_text = rb_buf_detach(&text);
    rb_run_wake(run);
}

void rb_run_task_ended(struct rb_run *run, struct rb_task *task)
{
    if (task == run->root)
        return; /* the turn sees that it is done */
    RB_LIST_EACH (it, &run->ops) {
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if (e->doubt_task == task) {
            rb_effect_doubt_ended(e);
            return;
        }
    }
}

/* When this turn of a run began. */
struct since {
    int64_t boot, cpu;
};

static void fail_budget(struct rb_run *run)
{
    rb_run_fail_internal(run, "budget",
                         "the runbook computed for more than %lld ms without waiting for anything; split the work up, "
                         "or give it to exec",
                         (long long)(run->vm.opt.slice_max_us / 1000));
}

/* In a replay: where the code was when the run was ended early, or beyond. feed() takes the recorded end; its tasks are
 * not resumed any more. */
static bool ended_here(struct rb_run *run)
{
    const struct rb_recorded *ev = run->mode == RB_RUN_REPLAY ? rb_replay_peek(&run->replay) : NULL;
    if (!ev || run->replay.tolerant || !rb_replay_ended_early(ev))
        return false;
    run->vm.dead = RB_VM_ALIVE;
    run->vm.dead_where[0] = '\0';
    while (rb_list_pop(&run->ready) || rb_list_pop(&run->fresh))
        ;
    return true;
}

/* Until all tasks wait; or until the loop has to look at its descriptors again (false). Tasks that only start tasks and
 * wait for them never run dry, and no slice of theirs is long: together they have the budget of one. */
static bool drain_ready(struct rb_run *run, const struct since *turn)
{
    struct rb_list *it;
    while (!run->fatal_kind && (it = rb_list_pop(&run->ready))) {
        rb_task_resume(RB_CONTAINER(it, struct rb_task, ready));
        if (run->vm.dead && ended_here(run))
            break;
        if (run->vm.dead == RB_VM_BUDGET)
            fail_budget(run);
        else if (run->vm.dead == RB_VM_MEMORY)
            rb_run_fail_internal(run, "memory", "the runbook needed more than %zu MiB of memory",
                                 run->host->limits.lua_memory >> 20);
        while ((it = rb_list_pop(&run->fresh))) {
            rb_effect_open(RB_CONTAINER(it, struct rb_effect, done_link));
            run->computed = 0;
        }
        if (!rb_list_empty(&run->ready) && rb_clock_boot() - turn->boot > TURN_MAX_US) {
            run->computed += rb_clock_thread_cpu() - turn->cpu;
            if (run->computed > run->vm.opt.slice_max_us)
                fail_budget(run);
            return false;
        }
    }
    run->computed = 0;
    return true;
}

/* -- replay -------------------------------------------------------------------------------------------------------- */

static void diverged(struct rb_run *run, const struct rb_recorded *ev, const char *now)
{
    char where[160] = "", op[32] = "";
    rb_json_member_text(ev->data, ev->data_len, "where", where, sizeof(where));
    rb_json_member_text(ev->data, ev->data_len, "op", op, sizeof(op));
    int64_t n = rb_json_member_int(ev->data, ev->data_len, "n", 0);
    const struct rb_recorded *opening = n ? rb_replay_at(&run->replay, n) : NULL;
    if (!where[0] && opening)
        rb_json_member_text(opening->data, opening->data_len, "where", where, sizeof(where));
    struct rb_buf calls;
    rb_buf_init(&calls, 1500);
    RB_LIST_EACH (it, &run->ops) {
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        rb_buf_addf(&calls, "%s\"%s\" (%s at %s)", calls.len ? ", " : "", e->key, e->type->kind, e->where);
    }
    rb_run_fail_internal(run, "nondeterminism",
                         "the runbook has taken another way than the journal of this run records. The journal's event "
                         "%lld is %s%s%s of \"%s\"%s%s; now %s%s. What a "
                         "runbook does may depend only on its parameters and on results of operations. Nothing was "
                         "started; see `rbhost log %s`",
                         (long long)ev->seq, ev->kind, op[0] ? " " : "", op, ev->key, where[0] ? " at " : "", where,
                         now         ? now
                         : calls.len ? "its tasks wait for "
                                     : "it has ended",
                         now ? "" : rb_buf_text(&calls), run->id);
    rb_buf_release(&calls);
}

/* Drops the tasks of a phase that has ended, without running any of them. */
static void drop_tasks(struct rb_run *run)
{
    struct rb_list *it;
    rb_task_free_tree(run->root);
    run->root = NULL;
    while ((it = rb_list_pop(&run->helpers)))
        rb_task_free_tree(RB_CONTAINER(it, struct rb_task, sibling));
    while ((it = rb_list_pop(&run->ops)))
        rb_effect_free(RB_CONTAINER(it, struct rb_effect, link));
}

/* The run's tasks are told to end, as the cancel event says. */
static void cancel_tasks(struct rb_run *run, const char *data, size_t len)
{
    char name[128] = "", reason[512] = "";
    struct rb_slice actor = rb_json_member(data, len, "actor");
    run->timed_out = rb_json_member_true(data, len, "timeout");
    run->cancelled = true;
    rb_json_member_text(data, len, "reason", reason, sizeof(reason));
    if (actor.p)
        rb_json_member_text(actor.p, actor.n, "name", name, sizeof(name));
    struct rb_buf text;
    rb_buf_init(&text, 800);
    rb_buf_addf(&text, "%s%s%s%s", name[0] ? "by " : "", name, name[0] && reason[0] ? ": " : "", reason);
    free(run->cancel_text);
    run->cancel_text = rb_buf_detach(&text);
    rb_task_cancel(run->root, run->timed_out ? "the run's time is over" : "the run was cancelled");
}

static void start_undo(struct rb_run *run, int64_t skip)
{
    struct rb_err err = {0};
    struct rb_undo *skipped = rb_undo_at(run, skip);
    struct rb_scope *top = run->root->scope;
    if (skipped)
        skipped->skipped = true;
    while (top->parent)
        top = top->parent;
    rb_scope_ref(top);
    drop_tasks(run);
    run->phase = RB_PHASE_UNDO;
    run->cancelled = false;
    if (rb_run_spawn_root(run, "undo", &err)) {
        rb_scope_unref(top);
        rb_run_fail_internal(run, "internal", "%s", err.msg);
        return;
    }
    rb_scope_unref(run->root->scope); /* it goes on below the names that were given: a second undo is "undo~2" */
    run->root->scope = top;
}

/* Feeds one recorded event, all tasks waiting. False: nothing is left. */
static bool feed(struct rb_run *run)
{
    struct rb_err err = {0};
    struct rb_replay *r = &run->replay;
    struct rb_recorded *ev = rb_replay_peek(r);
    if (!ev)
        return false;
    int rc = RB_ENOENT;
    for (size_t at = r->next;; at++) { /* one round, but in a tolerant replay: the first event that fits */
        if (strcmp(ev->kind, "result") == 0) {
            rc = rb_effect_feed(run, ev, &err);
        } else if (strcmp(ev->kind, "doubt.call") == 0) {
            rc = rb_effect_feed_doubt(run, ev);
        } else if (strcmp(ev->kind, "cancel") == 0 && run->root && run->root->state != RB_TASK_DONE) {
            rb_replay_claim(r, ev);
            cancel_tasks(run, ev->data, ev->data_len);
            rc = RB_OK;
        } else if (strcmp(ev->kind, "run.end") == 0 || strcmp(ev->kind, "undo.end") == 0) {
            /* One that was ended for what its code did (budget, nondeterminism) stands where it stood then. */
            if (run->root->state == RB_TASK_DONE || !rb_json_member_is(ev->data, ev->data_len, "status", "succeeded")) {
                run->root->state = RB_TASK_DONE;
                rb_replay_claim(r, ev);
                run->undo_wanted |= rb_json_member_is(ev->data, ev->data_len, "status", "undoing");
                rc = RB_OK;
            }
        } else if (run->root && run->root->state == RB_TASK_DONE && strcmp(ev->kind, "undo.start") == 0) {
            rb_replay_claim(r, ev);
            start_undo(run, rb_json_member_int(ev->data, ev->data_len, "skip", 0));
            rc = RB_OK;
        }
        if (rc != RB_ENOENT || !r->tolerant)
            break;
        do
            at++;
        while (at < r->ordered && rb_replay_at(r, r->order[at])->claimed);
        if (at >= r->ordered)
            return false;
        ev = rb_replay_at(r, r->order[at--]);
    }
    if (rc == RB_EINVAL && !r->tolerant)
        diverged(run, ev, err.msg);
    else if (rc == RB_ENOENT)
        diverged(run, ev, NULL);
    else if (rc)
        rb_run_fail_internal(run, rc == RB_EINVAL ? "nondeterminism" : "journal", "%s", err.msg);
    return !run->fatal_kind;
}

static void check_intents_claimed(struct rb_run *run)
{
    struct rb_replay *r = &run->replay;
    for (size_t i = 0; i < r->keys.cap && !run->fatal_kind; i++) {
        const struct rb_keyed *k = r->keys.slots[i].value;
        if (r->keys.slots[i].key && k->intent && !k->result && !k->voided && !k->called && !r->tolerant)
            diverged(run, k->intent, NULL);
    }
}

static void append_retry(struct rb_run *run)
{
    struct rb_buf data, keep, voided, actor;
    rb_buf_init(&data, (size_t)64 << 20);
    rb_buf_init(&keep, (size_t)32 << 20);
    rb_buf_init(&voided, (size_t)32 << 20);
    rb_buf_init(&actor, 4096);
    rb_replay_write_retry(&run->replay, &keep, &voided);
    rb_actor_json(&run->actor, &actor);
    rb_buf_addf(&data, "{\"status\":\"running\",\"actor\":%s,\"keep\":%s,\"voided\":%s,\"rerun\":", rb_buf_text(&actor),
                rb_buf_text(&keep), rb_buf_text(&voided));
    rb_buf_addc(&data, '[');
    bool first = true;
    for (size_t i = 0; i < run->replay.keys.cap; i++) {
        const struct rb_keyed *k = run->replay.keys.slots[i].value;
        if (!run->replay.keys.slots[i].key || !k->rerun || !k->voided)
            continue;
        rb_buf_addf(&data, "%s%lld", first ? "" : ",", (long long)k->voided->seq);
        first = false;
    }
    rb_buf_addc(&data, ']');
    rb_run_write_signals(run, &data);
    rb_run_write_site(run, &data);
    rb_run_write_older(run, &data);
    if (run->retry_skip) {
        rb_buf_addf(&data, ",\"skip\":%lld,\"reason\":", (long long)run->retry_skip);
        rb_json_quote(&data, run->retry_reason, strlen(run->retry_reason));
    }
    rb_buf_addc(&data, '}');
    rb_journal_row(run->journal, "running", "", "", 0, 0);
    rb_notice_generation(run, rb_journal_append(run->journal, "", "run.retry", data.data, data.len));
    snprintf(run->status, sizeof(run->status), "running");
    rb_buf_release(&data);
    rb_buf_release(&keep);
    rb_buf_release(&voided);
    rb_buf_release(&actor);
    run->retrying = false;
}

static void append_resume(struct rb_run *run)
{
    struct rb_buf data;
    rb_buf_init(&data, 8192);
    const char *status = run->phase == RB_PHASE_UNDO ? "undoing" : "running";
    rb_buf_addf(&data, "{\"status\":\"%s\",\"actor\":", status);
    rb_actor_json(&run->actor, &data);
    int64_t back = rb_replay_at(&run->replay, (int64_t)run->replay.count)->at - rb_clock_wall();
    if (back > 0) /* deadlines are wall-clock times: somebody should know */
        rb_buf_addf(&data, ",\"clock_back_us\":%lld", (long long)back);
    rb_run_write_site(run, &data);
    rb_run_write_older(run, &data);
    rb_buf_addc(&data, '}');
    rb_journal_row(run->journal, status, "", NULL, 0, 0);
    rb_journal_append(run->journal, "", "run.resume", data.data, data.len);
    snprintf(run->status, sizeof(run->status), "%s", status);
    rb_buf_release(&data);
}

static void append_undo_start(struct rb_run *run)
{
    struct rb_buf data;
    rb_buf_init(&data, 8192);
    rb_buf_adds(&data, "{\"status\":\"undoing\",\"actor\":");
    rb_actor_json(&run->actor, &data);
    rb_run_write_signals(run, &data);
    rb_run_write_site(run, &data);
    rb_run_write_older(run, &data);
    if (run->undo_skip) {
        rb_buf_addf(&data, ",\"skip\":%lld,\"reason\":", (long long)run->undo_skip);
        rb_json_quote(&data, run->retry_reason ? run->retry_reason : "",
                      run->retry_reason ? strlen(run->retry_reason) : 0);
    }
    rb_buf_addc(&data, '}');
    rb_journal_row(run->journal, "undoing", "", NULL, 0, 0);
    rb_notice_generation(run, rb_journal_append(run->journal, "", "undo.start", data.data, data.len));
    snprintf(run->status, sizeof(run->status), "undoing");
    rb_buf_release(&data);
}

void rb_run_begin_undo(struct rb_run *run)
{
    run->undo_wanted = false;
    free(run->cancel_event); /* of what has ended by itself */
    run->cancel_event = NULL;
    append_undo_start(run);
    start_undo(run, run->undo_skip);
    rb_run_wake(run);
}

/* Everything recorded has been claimed: from here on things start. */
static void go_live(struct rb_run *run)
{
    check_intents_claimed(run);
    if (run->fatal_kind)
        return;
    run->mode = RB_RUN_LIVE;
    rb_notice_live(run);
    if (run->retrying)
        append_retry(run);
    else if (run->undo_wanted && run->root->state == RB_TASK_DONE) {
        rb_run_begin_undo(run);
    } else if (run->resumed)
        append_resume(run);
    rb_run_note_older(run);
    if (run->observer.on_replayed)
        run->observer.on_replayed(run->observer.arg, run, (int64_t)run->replay.count,
                                  rb_clock_boot() - run->replay_started);
    RB_LIST_EACH_SAFE (it, next, &run->ops) {
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if (e->state == RB_EFFECT_PENDING)
            rb_effect_settle_pending(e);
    }
    if (run->deadline_passed) /* meanwhile */
        rb_timer_arm_ms(&run->deadline_timer, 0);
    rb_run_read_signals(run);
}

/* -- live ---------------------------------------------------------------------------------------------------------- */

static void apply_cancel(struct rb_run *run)
{
    rb_journal_append(run->journal, "", "cancel", run->cancel_event, strlen(run->cancel_event));
    cancel_tasks(run, run->cancel_event, strlen(run->cancel_event));
    free(run->cancel_event);
    run->cancel_event = NULL;
}

/* One outcome, if there is one. */
static bool deliver(struct rb_run *run)
{
    struct rb_list *it = run->done.next;
    if (it == &run->done)
        return false;
    struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, done_link);
    if (run->stopping && !run->fatal_kind) {
        /* ended by us, because the run is parked: its outcome is for the resume to find out */
        rb_list_remove(&e->link);
        if (e->task)
            e->task->op = NULL;
        rb_effect_free(e);
        return true;
    }
    if (rb_mutation("outcomes-out-of-order") && it->next != &run->done) {
        /* resumes in another order than it journals */
        struct rb_effect *second = RB_CONTAINER(it->next, struct rb_effect, done_link);
        rb_effect_deliver(e);
        rb_list_remove(&e->task->ready);
        rb_effect_deliver(second);
        rb_list_push(&run->ready, &e->task->ready);
        return true;
    }
    rb_effect_deliver(e);
    return true;
}

static bool step_once(struct rb_run *run, const struct since *turn)
{
    if (!drain_ready(run, turn))
        return true;
    if (run->fatal_kind) {
        if (!run->stopping)
            rb_run_end_fatal(run);
        return deliver(run);
    }
    if (run->mode == RB_RUN_REPLAY) {
        if (!feed(run) && !run->fatal_kind)
            go_live(run);
        return true;
    }
    if (run->root->state == RB_TASK_DONE)
        return false;
    if (run->cancel_event) {
        apply_cancel(run);
        return true;
    }
    return deliver(run);
}

static void turn(struct rb_run *run)
{
    struct since start = {rb_clock_boot(), rb_clock_thread_cpu()};
    run->again = false;
    /* stop_status: it only waits for its last event, and what would start now would be cut off */
    while (run->mode != RB_RUN_STOPPED && !run->stop_status && step_once(run, &start)) {
        if (rb_clock_boot() - start.boot > TURN_MAX_US) {
            if (run->mode == RB_RUN_PARKING && !rb_run_ops_busy(run))
                rb_run_park_now(run); /* what its tasks still compute is computed again by the resume */
            else
                rb_run_wake(run);
            return;
        }
    }
    if (run->mode == RB_RUN_STOPPED || run->stop_status)
        return;
    if (run->fatal_kind || run->stopping)
        rb_run_end_fatal(run);
    else if (run->root->state == RB_TASK_DONE)
        rb_run_end(run);
    else
        rb_run_update_state(run);
}

void rb_run_turns(struct rb_turn *t)
{
    struct rb_host *h = RB_CONTAINER(t, struct rb_host, turn);
    struct rb_list now, *it;
    rb_list_init(&now);
    while ((it = rb_list_pop(&h->runnable))) /* who wakes in this turn has the next one */
        rb_list_push(&now, it);
    while ((it = rb_list_pop(&now)))
        turn(RB_CONTAINER(it, struct rb_run, turn_link));
}
