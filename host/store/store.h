/* Where journals live. One interface; SQLite is the first store behind it (D3 "Stores").
 *
 * All writing happens on one writer thread with one connection; waiting jobs share a commit (group commit). Each
 * commit and checkpoint runs as: flock of the lock file → BEGIN IMMEDIATE → COMMIT → unlock. The functions named
 * …_sync post a job and wait for it: they are for start-up, for short commands and for tests, never for the loop while
 * runs are going. Readers open their own read-only connection and never checkpoint.
 *
 * After an I/O error on commit nothing more is acknowledged: `on_failed` is called once on the loop and every further
 * job is answered with that error. */
#ifndef RB_STORE_H
#define RB_STORE_H

#include "base/err.h"
#include "base/sha.h"
#include "loop/loop.h"

#define RB_RUN_ID_MAX 24

/* One row of `events`. The pointers are borrowed for the call. */
struct rb_event {
    int64_t seq; /* 1, 2, 3 … within the run, no gaps */
    int64_t at;  /* wall clock, µs since 1970: for people only */
    const char *key;
    const char *kind;
    const char *data; /* JSON text */
    size_t data_len;
    uint8_t hash[RB_SHA_LEN];
};

/* One row of `runs`. What can be derived from the events is (docs/journal.md says how); the rest is who holds it. */
struct rb_run_row {
    char id[RB_RUN_ID_MAX];
    char *runbook; /* name */
    char *title;
    char *status; /* running waiting in_doubt parked failed succeeded cancelled denied timed_out undoing undone moved */
    char *actor;
    char *waiting;                   /* one line for people: what it waits for; NULL */
    char *error;                     /* one line; NULL */
    char *key;                       /* idempotency key; NULL */
    char *owner;                     /* file name in journal.db.d/; NULL when nobody holds it */
    int64_t epoch;                   /* grows with each claim */
    int64_t seq;                     /* last event */
    uint8_t head[RB_SHA_LEN];        /* hash of the last event */
    int64_t created, updated, ended; /* wall µs; 0 none */
    int64_t wake;                    /* wall µs of the next timer when it only sleeps; 0 none */
};
void rb_run_row_release(struct rb_run_row *row);

/* One row of `signals`: what somebody who is not the owner wants of a run. */
struct rb_signal_row {
    int64_t id;
    const char *run;
    const char *kind;   /* answer, approve, deny, signal, resolve, cancel, pause */
    const char *target; /* op number as decimal text, or name of the signal; "" */
    const char *data;   /* JSON text */
    const char *actor;  /* JSON text: {"name":…,"uid":…,"claimed":…} */
    int64_t at;
};

struct rb_blob {
    char digest[RB_SHA_HEX]; /* hex SHA-256 of the content */
    const void *data;        /* borrowed until the append call has returned (the store copies) */
    size_t len;
};

struct rb_store_options {
    const char *path; /* a file; postgres://… is refused with a sentence that says from when on */
    bool write;       /* false: read-only, no writer thread, nothing is created */
    bool create;      /* make the file and its folder (0700) when missing */
    bool force_network_fs;
    int64_t lock_wait_ms; /* for the lock file; 0: 10,000. Past it the error names the holder (pid, command). */
    /* On the loop, once: the store can not be written any more. */
    void (*on_failed)(void *arg, const struct rb_err *why);
    void *arg;
};

/* loop may be NULL: then only the …_sync functions and the readers may be used. RB_EVERSION newer schema, RB_ECORRUPT
 * not a database or damaged, RB_ENOENT, RB_EREADONLY, RB_EBUSY locked, RB_EFULL. */
int rb_store_open(struct rb_loop *loop, const struct rb_store_options *opt, struct rb_store **out, struct rb_err *err);
/* Flushes what is queued, joins the writer, answers what is still unanswered (on_done is called from within), releases
 * the owner file. A WAL of more than 256 KiB is checkpointed; a smaller one is left for whoever opens next. Close the
 * journals first; the loop must turn once more for the handles. Not from within a callback of the store. NULL is
 * fine. */
void rb_store_close(struct rb_store *s);
const char *rb_store_path(const struct rb_store *s); /* absolute */

/* Stops this process as Ctrl-Z does, but never in the middle of a commit, when it would block every other process: then
 * at its end. The first store opened for writing installs this for SIGTSTP where nobody else handles it; who handles
 * SIGTSTP himself (a terminal that must be restored first) calls it in place of raise(SIGSTOP). Returns when continued.
 * Async-signal-safe. */
void rb_store_suspend(void);

/* -- owners -------------------------------------------------------------------------------------------------------- */

/* The name of this process's owner file (made and flocked at the first call, for life, close-on-exec). */
int rb_store_owner(struct rb_store *s, const char **name, struct rb_err *err);
/* Does a living process hold this owner file? A dead one is seen at once. */
bool rb_store_owner_alive(struct rb_store *s, const char *owner);
/* The same for whoever is about to rely on it: of one that was just killed, waits until it is gone, 2 s at most; so
 * never from within a running loop, as a claim (checked). */
bool rb_store_owner_stays(struct rb_store *s, const char *owner);
/* "pid 4711 (rbhost run promote.lua)" of a living owner into out, for messages. */
void rb_store_owner_describe(struct rb_store *s, const char *owner, char *out, size_t n);

/* -- runs ---------------------------------------------------------------------------------------------------------- */

/* New id: 9 characters of time and 5 of chance, Crockford base32 in lower case, "1m7p8k3zr-7h2mc". */
void rb_run_id_new(char out[RB_RUN_ID_MAX]);

/* Inserts the row (row->epoch becomes 1, owner this process, seq and head those of the last event) with its first
 * events, sources and blobs; borrows `first`. With a row->key that exists: RB_EEXIST, and the other run's id is copied
 * to row->id. With an id that exists: RB_EEXIST, and row->id stays (rb_journal_create() takes another). The events are
 * durable when it returns. */
struct rb_batch;
int rb_store_create_sync(struct rb_store *s, struct rb_run_row *row, struct rb_batch *first, struct rb_err *err);

/* The same without waiting, when there is no key: takes the batch. Whatever is appended behind it is written behind it,
 * in the same commit where it can be. on_done as of rb_store_append(); RB_EEXIST: the id is taken. RB_OK, or why
 * nothing was queued. */
int rb_store_create(struct rb_store *s, const struct rb_run_row *row, struct rb_batch *first,
                    void (*on_done)(void *arg, int rc, const struct rb_err *err), void *arg, struct rb_err *err);

/* Takes a run whose owner is dead or none: epoch + 1, owner = this process. RB_EBUSY when a living process owns it (the
 * error names it). Fills row anew. */
int rb_store_claim_sync(struct rb_store *s, const char *id, struct rb_run_row *row, struct rb_err *err);
/* Gives it up: owner NULL, if the epoch is still ours. */
int rb_store_disown_sync(struct rb_store *s, const char *id, int64_t epoch, struct rb_err *err);
/* The same without waiting, behind what was appended and in the same commit where it can be. Failing is as good: the
 * owner is seen to be dead once this process has ended. */
void rb_store_disown(struct rb_store *s, const char *id, int64_t epoch);

/* How far the run had come when something that it left elsewhere was taken away (seen.c): an event's number, 0 nothing
 * is known. A row whose seq is lower is of an older copy of the journal. */
int64_t rb_store_seen(struct rb_store *s, const char *run);
/* Says so, before it is taken away: event seq is durable. *fd is kept open by the caller between calls, -1 at first.
 * False: it can not be said, so it must not be taken away. */
bool rb_store_see(struct rb_store *s, const char *run, int64_t seq, int *fd);

/* -- batches: what the owner appends ------------------------------------------------------------------------------- */

/* Events of one run, in order, with blobs, sources and the new values of the row. Made on the loop, written by the
 * writer. rb_journal (journal.h) makes these; nobody else needs to. */
struct rb_batch *rb_batch_new(const char *run, int64_t epoch);
void rb_batch_event(struct rb_batch *b,
                    const struct rb_event *ev); /* copies. A value over 64 MiB: the batch fails with RB_ETOOBIG */
void rb_batch_blob(struct rb_batch *b, const char *digest, const void *data,
                   size_t len); /* copies; the same digest twice is one row */
void rb_batch_source(struct rb_batch *b, const char *name, const char *digest, const void *data, size_t len);
/* New values of the row; NULL text leaves a column as it is, "" clears it; ended/wake < 0 leaves. */
void rb_batch_row(struct rb_batch *b, const char *status, const char *waiting, const char *error, int64_t ended,
                  int64_t wake);
void rb_batch_free(struct rb_batch *b);

/* Hands the batch to the writer (takes it). It is committed within 20 ms, or at once when `now` or when somebody else's
 * is. on_done (may be NULL) runs on the loop: rc 0 durable; RB_ESTALE epoch has moved on; RB_EIO, RB_EFULL … store
 * failed. */
void rb_store_append(struct rb_store *s, struct rb_batch *b, bool now,
                     void (*on_done)(void *arg, int rc, const struct rb_err *err), void *arg);
/* Commit what is queued at once. */
void rb_store_flush(struct rb_store *s);
int rb_store_append_sync(struct rb_store *s, struct rb_batch *b, struct rb_err *err); /* takes b */

/* -- signals: what everybody else writes --------------------------------------------------------------------------- */

/* Durable when it returns; then touches the owner's file so that a living owner wakes. */
int rb_store_signal_sync(struct rb_store *s, const struct rb_signal_row *sig, int64_t *id, struct rb_err *err);
/* Calls on_wake on the loop whenever somebody has signalled a run of this process (inotify on the owner file). */
int rb_store_watch(struct rb_store *s, void (*on_wake)(void *arg), void *arg, struct rb_err *err);
/* The run's signals with id > after, in order. Reads on the caller's thread (one indexed look-up). */
int rb_store_signals(struct rb_store *s, const char *run, int64_t after,
                     int (*each)(void *arg, const struct rb_signal_row *sig), void *arg, struct rb_err *err);

/* -- reading (any process; a callback that returns non-zero ends the walk and is returned) ------------------------- */

/* Between the two every read sees the same state of the file. Short: the WAL can not be reset meanwhile. */
int rb_store_snapshot_begin(struct rb_store *s, struct rb_err *err);
void rb_store_snapshot_end(struct rb_store *s);

int rb_store_run(struct rb_store *s, const char *id, struct rb_run_row *row, struct rb_err *err); /* exact id */
/* What a person types: a whole id, a unique beginning or ending of one, or "latest" (NULL: the latest too). RB_ENOENT,
 * or RB_EINVAL when it is ambiguous: the error lists up to five that match. */
int rb_store_find(struct rb_store *s, const char *text, struct rb_run_row *row, struct rb_err *err);

struct rb_run_filter {
    const char *status;  /* NULL all; "open" = every status that can go on */
    const char *runbook; /* NULL all */
    const char *before;  /* only runs older than this id (pages) */
    int limit;           /* 0: 50 */
};
int rb_store_runs(struct rb_store *s, const struct rb_run_filter *f, /* newest first, by index */
                  int (*each)(void *arg, const struct rb_run_row *row), void *arg, struct rb_err *err);
int rb_store_events(struct rb_store *s, const char *run, int64_t after_seq,
                    int (*each)(void *arg, const struct rb_event *ev), void *arg, struct rb_err *err);
/* Content of a blob or a source; RB_ENOENT, RB_ECORRUPT when it does not have its digest. */
int rb_store_blob(struct rb_store *s, const char *digest, struct rb_buf *out, struct rb_err *err);
int rb_store_sources(struct rb_store *s, const char *run,
                     int (*each)(void *arg, const char *name, const char *digest, const char *data, size_t len),
                     void *arg, struct rb_err *err);

/* -- upkeep -------------------------------------------------------------------------------------------------------- */

struct rb_store_stats {
    int64_t runs, events, blobs, blob_bytes, signals, file_bytes, wal_bytes;
    int schema;
};
int rb_store_stats(struct rb_store *s, struct rb_store_stats *out, struct rb_err *err);
int rb_store_backup(struct rb_store *s, const char *to,
                    struct rb_err *err); /* a whole, consistent copy; refuses an existing file */
/* Deletes runs that ended before `before` (wall µs), with their events, and the blobs that nobody else refers to. Never
 * one that can go on or that a living process holds; failed ones, which can be retried, only when `all`. dry: counts
 * only. */
int rb_store_prune(struct rb_store *s, int64_t before, bool all, bool dry, int64_t *runs, struct rb_err *err);
/* Copies one run with its events, blobs, sources into a new file (a journal of its own), for export; RB_EEXIST when the
 * file is there. */
int rb_store_export(struct rb_store *s, const char *run, const char *to, struct rb_err *err);
/* And back: the chain is verified first (RB_ECORRUPT); nobody owns the run then, and its epoch is above every one it
 * had. A run that is here already takes the events that it lacks when its own are the beginning of the imported ones
 * (it comes home); else RB_EEXIST. RB_EBUSY: a living process runs it here. Fills row. */
int rb_store_import(struct rb_store *s, const char *from, struct rb_run_row *row, struct rb_err *err);
/* The whole file: SQLite's quick_check, and no events without a run. For doctor and verify --all. RB_ECORRUPT. */
int rb_store_check(struct rb_store *s, struct rb_err *err);

#endif
