/* Children for real: what they are given, what comes back, how they end, and that nothing of them stays. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/proc.h"
#include "io/timer.h"

#define ENV_PATH "PATH=/usr/local/bin:/usr/bin:/bin"

/* One child of a test and, after its end, what is known of it. */
struct child {
    struct rb_proc *proc;
    int pid;
    int done;
    struct rb_proc_result r; /* the captures' buffers are copied to out and err */
    char *out, *err;
    size_t out_len, err_len;
    uint64_t live[3];
    enum { NEVER, KILL, KILL_NOW, BOTH } on_first; /* what the first output makes us do */
    uint64_t kill_at;                             /* after so many bytes */
};

static struct rb_loop loop;
static int waiting;
static int fds_before;
static char dir[] = "/tmp/rb_test_proc.XXXXXX";

static const char *const plain_env[] = {ENV_PATH, "LC_ALL=C", NULL};

static int count_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int setup(void **state)
{
    (void)state;
    struct rb_err err;
    fds_before = count_fds();
    waiting = 0;
    return rb_loop_init(&loop, &err);
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(rb_loop_release(&loop), 0);
    assert_int_equal(count_fds(), fds_before);
    errno = 0;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left, not even a zombie */
    assert_int_equal(errno, ECHILD);
    return 0;
}

static void on_output(void *arg, int stream, const char *data, size_t len)
{
    struct child *c = arg;
    assert_non_null(data);
    assert_true(stream == 1 || stream == 2);
    c->live[stream] += len;
    if (c->on_first == NEVER || c->live[stream] < c->kill_at)
        return;
    if (c->on_first != KILL_NOW)
        rb_proc_kill(c->proc);
    if (c->on_first != KILL)
        rb_proc_kill_now(c->proc);
    rb_proc_kill(c->proc); /* more often is harmless */
}

static void on_done(void *arg, struct rb_proc_result *result)
{
    struct child *c = arg;
    c->done++;
    rb_proc_kill(c->proc);
    rb_proc_kill_now(c->proc);
    c->r = *result;
    c->out_len = result->out.buf.len;
    c->err_len = result->err.buf.len;
    c->out = rb_buf_detach(&result->out.buf);
    c->err = rb_buf_detach(&result->err.buf);
    if (--waiting == 0)
        rb_loop_stop(&loop);
}

static struct rb_proc_options options(struct child *c, const char *const *argv)
{
    *c = (struct child){.kill_at = 1};
    return (struct rb_proc_options){
        .argv = argv,
        .envp = plain_env,
        .max_output = 1 << 20,
        .grace_ms = 60000,
        .drain_ms = 60000,
        .on_output = on_output,
        .on_done = on_done,
        .arg = c,
    };
}

static void start(struct child *c, const struct rb_proc_options *opt)
{
    struct rb_err err = {0};
    int rc = rb_proc_start(&loop, opt, &c->proc, &err);
    assert_string_equal(err.msg, "");
    assert_int_equal(rc, RB_OK);
    c->pid = rb_proc_pid(c->proc);
    assert_true(c->pid > 1);
    assert_int_equal(c->done, 0);
    waiting++;
}

static void run(struct child *c, const struct rb_proc_options *opt)
{
    start(c, opt);
    rb_loop_run(&loop);
    assert_int_equal(c->done, 1);
    assert_true(c->r.ended >= c->r.started);
}

static void drop(struct child *c)
{
    free(c->out);
    free(c->err);
}

static void run_sh(struct child *c, const char *script)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct rb_proc_options opt = options(c, argv);
    run(c, &opt);
}

/* Waits for the end of a process that is not our child. */
static void await_gone(int pid)
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

/* -- what comes back ---------------------------------------------------------------------------------------------- */

static void test_exit_code_and_both_streams(void **state)
{
    (void)state;
    struct child c;
    uint8_t digest[RB_SHA_LEN];
    run_sh(&c, "printf 'to \\000 out'; printf 'to err' >&2; exit 7");
    assert_int_equal(c.r.end, RB_PROC_EXITED);
    assert_int_equal(c.r.code, 7);
    assert_int_equal(c.r.signal, 0);
    assert_int_equal(c.out_len, 8);
    assert_memory_equal(c.out, "to \0 out", 8);
    assert_string_equal(c.err, "to err");
    assert_int_equal(c.r.out.total, 8);
    assert_int_equal(c.live[1], 8);
    assert_int_equal(c.live[2], 6);
    rb_sha("to \0 out", 8, digest);
    assert_memory_equal(c.r.out.digest, digest, RB_SHA_LEN);
    assert_false(c.r.held_open);
    assert_false(c.r.stdin_short);
    drop(&c);
}

static void test_exit_code_255(void **state)
{
    (void)state;
    struct child c;
    run_sh(&c, "exit 255");
    assert_int_equal(c.r.code, 255);
    assert_int_equal(c.r.signal, 0);
    drop(&c);
}

static void test_ended_by_a_signal(void **state)
{
    (void)state;
    struct child c;
    run_sh(&c, "kill -9 $$");
    assert_int_equal(c.r.end, RB_PROC_EXITED);
    assert_int_equal(c.r.code, -1);
    assert_int_equal(c.r.signal, SIGKILL);
    drop(&c);
}

static void test_output_over_the_cap_is_cut_and_digested(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"sh", "-c", "yes | head -c 3000000", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.max_output = 1001;
    run(&c, &opt);
    assert_int_equal(c.out_len, 1001);
    assert_int_equal(c.r.out.total, 3000000);
    assert_int_equal(c.live[1], 3000000);
    char *all = malloc(3000000);
    for (size_t i = 0; i < 3000000; i++)
        all[i] = i % 2 ? '\n' : 'y';
    uint8_t digest[RB_SHA_LEN];
    rb_sha(all, 3000000, digest);
    assert_memory_equal(c.r.out.digest, digest, RB_SHA_LEN);
    assert_memory_equal(c.out, all, 1001);
    free(all);
    drop(&c);
}

static void test_cap_of_zero(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"echo", "hello", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.max_output = 0;
    opt.on_output = NULL;
    run(&c, &opt);
    assert_int_equal(c.out_len, 0);
    assert_int_equal(c.r.out.total, 6);
    drop(&c);
}

/* What was written before the end is collected though nothing is waited for after it. */
static void test_no_drain_loses_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct child c;
        const char *argv[] = {"sh", "-c", "head -c 60000 /dev/zero; echo e >&2", NULL};
        struct rb_proc_options opt = options(&c, argv);
        opt.drain_ms = 0;
        run(&c, &opt);
        assert_int_equal(c.r.out.total, 60000);
        assert_int_equal(c.r.err.total, 2);
        assert_false(c.r.held_open);
        drop(&c);
    }
}

/* -- what the child is given -------------------------------------------------------------------------------------- */

static void test_no_descriptor_but_three(void **state)
{
    (void)state;
    struct child c;
    int leak = open("/dev/null", O_RDONLY); /* as left open by whoever started the host */
    int high = fcntl(leak, F_DUPFD, 200);
    const char *argv[] = {"ls", "/proc/self/fd", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.stdin_data = "x";
    opt.stdin_len = 1;
    run(&c, &opt);
    assert_string_equal(c.out, "0\n1\n2\n3\n"); /* 3 is ls's own, on the folder it lists */
    assert_string_equal(c.err, "");
    close(leak);
    close(high);
    drop(&c);
}

static void test_streams_are_null_and_pipes(void **state)
{
    (void)state;
    struct child c;
    run_sh(&c, "cat; for i in 0 1 2; do readlink /proc/$$/fd/$i | sed 's/:.*//'; done");
    assert_string_equal(c.out, "/dev/null\npipe\npipe\n");
    drop(&c);
}

static void test_signals_at_their_default(void **state)
{
    (void)state;
    struct child c;
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGHUP, SIG_IGN);
    const char *argv[] = {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
    struct rb_proc_options opt = options(&c, argv);
    run(&c, &opt);
    signal(SIGHUP, SIG_DFL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    assert_string_equal(c.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    drop(&c);
}

static void test_session_and_group_of_its_own(void **state)
{
    (void)state;
    struct child c;
    int pid, ppid, pgrp, session;
    run_sh(&c, "read -r line </proc/$$/stat; echo \"$line\"");
    assert_int_equal(sscanf(c.out, "%d (sh) %*c %d %d %d", &pid, &ppid, &pgrp, &session), 4);
    assert_int_equal(pid, c.pid);
    assert_int_equal(ppid, getpid());
    assert_int_equal(pgrp, c.pid);
    assert_int_equal(session, c.pid);
    drop(&c);
}

static void test_environment_is_all_it_gets(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"env", NULL};
    const char *env[] = {"A=1", ENV_PATH, "B=", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.envp = env;
    run(&c, &opt);
    assert_string_equal(c.out, "A=1\n" ENV_PATH "\nB=\n");
    drop(&c);
    opt = options(&c, argv);
    opt.envp = NULL; /* no PATH either: the usual one is searched */
    run(&c, &opt);
    assert_string_equal(c.out, "");
    assert_int_equal(c.r.code, 0);
    drop(&c);
}

/* -- standard input ----------------------------------------------------------------------------------------------- */

static void test_large_input_while_output_flows_back(void **state)
{
    (void)state;
    struct child c;
    size_t len = 50u << 20;
    char *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    const char *argv[] = {"cat", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.stdin_data = data;
    opt.stdin_len = len;
    start(&c, &opt);
    uint8_t digest[RB_SHA_LEN];
    rb_sha(data, len, digest);
    memset(data, 0, len); /* it was copied */
    free(data);
    rb_loop_run(&loop);
    assert_int_equal(c.r.code, 0);
    assert_int_equal(c.r.out.total, len);
    assert_int_equal(c.out_len, 1 << 20);
    assert_memory_equal(c.r.out.digest, digest, RB_SHA_LEN);
    assert_false(c.r.stdin_short);
    drop(&c);
}

static void test_input_that_nobody_reads(void **state)
{
    (void)state;
    struct child c;
    char *data = calloc(1, 1 << 20);
    const char *argv[] = {"sh", "-c", "exec <&-; echo closed; exit 3", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.stdin_data = data;
    opt.stdin_len = 1 << 20;
    run(&c, &opt);
    assert_int_equal(c.r.code, 3);
    assert_string_equal(c.out, "closed\n");
    assert_true(c.r.stdin_short);
    free(data);
    drop(&c);
}

static void test_empty_input_is_a_pipe_at_its_end(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"sh", "-c", "cat; readlink /proc/self/fd/0 | sed 's/:.*//'", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.stdin_data = "";
    run(&c, &opt);
    assert_string_equal(c.out, "pipe\n");
    assert_false(c.r.stdin_short);
    drop(&c);
}

/* -- the end ------------------------------------------------------------------------------------------------------ */

static void test_time_out(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"sleep", "1000", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.timeout_ms = 30;
    run(&c, &opt);
    assert_int_equal(c.r.end, RB_PROC_TIMED_OUT);
    assert_int_equal(c.r.signal, SIGTERM);
    assert_int_equal(c.r.code, -1);
    assert_true(c.r.ended - c.r.started >= 30000);
    drop(&c);
}

static void test_time_out_that_does_not_come(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"true", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.timeout_ms = UINT64_MAX; /* and no arithmetic overflows */
    run(&c, &opt);
    assert_int_equal(c.r.end, RB_PROC_EXITED);
    assert_int_equal(c.r.code, 0);
    drop(&c);
}

static void test_ignored_term_is_followed_by_kill(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"sh", "-c", "trap '' TERM; echo ready; sleep 1000; sleep 1000", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.grace_ms = 30;
    c.on_first = KILL;
    run(&c, &opt);
    assert_int_equal(c.r.end, RB_PROC_KILLED);
    assert_int_equal(c.r.signal, SIGKILL);
    assert_false(c.r.held_open); /* its sleep, too, is gone */
    drop(&c);
}

static void test_exit_code_chosen_on_term(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"/proc/self/exe", "--child", "bye", NULL};
    struct rb_proc_options opt = options(&c, argv);
    c.on_first = KILL;
    run(&c, &opt);
    assert_int_equal(c.r.end, RB_PROC_KILLED);
    assert_int_equal(c.r.code, 42);
    assert_string_equal(c.out, "ready\nbye\n");
    drop(&c);
}

static void test_kill_now(void **state)
{
    (void)state;
    for (int both = 0; both < 2; both++) {
        struct child c;
        const char *argv[] = {"sh", "-c", "trap '' TERM; echo ready; sleep 1000; sleep 1000", NULL};
        struct rb_proc_options opt = options(&c, argv);
        c.on_first = both ? BOTH : KILL_NOW;
        run(&c, &opt);
        assert_int_equal(c.r.end, RB_PROC_KILLED);
        assert_int_equal(c.r.signal, SIGKILL);
        drop(&c);
    }
}

static void test_stopped_child_can_be_ended(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"sh", "-c", "echo ready; kill -STOP $$; sleep 1000", NULL};
    struct rb_proc_options opt = options(&c, argv);
    c.on_first = KILL;
    run(&c, &opt);
    assert_int_equal(c.r.signal, SIGTERM);
    drop(&c);
}

static void test_endless_output_ends_when_killed(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"yes", NULL};
    struct rb_proc_options opt = options(&c, argv);
    c.on_first = KILL;
    c.kill_at = 8u << 20;
    run(&c, &opt);
    assert_int_equal(c.r.signal, SIGTERM);
    assert_true(c.r.out.total >= 8u << 20);
    assert_int_equal(c.out_len, 1 << 20);
    drop(&c);
}

/* The leader ends on TERM, a member of its group does not and holds none of our pipes. */
static void test_kill_reaches_the_group_without_its_leader(void **state)
{
    (void)state;
    struct child c;
    const char *script = "sh -c 'trap \"\" TERM; echo $$; exec sleep 1000 >/dev/null 2>&1' & wait";
    const char *argv[] = {"sh", "-c", script, NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.grace_ms = 50;
    c.on_first = KILL;
    run(&c, &opt);
    assert_int_equal(c.r.end, RB_PROC_KILLED);
    assert_int_equal(c.r.signal, SIGTERM);
    int member = atoi(c.out);
    assert_true(member > 1);
    await_gone(member);
    drop(&c);
}

/* The leader ends on TERM; the other member needs its time, gets it, and on_done waits for it. */
static void test_group_has_its_grace_after_the_leader(void **state)
{
    (void)state;
    struct child c;
    char path[64];
    snprintf(path, sizeof(path), "%s/cleaned", dir);
    const char *argv[] = {"/proc/self/exe", "--child", "group", path, NULL};
    struct rb_proc_options opt = options(&c, argv);
    c.on_first = KILL;
    run(&c, &opt);
    assert_int_equal(c.r.signal, SIGTERM);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    drop(&c);
}

static void test_output_held_open_by_a_descendant(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"sh", "-c", "sleep 1000 & echo $!; exit 5", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.drain_ms = 50;
    run(&c, &opt);
    assert_int_equal(c.r.end, RB_PROC_EXITED);
    assert_int_equal(c.r.code, 5);
    assert_true(c.r.held_open);
    int member = atoi(c.out);
    assert_int_equal(kill(member, SIGKILL), 0); /* nobody had told it to end */
    await_gone(member);
    drop(&c);
}

/* Looks each turn whether the child is reaped and then wants it killed. */
struct watch {
    struct rb_turn turn;
    struct child *c;
    bool now;
    bool told;
};

static void on_turn(struct rb_turn *t)
{
    struct watch *w = RB_CONTAINER(t, struct watch, turn);
    if (w->told)
        return;
    if (w->c->live[1] && kill(w->c->pid, 0) == -1) {
        w->told = true;
        if (w->now)
            rb_proc_kill_now(w->c->proc);
        else
            rb_proc_kill(w->c->proc);
        assert_int_equal(w->c->done, 0); /* never from within the call */
    } else {
        rb_loop_again(&loop);
    }
}

static void test_kill_while_only_the_output_is_open(void **state)
{
    (void)state;
    for (int now = 0; now < 2; now++) {
        struct child c;
        const char *argv[] = {"sh", "-c", "sleep 1000 & echo $!", NULL};
        struct rb_proc_options opt = options(&c, argv);
        struct watch w = {.turn.run = on_turn, .c = &c, .now = now};
        rb_loop_turn_add(&loop, &w.turn);
        run(&c, &opt);
        rb_loop_turn_remove(&loop, &w.turn);
        assert_true(w.told);
        assert_int_equal(c.r.end, RB_PROC_EXITED);
        assert_int_equal(c.r.code, 0);
        assert_false(c.r.held_open);
        await_gone(atoi(c.out));
        drop(&c);
    }
}

/* -- commands that do not start ----------------------------------------------------------------------------------- */

static void make_file(const char *name, const char *text, size_t len, mode_t mode)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void expect_refusal(const char *name, const char *cwd, const char *const *env, int code, const char *words)
{
    struct child c;
    struct rb_err err = {0};
    struct rb_proc *p = NULL;
    const char *argv[] = {name, "x", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.cwd = cwd;
    opt.envp = env ? env : plain_env;
    int rc = rb_proc_start(&loop, &opt, &p, &err);
    if (rc != code || !strstr(err.msg, words))
        fail_msg("%s: %d \"%s\" where %d \"%s\" was expected", name ? name : "NULL", rc, err.msg, code, words);
    assert_int_equal(err.code, code);
    assert_null(p);
    assert_int_equal(c.done, 0);
}

static void test_words_for_each_refusal(void **state)
{
    (void)state;
    char env_dir[128], env_two[160];
    snprintf(env_dir, sizeof(env_dir), "PATH=%s", dir);
    snprintf(env_two, sizeof(env_two), "PATH=/nowhere:%s:/usr/bin", dir);
    const char *env[] = {env_dir, NULL}, *two[] = {env_two, NULL}, *empty[] = {"PATH=", NULL};
    char name[4200];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';

    make_file("plain", "text\n", 5, 0644);
    make_file("lost", "#! /no/such/interpreter -x\n", 27, 0755);
    make_file("windows", "#!/bin/sh\r\necho\r\n", 17, 0755);
    make_file("weak", "#!/etc/passwd\n", 14, 0755);
    make_file("foreign", "\x7f" "ELF\0\0\0\0", 8, 0755);
    char sub[128];
    snprintf(sub, sizeof(sub), "%s/sub", dir);
    assert_int_equal(mkdir(sub, 0755), 0);

    expect_refusal(NULL, NULL, NULL, RB_EINVAL, "empty");
    expect_refusal("", NULL, NULL, RB_EINVAL, "empty string");
    expect_refusal("no-such-command", NULL, NULL, RB_ENOENT, "no command no-such-command in PATH (/usr/local/bin:");
    expect_refusal("sh", NULL, empty, RB_ENOENT, "PATH is empty");
    expect_refusal("/no/such", NULL, NULL, RB_ENOENT, "there is no command /no/such");
    expect_refusal("/etc/passwd/x", NULL, NULL, RB_ENOENT, "there is no command");
    expect_refusal("./no-such", dir, NULL, RB_ENOENT, "./no-such in the folder /tmp/");
    expect_refusal("/tmp", NULL, NULL, RB_EDENIED, "/tmp is a directory");
    expect_refusal("./plain", dir, NULL, RB_EDENIED, "./plain is not executable");
    expect_refusal("plain", NULL, env, RB_EDENIED, "/plain is not executable, and no other plain is in PATH");
    expect_refusal("sub", NULL, two, RB_EDENIED, "/sub is a directory");
    expect_refusal("/dev/null", NULL, NULL, RB_EDENIED, "not executable");
    expect_refusal("./lost", dir, NULL, RB_ENOENT, "the interpreter \"/no/such/interpreter\" that ./lost names");
    expect_refusal("lost", NULL, env, RB_ENOENT, "the interpreter \"/no/such/interpreter\"");
    expect_refusal("./windows", dir, NULL, RB_ENOENT, "\"/bin/sh\\r\"");
    expect_refusal("./weak", dir, NULL, RB_EDENIED, "\"/etc/passwd\" that ./weak names can not be executed");
    expect_refusal("./foreign", dir, NULL, RB_EDENIED, "not a program for this machine");
    expect_refusal("true", "/no/such/folder", NULL, RB_ENOENT, "can not enter the folder /no/such/folder");
    expect_refusal("true", "/etc/passwd", NULL, RB_ENOENT, "can not enter the folder /etc/passwd: Not a directory");
    expect_refusal("true", "", NULL, RB_ENOENT, "can not enter the folder");
    expect_refusal(name, NULL, NULL, RB_ENOENT, "there is no command");
    name[10] = '/';
    expect_refusal(name, NULL, NULL, RB_ENOENT, "there is no command");

    assert_int_equal(rmdir(sub), 0);
}

static void test_argument_list_too_long(void **state)
{
    (void)state;
    struct child c;
    struct rb_err err;
    char *big = malloc(200001);
    memset(big, 'a', 200000);
    big[200000] = '\0';
    const char *one[] = {"true", big, NULL};
    struct rb_proc_options opt = options(&c, one);
    assert_int_equal(rb_proc_start(&loop, &opt, &c.proc, &err), RB_EIO);
    assert_non_null(strstr(err.msg, "argument list too long: one argument or variable has 200000 bytes"));

    big[100000] = '\0';
    const char **many = calloc(402, sizeof(*many));
    many[0] = "true";
    for (int i = 1; i <= 400; i++)
        many[i] = big;
    opt = options(&c, many);
    assert_int_equal(rb_proc_start(&loop, &opt, &c.proc, &err), RB_EIO);
    assert_non_null(strstr(err.msg, "argument list too long: arguments and environment need 40"));
    free(many);
    free(big);
}

/* With each number of free descriptors: either a refusal in words and no child, or a whole child. */
static void test_descriptors_run_out(void **state)
{
    (void)state;
    struct rlimit old, low;
    int refused = 0, ran = 0;
    struct rb_err err;
    assert_int_equal(rb_timer_open(&loop, &err), RB_OK);
    getrlimit(RLIMIT_NOFILE, &old);
    int next = fcntl(0, F_DUPFD_CLOEXEC, 3); /* the lowest that is free */
    close(next);
    for (int n = 0; n < 16; n++) {
        struct child c;
        const char *argv[] = {"cat", NULL};
        struct rb_proc_options opt = options(&c, argv);
        opt.cwd = "/";
        opt.stdin_data = "abc";
        opt.stdin_len = 3;
        low = (struct rlimit){.rlim_cur = (rlim_t)(next + n), .rlim_max = old.rlim_max};
        setrlimit(RLIMIT_NOFILE, &low);
        int rc = rb_proc_start(&loop, &opt, &c.proc, &err);
        if (rc == RB_OK) {
            waiting++;
            rb_loop_run(&loop);
        }
        setrlimit(RLIMIT_NOFILE, &old);
        if (rc == RB_OK) {
            assert_string_equal(c.out, "abc");
            drop(&c);
            ran++;
        } else {
            assert_int_equal(rc, RB_EIO);
            assert_non_null(strstr(err.msg, "Too many open files"));
            refused++;
        }
        uv_run(&loop.uv, UV_RUN_NOWAIT); /* close callbacks of the refused one */
    }
    assert_true(refused >= 6);
    assert_true(ran >= 1);
}

/* -- commands that do --------------------------------------------------------------------------------------------- */

static void expect_output(const char *name, const char *cwd, const char *path, const char *output)
{
    struct child c;
    const char *argv[] = {name, "one", "two words", NULL};
    const char *env[] = {path, NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.cwd = cwd;
    opt.envp = env;
    run(&c, &opt);
    assert_string_equal(c.err, "");
    assert_string_equal(c.out, output);
    assert_int_equal(c.r.code, 0);
    drop(&c);
}

static void test_where_commands_are_found(void **state)
{
    (void)state;
    char path[160];
    const char *text = "echo \"$1,$2,$#\"\n";
    make_file("noline", text, strlen(text), 0755); /* no "#!": the shell's */
    make_file("-dash", text, strlen(text), 0755);
    make_file("empty", "", 0, 0755);
    make_file("withline", "#!/bin/sh\necho \"$1,$2,$#\"\n", 26, 0755);
    make_file("true", "not executable", 14, 0644); /* passed over for the next one */

    expect_output("./noline", dir, ENV_PATH, "one,two words,2\n");
    expect_output("./empty", dir, ENV_PATH, "");
    expect_output("noline", dir, "PATH=.", "one,two words,2\n");
    expect_output("noline", dir, "PATH=:/bin", "one,two words,2\n");
    expect_output("-dash", dir, "PATH=/bin:", "one,two words,2\n");
    expect_output("withline", NULL, (snprintf(path, sizeof(path), "PATH=/nowhere:%s:/bin", dir), path),
                  "one,two words,2\n");
    expect_output("true", NULL, (snprintf(path, sizeof(path), "PATH=%s:/usr/bin:/bin", dir), path), "");
    expect_output("echo", "/", "NOPATH=1", "one two words\n");
    snprintf(path, sizeof(path), "%s/withline", dir);
    expect_output(path, "/", ENV_PATH, "one,two words,2\n");
}

static void test_folder_is_the_childs(void **state)
{
    (void)state;
    struct child c;
    const char *argv[] = {"pwd", NULL};
    struct rb_proc_options opt = options(&c, argv);
    opt.cwd = "/usr";
    run(&c, &opt);
    assert_string_equal(c.out, "/usr\n");
    drop(&c);
}

static void test_hundreds_at_once(void **state)
{
    (void)state;
    enum { N = 300 };
    static struct child c[N];
    static char text[N][32];
    for (int i = 0; i < N; i++) {
        const char *argv[] = {"sh", "-c", "cat; echo e >&2; exit $0", i % 2 ? "1" : "0", NULL};
        struct rb_proc_options opt = options(&c[i], argv);
        snprintf(text[i], sizeof(text[i]), "child %d\n", i);
        opt.stdin_data = text[i];
        opt.stdin_len = strlen(text[i]);
        opt.timeout_ms = 600000;
        start(&c[i], &opt);
    }
    rb_loop_run(&loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(c[i].done, 1);
        assert_int_equal(c[i].r.code, i % 2);
        assert_string_equal(c[i].out, text[i]);
        assert_string_equal(c[i].err, "e\n");
        drop(&c[i]);
    }
}

/* -- this program as a child: where a shell would lose a signal between its fork and its exec ---------------------- */

static void await_term(void)
{
    sigset_t term;
    int signum;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigwait(&term, &signum);
}

static int say(const char *text)
{
    return write(1, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : 1;
}

static int child_main(const char *mode, const char *path)
{
    sigset_t term;
    int fds[2];
    char byte;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    if (strcmp(mode, "bye") == 0) {
        if (say("ready\n"))
            return 1;
        await_term();
        return say("bye\n") ? 1 : 42;
    }
    /* "group": the leader ends on TERM at once. The member has given up our pipes, takes its TERM, waits until the
     * leader is gone and only then does what is to be seen. */
    if (pipe2(fds, O_CLOEXEC))
        return 1;
    pid_t member = fork();
    if (member != 0) {
        sigprocmask(SIG_UNBLOCK, &term, NULL);
        if (member < 0 || say("ready\n"))
            return 1;
        pause();
        return 1;
    }
    close(fds[1]);
    close(1);
    close(2);
    await_term();
    if (read(fds[0], &byte, 1) != 0)
        return 1;
    return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0;
}

static int group_setup(void **state)
{
    (void)state;
    struct rb_err err;
    if (!mkdtemp(dir) || rb_loop_init(&loop, &err)) /* the first loop opens what libuv keeps for the process's life */
        return -1;
    return rb_loop_release(&loop);
}

static int group_teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"plain", "lost", "windows", "weak", "foreign", "noline", "-dash", "empty", "withline",
                                        "true"};
    for (size_t i = 0; i < RB_COUNT(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--child") == 0)
        return child_main(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        T(test_exit_code_and_both_streams),
        T(test_exit_code_255),
        T(test_ended_by_a_signal),
        T(test_output_over_the_cap_is_cut_and_digested),
        T(test_cap_of_zero),
        T(test_no_drain_loses_nothing),
        T(test_no_descriptor_but_three),
        T(test_streams_are_null_and_pipes),
        T(test_signals_at_their_default),
        T(test_session_and_group_of_its_own),
        T(test_environment_is_all_it_gets),
        T(test_large_input_while_output_flows_back),
        T(test_input_that_nobody_reads),
        T(test_empty_input_is_a_pipe_at_its_end),
        T(test_time_out),
        T(test_time_out_that_does_not_come),
        T(test_ignored_term_is_followed_by_kill),
        T(test_exit_code_chosen_on_term),
        T(test_kill_now),
        T(test_stopped_child_can_be_ended),
        T(test_endless_output_ends_when_killed),
        T(test_kill_reaches_the_group_without_its_leader),
        T(test_group_has_its_grace_after_the_leader),
        T(test_output_held_open_by_a_descendant),
        T(test_kill_while_only_the_output_is_open),
        T(test_words_for_each_refusal),
        T(test_argument_list_too_long),
        T(test_descriptors_run_out),
        T(test_where_commands_are_found),
        T(test_folder_is_the_childs),
        T(test_hundreds_at_once),
    };
    alarm(300); /* a hang is a failure */
    return cmocka_run_group_tests_name("proc", tests, group_setup, group_teardown);
}
