/* Owns the uv loop: its turns, its signals, its beginning and its end. Knows nothing of what runs on it. */
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

static void run_turns(uv_prepare_t *h)
{
    struct rb_loop *loop = h->data;

    /* Before the hooks: what they ask for belongs to the next turn. */
    if (loop->again) {
        loop->again = false;
        uv_idle_stop(&loop->idle);
    }

    /* Hooks come and go while they run, so each is taken from a list of its own and put back first. */
    struct rb_list todo;
    rb_list_init(&todo);
    for (struct rb_list *l = rb_list_pop(&loop->turns); l; l = rb_list_pop(&loop->turns))
        rb_list_push(&todo, l);
    for (struct rb_list *l = rb_list_pop(&todo); l; l = rb_list_pop(&todo)) {
        rb_list_push(&loop->turns, l);
        struct rb_turn *t = RB_CONTAINER(l, struct rb_turn, link);
        t->run(t);
    }
}

static void on_idle(uv_idle_t *h)
{
    (void)h; /* an active idle handle keeps poll from blocking; that is all it is for */
}

static int prepare_process(struct rb_err *err)
{
    struct sigaction sa = {.sa_handler = SIG_IGN};
    sigemptyset(&sa.sa_mask);
    if (sigaction(SIGPIPE, &sa, NULL))
        return rb_err_set(err, RB_EIO, "can not ignore SIGPIPE");
    sa.sa_handler = SIG_DFL;
    if (sigaction(SIGCHLD, &sa, NULL))
        return rb_err_set(err, RB_EIO, "can not reset SIGCHLD");
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0)
            return rb_err_sys(err, RB_EIO, errno, "descriptor %d is closed, and /dev/null does not open", fd);
    /* Four threads, libuv's default, are soon all waiting for slow name servers. */
    setenv("UV_THREADPOOL_SIZE", "16", 0);
    return RB_OK;
}

int rb_loop_init(struct rb_loop *loop, struct rb_err *err)
{
    *loop = (struct rb_loop){0};
    rb_list_init(&loop->turns);
    rb_list_init(&loop->signals);
    rb_list_init(&loop->guests);
    int rc = prepare_process(err);
    if (rc)
        return rc;
    rc = uv_loop_init(&loop->uv);
    if (rc)
        return rb_err_set(err, RB_EIO, "can not start the event loop: %s", uv_strerror(rc));
    uv_prepare_init(&loop->uv, &loop->prepare);
    loop->prepare.data = loop;
    uv_prepare_start(&loop->prepare, run_turns); /* also keeps uv_run() from returning when nothing else is active */
    uv_idle_init(&loop->uv, &loop->idle);
    return RB_OK;
}

void rb_loop_run(struct rb_loop *loop)
{
    loop->running = true;
    while (!loop->stopped)
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop->running = loop->stopped = false;
}

void rb_loop_stop(struct rb_loop *loop)
{
    loop->stopped = true;
    uv_stop(&loop->uv);
}

void rb_loop_again(struct rb_loop *loop)
{
    if (loop->again || loop->released)
        return;
    loop->again = true;
    uv_idle_start(&loop->idle, on_idle);
}

void rb_loop_turn_add(struct rb_loop *loop, struct rb_turn *t)
{
    rb_list_push(&loop->turns, &t->link);
}

void rb_loop_turn_remove(struct rb_loop *loop, struct rb_turn *t)
{
    (void)loop;
    rb_list_remove(&t->link);
}

static void on_uv_signal(uv_signal_t *h, int signum)
{
    struct rb_signal *s = h->data;
    s->on_signal(s, signum);
}

int rb_loop_signal_add(struct rb_loop *loop, struct rb_signal *s, int signum, struct rb_err *err)
{
    rb_list_init(&s->link);
    int rc = uv_signal_init(&loop->uv, &s->handle);
    if (rc == 0) {
        s->handle.data = s;
        rb_list_push(&loop->signals, &s->link);
        rc = uv_signal_start(&s->handle, on_uv_signal, signum);
        if (rc)
            rb_loop_signal_remove(loop, s);
    }
    return rc ? rb_err_set(err, RB_EIO, "can not watch signal %d: %s", signum, uv_strerror(rc)) : RB_OK;
}

void rb_loop_signal_remove(struct rb_loop *loop, struct rb_signal *s)
{
    (void)loop;
    rb_list_remove(&s->link);
    if (!uv_is_closing((uv_handle_t *)&s->handle))
        uv_close((uv_handle_t *)&s->handle, NULL);
}

struct rb_loop_guest *rb_loop_guest_find(const struct rb_loop *loop, void (*release)(struct rb_loop_guest *g))
{
    RB_LIST_EACH (it, &loop->guests) {
        struct rb_loop_guest *g = RB_CONTAINER(it, struct rb_loop_guest, link);
        if (g->release == release)
            return g;
    }
    return NULL;
}

void rb_loop_guest_add(struct rb_loop *loop, struct rb_loop_guest *g)
{
    rb_list_push(&loop->guests, &g->link);
}

static void count_open(uv_handle_t *h, void *arg)
{
    if (uv_is_closing(h))
        return;
    ++*(int *)arg;
    uv_unref(h); /* what was left open must not keep the last uv_run() waiting for ever */
}

int rb_loop_release(struct rb_loop *loop)
{
    loop->released = true;
    while (!rb_list_empty(&loop->guests)) {
        struct rb_loop_guest *g = RB_CONTAINER(loop->guests.prev, struct rb_loop_guest, link);
        rb_list_remove(&g->link);
        g->release(g);
    }
    if (loop->timers) {
        loop->timers->release(loop->timers);
        loop->timers = NULL;
    }
    while (!rb_list_empty(&loop->signals))
        rb_loop_signal_remove(loop, RB_CONTAINER(loop->signals.next, struct rb_signal, link));
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);

    int left = 0;
    uv_walk(&loop->uv, count_open, &left);
    uv_run(&loop->uv, UV_RUN_NOWAIT); /* an earlier uv_stop() would end the next run before it began */
    uv_run(&loop->uv, UV_RUN_DEFAULT);

    /* Again: the end of work on the pool may have closed a handle, or opened one. */
    left = 0;
    uv_walk(&loop->uv, count_open, &left);
    if (left == 0 && uv_loop_close(&loop->uv))
        rb_die("the event loop did not close though nothing is open");
    return left;
}
