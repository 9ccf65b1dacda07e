/* Owns remove and mkdir. A tree is counted before anything of it is removed, so that one that is too large, or that has
 * a mount in it, stays whole. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fault.h"
#include "io/file_at.h"

#define DEPTH_MAX 128

static int reach_parent(struct rb_file *f, const char **name, const char *what)
{
    int dir = rb_file_open_parent(&f->place, name);
    if (dir == -ELOOP && f->place.elsewhere) {
        f->end = RB_FILE_ELSEWHERE;
        return -1;
    }
    if (dir < 0)
        return rb_file_fail(f, dir, what);
    struct stat st;
    if (fstat(dir, &st) == 0 && rb_file_refused(f, &st)) {
        close(dir);
        return -1;
    }
    if (!**name) {
        close(dir);
        return rb_file_fail_as(f, "file.denied", "is the root of all files");
    }
    return dir;
}

static void make_it_last(struct rb_file *f, int dir)
{
    int rc = rb_file_sync_folder(dir);
    if (rc) {
        rb_file_fail(f, rc, "is changed, and the change may be lost with the power: its folder can not be synced");
        f->end = RB_FILE_UNSURE;
    }
    rb_fault_point("file.after-fsync");
}

/* -- remove -------------------------------------------------------------------------------------------------------- */

struct tree {
    struct rb_file *f;
    uint64_t seen, removed;
};

/* Counts, or removes, what is in a folder; takes fd. -1: f has ended. */
static int each_below(struct tree *t, int fd, bool remove, int depth)
{
    struct rb_file *f = t->f;
    DIR *d = fdopendir(fd);
    if (!d) {
        int e = errno;
        close(fd);
        return rb_file_fail(f, e, "can not be removed");
    }
    int rc =
        depth < DEPTH_MAX ? 0 : rb_file_fail_as(f, "file.too_big", "has more than %d levels of folders", DEPTH_MAX);
    for (struct dirent *e; !rc && (errno = 0, e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (rb_file_stopping(f)) {
            rc = -1;
        } else if (!remove && ++t->seen > f->max) {
            rc = rb_file_fail_as(f, "file.too_big", "holds more than %zu entries (max); nothing was removed", f->max);
        } else if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW)) {
            if (errno == ENOENT)
                continue;
            rc = rb_file_fail(f, errno, "can not be removed");
        } else if (rb_file_refused(f, &st)) {
            rc = -1;
        } else if (S_ISDIR(st.st_mode)) {
            int below = rb_file_open_below(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY);
            if (below == -EXDEV)
                rc = rb_file_fail_as(f, "file.mount", "has another file system mounted in it, at …/%.200s", e->d_name);
            else if (below >= 0)
                rc = each_below(t, below, remove, depth + 1);
            else if (below != -ENOENT)
                rc = rb_file_fail(f, below, "can not be removed");
        }
        if (!rc && remove) {
            if (unlinkat(dirfd(d), e->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0)
                t->removed++;
            else if (errno != ENOENT)
                rc = rb_file_fail(f, errno, "can not be removed");
            rb_fault_point("file.removed-one");
        }
    }
    closedir(d);
    return rc;
}

static int empty_folder(struct rb_file *f, int dir, const char *name)
{
    struct tree t = {.f = f};
    for (int remove = 0; remove < 2; remove++) {
        int fd = rb_file_open_below(dir, name, O_RDONLY | O_DIRECTORY);
        if (fd == -EXDEV)
            return rb_file_fail_as(f, "file.mount", "is where another file system is mounted");
        if (fd < 0)
            return rb_file_fail(f, fd, "can not be removed");
        if (each_below(&t, fd, remove, 0)) {
            size_t n = strlen(f->text);
            if (t.removed && f->end == RB_FILE_FAILED)
                snprintf(f->text + n, sizeof(f->text) - n, "; %llu of %llu entries were removed before",
                         (unsigned long long)t.removed, (unsigned long long)t.seen);
            if (t.removed && f->end == RB_FILE_STOPPED) {
                rb_file_fail_as(f, "cancelled", "was removed in part: %llu of %llu entries",
                                (unsigned long long)t.removed, (unsigned long long)t.seen);
                f->end = RB_FILE_UNSURE;
            }
            return -1;
        }
    }
    return 0;
}

void rb_file_do_remove(struct rb_file *f)
{
    const char *name;
    struct stat st;
    bool gone_is_well = f->missing_ok || f->again;
    int dir = reach_parent(f, &name, "can not be removed");
    if (dir < 0) {
        if (gone_is_well && strcmp(f->kind, "file.not_found") == 0) {
            f->end = RB_FILE_DONE;
            f->found = f->again;
        }
        return;
    }
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
        if (errno == ENOENT && gone_is_well) {
            f->found = f->again;
            if (f->again)
                make_it_last(f, dir);
        } else {
            rb_file_fail(f, errno, "can not be removed");
        }
        close(dir);
        return;
    }
    if (rb_file_refused(f, &st)) {
        close(dir);
        return;
    }
    rb_fault_point("file.before-remove");
    int rc = S_ISDIR(st.st_mode) && f->recursive ? empty_folder(f, dir, name) : 0;
    if (!rc && unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0))
        rc = rb_file_fail(f, errno, "can not be removed");
    rb_fault_point("file.after-remove");
    if (!rc) {
        f->found = true;
        make_it_last(f, dir);
    }
    close(dir);
}

/* -- mkdir --------------------------------------------------------------------------------------------------------- */

/* Makes the folder at the first len bytes of the path. 1: it was there; 0: made; -1: f has ended. */
static int make_one(struct rb_file *f, size_t len, mode_t mode)
{
    char whole[RB_FILE_PATH_MAX];
    struct stat st;
    size_t parent = len;
    while (parent > 1 && f->place.path[parent - 1] != '/')
        parent--;
    snprintf(whole, sizeof(whole), "%.*s", (int)(len - parent), f->place.path + parent);
    int dir = rb_file_open(&f->place, parent > 1 ? parent - 1 : 1, O_RDONLY | O_DIRECTORY);
    if (dir == -EACCES)
        dir = rb_file_open(&f->place, parent > 1 ? parent - 1 : 1, O_PATH | O_DIRECTORY);
    if (dir == -ELOOP && f->place.elsewhere) {
        f->end = RB_FILE_ELSEWHERE;
        return -1;
    }
    if (dir == -ENOENT && !f->parents)
        return rb_file_fail_as(f, "file.not_found",
                               "can not be made: the folder above it is not there; parents = true makes it, too");
    if (dir < 0)
        return rb_file_fail(f, dir, "can not be made");
    int rc = 0;
    if (mkdirat(dir, whole, mode) == 0) {
        int fd = openat(dir, whole, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        mode_t wanted = mode | (fd >= 0 && fstat(fd, &st) == 0 ? st.st_mode & S_ISGID : 0); /* its folder gave that */
        if (fd < 0 || ((st.st_mode & 07777) != wanted && fchmod(fd, wanted))) /* as said, whatever the umask is */
            rc = rb_file_fail(f, errno, "is made, and can not be given its mode");
        if (fd >= 0)
            close(fd);
        if (!rc)
            make_it_last(f, dir);
        if (f->end != RB_FILE_DONE)
            rc = -1;
    } else {
        int e = errno;
        bool there = e == EEXIST && fstatat(dir, whole, &st, 0) == 0 && S_ISDIR(st.st_mode);
        rc = there ? 1 : rb_file_fail(f, e, "can not be made");
    }
    close(dir);
    return rc;
}

/* Is there a folder at the first len bytes of the path? -1: it can not be said, and f has ended. */
static int is_there(struct rb_file *f, size_t len)
{
    int fd = rb_file_open(&f->place, len, O_PATH | O_DIRECTORY);
    if (fd >= 0)
        close(fd);
    if (fd >= 0 || fd == -ENOENT)
        return fd >= 0;
    if (fd == -ELOOP && f->place.elsewhere)
        f->end = RB_FILE_ELSEWHERE;
    else
        rb_file_fail(f, fd, "can not be made");
    return -1;
}

void rb_file_do_mkdir(struct rb_file *f)
{
    const char *path = f->place.path;
    size_t whole = strlen(path), len = whole;
    mode_t mode = f->mode == (mode_t)-1 ? 0755 : f->mode;
    for (int there = 0; f->parents && len > 1 && there == 0;) { /* down from the deepest that is there */
        there = is_there(f, len);
        if (there < 0)
            return;
        while (!there && path[--len] != '/')
            ;
    }
    int rc = 1;
    while (f->parents && len < whole) { /* the rest, one name at a time */
        for (len++; len < whole && path[len] != '/'; len++)
            ;
        rc = make_one(f, len, len == whole ? mode : 0755);
        if (rc < 0)
            return;
    }
    if (!f->parents) {
        rc = make_one(f, whole, mode);
        if (rc == 1 && !f->again)
            rb_file_fail_as(f, "file.exists", "is there already");
    }
    if (rc < 0 || f->end != RB_FILE_DONE)
        return;
    f->found = rc == 0 || f->again;
}
