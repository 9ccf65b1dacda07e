/* Owns the way from a DSN to a session: libpq's settings (on the pool), names (uv_getaddrinfo), one address after
 * another, and what the session is told first. libpq could try several hosts by itself, but then its name look-ups
 * block, and one host that does not answer takes the time of all. Knows no pool and no statement of anybody's. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "io/sql_pg.h"

/* Reading libpq's settings, on the pool. Goes on by itself when nobody wants them any more. */
struct pg_look {
    struct rb_work work;
    struct pg_connect *owner; /* NULL: forgotten */
    char *dsn, *password;
    struct pg_settings *settings;
    struct rb_err err;
};

/* Looking a name up. Likewise. */
struct pg_name {
    uv_getaddrinfo_t req;
    struct pg_connect *owner;
};

struct pg_connect {
    struct pg_conn *c;
    struct pg_look *look;
    struct pg_name *name;
    struct pg_settings *settings; /* with the places as the DSN has them */
    struct pg_settings found;     /* only places: each with its address */
    size_t at;                    /* which place is looked up, then which is tried */
    int round;                    /* prefer-standby: 0 asks for a standby, 1 takes any */
    int64_t until;                /* rb_clock_boot() */
    struct rb_timer timer;
    struct rb_sql_failure why; /* of the last place */
    void (*done)(void *arg, const struct rb_sql_failure *why);
    void *arg;
};

static void try_next(struct pg_connect *k);

/* -- its end ------------------------------------------------------------------------------------------------------- */

void rb_pg_connect_forget(struct pg_connect *k)
{
    rb_timer_disarm(&k->timer);
    if (k->look)
        k->look->owner = NULL;
    if (k->name) {
        k->name->owner = NULL;
        uv_cancel((uv_req_t *)&k->name->req);
    }
    if (k->c->query)
        rb_pg_query_drop(k->c->query);
    rb_pg_settings_free(k->settings);
    for (size_t i = 0; i < k->found.place_count; i++) {
        free(k->found.places[i].host);
        free(k->found.places[i].address);
        free(k->found.places[i].port);
    }
    free(k->found.places);
    free(k);
}

static void finish(struct pg_connect *k, bool ok)
{
    void (*done)(void *, const struct rb_sql_failure *) = k->done;
    void *arg = k->arg;
    struct rb_sql_failure why = k->why;
    why.not_started = true;
    if (!ok)
        rb_pg_conn_cut(k->c);
    rb_pg_connect_forget(k);
    done(arg, ok ? NULL : &why);
}

/* -- the session --------------------------------------------------------------------------------------------------- */

/* Values are written in UTC and ISO dates, floats whole; and what the role's own limit for a statement is, so that ours
 * never lengthens it. */
static const char setup_text[] =
    "SET TIME ZONE 'UTC'; SET datestyle = 'ISO, MDY'; SET bytea_output = 'hex'; SET extra_float_digits = 3; "
    "SET standard_conforming_strings = on; %s"
    "SELECT (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint";

static void on_set_up(void *arg, struct rb_sql_result *result)
{
    struct pg_connect *k = arg;
    if (result->ok && result->row_count == 1 && result->cells[0].type == RB_SQL_INT) {
        k->c->own_limit = k->c->limit = result->cells[0].i;
        rb_fault_point("sql.pg.connected");
        finish(k, true);
        return;
    }
    if (result->ok)
        rb_sql_fail(&k->why, "sql.connect", "the server does not answer as PostgreSQL does");
    else
        k->why = result->failure;
    if (strcmp(k->why.kind, "sql.lost") == 0)
        snprintf(k->why.kind, sizeof(k->why.kind), "sql.connect");
    k->why.unknown = false;
    finish(k, false);
}

static void on_notice(void *arg, const PGresult *r)
{
    struct pg_conn *c = arg;
    const char *severity = rb_pq.PQresultErrorField(r, PG_DIAG_SEVERITY);
    const char *text = rb_pq.PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *word = rb_pq.PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (c->query)
        rb_pg_query_notice(c->query, severity ? severity : "NOTICE", text ? text : "");
    else
        rb_pg_tidy(text ? text : "", c->farewell, sizeof(c->farewell));
    /* "terminating connection …": the end of the link comes right behind it */
    if (!c->query && word && (strcmp(word, "FATAL") == 0 || strcmp(word, "PANIC") == 0))
        c->doomed = true;
}

static void set_up(struct pg_connect *k)
{
    struct pg_conn *c = k->c;
    char text[600];
    struct rb_sql_statement st = {.script = true, .read = true, .on_done = on_set_up, .arg = k};
    rb_pq.PQsetErrorVerbosity(c->pq, PQERRORS_DEFAULT);
    rb_pq.PQsetnonblocking(c->pq, 1);
    rb_pq.PQsetNoticeReceiver(c->pq, on_notice, c);
    snprintf(text, sizeof(text), setup_text, c->read ? "SET default_transaction_read_only = on; " : "");
    rb_pg_query(c, PG_SETUP, text, &st);
}

/* -- one place ----------------------------------------------------------------------------------------------------- */

static void say_how_many(struct pg_connect *k)
{
    size_t n = strlen(k->why.message);
    if (k->found.place_count > 1 && k->at + 1 >= k->found.place_count)
        snprintf(k->why.message + n, sizeof(k->why.message) - n, " (the last of %zu addresses)", k->found.place_count);
}

/* A server that answers with a refusal has answered: the next one is tried only where there is none, or it is not the
 * kind of server that is wanted, or it is not up yet. */
static void place_failed(struct pg_connect *k)
{
    if (k->c->query)
        rb_pg_query_drop(k->c->query);
    rb_pg_conn_cut(k->c);
    if (k->why.code[0] && strncmp(k->why.code, "57P", 3) != 0) {
        finish(k, false);
        return;
    }
    say_how_many(k);
    k->at++;
    try_next(k);
}

static void refused(struct pg_connect *k)
{
    rb_pg_connect_failure(k->c->pq, &k->why);
    if (strcmp(k->why.kind, "sql.auth") == 0 && k->settings->advice[0])
        snprintf(k->why.hint, sizeof(k->why.hint), "%s", k->settings->advice);
    place_failed(k);
}

static void on_step(void *arg, bool readable);

static void wait_for(struct pg_connect *k, int events)
{
    if (rb_pg_watch(k->c, events, on_step, k))
        return;
    rb_sql_fail(&k->why, "sql.connect", "can not watch a connection to PostgreSQL");
    finish(k, false);
}

static void on_step(void *arg, bool readable)
{
    struct pg_connect *k = arg;
    (void)readable;
    rb_pg_unwatch(k->c); /* the step may close the socket and open another */
    switch (rb_pq.PQconnectPoll(k->c->pq)) {
    case PGRES_POLLING_READING: wait_for(k, UV_READABLE); return;
    case PGRES_POLLING_WRITING: wait_for(k, UV_WRITABLE); return;
    case PGRES_POLLING_OK: set_up(k); return;
    default: break;
    }
    refused(k);
}

/* Of what is left, each place that is left gets its share; and not more than the DSN allows it. */
static void limit_place(struct pg_connect *k)
{
    int64_t left = (k->until - rb_clock_boot()) / 1000, places = (int64_t)(k->found.place_count - k->at);
    if (k->settings->prefer_standby && k->round == 0)
        places += (int64_t)k->found.place_count;
    int64_t ms = left > 0 ? left / places : 0;
    if (k->settings->host_limit > 0 && left > 0)
        ms = left < (int64_t)k->settings->host_limit * 1000 ? left : (int64_t)k->settings->host_limit * 1000;
    rb_timer_arm_ms(&k->timer, (uint64_t)ms);
}

static void start_place(struct pg_connect *k)
{
    const struct pg_settings *s = k->settings;
    const struct pg_place *p = &k->found.places[k->at];
    const char **keys = rb_alloc((s->count + 4) * sizeof(*keys)), **values = rb_alloc((s->count + 4) * sizeof(*values));
    size_t n = 0;
    for (; n < s->count; n++) {
        keys[n] = s->keys[n];
        values[n] = s->values[n];
        if (s->prefer_standby && strcmp(keys[n], "target_session_attrs") == 0)
            values[n] = k->round == 0 ? "standby" : "any";
    }
    const char *place[][2] = {{"host", p->host}, {"hostaddr", p->address}, {"port", p->port}};
    for (size_t i = 0; i < RB_COUNT(place); i++) {
        if (place[i][1]) {
            keys[n] = place[i][0];
            values[n++] = place[i][1];
        }
    }
    k->c->pq = rb_pq.PQconnectStartParams(keys, values, 0);
    free(keys);
    free(values);
    if (!k->c->pq)
        rb_die("out of memory");
    rb_pq.PQsetErrorVerbosity(k->c->pq, PQERRORS_VERBOSE); /* for the code in a refusal */
}

static void try_next(struct pg_connect *k)
{
    if (k->at == k->found.place_count && k->settings->prefer_standby && k->round == 0) {
        k->round = 1;
        k->at = 0;
    }
    if (k->at == k->found.place_count) {
        finish(k, false);
        return;
    }
    rb_fault_point("sql.pg.connect");
    limit_place(k);
    start_place(k);
    if (rb_pq.PQstatus(k->c->pq) == CONNECTION_BAD) {
        refused(k);
        return;
    }
    wait_for(k, UV_WRITABLE);
}

static void on_limit(struct rb_timer *t)
{
    struct pg_connect *k = RB_CONTAINER(t, struct pg_connect, timer);
    const char *what = k->look ? "reading the settings" : k->name ? "looking its name up" : "connecting to";
    const struct pg_place *p = k->found.place_count && k->at < k->found.place_count ? &k->found.places[k->at] : NULL;
    rb_sql_fail(&k->why, "sql.connect", "PostgreSQL%s%s did not answer in time (%s it)", p && p->host ? " at " : "",
                p && p->host ? p->host : "", what);
    k->why.retryable = true;
    if (k->look || k->name || rb_clock_boot() >= k->until)
        finish(k, false);
    else
        place_failed(k);
}

/* -- names --------------------------------------------------------------------------------------------------------- */

static void look_up(struct pg_connect *k);

static void take_addresses(struct pg_connect *k, const struct addrinfo *list)
{
    const struct pg_place *p = &k->settings->places[k->at];
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        char address[64] = "";
        if (a->ai_family == AF_INET)
            uv_ip4_name((const struct sockaddr_in *)a->ai_addr, address, sizeof(address));
        else if (a->ai_family == AF_INET6)
            uv_ip6_name((const struct sockaddr_in6 *)a->ai_addr, address, sizeof(address));
        if (address[0])
            rb_pg_place_add(&k->found, p->host, address, p->port);
    }
}

static void name_failed(struct pg_connect *k, int rc)
{
    rb_sql_fail(&k->why, "sql.connect", "the name \"%s\" can not be resolved: %s", k->settings->places[k->at].host,
                uv_strerror(rc));
    k->why.retryable = rc == UV_EAI_AGAIN;
}

static void on_name(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct pg_name *name = RB_CONTAINER(req, struct pg_name, req);
    struct pg_connect *k = name->owner;
    if (k) {
        k->name = NULL;
        if (status)
            name_failed(k, status);
        else
            take_addresses(k, list);
        k->at++;
    }
    uv_freeaddrinfo(list);
    free(name);
    if (k)
        look_up(k);
}

/* Names that are left; then the first place. */
static void look_up(struct pg_connect *k)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    for (; k->at < k->settings->place_count; k->at++) {
        const struct pg_place *p = &k->settings->places[k->at];
        if (!rb_pg_place_is_name(p)) {
            rb_pg_place_add(&k->found, p->host, p->address, p->port);
            continue;
        }
        struct pg_name *name = rb_alloc(sizeof(*name));
        name->owner = k;
        int rc = uv_getaddrinfo(&k->c->side->loop->uv, &name->req, on_name, p->host, NULL, &hints);
        if (rc == 0) {
            k->name = name;
            return;
        }
        free(name);
        name_failed(k, rc);
    }
    k->at = 0;
    try_next(k);
}

/* -- the settings -------------------------------------------------------------------------------------------------- */

static void look(struct rb_work *w)
{
    struct pg_look *l = RB_CONTAINER(w, struct pg_look, work);
    l->settings = rb_pg_settings(l->dsn, l->password, &l->err);
}

static void on_looked(struct rb_work *w, int status)
{
    struct pg_look *l = RB_CONTAINER(w, struct pg_look, work);
    struct pg_connect *k = l->owner;
    struct rb_err err = l->err;
    if (k) {
        k->look = NULL;
        k->settings = l->settings;
    } else {
        rb_pg_settings_free(l->settings);
    }
    free(l->dsn);
    if (l->password)
        explicit_bzero(l->password, strlen(l->password));
    free(l->password);
    free(l);
    if (!k)
        return;
    if (!k->settings) {
        rb_sql_fail(&k->why, "sql.connect", "%s", status ? "the host ended" : err.msg);
        finish(k, false);
        return;
    }
    look_up(k);
}

struct pg_connect *rb_pg_connect(struct pg_conn *c, uint64_t timeout_ms,
                                 void (*done)(void *arg, const struct rb_sql_failure *why), void *arg)
{
    struct pg_connect *k = rb_alloc(sizeof(*k));
    struct pg_look *l = rb_alloc(sizeof(*l));
    k->c = c;
    k->done = done;
    k->arg = arg;
    k->until = rb_clock_boot() + (int64_t)timeout_ms * 1000;
    rb_timer_init(&k->timer, c->side->loop, on_limit);
    rb_timer_arm(&k->timer, k->until);
    k->look = l;
    l->owner = k;
    l->dsn = rb_strdup(c->dsn);
    l->password = rb_strdup(c->password);
    l->work.run = look;
    l->work.on_done = on_looked;
    rb_work_start(c->side->loop, &l->work);
    return k;
}
