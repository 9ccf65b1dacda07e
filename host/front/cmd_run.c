/* rbhost run: from a file or a name to a run. The rest is drive.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front/cmd.h"
#include "front/cmds.h"
#include "front/config.h"
#include "front/drive.h"
#include "front/freeze.h"
#include "front/params.h"
#include "front/prompt.h"

struct values {
    struct rb_go_options go;
    const char *params, *key, *limit;
    int dry;
};

static const struct rb_opt options[] = {
    {"dry", 'n', RB_OPT_BOOL, offsetof(struct values, dry), NULL,
     "reads happen, effects are listed as what would be done", 0},
    {"params", 'p', RB_OPT_TEXT, offsetof(struct values, params), "FILE",
     "parameters from a JSON file; - is standard input", RB_OPT_FILE},
    {"key", 'k', RB_OPT_TEXT, offsetof(struct values, key), "KEY", "idempotency: the same key returns the same run", 0},
    {"limit", 'l', RB_OPT_TEXT, offsetof(struct values, limit), "HOSTS",
     "narrows lists of hosts (ssh.hosts, ssh.each) to these: web[01-10],!web07,db*", RB_OPT_NOENV},
    RB_GO_OPTIONS(struct values, go),
    {0},
};

int rb_cmd_runbook_file(struct rb_cli *cli, const char *what, char *path, size_t n)
{
    struct stat st;
    struct rb_err err;
    size_t len = strlen(what);
    bool exists = stat(what, &st) == 0;
    bool file =
        (len > 4 && strcmp(what + len - 4, ".lua") == 0) || (exists && (S_ISREG(st.st_mode) || strchr(what, '/')));
    if (file || strncmp(what, "/", 1) == 0 || strncmp(what, "./", 2) == 0 || strncmp(what, "../", 3) == 0) {
        if ((size_t)snprintf(path, n, "%s", what) >= n)
            return rb_cli_fail(cli, RB_EXIT_USAGE, "the path of the runbook is too long");
        return RB_EXIT_OK;
    }
    int code = rb_cli_config(cli);
    if (code)
        return code;
    if (rb_config_runbook(cli->config, what, path, n, &err) < 0)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "%s", err.msg);
    return RB_EXIT_OK;
}

/* A destructive runbook starts only with its name, typed or by --confirm. A dry run destroys nothing. */
static int confirm(struct rb_cli *cli, const json_t *header, const char *given)
{
    const char *name = json_string_value(json_object_get(header, "name"));
    struct rb_buf answer;
    char question[400];
    if (!json_is_true(json_object_get(header, "destructive")) || !name)
        return RB_EXIT_OK;
    if (given && strcmp(given, name) == 0)
        return RB_EXIT_OK;
    if (given)
        return rb_cli_fail(cli, RB_EXIT_DENIED, "--confirm %s does not name this runbook, which is '%s'", given, name);
    if (!rb_cli_may_ask(cli))
        return rb_cli_fail(cli, RB_EXIT_DENIED, "'%s' is destructive: it starts only with --confirm %s", name, name);
    rb_buf_init(&answer, 4096);
    const char *environment = json_string_value(json_object_get(cli->config, "environment"));
    snprintf(question, sizeof(question), "This runbook is destructive%s%.40s. Type its name (%.200s) to start it: ",
             environment ? ", and this is " : "", environment ? environment : "", name);
    int rc = rb_prompt_read(question, false, &answer);
    bool same = rc == 0 && strcmp(rb_buf_text(&answer), name) == 0;
    rb_buf_release(&answer);
    return same ? RB_EXIT_OK : rb_cli_fail(cli, RB_EXIT_DENIED, "not confirmed; nothing was started");
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct values *v = values;
    char path[4096];
    struct rb_buf params, secret_from;
    struct rb_runbook book = {0};
    struct rb_err err;
    struct rb_drive_options o = {
        .how = RB_DRIVE_START, .file = path, .key = v->key, .limit = v->limit, .dry = v->dry > 0};
    int code = rb_cmd_runbook_file(cli, argv[0], path, sizeof(path));
    if (code)
        return code;
    rb_buf_init(&params, 64 << 20);
    rb_buf_init(&secret_from, 1 << 20);
    json_t *header = NULL;
    if (rb_runbook_peek(path, &book, &err) < 0)
        code = rb_cli_fail(cli, RB_EXIT_USAGE, "%s", err.msg);
    else {
        header = json_loadb(rb_buf_text(&book.header), book.header.len, JSON_ALLOW_NUL, NULL);
        o.name = json_string_value(json_object_get(header, "name"));
        code = rb_cli_config(cli);
        if (!code && !o.dry && !v->go.override_freeze) /* before anything is asked */
            code = rb_freeze_thaw(cli, o.name, NULL, NULL);
        if (!code)
            code = rb_params_read(cli, header, v->params, argv + 1, argc - 1, &params, &secret_from);
    }
    if (!code && !o.dry)
        code = confirm(cli, header, v->go.confirm);
    if (!code) {
        rb_drive_take(&o, &v->go);
        o.runbook = &book;
        o.params_json = rb_buf_text(&params);
        o.secret_from = secret_from.len ? rb_buf_text(&secret_from) : NULL;
        code = rb_drive(cli, &o);
    }
    json_decref(header);
    rb_runbook_release(&book);
    rb_buf_release(&params);
    rb_buf_release(&secret_from);
    return code;
}

const struct rb_cmd rb_cmd_run = {
    .name = "run",
    .group = "Run",
    .operands = "FILE|NAME [key=value ...]",
    .summary = "run a runbook",
    .example = "rbhost run promote.lua version=v1.2.3      # a file, with a parameter\n"
               "rbhost run deploy/web token=@token.txt     # by name below the runbook roots; a secret from a file\n"
               "rbhost run --dry promote.lua version=v2    # what would be done",
    .text =
        "A word that ends in .lua, begins with / or ./, or is a file that exists, is a file; anything else is a name "
        "below the\n"
        "runbook roots of the configuration.\n\n"
        "key=@FILE takes the content of a file without its last line end (the way to give a secret), key=@- standard\n"
        "input; key=@@x is the text @x. What --params has too, key=value replaces. On a terminal missing parameters "
        "are\n"
        "asked for.",
    .options = options,
    .values = sizeof(struct values),
    .min = 1,
    .max = -1,
    .operand = RB_ARG_RUNBOOK,
    .run = run,
};
