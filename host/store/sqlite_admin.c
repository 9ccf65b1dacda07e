/* Owns upkeep: counts, backup, pruning, moving one run between files. Knows nothing of the loop; all of it is for short
 * commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/chain.h"
#include "store/sqlite.h"

#define PRUNE_STEP 50 /* runs in one transaction */
#define ENDED_BY_THEMSELVES "('succeeded','cancelled','denied','timed_out','undone','moved')"
#define ENDED_ALL "('succeeded','cancelled','denied','timed_out','undone','moved','failed')"

static int number(struct rb_store *s, const char *sql, int64_t *out, struct rb_err *err)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    int rc = rb_sqlite_reader(s, &db, err);
    if (rc == RB_OK)
        rc = rb_sqlite_prepare(db, sql, &st, err);
    if (rc)
        return rc;
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    rc = rc == SQLITE_ROW ? RB_OK : rb_sqlite_error(db, rc, err, s->path);
    sqlite3_finalize(st);
    return rc;
}

static int64_t size_of(const char *path, const char *suffix)
{
    char name[4200];
    struct stat st;
    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return stat(name, &st) ? 0 : (int64_t)st.st_size;
}

int rb_store_stats(struct rb_store *s, struct rb_store_stats *out, struct rb_err *err)
{
    int64_t schema = 0;
    memset(out, 0, sizeof(*out));
    const struct {
        const char *sql;
        int64_t *to;
    } counts[] = {
        {"SELECT count(*) FROM runs", &out->runs},
        {"SELECT count(*) FROM events", &out->events},
        {"SELECT count(*) FROM blobs", &out->blobs},
        {"SELECT coalesce(sum(length(data)), 0) FROM blobs", &out->blob_bytes},
        {"SELECT count(*) FROM signals", &out->signals},
        {"PRAGMA user_version", &schema},
    };
    int rc = rb_store_snapshot_begin(s, err);
    for (size_t i = 0; i < RB_COUNT(counts) && rc == RB_OK; i++)
        rc = number(s, counts[i].sql, counts[i].to, err);
    rb_store_snapshot_end(s);
    out->schema = (int)schema;
    out->file_bytes = size_of(s->path, "");
    out->wal_bytes = size_of(s->path, "-wal");
    return rc;
}

int rb_store_check(struct rb_store *s, struct rb_err *err)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    int rc = rb_sqlite_reader(s, &db, err);
    if (rc == RB_OK)
        rc = rb_sqlite_prepare(db, "PRAGMA quick_check(1)", &st, err);
    if (rc)
        return rc;
    rc = sqlite3_step(st);
    if (rc != SQLITE_ROW)
        rc = rb_sqlite_error(db, rc, err, s->path);
    else if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
        rc = rb_err_set(err, RB_ECORRUPT, "%s is damaged: %s", s->path, (const char *)sqlite3_column_text(st, 0));
    else
        rc = RB_OK;
    sqlite3_finalize(st);
    int64_t orphans = 0;
    if (rc == RB_OK)
        rc = number(s, "SELECT count(*) FROM (SELECT run FROM events EXCEPT SELECT id FROM runs)", &orphans, err);
    if (rc == RB_OK && orphans)
        rc = rb_err_set(err, RB_ECORRUPT, "%s has events of %lld run(s) whose row is missing", s->path,
                        (long long)orphans);
    return rc;
}

/* -- new files ----------------------------------------------------------------------------------------------------- */

/* A file that is being written beside its place, 0600; it gets its name only when it is whole. */
struct new_file {
    const char *to;
    char part[4200];
    sqlite3 *db;
};

static int new_file_open(struct new_file *f, const char *to, struct rb_err *err)
{
    *f = (struct new_file){.to = to};
    if (strlen(to) > 3900)
        return rb_err_set(err, RB_EINVAL, "the path is too long");
    if (access(to, F_OK) == 0)
        return rb_err_set(err, RB_EEXIST, "%s exists already; give the name of a new file", to);
    snprintf(f->part, sizeof(f->part), "%s.part-XXXXXX", to);
    int fd = mkostemp(f->part, O_CLOEXEC);
    if (fd < 0) {
        int code = errno == ENOENT ? RB_ENOENT : errno == ENOSPC || errno == EDQUOT ? RB_EFULL : RB_EIO;
        f->part[0] = '\0';
        return rb_err_sys(err, code, errno, "cannot make %s", to);
    }
    close(fd);
    int rc = rb_sqlite_connect(f->part, SQLITE_OPEN_READWRITE, false, &f->db, err);
    return rc ? rc : rb_sqlite_exec(f->db, "PRAGMA synchronous = FULL", err);
}

/* Gives the file its name when rc is 0, else removes it. */
static int new_file_close(struct new_file *f, int rc, struct rb_err *err)
{
    if (sqlite3_close(f->db) != SQLITE_OK && rc == RB_OK)
        rc = rb_err_set(err, RB_EIO, "cannot close %s", f->part);
    if (!f->part[0])
        return rc;
    if (rc == RB_OK && link(f->part, f->to)) {
        if (errno == EEXIST)
            rc = rb_err_set(err, RB_EEXIST, "%s exists already; give the name of a new file", f->to);
        else if (access(f->to, F_OK) == 0 || rename(f->part, f->to)) /* a file system without links */
            rc = rb_err_sys(err, RB_EIO, errno, "cannot make %s", f->to);
    }
    unlink(f->part);
    char folder[4200];
    snprintf(folder, sizeof(folder), "%s", f->to);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    return rc;
}

int rb_store_backup(struct rb_store *s, const char *to, struct rb_err *err)
{
    struct new_file f;
    sqlite3 *db;
    int rc = rb_sqlite_reader(s, &db, err);
    if (rc)
        return rc;
    rc = new_file_open(&f, to, err);
    if (rc == RB_OK) {
        sqlite3_backup *copy = sqlite3_backup_init(f.db, "main", db, "main");
        /* In one step, so in one read transaction: other processes may go on writing. */
        int step = copy ? sqlite3_backup_step(copy, -1) : sqlite3_errcode(f.db);
        if (copy)
            sqlite3_backup_finish(copy);
        if (step != SQLITE_DONE)
            rc = rb_sqlite_error(f.db, step, err, to);
    }
    return new_file_close(&f, rc, err);
}

/* -- pruning ------------------------------------------------------------------------------------------------------- */

struct prune_job {
    struct rb_job job;
    int64_t before;
    bool all;
    char last[RB_RUN_ID_MAX]; /* the last run that was looked at */
    int64_t looked, pruned;
    bool dry;
};

static int change_for(sqlite3 *db, const char *sql, const char *run, struct rb_err *err)
{
    sqlite3_stmt *st;
    int rc = rb_sqlite_prepare(db, sql, &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, run, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    rc = rc == SQLITE_DONE ? RB_OK : rb_sqlite_error(db, rc, err, "the journal");
    sqlite3_finalize(st);
    return rc;
}

static int forget(sqlite3 *db, const char *run, struct rb_err *err)
{
    static const char *const orders[] = {
        "DELETE FROM blobs WHERE digest IN (SELECT digest FROM run_blobs WHERE run = ?1 UNION SELECT digest FROM "
        "sources WHERE run = ?1)"
        " AND NOT EXISTS (SELECT 1 FROM run_blobs r WHERE r.digest = blobs.digest AND r.run <> ?1)"
        " AND NOT EXISTS (SELECT 1 FROM sources o WHERE o.digest = blobs.digest AND o.run <> ?1)",
        "DELETE FROM run_blobs WHERE run = ?1",
        "DELETE FROM sources WHERE run = ?1",
        "DELETE FROM signals WHERE run = ?1",
        "DELETE FROM locks WHERE run = ?1",
        "DELETE FROM events WHERE run = ?1",
        "DELETE FROM runs WHERE id = ?1",
    };
    int rc = RB_OK;
    for (size_t i = 0; i < RB_COUNT(orders) && rc == RB_OK; i++)
        rc = change_for(db, orders[i], run, err);
    return rc;
}

/* Looks at up to PRUNE_STEP runs behind `last`, on db. */
static int prune_on(struct rb_store *s, sqlite3 *db, struct prune_job *j, struct rb_err *err)
{
    sqlite3_stmt *st;
    struct {
        char id[RB_RUN_ID_MAX], owner[RB_OWNER_MAX];
    } found[PRUNE_STEP];
    int n = 0;
    int rc = rb_sqlite_prepare(
        db,
        j->all
            ? "SELECT id, owner FROM runs WHERE id > ?1 AND ended > 0 AND ended < ?2 AND status IN " ENDED_ALL
              " ORDER BY id LIMIT ?3"
            : "SELECT id, owner FROM runs WHERE id > ?1 AND ended > 0 AND ended < ?2 AND status IN " ENDED_BY_THEMSELVES
              " ORDER BY id LIMIT ?3",
        &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, j->last, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, j->before);
    sqlite3_bind_int(st, 3, PRUNE_STEP);
    while (n < PRUNE_STEP && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *owner = (const char *)sqlite3_column_text(st, 1);
        snprintf(found[n].id, sizeof(found[n].id), "%s", (const char *)sqlite3_column_text(st, 0));
        snprintf(found[n].owner, sizeof(found[n].owner), "%s", owner ? owner : "");
        n++;
    }
    rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? RB_OK : rb_sqlite_error(db, rc, err, s->path);
    sqlite3_finalize(st);
    j->looked = n;
    for (int i = 0; i < n && rc == RB_OK; i++) {
        memcpy(j->last, found[i].id, sizeof(j->last));
        if (rb_store_owner_alive(s, found[i].owner))
            continue;
        rc = j->dry ? RB_OK : forget(db, found[i].id, err);
        j->pruned += rc == RB_OK;
        if (!j->dry && rc == RB_OK)
            rb_sqlite_forget_seen(s, found[i].id);
    }
    return rc;
}

static int prune(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    return prune_on(s, s->writer, RB_CONTAINER(job, struct prune_job, job), err);
}

int rb_store_prune(struct rb_store *s, int64_t before, bool all, bool dry, int64_t *runs, struct rb_err *err)
{
    struct prune_job j = {.before = before, .all = all, .dry = dry};
    sqlite3 *db;
    int rc;
    *runs = 0;
    do {
        j.job = (struct rb_job){.run = prune};
        if (!dry)
            rc = rb_sqlite_wait(s, &j.job, err);
        else if ((rc = rb_sqlite_reader(s, &db, err)) == RB_OK)
            rc = prune_on(s, db, &j, err);
        if (rc == RB_OK)
            *runs = j.pruned;
    } while (rc == RB_OK && j.looked == PRUNE_STEP);
    return rc;
}

/* -- one run, there and back --------------------------------------------------------------------------------------- */

/* Copies the rows that `select` gives (?1 run, ?2 above this seq) with `insert`. */
static int copy_rows(sqlite3 *from, sqlite3 *to, const char *select, const char *insert, const char *run, int64_t after,
                     struct rb_err *err)
{
    sqlite3_stmt *in = NULL, *out = NULL;
    int rc = rb_sqlite_prepare(from, select, &in, err);
    if (rc == RB_OK)
        rc = rb_sqlite_prepare(to, insert, &out, err);
    if (rc == RB_OK) {
        int step;
        sqlite3_bind_text(in, 1, run, -1, SQLITE_STATIC);
        if (sqlite3_bind_parameter_count(in) > 1)
            sqlite3_bind_int64(in, 2, after);
        while (rc == RB_OK && (step = sqlite3_step(in)) != SQLITE_DONE) {
            if (step != SQLITE_ROW) {
                rc = rb_sqlite_error(from, step, err, "reading the journal");
                break;
            }
            for (int i = 0; i < sqlite3_column_count(in); i++)
                sqlite3_bind_value(out, i + 1, sqlite3_column_value(in, i));
            step = sqlite3_step(out);
            sqlite3_reset(out);
            if (step != SQLITE_DONE)
                rc = rb_sqlite_error(to, step, err, "writing the journal");
        }
    }
    sqlite3_finalize(in);
    sqlite3_finalize(out);
    return rc;
}

static int copy_run(sqlite3 *from, sqlite3 *to, const char *run, int64_t after, struct rb_err *err)
{
    static const char *const tables[][2] = {
        {"SELECT run, seq, at, key, kind, data, hash FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq",
         "INSERT INTO events (run, seq, at, key, kind, data, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
        {"SELECT digest, data FROM blobs WHERE digest IN (SELECT digest FROM run_blobs WHERE run = ?1"
         " UNION SELECT digest FROM sources WHERE run = ?1)",
         "INSERT OR IGNORE INTO blobs (digest, data) VALUES (?1, ?2)"},
        {"SELECT run, digest FROM run_blobs WHERE run = ?1",
         "INSERT OR IGNORE INTO run_blobs (run, digest) VALUES (?1, ?2)"},
        {"SELECT run, name, digest FROM sources WHERE run = ?1",
         "INSERT OR IGNORE INTO sources (run, name, digest) VALUES (?1, ?2, ?3)"},
        {"SELECT " RB_RUN_COLUMNS " FROM runs WHERE id = ?1",
         "INSERT INTO runs (" RB_RUN_COLUMNS
         ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"},
    };
    int rc = RB_OK;
    for (size_t i = 0; i < RB_COUNT(tables) && rc == RB_OK; i++)
        rc = copy_rows(from, to, tables[i][0], tables[i][1], run, after, err);
    return rc;
}

int rb_store_export(struct rb_store *s, const char *run, const char *to, struct rb_err *err)
{
    struct rb_run_row row;
    struct new_file f;
    int rc = rb_store_run(s, run, &row, err);
    if (rc)
        return rc;
    rc = new_file_open(&f, to, err);
    if (rc == RB_OK)
        rc = rb_schema_migrate(f.db, 0, err);
    if (rc == RB_OK)
        rc = rb_store_snapshot_begin(s, err);
    if (rc == RB_OK) {
        rc = rb_sqlite_exec(f.db, "BEGIN", err);
        if (rc == RB_OK)
            rc = copy_run(s->reader, f.db, row.id, 0, err);
        if (rc == RB_OK)
            rc = change_for(f.db, "UPDATE runs SET owner = NULL WHERE id = ?1", row.id, err);
        if (rc == RB_OK)
            rc = rb_sqlite_exec(f.db, "COMMIT", err);
        rb_store_snapshot_end(s);
    }
    rb_run_row_release(&row);
    return new_file_close(&f, rc, err);
}

struct import_job {
    struct rb_job job;
    struct rb_store *from; /* its reader is used on the writer thread while the caller waits */
    const struct rb_run_row *theirs;
};

/* What is here of the run already, if its events are the beginning of those that come: *seq events, *epoch. */
static int what_is_here(struct rb_store *s, const struct rb_run_row *theirs, struct rb_store *from, int64_t *seq,
                        int64_t *epoch, struct rb_err *err)
{
    sqlite3_stmt *st, *same = NULL;
    int rc = rb_sqlite_prepare(s->writer, "SELECT seq, head, epoch, owner FROM runs WHERE id = ?1", &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, theirs->id, -1, SQLITE_STATIC);
    int step = sqlite3_step(st);
    *seq = *epoch = 0;
    if (step == SQLITE_ROW) {
        const char *owner = (const char *)sqlite3_column_text(st, 3);
        *seq = sqlite3_column_int64(st, 0);
        *epoch = sqlite3_column_int64(st, 2);
        rc = rb_sqlite_prepare(from->reader, "SELECT 1 FROM events WHERE run = ?1 AND seq = ?2 AND hash = ?3", &same,
                               err);
        if (rc == RB_OK) {
            sqlite3_bind_text(same, 1, theirs->id, -1, SQLITE_STATIC);
            sqlite3_bind_int64(same, 2, *seq);
            sqlite3_bind_blob(same, 3, sqlite3_column_blob(st, 1), sqlite3_column_bytes(st, 1), SQLITE_STATIC);
            if (owner && rb_store_owner_alive(s, owner)) {
                char who[256];
                rb_store_owner_describe(s, owner, who, sizeof(who));
                rc = rb_err_set(err, RB_EBUSY, "run %s is being run here by %s", theirs->id, who);
            } else if (sqlite3_step(same) != SQLITE_ROW) {
                rc = rb_err_set(err, RB_EEXIST,
                                "run %s is here already, and its %lld events are not the beginning of those that come",
                                theirs->id, (long long)*seq);
            }
        }
    } else if (step != SQLITE_DONE) {
        rc = rb_sqlite_error(s->writer, step, err, s->path);
    }
    sqlite3_finalize(same);
    sqlite3_finalize(st);
    return rc;
}

static int import(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    struct import_job *j = RB_CONTAINER(job, struct import_job, job);
    const char *id = j->theirs->id;
    int64_t seq, epoch;
    int rc = what_is_here(s, j->theirs, j->from, &seq, &epoch, err);
    if (rc == RB_OK && seq)
        rc = change_for(s->writer, "DELETE FROM runs WHERE id = ?1", id, err);
    if (rc == RB_OK && j->theirs->key) {
        sqlite3_stmt *st;
        rc = rb_sqlite_prepare(s->writer, "SELECT id FROM runs WHERE key = ?1", &st, err);
        if (rc)
            return rc;
        sqlite3_bind_text(st, 1, j->theirs->key, -1, SQLITE_STATIC);
        if (sqlite3_step(st) == SQLITE_ROW)
            rc = rb_err_set(err, RB_EEXIST, "run %s was started here with the same key",
                            (const char *)sqlite3_column_text(st, 0));
        sqlite3_finalize(st);
    }
    if (rc == RB_OK)
        rc = copy_run(j->from->reader, s->writer, id, seq, err);
    if (rc)
        return rc;
    sqlite3_stmt *st;
    rc = rb_sqlite_prepare(s->writer, "UPDATE runs SET owner = NULL, epoch = max(epoch, ?2) + 1 WHERE id = ?1", &st,
                           err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, epoch);
    int step = sqlite3_step(st);
    rc = step == SQLITE_DONE ? RB_OK : rb_sqlite_error(s->writer, step, err, s->path);
    sqlite3_finalize(st);
    return rc;
}

int rb_store_import(struct rb_store *s, const char *from, struct rb_run_row *row, struct rb_err *err)
{
    struct rb_store_options opt = {.path = from, .force_network_fs = true};
    struct rb_store *other;
    struct rb_run_row theirs = {0};
    struct rb_verdict verdict;
    int64_t runs = 0;
    memset(row, 0, sizeof(*row));
    int rc = rb_store_open(NULL, &opt, &other, err);
    if (rc)
        return rc;
    rc = number(other, "SELECT count(*) FROM runs", &runs, err);
    if (rc == RB_OK && runs != 1)
        rc =
            rb_err_set(err, RB_EINVAL, "%s holds %lld runs; an exported run is a file with one", from, (long long)runs);
    if (rc == RB_OK)
        rc = rb_store_find(other, NULL, &theirs, err);
    if (rc == RB_OK)
        rc = rb_chain_verify(other, theirs.id, 0, NULL, &verdict, err);
    if (rc == RB_OK && !verdict.ok)
        rc = rb_err_set(err, RB_ECORRUPT, "%s is not imported: %.1500s", from, verdict.what);
    if (rc == RB_OK) {
        struct import_job j = {.job.run = import, .from = other, .theirs = &theirs};
        rc = rb_sqlite_wait(s, &j.job, err);
    }
    if (rc == RB_OK)
        rc = rb_store_run(s, theirs.id, row, err);
    rb_run_row_release(&theirs);
    rb_store_close(other);
    return rc;
}
