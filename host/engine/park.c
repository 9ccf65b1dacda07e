/* Owns parking: the run stops so that it can be resumed, exactly as after a crash, but politely. No new op starts; what
 * runs may finish within the grace and its outcome is recorded; what does not runs on if it has a receipt, else it is
 * ended, and the resume finds it in doubt. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/notice.h"

static void write_running(struct rb_run *run, struct rb_json *j)
{
    rb_json_key(j, "running");
    rb_json_array(j);
    RB_LIST_EACH (it, &run->ops) {
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if (e->cls == RB_CLASS_WAIT || (e->state == RB_EFFECT_HELD && !e->detached) || e->state == RB_EFFECT_QUEUED ||
            e->state == RB_EFFECT_DOUBT || e->state == RB_EFFECT_PENDING || e->state == RB_EFFECT_LOCATE)
            continue;
        rb_json_object(j);
        rb_json_kint(j, "n", e->n);
        rb_json_ktext(j, "key", e->key);
        rb_json_ktext(j, "op", e->type->kind);
        rb_json_ktext(j, "title", e->title);
        if (e->detached)
            rb_json_kbool(j, "runs_on", true);
        rb_json_end_object(j);
    }
    rb_json_end_array(j);
}

static void append_park(struct rb_run *run)
{
    struct rb_buf data;
    struct rb_json j;
    rb_buf_init(&data, (size_t)1 << 20);
    rb_json_init(&j, &data);
    rb_json_object(&j);
    rb_json_ktext(&j, "status", "parked");
    rb_json_ktext(&j, "why", run->park_why);
    if (run->park_signal)
        rb_json_kint(&j, "signal", run->park_signal);
    write_running(run, &j);
    rb_json_end_object(&j);
    snprintf(run->status, sizeof(run->status), "parked");
    rb_journal_row(run->journal, "parked", "", NULL, -1, 0);
    rb_journal_append(run->journal, "", "run.park", data.data, data.len);
    rb_buf_release(&data);
}

void rb_run_park_now(struct rb_run *run)
{
    if (run->stop_status)
        return;
    if (!run->parked_event)
        append_park(run);
    run->parked_event = true;
    if (rb_notice_settled(run, "parked", run->park_why)) /* else the run is woken when everybody was told */
        rb_run_stop(run, "parked", run->park_why);
}

/* Leaves what has a receipt to itself, the resume collects it. Ends what else still runs; its outcome is not recorded,
 * because the run is no longer there to be told. */
static void end_running(struct rb_run *run)
{
    if (run->stopping)
        return;
    RB_LIST_EACH (it, &run->ops)
        rb_effect_detach(RB_CONTAINER(it, struct rb_effect, link));
    append_park(run); /* now: it names what is left, and what is being ended */
    run->stopping = true;
    run->parked_event = true;
    RB_LIST_EACH_SAFE (it, next, &run->ops) {
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if ((e->state == RB_EFFECT_RUNNING && e->cls != RB_CLASS_WAIT) || e->state == RB_EFFECT_LOCATE)
            e->type->cancel(e, true);
    }
    rb_run_wake(run);
}

static void on_park_grace(struct rb_timer *t)
{
    end_running(RB_CONTAINER(t, struct rb_run, park_timer));
}

void rb_run_park(struct rb_run *run, const char *why, bool now)
{
    if (run->mode == RB_RUN_STOPPED || run->stop_status || run->fatal_kind)
        return;
    if (now || run->root->state == RB_TASK_DONE) /* it ends, or has stopped, and only tells so */
        rb_notice_hurry(run);
    if (!run->park_why)
        run->park_why = rb_strdup(why);
    if (run->mode == RB_RUN_REPLAY) { /* nothing has started: it can stop as it stands */
        rb_run_park_now(run);
        return;
    }
    run->mode = RB_RUN_PARKING;
    if (now)
        end_running(run);
    else if (!rb_timer_armed(&run->park_timer))
        rb_timer_arm_ms(&run->park_timer, (uint64_t)run->host->limits.park_grace_ms);
    rb_run_wake(run);
}

void rb_run_park_init(struct rb_run *run)
{
    rb_timer_init(&run->park_timer, run->host->loop, on_park_grace);
}
