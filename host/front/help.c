/* Owns the texts made from the rows of commands: help, manual page, docs/cli.md. Knows no command by name. */
#include <stdio.h>
#include <string.h>

#include "front/cmd.h"
#include "front/text.h"

#define HELP_COLUMN 26

static const char *const exit_codes[][2] = {
    {"0", "succeeded; or `rbhost undo` has undone it"},
    {"1", "the runbook failed, or was cancelled; also when what it did was undone by on_failure = \"undo\""},
    {"2", "usage, parameters, or a file that does not load"},
    {"3", "waits for a person: the message says the exact command that goes on"},
    {"4", "denied or not allowed"},
    {"5", "the journal is damaged or out of reach"},
    {"6", "in doubt: the outcome of an effect is unknown"},
    {"124", "timed out"},
    {"129 130 141 143",
     "hung up, interrupted, standard output closed, terminated: the run is parked and can be resumed"},
};

static const char *const places[][2] = {
    {"$XDG_CONFIG_HOME/rbhost/config.lua",
     "configuration (~/.config without the variable), else /etc/rbhost/config.lua"},
    {"$XDG_STATE_HOME/rbhost/journal.db", "the journal (~/.local/state without the variable)"},
    {"$XDG_STATE_HOME/rbhost/log/RUN.log", "what a detached run printed"},
};

/* "-w, --wait[=TIME]". */
static void option_words(const struct rb_opt *o, char *out, size_t n)
{
    char letter[8] = "    ", value[64] = "";
    if (o->letter)
        snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    if (o->arg)
        snprintf(value, sizeof(value), o->flags & RB_OPT_OPTIONAL ? "[=%s]" : " %s", o->arg);
    snprintf(out, n, "%s--%s%s%s", letter, o->flags & RB_OPT_NO ? "[no-]" : "", o->name, value);
}

static void option_rows(const struct rb_opt *table, struct rb_buf *out)
{
    for (const struct rb_opt *o = table; o && o->name; o++) {
        char words[96], variable[64];
        if (o->flags & RB_OPT_HIDDEN)
            continue;
        option_words(o, words, sizeof(words));
        rb_opt_variable(o, variable, sizeof(variable));
        if (strlen(words) > HELP_COLUMN - 2)
            rb_buf_addf(out, "  %s\n  %*s", words, HELP_COLUMN, "");
        else
            rb_buf_addf(out, "  %-*s", HELP_COLUMN, words);
        rb_buf_addf(out, "%s%s%s%s\n", o->help, *variable ? " [" : "", variable, *variable ? "]" : "");
    }
}

static bool has_options(const struct rb_cmd *cmd)
{
    for (const struct rb_opt *o = cmd->options; o && o->name; o++)
        if (!(o->flags & RB_OPT_HIDDEN))
            return true;
    return false;
}

static void usage(const struct rb_cmd *cmd, struct rb_buf *out)
{
    rb_buf_addf(out, "rbhost%s%s%s%s%s", *cmd->name ? " " : "", cmd->name, *cmd->operands ? " " : "", cmd->operands,
                has_options(cmd) ? " [options]" : "");
}

/* Calls add for each line of text. */
static void each_line(const char *text, void (*add)(struct rb_buf *out, const char *line, size_t n), struct rb_buf *out)
{
    const char *line;
    size_t n;
    while (rb_text_next(&text, &line, &n))
        add(out, line, n);
}

static void plain_line(struct rb_buf *out, const char *line, size_t n)
{
    rb_buf_addf(out, "  %.*s\n", (int)n, line);
}

static void command_help(const struct rb_cmd *cmd, struct rb_buf *out)
{
    rb_buf_addf(out, "rbhost%s%s: %s\n\n", *cmd->name ? " " : "", cmd->name, cmd->summary);
    each_line(cmd->example, plain_line, out);
    rb_buf_adds(out, "\nUsage: ");
    usage(cmd, out);
    rb_buf_adds(out, "\n");
    if (cmd->text)
        rb_buf_addf(out, "\n%s\n", cmd->text);
    if (has_options(cmd)) {
        rb_buf_adds(out, "\nOptions (in brackets: the environment variable that sets it too):\n");
        option_rows(cmd->options, out);
    }
    rb_buf_adds(out, "\nOptions of every command:\n");
    option_rows(rb_cli_options, out);
}

static bool first_of_group(size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (rb_cmds[k]->group && strcmp(rb_cmds[k]->group, rb_cmds[i]->group) == 0)
            return false;
    return true;
}

static void overview_group(const char *group, struct rb_buf *out)
{
    rb_buf_addf(out, "\n%s\n", group);
    for (size_t i = 0; rb_cmds[i]; i++) {
        char words[128];
        const struct rb_cmd *c = rb_cmds[i];
        if (!c->group || strcmp(c->group, group) != 0)
            continue;
        snprintf(words, sizeof(words), "%s%s%s", *c->name ? c->name : "(nothing)", *c->operands ? " " : "",
                 c->operands);
        if (strlen(words) > 34)
            rb_buf_addf(out, "  %s\n  %36s%s\n", words, "", c->summary);
        else
            rb_buf_addf(out, "  %-36s%s\n", words, c->summary);
    }
}

static void overview(struct rb_buf *out)
{
    rb_buf_adds(out,
                "rbhost runs runbooks: Lua scripts whose effects and decisions are journaled, so that a run that is\n"
                "killed at any instant goes on where it was and does nothing twice.\n\n"
                "  rbhost run promote.lua version=v1.2.3    # run a file with a parameter\n"
                "  rbhost resume                            # go on with the latest run\n"
                "  rbhost                                   # what waits for you\n");
    for (size_t i = 0; rb_cmds[i]; i++)
        if (rb_cmds[i]->group && first_of_group(i))
            overview_group(rb_cmds[i]->group, out);
    rb_buf_adds(
        out, "\nRUN is a run's id, a unique beginning or ending of one, or \"latest\".\n\nOptions of every command\n");
    option_rows(rb_cli_options, out);
    rb_buf_adds(out, "\nExit codes\n");
    for (size_t i = 0; i < RB_COUNT(exit_codes); i++)
        rb_buf_addf(out, "  %-17s%s\n", exit_codes[i][0], exit_codes[i][1]);
    rb_buf_adds(out, "\n`rbhost help COMMAND` says more.\n");
}

int rb_help_print(const struct rb_cmd *cmd)
{
    struct rb_buf out;
    rb_buf_init(&out, 1 << 20);
    if (cmd)
        command_help(cmd, &out);
    else
        overview(&out);
    int code = rb_cli_put(&out, RB_EXIT_OK);
    rb_buf_release(&out);
    return code;
}

/* -- manual page --------------------------------------------------------------------------------------------------- */

/* Text with roff's special characters escaped; a line never begins with a control character. */
static void roff(struct rb_buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((s[i] == '.' || s[i] == '\'') && (i == 0 || s[i - 1] == '\n'))
            rb_buf_adds(out, "\\&");
        if (s[i] == '\\')
            rb_buf_adds(out, "\\e");
        else if (s[i] == '-')
            rb_buf_adds(out, "\\-");
        else
            rb_buf_addc(out, s[i]);
    }
}

static void roff_text(struct rb_buf *out, const char *s)
{
    roff(out, s, strlen(s));
}

static void roff_line(struct rb_buf *out, const char *line, size_t n)
{
    roff(out, line, n);
    rb_buf_addc(out, '\n');
}

static void roff_options(const struct rb_opt *table, struct rb_buf *out)
{
    for (const struct rb_opt *o = table; o && o->name; o++) {
        char words[96], variable[64], *p = words;
        if (o->flags & RB_OPT_HIDDEN)
            continue;
        option_words(o, words, sizeof(words));
        rb_opt_variable(o, variable, sizeof(variable));
        while (*p == ' ')
            p++;
        rb_buf_adds(out, ".TP\n.B ");
        roff_text(out, p);
        rb_buf_addc(out, '\n');
        roff_text(out, o->help);
        if (*variable) {
            rb_buf_adds(out, " (");
            roff_text(out, variable);
            rb_buf_addc(out, ')');
        }
        rb_buf_addc(out, '\n');
    }
}

static void roff_rows(const char *const (*rows)[2], size_t n, struct rb_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        rb_buf_adds(out, ".TP\n.B ");
        roff_text(out, rows[i][0]);
        rb_buf_addc(out, '\n');
        roff_text(out, rows[i][1]);
        rb_buf_addc(out, '\n');
    }
}

void rb_help_man(struct rb_buf *out)
{
    rb_buf_addf(
        out,
        ".TH RBHOST 1 \"\" \"rbhost %s\" \"User Commands\"\n.SH NAME\nrbhost \\- run runbooks that survive a crash\n",
        RB_VERSION);
    rb_buf_adds(
        out,
        ".SH SYNOPSIS\n.B rbhost\n[\\fIoptions\\fR] [\\fIcommand\\fR [\\fIoperands\\fR]]\n.SH DESCRIPTION\n"
        "rbhost runs runbooks: Lua scripts whose effects and decisions are journaled, so that a run that is killed\n"
        "at any instant goes on where it was and does nothing twice. Without a command it shows what waits for you.\n"
        ".SH COMMANDS\n");
    for (size_t i = 0; rb_cmds[i]; i++) {
        const struct rb_cmd *c = rb_cmds[i];
        if (!c->group)
            continue;
        struct rb_buf u;
        rb_buf_init(&u, 512);
        usage(c, &u);
        rb_buf_adds(out, ".SS ");
        roff_text(out, rb_buf_text(&u));
        rb_buf_release(&u);
        rb_buf_addc(out, '\n');
        roff_text(out, c->summary);
        rb_buf_adds(out, ".\n.PP\n.nf\n");
        each_line(c->example, roff_line, out);
        rb_buf_adds(out, ".fi\n");
        if (c->text) {
            rb_buf_adds(out, ".PP\n");
            roff_text(out, c->text);
            rb_buf_addc(out, '\n');
        }
        roff_options(c->options, out);
    }
    rb_buf_adds(out, ".SH OPTIONS OF EVERY COMMAND\n");
    roff_options(rb_cli_options, out);
    rb_buf_adds(out, ".SH EXIT STATUS\n");
    roff_rows(exit_codes, RB_COUNT(exit_codes), out);
    rb_buf_adds(out, ".SH FILES\n");
    roff_rows(places, RB_COUNT(places), out);
}

/* -- docs/cli.md --------------------------------------------------------------------------------------------------- */

void rb_help_markdown(struct rb_buf *out)
{
    rb_buf_adds(out, "# The command line\n\nThis page is what `rbhost help` prints, made by `rbhost man --markdown`; a "
                     "test compares them.\n\n```\n");
    overview(out);
    rb_buf_adds(out, "```\n\n## Places\n\n");
    for (size_t i = 0; i < RB_COUNT(places); i++)
        rb_buf_addf(out, "- `%s`: %s\n", places[i][0], places[i][1]);
    for (size_t i = 0; rb_cmds[i]; i++) {
        const struct rb_cmd *c = rb_cmds[i];
        if (!c->group)
            continue;
        rb_buf_addf(out, "\n## rbhost%s%s\n\n", *c->name ? " " : "", c->name);
        rb_buf_addf(out, "%c%s.\n\n```sh\n%s\n```\n\nUsage: `",
                    *c->summary >= 'a' && *c->summary <= 'z' ? *c->summary - 32 : *c->summary, c->summary + 1,
                    c->example);
        usage(c, out);
        rb_buf_adds(out, "`\n");
        if (c->text)
            rb_buf_addf(out, "\n%s\n", c->text);
        if (!has_options(c))
            continue;
        rb_buf_adds(out, "\n| option | meaning | environment |\n| --- | --- | --- |\n");
        for (const struct rb_opt *o = c->options; o->name; o++) {
            char words[96], variable[64], *p = words;
            if (o->flags & RB_OPT_HIDDEN)
                continue;
            option_words(o, words, sizeof(words));
            rb_opt_variable(o, variable, sizeof(variable));
            while (*p == ' ')
                p++;
            rb_buf_adds(out, "| `");
            for (; *p; p++)
                rb_buf_adds(out, *p == '|' ? "\\|" : (char[]){*p, 0});
            rb_buf_addf(out, "` | %s | %s%s%s |\n", o->help, *variable ? "`" : "", variable, *variable ? "`" : "");
        }
    }
}
