/* Owns the order of the commands in the overview. A new command: its file, its row there, its name here. */
#include "front/cmds.h"

const struct rb_cmd *const rb_cmds[] = {
    &rb_cmd_run,           &rb_cmd_resume,        &rb_cmd_retry,
    &rb_cmd_undo,          &rb_cmd_pause,         &rb_cmd_attach,
    &rb_cmd_cancel,        &rb_cmd_approve,       &rb_cmd_deny,
    &rb_cmd_answer,        &rb_cmd_resolve,       &rb_cmd_signal,
    &rb_cmd_notify,        &rb_cmd_status,        &rb_cmd_ls,
    &rb_cmd_show,          &rb_cmd_log,           &rb_cmd_list,
    &rb_cmd_describe,      &rb_cmd_check,         &rb_cmd_test,
    &rb_cmd_verify,        &rb_cmd_head,          &rb_cmd_export,
    &rb_cmd_import_run,    &rb_cmd_journal_stats, &rb_cmd_journal_backup,
    &rb_cmd_journal_prune, &rb_cmd_config_show,   &rb_cmd_config_check,
    &rb_cmd_doctor,        &rb_cmd_completion,    &rb_cmd_version,
    &rb_cmd_help,          &rb_cmd_man,           NULL,
};
