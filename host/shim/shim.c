/* The shim: a small static program that starts one command of a run, outlives the host, and leaves a receipt: what is
 * known of the command whoever dies. This file owns the receipt's beginning; how it goes on is life.c's.
 *
 * A receipt is a folder below the receipts root, 0700, its files 0600:
 *
 *   lock      made whole under another name and then given this one, which fails if there is one: of any number of
 *             launches one starts. It grows by a line at each step:
 *                 shim PID TIME BOOT              who will start the command
 *                 child PID TIME                  who will become the command; written by it, before exec
 *                 end …                           what came of it (life.c)
 *             A folder of this name is a tombstone: nothing has started, and nothing will.
 *   out, err  what the command has written, up to the cap; there is none before its first byte
 *
 * - A line is one write within one page, and counts only with its newline: it is there whole or it is not there. In
 *   the block that the file has already, the last line needs no room on a disk that has become full.
 * - TIME is CLOCK_BOOTTIME when the line was written. A process of that number which began later is a stranger.
 * - Nothing is flushed to the disk. After a loss of power the boot id is another one, and the command is in doubt.
 * - Between its birth and exec the child dies with the shim (PDEATHSIG). So with the shim gone and no line "child"
 *   nothing has ever been executed, for certain; with that line, nobody can know until its process has ended.
 * - A command that can not be executed leaves no receipt: it has never started.
 *
 * Fault points: 1 the request is read, 2 the folder is made, 3 the lock is written and has not its name, 4 locked,
 * 5 in the child before its line, 6 in the child before exec, 7 executed, 8 output read and not in its file,
 * 9 the command is reaped, 10 before the line "end", 11 after it, 12 a failed start before the receipt is removed. */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h> /* RENAME_NOREPLACE */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "shim/life.h"

#define ID_MAX 200
#define FILE_LEN (ID_MAX + 24) /* of the name of a file, seen from the root */

SHIM_ENTRY;
void shim_main(long *stack) __attribute__((noreturn, used));

static struct command command;
static char folder[FILE_LEN], lock_name[FILE_LEN], new_name[FILE_LEN], out_name[2][FILE_LEN];

/* What the child says of itself: it shares our memory until it has executed. */
static volatile struct rb_shim_failure child_failure;

static void leave(int status) __attribute__((noreturn));
static void leave(int status)
{
    for (;;)
        SYS(exit_group, status, 0, 0, 0, 0);
}

static void fail(enum rb_shim_step step, long errnum) __attribute__((noreturn));
static void fail(enum rb_shim_step step, long errnum)
{
    struct rb_shim_failure f = {.step = (int32_t)step, .errnum = (int32_t)(errnum < 0 ? -errnum : errnum)};
    report(RB_SHIM_FAILED, 0, &f, sizeof(f));
    leave(1);
}

/* -- the request --------------------------------------------------------------------------------------------------- */

/* Its strings, and the two lists of pointers to them that exec wants. */
struct texts {
    const char *program, *cwd;
    const char **argv, **envp;
};

static const char *next(const char *s)
{
    while (*s++)
        ;
    return s;
}

static const char *fill(const char **list, uint32_t count, const char *at)
{
    for (uint32_t i = 0; i < count; i++, at = next(at))
        list[i] = at;
    list[count] = NULL;
    return at;
}

static void read_request(struct command *c, struct texts *t)
{
    struct stat st;
    if (SYS(fstat, 0, &st, 0, 0, 0) || (size_t)st.st_size < sizeof(*c->request))
        fail(RB_SHIM_STEP_REQUEST, 0);
    size_t size = (size_t)st.st_size;
    char *p = (char *)SYS(mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    if ((uintptr_t)p > (uintptr_t)-4096)
        fail(RB_SHIM_STEP_REQUEST, (long)p);
    const struct rb_shim_request *r = (const void *)p;
    if (r->magic != RB_SHIM_MAGIC || r->size != size || r->input > size)
        fail(RB_SHIM_STEP_REQUEST, 0);
    c->request = r;
    c->input = p + r->input;
    c->input_left = size - r->input;
    t->argv = (const char **)(uintptr_t)(p + sizeof(*r)) + RB_SHIM_SHELL_WORDS;
    t->envp = t->argv + r->argc + 1;
    t->program = p + r->texts;
    t->cwd = next(t->program);
    fill(t->envp, r->envc, fill(t->argv, r->argc, next(t->cwd)));
}

void forget_request(struct command *c)
{
    static struct rb_shim_request head;
    size_t size = c->request->size;
    if (c->request == &head)
        return;
    head = *c->request;
    SYS(munmap, c->request, size, 0, 0, 0);
    c->request = &head;
}

/* -- the receipt's files ------------------------------------------------------------------------------------------- */

static void name_file(char out[FILE_LEN], const char *id, const char *file, long number)
{
    struct line l = {.len = 0};
    line_text(&l, id);
    line_text(&l, file);
    if (number)
        line_number(&l, '.', number);
    size_t n = l.len < FILE_LEN - 1 ? l.len : FILE_LEN - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = l.text[i];
    out[n] = '\0';
}

static void name_files(const char *path)
{
    const char *id = path;
    size_t len = 0;
    for (const char *p = path; *p; p++)
        if (*p == '/')
            id = p + 1;
    while (id[len])
        len++;
    if (!len || len > ID_MAX || id[0] == '.')
        fail(RB_SHIM_STEP_FOLDER, ENAMETOOLONG);
    name_file(folder, id, "", 0);
    name_file(lock_name, id, "/lock", 0);
    name_file(new_name, id, "/new", SYS(getpid, 0, 0, 0, 0, 0));
    name_file(out_name[0], id, "/out", 0);
    name_file(out_name[1], id, "/err", 0);
}

static void remove_folder(void)
{
    SYS(unlinkat, ROOT_FD, folder, AT_REMOVEDIR, 0, 0); /* not when it holds what is not ours */
}

/* The file system may know no renaming that replaces nothing. */
static long take_name(void)
{
    long rc = SYS(renameat2, ROOT_FD, new_name, ROOT_FD, lock_name, RENAME_NOREPLACE);
    if (rc != -EINVAL && rc != -ENOSYS)
        return rc;
    rc = SYS(linkat, ROOT_FD, new_name, ROOT_FD, lock_name, 0);
    if (rc == 0)
        SYS(unlinkat, ROOT_FD, new_name, 0, 0, 0);
    return rc;
}

static void take_lock(struct command *c)
{
    struct line l = {.len = 0};
    const char *spare = c->request->spare;
    long flags = O_WRONLY | O_CREAT | O_EXCL;
    long rc = *spare ? SYS(renameat2, ROOT_FD, spare, ROOT_FD, folder, RENAME_NOREPLACE) : -ENOENT;
    if (rc == 0) {
        flags = O_WRONLY | O_TRUNC;
        name_file(new_name, folder, "/new", 0);
    } else {
        rc = SYS(mkdirat, ROOT_FD, folder, 0700, 0, 0);
        if (rc && rc != -EEXIST)
            fail(RB_SHIM_STEP_FOLDER, rc);
    }
    fault_point(2);
    long fd = SYS(openat, ROOT_FD, new_name, flags | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600, 0);
    if (fd < 0) {
        remove_folder();
        fail(RB_SHIM_STEP_LOCK, fd);
    }
    line_text(&l, "shim");
    line_number(&l, ' ', SYS(getpid, 0, 0, 0, 0, 0));
    line_number(&l, ' ', c->started);
    line_text(&l, " ");
    line_text(&l, c->request->boot);
    line_text(&l, "\n");
    rc = SYS(write, fd, l.text, l.len, 0, 0);
    fault_point(3);
    rc = rc == (long)l.len ? take_name() : rc < 0 ? rc : -ENOSPC;
    if (rc) {
        SYS(unlinkat, ROOT_FD, new_name, 0, 0, 0);
        remove_folder();
        fail(RB_SHIM_STEP_LOCK, rc);
    }
    c->lock = (int)fd;
    fault_point(4);
}

static void never_started(enum rb_shim_step step, long errnum) __attribute__((noreturn));
static void never_started(enum rb_shim_step step, long errnum)
{
    fault_point(12);
    SYS(unlinkat, ROOT_FD, lock_name, 0, 0, 0);
    remove_folder();
    fail(step, errnum);
}

/* -- the command's beginning --------------------------------------------------------------------------------------- */

static void open_streams(struct command *c, int theirs[3])
{
    int fds[2];
    long rc = 0;
    if (c->request->flags & RB_SHIM_INPUT) {
        rc = SYS(pipe2, fds, O_CLOEXEC, 0, 0, 0); /* and not the file itself: commands look at what they are given */
        theirs[0] = fds[0];
        c->input_fd = fds[1];
        if (!rc)
            rc = SYS(fcntl, c->input_fd, F_SETFL, O_NONBLOCK, 0, 0);
    } else {
        rc = SYS(openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0, 0);
        theirs[0] = (int)rc;
        rc = rc < 0 ? rc : 0;
    }
    for (int i = 0; i < 2 && !rc; i++) {
        rc = SYS(pipe2, fds, O_CLOEXEC, 0, 0, 0);
        c->out[i].fd = fds[0];
        theirs[i + 1] = fds[1];
    }
    if (!rc) {
        uint64_t mask = 1u << (SIGCHLD - 1) | 1u << (RB_SHIM_STOP - 1) | 1u << (RB_SHIM_NOW - 1);
        rc = SYS(signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK, 0);
        c->signals = (int)rc;
        rc = rc < 0 ? rc : 0;
    }
    if (rc)
        never_started(RB_SHIM_STEP_PIPES, rc);
}

static void child_fails(enum rb_shim_step step, long rc) __attribute__((noreturn));
static void child_fails(enum rb_shim_step step, long rc)
{
    child_failure.step = (int32_t)step;
    child_failure.errnum = (int32_t)(rc < 0 ? -rc : EIO);
    leave(127);
}

/* A text file without "#!" is the shell's, as with execvp. One with a NUL in its first line is not text. */
static long execute_by_shell(const struct texts *t)
{
    char start[256];
    long fd = SYS(openat, AT_FDCWD, t->program, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0, 0);
    long n = SYS(read, fd, start, sizeof(start), 0, 0);
    for (long i = 0; i < n && start[i] != '\n'; i++)
        if (!start[i])
            return -ENOEXEC;
    const char **argv = t->argv - RB_SHIM_SHELL_WORDS;
    argv[0] = "/bin/sh";
    argv[1] = "--"; /* the path may begin with "-" */
    argv[2] = t->program;
    return SYS(execve, argv[0], argv, t->envp, 0, 0);
}

/* In the child, on the parent's stack: nothing here may return. */
static void become(const struct command *c, const struct texts *t, const int theirs[3], long parent)
    __attribute__((noreturn, noinline));
static void become(const struct command *c, const struct texts *t, const int theirs[3], long parent)
{
    uint64_t none = 0;
    long rc = SYS(prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (rc || SYS(getppid, 0, 0, 0, 0, 0) != parent)
        child_fails(RB_SHIM_STEP_FORK, rc);
    SYS(setsid, 0, 0, 0, 0, 0);
    for (int i = 0; i < 3; i++) {
        rc = SYS(dup3, theirs[i], i, 0, 0, 0);
        if (rc < 0)
            child_fails(RB_SHIM_STEP_PIPES, rc);
    }
    if (t->cwd[0]) {
        rc = SYS(chdir, t->cwd, 0, 0, 0, 0);
        if (rc)
            child_fails(RB_SHIM_STEP_CWD, rc);
    }
    fault_point(5);
    struct line l = {.len = 0};
    line_text(&l, "child");
    line_number(&l, ' ', SYS(getpid, 0, 0, 0, 0, 0));
    line_number(&l, ' ', now_us());
    line_text(&l, "\n");
    if (!write_whole(c->lock, l.text, l.len))
        child_fails(RB_SHIM_STEP_NOTE, -ENOSPC);
    fault_point(6);
    SYS(rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none), 0);
    SYS(prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
    rc = SYS(execve, t->program, t->argv, t->envp, 0, 0);
    child_fails(RB_SHIM_STEP_EXEC, rc == -ENOEXEC ? execute_by_shell(t) : rc);
}

/* As vfork: we go on when the child has executed, or has failed. */
static void begin(struct command *c, const struct texts *t)
{
    int theirs[3];
    long self = SYS(getpid, 0, 0, 0, 0, 0);
    open_streams(c, theirs);
    feed(c); /* what fits; a short input needs no more thought */
    long pid = SYS(clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        become(c, t, theirs, self);
    if (pid < 0)
        never_started(RB_SHIM_STEP_FORK, pid);
    if (child_failure.errnum) {
        SYS(wait4, pid, NULL, 0, NULL, 0);
        never_started((enum rb_shim_step)child_failure.step, child_failure.errnum);
    }
    c->pid = pid;
    for (int i = 0; i < 3; i++)
        SYS(close, theirs[i], 0, 0, 0, 0);
}

/* What somebody left open in the host. */
static void close_the_rest(void)
{
    if (SYS(close_range, 3, ~0u, 0, 0, 0))
        for (int fd = 3; fd < 1024; fd++) /* a sandbox that does not know it */
            SYS(close, fd, 0, 0, 0, 0);
}

void shim_main(long *stack)
{
    struct command *c = &command;
    struct texts t;
    char **argv = (char **)(stack + 1);
    close_the_rest();
    SYS(prctl, PR_SET_NAME, "rbhost-shim", 0, 0, 0);
    SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0); /* the request is in our memory for a moment */
    c->started = now_us();
    c->input_fd = -1;
    for (int i = 0; i < 2; i++) {
        c->out[i] = (struct stream){.number = i + 1, .fd = -1, .file = -1, .name = out_name[i]};
        hash_begin(&c->out[i].hash);
    }
    if (stack[0] != 2)
        fail(RB_SHIM_STEP_REQUEST, 0);
    read_request(c, &t);
#ifdef RB_FAULT
    fault.at = c->request->fault;
    fault.whom = c->request->fault_whom;
    fault.shim = SYS(getpid, 0, 0, 0, 0, 0);
#endif
    fault_point(1);
    name_files(argv[1]);
    take_lock(c);
    begin(c, &t);
#ifdef RB_FAULT
    fault.command = c->pid;
#endif
    fault_point(7);
    if (c->input_fd < 0)
        forget_request(c);
    SYS(close, 0, 0, 0, 0, 0);
    SYS(chdir, "/", 0, 0, 0, 0); /* the host's folder is held by nobody who needs none */
    live(c);
    leave(0);
}
