/* Commands on this machine that outlive the host and leave a receipt (D3 "Receipts"): started under the shim
 * (host/shim/), looked for again after a crash.
 *
 * A receipt is a folder <root>/<id>; its files and their order are at the top of host/shim/shim.c. No Lua, no
 * journal. */
#ifndef RB_RECEIPT_H
#define RB_RECEIPT_H

#include "io/proc.h"

/* Where receipts lie, and what must be the same for "there is none" to mean "it has never started". */
struct rb_receipt_place {
    char root[64]; /* random, in <root>/id, made with the root */
    char boot[64]; /* /proc/sys/kernel/random/boot_id, and which namespace of processes ("…/4026531836") */
    char user[32]; /* uid */
};

struct rb_receipts; /* one receipts root */

/* Opens the root (made 0700 if need be). RB_EIO, RB_EDENIED: none can be kept there; err says why. */
int rb_receipts_open(const char *path, struct rb_receipts **out, struct rb_err *err);
/* After every receipt has ended or was detached, before rb_loop_release(). */
void rb_receipts_close(struct rb_receipts *r);
const struct rb_receipt_place *rb_receipts_place(const struct rb_receipts *r);

struct rb_receipt; /* one command: started, or found again */

enum rb_receipt_state {
    RB_RECEIPT_ENDED,     /* result is whole, as rb_proc's is */
    RB_RECEIPT_ABSENT,    /* look: certainly never started, and a launch that is still under way can not start it */
    RB_RECEIPT_UNKNOWN,   /* it began; how it ended is not known: why */
    RB_RECEIPT_ELSEWHERE, /* another root, boot or user: nothing can be said: why */
    RB_RECEIPT_REFUSED    /* start: it has certainly not started, and there is no receipt: err */
};
struct rb_receipt_result {
    enum rb_receipt_state state;
    struct rb_proc_result proc; /* ENDED; its captures may be taken */
    char why[200];
    struct rb_err err; /* REFUSED: as of rb_proc_start(); RB_EEXIST when there is a receipt of this id already */
};

/* Starts opt's command under the receipt `id` (one part of a path, at most RB_RECEIPT_ID_MAX bytes, no leading dot).
 * The shim enforces opt->timeout_ms and grace_ms, holds all of the input before the command starts, and caps the output
 * at max_output; live output beyond it may have holes. opt->on_done is not used. Errors as rb_proc_start(): what can be
 * seen from here at once (no such command), the rest (what exec says, a full disk) as RB_RECEIPT_REFUSED. */
#define RB_RECEIPT_ID_MAX 200
int rb_receipt_start(struct rb_receipts *r, struct rb_loop *loop, const char *id, const struct rb_proc_options *opt,
                     void (*on_done)(void *arg, struct rb_receipt_result *result), struct rb_receipt **out,
                     struct rb_err *err);

/* What became of `id`, that was started at `place` by a host that is gone? Waits for its end when it still runs, with
 * live output through opt->on_output (only max_output, on_output, grace_ms, arg of opt are used). */
int rb_receipt_look(struct rb_receipts *r, struct rb_loop *loop, const struct rb_receipt_place *place, const char *id,
                    const struct rb_proc_options *opt, void (*on_done)(void *arg, struct rb_receipt_result *result),
                    struct rb_receipt **out, struct rb_err *err);

void rb_receipt_kill(struct rb_receipt *c);     /* TERM to the command's group, KILL after its grace; on_done follows */
void rb_receipt_kill_now(struct rb_receipt *c); /* KILL; on_done follows */
void rb_receipt_detach(struct rb_receipt *c);   /* it runs on; no callback follows, and *c is gone */
int rb_receipt_pid(const struct rb_receipt *c); /* of the command, 0 when it is not known */

/* Its outcome is recorded: removes the receipt, soon, on a thread of the pool. A tombstone stays for the sweep. */
void rb_receipts_forget(struct rb_receipts *r, const char *id);
/* Removes what is older than max_age_us and runs no more; returns how many, or RB_E…. What has begun since the machine
 * was started and was not asked for only loses its output. Blocks: from a thread of the pool. */
int rb_receipts_sweep(struct rb_receipts *r, int64_t max_age_us);

#endif
