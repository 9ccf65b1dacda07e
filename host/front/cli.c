/* Owns the way from argv to a command, the global options, the opening of the journal, and complaints. Knows no command
 * but through its row. */
#include "front/cli.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/nearest.h"
#include "front/cmd.h"
#include "front/config.h"
#include "front/drive.h"
#include "front/text.h"

#define AT(member) offsetof(struct rb_cli, member)

const struct rb_opt rb_cli_options[] = {
    {"journal", 'j', RB_OPT_TEXT, AT(journal), "FILE", "the journal (default: journal.db in the state folder)",
     RB_OPT_FILE},
    {"config", 0, RB_OPT_TEXT, AT(config_path), "FILE", "the configuration file to read", RB_OPT_FILE},
    {"color", 0, RB_OPT_CHOICE, AT(color), "auto|always|never", "colours; NO_COLOR in the environment wins", 0},
    {"no-input", 0, RB_OPT_BOOL, AT(no_input), NULL, "never ask anything", 0},
    {"json", 0, RB_OPT_BOOL, AT(json), NULL, "JSON on standard output, one object a line", 0},
    {"quiet", 'q', RB_OPT_BOOL, AT(quiet), NULL, "only results and errors", 0},
    {"verbose", 'v', RB_OPT_COUNT, AT(verbose), NULL, "more: every operation, not only steps", 0},
    {"help", 'h', RB_OPT_BOOL, AT(help), NULL, "show this help", RB_OPT_NOENV},
    {"version", 'V', RB_OPT_BOOL, AT(version), NULL, "show the version", RB_OPT_NOENV},
    {0},
};

bool rb_cli_write(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t w = write(fd, data, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && errno == EAGAIN) { /* somebody who shares the descriptor has made it non-blocking */
            struct pollfd p = {fd, POLLOUT, 0};
            poll(&p, 1, -1);
            continue;
        }
        if (w < 0)
            return false;
        data += w;
        n -= (size_t)w;
    }
    return true;
}

int rb_cli_put(const struct rb_buf *b, int code)
{
    if (rb_cli_write(STDOUT_FILENO, rb_buf_text(b), b->len))
        return code;
    if (errno == EPIPE)
        return RB_EXIT_PIPE;
    dprintf(STDERR_FILENO, "rbhost: standard output can not be written: %s\n", strerror(errno));
    return code ? code : RB_EXIT_STORE;
}

void rb_cli_paste(const struct rb_cli *cli, const char *text, struct rb_buf *out)
{
    static const char named[] = "`rbhost ";
    const char *at;
    for (; (at = strstr(text, named)); text = at + sizeof(named) - 2) {
        bool has_options = at[sizeof(named) - 1] == '-', help = strncmp(at + sizeof(named) - 1, "help", 4) == 0;
        rb_buf_add(out, text, (size_t)(at - text));
        rb_buf_addf(out, "`%s", has_options || help ? "rbhost" : rb_cli_self(cli));
    }
    rb_buf_adds(out, text);
}

static void complain(const struct rb_cli *cli, const char *fmt, va_list ap)
{
    struct rb_buf raw, text, out;
    rb_buf_init(&raw, 64 << 10);
    rb_buf_init(&text, 128 << 10);
    rb_buf_init(&out, 256 << 10);
    rb_buf_addfv(&raw, fmt, ap);
    rb_cli_paste(cli, rb_buf_text(&raw), &text);
    rb_buf_adds(&out, "rbhost: ");
    rb_text_block(&out, rb_buf_text(&text), text.len, "  ");
    rb_buf_addc(&out, '\n');
    rb_cli_write(STDERR_FILENO, rb_buf_text(&out), out.len);
    rb_buf_release(&raw);
    rb_buf_release(&text);
    rb_buf_release(&out);
}

int rb_cli_fail(struct rb_cli *cli, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(cli, fmt, ap);
    va_end(ap);
    return code;
}

void rb_cli_note(struct rb_cli *cli, const char *fmt, ...)
{
    if (cli->quiet > 0)
        return;
    va_list ap;
    va_start(ap, fmt);
    complain(cli, fmt, ap);
    va_end(ap);
}

int rb_exit_of_status(const char *status, int parked)
{
    static const struct {
        const char *status;
        int code;
    } codes[] = {
        {"succeeded", RB_EXIT_OK},      {"failed", RB_EXIT_FAILED}, {"cancelled", RB_EXIT_FAILED},
        {"waiting", RB_EXIT_WAITS},     {"denied", RB_EXIT_DENIED}, {"in_doubt", RB_EXIT_DOUBT},
        {"timed_out", RB_EXIT_TIMEOUT}, {"undone", RB_EXIT_OK},     {"moved", RB_EXIT_OK},
        {"lost", RB_EXIT_STORE}, /* taken over by another process, or the journal can not be written */
    };
    for (size_t i = 0; i < RB_COUNT(codes); i++)
        if (strcmp(codes[i].status, status) == 0)
            return codes[i].code;
    return parked ? parked : RB_EXIT_INT; /* parked, running, undoing: interrupted, resumable */
}

int rb_cli_exit_of(int rc)
{
    switch (rc) {
    case RB_OK: return RB_EXIT_OK;
    case RB_EINVAL:
    case RB_ENOENT:
    case RB_EEXIST:
    case RB_EBUSY:
    case RB_ETOOBIG: return RB_EXIT_USAGE;
    case RB_EDENIED: return RB_EXIT_DENIED;
    case RB_ETIMEDOUT: return RB_EXIT_TIMEOUT;
    default: return RB_EXIT_STORE;
    }
}

bool rb_cli_color(const struct rb_cli *cli, int fd)
{
    const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE"), *term = getenv("TERM");
    if (no && *no)
        return false;
    if (cli->color && strcmp(cli->color, "auto") != 0)
        return strcmp(cli->color, "always") == 0;
    if (force && *force && strcmp(force, "0") != 0)
        return true;
    return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

bool rb_cli_live(const struct rb_cli *cli)
{
    const char *term = getenv("TERM");
    return cli->json <= 0 && isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

bool rb_cli_may_ask(const struct rb_cli *cli)
{
    return cli->no_input <= 0 && cli->json <= 0 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

/* A file, also for whoever pastes the command in another folder. */
static void add_file(struct rb_buf *out, const char *option, const char *file)
{
    char here[4096];
    struct rb_buf path;
    if (!file || !*file)
        return;
    rb_buf_init(&path, 8192);
    if (*file != '/' && getcwd(here, sizeof(here)))
        rb_buf_addf(&path, "%s/", strcmp(here, "/") == 0 ? "" : here);
    rb_buf_adds(&path, strncmp(file, "./", 2) == 0 ? file + 2 : file);
    rb_buf_addf(out, " %s ", option);
    rb_text_shell(out, rb_buf_text(&path));
    rb_buf_release(&path);
}

const char *rb_cli_self(const struct rb_cli *cli)
{
    static char self[18000];
    struct rb_buf b;
    rb_buf_init(&b, sizeof(self) - 1);
    rb_buf_adds(&b, "rbhost");
    add_file(&b, "--config", cli->config_path);
    add_file(&b, "--journal", cli->journal);
    snprintf(self, sizeof(self), "%s", rb_buf_text(&b));
    rb_buf_release(&b);
    return self;
}

int rb_cli_config(struct rb_cli *cli)
{
    char path[4096];
    struct rb_err err;
    if (cli->config)
        return RB_EXIT_OK;
    if (!rb_config_find(cli->config_path, path, sizeof(path))) {
        cli->config = json_object();
        return RB_EXIT_OK;
    }
    cli->config = rb_config_read(path, &err);
    if (!cli->config)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "the configuration does not load: %s", err.msg);
    cli->config_found = rb_strdup(path);
    return RB_EXIT_OK;
}

int rb_cli_journal(struct rb_cli *cli)
{
    char state[4000];
    struct rb_err err;
    if (*cli->journal_path)
        return RB_EXIT_OK;
    const char *from = cli->journal;
    if (!from) {
        int code = rb_cli_config(cli);
        if (code)
            return code;
        from = json_string_value(json_object_get(cli->config, "journal"));
    }
    if (from && !*from)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "--journal: the name of the file is empty");
    if (!from) {
        if (rb_config_state(state, sizeof(state), &err) < 0)
            return rb_cli_fail(cli, RB_EXIT_USAGE, "%s", err.msg);
        snprintf(cli->journal_path, sizeof(cli->journal_path), "%s/journal.db", state);
        return RB_EXIT_OK;
    }
    if ((size_t)snprintf(cli->journal_path, sizeof(cli->journal_path), "%s", from) >= sizeof(cli->journal_path))
        return rb_cli_fail(cli, RB_EXIT_USAGE, "--journal: the path is too long");
    return RB_EXIT_OK;
}

int rb_cli_store(struct rb_cli *cli, struct rb_loop *loop, enum rb_cli_mode mode)
{
    struct rb_err err = {0};
    int code = rb_cli_journal(cli);
    if (code || cli->store)
        return code;
    struct rb_store_options opt = {
        .path = cli->journal_path,
        .write = mode != RB_CLI_READ,
        .create = mode == RB_CLI_CREATE,
        .on_failed = loop ? cli->on_store_failed : NULL,
        .arg = cli->store_arg,
    };
    int rc = rb_store_open(loop, &opt, &cli->store, &err);
    if (rc == RB_ENOENT && mode == RB_CLI_READ && !cli->journal)
        return RB_EXIT_OK;
    if (rc == RB_ENOENT && mode != RB_CLI_CREATE)
        return rb_cli_fail(cli, RB_EXIT_STORE,
                           "there is no journal at %s; `rbhost run` makes one, --journal names another",
                           cli->journal_path);
    if (rc < 0)
        return rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    return RB_EXIT_OK;
}

int rb_cli_run(struct rb_cli *cli, enum rb_cli_mode mode, const char *text, struct rb_run_row *row)
{
    struct rb_err err = {0};
    int code = rb_cli_store(cli, NULL, mode);
    if (code)
        return code;
    if (!cli->store)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "there is no run%s%s: nothing has run yet (no journal at %s)",
                           text ? " " : "", text ? text : "", cli->journal_path);
    int rc = rb_store_find(cli->store, text, row, &err);
    if (rc < 0)
        return rb_cli_fail(cli, rb_cli_exit_of(rc), "%s", err.msg);
    return RB_EXIT_OK;
}

/* -- dispatch ------------------------------------------------------------------------------------------------------ */

const struct rb_cmd *rb_cmd_find(const char *name)
{
    for (size_t i = 0; rb_cmds[i]; i++)
        if (strcmp(rb_cmds[i]->name, name) == 0)
            return rb_cmds[i];
    return NULL;
}

/* Takes one word, or two for a family such as "journal stats". *used: how many. */
static const struct rb_cmd *pick(char **argv, int argc, int *used)
{
    char two[80];
    *used = 1;
    const struct rb_cmd *cmd = rb_cmd_find(argv[0]);
    if (cmd || argc < 2)
        return cmd;
    snprintf(two, sizeof(two), "%.30s %.40s", argv[0], argv[1]);
    *used = 2;
    return rb_cmd_find(two);
}

static int unknown_command(struct rb_cli *cli, char **argv, int argc)
{
    const char *names[64], *members[16];
    size_t n = 0, m = 0, len = strlen(argv[0]);
    for (size_t i = 0; rb_cmds[i]; i++) {
        const char *name = rb_cmds[i]->name;
        if (strncmp(name, argv[0], len) == 0 && name[len] == ' ' && m < RB_COUNT(members))
            members[m++] = name + len + 1;
        if (rb_cmds[i]->group && n < RB_COUNT(names))
            names[n++] = name;
    }
    if (m) {
        struct rb_buf all;
        rb_buf_init(&all, 512);
        for (size_t i = 0; i < m; i++)
            rb_buf_addf(&all, "%s%s", i ? ", " : "", members[i]);
        if (argc < 2 || argv[1][0] == '-')
            rb_cli_fail(cli, 0, "%s what? One of %s", argv[0], rb_buf_text(&all));
        else
            rb_cli_fail(cli, 0, "unknown command '%s %s'; there are %s", argv[0], argv[1], rb_buf_text(&all));
        rb_buf_release(&all);
        return RB_EXIT_USAGE;
    }
    const char *near = rb_nearest(argv[0], names, n);
    if (near)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "unknown command '%s'; did you mean '%s'?", argv[0], near);
    if (access(argv[0], F_OK) == 0)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "unknown command '%s'; to run the file: rbhost run %s", argv[0],
                           argv[0]);
    return rb_cli_fail(cli, RB_EXIT_USAGE, "unknown command '%s'; `rbhost help` lists them", argv[0]);
}

static int usage_error(struct rb_cli *cli, const struct rb_cmd *cmd, const char *text)
{
    return rb_cli_fail(cli, RB_EXIT_USAGE, "%s%s%s\nusage: rbhost %s%s%s   (`rbhost help %s` says more)", cmd->name,
                       ": ", text, cmd->name, *cmd->operands ? " " : "", cmd->operands, cmd->name);
}

/* Everything after the command's words. */
static int dispatch(struct rb_cli *cli, const struct rb_cmd *cmd, char **args, int n)
{
    struct rb_err err;
    void *values = rb_alloc(cmd->values);
    char **operands = rb_alloc((size_t)(n + 1) * sizeof(*operands));
    struct rb_opt_set sets[] = {{cmd->options, values}, {rb_cli_options, cli}};
    int argc = 0, code;
    cli->cmd = cmd;
    if (rb_opt_parse(sets, 2, args, n, false, operands, &argc, NULL, &err) < 0)
        code = usage_error(cli, cmd, err.msg);
    else if (cli->help > 0)
        code = rb_help_print(cmd);
    else if (rb_opt_environment(&sets[0], &err) < 0 || rb_opt_environment(&sets[1], &err) < 0)
        code = rb_cli_fail(cli, RB_EXIT_USAGE, "%s", err.msg);
    else if (argc < cmd->min)
        code = usage_error(cli, cmd, "something is missing");
    else if (cmd->max >= 0 && argc > cmd->max) {
        char text[200];
        snprintf(text, sizeof(text), "'%.150s' is one word too many", operands[cmd->max]);
        code = usage_error(cli, cmd, text);
    } else
        code = cmd->run(cli, values, argc, operands);
    free(operands);
    free(values);
    return code;
}

static int start(struct rb_cli *cli, int argc, char **argv)
{
    struct rb_err err;
    struct rb_opt_set global = {rb_cli_options, cli};
    int used = 0, none = 0, words = 1;
    if (rb_opt_parse(&global, 1, argv + 1, argc - 1, true, NULL, &none, &used, &err) < 0)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "%s; `rbhost help` lists commands and options", err.msg);
    char **rest = argv + 1 + used;
    int n = argc - 1 - used;
    if (cli->version > 0)
        return dispatch(cli, rb_cmd_find("version"), rest, 0);
    if (n == 0 && cli->help > 0)
        return rb_help_print(NULL);
    if (n == 0)
        return dispatch(cli, rb_cmd_find(""), rest, 0);
    const struct rb_cmd *cmd = **rest ? pick(rest, n, &words) : NULL;
    if (!cmd)
        return unknown_command(cli, rest, n);
    return dispatch(cli, cmd, rest + words, n - words);
}

int rb_cli_main(int argc, char **argv)
{
    struct rb_cli cli = {0};
    signal(SIGPIPE, SIG_IGN); /* a closed reader is an error of write(), never the end of a run */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that may not grow: the journal is full, and says so */
    int code = start(&cli, argc, argv);
    if (cli.store)
        rb_store_close(cli.store);
    json_decref(cli.config);
    free(cli.config_found);
    return code;
}
