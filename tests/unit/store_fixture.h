/* What the tests of the store share: a folder of its own for each test, a loop, and runs to write. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "store/chain.h"
#include "store/journal.h"
#include "store/store.h"

struct fixture {
    char dir[64];
    char path[128];
    struct rb_loop loop;
    struct rb_store *store;
    struct rb_err err;
    int failed; /* calls of on_failed */
    struct rb_err why;
};

#define assert_ok(fx, expr) \
    do { \
        int rc_ = (expr); \
        if (rc_) \
            fail_msg("%s: %d, %s", #expr, rc_, (fx)->err.msg); \
    } while (0)
#define assert_has(text, part) \
    do { \
        if (!strstr((text), (part))) \
            fail_msg("\"%s\" is not in \"%s\"", (part), (text)); \
    } while (0)

static inline int fx_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void fx_on_failed(void *arg, const struct rb_err *why)
{
    struct fixture *fx = arg;
    fx->failed++;
    fx->why = *why;
}

static inline int fx_open_at(struct fixture *fx, struct rb_loop *loop, const char *path, bool write,
                             struct rb_store **out)
{
    struct rb_store_options opt = {
        .path = path, .write = write, .create = write, .lock_wait_ms = 3000, .on_failed = fx_on_failed, .arg = fx};
    return rb_store_open(loop, &opt, out, &fx->err);
}

static inline void fx_open(struct fixture *fx)
{
    assert_ok(fx, fx_open_at(fx, &fx->loop, fx->path, true, &fx->store));
}

static inline int fx_setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));
    const char *tmp = getenv("TMPDIR");
    snprintf(fx->dir, sizeof(fx->dir), "%.40s/rbstore-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(fx->dir))
        return -1;
    snprintf(fx->path, sizeof(fx->path), "%s/journal.db", fx->dir);
    if (rb_loop_init(&fx->loop, &fx->err))
        return -1;
    *state = fx;
    return 0;
}

static inline int fx_teardown(void **state)
{
    struct fixture *fx = *state;
    rb_store_close(fx->store);
    int open = rb_loop_release(&fx->loop);
    nftw(fx->dir, fx_remove, 16, FTW_DEPTH | FTW_PHYS);
    free(fx);
    if (open)
        fprintf(stderr, "%d handles were left open\n", open);
    return open;
}

/* Turns the loop until *flag is not 0; ten seconds of nothing are a failure. */
static inline void fx_until(struct fixture *fx, const int *flag)
{
    int64_t end = rb_clock_boot() + 10000000;
    while (!*flag) {
        struct pollfd p = {.fd = uv_backend_fd(&fx->loop.uv), .events = POLLIN};
        uv_run(&fx->loop.uv, UV_RUN_NOWAIT);
        if (*flag)
            return;
        if (rb_clock_boot() > end)
            fail_msg("nothing happened for ten seconds");
        poll(&p, 1, 100);
    }
}

struct fx_waiter {
    struct rb_durable w;
    int called;
};

static inline void fx_on_durable(struct rb_durable *w)
{
    RB_CONTAINER(w, struct fx_waiter, w)->called++;
}

static inline void fx_wait_durable(struct fixture *fx, struct rb_journal *j, int64_t seq)
{
    struct fx_waiter w = {.w.fn = fx_on_durable};
    rb_list_init(&w.w.link);
    rb_journal_when_durable(j, seq, &w.w);
    fx_until(fx, &w.called);
}

static inline int64_t fx_append(struct rb_journal *j, const char *key, const char *kind, const char *data)
{
    return rb_journal_append(j, key, kind, data, strlen(data));
}

/* A run with one event, owned by this process. */
static inline struct rb_journal *fx_create(struct fixture *fx, struct rb_store *s, char id[RB_RUN_ID_MAX])
{
    struct rb_run_row row = {.runbook = strdup("promote"), .status = strdup("running")};
    rb_run_id_new(row.id);
    struct rb_journal *j = rb_journal_new(s, row.id);
    fx_append(j, "", "run.start", "{\"status\":\"running\",\"runbook\":\"promote\"}");
    assert_ok(fx, rb_journal_create(j, &row, &fx->err));
    memcpy(id, row.id, RB_RUN_ID_MAX);
    rb_run_row_release(&row);
    return j;
}

/* Runs one statement on a file with a plain connection: what somebody with an editor can do. */
static inline void fx_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *error = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, sql, NULL, NULL, &error);
    if (error)
        fail_msg("%s: %s", sql, error);
    sqlite3_close(db);
}

static inline int64_t fx_number(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    int64_t v = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    sqlite3_close(db);
    return v;
}

#endif
