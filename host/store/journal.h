/* The journal of one run, held by its owner. Loop thread only. Encodes and hashes each event once and hands the same
 * bytes to the store. The invariants are numbered at the top of journal.c. */
#ifndef RB_JOURNAL_H
#define RB_JOURNAL_H

#include "store/store.h"

/* Opens a run that this process has created or claimed; `row` gives id, epoch, seq and head (copied). */
struct rb_journal *rb_journal_open(struct rb_store *s, const struct rb_run_row *row);
void rb_journal_close(struct rb_journal *j); /* what was appended is still written; no callback comes after */

/* A run's creation: appends go into the first batch until rb_journal_create() puts it and the row into the store. */
struct rb_journal *rb_journal_new(struct rb_store *s, const char *run_id);
int rb_journal_create(struct rb_journal *j, struct rb_run_row *row, struct rb_err *err);
/* The same without waiting for the store; row->key must be NULL. That the id is taken, or that the store fails, comes
 * by the watch: nothing was shown and no effect has started by then [1]. */
int rb_journal_create_later(struct rb_journal *j, struct rb_run_row *row, struct rb_err *err);
/* The last: this process gives the run up, in the commit of what was appended where it can be. */
void rb_journal_disown(struct rb_journal *j);

/* Appends one event (copies). Returns its seq. It is durable within 20 ms or at the next flush. */
int64_t rb_journal_append(struct rb_journal *j, const char *key, const char *kind, const char *data, size_t len);
/* Goes with the next append; for output too large for `data`. Writes the hex digest. */
void rb_journal_blob(struct rb_journal *j, const void *data, size_t len, char digest[RB_SHA_HEX]);
void rb_journal_source(struct rb_journal *j, const char *name, const void *data, size_t len, char digest[RB_SHA_HEX]);
/* New values of the run's row, written with the next append (see rb_batch_row). */
void rb_journal_row(struct rb_journal *j, const char *status, const char *waiting, const char *error, int64_t ended,
                    int64_t wake);

int64_t rb_journal_seq(const struct rb_journal *j);     /* last appended */
int64_t rb_journal_durable(const struct rb_journal *j); /* last that is durable */
void rb_journal_head(const struct rb_journal *j, uint8_t out[RB_SHA_LEN]);

/* Sees what is written before it is hashed: the data of events (is_json) and the texts of the run's row. True: `out`
 * has what is to be written instead. NULL: none. */
typedef bool rb_journal_filter_fn(void *arg, bool is_json, const char *text, size_t n, struct rb_buf *out);
void rb_journal_filter(struct rb_journal *j, rb_journal_filter_fn *fn, void *arg);

/* Calls `fn` on the loop, never from within, once everything up to seq is durable, and asks for a flush now. Waiters
 * are called in the order of seq, then of asking. The waiter is embedded by the caller, and may be cancelled until it
 * is called. */
struct rb_durable {
    struct rb_list link;
    int64_t seq;
    void (*fn)(struct rb_durable *w);
};
void rb_journal_when_durable(struct rb_journal *j, int64_t seq, struct rb_durable *w);
/* The same without asking for a flush: an append is written within 20 ms anyway. */
void rb_journal_await(struct rb_journal *j, int64_t seq, struct rb_durable *w);
void rb_durable_cancel(struct rb_durable *w);

/* Called on the loop for each event when it has become durable, in order (what may be shown outside); and once when the
 * journal can not go on (RB_ESTALE: another process took the run over; else the store's error). After that nothing is
 * acknowledged. */
struct rb_journal_watch {
    void (*on_event)(void *arg, const struct rb_event *ev);
    void (*on_failed)(void *arg, int rc, const struct rb_err *err);
    void *arg;
};
void rb_journal_watch(struct rb_journal *j, const struct rb_journal_watch *w); /* copies */

#endif
