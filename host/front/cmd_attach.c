/* rbhost attach: watches a run that another process drives, and on a terminal answers its questions; answers travel as
 * signals. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/run.h"
#include "front/cmds.h"
#include "front/display.h"
#include "front/drive.h"
#include "front/follow.h"
#include "front/next.h"
#include "front/prompt.h"

enum { SIG_COUNT = 5 };

struct attach {
    struct rb_cli *cli;
    struct rb_loop loop;
    struct rb_follow follow;
    struct rb_view view;
    struct rb_display *display;
    struct rb_prompt *prompt;
    struct rb_signal signals[SIG_COUNT];
    struct rb_actor actor;
    bool left; /* the watcher goes, the run stays */
    int code;
};

static int on_event(void *arg, const struct rb_event *ev)
{
    struct attach *a = arg;
    json_t *data;
    struct rb_node *node = rb_view_event(&a->view, ev, &data);
    a->display->event(a->display, ev, node, data);
    json_decref(data);
    return 0;
}

static void leave(struct attach *a)
{
    a->left = true;
    rb_loop_stop(&a->loop);
}

static void on_look(void *arg, int rc, const struct rb_err *err)
{
    struct attach *a = arg;
    struct rb_err why;
    bool over = false;
    if (rc < 0) {
        a->code = rb_cli_fail(a->cli, RB_EXIT_STORE, "%s", err->msg);
        rb_loop_stop(&a->loop);
        return;
    }
    if (a->prompt)
        rb_prompt_update(a->prompt);
    rc = rb_cmd_over(a->cli, a->view.id, a->follow.seq, &over, &why);
    if (rc < 0) {
        a->code = rb_cli_fail(a->cli, RB_EXIT_STORE, "%s", why.msg);
        rb_loop_stop(&a->loop);
        return;
    }
    if (over)
        rb_loop_stop(&a->loop);
}

static int decide(void *arg, const char *kind, const char *target, const char *data_json, struct rb_err *err)
{
    struct attach *a = arg;
    struct rb_buf who;
    int64_t id;
    rb_buf_init(&who, 4096);
    rb_actor_json(&a->actor, &who);
    struct rb_signal_row sig = {0, a->view.id, kind, target, data_json, rb_buf_text(&who), rb_clock_wall()};
    int rc = rb_store_signal_sync(a->cli->store, &sig, &id, err);
    rb_buf_release(&who);
    return rc;
}

static void on_eof(void *arg)
{
    leave(arg);
}

static void on_signal(struct rb_signal *s, int signum)
{
    (void)signum;
    leave(s->handle.loop->data);
}

static void on_stop_key(struct rb_signal *s, int signum)
{
    struct attach *a = s->handle.loop->data;
    (void)signum;
    if (a->display->hide)
        a->display->hide(a->display);
    rb_store_suspend();
}

static void on_continue(struct rb_signal *s, int signum)
{
    struct attach *a = s->handle.loop->data;
    (void)signum;
    if (a->display->show)
        a->display->show(a->display);
    if (a->prompt)
        rb_prompt_resume(a->prompt);
}

static void watch_signals(struct attach *a)
{
    static const int numbers[SIG_COUNT] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT};
    a->loop.uv.data = a;
    for (size_t i = 0; i < SIG_COUNT; i++) {
        a->signals[i].on_signal = i < 3 ? on_signal : numbers[i] == SIGTSTP ? on_stop_key : on_continue;
        rb_loop_signal_add(&a->loop, &a->signals[i], numbers[i], NULL);
    }
}

static void last_words(struct attach *a)
{
    struct rb_buf next;
    rb_buf_init(&next, 64 << 10);
    rb_next_commands(a->cli, &a->view, a->left, &next);
    if (a->display->end)
        a->display->end(a->display, a->code, rb_buf_text(&next));
    if (a->left)
        rb_cli_note(a->cli, "run %s goes on without a watcher; `rbhost attach %s` comes back", a->view.id, a->view.id);
    else if (a->code)
        rb_cli_note(a->cli, "run %s: %s\nto go on:\n%s", a->view.id, a->view.status, rb_buf_text(&next));
    rb_buf_release(&next);
}

static int watch(struct attach *a)
{
    struct rb_err err;
    if (rb_loop_init(&a->loop, &err) < 0)
        return rb_cli_fail(a->cli, RB_EXIT_STORE, "%s", err.msg);
    watch_signals(a);
    a->display = rb_display_new(a->cli, &a->view, &a->loop);
    if (rb_cli_may_ask(a->cli))
        a->prompt =
            rb_prompt_new(&(struct rb_prompt_options){a->cli, &a->loop, &a->view, a->display, decide, on_eof, a});
    a->follow.loop = &a->loop;
    a->follow.store = a->cli->store;
    memcpy(a->follow.run, a->view.id, sizeof(a->follow.run));
    a->follow.on_event = on_event;
    a->follow.on_look = on_look;
    a->follow.arg = a;
    rb_follow_start(&a->follow, &err);
    rb_loop_run(&a->loop);
    if (!a->code && !a->left)
        a->code = rb_exit_of_status(a->view.status, RB_EXIT_WAITS);
    last_words(a);
    if (a->prompt)
        rb_prompt_free(a->prompt);
    a->display->free(a->display);
    rb_follow_stop(&a->follow);
    for (size_t i = 0; i < SIG_COUNT; i++)
        rb_loop_signal_remove(&a->loop, &a->signals[i]);
    rb_loop_release(&a->loop);
    return a->code;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct attach *a = rb_alloc(sizeof(*a));
    struct rb_run_row row = {0};
    (void)values;
    a->cli = cli;
    int code = rb_cli_run(cli, RB_CLI_WRITE, argc ? argv[0] : NULL, &row);
    if (!code) {
        rb_actor_self(&a->actor);
        rb_view_init(&a->view, row.id);
        code = watch(a);
        rb_view_release(&a->view);
    }
    rb_run_row_release(&row);
    free(a);
    return code;
}

const struct rb_cmd rb_cmd_attach = {
    .name = "attach",
    .group = "Run",
    .operands = "[RUN]",
    .summary = "watch a run that runs elsewhere, and answer its questions",
    .example = "rbhost attach 7h2mc",
    .text = "Ctrl-C leaves; the run goes on. The exit code is the run's when it ends meanwhile.",
    .max = 1,
    .operand = RB_ARG_RUN,
    .run = run,
};
