/* Owns the making of a run in this process: a new one, one that is resumed, retried or undone; and the host that runs
 * share. */
#include "engine/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/runbook.h"
#include "engine/value.h"

#define JSON_MAX ((size_t)64 << 20)

/* -- the host ------------------------------------------------------------------------------------------------------ */

static void on_signalled(void *arg)
{
    struct rb_host *h = arg;
    RB_LIST_EACH_SAFE (it, next, &h->runs)
        rb_run_read_signals(RB_CONTAINER(it, struct rb_run, link));
}

struct rb_host *rb_host_new(const struct rb_host_options *opt)
{
    struct rb_host *h = rb_alloc(sizeof(*h));
    h->loop = opt->loop;
    h->store = opt->store;
    h->limits = opt->limits;
    h->env_pass = opt->env_pass;
    h->config_json = rb_strdup(opt->config_json);
    struct rb_limits *l = &h->limits;
    const struct rb_limits standard = {(size_t)256 << 20, 100000, 1000000, (size_t)1 << 20, 64, 10000, 10000, 10000};
    l->lua_memory = l->lua_memory ? l->lua_memory : standard.lua_memory;
    l->slice_warn_us = l->slice_warn_us ? l->slice_warn_us : standard.slice_warn_us;
    l->slice_max_us = l->slice_max_us ? l->slice_max_us : standard.slice_max_us;
    l->max_output = l->max_output ? l->max_output : standard.max_output;
    l->max_exec = l->max_exec ? l->max_exec : standard.max_exec;
    l->max_tasks = l->max_tasks ? l->max_tasks : standard.max_tasks;
    l->park_grace_ms = l->park_grace_ms ? l->park_grace_ms : standard.park_grace_ms;
    l->cancel_grace_ms = l->cancel_grace_ms ? l->cancel_grace_ms : standard.cancel_grace_ms;
    h->exec.max = l->max_exec;
    rb_list_init(&h->exec.queue);
    rb_list_init(&h->runs);
    rb_list_init(&h->runnable);
    h->turn.run = rb_run_turns;
    rb_loop_turn_add(h->loop, &h->turn);
    return h;
}

void rb_host_free(struct rb_host *h)
{
    if (!h)
        return;
    rb_loop_turn_remove(h->loop, &h->turn);
    free(h->config_json);
    free(h);
}

/* -- one run ------------------------------------------------------------------------------------------------------- */

static void blob_out(void *arg, const char *s, size_t n, char digest[RB_SHA_HEX])
{
    rb_journal_blob(((struct rb_run *)arg)->journal, s, n, digest);
}

static int blob_in(void *arg, const char *digest, struct rb_buf *out, struct rb_err *err)
{
    return rb_store_blob(((struct rb_run *)arg)->host->store, digest, out, err);
}

static void on_journal_event(void *arg, const struct rb_event *ev)
{
    struct rb_run *run = arg;
    if (run->observer.on_event)
        run->observer.on_event(run->observer.arg, run, ev);
}

static void on_journal_failed(void *arg, int rc, const struct rb_err *err)
{
    rb_run_lost(arg, rc, err);
}

static void on_slow_slice(void *arg, int64_t us, const char *where)
{
    struct rb_run *run = arg;
    char text[400];
    int n = snprintf(text, sizeof(text),
                     "%s: the runbook has computed for %lld ms without waiting; at %lld ms the run is ended\n", where,
                     (long long)(us / 1000), (long long)(run->vm.opt.slice_max_us / 1000));
    if (run->observer.on_output && run->mode != RB_RUN_REPLAY)
        run->observer.on_output(run->observer.arg, run, 0, "", 2, text, (size_t)n);
}

static void on_deadline(struct rb_timer *t)
{
    struct rb_run *run = RB_CONTAINER(t, struct rb_run, deadline_timer);
    if (run->mode != RB_RUN_LIVE || run->cancelled || run->phase == RB_PHASE_UNDO)
        return;
    run->timed_out = true;
    free(run->cancel_event);
    run->cancel_event = rb_strdup("{\"reason\":\"the time-out of the runbook has passed\",\"timeout\":true}");
    rb_run_wake(run);
}

static struct rb_run *make(struct rb_host *h, const struct rb_run_options *opt)
{
    struct rb_run *run = rb_alloc(sizeof(*run));
    run->host = h;
    run->observer = opt->observer;
    run->actor = *opt->actor;
    run->wait_ms = opt->wait_ms;
    run->dry = opt->dry;
    run->confirm_steps = opt->step;
    rb_list_init(&run->link);
    rb_list_init(&run->turn_link);
    rb_list_init(&run->ready);
    rb_list_init(&run->fresh);
    rb_list_init(&run->ops);
    rb_list_init(&run->done);
    rb_list_init(&run->helpers);
    rb_list_init(&run->mailbox);
    rb_list_init(&run->stop_wait.link);
    rb_strmap_init(&run->sources);
    rb_strmap_init(&run->replay.keys);
    rb_strmap_init(&run->replay.signals_used);
    rb_run_park_init(run);
    rb_run_state_init(run);
    rb_timer_init(&run->deadline_timer, h->loop, on_deadline);
    run->main_ref = LUA_NOREF;
    run->codec = (struct rb_codec){blob_out, blob_in, run};
    return run;
}

void rb_run_free(struct rb_run *run)
{
    if (!run)
        return;
    struct rb_list *it;
    rb_list_remove(&run->link);
    rb_list_remove(&run->turn_link);
    rb_timer_disarm(&run->park_timer);
    rb_timer_disarm(&run->wait_timer);
    rb_timer_disarm(&run->deadline_timer);
    rb_durable_cancel(&run->stop_wait);
    rb_task_free_tree(run->root);
    while ((it = rb_list_pop(&run->helpers)))
        rb_task_free_tree(RB_CONTAINER(it, struct rb_task, sibling));
    while ((it = rb_list_pop(&run->ops)))
        rb_effect_free(RB_CONTAINER(it, struct rb_effect, link));
    while ((it = rb_list_pop(&run->mailbox)))
        rb_letter_free(RB_CONTAINER(it, struct rb_letter, link));
    rb_secret_free(run);
    rb_undo_free(run);
    rb_vm_close(&run->vm);
    if (run->journal)
        rb_journal_close(run->journal);
    rb_replay_release(&run->replay);
    rb_strmap_release(&run->sources, rb_source_free);
    char *const owned[] = {run->runbook,     run->title,        run->file,        run->header_json, run->params_json,
                           run->stop_status, run->stop_error,   run->fatal_kind,  run->fatal_text,  run->park_why,
                           run->secret_from, run->cancel_event, run->cancel_text, run->retry_reason};
    for (size_t i = 0; i < RB_COUNT(owned); i++)
        free(owned[i]);
    free(run);
}

const char *rb_run_id(const struct rb_run *run)
{
    return run->id;
}

const char *rb_run_status(const struct rb_run *run)
{
    return run->status;
}

static int open_vm(struct rb_run *run, struct rb_err *err)
{
    const struct rb_limits *l = &run->host->limits;
    struct rb_vm_options opt = {.memory = l->lua_memory,
                                .slice_warn_us = l->slice_warn_us,
                                .slice_max_us = l->slice_max_us,
                                .on_slow_slice = on_slow_slice,
                                .arg = run};
    opt.hooks = (struct rb_vm_hooks){.os_time = rb_lib_os_time,
                                     .os_date = rb_lib_os_date,
                                     .os_clock = rb_lib_os_clock,
                                     .random_seed = rb_lib_random_seed,
                                     .find_module = rb_source_find,
                                     .arg = run};
    int rc = rb_vm_open(&run->vm, &opt, err);
    return rc ? rc : rb_lib_register(run, err);
}

/* In a protected call: compiles the runbook (or loads an rt module) and makes its task. */
struct spawning {
    struct rb_run *run;
    const char *rt_module;
    struct rb_err *err;
};

static int l_spawn_root(lua_State *L)
{
    struct spawning *s = lua_touserdata(L, 1);
    struct rb_run *run = s->run;
    if (s->rt_module && rb_vm_rt(L, s->rt_module, s->err))
        return luaL_error(L, "%s", s->err->msg);
    if (!s->rt_module) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, run->main_ref);
        luaL_unref(L, LUA_REGISTRYINDEX, run->main_ref);
        run->main_ref = LUA_NOREF;
    }
    run->root = rb_task_spawn(L, run, NULL, rb_scope_root(), 0);
    return 0;
}

static int compile(struct rb_run *run, const char *text, size_t len, struct rb_err *err)
{
    lua_State *L = run->vm.L;
    char chunkname[256];
    snprintf(chunkname, sizeof(chunkname), "@%s", run->file);
    int rc = rb_vm_load(L, text, len, chunkname, err);
    if (!rc) {
        run->main_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        return rc;
    }
    struct rb_buf unused; /* the reader of headers shows the line, too */
    rb_buf_init(&unused, JSON_MAX);
    rb_header_read(run->file, text, len, &unused, err);
    rb_buf_release(&unused);
    return rc;
}

int rb_run_spawn_root(struct rb_run *run, const char *rt_module, struct rb_err *err)
{
    lua_State *L = run->vm.L;
    struct spawning s = {run, rt_module, err};
    lua_pushcfunction(L, l_spawn_root);
    lua_pushlightuserdata(L, &s);
    rb_vm_slice(&run->vm);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK)
        return RB_OK;
    struct rb_buf text;
    rb_buf_init(&text, RB_ERR_MAX);
    rb_vm_error_text(L, -1, &text);
    lua_pop(L, 1);
    if (!err->code)
        rb_err_set(err, RB_EINVAL, "%s", rb_buf_text(&text));
    rb_buf_release(&text);
    return err->code;
}

static int begin(struct rb_run *run, struct rb_err *err)
{
    struct rb_host *h = run->host;
    struct rb_journal_watch watch = {on_journal_event, on_journal_failed, run};
    int rc = RB_OK;
    rb_journal_watch(run->journal, &watch);
    if (!h->watching) {
        rc = rb_store_watch(h->store, on_signalled, h, err);
        h->watching = !rc;
    }
    if (!rc)
        rc = rb_run_spawn_root(run, NULL, err);
    if (rc)
        return rc;
    rb_list_push(&h->runs, &run->link);
    double seconds = 0;
    struct rb_slice timeout = rb_json_member(run->header_json, strlen(run->header_json), "timeout");
    if (timeout.p)
        seconds = strtod(timeout.p, NULL);
    const struct rb_recorded *retry = rb_replay_last(&run->replay, "run.retry");
    int64_t now = rb_clock_wall(), from = run->retrying ? now : retry ? retry->at : run->created;
    if (seconds > 0) /* the wall clock decides: it is the same after a resume; a retry has the whole time again */
        rb_timer_arm(&run->deadline_timer, rb_clock_boot() + from + (int64_t)(seconds * 1e6) - now);
    rb_run_wake(run);
    return RB_OK;
}

/* -- start --------------------------------------------------------------------------------------------------------- */

void rb_run_append_start(struct rb_run *run, const struct rb_actor *actor, const char *reason, const char *secret_from,
                         const char *previous, const struct rb_buf *sources)
{
    struct rb_buf b, who;
    struct rb_json j;
    char host[256] = "", seed[24], digest[RB_SHA_HEX];
    const struct rb_source *main = rb_strmap_get(&run->sources, "@main", 5);
    rb_buf_init(&b, JSON_MAX);
    rb_buf_init(&who, 4096);
    rb_actor_json(actor, &who);
    gethostname(host, sizeof(host) - 1);
    rb_sha_of_hex(main->text, main->len, digest);
    if (getrandom(&run->seed, sizeof(run->seed), 0) != sizeof(run->seed))
        run->seed = (uint64_t)rb_clock_wall();
    snprintf(seed, sizeof(seed), "%016llx", (unsigned long long)run->seed);
    rb_json_init(&j, &b);
    rb_json_object(&j);
    rb_json_ktext(&j, "status", "running");
    rb_json_kint(&j, "format", 1);
    rb_json_kint(&j, "replay_version", RB_REPLAY_VERSION);
    rb_json_ktext(&j, "version", RB_VERSION);
    rb_json_ktext(&j, "runbook", run->runbook);
    rb_json_ktext(&j, "title", run->title);
    rb_json_ktext(&j, "file", run->file);
    rb_json_ktext(&j, "source", digest);
    rb_json_kraw(&j, "sources", rb_buf_text(sources), sources->len);
    rb_json_kraw(&j, "params", run->params_json, strlen(run->params_json));
    if (secret_from)
        rb_json_kraw(&j, "secret_from", secret_from, strlen(secret_from));
    rb_json_kraw(&j, "actor", who.data, who.len);
    rb_json_ktext(&j, "reason", reason);
    rb_json_ktext(&j, "previous", previous);
    rb_json_ktext(&j, "host", host);
    rb_json_ktext(&j, "seed", seed);
    rb_json_kbool(&j, "dry", run->dry);
    rb_json_kbool(&j, "step", run->confirm_steps);
    rb_json_end_object(&j);
    rb_journal_append(run->journal, "", "run.start", b.data, b.len);
    rb_buf_release(&b);
    rb_buf_release(&who);
}

static char *header_text(const char *header, const char *key)
{
    char text[1024];
    return rb_json_member_text(header, strlen(header), key, text, sizeof(text)) ? rb_strdup(text) : NULL;
}

static int prepare(struct rb_run *run, const char *file, const struct rb_run_options *opt, const struct rb_runbook *book, struct rb_err *err)
{
    struct rb_buf params;
    rb_buf_init(&params, JSON_MAX);
    int rc = rb_params_resolve(rb_buf_text(&book->header), opt->params_json ? opt->params_json : "{}", &params, err);
    if (!rc) {
        run->file = rb_strdup(file);
        run->secret_from = rb_strdup(opt->secret_from);
        run->header_json = rb_strdup(rb_buf_text(&book->header));
        run->params_json = rb_buf_detach(&params);
        run->runbook = header_text(run->header_json, "name");
        run->title = header_text(run->header_json, "title");
        rc = rb_secret_load(run, opt->params_json, NULL, err);
    }
    rb_buf_release(&params);
    return rc;
}

static int create(struct rb_run *run, const struct rb_run_options *opt, const struct rb_buf *text,
                  char id[RB_RUN_ID_MAX], struct rb_err *err)
{
    struct rb_buf sources;
    rb_run_id_new(run->id);
    run->created = rb_clock_wall();
    run->journal = rb_journal_new(run->host->store, run->id);
    rb_buf_init(&sources, JSON_MAX);
    int rc = rb_source_pin_all(run, rb_buf_text(text), text->len, &sources, err);
    if (!rc) {
        struct rb_run_row row = {.runbook = run->runbook,
                                 .title = run->title,
                                 .status = (char *)(uintptr_t) "running",
                                 .actor = (char *)(uintptr_t)opt->actor->name,
                                 .key = (char *)(uintptr_t)opt->key,
                                 .created = run->created,
                                 .updated = run->created};
        memcpy(row.id, run->id, sizeof(row.id));
        rb_run_append_start(run, opt->actor, opt->reason, opt->secret_from, NULL, &sources);
        rc = rb_journal_create(run->journal, &row, err);
        memcpy(id, row.id, RB_RUN_ID_MAX);
        memcpy(run->id, row.id, RB_RUN_ID_MAX);
        run->epoch = row.epoch;
    }
    rb_buf_release(&sources);
    snprintf(run->status, sizeof(run->status), "running");
    run->mode = RB_RUN_LIVE;
    return rc;
}

int rb_run_start(struct rb_host *h, const char *file, const struct rb_run_options *opt, struct rb_run **out, char id[RB_RUN_ID_MAX], struct rb_err *err)
{
    struct rb_run *run = make(h, opt);
    struct rb_runbook own = {0};
    const struct rb_runbook *book = opt->runbook ? opt->runbook : &own;
    int rc = opt->runbook ? RB_OK : rb_runbook_peek(file, &own, err);
    if (!rc)
        rc = prepare(run, file, opt, book, err);
    if (!rc)
        rc = open_vm(run, err);
    if (!rc)
        rc = compile(run, rb_buf_text(&book->text), book->text.len, err); /* one that does not load leaves no run behind */
    if (!rc)
        rc = create(run, opt, &book->text, id, err);
    if (!rc)
        rc = begin(run, err);
    rb_runbook_release(&own);
    if (rc) {
        rb_run_free(run);
        return rc;
    }
    *out = run;
    return RB_OK;
}

/* -- going on ------------------------------------------------------------------------------------------------------ */

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
    run->seed = strtoull(seed, NULL, 16);
    run->params_json = params.p ? rb_strndup(params.p, params.n) : rb_strdup("{}");
    run->dry = rb_json_member_true(ev->data, ev->data_len, "dry");
    run->confirm_steps = rb_json_member_true(ev->data, ev->data_len, "step");
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
        run->runbook = header_text(run->header_json, "name");
        run->title = header_text(run->header_json, "title");
        struct rb_slice from = rb_json_member(ev->data, ev->data_len, "secret_from");
        run->secret_from = from.p ? rb_strndup(from.p, from.n) : NULL;
        rc = rb_secret_load(run, given_json, run->secret_from, err);
    }
    rb_buf_release(&header);
    return rc;
}

static int go_on(struct rb_run *run, const char *id, const char *given_json, struct rb_err *err)
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
    rb_run_row_release(&row);
    rb_replay_release(&run->replay);
    run->replay_started = rb_clock_boot();
    rc = rb_replay_load(&run->replay, run->host->store, run->id, err);
    if (!rc)
        rc = read_start(run, given_json, err);
    if (!rc)
        rc = open_vm(run, err);
    const struct rb_source *src = rc ? NULL : rb_strmap_get(&run->sources, "@main", 5);
    return rc ? rc : compile(run, src->text, src->len, err);
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

int rb_run_resume(struct rb_host *h, const char *id, const struct rb_run_options *opt, bool take_back,
                  struct rb_run **out, struct rb_err *err)
{
    char status[24];
    int rc = status_of(h, id, status, err);
    if (!rc)
        rc = check_status(id, status, take_back, err);
    if (rc)
        return rc;
    struct rb_run *run = make(h, opt);
    rc = go_on(run, id, opt->params_json, err);
    if (!rc)
        rc = begin(run, err);
    if (rc)
        return give_up(run, rc);
    *out = run;
    return RB_OK;
}

/* The results that a retry sets aside: of the op that was named, or of those that ended the run; where the failure was
 * the runbook's own word (a check that returned false), the reads of the failing step, so that it looks again. */
static int choose_voided(struct rb_run *run, int64_t op, int64_t **seqs, size_t *n, struct rb_err *err)
{
    struct rb_replay *r = &run->replay;
    const struct rb_recorded *end = rb_replay_last(r, "run.end");
    struct rb_slice failing = end ? rb_json_member(end->data, end->data_len, "failing") : (struct rb_slice){NULL, 0};
    *seqs = rb_alloc((r->count + 1) * sizeof(**seqs));
    *n = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct rb_recorded *ev = &r->events[i];
        if (strcmp(ev->kind, "result") != 0)
            continue;
        struct rb_keyed *k = rb_replay_key(r, ev->key);
        if (!k || k->result != ev)
            continue;
        int64_t number = rb_json_member_int(ev->data, ev->data_len, "n", ev->seq);
        bool hit = op ? number == op : false;
        for (const char *p = failing.p; !op && p && p < failing.p + failing.n && !hit;) {
            if (*p < '0' || *p > '9') {
                p++;
                continue;
            }
            char *stop;
            hit = strtoll(p, &stop, 10) == number && !rb_json_member_true(ev->data, ev->data_len, "ok");
            p = stop;
        }
        if (hit) {
            k->rerun = true;
            (*seqs)[(*n)++] = ev->seq;
        }
    }
    if (op && !*n)
        return rb_err_set(err, RB_EINVAL,
                          "operation #%lld of run %s has no outcome that a retry could set aside; `rbhost show %s` "
                          "lists the operations",
                          (long long)op, run->id, run->id);
    if (*n)
        return RB_OK;
    /* Reads of the failing steps. */
    for (size_t s = 0; s < r->count; s++) {
        const struct rb_recorded *step = &r->events[s];
        if (strcmp(step->kind, "step.end") != 0 || !rb_json_member_is(step->data, step->data_len, "verdict", "fail"))
            continue;
        size_t len = strlen(step->key);
        for (size_t i = 0; i < r->count; i++) {
            const struct rb_recorded *ev = &r->events[i];
            struct rb_keyed *k = strcmp(ev->kind, "result") == 0 ? rb_replay_key(r, ev->key) : NULL;
            if (k && k->result == ev && !k->rerun && !k->intent && strncmp(ev->key, step->key, len) == 0 &&
                ev->key[len] == '/') {
                k->rerun = true;
                (*seqs)[(*n)++] = ev->seq;
            }
        }
    }
    struct rb_slice error = end ? rb_json_member(end->data, end->data_len, "error") : (struct rb_slice){NULL, 0};
    static const char *const elsewhere[] = {"nondeterminism", "budget", "memory", "internal", "journal"};
    for (size_t i = 0; i < RB_COUNT(elsewhere); i++)
        if (error.p && rb_json_member_is(error.p, error.n, "kind", elsewhere[i]))
            return RB_OK;
    if (!*n && end)
        return rb_err_set(err, RB_EINVAL,
                          "run %s failed by a line of the runbook itself, not by an operation: a retry would take the "
                          "same way again. Mend the runbook and start a new run; "
                          "`rbhost show %s` names the line. `--op N` looks at operation N again",
                          run->id, run->id);
    return RB_OK;
}

int rb_run_retry(struct rb_host *h, const char *id, const struct rb_run_options *opt, int64_t op, int64_t skip,
                 struct rb_run **out, struct rb_err *err)
{
    char status[24];
    int rc = status_of(h, id, status, err);
    if (!rc && !is_one_of(status, (const char *const[]){"failed", "timed_out", "cancelled", "denied", NULL}))
        rc = rb_err_set(err, RB_EINVAL, "run %s is %s; only a failed run is retried%s", id, status,
                        is_one_of(status, ended_words) ? "" : " (`rbhost resume` goes on with this one)");
    if (rc)
        return rc;
    struct rb_run *run = make(h, opt);
    run->retry_skip = skip;
    run->retry_reason = rb_strdup(opt->reason ? opt->reason : "");
    int64_t *seqs = NULL;
    size_t n = 0;
    rc = go_on(run, id, opt->params_json, err);
    if (!rc && rb_replay_last(&run->replay, "undo.start"))
        rc = rb_err_set(
            err, RB_EINVAL,
            "what run %s did has been undone, at least in part; start a new run, or finish with `rbhost undo %s`", id,
            id);
    if (!rc)
        rc = choose_voided(run, skip ? skip : op, &seqs, &n, err);
    if (!rc) {
        for (size_t i = 0; skip && i < n; i++) {
            struct rb_keyed *k = rb_replay_key(&run->replay, rb_replay_at(&run->replay, seqs[i])->key);
            k->skip = rb_strdup(run->retry_reason);
            run->retry_skip = seqs[i]; /* the journal names the result */
        }
        rb_replay_void(&run->replay, seqs, n);
        run->retrying = true;
        rc = begin(run, err);
    }
    free(seqs);
    if (rc)
        return give_up(run, rc);
    *out = run;
    return RB_OK;
}

int rb_run_undo(struct rb_host *h, const char *id, const struct rb_run_options *opt, int64_t skip, struct rb_run **out,
                struct rb_err *err)
{
    char status[24];
    int rc = status_of(h, id, status, err);
    if (!rc && strcmp(status, "undoing") != 0 && !is_one_of(status, ended_words))
        rc = rb_err_set(err, RB_EINVAL,
                        "run %s is %s; what it did is undone after it has ended: `rbhost cancel %s` first", id, status,
                        id);
    if (rc)
        return rc;
    struct rb_run *run = make(h, opt);
    run->retry_reason = rb_strdup(opt->reason ? opt->reason : "");
    run->undo_wanted = true;
    run->undo_skip = skip;
    rc = go_on(run, id, opt->params_json, err);
    if (!rc)
        rc = begin(run, err);
    if (rc)
        return give_up(run, rc);
    *out = run;
    return RB_OK;
}
