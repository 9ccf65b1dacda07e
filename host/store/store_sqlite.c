/* Owns opening and closing of the SQLite store: paths, connections, their settings, and SQLite's errors in our words.
 * Knows nothing of what is written (sqlite_writer.c) or read (sqlite_read.c). */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/sqlite.h"

#define LOCK_WAIT_MS 10000
#define READER_WAIT_MS 5000
#define LENGTH_MAX ((int)RB_BATCH_VALUE_MAX + 4096) /* a value of the largest size and the rest of its row */

void rb_run_row_release(struct rb_run_row *row)
{
    free(row->runbook);
    free(row->title);
    free(row->status);
    free(row->actor);
    free(row->waiting);
    free(row->error);
    free(row->key);
    free(row->owner);
    memset(row, 0, sizeof(*row));
}

int rb_sqlite_error(sqlite3 *db, int rc, struct rb_err *err, const char *what)
{
    const char *words = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    int number = db ? sqlite3_system_errno(db) : 0;
    switch (rc & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return rb_err_set(err, RB_EBUSY, "%s: locked by another program", what);
    case SQLITE_FULL: return rb_err_set(err, RB_EFULL, "%s: no space left (%s)", what, words);
    case SQLITE_READONLY: return rb_err_set(err, RB_EREADONLY, "%s: can not be written (%s)", what, words);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return rb_err_set(err, RB_ECORRUPT, "%s: damaged (%s)", what, words);
    case SQLITE_CONSTRAINT:
        return rb_err_set(err, RB_ECORRUPT, "%s: holds what should not be there yet (%s)", what, words);
    case SQLITE_TOOBIG:
        return rb_err_set(err, RB_ETOOBIG, "%s: more than %zu MiB in one value", what, RB_BATCH_VALUE_MAX >> 20);
    case SQLITE_NOMEM: rb_die("out of memory in SQLite; the run can be resumed");
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (number == ENOSPC || number == EDQUOT || number == EFBIG)
            return rb_err_sys(err, RB_EFULL, number, "%s: no space left (%s)", what, words);
        if (number == EROFS || number == EACCES || number == EPERM)
            return rb_err_sys(err, RB_EREADONLY, number, "%s: not allowed (%s)", what, words);
        if (number)
            return rb_err_sys(err, RB_EIO, number, "%s: %s", what, words);
        break;
    }
    return rb_err_set(err, RB_EIO, "%s: %s (SQLite %d)", what, words, rc);
}

int rb_sqlite_exec(sqlite3 *db, const char *sql, struct rb_err *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? RB_OK : rb_sqlite_error(db, rc, err, "the journal");
}

int rb_sqlite_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st, struct rb_err *err)
{
    int rc = sqlite3_prepare_v2(db, sql, -1, st, NULL);
    return rc == SQLITE_OK ? RB_OK : rb_sqlite_error(db, rc, err, "the journal");
}

void rb_sqlite_bind_text(sqlite3_stmt *st, int i, const char *text)
{
    if (text)
        sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, i);
}

/* A path as SQLite's URI: ?, # and % would end or change it. */
static char *uri_of(const char *path, const char *query)
{
    static const char digits[] = "0123456789abcdef";
    char *uri = rb_alloc(strlen(path) * 3 + strlen(query) + 8), *out = uri;
    memcpy(out, "file:", 5);
    out += 5;
    for (const char *p = path; *p; p++) {
        if (*p == '?' || *p == '#' || *p == '%') {
            *out++ = '%';
            *out++ = digits[(unsigned char)*p >> 4];
            *out++ = digits[(unsigned char)*p & 15];
        } else {
            *out++ = *p;
        }
    }
    memcpy(out, query, strlen(query) + 1);
    return uri;
}

int rb_sqlite_connect(const char *path, int flags, bool immutable, sqlite3 **out, struct rb_err *err)
{
    *out = NULL;
    char *uri = uri_of(path, immutable ? "?immutable=1" : "");
    int rc = sqlite3_open_v2(uri, out, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    free(uri);
    if (rc != SQLITE_OK) {
        rb_sqlite_error(*out, rc, err, path);
        sqlite3_close(*out);
        *out = NULL;
        return err ? err->code : RB_EIO;
    }
    sqlite3_db_config(*out, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_limit(*out, SQLITE_LIMIT_LENGTH, LENGTH_MAX);
    sqlite3_busy_timeout(*out, READER_WAIT_MS);
    return RB_OK;
}

/* A whole journal on a medium that can not be written has no -wal and no -shm, and SQLite could not make them: then
 * nobody can change it either, and it may be read as it lies. */
static bool lies_still(const char *path)
{
    char wal[4096];
    struct stat st;
    snprintf(wal, sizeof(wal), "%s-wal", path);
    if (stat(wal, &st) == 0 && st.st_size > 0)
        return false;
    char *folder = rb_strdup(path), *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    bool fixed = access(slash ? folder : ".", W_OK) != 0;
    free(folder);
    return fixed;
}

int rb_sqlite_reader(struct rb_store *s, sqlite3 **db, struct rb_err *err)
{
    if (!s->reader) {
        s->immutable = !s->write && lies_still(s->path);
        int rc = rb_sqlite_connect(s->path, SQLITE_OPEN_READONLY, s->immutable, &s->reader, err);
        if (rc)
            return rc;
        sqlite3_exec(s->reader, "PRAGMA query_only = ON; PRAGMA cell_size_check = ON", NULL, NULL, NULL);
    }
    *db = s->reader;
    return RB_OK;
}

const char *rb_sqlite_network_fs(unsigned long type)
{
    switch (type & 0xFFFFFFFF) {
    case NFS_SUPER_MAGIC: return "NFS";
    case 0xFF534D42: return "CIFS"; /* these have no name in linux/magic.h of every kernel */
    case 0xFE534D42: return "SMB2";
    case SMB_SUPER_MAGIC: return "SMB";
    case CODA_SUPER_MAGIC: return "Coda";
    case AFS_SUPER_MAGIC:
    case 0x6B414653: return "AFS";
    case V9FS_MAGIC: return "9P";
    case 0x00C36400: return "Ceph";
    case 0x0BD00BD0: return "Lustre";
    }
    return NULL;
}

static int refuse_network_fs(const char *folder, struct rb_err *err)
{
    struct statfs fs;
    if (statfs(folder, &fs))
        return RB_OK; /* whatever is wrong with it is said when it is opened */
    const char *name = rb_sqlite_network_fs((unsigned long)fs.f_type);
    if (!name)
        return RB_OK;
    return rb_err_set(err, RB_EINVAL,
                      "%s is on a network file system (%s), where locks and memory maps do not protect a journal: put "
                      "it on a local disk",
                      folder, name);
}

/* Makes a folder and those above it, each 0700 and each named durably in its parent. */
static int make_folder(const char *path, struct rb_err *err)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? RB_OK : rb_err_set(err, RB_EINVAL, "%s is not a folder", path);
    char *parent = rb_strdup(path), *slash = strrchr(parent, '/');
    int rc = RB_OK;
    if (slash && slash != parent) {
        *slash = '\0';
        rc = make_folder(parent, err);
    } else {
        memcpy(parent, slash ? "/" : ".", 2);
    }
    if (rc == RB_OK && mkdir(path, 0700) && errno != EEXIST) {
        int code = errno == ENOSPC                                       ? RB_EFULL
                   : errno == EROFS || errno == EACCES || errno == EPERM ? RB_EREADONLY
                                                                         : RB_EIO;
        rc = rb_err_sys(err, code, errno, "cannot make the folder %s", path);
    }
    if (rc == RB_OK) {
        int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) {
            fsync(fd);
            close(fd);
        }
    }
    free(parent);
    return rc;
}

static int open_error(const char *path, struct rb_err *err)
{
    int code = errno == ENOSPC || errno == EDQUOT                    ? RB_EFULL
               : errno == EROFS || errno == EACCES || errno == EPERM ? RB_EREADONLY
               : errno == ENOENT                                     ? RB_ENOENT
                                                                     : RB_EIO;
    return rb_err_sys(err, code, errno, "cannot open %s", path);
}

/* The file exists with mode 0600 afterwards. It is never opened here once SQLite may have it open: closing a second
 * descriptor would drop SQLite's locks. */
static int ensure_file(const char *path, bool create, struct rb_err *err)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return rb_err_set(err, RB_EINVAL, "%s is a folder, not a journal", path);
        if (!S_ISREG(st.st_mode))
            return rb_err_set(err, RB_EINVAL, "%s is not a regular file", path);
        return RB_OK;
    }
    if (errno != ENOENT)
        return open_error(path, err);
    if (!create)
        return rb_err_set(err, RB_ENOENT, "there is no journal %s", path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? RB_OK : open_error(path, err);
    close(fd);
    rb_fault_point("store.create.file");
    return RB_OK;
}

static char *absolute(const char *path)
{
    if (path[0] == '/')
        return rb_strdup(path);
    char *cwd = getcwd(NULL, 0);
    if (!cwd)
        return rb_strdup(path);
    size_t n = strlen(cwd) + strlen(path) + 2;
    char *all = rb_alloc(n);
    snprintf(all, n, "%s/%s", cwd, path);
    free(cwd);
    return all;
}

/* An exported run is one file without a WAL, until somebody writes to it. */
static bool is_wal(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    bool wal = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &st, NULL) == SQLITE_OK &&
               sqlite3_step(st) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
    sqlite3_finalize(st);
    return wal;
}

static int open_writer(struct rb_store *s, struct rb_err *err)
{
    char name[4096];
    int rc = make_folder(s->dir, err);
    if (rc)
        return rc;
    snprintf(name, sizeof(name), "%s/lock", s->dir);
    s->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return open_error(name, err);
    rc = rb_sqlite_connect(s->path, SQLITE_OPEN_READWRITE, false, &s->writer, err);
    if (rc)
        return rc;
    sqlite3_busy_timeout(s->writer, (int)s->lock_wait_ms);
    if (sqlite3_db_readonly(s->writer, "main") == 1)
        return rb_err_set(err, RB_EREADONLY, "%s can not be written", s->path);
    int version;
    rc = rb_schema_probe(s->writer, s->path, &version, err);
    if (rc)
        return rc;
    if (version < RB_SCHEMA_VERSION || !is_wal(s->writer)) {
        rc = rb_sqlite_lock(s, err);
        if (rc)
            return rc;
        rb_fault_point("store.create.before");
        rc = rb_sqlite_exec(s->writer,
                            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0", err);
        if (rc == RB_OK)
            rc = rb_schema_probe(s->writer, s->path, &version, err); /* another process may have been first */
        if (rc == RB_OK)
            rc = rb_schema_migrate(s->writer, version, err);
        rb_sqlite_unlock(s);
        if (rc)
            return rc;
    }
    rc = rb_sqlite_exec(s->writer,
                        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cell_size_check = ON", err);
    return rc ? rc : rb_sqlite_writer_start(s, err);
}

static int open_reader(struct rb_store *s, struct rb_err *err)
{
    sqlite3 *db;
    int version, rc = rb_sqlite_reader(s, &db, err);
    if (rc == RB_OK)
        rc = rb_schema_probe(db, s->path, &version, err);
    if (rc == RB_OK && version < RB_SCHEMA_VERSION)
        rc = rb_err_set(err, version ? RB_EVERSION : RB_ENOENT,
                        version ? "%s is of an older version and must be opened for writing once"
                                : "%s is empty: it has no runs yet",
                        s->path);
    return rc;
}

static void on_side_closed(uv_handle_t *handle)
{
    struct rb_store_side *side = handle->data;
    if (--side->open == 0)
        free(side);
}

static void on_async(uv_async_t *async)
{
    struct rb_store_side *side = async->data;
    if (side->store)
        rb_sqlite_deliver(side->store);
}

static int open_side(struct rb_store *s, struct rb_err *err)
{
    struct rb_store_side *side = rb_alloc(sizeof(*side));
    side->store = s;
    int rc = uv_async_init(&s->loop->uv, &side->async, on_async);
    if (rc) {
        free(side);
        return rb_err_set(err, RB_EIO, "cannot open the journal: %s", uv_strerror(rc));
    }
    side->async.data = side;
    side->open = 1;
    s->side = side;
    return RB_OK;
}

static void close_side(struct rb_store_side *side)
{
    side->store = NULL;
    if (side->watching)
        uv_close((uv_handle_t *)&side->watch, on_side_closed);
    uv_close((uv_handle_t *)&side->async, on_side_closed);
}

/* Whoever comes by another path (a symbolic link) must find the same lock file and the same owners. */
static void name_folder(struct rb_store *s)
{
    char *real = realpath(s->path, NULL);
    if (real) {
        free(s->path);
        s->path = real;
    }
    size_t n = strlen(s->path) + 3;
    s->dir = rb_alloc(n);
    snprintf(s->dir, n, "%s.d", s->path);
}

int rb_store_open(struct rb_loop *loop, const struct rb_store_options *opt, struct rb_store **out, struct rb_err *err)
{
    *out = NULL;
    if (!opt->path || !opt->path[0])
        return rb_err_set(err, RB_EINVAL, "the journal needs a path");
    if (strncmp(opt->path, "postgres://", 11) == 0 || strncmp(opt->path, "postgresql://", 13) == 0)
        return rb_err_set(err, RB_EINVAL,
                          "journals in PostgreSQL come with a later version of rbhost; give the path of a file");
    if (strlen(opt->path) > 3900)
        return rb_err_set(err, RB_EINVAL, "the path of the journal is too long");

    struct rb_store *s = rb_alloc(sizeof(*s));
    s->loop = loop;
    s->on_failed = opt->on_failed;
    s->arg = opt->arg;
    s->write = opt->write;
    s->lock_wait_ms = opt->lock_wait_ms > 0 ? opt->lock_wait_ms : LOCK_WAIT_MS;
    s->lock_fd = s->owner_fd = -1;
    s->path = absolute(opt->path);
    rb_list_init(&s->queue);
    rb_list_init(&s->done);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->work, &attr);
    pthread_cond_init(&s->finished, &attr);
    pthread_condattr_destroy(&attr);

    char *folder = rb_strdup(s->path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder ? 1 : 0] = '\0';
    int rc = RB_OK;
    if (opt->create && opt->write)
        rc = make_folder(folder, err);
    if (rc == RB_OK && !opt->force_network_fs)
        rc = refuse_network_fs(folder, err);
    if (rc == RB_OK)
        rc = ensure_file(s->path, opt->create && opt->write, err);
    if (rc == RB_OK)
        name_folder(s);
    if (rc == RB_OK && s->write)
        rc = loop ? open_side(s, err) : RB_OK;
    if (rc == RB_OK)
        rc = s->write ? open_writer(s, err) : open_reader(s, err);
    free(folder);
    if (rc) {
        rb_store_close(s);
        return rc;
    }
    *out = s;
    return RB_OK;
}

void rb_store_close(struct rb_store *s)
{
    if (!s)
        return;
    rb_sqlite_writer_stop(s);
    rb_sqlite_deliver(s); /* what was committed last is still answered */
    if (s->side)
        close_side(s->side);
    sqlite3_finalize(s->signals);
    sqlite3_close(s->reader);
    sqlite3_close(s->writer);
    rb_sqlite_owner_release(s);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->finished);
    pthread_mutex_destroy(&s->mutex);
    free(s->path);
    free(s->dir);
    free(s);
}

const char *rb_store_path(const struct rb_store *s)
{
    return s->path;
}
