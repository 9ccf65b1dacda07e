/* Owns going on with a run that exists: resume, retry, undo. Each claims it, reads its events and pinned sources, and
 * leaves the rest to the replay in turn.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "engine/core.h"
#include "engine/runbook.h"

#define JSON_MAX ((size_t)64 << 20)

static int read_start(struct rb_run *run, const char *given_json, struct rb_err *err)
{
    const struct rb_recorded *ev = rb_replay_at(&run->replay, 1);
    if (strcmp(ev->kind, "run.start") != 0)
        return rb_err_set(err, RB_ECORRUPT,
                          "the journal of run %s does not begin with run.start; see `rbhost verify %s`", run->id,
                          run->id);
    int64_t version = rb_json_member_int(ev->data, ev->data_len, "replay_version", 0);
    if (version != RB_REPLAY_VERSION) {
        char by[64] = "another version";
        rb_json_member_text(ev->data, ev->data_len, "version", by, sizeof(by));
        return rb_err_set(err, RB_EVERSION,
                          "run %s was started by rbhost %s with replay version %lld, and this is %s with version %d; "
                          "go on with rbhost %s",
                          run->id, by, (long long)version, RB_VERSION, RB_REPLAY_VERSION, by);
    }
    char file[4096] = "", seed[24] = "";
    rb_json_member_text(ev->data, ev->data_len, "file", file, sizeof(file));
    rb_json_member_text(ev->data, ev->data_len, "seed", seed, sizeof(seed));
    struct rb_slice params = rb_json_member(ev->data, ev->data_len, "params");
    run->file = rb_strdup(file);
    if (rb_json_member_text(ev->data, ev->data_len, "folder", file, sizeof(file)))
        run->folder = rb_strdup(file);
    run->seed = strtoull(seed, NULL, 16);
    run->params_json = params.p ? rb_strndup(params.p, params.n) : rb_strdup("{}");
    run->dry = rb_json_member_true(ev->data, ev->data_len, "dry");
    run->confirm_steps = rb_json_member_true(ev->data, ev->data_len, "step");
    if (rb_json_member_text(ev->data, ev->data_len, "limit", file, sizeof(file)))
        run->limit = rb_strdup(file);
    run->created = ev->at;
    int rc = rb_source_load_pinned(run, err);
    struct rb_source *src = rc ? NULL : rb_strmap_get(&run->sources, "@main", 5);
    if (!rc && !src)
        return rb_err_set(err, RB_ECORRUPT, "run %s: its runbook is missing in the journal; see `rbhost verify %s`",
                          run->id, run->id);
    struct rb_buf header;
    rb_buf_init(&header, JSON_MAX);
    if (!rc)
        rc = rb_header_read(run->file, src->text, src->len, &header, err);
    if (!rc) {
        run->header_json = rb_buf_detach(&header);
        run->runbook = rb_run_header_text(run->header_json, "name");
        run->title = rb_run_header_text(run->header_json, "title");
        struct rb_slice from = rb_json_member(ev->data, ev->data_len, "secret_from");
        run->secret_from = from.p ? rb_strndup(from.p, from.n) : NULL;
        rc = rb_secret_load(run, given_json, run->secret_from, err);
        if (!rc)
            rc = rb_secret_declare_again(run, err);
        if (!rc)
            rc = rb_sealed_load(run, err);
    }
    rb_buf_release(&header);
    return rc;
}

static int go_on(struct rb_run *run, const char *id, const struct rb_run_options *opt, struct rb_err *err)
{
    struct rb_run_row row = {0};
    run->mode = RB_RUN_REPLAY;
    run->resumed = true;
    int rc = rb_store_claim_sync(run->host->store, id, &row, err);
    if (rc) {
        rb_run_row_release(&row);
        return rc;
    }
    memcpy(run->id, row.id, sizeof(run->id));
    snprintf(run->status, sizeof(run->status), "%s", row.status);
    run->epoch = row.epoch;
    run->journal = rb_journal_open(run->host->store, &row);
    rb_journal_filter(run->journal, rb_secret_filter, run);
    rb_run_row_release(&row);
    rb_replay_release(&run->replay);
    run->replay_started = rb_clock_boot();
    rc = rb_replay_load(&run->replay, run->host->store, run->id, err);
    if (!rc)
        rc = rb_run_check_older(run, opt->take_back, err);
    if (!rc)
        rc = read_start(run, opt->params_json, err);
    if (!rc)
        rc = rb_run_open_vm(run, err);
    const struct rb_source *src = rc ? NULL : rb_strmap_get(&run->sources, "@main", 5);
    return rc ? rc : rb_run_compile(run, src->text, src->len, err);
}

/* Gives a run back that was claimed and can not go on. */
static int give_up(struct rb_run *run, int rc)
{
    struct rb_err ignored;
    if (run->epoch)
        rb_store_disown_sync(run->host->store, run->id, run->epoch, &ignored);
    rb_run_free(run);
    return rc;
}

static bool is_one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(s, *words) == 0)
            return true;
    return false;
}

static const char *const ended_words[] = {"succeeded", "failed", "denied", "cancelled", "timed_out", "undone", NULL};

static int check_status(const char *id, const char *status, bool take_back, struct rb_err *err)
{
    if (strcmp(status, "moved") == 0)
        return take_back ? RB_OK
                         : rb_err_set(err, RB_EINVAL,
                                      "run %s was exported and goes on elsewhere; `rbhost resume --take-back %s` if "
                                      "the export was never imported",
                                      id, id);
    if (strcmp(status, "failed") == 0 || strcmp(status, "timed_out") == 0)
        return rb_err_set(err, RB_EINVAL,
                          "run %s has %s; `rbhost retry %s` goes on from where it failed, `rbhost show %s` says why",
                          id, strcmp(status, "failed") == 0 ? "failed" : "timed out", id, id);
    if (is_one_of(status, ended_words))
        return rb_err_set(err, RB_EINVAL,
                          "run %s has ended (%s); there is nothing to resume. `rbhost show %s` shows it", id, status,
                          id);
    return RB_OK;
}

static int status_of(struct rb_host *h, const char *id, char status[24], struct rb_err *err)
{
    struct rb_run_row row = {0};
    int rc = rb_store_run(h->store, id, &row, err);
    if (!rc)
        snprintf(status, 24, "%s", row.status);
    rb_run_row_release(&row);
    return rc;
}

int rb_run_resume(struct rb_host *h, const char *id, const struct rb_run_options *opt, struct rb_run **out,
                  struct rb_err *err)
{
    char status[24];
    int rc = status_of(h, id, status, err);
    if (!rc)
        rc = check_status(id, status, opt->take_back, err);
    if (rc)
        return rc;
    struct rb_run *run = rb_run_make(h, opt);
    rc = go_on(run, id, opt, err);
    if (!rc) /* between the look and the claim another process may have brought it to its end */
        rc = check_status(id, run->status, opt->take_back, err);
    if (!rc)
        rc = rb_run_begin(run, err);
    if (rc)
        return give_up(run, rc);
    *out = run;
    return RB_OK;
}

int rb_run_retry(struct rb_host *h, const char *id, const struct rb_run_options *opt, int64_t op, int64_t skip,
                 struct rb_run **out, struct rb_err *err)
{
    char status[24];
    int rc = status_of(h, id, status, err);
    if (!rc && strcmp(status, "moved") == 0)
        rc = check_status(id, status, false, err);
    bool ended = is_one_of(status, ended_words);
    if (!rc && !is_one_of(status, (const char *const[]){"failed", "timed_out", "denied", NULL}))
        rc = rb_err_set(err, RB_EINVAL, "run %s is %s; only a failed run is retried. `rbhost %s %s` %s", id, status,
                        ended ? "show" : "resume", id, ended ? "shows it" : "goes on with this one");
    if (rc)
        return rc;
    struct rb_run *run = rb_run_make(h, opt);
    run->retry_skip = skip;
    run->retry_reason = rb_strdup(opt->reason ? opt->reason : "");
    int64_t *seqs = NULL;
    size_t n = 0;
    rc = go_on(run, id, opt, err);
    if (!rc && rb_replay_last(&run->replay, "undo.start"))
        rc = rb_err_set(
            err, RB_EINVAL,
            "what run %s did has been undone, at least in part; start a new run, or finish with `rbhost undo %s`", id,
            id);
    if (!rc)
        rc = rb_retry_choose(run, skip ? skip : op, &seqs, &n, err);
    if (!rc) {
        for (size_t i = 0; skip && i < n; i++) {
            struct rb_keyed *k = rb_replay_key(&run->replay, rb_replay_at(&run->replay, seqs[i])->key);
            k->skip = rb_strdup(run->retry_reason);
            run->retry_skip = seqs[i]; /* the journal names the result */
        }
        rb_replay_void(&run->replay, seqs, n);
        run->retrying = true;
        rc = rb_run_begin(run, err);
    }
    free(seqs);
    if (rc)
        return give_up(run, rc);
    *out = run;
    return RB_OK;
}

/* An undo has begun and has not ended: it was parked, waits, is in doubt, or its host was killed. */
static int on_undo_event(void *arg, const struct rb_event *ev)
{
    bool *under_way = arg;
    if (strcmp(ev->kind, "undo.start") == 0)
        *under_way = true;
    else if (strcmp(ev->kind, "run.end") == 0 || strcmp(ev->kind, "undo.end") == 0)
        *under_way = rb_json_member_is(ev->data, ev->data_len, "status", "undoing");
    return 0;
}

static int may_undo(struct rb_host *h, const char *id, const char *status, int64_t skip, bool *under_way,
                    struct rb_err *err)
{
    *under_way = false;
    if (is_one_of(status, ended_words))
        return RB_OK;
    if (strcmp(status, "moved") == 0)
        return check_status(id, status, false, err);
    int rc = rb_store_events(h->store, id, 0, on_undo_event, under_way, err);
    if (rc)
        return rc;
    if (!*under_way)
        return rb_err_set(err, RB_EINVAL,
                          "run %s is %s; what it did is undone after it has ended: `rbhost cancel %s` first", id,
                          status, id);
    if (skip)
        return rb_err_set(
            err, RB_EINVAL,
            "an undo of run %s is under way, and --skip is for one that has failed: `rbhost undo %s` goes "
            "on with it, `rbhost cancel %s` ends it",
            id, id, id);
    return RB_OK;
}

/* Is there something to undo, and the compensation that is to be left out among it? The last end says what was
 * armed. */
static int check_undo(struct rb_run *run, int64_t skip, struct rb_err *err)
{
    const struct rb_recorded *end = rb_replay_last(&run->replay, "undo.end");
    const char *member = end ? "left" : "undo";
    if (!end && !(end = rb_replay_last(&run->replay, "run.end")))
        return RB_OK;
    if (rb_replay_ended_early(end)) /* perhaps in a replay, before the code had come to what was armed */
        return RB_OK;
    struct rb_slice list = rb_json_member(end->data, end->data_len, member);
    json_t *armed = list.p ? json_loadb(list.p, list.n, 0, NULL) : NULL;
    size_t n = json_array_size(armed);
    bool found = skip == 0;
    for (size_t i = 0; i < n; i++)
        found = found || json_integer_value(json_object_get(json_array_get(armed, i), "n")) == skip;
    json_decref(armed);
    if (n == 0)
        return rb_err_set(err, RB_EINVAL, "there is nothing to undo in run %s: no compensation is armed", run->id);
    if (!found)
        return rb_err_set(err, RB_EINVAL, "run %s has no armed compensation %lld; `rbhost show %s` lists them", run->id,
                          (long long)skip, run->id);
    return RB_OK;
}

int rb_run_undo(struct rb_host *h, const char *id, const struct rb_run_options *opt, int64_t skip, struct rb_run **out,
                struct rb_err *err)
{
    char status[24];
    bool under_way;
    int rc = status_of(h, id, status, err);
    if (!rc)
        rc = may_undo(h, id, status, skip, &under_way, err);
    if (rc)
        return rc;
    struct rb_run *run = rb_run_make(h, opt);
    run->retry_reason = rb_strdup(opt->reason ? opt->reason : "");
    run->undo_wanted = true;
    run->undo_skip = skip;
    rc = go_on(run, id, opt, err);
    if (!rc && (!under_way || is_one_of(run->status, ended_words))) /* meanwhile */
        rc = check_undo(run, skip, err);
    if (!rc)
        rc = rb_run_begin(run, err);
    if (rc)
        return give_up(run, rc);
    *out = run;
    return RB_OK;
}
