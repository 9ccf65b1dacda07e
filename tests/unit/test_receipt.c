/* Commands with receipts, for real: what comes back of them, and what is said of them after hosts, shims and commands
 * were killed. */
#include "receipt_fixture.h"

/* -- what comes back ----------------------------------------------------------------------------------------------- */

static void test_exit_code_and_both_streams(void **state)
{
    (void)state;
    struct outcome o;
    uint8_t digest[RB_SHA_LEN];
    run_sh(&o, "a", "printf 'to \\000 out'; printf 'to err' >&2; exit 7");
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.end, RB_PROC_EXITED);
    assert_int_equal(o.r.proc.code, 7);
    assert_int_equal(o.r.proc.signal, 0);
    assert_int_equal(o.r.proc.out.total, 8);
    assert_memory_equal(o.out, "to \0 out", 8);
    assert_string_equal(o.err, "to err");
    assert_int_equal(o.live[1], 8);
    assert_int_equal(o.live[2], 6);
    rb_sha("to \0 out", 8, digest);
    assert_memory_equal(o.r.proc.out.digest, digest, RB_SHA_LEN);
    assert_false(o.r.proc.held_open);
    assert_false(o.r.proc.stdin_short);
    assert_true(o.r.proc.ended >= o.r.proc.started);
    drop(&o);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_exit_code_and_both_streams),
        T(test_host_killed_in_the_middle),
        T(test_host_killed_and_command_ended),
    };
    if (receipts_group_setup())
        return 1;
    return cmocka_run_group_tests_name("receipt", tests, NULL, NULL);
}
