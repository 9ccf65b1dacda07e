/* Owns the writer thread: the queue, the common transaction (group commit), the checkpoints, and what happens when the
 * disk fails. Knows nothing of runs' meaning.
 *
 * One commit: flock → BEGIN IMMEDIATE → all waiting batches → COMMIT → unlock → answer everybody, one wake of the loop.
 * A batch asked `now` is committed at once and takes whatever else waits with it; without one the writer lingers
 * LINGER_MS after the last commit, or after the first batch that woke it, so nothing waits longer than 20 ms.
 * Checkpoints are made here only, under the same lock: when the WAL is larger than 16 MiB, when nothing happened for a
 * while, at close.
 *
 * After an I/O error the file's state is unknown (the kernel marks pages clean after a failed fsync, so a retry would
 * lie): every job of that commit and every later one is answered with the error, and the file is looked at again only
 * when it is next opened. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "store/sqlite.h"

#define LINGER_MS 15
#define IDLE_CHECKPOINT_MS 1000
#define WAL_FRAMES_MAX ((16 << 20) / 4096)
#define WAL_FRAMES_CLOSE \
    ((256 << 10) / 4096) /* at close a small WAL is left for the next to open: its fsyncs cost more */
#define JOBS_MAX 1024    /* in one transaction, so that other processes get their turn */

/* The epoch, the owner and the number of the event before are checked by the update itself: no row, no append. */
#define OURS " WHERE id = ?1 AND epoch = ?2 AND owner = ?3 AND seq = ?4"
#define ROW_VALUES \
    "UPDATE runs SET seq = ?5, head = ?6, updated = ?7, status = coalesce(?8, status)," \
    " waiting = iif(?9 IS NULL, waiting, nullif(?9, '')), error = iif(?10 IS NULL, error, nullif(?10, ''))," \
    " ended = iif(?11 < 0, ended, ?11), wake = iif(?12 < 0, wake, ?12)"
#define HEAD_VALUES "UPDATE runs SET seq = ?5, head = ?6, updated = ?7"
#define EVENT_VALUES " INTO events (run, seq, at, key, kind, data, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"

static const char *const statements[RB_STMT_COUNT] = {
    [RB_STMT_BEGIN] = "BEGIN IMMEDIATE",
    [RB_STMT_COMMIT] = "COMMIT",
    [RB_STMT_ROLLBACK] = "ROLLBACK",
    [RB_STMT_SAVE] = "SAVEPOINT job",
    [RB_STMT_RELEASE] = "RELEASE job",
    [RB_STMT_UNDO] = "ROLLBACK TO job",
    [RB_STMT_EVENT] = "INSERT" EVENT_VALUES,
    [RB_STMT_HEAD] = HEAD_VALUES OURS,
    [RB_STMT_ROW] = ROW_VALUES OURS,
    [RB_STMT_WHO] = "SELECT epoch, owner, seq FROM runs WHERE id = ?1",
    [RB_STMT_BLOB] = "INSERT OR IGNORE INTO blobs (digest, data) VALUES (?1, ?2)",
    [RB_STMT_BLOB_REF] = "INSERT OR IGNORE INTO run_blobs (run, digest) VALUES (?1, ?2)",
    [RB_STMT_CREATE] = "INSERT INTO runs (" RB_RUN_COLUMNS ") VALUES"
                       " (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, ?11, ?12, ?13, ?14, ?15)",
    [RB_STMT_DISOWN] = "UPDATE runs SET owner = NULL WHERE id = ?1 AND epoch = ?2 AND owner = ?3",
    [RB_STMT_SOURCE] = "INSERT OR IGNORE INTO sources (run, name, digest) VALUES (?1, ?2, ?3)",
};

static const char *sql_of(enum rb_stmt which)
{
    if (rb_mutation("no-epoch-check")) {
        if (which == RB_STMT_HEAD)
            return HEAD_VALUES " WHERE id = ?1";
        if (which == RB_STMT_ROW)
            return ROW_VALUES " WHERE id = ?1";
        if (which == RB_STMT_EVENT)
            return "INSERT OR REPLACE" EVENT_VALUES;
    }
    return statements[which];
}

sqlite3_stmt *rb_sqlite_stmt(struct rb_store *s, enum rb_stmt which)
{
    sqlite3_stmt **st = &s->stmt[which];
    if (!*st && sqlite3_prepare_v3(s->writer, sql_of(which), -1, SQLITE_PREPARE_PERSISTENT, st, NULL) != SQLITE_OK)
        return NULL; /* stepping NULL is SQLITE_MISUSE, which the caller reports with SQLite's words */
    sqlite3_reset(*st);
    return *st;
}

static int step(struct rb_store *s, sqlite3_stmt *st, struct rb_err *err)
{
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? RB_OK : rb_sqlite_error(s->writer, rc, err, s->path);
}

/* -- writing a batch ----------------------------------------------------------------------------------------------- */

int rb_sqlite_write_batch(struct rb_store *s, const struct rb_batch *b, struct rb_err *err)
{
    int rc = RB_OK;
    for (const struct rb_batch_blob *blob = b->blobs; blob && rc == RB_OK; blob = blob->next) {
        sqlite3_stmt *st = rb_sqlite_stmt(s, RB_STMT_BLOB);
        sqlite3_bind_text(st, 1, blob->digest, RB_SHA_HEX - 1, SQLITE_STATIC);
        sqlite3_bind_blob64(st, 2, blob->data, blob->len, SQLITE_STATIC);
        rc = step(s, st, err);
        if (rc)
            break;
        st = rb_sqlite_stmt(s, blob->name ? RB_STMT_SOURCE : RB_STMT_BLOB_REF);
        int i = 1;
        sqlite3_bind_text(st, i++, b->run, -1, SQLITE_STATIC);
        if (blob->name)
            sqlite3_bind_text(st, i++, blob->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, i, blob->digest, RB_SHA_HEX - 1, SQLITE_STATIC);
        rc = step(s, st, err);
    }
    for (const struct rb_batch_event *e = b->events; e && rc == RB_OK; e = e->next) {
        sqlite3_stmt *st = rb_sqlite_stmt(s, RB_STMT_EVENT);
        sqlite3_bind_text(st, 1, b->run, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 2, e->ev.seq);
        sqlite3_bind_int64(st, 3, e->ev.at);
        sqlite3_bind_text(st, 4, e->ev.key, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 5, e->ev.kind, -1, SQLITE_STATIC);
        sqlite3_bind_text64(st, 6, e->ev.data, e->ev.data_len, SQLITE_STATIC, SQLITE_UTF8);
        sqlite3_bind_blob(st, 7, e->ev.hash, RB_SHA_LEN, SQLITE_STATIC);
        rc = step(s, st, err);
        rb_fault_point("store.insert.after");
    }
    return rc;
}

/* Why an update found no row: somebody else has the run, or this process numbers its events wrongly. */
static int refused(struct rb_store *s, const struct rb_batch *b, struct rb_err *err)
{
    sqlite3_stmt *st = rb_sqlite_stmt(s, RB_STMT_WHO);
    sqlite3_bind_text(st, 1, b->run, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_DONE) {
        rc = rb_err_set(err, RB_ENOENT, "run %s is not in the journal any more", b->run);
    } else if (rc != SQLITE_ROW) {
        rc = rb_sqlite_error(s->writer, rc, err, s->path);
    } else if (sqlite3_column_int64(st, 0) != b->epoch) {
        rc = rb_err_set(err, RB_ESTALE, "another process has taken run %s over (epoch %lld, ours is %lld)", b->run,
                        (long long)sqlite3_column_int64(st, 0), (long long)b->epoch);
    } else {
        const char *owner = (const char *)sqlite3_column_text(st, 1);
        if (!owner || strcmp(owner, s->owner) != 0)
            rc = rb_err_set(err, RB_ESTALE, "this process does not own run %s any more", b->run);
        else
            rc = rb_err_set(err, RB_ECORRUPT, "run %s has event %lld as its last, but event %lld was to follow", b->run,
                            (long long)sqlite3_column_int64(st, 2), b->events ? (long long)b->events->ev.seq : 0LL);
    }
    sqlite3_reset(st);
    return rc;
}

/* Adjacent batches of one run are one update of its row. Returns the last of the group. */
static struct rb_batch *group_of(struct rb_batch *first, struct rb_list *end)
{
    struct rb_batch *last = first;
    while (first->events && last->job.link.next != end) {
        struct rb_batch *b = RB_CONTAINER(last->job.link.next, struct rb_batch, job.link);
        if (b->job.run || rb_batch_empty(b) || !b->events || b->row || last->row || b->epoch != first->epoch ||
            strcmp(b->run, first->run) != 0)
            break;
        last = b;
    }
    return last;
}

/* A group has no row values, or is one batch. *ours is false when no row was updated. */
static int write_row(struct rb_store *s, const struct rb_batch *first, const struct rb_batch *last, bool *ours,
                     struct rb_err *err)
{
    sqlite3_stmt *st = rb_sqlite_stmt(s, first->row ? RB_STMT_ROW : RB_STMT_HEAD);
    sqlite3_bind_text(st, 1, first->run, -1, SQLITE_STATIC);
    if (!rb_mutation("no-epoch-check")) {
        sqlite3_bind_int64(st, 2, first->epoch);
        sqlite3_bind_text(st, 3, s->owner, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 4, first->events->ev.seq - 1);
    }
    sqlite3_bind_int64(st, 5, last->last->ev.seq);
    sqlite3_bind_blob(st, 6, last->last->ev.hash, RB_SHA_LEN, SQLITE_STATIC);
    sqlite3_bind_int64(st, 7, last->last->ev.at);
    if (first->row) {
        rb_sqlite_bind_text(st, 8, first->status);
        rb_sqlite_bind_text(st, 9, first->waiting);
        rb_sqlite_bind_text(st, 10, first->error);
        sqlite3_bind_int64(st, 11, first->ended);
        sqlite3_bind_int64(st, 12, first->wake);
    }
    int rc = step(s, st, err);
    *ours = rc == RB_OK && sqlite3_changes(s->writer) == 1;
    return rc;
}

static struct rb_err *error_of(struct rb_job *job)
{
    if (!job->err && !job->sync)
        job->err = rb_alloc(sizeof(*job->err));
    return job->err;
}

static void fail_job(struct rb_job *job, int rc, const struct rb_err *why)
{
    job->rc = rc;
    struct rb_err *err = error_of(job);
    if (err && err != why)
        *err = *why;
}

static int too_big(const struct rb_batch *first, const struct rb_batch *last, struct rb_err *err)
{
    for (const struct rb_batch *b = first;; b = RB_CONTAINER(b->job.link.next, struct rb_batch, job.link)) {
        if (b->largest > RB_BATCH_VALUE_MAX)
            return rb_err_set(err, RB_ETOOBIG, "run %s has a value of %zu bytes; a journal takes %zu", b->run,
                              b->largest, RB_BATCH_VALUE_MAX);
        if (b == last)
            return RB_OK;
    }
}

/* Returns an error that ends the transaction. A group that is refused (stale owner) only fails itself. */
static int write_group(struct rb_store *s, struct rb_batch *first, struct rb_batch *last, struct rb_err *err)
{
    bool ours;
    int rc = RB_OK, no = too_big(first, last, err);
    if (no == RB_OK) {
        rc = write_row(s, first, last, &ours, err);
        if (rc)
            return rc;
        no = ours ? RB_OK : refused(s, first, err);
    }
    for (struct rb_batch *b = first;; b = RB_CONTAINER(b->job.link.next, struct rb_batch, job.link)) {
        if (no)
            fail_job(&b->job, no, err);
        else if ((rc = rb_sqlite_write_batch(s, b, err)))
            return rc;
        rb_fault_point("store.batch.after");
        if (b == last)
            return RB_OK;
    }
}

static bool is_the_disk(int rc)
{
    return rc == RB_EIO || rc == RB_EFULL || rc == RB_ECORRUPT || rc == RB_EREADONLY;
}

/* A job that refuses (no such run, a living owner) is undone alone. */
static int run_job(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    int rc = step(s, rb_sqlite_stmt(s, RB_STMT_SAVE), err);
    if (rc)
        return rc;
    job->rc = job->run(s, job, err);
    if (job->rc) {
        fail_job(job, job->rc, err);
        if (is_the_disk(job->rc) || sqlite3_get_autocommit(s->writer))
            return job->rc; /* SQLite may have rolled everything back already */
        rc = step(s, rb_sqlite_stmt(s, RB_STMT_UNDO), err);
    }
    return rc ? rc : step(s, rb_sqlite_stmt(s, RB_STMT_RELEASE), err);
}

/* -- one commit ---------------------------------------------------------------------------------------------------- */

static void acknowledge(struct rb_store *s, struct rb_list *jobs)
{
    bool wake = false, waited = false;
    pthread_mutex_lock(&s->mutex);
    struct rb_list *l;
    while ((l = rb_list_pop(jobs))) {
        struct rb_job *job = RB_CONTAINER(l, struct rb_job, link);
        job->finished = true;
        if (job->sync) {
            waited = true;
        } else {
            rb_list_push(&s->done, l);
            wake = true;
        }
    }
    if (waited)
        pthread_cond_broadcast(&s->finished);
    wake = wake || (s->failed_rc && !s->failure_told);
    pthread_mutex_unlock(&s->mutex);
    if (wake && s->side)
        uv_async_send(&s->side->async);
}

static void fail_all(struct rb_list *jobs, int rc, const struct rb_err *why)
{
    RB_LIST_EACH (l, jobs) {
        struct rb_job *job = RB_CONTAINER(l, struct rb_job, link);
        if (!job->rc)
            fail_job(job, rc, why);
    }
}

/* From here on nothing is acknowledged. */
static void fail_store(struct rb_store *s, int rc, const struct rb_err *why)
{
    pthread_mutex_lock(&s->mutex);
    if (!s->failed_rc) {
        s->failure = *why;
        s->failed_rc = rc;
    }
    pthread_mutex_unlock(&s->mutex);
}

static int begin(struct rb_store *s, struct rb_err *err)
{
    rb_fault_point("store.begin.before");
    sqlite3_stmt *st = rb_sqlite_stmt(s, RB_STMT_BEGIN);
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    if (rc == SQLITE_DONE)
        return RB_OK;
    if ((rc & 0xFF) == SQLITE_BUSY) {
        char holder[256];
        rb_sqlite_foreign_holder(s, holder, sizeof(holder));
        return rb_err_set(err, RB_EBUSY, "the journal %s is locked by %s, which is not rbhost, for more than %.3g s",
                          s->path, holder, (double)s->lock_wait_ms / 1000);
    }
    return rb_sqlite_error(s->writer, rc, err, s->path);
}

static int write_all(struct rb_store *s, struct rb_list *jobs, struct rb_err *err)
{
    for (struct rb_list *l = jobs->next; l != jobs; l = l->next) {
        struct rb_job *job = RB_CONTAINER(l, struct rb_job, link);
        struct rb_batch *first = RB_CONTAINER(job, struct rb_batch, job);
        int rc;
        if (job->run) {
            rc = run_job(s, job, err);
        } else if (rb_batch_empty(first)) {
            continue;
        } else if (!first->events) {
            rc = rb_err_set(err, RB_EINVAL, "a batch without events");
            fail_job(job, rc, err);
            continue;
        } else {
            struct rb_batch *last = group_of(first, jobs);
            rc = write_group(s, first, last, err);
            l = &last->job.link;
        }
        if (rc)
            return rc;
    }
    return RB_OK;
}

static bool anything(struct rb_list *jobs)
{
    RB_LIST_EACH (l, jobs) {
        struct rb_job *job = RB_CONTAINER(l, struct rb_job, link);
        if (job->run || !rb_batch_empty(RB_CONTAINER(job, struct rb_batch, job)))
            return true;
    }
    return false;
}

#ifdef RB_FAULT
/* The mutation "ack-before-commit": the loop hears that the batches are durable, goes on with their effects, and only
 * then is the commit made. The batches are the loop's again, so they are not touched after. */
static void acknowledge_too_early(struct rb_store *s, struct rb_list *jobs)
{
    struct timespec head_start = {.tv_nsec = 20000000};
    acknowledge(s, jobs);
    nanosleep(&head_start, NULL);
}
#endif

static void commit(struct rb_store *s, struct rb_list *jobs)
{
    struct rb_err err = {0};
    int rc = s->failed_rc;
    if (rc) {
        fail_all(jobs, rc, &s->failure);
    } else if (anything(jobs)) {
        rc = rb_sqlite_lock(s, &err);
        if (rc) {
            fail_all(jobs, rc, &err);
        } else {
            bool began = false;
            rc = begin(s, &err);
            if (rc == RB_OK) {
                began = true;
                rc = write_all(s, jobs, &err);
            }
#ifdef RB_FAULT
            if (rc == RB_OK && rb_mutation("ack-before-commit"))
                acknowledge_too_early(s, jobs);
#endif
            if (rc == RB_OK) {
                rb_fault_point("store.commit.before");
                rc = step(s, rb_sqlite_stmt(s, RB_STMT_COMMIT), &err);
                rb_fault_point("store.commit.after");
            }
            if (rc && began && !sqlite3_get_autocommit(s->writer))
                step(s, rb_sqlite_stmt(s, RB_STMT_ROLLBACK), NULL);
            rb_sqlite_unlock(s);
            if (rc) {
                fail_all(jobs, rc, &err);
                if (began || rc != RB_EBUSY)
                    fail_store(s, rc, &err);
            }
        }
    }
    rb_fault_point("store.ack.before");
    acknowledge(s, jobs);
}

/* -- checkpoints --------------------------------------------------------------------------------------------------- */

static int on_wal(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct rb_store *s = arg;
    (void)db;
    (void)name;
    s->wal_frames = frames;
    s->unchecked = true;
    return SQLITE_OK;
}

/* A checkpoint is never needed for durability, so one that finds the lock or the file busy is just made later; a
 * failing disk is not. */
static void checkpoint(struct rb_store *s, int mode)
{
    if (s->failed_rc || !s->unchecked)
        return;
    struct rb_err err = {0};
    int64_t wait = s->lock_wait_ms;
    s->lock_wait_ms = 1;
    int rc = rb_sqlite_lock(s, &err);
    s->lock_wait_ms = wait;
    s->unchecked = false; /* asked for again by the next commit */
    if (rc)
        return;
    rb_fault_point("store.checkpoint.before");
    sqlite3_busy_timeout(s->writer, 0);
    rc = sqlite3_wal_checkpoint_v2(s->writer, "main", mode, NULL, NULL);
    sqlite3_busy_timeout(s->writer, (int)s->lock_wait_ms);
    rb_fault_point("store.checkpoint.after");
    rb_sqlite_unlock(s);
    if (rc == SQLITE_OK || (rc & 0xFF) == SQLITE_BUSY || (rc & 0xFF) == SQLITE_LOCKED)
        return;
    fail_store(s, rb_sqlite_error(s->writer, rc, &err, "checkpoint of the journal"), &err);
    struct rb_list none;
    rb_list_init(&none);
    acknowledge(s, &none);
}

/* -- the thread ---------------------------------------------------------------------------------------------------- */

static struct timespec in_ms(int ms)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += (long)(ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

/* Waits, with the mutex held, until there is something to commit (true), or it is time for a checkpoint or the end
 * (false). `lingering`: a commit was made just now, so a batch that may wait need not wake this thread: it looks by
 * itself in LINGER_MS. */
static bool wait_for_work(struct rb_store *s, bool lingering)
{
    if (!lingering) {
        s->asleep = true;
        struct timespec idle = in_ms(IDLE_CHECKPOINT_MS);
        int timed_out = 0;
        while (rb_list_empty(&s->queue) && !s->stop && !timed_out)
            timed_out = s->unchecked ? pthread_cond_timedwait(&s->work, &s->mutex, &idle)
                                     : pthread_cond_wait(&s->work, &s->mutex);
        s->asleep = false;
        if (rb_list_empty(&s->queue))
            return false;
    }
    struct timespec soon = in_ms(LINGER_MS);
    while (!s->urgent && !s->stop)
        if (pthread_cond_timedwait(&s->work, &s->mutex, &soon) == ETIMEDOUT)
            break;
    return !rb_list_empty(&s->queue);
}

static void take(struct rb_store *s, struct rb_list *jobs)
{
    for (int n = 0; n < JOBS_MAX && !rb_list_empty(&s->queue); n++)
        rb_list_push(jobs, rb_list_pop(&s->queue));
}

static void *writer_main(void *arg)
{
    struct rb_store *s = arg;
    struct rb_list jobs;
    rb_list_init(&jobs);
    bool lingering = false;
    pthread_mutex_lock(&s->mutex);
    for (;;) {
        if (wait_for_work(s, lingering)) {
            take(s, &jobs);
            s->urgent = s->urgent && !rb_list_empty(&s->queue);
            pthread_mutex_unlock(&s->mutex);
            commit(s, &jobs);
            if (s->wal_frames > WAL_FRAMES_MAX)
                checkpoint(s, SQLITE_CHECKPOINT_PASSIVE);
            pthread_mutex_lock(&s->mutex);
            lingering = true;
            continue;
        }
        if (s->stop)
            break;
        if (!lingering && s->unchecked) {
            pthread_mutex_unlock(&s->mutex);
            checkpoint(s, SQLITE_CHECKPOINT_PASSIVE);
            pthread_mutex_lock(&s->mutex);
        }
        lingering = false;
    }
    pthread_mutex_unlock(&s->mutex);
    if (s->wal_frames > WAL_FRAMES_CLOSE)
        checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE);
    for (int i = 0; i < RB_STMT_COUNT; i++)
        sqlite3_finalize(s->stmt[i]);
    memset(s->stmt, 0, sizeof(s->stmt));
    return NULL;
}

int rb_sqlite_writer_start(struct rb_store *s, struct rb_err *err)
{
    rb_sqlite_defer_stop();
    sqlite3_wal_hook(s->writer, on_wal, s);
    /* The writer takes no signals: a handler that is not ours must not run in the middle of a commit. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&s->thread, NULL, writer_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return rb_err_sys(err, RB_EIO, rc, "cannot start the journal's writer");
    s->started = true;
    return RB_OK;
}

void rb_sqlite_writer_stop(struct rb_store *s)
{
    if (!s->started)
        return;
    pthread_mutex_lock(&s->mutex);
    s->stop = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    s->started = false;
}

/* -- what the other threads call ----------------------------------------------------------------------------------- */

void rb_sqlite_enqueue(struct rb_store *s, struct rb_job *job, bool now)
{
    rb_fault_point("store.enqueue");
    pthread_mutex_lock(&s->mutex);
    rb_list_push(&s->queue, &job->link);
    s->urgent = s->urgent || now;
    if (now || s->asleep)
        pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->mutex);
}

int rb_sqlite_wait(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    if (!s->write)
        return rb_err_set(err, RB_EREADONLY, "the journal %s is open for reading only", s->path);
    job->sync = true;
    job->finished = false; /* of an earlier time */
    job->err = err;
    rb_sqlite_enqueue(s, job, true);
    pthread_mutex_lock(&s->mutex);
    while (!job->finished)
        pthread_cond_wait(&s->finished, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    return job->rc;
}

void rb_sqlite_deliver(struct rb_store *s)
{
    struct rb_list jobs, *l;
    rb_list_init(&jobs);
    pthread_mutex_lock(&s->mutex);
    while ((l = rb_list_pop(&s->done)))
        rb_list_push(&jobs, l);
    bool tell = s->failed_rc && !s->failure_told;
    s->failure_told = s->failure_told || tell;
    pthread_mutex_unlock(&s->mutex);
    while ((l = rb_list_pop(&jobs))) {
        struct rb_batch *b = RB_CONTAINER(l, struct rb_batch, job.link);
        if (b->on_done)
            b->on_done(b->arg, b->job.rc, b->job.rc ? b->job.err : NULL);
        rb_batch_free(b);
    }
    if (tell && s->on_failed)
        s->on_failed(s->arg, &s->failure);
}

void rb_store_append(struct rb_store *s, struct rb_batch *b, bool now,
                     void (*on_done)(void *arg, int rc, const struct rb_err *err), void *arg)
{
    b->on_done = on_done;
    b->arg = arg;
    rb_sqlite_enqueue(s, &b->job, now);
}

void rb_store_flush(struct rb_store *s)
{
    pthread_mutex_lock(&s->mutex);
    if (!rb_list_empty(&s->queue)) {
        s->urgent = true;
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->mutex);
}

int rb_store_append_sync(struct rb_store *s, struct rb_batch *b, struct rb_err *err)
{
    int rc = rb_sqlite_wait(s, &b->job, err);
    rb_batch_free(b);
    return rc;
}
