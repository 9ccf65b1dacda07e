/* The start of a shim, up to the moment it exists. Only for io/receipt.c. */
#ifndef RB_RECEIPT_LAUNCH_H
#define RB_RECEIPT_LAUNCH_H

#include "io/proc_spawn.h"
#include "io/receipt_files.h"

/* What the shim may say later about a command that does not start is explained with this. */
struct rb_receipt_program {
    char *path, *cwd;
    struct rb_proc_size size;
};

/* Starts the shim for opt's command; it reports through *report (not blocking, the caller's). On success the program
 * is filled, with texts that the caller frees. */
int rb_receipt_launch(struct rb_receipts *r, const char *id, const struct rb_proc_options *opt, pid_t *shim,
                      int *report, struct rb_receipt_program *program, struct rb_err *err);

/* What a struct rb_shim_failure means. */
int rb_receipt_explain(const struct rb_receipts *r, const char *id, const struct rb_receipt_program *program, int step,
                       int errnum, struct rb_err *err);

#endif
