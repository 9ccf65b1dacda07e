/* Owns how a path is reached so that nobody can lead it elsewhere meanwhile: one openat2(2) that follows no link, or,
 * where the kernel has none or a sandbox refuses it, a walk that holds each folder open and takes one name at a time.
 * Where a link leads is found out here, and never gone to from here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fault.h"
#include "io/file_at.h"

#define RACES_MAX 64 /* EAGAIN of openat2: something was renamed while it looked */

static int openat2_once(int dir, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)flags | O_CLOEXEC, .resolve = resolve};
    if (rb_mutation("no-openat2"))
        return -ENOSYS;
    for (int i = 0; i < RACES_MAX; i++) {
        long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    return -ELOOP;
}

/* -ENOSYS, or EPERM of a sandbox that does not know the call. */
static bool is_absent(int fd)
{
    return fd == -ENOSYS || fd == -EPERM;
}

static bool is_link(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* One name in a folder; a link is -ELOOP, whatever the flags. */
static int open_name(int dir, const char *name, int flags)
{
    int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int e = errno; /* a link is ENOTDIR where a folder is wanted */
        return e == ENOTDIR && is_link(dir, name) ? -ELOOP : -e;
    }
    struct stat st;
    if ((flags & O_PATH) && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode)) {
        close(fd);
        return -ELOOP;
    }
    return fd;
}

static int walk(int dir, const char *path, int flags)
{
    int at = dir;
    for (;;) {
        char name[256];
        size_t n = strcspn(path, "/");
        bool last = !path[n];
        int fd = -ENAMETOOLONG;
        if (n < sizeof(name)) {
            memcpy(name, path, n);
            name[n] = '\0';
            fd = open_name(at, name, last ? flags : O_PATH | O_DIRECTORY);
        }
        if (at != dir)
            close(at);
        if (last || fd < 0)
            return fd;
        at = fd;
        path += n + 1;
    }
}

/* path is below dir, normal and not empty. */
static int open_without_links(int dir, const char *path, int flags)
{
    int fd = openat2_once(dir, path, flags, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH);
    return is_absent(fd) ? walk(dir, path, flags) : fd;
}

static int open_beneath(int dir, const char *path, int flags)
{
    int fd = openat2_once(dir, path, flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    return is_absent(fd) ? walk(dir, path, flags) : fd;
}

int rb_file_open_below(int dir, const char *name, int flags)
{
    int fd = openat2_once(dir, name, flags, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_NO_XDEV);
    if (!is_absent(fd))
        return fd;
    struct stat here, there;
    fd = open_name(dir, name, flags);
    if (fd >= 0 && fstat(dir, &here) == 0 && fstat(fd, &there) == 0 && here.st_dev != there.st_dev) {
        close(fd);
        return -EXDEV;
    }
    return fd;
}

/* Opens bases[1] of the path, or less where len is less. */
static int open_base(const struct rb_file_place *p, size_t len, int flags, size_t *used)
{
    char text[RB_FILE_PATH_MAX];
    size_t first = p->bases[0] < len ? p->bases[0] : len, second = p->bases[1] < len ? p->bases[1] : len;
    *used = second > first ? second : first;
    snprintf(text, sizeof(text), "%.*s", (int)first, p->path);
    int more = *used < len || second > first ? O_PATH | O_DIRECTORY : flags;
    int fd = open(text, more | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (second <= first)
        return fd;
    snprintf(text, sizeof(text), "%.*s", (int)(second - first), p->path + first);
    int below = open_beneath(fd, text[0] == '/' ? text + 1 : text, second < len ? O_PATH | O_DIRECTORY : flags);
    close(fd);
    return below;
}

/* The path that a descriptor is of; false: it has none. */
static bool path_of(int fd, char out[RB_FILE_PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, RB_FILE_PATH_MAX - 1);
    out[n < 0 ? 0 : n] = '\0';
    return n > 0 && out[0] == '/';
}

/* Sets elsewhere to where the first len bytes of the path lead, with the rest of it behind that. What lies below the
 * base is written as below the base, by whatever name the policy knows it. */
static int lead(struct rb_file_place *p, size_t len)
{
    char text[RB_FILE_PATH_MAX], real[RB_FILE_PATH_MAX], base[RB_FILE_PATH_MAX] = "";
    size_t used;
    snprintf(text, sizeof(text), "%.*s", (int)len, p->path);
    int fd = open(text, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    bool known = path_of(fd, real);
    close(fd);
    if (!known)
        return -ELOOP;
    if (p->bases[1] > 1 && (fd = open_base(p, p->bases[1], O_PATH | O_DIRECTORY, &used)) >= 0) {
        if (!path_of(fd, base))
            base[0] = '\0';
        close(fd);
    }
    size_t n = strlen(base);
    struct rb_buf out;
    rb_buf_init(&out, RB_FILE_PATH_MAX - 1);
    if (n > 1 && strncmp(real, base, n) == 0 && real[n] == '/') {
        rb_buf_add(&out, p->path, p->bases[1]);
        rb_buf_adds(&out, real + n);
    } else {
        rb_buf_adds(&out, real);
    }
    rb_buf_adds(&out, p->path + len);
    bool same = strcmp(rb_buf_text(&out), p->path) == 0;
    if (out.cut || same) { /* the same: there is no link any more; whoever asked tries again */
        rb_buf_release(&out);
        if (!same)
            return -ENAMETOOLONG;
        p->elsewhere = rb_strdup(p->path);
        return -ELOOP;
    }
    free(p->elsewhere);
    p->elsewhere = rb_buf_detach(&out);
    return -ELOOP;
}

int rb_file_link_leads(struct rb_file_place *p)
{
    return lead(p, strlen(p->path));
}

int rb_file_open(struct rb_file_place *p, size_t len, int flags)
{
    char text[RB_FILE_PATH_MAX];
    size_t used;
    int base = open_base(p, len, flags, &used);
    if (base == -EXDEV || base == -ELOOP) /* the second base is not beneath the first */
        return lead(p, len);
    if (base < 0 || used == len)
        return base;
    snprintf(text, sizeof(text), "%.*s", (int)(len - used), p->path + used);
    int fd = open_without_links(base, text[0] == '/' ? text + 1 : text, flags);
    close(base);
    return fd == -ELOOP ? lead(p, len) : fd;
}

int rb_file_open_parent(struct rb_file_place *p, const char **name)
{
    const char *slash = strrchr(p->path, '/');
    size_t len = slash == p->path ? 1 : (size_t)(slash - p->path);
    *name = slash + 1;
    int fd = rb_file_open(p, len, O_RDONLY | O_DIRECTORY);
    return fd == -EACCES ? rb_file_open(p, len, O_PATH | O_DIRECTORY) : fd; /* may be written to and not read */
}

int rb_file_sync_folder(int dir)
{
    if (fsync(dir) == 0)
        return 0;
    if (errno != EBADF)
        return errno == EINVAL || errno == EROFS ? 0 : -errno; /* a file system without it has nothing to sync */
    /* only O_PATH: the file system as a whole, by a descriptor that may be synced */
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        sync();
        return 0;
    }
    int rc = fsync(fd) ? -errno : 0;
    close(fd);
    return rc;
}
