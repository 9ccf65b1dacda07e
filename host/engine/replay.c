/* Owns the recorded events during a replay: which come in which order, and which a retry has set aside. */
#include "engine/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool rb_replay_is_ordered(const char *kind)
{
    static const char *const kinds[] = {"result",     "record",   "log",        "note",       "evidence",
                                        "step.start", "step.end", "undo",       "undo.clear", "cancel",
                                        "doubt.call", "run.end",  "undo.start", "undo.end"};
    for (size_t i = 0; i < RB_COUNT(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

static void push_seq(int64_t **list, size_t *n, size_t *cap, int64_t seq)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 64;
        *list = rb_realloc(*list, *cap * sizeof(**list));
    }
    (*list)[(*n)++] = seq;
}

static int on_event(void *arg, const struct rb_event *ev)
{
    struct rb_replay *r = arg;
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->events = rb_realloc(r->events, r->cap * sizeof(*r->events));
    }
    size_t key_len = strlen(ev->key), kind_len = strlen(ev->kind);
    char *text = rb_alloc(key_len + kind_len + ev->data_len + 3); /* one block for the three texts of an event */
    char *kind = text + key_len + 1, *data = kind + kind_len + 1;
    memcpy(text, ev->key, key_len);
    memcpy(kind, ev->kind, kind_len);
    memcpy(data, ev->data, ev->data_len);
    r->events[r->count++] = (struct rb_recorded){
        .seq = ev->seq, .at = ev->at, .key = text, .kind = kind, .data = data, .data_len = ev->data_len};
    return 0;
}

static struct rb_keyed *keyed(struct rb_replay *r, const char *key)
{
    void **at = rb_strmap_at(&r->keys, key, strlen(key));
    if (!*at)
        *at = rb_alloc(sizeof(struct rb_keyed));
    return *at;
}

static void free_keyed(void *p)
{
    struct rb_keyed *k = p;
    free(k->skip);
    free(k);
}

/* Walks a JSON list of integers or of pairs; calls each(first, second). */
static void each_pair(struct rb_slice s, void (*each)(struct rb_replay *r, int64_t a, int64_t b), struct rb_replay *r,
                      bool pairs)
{
    const char *p = s.p, *end = s.p ? s.p + s.n : NULL;
    int64_t have[2];
    int n = 0;
    while (p && p < end) {
        if (*p >= '0' && *p <= '9') {
            int64_t v = 0;
            for (; p < end && *p >= '0' && *p <= '9'; p++)
                v = v < INT64_MAX / 10 ? v * 10 + (*p - '0') : v;
            have[n++] = v;
            if (n == (pairs ? 2 : 1)) {
                each(r, have[0], have[n - 1]);
                n = 0;
            }
        } else {
            p++;
        }
    }
}

static void keep_range(struct rb_replay *r, int64_t from, int64_t to)
{
    for (int64_t seq = from > 0 ? from : 1; seq <= to && seq <= (int64_t)r->count; seq++)
        push_seq(&r->order, &r->ordered, &r->order_cap, seq);
}

static void void_one(struct rb_replay *r, int64_t seq, int64_t unused)
{
    (void)unused;
    struct rb_recorded *ev = rb_replay_at(r, seq);
    if (!ev || strcmp(ev->kind, "result") != 0)
        return;
    struct rb_keyed *k = keyed(r, ev->key);
    k->voided = ev;
    k->doubt = k->resolve = NULL; /* what was asked and said about the outcome that no longer counts */
    if (k->result == ev)
        k->result = NULL;
}

static void rerun_one(struct rb_replay *r, int64_t seq, int64_t unused)
{
    (void)unused;
    struct rb_recorded *ev = rb_replay_at(r, seq);
    if (ev)
        keyed(r, ev->key)->rerun = true;
}

static void apply_retry(struct rb_replay *r, const struct rb_recorded *ev)
{
    r->ordered = 0;
    each_pair(rb_json_member(ev->data, ev->data_len, "keep"), keep_range, r, true);
    each_pair(rb_json_member(ev->data, ev->data_len, "voided"), void_one, r, false);
    each_pair(rb_json_member(ev->data, ev->data_len, "rerun"), rerun_one, r, false);
    int64_t skip = rb_json_member_int(ev->data, ev->data_len, "skip", 0);
    struct rb_recorded *skipped = skip ? rb_replay_at(r, skip) : NULL;
    if (skipped) {
        struct rb_keyed *k = keyed(r, skipped->key);
        char reason[512];
        rb_json_member_text(ev->data, ev->data_len, "reason", reason, sizeof(reason));
        free(k->skip);
        k->skip = rb_strdup(reason);
    }
}

static void index_event(struct rb_replay *r, struct rb_recorded *ev)
{
    char id[24];
    int64_t signal = rb_json_member_int(ev->data, ev->data_len, "signal", 0);
    if (signal) {
        snprintf(id, sizeof(id), "%lld", (long long)signal);
        *rb_strmap_at(&r->signals_used, id, strlen(id)) = r;
    }
    if (strcmp(ev->kind, "intent") == 0 || strcmp(ev->kind, "wait") == 0) {
        struct rb_keyed *k = keyed(r, ev->key);
        k->intent = ev;
        k->attempts++;
        k->voided = NULL;
        k->rerun = k->twice = false;
        k->resolve = NULL;
        k->doubt = NULL;
    } else if (strcmp(ev->kind, "result") == 0) {
        struct rb_keyed *k = keyed(r, ev->key);
        k->result = ev;
        k->voided = NULL;
        k->rerun = k->twice = false;
    } else if (strcmp(ev->kind, "resolve") == 0) {
        keyed(r, ev->key)->resolve = ev;
    } else if (strcmp(ev->kind, "doubt") == 0) {
        keyed(r, ev->key)->doubt = ev;
    } else if (strcmp(ev->kind, "op.unstarted") == 0) {
        struct rb_keyed *k = keyed(r, ev->key);
        k->twice = k->intent && rb_json_member_true(k->intent->data, k->intent->data_len, "twice");
        k->intent = NULL;
    } else if (strcmp(ev->kind, "run.retry") == 0) {
        apply_retry(r, ev);
    }
    if (rb_replay_is_ordered(ev->kind))
        push_seq(&r->order, &r->ordered, &r->order_cap, ev->seq);
}

/* The body of a memo that is recorded is not called again: what happened inside it counts as claimed. */
static void skip_memo(struct rb_replay *r, const struct rb_recorded *memo)
{
    const char *slash = strrchr(memo->key, '/'); /* its key is "<scope>/1" */
    size_t len = slash ? (size_t)(slash - memo->key) + 1 : 0;
    for (size_t i = 0; len && i < r->count && &r->events[i] != memo; i++) {
        struct rb_recorded *ev = &r->events[i];
        if (strncmp(ev->key, memo->key, len) != 0 || strcmp(ev->key, memo->key) == 0)
            continue;
        ev->claimed = true;
        if (strcmp(ev->kind, "intent") == 0)
            keyed(r, memo->key)->effects = true;
        struct rb_keyed *k = rb_replay_key(r, ev->key);
        if (k)
            k->called = true;
    }
}

int rb_replay_load(struct rb_replay *r, struct rb_store *store, const char *run, struct rb_err *err)
{
    *r = (struct rb_replay){0};
    rb_strmap_init(&r->keys);
    rb_strmap_init(&r->signals_used);
    rb_strmap_init(&r->records);
    int rc = rb_store_events(store, run, 0, on_event, r, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < r->count; i++)
        if (r->events[i].seq != (int64_t)i + 1)
            return rb_err_set(err, RB_ECORRUPT, "run %s: event %zu is missing in the journal; see `rbhost verify %s`",
                              run, i + 1, run);
    if (!r->count)
        return rb_err_set(err, RB_ECORRUPT, "run %s has no events; see `rbhost verify %s`", run, run);
    for (size_t i = 0; i < r->count; i++) /* `events` no longer moves: pointers into it are good from here on */
        index_event(r, &r->events[i]);
    for (size_t i = 0; i < r->ordered; i++) {
        const struct rb_recorded *ev = rb_replay_at(r, r->order[i]);
        if (strcmp(ev->kind, "result") == 0 && rb_json_member_is(ev->data, ev->data_len, "op", "memo"))
            skip_memo(r, ev);
    }
    return RB_OK;
}

void rb_replay_release(struct rb_replay *r)
{
    for (size_t i = 0; i < r->count; i++)
        free((char *)(uintptr_t)r->events[i].key);
    free(r->events);
    free(r->order);
    free(r->claimed);
    rb_strmap_release(&r->keys, free_keyed);
    rb_strmap_release(&r->signals_used, NULL);
    rb_strmap_release(&r->records, NULL);
    *r = (struct rb_replay){0};
}

struct rb_recorded *rb_replay_at(struct rb_replay *r, int64_t seq)
{
    return seq >= 1 && seq <= (int64_t)r->count ? &r->events[seq - 1] : NULL;
}

struct rb_recorded *rb_replay_peek(struct rb_replay *r)
{
    while (r->next < r->ordered) {
        struct rb_recorded *ev = rb_replay_at(r, r->order[r->next]);
        if (ev && !ev->claimed)
            return ev;
        r->next++;
    }
    return NULL;
}

void rb_replay_claim(struct rb_replay *r, struct rb_recorded *ev)
{
    ev->claimed = true;
    push_seq(&r->claimed, &r->claimed_count, &r->claimed_cap, ev->seq);
}

void rb_replay_claim_live(struct rb_replay *r, int64_t seq)
{
    push_seq(&r->claimed, &r->claimed_count, &r->claimed_cap, seq);
}

/* "kind key" in a buffer that the caller releases. */
static void record_name(struct rb_buf *out, const char *kind, const char *key)
{
    rb_buf_init(out, 1 << 16);
    rb_buf_addf(out, "%s ", kind);
    rb_buf_adds(out, key);
}

struct rb_recorded *rb_replay_find(struct rb_replay *r, const char *kind, const char *key)
{
    struct rb_buf name;
    record_name(&name, kind, key);
    struct rb_recorded *ev = rb_strmap_get(&r->records, name.data, name.len);
    rb_buf_release(&name);
    return ev && !ev->claimed ? ev : NULL;
}

struct rb_keyed *rb_replay_key(struct rb_replay *r, const char *key)
{
    return rb_strmap_get(&r->keys, key, strlen(key));
}

struct rb_recorded *rb_replay_last(struct rb_replay *r, const char *kind)
{
    for (size_t i = r->count; i > 0; i--)
        if (strcmp(r->events[i - 1].kind, kind) == 0)
            return &r->events[i - 1];
    return NULL;
}

bool rb_replay_ended_early(const struct rb_recorded *ev)
{
    if (strcmp(ev->kind, "run.end") != 0 && strcmp(ev->kind, "undo.end") != 0)
        return false;
    struct rb_slice error = rb_json_member(ev->data, ev->data_len, "error");
    return error.p && (rb_json_member_is(error.p, error.n, "kind", "budget") ||
                       rb_json_member_is(error.p, error.n, "kind", "memory") ||
                       rb_json_member_is(error.p, error.n, "kind", "internal"));
}

/* What a failure has brought about: the end of steps, of the run, of an undo; they come anew. */
static bool is_consequence(const struct rb_recorded *ev)
{
    if (strcmp(ev->kind, "run.end") == 0 || strcmp(ev->kind, "undo.start") == 0 || strcmp(ev->kind, "undo.end") == 0 ||
        strcmp(ev->kind, "cancel") == 0)
        return true;
    if (strcmp(ev->kind, "result") != 0 || rb_json_member_true(ev->data, ev->data_len, "ok"))
        return false;
    struct rb_slice error = rb_json_member(ev->data, ev->data_len, "error");
    return error.p && rb_json_member_is(error.p, error.n, "kind", "cancelled");
}

void rb_replay_void(struct rb_replay *r, const int64_t *seqs, size_t n)
{
    r->tolerant = true;
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < n; i++)
        first = seqs[i] < first ? seqs[i] : first;
    size_t kept = 0;
    for (size_t i = 0; i < r->ordered; i++) {
        struct rb_recorded *ev = rb_replay_at(r, r->order[i]);
        /* an end that no outcome has brought about (memory, budget …) is left behind as well */
        bool drop = is_consequence(ev) && (ev->seq > first || strcmp(ev->kind, "run.end") == 0);
        for (size_t k = 0; k < n && !drop; k++)
            drop = ev->seq == seqs[k];
        if (!drop)
            r->order[kept++] = ev->seq;
        else if (strcmp(ev->kind, "result") == 0)
            void_one(r, ev->seq, 0);
    }
    r->ordered = kept;
    for (size_t i = 0; i < r->ordered; i++) {
        struct rb_recorded *ev = rb_replay_at(r, r->order[i]);
        if (strcmp(ev->kind, "result") == 0)
            continue;
        struct rb_buf name;
        record_name(&name, ev->kind, ev->key);
        *rb_strmap_at(&r->records, name.data, name.len) = ev;
        rb_buf_release(&name);
    }
}

void rb_replay_write_retry(struct rb_replay *r, struct rb_buf *keep, struct rb_buf *voided)
{
    rb_buf_addc(keep, '[');
    for (size_t i = 0; i < r->claimed_count;) {
        size_t k = i;
        while (k + 1 < r->claimed_count && r->claimed[k + 1] == r->claimed[k] + 1)
            k++;
        rb_buf_addf(keep, "%s[%lld,%lld]", i ? "," : "", (long long)r->claimed[i], (long long)r->claimed[k]);
        i = k + 1;
    }
    rb_buf_addc(keep, ']');
    rb_buf_addc(voided, '[');
    bool first = true;
    for (size_t i = 0; i < r->count; i++) {
        struct rb_recorded *ev = &r->events[i];
        if (ev->claimed || strcmp(ev->kind, "result") != 0)
            continue;
        const struct rb_keyed *k = rb_replay_key(r, ev->key);
        if (!k || (k->result != ev && k->voided != ev))
            continue; /* voided by an earlier retry already */
        rb_buf_addf(voided, "%s%lld", first ? "" : ",", (long long)ev->seq);
        first = false;
    }
    rb_buf_addc(voided, ']');
    r->tolerant = false;
}
