/* What the tests of PostgreSQL's driver share: a server of their own (tests/pg.py), and asking it with the loop running
 * until the answer is there. */
#ifndef RB_TEST_PG_FIXTURE_H
#define RB_TEST_PG_FIXTURE_H

#include "base/buf.h"
#include "io/sql.h"
#include "loop_fixture.h"
#include "part_fixture.h"

static char dsn[512], server_dir[256];
static int server_port;

/* -- the server ---------------------------------------------------------------------------------------------------- */

/* What psql prints for it, as the superuser; freed by the next. */
static inline const char *server_sql(const char *text)
{
    static char answer[65536];
    json_t *said = ask_part("sql %s", text);
    snprintf(answer, sizeof(answer), "%s", json_string_value(json_object_get(said, "ok")));
    json_decref(said);
    return answer;
}

static inline void server_restart(void)
{
    json_decref(ask_part("restart"));
}

static inline int start_server(void)
{
    const char *const argv[] = {"tests/pg.py", NULL};
    json_t *said = start_part(argv);
    if (!said)
        return -1;
    snprintf(dsn, sizeof(dsn), "%s", json_string_value(json_object_get(said, "dsn")));
    snprintf(server_dir, sizeof(server_dir), "%s", json_string_value(json_object_get(said, "dir")));
    server_port = (int)json_integer_value(json_object_get(said, "port"));
    json_decref(said);
    return 0;
}

/* -- connections --------------------------------------------------------------------------------------------------- */

struct lease {
    struct rb_sql_conn *conn;
    struct rb_sql_failure why;
    struct rb_sql_work *work;
    int calls;
};

static inline void on_open(void *arg, struct rb_sql_conn *conn, const struct rb_sql_failure *why)
{
    struct lease *l = arg;
    l->conn = conn;
    if (why)
        l->why = *why;
    l->work = NULL;
    l->calls++;
    one_has_ended();
}

static inline void start_lease(struct lease *l, const struct rb_sql_open *how)
{
    struct rb_err err;
    struct rb_sql_open opt = *how;
    *l = (struct lease){0};
    opt.on_open = on_open;
    opt.arg = l;
    if (!opt.connect_timeout_ms)
        opt.connect_timeout_ms = 60000;
    assert_int_equal(rb_sql_pg.open(&loop, &opt, &l->work, &err), RB_OK);
    assert_int_equal(l->calls, 0);
    waiting++;
}

static inline void lease_with(struct lease *l, const struct rb_sql_open *how)
{
    start_lease(l, how);
    rb_loop_run(&loop);
    assert_int_equal(l->calls, 1);
}

static inline struct rb_sql_conn *lease(bool read)
{
    struct lease l;
    struct rb_sql_open how = {.dsn = dsn, .read = read};
    lease_with(&l, &how);
    assert_string_equal(l.why.message, "");
    assert_non_null(l.conn);
    return l.conn;
}

/* The failure of a DSN that does not lead anywhere. */
static inline struct rb_sql_failure lease_fails(const char *bad)
{
    struct lease l;
    struct rb_sql_open how = {.dsn = bad};
    lease_with(&l, &how);
    assert_null(l.conn);
    assert_true(l.why.not_started);
    assert_false(l.why.unknown);
    return l.why;
}

static inline void give_back(struct rb_sql_conn *conn)
{
    rb_sql_pg.release(conn, true);
}

/* -- statements ---------------------------------------------------------------------------------------------------- */

/* What came of a statement, as text. */
struct answer {
    bool ok, more;
    struct rb_sql_failure f;
    struct rb_buf rows, columns, notices;
    int64_t changes;
    size_t row_count;
    struct rb_sql_work *work;
    int calls;
};

static inline void render(struct rb_buf *b, const struct rb_sql_value *v)
{
    switch (v->type) {
    case RB_SQL_NULL: rb_buf_adds(b, "null"); break;
    case RB_SQL_BOOL: rb_buf_adds(b, v->i ? "true" : "false"); break;
    case RB_SQL_INT: rb_buf_addf(b, "%lld", (long long)v->i); break;
    case RB_SQL_FLOAT: rb_buf_addf(b, "%.17gf", v->f); break;
    case RB_SQL_JSON: rb_buf_adds(b, "json"); /* fall through */
    case RB_SQL_TEXT:
        assert_int_equal(strlen(v->text), v->len);
        rb_buf_addf(b, "'%s'", v->text);
        break;
    case RB_SQL_BYTES:
        rb_buf_adds(b, "x");
        for (size_t i = 0; i < v->len; i++)
            rb_buf_addf(b, "%02x", (unsigned char)v->text[i]);
        break;
    case RB_SQL_LIST:
        rb_buf_addc(b, '[');
        for (size_t i = 0; i < v->len; i++) {
            if (i)
                rb_buf_addc(b, ' ');
            render(b, &v->items[i]);
        }
        rb_buf_addc(b, ']');
        break;
    }
}

static inline void on_answer(void *arg, struct rb_sql_result *r)
{
    struct answer *a = arg;
    a->ok = r->ok;
    a->more = r->more;
    a->changes = r->changes;
    a->row_count = r->row_count;
    if (!r->ok)
        a->f = r->failure;
    for (size_t i = 0; i < r->column_count; i++)
        rb_buf_addf(&a->columns, "%s%s", i ? " " : "", r->columns[i]);
    for (size_t i = 0; i < r->row_count * r->column_count; i++) {
        if (i)
            rb_buf_adds(&a->rows, i % r->column_count ? " " : "; ");
        render(&a->rows, &r->cells[i]);
    }
    for (char **n = r->notices; n && *n; n++)
        rb_buf_addf(&a->notices, "%s%s", n == r->notices ? "" : "|", *n);
    a->work = NULL;
    a->calls++;
    one_has_ended();
}

static inline void init_answer(struct answer *a)
{
    *a = (struct answer){0};
    rb_buf_init(&a->rows, (size_t)64 << 20);
    rb_buf_init(&a->columns, 4096);
    rb_buf_init(&a->notices, 1 << 20);
}

static inline void drop(struct answer *a)
{
    rb_buf_release(&a->rows);
    rb_buf_release(&a->columns);
    rb_buf_release(&a->notices);
}

static inline void start_ask(struct answer *a, struct rb_sql_conn *conn, const struct rb_sql_statement *how)
{
    struct rb_err err;
    struct rb_sql_statement st = *how;
    init_answer(a);
    st.on_done = on_answer;
    st.arg = a;
    assert_int_equal(rb_sql_pg.run(conn, &st, &a->work, &err), RB_OK);
    assert_int_equal(a->calls, 0);
    waiting++;
}

static inline void ask_with(struct answer *a, struct rb_sql_conn *conn, const struct rb_sql_statement *how)
{
    start_ask(a, conn, how);
    rb_loop_run(&loop);
    assert_int_equal(a->calls, 1);
}

static inline void ask(struct answer *a, struct rb_sql_conn *conn, const char *text)
{
    struct rb_sql_statement st = {.text = text};
    ask_with(a, conn, &st);
}

/* The rows of a statement that succeeds; freed by the next. */
static inline const char *rows(struct rb_sql_conn *conn, const char *text)
{
    static char out[65536];
    struct answer a;
    ask(&a, conn, text);
    if (!a.ok)
        fail_msg("%s: %s", text, a.f.message);
    snprintf(out, sizeof(out), "%s", rb_buf_text(&a.rows));
    drop(&a);
    return out;
}

static inline struct rb_sql_failure fails(struct rb_sql_conn *conn, const char *text)
{
    struct answer a;
    ask(&a, conn, text);
    if (a.ok)
        fail_msg("%s did not fail", text);
    drop(&a);
    return a.f;
}

static inline void begin(struct rb_sql_conn *conn, const char *isolation)
{
    struct answer a;
    struct rb_err err;
    struct rb_sql_statement st = {.on_done = on_answer, .arg = &a};
    init_answer(&a);
    assert_int_equal(rb_sql_pg.begin(conn, isolation, false, &st, &a.work, &err), RB_OK);
    waiting++;
    rb_loop_run(&loop);
    assert_string_equal(a.f.message, "");
    assert_true(a.ok);
    drop(&a);
}

/* COMMIT or ROLLBACK: its failure, "" when there is none. */
static inline struct rb_sql_failure end(struct rb_sql_conn *conn, enum rb_sql_end how)
{
    struct answer a;
    struct rb_err err;
    struct rb_sql_statement st = {.on_done = on_answer, .arg = &a};
    init_answer(&a);
    assert_int_equal(rb_sql_pg.end(conn, how, &st, &a.work, &err), RB_OK);
    waiting++;
    rb_loop_run(&loop);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.ok, a.f.kind[0] == '\0');
    drop(&a);
    return a.f;
}

/* -- each test ----------------------------------------------------------------------------------------------------- */

static inline int pg_group_setup(void **state)
{
    struct rb_err err;
    if (first_loop(state) || start_server() || rb_loop_init(&loop, &err))
        return -1;
    rb_sql_pg.release(lease(false), true); /* opens what libpq keeps for the life of the process */
    return rb_loop_release(&loop);
}

#define T(name) T_LOOP(name)

#endif
