/* The hash chain and its verification, side by side with the second verifier (tests/verify2): both must agree on every
 * journal, sound or damaged. Invariant 6 of host/store/journal.c. */
#include "store_fixture.h"

/* What tests/verify2 says: the number, -1 for sound. */
static int64_t second_opinion(const char *path, const char *id, int64_t head_seq, const char *head)
{
    char command[700], line[400] = "";
    const char *top = getenv("RB_TOP");
    snprintf(command, sizeof(command), "%s/tests/verify2/verify2.py %s %s", top ? top : ".", path, id);
    size_t n = strlen(command);
    if (head)
        snprintf(command + n, sizeof(command) - n, " %lld %s", (long long)head_seq, head);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    if (!fgets(line, sizeof(line), p))
        fail_msg("%s said nothing", command);
    pclose(p);
    if (strncmp(line, "ok ", 3) == 0)
        return -1;
    if (strncmp(line, "bad ", 4) != 0)
        fail_msg("%s said %s", command, line);
    return atoll(line + 4);
}

/* Verifies with both and compares with what is expected: -1 sound, 0 something beside the events, else the first bad
 * event. */
static void expect(struct fixture *fx, const char *id, int64_t bad, const char *what)
{
    struct rb_store *s;
    struct rb_verdict v;
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, false, &s));
    assert_ok(fx, rb_chain_verify(s, id, 0, NULL, &v, &fx->err));
    rb_store_close(s);
    int64_t got = v.ok ? -1 : v.bad_seq;
    if (got != bad)
        fail_msg("expected %lld, got %lld: %s", (long long)bad, (long long)got, v.what);
    if (what)
        assert_has(v.what, what);
    assert_int_equal(second_opinion(fx->path, id, 0, NULL), bad);
}

/* Ten events, a blob at 4, two sources, a computed one at 6. The store is closed after. */
static void make_run(struct fixture *fx, char id[RB_RUN_ID_MAX])
{
    struct rb_run_row row = {.runbook = strdup("promote"), .title = strdup("Promote"), .status = strdup("running")};
    char main_digest[RB_SHA_HEX], lib_digest[RB_SHA_HEX], blob_digest[RB_SHA_HEX], data[900];
    fx_open(fx);
    rb_run_id_new(row.id);
    struct rb_journal *j = rb_journal_new(fx->store, row.id);
    rb_journal_source(j, "promote.lua", "return 1", 8, main_digest);
    rb_journal_source(j, "lib/a.lua", "return 2", 8, lib_digest);
    snprintf(
        data, sizeof(data),
        "{\"status\":\"running\",\"runbook\":\"promote\",\"title\":\"Promote\",\"source\":\"%s\",\"params\":{\"n\":1},"
        "\"sources\":[{\"name\":\"promote.lua\",\"digest\":\"%s\"},{\"name\":\"lib/a.lua\",\"digest\":\"%s\"}]}",
        main_digest, main_digest, lib_digest);
    fx_append(j, "", "run.start", data);
    assert_ok(fx, rb_journal_create(j, &row, &fx->err));
    memcpy(id, row.id, RB_RUN_ID_MAX);
    fx_append(j, "a/1", "intent", "{\"op\":\"exec\",\"args\":[\"\\u0000\\\"x\"]}");
    fx_append(j, "a/1", "note", "{\"text\":\"gr\xc3\xbc\xc3\x9f\",\"float\":1.0,\"nil\":null}");
    rb_journal_blob(j, "output", 6, blob_digest);
    snprintf(data, sizeof(data),
             "{\"op\":\"exec\",\"n\":2,\"value\":{\"list\":[{\"out\":{\"$blob\":\"%s\",\"size\":6}}]}}", blob_digest);
    fx_append(j, "a/1", "result", data);
    fx_append(j, "a\\/b/2", "note", "{}");
    rb_journal_source(j, "lib/b.lua", "return 3", 8, lib_digest);
    snprintf(data, sizeof(data), "{\"name\":\"lib/b.lua\",\"digest\":\"%s\"}", lib_digest);
    fx_append(j, "", "source", data);
    for (int i = 7; i < 10; i++)
        fx_append(j, "", "note", "{\"text\":\"same\"}");
    rb_journal_row(j, "succeeded", NULL, NULL, 99, 0);
    fx_append(j, "", "run.end", "{\"status\":\"succeeded\"}");
    fx_wait_durable(fx, j, 10);
    rb_journal_close(j);
    rb_run_row_release(&row);
    rb_store_close(fx->store);
    fx->store = NULL;
}

static void test_known_bytes(void **state)
{
    (void)state;
    /* From docs/journal.md by hand: 32 zero bytes, then (length, bytes) of r, 1, 2, k, note, {}. */
    static const uint8_t bytes[] = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                   "\0\0\0\0\0\0\0\1r\0\0\0\0\0\0\0\0011\0\0\0\0\0\0\0\0012\0\0\0\0\0\0\0\1k\0\0\0\0\0"
                                   "\0\0\4note\0\0\0\0\0\0\0\2{}";
    uint8_t previous[RB_SHA_LEN] = {0}, want[RB_SHA_LEN];
    struct rb_event ev = {.seq = 1, .at = 2, .key = "k", .kind = "note", .data = "{}", .data_len = 2};
    rb_sha(bytes, sizeof(bytes) - 1, want);
    rb_chain_hash(previous, "r", &ev);
    assert_memory_equal(ev.hash, want, RB_SHA_LEN);
}

static void test_sound(void **state)
{
    char id[RB_RUN_ID_MAX];
    make_run(*state, id);
    expect(*state, id, -1, NULL);
}

/* Everything that somebody with the sqlite3 command can do to one run, and what is said of it. */
static void test_tampering(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        const char *sql;
        int64_t bad;
        const char *what;
    } cases[] = {
        {"UPDATE events SET data = replace(data, '\"n\":1', '\"n\":2') WHERE seq = 1", 1, "event 1 (run.start"},
        {"UPDATE events SET data = '{\"text\":\"other\"}' WHERE seq = 8", 8, "event 8"},
        {"UPDATE events SET data = data || ' ' WHERE seq = 5", 5, "event 5"},
        {"UPDATE events SET at = at + 1 WHERE seq = 3", 3, "event 3"},
        {"UPDATE events SET key = 'b' WHERE seq = 2", 2, "event 2"},
        {"UPDATE events SET key = key || char(0) || 'x' WHERE seq = 2", 2, "NUL"},
        {"UPDATE events SET kind = 'evidence' WHERE seq = 9", 9, "event 9"},
        {"UPDATE events SET hash = zeroblob(32) WHERE seq = 7", 7, "event 7"},
        {"UPDATE events SET hash = x'00' WHERE seq = 10", 10, "event 10"},
        {"DELETE FROM events WHERE seq = 1", 1, "event 1 is missing"},
        {"DELETE FROM events WHERE seq = 5", 5, "event 5 is missing"},
        {"DELETE FROM events WHERE seq >= 8", 8, "cut off"},
        {"DELETE FROM events", 1, "cut off"},
        {"UPDATE events SET seq = 99 WHERE seq = 3; UPDATE events SET seq = 3 WHERE seq = 5; UPDATE events SET seq = 5 "
         "WHERE seq = 99",
         3, "event 3"},
        /* the two that differ in nothing but number and time */
        {"UPDATE events SET seq = 99 WHERE seq = 7; UPDATE events SET seq = 7 WHERE seq = 8; UPDATE events SET seq = 8 "
         "WHERE seq = 99",
         7, "event 7"},
        {"INSERT INTO events SELECT run, 11, at, key, kind, data, hash FROM events WHERE seq = 10", 11, "event 11"},
        {"UPDATE runs SET status = 'failed'", 0, "succeeded"},
        {"UPDATE runs SET seq = 9", 0, "9 events, and there are 10"},
        {"UPDATE runs SET seq = 11", 11, "cut off"},
        {"UPDATE runs SET head = zeroblob(32)", 0, "head"},
        {"UPDATE runs SET runbook = 'other'", 0, "runbook"},
        {"UPDATE runs SET title = NULL", 0, "title"},
        {"UPDATE blobs SET data = CAST('outpux' AS BLOB) WHERE data = CAST('output' AS BLOB)", 0,
         "event 4 names, was changed"},
        {"DELETE FROM blobs WHERE data = CAST('output' AS BLOB)", 0, "event 4 names, is missing"},
        {"UPDATE blobs SET data = CAST('return 9' AS BLOB) WHERE data = CAST('return 1' AS BLOB)", 0, "event 1 names"},
        {"UPDATE blobs SET data = CAST('return 9' AS BLOB) WHERE data = CAST('return 2' AS BLOB)", 0, "lib/a.lua"},
        {"UPDATE blobs SET data = CAST('return 9' AS BLOB) WHERE data = CAST('return 3' AS BLOB)", 0, "lib/b.lua"},
        {"DELETE FROM sources WHERE name = 'lib/a.lua'", 0, "lib/a.lua"},
        {"UPDATE sources SET name = 'lib/c.lua' WHERE name = 'lib/b.lua'", 0, "lib/c.lua"},
        {"UPDATE sources SET digest = (SELECT digest FROM sources WHERE name = 'lib/b.lua') WHERE name = 'lib/a.lua'",
         0, "lib/a.lua"},
        /* an edit and a cut: the first bad event counts, not what is found first */
        {"UPDATE blobs SET data = x'' WHERE data = CAST('output' AS BLOB); DELETE FROM events WHERE seq = 9", 9,
         "event 9 is missing"},
    };
    char id[RB_RUN_ID_MAX], copy[160];
    make_run(fx, id);
    snprintf(copy, sizeof(copy), "%s/good.db", fx->dir);
    fx_sql(fx->path, "PRAGMA wal_checkpoint(TRUNCATE)");
    char vacuum[220];
    snprintf(vacuum, sizeof(vacuum), "VACUUM INTO '%s'", copy);
    fx_sql(fx->path, vacuum);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(fx->path, sizeof(fx->path), "%s/case%zu.db", fx->dir, i);
        snprintf(vacuum, sizeof(vacuum), "VACUUM INTO '%s'", fx->path);
        fx_sql(copy, vacuum);
        fx_sql(fx->path, cases[i].sql);
        expect(fx, id, cases[i].bad, cases[i].what);
    }
}

/* A tail that is cut off together with the row can only be seen against a head that was kept elsewhere. */
static void test_heads(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], hex[RB_SHA_HEX];
    struct rb_store *s;
    struct rb_verdict v;
    make_run(fx, id);
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, false, &s));
    assert_ok(fx, rb_chain_verify(s, id, 0, NULL, &v, &fx->err));
    uint8_t head[RB_SHA_LEN];
    memcpy(head, v.head, RB_SHA_LEN);
    rb_sha_hex(head, hex);
    assert_ok(fx, rb_chain_verify(s, id, 10, head, &v, &fx->err));
    assert_true(v.ok);
    assert_int_equal(second_opinion(fx->path, id, 10, hex), -1);
    assert_ok(fx, rb_chain_verify(s, id, 9, head, &v, &fx->err));
    assert_false(v.ok);
    assert_int_equal(v.bad_seq, 0);
    assert_int_equal(second_opinion(fx->path, id, 9, hex), 0);
    rb_store_close(s);

    fx_sql(fx->path, "DELETE FROM events WHERE seq > 4;"
                     "UPDATE runs SET seq = 4, status = 'running', head = (SELECT hash FROM events WHERE seq = 4);"
                     "DELETE FROM sources WHERE name = 'lib/b.lua'");
    expect(fx, id, -1, NULL); /* the limit of what a chain can show */
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, false, &s));
    assert_ok(fx, rb_chain_verify(s, id, 10, head, &v, &fx->err));
    assert_false(v.ok);
    assert_int_equal(v.bad_seq, 5);
    assert_has(v.what, "cut off");
    assert_int_equal(second_opinion(fx->path, id, 10, hex), 5);
    rb_store_close(s);
}

static void test_unknown_run(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX];
    struct rb_store *s;
    struct rb_verdict v;
    make_run(fx, id);
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, false, &s));
    assert_int_equal(rb_chain_verify(s, "nosuchrun", 0, NULL, &v, &fx->err), RB_ENOENT);
    rb_store_close(s);
    fx_sql(fx->path, "DELETE FROM runs");
    assert_ok(fx, fx_open_at(fx, NULL, fx->path, false, &s));
    assert_int_equal(rb_store_check(s, &fx->err), RB_ECORRUPT);
    assert_has(fx->err.msg, "row is missing");
    rb_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_bytes),
        cmocka_unit_test_setup_teardown(test_sound, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_tampering, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_heads, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_unknown_run, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
