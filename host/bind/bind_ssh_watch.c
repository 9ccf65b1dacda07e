/* Owns how long an op waits for the shell on the other machine: for its first word, and then for the command's end.
 * What is done when that has passed is bind_ssh.c's. */
#include "base/clock.h"
#include "bind/bind_ssh_op.h"

#define LOOK_MS 30000   /* for the first word, before it is told what a receipt has */
#define LAUNCH_MS 60000 /* the same of a command that is started; its input may have to be there before */
#define BYTES_PER_MS 16 /* of a slow link */

/* From the opening of its session it must have ended by then, here or over there; 0: whenever it does. */
static uint64_t most_ms(const struct ssh_op *op)
{
    if (!op->timeout_ms || op->stage == SSH_LOOKING)
        return 0;
    return op->stage == SSH_PLAIN ? op->timeout_ms : op->timeout_ms + RB_SSH_GRACE_MS + RB_SSH_OVERDUE_MS;
}

static uint64_t word_ms(const struct ssh_op *op)
{
    return op->stage == SSH_LOOKING ? LOOK_MS : LAUNCH_MS + op->input_len / BYTES_PER_MS;
}

void rb_ssh_watch_opened(struct ssh_op *op)
{
    uint64_t most = most_ms(op), word = word_ms(op);
    if (op->stopping)
        return;
    op->opened = rb_clock_boot();
    op->awaiting = !most || word < most;
    rb_timer_arm_ms(&op->timer, op->awaiting ? word : most);
}

void rb_ssh_watch_heard(struct ssh_op *op)
{
    uint64_t most = most_ms(op);
    if (!op->awaiting)
        return;
    op->awaiting = false;
    if (most)
        rb_timer_arm(&op->timer, op->opened + (int64_t)most * 1000);
    else
        rb_timer_disarm(&op->timer);
}

void rb_ssh_watch_silent(const struct ssh_op *op, struct rb_buf *out)
{
    rb_buf_addf(out,
                "the session was opened, and the shell over there said nothing within %llu s; see what `ssh %.200s "
                "true` waits for",
                (unsigned long long)word_ms(op) / 1000, op->where.name);
}
