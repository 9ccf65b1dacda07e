/* Owns the opening of a connection, on its thread: how strict it is, what it may attach, and what a statement may not
 * say (the authorizer). Nothing a statement says changes another connection, the process, or a file that was not
 * named. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sql_sqlite.h"

#define VALUE_MAX (256 << 20) /* bytes of one text or blob, and of a row while it is made */

/* -- what a statement may say -------------------------------------------------------------------------------------- */

static int refuse(struct sqlite_conn *c, const char *why)
{
    snprintf(c->refused, sizeof(c->refused), "%s", why);
    return SQLITE_DENY;
}

/* Settings of the process, not of the connection: the journal lives in it, too. */
static bool of_the_process(const char *pragma)
{
    static const char *const names[] = {"temp_store_directory", "data_store_directory", "hard_heap_limit",
                                        "soft_heap_limit"};
    for (size_t i = 0; i < RB_COUNT(names); i++)
        if (strcasecmp(pragma, names[i]) == 0)
            return true;
    return false;
}

static int authorize(void *arg, int action, const char *a, const char *b, const char *database, const char *trigger)
{
    struct sqlite_conn *c = arg;
    (void)database;
    (void)trigger;
    switch (action) {
    case SQLITE_ATTACH:
        if (c->own_word || (a && !*a)) /* "": what VACUUM makes for itself */
            return SQLITE_OK;
        return refuse(c, "ATTACH and VACUUM INTO name files that nobody was asked about: open the database with "
                         "attach = { name = \"/path\" }, and copy it with db:backup(path)");
    case SQLITE_DETACH: return refuse(c, "DETACH is not for a statement: what is attached is said when it is opened");
    case SQLITE_TRANSACTION:
        return c->own_word || c->vacuum
                   ? SQLITE_OK
                   : refuse(c, "BEGIN, COMMIT and ROLLBACK are not for a statement: db:tx(fn) is a transaction");
    case SQLITE_SAVEPOINT:
        return c->in_tx ? SQLITE_OK : refuse(c, "SAVEPOINT is for the inside of a transaction: db:tx(fn)");
    case SQLITE_PRAGMA:
        if (b && of_the_process(a))
            return refuse(c, "this setting is one of the whole process, and is not changed here");
        if (b && !c->own_word)
            c->soiled = true;
        return SQLITE_OK;
    case SQLITE_CREATE_TEMP_TABLE:
    case SQLITE_CREATE_TEMP_VIEW:
    case SQLITE_CREATE_TEMP_TRIGGER:
    case SQLITE_CREATE_TEMP_INDEX: c->soiled = true; return SQLITE_OK;
    default: return SQLITE_OK;
    }
}

/* -- waiting and stopping ------------------------------------------------------------------------------------------ */

static int on_busy(void *arg, int attempt)
{
    struct sqlite_conn *c = arg;
    return c->job && rb_sql_sqlite_wait(c, c->job, attempt);
}

/* sqlite3_interrupt() is forgotten when it comes just before a statement begins; this is not. */
static int on_progress(void *arg)
{
    struct sqlite_conn *c = arg;
    return c->job && atomic_load(&c->job->stop) != STOP_NO;
}

/* -- opening ------------------------------------------------------------------------------------------------------- */

static bool cannot(struct rb_sql_failure *f, const char *path, const char *why)
{
    rb_sql_fail(f, "sql.connect", "can not open %.400s: %s", path, why);
    f->not_started = true;
    return false;
}

/* Opening a pipe waits for its other end, for ever, and a device may act. */
static bool is_no_file(struct rb_sql_failure *f, const char *path, const struct stat *st)
{
    if (S_ISREG(st->st_mode))
        return false;
    cannot(f, path, S_ISDIR(st->st_mode) ? "it is a folder" : "it is no regular file (a pipe, a device, a socket)");
    return true;
}

static bool is_journal(struct rb_sql_failure *f, const char *path)
{
    rb_sql_fail(f, "policy",
                "%.400s is the journal of this host, which no statement may touch; read it with rbhost log "
                "and rbhost show",
                path);
    f->not_started = true;
    return false;
}

static void configure(struct sqlite_conn *c, bool reads)
{
    sqlite3 *db = c->db;
    sqlite3_extended_result_codes(db, 1);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0, NULL); /* takes addresses of code as blobs */
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, c->target->foreign_keys, NULL);
    if (reads) /* who only looks mends nobody's WAL */
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
    sqlite3_busy_handler(db, on_busy, c);
    sqlite3_progress_handler(db, 1000, on_progress, c);
    sqlite3_set_authorizer(db, authorize, c);
}

static int attach(struct sqlite_conn *c, struct rb_sql_failure *f)
{
    for (size_t i = 0; c->target->attach[i]; i++) {
        const char *path = strchr(c->target->attach[i], '=') + 1;
        if (rb_sql_sqlite_refuses(c->target, path)) {
            is_journal(f, path);
            return RB_EDENIED;
        }
        struct stat st;
        if (stat(path, &st)) { /* SQLite would make it */
            cannot(f, path, "there is no such file");
            return RB_ENOENT;
        }
        if (is_no_file(f, path, &st))
            return RB_EINVAL;
        char *text = sqlite3_mprintf("ATTACH %Q AS \"%.*w\"", path, (int)(path - 1 - c->target->attach[i]),
                                     c->target->attach[i]);
        int rc = rb_sql_sqlite_word(c, text);
        sqlite3_free(text);
        if (rc) {
            cannot(f, path, sqlite3_errmsg(c->db));
            return RB_EIO;
        }
    }
    return RB_OK;
}

static const char *reason(const struct sqlite_conn *c, int rc, int missing, bool reads)
{
    if (rc == SQLITE_CANTOPEN && !missing && access(c->target->path, R_OK | (reads ? 0 : W_OK)))
        return strerror(errno);
    if (rc != SQLITE_CANTOPEN || !missing)
        return c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
    return c->target->read || c->target->only_read ? "there is no such file, and a read makes none"
           : c->target->create                     ? "there is no such file, and it can not be made there"
                                                   : "there is no such file (mode=rw makes none)";
}

/* Is the file that is open still the one of this name? A restore puts another in its place. */
static bool moved(const struct sqlite_conn *c)
{
    struct stat st;
    return stat(c->target->path, &st) || (uint64_t)st.st_dev != c->device || (uint64_t)st.st_ino != c->inode;
}

bool rb_sql_sqlite_open(struct sqlite_conn *c, struct rb_sql_failure *f)
{
    const struct sqlite_target *t = c->target;
    bool reads = t->read || t->only_read;
    struct stat st = {0};
    sqlite3 *db = NULL;
    if (c->db && !moved(c))
        return true;
    rb_sql_sqlite_close(c);
    if (rb_sql_sqlite_refuses(t, t->path))
        return is_journal(f, t->path);
    int missing = stat(t->path, &st);
    if (!missing && is_no_file(f, t->path, &st))
        return false;
    int rc = sqlite3_open_v2(t->path, &db,
                             SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                                 (reads ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                                 (!reads && t->create ? SQLITE_OPEN_CREATE : 0),
                             NULL);
    pthread_mutex_lock(&c->mutex);
    c->db = db;
    pthread_mutex_unlock(&c->mutex);
    if (rc) {
        cannot(f, t->path, reason(c, rc, missing, reads));
        rb_sql_sqlite_close(c);
        return false;
    }
    configure(c, reads);
    if (stat(t->path, &st) == 0) {
        c->device = (uint64_t)st.st_dev;
        c->inode = (uint64_t)st.st_ino;
    }
    if (rb_sql_sqlite_refuses(t, t->path) || attach(c, f)) { /* looked at again: now it is this file */
        if (!f->kind[0])
            is_journal(f, t->path);
        rb_sql_sqlite_close(c);
        return false;
    }
    return true;
}

void rb_sql_sqlite_close(struct sqlite_conn *c)
{
    pthread_mutex_lock(&c->mutex);
    sqlite3 *db = c->db;
    c->db = NULL;
    pthread_mutex_unlock(&c->mutex);
    sqlite3_close_v2(db);
    c->in_tx = c->soiled = false;
}

bool rb_sql_sqlite_recover(struct sqlite_conn *c)
{
    sqlite3 *db = NULL;
    if (c->target->only_read)
        return false;
    bool done = sqlite3_open_v2(c->target->path, &db, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
                sqlite3_busy_timeout(db, 1000) == SQLITE_OK &&
                sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close_v2(db);
    return done;
}
