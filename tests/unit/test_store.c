/* The store as its callers see it: opening, claims, batches, signals, finding, upkeep (host/store/store_sqlite.c and
 * sqlite_*.c). What the disk and other processes do to it is in test_store_crash.c. */
#include "store_fixture.h"

#include <sys/file.h>

#include "store/sqlite.h"

/* -- opening ------------------------------------------------------------------------------------------------------- */

static int open_with(struct fixture *fx, struct rb_store_options opt)
{
    struct rb_store *s = NULL;
    memset(&fx->err, 0, sizeof(fx->err));
    int rc = rb_store_open(NULL, &opt, &s, &fx->err);
    if (rc)
        assert_null(s);
    rb_store_close(s);
    return rc;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_open_errors(void **state)
{
    struct fixture *fx = *state;
    struct rb_store_options read = {.path = fx->path}, write = {.path = fx->path, .write = true};

    assert_int_equal(open_with(fx, read), RB_ENOENT);
    assert_int_equal(open_with(fx, write), RB_ENOENT);
    assert_has(fx->err.msg, "there is no journal");
    assert_int_equal(access(fx->path, F_OK), -1);
    assert_int_equal(open_with(fx, (struct rb_store_options){.path = ""}), RB_EINVAL);
    assert_int_equal(open_with(fx, (struct rb_store_options){.path = fx->dir, .write = true}), RB_EINVAL);
    assert_has(fx->err.msg, "folder");
    assert_int_equal(open_with(fx, (struct rb_store_options){.path = "postgres://db/x"}), RB_EINVAL);
    assert_has(fx->err.msg, "PostgreSQL");

    write_file(fx->path, "this is a text of more than a hundred bytes, which nobody would take for a database of any "
                         "kind, least of all mine\n");
    assert_int_equal(open_with(fx, read), RB_ECORRUPT);
    assert_has(fx->err.msg, "not an SQLite database");
    assert_int_equal(open_with(fx, write), RB_ECORRUPT);
    unlink(fx->path);

    write_file(fx->path, "");
    assert_int_equal(open_with(fx, read), RB_ENOENT);
    assert_has(fx->err.msg, "no runs yet");
    fx_sql(fx->path, "CREATE TABLE t (x)");
    assert_int_equal(open_with(fx, read), RB_ECORRUPT);
    assert_int_equal(open_with(fx, write), RB_ECORRUPT);
    assert_has(fx->err.msg, "not a journal of rbhost");
}

static void test_newer_schema(void **state)
{
    struct fixture *fx = *state;
    fx_open(fx);
    rb_store_close(fx->store);
    fx->store = NULL;
    fx_sql(fx->path, "PRAGMA user_version = 2");
    assert_int_equal(open_with(fx, (struct rb_store_options){.path = fx->path}), RB_EVERSION);
    assert_int_equal(open_with(fx, (struct rb_store_options){.path = fx->path, .write = true}), RB_EVERSION);
    assert_has(fx->err.msg, "newer rbhost");
    assert_has(fx->err.msg, "journal version 2");
}

static void test_created_private(void **state)
{
    struct fixture *fx = *state;
    struct stat st;
    char deep[160], name[200];
    snprintf(deep, sizeof(deep), "%s/a/b#c?d%%41/journal.db", fx->dir);
    assert_ok(fx, fx_open_at(fx, &fx->loop, deep, true, &fx->store));
    assert_string_equal(rb_store_path(fx->store), deep);
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    snprintf(name, sizeof(name), "%s.d", deep);
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    snprintf(name, sizeof(name), "%s-wal", deep);
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(fx_number(deep, "PRAGMA application_id"), RB_APPLICATION_ID);
    assert_int_equal(fx_number(deep, "PRAGMA user_version"), RB_SCHEMA_VERSION);
}

/* Two names of one file share the lock file and the owners. */
static void test_symbolic_link(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], link[160];
    struct rb_store *s;
    struct rb_run_row row;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    snprintf(link, sizeof(link), "%s/link.db", fx->dir);
    assert_int_equal(symlink(fx->path, link), 0);
    assert_ok(fx, fx_open_at(fx, NULL, link, true, &s));
    assert_string_equal(rb_store_path(s), rb_store_path(fx->store));
    assert_int_equal(rb_store_claim_sync(s, id, &row, &fx->err), RB_EBUSY);
    rb_store_close(s);
    rb_journal_close(j);
}

static void test_network_file_systems(void **state)
{
    (void)state;
    assert_string_equal(rb_sqlite_network_fs(0x6969), "NFS");
    assert_string_equal(rb_sqlite_network_fs(0xFF534D42), "CIFS");
    assert_string_equal(rb_sqlite_network_fs((unsigned long)(int)0xFE534D42), "SMB2"); /* as a signed f_type gives it */
    assert_null(rb_sqlite_network_fs(0xEF53));                                         /* ext4 */
    assert_null(rb_sqlite_network_fs(0x01021994));                                     /* tmpfs */
}

/* A medium that can not be written, without -wal and -shm: an unprivileged reader of a read-only folder. */
static void test_read_only_folder(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], good[160];
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    rb_journal_close(j);
    snprintf(good, sizeof(good), "%s/ro", fx->dir);
    mkdir(good, 0755);
    snprintf(good, sizeof(good), "%s/ro/journal.db", fx->dir);
    assert_ok(fx, rb_store_backup(fx->store, good, &fx->err));
    rb_store_close(fx->store);
    fx->store = NULL;
    chmod(fx->dir, 0755);
    chmod(good, 0444);
    snprintf(good, sizeof(good), "%s/ro", fx->dir);
    chmod(good, 0555);
    snprintf(good, sizeof(good), "%s/ro/journal.db", fx->dir);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(10);
        struct rb_store *s;
        struct rb_run_row row;
        if (fx_open_at(fx, NULL, good, false, &s) || rb_store_run(s, id, &row, &fx->err))
            _exit(11);
        rb_store_close(s);
        int rc = fx_open_at(fx, NULL, good, true, &s);
        _exit(rc == RB_EREADONLY ? 0 : 12);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
    snprintf(good, sizeof(good), "%s/ro", fx->dir);
    chmod(good, 0755);
}

/* A reader creates nothing and can not write. */
static void test_reader(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct rb_store *s;
    const char *owner;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, false, &s));
    struct rb_run_row row;
    assert_ok(fx, rb_store_run(s, id, &row, &fx->err));
    assert_string_equal(row.status, "running");
    assert_true(rb_store_owner_alive(s, row.owner));
    rb_run_row_release(&row);
    assert_int_equal(rb_store_owner(s, &owner, &fx->err), RB_EREADONLY);
    assert_int_equal(rb_store_claim_sync(s, id, &row, &fx->err), RB_EREADONLY);
    struct rb_signal_row sig = {.run = id, .kind = "cancel"};
    assert_int_equal(rb_store_signal_sync(s, &sig, NULL, &fx->err), RB_EREADONLY);
    assert_has(fx->err.msg, "reading only");
    rb_store_close(s);
    rb_journal_close(j);
}

/* -- runs and owners ----------------------------------------------------------------------------------------------- */

static void test_ids(void **state)
{
    (void)state;
    char id[RB_RUN_ID_MAX], later[RB_RUN_ID_MAX];
    rb_run_id_new(id);
    assert_int_equal(strlen(id), 15);
    assert_int_equal(id[9], '-');
    assert_int_equal(strspn(id, "0123456789abcdefghjkmnpqrstvwxyz-"), 15);
    do
        rb_run_id_new(later);
    while (memcmp(id, later, 9) == 0);
    assert_true(memcmp(id, later, 9) < 0);
}

static void test_idempotency_key(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    fx_open(fx);
    struct rb_run_row row = {.runbook = strdup("a"), .status = strdup("running"), .key = strdup("deploy-1")};
    rb_run_id_new(row.id);
    struct rb_journal *j = rb_journal_new(fx->store, row.id);
    fx_append(j, "", "run.start", "{}");
    assert_ok(fx, rb_journal_create(j, &row, &fx->err));
    memcpy(id, row.id, sizeof(id));
    rb_journal_close(j);

    rb_run_id_new(row.id);
    j = rb_journal_new(fx->store, row.id);
    fx_append(j, "", "run.start", "{}");
    assert_int_equal(rb_journal_create(j, &row, &fx->err), RB_EEXIST);
    assert_string_equal(row.id, id);
    assert_has(fx->err.msg, id);
    rb_journal_close(j);
    rb_run_row_release(&row);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM runs"), 1);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM events"), 1);
}

/* Two runs of one id: the second gets another, and its chain is made for that one. */
static void test_id_conflict(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct rb_verdict v;
    fx_open(fx);
    struct rb_journal *first = fx_create(fx, fx->store, id), *j = rb_journal_new(fx->store, id);
    fx_append(j, "", "run.start", "{}");
    fx_append(j, "", "note", "{}");
    struct rb_run_row row = {.runbook = strdup("b"), .status = strdup("running")};
    assert_ok(fx, rb_journal_create(j, &row, &fx->err));
    assert_string_not_equal(row.id, id);
    fx_append(j, "", "note", "{}");
    fx_wait_durable(fx, j, 3);
    assert_ok(fx, rb_chain_verify(fx->store, row.id, 0, NULL, &v, &fx->err));
    assert_true(v.ok);
    assert_int_equal(v.events, 3);
    rb_run_row_release(&row);
    rb_journal_close(first);
    rb_journal_close(j);
}

static void test_claims(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct rb_store *other;
    struct rb_run_row row;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, true, &other));

    assert_int_equal(rb_store_claim_sync(fx->store, id, &row, &fx->err), RB_EBUSY); /* the same process counts too */
    assert_has(fx->err.msg, "this process");
    assert_int_equal(rb_store_claim_sync(other, id, &row, &fx->err), RB_EBUSY);
    char pid[32];
    snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
    assert_has(fx->err.msg, pid);
    assert_int_equal(rb_store_claim_sync(other, "nosuch", &row, &fx->err), RB_ENOENT);

    assert_ok(fx, rb_store_disown_sync(fx->store, id, 1, &fx->err));
    assert_int_equal(rb_store_disown_sync(fx->store, id, 1, &fx->err), RB_ESTALE);
    assert_ok(fx, rb_store_claim_sync(other, id, &row, &fx->err));
    assert_int_equal(row.epoch, 2);
    assert_int_equal(row.seq, 1);
    rb_run_row_release(&row);

    rb_store_close(other); /* its owner file goes: dead at once, although the row still names it */
    assert_ok(fx, rb_store_run(fx->store, id, &row, &fx->err));
    assert_non_null(row.owner);
    assert_false(rb_store_owner_alive(fx->store, row.owner));
    rb_run_row_release(&row);
    assert_ok(fx, rb_store_claim_sync(fx->store, id, &row, &fx->err));
    assert_int_equal(row.epoch, 3);
    rb_run_row_release(&row);
    rb_journal_close(j);
}

static void test_owner_names(void **state)
{
    struct fixture *fx = *state;
    char text[200];
    fx_open(fx);
    assert_false(rb_store_owner_alive(fx->store, NULL));
    assert_false(rb_store_owner_alive(fx->store, ""));
    assert_false(rb_store_owner_alive(fx->store, "lock"));
    assert_false(rb_store_owner_alive(fx->store, "1/../lock"));
    rb_store_owner_describe(fx->store, "", text, sizeof(text));
    assert_string_equal(text, "nobody");

    /* files of the dead are cleared away by the next owner, those of the living stay */
    const char *mine;
    char dead[200], living[200];
    snprintf(dead, sizeof(dead), "%s.d/4711-xxxxxxx", fx->path);
    snprintf(living, sizeof(living), "%s.d/4712-xxxxxxx", fx->path);
    write_file(dead, "");
    int fd = open(living, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_ok(fx, rb_store_owner(fx->store, &mine, &fx->err));
    assert_int_equal(access(dead, F_OK), -1);
    assert_int_equal(access(living, F_OK), 0);
    assert_true(rb_store_owner_alive(fx->store, "4712-xxxxxxx"));
    assert_true(rb_store_owner_alive(fx->store, mine));
    close(fd);
    assert_false(rb_store_owner_alive(fx->store, "4712-xxxxxxx"));
}

/* -- batches ------------------------------------------------------------------------------------------------------- */

struct answer {
    int called, rc;
    struct rb_err err;
};

static void on_answer(void *arg, int rc, const struct rb_err *err)
{
    struct answer *a = arg;
    a->called++;
    a->rc = rc;
    if (err)
        a->err = *err;
}

static struct rb_batch *batch_of(const char *id, int64_t epoch, int64_t seq)
{
    struct rb_batch *b = rb_batch_new(id, epoch);
    struct rb_event ev = {.seq = seq, .at = 1, .key = "k", .kind = "note", .data = "{}", .data_len = 2};
    rb_batch_event(b, &ev);
    return b;
}

/* A batch of a lost run fails by itself; those of other runs in the same commit go through. */
static void test_stale_alone(void **state)
{
    struct fixture *fx = *state;
    char lost[RB_RUN_ID_MAX], kept[RB_RUN_ID_MAX];
    struct rb_store *other;
    struct rb_run_row row;
    struct answer a[5] = {0};
    fx_open(fx);
    struct rb_journal *j1 = fx_create(fx, fx->store, lost), *j2 = fx_create(fx, fx->store, kept);
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, true, &other));
    assert_ok(fx, rb_store_claim_forced_sync(other, lost, &row, &fx->err));
    rb_run_row_release(&row);

    rb_store_append(fx->store, batch_of(kept, 1, 2), false, on_answer, &a[0]);
    rb_store_append(fx->store, batch_of(lost, 1, 2), false, on_answer, &a[1]);
    rb_store_append(fx->store, batch_of(lost, 1, 3), false, on_answer, &a[2]);
    rb_store_append(fx->store, batch_of("nosuch", 1, 1), false, on_answer, &a[3]);
    rb_store_append(fx->store, batch_of(kept, 1, 3), true, on_answer, &a[4]);
    fx_until(fx, &a[4].called);
    assert_int_equal(a[0].rc, 0);
    assert_int_equal(a[1].rc, RB_ESTALE);
    assert_has(a[1].err.msg, "taken run");
    assert_int_equal(a[2].rc, RB_ESTALE);
    assert_int_equal(a[3].rc, RB_ENOENT);
    assert_int_equal(a[4].rc, 0);
    assert_int_equal(fx->failed, 0);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM events"), 4);
    rb_store_close(other);
    rb_journal_close(j1);
    rb_journal_close(j2);
}

/* A gap in the numbers is refused, and is no failure of the store. */
static void test_gap(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    assert_int_equal(rb_store_append_sync(fx->store, batch_of(id, 1, 3), &fx->err), RB_ECORRUPT);
    assert_has(fx->err.msg, "event 3 was to follow");
    assert_ok(fx, rb_store_append_sync(fx->store, batch_of(id, 1, 2), &fx->err));
    assert_int_equal(rb_store_append_sync(fx->store, batch_of(id, 1, 2), &fx->err), RB_ECORRUPT);
    rb_journal_close(j);
}

static void test_row_values(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct rb_run_row row;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    rb_journal_row(j, "waiting", "for a person", "bad", -1, 17);
    fx_wait_durable(fx, j, fx_append(j, "", "run.state", "{\"status\":\"waiting\"}"));
    assert_ok(fx, rb_store_run(fx->store, id, &row, &fx->err));
    assert_string_equal(row.status, "waiting");
    assert_string_equal(row.waiting, "for a person");
    assert_string_equal(row.error, "bad");
    assert_int_equal(row.wake, 17);
    assert_int_equal(row.ended, 0);
    rb_run_row_release(&row);
    rb_journal_row(j, NULL, "", NULL, 99, 0);
    fx_wait_durable(fx, j, fx_append(j, "", "note", "{}"));
    assert_ok(fx, rb_store_run(fx->store, id, &row, &fx->err));
    assert_string_equal(row.status, "waiting");
    assert_null(row.waiting);
    assert_string_equal(row.error, "bad");
    assert_int_equal(row.wake, 0);
    assert_int_equal(row.ended, 99);
    rb_run_row_release(&row);
    rb_journal_close(j);
}

/* -- signals ------------------------------------------------------------------------------------------------------- */

static void on_wake(void *arg)
{
    ++*(int *)arg;
}

static int on_signal_row(void *arg, const struct rb_signal_row *sig)
{
    int64_t *sum = arg;
    assert_string_equal(sig->kind, "approve");
    assert_string_equal(sig->data, "{\"comment\":\"x\"}");
    *sum += sig->id;
    return 0;
}

static void test_signals_wake_the_owner(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct rb_store *other;
    int woken = 0;
    int64_t first, second, sum = 0;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    assert_ok(fx, rb_store_watch(fx->store, on_wake, &woken, &fx->err));
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, true, &other));
    struct rb_signal_row sig = {
        .run = id, .kind = "approve", .target = "3", .data = "{\"comment\":\"x\"}", .actor = "{\"name\":\"eve\"}"};
    assert_ok(fx, rb_store_signal_sync(other, &sig, &first, &fx->err));
    fx_until(fx, &woken);
    assert_ok(fx, rb_store_signal_sync(other, &sig, &second, &fx->err));
    assert_true(second > first);
    assert_ok(fx, rb_store_signals(fx->store, id, 0, on_signal_row, &sum, &fx->err));
    assert_int_equal(sum, first + second);
    sum = 0;
    assert_ok(fx, rb_store_signals(fx->store, id, first, on_signal_row, &sum, &fx->err));
    assert_int_equal(sum, second);
    sig.run = "nosuch";
    assert_int_equal(rb_store_signal_sync(other, &sig, NULL, &fx->err), RB_ENOENT);
    rb_store_close(other);
    rb_journal_close(j);
}

/* -- finding ------------------------------------------------------------------------------------------------------- */

static void put_run(struct fixture *fx, const char *id, const char *status, const char *runbook, int64_t ended)
{
    struct rb_run_row row = {.runbook = strdup(runbook), .status = strdup(status), .ended = ended};
    snprintf(row.id, sizeof(row.id), "%s", id);
    struct rb_journal *j = rb_journal_new(fx->store, id);
    fx_append(j, "", "run.start", "{}");
    assert_ok(fx, rb_journal_create(j, &row, &fx->err));
    assert_string_equal(row.id, id);
    rb_journal_close(j);
    rb_run_row_release(&row);
}

static void found(struct fixture *fx, const char *text, const char *id)
{
    struct rb_run_row row;
    int rc = rb_store_find(fx->store, text, &row, &fx->err);
    if (rc)
        fail_msg("%s: %s", text, fx->err.msg);
    assert_string_equal(row.id, id);
    rb_run_row_release(&row);
}

static void test_find(void **state)
{
    struct fixture *fx = *state;
    struct rb_run_row row;
    fx_open(fx);
    assert_int_equal(rb_store_find(fx->store, "latest", &row, &fx->err), RB_ENOENT);
    assert_has(fx->err.msg, "no runs");
    put_run(fx, "1m7p00001-aaaaa", "running", "a", 0);
    put_run(fx, "1m7p00002-bbbbb", "running", "a", 0);
    put_run(fx, "1m7p00003-bbbba", "running", "a", 0);
    found(fx, "1m7p00001-aaaaa", "1m7p00001-aaaaa");
    found(fx, "1M7P00002", "1m7p00002-bbbbb");
    found(fx, "aaaaa", "1m7p00001-aaaaa");
    found(fx, "bbbbb", "1m7p00002-bbbbb");
    found(fx, "IM7POOOO1", "1m7p00001-aaaaa"); /* what people read as digits */
    found(fx, NULL, "1m7p00003-bbbba");
    found(fx, "latest", "1m7p00003-bbbba");
    assert_int_equal(rb_store_find(fx->store, "1m7", &row, &fx->err), RB_EINVAL);
    assert_has(fx->err.msg, "1m7p00001-aaaaa");
    assert_has(fx->err.msg, "1m7p00003-bbbba");
    assert_int_equal(rb_store_find(fx->store, "a", &row, &fx->err), RB_EINVAL);
    assert_int_equal(rb_store_find(fx->store, "zzz", &row, &fx->err), RB_ENOENT);
    assert_int_equal(rb_store_find(fx->store, "", &row, &fx->err), RB_ENOENT);
    assert_int_equal(rb_store_find(fx->store, "%", &row, &fx->err), RB_ENOENT);
    assert_int_equal(rb_store_find(fx->store, "a' OR 1=1 --", &row, &fx->err), RB_ENOENT);
    assert_int_equal(rb_store_find(fx->store, "1m7p00001-aaaaa-and-much-more", &row, &fx->err), RB_ENOENT);
    for (int i = 4; i < 9; i++) {
        char id[RB_RUN_ID_MAX];
        snprintf(id, sizeof(id), "1m7p0000%d-ccccc", i);
        put_run(fx, id, "running", "a", 0);
    }
    assert_int_equal(rb_store_find(fx->store, "1m7", &row, &fx->err), RB_EINVAL);
    assert_has(fx->err.msg, "and more");
    put_run(fx, "1m7", "running", "a", 0); /* a whole id, whatever else begins with it */
    found(fx, "1m7", "1m7");
}

static int on_row(void *arg, const struct rb_run_row *row)
{
    char *list = arg;
    size_t n = strlen(list);
    snprintf(list + n, 200 - n, "%s ", row->id);
    return strcmp(row->id, "stop") == 0 ? 7 : 0;
}

static void test_list(void **state)
{
    struct fixture *fx = *state;
    char list[200] = "";
    fx_open(fx);
    put_run(fx, "1", "running", "a", 0);
    put_run(fx, "2", "succeeded", "b", 5);
    put_run(fx, "3", "parked", "a", 0);
    put_run(fx, "4", "failed", "a", 5);
    struct rb_run_filter all = {0}, open = {.status = "open"}, a = {.runbook = "a", .limit = 2},
                         failed = {.status = "failed"}, page = {.before = "3", .status = "open", .runbook = "a"};
    assert_ok(fx, rb_store_runs(fx->store, &all, on_row, list, &fx->err));
    assert_string_equal(list, "4 3 2 1 ");
    *list = '\0';
    assert_ok(fx, rb_store_runs(fx->store, &open, on_row, list, &fx->err));
    assert_string_equal(list, "3 1 ");
    *list = '\0';
    assert_ok(fx, rb_store_runs(fx->store, &a, on_row, list, &fx->err));
    assert_string_equal(list, "4 3 ");
    *list = '\0';
    assert_ok(fx, rb_store_runs(fx->store, &failed, on_row, list, &fx->err));
    assert_string_equal(list, "4 ");
    *list = '\0';
    assert_ok(fx, rb_store_runs(fx->store, &page, on_row, list, &fx->err));
    assert_string_equal(list, "1 ");
    put_run(fx, "stop", "running", "a", 0);
    *list = '\0';
    assert_int_equal(rb_store_runs(fx->store, &all, on_row, list, &fx->err), 7);
    assert_string_equal(list, "stop ");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(test_open_errors),
        T(test_newer_schema),
        T(test_created_private),
        T(test_symbolic_link),
        T(test_network_file_systems),
        T(test_read_only_folder),
        T(test_reader),
        T(test_ids),
        T(test_idempotency_key),
        T(test_id_conflict),
        T(test_claims),
        T(test_owner_names),
        T(test_stale_alone),
        T(test_gap),
        T(test_row_values),
        T(test_signals_wake_the_owner),
        T(test_find),
        T(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
