/* Owns the copy of a database while others use it: SQLite's backup in steps, to a file of another name, flushed and
 * then renamed, so that under the wished name there is a whole copy or what was there before. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "io/sql_sqlite.h"

#define PAGES_A_STEP 512
#define AGAIN_MAX 4

struct copy {
    const char *path;
    char part[PATH_MAX], folder[PATH_MAX];
    int fd; /* of the part; locked, and open for longer than SQLite's own: closing it drops locks of that file */
};

static void broken(struct sqlite_work *w, const char *what, const char *path)
{
    rb_sql_fail(&w->result.failure, "sql.error", "%s %.400s: %s", what, path, strerror(errno));
}

static bool open_part(struct sqlite_conn *c, struct sqlite_work *w, struct copy *k)
{
    struct stat here, there, source;
    const char *slash = strrchr(k->path, '/');
    snprintf(k->folder, sizeof(k->folder), "%.*s", slash > k->path ? (int)(slash - k->path) : 1, k->path);
    if ((size_t)snprintf(k->part, sizeof(k->part), "%s/.%s.rbhost-part", k->folder, slash + 1) >= sizeof(k->part)) {
        errno = ENAMETOOLONG;
        broken(w, "can not write", k->path);
        return false;
    }
    k->fd = open(k->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (k->fd < 0 || fstat(k->fd, &here)) {
        broken(w, "can not write", k->part);
        return false;
    }
    if (flock(k->fd, LOCK_EX | LOCK_NB) || stat(k->part, &there) || here.st_ino != there.st_ino) {
        rb_sql_fail(&w->result.failure, "sql.busy", "another copy to %.400s is being made", k->path);
        w->result.failure.not_started = w->result.failure.retryable = true;
        return false;
    }
    if (ftruncate(k->fd, 0) || (stat(c->target->path, &source) == 0 && fchmod(k->fd, source.st_mode & 0777))) {
        broken(w, "can not write", k->part);
        return false;
    }
    return true;
}

/* A read transaction over all of it. In WAL mode it is in nobody's way; else writers wait until the copy is made. */
static int hold(struct sqlite_conn *c)
{
    int rc = rb_sql_sqlite_word(c, "BEGIN DEFERRED");
    return rc ? rc : rb_sql_sqlite_look(c);
}

/* In steps, between which others may write. SQLite begins the copy anew after each write of another process; where that
 * happens again and again, it would never end. */
static int copy_pages(struct sqlite_conn *c, struct sqlite_work *w, sqlite3 *to)
{
    bool held = rb_sql_sqlite_uses_wal(c->db);
    int rc = held ? hold(c) : rb_sql_sqlite_look(c), again = 0, waits = 0, left = INT_MAX;
    sqlite3_backup *b = rc ? NULL : sqlite3_backup_init(to, "main", c->db, "main");
    if (!b)
        return rc ? rc : sqlite3_extended_errcode(to);
    while ((rc = sqlite3_backup_step(b, PAGES_A_STEP)) == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
        again += rc == SQLITE_OK && sqlite3_backup_remaining(b) > left;
        left = sqlite3_backup_remaining(b);
        if (rc == SQLITE_OK)
            waits = 0;
        else if (!rb_sql_sqlite_wait(c, w, waits++))
            break;
        if (atomic_load(&w->stop) != STOP_NO) {
            rc = SQLITE_INTERRUPT;
            break;
        }
        if (again >= AGAIN_MAX && !held) {
            held = true;
            rc = hold(c);
            if (rc)
                break;
        }
    }
    int end = sqlite3_backup_finish(b);
    if (held)
        rb_sql_sqlite_word(c, "ROLLBACK");
    return rc == SQLITE_DONE ? end : rc;
}

static bool put_in_place(struct sqlite_work *w, struct copy *k)
{
    int folder = open(k->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = folder >= 0 && fsync(k->fd) == 0;
    rb_fault_point("sql.before-rename");
    done = done && rename(k->part, k->path) == 0 && fsync(folder) == 0;
    if (!done)
        broken(w, "can not put the copy at", k->path);
    if (folder >= 0)
        close(folder);
    return done;
}

void rb_sql_sqlite_backup(struct sqlite_conn *c, struct sqlite_work *w)
{
    struct copy k = {.path = w->text, .fd = -1};
    struct stat st;
    char real[PATH_MAX];
    if (lstat(k.path, &st) == 0 && S_ISLNK(st.st_mode) && realpath(k.path, real))
        k.path = real; /* a link goes on leading there */
    sqlite3 *to = NULL;
    int rc = SQLITE_OK;
    bool ready = false, there = lstat(k.path, &st) == 0 && !S_ISLNK(st.st_mode);
    if (rb_sql_sqlite_refuses(c->target, k.path)) {
        rb_sql_fail(&w->result.failure, "policy", "%.400s is the journal of this host", k.path);
        w->result.failure.not_started = true;
    } else if (there && !S_ISREG(st.st_mode)) {
        rb_sql_fail(&w->result.failure, "usage", "%.400s is %s, which no copy replaces", k.path,
                    S_ISDIR(st.st_mode) ? "a folder" : "a pipe, a device or a socket");
        w->result.failure.not_started = true;
    } else if (stat(k.path, &st) == 0 && (uint64_t)st.st_dev == c->device && (uint64_t)st.st_ino == c->inode) {
        rb_sql_fail(&w->result.failure, "usage", "%.400s is the database itself", k.path);
        w->result.failure.not_started = true;
    } else if (open_part(c, w, &k)) {
        rc = sqlite3_open_v2(k.part, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
        if (!rc)
            rc = sqlite3_exec(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL, NULL);
        if (!rc)
            rc = copy_pages(c, w, to);
        if (rc)
            rb_sql_sqlite_failure(c, w, rc, &w->result.failure);
        sqlite3_close_v2(to);
        ready = rc == SQLITE_OK;
        w->result.ok = ready && put_in_place(w, &k);
        if (!w->result.ok)
            unlink(k.part);
    }
    if (k.fd >= 0)
        close(k.fd);
}
