/* Databases for real: connections and their threads, values, locks of others, stopping, and that nothing stays open. */
#include <sqlite3.h>
#include <sys/stat.h>

#include "io/sql.h"
#include "loop_fixture.h"

#define ENDLESS "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) AS n FROM c"

static char folder[64], path[128], dsn[160];

/* What has come of one request. */
struct answer {
    struct rb_sql_work *work;
    struct rb_sql_conn *conn;
    struct rb_sql_failure failure;
    bool ok, more;
    int done;
    int64_t changes, last_id;
    size_t rows, columns;
    char first[200]; /* the first cell as text */
    enum rb_sql_type type;
};

static void exec_outside(const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int setup(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/rbhost-sql.XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/app.db", folder);
    snprintf(dsn, sizeof(dsn), "sqlite:%s", path);
    exec_outside("CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t (a) VALUES ('one')");
    return loop_setup(state);
}

/* No handle, no descriptor, no thread is left. */
static int teardown(void **state)
{
    char command[200];
    loop_teardown(state);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    return 0;
}

static void answered(void)
{
    if (--waiting == 0)
        rb_loop_stop(&loop);
}

static void until_answered(void)
{
    if (waiting)
        rb_loop_run(&loop);
}

static void on_open(void *arg, struct rb_sql_conn *conn, const struct rb_sql_failure *why)
{
    struct answer *a = arg;
    a->done++;
    a->conn = conn;
    a->ok = conn != NULL;
    if (why)
        a->failure = *why;
    answered();
}

static void on_done(void *arg, struct rb_sql_result *r)
{
    struct answer *a = arg;
    a->done++;
    a->ok = r->ok;
    a->failure = r->failure;
    a->rows = r->row_count;
    a->columns = r->column_count;
    a->changes = r->changes;
    a->last_id = r->last_id;
    a->more = r->more;
    if (r->row_count) {
        a->type = r->cells[0].type;
        if (a->type == RB_SQL_TEXT || a->type == RB_SQL_BYTES)
            snprintf(a->first, sizeof(a->first), "%s", r->cells[0].text);
        else if (a->type == RB_SQL_INT)
            snprintf(a->first, sizeof(a->first), "%lld", (long long)r->cells[0].i);
    }
    answered();
}

static struct rb_sql_open opening(struct answer *a, bool read)
{
    *a = (struct answer){0};
    return (struct rb_sql_open){.dsn = dsn, .read = read, .on_open = on_open, .arg = a};
}

static void begin_open(struct answer *a, const struct rb_sql_open *opt)
{
    struct rb_err err = {0};
    waiting++;
    assert_int_equal(rb_sql_sqlite.open(&loop, opt, &a->work, &err), 0);
}

static struct rb_sql_conn *open_now(bool read)
{
    struct answer a;
    struct rb_sql_open opt = opening(&a, read);
    begin_open(&a, &opt);
    until_answered();
    assert_string_equal(a.failure.message, "");
    assert_non_null(a.conn);
    return a.conn;
}

static void begin_run(struct answer *a, struct rb_sql_conn *c, const char *text, uint64_t timeout_ms)
{
    struct rb_err err = {0};
    struct rb_sql_statement st = {.text = text,
                                  .max_rows = 100,
                                  .max_bytes = 1 << 20,
                                  .timeout_ms = timeout_ms,
                                  .lock_ms = timeout_ms,
                                  .on_done = on_done,
                                  .arg = a};
    *a = (struct answer){0};
    waiting++;
    assert_int_equal(c->driver->run(c, &st, &a->work, &err), 0);
}

static void run_now(struct answer *a, struct rb_sql_conn *c, const char *text, uint64_t timeout_ms)
{
    begin_run(a, c, text, timeout_ms);
    until_answered();
}

/* -- statements ---------------------------------------------------------------------------------------------------- */

static void test_a_statement_and_its_rows(void **state)
{
    (void)state;
    struct answer a;
    struct rb_sql_conn *c = open_now(false);
    run_now(&a, c, "SELECT a, id FROM t", 0);
    assert_true(a.ok);
    assert_int_equal(a.rows, 1);
    assert_int_equal(a.columns, 2);
    assert_int_equal(a.type, RB_SQL_TEXT);
    assert_string_equal(a.first, "one");
    assert_int_equal(a.changes, -1);
    run_now(&a, c, "INSERT INTO t (a) VALUES ('two'), ('three')", 0);
    assert_int_equal(a.changes, 2);
    assert_int_equal(a.last_id, 3);
    run_now(&a, c, "CREATE TABLE u (x)", 0);
    assert_int_equal(a.changes, 0);
    assert_int_equal(a.last_id, 0);
    c->driver->release(c, true);
}

static void test_parameters_are_copied(void **state)
{
    (void)state;
    struct answer a = {0};
    struct rb_err err = {0};
    struct rb_sql_conn *c = open_now(true);
    char text[] = "SELECT :a || :b", value[] = "x";
    struct rb_sql_param params[] = {{"b", {.type = RB_SQL_TEXT, .text = value, .len = 1}},
                                    {"a", {.type = RB_SQL_INT, .i = 7}}};
    struct rb_sql_statement st = {.text = text,
                                  .params = params,
                                  .param_count = 2,
                                  .max_rows = 1,
                                  .max_bytes = 100,
                                  .on_done = on_done,
                                  .arg = &a};
    waiting++;
    assert_int_equal(c->driver->run(c, &st, &a.work, &err), 0);
    memset(text, '!', sizeof(text) - 1);
    value[0] = '!';
    until_answered();
    assert_string_equal(a.failure.message, "");
    assert_string_equal(a.first, "7x");
    c->driver->release(c, true);
}

static void test_a_reader_can_not_write(void **state)
{
    (void)state;
    struct answer a;
    struct rb_sql_conn *c = open_now(true);
    run_now(&a, c, "DELETE FROM t", 0);
    assert_false(a.ok);
    assert_string_equal(a.failure.kind, "sql.readonly");
    c->driver->release(c, true);
}

static void test_the_cap_of_rows(void **state)
{
    (void)state;
    struct answer a;
    struct rb_sql_conn *c = open_now(true);
    run_now(&a, c, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT i FROM c", 0);
    assert_true(a.ok);
    assert_true(a.more);
    assert_int_equal(a.rows, 100);
    run_now(&a, c, "SELECT zeroblob(2000000) AS z", 0);
    assert_true(a.more);
    assert_int_equal(a.rows, 0);
    c->driver->release(c, true);
}

/* -- locks, stopping ----------------------------------------------------------------------------------------------- */

static void test_another_writer(void **state)
{
    (void)state;
    struct answer a;
    sqlite3 *other;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    struct rb_sql_conn *c = open_now(false);
    run_now(&a, c, "INSERT INTO t (a) VALUES (1)", 30);
    assert_string_equal(a.failure.kind, "sql.busy");
    assert_true(a.failure.not_started);
    assert_true(a.failure.retryable);
    begin_run(&a, c, "INSERT INTO t (a) VALUES (1)", 0); /* cancelled while it waits */
    c->driver->cancel(a.work);
    until_answered();
    assert_string_equal(a.failure.kind, "cancelled");
    begin_run(&a, c, "INSERT INTO t (a) VALUES (1)", 60000);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    until_answered();
    assert_true(a.ok);
    sqlite3_close(other);
    c->driver->release(c, true);
}

static void test_a_time_out_and_a_cancel(void **state)
{
    (void)state;
    struct answer a;
    struct rb_sql_conn *c = open_now(false);
    run_now(&a, c, ENDLESS, 20);
    assert_string_equal(a.failure.kind, "sql.timeout");
    assert_false(a.failure.unknown);
    for (int i = 0; i < 50; i++) { /* at any moment of it */
        begin_run(&a, c, ENDLESS, 0);
        for (int k = 0; k < i * 1000; k++)
            __asm__ volatile("");
        c->driver->cancel(a.work);
        until_answered();
        assert_string_equal(a.failure.kind, "cancelled");
    }
    run_now(&a, c, "SELECT 1", 0);
    assert_true(a.ok);
    c->driver->release(c, true);
}

static void test_the_loop_ends_while_statements_run(void **state)
{
    (void)state;
    static struct answer a, b, lost;
    struct rb_sql_conn *c = open_now(false), *d = open_now(true);
    begin_run(&a, c, ENDLESS, 0);
    begin_run(&b, d, "INSERT INTO t SELECT 1", 0);
    struct rb_sql_open opt = opening(&lost, true);
    begin_open(&lost, &opt);
    waiting = 100; /* nobody stops the loop: teardown releases it */
}

/* -- transactions -------------------------------------------------------------------------------------------------- */

static void begin_tx(struct rb_sql_conn *c, const char *isolation)
{
    struct answer a = {0};
    struct rb_err err = {0};
    struct rb_sql_statement st = {.text = "", .on_done = on_done, .arg = &a};
    waiting++;
    assert_int_equal(c->driver->begin(c, isolation, false, &st, &a.work, &err), 0);
    until_answered();
    assert_true(a.ok);
}

static void test_a_transaction_goes_with_its_connection(void **state)
{
    (void)state;
    struct answer a;
    struct rb_sql_conn *c = open_now(false);
    begin_tx(c, "");
    run_now(&a, c, "INSERT INTO t (a) VALUES ('never')", 0);
    assert_true(a.ok);
    c->driver->release(c, true); /* whatever the caller says: it is not as it was */
    c = open_now(true);
    run_now(&a, c, "SELECT count(*) AS n FROM t", 0);
    assert_string_equal(a.first, "1");
    c->driver->release(c, true);
}

static void test_a_commit(void **state)
{
    (void)state;
    struct answer a = {0};
    struct rb_err err = {0};
    struct rb_sql_conn *c = open_now(false);
    struct rb_sql_statement st = {.text = "", .on_done = on_done, .arg = &a};
    begin_tx(c, "exclusive");
    run_now(&a, c, "INSERT INTO t (a) VALUES ('kept')", 0);
    waiting++;
    assert_int_equal(c->driver->end(c, RB_SQL_COMMIT, &st, &a.work, &err), 0);
    until_answered();
    assert_true(a.ok);
    run_now(&a, c, "SELECT count(*) AS n FROM t", 0);
    assert_string_equal(a.first, "2");
    assert_int_equal(c->driver->begin(c, "loose", false, &st, &a.work, &err), RB_EINVAL);
    c->driver->release(c, true);
}

/* -- connections --------------------------------------------------------------------------------------------------- */

static void test_connections_are_kept_and_shared_by_key(void **state)
{
    (void)state;
    struct rb_sql_conn *c = open_now(false);
    c->driver->release(c, true);
    struct rb_sql_conn *again = open_now(false), *reader = open_now(true);
    assert_ptr_equal(again, c);
    assert_ptr_not_equal(reader, c);
    c->driver->release(again, true);
    reader->driver->release(reader, false);
}

static void test_what_has_been_changed_is_not_kept(void **state)
{
    (void)state;
    struct answer a;
    struct rb_sql_conn *c = open_now(false);
    run_now(&a, c, "PRAGMA cache_size = 7", 0);
    c->driver->release(c, true);
    c = open_now(false);
    run_now(&a, c, "PRAGMA cache_size", 0);
    assert_string_not_equal(a.first, "7");
    c->driver->release(c, true);
}

static void test_who_comes_too_late_waits_for_a_connection(void **state)
{
    (void)state;
    struct rb_sql_conn *c[16];
    struct answer late[3];
    for (int i = 0; i < 16; i++)
        c[i] = open_now(true);
    for (int i = 0; i < 3; i++) {
        struct rb_sql_open opt = opening(&late[i], true);
        if (i == 1)
            opt.connect_timeout_ms = 20;
        begin_open(&late[i], &opt);
    }
    late[0].work->driver->cancel(late[0].work);
    waiting -= 1; /* the last one waits on */
    until_answered();
    assert_string_equal(late[0].failure.kind, "cancelled");
    assert_string_equal(late[1].failure.kind, "sql.connect");
    assert_int_equal(late[2].done, 0);
    waiting = 1;
    c[0]->driver->release(c[0], true);
    until_answered();
    assert_ptr_equal(late[2].conn, c[0]);
    for (int i = 0; i < 16; i++)
        c[i]->driver->release(c[i], i % 2);
}

static void test_what_can_not_be_opened(void **state)
{
    (void)state;
    static const struct {
        const char *dsn;
        int rc;
        const char *says;
    } bad[] = {{"sqlite:app.db", RB_EINVAL, "absolute"},
               {"sqlite:/x?mode=w", RB_EINVAL, "mode=rwc"},
               {"sqlite:/nowhere/app.db", 0, "no such file"},
               {"sqlite:/tmp", 0, "a folder"}};
    for (size_t i = 0; i < RB_COUNT(bad); i++) {
        struct answer a;
        struct rb_err err = {0};
        struct rb_sql_open opt = opening(&a, true);
        opt.dsn = bad[i].dsn;
        waiting++;
        int rc = rb_sql_sqlite.open(&loop, &opt, &a.work, &err);
        assert_int_equal(rc, bad[i].rc);
        if (rc)
            waiting--;
        until_answered();
        assert_non_null(strstr(rc ? err.msg : a.failure.message, bad[i].says));
    }
}

static void test_the_refused_file(void **state)
{
    (void)state;
    char link_path[160], link_dsn[180];
    struct answer a;
    snprintf(link_path, sizeof(link_path), "%s/link.db", folder);
    snprintf(link_dsn, sizeof(link_dsn), "sqlite:%s", link_path);
    assert_int_equal(link(path, link_path), 0);
    for (int i = 0; i < 2; i++) {
        struct rb_sql_open opt = opening(&a, i);
        opt.refuse_path = path;
        opt.dsn = i ? dsn : link_dsn;
        begin_open(&a, &opt);
        until_answered();
        assert_string_equal(a.failure.kind, "policy");
    }
}

static void test_words_of_failures(void **state)
{
    (void)state;
    struct rb_sql_failure f;
    char long_text[2000];
    memset(long_text, 'x', sizeof(long_text));
    memcpy(long_text + 1022, "\xC3\xA4", 3);
    rb_sql_fail(&f, "sql.error", "%s", long_text);
    assert_int_equal(strlen(f.message), 1022); /* not in the middle of ä */
    assert_int_equal(rb_sql_position("ä€x", 5), 3);
    char *columns[] = {(char *)(uintptr_t) "a", (char *)(uintptr_t) "b", (char *)(uintptr_t) "a"};
    assert_true(rb_sql_duplicate(columns, 3, &f));
    assert_false(rb_sql_duplicate(columns, 2, &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_statement_and_its_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parameters_are_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reader_can_not_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_cap_of_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_time_out_and_a_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_loop_ends_while_statements_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_transaction_goes_with_its_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connections_are_kept_and_shared_by_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_been_changed_is_not_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_comes_too_late_waits_for_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_can_not_be_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_refused_file, setup, teardown),
        cmocka_unit_test(test_words_of_failures),
    };
    return cmocka_run_group_tests(tests, first_loop, NULL);
}
