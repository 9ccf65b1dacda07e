/* Owns a run in this process from the outside: signals, the journal's opening, who shows it, what is asked when it
 * fails, the exit code. Knows the engine only through run.h. */
#include "front/drive.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "front/config.h"
#include "front/detach.h"
#include "front/display.h"
#include "front/freeze.h"
#include "front/next.h"
#include "front/notice.h"
#include "front/prompt.h"
#include "front/text.h"
#include "loop/loop.h"

extern char **environ;

enum { SIG_COUNT = 5 };

struct drive {
    struct rb_cli *cli;
    const struct rb_drive_options *opt;
    struct rb_loop loop;
    struct rb_host *host;
    struct rb_run *run;
    struct rb_actor actor;
    struct rb_view view;
    struct rb_display *display;
    struct rb_prompt *prompt;
    const char **env_pass;
    char *config_json;
    char *freeze_override; /* JSON of the window that was overridden; NULL */
    struct rb_signal signals[SIG_COUNT];
    uv_poll_t pipe; /* standard output when it is a pipe: its reader going away */
    int pipe_fd;    /* -1 none */
    int parked_by;  /* exit code of the first signal; 0 none */
    int interrupts;
    bool left; /* end of input at a question */
    bool stopped, store_failed;
    char *error;           /* of on_stopped */
    struct rb_err secrets; /* of the secrets that were fetched before the run; code 0 all there */
    int ready_fd;          /* detached: where the parent waits for the id; -1 */
    /* the question after a failure */
    enum rb_drive_how again;
    int64_t again_skip;
    char *again_reason;
};

void rb_drive_take(struct rb_drive_options *out, const struct rb_go_options *go)
{
    out->actor = go->actor;
    out->reason = go->reason;
    out->confirm = go->confirm;
    out->override_freeze = go->override_freeze;
    out->yes = go->yes > 0;
    out->step = go->step > 0;
    out->detach = go->detach > 0;
    out->wait_ms = go->wait;
}

/* -- what the engine tells ----------------------------------------------------------------------------------------- */

/* Confirmations that --yes and --confirm answer: approvals that name nobody. */
static void answer_confirmation(struct drive *d, const struct rb_node *p)
{
    const char *what = p ? rb_node_decision(p) : NULL,
               *by = json_string_value(json_object_get(p ? p->args : NULL, "by"));
    bool destructive = d->view.destructive;
    bool confirmed = d->opt->confirm && d->view.runbook && strcmp(d->opt->confirm, d->view.runbook) == 0;
    struct rb_err err;
    char target[24];
    if (!what || strcmp(what, "approve") != 0 || (by && *by) || json_is_array(json_object_get(p->args, "by")))
        return;
    if (destructive ? !confirmed : !d->opt->yes)
        return;
    snprintf(target, sizeof(target), "%lld", (long long)p->n);
    if (rb_run_decide(d->run, "approve", target,
                      destructive ? "{\"comment\":\"--confirm\"}" : "{\"comment\":\"--yes\"}", &d->actor, &err) < 0)
        rb_cli_note(d->cli, "%s", err.msg);
}

/* Deadlines that outlive a process are times of the wall clock, so somebody should know that it went back. */
static void tell_clock(struct drive *d, const json_t *data)
{
    char span[16];
    json_int_t back = json_integer_value(json_object_get(data, "clock_back_us"));
    if (back < 1000000)
        return;
    rb_clock_span(back, span);
    rb_cli_note(d->cli, "the clock is %s behind the last event of this run: what waits until a time waits longer",
                span);
}

static void on_event(void *arg, struct rb_run *run, const struct rb_event *ev)
{
    struct drive *d = arg;
    json_t *data;
    int64_t before = d->view.seq;
    struct rb_node *node = rb_view_event(&d->view, ev, &data);
    (void)run;
    if (d->view.seq == before)
        return;
    d->display->event(d->display, ev, node, data);
    if (strcmp(ev->kind, "wait") == 0)
        answer_confirmation(d, node);
    else if (strcmp(ev->kind, "run.resume") == 0)
        tell_clock(d, data);
    if (d->prompt && !d->interrupts)
        rb_prompt_update(d->prompt);
    json_decref(data);
}

static void on_output(void *arg, struct rb_run *run, int64_t op, const char *key, int stream, const char *data,
                      size_t len)
{
    struct drive *d = arg;
    (void)run;
    if (op == 0 && !*key && d->cli->json <= 0) { /* the host itself says something, for instance that a slice is long */
        rb_cli_note(d->cli, "%.*s", (int)(len && data[len - 1] == '\n' ? len - 1 : len), data);
        return;
    }
    rb_view_output(&d->view, op, key, data, len);
    if (d->display->output)
        d->display->output(d->display, op, key, stream, data, len);
}

static void on_replayed(void *arg, struct rb_run *run, int64_t events, int64_t us)
{
    struct drive *d = arg;
    char span[16];
    (void)run;
    rb_clock_span(us, span);
    if (d->cli->verbose > 0)
        rb_cli_note(d->cli, "replayed %lld events in %s", (long long)events, span);
}

static void on_stopped(void *arg, struct rb_run *run, const char *status, const char *error)
{
    struct drive *d = arg;
    (void)run;
    free(d->view.status);
    d->view.status = rb_strdup(status);
    free(d->error);
    d->error = rb_strdup(error);
    d->stopped = true;
    rb_loop_stop(&d->loop);
}

/* A line of a channel of type terminal is for standard error: what is on standard output is the run's. */
static void on_told(void *arg, struct rb_run *run, const char *line)
{
    struct drive *d = arg;
    (void)run;
    if (d->display && d->display->hide)
        d->display->hide(d->display);
    rb_cli_fail(d->cli, 0, "%s", line);
    if (d->display && d->display->show)
        d->display->show(d->display);
}

static void describe(void *arg, struct rb_run *run, const char *state, const char *error, bool stays,
                     struct rb_buf *text)
{
    struct drive *d = arg;
    (void)run;
    rb_notice_text(d->cli, &d->view, state, error, stays, text);
}

static void on_store_failed(void *arg, const struct rb_err *why)
{
    struct drive *d = arg;
    d->store_failed = true;
    rb_cli_fail(d->cli, 0, "the journal can not be written any more: %s", why->msg);
}

/* -- signals, closed output ---------------------------------------------------------------------------------------- */

static void interrupt(struct drive *d, const char *why, int code)
{
    d->interrupts++;
    if (!d->parked_by)
        d->parked_by = code;
    if (!d->run || d->stopped) {
        rb_loop_stop(&d->loop);
        return;
    }
    if (d->display->hide)
        d->display->hide(d->display);
    if (d->interrupts == 1)
        rb_cli_note(d->cli, "%s: parking the run; what has started may finish (a second signal stops at once)", why);
    else
        rb_cli_note(d->cli, "%s: stopping at once", why);
    if (d->display->show)
        d->display->show(d->display);
    rb_run_park(d->run, why, d->interrupts > 1);
}

static void on_signal(struct rb_signal *s, int signum)
{
    struct drive *d = s->handle.loop->data;
    const char *why = signum == SIGINT ? "interrupted" : signum == SIGTERM ? "terminated" : "the terminal hung up";
    interrupt(d, why, 128 + signum);
}

static void on_stop_key(struct rb_signal *s, int signum)
{
    struct drive *d = s->handle.loop->data;
    (void)signum;
    if (d->display && d->display->hide)
        d->display->hide(d->display);
    rb_store_suspend();
}

static void on_continue(struct rb_signal *s, int signum)
{
    struct drive *d = s->handle.loop->data;
    (void)signum;
    if (d->display && d->display->show)
        d->display->show(d->display);
    if (d->prompt)
        rb_prompt_resume(d->prompt);
}

static int watch_signals(struct drive *d, struct rb_err *err)
{
    static const struct {
        int signum;
        void (*fn)(struct rb_signal *s, int signum);
    } table[SIG_COUNT] = {
        {SIGINT, on_signal}, {SIGTERM, on_signal}, {SIGHUP, on_signal}, {SIGTSTP, on_stop_key}, {SIGCONT, on_continue}};
    d->loop.uv.data = d;
    for (size_t i = 0; i < SIG_COUNT; i++) {
        struct sigaction now;
        d->signals[i].on_signal = table[i].fn;
        rb_list_init(&d->signals[i].link);
        /* nohup: a hang-up that is ignored stays ignored. A script's background job has SIGINT ignored too, but whoever
         * sends one there means this process. */
        bool keep = table[i].signum == SIGHUP || table[i].signum == SIGTSTP;
        if (keep && sigaction(table[i].signum, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            continue;
        int rc = rb_loop_signal_add(&d->loop, &d->signals[i], table[i].signum, err);
        if (rc < 0)
            return rc;
    }
    return RB_OK;
}

static void on_pipe(uv_poll_t *h, int status, int events)
{
    struct drive *d = h->data;
    (void)status;
    (void)events;
    uv_poll_stop(h);
    interrupt(d, "standard output was closed", RB_EXIT_PIPE);
}

/* Notices that nobody reads standard output any more, also while nothing is written. The pipe is opened anew because
 * uv_poll makes its descriptor non-blocking, and ours is shared with whoever started us. */
static void watch_pipe(struct drive *d)
{
    struct stat st;
    d->pipe_fd = -1;
    if (fstat(STDOUT_FILENO, &st) < 0 || !S_ISFIFO(st.st_mode))
        return;
    d->pipe_fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (d->pipe_fd < 0)
        return;
    d->pipe.data = d;
    if (uv_poll_init(&d->loop.uv, &d->pipe, d->pipe_fd) < 0) {
        close(d->pipe_fd);
        d->pipe_fd = -1;
        return;
    }
    uv_poll_start(&d->pipe, UV_DISCONNECT, on_pipe);
}

/* -- the question after a failure ---------------------------------------------------------------------------------- */

static int decide(void *arg, const char *kind, const char *target, const char *data_json, struct rb_err *err)
{
    struct drive *d = arg;
    return rb_run_decide(d->run, kind, target, data_json, &d->actor, err);
}

static void on_eof(void *arg)
{
    struct drive *d = arg;
    d->left = true;
    if (d->stopped || !d->run)
        rb_loop_stop(&d->loop);
    else
        rb_run_park(d->run, "end of input at a question", false);
}

static void shell(struct drive *d)
{
    const char *path = getenv("SHELL");
    if (!path || *path != '/')
        path = "/bin/sh";
    char *argv[] = {(char *)path, NULL};
    pid_t pid;
    int status;
    rb_cli_note(d->cli, "%s; `exit` comes back", path);
    int rc = posix_spawn(&pid, path, NULL, NULL, argv, environ);
    if (rc)
        rb_cli_fail(d->cli, 0, "%s does not start: %s", path, strerror(rc));
    else
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
}

static bool on_skip_reason(void *arg, const char *line)
{
    struct drive *d = arg;
    if (!*line)
        return false;
    d->again_reason = rb_strdup(line);
    d->again = RB_DRIVE_RETRY;
    d->again_skip = d->view.failing;
    rb_loop_stop(&d->loop);
    return true;
}

static bool on_failure_answer(void *arg, const char *line)
{
    struct drive *d = arg;
    if ((strcmp(line, "r") == 0 || strcmp(line, "retry") == 0) && !rb_next_advice(&d->view))
        d->again = RB_DRIVE_RETRY;
    else if ((strcmp(line, "u") == 0 || strcmp(line, "undo") == 0) && !rb_list_empty(&d->view.undos))
        d->again = RB_DRIVE_UNDO;
    else if ((strcmp(line, "k") == 0 || strcmp(line, "skip") == 0) && d->view.failing) {
        rb_prompt_ask(d->prompt, NULL, "why is it right to skip it? ", on_skip_reason);
        return true;
    } else if (strcmp(line, "!") == 0 || strcmp(line, "shell") == 0) {
        shell(d);
        return false;
    } else if (strcmp(line, "s") != 0 && strcmp(line, "stop") != 0)
        return false;
    rb_loop_stop(&d->loop);
    return true;
}

/* A failed run on a terminal: what now? True: d->again says what. */
static bool ask_after_failure(struct drive *d)
{
    struct rb_buf block, question;
    bool undo = !rb_list_empty(&d->view.undos), has_op = d->view.failing > 0;
    const char *advice = rb_next_advice(&d->view);
    if (!d->prompt || d->left || d->interrupts || strcmp(d->view.status, "failed") != 0 ||
        strcmp(rb_run_on_failure(d->run), "leave") == 0 || (advice && !undo && !has_op))
        return false;
    d->again = RB_DRIVE_START;
    d->again_skip = 0;
    rb_buf_init(&block, 8192);
    rb_buf_init(&question, 256);
    rb_buf_addf(&block, "The run failed%s%s: %s%s%s\n", d->view.environment ? " in " : "",
                d->view.environment ? d->view.environment : "",
                d->view.error ? d->view.error
                : d->error    ? d->error
                              : "no reason given",
                d->view.where && *d->view.where ? "\n  at " : "", d->view.where ? d->view.where : "");
    RB_LIST_EACH (it, &d->view.undos)
        rb_buf_addf(&block, "  can be undone: %s\n", RB_CONTAINER(it, struct rb_view_undo, link)->title);
    if (advice)
        rb_buf_addf(&block, "  %s\n", advice);
    rb_buf_addf(&question, "%s%s%s[s]top, [!] shell: ", advice ? "" : "[r]etry, ", has_op ? "s[k]ip it, " : "",
                undo ? "[u]ndo, " : "");
    rb_prompt_ask(d->prompt, rb_buf_text(&block), rb_buf_text(&question), on_failure_answer);
    rb_buf_release(&block);
    rb_buf_release(&question);
    rb_loop_run(&d->loop);
    return d->again != RB_DRIVE_START;
}

/* -- the whole ----------------------------------------------------------------------------------------------------- */

static int host_open(struct drive *d)
{
    struct rb_host_options ho = {.loop = &d->loop, .store = d->cli->store};
    const json_t *env = json_object_get(d->cli->config, "env");
    size_t n = json_array_size(env);
    if (n) {
        d->env_pass = rb_alloc((n + 1) * sizeof(*d->env_pass));
        for (size_t i = 0; i < n; i++)
            d->env_pass[i] = json_string_value(json_array_get(env, i));
        ho.env_pass = d->env_pass;
    }
    if (d->cli->config_found)
        ho.config_json = d->config_json = json_dumps(d->cli->config, JSON_COMPACT);
    ho.config_file = d->cli->config_found;
    char key[4096];
    if (rb_config_secret_key(d->cli->config, key, sizeof(key)))
        ho.secret_key = key;
    rb_config_limits(d->cli->config, &ho.limits);
    d->host = rb_host_new(&ho);
    return RB_OK;
}

static void on_secrets(void *arg, const struct rb_err *err)
{
    struct drive *d = arg;
    d->secrets.code = RB_OK;
    if (err)
        d->secrets = *err;
    rb_loop_stop(&d->loop);
}

static int try_begin(struct drive *d, enum rb_drive_how how, int64_t skip, const char *reason, struct rb_err *err)
{
    const struct rb_drive_options *o = d->opt;
    bool asks = rb_cli_may_ask(d->cli) && d->ready_fd < 0;
    struct rb_limits limits = {0};
    rb_config_limits(d->cli->config, &limits);
    struct rb_run_options ro = {
        .params_json = o->params_json ? o->params_json : "{}",
        .runbook = o->runbook,
        .secret_from = o->secret_from,
        .actor = &d->actor,
        .reason = reason,
        .environment = json_string_value(json_object_get(d->cli->config, "environment")),
        .freeze_override = d->freeze_override,
        .key = o->key,
        .limit = o->limit,
        .dry = o->dry,
        .step = o->step,
        .take_back = o->take_back,
        .wait_ms = o->wait_ms ? o->wait_ms
                   : asks     ? -1
                              : 0,
        .notice_after_ms =
            asks ? limits.notice_after_ms ? limits.notice_after_ms : rb_limits_standard.notice_after_ms : 0,
        .observer = {on_event, on_output, on_stopped, on_replayed, d, on_told, describe},
    };
    switch (how) {
    case RB_DRIVE_START: return rb_run_start(d->host, o->file, &ro, &d->run, d->view.id, err);
    case RB_DRIVE_RESUME: return rb_run_resume(d->host, d->view.id, &ro, &d->run, err);
    case RB_DRIVE_RETRY: return rb_run_retry(d->host, d->view.id, &ro, how == o->how ? o->op : 0, skip, &d->run, err);
    case RB_DRIVE_UNDO: return rb_run_undo(d->host, d->view.id, &ro, skip, &d->run, err);
    }
    return RB_EINVAL;
}

/* Secrets that the runbook names are there before it begins, or it does not begin. */
static int begin(struct drive *d, enum rb_drive_how how, int64_t skip, const char *reason, struct rb_err *err)
{
    int rc;
    while ((rc = try_begin(d, how, skip, reason, err)) == RB_EAGAIN) {
        rb_host_gather(d->host, on_secrets, d);
        rb_loop_run(&d->loop);
        if (d->secrets.code) {
            *err = d->secrets;
            return how == RB_DRIVE_START ? err->code : rb_err_prefix(err, "run %s does not go on yet", d->view.id);
        }
    }
    return rc;
}

/* The last words: what runs on, what waits, the command that goes on. */
static int finish(struct drive *d)
{
    struct rb_buf next, text;
    int code =
        d->store_failed ? RB_EXIT_STORE : rb_exit_of_status(d->view.status, d->left ? RB_EXIT_WAITS : d->parked_by);
    if (code == RB_EXIT_OK && strcmp(d->view.status, "undone") == 0 && d->opt->how != RB_DRIVE_UNDO)
        code = RB_EXIT_FAILED; /* that what it did was undone does not make the run a success */
    rb_buf_init(&next, 64 << 10);
    rb_buf_init(&text, 64 << 10);
    rb_next_commands(d->cli, &d->view, false, &next);
    if (d->display->end)
        d->display->end(d->display, code, rb_buf_text(&next));
    const char *error = d->error ? d->error : d->view.error;
    if (code == RB_EXIT_OK) {
        if (!d->display->end)
            rb_cli_note(d->cli, "run %s %s; `rbhost show %s` shows it", d->view.id, d->view.status, d->view.id);
    } else {
        rb_buf_addf(&text, "run %s %s%s%s", d->view.id,
                    strcmp(d->view.status, "in_doubt") == 0  ? "is in doubt: the outcome of an effect is unknown"
                    : strcmp(d->view.status, "waiting") == 0 ? "waits"
                                                             : d->view.status,
                    error ? ": " : "", error ? error : "");
        if (error && d->view.where && *d->view.where && !strstr(error, d->view.where))
            rb_buf_addf(&text, "\n  at %s", d->view.where);
        rb_buf_addc(&text, '\n');
        rb_next_running(&d->view, &text);
        if (!rb_list_empty(&d->view.open))
            rb_next_open(d->cli, &d->view, false, &text);
        const char *rest = rb_buf_text(&next), *line, *advice = rb_next_advice(&d->view);
        size_t n;
        if (advice)
            rb_buf_addf(&text, "%s\n", advice);
        if (*rest)
            rb_buf_adds(&text, "to go on:\n");
        while (rb_text_next(&rest, &line, &n)) {
            /* Those that settle an open node stand with it, above. */
            bool above = !rb_list_empty(&d->view.open) && n > 9 && strncmp(line + n - 9, " --resume", 9) == 0;
            if (!above)
                rb_buf_addf(&text, "  %.*s\n", (int)n, line);
        }
        rb_cli_fail(d->cli, code, "%s", rb_buf_text(&text));
    }
    rb_buf_release(&next);
    rb_buf_release(&text);
    return code;
}

/* The run of an idempotency key exists: the same run, not a new one. -1: resume it. */
static int existing(struct drive *d, const char *key)
{
    struct rb_run_row row = {0};
    struct rb_err err;
    int code = -1;
    if (rb_store_run(d->cli->store, d->view.id, &row, &err) < 0)
        return rb_cli_fail(d->cli, RB_EXIT_STORE, "%s", err.msg);
    rb_cli_note(d->cli, "the key '%s' names run %s, which exists: %s", key, row.id, row.status);
    bool owned = row.owner && rb_store_owner_alive(d->cli->store, row.owner);
    if (owned) {
        code = rb_cli_fail(d->cli, RB_EXIT_USAGE, "another process runs it; `rbhost attach %s` watches it", row.id);
    } else if (row.ended || strcmp(row.status, "moved") == 0) {
        code = rb_exit_of_status(row.status, 0);
        d->display = rb_display_new(d->cli, &d->view, NULL);
        rb_view_load(&d->view, d->cli->store, &err);
        struct rb_buf next;
        rb_buf_init(&next, 64 << 10);
        rb_next_commands(d->cli, &d->view, false, &next);
        if (d->display->end)
            d->display->end(d->display, code, rb_buf_text(&next));
        rb_buf_release(&next);
    }
    rb_run_row_release(&row);
    return code;
}

static void release(struct drive *d)
{
    if (d->prompt)
        rb_prompt_free(d->prompt);
    if (d->display)
        d->display->free(d->display);
    if (d->run)
        rb_run_free(d->run);
    if (d->host)
        rb_host_free(d->host);
    if (d->cli->store) {
        rb_store_close(d->cli->store);
        d->cli->store = NULL;
    }
    for (size_t i = 0; i < SIG_COUNT; i++)
        if (d->signals[i].handle.loop)
            rb_loop_signal_remove(&d->loop, &d->signals[i]);
    if (d->pipe_fd >= 0)
        uv_close((uv_handle_t *)&d->pipe, NULL);
    rb_loop_release(&d->loop);
    if (d->pipe_fd >= 0)
        close(d->pipe_fd);
    rb_view_release(&d->view);
    free(d->env_pass);
    free(d->config_json);
    free(d->error);
    free(d->again_reason);
    free(d->freeze_override);
}

static int thaw(struct drive *d, const char *name)
{
    const struct rb_drive_options *o = d->opt;
    return o->ends || o->dry ? RB_EXIT_OK : rb_freeze_thaw(d->cli, name, o->override_freeze, &d->freeze_override);
}

/* restart_with(): the same screen, the run that goes on. */
static int follow_successor(struct drive *d, struct rb_err *err)
{
    char id[RB_RUN_ID_MAX];
    snprintf(id, sizeof(id), "%s", rb_run_successor(d->run));
    rb_cli_note(d->cli, "run %s goes on as %s", d->view.id, id);
    rb_run_free(d->run);
    d->run = NULL;
    rb_view_release(&d->view);
    rb_view_watch(&d->view, d->cli, id);
    return rb_view_load(&d->view, d->cli->store, err);
}

/* Does another process drive the run? If not, what is busy is the journal. */
static bool has_owner(struct drive *d)
{
    struct rb_run_row row = {0};
    struct rb_err err;
    bool alive = rb_store_run(d->cli->store, d->view.id, &row, &err) == 0 && row.owner &&
                 rb_store_owner_alive(d->cli->store, row.owner);
    rb_run_row_release(&row);
    return alive;
}

/* Everything between the first event and the last: runs, asks after a failure, runs again. */
static int go(struct drive *d)
{
    struct rb_err err;
    enum rb_drive_how how = d->opt->how;
    int64_t skip = d->opt->skip;
    const char *reason = d->opt->reason;
    if (how != RB_DRIVE_START && rb_view_load(&d->view, d->cli->store, &err) < 0)
        return rb_cli_fail(d->cli, RB_EXIT_STORE, "%s", err.msg);
    for (;;) {
        d->stopped = false;
        int rc = begin(d, how, skip, reason, &err);
        if (rc == RB_EEXIST && how == RB_DRIVE_START) {
            int code = existing(d, d->opt->key);
            if (code >= 0)
                return code;
            how = RB_DRIVE_RESUME;
            if (rb_view_load(&d->view, d->cli->store, &err) < 0)
                return rb_cli_fail(d->cli, RB_EXIT_STORE, "%s", err.msg);
            continue;
        }
        if (rc == RB_EBUSY && how != RB_DRIVE_START && has_owner(d))
            return rb_cli_fail(d->cli, RB_EXIT_USAGE, "%s\n`rbhost attach %s` watches it", err.msg, d->view.id);
        if (rc < 0)
            return rb_cli_fail(d->cli, rc == RB_EBUSY ? RB_EXIT_STORE : rb_cli_exit_of(rc), "%s", err.msg);
        if (d->ready_fd >= 0)
            rb_detached(&d->ready_fd, d->view.id);
        /* Not before: until something can have started, a signal's default action is right (a journal that is locked
         * can be waited for, and Ctrl-C should end that at once). */
        if (!d->display && watch_signals(d, &err) < 0)
            return rb_cli_fail(d->cli, RB_EXIT_STORE, "%s", err.msg);
        if (!d->display) {
            d->display = rb_display_new(d->cli, &d->view, &d->loop);
            watch_pipe(d);
            if (rb_cli_may_ask(d->cli))
                d->prompt = rb_prompt_new(
                    &(struct rb_prompt_options){d->cli, &d->loop, &d->view, d->display, decide, on_eof, d});
            if (d->prompt)
                rb_prompt_update(d->prompt);
        }
        if (!d->stopped)
            rb_loop_run(&d->loop);
        if (rb_run_successor(d->run) && !d->left && !d->interrupts) {
            if (follow_successor(d, &err) < 0)
                return rb_cli_fail(d->cli, RB_EXIT_STORE, "%s", err.msg);
            how = RB_DRIVE_RESUME;
            continue;
        }
        if (!ask_after_failure(d))
            return finish(d);
        int code = thaw(d, d->view.runbook);
        if (code) {
            finish(d);
            return code;
        }
        rb_run_free(d->run);
        d->run = NULL;
        how = d->again;
        skip = d->again_skip;
        if (d->again_reason)
            reason = d->again_reason;
    }
}

int rb_drive(struct rb_cli *cli, const struct rb_drive_options *opt)
{
    struct drive d = {.cli = cli, .opt = opt, .ready_fd = -1, .pipe_fd = -1};
    struct rb_err err;
    int code = rb_cli_config(cli);
    if (!code)
        code = thaw(&d, opt->name);
    if (code) {
        free(d.freeze_override);
        return code;
    }
    if (cli->store) {
        rb_store_close(cli->store);
        cli->store = NULL;
    }
    if (opt->detach) {
        code = rb_detach(cli, &d.ready_fd);
        if (code >= 0)
            return code;
    }
    rb_actor_self(&d.actor);
    snprintf(d.actor.claimed, sizeof(d.actor.claimed), "%s", opt->actor ? opt->actor : "");
    if (rb_loop_init(&d.loop, &err) < 0)
        return rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    rb_view_watch(&d.view, cli, opt->id);
    cli->on_store_failed = on_store_failed;
    cli->store_arg = &d;
    code = rb_cli_store(cli, &d.loop, opt->how == RB_DRIVE_START ? RB_CLI_CREATE : RB_CLI_WRITE);
    if (code <= 0 && host_open(&d) == 0)
        code = go(&d);
    release(&d);
    return code;
}
