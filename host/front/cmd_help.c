/* rbhost help and man: what help.c makes, on standard output. */
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "front/cmds.h"

static bool is_member(const struct rb_cmd *c, const char *family)
{
    size_t n = strlen(family);
    return n && strncmp(c->name, family, n) == 0 && c->name[n] == ' ';
}

static bool is_family(const char *word)
{
    for (size_t i = 0; rb_cmds[i]; i++)
        if (is_member(rb_cmds[i], word))
            return true;
    return false;
}

/* `rbhost help journal`: all of its commands. */
static int family(const char *word)
{
    struct rb_buf out;
    rb_buf_init(&out, 1 << 20);
    for (size_t i = 0; rb_cmds[i]; i++)
        if (is_member(rb_cmds[i], word))
            rb_buf_addf(&out, "rbhost %-16s %-6s %s\n", rb_cmds[i]->name, rb_cmds[i]->operands, rb_cmds[i]->summary);
    int code = rb_cli_put(&out, RB_EXIT_OK);
    rb_buf_release(&out);
    return code;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    char name[80];
    (void)values;
    const struct rb_cmd *cmd = NULL;
    if (argc == 1 && is_family(argv[0]))
        return family(argv[0]);
    if (argc) {
        snprintf(name, sizeof(name), argc > 1 ? "%.30s %.40s" : "%.70s", argv[0], argc > 1 ? argv[1] : "");
        cmd = rb_cmd_find(name);
        if (!cmd) {
            const char *names[64];
            size_t n = 0;
            for (size_t i = 0; rb_cmds[i] && n < RB_COUNT(names); i++)
                if (rb_cmds[i]->group)
                    names[n++] = rb_cmds[i]->name;
            const char *near = rb_nearest(name, names, n);
            if (near)
                return rb_cli_fail(cli, RB_EXIT_USAGE, "there is no command '%s'; did you mean '%s'?", name, near);
            return rb_cli_fail(cli, RB_EXIT_USAGE, "there is no command '%s'; `rbhost help` lists them", name);
        }
    }
    return rb_help_print(cmd);
}

const struct rb_cmd rb_cmd_help = {
    .name = "help",
    .group = "Help",
    .operands = "[COMMAND]",
    .summary = "this overview, or all about one command",
    .example = "rbhost help run",
    .max = 2,
    .operand = RB_ARG_COMMAND,
    .run = run,
};

struct man_values {
    int markdown;
};

static const struct rb_opt man_options[] = {
    {"markdown", 0, RB_OPT_BOOL, offsetof(struct man_values, markdown), NULL, "docs/cli.md instead", RB_OPT_NOENV},
    {0},
};

static int run_man(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct man_values *v = values;
    struct rb_buf out;
    (void)cli;
    (void)argc;
    (void)argv;
    rb_buf_init(&out, 4 << 20);
    if (v->markdown > 0)
        rb_help_markdown(&out);
    else
        rb_help_man(&out);
    int code = rb_cli_put(&out, RB_EXIT_OK);
    rb_buf_release(&out);
    return code;
}

const struct rb_cmd rb_cmd_man = {
    .name = "man",
    .operands = "",
    .summary = "the manual page",
    .example = "rbhost man | man -l -",
    .options = man_options,
    .values = sizeof(struct man_values),
    .run = run_man,
};
