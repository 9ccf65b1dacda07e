/* rbhost export: a run leaves this journal as `moved`, in a file of its own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "front/cmds.h"
#include "front/move.h"
#include "front/text.h"

struct values {
    const char *output;
};

static const struct rb_opt options[] = {
    {"output", 'o', RB_OPT_TEXT, offsetof(struct values, output), "FILE", "where to (default RUN.rbrun)", RB_OPT_FILE},
    {0},
};

/* Ends it here first: two journals that both go on with one run would be worse than a run that must be taken back. */
static int move_out(struct rb_cli *cli, const struct rb_run_row *row, const char *to, struct rb_err *err)
{
    static const char *const over[] = {"succeeded", "cancelled", "denied", "undone", "moved"};
    bool running = strcmp(row->status, "running") == 0;
    struct rb_err ignored;
    for (size_t i = 0; i < RB_COUNT(over); i++)
        if (strcmp(row->status, over[i]) == 0)
            return rb_err_set(err, RB_EINVAL,
                              strcmp(over[i], "moved") == 0
                                  ? "it was exported before; `rbhost resume %s --take-back` first"
                                  : "run %s is over, nothing can go on elsewhere",
                              row->id);
    if (access(to, F_OK) == 0)
        return rb_err_set(err, RB_EEXIST, "%s exists already; give the name of a new file", to);
    int rc = rb_move_mark(cli->store, row->id, "moved", "to", to, running ? "parked" : row->status, err);
    if (rc < 0)
        return rc;
    rc = rb_store_export(cli->store, row->id, to, err);
    if (rc < 0)
        rb_move_mark(cli->store, row->id, running ? "parked" : row->status, "from", to, NULL, &ignored);
    return rc;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    const struct values *v = values;
    struct rb_run_row row = {0};
    struct rb_err err;
    char to[4096];
    (void)argc;
    int code = rb_cli_run(cli, RB_CLI_WRITE, argv[0], &row);
    if (code)
        return code;
    if (v->output)
        snprintf(to, sizeof(to), "%s", v->output);
    else
        snprintf(to, sizeof(to), "%s.rbrun", row.id);
    struct rb_buf quoted;
    rb_buf_init(&quoted, 8192);
    rb_text_shell(&quoted, to);
    if (rb_cmd_owned(cli, &row)) {
        code =
            rb_cli_fail(cli, RB_EXIT_USAGE, "run %s is being driven; `rbhost pause %s` stops it first", row.id, row.id);
    } else {
        int rc = move_out(cli, &row, to, &err);
        if (rc < 0)
            code = rb_cli_fail(cli, rb_cli_exit_of(rc), "run %s is not exported: %s", row.id, err.msg);
        else if (cli->json > 0) {
            struct rb_buf out;
            struct rb_json j;
            rb_buf_init(&out, 64 << 10);
            rb_json_init(&j, &out);
            rb_json_object(&j);
            rb_json_ktext(&j, "run", row.id);
            rb_json_ktext(&j, "file", to);
            rb_json_end_object(&j);
            rb_buf_addc(&out, '\n');
            code = rb_cli_put(&out, RB_EXIT_OK);
            rb_buf_release(&out);
        } else {
            rb_cli_note(cli,
                        "run %s is in %s now and does not go on here. There: rbhost import-run %s && rbhost resume %s",
                        row.id, to, rb_buf_text(&quoted), row.id);
        }
    }
    rb_buf_release(&quoted);
    rb_run_row_release(&row);
    return code;
}

const struct rb_cmd rb_cmd_export = {
    .name = "export",
    .group = "Journal",
    .operands = "RUN",
    .summary = "move a paused run into a file, to go on elsewhere",
    .example = "rbhost export 7h2mc -o promote.rbrun",
    .text = "The run ends here as \"moved\"; `rbhost resume RUN --take-back` is the way back.",
    .options = options,
    .values = sizeof(struct values),
    .min = 1,
    .max = 1,
    .operand = RB_ARG_RUN,
    .run = run,
};
