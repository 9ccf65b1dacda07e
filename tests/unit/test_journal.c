/* The journal of one run: order, durability, creation, failure (host/store/journal.c). */
#include "store_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_append_durable, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
