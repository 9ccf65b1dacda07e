/* The inside of the PostgreSQL driver, shared by its files (sql_pg*.c). Nobody else includes this.
 *
 * Everything is the loop thread's, but for three things that block and are done on uv's pool with what they own alone:
 * the opening of libpq and the reading of the service file (pg_look), and PQcancel (pg_stop).
 *
 *   open ──▶ a kept connection that is alive ─────────────────────────────┐
 *     ├────▶ all places are taken: waits until one is given back ├──▶ LEASED ──release──▶ KEPT ──60 s──▶ closed
 *     └────▶ MAKING: pg_look, names, one address after another, set-up ───┘      │ link lost: pq is NULL */
#ifndef RB_SQL_PG_H
#define RB_SQL_PG_H

#include "base/list.h"
#include "io/pq_api.h"
#include "io/sql.h"
#include "io/timer.h"
#include "loop/work.h"

#define RB_PG_PLACES 16        /* connections of one kind (DSN, password, read) at once, where nothing is said */
#define RB_PG_KEEP_MS 60000    /* one that nobody used for so long is closed */
#define RB_PG_CONNECT_MS 10000 /* where the caller says nothing */
#define RB_PG_PLACE_MS 60000   /* how long a place is waited for */
#define RB_PG_GRACE_MS 5000    /* a statement that was told to stop has so long; then the link is closed */
#define RB_PG_GUARD_MS 1000    /* the server's own limit for a statement lies so much behind ours */

struct pg_conn;
struct pg_query;
struct pg_open;

/* What the driver keeps for a loop. */
struct pg_side {
    struct rb_loop_guest guest;
    struct rb_loop *loop;
    struct rb_list conns; /* struct pg_conn, all */
    struct rb_list opens; /* struct pg_open, in the order they came */
    bool ending;
};

/* A socket that is watched. libpq may close or exchange the socket in each of its calls, so a watch is a thing of its
 * own that is given up before, and freed in its close callback. */
struct pg_watch {
    uv_poll_t poll;
    void (*fn)(void *arg, bool readable);
    void *arg;
};

enum pg_state { PG_MAKING, PG_KEPT, PG_LEASED };

struct pg_conn {
    struct rb_sql_conn conn;
    struct rb_list link; /* in side->conns */
    struct pg_side *side;
    char *dsn, *password;
    bool read;
    enum pg_state state;
    PGconn *pq; /* NULL: not yet there, or lost */
    struct pg_watch *watch;
    struct pg_query *query; /* under way */
    struct pg_stop *stop;   /* PQcancel is under way */
    struct rb_timer idle;
    bool soiled;        /* the session may not be as it was: it is not kept */
    int64_t own_limit;  /* statement_timeout as the role, the database or the DSN have it; ms, 0: none */
    int64_t limit;      /* as the session has it now; -1: not known */
    bool doomed;        /* the server has said that it ends it */
    char farewell[256]; /* what the server said last while nothing was asked; "" */
};

/* -- sql_pg_pool.c: which connections there are -------------------------------------------------------------------- */

/* What the driver has under way for a caller: begins a pg_open or a pg_query. */
struct pg_work {
    struct rb_sql_work work;
    bool is_open;
};

struct pg_side *rb_pg_side(struct rb_loop *loop);
/* A connection of this kind that was kept and is alive; it is leased. NULL: none. */
struct pg_conn *rb_pg_kept(struct pg_side *side, const char *dsn, const char *password, bool read);
size_t rb_pg_count(const struct pg_side *side, const char *dsn, const char *password, bool read);
struct pg_conn *rb_pg_conn_new(struct pg_side *side, const char *dsn, const char *password, bool read);
/* Closes the link; the struct stays until it is given back. A query that is under way is not told. */
void rb_pg_conn_cut(struct pg_conn *c);
/* Closes it, forgets it, and lets somebody who waits for its place go on. */
void rb_pg_conn_free(struct pg_conn *c);
/* Given back as it was: somebody else may have it. */
void rb_pg_conn_keep(struct pg_conn *c);
/* Nothing is asked: from now on the end of the link is noticed when it comes. */
void rb_pg_conn_rest(struct pg_conn *c);
/* Takes what has come meanwhile. False: the link is lost (and cut). */
bool rb_pg_conn_alive(struct pg_conn *c);

/* fn is called when libpq's socket is ready for one of the events. False: it can not be watched. */
bool rb_pg_watch(struct pg_conn *c, int events, void (*fn)(void *arg, bool readable), void *arg);
void rb_pg_unwatch(struct pg_conn *c);

/* -- sql_pg_open.c: leasing one ------------------------------------------------------------------------------------ */

struct rb_sql_work *rb_pg_open(struct pg_side *side, const struct rb_sql_open *opt);
/* Somebody who waits for a connection of this kind may go on. */
void rb_pg_open_next(struct pg_side *side, const char *dsn, const char *password, bool read);
void rb_pg_open_cancel(struct pg_open *o);
/* The loop ends: its callback comes at once. */
void rb_pg_open_abandon(struct rb_list *link);

/* -- sql_pg_dsn.c: what a DSN stands for --------------------------------------------------------------------------- */

/* One server that may be tried. */
struct pg_place {
    char *host;    /* a name, a folder with a socket; NULL: libpq's own */
    char *address; /* of the name; NULL */
    char *port;    /* NULL */
};

/* All that libpq makes of a DSN, its service file and the environment. */
struct pg_settings {
    char **keys, **values; /* without the places; NULL-terminated */
    size_t count;
    struct pg_place *places;
    size_t place_count;
    char advice[512];    /* to whom the server does not let in for want of a password; "": none */
    int host_limit;      /* connect_timeout in seconds, for each place; 0: none */
    bool prefer_standby; /* target_session_attrs; its value among the keys is to be chosen for each round */
};

/* On the pool. NULL: why is set. */
struct pg_settings *rb_pg_settings(const char *dsn, const char *password, struct rb_err *why);
void rb_pg_settings_free(struct pg_settings *s);
void rb_pg_place_add(struct pg_settings *s, const char *host, const char *address, const char *port);
/* Must the name be looked up before libpq sees it? */
bool rb_pg_place_is_name(const struct pg_place *p);

/* -- sql_pg_connect.c: from a DSN to a session --------------------------------------------------------------------- */

struct pg_connect;

/* Connects c, sets its session up and calls done once, never from within: why is NULL when it is ready. */
struct pg_connect *rb_pg_connect(struct pg_conn *c, uint64_t timeout_ms,
                                 void (*done)(void *arg, const struct rb_sql_failure *why), void *arg);
/* done will not be called; c is the caller's to free. */
void rb_pg_connect_forget(struct pg_connect *k);

/* -- sql_pg_query.c: one statement --------------------------------------------------------------------------------- */

enum pg_act { PG_STATEMENT, PG_BEGIN, PG_COMMIT, PG_ROLLBACK, PG_SETUP };

/* st is copied; text is what is sent for an act, NULL: st->text. st->on_done follows, never from within. */
struct rb_sql_work *rb_pg_query(struct pg_conn *c, enum pg_act act, const char *text,
                                const struct rb_sql_statement *st);
void rb_pg_query_cancel(struct pg_query *q);
/* The link was cut by us: its callback comes at once, with what is known. */
void rb_pg_query_abandon(struct pg_query *q, const char *words);
/* Forgets it; nobody is told. */
void rb_pg_query_drop(struct pg_query *q);
/* PQcancel has come back; ok: the server was told. */
void rb_pg_query_told(struct pg_query *q, bool ok);
/* A notice of the server's came: severity and text. */
void rb_pg_query_notice(struct pg_query *q, const char *severity, const char *text);

/* -- sql_pg_stop.c: telling the server to stop --------------------------------------------------------------------- */

void rb_pg_stop(struct pg_conn *c);        /* rb_pg_query_told() follows, unless it is forgotten */
void rb_pg_stop_forget(struct pg_conn *c); /* the connection goes, the thread goes on with what is its own */

/* -- sql_pg_text.c: the statement's text --------------------------------------------------------------------------- */

struct pg_edit {
    int sent, own; /* 1-based characters: here in what was sent, there in what was written */
};

struct pg_text {
    char *sent;
    size_t *order; /* param number n + 1 is params[order[n]] */
    size_t count;
    struct pg_edit *edits;
    size_t edit_count;
};

/* May it not be sent, as a read or at all? Then f says why. */
bool rb_pg_text_refused(const char *text, bool read, struct rb_sql_failure *f);
/* The same of a script. */
bool rb_pg_script_refused(const char *text, struct rb_sql_failure *f);
/* Is there something behind a semicolon? So may there be in one statement: BEGIN ATOMIC of a function's body. */
bool rb_pg_text_several(const char *text);

/* Named parameters become $n. False: they do not fit the statement, and f says how. */
bool rb_pg_text(const char *text, const struct rb_sql_param *params, size_t count, struct pg_text *out,
                struct rb_sql_failure *f);
void rb_pg_text_release(struct pg_text *t);
int rb_pg_text_position(const struct pg_text *t, int sent); /* of the server, in what was written */

/* -- sql_pg_types.c: values ---------------------------------------------------------------------------------------- */

/* Memory that goes all at once. */
struct pg_arena {
    struct pg_chunk *chunks;
    size_t used; /* bytes that were asked for */
};

void *rb_pg_arena(struct pg_arena *a, size_t n);
char *rb_pg_arena_text(struct pg_arena *a, const char *text, size_t n);
void rb_pg_arena_release(struct pg_arena *a);

/* A value as the server writes it (text format) becomes one of ours. */
void rb_pg_value(struct pg_arena *a, Oid type, const char *text, size_t len, bool numeric, struct rb_sql_value *out);

/* What is sent for a parameter. */
struct pg_param {
    Oid type;
    const char *bytes; /* NULL: null */
    int len, format;
};

/* NULL, or why it can not be sent. */
const char *rb_pg_param(struct pg_arena *a, const struct rb_sql_value *v, struct pg_param *out);

/* -- sql_pg_error.c: what went wrong ------------------------------------------------------------------------------- */

/* Of a result: a failure of a statement whose connection lives. */
void rb_pg_failure(const PGresult *r, struct rb_sql_failure *f);
/* Where the server's words leave whoever wrote the statement without a next step. */
void rb_pg_advise(struct rb_sql_failure *f, const char *sent);
/* Why no connection was made. */
void rb_pg_connect_failure(PGconn *pq, struct rb_sql_failure *f);
/* libpq's message on one line, without its furniture. */
void rb_pg_tidy(const char *message, char *out, size_t n);

#endif
