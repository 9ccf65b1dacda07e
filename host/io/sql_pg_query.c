/* Owns one statement on a connection that is ready: sent, read row by row, ended early, and what is known when the link
 * goes. Knows neither how the connection was made nor who has it next.
 *
 *   rb_pg_query ─▶ PRE (the session's limit, where it differs) ─▶ MAIN ─▶ ENDED (waits for PQcancel) ─▶ on_done
 *        └─ later: what can be said at once ──────────────────────────────────────────────────────────────▲
 *
 * Invariants
 *  1. The watch is on while PRE and MAIN last, and given up before libpq closes the socket.
 *  2. PQgetResult is called only when PQisBusy says that it will not wait.
 *  3. A connection whose cancel is still on its way is nobody's: the cancel could hit the next statement.
 *  4. `sent` is set before a byte of the statement may leave. From then on a lost link is told as what it is:
 *     - a read has changed nothing; so has ROLLBACK, and everything inside a transaction before its COMMIT;
 *     - COMMIT, and a statement on its own, may have taken place: unknown, even if the server said "done" or "fatal"
 *       before, because both come before the commit is known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "io/sql_pg.h"

#define NOTICES_MAX 100
#define NOTICE_BYTES_MAX ((size_t)64 << 10)
#define ROW_SLACK ((size_t)16 << 20) /* so much more than max_bytes may a row bring before the link is cut */
#define CELL_BYTES 16                /* what a cell counts for besides its bytes */

enum phase { LATER, PRE, MAIN, ENDED };

enum why { GOES_ON, TIMED_OUT, CANCELLED, CAPPED, TOO_BIG };

struct pg_query {
    struct pg_work work;
    struct pg_conn *c;
    enum pg_act act;
    struct pg_text text;
    const struct pg_param *params; /* in order, in the arena */
    bool read, script, numeric;
    size_t max_rows, max_bytes;
    uint64_t timeout_ms;
    void (*on_done)(void *arg, struct rb_sql_result *result);
    void *arg;

    enum phase phase;
    enum why why;
    bool sent;   /* invariant 4 */
    bool in_tx;  /* it was sent inside a transaction */
    bool failed; /* result.failure is what the server said */
    bool lost;
    bool rolled_back;      /* COMMIT was answered by ROLLBACK */
    bool unreadable;       /* COPY: rows we do not take */
    bool within;           /* its caller's call has not returned: no callback */
    char words[600];       /* how the link was lost */
    struct rb_timer timer; /* LATER; the time-out; the grace */

    struct rb_sql_result result;
    struct pg_arena arena;
    size_t cell_cap, bytes;
    uint64_t at_row, waited; /* received when the last row had ended, and in all where nobody else counts */
    bool row_ended;
    char *notices[NOTICES_MAX + 2];
    size_t notice_count, notice_bytes;
    bool notices_full;
};

static void settle(struct pg_query *q);
static void send_main(struct pg_query *q);

/* -- its end ------------------------------------------------------------------------------------------------------- */

static void free_query(struct pg_query *q)
{
    rb_timer_disarm(&q->timer);
    for (size_t i = 0; i < q->notice_count; i++)
        free(q->notices[i]);
    free(q->result.cells);
    rb_pg_text_release(&q->text);
    rb_pg_arena_release(&q->arena);
    free(q);
}

void rb_pg_query_drop(struct pg_query *q)
{
    q->c->query = NULL;
    free_query(q);
}

/* COMMIT, END, PREPARE TRANSACTION by the caller's own word; too often rather than not. */
static bool may_end_transaction(const char *text)
{
    return strcasestr(text, "commit") || strcasestr(text, "prepare") ||
           strncasecmp(text + strspn(text, " \t\r\n;"), "end", 3) == 0;
}

static bool may_stay(const struct pg_query *q) /* may the statement have changed something for good? (invariant 4) */
{
    if (q->read || q->act == PG_BEGIN || q->act == PG_ROLLBACK || q->act == PG_SETUP)
        return false;
    return q->act == PG_COMMIT || !q->in_tx || q->script || may_end_transaction(q->text.sent);
}

static void say_lost(struct pg_query *q)
{
    struct rb_sql_failure *f = &q->result.failure;
    struct rb_sql_failure said = *f;
    bool unknown = q->sent && may_stay(q);
    const char *when = !q->sent               ? "before anything was sent"
                       : q->act == PG_COMMIT  ? "after COMMIT had been sent: nobody knows whether it took place"
                       : unknown              ? "after the statement had been sent: nobody knows whether it took place"
                       : q->in_tx && !q->read ? "and the transaction with it: it was rolled back"
                                              : "before the answer was there";
    const char *kind = q->why == TIMED_OUT ? "sql.timeout" : q->why == CANCELLED ? "cancelled" : "sql.lost";
    if (q->why == TOO_BIG)
        kind = "sql.too_big";
    if (q->unreadable)
        kind = "usage";
    const char *words = q->words[0] ? q->words : said.message;
    if (q->unreadable)
        rb_sql_fail(f, kind, "%s; use SELECT. The connection was closed", words);
    else
        rb_sql_fail(f, kind, "the connection to PostgreSQL was lost %s%s%s", when, words[0] ? ": " : "", words);
    snprintf(f->code, sizeof(f->code), "%s", said.code);
    f->not_started = !q->sent;
    f->unknown = unknown;
    f->retryable = !unknown && q->why == GOES_ON;
}

/* What is known when the server has answered. */
static void say_answered(struct pg_query *q)
{
    struct rb_sql_failure *f = &q->result.failure;
    bool stopped = q->failed && strcmp(f->code, "57014") == 0; /* query_canceled */
    if (!q->sent && !q->failed) /* told to stop while the session was being told its limit */
        q->failed = stopped = true;
    if (q->unreadable) {
        rb_sql_fail(f, "usage", "COPY from STDIN and to STDOUT is not to be had here; use INSERT and SELECT");
        q->failed = true;
    } else if (stopped && q->why == CAPPED) {
        q->failed = false;
        *f = (struct rb_sql_failure){0};
    } else if (stopped && q->why == TIMED_OUT) {
        rb_sql_fail(f, "sql.timeout", "the statement was stopped: it did not end within %.3gs",
                    (double)q->timeout_ms / 1000);
        snprintf(f->code, sizeof(f->code), "57014");
    } else if (stopped && q->why == CANCELLED) {
        rb_sql_fail(f, "cancelled", "the statement was stopped before it ended");
        snprintf(f->code, sizeof(f->code), "57014");
    } else if (q->failed) {
        f->position = rb_pg_text_position(&q->text, f->position);
        rb_pg_advise(f, q->text.sent);
    } else if (q->rolled_back) {
        rb_sql_fail(f, "sql.error", "the transaction had failed before, so that COMMIT rolled it back");
        q->failed = true;
    }
    f->not_started = q->failed && !q->sent;
    q->result.ok = !q->failed;
}

static void finish(struct pg_query *q)
{
    struct pg_conn *c = q->c;
    rb_timer_disarm(&q->timer);
    c->query = NULL;
    if (q->lost && q->act == PG_ROLLBACK && q->sent)
        q->result.ok = true; /* which is what was wanted */
    else if (q->lost)
        say_lost(q);
    else if (q->phase != LATER)
        say_answered(q);
    if (q->act == PG_ROLLBACK || !q->result.ok)
        c->limit = -1; /* what was set within a transaction goes with it */
    rb_pg_conn_rest(c);
    q->notices[q->notice_count] = NULL;
    q->result.notices = q->notice_count ? q->notices : NULL;
    if (q->act == PG_COMMIT)
        rb_fault_point("sql.pg.committed");
    q->on_done(q->arg, &q->result);
    free_query(q);
}

static void end_later(struct pg_query *q)
{
    q->phase = LATER;
    rb_timer_arm_ms(&q->timer, 0);
}

/* The link is gone, or is cut for a reason. May free q. */
static void lose(struct pg_query *q, const char *words)
{
    rb_pg_tidy(words, q->words, sizeof(q->words));
    q->lost = true;
    rb_pg_conn_cut(q->c);
    if (q->within)
        end_later(q);
    else
        finish(q);
}

void rb_pg_query_abandon(struct pg_query *q, const char *words)
{
    if (q->why == GOES_ON)
        q->why = CANCELLED;
    lose(q, words);
}

/* -- ending it early ----------------------------------------------------------------------------------------------- */

static void stop(struct pg_query *q, enum why why)
{
    if (q->why != GOES_ON || q->phase == ENDED)
        return;
    q->why = why;
    if (q->phase == LATER) /* it ends by itself in a moment */
        return;
    q->c->soiled = true;
    rb_timer_arm_ms(&q->timer, RB_PG_GRACE_MS);
    rb_pg_stop(q->c);
}

void rb_pg_query_cancel(struct pg_query *q)
{
    stop(q, CANCELLED);
}

void rb_pg_query_told(struct pg_query *q, bool ok)
{
    if (q->phase == ENDED)
        finish(q);
    else if (!ok)
        lose(q, "the server could not be told to stop it, so the connection was closed");
}

static void on_timer(struct rb_timer *t)
{
    struct pg_query *q = RB_CONTAINER(t, struct pg_query, timer);
    if (q->phase == LATER) {
        finish(q);
    } else if (q->phase == ENDED) { /* what it came to is known, only the cancel is not back */
        rb_pg_conn_cut(q->c);
        finish(q);
    } else if (q->why == GOES_ON) {
        stop(q, TIMED_OUT);
    } else {
        lose(q, "it did not stop when it was told to, so the connection was closed");
    }
}

/* -- what comes back ----------------------------------------------------------------------------------------------- */

void rb_pg_query_notice(struct pg_query *q, const char *severity, const char *text)
{
    struct rb_buf b;
    if (q->notices_full || q->phase == PRE)
        return;
    rb_buf_init(&b, 4096);
    q->notices_full = q->notice_count == NOTICES_MAX || q->notice_bytes > NOTICE_BYTES_MAX;
    if (q->notices_full)
        rb_buf_adds(&b, "… and more");
    else
        rb_buf_addf(&b, "%s: %s", severity, text);
    q->notice_bytes += b.len;
    q->notices[q->notice_count++] = rb_buf_detach(&b);
}

/* There is more than is wanted. A read that is alone is told to stop; in a transaction that would end the transaction,
 * and a write would be undone: there the rest is read and dropped. */
static void cap(struct pg_query *q)
{
    q->result.more = true;
    if (q->read && !q->in_tx)
        stop(q, CAPPED);
}

static void take_columns(struct pg_query *q, const PGresult *r)
{
    struct rb_sql_result *res = &q->result;
    if (res->columns)
        return;
    res->column_count = (size_t)rb_pq.PQnfields(r);
    res->columns = rb_pg_arena(&q->arena, (res->column_count + 1) * sizeof(char *));
    for (size_t i = 0; i < res->column_count; i++) {
        const char *name = rb_pq.PQfname(r, (int)i);
        res->columns[i] = rb_pg_arena_text(&q->arena, name, strlen(name));
    }
    struct rb_sql_failure f; /* of a read only: a write has taken place by now, and its last column of a name stands */
    if (q->read && !q->failed && rb_sql_duplicate(res->columns, res->column_count, &f)) {
        q->result.failure = f;
        q->failed = true;
        cap(q);
    }
}

static size_t row_bytes(const PGresult *r, size_t columns)
{
    size_t n = columns * CELL_BYTES;
    for (size_t i = 0; i < columns; i++)
        n += (size_t)rb_pq.PQgetlength(r, 0, (int)i);
    return n;
}

static void take_row(struct pg_query *q, const PGresult *r)
{
    struct rb_sql_result *res = &q->result;
    q->row_ended = true;
    if (q->script && q->act != PG_SETUP)
        return;
    take_columns(q, r);
    if (res->more || (size_t)rb_pq.PQnfields(r) != res->column_count)
        return;
    size_t n = res->column_count, bytes = row_bytes(r, n), used = res->row_count * n;
    if ((q->max_rows && res->row_count >= q->max_rows) || (q->max_bytes && q->bytes + bytes > q->max_bytes)) {
        cap(q);
        return;
    }
    q->bytes += bytes;
    if (used + n > q->cell_cap) {
        q->cell_cap = 2 * (used + n) > 64 ? 2 * (used + n) : 64;
        res->cells = rb_realloc(res->cells, q->cell_cap * sizeof(*res->cells));
    }
    for (size_t i = 0; i < n; i++) {
        struct rb_sql_value *v = &res->cells[used + i];
        *v = (struct rb_sql_value){.type = RB_SQL_NULL};
        if (!rb_pq.PQgetisnull(r, 0, (int)i))
            rb_pg_value(&q->arena, rb_pq.PQftype(r, (int)i), rb_pq.PQgetvalue(r, 0, (int)i),
                        (size_t)rb_pq.PQgetlength(r, 0, (int)i), q->numeric, v);
    }
    res->row_count++;
}

static bool begins(const char *tag, const char *word)
{
    size_t n = strlen(word);
    return strncmp(tag, word, n) == 0 && (tag[n] == ' ' || tag[n] == '\0');
}

/* Command tags that leave the session as it was. Others (SET, LISTEN, PREPARE, CREATE TEMP …, DO, CALL) may not. */
static bool leaves_session(const char *tag)
{
    static const char *const plain[] = {"SELECT", "INSERT", "UPDATE",   "DELETE",  "MERGE",    "BEGIN", "COMMIT",
                                        "VALUES", "SHOW",   "ROLLBACK", "EXPLAIN", "TRUNCATE", "LOCK"};
    for (size_t i = 0; i < RB_COUNT(plain); i++)
        if (begins(tag, plain[i]))
            return true;
    return false;
}

static void take_tag(struct pg_query *q, PGresult *r)
{
    const char *tag = rb_pq.PQcmdStatus(r);
    bool changed = begins(tag, "INSERT") || begins(tag, "UPDATE") || begins(tag, "DELETE") || begins(tag, "MERGE");
    if (changed)
        q->result.changes += strtoll(rb_pq.PQcmdTuples(r), NULL, 10);
    if (q->act == PG_COMMIT && begins(tag, "ROLLBACK"))
        q->rolled_back = true;
    if (q->act != PG_SETUP && q->phase == MAIN && !leaves_session(tag))
        q->c->soiled = true;
}

static void take(struct pg_query *q, PGresult *r)
{
    switch (rb_pq.PQresultStatus(r)) {
    case PGRES_SINGLE_TUPLE: take_row(q, r); break;
    case PGRES_TUPLES_OK:
        if (q->phase == MAIN && !q->script)
            take_columns(q, r);
        take_tag(q, r);
        break;
    case PGRES_COMMAND_OK: take_tag(q, r); break;
    case PGRES_EMPTY_QUERY:
        if (!q->failed && !q->script)
            rb_sql_fail(&q->result.failure, "usage", "the statement is empty");
        q->failed = q->failed || !q->script;
        break;
    case PGRES_COPY_IN:
        q->unreadable = true;
        rb_pq.PQputCopyEnd(q->c->pq, "COPY FROM STDIN is not to be had here");
        break;
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: q->unreadable = true; break;
    default:
        if (!q->failed) /* of a script that failed, the first is the reason */
            rb_pg_failure(r, &q->result.failure);
        q->failed = true;
    }
}

/* The statement that came before it is through: the real one, or the end. */
static void end_of_results(struct pg_query *q)
{
    if (q->phase == MAIN || q->failed || q->why != GOES_ON) {
        rb_fault_point("sql.pg.result");
        settle(q);
        return;
    }
    send_main(q);
}

/* Takes all results that are there (invariant 2). */
static void drain(struct pg_query *q)
{
    PGconn *pq = q->c->pq;
    while (!rb_pq.PQisBusy(pq) || rb_pq.PQstatus(pq) == CONNECTION_BAD) {
        PGresult *r = rb_pq.PQgetResult(pq);
        if (!r) {
            end_of_results(q);
            return;
        }
        take(q, r);
        bool copy_out = rb_pq.PQresultStatus(r) == PGRES_COPY_OUT || rb_pq.PQresultStatus(r) == PGRES_COPY_BOTH;
        rb_pq.PQclear(r);
        if (copy_out) { /* it would go on for ever */
            lose(q, "COPY TO STDOUT is not to be had here");
            return;
        }
    }
}

static void settle(struct pg_query *q)
{
    struct pg_conn *c = q->c;
    if (c->pq && rb_pq.PQstatus(c->pq) == CONNECTION_BAD) {
        lose(q, q->failed ? q->result.failure.message : rb_pq.PQerrorMessage(c->pq));
        return;
    }
    q->phase = ENDED;
    rb_pg_unwatch(c);
    if (!c->stop) /* invariant 3 */
        finish(q);
}

static void on_ready(void *arg, bool readable);

/* False: q is gone. */
static bool flush(struct pg_query *q)
{
    int left = rb_pq.PQflush(q->c->pq); /* -1: reading says why */
    if (rb_pg_watch(q->c, left == 1 ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_ready, q))
        return true;
    lose(q, "the connection can not be watched");
    return false;
}

/* How much the socket has brought; what waits in it, where that is not counted (a socket of the file system). */
static uint64_t received(struct pg_query *q)
{
    int fd = rb_pq.PQsocket(q->c->pq), waits = 0;
    struct { /* glibc's struct ends before what newer kernels (4.2) add: linux/tcp.h, which can not be had beside it */
        struct tcp_info head;
        uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    } info = {0};
    socklen_t n = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && n == sizeof(info))
        return info.bytes_received;
    if (ioctl(fd, FIONREAD, &waits) == 0 && waits > 0)
        q->waited += (uint64_t)waits;
    return q->waited;
}

/* One row may be larger than all that was asked for, and libpq would take it whole. */
static bool row_too_big(struct pg_query *q)
{
    if (!q->max_bytes)
        return false;
    uint64_t now = received(q);
    if (q->row_ended)
        q->at_row = now;
    q->row_ended = false;
    return now - q->at_row > q->max_bytes * 2 + ROW_SLACK;
}

static void on_ready(void *arg, bool readable)
{
    struct pg_query *q = arg;
    PGconn *pq = q->c->pq;
    if (readable && row_too_big(q)) {
        q->why = q->why == GOES_ON ? TOO_BIG : q->why;
        lose(q, "a single row is far larger than max_bytes, so the connection was closed");
        return;
    }
    /* A TLS record holds up to 16 KiB, of which each call may leave a part where no socket shows it. */
    int times = !readable ? 0 : rb_pq.PQsslInUse(pq) ? 3 : 1;
    for (int i = 0; i < times; i++) {
        if (!rb_pq.PQconsumeInput(pq)) {
            rb_pg_unwatch(q->c); /* libpq has closed the socket */
            break;
        }
    }
    if (q->c->watch && !flush(q))
        return;
    drain(q);
}

/* -- sending ------------------------------------------------------------------------------------------------------- */

/* The first statement on a link that was lost meanwhile: nothing of it has left. */
static bool lost_already(struct pg_query *q)
{
    if (rb_pg_conn_alive(q->c))
        return false;
    snprintf(q->words, sizeof(q->words), "%s",
             q->c->farewell[0] ? q->c->farewell : "the server has closed it meanwhile");
    q->lost = true;
    return true;
}

static bool send_text(struct pg_query *q, const char *text)
{
    PGconn *pq = q->c->pq;
    rb_pg_unwatch(q->c);
    if (!rb_pq.PQsendQuery(pq, text))
        return false;
    rb_pq.PQsetSingleRowMode(pq);
    return true;
}

static bool send_params(struct pg_query *q)
{
    size_t n = q->text.count;
    Oid *types = rb_alloc((n + 1) * sizeof(*types));
    const char **values = rb_alloc((n + 1) * sizeof(*values));
    int *lengths = rb_alloc((n + 1) * sizeof(*lengths)), *formats = rb_alloc((n + 1) * sizeof(*formats));
    for (size_t i = 0; i < n; i++) {
        types[i] = q->params[i].type;
        values[i] = q->params[i].bytes;
        lengths[i] = q->params[i].len;
        formats[i] = q->params[i].format;
    }
    rb_pg_unwatch(q->c);
    bool ok = rb_pq.PQsendQueryParams(q->c->pq, q->text.sent, (int)n, types, values, lengths, formats, 0);
    if (ok)
        rb_pq.PQsetSingleRowMode(q->c->pq);
    free(types);
    free(values);
    free(lengths);
    free(formats);
    return ok;
}

static void send_main(struct pg_query *q)
{
    q->phase = MAIN;
    q->sent = true;
    q->in_tx = q->in_tx || rb_pq.PQtransactionStatus(q->c->pq) != PQTRANS_IDLE;
    rb_fault_point(q->act == PG_COMMIT ? "sql.pg.commit" : "sql.pg.send");
    bool ok = q->script || q->act != PG_STATEMENT ? send_text(q, q->text.sent) : send_params(q);
    rb_fault_point(q->act == PG_COMMIT ? "sql.pg.commit_sent" : "sql.pg.sent");
    if (ok) {
        flush(q);
        return;
    }
    snprintf(q->words, sizeof(q->words), "%s", rb_pq.PQerrorMessage(q->c->pq));
    lose(q, q->words);
}

/* What the session must be told before: the server's own limit, and that it only reads, if a statement has turned that
 * off. Empty: nothing. */
static void pre_text(struct pg_query *q, char *out, size_t n)
{
    struct pg_conn *c = q->c;
    int64_t limit = q->timeout_ms ? (int64_t)q->timeout_ms + RB_PG_GUARD_MS : 0;
    if (limit > INT32_MAX)
        limit = 0; /* more than the server can count; ours stands */
    if (c->own_limit && (!limit || c->own_limit < limit))
        limit = c->own_limit;
    out[0] = '\0';
    bool ours = q->act == PG_STATEMENT || q->act == PG_BEGIN;
    if (!ours || rb_pq.PQtransactionStatus(c->pq) == PQTRANS_INERROR)
        return;
    if (c->limit != limit)
        snprintf(out, n, "SET statement_timeout = %lld; ", (long long)limit);
    c->limit = limit;
    const char *only_reads = rb_pq.PQparameterStatus(c->pq, "default_transaction_read_only");
    if (c->read && (!only_reads || strcmp(only_reads, "on") != 0)) /* servers before 14 do not say */
        snprintf(out + strlen(out), n - strlen(out), "SET default_transaction_read_only = on");
}

static void begin(struct pg_query *q)
{
    char pre[200];
    if (lost_already(q)) {
        end_later(q);
        return;
    }
    if (q->timeout_ms)
        rb_timer_arm_ms(&q->timer, q->timeout_ms);
    pre_text(q, pre, sizeof(pre));
    if (!pre[0]) {
        send_main(q);
        return;
    }
    q->phase = PRE;
    if (send_text(q, pre))
        flush(q);
    else
        lose(q, rb_pq.PQerrorMessage(q->c->pq));
}

/* -- asking -------------------------------------------------------------------------------------------------------- */

/* These may change the session where the tag does not tell: a function that sets, a temporary table that SELECT makes.
 * Too often rather than not: it costs a new connection. */
static bool names_session(const char *text)
{
    return strcasestr(text, "set_config") || strcasestr(text, "advisory") || strcasestr(text, "temp") ||
           strcasestr(text, "dblink");
}

static bool take_params(struct pg_query *q, const struct rb_sql_statement *st)
{
    struct rb_sql_failure *f = &q->result.failure;
    if (rb_pg_text_refused(st->text, st->read, f) || !rb_pg_text(st->text, st->params, st->param_count, &q->text, f))
        return false;
    struct pg_param *params = rb_pg_arena(&q->arena, (q->text.count + 1) * sizeof(*params));
    for (size_t i = 0; i < q->text.count; i++) {
        const struct rb_sql_param *p = &st->params[q->text.order[i]];
        const char *why = rb_pg_param(&q->arena, &p->value, &params[i]);
        if (why && p->name)
            rb_sql_fail(f, "usage", "parameter :%.100s: %s", p->name, why);
        else if (why)
            rb_sql_fail(f, "usage", "parameter $%zu: %s", i + 1, why);
        f->not_started = true;
        if (why)
            return false;
    }
    *f = (struct rb_sql_failure){0};
    q->params = params;
    return true;
}

struct rb_sql_work *rb_pg_query(struct pg_conn *c, enum pg_act act, const char *text, const struct rb_sql_statement *st)
{
    struct pg_query *q = rb_alloc(sizeof(*q));
    q->work.work.driver = &rb_sql_pg;
    q->c = c;
    q->act = act;
    q->read = st->read;
    q->script = st->script;
    q->numeric = st->numeric;
    q->max_rows = st->max_rows;
    q->max_bytes = st->max_bytes;
    q->timeout_ms = st->timeout_ms;
    q->on_done = st->on_done;
    q->arg = st->arg;
    rb_timer_init(&q->timer, c->side->loop, on_timer);
    c->query = q;
    bool ok = act != PG_STATEMENT || !st->script || !rb_pg_script_refused(st->text, &q->result.failure);
    if (text || st->script)
        q->text.sent = rb_strdup(text ? text : st->text);
    else
        ok = take_params(q, st);
    if (ok && act == PG_STATEMENT && names_session(q->text.sent))
        c->soiled = true;
    q->within = q->row_ended = true;
    if (ok)
        begin(q);
    else
        end_later(q);
    q->within = false;
    return &q->work.work;
}
