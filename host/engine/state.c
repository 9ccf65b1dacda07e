/* Owns the status that others see while a run is alive: does it work, does it wait for a person, is it in doubt? */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/notice.h"

/* What the run waits for, in one line, and the earliest of its timers. A gate whose time was over before anybody
 * resumed the run waits for nobody: its timer is about to say so. */
static void look(struct rb_run *run, int *persons, int *doubts, int *busy, int64_t *wake, struct rb_buf *line,
                 int64_t latest[2])
{
    int64_t now = rb_clock_wall();
    RB_LIST_EACH (it, &run->ops) {
        struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if (e->doubt_task) {
            ++*busy;
        } else if (e->state == RB_EFFECT_DOUBT) {
            ++*doubts;
            latest[1] = e->n > latest[1] ? e->n : latest[1];
            if (line->len < 200)
                rb_buf_addf(line, "%s#%lld %s in doubt", line->len ? ", " : "", (long long)e->n, e->type->kind);
        } else if (e->type->person && e->state == RB_EFFECT_RUNNING && !(e->until && e->until <= now)) {
            ++*persons;
            latest[0] = e->n > latest[0] ? e->n : latest[0];
            if (line->len < 200)
                rb_buf_addf(line, "%s#%lld %s%s%.80s", line->len ? ", " : "", (long long)e->n, e->type->kind,
                            e->title ? " " : "", e->title ? e->title : "");
        } else {
            ++*busy;
            if (e->cls == RB_CLASS_WAIT && e->until && (!*wake || e->until < *wake))
                *wake = e->until;
        }
    }
}

static void on_wait_over(struct rb_timer *t)
{
    struct rb_run *run = RB_CONTAINER(t, struct rb_run, wait_timer);
    run->wait_ms = 0;
    rb_run_wake(run);
}

void rb_run_update_state(struct rb_run *run)
{
    int persons = 0, doubts = 0, busy = 0;
    int64_t wake = 0, latest[2] = {0};
    struct rb_buf line;
    if (run->mode == RB_RUN_PARKING) {
        if (!rb_run_ops_busy(run))
            rb_run_park_now(run);
        return;
    }
    rb_buf_init(&line, 400);
    look(run, &persons, &doubts, &busy, &wake, &line, latest);
    const char *status = run->phase == RB_PHASE_UNDO ? "undoing" : "running";
    if (!busy && doubts)
        status = "in_doubt";
    else if (!busy && persons)
        status = "waiting";
    if (strcmp(status, run->status) != 0) {
        struct rb_buf data;
        struct rb_json j;
        rb_buf_init(&data, 2048);
        rb_json_init(&j, &data);
        rb_json_object(&j);
        rb_json_ktext(&j, "status", status);
        if (line.len)
            rb_json_ktext(&j, "waiting", rb_buf_text(&line));
        rb_json_end_object(&j);
        snprintf(run->status, sizeof(run->status), "%s", status);
        rb_journal_row(run->journal, status, rb_buf_text(&line), NULL, -1, wake);
        rb_journal_append(run->journal, "", "run.state", data.data, data.len);
        rb_buf_release(&data);
    }
    rb_buf_release(&line);
    bool person = !busy && (doubts || persons);
    rb_notice_look(run, latest[0], latest[1], person && run->wait_ms == 0);
    if (!person) {
        rb_timer_disarm(&run->wait_timer);
    } else if (run->wait_ms == 0) {
        if (rb_notice_settled(run, run->status, NULL))
            rb_run_stop(run, run->status, NULL);
    } else if (run->wait_ms > 0 && !rb_timer_armed(&run->wait_timer)) {
        rb_timer_arm_ms(&run->wait_timer, (uint64_t)run->wait_ms);
    }
}

struct rb_stage *rb_stage_of(lua_State *L)
{
    return rb_run_of(L)->stage;
}

bool rb_stage_idle(const struct rb_run *run)
{
    if (run->mode != RB_RUN_LIVE || run->again || run->stop_status || !rb_list_empty(&run->ready))
        return false;
    RB_LIST_EACH (it, &run->ops) {
        const struct rb_effect *e = RB_CONTAINER(it, struct rb_effect, link);
        if (e->state != RB_EFFECT_RUNNING || e->cancel_wanted)
            return false;
    }
    return true;
}

void rb_run_state_init(struct rb_run *run)
{
    rb_timer_init(&run->wait_timer, run->host->loop, on_wait_over);
}
