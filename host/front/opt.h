/* Options of the command line, from tables (the shape of git's parse-options). One table serves parsing, the
 * environment, help, the manual page and completion. */
#ifndef RB_OPT_H
#define RB_OPT_H

#include "base/err.h"

enum rb_opt_type {
    RB_OPT_BOOL,   /* int: 0 not said, 1 --name, -1 --no-name */
    RB_OPT_COUNT,  /* int: how often it was said; --no-name: back to 0 */
    RB_OPT_TEXT,   /* const char *, borrowed from argv or the environment; NULL not said */
    RB_OPT_NUMBER, /* int64_t, 0 and more; 0 not said */
    RB_OPT_SPAN,   /* int64_t in ms: "90s", "30m", "1h30m", "2d"; 0 not said */
    RB_OPT_CHOICE, /* as TEXT, one of the words of `arg` (separated by |) */
};

enum rb_opt_flag {
    /* the value may be left out (only --name=value gives one): NUMBER and SPAN become -1, TEXT "" */
    RB_OPT_OPTIONAL = 1 << 0,
    RB_OPT_NOENV = 1 << 1,  /* no environment variable: --help, --version */
    RB_OPT_HIDDEN = 1 << 2, /* not in help */
    RB_OPT_FILE = 1 << 3,   /* the value is a path (completion) */
    RB_OPT_NO = 1 << 4,     /* of a BOOL that holds unless it is denied: help says --[no-]name */
};

/* A table ends with an entry without a name. */
struct rb_opt {
    const char *name; /* long, without the dashes */
    char letter;      /* short, 0 none */
    enum rb_opt_type type;
    size_t offset;    /* of the value in the struct that belongs to the table */
    const char *arg;  /* how help calls the value: "FILE"; NULL for BOOL and COUNT */
    const char *help; /* one line, begins in lower case, no full stop */
    unsigned flags;
};

/* A table with the memory its values go to. */
struct rb_opt_set {
    const struct rb_opt *table; /* may be NULL */
    void *values;               /* zeroed by the caller */
};

/* Reads options from args (n of them, without the program's name). Operands are collected, in order, in `operands`
 * (room for n) and counted in *n_operands. With stop_at_operand it ends at the first operand: *used tells how many args
 * were consumed. `--` ends the options. Returns 0, or RB_EINVAL with a sentence that suggests the nearest option. */
int rb_opt_parse(const struct rb_opt_set *sets, size_t n_sets, char **args, int n, bool stop_at_operand,
                 char **operands, int *n_operands, int *used, struct rb_err *err);

/* Fills what no argument has said from the environment: RBHOST_ and the name in capitals, - as _. Call it after
 * parsing. */
int rb_opt_environment(const struct rb_opt_set *set, struct rb_err *err);

/* "RBHOST_NO_INPUT" into out; "" when it has none. */
void rb_opt_variable(const struct rb_opt *opt, char *out, size_t n);

/* "90s", "30m", "1h30m", "2d", "250ms", or seconds as a plain number; to ms. RB_EINVAL otherwise. */
int rb_opt_span(const char *text, int64_t *ms);

#endif
