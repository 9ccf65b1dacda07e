/* The inside of the SQLite driver, shared by its files (sql_sqlite*.c). Nobody else includes this.
 *
 * Threads: a connection has a thread of its own, which alone touches `db` and runs one job at a time. The loop thread
 * owns everything else; the two meet in conn.mutex (the job, the wish to stop) and side.mutex (what has ended). */
#ifndef RB_SQL_SQLITE_H
#define RB_SQL_SQLITE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/list.h"
#include "io/sql.h"
#include "io/timer.h"

#define RB_SQLITE_LOCK_MS 10000 /* how long another's lock is waited for, where the statement does not say */

struct sqlite_side;

enum sqlite_job { JOB_OPEN, JOB_RUN, JOB_BEGIN, JOB_COMMIT, JOB_ROLLBACK, JOB_BACKUP };

enum sqlite_stop { STOP_NO, STOP_CANCEL, STOP_TIMEOUT };

/* What the statement has given, in memory of its own. */
struct sqlite_rows {
    char **columns;
    size_t column_count;
    struct rb_sql_value *cells; /* while it is filled, `i` of a text is its offset in `text` */
    size_t cell_count, cell_cap, row_count;
    struct rb_buf text;
};

struct sqlite_work {
    struct rb_sql_work work;
    struct rb_list link; /* in side->finished or side->waiting */
    struct sqlite_side *side;
    struct sqlite_conn *conn; /* NULL: it waits for one */
    enum sqlite_job job;
    atomic_int stop;       /* enum sqlite_stop */
    struct rb_timer timer; /* its time-out */
    int64_t busy_until;    /* rb_clock_boot() */

    /* What is asked: copies. */
    char *text; /* the statement, the isolation level, the path of a backup */
    struct rb_sql_param *params;
    size_t param_count;
    bool read, script, last;
    size_t max_rows, max_bytes;
    uint64_t timeout_ms, lock_ms;
    struct sqlite_target *target; /* of an open that waits */
    void (*on_done)(void *arg, struct rb_sql_result *result);
    void (*on_open)(void *arg, struct rb_sql_conn *conn, const struct rb_sql_failure *why);
    void *arg;

    /* What has come of it: the thread's until it is in side->finished. */
    struct rb_sql_result result;
    struct sqlite_rows rows;
};

/* What is opened; two of one key are interchangeable. */
struct sqlite_target {
    char *key;
    char *path;
    char *refuse;  /* NULL */
    char **attach; /* "name=/path"; NULL-terminated, or NULL */
    bool read, create, only_read, foreign_keys;
};

struct sqlite_conn {
    struct rb_sql_conn conn;
    struct rb_list link;      /* in side->idle */
    struct rb_list all_link;  /* in side->all */
    struct rb_list gone_link; /* in side->gone */
    struct sqlite_side *side;
    struct sqlite_target *target;
    pthread_t thread;
    struct rb_timer idle_timer;
    bool leased;

    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct sqlite_work *job; /* what the thread is to do, or does */
    bool quit;
    sqlite3 *db; /* NULL: closed. Set and cleared under the mutex */

    /* The thread's own. */
    uint64_t device, inode; /* of the file that is open */
    bool in_tx, own_word;   /* inside begin … end; the statement is the driver's own */
    bool vacuum;            /* the statement is VACUUM, which says BEGIN to itself */
    bool soiled;            /* it is not as it was: settings, temporary tables */
    char refused[200];      /* why the authorizer has said no */
};

/* sql_sqlite_target.c: DSNs, and which files are not opened. RB_EINVAL with a sentence. */
struct sqlite_target *rb_sql_sqlite_target_new(const struct rb_sql_open *opt, struct rb_err *err);
void rb_sql_sqlite_target_free(struct sqlite_target *t);
/* Is this file, or one that SQLite would make beside it, what must not be opened? On the thread. */
bool rb_sql_sqlite_refuses(const struct sqlite_target *t, const char *path);

/* sql_sqlite_holder.c, on the thread: "process 4711 (name)", who has a lock of it now; "" where that is not seen. */
void rb_sql_sqlite_holder(const char *path, char *out, size_t n);

/* sql_sqlite_open.c, on the thread: makes c->db what target says. False: f says why. */
bool rb_sql_sqlite_open(struct sqlite_conn *c, struct rb_sql_failure *f);
void rb_sql_sqlite_close(struct sqlite_conn *c);
/* A reader may not mend what a writer that was killed has left; a writer for a moment does. */
bool rb_sql_sqlite_recover(struct sqlite_conn *c);

/* sql_sqlite_run.c, on the thread: does conn's job and fills w->result. */
void rb_sql_sqlite_do(struct sqlite_conn *c, struct sqlite_work *w);
/* Runs a word of the driver's own (BEGIN …); an SQLite code. */
int rb_sql_sqlite_word(struct sqlite_conn *c, const char *text);
/* Reads a little: the file is mended where it has to be, and a transaction has begun to see. An SQLite code. */
int rb_sql_sqlite_look(struct sqlite_conn *c);
bool rb_sql_sqlite_uses_wal(sqlite3 *db);
/* What an SQLite code means for the caller. */
void rb_sql_sqlite_failure(struct sqlite_conn *c, struct sqlite_work *w, int rc, struct rb_sql_failure *f);
/* Waits a moment for somebody else's lock; false: no longer. */
bool rb_sql_sqlite_wait(struct sqlite_conn *c, struct sqlite_work *w, int attempt);

/* sql_sqlite_value.c, on the thread */
bool rb_sql_sqlite_bind(sqlite3_stmt *stmt, const struct sqlite_work *w, struct rb_sql_failure *f);
void rb_sql_sqlite_columns(sqlite3_stmt *stmt, struct sqlite_rows *rows);
/* Keeps the current row; false: it does not fit under the caps. */
bool rb_sql_sqlite_row(sqlite3_stmt *stmt, const struct sqlite_work *w, struct sqlite_rows *rows);
void rb_sql_sqlite_rows_finish(struct sqlite_work *w); /* offsets become pointers, and the result points there */
void rb_sql_sqlite_rows_release(struct sqlite_rows *rows);

/* sql_sqlite_backup.c, on the thread */
void rb_sql_sqlite_backup(struct sqlite_conn *c, struct sqlite_work *w);

#endif
