/* Owns what looks: read, digest, stat, list. Nothing that can block for ever is opened: what is no regular file is
 * refused before its contents are asked for. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fault.h"
#include "io/file_at.h"

#define DEPTH_MAX 64

/* Opens a path of the request; where a link is in the way f ends as RB_FILE_ELSEWHERE. -1: f has ended. */
static int reach(struct rb_file *f, int flags, const char *what)
{
    int fd = rb_file_open(&f->place, strlen(f->place.path), flags);
    if (fd == -ELOOP && f->place.elsewhere)
        f->end = RB_FILE_ELSEWHERE;
    else if (fd < 0)
        rb_file_fail(f, fd, what);
    return fd < 0 ? -1 : fd;
}

/* What /proc says of this very process, by whatever link or mount: its memory and its environment, where secrets are
 * that the run does not know. What is mounted is of the machine. (A command that a run starts is another process, and
 * the kernel keeps it out.) */
static bool is_of_this_process(int fd)
{
    struct statfs fs;
    char link[64], path[RB_FILE_PATH_MAX], task[64];
    if (fstatfs(fd, &fs) || fs.f_type != PROC_SUPER_MAGIC)
        return false;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n < 0 ? 0 : n] = '\0';
    const char *name = strrchr(path, '/');
    if (name && (strcmp(name, "/mountinfo") == 0 || strcmp(name, "/mounts") == 0))
        return false;
    for (const char *p = path; (p = strchr(p, '/')); p++) {
        size_t digits = strspn(p + 1, "0123456789");
        snprintf(task, sizeof(task), "/proc/self/task/%.*s", (int)digits, p + 1);
        if (digits && digits < 12 && p[1 + digits] == '/' && access(task, F_OK) == 0) /* also by one of its threads */
            return true;
    }
    return false;
}

/* A regular file, open for reading; -1: f has ended. A device may act when it is opened, so it is looked at first. */
static int reach_regular(struct rb_file *f)
{
    for (int look = 1;; look = 0) {
        int fd = reach(f, look ? O_PATH : O_RDONLY | O_NONBLOCK | O_NOCTTY, "can not be read");
        if (fd < 0)
            return -1;
        if (fstat(fd, &f->st))
            rb_file_fail(f, errno, "can not be read");
        else if (rb_file_refused(f, &f->st))
            ;
        else if (is_of_this_process(fd))
            rb_file_fail_as(f, "policy", "is of rbhost's own process, which no runbook may read");
        else if (S_ISDIR(f->st.st_mode))
            rb_file_fail_as(f, "file.is_directory", "is a folder; file.list says what is in it");
        else if (!S_ISREG(f->st.st_mode))
            rb_file_fail_as(f, "file.special", "is a %s: only regular files are read",
                            rb_file_type_name(f->st.st_mode));
        if (f->end == RB_FILE_DONE && !look)
            return fd;
        close(fd);
        if (f->end != RB_FILE_DONE)
            return -1;
    }
}

void rb_file_do_open(struct rb_file *f)
{
    f->fd = reach_regular(f);
}

void rb_file_do_read(struct rb_file *f)
{
    int fd = reach_regular(f);
    if (fd < 0)
        return;
    rb_buf_reset(&f->content);
    char *chunk = rb_alloc(RB_FILE_CHUNK);
    for (;;) {
        size_t want = f->max - f->content.len < RB_FILE_CHUNK - 1 ? f->max - f->content.len + 1 : RB_FILE_CHUNK;
        ssize_t n = read(fd, chunk, want); /* one byte more than max: is there more? */
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rb_file_fail(f, errno, "can not be read");
        if (n <= 0 || rb_file_stopping(f))
            break;
        size_t room = f->max - f->content.len;
        f->was_cut = (size_t)n > room;
        rb_buf_add(&f->content, chunk, f->was_cut ? room : (size_t)n);
        if (f->was_cut)
            break;
    }
    if (f->end == RB_FILE_DONE && f->was_cut && !f->cut)
        rb_file_fail_as(f, "file.too_big",
                        "is larger than %zu bytes (max); read more with max = …, or only its beginning with cut = true",
                        f->max);
    f->size = f->was_cut && (uint64_t)f->st.st_size > f->content.len ? (uint64_t)f->st.st_size : f->content.len;
    free(chunk);
    close(fd);
}

int rb_file_digest_of(struct rb_file *f, int fd, uint8_t sum[RB_SHA_LEN], uint64_t *size)
{
    struct sha256_ctx ctx;
    int rc = 0;
    sha256_init(&ctx);
    *size = 0;
    uint8_t *chunk = rb_alloc(RB_FILE_CHUNK);
    for (;;) {
        ssize_t n = pread(fd, chunk, RB_FILE_CHUNK, (off_t)*size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = -errno;
        else if (rb_file_stopping(f))
            rc = -ECANCELED;
        if (n <= 0 || rc)
            break;
        sha256_update(&ctx, (size_t)n, chunk);
        *size += (uint64_t)n;
    }
    free(chunk);
    sha256_digest(&ctx, RB_SHA_LEN, sum);
    return rc;
}

void rb_file_do_digest(struct rb_file *f)
{
    int fd = reach_regular(f);
    if (fd < 0)
        return;
    int rc = rb_file_digest_of(f, fd, f->digest, &f->size);
    if (rc && rc != -ECANCELED)
        rb_file_fail(f, rc, "can not be read");
    close(fd);
}

/* -- stat ---------------------------------------------------------------------------------------------------------- */

static void name_owners(struct rb_file *f)
{
    struct passwd pw, *user = NULL;
    struct group gr, *group = NULL;
    char room[4096];
    f->owner[0] = f->group[0] = '\0';
    if (getpwuid_r(f->st.st_uid, &pw, room, sizeof(room), &user) == 0 && user)
        snprintf(f->owner, sizeof(f->owner), "%s", user->pw_name);
    if (getgrgid_r(f->st.st_gid, &gr, room, sizeof(room), &group) == 0 && group)
        snprintf(f->group, sizeof(f->group), "%s", group->gr_name);
}

/* What is there, or found = false where nothing is. */
void rb_file_do_stat(struct rb_file *f)
{
    const char *name;
    char target[RB_FILE_PATH_MAX];
    int dir = rb_file_open_parent(&f->place, &name);
    if (dir == -ELOOP && f->place.elsewhere) {
        f->end = RB_FILE_ELSEWHERE;
        return;
    }
    int rc = dir < 0 ? dir : fstatat(dir, name, &f->st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0 ? 0 : -errno;
    f->found = rc == 0;
    if (rc == 0 && S_ISLNK(f->st.st_mode)) {
        ssize_t n = readlinkat(dir, name, target, sizeof(target));
        f->target = n > 0 ? rb_strndup(target, (size_t)n) : NULL;
        if (f->follow)
            rc = rb_file_link_leads(&f->place);
    }
    if (dir >= 0)
        close(dir);
    if (rc == -ELOOP && f->place.elsewhere)
        f->end = RB_FILE_ELSEWHERE;
    else if (rc == -ENOENT || rc == -ENOTDIR)
        f->found = false;
    else if (rc)
        rb_file_fail(f, rc, "can not be looked at");
    else
        name_owners(f);
}

/* -- list ---------------------------------------------------------------------------------------------------------- */

static unsigned char type_of(int dir, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN)
        return d->d_type;
    return fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? IFTODT(st.st_mode) : DT_UNKNOWN;
}

static bool wanted(const struct rb_file *f, const char *path, const char *name)
{
    if (!f->glob)
        return true;
    return strchr(f->glob, '/') ? fnmatch(f->glob, path, FNM_PATHNAME) == 0 : fnmatch(f->glob, name, 0) == 0;
}

/* Takes fd. False: f has ended, or there are enough. */
static bool list_folder(struct rb_file *f, int fd, const char *prefix, int depth)
{
    DIR *d = fdopendir(fd);
    bool go_on = true;
    if (!d) {
        rb_file_fail(f, errno, "can not be listed");
        close(fd);
        return false;
    }
    while (go_on) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e) {
            if (errno)
                rb_file_fail(f, errno, "can not be listed");
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (rb_file_stopping(f))
            break;
        struct rb_buf path;
        rb_buf_init(&path, RB_FILE_PATH_MAX);
        rb_buf_addf(&path, "%s%s%s", prefix, prefix[0] ? "/" : "", e->d_name);
        unsigned char type = type_of(dirfd(d), e);
        if (wanted(f, rb_buf_text(&path), e->d_name)) {
            if (f->count == f->max) {
                f->was_cut = true;
                go_on = false;
            } else {
                if (f->count == f->room) {
                    f->room = f->room ? 2 * f->room : 64;
                    f->entries = rb_realloc(f->entries, f->room * sizeof(*f->entries));
                }
                f->entries[f->count++] = (struct rb_file_entry){rb_strdup(rb_buf_text(&path)), type};
            }
        }
        if (go_on && type == DT_DIR && f->recursive && depth + 1 < f->depth) {
            int below = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (below >= 0) /* one that may not be read is only named */
                go_on = list_folder(f, below, rb_buf_text(&path), depth + 1);
            else if (errno != EACCES && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
                rb_file_fail(f, errno, "can not be listed");
        }
        rb_buf_release(&path);
        go_on = go_on && f->end == RB_FILE_DONE;
    }
    closedir(d);
    return go_on && f->end == RB_FILE_DONE;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct rb_file_entry *)a)->name, ((const struct rb_file_entry *)b)->name);
}

void rb_file_do_list(struct rb_file *f)
{
    int fd = reach(f, O_RDONLY | O_DIRECTORY | O_NONBLOCK, "can not be listed");
    if (fd < 0)
        return;
    if (f->depth <= 0 || f->depth > DEPTH_MAX)
        f->depth = DEPTH_MAX;
    list_folder(f, fd, "", 0);
    if (f->end == RB_FILE_DONE && f->was_cut && !f->cut)
        rb_file_fail_as(f, "file.too_big",
                        "has more than %zu entries (max); ask for more with max = …, for fewer with glob or depth, or "
                        "for the first that come with cut = true",
                        f->max);
    if (f->count)
        qsort(f->entries, f->count, sizeof(*f->entries), by_name);
}
