/* What a replay makes of the events in a store: their order, what is known of each key, memos that are skipped, retries
 * and what they keep. The events are written as a run writes them and read back from the file. */
#include "store_fixture.h"

#include "engine/replay.h"

struct written {
    const char *key, *kind, *data;
};

/* Writes a run.start and these events; gives the run's id. */
static void write_run(struct fixture *fx, const struct written *events, size_t n, char id[RB_RUN_ID_MAX])
{
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    int64_t seq = 1;
    for (size_t i = 0; i < n; i++) {
        seq = fx_append(j, events[i].key, events[i].kind, events[i].data);
        assert_int_equal(seq, i + 2);
    }
    fx_wait_durable(fx, j, seq);
    rb_journal_close(j);
}

#define LOAD(fx, r, ...) \
    do { \
        const struct written events_[] = {__VA_ARGS__}; \
        char id_[RB_RUN_ID_MAX]; \
        write_run(fx, events_, RB_COUNT(events_), id_); \
        assert_ok(fx, rb_replay_load(r, (fx)->store, id_, &(fx)->err)); \
        assert_int_equal((r)->count, RB_COUNT(events_) + 1); \
    } while (0)

/* Claims everything in the order in which it is fed: "2 4 5" in out. */
static const char *fed(struct rb_replay *r)
{
    static char out[1000];
    struct rb_recorded *ev;
    size_t n = 0;
    out[0] = '\0';
    while ((ev = rb_replay_peek(r))) {
        assert_ptr_equal(rb_replay_peek(r), ev); /* looking does not move on */
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%lld", n ? " " : "", (long long)ev->seq);
        assert_true(n < sizeof out);
        rb_replay_claim(r, ev);
    }
    return out;
}

#define OK_EXEC "{\"op\":\"exec\",\"ok\":true,\"value\":1}"
#define FAILED "{\"op\":\"exec\",\"ok\":false,\"error\":{\"kind\":\"exit\"}}"
#define CANCELLED "{\"op\":\"exec\",\"ok\":false,\"error\":{\"kind\":\"cancelled\"}}"
#define INTENT "{\"op\":\"exec\"}"

static void ordered_kinds(void **state)
{
    struct fixture *fx = *state;
    static const char *const kinds[] = {
        "run.start", "run.resume", "run.state",  "run.park",     "run.end", "run.moved",  "undo.start",
        "undo.end",  "source",     "step.start", "step.end",     "intent",  "wait",       "result",
        "record",    "log",        "note",       "evidence",     "undo",    "undo.clear", "cancel",
        "doubt",     "doubt.call", "resolve",    "op.unstarted", "op.stop"};
    static const char ordered[] =
        " run.end undo.start undo.end step.start step.end result record log note evidence undo "
        "undo.clear cancel doubt.call ";
    struct written events[RB_COUNT(kinds)];
    char want[200] = "";
    for (size_t i = 0; i < RB_COUNT(kinds); i++) {
        char word[40];
        snprintf(word, sizeof word, " %s ", kinds[i]);
        bool is = strstr(ordered, word) != NULL;
        assert_int_equal(rb_replay_is_ordered(kinds[i]), is);
        events[i] = (struct written){"k", kinds[i], "{}"};
        size_t n = strlen(want);
        if (is)
            snprintf(want + n, sizeof want - n, "%s%zu", n ? " " : "", i + 2);
    }
    char id[RB_RUN_ID_MAX];
    struct rb_replay r;
    write_run(fx, events, RB_COUNT(events), id);
    assert_ok(fx, rb_replay_load(&r, fx->store, id, &fx->err));
    assert_string_equal(fed(&r), want);
    assert_null(rb_replay_peek(&r));
    for (size_t i = 0; i < RB_COUNT(kinds); i++) {
        assert_string_equal(rb_replay_at(&r, (int64_t)i + 2)->kind, kinds[i]);
        assert_string_equal(rb_replay_last(&r, kinds[i])->kind, kinds[i]);
        assert_int_equal(rb_replay_last(&r, kinds[i])->seq, i + 2);
    }
    assert_null(rb_replay_last(&r, "run.retry"));
    assert_null(rb_replay_at(&r, 0));
    assert_null(rb_replay_at(&r, -1));
    assert_null(rb_replay_at(&r, (int64_t)RB_COUNT(kinds) + 2));
    rb_replay_release(&r);
    rb_replay_release(&r);
}

static void what_is_known_of_a_key(void **state)
{
    struct fixture *fx = *state;
    struct rb_replay r;
    LOAD(fx, &r, {"a/1", "intent", INTENT},                             /* 2 */
         {"a/1", "result", OK_EXEC},                                    /* 3 */
         {"2", "wait", "{\"op\":\"approve\"}"},                         /* 4 */
         {"3", "intent", INTENT},                                       /* 5 */
         {"3", "doubt", "{\"n\":5}"},                                   /* 6 */
         {"3", "resolve", "{\"n\":5,\"as\":\"retry\",\"signal\":12}"},  /* 7 */
         {"4", "intent", INTENT},                                       /* 8 */
         {"4", "doubt", "{\"n\":8}"},                                   /* 9 */
         {"4", "resolve", "{\"n\":8,\"as\":\"retry\"}"},                /* 10 */
         {"4", "intent", INTENT},                                       /* 11 */
         {"5", "intent", INTENT},                                       /* 12 */
         {"5", "op.unstarted", "{\"n\":12}"},                           /* 13 */
         {"6", "result", "{\"op\":\"memo\",\"ok\":true,\"signal\":7}"}, /* 14 */
         {"7", "record", "{\"op\":\"now\",\"value\":1}"});
    struct rb_keyed *k = rb_replay_key(&r, "a/1");
    assert_int_equal(k->intent->seq, 2);
    assert_int_equal(k->result->seq, 3);
    assert_int_equal(k->attempts, 1);
    k = rb_replay_key(&r, "2");
    assert_string_equal(k->intent->kind, "wait");
    assert_null(k->result);
    k = rb_replay_key(&r, "3");
    assert_int_equal(k->intent->seq, 5);
    assert_int_equal(k->doubt->seq, 6);
    assert_int_equal(k->resolve->seq, 7);
    k = rb_replay_key(&r, "4"); /* a new attempt: what was asked about the one before is over */
    assert_int_equal(k->intent->seq, 11);
    assert_int_equal(k->attempts, 2);
    assert_null(k->doubt);
    assert_null(k->resolve);
    k = rb_replay_key(&r, "5");
    assert_null(k->intent);
    k = rb_replay_key(&r, "6"); /* a result without an intent */
    assert_null(k->intent);
    assert_int_equal(k->result->seq, 14);
    assert_null(rb_replay_key(&r, "7"));
    assert_null(rb_replay_key(&r, "a"));
    assert_non_null(rb_strmap_get(&r.signals_used, "12", 2));
    assert_non_null(rb_strmap_get(&r.signals_used, "7", 1));
    assert_null(rb_strmap_get(&r.signals_used, "1", 1));
    assert_int_equal(r.signals_used.count, 2);
    rb_replay_release(&r);
}

static void texts_come_back_as_they_were(void **state)
{
    struct fixture *fx = *state;
    struct rb_replay r;
    struct rb_buf big;
    rb_buf_init(&big, 1 << 20);
    rb_buf_adds(&big, "{\"text\":\"");
    for (int i = 0; i < 20000; i++)
        rb_buf_adds(&big, "é");
    rb_buf_adds(&big, "\"}");
    LOAD(fx, &r, {"été/\\/~2/1", "note", rb_buf_text(&big)}, {"", "log", "{\"level\":\"print\",\"text\":\"\"}"});
    const struct rb_recorded *ev = rb_replay_at(&r, 2);
    assert_string_equal(ev->key, "été/\\/~2/1");
    assert_int_equal(ev->data_len, big.len);
    assert_string_equal(ev->data, rb_buf_text(&big));
    assert_true(ev->at > 0);
    assert_string_equal(rb_replay_at(&r, 3)->key, "");
    assert_string_equal(fed(&r), "2 3");
    rb_replay_release(&r);
    rb_buf_release(&big);
}

static void memos_are_skipped(void **state)
{
    struct fixture *fx = *state;
    struct rb_replay r;
    LOAD(fx, &r, {"pre/1", "intent", INTENT}, {"pre/1", "result", OK_EXEC}, /* 2 3 */
         {"m/2", "intent", INTENT}, {"m/2", "result", OK_EXEC},             /* 4 5: inside */
         {"m", "step.start", "{}"},                                         /* 6: not below it */
         {"m/deep/1", "log", "{\"level\":\"print\",\"text\":\"x\"}"},       /* 7: inside */
         {"other/1", "result", OK_EXEC},                                    /* 8 */
         {"mm/1", "record", "{\"op\":\"now\"}"},                            /* 9: only looks alike */
         {"m/1", "result", "{\"op\":\"memo\",\"ok\":true,\"value\":1}"},    /* 10 */
         {"x/2", "intent", INTENT}, {"x/2", "result", OK_EXEC},             /* 11 12: of an unfinished one */
         {"f/2", "result", OK_EXEC}, {"f/1", "result", "{\"op\":\"memo\",\"ok\":false,\"error\":{\"kind\":\"x\"}}"});
    assert_true(rb_replay_key(&r, "m/2")->called);
    assert_false(rb_replay_key(&r, "pre/1")->called);
    assert_false(rb_replay_key(&r, "x/2")->called);
    assert_true(rb_replay_key(&r, "f/2")->called); /* one that failed has an outcome, too */
    assert_string_equal(fed(&r), "3 6 8 9 10 12 14");
    rb_replay_release(&r);
}

static void a_retry_keeps_ranges(void **state)
{
    struct fixture *fx = *state;
    struct rb_replay r;
    LOAD(fx, &r, {"1", "intent", INTENT}, {"1", "result", OK_EXEC},                                           /* 2 3 */
         {"2", "intent", INTENT}, {"2", "result", FAILED},                                                    /* 4 5 */
         {"3", "intent", INTENT}, {"3", "result", CANCELLED},                                                 /* 6 7 */
         {"", "log", "{\"level\":\"print\",\"text\":\"x\"}"},                                                 /* 8 */
         {"", "run.end", "{\"status\":\"failed\"}"},                                                          /* 9 */
         {"", "run.retry", "{\"status\":\"running\",\"keep\":[[3,3],[8,8]],\"voided\":[5,7],\"rerun\":[5]}"}, /* 10 */
         {"2", "intent", "{\"op\":\"exec\",\"attempt\":2}"},                                                  /* 11 */
         {"2", "result", OK_EXEC});                                                                           /* 12 */
    struct rb_keyed *k = rb_replay_key(&r, "2");
    assert_int_equal(k->attempts, 2);
    assert_int_equal(k->intent->seq, 11);
    assert_int_equal(k->result->seq, 12);
    assert_null(k->voided);
    assert_false(k->rerun);
    k = rb_replay_key(&r, "3");
    assert_null(k->result);
    assert_int_equal(k->voided->seq, 7);
    assert_false(k->rerun);
    assert_string_equal(fed(&r), "3 8 12");
    rb_replay_release(&r);
}

static void a_retry_before_anything_is_done_again(void **state)
{
    struct fixture *fx = *state;
    struct rb_replay r;
    LOAD(fx, &r,
         /* 2 3 4 */
         {"1", "intent", INTENT}, {"1", "doubt", "{\"n\":2}"}, {"1", "resolve", "{\"n\":2,\"as\":\"fail\"}"},
         {"1", "result", FAILED}, {"", "run.end", "{\"status\":\"failed\"}"}, /* 5 6 */
         {"", "run.retry", "{\"keep\":[],\"voided\":[5],\"rerun\":[5],\"skip\":5,\"reason\":\"by \\\"hand\\\"\"}"});
    struct rb_keyed *k = rb_replay_key(&r, "1");
    assert_null(k->result);
    assert_int_equal(k->voided->seq, 5);
    assert_true(k->rerun);
    assert_null(k->doubt); /* what was said of the outcome that no longer counts */
    assert_null(k->resolve);
    assert_string_equal(k->skip, "by \"hand\"");
    assert_string_equal(fed(&r), "");
    rb_replay_release(&r);
}

static void a_retry_after_a_retry(void **state)
{
    struct fixture *fx = *state;
    struct rb_replay r;
    LOAD(fx, &r, {"1", "intent", INTENT}, {"1", "result", OK_EXEC},                    /* 2 3 */
         {"2", "intent", INTENT}, {"2", "result", FAILED},                             /* 4 5 */
         {"", "run.end", "{\"status\":\"failed\"}"},                                   /* 6 */
         {"", "run.retry", "{\"keep\":[[3,3]],\"voided\":[5],\"rerun\":[5]}"},         /* 7 */
         {"", "log", "{\"level\":\"print\",\"text\":\"again\"}"},                      /* 8 */
         {"2", "intent", INTENT}, {"2", "result", FAILED},                             /* 9 10 */
         {"", "run.end", "{\"status\":\"failed\"}"},                                   /* 11 */
         {"", "run.retry", "{\"keep\":[[3,3],[8,8]],\"voided\":[10],\"rerun\":[10]}"}, /* 12 */
         {"2", "intent", INTENT}, {"2", "result", OK_EXEC},                            /* 13 14 */
         {"3", "intent", INTENT}, {"3", "result", FAILED},                             /* 15 16 */
         {"", "run.end", "{\"status\":\"failed\"}"});                                  /* 17 */
    struct rb_keyed *k = rb_replay_key(&r, "2");
    assert_int_equal(k->attempts, 3);
    assert_int_equal(k->result->seq, 14);
    assert_null(k->voided);
    assert_int_equal(rb_replay_key(&r, "3")->result->seq, 16);
    assert_string_equal(fed(&r), "3 8 14 16 17");
    rb_replay_release(&r);
}

/* What a run.retry may say when somebody has had his hands on it: nothing that harms. */
static void damaged_retries(void **state)
{
    static const char *const retries[] = {"{}",
                                          "{\"keep\":[[0,2]]}",
                                          "{\"keep\":[[-5,2]]}",
                                          "{\"keep\":[[2,999999]]}",
                                          "{\"keep\":[[2]]}",
                                          "{\"keep\":\"x\"}",
                                          "{\"keep\":[[99999999999999999999999,99999999999999999999999999]]}",
                                          "{\"keep\":[[3,2]]}",
                                          "{\"keep\":null}",
                                          "{\"keep\":[],\"voided\":[0,-1,1,2,77,99999999999999999999]}",
                                          "{\"keep\":[],\"rerun\":[0,1,99]}",
                                          "{\"keep\":[],\"skip\":99}",
                                          "{\"keep\":[],\"skip\":2}",
                                          "{\"keep\":[],\"skip\":-1,\"reason\":5}"};
    struct fixture *fx = *state;
    fx_open(fx);
    for (size_t i = 0; i < RB_COUNT(retries); i++) {
        char id[RB_RUN_ID_MAX];
        struct rb_journal *j = fx_create(fx, fx->store, id);
        fx_append(j, "1", "result", FAILED);
        fx_wait_durable(fx, j, fx_append(j, "", "run.retry", retries[i]));
        rb_journal_close(j);
        struct rb_replay r;
        assert_ok(fx, rb_replay_load(&r, fx->store, id, &fx->err));
        assert_true(strlen(fed(&r)) < 20);
        int64_t none = 0;
        rb_replay_void(&r, &none, 1);
        rb_replay_release(&r);
    }
}

static void tolerant(struct rb_replay *r, int64_t failed)
{
    assert_false(r->tolerant);
    rb_replay_void(r, &failed, 1);
    assert_true(r->tolerant);
}

static void a_retry_that_is_written(void **state)
{
    struct fixture *fx = *state;
    struct rb_replay r;
    LOAD(fx, &r, {"1", "intent", INTENT}, {"1", "result", OK_EXEC}, /* 2 3 */
         {"s", "step.start", "{}"},                                 /* 4 */
         {"s/1", "intent", INTENT}, {"t/1", "intent", INTENT},      /* 5 6 */
         {"t/1", "result", OK_EXEC},                                /* 7 */
         {"s/1", "result", FAILED},                                 /* 8 */
         {"u/1", "result", CANCELLED},                              /* 9 */
         {"s", "step.end", "{\"verdict\":\"fail\"}"},               /* 10 */
         {"", "run.end", "{\"status\":\"failed\"}"});               /* 11 */
    assert_int_equal(rb_replay_key(&r, "s/1")->result->seq, 8);
    tolerant(&r, 8);
    assert_null(rb_replay_key(&r, "s/1")->result);
    assert_int_equal(rb_replay_key(&r, "s/1")->voided->seq, 8);
    assert_int_equal(rb_replay_key(&r, "u/1")->voided->seq, 9); /* what it has cancelled */
    assert_int_equal(rb_replay_key(&r, "t/1")->result->seq, 7);

    /* found by kind and key, wherever they stand; claimed once */
    struct rb_recorded *start = rb_replay_find(&r, "step.start", "s");
    assert_int_equal(start->seq, 4);
    assert_null(rb_replay_find(&r, "step.start", "S"));
    assert_null(rb_replay_find(&r, "result", "1"));
    assert_null(rb_replay_find(&r, "run.end", ""));
    assert_int_equal(rb_replay_find(&r, "step.end", "s")->seq, 10);

    assert_int_equal(rb_replay_peek(&r)->seq, 3);
    rb_replay_claim(&r, rb_replay_peek(&r));
    rb_replay_claim(&r, start);
    assert_null(rb_replay_find(&r, "step.start", "s"));
    assert_int_equal(rb_replay_peek(&r)->seq, 7);
    rb_replay_claim_live(&r, 12); /* what is new comes between */
    rb_replay_claim_live(&r, 13);
    rb_replay_claim(&r, rb_replay_peek(&r));
    struct rb_buf keep, voided;
    rb_buf_init(&keep, 1000);
    rb_buf_init(&voided, 1000);
    rb_replay_write_retry(&r, &keep, &voided);
    assert_string_equal(rb_buf_text(&keep), "[[3,4],[12,13],[7,7]]");
    assert_string_equal(rb_buf_text(&voided), "[8,9]");
    assert_false(r.tolerant);
    rb_buf_release(&keep);
    rb_buf_release(&voided);
    rb_replay_release(&r);
}

/* What a retry writes is what the next load feeds, and a second retry voids nothing that the first has voided. */
static void retries_written_and_read(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    static const struct written events[] = {
        {"1", "intent", INTENT},
        {"1", "result", OK_EXEC}, /* 2 3 */
        {"2", "intent", INTENT},
        {"2", "result", FAILED},                    /* 4 5 */
        {"", "run.end", "{\"status\":\"failed\"}"}, /* 6 */
    };
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    for (size_t i = 0; i < RB_COUNT(events); i++)
        fx_append(j, events[i].key, events[i].kind, events[i].data);
    int64_t failed = 5;
    static const char *const want[][3] = {{"[[3,3]]", "[5]", "3"}, {"[[3,3]]", "[9]", "3"}, {"[[3,3]]", "[13]", "3"}};
    for (size_t round = 0; round < RB_COUNT(want); round++) {
        struct rb_replay r;
        struct rb_buf keep, voided, data;
        rb_buf_init(&keep, 1000);
        rb_buf_init(&voided, 1000);
        rb_buf_init(&data, 1000);
        fx_wait_durable(fx, j, rb_journal_seq(j));
        assert_ok(fx, rb_replay_load(&r, fx->store, id, &fx->err));
        tolerant(&r, failed);
        assert_string_equal(fed(&r), "3");
        rb_replay_write_retry(&r, &keep, &voided);
        assert_string_equal(rb_buf_text(&keep), want[round][0]);
        assert_string_equal(rb_buf_text(&voided), want[round][1]);
        rb_replay_release(&r);
        rb_buf_addf(&data, "{\"keep\":%s,\"voided\":%s}", rb_buf_text(&keep), rb_buf_text(&voided));
        fx_append(j, "", "run.retry", rb_buf_text(&data));
        fx_wait_durable(fx, j, rb_journal_seq(j));
        assert_ok(fx, rb_replay_load(&r, fx->store, id, &fx->err));
        assert_string_equal(fed(&r), want[round][2]);
        assert_null(rb_replay_key(&r, "2")->result);
        rb_replay_release(&r);
        fx_append(j, "2", "intent", INTENT);
        failed = fx_append(j, "2", "result", FAILED);
        fx_append(j, "", "run.end", "{\"status\":\"failed\"}");
        rb_buf_release(&keep);
        rb_buf_release(&voided);
        rb_buf_release(&data);
    }
    rb_journal_close(j);
}

static void a_gap_is_damage(void **state)
{
    struct fixture *fx = *state;
    static const struct written events[] = {{"1", "log", "{}"}, {"2", "log", "{}"}, {"3", "log", "{}"}};
    char id[RB_RUN_ID_MAX], sql[200];
    struct rb_replay r;
    write_run(fx, events, RB_COUNT(events), id);
    static const int gone[] = {3, 2, 1, 4};
    for (size_t i = 0; i < RB_COUNT(gone); i++) {
        snprintf(sql, sizeof sql, "DELETE FROM events WHERE seq = %d", gone[i]);
        fx_sql(fx->path, sql);
        assert_int_equal(rb_replay_load(&r, fx->store, id, &fx->err), RB_ECORRUPT);
        assert_int_equal(fx->err.code, RB_ECORRUPT);
        char want[120];
        int first = i == 0 ? 3 : i == 1 ? 2 : 1;
        if (i < 3)
            snprintf(want, sizeof want, "run %s: event %d is missing in the journal; see `rbhost verify %s`", id, first,
                     id);
        else
            snprintf(want, sizeof want, "run %s has no events; see `rbhost verify %s`", id, id);
        assert_string_equal(fx->err.msg, want);
        rb_replay_release(&r);
    }
    assert_int_equal(rb_replay_load(&r, fx->store, "no-such-run", &fx->err), RB_ECORRUPT);
    rb_replay_release(&r);
}

static void many_events(void **state)
{
    struct fixture *fx = *state;
    enum { MANY = 5000 };
    char id[RB_RUN_ID_MAX];
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    for (int i = 0; i < MANY; i++) {
        char key[40];
        snprintf(key, sizeof key, "loop/%d", i);
        fx_append(j, key, i % 2 ? "result" : "intent", i % 2 ? OK_EXEC : INTENT);
    }
    fx_wait_durable(fx, j, MANY + 1);
    rb_journal_close(j);
    struct rb_replay r;
    assert_ok(fx, rb_replay_load(&r, fx->store, id, &fx->err));
    assert_int_equal(r.count, MANY + 1);
    assert_int_equal(r.ordered, MANY / 2);
    assert_int_equal(r.keys.count, MANY);
    int64_t seq = 3;
    for (struct rb_recorded *ev; (ev = rb_replay_peek(&r)); seq += 2) {
        assert_int_equal(ev->seq, seq);
        assert_ptr_equal(rb_replay_key(&r, ev->key)->result, ev);
        rb_replay_claim(&r, ev);
    }
    assert_int_equal(seq, MANY + 3);
    rb_replay_release(&r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        TEST(ordered_kinds),
        TEST(what_is_known_of_a_key),
        TEST(texts_come_back_as_they_were),
        TEST(memos_are_skipped),
        TEST(a_retry_keeps_ranges),
        TEST(a_retry_before_anything_is_done_again),
        TEST(a_retry_after_a_retry),
        TEST(damaged_retries),
        TEST(a_retry_that_is_written),
        TEST(retries_written_and_read),
        TEST(a_gap_is_damage),
        TEST(many_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
