/* Owns the receipts whose outcomes this run has journaled: as soon as an outcome is durable, and not before, its
 * receipt may go (D3 "Receipts"). No flush is asked for on their behalf. */
#include <stdlib.h>

#include "base/fault.h"
#include "engine/core.h"

struct noted {
    struct rb_list link;
    int64_t seq; /* of the result */
    const struct rb_effect_type *type;
    char id[RB_RECEIPT_MAX];
    char *place;
};

static void noted_free(struct noted *n)
{
    free(n->place);
    free(n);
}

void rb_run_note_receipt(struct rb_run *run, const struct rb_effect *e, int64_t seq)
{
    rb_run_collect_receipts(run);
    if (e->outcome == RB_OUTCOME_UNKNOWN && !e->error_has_result)
        return; /* somebody may want to look there; what is old is swept */
    struct noted *n = rb_alloc(sizeof(*n));
    n->seq = seq;
    n->type = e->type;
    rb_effect_receipt(e, n->id);
    n->place = rb_strndup(rb_buf_text(&e->place), e->place.len);
    rb_list_push(&run->receipts, &n->link);
}

void rb_run_collect_receipts(struct rb_run *run)
{
    int64_t durable = rb_journal_durable(run->journal);
    while (!rb_list_empty(&run->receipts)) {
        struct noted *n = RB_CONTAINER(run->receipts.next, struct noted, link);
        if (n->seq > durable)
            return;
        rb_list_remove(&n->link);
        rb_fault_point("receipt.recorded");
        n->type->recorded(run->host->loop, n->place, n->id);
        noted_free(n);
    }
}

void rb_run_drop_receipts(struct rb_run *run)
{
    struct rb_list *it;
    while ((it = rb_list_pop(&run->receipts)))
        noted_free(RB_CONTAINER(it, struct noted, link));
}
