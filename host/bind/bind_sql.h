/* The inside of `sql`, shared by its files (bind_sql*.c). */
#ifndef RB_BIND_SQL_H
#define RB_BIND_SQL_H

#include "base/list.h"
#include "engine/effect.h"
#include "engine/secret.h"
#include "io/sql.h"

enum sql_action { SQL_RUN, SQL_BEGIN, SQL_COMMIT, SQL_BACKUP };

/* A result in memory of its own: blocks that go together. */
struct sql_kept {
    struct rb_sql_result r; /* its pointers lead into the blocks */
    struct sql_block *blocks;
};

/* A transaction that lives in this process. One reference is the Lua state's (dropped by sql_drop, or with the state),
 * one each op's that is part of it. */
struct sql_tx {
    int refs;
    struct rb_sql_conn *conn; /* NULL: it has not begun here, or is over: not live */
    bool dropped;
    struct sql_op *current; /* has the connection */
    struct rb_list queue;   /* struct sql_op.tx_link: the others wait, in the order of their calls */
};

struct sql_op {
    struct rb_effect effect;
    enum sql_action action;

    /* From the call. */
    char *dsn;       /* a name of the configuration, or a DSN; with its secrets */
    char *shown;     /* the same for people and the policy */
    char *text;      /* the statement, or the path of a backup */
    char *isolation; /* of SQL_BEGIN */
    char *once;      /* of SQL_BEGIN: the key that is kept with what it changes; NULL */
    char **attach;
    struct rb_sql_param *params;
    size_t param_count;
    bool read, script, numeric;
    size_t max_rows, max_bytes;
    uint64_t timeout_ms, lock_ms;
    struct sql_tx *tx; /* NULL: outside of transactions */
    struct rb_list tx_link;

    /* Of the configuration, found before it starts. */
    const struct rb_sql_driver *driver;
    char *real; /* what the driver is given */
    size_t max_connections;
    bool of_the_site; /* it is one of the configuration */
    char *password, *password_secret;

    /* While it runs. */
    struct rb_reach_file *reach; /* on its way to a file that it names */
    size_t reached;              /* how many of them it has gone to */
    struct rb_secret_wait secret;
    bool waits_for_secret;
    struct rb_sql_conn *conn;
    struct rb_sql_work *work;
    int stage; /* of SQL_BEGIN: what has been done */
    bool orphan, cancelled;

    struct sql_kept kept;
    struct rb_sql_failure failure;
};

/* bind_sql_result.c */
void rb_sql_keep(struct sql_op *op, const struct rb_sql_result *r);
void rb_sql_kept_release(struct sql_kept *k);
void rb_sql_push(struct rb_effect *e, lua_State *L);
void rb_sql_assume(struct rb_effect *e, lua_State *L);
void rb_sql_explain(struct rb_effect *e, lua_State *L);
/* Ends the op with this failure: the sentence, the place in the statement, the outcome. */
void rb_sql_op_failed(struct sql_op *op, const struct rb_sql_failure *f);

/* bind_sql_args.c: [-0, +0, e] fills the op from the table at 1. */
void rb_sql_read_args(lua_State *L, struct sql_op *op);
/* Finds the DSN of its name. RB_EINVAL with a sentence, kind in e->error_kind. */
int rb_sql_resolve(struct sql_op *op, struct rb_err *err);
void rb_sql_free_args(struct sql_op *op);
/* The text of n characters of a DSN, without its percent signs; allocated. */
char *rb_url_text(const char *s, size_t n);

/* bind_sql_reach.c: looks for links on the way to the files that a runbook names, and asks the policy where they lead.
 * rb_sql_op_reached() comes, or the op fails; with RB_OK from rb_sql_reach() it may come from within. */
int rb_sql_reach(struct sql_op *op, struct rb_err *err);
void rb_sql_reach_leave(struct sql_op *op);
void rb_sql_op_reached(struct sql_op *op); /* bind_sql.c */

/* bind_sql_tx.c */
struct sql_tx *rb_sql_tx_of(lua_State *L, const char *key, bool make); /* a new reference; NULL */
void rb_sql_tx_unref(struct sql_tx *tx);
void rb_sql_tx_enter(struct sql_op *op);           /* fn: rb_sql_tx_go when the connection is free */
void rb_sql_tx_leave(struct sql_op *op);           /* it is done with the connection, or no longer waits for it */
void rb_sql_tx_over(struct sql_tx *tx, bool keep); /* the transaction has ended, or must */
void rb_sql_op_go(struct sql_op *op);              /* bind_sql.c: the op has the connection of its transaction */

#endif
