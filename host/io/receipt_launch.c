/* Owns the start of a shim: its program as a sealed file in memory, its request, posix_spawn, and saying in words why a
 * command did not start. Knows nothing of what becomes of it.
 *
 * The program lies in this one (build/gen/shim.s) and is run from memory, so nothing has to be installed and no mount
 * option is in the way. The request is a file in memory too: it is whole before the shim exists, whatever its size,
 * and in nobody's sight; what is in it may be secret. */
#include "io/receipt_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fault.h"
#include "shim/shim.h"

#ifndef MFD_EXEC /* newer than the C library: where the system asks for it (vm.memfd_noexec) */
#define MFD_EXEC 0x0010U
#endif

extern const char rb_shim_image[], rb_shim_image_end[];

static int write_all(int fd, const void *data, size_t n)
{
    for (const char *p = data; n;) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static int open_shim(struct rb_receipts *r, struct rb_err *err)
{
    const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (r->shim >= 0)
        return RB_OK;
    int fd = memfd_create("rbhost-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("rbhost-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return rb_err_sys(err, errno == EACCES ? RB_EDENIED : RB_EIO, errno,
                          "can not run a command under a receipt: no program can be made in memory%s",
                          errno == EACCES ? " (sysctl vm.memfd_noexec)" : "");
    if (write_all(fd, rb_shim_image, (size_t)(rb_shim_image_end - rb_shim_image)) || fcntl(fd, F_ADD_SEALS, seals)) {
        int rc =
            rb_err_sys(err, RB_EIO, errno, "can not run a command under a receipt: no program can be made in memory");
        close(fd);
        return rc;
    }
    r->shim = fd;
    return RB_OK;
}

/* -- the request --------------------------------------------------------------------------------------------------- */

static uint32_t add_texts(struct rb_buf *b, const char *const *list)
{
    uint32_t n = 0;
    for (; list && list[n]; n++)
        rb_buf_add(b, list[n], strlen(list[n]) + 1);
    return n;
}

#ifdef RB_FAULT
/* RBHOST_SHIM_FAULT=N, N:shim, N:command or N:stop: the point at which who is killed, or stopped. */
static void ask_for_fault(struct rb_shim_request *q)
{
    const char *want = getenv("RBHOST_SHIM_FAULT");
    if (!want)
        return;
    q->fault = (uint32_t)strtoul(want, NULL, 10);
    q->fault_whom = strstr(want, ":shim")      ? RB_SHIM_FAULT_SHIM
                    : strstr(want, ":command") ? RB_SHIM_FAULT_COMMAND
                    : strstr(want, ":stop")    ? RB_SHIM_FAULT_STOP
                                               : RB_SHIM_FAULT_SELF;
}
#endif

static int make_request(struct rb_receipts *r, const struct rb_proc_options *opt,
                        const struct rb_receipt_program *program, int *out, struct rb_err *err)
{
    struct rb_buf texts;
    struct rb_shim_request q = {.magic = RB_SHIM_MAGIC,
                                .max_output = opt->max_output,
                                .timeout_ms = opt->timeout_ms,
                                .grace_ms = opt->grace_ms,
                                .drain_ms = opt->drain_ms};
    rb_buf_init(&texts, SIZE_MAX / 2);
    rb_buf_add(&texts, program->path, strlen(program->path) + 1);
    rb_buf_add(&texts, program->cwd, strlen(program->cwd) + 1);
    q.argc = add_texts(&texts, opt->argv);
    q.envc = add_texts(&texts, opt->envp);
    q.texts = sizeof(q) + ((uint64_t)q.argc + q.envc + RB_SHIM_POINTERS) * sizeof(char *);
    q.input = q.texts + texts.len;
    q.size = q.input + (opt->stdin_data ? opt->stdin_len : 0);
    q.flags = (opt->stdin_data ? RB_SHIM_INPUT : 0) | (opt->on_output ? RB_SHIM_LIVE : 0);
    snprintf(q.boot, sizeof(q.boot), "%s", r->place.boot);
    if (r->n_spares)
        rb_receipt_spare_name(q.spare, r->spares[--r->n_spares]);
#ifdef RB_FAULT
    ask_for_fault(&q);
#endif
    int rc = RB_OK, fd = memfd_create("rbhost-request", MFD_CLOEXEC);
    if (fd < 0 || write_all(fd, &q, sizeof(q)) || lseek(fd, (off_t)q.texts, SEEK_SET) < 0 ||
        write_all(fd, texts.data, texts.len) || (opt->stdin_data && write_all(fd, opt->stdin_data, opt->stdin_len))) {
        rc = rb_err_sys(err, RB_EIO, errno, "can not hold a command of %llu bytes with its input",
                        (unsigned long long)q.size);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    explicit_bzero(texts.data, texts.len); /* secrets are in the environment */
    rb_buf_release(&texts);
    *out = fd;
    return rc;
}

/* -- the start ----------------------------------------------------------------------------------------------------- */

/* Every signal is blocked from its birth: those that it wants it reads, and none is lost. */
static int spawn(struct rb_receipts *r, const char *id, int request, int report, pid_t *pid)
{
    char program[64], folder[PATH_MAX];
    snprintf(program, sizeof(program), "/proc/self/fd/%d", r->shim);
    snprintf(folder, sizeof(folder), "%.3500s/%s", r->path, id);
    char name[] = "rbhost-shim";
    char *argv[] = {name, folder, NULL}, *envp[] = {NULL};
    const int fds[3] = {request, report, r->root};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    sigset_t all;
    memset(&all, 0xff, sizeof(all)); /* sigfillset leaves out 32 and 33, which would be set to ignored */
    if (posix_spawn_file_actions_init(&fa))
        rb_die("out of memory; the run can be resumed");
    if (posix_spawnattr_init(&attr))
        rb_die("out of memory; the run can be resumed");
    int rc = 0;
    for (int i = 0; i < 3 && !rc; i++)
        rc = posix_spawn_file_actions_adddup2(&fa, fds[i], i);
    if (!rc)
        rc = posix_spawnattr_setsigdefault(&attr, &all);
    if (!rc)
        rc = posix_spawnattr_setsigmask(&attr, &all);
    if (!rc)
        rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (!rc)
        rc = posix_spawn(pid, program, &fa, &attr, argv, envp);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return rc;
}

static int start_failed(int errnum, struct rb_err *err)
{
    if (errnum == EAGAIN)
        return rb_err_sys(err, RB_EIO, errnum,
                          "can not start a command under a receipt: too many processes (ulimit -u, or the pids limit of"
                          " the control group)");
    if (errnum == EACCES || errnum == EPERM)
        return rb_err_sys(err, RB_EDENIED, errnum,
                          "can not start a command under a receipt: this system runs no program from memory");
    if (errnum == ENOENT)
        return rb_err_set(err, RB_EIO, "can not start a command under a receipt: /proc is not there");
    return rb_err_sys(err, RB_EIO, errnum, "can not start a command under a receipt");
}

static int find(const struct rb_proc_options *opt, struct rb_receipt_program *program, struct rb_err *err)
{
    int dir;
    struct rb_buf path;
    int rc = rb_proc_find(opt, &dir, &path, err);
    if (!rc) {
        program->path = rb_strdup(path.data);
        program->cwd = rb_strdup(opt->cwd ? opt->cwd : "");
        rb_proc_measure(opt, &program->size);
    }
    rb_buf_release(&path);
    if (dir >= 0)
        close(dir);
    return rc;
}

int rb_receipt_launch(struct rb_receipts *r, const char *id, const struct rb_proc_options *opt, pid_t *shim,
                      int *report, struct rb_receipt_program *program, struct rb_err *err)
{
    int request = -1, ends[2] = {-1, -1};
    size_t spares = r->n_spares;
    *program = (struct rb_receipt_program){0};
    int rc = find(opt, program, err);
    if (!rc)
        rc = open_shim(r, err);
    if (!rc)
        rc = make_request(r, opt, program, &request, err);
    if (!rc && pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        rc = rb_err_sys(err, RB_EIO, errno, "can not make a pipe for a child process");
    if (!rc) {
        rb_fault_point("receipt.before-spawn");
        int errnum = spawn(r, id, request, ends[1], shim);
        if (errnum)
            rc = start_failed(errnum, err);
        else
            rb_fault_point("receipt.after-spawn");
    }
    if (request >= 0)
        close(request);
    if (ends[1] >= 0)
        close(ends[1]);
    if (!rc) {
        *report = ends[0];
        return RB_OK;
    }
    if (ends[0] >= 0)
        close(ends[0]);
    r->n_spares = spares; /* nobody has got its name */
    free(program->path);
    free(program->cwd);
    return rc;
}

/* -- why it did not start ------------------------------------------------------------------------------------------ */

int rb_receipt_explain(const struct rb_receipts *r, const char *id, const struct rb_receipt_program *program, int step,
                       int errnum, struct rb_err *err)
{
    int dir = AT_FDCWD, rc;
    switch ((enum rb_shim_step)step) {
    case RB_SHIM_STEP_LOCK:
        if (errnum == EEXIST)
            return rb_err_set(err, RB_EEXIST, "%s was not started: it was before, or was given up (%s/%s)",
                              program->path, r->path, id);
        /* fall through */
    case RB_SHIM_STEP_FOLDER:
    case RB_SHIM_STEP_NOTE:
        if (errnum == ENOENT)
            return rb_err_set(err, RB_EIO, "%s was not started: the folder of receipts, %s, is gone", program->path,
                              r->path);
        return rb_err_sys(err, rb_err_of(errnum), errnum, "%s was not started: can not keep a receipt in %s",
                          program->path, r->path);
    case RB_SHIM_STEP_CWD:
        return rb_err_sys(err, errnum == EACCES ? RB_EDENIED : RB_ENOENT, errnum, "can not enter the folder %s",
                          program->cwd);
    case RB_SHIM_STEP_EXEC:
        if (program->cwd[0])
            dir = open(program->cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);
        rc = rb_proc_explain(errnum, dir, program->path, program->cwd[0] ? program->cwd : NULL, &program->size, err);
        if (dir >= 0)
            close(dir);
        return rc;
    case RB_SHIM_STEP_REQUEST: return rb_err_set(err, RB_EIO, "%s was not started: its request was cut", program->path);
    default: return rb_err_sys(err, RB_EIO, errnum, "can not start %s", program->path);
    }
}
