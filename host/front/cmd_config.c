/* rbhost config show, config check: what is set, and where it was said. Fetches no secret: a secret is shown as the
 * place that it comes from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/run.h"
#include "front/cmds.h"
#include "front/config.h"
#include "front/text.h"

struct values {
    int origin;
};

static const struct rb_opt options[] = {
    {"origin", 0, RB_OPT_BOOL, offsetof(struct values, origin), NULL,
     "say where each comes from: a line of the file, the environment, an option, or nowhere (default)", RB_OPT_NOENV},
    {0},
};

/* Where a setting was said. */
struct origin {
    const char *kind; /* "default", "file", "environment", "option" */
    const char *file; /* FILE */
    int line;
    char name[80]; /* of the variable or the option */
};

struct shown {
    struct rb_cli *cli;
    const struct values *v;
    struct rb_buf out;
};

static void show(struct shown *s, const char *key, const json_t *value, const struct origin *o)
{
    struct rb_json j;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (s->cli->json > 0) {
        rb_json_init(&j, &s->out);
        rb_json_object(&j);
        rb_json_ktext(&j, "key", key);
        rb_json_kraw(&j, "value", text ? text : "null", text ? strlen(text) : 4);
        rb_json_ktext(&j, "origin", o->kind);
        rb_json_ktext(&j, "file", o->file);
        if (o->line)
            rb_json_kint(&j, "line", o->line);
        rb_json_ktext(&j, "name", *o->name ? o->name : NULL);
        rb_json_end_object(&j);
    } else {
        rb_text_line(&s->out, key, strlen(key));
        rb_buf_adds(&s->out, " = ");
        rb_text_line(&s->out, text ? text : "null", text ? strlen(text) : 4);
        if (s->v->origin > 0 && o->file)
            rb_buf_addf(&s->out, "  (%s:%d)", o->file, o->line);
        else if (s->v->origin > 0)
            rb_buf_addf(&s->out, "  (%s%s%s)", o->kind, *o->name ? " " : "", o->name);
    }
    rb_buf_addc(&s->out, '\n');
    free(text);
}

static void show_text(struct shown *s, const char *key, const char *text, const struct origin *o)
{
    json_t *value = text ? json_string(text) : json_null();
    show(s, key, value, o);
    json_decref(value);
}

/* Of a global option with a text: the environment's text is borrowed, so it is the same pointer. */
static struct origin option_origin(const char *name, const char *value)
{
    struct origin o = {.kind = "default"};
    char variable[64];
    for (const struct rb_opt *opt = rb_cli_options; opt->name; opt++) {
        if (strcmp(opt->name, name) != 0 || !value)
            continue;
        rb_opt_variable(opt, variable, sizeof(variable));
        bool environment = *variable && getenv(variable) == value;
        o.kind = environment ? "environment" : "option";
        snprintf(o.name, sizeof(o.name), "%s%s", environment ? "" : "--", environment ? variable : name);
    }
    return o;
}

/* Options of commands that the environment sets: they hold wherever that command has them. */
static void show_variables(struct shown *s)
{
    const char *seen[64];
    size_t n = 0;
    for (size_t i = 0; rb_cmds[i]; i++) {
        for (const struct rb_opt *o = rb_cmds[i]->options; o && o->name; o++) {
            struct origin origin = {.kind = "environment"};
            char key[80];
            size_t k = 0;
            rb_opt_variable(o, origin.name, sizeof(origin.name));
            const char *text = *origin.name ? getenv(origin.name) : NULL;
            while (k < n && strcmp(seen[k], o->name) != 0)
                k++;
            if (!text || !*text || k < n || n == RB_COUNT(seen))
                continue;
            seen[n++] = o->name;
            snprintf(key, sizeof(key), "options.%s", o->name);
            show_text(s, key, text, &origin);
        }
    }
}

static void show_limits(struct shown *s, const json_t *settings)
{
    struct rb_limits limits;
    const char *name;
    char value[32], key[64];
    rb_config_limits(s->cli->config, &limits);
    for (size_t i = 0; (name = rb_config_limit(&limits, i, value, sizeof(value))); i++) {
        struct origin o = {.kind = "default"};
        const json_t *e;
        size_t k;
        snprintf(key, sizeof(key), "limits.%s", name);
        json_array_foreach((json_t *)(uintptr_t)settings, k, e)
        {
            if (strcmp(json_string_value(json_object_get(e, "path")), key) == 0)
                o = (struct origin){"file", s->cli->config_found, (int)json_integer_value(json_object_get(e, "line")),
                                    ""};
        }
        json_t *shown = value[strlen(value) - 1] == 's' ? json_string(value) : json_integer(strtoll(value, NULL, 10));
        show(s, key, shown, &o);
        json_decref(shown);
    }
}

/* What the file says, line by line; what has a place of its own was shown there. */
static void show_file(struct shown *s, const json_t *settings)
{
    const json_t *e;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)settings, i, e)
    {
        const char *path = json_string_value(json_object_get(e, "path"));
        struct origin o = {"file", s->cli->config_found, (int)json_integer_value(json_object_get(e, "line")), ""};
        if (strncmp(path, "limits.", 7) != 0 && strcmp(path, "journal") != 0)
            show(s, path, json_object_get(e, "value"), &o);
    }
}

static int run_show(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct shown s = {.cli = cli, .v = values};
    struct rb_buf text;
    struct rb_err err;
    (void)argc;
    (void)argv;
    int code = rb_cli_config(cli);
    if (!code)
        code = rb_cli_journal(cli);
    if (code)
        return code;
    rb_buf_init(&text, 16 << 20);
    rb_buf_init(&s.out, 64 << 20);
    if (cli->config_found && rb_config_settings(cli->config_found, &text, &err) < 0)
        code = rb_cli_fail(cli, RB_EXIT_USAGE, "%s", err.msg);
    json_t *settings = code || !text.len ? NULL : json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL);
    if (!code) {
        struct origin o = option_origin("config", cli->config_path);
        show_text(&s, "config", cli->config_found, &o);
        o = option_origin("journal", cli->journal);
        if (!cli->journal && json_object_get(cli->config, "journal"))
            o = (struct origin){"file", cli->config_found, rb_config_line(cli->config_found, "journal"), ""};
        show_text(&s, "journal", cli->journal_path, &o);
        o = option_origin("color", cli->color);
        show_text(&s, "color", cli->color ? cli->color : "auto", &o);
        show_file(&s, settings);
        show_limits(&s, settings);
        show_variables(&s);
        code = rb_cli_put(&s.out, RB_EXIT_OK);
    }
    json_decref(settings);
    rb_buf_release(&text);
    rb_buf_release(&s.out);
    return code;
}

static int run_check(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct rb_buf text, out;
    struct rb_err err;
    char path[4096];
    (void)values;
    if (!rb_config_find(argc ? argv[0] : cli->config_path, path, sizeof(path)))
        return rb_cli_fail(cli, RB_EXIT_USAGE,
                           "there is no configuration: neither ~/.config/rbhost/config.lua nor "
                           "/etc/rbhost/config.lua; name the file to check");
    rb_buf_init(&text, 16 << 20);
    rb_buf_init(&out, 8192);
    int code = RB_EXIT_OK;
    if (rb_config_settings(path, &text, &err) < 0) {
        code = rb_cli_fail(cli, RB_EXIT_USAGE, "%s", err.msg);
    } else if (cli->quiet <= 0) {
        json_t *settings = json_loadb(rb_buf_text(&text), text.len, JSON_ALLOW_NUL, NULL);
        size_t n = json_array_size(settings);
        if (cli->json > 0)
            rb_buf_addf(&out, "{\"ok\":true,\"settings\":%zu}\n", n);
        else {
            rb_text_line(&out, path, strlen(path));
            rb_buf_addf(&out, ": fine, %zu setting%s\n", n, n == 1 ? "" : "s");
        }
        json_decref(settings);
        code = rb_cli_put(&out, code);
    }
    rb_buf_release(&text);
    rb_buf_release(&out);
    return code;
}

const struct rb_cmd rb_cmd_config_show = {
    .name = "config show",
    .group = "Configuration",
    .operands = "",
    .summary = "every setting that holds, and where it was said",
    .example = "rbhost config show --origin",
    .text = "A secret is shown as the place that it comes from; nothing is fetched.",
    .options = options,
    .values = sizeof(struct values),
    .run = run_show,
};

const struct rb_cmd rb_cmd_config_check = {
    .name = "config check",
    .group = "Configuration",
    .operands = "[FILE]",
    .summary = "all that is wrong with a configuration, with file and line",
    .example = "rbhost config check config.lua",
    .max = 1,
    .operand = RB_ARG_FILE,
    .run = run_check,
};
