/* The inside of the SQLite store, shared by its files (schema.c, store_sqlite.c, sqlite_*.c). Nobody else includes
 * this, except the store's own tests.
 *
 * Threads: the loop thread (or the only thread of a short command) calls store.h; the writer thread owns `writer` and
 * its statements from the end of rb_store_open() until it is joined. What both touch is guarded by `mutex`. */
#ifndef RB_STORE_SQLITE_H
#define RB_STORE_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>

#include "base/list.h"
#include "store/batch.h"
#include "store/store.h"

#define RB_APPLICATION_ID 0x72626A31 /* "rbj1" */
#define RB_SCHEMA_VERSION 1
#define RB_OWNER_MAX 48

/* Statuses that can go on by themselves or by a decision; the index runs_open is made with the same words. */
#define RB_OPEN_STATUSES "('running','waiting','in_doubt','parked','undoing')"

enum rb_stmt {
    RB_STMT_BEGIN,
    RB_STMT_COMMIT,
    RB_STMT_ROLLBACK,
    RB_STMT_SAVE,
    RB_STMT_RELEASE,
    RB_STMT_UNDO,
    RB_STMT_EVENT,
    RB_STMT_HEAD,
    RB_STMT_ROW,
    RB_STMT_WHO,
    RB_STMT_BLOB,
    RB_STMT_BLOB_REF,
    RB_STMT_SOURCE,
    RB_STMT_CREATE,
    RB_STMT_DISOWN,
    RB_STMT_COUNT
};

/* The part that belongs to the loop: its handles close asynchronously, so it outlives the store by a loop turn. */
struct rb_store_side {
    struct rb_store *store; /* NULL once the store is closed */
    uv_async_t async;
    uv_fs_event_t watch;
    bool watching;
    int open; /* handles that are not closed yet; the last close callback frees the side */
    void (*on_wake)(void *arg);
    void *arg;
};

struct rb_store {
    struct rb_loop *loop; /* NULL: no callbacks */
    struct rb_store_side *side;
    void (*on_failed)(void *arg, const struct rb_err *why);
    void *arg;
    char *path; /* absolute */
    char *dir;  /* journal.db.d */
    bool write;
    int64_t lock_wait_ms;

    sqlite3 *reader;       /* the caller's thread; opened at the first read */
    sqlite3_stmt *signals; /* of the reader, kept: every run asks */
    bool immutable;        /* the reader sees a file that nobody can write */

    /* owner file (sqlite_owner.c), loop thread; the name does not change once it is made, and is made before the first
     * job that needs it, so the writer may read it */
    char owner[RB_OWNER_MAX]; /* "" not made yet */
    int owner_fd;

    /* writer thread (sqlite_writer.c) */
    sqlite3 *writer;
    sqlite3_stmt *stmt[RB_STMT_COUNT];
    int lock_fd;
    int wal_frames; /* frames in the WAL after the last commit of this connection */
    bool unchecked; /* something was committed since the last checkpoint */
    pthread_t thread;
    bool started;

    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    struct rb_list queue; /* struct rb_job */
    struct rb_list done;  /* struct rb_job, async ones, for the loop */
    bool urgent, stop, asleep;
    int failed_rc; /* not 0: the store can not be written any more; failure says why and does not change again */
    struct rb_err failure;
    bool failure_told;
};

/* -- schema.c ------------------------------------------------------------------------------------------------------ */

/* Reads application_id and user_version. 0, RB_ECORRUPT (not a journal), RB_EVERSION (newer). *version is 0 for an
 * empty file. */
int rb_schema_probe(sqlite3 *db, const char *path, int *version, struct rb_err *err);
/* Brings the file from `version` to RB_SCHEMA_VERSION, each step in a transaction of its own. The caller holds the lock
 * file. */
int rb_schema_migrate(sqlite3 *db, int version, struct rb_err *err);

/* -- store_sqlite.c: connections and errors ------------------------------------------------------------------------ */

/* RB_E… for an SQLite result code, with SQLite's words. db may be NULL. */
int rb_sqlite_error(sqlite3 *db, int rc, struct rb_err *err, const char *what);
int rb_sqlite_exec(sqlite3 *db, const char *sql, struct rb_err *err);
/* A connection with the settings that every connection of ours has; flags as sqlite3_open_v2. */
int rb_sqlite_connect(const char *path, int flags, bool immutable, sqlite3 **out, struct rb_err *err);
int rb_sqlite_reader(struct rb_store *s, sqlite3 **db, struct rb_err *err);
/* Prepares for one use; finalize it. */
int rb_sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st, struct rb_err *err);
void rb_sqlite_bind_text(sqlite3_stmt *st, int i,
                         const char *text); /* NULL binds NULL; the text must outlive the step */
/* File systems on which several hosts may hold the same file, by statfs' f_type; NULL for others. */
const char *rb_sqlite_network_fs(unsigned long type);

/* -- sqlite_lock.c ------------------------------------------------------------------------------------------------- */

/* The lock file: one holder in all processes. Bounded wait; RB_EBUSY names the holder. Between lock and unlock Ctrl-Z
 * is deferred. */
int rb_sqlite_lock(struct rb_store *s, struct rb_err *err);
void rb_sqlite_unlock(struct rb_store *s);
void rb_sqlite_defer_stop(void); /* installs the handling of SIGTSTP, once in a process */
/* "pid 4711 (rbhost run promote.lua)" */
void rb_sqlite_describe_pid(long pid, char *out, size_t n);
/* Who holds SQLite's own write lock (a program that does not know our lock file), from /proc/locks; "" when nobody can
 * be named. */
void rb_sqlite_foreign_holder(struct rb_store *s, char *out, size_t n);

/* -- sqlite_writer.c ----------------------------------------------------------------------------------------------- */

int rb_sqlite_writer_start(struct rb_store *s, struct rb_err *err);
void rb_sqlite_writer_stop(struct rb_store *s); /* flushes and joins */
void rb_sqlite_enqueue(struct rb_store *s, struct rb_job *job, bool now);
/* Posts the job and waits for it; returns its rc. */
int rb_sqlite_wait(struct rb_store *s, struct rb_job *job, struct rb_err *err);
/* Delivers finished jobs on the loop thread. */
void rb_sqlite_deliver(struct rb_store *s);
/* On the writer thread. */
sqlite3_stmt *rb_sqlite_stmt(struct rb_store *s, enum rb_stmt which); /* prepared, reset */
int rb_sqlite_write_batch(struct rb_store *s, const struct rb_batch *b,
                          struct rb_err *err); /* blobs, sources and events, no row */

/* -- sqlite_owner.c ------------------------------------------------------------------------------------------------ */

void rb_sqlite_owner_release(struct rb_store *s);
void rb_sqlite_owner_touch(struct rb_store *s, const char *owner);
/* For tests and for a person who knows better: claims even from a living owner, which is then refused at its next
 * append. */
int rb_store_claim_forced_sync(struct rb_store *s, const char *id, struct rb_run_row *row, struct rb_err *err);

/* -- sqlite_read.c ------------------------------------------------------------------------------------------------- */

#define RB_RUN_COLUMNS \
    "id, runbook, title, status, actor, waiting, error, key, owner, epoch, seq, head, created, updated, ended, wake"
/* Reads RB_RUN_COLUMNS from the current row; the texts are copies. */
void rb_sqlite_run_row(sqlite3_stmt *st, struct rb_run_row *row);

/* seen.c: of a run that is pruned */
void rb_sqlite_forget_seen(struct rb_store *s, const char *run);

#endif
