/* PostgreSQL's driver against a real server: what values become, what failures are told as, and that nothing stays. How
 * connections are made and lost is test_sql_pg_link.c. */
#include "pg_fixture.h"

#include "io/sql_pg.h"

static void test_values(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    assert_string_equal(rows(c, "SELECT true, false, NULL::bool"), "true false null");
    assert_string_equal(rows(c, "SELECT 32767::int2, (-2147483648)::int4, 9223372036854775807, "
                                "(-9223372036854775807 - 1), 4294967295::oid"),
                        "32767 -2147483648 9223372036854775807 -9223372036854775808 4294967295");
    assert_string_equal(rows(c, "SELECT 0.1::float8, 1.5::float4, '1e308'::float8, 'Infinity'::float8, "
                                "'-Infinity'::float4, '5e-324'::float8"),
                        "0.10000000000000001f 1.5f 1e+308f inff -inff 4.9406564584124654e-324f");
    assert_string_equal(rows(c, "SELECT 12345678901234567890.123456789::numeric, 'NaN'::numeric"),
                        "'12345678901234567890.123456789' 'NaN'");
    assert_string_equal(rows(c, "SELECT 'täxt'::text, 'v'::varchar(5), 'ab'::char(4), 'n'::name, ''"),
                        "'täxt' 'v' 'ab  ' 'n' ''");
    assert_string_equal(rows(c, "SELECT '\\x00ff0a5c'::bytea, ''::bytea"), "x00ff0a5c x");
    assert_string_equal(rows(c, "SELECT '2026-11-22 03:04:05.678901+02'::timestamptz, '2026-01-01'::timestamptz"),
                        "'2026-11-22T01:04:05.678901Z' '2026-01-01T00:00:00Z'");
    assert_string_equal(rows(c, "SELECT '2026-11-22 03:04:05'::timestamp, '2026-11-22'::date, '03:04'::time"),
                        "'2026-11-22T03:04:05' '2026-11-22' '03:04:00'");
    assert_string_equal(rows(c, "SELECT 'infinity'::timestamptz, '-infinity'::timestamp, "
                                "'0044-03-15 12:00:00+00 BC'::timestamptz"),
                        "'infinity' '-infinity' '0044-03-15 12:00:00+00 BC'");
    assert_string_equal(rows(c, "SELECT '{\"a\": [1, null]}'::json, '{\"b\":2}'::jsonb"),
                        "json'{\"a\": [1, null]}' json'{\"b\": 2}'");
    assert_string_equal(
        rows(c, "SELECT '6f1b0f0e-1111-4222-8333-abcdefabcdef'::uuid, '10.0.0.0/8'::cidr, '1 day'::interval"),
        "'6f1b0f0e-1111-4222-8333-abcdefabcdef' '10.0.0.0/8' '1 day'");
    assert_string_equal(rows(c, "SELECT 1 WHERE false"), "");
    give_back(c);
}

static void test_numeric_as_number(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(true);
    struct answer a;
    struct rb_sql_statement st = {
        .text = "SELECT 1.25::numeric AS a, '{2.5,NULL}'::numeric[] AS b", .numeric = true, .read = true};
    ask_with(&a, c, &st);
    assert_string_equal(rb_buf_text(&a.rows), "1.25f [2.5f null]");
    drop(&a);
    give_back(c);
}

static void test_arrays(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    assert_string_equal(rows(c, "SELECT '{}'::int[], '{1,NULL,-3}'::int8[], '{{1,2},{3,4}}'::int2[]"),
                        "[] [1 null -3] [[1 2] [3 4]]");
    assert_string_equal(rows(c, "SELECT ARRAY['a b', '', 'NULL', NULL, 'q\"uote', 'back\\slash', '{x,y}', 'ü']"),
                        "['a b' '' 'NULL' null 'q\"uote' 'back\\slash' '{x,y}' 'ü']");
    assert_string_equal(rows(c, "SELECT '{t,f}'::bool[], '{0.5,Infinity}'::float8[], ARRAY['\\xff00'::bytea]"),
                        "[true false] [0.5f inff] [xff00]");
    assert_string_equal(rows(c, "SELECT ARRAY['2026-01-02 03:04:05+00'::timestamptz], ARRAY['{\"a\":1}'::jsonb], "
                                "ARRAY['6f1b0f0e-1111-4222-8333-abcdefabcdef'::uuid]"),
                        "['2026-01-02T03:04:05Z'] [json'{\"a\": 1}'] ['6f1b0f0e-1111-4222-8333-abcdefabcdef']");
    assert_string_equal(rows(c, "SELECT '[0:1]={5,6}'::int[], '{{{{{{7}}}}}}'::int[]"), "[5 6] [[[[[[7]]]]]]");
    give_back(c);
}

#define TEXT(s) \
    { \
        .type = RB_SQL_TEXT, .text = (s), .len = strlen(s) \
    }

static void test_parameters(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct answer a;
    struct rb_sql_value words[] = {TEXT("a"), {.type = RB_SQL_NULL}, TEXT("NULL"), TEXT("x\"y\\z,{}")};
    struct rb_sql_value raw[] = {{.type = RB_SQL_BYTES, .text = "\0\xff", .len = 2}};
    struct rb_sql_value row1[] = {{.type = RB_SQL_INT, .i = 1}, {.type = RB_SQL_INT, .i = 2}};
    struct rb_sql_value rows2[] = {{.type = RB_SQL_LIST, .items = row1, .len = 2},
                                   {.type = RB_SQL_LIST, .items = row1, .len = 2}};
    struct rb_sql_param params[] = {
        {.value = {.type = RB_SQL_NULL}},
        {.value = {.type = RB_SQL_BOOL, .i = 1}},
        {.value = {.type = RB_SQL_INT, .i = INT64_MIN}},
        {.value = {.type = RB_SQL_FLOAT, .f = 0.1}},
        {.value = TEXT("it's; DROP TABLE t; --")},
        {.value = {.type = RB_SQL_BYTES, .text = "\0\xff'", .len = 3}},
        {.value = {.type = RB_SQL_LIST, .items = words, .len = 4}},
        {.value = {.type = RB_SQL_LIST, .items = raw, .len = 1}},
        {.value = {.type = RB_SQL_LIST, .items = rows2, .len = 2}},
        {.value = {.type = RB_SQL_JSON, .text = "{\"k\":[1]}", .len = 9}},
        {.value = {.type = RB_SQL_LIST, .items = NULL, .len = 0}},
    };
    struct rb_sql_statement st = {.text = "SELECT $1::text, $2::bool, $3::int8, $4::float8, $5::text, $6, $7::text[], "
                                          "$8::bytea[], $9::int[], $10::jsonb, $11::int[]",
                                  .params = params,
                                  .param_count = RB_COUNT(params)};
    ask_with(&a, c, &st);
    assert_string_equal(a.f.message, "");
    assert_string_equal(rb_buf_text(&a.rows),
                        "null true -9223372036854775808 0.10000000000000001f 'it's; DROP TABLE t; --' x00ff27 "
                        "['a' null 'NULL' 'x\"y\\z,{}'] [x00ff] [[1 2] [1 2]] json'{\"k\": [1]}' []");
    drop(&a);
    /* without casts the server takes them as what stands there wants */
    struct rb_sql_param more[] = {{.value = {.type = RB_SQL_INT, .i = 41}}, {.value = TEXT("2026-01-01")}};
    struct rb_sql_statement inferred = {
        .text = "SELECT $1 + 1, date '2026-01-31' - $2", .params = more, .param_count = 2};
    ask_with(&a, c, &inferred);
    assert_string_equal(rb_buf_text(&a.rows), "42 30");
    drop(&a);
    struct rb_sql_param nul[] = {{.value = {.type = RB_SQL_TEXT, .text = "a\0b", .len = 3}}};
    struct rb_sql_statement bad = {.text = "SELECT $1", .params = nul, .param_count = 1};
    ask_with(&a, c, &bad);
    assert_string_equal(a.f.kind, "usage");
    assert_true(a.f.not_started);
    assert_non_null(strstr(a.f.message, "parameter $1"));
    drop(&a);
    give_back(c);
}

/* One text with parameters :a and :b (when it has them), as it is sent. */
static void reads(const char *text, const char *sent)
{
    struct rb_sql_param params[] = {{.name = "a", .value = {.type = RB_SQL_NULL}},
                                    {.name = "b", .value = {.type = RB_SQL_NULL}}};
    struct pg_text t;
    struct rb_sql_failure f = {0};
    if (!rb_pg_text(text, params, strstr(sent, "$2") ? 2 : 1, &t, &f))
        fail_msg("%s: %s", text, f.message);
    assert_string_equal(t.sent, sent);
    rb_pg_text_release(&t);
}

static void test_names_become_numbers(void **state)
{
    (void)state;
    reads("SELECT :a", "SELECT $1");
    reads("SELECT :b, :a, :b", "SELECT $1, $2, $1");
    reads("SELECT :a::text, x::int", "SELECT $1::text, x::int");
    reads("SELECT ':b', ':b''s', \":b\", :a", "SELECT ':b', ':b''s', \":b\", $1");
    reads("SELECT E'\\':b', :a", "SELECT E'\\':b', $1");
    reads("SELECT e'\\\\', :a", "SELECT e'\\\\', $1");
    reads("SELECT '\\', :a", "SELECT '\\', $1");
    reads("-- :b\nSELECT :a", "-- :b\nSELECT $1");
    reads("/* :b /* :b */ :b */ SELECT :a", "/* :b /* :b */ :b */ SELECT $1");
    reads("SELECT $$:b$$, $x$ :b $$ $x $x$, :a", "SELECT $$:b$$, $x$ :b $$ $x $x$, $1");
    reads("SELECT f(x := :a)", "SELECT f(x := $1)");
    reads("SELECT a[1:2], :a", "SELECT a[1:2], $1");
    reads("SELECT foo$1, :a", "SELECT foo$1, $1");
}

static void test_parameters_must_fit(void **state)
{
    (void)state;
    struct rb_sql_failure f;
    struct pg_text t;
    struct rb_sql_param one[] = {{.name = "a"}}, two[] = {{.name = "a"}, {.name = "zz"}},
                        mixed[] = {{.name = "a"}, {0}};
    struct rb_sql_param number[] = {{0}};
    assert_false(rb_pg_text("SELECT :a, :other", one, 1, &t, &f));
    assert_non_null(strstr(f.message, ":other"));
    assert_false(rb_pg_text("SELECT :a", two, 2, &t, &f));
    assert_non_null(strstr(f.message, ":zz"));
    assert_false(rb_pg_text("SELECT :a", mixed, 2, &t, &f));
    assert_false(rb_pg_text("SELECT :a, $1", one, 1, &t, &f));
    assert_false(rb_pg_text("SELECT $1, $2", number, 1, &t, &f));
    assert_false(rb_pg_text("SELECT 1", number, 1, &t, &f));
    assert_false(rb_pg_text("SELECT '$1'", number, 1, &t, &f));
    assert_string_equal(f.kind, "usage");
    assert_true(f.not_started);
}

static void test_error_has_its_place(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct rb_sql_failure f = fails(c, "SELECT 'ü', nosuch");
    assert_string_equal(f.kind, "sql.error");
    assert_string_equal(f.code, "42703");
    assert_string_equal(f.message, "column \"nosuch\" does not exist");
    assert_int_equal(f.position, 13);
    assert_false(f.unknown || f.not_started || f.retryable);
    /* behind a name that has become shorter, and in characters, the place is still that in what was written */
    struct rb_sql_param p[] = {{.name = "päram", .value = {.type = RB_SQL_INT, .i = 1}}};
    struct rb_sql_statement st = {.text = "SELECT :päram + 1, nosuch", .params = p, .param_count = 1};
    struct answer a;
    ask_with(&a, c, &st);
    assert_int_equal(a.f.position, 20);
    drop(&a);
    give_back(c);
}

static void test_constraints_are_named(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    rows(c, "CREATE TABLE IF NOT EXISTS parts (id int PRIMARY KEY, n int NOT NULL CONSTRAINT big CHECK (n > 5))");
    rows(c, "INSERT INTO parts VALUES (1, 6)");
    struct rb_sql_failure f = fails(c, "INSERT INTO parts VALUES (1, 7)");
    assert_string_equal(f.kind, "sql.constraint");
    assert_string_equal(f.code, "23505");
    assert_string_equal(f.constraint, "parts_pkey");
    assert_string_equal(f.table, "parts");
    assert_string_equal(f.detail, "Key (id)=(1) already exists.");
    f = fails(c, "INSERT INTO parts VALUES (2, 1)");
    assert_string_equal(f.constraint, "big");
    f = fails(c, "INSERT INTO parts (id) VALUES (2)");
    assert_string_equal(f.column, "n");
    rows(c, "DROP TABLE parts");
    give_back(c);
}

static void test_two_columns_of_one_name(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(true);
    struct answer a;
    struct rb_sql_statement st = {.text = "SELECT 1 AS n, 2 AS n FROM generate_series(1, 1000)", .read = true};
    ask_with(&a, c, &st);
    assert_string_equal(a.f.kind, "usage");
    assert_non_null(strstr(a.f.message, "both called \"n\""));
    drop(&a);
    give_back(c);
}

static void test_changes_and_returning(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct answer a;
    rows(c, "CREATE TABLE changes (n int)");
    ask(&a, c, "INSERT INTO changes SELECT generate_series(1, 5)");
    assert_int_equal(a.changes, 5);
    drop(&a);
    ask(&a, c, "UPDATE changes SET n = n + 10 WHERE n < 3 RETURNING n");
    assert_int_equal(a.changes, 2);
    assert_string_equal(rb_buf_text(&a.rows), "11; 12");
    assert_string_equal(rb_buf_text(&a.columns), "n");
    drop(&a);
    ask(&a, c, "SELECT * FROM changes");
    assert_int_equal(a.changes, 0);
    assert_int_equal(a.row_count, 5);
    drop(&a);
    rows(c, "DROP TABLE changes");
    give_back(c);
}

static void test_one_statement_or_a_script(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct answer a;
    struct rb_sql_failure f = fails(c, "SELECT 1; SELECT 2");
    assert_string_equal(f.code, "42601");
    f = fails(c, "  -- nothing");
    assert_string_equal(f.kind, "usage");
    struct rb_sql_statement script = {
        .text = "CREATE TABLE s (n int); INSERT INTO s VALUES (1), (2); SELECT * FROM s; UPDATE s SET n = 3",
        .script = true};
    ask_with(&a, c, &script);
    assert_true(a.ok);
    assert_int_equal(a.changes, 4);
    assert_int_equal(a.row_count, 0);
    drop(&a);
    struct rb_sql_statement half = {.text = "INSERT INTO s VALUES (9); SELECT 1/0; INSERT INTO s VALUES (10)",
                                    .script = true};
    ask_with(&a, c, &half);
    assert_string_equal(a.f.code, "22012");
    drop(&a);
    assert_string_equal(rows(c, "SELECT count(*) FROM s WHERE n > 8"), "0"); /* all of it or none */
    rows(c, "DROP TABLE s");
    give_back(c);
}

static void test_copy_is_refused(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    rows(c, "CREATE TABLE copied (n int)");
    struct rb_sql_failure f = fails(c, "COPY copied FROM STDIN");
    assert_string_equal(f.kind, "usage");
    assert_string_equal(rows(c, "SELECT count(*) FROM copied"), "0");
    f = fails(c, "COPY (SELECT generate_series(1, 1000000)) TO STDOUT");
    assert_string_equal(f.kind, "usage");
    give_back(c);
    c = lease(false);
    rows(c, "DROP TABLE copied");
    give_back(c);
}

static void test_notices(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct answer a;
    ask(&a, c, "DO $$ BEGIN RAISE NOTICE 'one %', 1; RAISE WARNING 'two'; END $$");
    assert_string_equal(rb_buf_text(&a.notices), "NOTICE: one 1|WARNING: two");
    drop(&a);
    ask(&a, c, "DO $$ BEGIN FOR i IN 1..1000 LOOP RAISE NOTICE 'n %', i; END LOOP; END $$");
    assert_non_null(strstr(rb_buf_text(&a.notices), "NOTICE: n 100|… and more"));
    assert_null(strstr(rb_buf_text(&a.notices), "n 101"));
    drop(&a);
    ask(&a, c, "SELECT 1");
    assert_string_equal(rb_buf_text(&a.notices), "");
    drop(&a);
    give_back(c);
}

static void test_rows_over_the_cap(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(true);
    struct answer a;
    struct rb_sql_statement endless = {.text = "SELECT generate_series(1, 2000000000)", .read = true, .max_rows = 3};
    ask_with(&a, c, &endless);
    assert_true(a.ok && a.more);
    assert_string_equal(rb_buf_text(&a.rows), "1; 2; 3");
    drop(&a);
    struct rb_sql_statement exact = {.text = "SELECT generate_series(1, 3)", .read = true, .max_rows = 3};
    ask_with(&a, c, &exact);
    assert_true(a.ok && !a.more);
    drop(&a);
    struct rb_sql_statement bytes = {
        .text = "SELECT repeat('x', 1000) || generate_series(1, 2000000000)", .read = true, .max_bytes = 5000};
    ask_with(&a, c, &bytes);
    assert_true(a.ok && a.more);
    assert_int_equal(a.row_count, 4);
    drop(&a);
    give_back(c);
}

/* What is cut of a write, or of a read in a transaction, is read all the same: to stop it would undo it. */
static void test_cap_undoes_nothing(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct answer a;
    rows(c, "CREATE TABLE capped (n int)");
    struct rb_sql_statement st = {.text = "INSERT INTO capped SELECT generate_series(1, 5000) RETURNING n",
                                  .max_rows = 2};
    ask_with(&a, c, &st);
    assert_true(a.ok && a.more);
    assert_int_equal(a.row_count, 2);
    assert_int_equal(a.changes, 5000);
    drop(&a);
    begin(c, "");
    struct rb_sql_statement in_tx = {.text = "SELECT * FROM capped", .read = true, .max_rows = 2};
    ask_with(&a, c, &in_tx);
    assert_true(a.ok && a.more);
    drop(&a);
    rows(c, "DELETE FROM capped WHERE n > 1");
    assert_string_equal(end(c, RB_SQL_COMMIT).kind, "");
    assert_string_equal(rows(c, "SELECT count(*) FROM capped"), "1");
    rows(c, "DROP TABLE capped");
    give_back(c);
}

static void test_row_that_is_far_too_big(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(true);
    struct answer a;
    struct rb_sql_statement st = {.text = "SELECT repeat('x', 200000000)", .read = true, .max_bytes = 1000};
    ask_with(&a, c, &st);
    assert_string_equal(a.f.kind, "sql.too_big");
    assert_false(a.f.unknown);
    drop(&a);
    give_back(c);
}

static void test_much_goes_both_ways(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct answer a;
    size_t n = (size_t)20 << 20;
    char *big = malloc(n + 1);
    memset(big, 'b', n);
    big[n] = '\0';
    struct rb_sql_param p[] = {{.value = {.type = RB_SQL_TEXT, .text = big, .len = n}}};
    struct rb_sql_statement st = {.text = "SELECT $1::text", .params = p, .param_count = 1};
    ask_with(&a, c, &st);
    assert_string_equal(a.f.message, "");
    assert_int_equal(a.rows.len, n + 2);
    assert_memory_equal(a.rows.data + 1, big, n);
    drop(&a);
    free(big);
    give_back(c);
}

static void test_reads_are_read_only(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(true);
    struct rb_sql_failure f = fails(c, "CREATE TABLE written (n int)");
    assert_string_equal(f.kind, "sql.readonly");
    assert_string_equal(f.code, "25006");
    assert_string_equal(fails(c, "SELECT set_config('transaction_read_only', 'off', false), nextval('nosuch')").kind,
                        "sql.error");
    /* a statement that turns it off does so for nobody else */
    rows(c, "SET default_transaction_read_only = off");
    assert_string_equal(fails(c, "CREATE TABLE written (n int)").kind, "sql.readonly");
    give_back(c);
}

static void test_transactions(void **state)
{
    (void)state;
    struct rb_sql_conn *c = lease(false);
    struct rb_err err;
    struct rb_sql_work *w;
    struct rb_sql_statement st = {0};
    rows(c, "CREATE TABLE tx (n int)");
    begin(c, "serializable");
    assert_string_equal(rows(c, "SHOW transaction_isolation"), "'serializable'");
    rows(c, "INSERT INTO tx VALUES (1)");
    assert_string_equal(end(c, RB_SQL_COMMIT).kind, "");
    begin(c, "repeatable read");
    rows(c, "INSERT INTO tx VALUES (2)");
    assert_string_equal(end(c, RB_SQL_ROLLBACK).kind, "");
    assert_string_equal(rows(c, "SELECT n FROM tx"), "1");
    /* COMMIT of a transaction that has failed answers "ROLLBACK", and that is no success */
    begin(c, "");
    rows(c, "INSERT INTO tx VALUES (3)");
    fails(c, "SELECT 1/0");
    assert_string_equal(fails(c, "SELECT 1").code, "25P02");
    struct rb_sql_failure f = end(c, RB_SQL_COMMIT);
    assert_string_equal(f.kind, "sql.error");
    assert_non_null(strstr(f.message, "rolled it back"));
    assert_false(f.unknown);
    assert_string_equal(rows(c, "SELECT n FROM tx"), "1");
    assert_int_equal(rb_sql_pg.begin(c, "chaos", false, &st, &w, &err), RB_EINVAL);
    assert_non_null(strstr(err.msg, "serializable"));
    rows(c, "DROP TABLE tx");
    give_back(c);
}

static void test_serialization_failure(void **state)
{
    (void)state;
    struct rb_sql_conn *a = lease(false), *b = lease(false);
    rows(a, "CREATE TABLE doctors (n int, on_call bool)");
    rows(a, "INSERT INTO doctors VALUES (1, true), (2, true)");
    begin(a, "serializable");
    begin(b, "serializable");
    rows(a, "SELECT count(*) FROM doctors WHERE on_call");
    rows(b, "SELECT count(*) FROM doctors WHERE on_call");
    rows(a, "UPDATE doctors SET on_call = false WHERE n = 1");
    rows(b, "UPDATE doctors SET on_call = false WHERE n = 2");
    assert_string_equal(end(a, RB_SQL_COMMIT).kind, "");
    struct rb_sql_failure f = end(b, RB_SQL_COMMIT);
    assert_string_equal(f.kind, "sql.serialization");
    assert_string_equal(f.code, "40001");
    assert_true(f.retryable);
    assert_false(f.unknown);
    rows(a, "DROP TABLE doctors");
    give_back(a);
    give_back(b);
}

static void test_deadlock(void **state)
{
    (void)state;
    struct rb_sql_conn *a = lease(false), *b = lease(false);
    struct answer one, two;
    struct rb_sql_statement st1 = {.text = "UPDATE locks SET v = 1 WHERE n = 2"},
                            st2 = {.text = "UPDATE locks SET v = 1 WHERE n = 1"};
    rows(a, "CREATE TABLE locks (n int PRIMARY KEY, v int)");
    rows(a, "INSERT INTO locks VALUES (1, 0), (2, 0)");
    begin(a, "");
    begin(b, "");
    rows(a, st2.text);
    rows(b, st1.text);
    start_ask(&one, a, &st1);
    start_ask(&two, b, &st2);
    rb_loop_run(&loop);
    assert_int_equal(one.ok + two.ok, 1);
    struct rb_sql_failure f = one.ok ? two.f : one.f;
    assert_string_equal(f.kind, "sql.serialization");
    assert_string_equal(f.code, "40P01");
    assert_true(f.retryable);
    drop(&one);
    drop(&two);
    end(a, RB_SQL_ROLLBACK);
    end(b, RB_SQL_ROLLBACK);
    rows(a, "DROP TABLE locks");
    give_back(a);
    give_back(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_values),
        T(test_numeric_as_number),
        T(test_arrays),
        T(test_parameters),
        T(test_names_become_numbers),
        T(test_parameters_must_fit),
        T(test_error_has_its_place),
        T(test_constraints_are_named),
        T(test_two_columns_of_one_name),
        T(test_changes_and_returning),
        T(test_one_statement_or_a_script),
        T(test_copy_is_refused),
        T(test_notices),
        T(test_rows_over_the_cap),
        T(test_cap_undoes_nothing),
        T(test_row_that_is_far_too_big),
        T(test_much_goes_both_ways),
        T(test_reads_are_read_only),
        T(test_transactions),
        T(test_serialization_failure),
        T(test_deadlock),
    };
    return cmocka_run_group_tests_name("sql_pg", tests, pg_group_setup, stop_part);
}
