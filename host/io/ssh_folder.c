/* Owns the folder of the control sockets: where it is, whose it is, and that none stays behind. Whoever may open such a
 * socket acts as the user on the other machine, so everything down to it is of mode 0700 and ours.
 *
 * Each host has a folder of its own and holds a lock on it. One that can be locked has no host any more: it is removed.
 * That also meets a folder that was just made and is not locked yet, so its maker looks whether it still has it. */
#include "io/ssh_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN "/XXXXXX"
#define SOCKET_ROOM 12 /* "/" and the number of a socket */
#define TRIES 20

/* Makes the folder if need be. It must be a folder, ours, and closed to everybody else. */
static int private_folder(const char *path, struct rb_err *err)
{
    struct stat st;
    if (mkdir(path, 0700) && errno != EEXIST)
        return rb_err_sys(err, RB_EIO, errno, "can not make the folder %s for ssh's control sockets", path);
    if (lstat(path, &st))
        return rb_err_sys(err, RB_EIO, errno, "can not look at the folder %s for ssh's control sockets", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
        return rb_err_set(err, RB_EDENIED,
                          "%s must be a folder that belongs to you alone (mode 0700): ssh's control sockets lie in it",
                          path);
    return RB_OK;
}

/* ssh expands % and ${…} in such a path. */
static bool plain(const char *path)
{
    return path[0] == '/' && !strpbrk(path, "%$\"'\\ \n");
}

static int find_base(char base[RB_SSH_PATH_MAX], struct rb_err *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    if (runtime && plain(runtime) && strlen(runtime) + sizeof("/rbhost/ssh" OWN) + SOCKET_ROOM < RB_SSH_PATH_MAX &&
        stat(runtime, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022))
        snprintf(base, RB_SSH_PATH_MAX, "%s/rbhost", runtime);
    else
        snprintf(base, RB_SSH_PATH_MAX, "/tmp/rbhost-%lu", (unsigned long)geteuid());
    int rc = private_folder(base, err);
    if (rc)
        return rc;
    strncat(base, "/ssh", RB_SSH_PATH_MAX - strlen(base) - 1);
    return private_folder(base, err);
}

static void empty(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d)
        return;
    rewinddir(d);
    struct dirent *entry;
    while ((entry = readdir(d)))
        if (entry->d_name[0] != '.')
            unlinkat(fd, entry->d_name, 0);
    closedir(d);
}

/* Removes the folders that nobody holds. */
static void sweep(const char *base)
{
    DIR *d = opendir(base);
    if (!d)
        return;
    struct dirent *entry;
    while ((entry = readdir(d))) {
        if (entry->d_name[0] == '.')
            continue;
        int fd = openat(dirfd(d), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            empty(fd);
            unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
        }
        close(fd);
    }
    closedir(d);
}

int rb_ssh_folder_open(struct rb_ssh_folder *f, struct rb_err *err)
{
    char base[RB_SSH_PATH_MAX];
    int rc = find_base(base, err);
    if (rc)
        return rc;
    sweep(base);
    for (int i = 0; i < TRIES; i++) {
        struct stat st;
        snprintf(f->path, sizeof(f->path), "%.70s" OWN, base);
        if (!mkdtemp(f->path))
            break;
        f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (f->fd < 0)
            continue;
        if (flock(f->fd, LOCK_EX | LOCK_NB) == 0 && stat(f->path, &st) == 0)
            return RB_OK;
        close(f->fd);
    }
    return rb_err_sys(err, RB_EIO, errno, "can not make a folder for ssh's control sockets below %s", base);
}

int rb_ssh_folder_check(struct rb_ssh_folder *f, bool *watched, struct rb_err *err)
{
    struct stat st;
    if (stat(f->path, &st) == 0)
        return RB_OK;
    struct rb_ssh_folder other;
    int rc = rb_ssh_folder_open(&other, err);
    if (rc)
        return rc;
    close(f->fd);
    *f = other;
    *watched = false;
    return RB_OK;
}

void rb_ssh_folder_close(struct rb_ssh_folder *f)
{
    empty(f->fd);
    rmdir(f->path);
    close(f->fd);
    f->fd = -1;
}
