/* What a batch is made of. Private to store/: the journal makes batches, a store writes them. */
#ifndef RB_BATCH_H
#define RB_BATCH_H

#include "base/list.h"
#include "store/store.h"

/* One piece of work for the writer thread. Embedded: in a batch, or on the stack of a …_sync function that waits for
 * it. */
struct rb_job {
    struct rb_list link; /* the store's queue, then its list of finished jobs */
    /* NULL for a batch. Runs on the writer thread, inside the common transaction under a savepoint. Not 0: what it
     * wrote is rolled back, the others go on. */
    int (*run)(struct rb_store *s, struct rb_job *job, struct rb_err *err);
    bool sync;     /* somebody waits; else on_done is called on the loop */
    bool finished; /* guarded by the store's mutex */
    int rc;
    struct rb_err *err; /* sync: the caller's (may be NULL); else made when it fails, freed with the batch */
};

struct rb_batch_event {
    struct rb_batch_event *next;
    struct rb_event ev; /* its pointers lead into text */
    char text[];
};

struct rb_batch_blob {
    struct rb_batch_blob *next;
    char digest[RB_SHA_HEX];
    char *name; /* of a source; NULL for a blob */
    size_t len;
    uint8_t data[];
};

#define RB_BATCH_VALUE_MAX ((size_t)64 << 20)

struct rb_batch {
    struct rb_job job;
    struct rb_list mine; /* for its maker, until on_done has returned */
    char run[RB_RUN_ID_MAX];
    int64_t epoch;
    struct rb_batch_event *events, **events_end, *last;
    struct rb_batch_blob *blobs, **blobs_end;
    size_t largest; /* of its values; a store refuses more than RB_BATCH_VALUE_MAX */
    bool row;       /* the five below are to be written */
    char *status, *waiting, *error;
    int64_t ended, wake;
    struct rb_run_row *create; /* a run's first: the row that is made with it; owned */
    bool written; /* is in the file already (a run's creation): only passes through, for the callback and its order */
    void (*on_done)(void *arg, int rc, const struct rb_err *err);
    void *arg;
};

static inline bool rb_batch_empty(const struct rb_batch *b)
{
    return b->written || (!b->events && !b->blobs && !b->row);
}

/* Gives the batch another run id and makes its hashes anew; head gets the last one. Only for a run that does not exist
 * yet. */
void rb_batch_rename(struct rb_batch *b, const char *run, uint8_t head[RB_SHA_LEN]);

#endif
