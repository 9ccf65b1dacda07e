/* What disks, signals and other processes do to a journal: torn and cut files, no space, locks, kills, stops, many
 * writers. The promise each time: what was acknowledged is there, whole and in order (invariants 3 and 6), and the next
 * command can say what is wrong. */
#include "store_fixture.h"

#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "store/sqlite.h"

static int64_t events_of(struct fixture *fx, const char *path, const char *id)
{
    struct rb_store *s;
    struct rb_verdict v;
    assert_ok(fx, fx_open_at(fx, NULL, path, false, &s));
    assert_ok(fx, rb_chain_verify(s, id, 0, NULL, &v, &fx->err));
    if (!v.ok)
        fail_msg("%s: %s", path, v.what);
    rb_store_close(s);
    return v.events;
}

static void copy_part(const char *from, const char *to, off_t n)
{
    char buf[8192];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(in >= 0 && out >= 0);
    while (n != 0) {
        ssize_t got = read(in, buf, n > 0 && n < (off_t)sizeof(buf) ? (size_t)n : sizeof(buf));
        if (got <= 0)
            break;
        assert_int_equal(write(out, buf, (size_t)got), got);
        n -= n > 0 ? got : 0;
    }
    close(in);
    close(out);
}

/* -- files --------------------------------------------------------------------------------------------------------- */

/* A power cut can leave any prefix of the WAL. Whatever was acknowledged before the WAL had that length is there. */
static void test_torn_wal(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], wal[160], torn[160], torn_wal[170];
    struct {
        off_t size;
        int64_t seq;
    } ack[60];
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    snprintf(wal, sizeof(wal), "%s-wal", fx->path);
    int n = 0;
    for (struct stat st; n < 60; n++) {
        fx_append(j, "a", "result", "{}");
        fx_wait_durable(fx, j, fx_append(j, "b", "intent", "{}"));
        assert_int_equal(stat(wal, &st), 0);
        ack[n].size = st.st_size;
        ack[n].seq = rb_journal_durable(j);
    }
    off_t whole = ack[n - 1].size;
    for (int i = 0; i <= 200; i++) {
        off_t cut =
            i < 60 ? ack[i].size - (i % 3) * 8 : whole * i / 200 - i % 7; /* at frames, just before them, anywhere */
        cut = cut < 0 ? 0 : cut;
        snprintf(torn, sizeof(torn), "%s/torn.db", fx->dir);
        snprintf(torn_wal, sizeof(torn_wal), "%s-wal", torn);
        copy_part(fx->path, torn, -1);
        copy_part(wal, torn_wal, cut);
        int64_t least = 0;
        for (int k = 0; k < n; k++)
            if (ack[k].size <= cut)
                least = ack[k].seq;
        struct rb_store *s;
        int rc = fx_open_at(fx, NULL, torn, true, &s);
        assert_ok(fx, rc);
        struct rb_verdict v;
        rc = rb_chain_verify(s, id, 0, NULL, &v, &fx->err);
        rb_store_close(s);
        if (rc == RB_ENOENT && least == 0)
            v.events = 0; /* cut before the run's creation */
        else if (rc || !v.ok)
            fail_msg("cut at %lld: %s", (long long)cut, rc ? fx->err.msg : v.what);
        if (v.events < least)
            fail_msg("cut at %lld: %lld events, %lld were acknowledged", (long long)cut, (long long)v.events,
                     (long long)least);
        unlink(torn_wal);
        snprintf(torn_wal, sizeof(torn_wal), "%s-shm", torn);
        unlink(torn_wal);
        unlink(torn);
    }
    rb_journal_close(j);
}

/* The main file cut in the middle: found by opening, reading or checking, always as damage and never as a crash or a
 * wrong answer. */
static void test_cut_in_the_middle(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], whole[160], cut[160];
    struct stat st;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    char data[600] = "{\"text\":\"";
    memset(data + 9, 'x', 500);
    memcpy(data + 509, "\"}", 3);
    for (int i = 0; i < 200; i++)
        fx_append(j, "a", "note", data);
    fx_wait_durable(fx, j, 201);
    rb_journal_close(j);
    snprintf(whole, sizeof(whole), "%s/whole.db", fx->dir);
    snprintf(cut, sizeof(cut), "%s/cut.db", fx->dir);
    assert_ok(fx, rb_store_backup(fx->store, whole, &fx->err));
    assert_int_equal(stat(whole, &st), 0);
    for (off_t n = 100; n < st.st_size; n += st.st_size / 37) {
        struct rb_store *s = NULL;
        struct rb_verdict v = {0};
        copy_part(whole, cut, n);
        int rc = fx_open_at(fx, NULL, cut, false, &s);
        if (rc == 0)
            rc = rb_chain_verify(s, id, 0, NULL, &v, &fx->err);
        if (rc == 0 && v.ok)
            rc = rb_store_check(s, &fx->err); /* the cut hit what the run does not need */
        else if (rc == 0)
            rc = v.bad_seq > 0 ? RB_ECORRUPT : RB_OK;
        if (rc != RB_ECORRUPT)
            fail_msg("cut at %lld of %lld: %d, %s %s", (long long)n, (long long)st.st_size, rc, fx->err.msg, v.what);
        rb_store_close(s);
        unlink(cut);
    }
}

/* -- no space ------------------------------------------------------------------------------------------------------ */

struct journal_end {
    int failed, rc;
    int64_t shown;
};

static void on_event(void *arg, const struct rb_event *ev)
{
    struct journal_end *e = arg;
    assert_int_equal(ev->seq, e->shown + 1);
    e->shown = ev->seq;
}

static void on_journal_failed(void *arg, int rc, const struct rb_err *err)
{
    struct journal_end *e = arg;
    (void)err;
    e->failed++;
    e->rc = rc;
}

/* No file may grow past a limit: what a full disk does, without one. Run in a child because the limit stays. */
static int fill_up(struct fixture *fx)
{
    char id[RB_RUN_ID_MAX];
    struct journal_end end = {.shown = 0};
    struct rb_durable w = {.fn = NULL};
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    rb_journal_watch(j, &(struct rb_journal_watch){on_event, on_journal_failed, &end});
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {400000, 400000};
    setrlimit(RLIMIT_FSIZE, &limit);
    char data[3000] = "{\"text\":\"";
    memset(data + 9, 'x', 2900);
    memcpy(data + 2909, "\"}", 3);
    int64_t deadline = rb_clock_boot() + 20000000;
    while (!fx->failed && rb_clock_boot() < deadline) {
        if (!end.failed && rb_journal_seq(j) - end.shown < 3) { /* no faster than it is acknowledged */
            fx_append(j, "a", "note", data);
            rb_store_flush(fx->store);
        }
        uv_run(&fx->loop.uv, UV_RUN_NOWAIT);
    }
    if (fx->failed != 1 || end.failed != 1 || (end.rc != RB_EFULL && end.rc != RB_EIO))
        return 2;
    /* nothing is acknowledged any more, nothing is called any more, every job gets the error */
    int64_t shown = end.shown;
    rb_list_init(&w.link);
    rb_journal_when_durable(j, fx_append(j, "a", "note", "{}"), &w);
    struct rb_run_row row;
    if (rb_store_claim_sync(fx->store, id, &row, &fx->err) != end.rc)
        return 3;
    uv_run(&fx->loop.uv, UV_RUN_NOWAIT);
    if (fx->failed != 1 || end.failed != 1 || end.shown != shown || rb_journal_durable(j) != shown)
        return 4;
    rb_journal_close(j);
    rb_store_close(fx->store);
    /* what was shown is what the parent must find */
    char name[160];
    snprintf(name, sizeof(name), "%s/shown", fx->dir);
    FILE *f = fopen(name, "w");
    fprintf(f, "%s %lld\n", id, (long long)shown);
    fclose(f);
    return 0;
}

static void test_no_space(void **state)
{
    struct fixture *fx = *state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(fill_up(fx));
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    char name[160], id[RB_RUN_ID_MAX];
    long long shown;
    snprintf(name, sizeof(name), "%s/shown", fx->dir);
    FILE *f = fopen(name, "r");
    assert_int_equal(fscanf(f, "%23s %lld", id, &shown), 2);
    fclose(f);
    assert_true(shown > 10);
    assert_true(events_of(fx, fx->path, id) >= shown);
    /* with space again it goes on */
    struct rb_run_row row;
    fx_open(fx);
    assert_ok(fx, rb_store_claim_sync(fx->store, id, &row, &fx->err));
    struct rb_journal *j = rb_journal_open(fx->store, &row);
    fx_wait_durable(fx, j, fx_append(j, "", "note", "{}"));
    rb_journal_close(j);
    rb_run_row_release(&row);
    events_of(fx, fx->path, id);
}

/* -- locks --------------------------------------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int to, from; /* pipes: it says one byte when it is ready and ends when `to` closes */
};

static struct child start_child(struct fixture *fx, void (*body)(struct fixture *fx, int ready, int go))
{
    int a[2], b[2];
    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(a[1]);
        close(b[0]);
        body(fx, b[1], a[0]);
        _exit(0);
    }
    close(a[0]);
    close(b[1]);
    struct child c = {pid, a[1], b[0]};
    char byte;
    assert_int_equal(read(c.from, &byte, 1), 1);
    return c;
}

static int end_child(struct child *c)
{
    int status;
    close(c->to);
    waitpid(c->pid, &status, 0);
    close(c->from);
    return status;
}

static void await_go(int ready, int go)
{
    char byte = 'r';
    if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) < 0)
        _exit(9);
}

static void hold_lock_file(struct fixture *fx, int ready, int go)
{
    char name[160];
    snprintf(name, sizeof(name), "%s.d/lock", fx->path);
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (flock(fd, LOCK_EX) || dprintf(fd, "%ld\n", (long)getpid()) < 2)
        _exit(8);
    await_go(ready, go);
}

static void hold_database(struct fixture *fx, int ready, int go)
{
    sqlite3 *db;
    if (sqlite3_open(fx->path, &db) || sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL))
        _exit(8);
    await_go(ready, go);
    sqlite3_close(db);
}

/* Bounded, names the holder, and is no failure of the store: afterwards it goes on. */
static void locked_by(struct fixture *fx, void (*holder)(struct fixture *fx, int ready, int go))
{
    char id[RB_RUN_ID_MAX], pid[64];
    struct rb_store_options opt = {
        .path = fx->path, .write = true, .create = true, .lock_wait_ms = 200, .on_failed = fx_on_failed, .arg = fx};
    assert_ok(fx, rb_store_open(&fx->loop, &opt, &fx->store, &fx->err));
    struct rb_journal *j = fx_create(fx, fx->store, id);
    struct child c = start_child(fx, holder);
    int64_t before = rb_clock_boot();
    struct rb_signal_row sig = {.run = id, .kind = "cancel"};
    assert_int_equal(rb_store_signal_sync(fx->store, &sig, NULL, &fx->err), RB_EBUSY);
    int64_t waited = rb_clock_boot() - before;
    if (waited < 200000 || waited > 8000000)
        fail_msg("waited %lld us", (long long)waited);
    snprintf(pid, sizeof(pid), "pid %ld (test_store_crash", (long)c.pid);
    assert_has(fx->err.msg, pid);
    assert_int_equal(end_child(&c), 0);
    assert_ok(fx, rb_store_signal_sync(fx->store, &sig, NULL, &fx->err));
    assert_int_equal(fx->failed, 0);
    fx_wait_durable(fx, j, fx_append(j, "", "note", "{}"));
    rb_journal_close(j);
}

static void test_lock_file_held(void **state)
{
    locked_by(*state, hold_lock_file);
}

static void test_database_locked(void **state)
{
    locked_by(*state, hold_database);
}

/* -- owners -------------------------------------------------------------------------------------------------------- */

static void own_a_run(struct fixture *fx, int ready, int go)
{
    char byte;
    fx_open(fx);
    struct rb_run_row row = {.runbook = strdup("a"), .status = strdup("running")};
    snprintf(row.id, sizeof(row.id), "the-run");
    struct rb_journal *j = rb_journal_new(fx->store, row.id);
    struct journal_end end = {.shown = 0};
    rb_journal_watch(j, &(struct rb_journal_watch){on_event, on_journal_failed, &end});
    fx_append(j, "", "run.start", "{}");
    if (rb_journal_create(j, &row, &fx->err))
        _exit(7);
    await_go(ready, go); /* stopped here, and woken */
    fx_append(j, "", "intent", "{\"op\":\"of the stopped one\"}");
    rb_store_flush(fx->store);
    fx_until(fx, &end.failed);
    /* told once, by the right name; the store itself goes on */
    byte = (char)(end.rc == RB_ESTALE && end.failed == 1 && !fx->failed ? 'y' : 'n');
    rb_journal_close(j);
    rb_store_close(fx->store);
    _exit(write(ready, &byte, 1) == 1 ? 0 : 6);
}

/* A stopped owner still lives, so it is not robbed; if it is (by force), it is refused when it wakes. */
static void test_stopped_owner(void **state)
{
    struct fixture *fx = *state;
    struct rb_run_row row;
    struct child c = start_child(fx, own_a_run);
    int status;
    kill(c.pid, SIGSTOP);
    waitpid(c.pid, &status, WUNTRACED);
    assert_true(WIFSTOPPED(status));
    fx_open(fx);
    assert_int_equal(rb_store_claim_sync(fx->store, "the-run", &row, &fx->err), RB_EBUSY);
    assert_ok(fx, rb_store_claim_forced_sync(fx->store, "the-run", &row, &fx->err));
    assert_int_equal(row.epoch, 2);
    kill(c.pid, SIGCONT);
    char byte = 'g';
    assert_int_equal(write(c.to, &byte, 1), 1);
    assert_int_equal(read(c.from, &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(end_child(&c), 0);
    struct rb_journal *j = rb_journal_open(fx->store, &row);
    fx_wait_durable(fx, j, fx_append(j, "", "run.resume", "{}"));
    rb_journal_close(j);
    rb_run_row_release(&row);
    assert_int_equal(events_of(fx, fx->path, "the-run"), 2);
}

/* Invariant 5: a killed owner is seen dead at once. */
static void test_killed_owner(void **state)
{
    struct fixture *fx = *state;
    struct rb_run_row row;
    struct child c = start_child(fx, own_a_run);
    fx_open(fx);
    assert_int_equal(rb_store_claim_sync(fx->store, "the-run", &row, &fx->err), RB_EBUSY);
    kill(c.pid, SIGKILL);
    end_child(&c);
    assert_ok(fx, rb_store_claim_sync(fx->store, "the-run", &row, &fx->err));
    assert_int_equal(row.epoch, 2);
    rb_run_row_release(&row);
}

static void own_a_run_and_fork(struct fixture *fx, int ready, int go)
{
    char id[RB_RUN_ID_MAX];
    fx_open(fx);
    fx_create(fx, fx->store, id);
    pid_t self = getpid();
    if (fork() == 0) { /* as between fork and exec: it has every descriptor, the owner file's too */
        while (getppid() == self)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        _exit(0);
    }
    await_go(ready, go);
}

/* A host that was killed while it started a command: its lock is held until the child executes. */
static void test_killed_owner_with_a_child(void **state)
{
    struct fixture *fx = *state;
    struct rb_run_row row;
    char id[RB_RUN_ID_MAX];
    struct child c = start_child(fx, own_a_run_and_fork);
    fx_open(fx);
    assert_ok(fx, rb_store_find(fx->store, NULL, &row, &fx->err));
    snprintf(id, sizeof(id), "%s", row.id);
    rb_run_row_release(&row);
    assert_int_equal(rb_store_claim_sync(fx->store, id, &row, &fx->err), RB_EBUSY);
    kill(c.pid, SIGKILL);
    end_child(&c);
    assert_ok(fx, rb_store_claim_sync(fx->store, id, &row, &fx->err));
    assert_int_equal(row.epoch, 2);
    rb_run_row_release(&row);
}

/* -- Ctrl-Z -------------------------------------------------------------------------------------------------------- */

static void commit_for_ever(struct fixture *fx, int ready, int go)
{
    char id[RB_RUN_ID_MAX];
    setpgid(0, 0); /* stopped and continued alone; the parent is in the same session, so the group is no orphan */
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    char byte = 'r';
    if (write(ready, &byte, 1) != 1)
        _exit(9);
    fcntl(go, F_SETFL, O_NONBLOCK);
    while (read(go, &byte, 1) != 0)
        fx_wait_durable(fx, j, fx_append(j, "", "note", "{}"));
    rb_journal_close(j);
    rb_store_close(fx->store);
}

/* A process that commits all the time is stopped by Ctrl-Z again and again: it never holds the lock while it is
 * stopped. */
static void test_ctrl_z(void **state)
{
    struct fixture *fx = *state;
    char name[160];
    struct child c = start_child(fx, commit_for_ever);
    snprintf(name, sizeof(name), "%s.d/lock", fx->path);
    int fd = open(name, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int i = 0; i < 200; i++) {
        int status;
        kill(c.pid, SIGTSTP);
        assert_int_equal(waitpid(c.pid, &status, WUNTRACED), c.pid);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(WSTOPSIG(status), SIGTSTP);
        if (flock(fd, LOCK_EX | LOCK_NB))
            fail_msg("round %d: the stopped process holds the lock", i);
        flock(fd, LOCK_UN);
        kill(c.pid, SIGCONT);
    }
    close(fd);
    assert_int_equal(end_child(&c), 0);
}

/* -- many writers -------------------------------------------------------------------------------------------------- */

#define PROCESSES 4
#define RUNS 5
#define EVENTS 60

/* Creates runs, writes them in turns, and opens and closes the store in between, so that WALs are recovered and
 * checkpointed. */
static void hammer(struct fixture *fx, int ready, int go)
{
    await_go(ready, go);
    char big[9000];
    memset(big, 'x', sizeof(big));
    for (int r = 0; r < RUNS; r++) {
        char id[RB_RUN_ID_MAX], digest[RB_SHA_HEX], data[200];
        struct rb_store_options opt = {.path = fx->path, .write = true, .create = true, .lock_wait_ms = 60000};
        if (rb_store_open(&fx->loop, &opt, &fx->store, &fx->err))
            _exit(1);
        struct rb_journal *j = fx_create(fx, fx->store, id);
        for (int e = 2; e <= EVENTS; e++) {
            big[0] = (char)e;
            memcpy(big + 1, id, 15);
            rb_journal_blob(j, big, sizeof(big), digest);
            snprintf(data, sizeof(data), "{\"value\":{\"$blob\":\"%s\",\"size\":9000}}", digest);
            fx_append(j, "k", "result", data);
            if (e % 3 == 0)
                fx_wait_durable(fx, j, e);
        }
        fx_wait_durable(fx, j, EVENTS);
        rb_journal_close(j);
        rb_store_close(fx->store); /* its WAL is large: this checkpoints while the others commit */
    }
    fx->store = NULL;
}

static int on_run(void *arg, const struct rb_run_row *row)
{
    char(*ids)[RB_RUN_ID_MAX] = arg;
    int n = 0;
    while (ids[n][0])
        n++;
    memcpy(ids[n], row->id, RB_RUN_ID_MAX);
    return 0;
}

static void test_four_processes(void **state)
{
    struct fixture *fx = *state;
    struct child c[PROCESSES];
    char ids[PROCESSES * RUNS + 1][RB_RUN_ID_MAX] = {{0}};
    for (int i = 0; i < PROCESSES; i++)
        c[i] = start_child(fx, hammer);
    for (int i = 0; i < PROCESSES; i++)
        close(c[i].to);
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        waitpid(c[i].pid, &status, 0);
        close(c[i].from);
        assert_int_equal(status, 0);
    }
    fx_open(fx);
    struct rb_run_filter f = {.limit = PROCESSES * RUNS};
    assert_ok(fx, rb_store_runs(fx->store, &f, on_run, ids, &fx->err));
    for (int i = 0; i < PROCESSES * RUNS; i++) {
        struct rb_verdict v;
        assert_ok(fx, rb_chain_verify(fx->store, ids[i], 0, NULL, &v, &fx->err));
        if (!v.ok || v.events != EVENTS)
            fail_msg("%s: %lld events, %s", ids[i], (long long)v.events, v.what);
    }
    assert_ok(fx, rb_store_check(fx->store, &fx->err));
}

/* Killed at any instant while it commits and checkpoints: each event that it said was durable is there. */
static void kill_me(struct fixture *fx, int ready, int go)
{
    char id[RB_RUN_ID_MAX], byte = 'r';
    int64_t *shown = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, go, 0);
    (void)ready;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    memcpy(shown + 1, id, sizeof(id));
    if (write(ready, &byte, 1) != 1)
        _exit(9);
    for (;;) {
        fx_append(j, "", "result", "{}");
        fx_wait_durable(fx, j, fx_append(j, "", "intent", "{}"));
        *shown = rb_journal_durable(j);
    }
}

static void test_killed_writer(void **state)
{
    struct fixture *fx = *state;
    for (int round = 0; round < 20; round++) {
        int fd = memfd_create("shown", MFD_CLOEXEC), status, pipes[2];
        char byte;
        assert_int_equal(ftruncate(fd, 4096), 0);
        int64_t *shown = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0)
            kill_me(fx, pipes[1], fd);
        assert_int_equal(read(pipes[0], &byte, 1), 1);
        while (__atomic_load_n(shown, __ATOMIC_SEQ_CST) < 3 + round * 7) {
            struct timespec ts = {.tv_nsec = 50000 + round * 1000};
            nanosleep(&ts, NULL);
        }
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        close(pipes[0]);
        close(pipes[1]);
        char id[RB_RUN_ID_MAX];
        memcpy(id, shown + 1, sizeof(id));
        int64_t there = events_of(fx, fx->path, id);
        if (there < *shown)
            fail_msg("round %d: %lld events, %lld were acknowledged", round, (long long)there, (long long)*shown);
        munmap(shown, 4096);
        close(fd);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(test_torn_wal),        T(test_cut_in_the_middle), T(test_no_space),      T(test_lock_file_held),
        T(test_database_locked), T(test_stopped_owner),     T(test_killed_owner),  T(test_killed_owner_with_a_child),
        T(test_ctrl_z),          T(test_four_processes),    T(test_killed_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
