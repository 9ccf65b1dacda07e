/* Owns a file's replacement: whole old or whole new at every moment, and lasting once it is said to be done.
 *
 *   1 a temporary file beside it, written and synced      killed here: the file is old, and a temporary file is left,
 *   2 the backup, by a link to the old content            which carries the operation's tag: `sweep` removes it
 *   3 rename                                              killed here: the file is new
 *   4 the folder is synced                                and now it lasts
 *
 * Done once more after a crash (`again`): a temporary file of ours proves that step 3 was not reached; where there is
 * none, and the file holds what was to be written, step 3 was reached and only 4 is missing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fault.h"
#include "io/file_at.h"

struct writing {
    struct rb_file *f;
    int dir, backup_dir; /* -1: not open */
    const char *name, *backup_name;
    char temp[64], backup_temp[64]; /* "" when there is none */
    bool exists, interrupted;
    struct stat old;
};

static void temp_name(const struct rb_file *f, char out[64])
{
    uint64_t chance = 0;
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
        chance = (uint64_t)(uintptr_t)out ^ (uint64_t)getpid() << 32;
    snprintf(out, 64, "%s%s-%08x", RB_FILE_TEMP, f->tag, (unsigned)chance);
}

/* Removes what an earlier attempt of this operation left in a folder: was there anything? */
static bool sweep(const struct rb_file *f, int dir)
{
    char prefix[40];
    bool any = false;
    size_t n = (size_t)snprintf(prefix, sizeof(prefix), "%s%s-", RB_FILE_TEMP, f->tag);
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (struct dirent *e; (e = readdir(d));)
        if (strncmp(e->d_name, prefix, n) == 0 && unlinkat(dir, e->d_name, 0) == 0)
            any = true;
    closedir(d);
    return any;
}

/* Opens the file that is there for its digest. */
static int digest_there(struct writing *w, uint8_t sum[RB_SHA_LEN], uint64_t *size)
{
    int fd = openat(w->dir, w->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = rb_file_digest_of(w->f, fd, sum, size);
    if (!rc && w->f->again && fsync(fd) && errno != EINVAL)
        rc = -errno;
    close(fd);
    return rc;
}

/* Opens the folder of the file. -1: f has ended. */
static int open_folder(struct rb_file *f, const char **name)
{
    int dir = rb_file_open_parent(&f->place, name);
    struct stat st;
    if (dir == -ELOOP && f->place.elsewhere) {
        f->end = RB_FILE_ELSEWHERE;
        return -1;
    }
    if (dir == -ENOENT)
        return rb_file_fail_as(f, "file.not_found", "can not be written: its folder is not there; file.mkdir makes it");
    if (dir < 0)
        return rb_file_fail(f, dir, "can not be written");
    if (fstat(dir, &st) || !rb_file_refused(f, &st))
        return dir;
    close(dir);
    return -1;
}

static int open_folders(struct writing *w)
{
    struct rb_file *f = w->f;
    w->dir = open_folder(f, &w->name);
    if (w->dir < 0)
        return -1;
    if (!f->backup.path)
        return 0;
    w->backup_dir = rb_file_open_parent(&f->backup, &w->backup_name);
    if (w->backup_dir == -ELOOP && f->backup.elsewhere) {
        f->end = RB_FILE_ELSEWHERE;
        return -1;
    }
    return w->backup_dir < 0 ? rb_file_fail(f, w->backup_dir, "can not be written: the folder of its backup") : 0;
}

/* What is there now? */
static int look(struct rb_file *f, int dir, const char *name, struct stat *old, bool *exists)
{
    *exists = fstatat(dir, name, old, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*exists)
        return errno == ENOENT ? 0 : rb_file_fail(f, errno, "can not be written");
    if (rb_file_refused(f, old))
        return -1;
    if (S_ISLNK(old->st_mode)) {
        int rc = rb_file_link_leads(&f->place);
        if (rc == -ELOOP && f->place.elsewhere)
            f->end = RB_FILE_ELSEWHERE;
        else
            rb_file_fail(f, rc, "is a link, and can not be written");
        return -1;
    }
    if (S_ISDIR(old->st_mode))
        return rb_file_fail_as(f, "file.is_directory", "is a folder, and can not be written");
    if (!S_ISREG(old->st_mode))
        return rb_file_fail_as(f, "file.special", "is a %s: only regular files are written",
                               rb_file_type_name(old->st_mode));
    return 0;
}

void rb_file_do_begin(struct rb_file *f)
{
    struct stat old;
    bool exists;
    const char *name;
    f->fd = open_folder(f, &name);
    if (f->fd < 0)
        return;
    if (look(f, f->fd, name, &old, &exists)) {
        close(f->fd);
        f->fd = -1;
        return;
    }
    if (f->sweep)
        sweep(f, f->fd);
    snprintf(f->name, sizeof(f->name), "%s", name);
    temp_name(f, f->temp);
    f->temp_fd = openat(f->fd, f->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, f->mode_of_new);
    if (f->temp_fd < 0)
        rb_file_fail(f, errno, "can not be written: a temporary file beside it");
}

/* 1: it is done already; 0: go on; -1: f has ended. */
static int meets_what_is_there(struct writing *w)
{
    struct rb_file *f = w->f;
    uint8_t there[RB_SHA_LEN], ours[RB_SHA_LEN];
    uint64_t size;
    bool begun = f->sweep && sweep(f, w->dir); /* then the rename was not reached */
    if (w->backup_dir >= 0 && f->sweep)
        begun = sweep(f, w->backup_dir) || begun;
    w->interrupted = f->again && !begun;
    bool compare = w->exists && (f->expects || (w->interrupted && (uint64_t)w->old.st_size == f->content.len));
    if (compare) {
        int rc = digest_there(w, there, &size);
        if (rc == -ECANCELED)
            return -1;
        if (rc && (f->expects || f->create))
            return rb_file_fail(f, rc, "can not be compared");
        rb_sha(rb_buf_text(&f->content), f->content.len, ours);
        if (rc)
            compare = false; /* it can not be read, and may be written again */
        else if (w->interrupted && memcmp(there, ours, RB_SHA_LEN) == 0)
            return 1;
    }
    const char *maybe =
        w->interrupted ? "; it may have been written before the host was stopped, and changed since" : "";
    if (f->create && w->exists)
        rb_file_fail_as(f, "file.exists", "is there already, and was to be created%s", maybe);
    else if (f->expects && !w->exists)
        rb_file_fail_as(f, "file.changed", "is not there, and a certain content was expected%s", maybe);
    else if (f->expects && (!compare || memcmp(there, f->expected, RB_SHA_LEN) != 0))
        rb_file_fail_as(f, "file.changed", "holds something else than was expected; read it again and decide%s", maybe);
    else
        return 0;
    if (w->interrupted)
        f->end = RB_FILE_UNSURE;
    return -1;
}

static int write_whole(struct rb_file *f, int fd)
{
    for (size_t at = 0; at < f->content.len;) {
        size_t n = f->content.len - at < RB_FILE_CHUNK ? f->content.len - at : RB_FILE_CHUNK;
        if (rb_file_stopping(f))
            return -1;
        ssize_t done = write(fd, f->content.data + at, n);
        if (done < 0 && errno != EINTR)
            return rb_file_fail(f, errno, "can not be written");
        if (done > 0)
            at += (size_t)done;
    }
    return 0;
}

/* Owner as it was, where we may; and then the mode, which must be as it was said whatever the umask is. */
static int set_owner_and_mode(struct writing *w, int fd)
{
    struct rb_file *f = w->f;
    mode_t mode = f->mode != (mode_t)-1 ? f->mode : w->exists ? w->old.st_mode & 07777 : f->mode_of_new;
    if (w->exists && fchown(fd, w->old.st_uid, w->old.st_gid)) {
        if (fchown(fd, (uid_t)-1, w->old.st_gid) && f->mode == (mode_t)-1)
            mode &= ~(mode_t)S_ISGID; /* of another group: it would give what it was not to give */
        if (w->old.st_uid != geteuid() && f->mode == (mode_t)-1)
            mode &= ~(mode_t)S_ISUID;
    }
    return fchmod(fd, mode) ? rb_file_fail(f, errno, "can not be given its mode") : 0;
}

static int make_temp(struct writing *w)
{
    struct rb_file *f = w->f;
    char name[64];
    temp_name(f, name);
    int fd = openat(w->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return rb_file_fail(f, errno, "can not be written: a file in its folder can not be made");
    memcpy(w->temp, name, sizeof(w->temp));
    int rc = write_whole(f, fd) || set_owner_and_mode(w, fd) ? -1 : 0;
    if (!rc && fsync(fd))
        rc = rb_file_fail(f, errno, "can not be written");
    if (close(fd) && !rc)
        rc = rb_file_fail(f, errno, "can not be written");
    rb_fault_point("file.temp-written");
    return rc;
}

/* Where no second link is possible: another file system, or one without them. */
static int copy_old(struct writing *w)
{
    struct rb_file *f = w->f;
    int rc = -1, from = openat(w->dir, w->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int to = openat(w->backup_dir, w->backup_temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    char *chunk = rb_alloc(RB_FILE_CHUNK);
    ssize_t n = -1, done = 0;
    if (from < 0 || to < 0)
        goto fail;
    while ((n = read(from, chunk, RB_FILE_CHUNK)) > 0) {
        if (rb_file_stopping(f))
            goto out;
        for (ssize_t at = 0; at < n; at += done)
            if ((done = write(to, chunk + at, (size_t)(n - at))) < 0)
                goto fail;
    }
    if (n == 0) {
        /* the owner is kept where we may */
        bool other = fchown(to, w->old.st_uid, w->old.st_gid) != 0;
        if (fchmod(to, w->old.st_mode & (other ? 0777 : 07777)) == 0 && fsync(to) == 0)
            rc = 0;
    }
fail:
    if (rc)
        rb_file_fail(f, errno, "can not be backed up, and was left as it is");
out:
    free(chunk);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return rc;
}

static int make_backup(struct writing *w)
{
    struct rb_file *f = w->f;
    if (w->backup_dir < 0 || !w->exists)
        return 0;
    temp_name(f, w->backup_temp);
    if (linkat(w->dir, w->name, w->backup_dir, w->backup_temp, 0)) {
        if (errno != EPERM && errno != EXDEV && errno != EMLINK && errno != EOPNOTSUPP && errno != EACCES)
            return rb_file_fail(f, errno, "can not be backed up, and was left as it is");
        if (copy_old(w))
            return -1;
    }
    if (renameat(w->backup_dir, w->backup_temp, w->backup_dir, w->backup_name))
        return rb_file_fail(f, errno, "can not be backed up, and was left as it is");
    unlinkat(w->backup_dir, w->backup_temp, 0); /* two names of one file: then a rename does nothing */
    w->backup_temp[0] = '\0';
    int rc = rb_file_sync_folder(w->backup_dir);
    if (rc)
        return rb_file_fail(f, rc, "can not be backed up, and was left as it is");
    rb_fault_point("file.backed-up");
    return 0;
}

/* Is it still what was looked at? Only for who expects something: between this and the rename nobody is held off. */
static int still_the_same(struct writing *w)
{
    struct stat now;
    bool there = fstatat(w->dir, w->name, &now, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && !S_ISREG(now.st_mode))
        return rb_file_fail_as(w->f, "file.changed", "has become a %s meanwhile", rb_file_type_name(now.st_mode));
    if (w->f->expects &&
        (!there || now.st_ino != w->old.st_ino || now.st_dev != w->old.st_dev || now.st_size != w->old.st_size ||
         now.st_mtim.tv_sec != w->old.st_mtim.tv_sec || now.st_mtim.tv_nsec != w->old.st_mtim.tv_nsec))
        return rb_file_fail_as(w->f, "file.changed", "was changed meanwhile, and was left as it is");
    return 0;
}

/* Gives the temporary file its name. With `create` only where there is none: by the kernel's word, not by ours. */
static int put_in_place(struct writing *w)
{
    struct rb_file *f = w->f;
    int rc;
    if (!f->create) {
        rc = renameat(w->dir, w->temp, w->dir, w->name);
    } else {
        rc = renameat2(w->dir, w->temp, w->dir, w->name, RENAME_NOREPLACE);
        if (rc && (errno == EINVAL || errno == ENOSYS)) /* a file system without it */
            rc = linkat(w->dir, w->temp, w->dir, w->name, 0) || unlinkat(w->dir, w->temp, 0) ? -1 : 0;
    }
    if (rc && f->create && errno == EEXIST)
        return rb_file_fail_as(f, "file.exists", "is there already, and was to be created");
    if (rc)
        return rb_file_fail(f, errno, "can not be replaced, and was left as it is");
    w->temp[0] = '\0';
    return 0;
}

static void make_it_last(struct writing *w)
{
    int rc = rb_file_sync_folder(w->dir);
    if (rc) {
        rb_file_fail(w->f, rc, "is written, and may be lost with the power: its folder can not be synced");
        w->f->end = RB_FILE_UNSURE;
    }
    rb_fault_point("file.after-fsync");
}

static void replace(struct writing *w)
{
    struct rb_file *f = w->f;
    if (open_folders(w) || look(f, w->dir, w->name, &w->old, &w->exists))
        return;
    int done = meets_what_is_there(w);
    if (done < 0)
        return;
    f->backed_up = w->backup_dir >= 0 && w->exists;
    if (done) {
        struct stat st;
        f->backed_up = f->backed_up && fstatat(w->backup_dir, w->backup_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        make_it_last(w);
        return;
    }
    if (make_temp(w) || make_backup(w) || still_the_same(w))
        return;
    rb_fault_point("file.before-rename");
    if (rb_file_stopping(f) || put_in_place(w))
        return;
    rb_fault_point("file.after-rename");
    make_it_last(w);
}

void rb_file_do_write(struct rb_file *f)
{
    struct writing w = {.f = f, .dir = -1, .backup_dir = -1};
    f->size = f->content.len;
    replace(&w);
    if (w.temp[0])
        unlinkat(w.dir, w.temp, 0);
    if (w.backup_temp[0])
        unlinkat(w.backup_dir, w.backup_temp, 0);
    if (w.dir >= 0)
        close(w.dir);
    if (w.backup_dir >= 0)
        close(w.backup_dir);
}
