/* Bare rbhost: what waits for you, each with the exact command. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "front/cmds.h"
#include "front/display.h"
#include "front/next.h"
#include "front/text.h"

struct status {
    struct rb_cli *cli;
    struct rb_buf out;
    /* collected first: reading one run inside the walk over all would nest two statements */
    char (*ids)[RB_RUN_ID_MAX];
    size_t n;
};

static int each(void *arg, const struct rb_run_row *row)
{
    struct status *s = arg;
    s->ids = rb_realloc(s->ids, (s->n + 1) * sizeof(*s->ids));
    memcpy(s->ids[s->n++], row->id, RB_RUN_ID_MAX);
    return 0;
}

static void add_json(struct status *s, const struct rb_run_row *row, const struct rb_view *v, bool owned)
{
    struct rb_json j;
    struct rb_buf next;
    rb_buf_init(&next, 64 << 10);
    rb_next_commands(s->cli, v, owned, &next);
    rb_json_init(&j, &s->out);
    rb_json_object(&j);
    rb_json_ktext(&j, "run", row->id);
    rb_json_ktext(&j, "runbook", row->runbook);
    rb_json_ktext(&j, "status", row->status);
    rb_json_kbool(&j, "owned", owned);
    rb_json_ktext(&j, "waiting", row->waiting);
    rb_json_ktext(&j, "error", row->error);
    rb_jsonout_lines(&j, "next", rb_buf_text(&next));
    rb_json_end_object(&j);
    rb_buf_addc(&s->out, '\n');
    rb_buf_release(&next);
}

static void add_text(struct status *s, const struct rb_run_row *row, const struct rb_view *v, bool owned)
{
    rb_buf_addf(&s->out, "%s  %s  %s", row->id, v->runbook ? v->runbook : "", rb_cmd_status_word(row, owned));
    const char *why = v->error ? v->error : strcmp(v->status, "parked") == 0 ? v->park : NULL;
    if (why && *why)
        rb_buf_addf(&s->out, ": %s", why);
    rb_buf_addc(&s->out, '\n');
    rb_next_open(s->cli, v, owned, &s->out);
    if (rb_next_advice(v))
        rb_buf_addf(&s->out, "  %s\n", rb_next_advice(v));
    if (!rb_view_asks(v)) {
        rb_buf_adds(&s->out, "      ");
        rb_next_first(s->cli, v, owned, &s->out);
        rb_buf_addc(&s->out, '\n');
    }
}

static int one(struct status *s, const char *id)
{
    struct rb_run_row row = {0};
    struct rb_view v;
    struct rb_err err;
    if (rb_store_run(s->cli->store, id, &row, &err) < 0)
        return RB_EXIT_OK; /* pruned meanwhile */
    bool owned = rb_cmd_owned(s->cli, &row);
    rb_view_init(&v, row.id);
    int rc = rb_view_load(&v, s->cli->store, &err);
    if (rc >= 0)
        rc = rb_view_load_signals(&v, s->cli->store, &err);
    /* A run that somebody drives and that asks nothing waits for nobody. */
    if (rc >= 0 && (!owned || rb_view_asks(&v))) {
        if (s->cli->json > 0)
            add_json(s, &row, &v, owned);
        else
            add_text(s, &row, &v, owned);
    }
    rb_view_release(&v);
    rb_run_row_release(&row);
    return rc < 0 ? rb_cli_fail(s->cli, RB_EXIT_STORE, "%s", err.msg) : RB_EXIT_OK;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct status s = {.cli = cli};
    static const char *const statuses[] = {"open", "failed"};
    struct rb_err err;
    (void)values;
    (void)argc;
    (void)argv;
    int code = rb_cli_store(cli, NULL, RB_CLI_READ);
    if (code)
        return code;
    rb_buf_init(&s.out, 64u << 20);
    for (size_t i = 0; i < RB_COUNT(statuses) && cli->store && !code; i++) {
        struct rb_run_filter f = {.status = statuses[i], .limit = 50};
        if (rb_store_runs(cli->store, &f, each, &s, &err) < 0)
            code = rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    }
    for (size_t i = 0; i < s.n && !code; i++)
        code = one(&s, s.ids[i]);
    if (!code && !s.out.len && cli->json <= 0)
        rb_buf_adds(&s.out, "Nothing waits for you. `rbhost run FILE` starts a runbook, `rbhost ls` lists the runs, "
                            "`rbhost help` says more.\n");
    code = rb_cli_put(&s.out, code);
    free(s.ids);
    rb_buf_release(&s.out);
    return code;
}

const struct rb_cmd rb_cmd_status = {
    .name = "",
    .group = "Look",
    .operands = "",
    .summary = "what waits for you: gates, doubts, failed and parked runs",
    .example = "rbhost",
    .run = run,
};
