/* rbhost describe: what a runbook is, takes and may reach, from its header. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/run.h"
#include "front/cmds.h"
#include "front/freeze.h"
#include "front/reach.h"
#include "front/text.h"

static void add_names(struct rb_buf *out, const json_t *v)
{
    size_t i;
    json_t *e;
    if (!json_is_array(v)) {
        rb_text_value(out, v);
        return;
    }
    json_array_foreach((json_t *)v, i, e)
    {
        rb_buf_adds(out, i ? ", " : "");
        rb_text_value(out, e);
    }
}

static void field(struct rb_buf *out, const char *name, const json_t *v)
{
    if (!v || json_is_null(v))
        return;
    rb_buf_addf(out, "%-11s ", name);
    add_names(out, v);
    rb_buf_addc(out, '\n');
}

/* Who is told what: "failed: ops, mail; waiting: ops". */
static void add_notify(struct rb_buf *out, const json_t *notify)
{
    const char *state, *between = "";
    json_t *v;
    if (!json_object_size(notify))
        return;
    rb_buf_addf(out, "%-11s ", "notify");
    json_object_foreach((json_t *)notify, state, v)
    {
        rb_buf_addf(out, "%s%s: ", between, state);
        add_names(out, v);
        between = "; ";
    }
    rb_buf_addc(out, '\n');
}

static void add_param(struct rb_buf *out, const json_t *p)
{
    static const char *const shown[] = {"default", "choices", "min", "max", "match", "of"};
    const char *name = json_string_value(json_object_get(p, "name")),
               *type = json_string_value(json_object_get(p, "type"));
    const char *help = json_string_value(json_object_get(p, "help"));
    rb_buf_addf(out, "  %-12s %-9s", name ? name : "?", type ? type : "string");
    if (json_is_true(json_object_get(p, "required")))
        rb_buf_adds(out, " required");
    for (size_t i = 0; i < RB_COUNT(shown); i++) {
        const json_t *v = json_object_get(p, shown[i]);
        if (!v || json_is_null(v))
            continue;
        rb_buf_addf(out, " %s ", shown[i]);
        add_names(out, v);
    }
    if (help && *help) {
        rb_buf_adds(out, "  ");
        rb_text_line(out, help, strlen(help));
    }
    rb_buf_addc(out, '\n');
}

static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *dir = slash ? rb_strndup(file, slash == file ? 1 : (size_t)(slash - file)) : rb_strdup(".");
    char *real = realpath(dir, NULL);
    free(dir);
    return real;
}

/* Frozen now? "until 2027-01-04 06:00:00: holidays". */
static bool frozen(const json_t *policy, const json_t *header, struct rb_buf *out, struct rb_freeze *f)
{
    const char *name = json_string_value(json_object_get(header, "name"));
    char at[24];
    if (!name || !rb_freeze_at(policy, name, rb_clock_wall(), f))
        return false;
    rb_text_time(f->until, at);
    rb_buf_addf(out, "until %s: ", at);
    rb_text_line(out, f->reason ? f->reason : "", f->reason ? strlen(f->reason) : 0);
    return true;
}

static void print(struct rb_buf *out, const json_t *header, const char *file, const json_t *config)
{
    static const char *const handled[] = {"name", "title", "params", "allow", "notify", "destructive"};
    const json_t *policy = json_object_get(config, "policy"), *params = json_object_get(header, "params");
    const char *name;
    struct rb_freeze f;
    size_t i;
    json_t *v;
    field(out, "runbook", json_object_get(header, "name"));
    field(out, "title", json_object_get(header, "title"));
    rb_buf_addf(out, "%-11s ", "file");
    rb_text_line(out, file, strlen(file));
    rb_buf_addc(out, '\n');
    field(out, "environment", json_object_get(config, "environment"));
    if (json_is_true(json_object_get(header, "destructive")))
        rb_buf_addf(out, "%-11s yes: it starts only with its name, typed or by --confirm\n", "destructive");
    struct rb_buf freeze;
    rb_buf_init(&freeze, 4096);
    if (frozen(policy, header, &freeze, &f))
        rb_buf_addf(out, "%-11s %s\n", "frozen", rb_buf_text(&freeze));
    rb_buf_release(&freeze);
    json_object_foreach((json_t *)header, name, v)
    {
        size_t k = 0;
        while (k < RB_COUNT(handled) && strcmp(handled[k], name) != 0)
            k++;
        if (k == RB_COUNT(handled) && !json_is_false(v) && !(json_is_array(v) && !json_array_size(v)))
            field(out, name, v);
    }
    add_notify(out, json_object_get(header, "notify"));
    const json_t *allow = json_object_get(header, "allow");
    if (allow || json_object_get(policy, "allow") || json_object_get(policy, "deny")) {
        rb_buf_adds(out, "may reach\n");
        char *folder = folder_of(file);
        rb_reach_lines(allow, policy, folder, out);
        free(folder);
    } else {
        rb_buf_addf(out, "%-11s everything: its header has no `allow`\n", "may reach");
    }
    rb_buf_adds(out, json_array_size(params) ? "parameters\n" : "no parameters\n");
    json_array_foreach((json_t *)params, i, v) add_param(out, v);
}

/* The header, and what this site makes of it. */
static void print_json(struct rb_buf *out, json_t *header, const char *file, const json_t *config, json_t *secrets)
{
    const json_t *policy = json_object_get(config, "policy"), *environment = json_object_get(config, "environment");
    struct rb_buf ignored;
    struct rb_freeze f;
    char *folder = folder_of(file);
    json_object_set_new(header, "reach", rb_reach_json(json_object_get(header, "allow"), policy, folder));
    free(folder);
    if (json_object_size(secrets))
        json_object_set(header, "secrets", secrets);
    if (environment)
        json_object_set(header, "environment", (json_t *)(uintptr_t)environment);
    rb_buf_init(&ignored, 4096);
    if (frozen(policy, header, &ignored, &f)) {
        char at[32];
        rb_clock_format(f.until, at);
        json_object_set_new(header, "frozen", json_pack("{s:s,s:s?}", "until", at, "reason", f.reason));
    }
    rb_buf_release(&ignored);
    char *text = json_dumps(header, JSON_COMPACT);
    rb_buf_adds(out, text ? text : "{}");
    rb_buf_addc(out, '\n');
    free(text);
}

/* What kind of source the configuration has for a secret; NULL none. */
static const char *source_of(const struct rb_cli *cli, const char *name)
{
    const json_t *source = json_object_get(json_object_get(cli->config, "secrets"), name);
    void *first = json_object_iter((json_t *)(uintptr_t)source);
    return first ? json_object_iter_key(first) : NULL;
}

/* [new reference] {name: kind of its source | null} of the secrets that the runbook names in its text and has as
 * parameters. */
static json_t *secrets_of(struct rb_cli *cli, const json_t *header, const char *file)
{
    json_t *found = json_object(), *names, *p;
    struct rb_buf text;
    struct rb_err err;
    size_t i;
    rb_buf_init(&text, 1 << 20);
    names = rb_runbook_secrets(file, &text, &err) < 0 ? json_array() : json_loads(rb_buf_text(&text), 0, NULL);
    json_array_foreach(json_object_get(header, "params"), i, p)
    {
        const char *type = json_string_value(json_object_get(p, "type"));
        if (type && strcmp(type, "secret") == 0)
            json_array_append(names, json_object_get(p, "name"));
    }
    json_array_foreach(names, i, p)
    {
        const char *kind = source_of(cli, json_string_value(p));
        json_object_set_new(found, json_string_value(p), kind ? json_string(kind) : json_null());
    }
    rb_buf_release(&text);
    json_decref(names);
    return found;
}

static void print_secrets(struct rb_buf *out, const json_t *header, const json_t *secrets)
{
    const char *name;
    json_t *kind, *p;
    size_t i;
    rb_buf_adds(out, "secrets\n");
    json_object_foreach((json_t *)(uintptr_t)secrets, name, kind)
    {
        bool param = false;
        json_array_foreach(json_object_get(header, "params"), i, p)
        {
            const char *of = json_string_value(json_object_get(p, "name"));
            param = param || (of && strcmp(of, name) == 0);
        }
        rb_buf_adds(out, "  ");
        rb_text_line(out, name, strlen(name));
        if (json_is_string(kind))
            rb_buf_addf(out, "  from its source in the configuration (%s)\n", json_string_value(kind));
        else
            rb_buf_adds(out, param ? "  given as a parameter\n" : "  has no source in the configuration\n");
    }
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    char path[4096];
    struct rb_buf text, out;
    struct rb_err err;
    (void)values;
    (void)argc;
    int code = rb_cmd_runbook_file(cli, argv[0], path, sizeof(path));
    if (!code)
        code = rb_cli_config(cli);
    if (code)
        return code;
    rb_buf_init(&text, 16 << 20);
    rb_buf_init(&out, 64u << 20);
    if (rb_runbook_describe(path, &text, &err) < 0) {
        code = rb_cli_fail(cli, RB_EXIT_USAGE, "%s", err.msg);
    } else {
        json_t *header = json_loadb(rb_buf_text(&text), text.len, JSON_ALLOW_NUL, NULL);
        json_t *secrets = secrets_of(cli, header, path);
        if (cli->json > 0)
            print_json(&out, header, path, cli->config, secrets);
        else
            print(&out, header, path, cli->config);
        if (cli->json <= 0 && json_object_size(secrets))
            print_secrets(&out, header, secrets);
        json_decref(secrets);
        json_decref(header);
    }
    code = rb_cli_put(&out, code);
    rb_buf_release(&text);
    rb_buf_release(&out);
    return code;
}

const struct rb_cmd rb_cmd_describe = {
    .name = "describe",
    .group = "Runbooks",
    .operands = "FILE|NAME",
    .summary = "what a runbook takes and may reach",
    .example = "rbhost describe promote.lua",
    .min = 1,
    .max = 1,
    .operand = RB_ARG_RUNBOOK,
    .run = run,
};
