/* Owns the local end of a file on its way: reached as file's are, read and brought to the disk on the pool. */
#include "bind/bind_ssh_local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "bind/reach_file.h"

#define CHUNK ((size_t)256 << 10)

void rb_ssh_local_init(struct ssh_local *l)
{
    l->fd = l->dir = -1;
}

void rb_ssh_local_stop(struct ssh_local *l)
{
    atomic_store(&l->stop, true);
}

void rb_ssh_local_close(struct ssh_local *l)
{
    if (l->reach)
        rb_reach_file_leave(l->reach);
    l->reach = NULL;
    if (l->fd >= 0)
        close(l->fd);
    if (l->dir >= 0) {
        if (l->part[0])
            unlinkat(l->dir, l->part, 0);
        close(l->dir);
    }
    l->fd = l->dir = -1;
    l->part[0] = '\0';
}

static int digest(struct ssh_local *l)
{
    struct sha256_ctx sha;
    struct stat st;
    char *chunk = rb_alloc(CHUNK);
    ssize_t n = 0;
    sha256_init(&sha);
    l->size = 0;
    bool stopped;
    while (!(stopped = atomic_load(&l->stop)) &&
           ((n = pread(l->fd, chunk, CHUNK, (off_t)l->size)) > 0 || (n < 0 && errno == EINTR))) {
        if (n < 0)
            continue;
        sha256_update(&sha, (size_t)n, (const uint8_t *)chunk);
        l->size += (uint64_t)n;
    }
    int bad = stopped ? ECANCELED : n < 0 || fstat(l->fd, &st) ? errno : 0;
    free(chunk);
    sha256_digest(&sha, RB_SHA_LEN, l->digest);
    if (!l->mode && !bad)
        l->mode = st.st_mode & 0777;
    return bad;
}

static void run_digest(struct rb_work *w)
{
    struct ssh_local *l = RB_CONTAINER(w, struct ssh_local, work);
    l->failed = digest(l);
}

/* Takes away what stands before the file: a login has said it. */
static int strip(struct ssh_local *l)
{
    struct stat st;
    if (fstat(l->fd, &st))
        return errno;
    off_t more = st.st_size - (off_t)l->want;
    char *chunk = more > 0 ? rb_alloc(CHUNK) : NULL;
    int bad = 0;
    for (off_t at = 0; chunk && !bad && at < (off_t)l->want;) {
        errno = 0;
        ssize_t n = pread(l->fd, chunk, CHUNK, at + more);
        if (n <= 0 || pwrite(l->fd, chunk, (size_t)n, at) != n)
            bad = errno ? errno : EIO;
        else if (atomic_load(&l->stop))
            bad = ECANCELED;
        at += n;
    }
    if (chunk && !bad && ftruncate(l->fd, (off_t)l->want))
        bad = errno;
    free(chunk);
    return bad;
}

static void run_keep(struct rb_work *w)
{
    struct ssh_local *l = RB_CONTAINER(w, struct ssh_local, work);
    l->failed = strip(l);
    if (!l->failed)
        l->failed = digest(l);
    l->differs = !l->failed && memcmp(l->digest, l->expected, RB_SHA_LEN) != 0;
    if (l->failed || l->differs)
        return;
    if (fchmod(l->fd, (mode_t)l->mode) || fsync(l->fd) || renameat(l->dir, l->part, l->dir, l->name)) {
        l->failed = errno;
        return;
    }
    l->part[0] = '\0';
    rb_fault_point("ssh.kept");
    rb_file_sync_folder(l->dir);
}

static void on_worked(struct rb_work *w, int status)
{
    struct ssh_local *l = RB_CONTAINER(w, struct ssh_local, work);
    l->busy = false;
    if (status)
        l->failed = ECANCELED;
    l->on_done(l);
}

static void work(struct ssh_local *l, struct rb_loop *loop, void (*fn)(struct rb_work *w))
{
    l->busy = true;
    l->failed = 0;
    atomic_store(&l->stop, false);
    l->work.run = fn;
    l->work.on_done = on_worked;
    rb_work_start(loop, &l->work);
}

void rb_ssh_local_keep(struct ssh_local *l, struct rb_loop *loop)
{
    work(l, loop, run_keep);
}

/* -- reaching for it ----------------------------------------------------------------------------------------------- */

static void refuse(struct ssh_local *l, int rc, const char *message)
{
    l->refused = rc;
    snprintf(l->why, sizeof(l->why), "%s", message);
    l->on_done(l);
}

static void on_open(void *arg, struct rb_file *f, int rc, const char *message)
{
    struct ssh_local *l = arg;
    struct rb_loop *loop = l->loop;
    l->reach = NULL;
    if (rc) {
        refuse(l, rc, message);
        return;
    }
    l->fd = f->fd;
    f->fd = -1;
    work(l, loop, run_digest);
}

static void on_made(void *arg, struct rb_file *f, int rc, const char *message)
{
    struct ssh_local *l = arg;
    l->reach = NULL;
    if (rc) {
        refuse(l, rc, message);
        return;
    }
    l->dir = f->fd;
    l->fd = f->temp_fd;
    f->fd = f->temp_fd = -1;
    snprintf(l->name, sizeof(l->name), "%s", f->name);
    snprintf(l->part, sizeof(l->part), "%s", f->temp);
    l->on_done(l);
}

static int reach(struct ssh_local *l, struct rb_effect *e, enum rb_file_verb verb, const char *path,
                 rb_reached_fn *on_reached, struct rb_err *err)
{
    struct rb_file *f = rb_file_new(verb);
    f->as = verb == RB_FILE_OPEN ? "from" : "to";
    f->mode_of_new = 0600;
    l->refused = 0;
    l->loop = rb_effect_loop(e);
    return rb_reach_file(e, f, "file", path, on_reached, l, &l->reach, err);
}

int rb_ssh_local_open(struct ssh_local *l, struct rb_effect *e, const char *path, struct rb_err *err)
{
    return reach(l, e, RB_FILE_OPEN, path, on_open, err);
}

int rb_ssh_local_make(struct ssh_local *l, struct rb_effect *e, const char *path, struct rb_err *err)
{
    return reach(l, e, RB_FILE_BEGIN, path, on_made, err);
}
