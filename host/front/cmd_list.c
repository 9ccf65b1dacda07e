/* rbhost list: the runbooks below the roots. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/run.h"
#include "front/cmds.h"
#include "front/config.h"
#include "front/text.h"

struct list {
    struct rb_cli *cli;
    struct rb_buf out;
};

static void each(void *arg, const char *name, const char *path)
{
    struct list *l = arg;
    struct rb_buf text;
    struct rb_err err;
    struct rb_json j;
    rb_buf_init(&text, 16 << 20);
    bool loads = rb_runbook_describe(path, &text, &err) == 0;
    json_t *header = loads ? json_loadb(rb_buf_text(&text), text.len, JSON_ALLOW_NUL, NULL) : NULL;
    const char *title = json_string_value(json_object_get(header, "title"));
    if (l->cli->json > 0) {
        rb_json_init(&j, &l->out);
        rb_json_object(&j);
        rb_json_ktext(&j, "name", name);
        rb_json_ktext(&j, "file", path);
        rb_json_ktext(&j, "title", title);
        if (!loads)
            rb_json_ktext(&j, "error", err.msg);
        rb_json_end_object(&j);
        rb_buf_addc(&l->out, '\n');
    } else if (l->cli->quiet > 0) {
        rb_buf_addf(&l->out, "%s\n", name);
    } else {
        const char *about = loads ? title ? title : "" : err.msg;
        rb_buf_addf(&l->out, *about ? "%-30s  %s" : "%s", name, loads ? "" : "does not load: ");
        rb_text_line(&l->out, about, strlen(about));
        rb_buf_addc(&l->out, '\n');
    }
    json_decref(header);
    rb_buf_release(&text);
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct list l = {.cli = cli};
    struct rb_err err;
    (void)values;
    (void)argc;
    (void)argv;
    int code = rb_cli_config(cli);
    if (code)
        return code;
    rb_buf_init(&l.out, 64u << 20);
    int n = rb_config_each(cli->config, each, &l, &err);
    if (n < 0)
        code = rb_cli_fail(cli, RB_EXIT_USAGE, "%s", err.msg);
    else if (n == 0)
        rb_cli_note(cli, "there are no runbooks (*.lua) below the roots");
    code = rb_cli_put(&l.out, code);
    rb_buf_release(&l.out);
    return code;
}

const struct rb_cmd rb_cmd_list = {
    .name = "list",
    .group = "Runbooks",
    .operands = "",
    .summary = "the runbooks below the configured roots",
    .example = "rbhost list",
    .run = run,
};
