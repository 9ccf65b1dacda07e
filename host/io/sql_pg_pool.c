/* Owns the connections: which there are, who has them, which are kept, and the watching of their sockets. A kept one is
 * watched too, so that it is gone the moment the server closes it, and not found dead by the next statement. Knows
 * neither how one is made nor what is asked on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/sql_pg.h"

/* -- watching ------------------------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *h)
{
    free(RB_CONTAINER(h, struct pg_watch, poll));
}

static void on_ready(uv_poll_t *h, int status, int events)
{
    struct pg_watch *w = RB_CONTAINER(h, struct pg_watch, poll);
    w->fn(w->arg, status < 0 || (events & (UV_READABLE | UV_DISCONNECT))); /* an error shows when it is read */
}

void rb_pg_unwatch(struct pg_conn *c)
{
    if (!c->watch)
        return;
    uv_close((uv_handle_t *)&c->watch->poll, on_closed);
    c->watch = NULL;
}

bool rb_pg_watch(struct pg_conn *c, int events, void (*fn)(void *arg, bool readable), void *arg)
{
    if (!c->watch) {
        struct pg_watch *w = rb_alloc(sizeof(*w));
        if (uv_poll_init(&c->side->loop->uv, &w->poll, rb_pq.PQsocket(c->pq))) {
            free(w);
            return false;
        }
        c->watch = w;
    }
    c->watch->fn = fn;
    c->watch->arg = arg;
    return uv_poll_start(&c->watch->poll, events, on_ready) == 0;
}

/* -- one connection ------------------------------------------------------------------------------------------------ */

void rb_pg_conn_cut(struct pg_conn *c)
{
    rb_pg_unwatch(c); /* before libpq closes the socket */
    rb_pg_stop_forget(c);
    if (c->pq)
        rb_pq.PQfinish(c->pq);
    c->pq = NULL;
}

static void free_secret(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

void rb_pg_conn_free(struct pg_conn *c)
{
    struct pg_side *side = c->side;
    rb_pg_conn_cut(c);
    rb_timer_disarm(&c->idle);
    rb_list_remove(&c->link);
    rb_pg_open_next(side, c->dsn, c->password, c->read);
    free_secret(c->dsn);
    free_secret(c->password);
    free(c);
}

static void on_idle_limit(struct rb_timer *t)
{
    rb_pg_conn_free(RB_CONTAINER(t, struct pg_conn, idle));
}

struct pg_conn *rb_pg_conn_new(struct pg_side *side, const char *dsn, const char *password, bool read)
{
    struct pg_conn *c = rb_alloc(sizeof(*c));
    c->conn.driver = &rb_sql_pg;
    c->side = side;
    c->dsn = rb_strdup(dsn);
    c->password = rb_strdup(password);
    c->read = read;
    rb_timer_init(&c->idle, side->loop, on_idle_limit);
    rb_list_push(&side->conns, &c->link);
    return c;
}

bool rb_pg_conn_alive(struct pg_conn *c)
{
    if (!c->pq)
        return false;
    bool alive = rb_pq.PQconsumeInput(c->pq) && rb_pq.PQstatus(c->pq) == CONNECTION_OK;
    if (alive)
        rb_pq.PQisBusy(c->pq); /* takes what was read apart: a farewell becomes a notice */
    for (PGnotify *n; alive && (n = rb_pq.PQnotifies(c->pq));) /* a session that LISTENs; nobody asked us for these */
        rb_pq.PQfreemem(n);
    alive = alive && !c->doomed && rb_pq.PQstatus(c->pq) == CONNECTION_OK;
    if (!alive)
        rb_pg_conn_cut(c);
    return alive;
}

static void on_rest(void *arg, bool readable)
{
    struct pg_conn *c = arg;
    (void)readable;
    if (!rb_pg_conn_alive(c) && c->state == PG_KEPT)
        rb_pg_conn_free(c);
}

void rb_pg_conn_rest(struct pg_conn *c)
{
    if (c->pq && !rb_pg_watch(c, UV_READABLE, on_rest, c))
        rb_pg_conn_cut(c);
}

void rb_pg_conn_keep(struct pg_conn *c)
{
    c->state = PG_KEPT;
    rb_list_remove(&c->link);
    rb_list_push(&c->side->conns, &c->link);
    rb_timer_arm_ms(&c->idle, RB_PG_KEEP_MS);
    rb_pg_conn_rest(c);
    rb_pg_open_next(c->side, c->dsn, c->password, c->read);
}

/* -- all of them --------------------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_of(const struct pg_conn *c, const char *dsn, const char *password, bool read)
{
    return c->read == read && same_text(c->dsn, dsn) && same_text(c->password, password);
}

struct pg_conn *rb_pg_kept(struct pg_side *side, const char *dsn, const char *password, bool read)
{
    /* from the end: the one that was used last, so that the others may come to their end */
    for (struct rb_list *l = side->conns.prev, *before = l->prev; l != &side->conns; l = before, before = l->prev) {
        struct pg_conn *c = RB_CONTAINER(l, struct pg_conn, link);
        if (c->state != PG_KEPT || !is_of(c, dsn, password, read))
            continue;
        rb_timer_disarm(&c->idle);
        if (rb_pg_conn_alive(c)) {
            c->state = PG_LEASED;
            return c;
        }
        rb_pg_conn_free(c);
    }
    return NULL;
}

size_t rb_pg_count(const struct pg_side *side, const char *dsn, const char *password, bool read)
{
    size_t n = 0;
    RB_LIST_EACH (l, &side->conns)
        n += is_of(RB_CONTAINER(l, struct pg_conn, link), dsn, password, read);
    return n;
}

static void release(struct rb_loop_guest *g)
{
    struct pg_side *side = RB_CONTAINER(g, struct pg_side, guest);
    side->ending = true;
    while (!rb_list_empty(&side->opens))
        rb_pg_open_abandon(side->opens.next);
    while (!rb_list_empty(&side->conns)) {
        struct pg_conn *c = RB_CONTAINER(side->conns.next, struct pg_conn, link);
        if (c->query)
            rb_pg_query_abandon(c->query, "the host ended"); /* its caller may give the connection back */
        else
            rb_pg_conn_free(c);
    }
    free(side);
}

struct pg_side *rb_pg_side(struct rb_loop *loop)
{
    struct rb_loop_guest *known = rb_loop_guest_find(loop, release);
    if (known)
        return RB_CONTAINER(known, struct pg_side, guest);
    struct pg_side *side = rb_alloc(sizeof(*side));
    side->guest.release = release;
    side->loop = loop;
    rb_list_init(&side->conns);
    rb_list_init(&side->opens);
    rb_loop_guest_add(loop, &side->guest);
    return side;
}
