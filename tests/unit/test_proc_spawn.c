/* How children are started: what they are given, where commands are found, and the words for each refusal. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "io/timer.h"
#include "proc_child.h"

static char dir[] = "/tmp/rb_test_proc_spawn.XXXXXX";

/* -- what the child is given --------------------------------------------------------------------------------------- */

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

/* -- commands that do not start ------------------------------------------------------------------------------------ */

/* Under valgrind a child whose exec fails dies instead of telling posix_spawn why. */
static void skip_without_exec_errors(void)
{
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "vgpreload"))
        skip();
}

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
    skip_without_exec_errors();
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
    make_file("foreign",
              "\x7f"
              "ELF\0\0\0\0",
              8, 0755);
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
    skip_without_exec_errors();
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

/* -- commands that do ---------------------------------------------------------------------------------------------- */

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
    skip_without_exec_errors();
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

static int group_setup(void **state)
{
    return mkdtemp(dir) ? first_loop(state) : -1;
}

static int group_teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"plain",  "lost",  "windows", "weak",     "foreign",
                                        "noline", "-dash", "empty",   "withline", "true"};
    for (size_t i = 0; i < RB_COUNT(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_no_descriptor_but_three),      T(test_streams_are_null_and_pipes), T(test_signals_at_their_default),
        T(test_session_and_group_of_its_own), T(test_environment_is_all_it_gets), T(test_words_for_each_refusal),
        T(test_argument_list_too_long),       T(test_descriptors_run_out),        T(test_where_commands_are_found),
        T(test_folder_is_the_childs),
    };
    return cmocka_run_group_tests_name("proc_spawn", tests, group_setup, group_teardown);
}
