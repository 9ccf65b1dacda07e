/* Owns the hash chain and its verification. Reads through store.h only; knows no SQL. docs/journal.md is the
 * description from which tests/verify2 was written; the two must agree on every journal. */
#include "store/chain.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void field(struct sha256_ctx *ctx, const void *p, size_t n)
{
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
    sha256_update(ctx, sizeof(length), length);
    sha256_update(ctx, n, p);
}

static void number(struct sha256_ctx *ctx, int64_t v)
{
    char text[RB_DECIMAL_MAX];
    field(ctx, text, rb_decimal(v, text));
}

void rb_chain_hash(const uint8_t previous[RB_SHA_LEN], const char *run, struct rb_event *ev)
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, RB_SHA_LEN, previous);
    field(&ctx, run, strlen(run));
    number(&ctx, ev->seq);
    number(&ctx, ev->at);
    field(&ctx, ev->key, strlen(ev->key));
    field(&ctx, ev->kind, strlen(ev->kind));
    field(&ctx, ev->data_len ? ev->data : "", ev->data_len);
    sha256_digest(&ctx, RB_SHA_LEN, ev->hash);
}

/* -- verification -------------------------------------------------------------------------------------------------- */

/* What the events say, gathered on the way. */
struct walk {
    struct rb_store *store;
    const char *run;
    uint8_t previous[RB_SHA_LEN];
    int64_t seq; /* last good */
    const uint8_t *head;
    int64_t head_seq;
    struct rb_verdict *out;
    char *status; /* of the last event that has one */
    char *runbook, *title;
    json_t *sources; /* name → digest, as events name them; that of the runbook itself under "" */
    bool aside;      /* something that is not an event is wrong: said only if all events are sound */
};

/* Something else than the chain is wrong. The first such thing is kept. */
static void RB_PRINTF(2, 3) put_aside(struct walk *w, const char *fmt, ...)
{
    if (w->aside)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->out->what, sizeof(w->out->what), fmt, ap);
    va_end(ap);
    w->aside = true;
}

/* An event is bad or missing: ends the walk. */
static int RB_PRINTF(3, 4) bad_event(struct walk *w, int64_t seq, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->out->what, sizeof(w->out->what), fmt, ap);
    va_end(ap);
    w->out->bad_seq = seq;
    return 1;
}

static void keep(char **slot, const json_t *value)
{
    if (!json_is_string(value))
        return;
    free(*slot);
    *slot = rb_strndup(json_string_value(value), json_string_length(value));
}

static void check_blob(struct walk *w, int64_t seq, const char *digest)
{
    struct rb_buf content;
    struct rb_err err = {0};
    rb_buf_init(&content, SIZE_MAX);
    int rc = rb_store_blob(w->store, digest, &content, &err);
    rb_buf_release(&content);
    if (rc == RB_ENOENT)
        put_aside(w, "blob %.64s, which event %" PRId64 " names, is missing", digest, seq);
    else if (rc)
        put_aside(w, "blob %.64s, which event %" PRId64 " names, was changed (%.500s)", digest, seq, err.msg);
}

/* Every {"$blob":"<digest>"} in a value. */
static void check_blobs(struct walk *w, int64_t seq, json_t *value)
{
    size_t i;
    const char *key;
    json_t *member;
    if (json_is_object(value)) {
        json_t *digest = json_object_get(value, "$blob");
        if (json_is_string(digest))
            check_blob(w, seq, json_string_value(digest));
        json_object_foreach(value, key, member) check_blobs(w, seq, member);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, member) check_blobs(w, seq, member);
    }
}

static void name_source(struct walk *w, json_t *entry)
{
    json_t *name = json_object_get(entry, "name"), *digest = json_object_get(entry, "digest");
    if (json_is_string(name) && json_is_string(digest))
        json_object_set(w->sources, json_string_value(name), digest);
}

static int on_event(void *arg, const struct rb_event *ev)
{
    struct walk *w = arg;
    struct rb_event own = *ev;
    if (ev->seq != w->seq + 1)
        return bad_event(w, w->seq + 1, "event %" PRId64 " is missing: event %" PRId64 " follows event %" PRId64,
                         w->seq + 1, ev->seq, w->seq);
    rb_chain_hash(w->previous, w->run, &own);
    if (memcmp(own.hash, ev->hash, RB_SHA_LEN) != 0)
        return bad_event(
            w, ev->seq, "event %" PRId64 " (%s %s) does not have its hash: it, or the order of the events, was changed",
            ev->seq, ev->kind, ev->key);
    json_t *data = json_loadb(ev->data, ev->data_len, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(data)) {
        json_decref(data);
        return bad_event(w, ev->seq, "event %" PRId64 " (%s %s) is not a JSON object", ev->seq, ev->kind, ev->key);
    }
    if (w->head && ev->seq == w->head_seq && memcmp(ev->hash, w->head, RB_SHA_LEN) != 0)
        put_aside(w,
                  "event %" PRId64
                  " is sound in itself, but is not the one whose head was given: the journal was rewritten",
                  ev->seq);
    keep(&w->status, json_object_get(data, "status"));
    if (strcmp(ev->kind, "run.start") == 0) {
        keep(&w->runbook, json_object_get(data, "runbook"));
        keep(&w->title, json_object_get(data, "title"));
        json_t *source = json_object_get(data, "source"), *sources = json_object_get(data, "sources"), *entry;
        size_t i;
        if (json_is_string(source)) {
            check_blob(w, ev->seq, json_string_value(source));
            json_object_set(w->sources, "", source);
        }
        json_array_foreach(sources, i, entry) name_source(w, entry);
    } else if (strcmp(ev->kind, "source") == 0) {
        name_source(w, data);
    }
    check_blobs(w, ev->seq, data);
    json_decref(data);
    memcpy(w->previous, ev->hash, RB_SHA_LEN);
    w->seq = ev->seq;
    return 0;
}

/* Each row of `sources` is named by an event, with this digest; its content was checked against it by the store. */
static int on_source(void *arg, const char *name, const char *digest, const char *data, size_t len)
{
    struct walk *w = arg;
    (void)data;
    (void)len;
    json_t *named = json_object_get(w->sources, name), *runbook = json_object_get(w->sources, "");
    bool is_runbook = runbook && strcmp(json_string_value(runbook), digest) == 0;
    if (named ? strcmp(json_string_value(named), digest) != 0 : !is_runbook)
        put_aside(w, "the source %s has the digest %.64s, which no event names", name, digest);
    if (named)
        json_object_del(w->sources, name);
    return 0;
}

static void check_sources(struct walk *w)
{
    struct rb_err err = {0};
    const char *name;
    json_t *digest;
    if (rb_store_sources(w->store, w->run, on_source, w, &err)) {
        put_aside(w, "%s", err.msg);
        return;
    }
    json_object_foreach(w->sources, name, digest) if (*name)
        put_aside(w, "the source %s, which an event names, is missing", name);
}

static bool differs(const char *said, const char *row)
{
    return said && strcmp(said, row ? row : "") != 0;
}

static void check_row(struct walk *w, const struct rb_run_row *row)
{
    if (row->seq != w->seq)
        put_aside(w, "the run's row says %" PRId64 " events, and there are %" PRId64, row->seq, w->seq);
    if (memcmp(row->head, w->previous, RB_SHA_LEN) != 0)
        put_aside(w, "the run's row has another head than its last event");
    if (differs(w->status, row->status))
        put_aside(w, "the run's row says %s, and its events say %s", row->status ? row->status : "nothing", w->status);
    if (differs(w->runbook, row->runbook))
        put_aside(w, "the run's row names the runbook %s, and its first event %s", row->runbook ? row->runbook : "",
                  w->runbook);
    if (differs(w->title, row->title))
        put_aside(w, "the run's row has another title than its first event");
}

int rb_chain_verify(struct rb_store *s, const char *run, int64_t head_seq, const uint8_t *head, struct rb_verdict *out,
                    struct rb_err *err)
{
    struct walk w = {.store = s, .run = run, .head = head, .head_seq = head_seq, .out = out};
    struct rb_run_row row = {0};
    struct rb_err read_err = {0};
    memset(out, 0, sizeof(*out));
    int rc = rb_store_snapshot_begin(s, err);
    if (rc)
        return rc;
    rc = rb_store_run(s, run, &row, err);
    if (rc)
        goto end;
    w.sources = json_object();
    int walked = rb_store_events(s, run, 0, on_event, &w, &read_err);
    if (walked == RB_ECORRUPT) {
        bad_event(&w, w.seq + 1, "event %" PRId64 " can not be read: %.1000s", w.seq + 1, read_err.msg);
    } else if (walked < 0) {
        rc = err ? rb_err_set(err, walked, "%s", read_err.msg) : walked;
        goto end;
    } else if (walked == 0 && head && w.seq < head_seq) {
        bad_event(&w, w.seq + 1,
                  "the journal ends with event %" PRId64 ", but a head of event %" PRId64
                  " was given: its tail was cut off",
                  w.seq, head_seq);
    } else if (walked == 0 && w.seq < row.seq) {
        bad_event(&w, w.seq + 1,
                  "the journal ends with event %" PRId64 ", but the run's row says %" PRId64 ": its tail was cut off",
                  w.seq, row.seq);
    } else if (walked == 0) {
        check_sources(&w);
        check_row(&w, &row);
    }
    out->events = w.seq;
    out->ok = !out->bad_seq && !w.aside;
    memcpy(out->head, w.previous, RB_SHA_LEN);
end:
    rb_store_snapshot_end(s);
    rb_run_row_release(&row);
    json_decref(w.sources);
    free(w.status);
    free(w.runbook);
    free(w.title);
    return rc;
}
