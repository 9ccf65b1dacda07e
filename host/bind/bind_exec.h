/* What the files of exec share. Private to bind/exec*.c. */
#ifndef RB_BIND_EXEC_H
#define RB_BIND_EXEC_H

#include "engine/effect.h"
#include "io/proc.h"
#include "io/receipt.h"

struct exec_op {
    struct rb_effect effect;
    char **argv, **env;
    char *cwd;
    char *input;
    size_t input_len;
    bool has_input, check;
    size_t max_output;
    uint64_t timeout_ms, grace_ms;
    struct rb_proc *proc;         /* while it runs without a receipt */
    struct rb_receipt *receipt;   /* while it runs, or is looked for, with one */
    bool orphan;                  /* the op has been dropped: the last callback frees it */
    struct rb_proc_result result; /* its captures are owned here once it has ended */
    bool ended;
};

static inline struct exec_op *exec_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct exec_op, effect);
}

/* What its process is to be, but for the callbacks of its end. */
void rb_exec_options(struct exec_op *op, struct rb_proc_options *opt);
/* It has ended: takes the captures of r, and says what became of the op. */
void rb_exec_ended(struct exec_op *op, struct rb_proc_result *r);
/* The error's kind, of a start that has failed with this code. */
const char *rb_exec_error_kind(int rc);
/* Forgets an earlier result. */
void rb_exec_reset(struct exec_op *op);

/* bind_exec_receipt.c: as struct rb_effect_type has them. */
void rb_exec_locate(struct rb_effect *e);
void rb_exec_look(struct rb_effect *e);
bool rb_exec_detach(struct rb_effect *e);
void rb_exec_recorded(struct rb_loop *loop, const char *place, const char *id);
/* Can this start have a receipt? Then starts it so. False: it has none, and *rc is not set. */
bool rb_exec_start_receipt(struct exec_op *op, const struct rb_proc_options *opt, int *rc, struct rb_err *err);

#endif
