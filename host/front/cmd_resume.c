/* rbhost resume, retry, undo: three ways to go on with a run that exists. What they do is drive.c's and the
 * engine's. */
#include <stdlib.h>
#include <string.h>

#include "front/cmds.h"
#include "front/drive.h"
#include "front/params.h"

struct values {
    struct rb_go_options go;
    int64_t op, skip;
    int take_back;
};

#define TAKE_BACK(what) \
    { \
        "take-back", 0, RB_OPT_BOOL, offsetof(struct values, take_back), NULL, what, 0 \
    }

static const struct rb_opt resume_options[] = {
    TAKE_BACK("also a run that was exported from here, or in an older copy of the journal"),
    RB_GO_OPTIONS(struct values, go),
    {0},
};

static const struct rb_opt retry_options[] = {
    {"op", 0, RB_OPT_NUMBER, offsetof(struct values, op), "N", "do operation N again instead of what failed", 0},
    {"skip", 0, RB_OPT_NUMBER, offsetof(struct values, skip), "N", "count operation N as done; needs --reason", 0},
    TAKE_BACK("also in an older copy of the journal"),
    RB_GO_OPTIONS(struct values, go),
    {0},
};

static const struct rb_opt undo_options[] = {
    {"skip", 0, RB_OPT_NUMBER, offsetof(struct values, skip), "N", "leave compensation N out; needs --reason", 0},
    TAKE_BACK("also in an older copy of the journal"),
    RB_GO_OPTIONS(struct values, go),
    {0},
};

/* words: the run, then secrets that are given again because they are kept nowhere (key=@FILE, key=@-). */
static int go_on(struct rb_cli *cli, const struct values *v, int n, char **words, struct rb_drive_options *o)
{
    struct rb_run_row row = {0};
    struct rb_buf secrets;
    int first = n && strchr(words[0], '=') ? 0 : 1;
    const char *which = n && first ? words[0] : NULL;
    if (o->skip && (!v->go.reason || !*v->go.reason))
        return rb_cli_fail(cli, RB_EXIT_USAGE, "--skip %lld needs --reason: why is it right to leave it out?",
                           (long long)o->skip);
    int code = rb_cli_run(cli, RB_CLI_READ, which, &row);
    if (code)
        return code;
    rb_buf_init(&secrets, 64 << 20);
    if (n > first) {
        for (int i = first; i < n && !code; i++)
            if (!strstr(words[i], "=@"))
                code = rb_cli_fail(cli, RB_EXIT_USAGE,
                                   "'%s': a run keeps the parameters it was started with; only secrets are given "
                                   "again: key=@FILE or key=@-",
                                   words[i]);
        if (!code)
            code = rb_params_read(cli, NULL, NULL, words + first, n - first, &secrets, NULL);
    }
    if (!code) {
        rb_drive_take(o, &v->go);
        o->id = row.id;
        o->name = row.runbook;
        o->params_json = secrets.len ? rb_buf_text(&secrets) : NULL;
        code = rb_drive(cli, o);
    }
    rb_run_row_release(&row);
    rb_buf_release(&secrets);
    return code;
}

static int resume(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct values *v = values;
    struct rb_drive_options o = {.how = RB_DRIVE_RESUME, .take_back = v->take_back > 0};
    return go_on(cli, v, argc, argv, &o);
}

static int retry(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct values *v = values;
    if (v->op && v->skip)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "--op does an operation again, --skip leaves one out: say one of them");
    struct rb_drive_options o = {.how = RB_DRIVE_RETRY, .op = v->op, .skip = v->skip, .take_back = v->take_back > 0};
    return go_on(cli, v, argc, argv, &o);
}

static int undo(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct values *v = values;
    struct rb_drive_options o = {.how = RB_DRIVE_UNDO, .skip = v->skip, .take_back = v->take_back > 0};
    return go_on(cli, v, argc, argv, &o);
}

const struct rb_cmd rb_cmd_resume = {
    .name = "resume",
    .group = "Run",
    .operands = "[RUN] [key=@FILE ...]",
    .summary = "go on with a parked, waiting or in-doubt run",
    .example = "rbhost resume             # the latest run\n"
               "rbhost resume 7h2mc       # one run, by the end of its id",
    .text = "What was recorded is not done again. A run that has failed goes on with `rbhost retry`. A secret that was "
            "read from\n"
            "a file is read there again; one that came from standard input is given anew: key=@FILE or key=@-.",
    .options = resume_options,
    .values = sizeof(struct values),
    .max = -1,
    .operand = RB_ARG_RUN,
    .run = resume,
};

const struct rb_cmd rb_cmd_retry = {
    .name = "retry",
    .group = "Run",
    .operands = "RUN [key=@FILE ...]",
    .summary = "go on with a failed run from where it failed",
    .example = "rbhost retry 7h2mc\n"
               "rbhost retry 7h2mc --skip 14 --reason \"restarted by hand\"",
    .text = "Voids the failing outcome and what it cancelled; everything that succeeded is kept.",
    .options = retry_options,
    .values = sizeof(struct values),
    .min = 1,
    .max = -1,
    .operand = RB_ARG_RUN,
    .run = retry,
};

const struct rb_cmd rb_cmd_undo = {
    .name = "undo",
    .group = "Run",
    .operands = "RUN [key=@FILE ...]",
    .summary = "run the registered compensations, the last one first",
    .example = "rbhost undo 7h2mc\n"
               "rbhost undo 7h2mc --skip 2 --reason \"the host is gone\"",
    .text = "`rbhost show RUN` lists them with their numbers. One that fails keeps those that are left.",
    .options = undo_options,
    .values = sizeof(struct values),
    .min = 1,
    .max = -1,
    .operand = RB_ARG_RUN,
    .run = undo,
};
