/* Commands on other machines, through a real sshd: what comes back of them, how they end, who shares what, and that
 * nothing stays. */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "ssh_fixture.h"

/* -- what comes back ----------------------------------------------------------------------------------------------- */

static void test_exit_code_and_both_streams(void **state)
{
    (void)state;
    struct far f;
    uint8_t digest[RB_SHA_LEN];
    run(&f, "web01", "printf 'to \\000 out'; printf 'to err' >&2; exit 7");
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_int_equal(f.r.code, 7);
    assert_int_equal(f.opened, 1);
    assert_int_equal(f.out_len, 8);
    assert_memory_equal(f.out, "to \0 out", 8);
    assert_string_equal(f.err, "to err");
    assert_int_equal(f.live[1], 8);
    assert_int_equal(f.live[2], 6);
    rb_sha("to \0 out", 8, digest);
    assert_memory_equal(f.r.out.digest, digest, RB_SHA_LEN);
    assert_true(f.r.started > 0 && f.r.ended >= f.r.started);
    assert_false(f.r.held_open);
    assert_string_equal(f.text, "");
    drop(&f);
}

/* What the ssh program can not tell apart from its own failures. */
static void test_exit_code_255(void **state)
{
    (void)state;
    struct far f;
    run(&f, "web01", "exit 255");
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_int_equal(f.r.code, 255);
    drop(&f);
}

static void test_ended_by_a_signal(void **state)
{
    (void)state;
    struct far f;
    run(&f, "web01", "printf before; kill -9 $$");
    ends(&f, RB_SSH_SIGNALLED, RB_SSH_WHY_NONE);
    assert_string_equal(f.out, "before");
    drop(&f);
}

static void test_standard_input(void **state)
{
    (void)state;
    struct far f;
    static char much[1000000];
    memset(much, 'x', sizeof(much));
    struct rb_ssh_options opt = options(&f, "web01", "wc -c");
    opt.stdin_data = much;
    opt.stdin_len = sizeof(much);
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_string_equal(f.out, "1000000\n");
    assert_false(f.r.stdin_short);
    drop(&f);

    opt = options(&f, "web01", "exit 3");
    opt.stdin_data = much;
    opt.stdin_len = sizeof(much);
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_int_equal(f.r.code, 3);
    drop(&f);

    run(&f, "web01", "wc -c"); /* none: it is empty and does not wait */
    assert_string_equal(f.out, "0\n");
    drop(&f);
}

static void test_files_as_input_and_output(void **state)
{
    (void)state;
    struct far f;
    FILE *in = tmpfile(), *out = tmpfile();
    char back[64] = "";
    fputs("from a file", in);
    rewind(in);
    struct rb_ssh_options opt = options(&f, "web01", "cat; echo ' to a file'; echo seen >&2");
    opt.stdin_fd = fileno(in);
    opt.stdout_fd = fileno(out);
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_int_equal(f.r.out.total, 0);
    assert_string_equal(f.err, "seen\n");
    rewind(out);
    assert_non_null(fgets(back, sizeof(back), out));
    assert_string_equal(back, "from a file to a file\n");
    fclose(in);
    fclose(out);
    drop(&f);
}

/* Bytes, and a file behind them, which is read from its beginning wherever its holder is in it. */
static void test_a_file_behind_what_is_said(void **state)
{
    (void)state;
    struct far f;
    static char much[3000001];
    FILE *in = tmpfile();
    memset(much, 'y', sizeof(much));
    fwrite(much, 1, sizeof(much), in);
    fflush(in);
    struct rb_ssh_options opt = options(&f, "web01", "read -r line; echo $line; cksum");
    opt.stdin_data = "a line\n";
    opt.stdin_len = 7;
    opt.stdin_fd = fileno(in);
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_string_equal(f.out, "a line\n770779085 3000001\n");
    assert_false(f.r.stdin_short);
    drop(&f);

    opt = options(&f, "web01", "head -c 100000 >/dev/null; exit 4"); /* which need not read it all */
    opt.stdin_fd = fileno(in);
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_int_equal(f.r.code, 4);
    assert_true(f.r.stdin_short);
    drop(&f);

    assert_int_equal(ftruncate(fileno(in), 0), 0); /* one of no length is an end of file all the same */
    opt = options(&f, "web01", "wc -c");
    opt.stdin_fd = fileno(in);
    run_with(&f, &opt);
    assert_string_equal(f.out, "0\n");
    drop(&f);
    fclose(in);
}

/* It is let go of while a piece of its file is being read. */
static void test_let_go_while_its_file_is_read(void **state)
{
    (void)state;
    struct far f;
    FILE *in = tmpfile();
    assert_int_equal(ftruncate(fileno(in), 1 << 30), 0);
    struct rb_ssh_options opt = options(&f, "web01", "cat >/dev/null");
    opt.stdin_fd = fileno(in);
    start(&f, &opt);
    while (!f.opened)
        uv_run(&loop.uv, UV_RUN_ONCE);
    rb_ssh_close(f.ssh);
    fclose(in); /* at once: what is read of it then is nobody's */
    rb_loop_run(&loop);
    ends(&f, RB_SSH_CLOSED, RB_SSH_WHY_NONE);
    drop(&f);
}

static void test_output_over_the_cap_is_cut_and_digested(void **state)
{
    (void)state;
    struct far f;
    struct rb_ssh_options opt = options(&f, "web01", "yes | head -c 3000000");
    opt.max_output = 1001;
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_int_equal(f.out_len, 1001);
    assert_int_equal(f.r.out.total, 3000000);
    assert_int_equal(f.live[1], 3000000);
    char *all = malloc(3000000);
    for (size_t i = 0; i < 3000000; i++)
        all[i] = i % 2 ? '\n' : 'y';
    uint8_t digest[RB_SHA_LEN];
    rb_sha(all, 3000000, digest);
    assert_memory_equal(f.r.out.digest, digest, RB_SHA_LEN);
    free(all);
    drop(&f);
}

/* The command has ended, a process of its holds the output open. */
static void test_output_that_is_held_open(void **state)
{
    (void)state;
    struct far f;
    struct rb_ssh_options opt = options(&f, "web01", "sleep 1000 & echo started; exit 5");
    opt.drain_ms = 10;
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_int_equal(f.r.code, 5);
    assert_true(f.r.held_open);
    assert_string_equal(f.out, "started\n");
    drop(&f);
}

static void test_the_command_is_one_text_for_the_shell(void **state)
{
    (void)state;
    struct far f;
    run(&f, "web02", "echo \"$LAB_HOST\" 'a  b'; echo \"$0\" | grep -c sh");
    assert_string_equal(f.out, "web02 a  b\n1\n");
    drop(&f);
}

static void test_a_long_command(void **state)
{
    (void)state;
    struct far f;
    struct rb_err err;
    static char text[140000];
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "echo ", 5);
    struct rb_ssh_options opt = options(&f, "web01", text);
    assert_int_equal(rb_ssh_start(&loop, &opt, &f.ssh, &err), RB_ETOOBIG);
    text[120000] = '\0';
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_int_equal(f.r.out.total, 120000 - 5 + 1);
    drop(&f);
}

static void test_one_after_the_other_share_a_connection(void **state)
{
    (void)state;
    struct far f;
    long before = lab("logins web03");
    for (int i = 0; i < 20; i++) {
        run(&f, "web03", "true");
        ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
        drop(&f);
    }
    assert_int_equal(lab("logins web03"), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_LOOP(test_exit_code_and_both_streams),
        T_LOOP(test_exit_code_255),
        T_LOOP(test_ended_by_a_signal),
        T_LOOP(test_standard_input),
        T_LOOP(test_files_as_input_and_output),
        T_LOOP(test_a_file_behind_what_is_said),
        T_LOOP(test_let_go_while_its_file_is_read),
        T_LOOP(test_output_over_the_cap_is_cut_and_digested),
        T_LOOP(test_output_that_is_held_open),
        T_LOOP(test_the_command_is_one_text_for_the_shell),
        T_LOOP(test_a_long_command),
        T_LOOP(test_one_after_the_other_share_a_connection),
    };
    return cmocka_run_group_tests(tests, start_lab, stop_part);
}
