/* rbhost log: the events of a run, as lines or JSON, and as they come. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/cmds.h"
#include "front/display.h"
#include "front/follow.h"

struct values {
    int follow;
    int64_t after;
};

static const struct rb_opt options[] = {
    {"follow", 'f', RB_OPT_BOOL, offsetof(struct values, follow), NULL, "go on until the run stops", 0},
    {"after", 0, RB_OPT_NUMBER, offsetof(struct values, after), "SEQ", "only events after this one", 0},
    {0},
};

struct log {
    struct rb_cli *cli;
    struct rb_loop loop;
    struct rb_follow follow;
    struct rb_view view;
    int64_t after;
    struct rb_buf out;
    bool closed; /* nobody reads */
    int code;
};

static void flush(struct log *l)
{
    if (!l->closed && !rb_cli_write(STDOUT_FILENO, rb_buf_text(&l->out), l->out.len))
        l->closed = true;
    rb_buf_reset(&l->out);
}

static int on_event(void *arg, const struct rb_event *ev)
{
    struct log *l = arg;
    json_t *data;
    struct rb_node *node = rb_view_event(&l->view, ev, &data);
    if (ev->seq > l->after) {
        if (l->cli->json > 0)
            rb_jsonout_event(&l->out, l->view.id, ev);
        else if (rb_plain_event(&l->out, l->view.id, ev, node, data))
            rb_buf_addc(&l->out, '\n');
    }
    json_decref(data);
    if (l->out.len > 64 << 10)
        flush(l);
    return l->closed;
}

static bool is_over(struct log *l)
{
    struct rb_err err;
    bool over = false;
    return rb_cmd_over(l->cli, l->view.id, l->follow.seq, &over, &err) < 0 || over;
}

static void on_look(void *arg, int rc, const struct rb_err *err)
{
    struct log *l = arg;
    flush(l);
    if (rc < 0)
        l->code = rb_cli_fail(l->cli, RB_EXIT_STORE, "%s", err->msg);
    if (rc < 0 || l->closed || is_over(l))
        rb_loop_stop(&l->loop);
}

static int follow(struct log *l)
{
    struct rb_err err;
    if (rb_loop_init(&l->loop, &err) < 0)
        return rb_cli_fail(l->cli, RB_EXIT_STORE, "%s", err.msg);
    l->follow.loop = &l->loop;
    l->follow.store = l->cli->store;
    memcpy(l->follow.run, l->view.id, sizeof(l->follow.run));
    l->follow.on_event = on_event;
    l->follow.on_look = on_look;
    l->follow.arg = l;
    rb_follow_start(&l->follow, &err);
    rb_loop_run(&l->loop);
    rb_follow_stop(&l->follow);
    rb_loop_release(&l->loop);
    return l->code;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct values *v = values;
    struct rb_run_row row = {0};
    struct rb_err err;
    struct log l = {.cli = cli, .after = v->after};
    int code = rb_cli_run(cli, RB_CLI_READ, argc ? argv[0] : NULL, &row);
    if (code)
        return code;
    rb_buf_init(&l.out, 1u << 30);
    rb_view_init(&l.view, row.id);
    if (cli->json > 0)
        rb_jsonout_version(&l.out);
    if (v->follow > 0)
        code = follow(&l);
    else if (rb_store_events(cli->store, row.id, 0, on_event, &l, &err) < 0)
        code = rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    flush(&l);
    rb_view_release(&l.view);
    rb_buf_release(&l.out);
    rb_run_row_release(&row);
    return code ? code : l.closed ? RB_EXIT_PIPE : RB_EXIT_OK;
}

const struct rb_cmd rb_cmd_log = {
    .name = "log",
    .group = "Look",
    .operands = "[RUN]",
    .summary = "the events of a run, as they come with -f",
    .example = "rbhost log 7h2mc -f\n"
               "rbhost log 7h2mc --json | jq -c 'select(.kind == \"result\")'",
    .text = "Without RUN: the latest. The kinds of events are in docs/journal.md.",
    .options = options,
    .values = sizeof(struct values),
    .max = 1,
    .operand = RB_ARG_RUN,
    .run = run,
};
