/* Owns restart_with(): the run that goes on in another one's place, with the same pinned sources and new parameters.
 * Its idempotency key names the run before it, so that a crash between the two makes no second one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/runbook.h"

const char *rb_run_successor(const struct rb_run *run)
{
    return run->successor[0] ? run->successor : NULL;
}

static int create(struct rb_run *run, struct rb_run *next, struct rb_err *err)
{
    struct rb_buf sources;
    char key[RB_RUN_ID_MAX + 16];
    snprintf(key, sizeof(key), "restart:%s", run->id);
    rb_run_id_new(next->id);
    next->created = rb_clock_wall();
    next->journal = rb_journal_new(run->host->store, next->id);
    rb_journal_filter(next->journal, rb_secret_filter, run);
    rb_buf_init(&sources, (size_t)64 << 20);
    rb_source_pin_again(run, next, &sources);
    rb_run_append_start(next, &run->actor, "restart_with", run->secret_from, run->id, &sources);
    struct rb_run_row row = {.runbook = next->runbook,
                             .title = next->title,
                             .status = (char *)(uintptr_t) "running",
                             .actor = run->actor.name,
                             .key = key,
                             .created = next->created,
                             .updated = next->created};
    memcpy(row.id, next->id, sizeof(row.id));
    rb_fault_point("run.before-successor");
    int rc = rb_journal_create(next->journal, &row, err);
    free(row.owner); /* all that it has of its own */
    rb_fault_point("run.after-successor");
    rb_buf_release(&sources);
    if (rc && rc != RB_EEXIST)
        return rc;
    memcpy(run->successor, row.id, sizeof(run->successor));
    if (!rc)
        rc = rb_store_disown_sync(run->host->store, row.id, row.epoch, err);
    return rc == RB_EEXIST ? RB_OK : rc;
}

int rb_run_create_successor(struct rb_run *run, const char *params_json, struct rb_err *err)
{
    struct rb_buf params;
    rb_buf_init(&params, (size_t)64 << 20);
    int rc = rb_params_resolve(run->header_json, params_json, &params, err);
    if (!rc) {
        struct rb_run next = {.host = run->host,
                              .runbook = run->runbook,
                              .title = run->title,
                              .file = run->file,
                              .folder = run->folder,
                              .header_json = run->header_json,
                              .environment = run->environment,
                              .secret_kinds = run->secret_kinds,
                              .dry = run->dry,
                              .confirm_steps = run->confirm_steps,
                              .limit = run->limit};
        rb_strmap_init(&next.sources);
        next.params_json = (char *)(uintptr_t)rb_buf_text(&params);
        rc = create(run, &next, err);
        if (next.journal)
            rb_journal_close(next.journal);
        rb_strmap_release(&next.sources, rb_source_free);
    }
    rb_buf_release(&params);
    return rc;
}
