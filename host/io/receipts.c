/* Owns a receipts root: its folder and its id, what it must be to be trusted, the removal of receipts, and the reaping
 * of shims that have said what they had to say. One receipt's life is receipt.c's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "io/receipt_files.h"
#include "loop/work.h"

#define REAP_FIRST_MS 5
#define REAP_LAST_MS 1000
#define LINGER_MS 5 /* removals wait for others, so that a batch is worth the wake of a thread */
#define SWEEP_AFTER_MS 10000
#define SWEEP_AGE_US ((int64_t)7 * 24 * 3600 * 1000000)
#define ID_NAME "id"
#define ID_DIGITS 32

/* -- opening ------------------------------------------------------------------------------------------------------- */

static int make_folders(const char *path, struct rb_err *err)
{
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(part))
        return rb_err_sys(err, RB_EIO, ENAMETOOLONG, "can not keep receipts in \"%.80s\"", path);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0700) && errno != EEXIST)
            return rb_err_sys(err, rb_err_of(errno), errno, "can not keep receipts: can not make the folder %s", part);
    }
    return RB_OK;
}

/* The first line of a file, "" when there is none. */
static int read_text(int dir, const char *name, char *out, size_t size)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, out, size - 1);
    int errnum = errno;
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    errno = errnum;
    return n < 0 ? -1 : 0;
}

/* Made whole under another name; of two hosts that do it at once one is first, and its id holds. */
static int make_id(struct rb_receipts *r, struct rb_err *err)
{
    uint8_t bytes[ID_DIGITS / 2];
    char text[ID_DIGITS + 2], name[64];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return rb_err_sys(err, RB_EIO, errno, "can not get random bytes");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    strncat(text, "\n", 2);
    snprintf(name, sizeof(name), ".%s.%.8s", ID_NAME, text);
    int fd = openat(r->root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return rb_err_sys(err, rb_err_of(errno), errno, "can not keep receipts in %s", r->path);
    ssize_t n = write(fd, text, ID_DIGITS + 1);
    int errnum = n < 0 ? errno : ENOSPC;
    close(fd);
    if (n == ID_DIGITS + 1)
        errnum = linkat(r->root, name, r->root, ID_NAME, 0) && errno != EEXIST ? errno : 0;
    unlinkat(r->root, name, 0);
    return errnum ? rb_err_sys(err, rb_err_of(errnum), errnum, "can not keep receipts in %s", r->path) : RB_OK;
}

static int read_place(struct rb_receipts *r, struct rb_err *err)
{
    char boot[48], space[64];
    if (read_text(r->root, ID_NAME, r->place.root, sizeof(r->place.root))) {
        if (errno != ENOENT)
            return rb_err_sys(err, rb_err_of(errno), errno, "can not read %s/%s", r->path, ID_NAME);
        int rc = make_id(r, err);
        if (rc)
            return rc;
        if (read_text(r->root, ID_NAME, r->place.root, sizeof(r->place.root)))
            return rb_err_sys(err, rb_err_of(errno), errno, "can not read %s/%s", r->path, ID_NAME);
    }
    if (strlen(r->place.root) != ID_DIGITS)
        return rb_err_set(err, RB_ECORRUPT, "%s/%s is damaged: without it no receipt in that folder can be trusted",
                          r->path, ID_NAME);
    if (read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) || !boot[0])
        return rb_err_sys(err, RB_EIO, errno, "can not keep receipts without /proc/sys/kernel/random/boot_id");
    ssize_t n = readlink("/proc/self/ns/pid", space, sizeof(space) - 1); /* "pid:[4026531836]" */
    space[n > 0 ? n : 0] = '\0';
    snprintf(r->place.boot, sizeof(r->place.boot), "%.40s/%lu", boot, strtoul(space + strcspn(space, "["), NULL, 10));
    snprintf(r->place.user, sizeof(r->place.user), "%ld", (long)geteuid());
    return RB_OK;
}

int rb_receipts_open(const char *path, struct rb_receipts **out, struct rb_err *err)
{
    struct stat st;
    struct rb_receipts *r = rb_alloc(sizeof(*r));
    r->path = rb_strdup(path);
    r->shim = -1;
    r->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = RB_OK;
    if (r->root < 0 && errno == ENOENT) {
        rc = make_folders(path, err);
        if (rc)
            goto fail;
        r->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (r->root < 0 || fstat(r->root, &st)) {
        rc = rb_err_sys(err, rb_err_of(errno), errno, "can not keep receipts in %s", path);
        goto fail;
    }
    if (st.st_uid != geteuid() || (st.st_mode & 077)) {
        rc = rb_err_set(err, RB_EDENIED,
                        "can not keep receipts in %s: it must be yours and closed to everybody else (chmod 700)", path);
        goto fail;
    }
    rc = read_place(r, err);
    if (rc)
        goto fail;
    /* In another namespace of processes a host may have our number, and in this root its own spares. */
    if (getrandom(&r->spare_next, sizeof(r->spare_next), 0) != (ssize_t)sizeof(r->spare_next)) {
        rc = rb_err_sys(err, RB_EIO, errno, "can not get random bytes");
        goto fail;
    }
    *out = r;
    return RB_OK;
fail:
    rb_receipts_close(r);
    return rc;
}

const struct rb_receipt_place *rb_receipts_place(const struct rb_receipts *r)
{
    return &r->place;
}

/* -- shims that leave ---------------------------------------------------------------------------------------------- */

/* True when it is gone. wait: it is about to. */
static bool reap(const struct rb_receipt_leaving *l, bool wait)
{
    siginfo_t si = {0};
    while (waitid(P_PID, (id_t)l->pid, &si, WEXITED | (wait ? 0 : WNOHANG)))
        if (errno != EINTR)
            return true; /* somebody else took it */
    return si.si_pid != 0;
}

static size_t reap_all(struct rb_receipts *r, bool wait)
{
    size_t left = 0;
    for (size_t i = 0; i < r->n_leaving; i++)
        if (!reap(&r->leaving[i], wait && !r->leaving[i].detached))
            r->leaving[left++] = r->leaving[i];
    r->n_leaving = left;
    return left;
}

static void on_reap(struct rb_timer *t)
{
    struct rb_receipts *r = RB_CONTAINER(t, struct rb_receipts, reaper);
    if (!reap_all(r, false))
        return;
    r->reaper_ms = r->reaper_ms * 2 < REAP_LAST_MS ? r->reaper_ms * 2 : REAP_LAST_MS;
    rb_timer_arm_ms(t, r->reaper_ms);
}

/* Its last words come a few microseconds before its end, which is not worth a descriptor and a wake of its own: those
 * of before are reaped with the next. */
void rb_receipt_leave(struct rb_receipts *r, pid_t shim, bool detached)
{
    reap_all(r, false);
    if (r->n_leaving == r->max_leaving) {
        r->max_leaving = r->max_leaving ? r->max_leaving * 2 : 8;
        r->leaving = rb_realloc(r->leaving, r->max_leaving * sizeof(*r->leaving));
    }
    r->leaving[r->n_leaving++] = (struct rb_receipt_leaving){.pid = shim, .detached = detached};
    if (!r->reaper.loop)
        rb_timer_init(&r->reaper, r->loop, on_reap);
    r->reaper_ms = REAP_FIRST_MS;
    if (!rb_timer_armed(&r->reaper))
        rb_timer_arm_ms(&r->reaper, r->reaper_ms);
}

/* -- removal ------------------------------------------------------------------------------------------------------- */

/* One batch on the pool at a time; what comes meanwhile is the next one. */
struct batch {
    struct rb_work work;
    struct rb_receipts *r;
    char **ids;
    size_t n;
    bool sweep;
    size_t wanted;                                 /* so many folders may be kept */
    unsigned spares[RB_RECEIPT_SPARES_MAX], first; /* those that were; their numbers begin with first */
    size_t kept;
};

static void remove_ids(int root, char **ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rb_receipt_remove(root, ids[i]);
        free(ids[i]);
    }
    free(ids);
}

/* The same, but some folders are kept for others. */
static void recycle_ids(struct batch *b)
{
    char spare[RB_RECEIPT_SPARE_MAX];
    size_t i = 0;
    for (; i < b->n && b->kept < b->wanted; i++) {
        rb_receipt_spare_name(spare, b->first + (unsigned)i);
        if (rb_receipt_recycle(b->r->root, b->ids[i], spare))
            b->spares[b->kept++] = b->first + (unsigned)i;
        else
            rb_receipt_remove(b->r->root, b->ids[i]);
        free(b->ids[i]);
    }
    for (; i < b->n; i++) {
        rb_receipt_remove(b->r->root, b->ids[i]);
        free(b->ids[i]);
    }
    free(b->ids);
}

static void free_receipts(struct rb_receipts *r)
{
    char spare[RB_RECEIPT_SPARE_MAX];
    remove_ids(r->root, r->forgotten, r->n_forgotten);
    while (r->n_spares) {
        rb_receipt_spare_name(spare, r->spares[--r->n_spares]);
        rb_receipt_remove(r->root, spare);
    }
    free(r->spares);
    if (r->root >= 0)
        close(r->root);
    if (r->shim >= 0)
        close(r->shim);
    free(r->leaving);
    free(r->path);
    free(r);
}

static void run_batch(struct rb_work *w)
{
    struct batch *b = RB_CONTAINER(w, struct batch, work);
    recycle_ids(b);
    if (b->sweep)
        rb_receipts_sweep(b->r, SWEEP_AGE_US);
}

static void on_batch(struct rb_work *w, int status)
{
    struct batch *b = RB_CONTAINER(w, struct batch, work);
    struct rb_receipts *r = b->r;
    if (status)
        remove_ids(r->root, b->ids, b->n);
    if (!r->spares)
        r->spares = rb_alloc(RB_RECEIPT_SPARES_MAX * sizeof(*r->spares));
    for (size_t i = 0; i < b->kept; i++)
        r->spares[r->n_spares++] = b->spares[i];
    free(b);
    r->removing = false;
    if (r->closed)
        free_receipts(r);
    else if (r->n_forgotten || r->sweep)
        rb_timer_arm_ms(&r->linger, LINGER_MS);
}

static void start_batch(struct rb_receipts *r)
{
    struct batch *b = rb_alloc(sizeof(*b));
    *b = (struct batch){.work = {.run = run_batch, .on_done = on_batch},
                        .r = r,
                        .ids = r->forgotten,
                        .n = r->n_forgotten,
                        .sweep = r->sweep,
                        .wanted = RB_RECEIPT_SPARES_MAX - r->n_spares,
                        .first = r->spare_next};
    r->spare_next += (unsigned)b->n;
    r->sweep = false;
    r->forgotten = NULL;
    r->n_forgotten = r->max_forgotten = 0;
    r->removing = true;
    rb_work_start(r->loop, &b->work);
}

static void on_linger(struct rb_timer *t)
{
    start_batch(RB_CONTAINER(t, struct rb_receipts, linger));
}

/* A batch will be started soon, if none is under way. */
static void batch_soon(struct rb_receipts *r)
{
    if (r->removing)
        return;
    if (!r->linger.loop)
        rb_timer_init(&r->linger, r->loop, on_linger);
    if (!rb_timer_armed(&r->linger))
        rb_timer_arm_ms(&r->linger, LINGER_MS);
}

static void on_sweep(struct rb_timer *t)
{
    struct rb_receipts *r = RB_CONTAINER(t, struct rb_receipts, sweeper);
    r->sweep = true;
    batch_soon(r);
}

void rb_receipts_use(struct rb_receipts *r, struct rb_loop *loop)
{
    if (r->loop)
        return;
    r->loop = loop;
    rb_timer_init(&r->sweeper, loop, on_sweep);
    rb_timer_arm_ms(&r->sweeper, SWEEP_AFTER_MS);
}

void rb_receipts_forget(struct rb_receipts *r, const char *id)
{
    if (r->n_forgotten == r->max_forgotten) {
        r->max_forgotten = r->max_forgotten ? r->max_forgotten * 2 : 8;
        r->forgotten = rb_realloc(r->forgotten, r->max_forgotten * sizeof(*r->forgotten));
    }
    r->forgotten[r->n_forgotten++] = rb_strdup(id);
    if (r->loop) /* without one nothing was started: rb_receipts_close() does it */
        batch_soon(r);
}

void rb_receipts_close(struct rb_receipts *r)
{
    rb_timer_disarm(&r->reaper);
    rb_timer_disarm(&r->linger);
    rb_timer_disarm(&r->sweeper);
    reap_all(r, true);
    r->closed = true;
    if (!r->removing)
        free_receipts(r);
}

/* Does a process of it live, as far as can be told? */
static bool runs(const struct rb_receipts *r, const struct rb_receipt_lock *lock)
{
    if (lock->kind != RB_RECEIPT_LOCK_HELD || strcmp(lock->boot, r->place.boot) != 0)
        return false;
    int fd = rb_receipt_process(lock->shim, lock->shim_at);
    if (fd == RB_ENOENT && lock->child)
        fd = rb_receipt_process(lock->child, lock->child_at);
    if (fd >= 0)
        close(fd);
    return fd != RB_ENOENT;
}

/* It has begun since this machine was started, and its run has not asked for it yet: without the receipt it would count
 * as never started. One that says nothing clear may be such. After another boot nobody believes in a missing one. */
static bool wanted(const struct rb_receipts *r, int rc, const struct rb_receipt_lock *lock)
{
    return rc || (lock->kind == RB_RECEIPT_LOCK_HELD && lock->child && strcmp(lock->boot, r->place.boot) == 0);
}

static bool sweep_one(struct rb_receipts *r, const char *id, int64_t before_us)
{
    struct stat st;
    struct rb_receipt_lock lock;
    char name[RB_RECEIPT_ID_MAX + 16];
    if ((id[0] == '.' && strncmp(id, ".spare-", 7) != 0) || strlen(id) > RB_RECEIPT_ID_MAX)
        return false;
    if (fstatat(r->root, id, &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode))
        return false;
    snprintf(name, sizeof(name), "%s/lock", id);
    int rc = rb_receipt_read_lock(r->root, id, &lock, NULL);
    if (rc == RB_EIO || (rc == RB_OK && runs(r, &lock)))
        return false;
    if (rc || lock.kind != RB_RECEIPT_LOCK_NONE)
        fstatat(r->root, name, &st, AT_SYMLINK_NOFOLLOW);
    if ((int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000 > before_us)
        return false;
    if (wanted(r, rc, &lock)) {
        rb_receipt_remove_output(r->root, id);
        return false;
    }
    if (lock.kind == RB_RECEIPT_LOCK_TOMBSTONE)
        unlinkat(r->root, name, AT_REMOVEDIR);
    rb_receipt_remove(r->root, id);
    return true;
}

int rb_receipts_sweep(struct rb_receipts *r, int64_t max_age_us)
{
    int removed = 0;
    int64_t before = rb_clock_wall() - max_age_us;
    struct dirent *entry;
    int fd = openat(r->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return RB_EIO;
    }
    while ((entry = readdir(d)))
        removed += sweep_one(r, entry->d_name, before);
    closedir(d);
    return removed;
}
