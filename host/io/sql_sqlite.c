/* Owns SQLite connections as the loop sees them: a thread for each, leased, kept for a while, given work and told to
 * stop. What is done with SQLite itself is on that thread (sql_sqlite_run.c and its neighbours). Knows no Lua.
 *
 * A thread for each connection and not the pool: a statement may wait for the lock of another that is still to be
 * committed, and with the pool's few threads the two would wait for each other. */
#include "io/sql_sqlite.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define CONNECTIONS_MAX 16 /* for one key; whoever comes later waits */
#define IDLE_MAX 4         /* for one key */
#define IDLE_MS 10000

struct sqlite_side {
    struct rb_loop_guest guest;
    struct rb_loop *loop;
    uv_async_t async;
    struct rb_list idle;    /* struct sqlite_conn.link, the longest kept first */
    struct rb_list all;     /* struct sqlite_conn.all_link */
    struct rb_list waiting; /* struct sqlite_work.link: for a connection */
    bool released;

    pthread_mutex_t mutex;
    struct rb_list finished; /* struct sqlite_work.link */
    struct rb_list gone;     /* struct sqlite_conn.gone_link: their threads have closed the file and end */
};

static struct sqlite_conn *conn_of(struct rb_sql_conn *c)
{
    return RB_CONTAINER(c, struct sqlite_conn, conn);
}

static struct sqlite_work *work_of(struct rb_sql_work *w)
{
    return RB_CONTAINER(w, struct sqlite_work, work);
}

/* -- work ---------------------------------------------------------------------------------------------------------- */

static void free_value(struct rb_sql_value *v)
{
    if (v->type == RB_SQL_TEXT || v->type == RB_SQL_BYTES || v->type == RB_SQL_JSON)
        free((char *)(uintptr_t)v->text);
}

static void free_work(struct sqlite_work *w)
{
    rb_timer_disarm(&w->timer);
    for (size_t i = 0; i < w->param_count; i++) {
        free((char *)(uintptr_t)w->params[i].name);
        free_value(&w->params[i].value);
    }
    free(w->params);
    free(w->text);
    rb_sql_sqlite_target_free(w->target);
    rb_sql_sqlite_rows_release(&w->rows);
    free(w);
}

/* Bytes of a text as memory of its own; what is empty is not NULL. */
static char *copy_bytes(const char *p, size_t n)
{
    char *copy = rb_alloc(n + 1);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

static void copy_params(struct sqlite_work *w, const struct rb_sql_statement *st)
{
    w->param_count = st->param_count;
    w->params = rb_alloc((st->param_count + 1) * sizeof(*w->params));
    for (size_t i = 0; i < st->param_count; i++) {
        const struct rb_sql_param *from = &st->params[i];
        struct rb_sql_param *to = &w->params[i];
        *to = *from;
        to->name = rb_strdup(from->name);
        if (from->value.type == RB_SQL_TEXT || from->value.type == RB_SQL_BYTES || from->value.type == RB_SQL_JSON)
            to->value.text = copy_bytes(from->value.text, from->value.len);
    }
}

static void stop_work(struct sqlite_work *w, enum sqlite_stop why)
{
    struct sqlite_conn *c = w->conn;
    int none = STOP_NO;
    atomic_compare_exchange_strong(&w->stop, &none, why);
    if (!c)
        return;
    pthread_mutex_lock(&c->mutex);
    if (c->job == w && c->db)
        sqlite3_interrupt(c->db);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->mutex);
}

static void finish(struct sqlite_side *s, struct sqlite_work *w) /* any thread */
{
    pthread_mutex_lock(&s->mutex);
    rb_list_push(&s->finished, &w->link);
    pthread_mutex_unlock(&s->mutex);
    uv_async_send(&s->async);
}

static void on_time_out(struct rb_timer *t)
{
    struct sqlite_work *w = RB_CONTAINER(t, struct sqlite_work, timer);
    if (!w->conn) {
        rb_list_remove(&w->link);
        rb_sql_fail(&w->result.failure, "sql.connect", "no connection became free within %.3gs: %d are in use",
                    (double)w->timeout_ms / 1000, CONNECTIONS_MAX);
        w->result.failure.not_started = w->result.failure.retryable = true;
        finish(w->side, w);
        return;
    }
    stop_work(w, STOP_TIMEOUT);
}

static struct sqlite_work *new_work(struct sqlite_side *s, enum sqlite_job job)
{
    struct sqlite_work *w = rb_alloc(sizeof(*w));
    w->work.driver = &rb_sql_sqlite;
    w->side = s;
    w->job = job;
    w->result.changes = -1;
    rb_list_init(&w->link);
    rb_timer_init(&w->timer, s->loop, on_time_out);
    return w;
}

/* Gives the work to the connection's thread. */
static void dispatch(struct sqlite_work *w, struct sqlite_conn *c)
{
    w->conn = c;
    w->busy_until = w->lock_ms < INT64_MAX / 2000 ? rb_clock_boot() + (int64_t)w->lock_ms * 1000 : INT64_MAX;
    if (w->timeout_ms)
        rb_timer_arm_ms(&w->timer, w->timeout_ms);
    pthread_mutex_lock(&c->mutex);
    c->job = w;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->mutex);
}

/* -- connections --------------------------------------------------------------------------------------------------- */

static void *thread_main(void *arg)
{
    struct sqlite_conn *c = arg;
    pthread_mutex_lock(&c->mutex);
    while (!c->quit || c->job) {
        struct sqlite_work *w = c->job;
        if (!w) {
            pthread_cond_wait(&c->wake, &c->mutex);
            continue;
        }
        pthread_mutex_unlock(&c->mutex);
        rb_sql_sqlite_do(c, w);
        pthread_mutex_lock(&c->mutex);
        c->job = NULL;
        finish(c->side, w);
    }
    pthread_mutex_unlock(&c->mutex);
    rb_sql_sqlite_close(c);
    pthread_mutex_lock(&c->side->mutex);
    rb_list_push(&c->side->gone, &c->gone_link);
    pthread_mutex_unlock(&c->side->mutex);
    uv_async_send(&c->side->async);
    return NULL;
}

static void free_conn(struct sqlite_conn *c)
{
    rb_timer_disarm(&c->idle_timer);
    rb_list_remove(&c->link);
    rb_list_remove(&c->all_link);
    pthread_mutex_destroy(&c->mutex);
    pthread_cond_destroy(&c->wake);
    rb_sql_sqlite_target_free(c->target);
    free(c);
}

/* Ends a connection that nobody uses. Closing may roll a transaction back, or copy a WAL into its database: the thread
 * does it, and drain() frees what is left. */
static void end_conn(struct sqlite_conn *c)
{
    rb_timer_disarm(&c->idle_timer);
    rb_list_remove(&c->link);
    pthread_mutex_lock(&c->mutex);
    c->quit = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->mutex);
}

static void on_idle_over(struct rb_timer *t)
{
    end_conn(RB_CONTAINER(t, struct sqlite_conn, idle_timer));
}

static struct sqlite_conn *new_conn(struct sqlite_side *s, struct sqlite_target *target)
{
    struct sqlite_conn *c = rb_alloc(sizeof(*c));
    pthread_condattr_t attr;
    c->conn.driver = &rb_sql_sqlite;
    c->side = s;
    c->target = target;
    rb_list_init(&c->link);
    rb_list_init(&c->all_link);
    rb_list_init(&c->gone_link);
    rb_timer_init(&c->idle_timer, s->loop, on_idle_over);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&c->thread, NULL, thread_main, c)) {
        c->target = NULL;
        free_conn(c);
        return NULL;
    }
    rb_list_push(&s->all, &c->all_link);
    return c;
}

static int count_of(const struct sqlite_side *s, const char *key, bool idle)
{
    int n = 0;
    RB_LIST_EACH (it, idle ? &s->idle : &s->all) {
        const struct sqlite_conn *c =
            idle ? RB_CONTAINER(it, struct sqlite_conn, link) : RB_CONTAINER(it, struct sqlite_conn, all_link);
        n += strcmp(c->target->key, key) == 0;
    }
    return n;
}

/* The kept connection that was used last; NULL. */
static struct sqlite_conn *kept(struct sqlite_side *s, const char *key)
{
    struct sqlite_conn *found = NULL;
    RB_LIST_EACH (it, &s->idle) {
        struct sqlite_conn *c = RB_CONTAINER(it, struct sqlite_conn, link);
        if (strcmp(c->target->key, key) == 0)
            found = c;
    }
    return found;
}

/* Finds a connection for work that opens one. False: it has to wait. */
static bool place(struct sqlite_side *s, struct sqlite_work *w)
{
    struct sqlite_conn *c = kept(s, w->target->key);
    if (!c && count_of(s, w->target->key, false) >= CONNECTIONS_MAX)
        return false;
    if (c) {
        rb_timer_disarm(&c->idle_timer);
        rb_list_remove(&c->link);
    } else {
        c = new_conn(s, w->target);
        if (c)
            w->target = NULL; /* its own now */
    }
    if (!c) {
        rb_sql_fail(&w->result.failure, "sql.connect", "the system gives no thread for one more connection");
        w->result.failure.not_started = w->result.failure.retryable = true;
        finish(s, w);
        return true;
    }
    c->leased = true;
    dispatch(w, c);
    return true;
}

static void serve_waiting(struct sqlite_side *s)
{
    RB_LIST_EACH_SAFE (it, next, &s->waiting) {
        struct sqlite_work *w = RB_CONTAINER(it, struct sqlite_work, link);
        rb_list_remove(&w->link);
        if (!place(s, w)) { /* back to where it was */
            rb_list_push(next, &w->link);
        }
    }
}

static void release(struct rb_sql_conn *conn, bool keep)
{
    struct sqlite_conn *c = conn_of(conn);
    struct sqlite_side *s = c->side;
    c->leased = false;
    if (s->released)
        return; /* on_guest_release() ends it */
    if (!keep || c->soiled || c->in_tx || count_of(s, c->target->key, true) >= IDLE_MAX) {
        end_conn(c);
    } else {
        rb_list_push(&s->idle, &c->link);
        rb_timer_arm_ms(&c->idle_timer, IDLE_MS);
    }
    serve_waiting(s);
}

/* -- the side ------------------------------------------------------------------------------------------------------ */

/* Tells the caller, and frees the work. */
static void complete(struct sqlite_work *w)
{
    rb_timer_disarm(&w->timer);
    if (w->job == JOB_OPEN) {
        struct sqlite_conn *c = w->conn;
        if (c && !w->result.ok) {
            release(&c->conn, false);
            c = NULL;
        }
        w->on_open(w->arg, c ? &c->conn : NULL, w->result.ok ? NULL : &w->result.failure);
    } else {
        w->on_done(w->arg, &w->result);
    }
    free_work(w);
}

static struct rb_list *take(struct sqlite_side *s, struct rb_list *from)
{
    pthread_mutex_lock(&s->mutex);
    struct rb_list *it = rb_list_pop(from);
    pthread_mutex_unlock(&s->mutex);
    return it;
}

static void drain(struct sqlite_side *s)
{
    struct rb_list *it;
    bool freed = false;
    while ((it = take(s, &s->finished)))
        complete(RB_CONTAINER(it, struct sqlite_work, link));
    while (!s->released && (it = take(s, &s->gone))) {
        struct sqlite_conn *c = RB_CONTAINER(it, struct sqlite_conn, gone_link);
        pthread_join(c->thread, NULL);
        free_conn(c);
        freed = true;
    }
    if (freed)
        serve_waiting(s);
}

static void on_async(uv_async_t *h)
{
    drain(RB_CONTAINER(h, struct sqlite_side, async));
}

static void on_closed(uv_handle_t *h)
{
    struct sqlite_side *s = RB_CONTAINER((uv_async_t *)h, struct sqlite_side, async);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* What still runs is interrupted, and whoever waits for it is told before the loop goes. */
static void on_guest_release(struct rb_loop_guest *g)
{
    struct sqlite_side *s = RB_CONTAINER(g, struct sqlite_side, guest);
    struct rb_list *it;
    s->released = true;
    while ((it = rb_list_pop(&s->waiting))) {
        struct sqlite_work *w = RB_CONTAINER(it, struct sqlite_work, link);
        rb_sql_fail(&w->result.failure, "cancelled", "the host ends");
        w->result.failure.not_started = true;
        finish(s, w);
    }
    RB_LIST_EACH (each, &s->all) {
        struct sqlite_conn *c = RB_CONTAINER(each, struct sqlite_conn, all_link);
        pthread_mutex_lock(&c->mutex);
        if (c->job)
            atomic_store(&c->job->stop, STOP_CANCEL);
        if (c->job && c->db)
            sqlite3_interrupt(c->db);
        c->quit = true;
        pthread_cond_signal(&c->wake);
        pthread_mutex_unlock(&c->mutex);
        pthread_join(c->thread, NULL);
    }
    drain(s);
    while (!rb_list_empty(&s->all))
        free_conn(RB_CONTAINER(s->all.next, struct sqlite_conn, all_link));
    uv_close((uv_handle_t *)&s->async, on_closed);
}

static struct sqlite_side *side_of(struct rb_loop *loop, struct rb_err *err)
{
    struct rb_loop_guest *known = rb_loop_guest_find(loop, on_guest_release);
    if (known)
        return RB_CONTAINER(known, struct sqlite_side, guest);
    struct sqlite_side *s = rb_alloc(sizeof(*s));
    int rc = uv_async_init(&loop->uv, &s->async, on_async);
    if (rc) {
        free(s);
        rb_err_set(err, RB_EIO, "can not hear of SQLite's threads: %s", uv_strerror(rc));
        return NULL;
    }
    uv_unref((uv_handle_t *)&s->async); /* the loop keeps itself alive */
    s->guest.release = on_guest_release;
    s->loop = loop;
    rb_list_init(&s->idle);
    rb_list_init(&s->all);
    rb_list_init(&s->waiting);
    rb_list_init(&s->finished);
    rb_list_init(&s->gone);
    pthread_mutex_init(&s->mutex, NULL);
    rb_loop_guest_add(loop, &s->guest);
    return s;
}

/* -- the driver ---------------------------------------------------------------------------------------------------- */

static int open_(struct rb_loop *loop, const struct rb_sql_open *opt, struct rb_sql_work **out, struct rb_err *err)
{
    struct sqlite_target *target = rb_sql_sqlite_target_new(opt, err);
    struct sqlite_side *s = target ? side_of(loop, err) : NULL;
    if (!s) {
        rb_sql_sqlite_target_free(target);
        return err->code;
    }
    struct sqlite_work *w = new_work(s, JOB_OPEN);
    w->target = target;
    w->on_open = opt->on_open;
    w->arg = opt->arg;
    w->timeout_ms = opt->connect_timeout_ms;
    w->lock_ms = RB_SQLITE_LOCK_MS;
    *out = &w->work;
    if (!rb_list_empty(&s->waiting) || !place(s, w)) {
        rb_list_push(&s->waiting, &w->link);
        if (w->timeout_ms)
            rb_timer_arm_ms(&w->timer, w->timeout_ms);
    }
    return RB_OK;
}

static int give(struct rb_sql_conn *conn, enum sqlite_job job, const char *text, const struct rb_sql_statement *st,
                struct rb_sql_work **out)
{
    struct sqlite_conn *c = conn_of(conn);
    struct sqlite_work *w = new_work(c->side, job);
    w->text = rb_strdup(text ? text : "");
    w->on_done = st->on_done;
    w->arg = st->arg;
    w->read = st->read;
    w->script = st->script;
    w->last = st->last;
    w->max_rows = st->max_rows;
    w->max_bytes = st->max_bytes;
    w->timeout_ms = st->timeout_ms;
    w->lock_ms = st->lock_ms ? st->lock_ms : RB_SQLITE_LOCK_MS;
    copy_params(w, st);
    *out = &w->work;
    if (c->side->released) {
        rb_sql_fail(&w->result.failure, "cancelled", "the host ends");
        w->result.failure.not_started = true;
        finish(c->side, w);
    } else {
        dispatch(w, c);
    }
    return RB_OK;
}

static int run(struct rb_sql_conn *conn, const struct rb_sql_statement *st, struct rb_sql_work **out,
               struct rb_err *err)
{
    (void)err;
    return give(conn, JOB_RUN, st->text, st, out);
}

static int begin(struct rb_sql_conn *conn, const char *isolation, bool read, const struct rb_sql_statement *st,
                 struct rb_sql_work **out, struct rb_err *err)
{
    static const struct {
        const char *isolation, *word;
    } words[] = {{"deferred", "BEGIN DEFERRED"},
                 {"immediate", "BEGIN IMMEDIATE"},
                 {"exclusive", "BEGIN EXCLUSIVE"},
                 {"serializable", "BEGIN IMMEDIATE"}}; /* SQLite knows nothing weaker */
    const char *word = isolation[0] ? NULL : read ? "BEGIN DEFERRED" : "BEGIN IMMEDIATE";
    for (size_t i = 0; i < RB_COUNT(words); i++)
        if (strcmp(isolation, words[i].isolation) == 0)
            word = read ? "BEGIN DEFERRED" : words[i].word;
    if (!word)
        return rb_err_set(err, RB_EINVAL,
                          "SQLite has no isolation \"%s\"; it has immediate, deferred, exclusive and serializable",
                          isolation);
    return give(conn, JOB_BEGIN, word, st, out);
}

static int end(struct rb_sql_conn *conn, enum rb_sql_end how, const struct rb_sql_statement *st,
               struct rb_sql_work **out, struct rb_err *err)
{
    (void)err;
    return give(conn, how == RB_SQL_COMMIT ? JOB_COMMIT : JOB_ROLLBACK, how == RB_SQL_COMMIT ? "COMMIT" : "ROLLBACK",
                st, out);
}

static int backup(struct rb_sql_conn *conn, const char *path, const struct rb_sql_statement *st,
                  struct rb_sql_work **out, struct rb_err *err)
{
    (void)err;
    return give(conn, JOB_BACKUP, path, st, out);
}

static void cancel(struct rb_sql_work *work)
{
    struct sqlite_work *w = work_of(work);
    if (w->conn) {
        stop_work(w, STOP_CANCEL);
    } else if (!rb_list_empty(&w->link) && !w->result.failure.kind[0]) {
        rb_list_remove(&w->link);
        rb_sql_fail(&w->result.failure, "cancelled", "cancelled while it waited for a connection");
        w->result.failure.not_started = true;
        finish(w->side, w);
    }
}

const struct rb_sql_driver rb_sql_sqlite = {.scheme = "sqlite",
                                            .open = open_,
                                            .run = run,
                                            .begin = begin,
                                            .end = end,
                                            .backup = backup,
                                            .cancel = cancel,
                                            .release = release};
