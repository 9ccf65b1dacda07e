/* Owns the tables: what they are and how an older file becomes a newer one. Knows no threads and no runs.
 *
 * A file is ours when its application_id is RB_APPLICATION_ID; user_version is the number of the last step that was
 * applied. A step is never changed once released: a new one is added. Each runs in one transaction that also sets
 * user_version, so a crash leaves the file at a whole step. */
#include "base/fault.h"
#include "store/sqlite.h"

/* docs/journal.md is the description for outsiders.
 *
 * runs and events are kept in the order of their keys (WITHOUT ROWID): one page is written where a rowid table would
 * write two. Nothing that changes with each append (seq, head, updated) is in an index. Blobs are large, so they keep
 * their rowid. run_blobs says which run refers to which blob, for pruning. */
static const char *const steps[RB_SCHEMA_VERSION] = {
    "CREATE TABLE runs ("
    " id TEXT NOT NULL PRIMARY KEY, runbook TEXT NOT NULL, title TEXT, status TEXT NOT NULL, actor TEXT, waiting TEXT, "
    "error TEXT,"
    " key TEXT, owner TEXT, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, head BLOB NOT NULL, created INTEGER NOT NULL,"
    " updated INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0, wake INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT "
    "ROWID;"
    "CREATE UNIQUE INDEX runs_key ON runs (key) WHERE key IS NOT NULL;"
    "CREATE INDEX runs_status ON runs (status);"
    "CREATE INDEX runs_runbook ON runs (runbook);"
    "CREATE INDEX runs_open ON runs (id) WHERE status IN " RB_OPEN_STATUSES ";"
    "CREATE TABLE events ("
    " run TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, data TEXT "
    "NOT NULL,"
    " hash BLOB NOT NULL, PRIMARY KEY (run, seq)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE blobs (digest TEXT NOT NULL UNIQUE, data BLOB NOT NULL) STRICT;"
    "CREATE TABLE run_blobs (run TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (run, digest)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX run_blobs_digest ON run_blobs (digest);"
    "CREATE TABLE sources ("
    " run TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (run, name)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX sources_digest ON sources (digest);"
    "CREATE TABLE signals ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, data TEXT NOT "
    "NULL,"
    " actor TEXT NOT NULL, at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX signals_run ON signals (run, id);"
    "CREATE TABLE locks ("
    " key TEXT NOT NULL PRIMARY KEY, run TEXT NOT NULL, task TEXT NOT NULL, reason TEXT, since INTEGER NOT NULL,"
    " token INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
};

static int read_number(sqlite3 *db, const char *sql, int *out)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW) {
            *out = sqlite3_column_int(st, 0);
            rc = SQLITE_OK;
        }
    }
    sqlite3_finalize(st);
    return rc;
}

/* Is it neither empty nor a journal? */
static int read_marks(sqlite3 *db, int *version, bool *foreign)
{
    int id = 0, tables = 0;
    *version = 0;
    int rc = read_number(db, "PRAGMA application_id", &id);
    if (rc == SQLITE_OK)
        rc = read_number(db, "PRAGMA user_version", version);
    if (rc == SQLITE_OK && id == 0 && *version == 0)
        rc = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    *foreign = id != RB_APPLICATION_ID && (id != 0 || *version != 0 || tables != 0);
    return rc;
}

int rb_schema_probe(sqlite3 *db, const char *path, int *version, struct rb_err *err)
{
    bool foreign;
    int rc = read_marks(db, version, &foreign);
    if (rc == SQLITE_OK && foreign) /* or another process was making the journal between two of the looks */
        rc = read_marks(db, version, &foreign);
    if (rc == SQLITE_NOTADB)
        return rb_err_set(err, RB_ECORRUPT, "%s is not a journal: it is not an SQLite database", path);
    if (rc != SQLITE_OK)
        return rb_sqlite_error(db, rc, err, path);
    if (foreign)
        return rb_err_set(err, RB_ECORRUPT, "%s is an SQLite database, but not a journal of rbhost", path);
    if (*version > RB_SCHEMA_VERSION)
        return rb_err_set(
            err, RB_EVERSION,
            "%s was written by a newer rbhost (journal version %d; this is %s and knows up to %d): use that one", path,
            *version, RB_VERSION, RB_SCHEMA_VERSION);
    return RB_OK;
}

int rb_schema_migrate(sqlite3 *db, int version, struct rb_err *err)
{
    for (int v = version; v < RB_SCHEMA_VERSION; v++) {
        rb_fault_point("store.migrate.before");
        char *sql = sqlite3_mprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                                    steps[v], RB_APPLICATION_ID, v + 1);
        if (!sql)
            rb_die("out of memory");
        int rc = rb_sqlite_exec(db, sql, err);
        sqlite3_free(sql);
        if (rc) {
            if (!sqlite3_get_autocommit(db))
                sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
            return rb_err_prefix(err, "the journal could not be brought to version %d", v + 1);
        }
        rb_fault_point("store.migrate.after");
    }
    return RB_OK;
}
