/* What the tests of receipts share: a root, a command with its outcome, and hosts that are killed. A "host" that is to
 * be killed is a forked process of the test with a loop of its own; it is awaited and killed through pipes and FIFOs,
 * never by time. */
#ifndef RB_TEST_RECEIPT_FIXTURE_H
#define RB_TEST_RECEIPT_FIXTURE_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "io/receipt_files.h"
#include "loop_fixture.h"

#define ENV_PATH "PATH=/usr/local/bin:/usr/bin:/bin"

/* One command of a test and, after its end, what is known of it. */
struct outcome {
    struct rb_receipt *receipt;
    int done;
    struct rb_receipt_result r;
    char *out, *err;
    uint64_t live[3];
    int pid;                                                  /* as it was known with the first output */
    enum { NEVER, KILL, KILL_NOW, DETACH, SUICIDE } on_first; /* what the first output makes us do */
};

static struct rb_receipts *receipts;
static char folder[256], root[300];
static const char *const plain_env[] = {ENV_PATH, "LC_ALL=C", NULL};

static inline void open_host(void)
{
    struct rb_err err = {0};
    assert_int_equal(rb_loop_init(&loop, &err), RB_OK);
    rb_receipts_open(root, &receipts, &err);
    assert_string_equal(err.msg, "");
    waiting = 0;
}

static inline void close_host(void)
{
    rb_receipts_close(receipts);
    assert_int_equal(rb_loop_release(&loop), 0);
}

static inline int setup(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    fds_before = count_fds();
    snprintf(folder, sizeof(folder), "%s/rb-receipt-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder)); /* 0700 */
    snprintf(root, sizeof(root), "%s/state/receipts", folder);
    open_host();
    return 0;
}

static inline void remove_tree(const char *path)
{
    char command[700];
    snprintf(command, sizeof(command), "chmod -R u+rwx '%s'; rm -rf '%s'", path, path);
    assert_int_equal(system(command), 0);
}

static inline int teardown(void **state)
{
    (void)state;
    unsetenv("RBHOST_SHIM_FAULT");
    close_host();
    assert_int_equal(count_fds(), fds_before);
    assert_no_child();
    remove_tree(folder);
    return 0;
}

static inline void on_output(void *arg, int stream, const char *data, size_t len)
{
    struct outcome *o = arg;
    assert_non_null(data);
    o->live[stream] += len;
    o->pid = rb_receipt_pid(o->receipt);
    if (o->on_first == KILL)
        rb_receipt_kill(o->receipt);
    if (o->on_first == KILL_NOW)
        rb_receipt_kill_now(o->receipt);
    if (o->on_first == SUICIDE)
        raise(SIGKILL);
    if (o->on_first == DETACH) {
        rb_receipt_detach(o->receipt);
        rb_loop_stop(&loop);
    }
}

static inline void on_done(void *arg, struct rb_receipt_result *result)
{
    struct outcome *o = arg;
    o->done++;
    rb_receipt_kill(o->receipt); /* harmless */
    rb_receipt_kill_now(o->receipt);
    o->r = *result;
    o->out = rb_buf_detach(&result->proc.out.buf);
    o->err = rb_buf_detach(&result->proc.err.buf);
    one_has_ended();
}

static inline struct rb_proc_options options(struct outcome *o, const char *const *argv)
{
    *o = (struct outcome){0};
    return (struct rb_proc_options){
        .argv = argv,
        .envp = plain_env,
        .cwd = folder,
        .max_output = 1 << 20,
        .grace_ms = 60000,
        .drain_ms = 60000,
        .on_output = on_output,
        .arg = o,
    };
}

static inline void start(struct outcome *o, const char *id, const struct rb_proc_options *opt)
{
    struct rb_err err = {0};
    rb_receipt_start(receipts, &loop, id, opt, on_done, &o->receipt, &err);
    assert_string_equal(err.msg, "");
    assert_int_equal(o->done, 0);
    waiting++;
}

static inline void run(struct outcome *o, const char *id, const struct rb_proc_options *opt)
{
    start(o, id, opt);
    rb_loop_run(&loop);
    assert_int_equal(o->done, 1);
}

static inline void run_sh(struct outcome *o, const char *id, const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct rb_proc_options opt = options(o, argv);
    run(o, id, &opt);
}

/* o->on_first may have been set. */
static inline void look_at(struct outcome *o, const char *id, const struct rb_receipt_place *place)
{
    struct rb_err err = {0};
    int on_first = o->on_first;
    struct rb_proc_options opt = options(o, NULL);
    o->on_first = on_first;
    assert_int_equal(rb_receipt_look(receipts, &loop, place, id, &opt, on_done, &o->receipt, &err), RB_OK);
    assert_int_equal(o->done, 0);
    waiting++;
}

static inline void look(struct outcome *o, const char *id)
{
    look_at(o, id, rb_receipts_place(receipts));
    rb_loop_run(&loop);
}

static inline void drop(struct outcome *o)
{
    free(o->out);
    free(o->err);
}

/* -- files --------------------------------------------------------------------------------------------------------- */

/* What a file below folder holds, in a buffer that the next call takes again; "" when there is none. */
static inline const char *text_of(const char *name)
{
    static char text[65536];
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static inline int mode_of(const char *name)
{
    struct stat st;
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return stat(path, &st) ? -1 : (int)(st.st_mode & 07777);
}

static inline void make_fifo(const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(mkfifo(path, 0600), 0);
}

/* Opens and closes a FIFO for writing: whoever reads it goes on. Waits until somebody does. */
static inline void let_on(const char *name)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    close(fd);
}

/* Waits until somebody has opened the FIFO for writing, and reads to its end. */
static inline void await(const char *name)
{
    char path[600], text[64];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    while (read(fd, text, sizeof(text)) > 0)
        ;
    close(fd);
}

/* -- processes ----------------------------------------------------------------------------------------------------- */

/* Waits for the end of a process that need not be our child. */
static inline void await_gone(pid_t pid)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0) {
        assert_int_equal(errno, ESRCH);
        return;
    }
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&pfd, 1, 60000), 1);
    close(fd);
}

/* A host of its own, in another process: starts the script and lives until it is killed. */
static inline pid_t host_with(const char *id, struct rb_proc_options *opt)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    struct outcome *o = opt->arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail */
    open_host();
    start(o, id, opt);
    rb_loop_run(&loop);
    for (;;)
        pause();
}

static inline pid_t host_sh(const char *id, const char *script)
{
    static struct outcome o;
    const char *argv[] = {"sh", "-c", script, NULL};
    struct rb_proc_options opt = options(&o, argv);
    return host_with(id, &opt);
}

static inline void kill_host(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static inline struct rb_receipt_lock lock_of(const char *id)
{
    struct rb_receipt_lock lock;
    struct rb_err err = {0};
    rb_receipt_read_lock(receipts->root, id, &lock, &err);
    assert_string_equal(err.msg, "");
    return lock;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
