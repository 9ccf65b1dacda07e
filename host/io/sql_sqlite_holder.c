/* Owns the answer to who is in the way of a database: the kernel's list of file locks. A guess for a message, made
 * after the wait: whoever it was may have let go by then, and file systems that number their files otherwise are not
 * found. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "io/sql_sqlite.h"

/* The process with a lock of this kind ("WRITE", "READ") on the file; 0: none that is seen. */
static int holder_of(const struct stat *file, const char *kind, bool ours_too)
{
    char line[256], mode[16];
    int pid, found = 0;
    unsigned major_no, minor_no;
    unsigned long long inode;
    FILE *locks = fopen("/proc/locks", "re");
    while (locks && !found && fgets(line, sizeof(line), locks)) {
        if (sscanf(line, "%*d: %*s %*s %15s %d %x:%x:%llu", mode, &pid, &major_no, &minor_no, &inode) == 5 &&
            strcmp(mode, kind) == 0 && inode == (unsigned long long)file->st_ino &&
            makedev(major_no, minor_no) == file->st_dev && (ours_too || pid != getpid()))
            found = pid;
    }
    if (locks)
        fclose(locks);
    return found;
}

void rb_sql_sqlite_holder(const char *path, char *out, size_t n)
{
    char shm[4096], comm[64] = "", name[64];
    struct stat st;
    int pid = 0;
    bool is = stat(path, &st) == 0;
    if (is)
        pid = holder_of(&st, "WRITE", true);
    snprintf(shm, sizeof(shm), "%s-shm", path); /* in WAL mode the locks are there */
    struct stat beside;
    if (!pid && stat(shm, &beside) == 0)
        pid = holder_of(&beside, "WRITE", true);
    if (!pid && is) /* a reader, whose end a commit waits for */
        pid = holder_of(&st, "READ", false);
    out[0] = '\0';
    if (pid <= 0)
        return;
    snprintf(name, sizeof(name), "/proc/%d/comm", pid);
    FILE *f = fopen(name, "re");
    if (f && fgets(comm, sizeof(comm), f))
        comm[strcspn(comm, "\n")] = '\0';
    if (f)
        fclose(f);
    if (pid == getpid())
        snprintf(out, n, "another operation of this rbhost");
    else
        snprintf(out, n, "process %d%s%s%s", pid, comm[0] ? " (" : "", comm, comm[0] ? ")" : "");
}
