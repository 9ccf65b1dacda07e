/* Children for real: what comes back of them, how they end, and that nothing of them stays. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/pidfd.h>

#include "proc_child.h"

static char self[4096]; /* this program's file */

static char state_of(int pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (f) {
        if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            state = 0;
        fclose(f);
    }
    return state;
}

/* Waits for the end of a process that is not our child. */
static void await_gone(int pid)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0) {
        if (errno == ENOSYS) /* valgrind does not know it */
            while (state_of(pid) != 0 && state_of(pid) != 'Z')
                sched_yield();
        else
            assert_int_equal(errno, ESRCH);
        return;
    }
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&pfd, 1, 60000), 1);
    close(fd);
}

/* -- what comes back ----------------------------------------------------------------------------------------------- */

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

/* -- standard input ------------------------------------------------------------------------------------------------ */

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

/* -- the end ------------------------------------------------------------------------------------------------------- */

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
    const char *argv[] = {self, "--child", "bye", NULL};
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
    snprintf(path, sizeof(path), "/tmp/rb_test_proc.%d", (int)getpid());
    const char *argv[] = {self, "--child", "group", path, NULL};
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
    return readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ? -1 : first_loop(state);
}

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
        T(test_hundreds_at_once),
    };
    return cmocka_run_group_tests_name("proc", tests, group_setup, NULL);
}
