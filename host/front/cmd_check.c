/* rbhost check: what can be known to be wrong with runbooks without running them. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/nearest.h"
#include "engine/run.h"
#include "engine/runbook.h"
#include "front/cmds.h"
#include "front/display.h"
#include "front/text.h"

#define CHANNELS_MAX 1000 /* for the nearest name */

static void add(struct rb_cli *cli, struct rb_buf *out, const char *file, const struct rb_buf *findings, int errors,
                int warnings)
{
    const char *p = rb_buf_text(findings);
    struct rb_json j;
    if (cli->json <= 0) {
        rb_text_block(out, p, findings->len, "");
        if (findings->len)
            rb_buf_addc(out, '\n');
        return;
    }
    rb_json_init(&j, out);
    rb_json_object(&j);
    rb_json_ktext(&j, "file", file);
    rb_json_kint(&j, "errors", errors);
    rb_json_kint(&j, "warnings", warnings);
    rb_jsonout_lines(&j, "findings", p);
    rb_json_end_object(&j);
    rb_buf_addc(out, '\n');
}

/* Channels that the header's `notify` names and the configuration does not have: how many. */
static int check_channels(const struct rb_cli *cli, const char *file, struct rb_buf *findings)
{
    const json_t *known = json_object_get(cli->config, "channels");
    const char *names[CHANNELS_MAX], *key;
    struct rb_runbook book = {0};
    struct rb_err err;
    json_t *header, *states, *list, *one, *value;
    int found = 0;
    size_t n = 0, i;
    if (!cli->config_found || rb_runbook_peek(file, &book, &err)) {
        rb_runbook_release(&book);
        return 0;
    }
    json_object_foreach((json_t *)(uintptr_t)known, key, value) if (n < CHANNELS_MAX) names[n++] = key;
    header = json_loadb(rb_buf_text(&book.header), book.header.len, 0, NULL);
    states = json_object_get(header, "notify");
    json_object_foreach(states, key, list)
    {
        json_array_foreach(list, i, one)
        {
            const char *name = json_string_value(one);
            char member[64];
            if (!name || json_object_get(known, name))
                continue;
            snprintf(member, sizeof(member), "notify.%s", key);
            const char *near = rb_nearest(name, names, n);
            int line = rb_header_line(file, rb_buf_text(&book.text), book.text.len, member);
            rb_buf_addf(findings, "%s%s:%d:1: warning: %s: there is no channel %s in %s%s%s%s",
                        findings->len ? "\n" : "", file, line ? line : 1, member, name, cli->config_found,
                        near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
            found++;
        }
    }
    json_decref(header);
    rb_runbook_release(&book);
    return found;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct rb_buf out, findings;
    int errors = 0, warnings = 0, bad = 0;
    (void)values;
    int code = rb_cli_config(cli);
    if (code)
        return code;
    rb_buf_init(&out, 64u << 20);
    rb_buf_init(&findings, 16 << 20);
    for (int i = 0; i < argc; i++) {
        struct rb_err err;
        int w = 0;
        rb_buf_reset(&findings);
        int n = rb_runbook_check(argv[i], &findings, &w, &err);
        if (n < 0) {
            rb_cli_fail(cli, 0, "%s", err.msg);
            bad++;
            continue;
        }
        w += check_channels(cli, argv[i], &findings);
        errors += n;
        warnings += w;
        add(cli, &out, argv[i], &findings, n, w);
    }
    if (cli->json <= 0 && cli->quiet <= 0 && !bad)
        rb_buf_addf(&out, "%d file%s, %d error%s, %d warning%s\n", argc, argc == 1 ? "" : "s", errors,
                    errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
    code = rb_cli_put(&out, errors || bad ? RB_EXIT_USAGE : RB_EXIT_OK);
    rb_buf_release(&out);
    rb_buf_release(&findings);
    return code;
}

const struct rb_cmd rb_cmd_check = {
    .name = "check",
    .group = "Runbooks",
    .operands = "FILE ...",
    .summary = "find syntax errors, unknown names and options, bad headers",
    .example = "rbhost check *.lua",
    .text = "Exit code 2 when there is an error; warnings alone are 0.",
    .min = 1,
    .max = -1,
    .operand = RB_ARG_FILE,
    .run = run,
};
