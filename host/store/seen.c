/* Owns what is kept beside a journal of how far each run had come when something that it had left elsewhere was taken
 * away: journal.db.d/seen/RUN holds the number of an event that was durable then. A journal that ends before it is an
 * older copy that somebody has put back. Knows nothing of what was taken away.
 *
 * The file need not be durable: it says what this machine has done since it was started, and after a loss of power
 * nobody believes that something has never started anyway. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/sqlite.h"

static bool name_file(const struct rb_store *s, const char *run, char path[4300])
{
    return !strchr(run, '/') && *run && *run != '.' && snprintf(path, 4300, "%s/seen/%s", s->dir, run) < 4300;
}

int64_t rb_store_seen(struct rb_store *s, const char *run)
{
    char path[4300], text[24] = "";
    int fd = name_file(s, run, path) ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    return n > 0 ? strtoll(text, NULL, 10) : 0;
}

static int open_seen(const struct rb_store *s, const char *run)
{
    char path[4300], folder[4300];
    if (!name_file(s, run, path))
        return -1;
    int fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != ENOENT)
        return fd;
    snprintf(folder, sizeof(folder), "%s/seen", s->dir);
    return mkdir(folder, 0700) && errno != EEXIST ? -1 : open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
}

bool rb_store_see(struct rb_store *s, const char *run, int64_t seq, int *fd)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%019lld\n", (long long)seq); /* always as long: it is written over */
    if (*fd < 0)
        *fd = open_seen(s, run);
    rb_fault_point("store.see");
    return *fd >= 0 && pwrite(*fd, text, (size_t)n, 0) == n;
}

void rb_sqlite_forget_seen(struct rb_store *s, const char *run)
{
    char path[4300];
    if (name_file(s, run, path))
        unlink(path);
}
