/* Owns who holds a run: owner files, claims, and the signals by which everybody else reaches an owner. Knows nothing of
 * what a run does.
 *
 * An owner file is made in journal.db.d/ and flocked for the life of the process; the kernel drops the lock at any
 * death, so a dead owner is seen at once and there is no heartbeat. A file that can be locked is dead and may be
 * unlinked by anybody. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "store/sqlite.h"

#define LEAVING_MS 5
#define LEAVING_TRIES 400

static const char crockford[] = "0123456789abcdefghjkmnpqrstvwxyz";

static void chance(char *out, int n)
{
    unsigned char random[16];
    if (getrandom(random, (size_t)n, 0) != n)
        rb_die("no random numbers");
    for (int i = 0; i < n; i++)
        out[i] = crockford[random[i] & 31];
    out[n] = '\0';
}

void rb_run_id_new(char out[RB_RUN_ID_MAX])
{
    int64_t ms = rb_clock_wall() / 1000;
    for (int i = 0; i < 9; i++)
        out[i] = crockford[ms >> (5 * (8 - i)) & 31];
    out[9] = '-';
    chance(out + 10, 5);
}

/* -- owner files --------------------------------------------------------------------------------------------------- */

static bool is_owner_name(const char *name)
{
    return name && *name >= '0' && *name <= '9' && !strchr(name, '/') && strlen(name) < RB_OWNER_MAX;
}

static int owner_open(struct rb_store *s, const char *name)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/%s", s->dir, name);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* Files of dead processes. One that is just being made looks dead too: its maker sees that it has no name any more. */
static void sweep(struct rb_store *s)
{
    DIR *dir = opendir(s->dir);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        if (!is_owner_name(e->d_name))
            continue;
        int fd = owner_open(s, e->d_name);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(dir), e->d_name, 0);
        close(fd);
    }
    closedir(dir);
}

int rb_store_owner(struct rb_store *s, const char **name, struct rb_err *err)
{
    *name = s->owner;
    if (s->owner[0])
        return RB_OK;
    if (!s->write)
        return rb_err_set(err, RB_EREADONLY, "the journal %s is open for reading only", s->path);
    sweep(s);
    for (int tries = 0; tries < 100; tries++) {
        char random[8], file[RB_OWNER_MAX], path[4200];
        struct stat st;
        chance(random, 7);
        snprintf(file, sizeof(file), "%ld-%s", (long)getpid(), random);
        snprintf(path, sizeof(path), "%s/%s", s->dir, file);
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0)
            return rb_err_sys(err, errno == ENOSPC || errno == EDQUOT ? RB_EFULL : RB_EIO, errno, "cannot make %s",
                              path);
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0) {
            s->owner_fd = fd;
            memcpy(s->owner, file, sizeof(file));
            return RB_OK;
        }
        close(fd);
    }
    return rb_err_set(err, RB_EIO, "cannot lock a file in %s", s->dir);
}

void rb_sqlite_owner_release(struct rb_store *s)
{
    if (s->owner_fd < 0)
        return;
    char path[4200];
    snprintf(path, sizeof(path), "%s/%s", s->dir, s->owner);
    unlink(path); /* first: the file is never seen unlocked */
    close(s->owner_fd);
    s->owner_fd = -1;
}

bool rb_store_owner_alive(struct rb_store *s, const char *owner)
{
    if (!is_owner_name(owner))
        return false;
    if (strcmp(owner, s->owner) == 0)
        return s->owner_fd >= 0;
    int fd = owner_open(s, owner);
    if (fd < 0)
        return errno != ENOENT;
    bool alive = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return alive;
}

/* A host that was killed while it started a command: the child has the lock, too, until it executes. Whoever has the
 * number now, if anybody, does not have the file. */
static bool is_leaving(const char *owner)
{
    char path[64], file[4200];
    if (!is_owner_name(owner))
        return false;
    snprintf(path, sizeof(path), "/proc/%ld/fd", atol(owner));
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT;
    bool holds = false;
    for (struct dirent *e; !holds && (e = readdir(dir));) {
        ssize_t n = readlinkat(dirfd(dir), e->d_name, file, sizeof(file) - 1);
        file[n > 0 ? n : 0] = '\0';
        const char *name = strrchr(file, '/');
        holds = name && strcmp(name + 1, owner) == 0;
    }
    closedir(dir);
    return !holds;
}

/* It naps, so it is for before and after a loop runs: a claim made within one would hold up every other run. */
bool rb_store_owner_stays(struct rb_store *s, const char *owner)
{
    if (s->loop && s->loop->running)
        rb_die("a wait for the end of a host, within the loop");
    for (int tries = 0; tries < LEAVING_TRIES; tries++) {
        if (!rb_store_owner_alive(s, owner))
            return false;
        if (!is_leaving(owner))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = LEAVING_MS * 1000000}, NULL);
    }
    return true;
}

void rb_store_owner_describe(struct rb_store *s, const char *owner, char *out, size_t n)
{
    (void)s;
    if (is_owner_name(owner))
        rb_sqlite_describe_pid(atol(owner), out, n);
    else
        snprintf(out, n, "nobody");
}

void rb_sqlite_owner_touch(struct rb_store *s, const char *owner)
{
    if (!is_owner_name(owner))
        return;
    char path[4200];
    snprintf(path, sizeof(path), "%s/%s", s->dir, owner);
    utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW);
}

/* -- create, claim, disown ----------------------------------------------------------------------------------------- */

struct row_job {
    struct rb_job job;
    struct rb_run_row *row;
    struct rb_batch *first; /* create */
    const char *id;         /* claim, disown */
    int64_t epoch;          /* disown */
    bool force;             /* claim */
};

/* What a run's row says now; RB_ENOENT. */
static int look(struct rb_store *s, const char *id, struct rb_run_row *row, struct rb_err *err)
{
    sqlite3_stmt *st;
    int rc = rb_sqlite_prepare(s->writer, "SELECT " RB_RUN_COLUMNS " FROM runs WHERE id = ?1", &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        rb_sqlite_run_row(st, row);
        rc = RB_OK;
    } else if (rc == SQLITE_DONE) {
        rc = rb_err_set(err, RB_ENOENT, "there is no run %s in %s", id, s->path);
    } else {
        rc = rb_sqlite_error(s->writer, rc, err, s->path);
    }
    sqlite3_finalize(st);
    return rc;
}

/* Steps a statement that returns nothing and finalizes it. */
static int change(struct rb_store *s, sqlite3_stmt *st, struct rb_err *err)
{
    int rc = sqlite3_step(st);
    rc = rc == SQLITE_DONE ? RB_OK : rb_sqlite_error(s->writer, rc, err, s->path);
    sqlite3_finalize(st);
    return rc;
}

static int find_key(struct rb_store *s, struct rb_run_row *row, struct rb_err *err)
{
    if (!row->key)
        return RB_OK;
    sqlite3_stmt *st;
    int rc = rb_sqlite_prepare(s->writer, "SELECT id FROM runs WHERE key = ?1", &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, row->key, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        snprintf(row->id, sizeof(row->id), "%s", (const char *)sqlite3_column_text(st, 0));
        rc = rb_err_set(err, RB_EEXIST, "run %s has been started with this key", row->id);
    } else {
        rc = rc == SQLITE_DONE ? RB_OK : rb_sqlite_error(s->writer, rc, err, s->path);
    }
    sqlite3_finalize(st);
    return rc;
}

static int insert_run(struct rb_store *s, struct rb_run_row *row, const struct rb_batch *first, struct rb_err *err)
{
    const struct rb_event *last = &first->last->ev;
    rb_fault_point("store.create.run");
    int rc = find_key(s, row, err);
    if (rc)
        return rc;
    sqlite3_stmt *st = rb_sqlite_stmt(s, RB_STMT_CREATE);
    const char *texts[] = {row->id,    row->runbook ? row->runbook : "",
                           row->title, row->status ? row->status : "running",
                           row->actor, row->waiting,
                           row->error, row->key,
                           s->owner};
    for (size_t i = 0; i < RB_COUNT(texts); i++)
        rb_sqlite_bind_text(st, (int)i + 1, texts[i]);
    sqlite3_bind_int64(st, 10, last->seq);
    sqlite3_bind_blob(st, 11, last->hash, RB_SHA_LEN, SQLITE_STATIC);
    sqlite3_bind_int64(st, 12, row->created);
    sqlite3_bind_int64(st, 13, last->at);
    sqlite3_bind_int64(st, 14, row->ended);
    sqlite3_bind_int64(st, 15, row->wake);
    rc = sqlite3_step(st);
    if (rc == SQLITE_CONSTRAINT_PRIMARYKEY)
        rc = rb_err_set(err, RB_EEXIST, "there is a run %s already", row->id);
    else
        rc = rc == SQLITE_DONE ? RB_OK : rb_sqlite_error(s->writer, rc, err, s->path);
    sqlite3_reset(st);
    return rc ? rc : rb_sqlite_write_batch(s, first, err);
}

static int create(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    struct row_job *j = RB_CONTAINER(job, struct row_job, job);
    return insert_run(s, j->row, j->first, err);
}

static int create_batch(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    struct rb_batch *b = RB_CONTAINER(job, struct rb_batch, job);
    return insert_run(s, b->create, b, err);
}

/* Can this be a run's first batch? Then also makes this process's owner file, if need be. */
static int check_first(struct rb_store *s, const struct rb_run_row *row, const struct rb_batch *first,
                       const char **owner, struct rb_err *err)
{
    if (!first->events || first->events->ev.seq != 1 || strcmp(first->run, row->id) != 0)
        return rb_err_set(err, RB_EINVAL, "a run begins with its event 1");
    if (first->largest > RB_BATCH_VALUE_MAX)
        return rb_err_set(err, RB_ETOOBIG, "the run begins with a value of %zu bytes; a journal takes %zu",
                          first->largest, RB_BATCH_VALUE_MAX);
    return rb_store_owner(s, owner, err);
}

int rb_store_create(struct rb_store *s, const struct rb_run_row *row, struct rb_batch *first,
                    void (*on_done)(void *arg, int rc, const struct rb_err *err), void *arg, struct rb_err *err)
{
    const char *owner;
    int rc = check_first(s, row, first, &owner, err);
    if (rc)
        return rc;
    struct rb_run_row *copy = first->create = rb_alloc(sizeof(*copy));
    *copy = *row;
    copy->runbook = rb_strdup(row->runbook);
    copy->title = rb_strdup(row->title);
    copy->status = rb_strdup(row->status);
    copy->actor = rb_strdup(row->actor);
    copy->waiting = rb_strdup(row->waiting);
    copy->error = rb_strdup(row->error);
    copy->key = copy->owner = NULL;
    if (!copy->created)
        copy->created = first->events->ev.at;
    first->job.run = create_batch;
    rb_store_append(s, first, false, on_done, arg);
    return RB_OK;
}

int rb_store_create_sync(struct rb_store *s, struct rb_run_row *row, struct rb_batch *first, struct rb_err *err)
{
    const char *owner;
    int rc = check_first(s, row, first, &owner, err);
    if (rc)
        return rc;
    if (!row->created)
        row->created = first->events->ev.at;
    struct row_job j = {.job.run = create, .row = row, .first = first};
    rc = rb_sqlite_wait(s, &j.job, err);
    if (rc)
        return rc;
    row->epoch = 1;
    row->seq = first->last->ev.seq;
    row->updated = first->last->ev.at;
    memcpy(row->head, first->last->ev.hash, RB_SHA_LEN);
    free(row->owner);
    row->owner = rb_strdup(owner);
    return RB_OK;
}

static int claim(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    struct row_job *j = RB_CONTAINER(job, struct row_job, job);
    sqlite3_stmt *st;
    rb_fault_point("store.claim");
    int rc = look(s, j->id, j->row, err);
    if (rc)
        return rc;
    if (!j->force && j->row->owner && rb_store_owner_alive(s, j->row->owner)) {
        char who[256];
        rb_store_owner_describe(s, j->row->owner, who, sizeof(who));
        bool own = strcmp(j->row->owner, s->owner) == 0;
        return rb_err_set(err, RB_EBUSY, "run %s is being run by %s%s", j->id, who, own ? ", this process" : "");
    }
    rc = rb_sqlite_prepare(s->writer, "UPDATE runs SET owner = ?2, epoch = epoch + 1 WHERE id = ?1", &st, err);
    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, j->id, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, s->owner, -1, SQLITE_STATIC);
    rc = change(s, st, err);
    if (rc)
        return rc;
    j->row->epoch++;
    free(j->row->owner);
    j->row->owner = rb_strdup(s->owner);
    return RB_OK;
}

static int claim_sync(struct rb_store *s, const char *id, bool force, struct rb_run_row *row, struct rb_err *err)
{
    const char *owner;
    if (s->loop && s->loop->running)
        rb_die("a run is claimed within the loop");
    memset(row, 0, sizeof(*row));
    int rc = rb_store_owner(s, &owner, err);
    if (rc)
        return rc;
    struct row_job j = {.job.run = claim, .row = row, .id = id, .force = force};
    rc = rb_sqlite_wait(s, &j.job, err);
    if (rc == RB_EBUSY && row->owner && !rb_store_owner_stays(s, row->owner)) {
        rb_run_row_release(row);
        rc = rb_sqlite_wait(s, &j.job, err);
    }
    if (rc)
        rb_run_row_release(row);
    return rc;
}

int rb_store_claim_sync(struct rb_store *s, const char *id, struct rb_run_row *row, struct rb_err *err)
{
    return claim_sync(s, id, false, row, err);
}

int rb_store_claim_forced_sync(struct rb_store *s, const char *id, struct rb_run_row *row, struct rb_err *err)
{
    return claim_sync(s, id, true, row, err);
}

static int clear_owner(struct rb_store *s, const char *id, int64_t epoch, struct rb_err *err)
{
    sqlite3_stmt *st = rb_sqlite_stmt(s, RB_STMT_DISOWN);
    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, epoch);
    sqlite3_bind_text(st, 3, s->owner, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    rc = rc == SQLITE_DONE ? RB_OK : rb_sqlite_error(s->writer, rc, err, s->path);
    sqlite3_reset(st);
    if (rc == RB_OK && sqlite3_changes(s->writer) == 0)
        rc = rb_err_set(err, RB_ESTALE, "this process does not own run %s any more", id);
    return rc;
}

static int disown(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    struct row_job *j = RB_CONTAINER(job, struct row_job, job);
    return clear_owner(s, j->id, j->epoch, err);
}

static int disown_batch(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    const struct rb_batch *b = RB_CONTAINER(job, struct rb_batch, job);
    return clear_owner(s, b->run, b->epoch, err);
}

void rb_store_disown(struct rb_store *s, const char *id, int64_t epoch)
{
    struct rb_batch *b = rb_batch_new(id, epoch);
    b->job.run = disown_batch;
    rb_store_append(s, b, false, NULL, NULL);
}

int rb_store_disown_sync(struct rb_store *s, const char *id, int64_t epoch, struct rb_err *err)
{
    struct row_job j = {.job.run = disown, .id = id, .epoch = epoch};
    return rb_sqlite_wait(s, &j.job, err);
}

/* -- signals ------------------------------------------------------------------------------------------------------- */

struct signal_job {
    struct rb_job job;
    const struct rb_signal_row *sig;
    int64_t id;
    char owner[RB_OWNER_MAX];
};

static int put_signal(struct rb_store *s, struct rb_job *job, struct rb_err *err)
{
    struct signal_job *j = RB_CONTAINER(job, struct signal_job, job);
    struct rb_run_row row = {0};
    sqlite3_stmt *st;
    int rc = look(s, j->sig->run, &row, err);
    if (rc)
        return rc;
    snprintf(j->owner, sizeof(j->owner), "%s", row.owner ? row.owner : "");
    rb_run_row_release(&row);
    rc = rb_sqlite_prepare(s->writer,
                           "INSERT INTO signals (run, kind, target, data, actor, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                           &st, err);
    if (rc)
        return rc;
    const char *texts[] = {j->sig->run, j->sig->kind, j->sig->target ? j->sig->target : "",
                           j->sig->data ? j->sig->data : "{}", j->sig->actor ? j->sig->actor : "{}"};
    for (size_t i = 0; i < RB_COUNT(texts); i++)
        rb_sqlite_bind_text(st, (int)i + 1, texts[i]);
    sqlite3_bind_int64(st, 6, j->sig->at ? j->sig->at : rb_clock_wall());
    rc = change(s, st, err);
    j->id = sqlite3_last_insert_rowid(s->writer);
    return rc;
}

int rb_store_signal_sync(struct rb_store *s, const struct rb_signal_row *sig, int64_t *id, struct rb_err *err)
{
    struct signal_job j = {.job.run = put_signal, .sig = sig};
    int rc = rb_sqlite_wait(s, &j.job, err);
    if (rc)
        return rc;
    rb_sqlite_owner_touch(s, j.owner);
    if (id)
        *id = j.id;
    return RB_OK;
}

static void on_owner_file(uv_fs_event_t *watch, const char *name, int events, int status)
{
    struct rb_store_side *side = watch->data;
    (void)name;
    (void)events;
    if (status == 0 && side->store)
        side->on_wake(side->arg);
}

int rb_store_watch(struct rb_store *s, void (*on_wake)(void *arg), void *arg, struct rb_err *err)
{
    const char *owner;
    char path[4200];
    int rc = rb_store_owner(s, &owner, err);
    if (rc)
        return rc;
    if (!s->side)
        return rb_err_set(err, RB_EINVAL, "a store without a loop can not watch");
    struct rb_store_side *side = s->side;
    side->on_wake = on_wake;
    side->arg = arg;
    if (side->watching)
        return RB_OK;
    snprintf(path, sizeof(path), "%s/%s", s->dir, owner);
    rc = uv_fs_event_init(&s->loop->uv, &side->watch);
    if (rc == 0) {
        side->watch.data = side;
        side->watching = true;
        side->open++;
        rc = uv_fs_event_start(&side->watch, on_owner_file, path, 0);
    }
    return rc ? rb_err_set(err, RB_EIO, "cannot watch %s: %s", path, uv_strerror(rc)) : RB_OK;
}
