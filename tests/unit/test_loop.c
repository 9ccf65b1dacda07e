/* The loop: turns, waking, signals, the thread pool, and an end that leaves nothing open. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "loop/work.h"
#include "loop_fixture.h"

/* -- turns --------------------------------------------------------------------------------------------------------- */

struct hook {
    struct rb_turn turn;
    int runs, until;
    struct hook *add, *remove;
};

static void on_turn(struct rb_turn *t)
{
    struct hook *h = RB_CONTAINER(t, struct hook, turn);
    h->runs++;
    if (h->add)
        rb_loop_turn_add(&loop, &h->add->turn);
    if (h->remove)
        rb_loop_turn_remove(&loop, &h->remove->turn);
    h->add = h->remove = NULL;
    if (h->runs < h->until)
        rb_loop_again(&loop);
    else if (h->until)
        rb_loop_stop(&loop);
}

static void test_again_runs_the_hooks_without_waiting(void **state)
{
    (void)state;
    struct hook h = {.turn.run = on_turn, .until = 1000};
    rb_loop_turn_add(&loop, &h.turn);
    rb_loop_run(&loop); /* nothing else would ever wake it */
    assert_int_equal(h.runs, 1000);
    rb_loop_turn_remove(&loop, &h.turn);
}

static void on_async_stop(uv_async_t *a)
{
    rb_loop_stop(&loop);
    uv_close((uv_handle_t *)a, NULL);
}

static void *send_async(void *arg)
{
    uv_async_send(arg);
    return NULL;
}

static void on_count(struct rb_turn *t)
{
    struct hook *h = RB_CONTAINER(t, struct hook, turn);
    h->runs++;
}

/* Without rb_loop_again() poll blocks: the hooks run once before it and once after each thing that happens. */
static void test_an_idle_loop_does_not_spin(void **state)
{
    (void)state;
    struct hook h = {.turn.run = on_count};
    uv_async_t async;
    pthread_t thread;
    rb_loop_turn_add(&loop, &h.turn);
    uv_async_init(&loop.uv, &async, on_async_stop);
    rb_loop_again(&loop); /* once is once */
    rb_loop_again(&loop);
    assert_int_equal(pthread_create(&thread, NULL, send_async, &async), 0);
    rb_loop_run(&loop);
    pthread_join(thread, NULL);
    assert_in_range(h.runs, 1, 3);
    rb_loop_turn_remove(&loop, &h.turn);
}

static void test_hooks_come_and_go_in_a_hook(void **state)
{
    (void)state;
    struct hook gone = {.turn.run = on_turn}, late = {.turn.run = on_turn}, self = {.turn.run = on_turn};
    struct hook first = {.turn.run = on_turn, .until = 3, .add = &late, .remove = &gone};
    self.remove = &self;
    rb_loop_turn_add(&loop, &first.turn);
    rb_loop_turn_add(&loop, &gone.turn);
    rb_loop_turn_add(&loop, &self.turn);
    rb_loop_run(&loop);
    assert_int_equal(first.runs, 3);
    assert_int_equal(gone.runs, 0);
    assert_int_equal(self.runs, 1);
    assert_int_equal(late.runs, 2); /* not in the turn that added it */
    rb_loop_turn_remove(&loop, &first.turn);
    rb_loop_turn_remove(&loop, &late.turn);
    rb_loop_turn_remove(&loop, &late.turn); /* once more is harmless */
}

static void test_stop_before_run(void **state)
{
    (void)state;
    struct hook h = {.turn.run = on_turn, .until = 1};
    rb_loop_turn_add(&loop, &h.turn);
    rb_loop_stop(&loop);
    rb_loop_run(&loop);
    assert_int_equal(h.runs, 0);
    rb_loop_run(&loop); /* that stop was used up */
    assert_int_equal(h.runs, 1);
    rb_loop_turn_remove(&loop, &h.turn);
}

/* -- signals ------------------------------------------------------------------------------------------------------- */

struct seen {
    struct rb_signal signal;
    int number, count;
};

static void on_signal(struct rb_signal *s, int signum)
{
    struct seen *seen = RB_CONTAINER(s, struct seen, signal);
    seen->number = signum;
    seen->count++;
    rb_loop_stop(&loop);
}

static void test_signals(void **state)
{
    (void)state;
    struct rb_err err = {0};
    static struct seen usr, hup, bad; /* they must outlive the release */
    usr = hup = bad = (struct seen){.signal.on_signal = on_signal};
    assert_int_equal(rb_loop_signal_add(&loop, &usr.signal, SIGUSR1, &err), RB_OK);
    assert_int_equal(rb_loop_signal_add(&loop, &hup.signal, SIGHUP, &err), RB_OK);
    assert_int_equal(rb_loop_signal_add(&loop, &bad.signal, SIGKILL, &err), RB_EIO);
    assert_string_equal(err.msg, "can not watch signal 9: invalid argument");
    raise(SIGUSR1);
    rb_loop_run(&loop);
    assert_int_equal(usr.number, SIGUSR1);
    assert_int_equal(usr.count, 1);
    rb_loop_signal_remove(&loop, &usr.signal);
    rb_loop_signal_remove(&loop, &usr.signal);
    raise(SIGHUP);
    rb_loop_run(&loop);
    assert_int_equal(hup.count, 1);
    assert_int_equal(usr.count, 1);
    /* hup is left for the release */
}

/* -- the process --------------------------------------------------------------------------------------------------- */

static void handler_of(int signum, struct sigaction *sa)
{
    assert_int_equal(sigaction(signum, NULL, sa), 0);
}

static void test_the_process_is_made_fit(void **state)
{
    (void)state;
    struct rb_loop other;
    struct rb_err err;
    struct sigaction sa;
    int keep[3];
    signal(SIGCHLD, SIG_IGN); /* as `trap '' CHLD` in the shell that starts us */
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; i++) {
        keep[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
        close(i);
    }
    int rc = rb_loop_init(&other, &err);
    char name[3][64] = {"", "", ""};
    for (int i = 0; i < 3; i++) {
        char link[32] = "/proc/self/fd/";
        strcat(link, i == 0 ? "0" : i == 1 ? "1" : "2");
        ssize_t n = readlink(link, name[i], sizeof(name[i]) - 1);
        name[i][n > 0 ? n : 0] = '\0';
        dup2(keep[i], i);
        close(keep[i]);
    }
    assert_int_equal(rc, RB_OK);
    for (int i = 0; i < 3; i++)
        assert_string_equal(name[i], "/dev/null");
    handler_of(SIGCHLD, &sa);
    assert_ptr_equal(sa.sa_handler, SIG_DFL);
    handler_of(SIGPIPE, &sa);
    assert_ptr_equal(sa.sa_handler, SIG_IGN);
    assert_int_equal(rb_loop_release(&other), 0);
}

static void test_pool_size_is_only_a_default(void **state)
{
    (void)state;
    struct rb_loop other;
    struct rb_err err;
    assert_string_equal(getenv("UV_THREADPOOL_SIZE"), "16");
    setenv("UV_THREADPOOL_SIZE", "3", 1);
    assert_int_equal(rb_loop_init(&other, &err), RB_OK);
    assert_string_equal(getenv("UV_THREADPOOL_SIZE"), "3");
    assert_int_equal(rb_loop_release(&other), 0);
    setenv("UV_THREADPOOL_SIZE", "16", 1);
}

/* -- work ---------------------------------------------------------------------------------------------------------- */

struct job {
    struct rb_work work;
    pthread_t thread;
    int runs, done, status;
    int *left;
};

static void job_run(struct rb_work *w)
{
    struct job *j = RB_CONTAINER(w, struct job, work);
    j->thread = pthread_self();
    j->runs++;
}

static void on_job_done(struct rb_work *w, int status)
{
    struct job *j = RB_CONTAINER(w, struct job, work);
    j->done++;
    j->status = status;
    if (--*j->left == 0)
        rb_loop_stop(&loop);
}

static void test_work_runs_elsewhere_and_ends_on_the_loop(void **state)
{
    (void)state;
    enum { N = 100 };
    struct job jobs[N] = {0};
    int left = N;
    for (int i = 0; i < N; i++) {
        jobs[i].work = (struct rb_work){.run = job_run, .on_done = on_job_done};
        jobs[i].left = &left;
        rb_work_start(&loop, &jobs[i].work);
        assert_int_equal(jobs[i].done, 0);
    }
    rb_loop_run(&loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(jobs[i].runs, 1);
        assert_int_equal(jobs[i].done, 1);
        assert_int_equal(jobs[i].status, RB_OK);
        assert_false(pthread_equal(jobs[i].thread, pthread_self()));
    }
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void blocked_run(struct rb_work *w)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    job_run(w);
}

/* All threads wait at the gate, so the last job can not have begun. */
static void test_cancelled_before_it_begins(void **state)
{
    (void)state;
    enum { N = 16 };
    struct job jobs[N] = {0}, last = {0};
    int left = N + 1;
    pthread_mutex_lock(&gate);
    for (int i = 0; i < N; i++) {
        jobs[i].work = (struct rb_work){.run = blocked_run, .on_done = on_job_done};
        jobs[i].left = &left;
        rb_work_start(&loop, &jobs[i].work);
    }
    last.work = (struct rb_work){.run = job_run, .on_done = on_job_done};
    last.left = &left;
    rb_work_start(&loop, &last.work);
    assert_true(rb_work_cancel(&last.work));
    assert_int_equal(last.done, 0);
    pthread_mutex_unlock(&gate);
    rb_loop_run(&loop);
    assert_int_equal(last.done, 1);
    assert_int_equal(last.status, RB_ECANCELED);
    assert_int_equal(last.runs, 0);
    assert_false(rb_work_cancel(&jobs[0].work));
}

/* -- the end ------------------------------------------------------------------------------------------------------- */

static void test_release_counts_what_was_left_open(void **state)
{
    (void)state;
    struct rb_loop *other = calloc(1, sizeof(*other));
    struct rb_err err;
    uv_timer_t forgotten;
    uv_async_t too;
    assert_int_equal(rb_loop_init(other, &err), RB_OK);
    uv_timer_init(&other->uv, &forgotten);
    uv_async_init(&other->uv, &too, NULL);
    uv_timer_start(&forgotten, (uv_timer_cb)on_async_stop, 1000000, 0);
    assert_int_equal(rb_loop_release(other), 2);
    uv_close((uv_handle_t *)&forgotten, NULL);
    uv_close((uv_handle_t *)&too, NULL);
    uv_run(&other->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&other->uv), 0);
    free(other);
}

static int closed;

static void on_closed(uv_handle_t *h)
{
    closed++;
    free(h);
}

static void test_release_runs_close_callbacks_and_waits_for_work(void **state)
{
    (void)state;
    struct rb_loop other;
    struct rb_err err;
    struct job job = {.work = {.run = job_run, .on_done = on_job_done}};
    int left = 2; /* never 0: nobody stops the other loop */
    job.left = &left;
    closed = 0;
    assert_int_equal(rb_loop_init(&other, &err), RB_OK);
    uv_timer_t *t = malloc(sizeof(*t));
    uv_timer_init(&other.uv, t);
    uv_close((uv_handle_t *)t, on_closed);
    rb_work_start(&other, &job.work);
    rb_loop_again(&other);
    rb_loop_stop(&other); /* as after a real run */
    assert_int_equal(rb_loop_release(&other), 0);
    assert_int_equal(closed, 1);
    assert_int_equal(job.done, 1);
    rb_loop_again(&other); /* a late waker does no harm */
}

#define T(name) T_LOOP(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_again_runs_the_hooks_without_waiting),
        T(test_an_idle_loop_does_not_spin),
        T(test_hooks_come_and_go_in_a_hook),
        T(test_stop_before_run),
        T(test_signals),
        T(test_the_process_is_made_fit),
        T(test_pool_size_is_only_a_default),
        T(test_work_runs_elsewhere_and_ends_on_the_loop),
        T(test_cancelled_before_it_begins),
        T(test_release_counts_what_was_left_open),
        T(test_release_runs_close_callbacks_and_waits_for_work),
    };
    unsetenv("UV_THREADPOOL_SIZE");
    return cmocka_run_group_tests_name("loop", tests, first_loop, NULL);
}
