/* Owns `sql`: a statement, the beginning and the end of a transaction, a backup, each as an op. Knows what an op of a
 * database is; how one is spoken to is io/sql_*.c's. A connection is leased for the op alone; inside a transaction it
 * is the transaction's (bind_sql_tx.c). */
#include "bind/bind_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "bind/bind.h"
#include "engine/error.h"

#define CONNECT_MS 30000

static struct sql_op *sql_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct sql_op, effect);
}

static void destroy(struct sql_op *op)
{
    rb_sql_kept_release(&op->kept);
    rb_sql_tx_unref(op->tx);
    rb_sql_free_args(op);
    free(op);
}

/* The op holds nothing of the driver's any more. An orphan is freed here. */
static bool let_go(struct sql_op *op, bool keep)
{
    if (op->tx && op->action != SQL_BEGIN)
        rb_sql_tx_leave(op);
    else if (op->conn)
        op->driver->release(op->conn, keep);
    op->conn = NULL;
    if (!op->orphan)
        return true;
    destroy(op);
    return false;
}

static void release(struct rb_effect *e)
{
    struct sql_op *op = sql_of(e);
    if (op->waits_for_secret)
        rb_secret_forget(&op->secret);
    rb_sql_reach_leave(op);
    if (op->work) { /* its callback still comes */
        op->orphan = true;
        op->driver->cancel(op->work);
        return;
    }
    rb_list_remove(&op->tx_link);
    destroy(op);
}

/* -- running ------------------------------------------------------------------------------------------------------- */

static void fail_plain(struct sql_op *op, const char *kind, const char *text)
{
    struct rb_sql_failure f;
    rb_sql_fail(&f, kind, "%s", text);
    f.not_started = true;
    rb_sql_op_failed(op, &f);
}

static void next_of_begin(struct sql_op *op);

static void on_done(void *arg, struct rb_sql_result *r)
{
    struct sql_op *op = arg;
    op->work = NULL;
    if (op->action == SQL_BEGIN && r->ok && !op->orphan && !op->cancelled) {
        next_of_begin(op);
        return;
    }
    bool ok = r->ok;
    struct rb_sql_failure f = r->failure;
    if (!op->orphan && ok)
        rb_sql_keep(op, r);
    if (op->action == SQL_COMMIT)
        rb_sql_tx_over(op->tx, ok);
    if (!let_go(op, ok && op->action != SQL_BEGIN))
        return;
    if (ok && op->action == SQL_BEGIN)
        fail_plain(op, "cancelled", "cancelled while the transaction began");
    else if (!ok)
        rb_sql_op_failed(op, &f);
    else if (op->read && op->kept.r.more)
        rb_sql_op_failed(op, &op->failure);
    else
        rb_effect_done(&op->effect);
}

static struct rb_sql_statement statement(struct sql_op *op, const char *text)
{
    return (struct rb_sql_statement){.text = text,
                                     .read = op->read,
                                     .numeric = op->numeric,
                                     .max_rows = op->max_rows,
                                     .max_bytes = op->max_bytes,
                                     .timeout_ms = op->timeout_ms,
                                     .lock_ms = op->lock_ms,
                                     .on_done = on_done,
                                     .arg = op};
}

static void sent(struct sql_op *op, int rc, const struct rb_err *err)
{
    if (!rc)
        return;
    op->work = NULL;
    if (let_go(op, false))
        fail_plain(op, rc == RB_EINVAL ? "usage" : "sql.error", err->msg);
}

static void run_text(struct sql_op *op, const char *text)
{
    struct rb_err err = {0};
    struct rb_sql_statement st = statement(op, text);
    sent(op, op->driver->run(op->conn, &st, &op->work, &err), &err);
}

/* The row that says that this attempt was committed is written with it. In PostgreSQL whoever looks for it later waits
 * on the lock: until then a COMMIT whose sender has died may still be under way. */
static void run_once(struct sql_op *op)
{
    struct rb_buf text;
    char at[32];
    bool pg = strcmp(op->driver->scheme, "sqlite") != 0;
    rb_buf_init(&text, 65536);
    rb_clock_format(rb_clock_wall(), at);
    if (op->stage == 1 && pg)
        rb_buf_adds(&text, "SELECT pg_advisory_xact_lock(hashtextextended('");
    else if (op->stage <= 2)
        rb_buf_adds(&text, "CREATE TABLE IF NOT EXISTS rbhost_once (key TEXT PRIMARY KEY, at TEXT NOT NULL)");
    else
        rb_buf_adds(&text, "INSERT INTO rbhost_once (key, at) VALUES ('");
    if (op->stage == 3 || (op->stage == 1 && pg)) {
        for (const char *p = op->once; *p; p++)
            rb_buf_addf(&text, *p == '\'' ? "''" : "%c", *p);
        if (op->stage == 3)
            rb_buf_addf(&text, "', '%s')", at);
        else
            rb_buf_adds(&text, "', 0))");
    }
    run_text(op, rb_buf_text(&text));
    rb_buf_release(&text);
}

static void next_of_begin(struct sql_op *op)
{
    op->stage++;
    if (op->once && op->stage <= 3 && !rb_mutation("no-once-row")) {
        run_once(op);
        return;
    }
    op->tx->conn = op->conn;
    op->conn = NULL;
    if (op->tx->dropped)
        rb_sql_tx_over(op->tx, false);
    rb_effect_done(&op->effect);
}

/* The op has its connection. */
static void go(struct sql_op *op)
{
    struct rb_err err = {0};
    struct rb_sql_statement st = statement(op, op->text);
    int rc = RB_OK;
    switch (op->action) {
    case SQL_RUN:
        st.params = op->params;
        st.param_count = op->param_count;
        st.script = op->script;
        st.last = !op->tx;
        rc = op->driver->run(op->conn, &st, &op->work, &err);
        break;
    case SQL_BEGIN:
        op->stage = 0;
        rc = op->driver->begin(op->conn, op->isolation ? op->isolation : "", op->read, &st, &op->work, &err);
        break;
    case SQL_COMMIT:
        st.last = true;
        rc = op->driver->end(op->conn, RB_SQL_COMMIT, &st, &op->work, &err);
        break;
    case SQL_BACKUP:
        st.last = true;
        if (op->driver->backup)
            rc = op->driver->backup(op->conn, op->text, &st, &op->work, &err);
        else
            rc = rb_err_set(&err, RB_EINVAL, "db:backup is for SQLite; for PostgreSQL run pg_dump with exec");
        break;
    }
    sent(op, rc, &err);
}

void rb_sql_op_go(struct sql_op *op)
{
    if (!op->tx->conn || op->cancelled) {
        bool lost = !op->cancelled;
        let_go(op, false);
        fail_plain(op, lost ? "sql.tx_lost" : "cancelled",
                   lost ? "the transaction has ended" : "cancelled before it was sent");
        return;
    }
    op->conn = op->tx->conn;
    op->driver = op->conn->driver;
    go(op);
}

static void on_open(void *arg, struct rb_sql_conn *conn, const struct rb_sql_failure *why)
{
    struct sql_op *op = arg;
    op->work = NULL;
    op->conn = conn;
    if (op->orphan || op->cancelled || !conn) {
        if (!let_go(op, true))
            return;
        if (!conn)
            rb_sql_op_failed(op, why);
        else
            fail_plain(op, "cancelled", "cancelled before it was sent");
        return;
    }
    go(op);
}

static int open_connection(struct sql_op *op, struct rb_err *err)
{
    struct rb_sql_open opt = {.dsn = op->real,
                              .password = op->password,
                              .read = op->read,
                              .max_connections = op->max_connections,
                              .refuse_path = rb_effect_journal(&op->effect),
                              .attach = (const char *const *)op->attach,
                              .connect_timeout_ms =
                                  op->timeout_ms && op->timeout_ms < CONNECT_MS ? op->timeout_ms : CONNECT_MS,
                              .on_open = on_open,
                              .arg = op};
    int rc = op->driver->open(rb_effect_loop(&op->effect), &opt, &op->work, err);
    if (rc)
        op->work = NULL;
    return rc;
}

static void on_password(struct rb_secret_wait *wait, const char *text, size_t len, const struct rb_err *why)
{
    struct sql_op *op = RB_CONTAINER(wait, struct sql_op, secret);
    struct rb_err err = {0};
    op->waits_for_secret = false;
    if (!text) {
        fail_plain(op, "sql.auth", why->msg);
        return;
    }
    free(op->password);
    op->password = rb_strndup(text, len);
    if (open_connection(op, &err))
        fail_plain(op, "usage", err.msg);
}

void rb_sql_op_reached(struct sql_op *op)
{
    struct rb_err err = {0};
    if (open_connection(op, &err))
        fail_plain(op, "usage", err.msg);
}

/* -- the way of the op --------------------------------------------------------------------------------------------- */

static int prepare(struct rb_effect *e, struct rb_err *err)
{
    struct sql_op *op = sql_of(e);
    if (op->tx && op->action != SQL_BEGIN) {
        if (op->tx->conn)
            return RB_OK;
        snprintf(e->error_kind, sizeof(e->error_kind), "sql.tx_lost");
        return rb_err_set(err, RB_ENOENT, "%s: the transaction did not outlive the process in which it began",
                          op->shown);
    }
    return rb_sql_resolve(op, err);
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct sql_op *op = sql_of(e);
    rb_sql_kept_release(&op->kept); /* of an attempt that no longer counts */
    op->failure = (struct rb_sql_failure){0};
    op->cancelled = false;
    if (op->tx && op->action != SQL_BEGIN) {
        rb_sql_tx_enter(op);
        return RB_OK;
    }
    if (op->password_secret) {
        op->secret.fn = on_password;
        op->waits_for_secret = true;
        rb_secret_fetch(e->run, op->password_secret, &op->secret);
        return RB_OK;
    }
    snprintf(e->error_kind, sizeof(e->error_kind), "usage");
    return rb_sql_reach(op, err);
}

static void cancel(struct rb_effect *e, bool now)
{
    struct sql_op *op = sql_of(e);
    (void)now;
    op->cancelled = true;
    if (op->work) {
        op->driver->cancel(op->work);
    } else if (op->waits_for_secret || op->reach) {
        if (op->waits_for_secret)
            rb_secret_forget(&op->secret);
        rb_sql_reach_leave(op);
        op->waits_for_secret = false;
        fail_plain(op, "cancelled", "cancelled before it was sent");
    } else if (op->tx && !rb_list_empty(&op->tx_link)) {
        rb_list_remove(&op->tx_link);
        fail_plain(op, "cancelled", "cancelled before it was sent");
    }
}

static const struct rb_effect_type sql_type = {.kind = "sql",
                                               .prepare = prepare,
                                               .start = start,
                                               .cancel = cancel,
                                               .push = rb_sql_push,
                                               .assume = rb_sql_assume,
                                               .explain = rb_sql_explain,
                                               .free = release};

int rb_bind_sql(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct sql_op *op = rb_effect_new(L, sizeof(*op), &sql_type, RB_CLASS_EFFECT);
    rb_list_init(&op->tx_link);
    rb_effect_options(L, 1, &op->effect);
    rb_sql_read_args(L, op);
    return rb_effect_call(L, &op->effect);
}
