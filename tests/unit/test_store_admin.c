/* Upkeep of the store: blobs, counts, backup, pruning, export and import (host/store/sqlite_admin.c). */
#include "store_fixture.h"

#include "store/sqlite.h"

static void test_blobs(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], digest[RB_SHA_HEX], empty[RB_SHA_HEX];
    struct rb_buf out;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    rb_journal_blob(j, "a\0b", 3, digest);
    rb_journal_blob(j, "a\0b", 3, digest);
    rb_journal_blob(j, "", 0, empty);
    fx_wait_durable(fx, j, fx_append(j, "", "note", "{}"));
    rb_buf_init(&out, 100);
    assert_ok(fx, rb_store_blob(fx->store, digest, &out, &fx->err));
    assert_int_equal(out.len, 3);
    assert_memory_equal(out.data, "a\0b", 3);
    assert_ok(fx, rb_store_blob(fx->store, empty, &out, &fx->err));
    assert_int_equal(out.len, 3);
    rb_buf_reset(&out);
    out.max = 2;
    assert_int_equal(rb_store_blob(fx->store, digest, &out, &fx->err), RB_ETOOBIG);
    assert_int_equal(rb_store_blob(fx->store, "00", &out, &fx->err), RB_ENOENT);
    char sql[200];
    snprintf(sql, sizeof(sql), "UPDATE blobs SET data = x'61' WHERE digest = '%s'", digest);
    fx_sql(fx->path, sql);
    assert_int_equal(rb_store_blob(fx->store, digest, &out, &fx->err), RB_ECORRUPT);
    rb_buf_release(&out);
    rb_journal_close(j);
}

static void test_stats_and_backup(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], digest[RB_SHA_HEX], to[160];
    struct rb_store_stats st;
    struct rb_store *copy;
    struct rb_verdict v;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id);
    rb_journal_blob(j, "12345", 5, digest);
    fx_wait_durable(fx, j, fx_append(j, "", "note", "{}"));
    assert_ok(fx, rb_store_stats(fx->store, &st, &fx->err));
    assert_int_equal(st.runs, 1);
    assert_int_equal(st.events, 2);
    assert_int_equal(st.blobs, 1);
    assert_int_equal(st.blob_bytes, 5);
    assert_int_equal(st.schema, RB_SCHEMA_VERSION);
    assert_true(st.wal_bytes > 0);
    snprintf(to, sizeof(to), "%s/copy.db", fx->dir);
    assert_ok(fx, rb_store_backup(fx->store, to, &fx->err));
    assert_int_equal(rb_store_backup(fx->store, to, &fx->err), RB_EEXIST);
    assert_int_equal(rb_store_backup(fx->store, "/nonexistent/x.db", &fx->err), RB_ENOENT);
    assert_ok(fx, fx_open_at(fx, NULL, to, false, &copy));
    assert_ok(fx, rb_chain_verify(copy, id, 0, NULL, &v, &fx->err));
    assert_true(v.ok);
    assert_int_equal(v.events, 2);
    assert_ok(fx, rb_store_check(copy, &fx->err));
    rb_store_close(copy);
    rb_journal_close(j);
}

static void test_prune(void **state)
{
    struct fixture *fx = *state;
    char shared[RB_SHA_HEX], own[RB_SHA_HEX];
    int64_t n;
    fx_open(fx);
    const char *statuses[] = {"succeeded", "succeeded", "failed", "running", "waiting", "parked", "cancelled"};
    for (int i = 0; i < 7; i++) {
        struct rb_run_row row = {
            .runbook = strdup("a"), .status = strdup(statuses[i]), .ended = i == 3 || i == 4 || i == 5 ? 0 : 100 + i};
        snprintf(row.id, sizeof(row.id), "run%d", i);
        struct rb_journal *j = rb_journal_new(fx->store, row.id);
        rb_journal_source(j, "a.lua", "shared", 6, shared);
        rb_journal_blob(j, statuses[i], strlen(statuses[i]), own);
        fx_append(j, "", "run.start", "{}");
        assert_ok(fx, rb_journal_create(j, &row, &fx->err));
        rb_journal_close(j);
        rb_run_row_release(&row);
    }
    assert_ok(fx, rb_store_prune(fx->store, 1000, true, false, &n, &fx->err));
    assert_int_equal(n, 0); /* this process holds them all */
    for (int i = 0; i < 7; i++) {
        char id[8];
        snprintf(id, sizeof(id), "run%d", i);
        assert_ok(fx, rb_store_disown_sync(fx->store, id, 1, &fx->err));
    }
    assert_ok(fx, rb_store_prune(fx->store, 101, false, false, &n, &fx->err));
    assert_int_equal(n, 1);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM blobs WHERE data = CAST('succeeded' AS BLOB)"),
                     1); /* run1 has it too */
    assert_ok(fx, rb_store_prune(fx->store, 1000, false, true, &n, &fx->err));
    assert_int_equal(n, 2);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM runs"), 6);
    assert_ok(fx, rb_store_prune(fx->store, 1000, false, false, &n, &fx->err));
    assert_int_equal(n, 2);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM blobs WHERE data = CAST('succeeded' AS BLOB)"), 0);
    assert_ok(fx, rb_store_prune(fx->store, 1000, true, false, &n, &fx->err));
    assert_int_equal(n, 1);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM runs"), 3);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM events"), 3);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM sources"), 3);
    assert_int_equal(fx_number(fx->path, "SELECT count(*) FROM blobs"), 4); /* three of their own and the shared one */
}

static void test_export_import(void **state)
{
    struct fixture *fx = *state;
    char id[RB_RUN_ID_MAX], digest[RB_SHA_HEX], out[160], there[160], back[160];
    struct rb_store *other;
    struct rb_run_row row;
    struct rb_verdict v;
    fx_open(fx);
    struct rb_journal *j = fx_create(fx, fx->store, id), *rest = NULL;
    char bystander[RB_RUN_ID_MAX];
    rest = fx_create(fx, fx->store, bystander);
    rb_journal_blob(j, "out", 3, digest);
    fx_wait_durable(fx, j, fx_append(j, "", "note", "{}"));
    snprintf(out, sizeof(out), "%s/run.rbj", fx->dir);
    snprintf(there, sizeof(there), "%s/there/journal.db", fx->dir);
    snprintf(back, sizeof(back), "%s/back.rbj", fx->dir);
    assert_ok(fx, rb_store_export(fx->store, id, out, &fx->err));
    assert_int_equal(rb_store_export(fx->store, id, out, &fx->err), RB_EEXIST);
    assert_int_equal(rb_store_export(fx->store, "nosuch", back, &fx->err), RB_ENOENT);
    assert_int_equal(access(back, F_OK), -1);
    assert_int_equal(fx_number(out, "SELECT count(*) FROM runs"), 1);

    assert_int_equal(rb_store_import(fx->store, out, &row, &fx->err), RB_EBUSY); /* it is running here */
    assert_ok(fx, fx_open_at(fx, NULL, there, true, &other));
    assert_ok(fx, rb_store_import(other, out, &row, &fx->err));
    assert_string_equal(row.id, id);
    assert_int_equal(row.epoch, 2);
    assert_null(row.owner);
    rb_run_row_release(&row);
    assert_ok(fx, rb_chain_verify(other, id, 0, NULL, &v, &fx->err));
    assert_true(v.ok);

    /* it goes on there, and comes home */
    assert_ok(fx, rb_store_claim_sync(other, id, &row, &fx->err));
    struct rb_batch *b = rb_batch_new(id, row.epoch);
    struct rb_event ev = {.seq = 3, .at = 5, .key = "", .kind = "note", .data = "{}", .data_len = 2};
    rb_chain_hash(row.head, id, &ev);
    rb_batch_event(b, &ev);
    assert_ok(fx, rb_store_append_sync(other, b, &fx->err));
    rb_run_row_release(&row);
    assert_ok(fx, rb_store_export(other, id, back, &fx->err));
    rb_store_close(other);
    assert_ok(fx, rb_store_disown_sync(fx->store, id, 1, &fx->err));
    assert_ok(fx, rb_store_import(fx->store, back, &row, &fx->err));
    assert_int_equal(row.seq, 3);
    assert_int_equal(row.epoch, 4);
    rb_run_row_release(&row);
    assert_ok(fx, rb_chain_verify(fx->store, id, 0, NULL, &v, &fx->err));
    assert_true(v.ok);
    assert_int_equal(v.events, 3);

    assert_int_equal(rb_store_import(fx->store, out, &row, &fx->err), RB_EEXIST); /* older than what is here */
    fx_sql(back, "UPDATE events SET data = '{\"x\":1}' WHERE seq = 2");
    assert_int_equal(rb_store_import(fx->store, back, &row, &fx->err), RB_ECORRUPT);
    assert_has(fx->err.msg, "event 2");
    assert_int_equal(rb_store_import(fx->store, fx->path, &row, &fx->err), RB_EINVAL);
    assert_has(fx->err.msg, "2 runs");
    rb_journal_close(j);
    rb_journal_close(rest);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(test_blobs),
        T(test_stats_and_backup),
        T(test_prune),
        T(test_export_import),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
