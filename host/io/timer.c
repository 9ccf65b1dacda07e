/* Owns the timers of a loop: a heap of deadlines over one timerfd. Knows nothing of who waits.
 *
 * A timerfd and not uv_timer, because uv's clock stands still while the machine is suspended and this one wakes the
 * loop at the right moment after it. The descriptor is set only when the earliest deadline becomes earlier; a deadline
 * that was taken away may wake the loop once for nothing. */
#include "io/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

struct timers {
    struct rb_loop_guest guest;
    uv_poll_t poll;
    int fd;
    struct rb_timer **heap; /* heap[1] is the earliest; 0 is not used, so a place of 0 can mean none */
    size_t count, cap;
    uint64_t order;
    int64_t set; /* what the descriptor is set to, INT64_MAX: nothing */
};

static struct timers *timers_of(const struct rb_loop *loop)
{
    return loop->timers ? RB_CONTAINER(loop->timers, struct timers, guest) : NULL;
}

static bool earlier(const struct rb_timer *a, const struct rb_timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(struct timers *ts, struct rb_timer *t, size_t place)
{
    ts->heap[place] = t;
    t->place = place;
}

static void sift_up(struct timers *ts, struct rb_timer *t, size_t place)
{
    for (; place > 1 && earlier(t, ts->heap[place / 2]); place /= 2)
        put(ts, ts->heap[place / 2], place);
    put(ts, t, place);
}

static void sift_down(struct timers *ts, struct rb_timer *t, size_t place)
{
    for (size_t child = 2 * place; child <= ts->count; child = 2 * place) {
        if (child < ts->count && earlier(ts->heap[child + 1], ts->heap[child]))
            child++;
        if (!earlier(ts->heap[child], t))
            break;
        put(ts, ts->heap[child], place);
        place = child;
    }
    put(ts, t, place);
}

static void insert(struct timers *ts, struct rb_timer *t)
{
    if (ts->count + 1 >= ts->cap) {
        ts->cap = ts->cap ? 2 * ts->cap : 64;
        ts->heap = rb_realloc(ts->heap, ts->cap * sizeof(*ts->heap));
    }
    sift_up(ts, t, ++ts->count);
}

static void take_out(struct timers *ts, struct rb_timer *t)
{
    size_t place = t->place;
    struct rb_timer *last = ts->heap[ts->count--];
    t->place = 0;
    if (last == t)
        return;
    if (place > 1 && earlier(last, ts->heap[place / 2]))
        sift_up(ts, last, place);
    else
        sift_down(ts, last, place);
}

static void set_clock(struct timers *ts)
{
    int64_t at = ts->count ? ts->heap[1]->at : INT64_MAX;
    if (at >= ts->set)
        return;
    ts->set = at;
    struct itimerspec spec = {0};
    if (at < 1)
        at = 1; /* all zero would switch it off */
    spec.it_value.tv_sec = at / 1000000;
    spec.it_value.tv_nsec = at % 1000000 * 1000;
    if (timerfd_settime(ts->fd, TFD_TIMER_ABSTIME, &spec, NULL))
        rb_die("can not set the clock of the timers (errno %d)", errno);
}

static void on_clock(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    struct timers *ts = h->data;
    uint64_t expired;
    ssize_t n = read(ts->fd, &expired, sizeof(expired));
    (void)n; /* it says how often; the heap says what is due */
    ts->set = INT64_MAX;

    /* First all that is due, then the calls: one that is armed again for the past has to wait for its turn, or two such
     * timers would keep the loop here for ever. */
    struct rb_list due;
    rb_list_init(&due);
    int64_t now = rb_clock_boot();
    while (ts->count && ts->heap[1]->at <= now) {
        struct rb_timer *t = ts->heap[1];
        take_out(ts, t);
        rb_list_push(&due, &t->link);
    }
    for (struct rb_list *l = rb_list_pop(&due); l; l = rb_list_pop(&due)) {
        struct rb_timer *t = RB_CONTAINER(l, struct rb_timer, link);
        t->fn(t);
    }
    set_clock(ts);
}

static void on_closed(uv_handle_t *h)
{
    struct timers *ts = h->data;
    free(ts->heap);
    free(ts);
}

static void release(struct rb_loop_guest *g)
{
    struct timers *ts = RB_CONTAINER(g, struct timers, guest);
    while (ts->count)
        take_out(ts, ts->heap[ts->count]);
    uv_close((uv_handle_t *)&ts->poll, on_closed);
    close(ts->fd);
}

int rb_timer_open(struct rb_loop *loop, struct rb_err *err)
{
    if (loop->timers)
        return RB_OK;
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0)
        return rb_err_sys(err, RB_EIO, errno, "can not open a timer");
    struct timers *ts = rb_alloc(sizeof(*ts));
    int rc = uv_poll_init(&loop->uv, &ts->poll, fd);
    if (rc) {
        close(fd);
        free(ts);
        return rb_err_set(err, RB_EIO, "can not watch a timer: %s", uv_strerror(rc));
    }
    ts->guest.release = release;
    ts->fd = fd;
    ts->set = INT64_MAX;
    ts->poll.data = ts;
    uv_poll_start(&ts->poll, UV_READABLE, on_clock);
    loop->timers = &ts->guest;
    return RB_OK;
}

void rb_timer_init(struct rb_timer *t, struct rb_loop *loop, void (*fn)(struct rb_timer *t))
{
    struct rb_err err;
    if (rb_timer_open(loop, &err))
        rb_die("%s; the run can be resumed", err.msg);
    *t = (struct rb_timer){.loop = loop, .fn = fn};
    rb_list_init(&t->link);
}

void rb_timer_arm(struct rb_timer *t, int64_t at_boot_us)
{
    struct timers *ts = timers_of(t->loop);
    if (!ts)
        rb_die("a timer was armed after the loop's end");
    rb_timer_disarm(t);
    t->at = at_boot_us;
    t->order = ts->order++;
    insert(ts, t);
    set_clock(ts);
}

void rb_timer_arm_ms(struct rb_timer *t, uint64_t ms)
{
    int64_t now = rb_clock_boot();
    bool far = ms > (uint64_t)(INT64_MAX - now) / 1000;
    rb_timer_arm(t, far ? INT64_MAX : now + (int64_t)ms * 1000);
}

void rb_timer_disarm(struct rb_timer *t)
{
    if (!t->loop)
        return;
    rb_list_remove(&t->link);
    struct timers *ts = timers_of(t->loop);
    if (t->place && ts)
        take_out(ts, t);
    t->place = 0;
}

bool rb_timer_armed(const struct rb_timer *t)
{
    return t->loop && (t->place || !rb_list_empty(&t->link));
}
