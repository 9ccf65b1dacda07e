/* Deadlines: their order, their cost in descriptors, and what may be done from within a call. */
#include "base/clock.h"
#include "io/timer.h"
#include "loop_fixture.h"

#define MANY 10000

struct item {
    struct rb_timer timer;
    int calls;
    int rank; /* the how-manieth call of all it was */
    struct item *other;
};

static int calls, stop_after;

static int setup(void **state)
{
    calls = 0;
    return loop_setup(state);
}

static void on_time(struct rb_timer *t)
{
    struct item *it = RB_CONTAINER(t, struct item, timer);
    assert_false(rb_timer_armed(t));
    assert_true(rb_clock_boot() >= t->at);
    it->calls++;
    it->rank = ++calls;
    if (calls == stop_after)
        rb_loop_stop(&loop);
}

static void on_free(struct rb_timer *t)
{
    free(RB_CONTAINER(t, struct item, timer));
    rb_loop_stop(&loop);
}

static void on_disarm_other(struct rb_timer *t)
{
    struct item *it = RB_CONTAINER(t, struct item, timer);
    assert_true(rb_timer_armed(&it->other->timer)); /* due as well, and not called yet */
    rb_timer_disarm(&it->other->timer);
    assert_false(rb_timer_armed(&it->other->timer));
    it->calls++;
    rb_loop_stop(&loop);
}

static void on_arm_again(struct rb_timer *t)
{
    struct item *it = RB_CONTAINER(t, struct item, timer);
    if (++it->calls < 5)
        rb_timer_arm(t, 0); /* long past: its turn is after the other's */
    else
        rb_loop_stop(&loop);
}

static void test_order_is_by_time_then_by_arming(void **state)
{
    (void)state;
    struct item a = {0}, b = {0}, c = {0}, d = {0};
    int64_t at = rb_clock_boot() + 20000;
    rb_timer_init(&a.timer, &loop, on_time);
    rb_timer_init(&b.timer, &loop, on_time);
    rb_timer_init(&c.timer, &loop, on_time);
    rb_timer_init(&d.timer, &loop, on_time);
    rb_timer_arm(&a.timer, at + 1);
    rb_timer_arm(&b.timer, at);
    rb_timer_arm(&c.timer, at);
    rb_timer_arm(&d.timer, at - 1);
    rb_timer_arm(&b.timer, at); /* anew: now behind c */
    assert_int_equal(calls, 0);
    stop_after = 4;
    rb_loop_run(&loop);
    assert_int_equal(d.rank, 1);
    assert_int_equal(c.rank, 2);
    assert_int_equal(b.rank, 3);
    assert_int_equal(a.rank, 4);
}

static void test_past_times_fire_but_not_at_once(void **state)
{
    (void)state;
    struct item a = {0}, b = {0}, c = {0};
    rb_timer_init(&a.timer, &loop, on_time);
    rb_timer_init(&b.timer, &loop, on_time);
    rb_timer_init(&c.timer, &loop, on_time);
    rb_timer_arm(&a.timer, 0);
    rb_timer_arm(&b.timer, INT64_MIN);
    rb_timer_arm_ms(&c.timer, 0);
    assert_int_equal(calls, 0);
    stop_after = 3;
    rb_loop_run(&loop);
    assert_int_equal(b.rank, 1);
    assert_int_equal(a.rank, 2);
    assert_int_equal(c.rank, 3);
}

static void test_endless_span_never_fires(void **state)
{
    (void)state;
    struct item a = {0}, b = {0};
    rb_timer_init(&a.timer, &loop, on_time);
    rb_timer_init(&b.timer, &loop, on_time);
    rb_timer_arm_ms(&a.timer, UINT64_MAX);
    rb_timer_arm_ms(&b.timer, 1);
    stop_after = 1;
    rb_loop_run(&loop);
    assert_int_equal(a.calls, 0);
    assert_int_equal(b.calls, 1);
    assert_true(rb_timer_armed(&a.timer));
    rb_timer_disarm(&a.timer);
    rb_timer_disarm(&a.timer);
    assert_false(rb_timer_armed(&a.timer));
}

static void test_never_initialised(void **state)
{
    (void)state;
    struct rb_timer t = {0};
    assert_false(rb_timer_armed(&t));
    rb_timer_disarm(&t);
    assert_false(rb_timer_armed(&t));
}

static void test_freed_in_its_own_call(void **state)
{
    (void)state;
    struct item *it = calloc(1, sizeof(*it));
    rb_timer_init(&it->timer, &loop, on_free);
    rb_timer_arm_ms(&it->timer, 1);
    rb_loop_run(&loop);
}

static void test_disarmed_by_another_that_is_due(void **state)
{
    (void)state;
    struct item a = {0}, b = {.other = &a};
    rb_timer_init(&a.timer, &loop, on_time);
    rb_timer_init(&b.timer, &loop, on_disarm_other);
    rb_timer_arm(&b.timer, 1);
    rb_timer_arm(&a.timer, 2);
    rb_loop_run(&loop);
    assert_int_equal(b.calls, 1);
    assert_int_equal(a.calls, 0);
}

static void test_armed_again_lets_others_through(void **state)
{
    (void)state;
    struct item a = {0}, b = {0};
    rb_timer_init(&a.timer, &loop, on_arm_again);
    rb_timer_init(&b.timer, &loop, on_time);
    rb_timer_arm(&a.timer, 0);
    rb_timer_arm(&b.timer, 1);
    stop_after = -1;
    rb_loop_run(&loop);
    assert_int_equal(a.calls, 5);
    assert_int_equal(b.calls, 1);
}

/* Every third is taken away, every fifth armed anew for another time; the rest comes in order, on one descriptor. */
static void test_many(void **state)
{
    (void)state;
    struct item *all = calloc(MANY, sizeof(*all));
    int64_t base = rb_clock_boot();
    uint32_t random = 12345;
    int left = 0;
    for (int i = 0; i < MANY; i++) {
        random = random * 1664525u + 1013904223u;
        rb_timer_init(&all[i].timer, &loop, on_time);
        rb_timer_arm(&all[i].timer, base + (int64_t)(random >> 8) % 50000);
    }
    int with_timers = count_fds();
    for (int i = 0; i < MANY; i++) {
        random = random * 1664525u + 1013904223u;
        if (i % 5 == 0)
            rb_timer_arm(&all[i].timer, base + (int64_t)(random >> 8) % 50000);
        if (i % 3 == 0)
            rb_timer_disarm(&all[i].timer);
        else
            left++;
    }
    struct item **by_rank = calloc((size_t)left + 1, sizeof(*by_rank));
    stop_after = left;
    rb_loop_run(&loop);
    assert_int_equal(calls, left);
    assert_int_equal(count_fds(), with_timers);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(all[i].calls, i % 3 == 0 ? 0 : 1);
        if (all[i].calls)
            by_rank[all[i].rank] = &all[i];
    }
    int turned = 0; /* two turns of the loop may part what was armed for one time; within a turn order holds */
    for (int i = 2; i <= left; i++)
        if (by_rank[i]->timer.at < by_rank[i - 1]->timer.at)
            turned++;
    assert_int_equal(turned, 0);
    free(by_rank);
    free(all);
}

static void test_released_while_armed(void **state)
{
    (void)state;
    static struct item left[100];
    for (int i = 0; i < 100; i++) {
        rb_timer_init(&left[i].timer, &loop, on_time);
        rb_timer_arm_ms(&left[i].timer, 1000000);
    }
    assert_int_equal(rb_loop_release(&loop), 0);
    for (int i = 0; i < 100; i++) {
        assert_false(rb_timer_armed(&left[i].timer));
        rb_timer_disarm(&left[i].timer); /* of no effect, also after the end */
    }
    struct rb_err err;
    assert_int_equal(rb_loop_init(&loop, &err), RB_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_order_is_by_time_then_by_arming),
        T(test_past_times_fire_but_not_at_once),
        T(test_endless_span_never_fires),
        T(test_freed_in_its_own_call),
        T(test_disarmed_by_another_that_is_due),
        T(test_armed_again_lets_others_through),
        T(test_never_initialised),
        T(test_many),
        T(test_released_while_armed),
    };
    return cmocka_run_group_tests_name("timer", tests, first_loop, NULL);
}
