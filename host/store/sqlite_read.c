/* Owns reading: runs, events, blobs, signals, on the caller's thread over the read-only connection. Knows nothing of
 * the writer. Statements are prepared for one use, so a callback may read again. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/sqlite.h"

static char *text_of(sqlite3_stmt *st, int column)
{
    return rb_strdup((const char *)sqlite3_column_text(st, column));
}

static const char *borrow(sqlite3_stmt *st, int column)
{
    const char *text = (const char *)sqlite3_column_text(st, column);
    return text ? text : "";
}

void rb_sqlite_run_row(sqlite3_stmt *st, struct rb_run_row *row)
{
    memset(row, 0, sizeof(*row));
    snprintf(row->id, sizeof(row->id), "%s", borrow(st, 0));
    row->runbook = text_of(st, 1);
    row->title = text_of(st, 2);
    row->status = text_of(st, 3);
    row->actor = text_of(st, 4);
    row->waiting = text_of(st, 5);
    row->error = text_of(st, 6);
    row->key = text_of(st, 7);
    row->owner = text_of(st, 8);
    row->epoch = sqlite3_column_int64(st, 9);
    row->seq = sqlite3_column_int64(st, 10);
    const void *head = sqlite3_column_blob(st, 11);
    if (head && sqlite3_column_bytes(st, 11) == RB_SHA_LEN)
        memcpy(row->head, head, RB_SHA_LEN);
    row->created = sqlite3_column_int64(st, 12);
    row->updated = sqlite3_column_int64(st, 13);
    row->ended = sqlite3_column_int64(st, 14);
    row->wake = sqlite3_column_int64(st, 15);
}

static int begin_read(struct rb_store *s, const char *sql, sqlite3_stmt **st, struct rb_err *err)
{
    sqlite3 *db;
    int rc = rb_sqlite_reader(s, &db, err);
    return rc ? rc : rb_sqlite_prepare(db, sql, st, err);
}

/* Ends a walk: rc is what sqlite3_step returned last, or a callback's answer when `ended`. */
static int end_read(struct rb_store *s, sqlite3_stmt *st, int rc, bool ended, struct rb_err *err)
{
    if (!ended)
        rc = rc == SQLITE_DONE ? RB_OK : rb_sqlite_error(s->reader, rc, err, s->path);
    sqlite3_finalize(st);
    return rc;
}

int rb_store_snapshot_begin(struct rb_store *s, struct rb_err *err)
{
    sqlite3 *db;
    int rc = rb_sqlite_reader(s, &db, err);
    return rc ? rc : rb_sqlite_exec(db, "BEGIN", err);
}

void rb_store_snapshot_end(struct rb_store *s)
{
    if (s->reader && !sqlite3_get_autocommit(s->reader))
        sqlite3_exec(s->reader, "COMMIT", NULL, NULL, NULL);
}

int rb_store_run(struct rb_store *s, const char *id, struct rb_run_row *row, struct rb_err *err)
{
    sqlite3_stmt *st;
    memset(row, 0, sizeof(*row));
    int rc = begin_read(s, "SELECT " RB_RUN_COLUMNS " FROM runs WHERE id = ?1", &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        rb_sqlite_run_row(st, row);
    else if (rc == SQLITE_DONE)
        return end_read(s, st, rb_err_set(err, RB_ENOENT, "there is no run %s in %s", id, s->path), true, err);
    return end_read(s, st, rc == SQLITE_ROW ? RB_OK : rc, rc == SQLITE_ROW, err);
}

/* Lower case; the letters that people read as digits (Crockford); false when it can not be part of an id. */
static bool normalise(const char *text, char out[RB_RUN_ID_MAX])
{
    size_t n = strlen(text);
    if (n == 0 || n >= RB_RUN_ID_MAX)
        return false;
    for (size_t i = 0; i <= n; i++) {
        char c = (char)tolower((unsigned char)text[i]);
        out[i] = c == 'o' ? '0' : c == 'i' || c == 'l' ? '1' : c;
        if (i < n && !isalnum((unsigned char)c) && c != '-')
            return false;
    }
    return true;
}

int rb_store_find(struct rb_store *s, const char *text, struct rb_run_row *row, struct rb_err *err)
{
    bool latest = !text || strcmp(text, "latest") == 0;
    char part[RB_RUN_ID_MAX] = "";
    sqlite3_stmt *st;
    memset(row, 0, sizeof(*row));
    if (!latest && !normalise(text, part))
        return rb_err_set(err, RB_ENOENT, "there is no run \"%.60s\" in %s", text, s->path);
    int rc = begin_read(s,
                        latest ? "SELECT " RB_RUN_COLUMNS " FROM runs ORDER BY id DESC LIMIT 1"
                               : "SELECT " RB_RUN_COLUMNS
                                 " FROM runs WHERE id IN (SELECT id FROM runs WHERE id >= ?1 AND id < ?1 || '~'"
                                 " UNION SELECT id FROM runs INDEXED BY runs_status WHERE substr(id, -length(?1)) = ?1)"
                                 " ORDER BY id = ?1 DESC, id DESC LIMIT 6",
                        &st, err);
    if (rc)
        return rc;
    if (!latest)
        sqlite3_bind_text(st, 1, part, -1, SQLITE_STATIC);
    char list[6 * (RB_RUN_ID_MAX + 2)] = "";
    int found = 0;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *id = borrow(st, 0);
        if (++found == 1)
            rb_sqlite_run_row(st, row);
        if (strcmp(id, part) == 0) {
            rc = SQLITE_DONE;
            break; /* a whole id is meant, whatever else begins with it */
        }
        size_t at = strlen(list);
        if (found <= 5)
            snprintf(list + at, sizeof(list) - at, "%s%s", found > 1 ? ", " : "", id);
    }
    rc = end_read(s, st, rc, false, err);
    if (rc == RB_OK && found == 0)
        rc = latest ? rb_err_set(err, RB_ENOENT, "there are no runs in %s", s->path)
                    : rb_err_set(err, RB_ENOENT, "there is no run \"%s\" in %s", text, s->path);
    else if (rc == RB_OK && found > 1)
        rc = rb_err_set(err, RB_EINVAL, "\"%s\" fits several runs: %s%s", text, list, found > 5 ? " and more" : "");
    if (rc)
        rb_run_row_release(row);
    return rc;
}

int rb_store_runs(struct rb_store *s, const struct rb_run_filter *f,
                  int (*each)(void *arg, const struct rb_run_row *row), void *arg, struct rb_err *err)
{
    sqlite3_stmt *st;
    bool open = f->status && strcmp(f->status, "open") == 0;
    char sql[512];
    /* The planner would look up each open status by itself and sort; runs_open has them in order. */
    snprintf(sql, sizeof(sql), "SELECT " RB_RUN_COLUMNS " FROM runs %s%s%s%s 1 ORDER BY id DESC LIMIT ?4",
             open ? "INDEXED BY runs_open WHERE status IN " RB_OPEN_STATUSES " AND " : "WHERE ",
             f->status && !open ? "status = ?1 AND " : "", f->runbook ? "runbook = ?2 AND " : "",
             f->before ? "id < ?3 AND " : "");
    int rc = begin_read(s, sql, &st, err);
    if (rc)
        return rc;
    rb_sqlite_bind_text(st, 1, f->status);
    rb_sqlite_bind_text(st, 2, f->runbook);
    rb_sqlite_bind_text(st, 3, f->before);
    sqlite3_bind_int(st, 4, f->limit > 0 ? f->limit : 50);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct rb_run_row row;
        rb_sqlite_run_row(st, &row);
        int answer = each(arg, &row);
        rb_run_row_release(&row);
        if (answer)
            return end_read(s, st, answer, true, err);
    }
    return end_read(s, st, rc, false, err);
}

int rb_store_events(struct rb_store *s, const char *run, int64_t after_seq,
                    int (*each)(void *arg, const struct rb_event *ev), void *arg, struct rb_err *err)
{
    sqlite3_stmt *st;
    int rc = begin_read(s, "SELECT seq, at, key, kind, data, hash FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq",
                        &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, run, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, after_seq);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct rb_event ev = {.seq = sqlite3_column_int64(st, 0),
                              .at = sqlite3_column_int64(st, 1),
                              .key = borrow(st, 2),
                              .kind = borrow(st, 3),
                              .data = borrow(st, 4),
                              .data_len = (size_t)sqlite3_column_bytes(st, 4)};
        /* An event of ours has no NUL in its key or kind, and nothing behind one may escape the hash. */
        if (strlen(ev.key) != (size_t)sqlite3_column_bytes(st, 2) ||
            strlen(ev.kind) != (size_t)sqlite3_column_bytes(st, 3)) {
            rb_err_set(err, RB_ECORRUPT, "event %lld of run %s has a NUL byte in its key or kind", (long long)ev.seq,
                       run);
            return end_read(s, st, RB_ECORRUPT, true, err);
        }
        const void *hash = sqlite3_column_blob(st, 5);
        if (hash && sqlite3_column_bytes(st, 5) == RB_SHA_LEN)
            memcpy(ev.hash, hash, RB_SHA_LEN);
        int answer = each(arg, &ev);
        if (answer)
            return end_read(s, st, answer, true, err);
    }
    return end_read(s, st, rc, false, err);
}

int rb_store_signals(struct rb_store *s, const char *run, int64_t after,
                     int (*each)(void *arg, const struct rb_signal_row *sig), void *arg, struct rb_err *err)
{
    sqlite3_stmt *st = s->signals;
    int rc = st ? RB_OK
                : begin_read(s,
                             "SELECT id, run, kind, target, data, actor, at FROM signals WHERE run = ?1 AND id > ?2 "
                             "ORDER BY id",
                             &st, err);
    if (rc)
        return rc;
    s->signals = NULL; /* the callback may ask, too */
    sqlite3_bind_text(st, 1, run, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, after);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct rb_signal_row sig = {.id = sqlite3_column_int64(st, 0),
                                    .run = borrow(st, 1),
                                    .kind = borrow(st, 2),
                                    .target = borrow(st, 3),
                                    .data = borrow(st, 4),
                                    .actor = borrow(st, 5),
                                    .at = sqlite3_column_int64(st, 6)};
        int answer = each(arg, &sig);
        if (answer)
            return end_read(s, st, answer, true, err);
    }
    if (rc != SQLITE_DONE || s->signals)
        return end_read(s, st, rc, false, err);
    sqlite3_reset(st);
    s->signals = st;
    return RB_OK;
}

int rb_store_blob(struct rb_store *s, const char *digest, struct rb_buf *out, struct rb_err *err)
{
    sqlite3_stmt *st;
    int rc = begin_read(s, "SELECT data FROM blobs WHERE digest = ?1", &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, digest, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    if (rc == SQLITE_DONE) {
        rc = rb_err_set(err, RB_ENOENT, "there is no blob %.64s in %s", digest, s->path);
    } else if (rc != SQLITE_ROW) {
        rc = rb_sqlite_error(s->reader, rc, err, s->path);
    } else {
        const void *data = sqlite3_column_blob(st, 0);
        size_t n = (size_t)sqlite3_column_bytes(st, 0);
        char found[RB_SHA_HEX];
        rb_sha_of_hex(data, n, found);
        if (strcmp(found, digest) != 0)
            rc = rb_err_set(err, RB_ECORRUPT, "the content of blob %.64s is not what its digest says: it was changed",
                            digest);
        else if (rb_buf_add(out, n ? data : "", n))
            rc = rb_err_set(err, RB_ETOOBIG, "blob %.64s has %zu bytes, which is more than fits", digest, n);
        else
            rc = RB_OK;
    }
    sqlite3_finalize(st);
    return rc;
}

int rb_store_sources(struct rb_store *s, const char *run,
                     int (*each)(void *arg, const char *name, const char *digest, const char *data, size_t len),
                     void *arg, struct rb_err *err)
{
    sqlite3_stmt *st;
    int rc =
        begin_read(s,
                   "SELECT name, sources.digest, data FROM sources LEFT JOIN blobs ON blobs.digest = sources.digest"
                   " WHERE run = ?1 ORDER BY name",
                   &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, run, -1, SQLITE_STATIC);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *name = borrow(st, 0), *digest = borrow(st, 1);
        const void *data = sqlite3_column_blob(st, 2);
        size_t n = (size_t)sqlite3_column_bytes(st, 2);
        char found[RB_SHA_HEX];
        rb_sha_of_hex(n ? data : "", n, found);
        int answer;
        if (strcmp(found, digest) != 0)
            answer = rb_err_set(err, RB_ECORRUPT, "the source %s of run %s is missing or was changed", name, run);
        else
            answer = each(arg, name, digest, n ? data : "", n);
        if (answer)
            return end_read(s, st, answer, true, err);
    }
    return end_read(s, st, rc, false, err);
}
