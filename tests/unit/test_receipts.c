/* The folder that receipts lie in: what it must be, what it does when a disk is full or the folder is gone, and how it
 * is emptied. */
#include <sched.h>
#include <sys/mount.h>

#include "receipt_fixture.h"

static const char *path_of(const char *name)
{
    static char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* -- opening ------------------------------------------------------------------------------------------------------- */

static int open_at(const char *path, char id[64], struct rb_err *err)
{
    struct rb_receipts *r = NULL;
    int rc = rb_receipts_open(path, &r, err);
    if (rc)
        return rc;
    snprintf(id, 64, "%s", rb_receipts_place(r)->root);
    rb_receipts_close(r);
    return RB_OK;
}

static void test_an_id_that_stays(void **state)
{
    (void)state;
    char first[64], second[64], other[64];
    struct rb_err err = {0};
    assert_int_equal(open_at(root, first, &err), RB_OK);
    assert_int_equal(open_at(root, second, &err), RB_OK);
    assert_int_equal(open_at(path_of("other/deep/down"), other, &err), RB_OK);
    assert_string_equal(first, second);
    assert_int_equal(strlen(first), 32);
    assert_string_not_equal(first, other);
    assert_int_equal(mode_of("other/deep"), 0700);
}

static void test_many_open_it_at_once(void **state)
{
    (void)state;
    enum { HOSTS = 20 };
    char ids[HOSTS][64];
    int gate[2], answers[2];
    assert_int_equal(pipe(gate), 0);
    assert_int_equal(pipe(answers), 0);
    for (int i = 0; i < HOSTS; i++) {
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid)
            continue;
        char id[64] = "", c;
        close(gate[1]);
        while (read(gate[0], &c, 1) > 0)
            ;
        open_at(path_of("new"), id, NULL);
        _exit(write(answers[1], id, sizeof(id)) == (ssize_t)sizeof(id) ? 0 : 1);
    }
    close(gate[0]);
    close(gate[1]); /* now all of them */
    for (int i = 0; i < HOSTS; i++) {
        assert_int_equal(read(answers[0], ids[i], 64), 64);
        assert_int_equal(strlen(ids[i]), 32);
        assert_string_equal(ids[i], ids[0]);
    }
    while (wait(NULL) > 0)
        ;
    close(answers[0]);
    close(answers[1]);
    int entries = 0;
    DIR *d = opendir(path_of("new"));
    while (readdir(d))
        entries++;
    closedir(d);
    assert_int_equal(entries, 3); /* ".", "..", "id" */
}

static void refuses(const char *path, int code, const char *says)
{
    char id[64];
    struct rb_err err = {0};
    assert_int_equal(open_at(path, id, &err), code);
    if (!strstr(err.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, says);
}

static void test_folders_that_can_not_be_trusted(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("open"), 0700), 0);
    assert_int_equal(chmod(path_of("open"), 0750), 0);
    refuses(path_of("open"), RB_EDENIED, "it must be yours and closed to everybody else (chmod 700)");
    int fd = open(path_of("file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    refuses(path_of("file"), RB_EIO, "Not a directory");
    refuses(path_of("file/below"), RB_EIO, "Not a directory");
    refuses("", RB_EIO, "can not keep receipts in \"\"");
    fd = openat(receipts->root, "id", O_WRONLY | O_TRUNC | O_CLOEXEC);
    close(fd);
    refuses(root, RB_ECORRUPT, "is damaged");
}

/* -- adversity ----------------------------------------------------------------------------------------------------- */

static void refused(const char *id, int code, const char *says)
{
    struct outcome o;
    const char *argv[] = {"sh", "-c", "echo x >> f", NULL};
    struct rb_proc_options opt = options(&o, argv);
    run(&o, id, &opt);
    assert_int_equal(o.r.state, RB_RECEIPT_REFUSED);
    if (o.r.err.code != code || !strstr(o.r.err.msg, says))
        fail_msg("%d \"%s\" is not %d \"%s\"", o.r.err.code, o.r.err.msg, code, says);
    assert_string_equal(text_of("f"), "");
    drop(&o);
}

static void test_the_folder_is_gone(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct rb_receipt_place place = *rb_receipts_place(receipts);
    remove_tree(root);
    refused("a", RB_EIO, "the folder of receipts");
    char id[64];
    assert_int_equal(open_at(root, id, NULL), RB_OK); /* another host makes it anew */
    refused("a", RB_EIO, "the folder of receipts");   /* but that is not ours */
    close_host();
    open_host();
    look_at(&o, "a", &place);
    rb_loop_run(&loop);
    assert_int_equal(o.r.state, RB_RECEIPT_ELSEWHERE);
    drop(&o);
}

/* In a mount namespace of a process of its own: body is run below a small tmpfs at root. */
static void in_small_file_system(const char *mount_options, void (*body)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        mkdir(path_of("small"), 0700);
        if (unshare(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0)) ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
            mount("tmpfs", path_of("small"), "tmpfs", 0, mount_options))
            _exit(77);
        snprintf(root, sizeof(root), "%s/small", folder);
        open_host();
        body();
        close_host();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* such a namespace is not allowed here */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void fill(void)
{
    char block[4096] = "";
    int fd = openat(receipts->root, ".filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void full_before_the_start(void)
{
    fill();
    refused("a", RB_EFULL, "can not keep a receipt in");
    assert_int_equal(mode_of("small/a"), -1);
}

/* It runs on; what there was no room for is counted, and the last line has room. */
static void full_while_it_runs(void)
{
    struct outcome o;
    const char *argv[] = {"sh", "-c", "echo one; head -c 300000 /dev/zero; echo done >&2; echo x >> f; exit 3", NULL};
    struct rb_proc_options opt = options(&o, argv);
    run(&o, "a", &opt);
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.code, 3);
    assert_int_equal(o.r.proc.out.total, 300004);
    assert_true(o.r.proc.out.buf.cut);
    assert_memory_equal(o.out, "one\n", 4);
    assert_string_equal(text_of("f"), "x\n");
    drop(&o);
    o = (struct outcome){0};
    look(&o, "a");
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.out.total, 300004);
    drop(&o);
}

static void read_only(void)
{
    struct outcome o = {0};
    assert_int_equal(mount(NULL, root, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    refused("a", RB_EREADONLY, "can not keep a receipt in");
    look(&o, "a"); /* no tombstone can be placed: nothing is certain */
    assert_int_equal(o.r.state, RB_RECEIPT_ELSEWHERE);
    drop(&o);
}

static void read_only_from_the_beginning(void)
{
    close_host();
    assert_int_equal(unlink(path_of("small/id")), 0);
    assert_int_equal(mount(NULL, root, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    refuses(root, RB_EREADONLY, "can not keep receipts in");
    assert_int_equal(mount(NULL, root, NULL, MS_REMOUNT, NULL), 0);
    open_host();
}

static void test_full_before_the_start(void **state)
{
    (void)state;
    in_small_file_system("mode=700,size=64k", full_before_the_start);
}

static void test_full_while_it_runs(void **state)
{
    (void)state;
    in_small_file_system("mode=700,size=64k", full_while_it_runs);
}

static void test_read_only(void **state)
{
    (void)state;
    in_small_file_system("mode=700", read_only);
    in_small_file_system("mode=700", read_only_from_the_beginning);
}

/* -- emptying ------------------------------------------------------------------------------------------------------ */

static int count_receipts(void)
{
    int n = -3; /* ".", "..", "id" */
    DIR *d = opendir(root);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void test_forgotten_receipts_go(void **state)
{
    (void)state;
    struct outcome o;
    char id[32];
    for (int i = 0; i < 30; i++) {
        snprintf(id, sizeof(id), "r-%d", i);
        run_sh(&o, id, i % 2 ? "echo out; echo err >&2" : "exit 0");
        drop(&o);
        if (i >= 10)
            rb_receipts_forget(receipts, id);
    }
    close_host(); /* waits for the rest */
    assert_int_equal(count_receipts(), 10);
    open_host();
    rb_receipts_forget(receipts, "r-1"); /* by a host that has started nothing */
    rb_receipts_forget(receipts, "no-such");
    close_host();
    assert_int_equal(count_receipts(), 9);
    open_host();
}

/* Of one command nothing shows in the next one that uses its folder, whatever becomes of that. */
static void test_folders_are_used_again(void **state)
{
    (void)state;
    struct outcome o;
    struct rb_err err = {0};
    run_sh(&o, "first", "echo old; echo old >&2; exit 7");
    drop(&o);
    char spare[RB_RECEIPT_SPARE_MAX];
    const unsigned number = receipts->spare_next;
    rb_receipt_spare_name(spare, number);
    assert_true(rb_receipt_recycle(receipts->root, "first", spare));
    assert_int_equal(mode_of("state/receipts/first"), -1);
    receipts->spares = rb_alloc(RB_RECEIPT_SPARES_MAX * sizeof(*receipts->spares));
    receipts->spares[receipts->n_spares++] = number;
    const char *const wrong[] = {"/no/such/program", NULL};
    struct rb_proc_options opt = options(&o, wrong);
    assert_int_equal(rb_receipt_start(receipts, &loop, "none", &opt, on_done, &o.receipt, &err), RB_ENOENT);
    assert_int_equal(receipts->n_spares, 1); /* nobody has got it */
    run_sh(&o, "second", "exit 0");
    assert_int_equal(receipts->n_spares, 0);
    assert_int_equal(o.r.proc.code, 0);
    assert_string_equal(o.out, "");
    drop(&o);
    assert_int_equal(mode_of("state/receipts/second/out"), -1);
    assert_int_equal(mode_of("state/receipts/second/err"), -1);
    assert_int_equal(mode_of("state/receipts/second/new"), -1);
    look(&o, "second");
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.code, 0);
    drop(&o);
    look(&o, "first"); /* its name is free, and nothing of it is believed */
    assert_int_equal(o.r.state, RB_RECEIPT_ABSENT);
    drop(&o);
    assert_int_equal(count_receipts(), 2);
}

static void test_sweep(void **state)
{
    (void)state;
    struct outcome o = {0};
    make_fifo("begun");
    make_fifo("go");
    run_sh(&o, "ended", "echo out");
    drop(&o);
    run_sh(&o, "quiet", "exit 3");
    drop(&o);
    look(&o, "absent");
    drop(&o);
    assert_int_equal(mkdirat(receipts->root, "begun", 0700), 0); /* a launch that died before its lock */
    int fd = openat(receipts->root, "begun/new.1", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    pid_t host = host_sh("running", "echo > begun; read w < go");
    await("begun");
    kill_host(host);
    pid_t orphans = host_sh("orphan", "echo > begun; read w < go; read w < go");
    await("begun");
    kill_host(orphans);
    kill((pid_t)lock_of("orphan").shim, SIGKILL);
    await_gone((pid_t)lock_of("orphan").shim);
    assert_int_equal(rb_receipts_sweep(receipts, 3600 * (int64_t)1000000), 0); /* nothing is that old */
    assert_int_equal(count_receipts(), 6);
    assert_int_equal(rb_receipts_sweep(receipts, -1000000), 2);
    assert_int_equal(mode_of("state/receipts/ended/out"), -1);
    look(&o, "ended"); /* not absent: it was done, and would be done again */
    assert_int_equal(o.r.state, RB_RECEIPT_UNKNOWN);
    assert_non_null(strstr(o.r.why, "exit code 0"));
    drop(&o);
    look(&o, "quiet");
    assert_int_equal(o.r.state, RB_RECEIPT_ENDED);
    assert_int_equal(o.r.proc.code, 3);
    drop(&o);
    assert_int_equal(mode_of("state/receipts/running"), 0700);
    assert_int_equal(mode_of("state/receipts/orphan"), 0700);
    assert_int_equal(mode_of("state/receipts/id"), 0600);
    struct rb_receipt_lock running = lock_of("running"), orphan = lock_of("orphan");
    kill((pid_t)running.child, SIGKILL);
    kill((pid_t)orphan.child, SIGKILL);
    await_gone((pid_t)running.shim);
    await_gone((pid_t)orphan.child);
    assert_int_equal(rb_receipts_sweep(receipts, -1000000), 0);
    look(&o, "orphan");
    assert_int_equal(o.r.state, RB_RECEIPT_UNKNOWN);
    drop(&o);
    struct rb_receipt_place now = receipts->place; /* after another start of the machine a missing one is in doubt */
    snprintf(receipts->place.boot, sizeof(receipts->place.boot), "another");
    assert_int_equal(rb_receipts_sweep(receipts, -1000000), 4);
    assert_int_equal(count_receipts(), 0);
    look_at(&o, "ended", &now);
    rb_loop_run(&loop);
    assert_int_equal(o.r.state, RB_RECEIPT_ELSEWHERE);
    drop(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_an_id_that_stays),
        T(test_many_open_it_at_once),
        T(test_folders_that_can_not_be_trusted),
        T(test_the_folder_is_gone),
        T(test_full_before_the_start),
        T(test_full_while_it_runs),
        T(test_read_only),
        T(test_forgotten_receipts_go),
        T(test_folders_are_used_again),
        T(test_sweep),
    };
    return cmocka_run_group_tests_name("receipts", tests, first_loop, NULL);
}
