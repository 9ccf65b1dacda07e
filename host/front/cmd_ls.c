/* rbhost ls: the runs of a journal, newest first. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "front/cmds.h"
#include "front/display.h"
#include "front/next.h"
#include "front/text.h"

struct values {
    const char *status, *runbook, *before;
    int64_t limit;
    int all;
};

static const struct rb_opt options[] = {
    {"status", 's', RB_OPT_TEXT, offsetof(struct values, status), "STATUS",
     "only runs with this status; \"open\": all that can go on", 0},
    {"runbook", 'r', RB_OPT_TEXT, offsetof(struct values, runbook), "NAME", "only runs of this runbook", 0},
    {"before", 0, RB_OPT_TEXT, offsetof(struct values, before), "RUN", "only runs older than this one (pages)", 0},
    {"limit", 'n', RB_OPT_NUMBER, offsetof(struct values, limit), "N", "at most this many (default 50)", 0},
    {"all", 'a', RB_OPT_BOOL, offsetof(struct values, all), NULL, "no limit", 0},
    {0},
};

enum { COLUMNS = 6 };

struct table {
    struct rb_cli *cli;
    struct rb_buf out; /* JSON lines, or ids */
    char *(*rows)[COLUMNS];
    size_t n;
    size_t width[COLUMNS];
};

const char *rb_cmd_status_word(const struct rb_run_row *row, bool owned)
{
    static const char *const live[] = {"running", "undoing"};
    for (size_t i = 0; i < RB_COUNT(live); i++)
        if (!owned && strcmp(row->status, live[i]) == 0)
            return "interrupted";
    return row->status;
}

bool rb_cmd_owned(struct rb_cli *cli, const struct rb_run_row *row)
{
    return row->owner && *row->owner && rb_store_owner_alive(cli->store, row->owner);
}

int rb_cmd_over(struct rb_cli *cli, const char *id, int64_t seen, bool *over, struct rb_err *err)
{
    *over = true;
    for (int i = 0; i < 2 && *over; i++) { /* its last words may come between the row and the look for its process */
        struct rb_run_row row = {0};
        int rc = rb_store_run(cli->store, id, &row, err);
        if (rc < 0)
            return rc;
        *over = !rb_cmd_owned(cli, &row) && row.seq <= seen;
        rb_run_row_release(&row);
    }
    return RB_OK;
}

static void add_json(struct table *t, const struct rb_run_row *row, bool owned)
{
    struct rb_json j;
    rb_json_init(&j, &t->out);
    rb_json_object(&j);
    rb_json_ktext(&j, "id", row->id);
    rb_json_ktext(&j, "runbook", row->runbook);
    rb_json_ktext(&j, "title", row->title);
    rb_json_ktext(&j, "status", row->status);
    rb_json_kbool(&j, "owned", owned);
    rb_json_ktext(&j, "actor", row->actor);
    rb_json_ktext(&j, "waiting", row->waiting);
    rb_json_ktext(&j, "error", row->error);
    rb_json_ktext(&j, "key", row->key);
    rb_json_kint(&j, "seq", row->seq);
    rb_jsonout_time(&j, "created", row->created);
    rb_jsonout_time(&j, "updated", row->updated);
    rb_jsonout_time(&j, "ended", row->ended);
    rb_jsonout_time(&j, "wake", row->wake);
    rb_json_end_object(&j);
    rb_buf_addc(&t->out, '\n');
}

static char *cell(const char *text)
{
    struct rb_buf b;
    rb_buf_init(&b, 1024);
    rb_text_line(&b, text ? text : "", text ? strlen(text) : 0);
    char *s = rb_buf_detach(&b);
    return s ? s : rb_strdup("");
}

static int each(void *arg, const struct rb_run_row *row)
{
    struct table *t = arg;
    bool owned = rb_cmd_owned(t->cli, row);
    char at[24], span[16];
    if (t->cli->json > 0) {
        add_json(t, row, owned);
        return 0;
    }
    if (t->cli->quiet > 0) {
        rb_buf_addf(&t->out, "%s\n", row->id);
        return 0;
    }
    rb_text_time(row->created, at);
    rb_clock_span((row->ended ? row->ended : owned ? rb_clock_wall() : row->updated) - row->created, span);
    t->rows = rb_realloc(t->rows, (t->n + 1) * sizeof(*t->rows));
    char **c = t->rows[t->n++];
    c[0] = cell(row->id);
    c[1] = cell(row->runbook);
    c[2] = cell(rb_cmd_status_word(row, owned));
    c[3] = cell(at);
    c[4] = cell(span);
    c[5] = cell(row->waiting && *row->waiting ? row->waiting : row->error);
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t w = rb_text_width(c[i], strlen(c[i]));
        if (w > t->width[i])
            t->width[i] = w;
    }
    return 0;
}

static void print(struct table *t)
{
    static const char *const heads[COLUMNS] = {"RUN", "RUNBOOK", "STATUS", "STARTED", "TOOK", "WAITS FOR"};
    if (!t->n)
        return;
    for (size_t i = 0; i < COLUMNS; i++)
        if (strlen(heads[i]) > t->width[i])
            t->width[i] = strlen(heads[i]);
    for (size_t r = 0; r <= t->n; r++) {
        size_t before = 0;
        for (size_t i = 0; i < COLUMNS; i++) {
            const char *text = r ? t->rows[r - 1][i] : heads[i];
            size_t w = rb_text_width(text, strlen(text));
            bool last = i + 1 == COLUMNS;
            if (last && !*text)
                break;
            rb_text_pad(&t->out, before);
            rb_buf_adds(&t->out, text);
            before = t->width[i] - w + 2;
        }
        rb_buf_addc(&t->out, '\n');
    }
    for (size_t r = 0; r < t->n; r++)
        for (size_t i = 0; i < COLUMNS; i++)
            free(t->rows[r][i]);
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct values *v = values;
    struct rb_run_row before = {0};
    struct rb_err err;
    struct table t = {.cli = cli};
    (void)argc;
    (void)argv;
    int code = rb_cli_store(cli, NULL, RB_CLI_READ);
    if (code)
        return code;
    rb_buf_init(&t.out, 1u << 30);
    if (cli->store && v->before) {
        code = rb_cli_run(cli, RB_CLI_READ, v->before, &before);
        if (code)
            return code;
    }
    struct rb_run_filter f = {v->status, v->runbook, v->before ? before.id : NULL,
                              v->all > 0 ? INT32_MAX : (int)(v->limit ? v->limit : 50)};
    if (v->limit > INT32_MAX)
        f.limit = INT32_MAX;
    if (cli->store && rb_store_runs(cli->store, &f, each, &t, &err) < 0)
        code = rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    rb_text_locale();
    size_t n = t.n;
    print(&t);
    if (!code && !n && !t.out.len && cli->json <= 0)
        rb_cli_note(cli, cli->store ? "no such run" : "nothing has run yet (no journal at %s)", cli->journal_path);
    code = rb_cli_put(&t.out, code);
    free(t.rows);
    rb_buf_release(&t.out);
    rb_run_row_release(&before);
    return code;
}

const struct rb_cmd rb_cmd_ls = {
    .name = "ls",
    .group = "Look",
    .operands = "",
    .summary = "the runs, newest first",
    .example = "rbhost ls\n"
               "rbhost ls --status failed --runbook promote\n"
               "rbhost ls --json --all",
    .text = "A run whose process died shows as \"interrupted\"; `rbhost resume` goes on with it. -q prints only ids.",
    .options = options,
    .values = sizeof(struct values),
    .run = run,
};
