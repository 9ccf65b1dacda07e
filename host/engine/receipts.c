/* Owns the receipts whose outcomes this run has journaled: as soon as an outcome is durable, and not before, its
 * receipt may go (D3 "Receipts"). No flush is asked for on their behalf. */
#include <stdlib.h>

#include "base/fault.h"
#include "engine/core.h"

struct noted {
    struct rb_list link;
    struct rb_durable durable;
    struct rb_run *run;
    const struct rb_effect_type *type;
    char id[RB_RECEIPT_MAX];
    char *place;
};

static void noted_free(struct noted *n)
{
    rb_durable_cancel(&n->durable);
    rb_list_remove(&n->link);
    free(n->place);
    free(n);
}

static void on_durable(struct rb_durable *w)
{
    struct noted *n = RB_CONTAINER(w, struct noted, durable);
    rb_fault_point("receipt.recorded");
    n->type->recorded(n->run->host->loop, n->place, n->id);
    noted_free(n);
}

void rb_run_note_receipt(struct rb_run *run, const struct rb_effect *e, int64_t seq)
{
    struct noted *n = rb_alloc(sizeof(*n));
    rb_list_init(&n->durable.link);
    n->durable.fn = on_durable;
    n->run = run;
    n->type = e->type;
    rb_effect_receipt(e, n->id);
    n->place = rb_strndup(rb_buf_text(&e->place), e->place.len);
    rb_list_push(&run->receipts, &n->link);
    rb_journal_await(run->journal, seq, &n->durable);
}

void rb_run_drop_receipts(struct rb_run *run)
{
    while (!rb_list_empty(&run->receipts))
        noted_free(RB_CONTAINER(run->receipts.next, struct noted, link));
}
