/* Owns the leasing of a connection: a kept one, a new one, or waiting until there is room for one. Knows nothing of
 * statements. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/sql_pg.h"

struct pg_open {
    struct pg_work work;
    struct rb_list link; /* in side->opens */
    struct pg_side *side;
    char *dsn, *password;
    bool read;
    size_t places; /* connections of this kind at once */
    uint64_t timeout_ms;
    struct rb_timer timer;      /* go on; or it has waited long enough */
    bool waits;                 /* for a place */
    struct pg_conn *conn;       /* is being made */
    struct pg_connect *connect; /* as long as it is */
    bool cancelled;
    void (*on_open)(void *arg, struct rb_sql_conn *conn, const struct rb_sql_failure *why);
    void *arg;
};

static void finish(struct pg_open *o, struct pg_conn *c, const struct rb_sql_failure *why)
{
    rb_timer_disarm(&o->timer);
    rb_list_remove(&o->link);
    o->on_open(o->arg, c ? &c->conn : NULL, why);
    if (o->password)
        explicit_bzero(o->password, strlen(o->password));
    free(o->dsn);
    free(o->password);
    free(o);
}

static void fail(struct pg_open *o, const char *kind, const char *message)
{
    struct rb_sql_failure why;
    rb_sql_fail(&why, kind, "%s", message);
    why.not_started = true;
    why.retryable = strcmp(kind, "sql.connect") == 0;
    finish(o, NULL, &why);
}

static void fail_waiting(struct pg_open *o)
{
    char text[200];
    snprintf(text, sizeof(text),
             "all %zu connections to this database have been in use for a minute (max_connections of its DSN in the "
             "configuration)",
             o->places);
    fail(o, "sql.connect", text);
}

static void on_connected(void *arg, const struct rb_sql_failure *why)
{
    struct pg_open *o = arg;
    struct pg_conn *c = o->conn;
    o->conn = NULL;
    o->connect = NULL;
    if (why) {
        finish(o, NULL, why); /* first: who waits for the place would only meet the same */
        rb_pg_conn_free(c);
        return;
    }
    c->state = PG_LEASED;
    finish(o, c, NULL);
}

static void go_on(struct pg_open *o)
{
    struct pg_conn *c = rb_pg_kept(o->side, o->dsn, o->password, o->read);
    if (c) {
        finish(o, c, NULL);
        return;
    }
    if (rb_pg_count(o->side, o->dsn, o->password, o->read) >= o->places) {
        if (!o->waits)
            rb_timer_arm_ms(&o->timer, RB_PG_PLACE_MS);
        o->waits = true;
        return;
    }
    o->waits = false;
    o->conn = rb_pg_conn_new(o->side, o->dsn, o->password, o->read);
    o->connect = rb_pg_connect(o->conn, o->timeout_ms, on_connected, o);
}

static void on_timer(struct rb_timer *t)
{
    struct pg_open *o = RB_CONTAINER(t, struct pg_open, timer);
    if (o->cancelled)
        fail(o, "cancelled", "it was stopped before there was a connection");
    else if (o->waits)
        fail_waiting(o);
    else
        go_on(o);
}

struct rb_sql_work *rb_pg_open(struct pg_side *side, const struct rb_sql_open *opt)
{
    struct pg_open *o = rb_alloc(sizeof(*o));
    o->work.work.driver = &rb_sql_pg;
    o->work.is_open = true;
    o->side = side;
    o->dsn = rb_strdup(opt->dsn);
    o->password = rb_strdup(opt->password);
    o->read = opt->read;
    o->places = opt->max_connections ? opt->max_connections : RB_PG_PLACES;
    o->timeout_ms = opt->connect_timeout_ms ? opt->connect_timeout_ms : RB_PG_CONNECT_MS;
    o->on_open = opt->on_open;
    o->arg = opt->arg;
    rb_list_push(&side->opens, &o->link);
    rb_timer_init(&o->timer, side->loop, on_timer);
    rb_timer_arm_ms(&o->timer, 0);
    return &o->work.work;
}

void rb_pg_open_next(struct pg_side *side, const char *dsn, const char *password, bool read)
{
    if (side->ending)
        return;
    RB_LIST_EACH (l, &side->opens) {
        struct pg_open *o = RB_CONTAINER(l, struct pg_open, link);
        if (!o->waits || o->read != read || strcmp(o->dsn, dsn) != 0 ||
            strcmp(o->password ? o->password : "", password ? password : "") != 0)
            continue;
        o->waits = false;
        rb_timer_arm_ms(&o->timer, 0);
        return;
    }
}

static void drop_connection(struct pg_open *o)
{
    if (!o->connect)
        return;
    rb_pg_connect_forget(o->connect);
    rb_pg_conn_free(o->conn);
    o->connect = NULL;
    o->conn = NULL;
}

void rb_pg_open_cancel(struct pg_open *o)
{
    o->cancelled = true;
    drop_connection(o);
    rb_timer_arm_ms(&o->timer, 0);
}

void rb_pg_open_abandon(struct rb_list *link)
{
    struct pg_open *o = RB_CONTAINER(link, struct pg_open, link);
    drop_connection(o);
    fail(o, "cancelled", "the host ended before there was a connection");
}
