/* The rows, and what commands share. Private to the commands. */
#ifndef RB_CMDS_H
#define RB_CMDS_H

#include "front/cmd.h"
#include "front/view.h"

extern const struct rb_cmd rb_cmd_status, rb_cmd_run, rb_cmd_resume, rb_cmd_retry, rb_cmd_undo, rb_cmd_pause,
    rb_cmd_attach, rb_cmd_ls, rb_cmd_show, rb_cmd_log, rb_cmd_approve, rb_cmd_deny, rb_cmd_answer, rb_cmd_resolve,
    rb_cmd_signal, rb_cmd_cancel, rb_cmd_notify, rb_cmd_verify, rb_cmd_head, rb_cmd_export, rb_cmd_import_run,
    rb_cmd_journal_stats, rb_cmd_journal_backup, rb_cmd_journal_prune, rb_cmd_list, rb_cmd_describe, rb_cmd_check,
    rb_cmd_test, rb_cmd_doctor, rb_cmd_config_show, rb_cmd_config_check, rb_cmd_completion, rb_cmd_version, rb_cmd_help,
    rb_cmd_man;

/* FILE or NAME to a path: 0, or the exit code after complaining (cmd_run.c). */
int rb_cmd_runbook_file(struct rb_cli *cli, const char *what, char *path, size_t n);

/* A run's status in one word for people: "interrupted" when it says running, waiting … but its owner is dead.
 * Borrowed. */
const char *rb_cmd_status_word(const struct rb_run_row *row, bool owned);
/* Is it held by a living process? */
bool rb_cmd_owned(struct rb_cli *cli, const struct rb_run_row *row);
/* Does nobody drive the run any more, and was all that is written of it seen? */
int rb_cmd_over(struct rb_cli *cli, const char *id, int64_t seen, bool *over, struct rb_err *err);

#endif
