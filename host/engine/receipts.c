/* Owns the receipts whose outcomes this run has journaled: as soon as an outcome is durable, and not before, its
 * receipt may go (D3 "Receipts"). No flush is asked for on their behalf. And what is said of a journal that is older
 * than the receipts that were taken away. */
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "engine/core.h"

struct noted {
    struct rb_list link;
    struct rb_durable durable;
    struct rb_run *run;
    const struct rb_effect_type *type;
    int64_t seq; /* of its result */
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
    struct rb_run *run = n->run;
    rb_fault_point("receipt.recorded");
    /* Without a receipt an older copy of the journal would take the command for one that has never started. */
    if (rb_store_see(run->host->store, run->id, n->seq, &run->seen_fd))
        n->type->recorded(run->host->loop, n->place, n->id);
    noted_free(n);
}

void rb_run_note_receipt(struct rb_run *run, const struct rb_effect *e, int64_t seq)
{
    struct noted *n = rb_alloc(sizeof(*n));
    rb_list_init(&n->durable.link);
    n->durable.fn = on_durable;
    n->run = run;
    n->type = e->type;
    n->seq = seq;
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

/* The last event with which the run went on in an older copy. */
static int64_t went_on_in_older(struct rb_replay *r)
{
    static const char *const kinds[] = {"run.resume", "run.retry", "undo.start"};
    for (size_t i = r->count; i > 0; i--) {
        const struct rb_recorded *ev = &r->events[i - 1];
        for (size_t k = 0; k < RB_COUNT(kinds); k++)
            if (strcmp(ev->kind, kinds[k]) == 0 && rb_json_member(ev->data, ev->data_len, "older").p)
                return ev->seq;
    }
    return 0;
}

int rb_run_check_older(struct rb_run *run, bool take_back, struct rb_err *err)
{
    int64_t seen = rb_store_seen(run->host->store, run->id), here = (int64_t)run->replay.count;
    run->doubted_to = went_on_in_older(&run->replay);
    if (seen <= here)
        return RB_OK;
    if (!take_back)
        return rb_err_set(
            err, RB_EINVAL,
            "this journal is an older copy: run %s has %lld events in it, and had at least %lld. What it "
            "did since would be done again. Put the newer journal back; or look what that was, and "
            "`rbhost resume %s --take-back` (retry, undo) goes on from here, and asks about what had begun",
            run->id, (long long)here, (long long)seen, run->id);
    run->older = seen;
    run->doubted_to = here;
    return RB_OK;
}

void rb_run_write_older(struct rb_run *run, struct rb_buf *json)
{
    if (run->older)
        rb_buf_addf(json, ",\"older\":%lld", (long long)run->older);
}

static void on_older_durable(struct rb_durable *w)
{
    struct rb_run *run = RB_CONTAINER(w, struct rb_run, older_wait);
    rb_store_see(run->host->store, run->id, rb_journal_seq(run->journal), &run->seen_fd);
}

void rb_run_note_older(struct rb_run *run)
{
    if (!run->older)
        return;
    run->older = 0;
    run->older_wait.fn = on_older_durable;
    rb_journal_await(run->journal, rb_journal_seq(run->journal), &run->older_wait);
}
