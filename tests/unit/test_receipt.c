/* Commands with receipts, for real: what comes back of them, how they end, what never starts. What is said of them
 * after a crash: test_receipt_look.c. */
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

static void test_ended_by_a_signal(void **state)
{
    (void)state;
    struct outcome o;
    run_sh(&o, "a", "kill -9 $$");
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.end, RB_PROC_EXITED);
    assert_int_equal(o.r.proc.signal, 9);
    assert_int_equal(o.r.proc.code, -1);
    drop(&o);
}

/* Every length around the blocks of the digest, against nettle's. */
static void test_digests(void **state)
{
    (void)state;
    for (int n = 0; n < 200; n += n < 50 || n > 70 ? 7 : 1) {
        struct outcome o;
        uint8_t digest[RB_SHA_LEN];
        char id[32], number[32], text[200];
        memset(text, 'x', sizeof(text));
        snprintf(id, sizeof(id), "digest-%d", n);
        snprintf(number, sizeof(number), "%d", n);
        const char *argv[] = {"sh", "-c", "head -c $1 /dev/zero | tr '\\0' x", "sh", number, NULL};
        struct rb_proc_options opt = options(&o, argv);
        run(&o, id, &opt);
        assert_int_equal(o.r.proc.out.total, n);
        rb_sha(text, (size_t)n, digest);
        assert_memory_equal(o.r.proc.out.digest, digest, RB_SHA_LEN);
        drop(&o);
    }
}

static void test_output_beyond_the_cap(void **state)
{
    (void)state;
    struct outcome o;
    struct sha256_ctx sha;
    uint8_t digest[RB_SHA_LEN];
    const char *argv[] = {"sh", "-c", "head -c 3000000 /dev/zero; echo end >&2", NULL};
    struct rb_proc_options opt = options(&o, argv);
    opt.max_output = 100000;
    run(&o, "a", &opt);
    assert_int_equal(o.r.proc.out.total, 3000000);
    assert_int_equal(o.r.proc.out.buf.len, 100000);
    assert_true(o.r.proc.out.buf.cut);
    assert_true(o.live[1] >= 100000 && o.live[1] <= 3000000);
    assert_string_equal(o.err, "end\n");
    char *zero = calloc(1, 3000000);
    sha256_init(&sha);
    sha256_update(&sha, 3000000, (const uint8_t *)zero);
    sha256_digest(&sha, RB_SHA_LEN, digest);
    assert_memory_equal(o.r.proc.out.digest, digest, RB_SHA_LEN);
    free(zero);
    struct stat st;
    assert_int_equal(fstatat(receipts->root, "a/out", &st, 0), 0);
    assert_int_equal(st.st_size, 100000);
    drop(&o);
}

/* -- input --------------------------------------------------------------------------------------------------------- */

static void run_with_input(struct outcome *o, const char *id, const char *script, const char *input, size_t len)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    struct rb_proc_options opt = options(o, argv);
    opt.stdin_data = input;
    opt.stdin_len = len;
    opt.max_output = 8 << 20;
    run(o, id, &opt);
    assert_int_equal(o->r.state, RB_RECEIPT_ENDED);
}

static void test_input_is_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 5000000};
    char *input = malloc(5000000);
    for (size_t i = 0; i < 5000000; i++)
        input[i] = (char)(i * 2654435761u >> 13);
    for (size_t i = 0; i < RB_COUNT(sizes); i++) {
        struct outcome o;
        char id[32];
        snprintf(id, sizeof(id), "input-%zu", i);
        run_with_input(&o, id, "cat; [ -p /dev/stdin ]", input, sizes[i]);
        assert_int_equal(o.r.proc.code, 0); /* a pipe, as of other commands */
        assert_int_equal(o.r.proc.out.total, sizes[i]);
        if (sizes[i])
            assert_memory_equal(o.out, input, sizes[i]);
        assert_false(o.r.proc.stdin_short);
        drop(&o);
    }
    struct outcome o;
    run_with_input(&o, "not taken", "exit 0", input, 5000000);
    assert_true(o.r.proc.stdin_short);
    drop(&o);
    free(input);
}

static void test_what_a_command_finds(void **state)
{
    (void)state;
    struct outcome o;
    run_sh(&o, "a", "readlink /proc/self/fd/0; ls /proc/self/fd | wc -l");
    assert_string_equal(o.out, "/dev/null\n4\n"); /* three, and ls has the folder open */
    drop(&o);
    signal(SIGHUP, SIG_IGN); /* what the host ignores its commands need not */
    run_sh(&o, "b", "grep -E 'Sig(Blk|Ign)' /proc/self/status; cat /proc/self/comm; pwd");
    signal(SIGHUP, SIG_DFL);
    char want[400];
    snprintf(want, sizeof(want), "SigBlk:\t%016d\nSigIgn:\t%016d\ncat\n%s\n", 0, 0, folder);
    assert_string_equal(o.out, want);
    drop(&o);
}

/* -- how it is kept ------------------------------------------------------------------------------------------------ */

static void test_files_and_their_modes(void **state)
{
    (void)state;
    struct outcome o;
    run_sh(&o, "quiet", "exit 0");
    drop(&o);
    run_sh(&o, "loud", "echo out; echo err >&2");
    drop(&o);
    assert_int_equal(mode_of("state"), 0700);
    assert_int_equal(mode_of("state/receipts"), 0700);
    assert_int_equal(mode_of("state/receipts/id"), 0600);
    assert_int_equal(mode_of("state/receipts/quiet"), 0700);
    assert_int_equal(mode_of("state/receipts/quiet/lock"), 0600);
    assert_int_equal(mode_of("state/receipts/quiet/out"), -1); /* nothing came */
    assert_int_equal(mode_of("state/receipts/loud/out"), 0600);
    assert_int_equal(mode_of("state/receipts/loud/err"), 0600);
    int fd = openat(receipts->root, "loud", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fdopendir(fd);
    struct dirent *entry;
    size_t count = 0;
    while ((entry = readdir(d)))
        count += entry->d_name[0] != '.';
    closedir(d);
    assert_int_equal(count, 3); /* out, err, lock: nothing is left of the making */
}

static bool holds(const char *path, const char *what)
{
    char text[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false; /* closed to us: that is as good */
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    return n > 0 && memmem(text, (size_t)n, what, strlen(what));
}

static void test_secrets_are_not_in_sight(void **state)
{
    (void)state;
    static struct outcome o;
    char path[64];
    const char *argv[] = {"sh", "-c", "echo > begun; read w < go; test ${#TOKEN} = 13 && cat", NULL};
    const char *env[] = {ENV_PATH, "TOKEN=s3cret-in-env", NULL};
    struct rb_proc_options opt = options(&o, argv);
    opt.envp = env;
    opt.stdin_data = "s3cret-in-input";
    opt.stdin_len = 15;
    make_fifo("begun");
    make_fifo("go");
    pid_t host = host_with("a", &opt);
    await("begun");
    struct rb_receipt_lock lock = lock_of("a");
    static const char *const files[] = {"cmdline", "environ", "comm", "status"};
    for (size_t i = 0; i < RB_COUNT(files); i++) {
        snprintf(path, sizeof(path), "/proc/%ld/%s", lock.shim, files[i]);
        assert_false(holds(path, "s3cret"));
    }
    snprintf(path, sizeof(path), "/proc/%ld/cmdline", lock.shim);
    assert_true(holds(path, "receipts/a")); /* a person finds what it is */
    snprintf(path, sizeof(path), "/proc/%ld/cmdline", lock.child);
    assert_true(holds(path, "begun"));
    assert_false(holds(path, "s3cret"));
    assert_null(strstr(text_of("state/receipts/a/lock"), "s3cret"));
    kill_host(host);
    let_on("go");
    look(&o, "a");
    assert_string_equal(o.out, "s3cret-in-input"); /* the output is, until it is collected */
    drop(&o);
}

/* -- told to end --------------------------------------------------------------------------------------------------- */

static void test_time_out(void **state)
{
    (void)state;
    struct outcome o;
    const char *argv[] = {"sh", "-c", "trap 'echo term; exit 9' TERM; echo up; while :; do sleep 0.01; done", NULL};
    struct rb_proc_options opt = options(&o, argv);
    opt.timeout_ms = 300;
    run(&o, "a", &opt);
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.end, RB_PROC_TIMED_OUT);
    assert_int_equal(o.r.proc.code, 9);
    assert_string_equal(o.out, "up\nterm\n");
    assert_int_equal(o.pid, lock_of("a").child);
    drop(&o);
}

static void test_time_out_without_a_host(void **state)
{
    (void)state;
    static struct outcome o;
    const char *argv[] = {"sh", "-c", "trap '' TERM; echo > begun; while :; do sleep 0.01; done", NULL};
    struct rb_proc_options opt = options(&o, argv);
    opt.timeout_ms = 300;
    opt.grace_ms = 50;
    make_fifo("begun");
    pid_t host = host_with("a", &opt);
    await("begun");
    kill_host(host);
    look(&o, "a");
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.end, RB_PROC_TIMED_OUT);
    assert_int_equal(o.r.proc.signal, SIGKILL);
    drop(&o);
}

static void test_killed(void **state)
{
    (void)state;
    static const char *const scripts[] = {"trap 'echo term; exit 9' TERM; echo up; while :; do sleep 0.01; done",
                                          "trap '' TERM; echo up; while :; do sleep 0.01; done"};
    for (int i = 0; i < 2; i++) {
        struct outcome o;
        const char *argv[] = {"sh", "-c", scripts[i], NULL};
        struct rb_proc_options opt = options(&o, argv);
        o.on_first = i ? KILL_NOW : KILL;
        run(&o, i ? "now" : "politely", &opt);
        assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
        assert_int_equal(o.r.proc.end, RB_PROC_KILLED);
        assert_int_equal(o.r.proc.code, i ? -1 : 9);
        assert_int_equal(o.r.proc.signal, i ? SIGKILL : 0);
        drop(&o);
    }
}

/* At once, before the shim has even read its request: the order waits for it. */
static void test_killed_before_it_is_up(void **state)
{
    (void)state;
    struct outcome o;
    const char *argv[] = {"sh", "-c", "while :; do sleep 0.01; done", NULL};
    struct rb_proc_options opt = options(&o, argv);
    start(&o, "a", &opt);
    rb_receipt_kill(o.receipt);
    rb_loop_run(&loop);
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.end, RB_PROC_KILLED);
    assert_int_equal(o.r.proc.signal, SIGTERM);
    drop(&o);
}

static void test_a_group_is_ended(void **state)
{
    (void)state;
    struct outcome o;
    const char *argv[] = {"sh", "-c",
                          "(trap '' TERM; echo $$ >/dev/null; while :; do sleep 0.01; done) & echo up; wait", NULL};
    struct rb_proc_options opt = options(&o, argv);
    opt.grace_ms = 100;
    o.on_first = KILL;
    run(&o, "a", &opt);
    assert_int_equal(o.r.proc.end, RB_PROC_KILLED);
    errno = 0;
    pid_t group = (pid_t)lock_of("a").child;
    assert_true(kill(-group, 0) == -1 || errno == 0); /* none, or dead ones that nobody has reaped yet */
    drop(&o);
}

static void test_output_held_open(void **state)
{
    (void)state;
    struct outcome o;
    const char *argv[] = {"sh", "-c", "setsid sh -c 'echo > begun; read w < go' & read w < begun; echo out; exit 2",
                          NULL};
    struct rb_proc_options opt = options(&o, argv);
    opt.drain_ms = 50;
    make_fifo("begun");
    make_fifo("go");
    run(&o, "a", &opt);
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.code, 2);
    assert_true(o.r.proc.held_open);
    assert_string_equal(o.out, "out\n");
    let_on("go");
    drop(&o);
}

/* -- what never starts --------------------------------------------------------------------------------------------- */

static void fails_at_once(const char *name, int code, const char *says)
{
    struct outcome o;
    struct rb_err err = {0};
    const char *argv[] = {name, NULL};
    struct rb_proc_options opt = options(&o, argv);
    assert_int_equal(rb_receipt_start(receipts, &loop, "a", &opt, on_done, &o.receipt, &err), code);
    if (!strstr(err.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
    assert_int_equal(mode_of("state/receipts/a"), -1);
}

static void refused(const char *const *argv, const char *id, int code, const char *says)
{
    struct outcome o;
    struct rb_proc_options opt = options(&o, argv);
    run(&o, id, &opt);
    assert_int_equal(o.r.state, RB_RECEIPT_REFUSED);
    if (o.r.err.code != code || !strstr(o.r.err.msg, says))
        fail_msg("%d \"%s\" is not %d \"%s\"", o.r.err.code, o.r.err.msg, code, says);
    drop(&o);
}

static void write_file(const char *name, const char *text, size_t len)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
}

static void test_what_can_not_be_executed(void **state)
{
    (void)state;
    fails_at_once("no-such-command", RB_ENOENT, "there is no command no-such-command in PATH");
    fails_at_once("./nothing", RB_ENOENT, "there is no command ./nothing in the folder");
    fails_at_once("/etc/passwd", RB_EDENIED, "is not executable");
    write_file("lost", "#!/no/such/interpreter\n", 23);
    const char *lost[] = {"./lost", NULL};
    refused(lost, "a", RB_ENOENT, "the interpreter \"/no/such/interpreter\" that ./lost names does not exist");
    assert_int_equal(mode_of("state/receipts/a"), -1); /* so it can be started again */
    write_file("binary", "\0\1\2\n", 4);
    const char *binary[] = {"./binary", NULL};
    refused(binary, "a", RB_EDENIED, "./binary is not a program for this machine");
    char *big = malloc(200000);
    memset(big, 'x', 199999);
    big[199999] = '\0';
    const char *large[] = {"true", big, NULL};
    refused(large, "a", RB_EIO, "argument list too long: one argument or variable has 199999 bytes");
    free(big);
    assert_int_equal(mode_of("state/receipts/a"), -1);
}

static void test_script_without_an_interpreter(void **state)
{
    (void)state;
    struct outcome o;
    write_file("script", "echo \"$0 $1 $2\"\n", 16);
    const char *argv[] = {"./script", "one", "two", NULL};
    struct rb_proc_options opt = options(&o, argv);
    run(&o, "a", &opt);
    assert_string_equal(o.out, "./script one two\n");
    drop(&o);
}

static void test_the_same_receipt_twice(void **state)
{
    (void)state;
    struct outcome o;
    const char *argv[] = {"sh", "-c", "echo x >> f", NULL};
    run_sh(&o, "a", "echo x >> f");
    drop(&o);
    refused(argv, "a", RB_EEXIST, "was not started: it was before, or was given up");
    assert_string_equal(text_of("f"), "x\n");
    look(&o, "a"); /* and nothing happened to it */
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    drop(&o);
}

static void test_twenty_launches_at_once(void **state)
{
    (void)state;
    const char *argv[] = {"sh", "-c", "echo x >> f", NULL};
    struct outcome all[20];
    int started = 0;
    for (int i = 0; i < 20; i++) {
        struct rb_proc_options opt = options(&all[i], argv);
        start(&all[i], "a", &opt);
    }
    rb_loop_run(&loop);
    for (int i = 0; i < 20; i++) {
        started += all[i].r.state == RB_RECEIPT_ENDED;
        assert_true(all[i].r.state == RB_RECEIPT_ENDED || all[i].r.err.code == RB_EEXIST);
        drop(&all[i]);
    }
    assert_int_equal(started, 1);
    assert_string_equal(text_of("f"), "x\n");
}

static void test_bad_ids(void **state)
{
    (void)state;
    char longest[RB_RECEIPT_ID_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[RB_RECEIPT_ID_MAX + 1] = '\0';
    const char *const bad[] = {"", ".", "..", ".x", "a/b", "../a", longest};
    const char *argv[] = {"true", NULL};
    struct outcome o;
    struct rb_proc_options opt = options(&o, argv);
    for (size_t i = 0; i < RB_COUNT(bad); i++) {
        struct rb_err err = {0};
        assert_int_equal(rb_receipt_start(receipts, &loop, bad[i], &opt, on_done, &o.receipt, &err), RB_EINVAL);
        assert_int_equal(
            rb_receipt_look(receipts, &loop, rb_receipts_place(receipts), bad[i], &opt, on_done, &o.receipt, &err),
            RB_EINVAL);
    }
    longest[RB_RECEIPT_ID_MAX] = '\0';
    run(&o, longest, &opt);
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    drop(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_exit_code_and_both_streams),
        T(test_ended_by_a_signal),
        T(test_digests),
        T(test_output_beyond_the_cap),
        T(test_input_is_whole),
        T(test_what_a_command_finds),
        T(test_files_and_their_modes),
        T(test_secrets_are_not_in_sight),
        T(test_time_out),
        T(test_time_out_without_a_host),
        T(test_killed),
        T(test_killed_before_it_is_up),
        T(test_a_group_is_ended),
        T(test_output_held_open),
        T(test_what_can_not_be_executed),
        T(test_script_without_an_interpreter),
        T(test_the_same_receipt_twice),
        T(test_twenty_launches_at_once),
        T(test_bad_ids),
    };
    return cmocka_run_group_tests_name("receipt", tests, first_loop, NULL);
}
