/* What is said of a command after its host, its shim or itself was killed. */
#include "receipt_fixture.h"

static void test_host_killed_in_the_middle(void **state)
{
    (void)state;
    struct outcome o = {0};
    make_fifo("begun");
    make_fifo("go");
    pid_t host = host_sh("a", "echo x >> f; echo one; echo > begun; read w < go; echo y >> f; echo two; exit 3");
    await("begun");
    kill_host(host);
    look_at(&o, "a", rb_receipts_place(receipts));
    let_on("go");
    rb_loop_run(&loop);
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.code, 3);
    assert_string_equal(o.out, "one\ntwo\n");
    assert_string_equal(text_of("f"), "x\ny\n");
    drop(&o);
}

static void test_host_killed_and_command_ended(void **state)
{
    (void)state;
    struct outcome o = {0};
    make_fifo("begun");
    pid_t host = host_sh("a", "echo x >> f; echo one; echo > begun; exit 4");
    await("begun");
    kill_host(host);
    await_gone((pid_t)lock_of("a").shim);
    look(&o, "a");
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.code, 4);
    assert_string_equal(o.out, "one\n");
    assert_string_equal(text_of("f"), "x\n");
    drop(&o);
}

/* Its host, then its shim: the command goes on, and nobody can say how it ended. */
static void test_shim_killed(void **state)
{
    (void)state;
    struct outcome o = {0};
    make_fifo("begun");
    make_fifo("go");
    pid_t host = host_sh("a", "echo x >> f; echo one; until [ -s state/receipts/a/out ]; do sleep 0.01; done;"
                              "echo > begun; read w < go; echo y >> f; exit 3");
    await("begun");
    kill_host(host);
    pid_t shim = (pid_t)lock_of("a").shim;
    kill(shim, SIGKILL);
    await_gone(shim);
    look_at(&o, "a", rb_receipts_place(receipts));
    let_on("go");
    rb_loop_run(&loop);
    assert_int_equal(o.r.state, RB_RECEIPT_UNKNOWN);
    assert_string_equal(o.r.why, "the program that kept its receipt was killed while it ran");
    assert_string_equal(text_of("f"), "x\ny\n"); /* it was waited for */
    assert_string_equal(o.out, "one\n");
    drop(&o);
}

static void test_shim_and_command_killed(void **state)
{
    (void)state;
    struct outcome o = {0};
    make_fifo("begun");
    pid_t host = host_sh("a", "echo > begun; exec sleep 1000");
    await("begun");
    struct rb_receipt_lock lock = lock_of("a");
    kill((pid_t)lock.shim, SIGKILL);
    kill((pid_t)lock.child, SIGKILL);
    await_gone((pid_t)lock.child);
    kill_host(host);
    look(&o, "a");
    assert_int_equal(o.r.state, RB_RECEIPT_UNKNOWN);
    drop(&o);
}

/* The host lives and sees its shim die: the same answers, without a crash. */
static void test_shim_killed_under_a_live_host(void **state)
{
    (void)state;
    struct outcome o;
    const char *argv[] = {"sh", "-c", "kill -9 $PPID; echo x >> f", NULL};
    struct rb_proc_options opt = options(&o, argv);
    run(&o, "a", &opt);
    assert_int_equal(o.r.state, RB_RECEIPT_UNKNOWN);
    assert_string_equal(text_of("f"), "x\n");
    drop(&o);
}

static void test_command_killed(void **state)
{
    (void)state;
    struct outcome o = {0};
    make_fifo("begun");
    pid_t host = host_sh("a", "echo > begun; exec sleep 1000");
    await("begun");
    kill_host(host);
    kill((pid_t)lock_of("a").child, SIGKILL);
    look(&o, "a");
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.end, RB_PROC_EXITED); /* not by us */
    assert_int_equal(o.r.proc.signal, SIGKILL);
    drop(&o);
}

/* -- never started ------------------------------------------------------------------------------------------------- */

static void test_absent_for_ever(void **state)
{
    (void)state;
    struct outcome o = {0};
    const char *argv[] = {"sh", "-c", "echo x >> f", NULL};
    look(&o, "a");
    assert_int_equal(o.r.state, RB_RECEIPT_ABSENT);
    drop(&o);
    struct rb_proc_options opt = options(&o, argv);
    run(&o, "a", &opt); /* the launch that comes late */
    assert_int_equal(o.r.state, RB_RECEIPT_REFUSED);
    assert_int_equal(o.r.err.code, RB_EEXIST);
    drop(&o);
    look(&o, "a");
    assert_int_equal(o.r.state, RB_RECEIPT_ABSENT);
    drop(&o);
    rb_receipts_forget(receipts, "a"); /* not even then */
    opt = options(&o, argv);
    run(&o, "b", &opt);
    drop(&o);
    assert_string_equal(text_of("f"), "x\n");
    close_host();
    open_host();
    look(&o, "a");
    assert_int_equal(o.r.state, RB_RECEIPT_ABSENT);
    assert_int_equal(mode_of("state/receipts/a/lock"), 0700);
    drop(&o);
}

/* Ten pairs of a launch and a look: the look says "absent" if and only if nothing has started and nothing will. */
static void test_looking_while_it_is_launched(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "echo x >> f", NULL};
    for (int i = 0; i < 10; i++) {
        struct outcome launched, seen = {0};
        char id[16];
        snprintf(id, sizeof(id), "race-%d", i);
        struct rb_proc_options opt = options(&launched, argv);
        unlinkat(AT_FDCWD, strcat(strcpy((char[600]){0}, folder), "/f"), 0);
        start(&launched, id, &opt);
        if (i % 2)
            while (i % 4 == 3 && mode_of("f") < 0)
                ;
        look_at(&seen, id, rb_receipts_place(receipts));
        rb_loop_run(&loop);
        bool absent = seen.r.state == RB_RECEIPT_ABSENT;
        assert_int_equal(launched.r.state, absent ? RB_RECEIPT_REFUSED : RB_RECEIPT_ENDED);
        assert_int_equal(seen.r.state, absent ? RB_RECEIPT_ABSENT : RB_RECEIPT_ENDED);
        assert_string_equal(text_of("f"), absent ? "" : "x\n");
        drop(&launched);
        drop(&seen);
    }
}

/* Twenty hosts, each a process with a loop of its own, launch the same: one of them starts it. */
static void test_twenty_hosts(void **state)
{
    (void)state;
    int gate[2], status, started = 0;
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < 20; i++) {
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid)
            continue;
        struct outcome o;
        char c;
        const char *argv[] = {"sh", "-c", "echo x >> f", NULL};
        close(gate[1]);
        open_host();
        while (read(gate[0], &c, 1) > 0)
            ;
        struct rb_proc_options opt = options(&o, argv);
        run(&o, "a", &opt);
        _exit(o.r.state == RB_RECEIPT_ENDED ? 1 : o.r.err.code == RB_EEXIST ? 0 : 2);
    }
    close(gate[0]);
    close(gate[1]); /* now all of them */
    while (wait(&status) > 0) {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        started += WEXITSTATUS(status);
    }
    assert_int_equal(started, 1);
    assert_string_equal(text_of("f"), "x\n");
}

/* -- elsewhere ----------------------------------------------------------------------------------------------------- */

static void elsewhere(const char *id, const struct rb_receipt_place *place, enum rb_receipt_state want,
                      const char *says)
{
    struct outcome o = {0};
    look_at(&o, id, place);
    rb_loop_run(&loop);
    assert_int_equal(o.r.state, want);
    if (!strstr(o.r.why, says))
        fail_msg("\"%s\" does not say \"%s\"", o.r.why, says);
    drop(&o);
}

static void test_another_place(void **state)
{
    (void)state;
    struct rb_receipt_place place = *rb_receipts_place(receipts);
    memset(place.root, '0', 32);
    elsewhere("a", &place, RB_RECEIPT_ELSEWHERE, "another folder of receipts");
    place = *rb_receipts_place(receipts);
    place.boot[0] ^= 1;
    elsewhere("a", &place, RB_RECEIPT_ELSEWHERE, "was started anew since");
    place = *rb_receipts_place(receipts);
    place.boot[strlen(place.boot) - 1] ^= 1; /* another container of this boot */
    elsewhere("a", &place, RB_RECEIPT_ELSEWHERE, "was started anew since");
    place = *rb_receipts_place(receipts);
    strcpy(place.user, "4711");
    elsewhere("a", &place, RB_RECEIPT_ELSEWHERE, "another user (uid 4711)");
    assert_int_equal(mode_of("state/receipts/a"), -1); /* nothing was said, nothing is changed */
}

/* A receipt that is complete is one whatever came after; one that is not was cut off by the restart. */
static void test_after_a_restart_of_the_machine(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct rb_receipt_place place = *rb_receipts_place(receipts);
    place.boot[0] ^= 1;
    run_sh(&o, "whole", "echo out; exit 5");
    drop(&o);
    o = (struct outcome){0};
    look_at(&o, "whole", &place);
    rb_loop_run(&loop);
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.code, 5);
    assert_string_equal(o.out, "out\n");
    drop(&o);
    run_sh(&o, "cut", "exit 0");
    drop(&o);
    char text[2048];
    strcpy(text, text_of("state/receipts/cut/lock"));
    int fd = openat(receipts->root, "cut/lock", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, strchr(strchr(text, '\n') + 1, '\n') + 1 - text), 0);
    close(fd);
    elsewhere("cut", &place, RB_RECEIPT_UNKNOWN, "was started anew while it ran");
}

/* The numbers of its processes now belong to strangers, who began later. */
static void test_numbers_that_were_given_away(void **state)
{
    (void)state;
    char text[200];
    assert_int_equal(mkdirat(receipts->root, "a", 0700), 0);
    int n = snprintf(text, sizeof(text), "shim %d 1 %s\nchild %d 1\n", getpid(), rb_receipts_place(receipts)->boot,
                     getpid());
    int fd = openat(receipts->root, "a/lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, (size_t)n), n);
    close(fd);
    elsewhere("a", rb_receipts_place(receipts), RB_RECEIPT_UNKNOWN, "was killed while it ran");
}

static void test_a_damaged_receipt(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "nonsense\n", "shim 1\n", "child 5 6\n", "shim 1 2 b\nend 0\n"};
    for (size_t i = 0; i < RB_COUNT(texts); i++) {
        char id[16], name[32];
        snprintf(id, sizeof(id), "bad-%zu", i);
        snprintf(name, sizeof(name), "%s/lock", id);
        assert_int_equal(mkdirat(receipts->root, id, 0700), 0);
        int fd = openat(receipts->root, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, texts[i], strlen(texts[i])), (ssize_t)strlen(texts[i]));
        close(fd);
        elsewhere(id, rb_receipts_place(receipts), RB_RECEIPT_UNKNOWN, "is damaged");
    }
}

/* -- what is found can be ended, watched, left --------------------------------------------------------------------- */

static void test_found_and_killed(void **state)
{
    (void)state;
    static const char *const ids[] = {"stop", "now", "orphan stop", "orphan now"};
    make_fifo("begun");
    for (int i = 0; i < 4; i++) {
        struct outcome o = {0};
        pid_t host = host_sh(ids[i], "trap 'exit 9' TERM; echo > begun; while :; do sleep 0.01; done");
        await("begun");
        kill_host(host);
        if (i >= 2) {
            pid_t shim = (pid_t)lock_of(ids[i]).shim;
            kill(shim, SIGKILL);
            await_gone(shim);
        }
        look_at(&o, ids[i], rb_receipts_place(receipts));
        if (i % 2)
            rb_receipt_kill_now(o.receipt);
        else
            rb_receipt_kill(o.receipt);
        rb_loop_run(&loop);
        assert_int_equal(o.r.state, i < 2 ? RB_RECEIPT_ENDED : RB_RECEIPT_UNKNOWN);
        if (i < 2) {
            assert_int_equal(o.r.proc.end, RB_PROC_KILLED);
            assert_int_equal(i ? o.r.proc.signal : o.r.proc.code, 9);
        }
        await_gone((pid_t)lock_of(ids[i]).child);
        drop(&o);
    }
}

static void test_found_and_watched(void **state)
{
    (void)state;
    struct outcome o = {.on_first = KILL};
    make_fifo("begun");
    make_fifo("go");
    pid_t host = host_sh("a", "echo > begun; read w < go; echo out; while :; do sleep 0.01; done");
    await("begun");
    kill_host(host);
    look_at(&o, "a", rb_receipts_place(receipts));
    let_on("go"); /* its output comes while it runs, or it would never be killed */
    rb_loop_run(&loop);
    assert_int_equal(o.r.proc.end, RB_PROC_KILLED);
    assert_int_equal(o.live[1], 4);
    drop(&o);
}

static void test_detached_and_found(void **state)
{
    (void)state;
    struct outcome o;
    make_fifo("go");
    const char *argv[] = {"sh", "-c", "echo one; read w < go; echo two", NULL};
    struct rb_proc_options opt = options(&o, argv);
    o.on_first = DETACH;
    start(&o, "a", &opt);
    rb_loop_run(&loop);
    assert_int_equal(o.done, 0);
    o = (struct outcome){.on_first = DETACH};
    look_at(&o, "a", rb_receipts_place(receipts)); /* also what was found can be left */
    rb_loop_run(&loop);
    assert_int_equal(o.done, 0);
    waiting = 0;
    o = (struct outcome){0};
    look_at(&o, "a", rb_receipts_place(receipts));
    let_on("go");
    rb_loop_run(&loop);
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_string_equal(o.out, "one\ntwo\n");
    drop(&o);
    await_gone((pid_t)lock_of("a").shim); /* the host has it to reap */
}

/* Two hosts look at once. */
static void test_two_look(void **state)
{
    (void)state;
    struct outcome one = {0}, two = {0};
    make_fifo("begun");
    make_fifo("go");
    pid_t host = host_sh("a", "echo > begun; read w < go; echo out");
    await("begun");
    kill_host(host);
    look_at(&one, "a", rb_receipts_place(receipts));
    look_at(&two, "a", rb_receipts_place(receipts));
    let_on("go");
    rb_loop_run(&loop);
    assert_string_equal(one.out, "out\n");
    assert_string_equal(two.out, "out\n");
    drop(&one);
    drop(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_host_killed_in_the_middle),
        T(test_host_killed_and_command_ended),
        T(test_shim_killed),
        T(test_shim_and_command_killed),
        T(test_shim_killed_under_a_live_host),
        T(test_command_killed),
        T(test_absent_for_ever),
        T(test_looking_while_it_is_launched),
        T(test_twenty_hosts),
        T(test_another_place),
        T(test_after_a_restart_of_the_machine),
        T(test_numbers_that_were_given_away),
        T(test_a_damaged_receipt),
        T(test_found_and_killed),
        T(test_found_and_watched),
        T(test_detached_and_found),
        T(test_two_look),
    };
    return cmocka_run_group_tests_name("receipt_look", tests, first_loop, NULL);
}
