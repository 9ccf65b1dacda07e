/* SQL databases, whatever drives them: sql_sqlite.c (threads of the pool, one connection each) and sql_pg.c (libpq,
 * asynchronous on the loop, opened with dlopen at the first use). Drivers know no Lua and no journal; nothing they do
 * blocks the loop. Loop thread only; every callback comes on the loop, never from within the call that asked for it. */
#ifndef RB_SQL_H
#define RB_SQL_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct rb_sql_driver;

/* One connection, leased from its driver's pool. The drivers' own structs begin with it. */
struct rb_sql_conn {
    const struct rb_sql_driver *driver;
};

/* One statement (or another request) that is under way. */
struct rb_sql_work {
    const struct rb_sql_driver *driver;
};

enum rb_sql_type {
    RB_SQL_NULL,
    RB_SQL_BOOL,  /* i: 0, 1 */
    RB_SQL_INT,   /* i */
    RB_SQL_FLOAT, /* f */
    RB_SQL_TEXT,  /* text, len: UTF-8; also what has no type of its own (numeric, uuid, timestamps as ISO 8601) */
    RB_SQL_BYTES, /* text, len */
    RB_SQL_JSON,  /* text, len: a JSON document */
    RB_SQL_LIST,  /* items, len */
};

struct rb_sql_value {
    enum rb_sql_type type;
    union {
        int64_t i;
        double f;
        const char *text;
        struct rb_sql_value *items;
    };
    size_t len; /* bytes of text, or number of items */
};

struct rb_sql_param {
    const char *name; /* without its sign; NULL: by position */
    struct rb_sql_value value;
};

/* What went wrong, for the error table. */
struct rb_sql_failure {
    char kind[32];      /* "sql.error" "sql.constraint" "sql.busy" "sql.connect" "sql.auth" "sql.timeout" "sql.lost"
                          * "sql.too_big" "sql.readonly" "sql.serialization" "cancelled"; "usage": the parameters do
                          * not fit the statement, or it is not one that may be sent */
    char message[1024]; /* a sentence, without secrets */
    char code[8];       /* SQLSTATE, or SQLite's extended code as a number */
    char detail[512], hint[512], constraint[128], table[128], column[128];
    int position;     /* 1-based character in the statement; 0 unknown */
    bool not_started; /* nothing of the statement reached the database */
    bool unknown;     /* it may or may not have taken place: the link was lost after it was sent */
    bool retryable;   /* the same again may succeed: busy, 40001, 40P01 */
};

struct rb_sql_result {
    bool ok;
    struct rb_sql_failure failure; /* when not ok */
    char **columns;                /* column_count names, borrowed */
    size_t column_count, row_count;
    struct rb_sql_value *cells; /* row_count × column_count, row by row; borrowed for the callback */
    int64_t changes;            /* rows that an INSERT, UPDATE, DELETE has changed; -1 not known */
    int64_t last_id;            /* SQLite's last_insert_rowid; 0 none */
    bool more;                  /* max_rows or max_bytes was reached and there is more */
    char **notices;             /* NULL-terminated; NULL none */
};

struct rb_sql_statement {
    const char *text;
    const struct rb_sql_param *params; /* copied */
    size_t param_count;
    bool read;                  /* the database must refuse to change anything */
    bool script;                /* several statements, no parameters, no rows: all of them or none */
    bool last;                  /* nothing more comes on this connection: it may be closed before on_done */
    bool numeric;               /* PostgreSQL: numeric as a float instead of text */
    size_t max_rows, max_bytes; /* past either: the result is cut and `more` says so */
    uint64_t timeout_ms;        /* 0: none */
    uint64_t lock_ms;           /* how long another's lock is waited for; 0: as the driver thinks right */
    void (*on_done)(void *arg, struct rb_sql_result *result); /* borrowed for the call */
    void *arg;
};

struct rb_sql_open {
    /* "sqlite:/path?…", "postgres://…", "postgres:service=…" (the driver's own words behind it) */
    const char *dsn;
    const char *password;      /* apart from the DSN, so that no message can hold it; NULL */
    bool read;                 /* for reads: a read-only connection or session */
    const char *refuse_path;   /* SQLite: this file may not be opened nor attached (the journal); NULL */
    size_t max_connections;    /* PostgreSQL: of one kind (DSN, password, read) at once; 0: the driver's own */
    const char *const *attach; /* SQLite: "name=/path" of the databases that are attached, NULL-terminated; NULL */
    uint64_t connect_timeout_ms;
    /* Once: a connection that is the caller's until rb_sql_release(), or conn NULL and why. */
    void (*on_open)(void *arg, struct rb_sql_conn *conn, const struct rb_sql_failure *why);
    void *arg;
};

enum rb_sql_end { RB_SQL_COMMIT, RB_SQL_ROLLBACK };

struct rb_sql_driver {
    const char *scheme; /* "sqlite", "postgres" */
    /* Leases a connection, a kept one or a new one. *out may be given to `cancel` until on_open was called. */
    int (*open)(struct rb_loop *loop, const struct rb_sql_open *opt, struct rb_sql_work **out, struct rb_err *err);
    /* One statement on it. Only one at a time. */
    int (*run)(struct rb_sql_conn *conn, const struct rb_sql_statement *st, struct rb_sql_work **out,
               struct rb_err *err);
    /* BEGIN with the isolation level ("" the default; "serializable", "repeatable read", "read committed"; SQLite:
     * "deferred", "immediate", "exclusive"), and its end. on_done as of a statement without rows. */
    int (*begin)(struct rb_sql_conn *conn, const char *isolation, bool read, const struct rb_sql_statement *st,
                 struct rb_sql_work **out, struct rb_err *err);
    int (*end)(struct rb_sql_conn *conn, enum rb_sql_end how, const struct rb_sql_statement *st,
               struct rb_sql_work **out, struct rb_err *err);
    /* A copy of the whole database into a file, consistent, while others write (SQLite); NULL: not this database. */
    int (*backup)(struct rb_sql_conn *conn, const char *path, const struct rb_sql_statement *st,
                  struct rb_sql_work **out, struct rb_err *err);
    /* Ends what is under way early; its callback follows, with what had become of it by then: "cancelled" when nothing
     * of it stays, `unknown` when nobody can say. */
    void (*cancel)(struct rb_sql_work *w);
    /* Gives it back. keep: it is as it was when it was leased; else it is closed (and a transaction in it rolled
     * back). */
    void (*release)(struct rb_sql_conn *conn, bool keep);
};

/* The driver of a DSN; NULL with a sentence when there is none of that scheme. */
const struct rb_sql_driver *rb_sql_driver_of(const char *dsn, struct rb_err *err);

/* -- for drivers --------------------------------------------------------------------------------------------------- */

/* Empties it and sets kind and message (cut, on a character's border). */
void rb_sql_fail(struct rb_sql_failure *f, const char *kind, const char *fmt, ...) RB_PRINTF(3, 4);

/* Rows are tables by the names of their columns: two of one name are an error that says so. True: there are, and f is
 * set. */
bool rb_sql_duplicate(char *const *columns, size_t n, struct rb_sql_failure *f);

/* 1-based character of the byte at offset in the statement. */
int rb_sql_position(const char *text, size_t offset);

extern const struct rb_sql_driver rb_sql_sqlite;
extern const struct rb_sql_driver rb_sql_pg;

#endif
