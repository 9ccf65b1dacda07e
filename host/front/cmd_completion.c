/* rbhost completion: scripts for bash, zsh and fish, made from the rows. Runs and runbooks are asked of rbhost itself
 * (-q). */
#include <string.h>

#include "base/nearest.h"
#include "front/cmds.h"

/* Calls add for each option that help shows, those of the command first. */
static void each_option(const struct rb_cmd *cmd, void (*add)(struct rb_buf *out, const struct rb_opt *o),
                        struct rb_buf *out)
{
    for (const struct rb_opt *o = cmd->options; o && o->name; o++)
        if (!(o->flags & RB_OPT_HIDDEN))
            add(out, o);
    for (const struct rb_opt *o = rb_cli_options; o->name; o++)
        add(out, o);
}

static bool is_family(const struct rb_cmd *c)
{
    return strchr(c->name, ' ') != NULL;
}

/* The first word, once for a family. */
static void add_commands(struct rb_buf *out, const char *between)
{
    const char *last = "";
    size_t last_len = 0;
    for (size_t i = 0; rb_cmds[i]; i++) {
        const char *name = rb_cmds[i]->name;
        size_t n = strcspn(name, " ");
        if (!rb_cmds[i]->group || !n || (n == last_len && strncmp(last, name, n) == 0))
            continue;
        rb_buf_addf(out, "%s%.*s", last_len ? between : "", (int)n, name);
        last = name;
        last_len = n;
    }
}

static void add_word(struct rb_buf *out, const struct rb_opt *o)
{
    bool takes = o->type != RB_OPT_BOOL && o->type != RB_OPT_COUNT;
    rb_buf_addf(out, " --%s%s", o->name, takes && !(o->flags & RB_OPT_OPTIONAL) ? "=" : "");
    if (o->flags & RB_OPT_NO)
        rb_buf_addf(out, " --no-%s", o->name);
}

static const char *source_of(enum rb_operand operand)
{
    switch (operand) {
    case RB_ARG_RUN: return "$(rbhost ls -q --limit 200 2>/dev/null)";
    case RB_ARG_RUNBOOK: return "$(rbhost list -q 2>/dev/null)";
    default: return "";
    }
}

static void bash_script(struct rb_buf *out)
{
    rb_buf_adds(out, "# bash completion for rbhost; load it with: source <(rbhost completion bash)\n"
                     "_rbhost() {\n"
                     "    local cur=${COMP_WORDS[COMP_CWORD]} cmd= sub= i words= files=\n"
                     "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                     "        case ${COMP_WORDS[i]} in\n"
                     "            -*) ;;\n"
                     "            *) if [ -z \"$cmd\" ]; then cmd=${COMP_WORDS[i]}; elif [ -z \"$sub\" ]; then "
                     "sub=${COMP_WORDS[i]}; fi ;;\n"
                     "        esac\n"
                     "    done\n"
                     "    case $cmd in\n"
                     "        '') words='");
    add_commands(out, " ");
    rb_buf_adds(out, "' ;;\n        journal) if [ -z \"$sub\" ]; then words='");
    for (size_t i = 0, n = 0; rb_cmds[i]; i++)
        if (is_family(rb_cmds[i]))
            rb_buf_addf(out, "%s%s", n++ ? " " : "", strchr(rb_cmds[i]->name, ' ') + 1);
    rb_buf_adds(out, "'; fi; files=1 ;;\n");
    for (size_t i = 0; rb_cmds[i]; i++) {
        const struct rb_cmd *c = rb_cmds[i];
        if (!c->group || !*c->name || is_family(c))
            continue;
        rb_buf_addf(out, "        %s)", c->name);
        if (c->operand == RB_ARG_COMMAND) {
            rb_buf_adds(out, " words='");
            add_commands(out, " ");
            rb_buf_addc(out, '\'');
        } else if (c->operand == RB_ARG_WORDS) {
            rb_buf_addf(out, " words='%s'", c->words);
        } else if (*source_of(c->operand)) {
            rb_buf_addf(out, " [[ $cur == -* ]] || words=%s", source_of(c->operand));
        }
        if (c->operand == RB_ARG_FILE || c->operand == RB_ARG_RUNBOOK)
            rb_buf_addf(out, "%s files=1", *source_of(c->operand) || c->operand == RB_ARG_COMMAND ? ";" : "");
        rb_buf_addf(out, "%s words+='", c->operand == RB_ARG_NONE ? "" : ";");
        each_option(c, add_word, out);
        rb_buf_adds(out, "' ;;\n");
    }
    rb_buf_adds(out, "    esac\n"
                     "    COMPREPLY=()\n"
                     "    while IFS= read -r i; do COMPREPLY+=(\"$i\"); done < <(compgen -W \"$words\" -- \"$cur\")\n"
                     "    if [ -n \"$files\" ] && [[ $cur != -* ]]; then\n"
                     "        while IFS= read -r i; do COMPREPLY+=(\"$i\"); done < <(compgen -f -- \"$cur\")\n"
                     "        compopt -o filenames\n"
                     "    fi\n"
                     "    if [[ ${COMPREPLY[0]} == --*= ]]; then compopt -o nospace; fi\n"
                     "}\n"
                     "complete -F _rbhost rbhost\n");
}

/* Text inside single quotes of zsh and fish; brackets and colons are special in zsh's specifications. */
static void add_quoted(struct rb_buf *out, const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            rb_buf_adds(out, "'\\''");
        else {
            if (strchr(special, *text))
                rb_buf_addc(out, '\\');
            rb_buf_addc(out, *text);
        }
    }
}

static void add_zsh_option(struct rb_buf *out, const struct rb_opt *o)
{
    bool takes = o->type != RB_OPT_BOOL && o->type != RB_OPT_COUNT;
    rb_buf_addf(out, " \\\n                '--%s%s[", o->name, !takes ? "" : o->flags & RB_OPT_OPTIONAL ? "=-" : "=");
    add_quoted(out, o->help, "[]:");
    rb_buf_addc(out, ']');
    if (o->type == RB_OPT_CHOICE) {
        rb_buf_adds(out, ":value:(");
        for (const char *p = o->arg; *p; p++)
            rb_buf_addc(out, *p == '|' ? ' ' : *p);
        rb_buf_addc(out, ')');
    } else if (takes) {
        rb_buf_addf(out, "%svalue:%s", o->flags & RB_OPT_OPTIONAL ? "::" : ":",
                    o->flags & RB_OPT_FILE ? "_files" : " ");
    }
    rb_buf_addc(out, '\'');
    if (o->flags & RB_OPT_NO)
        rb_buf_addf(out, " \\\n                '--no-%s[not --%s]'", o->name, o->name);
}

static void zsh_script(struct rb_buf *out)
{
    rb_buf_adds(
        out,
        "#compdef rbhost\n"
        "# zsh completion for rbhost; load it with: source <(rbhost completion zsh)\n"
        "_rbhost_runs() { local -a runs; runs=(${(f)\"$(rbhost ls -q --limit 200 2>/dev/null)\"}); compadd -a runs }\n"
        "_rbhost_runbooks() { local -a books; books=(${(f)\"$(rbhost list -q 2>/dev/null)\"}); compadd -a books; "
        "_files }\n"
        "_rbhost() {\n"
        "    local -a commands\n"
        "    commands=(\n");
    const char *last = "";
    for (size_t i = 0; rb_cmds[i]; i++) {
        const struct rb_cmd *c = rb_cmds[i];
        size_t n = strcspn(c->name, " ");
        if (!c->group || !n || strncmp(last, c->name, n + 1) == 0)
            continue;
        last = c->name;
        rb_buf_addf(out, "        '%.*s:", (int)n, c->name);
        add_quoted(out, is_family(c) ? "stats, backup, prune" : c->summary, ":");
        rb_buf_adds(out, "'\n");
    }
    rb_buf_adds(out, "    )\n"
                     "    if (( CURRENT == 2 )); then\n"
                     "        _describe command commands\n"
                     "        return\n"
                     "    fi\n"
                     "    local cmd=$words[2]\n"
                     "    shift words\n"
                     "    (( CURRENT-- ))\n"
                     "    case $cmd in\n"
                     "        journal)\n"
                     "            _arguments '1:what:(stats backup prune)' '*:file:_files' ;;\n");
    for (size_t i = 0; rb_cmds[i]; i++) {
        const struct rb_cmd *c = rb_cmds[i];
        if (!c->group || !*c->name || is_family(c))
            continue;
        rb_buf_addf(out, "        %s)\n            _arguments", c->name);
        each_option(c, add_zsh_option, out);
        if (c->operand == RB_ARG_COMMAND || c->operand == RB_ARG_WORDS) {
            rb_buf_adds(out, " \\\n                '1:word:(");
            if (c->operand == RB_ARG_WORDS)
                rb_buf_adds(out, c->words);
            else
                add_commands(out, " ");
            rb_buf_adds(out, ")'");
        } else if (c->operand != RB_ARG_NONE) {
            rb_buf_addf(out, " \\\n                '*:operand:%s'",
                        c->operand == RB_ARG_RUN       ? "_rbhost_runs"
                        : c->operand == RB_ARG_RUNBOOK ? "_rbhost_runbooks"
                                                       : "_files");
        }
        rb_buf_adds(out, " ;;\n");
    }
    rb_buf_adds(out, "    esac\n"
                     "}\n"
                     "if [ \"$funcstack[1]\" = _rbhost ]; then _rbhost \"$@\"; else compdef _rbhost rbhost; fi\n");
}

static void fish_option(struct rb_buf *out, const char *condition, const struct rb_opt *o)
{
    bool takes = o->type != RB_OPT_BOOL && o->type != RB_OPT_COUNT;
    rb_buf_addf(out, "complete -c rbhost %s-l %s", condition, o->name);
    if (o->letter)
        rb_buf_addf(out, " -s %c", o->letter);
    if (takes && !(o->flags & RB_OPT_OPTIONAL))
        rb_buf_adds(out, o->flags & RB_OPT_FILE ? " -rF" : " -x");
    if (o->type == RB_OPT_CHOICE) {
        rb_buf_adds(out, " -a '");
        for (const char *p = o->arg; *p; p++)
            rb_buf_addc(out, *p == '|' ? ' ' : *p);
        rb_buf_addc(out, '\'');
    }
    rb_buf_adds(out, " -d '");
    add_quoted(out, o->help, "\\");
    rb_buf_adds(out, "'\n");
    if (o->flags & RB_OPT_NO)
        rb_buf_addf(out, "complete -c rbhost %s-l no-%s -d 'not --%s'\n", condition, o->name, o->name);
}

static void fish_script(struct rb_buf *out)
{
    rb_buf_adds(out, "# fish completion for rbhost; load it with: rbhost completion fish | source\n"
                     "complete -c rbhost -f\n");
    for (const struct rb_opt *o = rb_cli_options; o->name; o++)
        fish_option(out, "", o);
    const char *last = "";
    for (size_t i = 0; rb_cmds[i]; i++) {
        const struct rb_cmd *c = rb_cmds[i];
        char condition[160];
        size_t n = strcspn(c->name, " ");
        if (!c->group || !n)
            continue;
        if (strncmp(last, c->name, n + 1) != 0) {
            rb_buf_addf(out, "complete -c rbhost -n __fish_use_subcommand -a %.*s -d '", (int)n, c->name);
            add_quoted(out, is_family(c) ? "stats, backup, prune" : c->summary, "\\");
            rb_buf_adds(out, "'\n");
        }
        last = c->name;
        snprintf(condition, sizeof(condition), "-n '__fish_seen_subcommand_from %.60s' ",
                 is_family(c) ? strchr(c->name, ' ') + 1 : c->name);
        if (is_family(c))
            rb_buf_addf(out, "complete -c rbhost -n '__fish_seen_subcommand_from %.*s' -a %s\n", (int)n, c->name,
                        strchr(c->name, ' ') + 1);
        for (const struct rb_opt *o = c->options; o && o->name; o++)
            if (!(o->flags & RB_OPT_HIDDEN))
                fish_option(out, condition, o);
        if (c->operand == RB_ARG_RUN)
            rb_buf_addf(out, "complete -c rbhost %s-a '(rbhost ls -q --limit 200 2>/dev/null)'\n", condition);
        else if (c->operand == RB_ARG_RUNBOOK)
            rb_buf_addf(out, "complete -c rbhost %s-F -a '(rbhost list -q 2>/dev/null)'\n", condition);
        else if (c->operand == RB_ARG_FILE)
            rb_buf_addf(out, "complete -c rbhost %s-F\n", condition);
        else if (c->operand == RB_ARG_WORDS)
            rb_buf_addf(out, "complete -c rbhost %s-a '%s'\n", condition, c->words);
        else if (c->operand == RB_ARG_COMMAND) {
            rb_buf_addf(out, "complete -c rbhost %s-a '", condition);
            add_commands(out, " ");
            rb_buf_adds(out, "'\n");
        }
    }
}

static const char *const shells[] = {"bash", "zsh", "fish"};

int rb_completion(const char *shell, struct rb_buf *out)
{
    void (*const scripts[])(struct rb_buf * out) = {bash_script, zsh_script, fish_script};
    for (size_t i = 0; i < RB_COUNT(shells); i++)
        if (strcmp(shells[i], shell) == 0) {
            scripts[i](out);
            return RB_OK;
        }
    return RB_EINVAL;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct rb_buf out;
    (void)values;
    (void)argc;
    rb_buf_init(&out, 4 << 20);
    int code = RB_EXIT_USAGE;
    if (rb_completion(argv[0], &out) < 0) {
        const char *near = rb_nearest(argv[0], shells, RB_COUNT(shells));
        rb_cli_fail(cli, code, "there is no completion for '%s'; there is for bash, zsh and fish%s%s%s", argv[0],
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    } else
        code = rb_cli_put(&out, RB_EXIT_OK);
    rb_buf_release(&out);
    return code;
}

const struct rb_cmd rb_cmd_completion = {
    .name = "completion",
    .group = "Help",
    .operands = "bash|zsh|fish",
    .summary = "a completion script for your shell",
    .example = "source <(rbhost completion bash)    # in ~/.bashrc",
    .min = 1,
    .max = 1,
    .operand = RB_ARG_WORDS,
    .words = "bash zsh fish",
    .run = run,
};
