/* Owns PQcancel: it connects to the server with blocking calls, so it runs on the pool, with what libpq gives for just
 * that. Knows nothing of the statement. */
#include <stdlib.h>

#include "io/sql_pg.h"

struct pg_stop {
    struct rb_work work;
    struct pg_conn *owner; /* NULL: forgotten */
    PGcancel *cancel;
    bool told;
};

static void tell(struct rb_work *w)
{
    struct pg_stop *s = RB_CONTAINER(w, struct pg_stop, work);
    char why[256];
    s->told = rb_pq.PQcancel(s->cancel, why, sizeof(why)) == 1;
}

static void on_told(struct rb_work *w, int status)
{
    struct pg_stop *s = RB_CONTAINER(w, struct pg_stop, work);
    struct pg_conn *c = s->owner;
    bool told = s->told && status == RB_OK;
    rb_pq.PQfreeCancel(s->cancel);
    free(s);
    if (!c)
        return;
    c->stop = NULL;
    if (c->query)
        rb_pg_query_told(c->query, told);
}

void rb_pg_stop(struct pg_conn *c)
{
    if (c->stop || !c->pq)
        return;
    struct pg_stop *s = rb_alloc(sizeof(*s));
    s->cancel = rb_pq.PQgetCancel(c->pq);
    if (!s->cancel) { /* the link is lost already, and that comes by itself */
        free(s);
        return;
    }
    s->owner = c;
    s->work.run = tell;
    s->work.on_done = on_told;
    c->stop = s;
    rb_work_start(c->side->loop, &s->work);
}

void rb_pg_stop_forget(struct pg_conn *c)
{
    if (!c->stop)
        return;
    rb_work_cancel(&c->stop->work);
    c->stop->owner = NULL;
    c->stop = NULL;
}
