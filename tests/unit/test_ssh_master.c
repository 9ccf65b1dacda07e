/* The connections behind commands on other machines: who shares one, when another is opened, how each ends, and what
 * becomes of the commands then. */
#include <fcntl.h>
#include <sys/stat.h>

#include "io/ssh_folder.h"
#include "ssh_fixture.h"

/* -- looking at processes ------------------------------------------------------------------------------------------ */

static long parent_of(long pid, char name[64])
{
    char path[64], stat[512];
    long parent = -1;
    char state = 0;
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    size_t n = fread(stat, 1, sizeof(stat) - 1, f);
    fclose(f);
    stat[n] = '\0';
    char *open = strchr(stat, '('), *close = strrchr(stat, ')');
    if (!open || !close || sscanf(close + 1, " %c %ld", &state, &parent) != 2 || state == 'Z')
        return -1;
    snprintf(name, 64, "%.*s", (int)(close - open - 1), open + 1);
    return parent;
}

/* The ssh processes that this one has started. */
static int masters(pid_t parent, long pids[], int room)
{
    int n = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(proc))) {
        char name[64];
        long pid = atol(entry->d_name);
        if (pid > 0 && parent_of(pid, name) == parent && strcmp(name, "ssh") == 0 && n < room)
            pids[n++] = pid;
    }
    closedir(proc);
    return n;
}

static int count_masters(void)
{
    long pids[64];
    return masters(getpid(), pids, 64);
}

/* -- sharing ------------------------------------------------------------------------------------------------------- */

#define MANY 20

/* Lets `count` commands wait for each other, so that all of them are open at once. */
static void open_together(struct far *f, int count, const char *host)
{
    char command[200];
    snprintf(command, sizeof(command),
             "cd; mkdir -p in; : >in/$$; until [ $(ls in | wc -l) -ge %d ]; do sleep 0.02; done", count);
    for (int i = 0; i < count; i++)
        start_simple(&f[i], host, command);
    rb_loop_run(&loop);
    for (int i = 0; i < count; i++) {
        ends(&f[i], RB_SSH_EXITED, RB_SSH_WHY_NONE);
        assert_int_equal(f[i].r.code, 0);
        assert_int_equal(f[i].opened, 1);
        drop(&f[i]);
    }
}

static void test_eight_share_one(void **state)
{
    (void)state;
    struct far f[8];
    long before = lab("logins web01");
    run(&f[0], "web01", "true"); /* else more would be started before the first stands */
    drop(&f[0]);
    open_together(f, 8, "web01");
    assert_int_equal(lab("logins web01"), before + 1);
    assert_int_equal(count_masters(), 1);
}

static void test_the_ninth_opens_another(void **state)
{
    (void)state;
    struct far f[9];
    open_together(f, 9, "web02");
    assert_int_equal(lab("logins web02"), 2);
    assert_int_equal(count_masters(), 2);
}

/* The server's administrator allows fewer than we think. */
static void test_a_server_that_allows_two(void **state)
{
    (void)state;
    struct far f[MANY];
    lab("set MaxSessions=2");
    open_together(f, 7, "web03");
    assert_true(count_masters() >= 4);
    lab("set MaxSessions=");
}

static void test_a_server_that_allows_one(void **state)
{
    (void)state;
    struct far f[MANY];
    lab("set MaxSessions=1");
    open_together(f, 5, "web04");
    for (int i = 0; i < 3; i++) {
        run(&f[0], "web04", "true");
        ends(&f[0], RB_SSH_EXITED, RB_SSH_WHY_NONE);
        drop(&f[0]);
    }
    lab("set MaxSessions=");
}

static void test_many_at_one_host(void **state)
{
    (void)state;
    static struct far f[40];
    for (int i = 0; i < 40; i++)
        start_simple(&f[i], "web05", "echo $LAB_HOST");
    rb_loop_run(&loop);
    for (int i = 0; i < 40; i++) {
        ends(&f[i], RB_SSH_EXITED, RB_SSH_WHY_NONE);
        assert_string_equal(f[i].out, "web05\n");
        drop(&f[i]);
    }
}

static void test_forty_hosts_at_once(void **state)
{
    (void)state;
    static struct far f[HOSTS];
    static char names[HOSTS][16];
    for (int i = 0; i < HOSTS; i++) {
        snprintf(names[i], sizeof(names[i]), "web%02d", i + 1);
        start_simple(&f[i], names[i], "echo $LAB_HOST");
    }
    rb_loop_run(&loop);
    for (int i = 0; i < HOSTS; i++) {
        char want[32];
        snprintf(want, sizeof(want), "web%02d\n", i + 1);
        ends(&f[i], RB_SSH_EXITED, RB_SSH_WHY_NONE);
        assert_string_equal(f[i].out, want);
        drop(&f[i]);
    }
    assert_int_equal(count_masters(), HOSTS);
}

static void test_other_targets_share_nothing(void **state)
{
    (void)state;
    struct far f;
    long before = lab("logins web06");
    struct rb_ssh_options opt = options(&f, "web06", "true");
    run_with(&f, &opt);
    drop(&f);
    opt = options(&f, "web06", "true");
    opt.target.port = lab_port;
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    drop(&f);
    opt = options(&f, "web06", "true");
    opt.target.connect_ms = 5000; /* says how long to wait, not where to */
    run_with(&f, &opt);
    drop(&f);
    assert_int_equal(lab("logins web06"), before + 2);
}

static void test_a_jump(void **state)
{
    (void)state;
    struct far f;
    struct rb_ssh_options opt = options(&f, "web07", "echo $LAB_HOST");
    opt.target.jump = "web08";
    long before = lab("logins web08");
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_string_equal(f.out, "web07\n");
    assert_int_equal(lab("logins web08"), before + 1);
    drop(&f);
}

/* -- what goes wrong ----------------------------------------------------------------------------------------------- */

static void test_a_master_that_was_killed_is_replaced(void **state)
{
    (void)state;
    struct far f;
    long pid;
    for (int i = 0; i < 2; i++) {
        run(&f, "web09", "true");
        ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
        drop(&f);
        assert_int_equal(masters(getpid(), &pid, 1), 1);
        kill((pid_t)pid, SIGKILL);
    }
}

/* Nobody uses it: it goes by itself, and the next command makes another. */
static void test_a_master_that_is_idle_is_closed(void **state)
{
    (void)state;
    struct far f;
    for (int i = 0; i < 2; i++) {
        struct rb_ssh_options opt = options(&f, "web09", "sleep 0.4; echo ran");
        opt.target.idle_ms = 100; /* the command takes longer, and is not idle */
        run_with(&f, &opt);
        ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
        assert_string_equal(f.out, "ran\n");
        drop(&f);
        assert_int_equal(count_masters(), 1);
        while (count_masters() > 0)
            uv_run(&loop.uv, UV_RUN_ONCE);
    }
}

/* Its socket is still there, and nobody answers: what was asked for goes to another. */
static void test_a_master_that_is_killed_as_it_is_asked(void **state)
{
    (void)state;
    struct far f[8];
    long pid;
    run(&f[0], "web09", "true");
    drop(&f[0]);
    assert_int_equal(masters(getpid(), &pid, 1), 1);
    kill((pid_t)pid, SIGSTOP);
    struct rb_ssh_options opt = options(&f[0], "web09", "echo ran");
    start(&f[0], &opt);
    uv_run(&loop.uv, UV_RUN_NOWAIT); /* the request lies in its socket, unread */
    kill((pid_t)pid, SIGKILL);
    rb_loop_run(&loop);
    ends(&f[0], RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_string_equal(f[0].out, "ran\n");
    assert_int_equal(f[0].opened, 1);
    drop(&f[0]);
}

static void test_a_connection_that_is_cut(void **state)
{
    (void)state;
    struct far f;
    open_session(&f, "web10", "cd; echo begun; sleep 1000");
    assert_true(lab("drop_link web10") >= 1); /* sshd has two processes for it where the user is not root */
    rb_loop_run(&loop);
    ends(&f, RB_SSH_LOST, RB_SSH_WHY_LOST);
    assert_true(f.r.started > 0);
    if (!strstr(f.text, "closed by remote host") && !strstr(f.text, "reset by peer"))
        fail_msg("it was told: %s", f.text);
    drop(&f);
    run(&f, "web10", "echo again");
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_string_equal(f.out, "again\n");
    drop(&f);
}

static void test_a_signal_while_the_connection_stands(void **state)
{
    (void)state;
    struct far f, other;
    open_session(&other, "web11", "sleep 1000");
    long pid;
    assert_int_equal(masters(getpid(), &pid, 1), 1);
    start_simple(&f, "web11", "kill -9 $$");
    while (!f.done)
        uv_run(&loop.uv, UV_RUN_ONCE);
    ends(&f, RB_SSH_SIGNALLED, RB_SSH_WHY_NONE);
    assert_int_equal(other.done, 0);
    lab("kill_sessions web11");
    while (!other.done)
        uv_run(&loop.uv, UV_RUN_ONCE);
    ends(&other, RB_SSH_SIGNALLED, RB_SSH_WHY_NONE);
    drop(&f);
    drop(&other);
}

static void test_a_machine_that_is_switched_off(void **state)
{
    (void)state;
    struct far f;
    open_session(&f, "web12", "sleep 1000");
    lab("stop");
    rb_loop_run(&loop);
    ends(&f, RB_SSH_LOST, RB_SSH_WHY_LOST);
    drop(&f);
    run(&f, "web12", "true");
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_REFUSED);
    drop(&f);
    lab("start");
    run(&f, "web12", "true");
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    drop(&f);
}

/* Everything that waits for a connection hears why there is none. */
static void test_all_that_wait_are_told(void **state)
{
    (void)state;
    struct far f[MANY];
    lab("impostor web13");
    for (int i = 0; i < MANY; i++)
        start_simple(&f[i], "web13", "true");
    rb_loop_run(&loop);
    for (int i = 0; i < MANY; i++) {
        ends(&f[i], RB_SSH_NOT_STARTED, RB_SSH_WHY_HOST_KEY_CHANGED);
        drop(&f[i]);
    }
    lab("trust web13");
}

/* -- masters as they should not be --------------------------------------------------------------------------------- */

/* PATH with tests/unit/fake_ssh.py as ssh; undone by real_ssh(). */
static char path_before[4096], fake_folder[64];

static void fake_ssh(void)
{
    char link[80], target[4096];
    snprintf(path_before, sizeof(path_before), "%s", getenv("PATH"));
    snprintf(fake_folder, sizeof(fake_folder), "/tmp/rbt-fake.%d", (int)getpid());
    snprintf(link, sizeof(link), "%s/ssh", fake_folder);
    assert_non_null(realpath("tests/unit/fake_ssh.py", target));
    assert_int_equal(mkdir(fake_folder, 0700), 0);
    assert_int_equal(symlink(target, link), 0);
    char all[4200];
    snprintf(all, sizeof(all), "%s:%s", fake_folder, path_before);
    setenv("PATH", all, 1);
}

static int real_ssh(void **state)
{
    char link[80];
    setenv("PATH", path_before, 1);
    snprintf(link, sizeof(link), "%s/ssh", fake_folder);
    unlink(link);
    rmdir(fake_folder);
    return loop_teardown(state);
}

/* The server opens a session and then runs nothing. */
static void test_a_command_that_is_refused(void **state)
{
    (void)state;
    struct far f;
    fake_ssh();
    run(&f, "no-exec", "id");
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_SESSION);
    assert_int_equal(f.opened, 1);
    drop(&f);
    run(&f, "says-no-exec", "id"); /* that was somebody else's line */
    ends(&f, RB_SSH_SIGNALLED, RB_SSH_WHY_NONE);
    drop(&f);
}

/* It may have begun, so nobody says that it has not. */
static void test_a_master_that_goes_without_a_word(void **state)
{
    (void)state;
    struct far f;
    fake_ssh();
    run(&f, "gone", "id");
    ends(&f, RB_SSH_LOST, RB_SSH_WHY_LOST);
    assert_int_equal(f.opened, 0);
    assert_int_equal(f.r.started, 0);
    assert_string_equal(f.text, "Timeout, server gone not responding.");
    drop(&f);
    run(&f, "gone-open", "id");
    ends(&f, RB_SSH_LOST, RB_SSH_WHY_LOST);
    assert_int_equal(f.opened, 1);
    assert_string_equal(f.text, "Timeout, server gone not responding.");
    drop(&f);
}

/* Another program at the socket, a master that lets nobody use it: nothing ran, or nobody claims that. */
static void test_masters_that_say_no(void **state)
{
    (void)state;
    struct far f;
    fake_ssh();
    run(&f, "denies", "id");
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_SESSION);
    assert_int_equal(f.opened, 0);
    drop(&f);
    run(&f, "refuses", "id");
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_SESSION);
    assert_string_equal(f.text, "Session open refused by peer");
    drop(&f);
    run(&f, "old", "id");
    ends(&f, RB_SSH_LOST, RB_SSH_WHY_LOST);
    assert_int_equal(f.r.started, 0);
    drop(&f);
}

/* One that talks nonsense is ended with the session whose fate it leaves open. */
static void test_a_master_that_talks_nonsense(void **state)
{
    (void)state;
    struct far f;
    fake_ssh();
    run(&f, "mad", "id");
    ends(&f, RB_SSH_LOST, RB_SSH_WHY_LOST);
    assert_int_equal(count_masters(), 0);
    drop(&f);
}

static void test_output_after_the_code(void **state)
{
    (void)state;
    struct far f;
    fake_ssh();
    struct rb_ssh_options opt = options(&f, "slow-code", "id");
    opt.drain_ms = 0;
    run_with(&f, &opt);
    ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
    assert_int_equal(f.r.code, 3);
    assert_string_equal(f.out, "more more more more ");
    assert_false(f.r.held_open);
    drop(&f);
}

static void test_a_master_that_never_stands(void **state)
{
    (void)state;
    struct far f;
    fake_ssh();
    struct rb_ssh_options opt = options(&f, "never-up", "id");
    opt.target.connect_ms = 200;
    run_with(&f, &opt);
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_TIMEOUT);
    assert_int_equal(count_masters(), 0);
    drop(&f);
}

/* -- letting go ---------------------------------------------------------------------------------------------------- */

static void test_let_go_before_it_was_sent(void **state)
{
    (void)state;
    struct far f;
    struct rb_ssh_options opt = options(&f, "web14", "true");
    start(&f, &opt);
    rb_ssh_close(f.ssh);
    assert_int_equal(f.done, 0); /* never from within */
    rb_loop_run(&loop);
    ends(&f, RB_SSH_NOT_STARTED, RB_SSH_WHY_NONE);
    drop(&f);
}

static void test_let_go_while_it_runs(void **state)
{
    (void)state;
    struct far f;
    struct rb_ssh_options opt = options(&f, "web15", "cd; echo $$ >pid; sleep 0.1; echo ran on >proof");
    opt.on_output = NULL;
    f.close_on_opened = true;
    run_with(&f, &opt);
    ends(&f, RB_SSH_CLOSED, RB_SSH_WHY_NONE);
    assert_int_equal(f.opened, 1);
    drop(&f);
    run(&f, "web15", "cd; until [ -s proof ]; do sleep 0.02; done; cat proof"); /* sshd does not end it */
    assert_string_equal(f.out, "ran on\n");
    drop(&f);
}

static void test_let_go_from_its_output(void **state)
{
    (void)state;
    struct far f;
    struct rb_ssh_options opt = options(&f, "web16", "yes | head -c 1000000; sleep 1000");
    f.close_on_output = true;
    run_with(&f, &opt);
    ends(&f, RB_SSH_CLOSED, RB_SSH_WHY_NONE);
    assert_true(f.live[1] > 0);
    drop(&f);
}

/* The loop goes while they wait, connect and run. */
static void test_the_loop_goes(void **state)
{
    (void)state;
    static struct far f[MANY];
    struct far open;
    open_session(&open, "web17", "sleep 1000");
    long pid;
    assert_int_equal(masters(getpid(), &pid, 1), 1);
    for (int i = 0; i < MANY; i++)
        start_simple(&f[i], i % 2 ? "web17" : "web18", "sleep 1000");
    for (int i = 0; i < 3; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(rb_loop_release(&loop), 0);
    struct rb_err err;
    assert_int_equal(rb_loop_init(&loop, &err), RB_OK); /* for the teardown */
    char name[64];
    assert_int_equal(count_masters(), 0);
    assert_int_equal(parent_of(pid, name), -1);
    assert_int_equal(open.done, 1); /* whoever waited has something to free */
    assert_int_equal(open.r.end, RB_SSH_CLOSED);
    drop(&open);
    for (int i = 0; i < MANY; i++)
        drop(&f[i]);
}

/* A host that is killed takes its connections with it. */
static void test_the_host_is_killed(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t host = fork();
    if (host == 0) {
        struct far f[2];
        struct rb_err err;
        rb_loop_init(&loop, &err);
        waiting = 0;
        open_session(&f[0], "web19", "sleep 1000");
        open_session(&f[1], "web20", "sleep 1000");
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    long pids[4];
    assert_int_equal(masters(host, pids, 4), 2);
    kill(host, SIGKILL);
    waitpid(host, NULL, 0);
    for (int i = 0; i < 2; i++) {
        char name[64];
        while (parent_of(pids[i], name) >= 0 && strcmp(name, "ssh") == 0)
            usleep(5000);
    }
    close(ready[0]);
    while (lab("connections web19") + lab("connections web20"))
        usleep(5000);
}

/* -- what is remembered -------------------------------------------------------------------------------------------- */

static void test_what_is_remembered_goes_with_the_connection(void **state)
{
    (void)state;
    struct far f;
    struct rb_ssh_target t = {.host = "web21", .config = lab_config}, other = {.host = "web22", .config = lab_config};
    assert_null(rb_ssh_recall(&loop, &t, RB_SSH_PLACE));
    rb_ssh_remember(&loop, &t, RB_SSH_PLACE, "too early");
    assert_null(rb_ssh_recall(&loop, &t, RB_SSH_PLACE));
    run(&f, "web21", "true");
    drop(&f);
    rb_ssh_remember(&loop, &t, RB_SSH_PLACE, "machine 1");
    assert_string_equal(rb_ssh_recall(&loop, &t, RB_SSH_PLACE), "machine 1");
    rb_ssh_remember(&loop, &t, RB_SSH_PLACE, "machine 2");
    assert_string_equal(rb_ssh_recall(&loop, &t, RB_SSH_PLACE), "machine 2");
    assert_null(rb_ssh_recall(&loop, &other, RB_SSH_PLACE));
    lab("drop_link web21");
    while (rb_ssh_recall(&loop, &t, RB_SSH_PLACE))
        uv_run(&loop.uv, UV_RUN_ONCE);
    run(&f, "web21", "true");
    drop(&f);
    assert_null(rb_ssh_recall(&loop, &t, RB_SSH_PLACE));
}

/* -- the folder of the sockets ------------------------------------------------------------------------------------- */

static void test_the_folder_is_private_and_swept(void **state)
{
    (void)state;
    struct rb_ssh_folder a, b;
    struct rb_err err;
    struct stat st;
    char runtime[300], base[320], left[400], file[420];
    snprintf(runtime, sizeof(runtime), "/tmp/rbt-run.%d", (int)getpid());
    assert_int_equal(mkdir(runtime, 0700), 0);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    assert_int_equal(rb_ssh_folder_open(&a, &err), RB_OK);
    assert_int_equal(strncmp(a.path, runtime, strlen(runtime)), 0);
    assert_true(strlen(a.path) + 4 + 17 < 108);
    assert_int_equal(stat(a.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(left, sizeof(left), "%s/rbhost/ssh/killed", runtime);
    snprintf(file, sizeof(file), "%s/1", left);
    assert_int_equal(mkdir(left, 0700), 0);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(rb_ssh_folder_open(&b, &err), RB_OK);
    assert_int_equal(stat(left, &st), -1);  /* its host is gone */
    assert_int_equal(stat(a.path, &st), 0); /* the host of this one is not */
    assert_string_not_equal(a.path, b.path);
    rb_ssh_folder_close(&b);
    rb_ssh_folder_close(&a);
    assert_int_equal(stat(a.path, &st), -1);

    snprintf(base, sizeof(base), "%s/rbhost", runtime);
    assert_int_equal(chmod(base, 0755), 0); /* others could look in */
    assert_int_equal(rb_ssh_folder_open(&a, &err), RB_EDENIED);
    assert_non_null(strstr(err.msg, base));
    struct far f;
    struct rb_ssh_options opt = options(&f, "web23", "true");
    assert_int_equal(rb_ssh_start(&loop, &opt, &f.ssh, &err), RB_EDENIED);
    assert_int_equal(chmod(base, 0700), 0);

    snprintf(left, sizeof(left), "%s/rbhost/ssh", runtime);
    rmdir(left);
    rmdir(base);
    chmod(runtime, 0777); /* not ours alone: the other place is taken */
    assert_int_equal(rb_ssh_folder_open(&a, &err), RB_OK);
    assert_int_equal(strncmp(a.path, "/tmp/rbhost-", 12), 0);
    rb_ssh_folder_close(&a);
    unsetenv("XDG_RUNTIME_DIR");
    rmdir(runtime);
}

/* Somebody cleans it away; the next one is not watched but looked at. */
static void test_the_folder_is_gone(void **state)
{
    (void)state;
    struct far f;
    char runtime[100], command[700];
    snprintf(runtime, sizeof(runtime), "/tmp/rbt-run.%d", (int)getpid());
    snprintf(command, sizeof(command), "rm -r %s/rbhost", runtime);
    assert_int_equal(mkdir(runtime, 0700), 0);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    run(&f, "web24", "true");
    drop(&f);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(system(command), 0);
        run(&f, i ? "web25" : "web26", "true");
        ends(&f, RB_SSH_EXITED, RB_SSH_WHY_NONE);
        drop(&f);
    }
    struct rb_err err;
    assert_int_equal(rb_loop_release(&loop), 0);
    assert_int_equal(rb_loop_init(&loop, &err), RB_OK);
    unsetenv("XDG_RUNTIME_DIR");
    snprintf(command, sizeof(command), "rmdir %s/rbhost/ssh %s/rbhost %s", runtime, runtime, runtime);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T_LOOP(test_eight_share_one),
        T_LOOP(test_the_ninth_opens_another),
        T_LOOP(test_a_server_that_allows_two),
        T_LOOP(test_a_server_that_allows_one),
        T_LOOP(test_many_at_one_host),
        T_LOOP(test_forty_hosts_at_once),
        T_LOOP(test_other_targets_share_nothing),
        T_LOOP(test_a_jump),
        T_LOOP(test_a_master_that_was_killed_is_replaced),
        T_LOOP(test_a_master_that_is_idle_is_closed),
        T_LOOP(test_a_master_that_is_killed_as_it_is_asked),
        T_LOOP(test_a_connection_that_is_cut),
        T_LOOP(test_a_signal_while_the_connection_stands),
        T_LOOP(test_a_machine_that_is_switched_off),
        T_LOOP(test_all_that_wait_are_told),
        cmocka_unit_test_setup_teardown(test_a_command_that_is_refused, loop_setup, real_ssh),
        cmocka_unit_test_setup_teardown(test_a_master_that_goes_without_a_word, loop_setup, real_ssh),
        cmocka_unit_test_setup_teardown(test_masters_that_say_no, loop_setup, real_ssh),
        cmocka_unit_test_setup_teardown(test_a_master_that_talks_nonsense, loop_setup, real_ssh),
        cmocka_unit_test_setup_teardown(test_output_after_the_code, loop_setup, real_ssh),
        cmocka_unit_test_setup_teardown(test_a_master_that_never_stands, loop_setup, real_ssh),
        T_LOOP(test_let_go_before_it_was_sent),
        T_LOOP(test_let_go_while_it_runs),
        T_LOOP(test_let_go_from_its_output),
        T_LOOP(test_the_loop_goes),
        T_LOOP(test_the_host_is_killed),
        T_LOOP(test_what_is_remembered_goes_with_the_connection),
        T_LOOP(test_the_folder_is_private_and_swept),
        T_LOOP(test_the_folder_is_gone),
    };
    return cmocka_run_group_tests(tests, start_lab, stop_part);
}
