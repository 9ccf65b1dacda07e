/* Owns the driver's face: what host/io/sql.h asks of a database, as PostgreSQL has it. What happens then is in the
 * other files; the map is in sql_pg.h. */
#include "io/sql_pg.h"

#include <stdio.h>
#include <string.h>

static struct pg_conn *conn_of(struct rb_sql_conn *conn)
{
    return RB_CONTAINER(conn, struct pg_conn, conn);
}

static int open_one(struct rb_loop *loop, const struct rb_sql_open *opt, struct rb_sql_work **out, struct rb_err *err)
{
    (void)err; /* whatever is wrong with the DSN, libpq knows, and it is asked on the pool */
    *out = rb_pg_open(rb_pg_side(loop), opt);
    return RB_OK;
}

static int run(struct rb_sql_conn *conn, const struct rb_sql_statement *st, struct rb_sql_work **out,
               struct rb_err *err)
{
    struct pg_conn *c = conn_of(conn);
    if (c->query)
        return rb_err_set(err, RB_EBUSY, "the connection has a statement under way");
    if (st->script && st->param_count)
        return rb_err_set(err, RB_EINVAL, "a script takes no parameters");
    *out = rb_pg_query(c, PG_STATEMENT, NULL, st);
    return RB_OK;
}

static int act(struct rb_sql_conn *conn, enum pg_act what, const char *text, const struct rb_sql_statement *st,
               struct rb_sql_work **out, struct rb_err *err)
{
    struct pg_conn *c = conn_of(conn);
    if (c->query)
        return rb_err_set(err, RB_EBUSY, "the connection has a statement under way");
    *out = rb_pg_query(c, what, text, st);
    return RB_OK;
}

static int begin(struct rb_sql_conn *conn, const char *isolation, bool read, const struct rb_sql_statement *st,
                 struct rb_sql_work **out, struct rb_err *err)
{
    static const char *const levels[] = {"", "read committed", "repeatable read", "serializable"};
    char text[100];
    for (size_t i = 0; i < RB_COUNT(levels); i++) {
        if (strcmp(isolation, levels[i]) != 0)
            continue;
        snprintf(text, sizeof(text), "BEGIN%s%s%s", i ? " ISOLATION LEVEL " : "", levels[i], read ? " READ ONLY" : "");
        return act(conn, PG_BEGIN, text, st, out, err);
    }
    return rb_err_set(err, RB_EINVAL,
                      "PostgreSQL has no isolation level \"%.40s\"; it has \"read committed\", \"repeatable read\" and "
                      "\"serializable\"",
                      isolation);
}

static int end(struct rb_sql_conn *conn, enum rb_sql_end how, const struct rb_sql_statement *st,
               struct rb_sql_work **out, struct rb_err *err)
{
    bool commit = how == RB_SQL_COMMIT;
    return act(conn, commit ? PG_COMMIT : PG_ROLLBACK, commit ? "COMMIT" : "ROLLBACK", st, out, err);
}

static void cancel(struct rb_sql_work *work)
{
    struct pg_work *w = RB_CONTAINER(work, struct pg_work, work);
    if (w->is_open)
        rb_pg_open_cancel((struct pg_open *)w);
    else
        rb_pg_query_cancel((struct pg_query *)w);
}

/* A session that may not be as it was, or in which something is still going on, is closed. */
static void release(struct rb_sql_conn *conn, bool keep)
{
    struct pg_conn *c = conn_of(conn);
    if (c->query)
        rb_pg_query_drop(c->query);
    else if (keep && !c->soiled && rb_pg_conn_alive(c) && rb_pq.PQtransactionStatus(c->pq) == PQTRANS_IDLE) {
        rb_pg_conn_keep(c);
        return;
    }
    rb_pg_conn_free(c);
}

const struct rb_sql_driver rb_sql_pg = {
    .scheme = "postgres",
    .open = open_one,
    .run = run,
    .begin = begin,
    .end = end,
    .cancel = cancel,
    .release = release,
};
