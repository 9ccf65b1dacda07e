/* Owns the journal of one run: numbers, hashes and hands over its events, and tells who waits when they are durable.
 * Knows nothing of what events mean, of Lua, or of which store is behind.
 *
 * Invariants. Tests cite them by number.
 *
 *   1. No effect starts before its intent is durable.
 *   2. After any crashes and resumes an effect has run at most once, plus its recorded retries (explicit, or allowed by
 *      its class and marked).
 *   3. Nothing reported outside is lost.
 *   4. Resuming from any prefix of a journal ends as the uninterrupted run does, given the same outcomes from outside,
 *      shared variables included.
 *   5. A run that says "running" without a live owner is found at once and never blocks the next run.
 *   6. Any change to an event, a parameter, a source or a blob is found by verification, which names the first bad
 *      event; a cut tail is found against an exported or signed head.
 *
 * An op's way, with who makes each step, and what a crash in the gap before the next one means:
 *
 *   absent
 *     │  engine: rb_journal_append("intent")            crash: nothing was; the resume starts it
 *   intent appended
 *     │  writer: COMMIT, store → on_batch()             crash: as above, or as below if the commit got through
 *   intent durable
 *     │  engine: rb_durable.fn starts the effect        crash: in doubt, unless a receipt says it never started  [1]
 *   started
 *     │  driver: op->done
 *     │  engine: rb_journal_append("result")            crash: in doubt, or collected from its receipt           [2]
 *   outcome appended
 *     │  writer: COMMIT, store → on_batch()             crash: as above: nobody outside has seen it              [3]
 *   outcome durable
 *     │  on_event(): shown; the task goes on            crash: replay returns the recorded outcome               [4]
 *   delivered
 *
 * A read has no intent: its way is absent → started → outcome appended → …, and a crash before the outcome is durable
 * runs it again. A task may go on with an outcome that is appended and not yet durable: the store commits the events of
 * a run in their order, so the next intent of that run becomes durable with it or after it, never before [1], and what
 * is shown outside waits for on_event [3].
 *
 * Group commit: an append goes to the store at once, as a batch that may wait up to 20 ms. rb_journal_when_durable()
 * makes the store commit now, and that commit takes every batch that waits, of all runs. */
#include "store/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/batch.h"
#include "store/chain.h"

struct rb_journal {
    struct rb_store *store; /* borrowed */
    char run[RB_RUN_ID_MAX];
    int64_t epoch;
    int64_t seq, durable;
    uint8_t head[RB_SHA_LEN];
    bool created; /* false: events are kept in `next` until the run's row is made with them */
    bool closed, failed;
    int busy;               /* callbacks of this journal that are on the stack */
    struct rb_batch *next;  /* begun by a blob, a source or a row; goes with the next append */
    struct rb_list flight;  /* struct rb_batch.mine, in order */
    struct rb_list waiters; /* struct rb_durable, by seq */
    struct rb_journal_watch watch;
    rb_journal_filter_fn *filter;
    void *filter_arg;
};

static struct rb_journal *journal_new(struct rb_store *s, const char *run)
{
    struct rb_journal *j = rb_alloc(sizeof(*j));
    j->store = s;
    memcpy(j->run, run, strnlen(run, sizeof(j->run) - 1));
    rb_list_init(&j->flight);
    rb_list_init(&j->waiters);
    return j;
}

struct rb_journal *rb_journal_new(struct rb_store *s, const char *run_id)
{
    return journal_new(s, run_id);
}

struct rb_journal *rb_journal_open(struct rb_store *s, const struct rb_run_row *row)
{
    struct rb_journal *j = journal_new(s, row->id);
    j->epoch = row->epoch;
    j->seq = j->durable = row->seq;
    memcpy(j->head, row->head, RB_SHA_LEN);
    j->created = true;
    return j;
}

static void free_if_done(struct rb_journal *j)
{
    if (!j->closed || j->busy || !rb_list_empty(&j->flight))
        return;
    rb_batch_free(j->next);
    free(j);
}

void rb_journal_close(struct rb_journal *j)
{
    if (!j)
        return;
    j->closed = true;
    while (rb_list_pop(&j->waiters))
        ;
    free_if_done(j);
}

/* -- appending ----------------------------------------------------------------------------------------------------- */

static struct rb_batch *next_batch(struct rb_journal *j)
{
    if (!j->next)
        j->next = rb_batch_new(j->run, j->epoch);
    return j->next;
}

static void fail(struct rb_journal *j, int rc, const struct rb_err *err)
{
    if (j->failed)
        return;
    j->failed = true;
    if (!j->closed && j->watch.on_failed)
        j->watch.on_failed(j->watch.arg, rc, err);
}

/* The durable edge: everything in this batch, and so everything before it, is in the file. */
static void on_batch(void *arg, int rc, const struct rb_err *err)
{
    struct rb_journal *j = arg;
    struct rb_batch *b = RB_CONTAINER(rb_list_pop(&j->flight), struct rb_batch, mine);
    j->busy++;
    if (rc)
        fail(j, rc, err);
    if (!j->failed && b->last)
        j->durable = b->last->ev.seq;
    for (struct rb_batch_event *e = b->events; e && !j->failed && !j->closed; e = e->next)
        if (j->watch.on_event)
            j->watch.on_event(j->watch.arg, &e->ev);
    while (!j->failed && !rb_list_empty(&j->waiters)) {
        struct rb_durable *w = RB_CONTAINER(j->waiters.next, struct rb_durable, link);
        if (w->seq > j->durable)
            break;
        rb_list_remove(&w->link);
        w->fn(w);
    }
    j->busy--;
    free_if_done(j);
}

static void hand_over(struct rb_journal *j, struct rb_batch *b, bool now)
{
    rb_list_push(&j->flight, &b->mine);
    rb_store_append(j->store, b, now, on_batch, j);
}

int64_t rb_journal_append(struct rb_journal *j, const char *key, const char *kind, const char *data, size_t len)
{
    struct rb_event ev = {
        .seq = ++j->seq, .at = rb_clock_wall(), .key = key, .kind = kind, .data = data, .data_len = len};
    struct rb_buf other;
    if (j->failed)
        return ev.seq; /* the run is lost to this process; its tasks learn it from on_failed */
    rb_buf_init(&other, SIZE_MAX / 2);
    if (j->filter && j->filter(j->filter_arg, true, data, len, &other)) {
        ev.data = rb_buf_text(&other);
        ev.data_len = other.len;
    }
    rb_chain_hash(j->head, j->run, &ev);
    memcpy(j->head, ev.hash, RB_SHA_LEN);
    struct rb_batch *b = next_batch(j);
    rb_batch_event(b, &ev);
    rb_buf_release(&other);
    if (j->created) {
        j->next = NULL;
        hand_over(j, b, false);
    }
    return ev.seq;
}

void rb_journal_blob(struct rb_journal *j, const void *data, size_t len, char digest[RB_SHA_HEX])
{
    rb_sha_of_hex(data, len, digest);
    rb_batch_blob(next_batch(j), digest, data, len);
}

void rb_journal_source(struct rb_journal *j, const char *name, const void *data, size_t len, char digest[RB_SHA_HEX])
{
    rb_sha_of_hex(data, len, digest);
    rb_batch_source(next_batch(j), name, digest, data, len);
}

void rb_journal_row(struct rb_journal *j, const char *status, const char *waiting, const char *error, int64_t ended,
                    int64_t wake)
{
    struct rb_buf other[2];
    const char **const texts[] = {&waiting, &error};
    for (size_t i = 0; i < RB_COUNT(texts); i++) {
        const char *s = *texts[i];
        rb_buf_init(&other[i], SIZE_MAX / 2);
        if (j->filter && s && j->filter(j->filter_arg, false, s, strlen(s), &other[i]))
            *texts[i] = rb_buf_text(&other[i]);
    }
    rb_batch_row(next_batch(j), status, waiting, error, ended, wake);
    rb_buf_release(&other[0]);
    rb_buf_release(&other[1]);
}

void rb_journal_filter(struct rb_journal *j, rb_journal_filter_fn *fn, void *arg)
{
    j->filter = fn;
    j->filter_arg = arg;
}

/* -- creation ------------------------------------------------------------------------------------------------------ */

/* What rb_journal_row() said before there was a row. */
static void fill_row(struct rb_run_row *row, const struct rb_batch *b)
{
    char **to[] = {&row->status, &row->waiting, &row->error};
    char *const from[] = {b->status, b->waiting, b->error};
    if (!b->row)
        return;
    for (size_t i = 0; i < RB_COUNT(to); i++) {
        if (!from[i])
            continue;
        free(*to[i]);
        *to[i] = from[i][0] ? rb_strdup(from[i]) : NULL;
    }
    if (b->ended >= 0)
        row->ended = b->ended;
    if (b->wake >= 0)
        row->wake = b->wake;
}

int rb_journal_create(struct rb_journal *j, struct rb_run_row *row, struct rb_err *err)
{
    struct rb_batch *b = next_batch(j);
    if (j->created || !b->events)
        return rb_err_set(err, RB_EINVAL, "a run is created once, with at least one event");
    fill_row(row, b);
    int rc;
    for (int tries = 0;; tries++) {
        memcpy(row->id, j->run, sizeof(row->id));
        rc = rb_store_create_sync(j->store, row, b, err);
        /* The id is taken (not the key: then row->id is another's): two runs in one millisecond drew the same
         * number. */
        if (rc != RB_EEXIST || strcmp(row->id, j->run) != 0 || tries == 20)
            break;
        rb_run_id_new(j->run);
        rb_batch_rename(b, j->run, j->head);
    }
    if (rc)
        return rc;
    j->created = true;
    j->epoch = b->epoch = row->epoch;
    j->durable = j->seq;
    j->next = NULL;
    b->written = true;
    hand_over(j, b, true); /* passes through the store only for on_event, on the loop and in its place */
    return RB_OK;
}

int rb_journal_create_later(struct rb_journal *j, struct rb_run_row *row, struct rb_err *err)
{
    struct rb_batch *b = next_batch(j);
    if (j->created || !b->events)
        return rb_err_set(err, RB_EINVAL, "a run is created once, with at least one event");
    fill_row(row, b);
    b->epoch = j->epoch = row->epoch = 1;
    int rc = rb_store_create(j->store, row, b, on_batch, j, err);
    if (rc)
        return rc;
    j->created = true;
    j->next = NULL;
    rb_list_push(&j->flight, &b->mine);
    return RB_OK;
}

void rb_journal_disown(struct rb_journal *j)
{
    rb_store_disown(j->store, j->run, j->epoch);
}

/* -- durability ---------------------------------------------------------------------------------------------------- */

int64_t rb_journal_seq(const struct rb_journal *j)
{
    return j->seq;
}

int64_t rb_journal_durable(const struct rb_journal *j)
{
    return j->durable;
}

void rb_journal_head(const struct rb_journal *j, uint8_t out[RB_SHA_LEN])
{
    memcpy(out, j->head, RB_SHA_LEN);
}

static void await_durable(struct rb_journal *j, int64_t seq, struct rb_durable *w, bool now)
{
    w->seq = seq;
    struct rb_list *after = j->waiters.prev;
    while (after != &j->waiters && RB_CONTAINER(after, struct rb_durable, link)->seq > seq)
        after = after->prev;
    rb_list_push(after->next, &w->link); /* before the next of `after`: behind it */
    if (j->failed || !j->created)
        return;
    if (rb_list_empty(&j->flight))
        hand_over(j, rb_batch_new(j->run, j->epoch), true); /* all is durable: an empty batch brings the call */
    else if (now)
        rb_store_flush(j->store);
}

void rb_journal_when_durable(struct rb_journal *j, int64_t seq, struct rb_durable *w)
{
    await_durable(j, seq, w, true);
}

void rb_journal_await(struct rb_journal *j, int64_t seq, struct rb_durable *w)
{
    await_durable(j, seq, w, false);
}

void rb_durable_cancel(struct rb_durable *w)
{
    rb_list_remove(&w->link);
}

void rb_journal_watch(struct rb_journal *j, const struct rb_journal_watch *w)
{
    j->watch = *w;
}
