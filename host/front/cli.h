/* What every command gets: the global options, configuration, the journal, and the one way to complain. */
#ifndef RB_CLI_H
#define RB_CLI_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

/* Exit codes (D4). */
enum rb_exit {
    RB_EXIT_OK = 0,
    RB_EXIT_FAILED = 1, /* the runbook failed */
    RB_EXIT_USAGE = 2,  /* usage, parameters, or a file that does not load */
    RB_EXIT_WAITS = 3,  /* waits for a person */
    RB_EXIT_DENIED = 4, /* denied or not allowed */
    RB_EXIT_STORE = 5,  /* the journal is damaged or out of reach */
    RB_EXIT_DOUBT = 6,  /* the outcome of an effect is unknown */
    RB_EXIT_TIMEOUT = 124,
    RB_EXIT_HUP = 129,
    RB_EXIT_INT = 130,
    RB_EXIT_PIPE = 141, /* standard output was closed */
    RB_EXIT_TERM = 143,
};

struct rb_cli {
    /* global options */
    const char *journal;
    const char *config_path;
    const char *color; /* auto, always, never */
    int no_input, json, quiet, verbose, help, version;
    /* derived */
    const struct rb_cmd *cmd;
    json_t *config;          /* object; empty when there is no file; NULL until rb_cli_config() */
    char *config_found;      /* the file that was read; NULL none */
    char journal_path[4096]; /* filled by rb_cli_journal() */
    struct rb_store *store;  /* opened by rb_cli_store(), closed at the end */
    /* Set before rb_cli_store() by who runs a loop: the journal can not be written any more. */
    void (*on_store_failed)(void *arg, const struct rb_err *why);
    void *store_arg;
};

/* The whole program. Returns the exit code. */
int rb_cli_main(int argc, char **argv);

/* "rbhost: text" on standard error (control characters neutralised, commands as by rb_cli_paste()); returns `code`. A
 * newline in the text starts an indented line. */
int rb_cli_fail(struct rb_cli *cli, int code, const char *fmt, ...) RB_PRINTF(3, 4);
/* The same for something that goes on; nothing when --quiet. */
void rb_cli_note(struct rb_cli *cli, const char *fmt, ...) RB_PRINTF(2, 3);

/* Reads the configuration once. 0, or the exit code after complaining. */
int rb_cli_config(struct rb_cli *cli);
/* The journal's path: --journal, RBHOST_JOURNAL, configuration, state folder. 0, or the exit code after complaining. */
int rb_cli_journal(struct rb_cli *cli);

enum rb_cli_mode { RB_CLI_READ, RB_CLI_WRITE, RB_CLI_CREATE };
/* Opens the journal into cli->store. 0, or the exit code after complaining. A journal that does not exist yet: with
 * RB_CLI_READ store stays NULL and it returns 0 (there are no runs). */
int rb_cli_store(struct rb_cli *cli, struct rb_loop *loop, enum rb_cli_mode mode);
/* As rb_cli_store() without a loop, then finds the run that `text` names (NULL: the latest). Complains when there is
 * none. */
int rb_cli_run(struct rb_cli *cli, enum rb_cli_mode mode, const char *text, struct rb_run_row *row);

/* Exit code for an error of the store or the engine. */
int rb_cli_exit_of(int rc);

/* "rbhost", with --journal and --config when they were given: what commands in messages begin with, so that they can be
 * pasted. Static memory. */
const char *rb_cli_self(const struct rb_cli *cli);
/* Adds a text whose commands (`rbhost show RUN`) get the same: what is below front/ can not know how this was
 * called. */
void rb_cli_paste(const struct rb_cli *cli, const char *text, struct rb_buf *out);

bool rb_cli_color(const struct rb_cli *cli, int fd); /* NO_COLOR, --color, CLICOLOR_FORCE, terminal and TERM */
bool rb_cli_live(const struct rb_cli *cli);          /* standard output is a terminal that can be redrawn */
/* a person is there: both ends are terminals and --no-input was not said */
bool rb_cli_may_ask(const struct rb_cli *cli);

/* Writes all of it to standard output. A closed one ends quietly: returns RB_EXIT_PIPE, else `code`. */
int rb_cli_put(const struct rb_buf *b, int code);
/* Writes all of it, whatever fd is; false when the other end is gone. */
bool rb_cli_write(int fd, const char *data, size_t n);

#endif
