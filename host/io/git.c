/* Owns the one question to git. Never fails: where git does not answer, nothing is known. */
#include "io/git.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define PATIENCE_US 2000000

extern char **environ;

/* Is there a .git in the folder of the file or above it? */
static bool in_work_tree(const char *real)
{
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof(path), "%s", real);
    for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
        size_t n = (size_t)(slash - path);
        if (n + sizeof("/.git") > sizeof(path))
            return false;
        memcpy(slash, "/.git", sizeof("/.git"));
        if (stat(path, &st) == 0)
            return true;
        *slash = '\0';
    }
    return false;
}

/* Reads fd to its end, or until the patience is over. */
static bool read_all(int fd, struct rb_buf *out)
{
    int64_t until = rb_clock_boot() + PATIENCE_US;
    for (;;) {
        char chunk[4096];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - rb_clock_boot();
        if (left <= 0 || poll(&p, 1, (int)(left / 1000) + 1) == 0)
            return false;
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n <= 0)
            return n == 0;
        rb_buf_add(out, chunk, (size_t)n);
    }
}

/* Starts git with its output in a pipe; -1 when it can not be. */
static pid_t start(const char *folder, const char *file, int *fd)
{
    const char *argv[] = {"git",      "--no-optional-locks", "-C", folder, "status", "--porcelain=v2",
                          "--branch", "--ignored",           "--", file,   NULL};
    int ends[2];
    pid_t pid = -1;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC))
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, "git", &actions, NULL, (char *const *)(uintptr_t)argv, environ))
        pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (pid < 0)
        close(ends[0]);
    *fd = ends[0];
    return pid;
}

/* git-status(1), porcelain format 2: "# branch.oid <commit>", and a line for each change. */
static void understand(const struct rb_buf *said, struct rb_git *out)
{
    for (const char *line = rb_buf_text(said); *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t n = strcspn(line, "\n");
        if (strncmp(line, "# branch.oid ", 13) == 0) {
            if (n - 13 < sizeof(out->commit) && strspn(line + 13, "0123456789abcdef") == n - 13)
                snprintf(out->commit, sizeof(out->commit), "%.*s", (int)(n - 13), line + 13);
        } else if (*line != '#') {
            out->dirty = true;
        }
    }
}

void rb_git_look(const char *file, struct rb_git *out)
{
    char real[PATH_MAX];
    *out = (struct rb_git){.dirty = false};
    if (!realpath(file, real) || !in_work_tree(real))
        return;
    char *slash = strrchr(real, '/');
    *slash = '\0';
    int fd, status;
    pid_t pid = start(*real ? real : "/", slash + 1, &fd);
    if (pid < 0)
        return;
    struct rb_buf said;
    rb_buf_init(&said, 65536);
    bool whole = read_all(fd, &said);
    close(fd);
    if (!whole)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && whole) {
    }
    if (whole && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        understand(&said, out);
    rb_buf_release(&said);
}
