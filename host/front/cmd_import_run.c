/* rbhost import-run: takes a run that was exported elsewhere into this journal. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "front/cmds.h"
#include "front/move.h"

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct rb_run_row row = {0};
    struct rb_err err;
    (void)values;
    (void)argc;
    if (access(argv[0], R_OK) != 0)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "there is no file %s that can be read", argv[0]);
    int code = rb_cli_store(cli, NULL, RB_CLI_CREATE);
    if (code)
        return code;
    int rc = rb_store_import(cli->store, argv[0], &row, &err);
    if (rc < 0)
        return rb_cli_fail(cli, rb_cli_exit_of(rc), "%s is not imported: %s", argv[0], err.msg);
    char was[24];
    if (strcmp(row.status, "moved") == 0) {
        rc = rb_move_was(cli->store, row.id, was, &err);
        if (rc >= 0)
            rc = rb_move_mark(cli->store, row.id, was, "from", argv[0], NULL, &err);
        if (rc < 0) {
            rb_cli_fail(cli, 0, "run %s is here, but can not go on yet: %s", row.id, err.msg);
            rb_run_row_release(&row);
            return rb_cli_exit_of(rc);
        }
    }
    rb_cli_note(cli, "`rbhost resume %s` goes on with it", row.id);
    struct rb_buf out;
    rb_buf_init(&out, 256);
    rb_buf_addf(&out, cli->json > 0 ? "{\"run\":\"%s\"}\n" : "%s\n", row.id);
    code = rb_cli_put(&out, RB_EXIT_OK);
    rb_buf_release(&out);
    rb_run_row_release(&row);
    return code;
}

const struct rb_cmd rb_cmd_import_run = {
    .name = "import-run",
    .group = "Journal",
    .operands = "FILE",
    .summary = "take in a run that was exported elsewhere; prints its id",
    .example = "rbhost import-run promote.rbrun && rbhost resume",
    .min = 1,
    .max = 1,
    .operand = RB_ARG_FILE,
    .run = run,
};
