/* The journal of one run: order, durability, creation, failure (host/store/journal.c). The numbers are the invariants
 * at its top. */
#include "store_fixture.h"

#include "store/sqlite.h"

static void test_create_append_durable(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    assert_int_equal(rb_journal_seq(j), 1);
    assert_int_equal(rb_journal_durable(j), 1);
    int64_t seq = 0;
    for (int i = 0; i < 100; i++)
        seq = fx_append(j, "a/1", "note", "{\"text\":\"x\"}");
    assert_int_equal(seq, 101);
    fx_wait_durable(fx, j, seq);
    assert_int_equal(rb_journal_durable(j), 101);

    struct rb_run_row row;
    assert_ok(fx, rb_store_run(fx->store, id, &row, &fx->err));
    assert_int_equal(row.seq, 101);
    assert_int_equal(row.epoch, 1);
    uint8_t head[RB_SHA_LEN];
    rb_journal_head(j, head);
    assert_memory_equal(row.head, head, RB_SHA_LEN);
    rb_run_row_release(&row);
    rb_journal_close(j);
}

/* What waits: called in the order of seq, then of asking, never from within, and not when cancelled. */
struct ordered {
    struct rb_durable w;
    char name, *log;
    struct rb_durable *cancels;
};

static void on_ordered(struct rb_durable *w)
{
    struct ordered *o = RB_CONTAINER(w, struct ordered, w);
    size_t n = strlen(o->log);
    o->log[n] = o->name;
    if (o->cancels)
        rb_durable_cancel(o->cancels);
}

static void test_waiters_in_order(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], log[16] = "";
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    int64_t a = fx_append(j, "", "note", "{}"), b = fx_append(j, "", "note", "{}"), c = fx_append(j, "", "note", "{}");
    struct ordered o[7];
    for (int i = 0; i < 7; i++) {
        o[i] = (struct ordered){.w.fn = on_ordered, .name = (char)('0' + i), .log = log};
        rb_list_init(&o[i].w.link);
    }
    o[3].cancels = &o[4].w;
    rb_journal_when_durable(j, c, &o[5].w);
    rb_journal_when_durable(j, a, &o[0].w);
    rb_journal_when_durable(j, b, &o[3].w);
    rb_journal_when_durable(j, a, &o[1].w);
    rb_journal_when_durable(j, b, &o[4].w);
    rb_journal_when_durable(j, a, &o[2].w);
    rb_durable_cancel(&o[2].w);
    rb_durable_cancel(&o[2].w); /* twice does no harm */
    assert_string_equal(log, "");
    fx_wait_durable(fx, j, c);
    assert_string_equal(log, "0135");
    /* already durable: called all the same, and not from within */
    rb_journal_when_durable(j, a, &o[6].w);
    assert_string_equal(log, "0135");
    fx_wait_durable(fx, j, c);
    assert_string_equal(log, "01356");
    rb_journal_close(j);
}

struct seen {
    struct fixture *fx;
    struct rb_journal *journal;
    const char *path;
    char kinds[400];
    int64_t last;
    int failed, rc, count;
    bool close; /* from within the next event */
};

/* Invariant 3: an event is shown only when the file has it; in order, each once. */
static void on_event(void *arg, const struct rb_event *ev)
{
    struct seen *s = arg;
    assert_int_equal(ev->seq, s->last + 1);
    s->last = ev->seq;
    s->count++;
    if (s->path)
        assert_true(fx_number(s->path, "SELECT max(seq) FROM events") >= ev->seq);
    if (s->close)
        rb_journal_close(s->journal);
}

static void on_failed(void *arg, int rc, const struct rb_err *err)
{
    struct seen *s = arg;
    assert_non_null(err);
    assert_int_equal(err->code, rc);
    s->failed++;
    s->rc = rc;
}

static void test_events_are_shown_when_durable(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct seen s = {.path = fx->path};
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    rb_journal_watch(j, &(struct rb_journal_watch){on_event, on_failed, &s});
    for (int i = 0; i < 20; i++) {
        fx_append(j, "", "note", "{}");
        fx_append(j, "", "note", "{}");
        if (i % 3 == 0)
            fx_wait_durable(fx, j, rb_journal_seq(j));
        else
            rb_store_flush(fx->store);
    }
    fx_wait_durable(fx, j, rb_journal_seq(j));
    assert_int_equal(s.last, 41); /* the first event of all among them */
    assert_int_equal(s.failed, 0);
    rb_journal_close(j);
}

/* Nobody asks, and it is committed by itself. */
static void test_committed_unasked(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct seen s = {.path = NULL};
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    rb_journal_watch(j, &(struct rb_journal_watch){on_event, on_failed, &s});
    fx_until(fx, &s.count); /* the first event */
    for (int round = 0; round < 5; round++) {
        s.count = 0;
        fx_append(j, "", "note", "{}");
        fx_until(fx, &s.count);
        assert_int_equal(s.last, round + 2);
    }
    rb_journal_close(j);
}

/* Closing loses nothing and calls nobody, whether something is on its way or a callback closes. */
static void test_close(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], other[RB_RUN_ID_MAX];
    struct fx_waiter w = {.w.fn = fx_on_durable};
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    struct seen s = {.journal = j, .close = true};
    for (int i = 0; i < 10; i++)
        fx_append(j, "", "note", "{}");
    rb_list_init(&w.w.link);
    rb_journal_when_durable(j, 11, &w.w);
    rb_journal_watch(j, &(struct rb_journal_watch){on_event, on_failed, &s});
    fx_until(fx, &s.count);
    j = fx_create(fx, fx->store, other);
    fx_append(j, "", "note", "{}");
    rb_journal_blob(j, "x", 1, (char[RB_SHA_HEX]){0}); /* goes with no event */
    rb_journal_close(j);
    rb_store_close(fx->store);
    fx->store = NULL;
    assert_int_equal(s.count, 1);
    assert_int_equal(w.called, 0);
    rb_durable_cancel(&w.w);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM events"), 13);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM blobs"), 0);
}

/* Taken over: told once; nothing of what was on its way or comes later is written, shown or called. */
static void test_taken_over(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct seen s = {.path = NULL};
    struct rb_store *other;
    struct rb_run_row row;
    struct fx_waiter w = {.w.fn = fx_on_durable};
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    rb_journal_watch(j, &(struct rb_journal_watch){on_event, on_failed, &s});
    fx_until(fx, &s.count);
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, true, &other));
    assert_ok(fx, rb_store_claim_forced_sync(other, id, &row, &fx->err));
    rb_run_row_release(&row);
    fx_append(j, "", "note", "{}");
    rb_list_init(&w.w.link);
    rb_journal_when_durable(j, fx_append(j, "", "intent", "{}"), &w.w);
    fx_until(fx, &s.failed);
    assert_int_equal(s.rc, RB_ESTALE);
    fx_append(j, "", "note", "{}");
    rb_store_flush(fx->store);
    rb_store_close(other);
    struct rb_journal *sound = fx_create(fx, fx->store, id); /* another run of the same store goes on */
    fx_wait_durable(fx, sound, fx_append(sound, "", "note", "{}"));
    assert_int_equal(s.failed, 1);
    assert_int_equal(s.count, 1);
    assert_int_equal(w.called, 0);
    assert_int_equal(fx->failed, 0);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM events"), 3);
    rb_journal_close(sound);
    rb_journal_close(j);
}

/* Resumed from the row: numbers and hashes go on where they ended. */
static void test_reopened(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct rb_run_row row;
    struct rb_verdict v;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    fx_append(j, "", "note", "{}");
    rb_journal_close(j);
    rb_store_close(fx->store);
    fx_open(fx);
    assert_ok(fx, rb_store_claim_sync(fx->store, id, &row, &fx->err));
    j = rb_journal_open(fx->store, &row);
    rb_run_row_release(&row);
    assert_int_equal(fx_append(j, "", "note", "{}"), 3);
    fx_wait_durable(fx, j, 3);
    assert_ok(fx, rb_chain_verify(fx->store, id, 0, NULL, &v, &fx->err));
    if (!v.ok)
        fail_msg("%s", v.what);
    assert_int_equal(v.events, 3);
    rb_journal_close(j);
}

/* Many runs at once, each waiting for each of its own events: all share commits, none gets another's. */
struct chain {
    struct rb_durable w;
    struct rb_journal *j;
    int left, *open;
};

static void on_link(struct rb_durable *w)
{
    struct chain *c = RB_CONTAINER(w, struct chain, w);
    assert_int_equal(rb_journal_durable(c->j), rb_journal_seq(c->j));
    if (c->left-- == 0) {
        --*c->open;
        return;
    }
    fx_append(c->j, "k", "result", "{}");
    rb_journal_when_durable(c->j, fx_append(c->j, "k", "intent", "{}"), &c->w);
}

static void test_many_runs(void **state)
{
    struct fixture *fx = *state;
    enum { RUNS = 50, LINKS = 20 };
    struct chain c[RUNS];
    char id[RUNS][RB_RUN_ID_MAX];
    int open = RUNS;
    fx_open(fx);
    for (int i = 0; i < RUNS; i++) {
        c[i] = (struct chain){.w.fn = on_link, .j = fx_create(fx, fx->store, id[i]), .left = LINKS, .open = &open};
        rb_list_init(&c[i].w.link);
    }
    for (int i = 0; i < RUNS; i++)
        on_link(&c[i].w);
    while (open)
        uv_run(&fx->loop.uv, UV_RUN_ONCE);
    for (int i = 0; i < RUNS; i++) {
        struct rb_verdict v;
        assert_ok(fx, rb_chain_verify(fx->store, id[i], 0, NULL, &v, &fx->err));
        assert_true(v.ok);
        assert_int_equal(v.events, 1 + 2 * LINKS);
        rb_journal_close(c[i].j);
    }
}

/* The store's limit for one value: that run fails, the store does not. */
static void test_too_big(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], digest[RB_SHA_HEX];
    struct seen s = {.path = NULL};
    size_t n = ((size_t)64 << 20) + 1;
    char *big = calloc(1, n);
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id), *sound = fx_create(fx, fx->store, id);
    rb_journal_blob(sound, big, n - 1, digest); /* the largest */
    fx_wait_durable(fx, sound, fx_append(sound, "", "note", "{}"));
    rb_journal_watch(j, &(struct rb_journal_watch){on_event, on_failed, &s});
    rb_journal_blob(j, big, n, digest);
    fx_append(j, "", "note", "{}");
    fx_until(fx, &s.failed);
    assert_int_equal(s.rc, RB_ETOOBIG);
    fx_wait_durable(fx, sound, fx_append(sound, "", "note", "{}"));
    assert_int_equal(fx->failed, 0);
    rb_journal_close(j);
    rb_journal_close(sound);
    free(big);
}

static struct rb_journal *create_later(struct fixture *fx, const char *id, struct seen *s)
{
    struct rb_run_row row = {.runbook = (char *)(uintptr_t) "promote", .status = (char *)(uintptr_t) "running"};
    snprintf(row.id, sizeof(row.id), "%s", id);
    struct rb_journal *j = rb_journal_new(fx->store, id);
    fx_append(j, "", "run.start", "{\"status\":\"running\",\"runbook\":\"promote\"}");
    assert_ok(fx, rb_journal_create_later(j, &row, &fx->err));
    rb_journal_watch(j, &(struct rb_journal_watch){on_event, on_failed, s});
    return j;
}

/* Made without waiting: nothing of it is durable at once, all of it is with what waits for it [1], in order; one whose
 * id is taken fails alone. Given up with its last event. */
static void test_created_later(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct seen s = {.path = fx->path}, twin = {.path = NULL};
    struct fx_waiter w = {.w.fn = fx_on_durable};
    struct rb_run_row row;
    fx_open(fx);
    rb_run_id_new(id);
    struct rb_journal *j = create_later(fx, id, &s);
    assert_int_equal(rb_journal_durable(j), 0);
    rb_list_init(&w.w.link);
    rb_journal_when_durable(j, fx_append(j, "a/1", "intent", "{}"), &w.w);
    assert_int_equal(w.called, 0);
    fx_until(fx, &w.called);
    assert_int_equal(s.last, 2);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM runs WHERE owner IS NOT NULL AND seq = 2"), 1);

    struct rb_journal *second = create_later(fx, id, &twin);
    fx_append(second, "", "intent", "{}");
    rb_store_flush(fx->store);
    fx_until(fx, &twin.failed);
    assert_int_equal(twin.rc, RB_EEXIST);
    assert_int_equal(twin.count, 0);
    assert_int_equal(fx->failed, 0);
    rb_journal_close(second);

    fx_append(j, "", "run.end", "{}");
    rb_journal_disown(j);
    fx_wait_durable(fx, j, rb_journal_seq(j));
    assert_int_equal(s.failed, 0);
    assert_ok(fx, rb_store_run(fx->store, id, &row, &fx->err));
    assert_int_equal(row.seq, 3);
    assert_null(row.owner);
    rb_run_row_release(&row);
    rb_journal_close(j);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(test_create_append_durable),
        T(test_waiters_in_order),
        T(test_events_are_shown_when_durable),
        T(test_committed_unasked),
        T(test_close),
        T(test_taken_over),
        T(test_reopened),
        T(test_many_runs),
        T(test_too_big),
        T(test_created_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
