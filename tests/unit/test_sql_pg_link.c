/* How PostgreSQL's driver makes, keeps and loses connections: against a real server that is restarted, that kills, that
 * does not let in. */
#include "pg_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BACKEND "SELECT pg_backend_pid()"

/* Waits, with the loop standing still, until a backend runs something that contains the word. */
static void await_backend(const char *word)
{
    char text[300];
    snprintf(text, sizeof(text),
             "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%%%s%%' AND usename = 'app'",
             word);
    while (strcmp(server_sql(text), "0") == 0) {
    }
}

static void kill_backend(const char *word)
{
    char text[300];
    snprintf(text, sizeof(text),
             "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity WHERE query LIKE '%%%s%%' AND "
             "usename = 'app'",
             word);
    assert_string_equal(server_sql(text), "1");
}

/* -- keeping ------------------------------------------------------------------------------------------------------- */

static void test_a_kept_connection_is_used_again(void **state)
{
    (void)state;
    char first[64];
    struct rb_sql_conn *c = lease(false);
    snprintf(first, sizeof(first), "%s", rows(c, BACKEND));
    give_back(c);
    c = lease(false);
    assert_string_equal(rows(c, BACKEND), first);
    struct rb_sql_conn *r = lease(true); /* a session that reads is another */
    assert_string_not_equal(rows(r, BACKEND), first);
    assert_string_equal(rows(r, "SELECT current_setting('application_name'), current_setting('TimeZone')"),
                        "'rbhost' 'UTC'");
    give_back(r);
    give_back(c);
}

static void test_a_session_that_was_changed_is_not_kept(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "SET search_path = nowhere",      "LISTEN something",           "SELECT set_config('work_mem', '1MB', false)",
        "CREATE TEMP TABLE mine (n int)", "SELECT pg_advisory_lock(1)", "PREPARE p AS SELECT 1"};
    for (size_t i = 0; i < RB_COUNT(changes); i++) {
        char first[64];
        struct rb_sql_conn *c = lease(false);
        snprintf(first, sizeof(first), "%s", rows(c, BACKEND));
        rows(c, changes[i]);
        give_back(c);
        c = lease(false);
        assert_string_not_equal(rows(c, BACKEND), first);
        give_back(c);
    }
    struct rb_sql_conn *c = lease(false); /* nor is one in a transaction */
    begin(c, "");
    rows(c, "CREATE TABLE half_done (n int)");
    give_back(c);
    c = lease(false);
    assert_string_equal(rows(c, "SELECT to_regclass('half_done') IS NULL"), "true");
    give_back(c);
}

static void test_restart_between_two_statements(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false), *held = lease(false);
    rows(held, "SELECT 1");
    give_back(c);
    server_restart();
    c = lease(false); /* the kept one is dead, and is not used */
    assert_string_equal(rows(c, "SELECT 1"), "1");
    give_back(c);
    struct rb_sql_failure f = fails(held, "CREATE TABLE never (n int)"); /* a leased one tells, and nothing was sent */
    assert_string_equal(f.kind, "sql.lost");
    assert_true(f.not_started && f.retryable && !f.unknown);
    give_back(held);
}

static void test_one_too_many_waits_for_a_place(void **state)
{
    (void)state;
    struct rb_sql_conn *all[16];
    struct lease l;
    struct rb_sql_open how = {.dsn = dsn};
    for (size_t i = 0; i < RB_COUNT(all); i++)
        all[i] = lease(false);
    start_lease(&l, &how);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(l.calls, 0);
    give_back(all[3]);
    rb_loop_run(&loop);
    assert_ptr_equal(l.conn, all[3]);
    for (size_t i = 0; i < RB_COUNT(all); i++)
        give_back(all[i]);
}

static void on_hundred(void *arg, struct rb_sql_conn *conn, const struct rb_sql_failure *why);
enum { HUNDRED = 100 };
static int hundred_done;

static void on_hundred_answer(void *arg, struct rb_sql_result *r)
{
    assert_true(r->ok);
    rb_sql_pg.release(arg, true);
    if (++hundred_done == HUNDRED)
        rb_loop_stop(&loop);
}

static void on_hundred(void *arg, struct rb_sql_conn *conn, const struct rb_sql_failure *why)
{
    (void)arg;
    struct rb_err err;
    struct rb_sql_work *w;
    struct rb_sql_statement st = {.text = "SELECT pg_sleep(0.01)", .on_done = on_hundred_answer, .arg = conn};
    assert_null(why);
    assert_int_equal(rb_sql_pg.run(conn, &st, &w, &err), RB_OK);
}

static void test_a_hundred_at_once(void **state)
{
    (void)state;
    struct rb_err err;
    struct rb_sql_work *w;
    struct rb_sql_open how = {.dsn = dsn, .on_open = on_hundred};
    hundred_done = 0;
    for (size_t i = 0; i < HUNDRED; i++)
        assert_int_equal(rb_sql_pg.open(&loop, &how, &w, &err), RB_OK);
    rb_loop_run(&loop);
    assert_int_equal(hundred_done, HUNDRED);
}

/* -- ending early -------------------------------------------------------------------------------------------------- */

static void test_time_out(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct answer a;
    struct rb_sql_statement st = {.text = "SELECT pg_sleep(600)", .timeout_ms = 50};
    ask_with(&a, c, &st);
    assert_string_equal(a.f.kind, "sql.timeout");
    assert_false(a.f.unknown || a.f.not_started); /* the server has said that it was undone */
    drop(&a);
    assert_string_equal(rows(c, "SELECT 1"), "1");
    give_back(c);
}

static void test_cancel(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct answer a;
    struct rb_sql_statement st = {.text = "SELECT pg_sleep(600), 'to be cancelled'"};
    start_ask(&a, c, &st);
    await_backend("to be cancelled");
    rb_sql_pg.cancel(a.work);
    rb_loop_run(&loop);
    assert_string_equal(a.f.kind, "cancelled");
    assert_false(a.f.unknown);
    drop(&a);
    give_back(c);
}

static void test_cancel_of_an_open(void **state)
{
    (void)state;
    struct lease l;
    struct rb_sql_open how = {.dsn = dsn};
    start_lease(&l, &how);
    rb_sql_pg.cancel(l.work);
    assert_int_equal(l.calls, 0);
    rb_loop_run(&loop);
    assert_null(l.conn);
    assert_string_equal(l.why.kind, "cancelled");
}

/* The loop ends with everything under way: callbacks come, nothing is left (teardown and the sanitizer look). */
static void test_the_loop_ends_meanwhile(void **state)
{
    (void)state;
    struct lease opens[3];
    struct answer a, b;
    struct rb_sql_open how = {.dsn = dsn}, name = {.dsn = "postgres://app@localhost/app"};
    struct rb_sql_statement st = {.text = "SELECT pg_sleep(600)"};
    struct rb_sql_conn *one = lease(false), *two = lease(false), *three = lease(false);
    struct rb_err err;
    start_ask(&a, one, &st);
    start_ask(&b, two, &st);
    rb_sql_pg.cancel(b.work);
    give_back(three);
    start_lease(&opens[0], &how);
    start_lease(&opens[1], &name);
    start_lease(&opens[2], &how);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(rb_loop_release(&loop), 0);
    assert_int_equal(a.calls + b.calls, 2);
    assert_int_equal(opens[0].calls + opens[1].calls + opens[2].calls, 3);
    drop(&a);
    drop(&b);
    assert_int_equal(rb_loop_init(&loop, &err), 0);
}

/* -- losing -------------------------------------------------------------------------------------------------------- */

static struct rb_sql_failure killed(struct rb_sql_conn *c, const char *text, bool read)
{
    struct answer a;
    struct rb_sql_statement st = {.text = text, .read = read};
    start_ask(&a, c, &st);
    await_backend("pg_sleep(601)");
    kill_backend("pg_sleep(601)");
    rb_loop_run(&loop);
    assert_false(a.ok);
    drop(&a);
    return a.f;
}

static void test_lost_in_the_middle(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    rows(c, "CREATE TABLE lost (n int)");
    struct rb_sql_failure f = killed(c, "INSERT INTO lost SELECT 1 FROM pg_sleep(601)", false);
    assert_string_equal(f.kind, "sql.lost");
    assert_string_equal(f.code, "57P01");
    assert_true(f.unknown && !f.not_started && !f.retryable); /* a write on its own */
    give_back(c);
    c = lease(true);
    f = killed(c, "SELECT pg_sleep(601)", true);
    assert_string_equal(f.kind, "sql.lost");
    assert_true(!f.unknown && !f.not_started && f.retryable); /* a read */
    give_back(c);
    c = lease(false);
    begin(c, "");
    f = killed(c, "INSERT INTO lost SELECT 1 FROM pg_sleep(601)", false);
    assert_true(!f.unknown && !f.not_started && f.retryable); /* before its COMMIT: rolled back */
    assert_non_null(strstr(f.message, "rolled back"));
    f = end(c, RB_SQL_COMMIT);
    assert_true(f.not_started && !f.unknown);
    give_back(c);
    c = lease(false);
    assert_string_equal(rows(c, "SELECT count(*) FROM lost"), "0");
    rows(c, "DROP TABLE lost");
    give_back(c);
}

/* The killing happens while COMMIT works: a deferred trigger lets it sleep. */
static void test_lost_at_commit(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct answer a;
    struct rb_err err;
    struct rb_sql_statement st = {.on_done = on_answer, .arg = &a};
    rows(c, "CREATE TABLE slow (n int)");
    rows(c, "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(601); RETURN NULL; END $$");
    rows(c, "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
            "EXECUTE FUNCTION slowly()");
    begin(c, "");
    rows(c, "INSERT INTO slow VALUES (1)");
    init_answer(&a);
    assert_int_equal(rb_sql_pg.end(c, RB_SQL_COMMIT, &st, &a.work, &err), RB_OK);
    waiting++;
    await_backend("COMMIT");
    kill_backend("COMMIT");
    rb_loop_run(&loop);
    assert_string_equal(a.f.kind, "sql.lost");
    assert_true(a.f.unknown && !a.f.retryable && !a.f.not_started);
    assert_non_null(strstr(a.f.message, "COMMIT"));
    drop(&a);
    give_back(c);
    c = lease(false);
    rows(c, "DROP TABLE slow");
    rows(c, "DROP FUNCTION slowly()");
    give_back(c);
}

/* -- not getting in ------------------------------------------------------------------------------------------------ */

static struct rb_sql_failure fails_with(const char *fmt, ...)
{
    char bad[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(bad, sizeof(bad), fmt, ap);
    va_end(ap);
    return lease_fails(bad);
}

static void test_not_getting_in(void **state)
{
    (void)state;
    struct rb_sql_failure f = fails_with("postgres://app:wrong@127.0.0.1:%d/app", server_port);
    assert_string_equal(f.code, "28P01");
    assert_string_equal(f.kind, "sql.auth");
    assert_non_null(strstr(f.message, "password authentication failed for user \"app\""));
    assert_null(strstr(f.message, "28P01"));
    f = fails_with("postgres://app@127.0.0.1:%d/app?passfile=/dev/null", server_port);
    assert_string_equal(f.kind, "sql.auth");
    f = fails_with("postgres://app:x@127.0.0.1:1/app");
    assert_string_equal(f.kind, "sql.connect");
    assert_true(f.retryable);
    assert_non_null(strstr(f.message, "refused"));
    f = fails_with("postgres://app@no.such.name.invalid/app");
    assert_string_equal(f.kind, "sql.connect");
    assert_non_null(strstr(f.message, "no.such.name.invalid"));
    f = fails_with("postgres:service=nosuch");
    assert_non_null(strstr(f.message, "nosuch"));
    f = fails_with("postgres://app:s3cr%%et@h/x"); /* what does not parse is not quoted where a password may be */
    assert_null(strstr(f.message, "s3cr"));
    f = fails_with("postgres:host=/nowhere nonsense=1");
    assert_non_null(strstr(f.message, "nonsense"));
}

static void lets_in(const struct rb_sql_open *how, const char *sql, const char *want)
{
    struct lease l;
    lease_with(&l, how);
    assert_string_equal(l.why.message, "");
    assert_string_equal(rows(l.conn, sql), want);
    give_back(l.conn);
}

static void test_ways_in(void **state)
{
    (void)state;
    char text[900], path[300];
    const char *password = "p4ss w/ord:%@'\\";
    struct rb_sql_open how = {.dsn = text, .password = password};
    snprintf(text, sizeof(text), "postgres:host=%s port=%d dbname=app user=app", server_dir, server_port);
    lets_in(&how, "SELECT inet_client_addr() IS NULL", "true"); /* the socket; the password apart */
    snprintf(text, sizeof(text), "postgres:host=localhost port=%d dbname=app user=app", server_port);
    lets_in(&how, "SELECT current_user::text", "'app'"); /* a name */
    snprintf(text, sizeof(text), "postgresql://app@127.0.0.1:1,localhost:%d/app", server_port);
    lets_in(&how, "SELECT 1", "1"); /* the first does not answer */
    /* as psql users have it */
    snprintf(path, sizeof(path), "/tmp/rbpg-service.%d", (int)getpid());
    FILE *f = fopen(path, "w");
    fprintf(f, "[mine]\nhost=127.0.0.1\nport=%d\ndbname=app\nuser=app\n", server_port);
    fclose(f);
    setenv("PGSERVICEFILE", path, 1);
    snprintf(text, sizeof(text), "postgres:service=mine");
    lets_in(&how, "SELECT current_database()::text", "'app'");
    unlink(path);
    unsetenv("PGSERVICEFILE");
    f = fopen(path, "w");
    fprintf(f, "localhost:%d:app:app:p4ss w/ord\\:%%@'\\\\\n", server_port);
    fclose(f);
    chmod(path, 0600);
    how.password = NULL;
    snprintf(text, sizeof(text), "postgres:host=localhost port=%d dbname=app user=app passfile=%s", server_port, path);
    lets_in(&how, "SELECT 1", "1"); /* found by the host's name, though libpq is given its address */
    unlink(path);
}

static void test_tls(void **state)
{
    (void)state;
    char text[900];
    struct rb_sql_open how = {.dsn = text, .password = "p4ss w/ord:%@'\\"};
    snprintf(text, sizeof(text), "postgres://app@localhost:%d/secure?sslmode=verify-full&sslrootcert=%s/ca.pem",
             server_port, server_dir);
    lets_in(&how, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "true");
    /* TLS by a name that the certificate has, at an address that is given */
    snprintf(text, sizeof(text),
             "postgres://app@db.test:%d/secure?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=%s/ca.pem",
             server_port, server_dir);
    lets_in(&how, "SELECT 1", "1");
    struct rb_sql_failure f =
        fails_with("postgres://app@wrong.test:%d/secure?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=%s/ca.pem",
                   server_port, server_dir);
    assert_string_equal(f.kind, "sql.connect");
    assert_false(f.retryable);
    assert_non_null(strstr(f.message, "does not match host name \"wrong.test\""));
    f = fails_with("postgres://app@localhost:%d/secure?sslmode=verify-full&sslrootcert=%s/other.pem", server_port,
                   server_dir);
    assert_non_null(strstr(f.message, "certificate verify failed"));
}

/* A host that takes the connection and says nothing. */
static void test_connect_time_out(void **state)
{
    (void)state;
    char text[900];
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(here);
    struct lease l;
    struct rb_sql_open how = {.dsn = text, .password = "p4ss w/ord:%@'\\", .connect_timeout_ms = 100};
    int mute = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(mute, (struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(listen(mute, 5), 0);
    getsockname(mute, (struct sockaddr *)&here, &n);
    snprintf(text, sizeof(text), "postgres://app@127.0.0.1:%d/app", ntohs(here.sin_port));
    lease_with(&l, &how);
    assert_null(l.conn);
    assert_string_equal(l.why.kind, "sql.connect");
    assert_true(l.why.not_started && l.why.retryable);
    /* before another host it takes only its share of the time */
    how.connect_timeout_ms = 20000;
    snprintf(text, sizeof(text), "postgres://app@127.0.0.1:%d,127.0.0.1:%d/app?connect_timeout=1", ntohs(here.sin_port),
             server_port);
    lets_in(&how, "SELECT 1", "1");
    close(mute);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_kept_connection_is_used_again),
        T(test_a_session_that_was_changed_is_not_kept),
        T(test_restart_between_two_statements),
        T(test_one_too_many_waits_for_a_place),
        T(test_a_hundred_at_once),
        T(test_time_out),
        T(test_cancel),
        T(test_cancel_of_an_open),
        T(test_the_loop_ends_meanwhile),
        T(test_lost_in_the_middle),
        T(test_lost_at_commit),
        T(test_not_getting_in),
        T(test_ways_in),
        T(test_tls),
        T(test_connect_time_out),
    };
    return cmocka_run_group_tests_name("sql_pg_link", tests, pg_group_setup, stop_part);
}
