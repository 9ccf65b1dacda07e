/* Owns what a connection's thread does with a statement, and what SQLite's codes mean for the caller: whether anything
 * of it stays. SQLite says that truthfully: a statement that did not end well is rolled back, so only a disk that
 * failed leaves a doubt. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "io/sql_sqlite.h"

/* -- waiting for others -------------------------------------------------------------------------------------------- */

bool rb_sql_sqlite_wait(struct sqlite_conn *c, struct sqlite_work *w, int attempt)
{
    int ms = attempt < 5 ? 1 << attempt : 25;
    struct timespec until;
    if (rb_clock_boot() >= w->busy_until)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&c->mutex);
    while (atomic_load(&w->stop) == STOP_NO && pthread_cond_timedwait(&c->wake, &c->mutex, &until) == 0)
        ;
    pthread_mutex_unlock(&c->mutex);
    return atomic_load(&w->stop) == STOP_NO;
}

/* -- what went wrong ----------------------------------------------------------------------------------------------- */

/* "UNIQUE constraint failed: t.a, t.b" → table t, column a; "CHECK constraint failed: positive" → constraint */
static void constraint(struct rb_sql_failure *f)
{
    const char *colon = strstr(f->message, "failed: "), *what = colon ? colon + 8 : NULL;
    const char *dot = what ? strchr(what, '.') : NULL;
    if (!what)
        return;
    if (!dot) {
        snprintf(f->constraint, sizeof(f->constraint), "%s", what);
        return;
    }
    snprintf(f->table, sizeof(f->table), "%.*s", (int)(dot - what), what);
    snprintf(f->column, sizeof(f->column), "%.*s", (int)strcspn(dot + 1, ","), dot + 1);
}

static void busy(const struct sqlite_conn *c, const struct sqlite_work *w, struct rb_sql_failure *f)
{
    uint64_t ms = w->timeout_ms && w->timeout_ms < w->lock_ms ? w->timeout_ms : w->lock_ms;
    char holder[128];
    rb_sql_sqlite_holder(c->target->path, holder, sizeof(holder));
    rb_sql_fail(f, "sql.busy", "the database is locked by %s, and was for %.3gs; nothing was done",
                holder[0] ? holder : "another", (double)ms / 1000);
    f->not_started = f->retryable = true;
}

static void stopped(const struct sqlite_work *w, struct rb_sql_failure *f)
{
    if (atomic_load(&w->stop) == STOP_TIMEOUT)
        rb_sql_fail(f, "sql.timeout", "it did not end within %.3gs and was stopped; nothing of it stays",
                    (double)w->timeout_ms / 1000);
    else
        rb_sql_fail(f, "cancelled", "it was stopped before it ended; nothing of it stays");
}

/* Files beside the database that this user may not make or mend: then not even a read is possible, whatever its
 * mode. */
static const char *beside(int rc)
{
    switch (rc) {
    case SQLITE_READONLY_CANTINIT:
    case SQLITE_READONLY_DIRECTORY:
        return "it is in WAL mode, and whoever reads it needs its -wal and -shm, which this user may not make: the "
               "right "
               "to write in its folder, or db:backup by whom it belongs to";
    case SQLITE_READONLY_RECOVERY:
    case SQLITE_READONLY_ROLLBACK:
        return "a writer that was killed has left something to mend beside it, which this user may not do: open it "
               "once "
               "as whom it belongs to";
    default: return NULL;
    }
}

static void readonly(const struct sqlite_conn *c, const struct sqlite_work *w, int rc, struct rb_sql_failure *f)
{
    if (beside(rc)) {
        rb_sql_fail(f, "sql.connect", "the database can not be used: %s", beside(rc));
        f->not_started = true;
    } else if ((c->target->read || w->read) && !c->target->only_read) {
        rb_sql_fail(f, "sql.readonly", "the statement writes, and this is a read");
        snprintf(f->hint, sizeof(f->hint), "%s:exec(…) is for statements that write", c->in_tx ? "tx" : "db");
    } else if (c->target->only_read) {
        rb_sql_fail(f, "sql.readonly", "the statement writes, and the database was opened with mode=ro");
    } else {
        rb_sql_fail(f, "sql.readonly", "the database can not be written: %s",
                    access(c->target->path, W_OK) ? strerror(errno) : sqlite3_errstr(rc));
    }
}

void rb_sql_sqlite_failure(struct sqlite_conn *c, struct sqlite_work *w, int rc, struct rb_sql_failure *f)
{
    int primary = rc & 0xFF, offset = sqlite3_error_offset(c->db);
    if (primary == SQLITE_INTERRUPT || (primary == SQLITE_BUSY && atomic_load(&w->stop) == STOP_CANCEL))
        stopped(w, f);
    else if (rc == SQLITE_BUSY_SNAPSHOT) {
        rb_sql_fail(f, "sql.serialization", "another has written since this transaction began to read");
        f->retryable = true;
    } else if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED)
        busy(c, w, f);
    else if (primary == SQLITE_READONLY)
        readonly(c, w, rc, f);
    else if (primary == SQLITE_AUTH && c->refused[0]) {
        rb_sql_fail(f, "usage", "%s", c->refused);
        f->not_started = true;
    } else {
        rb_sql_fail(f,
                    primary == SQLITE_CONSTRAINT ? "sql.constraint"
                    : primary == SQLITE_TOOBIG   ? "sql.too_big"
                    : primary == SQLITE_CANTOPEN ? "sql.connect"
                                                 : "sql.error",
                    "%s", sqlite3_errmsg(c->db));
        f->unknown = primary == SQLITE_IOERR; /* a disk that failed may have kept it all the same */
        if (primary == SQLITE_CONSTRAINT)
            constraint(f);
    }
    snprintf(f->code, sizeof(f->code), "%d", rc);
    if (offset >= 0 && w->job == JOB_RUN)
        f->position = rb_sql_position(w->text, (size_t)offset);
}

static void fail(struct sqlite_conn *c, struct sqlite_work *w, int rc)
{
    w->result.ok = false;
    rb_sql_sqlite_failure(c, w, rc, &w->result.failure);
}

/* -- words of our own ---------------------------------------------------------------------------------------------- */

int rb_sql_sqlite_word(struct sqlite_conn *c, const char *text)
{
    c->own_word = true;
    int rc = sqlite3_exec(c->db, text, NULL, NULL, NULL);
    c->own_word = false;
    return rc;
}

/* A reader may not mend what a writer that was killed has left. */
static bool left_by_a_writer(int rc)
{
    return rc == SQLITE_READONLY_ROLLBACK || rc == SQLITE_READONLY_RECOVERY || rc == SQLITE_READONLY_CANTINIT;
}

int rb_sql_sqlite_look(struct sqlite_conn *c)
{
    static const char text[] = "SELECT count(*) FROM sqlite_schema";
    int rc = rb_sql_sqlite_word(c, text);
    return left_by_a_writer(rc) && rb_sql_sqlite_recover(c) ? rb_sql_sqlite_word(c, text) : rc;
}

/* After a statement outside of a transaction none may be left. */
static void leave_none_open(struct sqlite_conn *c)
{
    if (c->db && !c->in_tx && !sqlite3_get_autocommit(c->db))
        rb_sql_sqlite_word(c, "ROLLBACK");
}

/* -- a statement --------------------------------------------------------------------------------------------------- */

static bool is_vacuum(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n\f");
        const char *end = strncmp(text, "--", 2) == 0   ? strchr(text, '\n')
                          : strncmp(text, "/*", 2) == 0 ? strstr(text, "*/")
                                                        : NULL;
        if (!end)
            return strncasecmp(text, "VACUUM", 6) == 0;
        text = end + (*end == '*' ? 2 : 1);
    }
}

/* Behind a statement there may be blanks and comments. */
static bool nothing_follows(sqlite3 *db, const char *tail)
{
    sqlite3_stmt *more = NULL;
    bool none = !tail || !*tail || (sqlite3_prepare_v2(db, tail, -1, &more, NULL) == SQLITE_OK && !more);
    sqlite3_finalize(more);
    return none;
}

static int step_all(struct sqlite_work *w, sqlite3_stmt *stmt)
{
    int rc;
    bool looks = sqlite3_stmt_readonly(stmt);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (w->result.more || rb_sql_sqlite_row(stmt, w, &w->rows))
            continue;
        w->result.more = true;
        if (looks) /* one that writes goes on to its end: it takes place as a whole or not at all */
            return SQLITE_DONE;
    }
    return rc;
}

static void run_prepared(struct sqlite_conn *c, struct sqlite_work *w, sqlite3_stmt *stmt)
{
    sqlite3_int64 before = sqlite3_total_changes64(c->db);
    sqlite3_set_last_insert_rowid(c->db, 0);
    int rc = step_all(w, stmt);
    if (rc == SQLITE_DONE)
        rc = SQLITE_OK;
    int closed = sqlite3_reset(stmt);
    if (rc == SQLITE_OK)
        rc = closed;
    if (rc) {
        fail(c, w, rc);
        return;
    }
    w->result.ok = true;
    if (!sqlite3_stmt_readonly(stmt)) {
        w->result.changes = sqlite3_total_changes64(c->db) == before ? 0 : sqlite3_changes64(c->db);
        w->result.last_id = sqlite3_last_insert_rowid(c->db);
    }
}

static int run_one(struct sqlite_conn *c, struct sqlite_work *w)
{
    sqlite3_stmt *stmt = NULL;
    const char *tail = NULL;
    c->vacuum = is_vacuum(w->text);
    int rc = sqlite3_prepare_v2(c->db, w->text, -1, &stmt, &tail);
    struct rb_sql_failure *f = &w->result.failure;
    if (rc) {
        fail(c, w, rc);
        if (rc != SQLITE_BUSY && !f->unknown)
            f->not_started = true;
    } else if (!stmt) {
        rb_sql_fail(f, "usage", "the statement is empty");
        f->not_started = true;
    } else if (!nothing_follows(c->db, tail)) {
        rb_sql_fail(f, "usage",
                    "there is more than one statement; one is sent at a time, and db:tx(fn) keeps several "
                    "together (script = true: all of them or none, without parameters)");
        f->not_started = true;
        f->position = rb_sql_position(w->text, (size_t)(tail - w->text));
    } else {
        rb_sql_sqlite_columns(stmt, &w->rows);
        if (rb_sql_duplicate(w->rows.columns, w->rows.column_count, f)) {
            f->not_started = true;
        } else if (w->read && !sqlite3_stmt_readonly(stmt)) { /* in a transaction the connection itself may write */
            readonly(c, w, SQLITE_READONLY, f);
            f->not_started = true;
        } else if (rb_sql_sqlite_bind(stmt, w, f)) {
            run_prepared(c, w, stmt);
        }
    }
    if (!w->result.ok)
        rc = sqlite3_extended_errcode(c->db);
    sqlite3_finalize(stmt);
    return rc;
}

/* All of them, or none. */
static void run_script(struct sqlite_conn *c, struct sqlite_work *w)
{
    sqlite3_int64 before = sqlite3_total_changes64(c->db);
    bool own = !c->in_tx;
    int rc = rb_sql_sqlite_word(c, own ? "BEGIN IMMEDIATE" : "SAVEPOINT rbhost_script");
    if (!rc && (rc = sqlite3_exec(c->db, w->text, NULL, NULL, NULL)) == SQLITE_OK)
        rc = rb_sql_sqlite_word(c, own ? "COMMIT" : "RELEASE rbhost_script");
    if (rc) {
        fail(c, w, rc);
        w->result.failure.position = 0; /* within the statement that failed, not within the whole */
        if (!own)
            rb_sql_sqlite_word(c, "ROLLBACK TO rbhost_script; RELEASE rbhost_script");
        return;
    }
    w->result.ok = true;
    w->result.changes = sqlite3_total_changes64(c->db) - before;
}

/* In WAL mode a file is at rest when nobody has it open: then it is closed before the result is told. */
bool rb_sql_sqlite_uses_wal(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    bool wal = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &stmt, NULL) == SQLITE_OK &&
               sqlite3_step(stmt) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") == 0;
    sqlite3_finalize(stmt);
    return wal;
}

static void run(struct sqlite_conn *c, struct sqlite_work *w)
{
    rb_fault_point("sql.before-run");
    if (c->in_tx && sqlite3_get_autocommit(c->db)) { /* what follows would be kept by itself */
        rb_sql_fail(&w->result.failure, "sql.error", "the database has rolled the transaction back by itself");
        w->result.failure.not_started = true;
    } else if (w->script) {
        run_script(c, w);
    } else {
        int rc = run_one(c, w);
        if (!w->result.ok && c->target->read && !c->in_tx && left_by_a_writer(rc) && rb_sql_sqlite_recover(c)) {
            rb_sql_sqlite_rows_release(&w->rows);
            w->rows = (struct sqlite_rows){0};
            run_one(c, w);
        }
    }
    leave_none_open(c);
    rb_fault_point("sql.after-run");
}

static void begin(struct sqlite_conn *c, struct sqlite_work *w)
{
    int rc = c->target->read ? rb_sql_sqlite_look(c) : SQLITE_OK;
    if (!rc)
        rc = rb_sql_sqlite_word(c, w->text);
    if (!rc && c->target->read)
        rc = rb_sql_sqlite_look(c); /* from here on it sees one state */
    if (rc) {
        fail(c, w, rc);
        leave_none_open(c);
        return;
    }
    c->in_tx = w->result.ok = true;
}

static void end(struct sqlite_conn *c, struct sqlite_work *w)
{
    if (w->job == JOB_COMMIT)
        rb_fault_point("sql.before-commit");
    int rc = sqlite3_get_autocommit(c->db) ? SQLITE_ABORT : rb_sql_sqlite_word(c, w->text);
    if (rc == SQLITE_ABORT && w->job == JOB_COMMIT)
        rb_sql_fail(&w->result.failure, "sql.error", "the database has rolled the transaction back by itself");
    else if (rc && rc != SQLITE_ABORT)
        fail(c, w, rc);
    else
        w->result.ok = true;
    c->in_tx = false;
    leave_none_open(c); /* a COMMIT that did not come through */
    if (w->job == JOB_COMMIT)
        rb_fault_point("sql.after-commit");
}

void rb_sql_sqlite_do(struct sqlite_conn *c, struct sqlite_work *w)
{
    c->refused[0] = '\0';
    c->vacuum = false;
    if (w->job == JOB_OPEN) {
        w->result.ok = rb_sql_sqlite_open(c, &w->result.failure);
        return;
    }
    if (!c->db) {
        rb_sql_fail(&w->result.failure, "sql.connect", "the connection is closed");
        w->result.failure.not_started = true;
        return;
    }
    if (atomic_load(&w->stop) != STOP_NO) {
        stopped(w, &w->result.failure);
        w->result.failure.not_started = true;
    } else if (w->job == JOB_RUN) {
        run(c, w);
    } else if (w->job == JOB_BEGIN) {
        begin(c, w);
    } else if (w->job == JOB_BACKUP) {
        rb_sql_sqlite_backup(c, w);
    } else {
        end(c, w);
    }
    if (w->last && (c->target->attach[0] || rb_sql_sqlite_uses_wal(c->db)))
        rb_sql_sqlite_close(c);
    rb_sql_sqlite_rows_finish(w);
}
