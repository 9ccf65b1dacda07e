/* Owns the start of a child: finding the command, posix_spawn, and saying in words why it did not start. Knows nothing
 * of what becomes of the child.
 *
 * posix_spawn and not uv_spawn: libuv 1.44 forks, which copies the page tables of the whole host (62 starts a second
 * with 256 MiB resident; 2,120 by vfork). Its one result is an errno that does not say which step failed, so the
 * command and its folder are looked at before, and what then still fails is explained after. */
#include "io/proc_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin" /* for a child that has no PATH at all */
#define ONE_ARG_MAX (32 * 4096)                     /* Linux, MAX_ARG_STRLEN: one string, however much room there is */

enum look { LOOK_OK, LOOK_MISSING, LOOK_DIRECTORY, LOOK_NOT_EXECUTABLE, LOOK_ERROR };

/* What stands at path, as seen from the folder dir. After LOOK_ERROR errno says why. */
static enum look look_at(int dir, const char *path)
{
    struct stat st;
    if (fstatat(dir, path, &st, 0))
        return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ? LOOK_MISSING : LOOK_ERROR;
    if (S_ISDIR(st.st_mode))
        return LOOK_DIRECTORY;
    if (!S_ISREG(st.st_mode) || faccessat(dir, path, X_OK, AT_EACCESS))
        return LOOK_NOT_EXECUTABLE;
    return LOOK_OK;
}

static const char *env_get(const char *const *envp, const char *name)
{
    size_t n = strlen(name);
    for (; envp && *envp; envp++)
        if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
            return *envp + n + 1;
    return NULL;
}

static int find_by_path(int dir, const struct rb_proc_options *opt, struct rb_buf *path, struct rb_err *err)
{
    const char *name = opt->argv[0];
    switch (look_at(dir, name)) {
    case LOOK_OK: return rb_buf_adds(path, name);
    case LOOK_DIRECTORY: return rb_err_set(err, RB_EDENIED, "%s is a directory, not a command", name);
    case LOOK_NOT_EXECUTABLE:
        return rb_err_set(err, RB_EDENIED, "%s is not executable (chmod +x would make it so)", name);
    case LOOK_MISSING:
        if (opt->cwd && name[0] != '/')
            return rb_err_set(err, RB_ENOENT, "there is no command %s in the folder %s", name, opt->cwd);
        return rb_err_set(err, RB_ENOENT, "there is no command %s", name);
    default:
        return rb_err_sys(err, errno == EACCES ? RB_EDENIED : RB_EIO, errno, "can not look at the command %s", name);
    }
}

/* As execvp: the first that can be executed; what can not is passed over and remembered for the error. */
static int find_in_path(int dir, const char *const *envp, const char *name, struct rb_buf *path, struct rb_err *err)
{
    const char *list = env_get(envp, "PATH");
    char unfit[PATH_MAX] = "";
    enum look why = LOOK_MISSING;
    if (!list)
        list = DEFAULT_PATH;
    for (const char *at = list;; at++) {
        size_t n = strcspn(at, ":");
        rb_buf_reset(path);
        rb_buf_add(path, at, n);
        rb_buf_adds(path, n == 0 ? "./" : "/"); /* an empty entry means the child's folder */
        if (rb_buf_adds(path, name) == RB_OK) {
            enum look seen = look_at(dir, path->data);
            if (seen == LOOK_OK)
                return RB_OK;
            if ((seen == LOOK_NOT_EXECUTABLE || seen == LOOK_DIRECTORY) && !unfit[0]) {
                why = seen;
                memcpy(unfit, path->data, path->len + 1);
            }
        }
        at += n;
        if (!*at)
            break;
    }
    if (why == LOOK_NOT_EXECUTABLE)
        return rb_err_set(err, RB_EDENIED, "%s is not executable, and no other %s is in PATH", unfit, name);
    if (why == LOOK_DIRECTORY)
        return rb_err_set(err, RB_EDENIED, "%s is a directory, and no command %s is in PATH", unfit, name);
    if (!list[0])
        return rb_err_set(err, RB_ENOENT, "there is no command %s: PATH is empty", name);
    return rb_err_set(err, RB_ENOENT, "there is no command %s in PATH (%s)", name, list);
}

static int find_command(int dir, const struct rb_proc_options *opt, struct rb_buf *path, struct rb_err *err)
{
    const char *name = opt->argv[0];
    if (!strchr(name, '/'))
        return find_in_path(dir, opt->envp, name, path, err);
    if (strlen(name) > path->max)
        return rb_err_sys(err, RB_ENOENT, ENAMETOOLONG, "there is no command %.80s...", name);
    return find_by_path(dir, opt, path, err);
}

void rb_proc_measure(const struct rb_proc_options *opt, struct rb_proc_size *size)
{
    *size = (struct rb_proc_size){0};
    for (int list = 0; list < 2; list++) {
        const char *const *v = list ? opt->envp : opt->argv;
        for (; v && *v; v++) {
            size_t n = strlen(*v) + 1;
            size->total += n + sizeof(char *);
            size->longest = n > size->longest ? n : size->longest;
        }
    }
}

static int too_big(const struct rb_proc_size *size, struct rb_err *err)
{
    if (size->longest > ONE_ARG_MAX)
        return rb_err_set(err, RB_EIO,
                          "argument list too long: one argument or variable has %zu bytes and the system"
                          " takes %d; give it on standard input or in a file",
                          size->longest - 1, ONE_ARG_MAX - 1);
    return rb_err_set(err, RB_EIO,
                      "argument list too long: arguments and environment need %zu bytes, more than the"
                      " system takes (a quarter of ulimit -s)",
                      size->total);
}

/* The first line of a file, for "#!"; false when it can not be read. NUL bytes are kept. */
static bool first_line(int dir, const char *path, char line[256], size_t *len)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, line, 255);
    close(fd);
    if (n < 0)
        return false;
    line[n] = '\0';
    char *end = memchr(line, '\n', (size_t)n);
    *len = end ? (size_t)(end - line) : (size_t)n;
    line[*len] = '\0';
    return true;
}

/* The path behind "#!" of line, in place; NULL when it is no such line. */
static char *interpreter_of(char *line)
{
    if (line[0] != '#' || line[1] != '!')
        return NULL;
    char *p = line + 2 + strspn(line + 2, " \t");
    p[strcspn(p, " \t")] = '\0';
    return p;
}

/* The command is there and may be executed, yet the system refused: what it needs in turn is at fault. */
int rb_proc_explain(int errnum, int dir, const char *path, const char *cwd, const struct rb_proc_size *size,
                    struct rb_err *err)
{
    char line[256];
    size_t len = 0;
    char *interpreter = NULL;
    if (errnum == E2BIG)
        return too_big(size, err);
    if (errnum == EAGAIN)
        return rb_err_sys(err, RB_EIO, errnum,
                          "can not start %s: too many processes (ulimit -u, or the pids limit of"
                          " the control group)",
                          path);
    if (errnum == ENOMEM)
        return rb_err_sys(err, RB_EIO, errnum, "can not start %s", path);
    if (errnum == ENOEXEC)
        return rb_err_set(err, RB_EDENIED, "%s is not a program for this machine", path);
    if (errnum == ETXTBSY)
        return rb_err_set(err, RB_EIO, "can not start %s: somebody has it open for writing", path);
    if (cwd && faccessat(dir, ".", X_OK, AT_EACCESS))
        return rb_err_sys(err, errno == EACCES ? RB_EDENIED : RB_ENOENT, errno, "can not enter the folder %s", cwd);
    if (first_line(dir, path, line, &len))
        interpreter = interpreter_of(line);
    if (interpreter && (errnum == ENOENT || errnum == ENOTDIR)) {
        size_t n = strlen(interpreter);
        if (n && interpreter[n - 1] == '\r') {
            interpreter[n - 1] = '\0';
            return rb_err_set(err, RB_ENOENT,
                              "the interpreter \"%s\\r\" that %s names does not exist: the file's lines"
                              " end as on Windows",
                              interpreter, path);
        }
        return rb_err_set(err, RB_ENOENT, "the interpreter \"%s\" that %s names does not exist", interpreter, path);
    }
    if (interpreter && errnum == EACCES)
        return rb_err_set(err, RB_EDENIED, "the interpreter \"%s\" that %s names can not be executed", interpreter,
                          path);
    if (errnum == ENOENT && look_at(dir, path) == LOOK_OK)
        return rb_err_set(err, RB_ENOENT, "%s was made for a system whose program loader is not installed here", path);
    if (errnum == ENOENT)
        return rb_err_set(err, RB_ENOENT, "%s has just gone away", path);
    if (errnum == EACCES)
        return rb_err_sys(err, RB_EDENIED, errnum, "%s may not be executed (its file system may be mounted noexec)",
                          path);
    if (errnum == EPERM)
        return rb_err_sys(err, RB_EDENIED, errnum, "%s may not be executed", path);
    return rb_err_sys(err, RB_EIO, errnum, "can not start %s", path);
}

static int explain(int errnum, int dir, const char *path, const struct rb_proc_options *opt, struct rb_err *err)
{
    struct rb_proc_size size;
    rb_proc_measure(opt, &size);
    return rb_proc_explain(errnum, dir, path, opt->cwd, &size, err);
}

static int spawn(const char *path, int dir, bool enter, const char *const *argv, const char *const *envp,
                 const int fds[3], pid_t *pid)
{
    static const char *const no_env[] = {NULL};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t all, none;
    memset(&all, 0xff, sizeof(all)); /* sigfillset leaves out 32 and 33, which would be set to ignored */
    sigemptyset(&none);
    if (posix_spawn_file_actions_init(&fa))
        rb_die("out of memory; the run can be resumed");
    if (posix_spawnattr_init(&attr))
        rb_die("out of memory; the run can be resumed");
    int rc = enter ? posix_spawn_file_actions_addfchdir_np(&fa, dir) : 0;
    for (int i = 0; i < 3 && !rc; i++)
        rc = posix_spawn_file_actions_adddup2(&fa, fds[i], i);
    /* Everything of ours is close-on-exec; this is for what our own parent left open in us. */
    if (!rc)
        rc = posix_spawn_file_actions_addclosefrom_np(&fa, 3);
    if (!rc)
        rc = posix_spawnattr_setsigdefault(&attr, &all);
    if (!rc)
        rc = posix_spawnattr_setsigmask(&attr, &none);
    if (!rc)
        rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    /* posix_spawn changes neither list; its parameter types are older than const. */
    if (!rc)
        rc = posix_spawn(pid, path, &fa, &attr, (char *const *)(uintptr_t)argv,
                         (char *const *)(uintptr_t)(envp ? envp : no_env));
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return rc;
}

/* A text file without "#!" is the shell's, as with execvp. One with a NUL in its first line is not text, and the
 * shell would only say something odd about it. */
static int spawn_by_shell(const char *path, int dir, const struct rb_proc_options *opt, const int fds[3], pid_t *pid,
                          struct rb_err *err)
{
    char line[256];
    size_t len = 0, argc = 0;
    if (first_line(dir, path, line, &len) && memchr(line, '\0', len))
        return explain(ENOEXEC, dir, path, opt, err);
    while (opt->argv[argc])
        argc++;
    const char **argv = rb_alloc((argc + 3) * sizeof(*argv));
    argv[0] = "/bin/sh";
    argv[1] = "--"; /* the path may begin with "-" */
    argv[2] = path;
    for (size_t i = 1; i < argc; i++)
        argv[2 + i] = opt->argv[i];
    int errnum = spawn(argv[0], dir, opt->cwd, argv, opt->envp, fds, pid);
    free(argv);
    return errnum ? explain(errnum, dir, errnum == ENOENT ? "/bin/sh" : path, opt, err) : RB_OK;
}

int rb_proc_find(const struct rb_proc_options *opt, int *dir, struct rb_buf *path, struct rb_err *err)
{
    *dir = AT_FDCWD;
    rb_buf_init(path, PATH_MAX - 1);
    if (opt->cwd) {
        *dir = open(opt->cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (*dir < 0) {
            int code = errno == ENOENT || errno == ENOTDIR ? RB_ENOENT : errno == EACCES ? RB_EDENIED : RB_EIO;
            return rb_err_sys(err, code, errno, "can not enter the folder %s", opt->cwd);
        }
    }
    return find_command(*dir, opt, path, err);
}

int rb_proc_spawn(const struct rb_proc_options *opt, const int fds[3], pid_t *pid, struct rb_err *err)
{
    int dir;
    struct rb_buf path;
    int rc = rb_proc_find(opt, &dir, &path, err);
    if (rc)
        goto done;
    rb_fault_point("proc.before-spawn");
    int errnum = spawn(path.data, dir, opt->cwd, opt->argv, opt->envp, fds, pid);
    if (errnum == ENOEXEC)
        rc = spawn_by_shell(path.data, dir, opt, fds, pid, err);
    else if (errnum)
        rc = explain(errnum, dir, path.data, opt, err);
    if (!rc)
        rb_fault_point("proc.after-spawn");
done:
    rb_buf_release(&path);
    if (dir >= 0)
        close(dir);
    return rc;
}
