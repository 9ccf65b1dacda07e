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
#include "engine/notice.h"
#include "engine/policy.h"
#include "engine/runbook.h"
#include "engine/value.h"

#define JSON_MAX ((size_t)64 << 20)
#define EVENT_MAX ((size_t)128 << 20)

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
    run->deadline_passed = run->mode == RB_RUN_REPLAY;
    if (run->mode != RB_RUN_LIVE || run->cancelled || run->cancel_event || run->phase == RB_PHASE_UNDO)
        return;
    run->cancel_event = rb_strdup("{\"reason\":\"the time-out of the runbook has passed\",\"timeout\":true}");
    rb_run_wake(run);
}

struct rb_run *rb_run_make(struct rb_host *h, const struct rb_run_options *opt)
{
    struct rb_run *run = rb_alloc(sizeof(*run));
    run->host = h;
    run->observer = opt->observer;
    run->stage = opt->stage;
    run->actor = *opt->actor;
    run->wait_ms = opt->wait_ms;
    run->notice_after_ms = opt->notice_after_ms;
    run->dry = opt->dry;
    run->environment = rb_strdup(opt->environment);
    run->freeze_override = rb_strdup(opt->freeze_override);
    run->limit = rb_strdup(opt->limit);
    run->confirm_steps = opt->step;
    rb_list_init(&run->link);
    rb_list_init(&run->turn_link);
    rb_list_init(&run->ready);
    rb_list_init(&run->fresh);
    rb_list_init(&run->ops);
    rb_list_init(&run->done);
    rb_buf_init(&run->event, EVENT_MAX);
    rb_list_init(&run->receipts);
    run->seen_fd = -1;
    rb_list_init(&run->older_wait.link);
    rb_list_init(&run->helpers);
    rb_list_init(&run->mailbox);
    rb_list_init(&run->backlogs);
    rb_list_init(&run->stop_wait.link);
    rb_strmap_init(&run->sources);
    rb_strmap_init(&run->replay.keys);
    rb_strmap_init(&run->replay.signals_used);
    rb_run_park_init(run);
    rb_run_state_init(run);
    rb_timer_init(&run->deadline_timer, h->loop, on_deadline);
    run->main_ref = LUA_NOREF;
    run->codec = (struct rb_codec){blob_out, blob_in, run, rb_secret_filter};
    if (run->stage && run->stage->made)
        run->stage->made(run->stage, run);
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
    rb_durable_cancel(&run->older_wait);
    rb_task_free_tree(run->root);
    while ((it = rb_list_pop(&run->helpers)))
        rb_task_free_tree(RB_CONTAINER(it, struct rb_task, sibling));
    while ((it = rb_list_pop(&run->ops)))
        rb_effect_free(RB_CONTAINER(it, struct rb_effect, link));
    while ((it = rb_list_pop(&run->mailbox)))
        rb_letter_free(RB_CONTAINER(it, struct rb_letter, link));
    rb_run_drop_receipts(run);
    if (run->seen_fd >= 0)
        close(run->seen_fd);
    rb_notice_free(run);
    rb_policy_free(run);
    rb_undo_free(run);
    rb_vm_close(&run->vm);
    rb_secret_free(run);
    if (run->journal)
        rb_journal_close(run->journal);
    rb_buf_release(&run->event);
    rb_replay_release(&run->replay);
    rb_strmap_release(&run->sources, rb_source_free);
    char *const owned[] = {run->runbook,         run->title,       run->file,         run->folder,
                           run->header_json,     run->params_json, run->stop_status,  run->stop_error,
                           run->fatal_kind,      run->fatal_text,  run->park_why,     run->secret_from,
                           run->cancel_event,    run->cancel_text, run->retry_reason, run->environment,
                           run->freeze_override, run->limit};
    for (size_t i = 0; i < RB_COUNT(owned); i++)
        free(owned[i]);
    free(run);
}

const char *rb_run_id(const struct rb_run *run)
{
    return run->id;
}

const char *rb_run_on_failure(const struct rb_run *run)
{
    size_t n = strlen(run->header_json);
    return rb_json_member_is(run->header_json, n, "on_failure", "leave")  ? "leave"
           : rb_json_member_is(run->header_json, n, "on_failure", "undo") ? "undo"
                                                                          : "ask";
}

const char *rb_run_status(const struct rb_run *run)
{
    return run->status;
}

int rb_run_open_vm(struct rb_run *run, struct rb_err *err)
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

int rb_run_compile(struct rb_run *run, const char *text, size_t len, struct rb_err *err)
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

/* Of the whole run, in seconds; 0: none. */
static double time_limit(const struct rb_run *run)
{
    struct rb_slice timeout = rb_json_member(run->header_json, strlen(run->header_json), "timeout");
    return timeout.p ? strtod(timeout.p, NULL) : 0;
}

int64_t rb_stage_deadline(const struct rb_run *run)
{
    double seconds = time_limit(run);
    return seconds > 0 ? run->stage->began + (int64_t)(seconds * 1e6) : 0;
}

void rb_stage_time_over(struct rb_run *run)
{
    on_deadline(&run->deadline_timer);
}

int rb_run_begin(struct rb_run *run, struct rb_err *err)
{
    struct rb_host *h = run->host;
    struct rb_journal_watch watch = {on_journal_event, on_journal_failed, run};
    rb_journal_watch(run->journal, &watch);
    rb_host_watch(h);
    int rc = rb_run_spawn_root(run, run->stage ? run->stage->root : NULL, err);
    if (rc)
        return rc;
    rb_vault_forget(h);
    rb_list_push(&h->runs, &run->link);
    double seconds = time_limit(run);
    const struct rb_recorded *retry = rb_replay_last(&run->replay, "run.retry");
    int64_t now = rb_clock_wall(), from = run->retrying ? now : retry ? retry->at : run->created;
    if (seconds > 0) /* the wall clock decides: it is the same after a resume; a retry has the whole time again */
        rb_timer_arm(&run->deadline_timer, rb_clock_boot() + from + (int64_t)(seconds * 1e6) - now);
    rb_run_wake(run);
    return RB_OK;
}

void rb_run_write_site(const struct rb_run *run, struct rb_buf *json)
{
    if (run->environment) {
        rb_buf_adds(json, ",\"environment\":");
        rb_json_quote(json, run->environment, strlen(run->environment));
    }
    if (run->freeze_override)
        rb_buf_addf(json, ",\"freeze_override\":%s", run->freeze_override);
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
    rb_json_ktext(&j, "folder", run->folder);
    rb_json_ktext(&j, "source", digest);
    rb_json_kraw(&j, "sources", rb_buf_text(sources), sources->len);
    rb_json_kraw(&j, "params", run->params_json, strlen(run->params_json));
    if (secret_from)
        rb_json_kraw(&j, "secret_from", secret_from, strlen(secret_from));
    if (run->secret_kinds)
        rb_json_kraw(&j, "secrets", run->secret_kinds, strlen(run->secret_kinds));
    rb_json_kraw(&j, "actor", who.data, who.len);
    rb_json_ktext(&j, "reason", reason);
    rb_json_ktext(&j, "previous", previous);
    if (run->git.commit[0]) {
        rb_json_key(&j, "git");
        rb_json_object(&j);
        rb_json_ktext(&j, "commit", run->git.commit);
        rb_json_kbool(&j, "dirty", run->git.dirty);
        rb_json_end_object(&j);
    }
    rb_json_ktext(&j, "host", host);
    rb_json_ktext(&j, "seed", seed);
    struct rb_slice allow = rb_json_member(run->header_json, strlen(run->header_json), "allow");
    if (allow.p)
        rb_json_kraw(&j, "allow", allow.p, allow.n);
    if (rb_json_member_true(run->header_json, strlen(run->header_json), "destructive"))
        rb_json_kbool(&j, "destructive", true);
    rb_run_write_site(run, &b);
    rb_json_kbool(&j, "dry", run->dry);
    rb_json_kbool(&j, "step", run->confirm_steps);
    rb_json_ktext(&j, "limit", run->limit);
    rb_json_end_object(&j);
    rb_journal_append(run->journal, "", "run.start", b.data, b.len);
    rb_buf_release(&b);
    rb_buf_release(&who);
}

char *rb_run_header_text(const char *header, const char *key)
{
    char text[1024];
    return rb_json_member_text(header, strlen(header), key, text, sizeof(text)) ? rb_strdup(text) : NULL;
}

/* The folder of a runbook, whatever the working directory will be when the run is gone on with. */
static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *dir = slash == file ? rb_strdup("/") : slash ? rb_strndup(file, (size_t)(slash - file)) : rb_strdup(".");
    char *real = realpath(dir, NULL);
    free(dir);
    return real;
}

static int prepare(struct rb_run *run, const char *file, const struct rb_run_options *opt,
                   const struct rb_runbook *book, struct rb_err *err)
{
    struct rb_buf params;
    const char *header = rb_buf_text(&book->header), *given = opt->params_json ? opt->params_json : "{}";
    char *completed;
    rb_buf_init(&params, JSON_MAX);
    int rc = rb_secret_complete(run, header, given, opt->secret_from, &completed, err);
    if (!rc)
        rc = rb_params_resolve(header, completed ? completed : given, &params, err);
    if (!rc) {
        run->file = rb_strdup(file);
        run->folder = folder_of(file);
        rb_git_look(file, &run->git);
        run->header_json = rb_strdup(header);
        run->params_json = rb_buf_detach(&params);
        run->runbook = rb_run_header_text(run->header_json, "name");
        run->title = rb_run_header_text(run->header_json, "title");
        rc = rb_secret_load(run, completed ? completed : given, NULL, err);
        if (!rc)
            rc = rb_notice_check(run, err);
    }
    if (completed)
        explicit_bzero(completed, strlen(completed));
    free(completed);
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
    rb_journal_filter(run->journal, rb_secret_filter, run);
    rb_buf_init(&sources, JSON_MAX);
    struct rb_buf names;
    rb_buf_init(&names, 1 << 20);
    int rc = rb_source_pin_all(run, rb_buf_text(text), text->len, &sources, err);
    if (!rc)
        rc = rb_source_secrets(run, &names, err);
    if (!rc)
        rc = rb_secret_declare(run, rb_buf_text(&names), err);
    rb_buf_release(&names);
    if (!rc) {
        struct rb_run_row row = {.runbook = run->runbook,
                                 .title = run->title,
                                 .status = (char *)(uintptr_t) "running",
                                 .actor = (char *)(uintptr_t)opt->actor->name,
                                 .key = (char *)(uintptr_t)opt->key,
                                 .created = run->created,
                                 .updated = run->created};
        memcpy(row.id, run->id, sizeof(row.id));
        rb_run_append_start(run, opt->actor, opt->reason, run->secret_from, NULL, &sources);
        rc = opt->later && !opt->key ? rb_journal_create_later(run->journal, &row, err)
                                     : rb_journal_create(run->journal, &row, err);
        free(row.owner); /* all that it has of its own */
        memcpy(id, row.id, RB_RUN_ID_MAX);
        memcpy(run->id, row.id, RB_RUN_ID_MAX);
        run->epoch = row.epoch;
    }
    rb_buf_release(&sources);
    snprintf(run->status, sizeof(run->status), "running");
    run->mode = RB_RUN_LIVE;
    return rc;
}

int rb_run_start(struct rb_host *h, const char *file, const struct rb_run_options *opt, struct rb_run **out,
                 char id[RB_RUN_ID_MAX], struct rb_err *err)
{
    struct rb_run *run = rb_run_make(h, opt);
    struct rb_runbook own = {0};
    const struct rb_runbook *book = opt->runbook ? opt->runbook : &own;
    int rc = opt->runbook ? RB_OK : rb_runbook_peek(file, &own, err);
    if (!rc)
        rc = prepare(run, file, opt, book, err);
    if (!rc)
        rc = rb_run_open_vm(run, err);
    if (!rc)
        /* one that does not load leaves no run behind */
        rc = rb_run_compile(run, rb_buf_text(&book->text), book->text.len, err);
    if (!rc)
        rc = create(run, opt, &book->text, id, err);
    if (!rc)
        rc = rb_run_begin(run, err);
    rb_runbook_release(&own);
    if (rc) {
        rb_run_free(run);
        return rc;
    }
    *out = run;
    return RB_OK;
}
