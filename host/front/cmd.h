/* One command = one row: help, completion, the manual page and parsing all come from it. */
#ifndef RB_CMD_H
#define RB_CMD_H

#include "front/cli.h"
#include "front/opt.h"

/* What an operand names, for completion. */
enum rb_operand { RB_ARG_NONE, RB_ARG_RUN, RB_ARG_FILE, RB_ARG_RUNBOOK, RB_ARG_COMMAND, RB_ARG_WORDS };

struct rb_cmd {
    const char *name;             /* one word, or two: "journal stats" */
    const char *group;            /* heading in the overview; NULL: hidden */
    const char *operands;         /* usage after the name: "RUN [OP]"; "" none */
    const char *summary;          /* one line, begins in lower case */
    const char *example;          /* lines "command  # what it does", the first is the one to remember */
    const char *text;             /* what else there is to say, plain paragraphs; NULL */
    const struct rb_opt *options; /* NULL none */
    size_t values;                /* size of the struct that the options fill */
    int min, max;                 /* operands; max -1: any number */
    enum rb_operand operand;
    const char *words; /* for RB_ARG_WORDS: separated by spaces */
    /* Returns the exit code. values is zeroed, then filled; argv are the operands. */
    int (*run)(struct rb_cli *cli, void *values, int argc, char **argv);
};

extern const struct rb_cmd *const rb_cmds[]; /* in the order of the overview; ends with NULL */
extern const struct rb_opt rb_cli_options[]; /* the global ones */

const struct rb_cmd *rb_cmd_find(const char *name); /* exact; NULL unknown */

/* Texts made from the rows (help.c). */
int rb_help_print(const struct rb_cmd *cmd);              /* of one command, or NULL: of all; an exit code */
void rb_help_man(struct rb_buf *out);                     /* roff */
void rb_help_markdown(struct rb_buf *out);                /* docs/cli.md */
int rb_completion(const char *shell, struct rb_buf *out); /* completion.c; RB_EINVAL: no such shell */

#endif
