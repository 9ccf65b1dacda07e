/* Owns the reading of receipts: what their files say, whether the processes that they name are still there, tombstones,
 * removal. What writes them, and why it can be believed, is at the top of host/shim/shim.c. */
#include "io/receipt_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "shim/shim.h"

#define LOCK_MAX 2048 /* it has three lines, of less than 512 bytes each */
#define ENTOMB_TRIES 10

static void name_file(char out[RB_RECEIPT_ID_MAX + 16], const char *id, const char *file)
{
    snprintf(out, RB_RECEIPT_ID_MAX + 16, "%s/%s", id, file);
}

/* -- the lock ------------------------------------------------------------------------------------------------------ */

bool rb_receipt_read_end(const char *line, struct rb_receipt_end *end)
{
    int code, signal, why, held, was_short;
    int64_t started, ended;
    uint64_t total[2], kept[2];
    char hex[2][RB_SHA_HEX];
    if (sscanf(line,
               "end %d %d %d %d %d %" SCNd64 " %" SCNd64 " %" SCNu64 " %" SCNu64 " %64s %" SCNu64 " %" SCNu64 " %64s",
               &code, &signal, &why, &held, &was_short, &started, &ended, &total[0], &kept[0], hex[0], &total[1],
               &kept[1], hex[1]) != 13)
        return false;
    *end = (struct rb_receipt_end){.proc = {.code = code,
                                            .signal = signal,
                                            .end = why == RB_SHIM_TIMED_OUT ? RB_PROC_TIMED_OUT
                                                   : why == RB_SHIM_KILLED  ? RB_PROC_KILLED
                                                                            : RB_PROC_EXITED,
                                            .held_open = held,
                                            .stdin_short = was_short,
                                            .started = started,
                                            .ended = ended},
                                   .kept = {kept[0], kept[1]}};
    end->proc.out.total = total[0];
    end->proc.err.total = total[1];
    return rb_sha_parse(hex[0], end->proc.out.digest) == RB_OK && rb_sha_parse(hex[1], end->proc.err.digest) == RB_OK;
}

/* One line, without its newline. */
static bool read_line(const char *line, struct rb_receipt_lock *lock)
{
    if (strncmp(line, "shim ", 5) == 0)
        return sscanf(line, "shim %ld %" SCNd64 " %63s", &lock->shim, &lock->shim_at, lock->boot) == 3;
    if (strncmp(line, "child ", 6) == 0)
        return sscanf(line, "child %ld %" SCNd64, &lock->child, &lock->child_at) == 2;
    lock->ended = rb_receipt_read_end(line, &lock->end);
    return lock->ended;
}

int rb_receipt_read_lock(int root, const char *id, struct rb_receipt_lock *lock, struct rb_err *err)
{
    char name[RB_RECEIPT_ID_MAX + 16], text[LOCK_MAX];
    *lock = (struct rb_receipt_lock){.kind = RB_RECEIPT_LOCK_NONE};
    name_file(name, id, "lock");
    int fd = openat(root, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return RB_OK;
    if (fd < 0)
        return rb_err_sys(err, RB_EIO, errno, "can not read the receipt %s", id);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    int errnum = errno;
    close(fd);
    if (n < 0 && errnum == EISDIR) {
        lock->kind = RB_RECEIPT_LOCK_TOMBSTONE;
        return RB_OK;
    }
    if (n < 0)
        return rb_err_sys(err, RB_EIO, errnum, "can not read the receipt %s", id);
    text[n] = '\0';
    lock->kind = RB_RECEIPT_LOCK_HELD;
    char *line = text, *end;
    for (; (end = strchr(line, '\n')); line = end + 1) { /* without its newline a line was never written */
        *end = '\0';
        if (!read_line(line, lock))
            return rb_err_set(err, RB_ECORRUPT, "the receipt %s is damaged", id);
    }
    if (!lock->shim)
        return rb_err_set(err, RB_ECORRUPT, "the receipt %s is damaged", id);
    return RB_OK;
}

/* -- processes ----------------------------------------------------------------------------------------------------- */

/* When the process began, in microseconds of CLOCK_BOOTTIME, at most a tick early; -1: it is not there. */
static int64_t began(long pid)
{
    char path[64], stat[1024];
    unsigned long long ticks;
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    if (n <= 0)
        return -1;
    stat[n] = '\0';
    const char *after_name = strrchr(stat, ')'); /* proc(5): the 22nd field, the third is the first after the name */
    if (!after_name ||
        sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &ticks) != 1)
        return -1;
    return (int64_t)(ticks * (1000000 / (unsigned long long)sysconf(_SC_CLK_TCK)));
}

int rb_receipt_process(long pid, int64_t at)
{
    int fd = pidfd_open((pid_t)pid, 0);
    if (fd < 0)
        return errno == ESRCH || errno == EINVAL ? RB_ENOENT : RB_EIO;
    struct pollfd dead = {.fd = fd, .events = POLLIN}; /* it may only wait for its parent to hear of its end */
    int64_t since = began(pid);
    if (since < 0 || since > at || poll(&dead, 1, 0) != 0) {
        close(fd);
        return RB_ENOENT;
    }
    return fd;
}

/* -- tombstones, removal ------------------------------------------------------------------------------------------- */

/* A folder in the lock's place: making it is atomic, renaming or linking over it fails, and that it is there is all
 * that it has to say. */
int rb_receipt_entomb(int root, const char *id, struct rb_err *err)
{
    char name[RB_RECEIPT_ID_MAX + 16];
    name_file(name, id, "lock");
    for (int i = 0; i < ENTOMB_TRIES; i++) { /* a launch that failed may remove the receipt's folder meanwhile */
        if (mkdirat(root, id, 0700) && errno != EEXIST)
            break;
        rb_fault_point("receipt.entomb");
        if (mkdirat(root, name, 0700) == 0) {
            rb_fault_point("receipt.entombed");
            return RB_OK;
        }
        if (errno == EEXIST)
            return rb_err_set(err, RB_EEXIST, "there is a receipt %s", id);
        if (errno != ENOENT)
            break;
    }
    return rb_err_sys(err,
                      errno == ENOSPC || errno == EDQUOT ? RB_EFULL
                      : errno == EROFS                   ? RB_EREADONLY
                                                         : RB_EIO,
                      errno, "can not make sure that the receipt %s is never used", id);
}

/* What a launch left that never came to its lock. */
static void remove_rest(int root, const char *id)
{
    int fd = openat(root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(d)))
        if (strncmp(entry->d_name, "new", 3) == 0)
            unlinkat(fd, entry->d_name, 0);
    closedir(d);
}

void rb_receipt_remove(int root, const char *id)
{
    static const char *const files[] = {"out", "err", "new", "lock"}; /* the lock last: with it the rest is a receipt */
    char name[RB_RECEIPT_ID_MAX + 16];
    for (size_t i = 0; i < RB_COUNT(files); i++) {
        name_file(name, id, files[i]);
        unlinkat(root, name, 0);
    }
    if (unlinkat(root, id, AT_REMOVEDIR) && errno != ENOENT) {
        remove_rest(root, id);
        unlinkat(root, id, AT_REMOVEDIR);
    }
}

void rb_receipt_spare_name(char out[RB_RECEIPT_SPARE_MAX], unsigned number)
{
    snprintf(out, RB_RECEIPT_SPARE_MAX, ".spare-%ld-%u", (long)getpid(), number);
}

bool rb_receipt_remove_output(int root, const char *id)
{
    static const char *const files[] = {"out", "err"};
    char name[RB_RECEIPT_ID_MAX + 16];
    bool gone = true;
    for (size_t i = 0; i < RB_COUNT(files); i++) {
        name_file(name, id, files[i]);
        gone = (unlinkat(root, name, 0) == 0 || errno == ENOENT) && gone;
    }
    return gone;
}

bool rb_receipt_recycle(int root, const char *id, const char *spare)
{
    char from[RB_RECEIPT_ID_MAX + 16], to[RB_RECEIPT_ID_MAX + 16];
    struct rb_receipt_lock lock;
    struct stat st;
    /* Only of one that nobody writes to any more; it has two links, "." and its name, so no folder is in it. */
    if (rb_receipt_read_lock(root, id, &lock, NULL) || lock.kind != RB_RECEIPT_LOCK_HELD || !lock.ended ||
        fstatat(root, id, &st, AT_SYMLINK_NOFOLLOW) || st.st_nlink > 2)
        return false;
    /* First: who dies in between leaves no output, and with any of it this folder is no other command's. */
    if ((lock.end.kept[0] || lock.end.kept[1]) && !rb_receipt_remove_output(root, id))
        return false;
    rb_fault_point("receipt.recycle");
    unlinkat(root, spare, AT_REMOVEDIR); /* of an earlier process of our number, if it is empty */
    if (renameat(root, id, root, spare))
        return false;
    rb_fault_point("receipt.recycled");
    name_file(from, spare, "lock");
    name_file(to, spare, "new");
    if (renameat(root, from, root, to)) {
        rb_receipt_remove(root, spare);
        return false;
    }
    return true;
}
