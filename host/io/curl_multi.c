/* Owns libcurl's multi handle on the loop: its sockets, its one timer, the news of ended transfers. Knows no protocol.
 *
 * - libcurl calls on_socket and on_timer while it is in one of its own functions, where it must not be called again:
 *   they only note, and the call into libcurl comes from the loop (a poll, a timer, the turn hook).
 * - A timer of 0 is a turn of the loop, not a timer: every transfer begins with one.
 * - A socket may be gone already when we hear of it (curl#14976): that is told to libcurl as an error on the socket.
 *   One that is there and was reset is not: see on_trouble().
 * - One uv_poll_t for each socket, on the heap, freed in its close callback. A connection that is kept stays watched as
 *   it was, so that the next request on it costs no system call; libcurl opens and closes its sockets through us, which
 *   is how a descriptor is never watched on when it is somebody else's.
 * - curl_multi_cleanup() calls both callbacks once more: `closing` lets them pass by. */
#include "io/curl_multi.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/timer.h"

#define CONNECTIONS_KEPT 64L
#define TROUBLES_MAX 10000 /* each reads something, or is the last */

struct rb_curl_multi {
    struct rb_loop_guest guest;
    struct rb_loop *loop;
    const struct rb_curl_api *api;
    CURLM *multi;
    struct rb_timer timer;
    struct rb_turn turn;
    struct rb_list sockets; /* struct watch */
    struct rb_list kept;    /* struct watch: open, and no transfer uses it */
    struct rb_list gone;    /* struct watch: libcurl has to hear that the socket is no more */
    bool kick;              /* libcurl wants to be called at once */
    bool look;              /* transfers may have ended */
    bool closing;
};

/* One socket of libcurl's. */
struct watch {
    uv_poll_t poll;
    struct rb_list link;
    struct rb_curl_multi *m;
    curl_socket_t fd;
    int events;   /* that are polled for */
    bool open;    /* poll was initialised */
    bool ours;    /* on_open() has made the socket: on_close() will be called */
    int troubles; /* how often the socket had an error */
};

/* -- ended transfers ----------------------------------------------------------------------------------------------- */

static void tell_ended(struct rb_curl_multi *m)
{
    CURLMsg *message;
    int left;
    while ((message = m->api->multi_info_read(m->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct rb_curl_transfer *t = NULL;
        CURLcode code = message->data.result;
        m->api->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        rb_curl_multi_remove(m, t); /* the message is void after this */
        t->on_done(t, code);
    }
}

static void act(struct rb_curl_multi *m, curl_socket_t fd, int events)
{
    int running;
    m->api->multi_socket_action(m->multi, fd, events, &running);
    tell_ended(m);
}

/* -- sockets ------------------------------------------------------------------------------------------------------- */

static void on_watch_closed(uv_handle_t *h)
{
    free(RB_CONTAINER(h, struct watch, poll));
}

static void unwatch(struct watch *w)
{
    rb_list_remove(&w->link);
    if (w->open)
        uv_close((uv_handle_t *)&w->poll, on_watch_closed); /* forgets the descriptor at once */
    else
        free(w);
}

static void on_poll(uv_poll_t *h, int status, int events);

static bool is_there(const struct rb_curl_multi *m, const struct watch *w)
{
    for (const struct rb_list *l = m->sockets.next; l != &m->sockets; l = l->next)
        if (l == &w->link)
            return true;
    return false;
}

/* libuv says EBADF of a socket with an error, which a connection has that was reset, and watches it no more. But what
 * came before the reset can still be read, and libcurl sees by itself what it was: on a kept connection that the server
 * has closed meanwhile it asks on a new one. Told of an error, it would read nothing and give up. */
static void on_trouble(struct watch *w, int polled)
{
    struct rb_curl_multi *m = w->m;
    bool read = ++w->troubles < TROUBLES_MAX && fcntl(w->fd, F_GETFD) >= 0;
    act(m, w->fd, read ? CURL_CSELECT_IN : CURL_CSELECT_ERR);
    if (!read || !is_there(m, w) || uv_is_active((uv_handle_t *)&w->poll))
        return;
    if (fcntl(w->fd, F_GETFD) < 0)
        act(m, w->fd, CURL_CSELECT_ERR);
    else if (uv_poll_start(&w->poll, polled, on_poll) == 0)
        w->events = polled;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct watch *w = RB_CONTAINER(h, struct watch, poll);
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    int polled = w->events;
    if (status < 0)
        w->events = 0; /* libuv has stopped */
    if (!uv_has_ref((uv_handle_t *)h)) {
        uv_poll_stop(h); /* the server has left a kept connection: libcurl looks itself before it takes one */
        w->events = 0;
    } else if (status < 0) {
        on_trouble(w, polled);
    } else {
        act(w->m, w->fd, flags); /* w may be gone now */
    }
}

static void wake(struct rb_curl_multi *m)
{
    rb_loop_again(m->loop);
}

static struct watch *watch(struct rb_curl_multi *m, curl_socket_t fd)
{
    struct watch *w = rb_alloc(sizeof(*w));
    w->m = m;
    w->fd = fd;
    w->open = uv_poll_init(&m->loop->uv, &w->poll, fd) == 0;
    rb_list_push(w->open ? &m->sockets : &m->gone, &w->link);
    if (!w->open)
        wake(m);
    return w;
}

static struct watch *find(struct rb_list *list, curl_socket_t fd)
{
    RB_LIST_EACH (it, list) {
        struct watch *w = RB_CONTAINER(it, struct watch, link);
        if (w->fd == fd)
            return w;
    }
    return NULL;
}

static void keep(struct watch *w)
{
    rb_list_remove(&w->link);
    rb_list_push(&w->m->kept, &w->link);
    uv_unref((uv_handle_t *)&w->poll);
}

static struct watch *use_again(struct rb_curl_multi *m, curl_socket_t fd)
{
    struct watch *w = find(&m->kept, fd);
    if (!w)
        return NULL;
    rb_list_remove(&w->link);
    rb_list_push(&m->sockets, &w->link);
    uv_ref((uv_handle_t *)&w->poll);
    w->troubles = 0;
    return w;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    (void)easy;
    struct rb_curl_multi *m = arg;
    struct watch *w = known;
    if (m->closing)
        return 0;
    if (what == CURL_POLL_REMOVE) {
        if (w && w->open && w->ours)
            keep(w);
        else if (w)
            unwatch(w);
        return 0;
    }
    if (!w) {
        w = use_again(m, fd);
        w = w ? w : watch(m, fd);
        m->api->multi_assign(m->multi, fd, w);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (w->open && events != w->events && uv_poll_start(&w->poll, events, on_poll) == 0)
        w->events = events;
    return 0;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct rb_curl_multi *m = arg;
    (void)purpose;
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    struct watch *w = watch(m, fd);
    w->ours = true;
    if (w->open)
        keep(w); /* until libcurl says what it waits for */
    else
        unwatch(w);
    return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
    struct rb_curl_multi *m = arg;
    struct watch *w = find(&m->kept, fd);
    w = w ? w : find(&m->sockets, fd);
    w = w ? w : find(&m->gone, fd);
    if (w)
        unwatch(w);
    return close(fd);
}

/* -- time ---------------------------------------------------------------------------------------------------------- */

static int on_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct rb_curl_multi *m = arg;
    if (m->closing)
        return 0;
    rb_timer_disarm(&m->timer);
    m->kick = ms == 0;
    if (m->kick)
        wake(m);
    else if (ms > 0)
        rb_timer_arm_ms(&m->timer, (uint64_t)ms);
    return 0;
}

static void on_time(struct rb_timer *t)
{
    act(RB_CONTAINER(t, struct rb_curl_multi, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_turn(struct rb_turn *t)
{
    struct rb_curl_multi *m = RB_CONTAINER(t, struct rb_curl_multi, turn);
    struct rb_list gone;
    rb_list_init(&gone);
    for (struct rb_list *l = rb_list_pop(&m->gone); l; l = rb_list_pop(&m->gone))
        rb_list_push(&gone, l);
    for (struct rb_list *l = rb_list_pop(&gone); l; l = rb_list_pop(&gone)) {
        struct watch *w = RB_CONTAINER(l, struct watch, link);
        rb_list_push(&m->sockets, l); /* until libcurl says REMOVE */
        act(m, w->fd, CURL_CSELECT_ERR);
    }
    if (m->kick) {
        m->kick = false;
        act(m, CURL_SOCKET_TIMEOUT, 0);
    }
    if (m->look) {
        m->look = false;
        tell_ended(m);
    }
}

/* -- the handle ---------------------------------------------------------------------------------------------------- */

static void release(struct rb_loop_guest *g)
{
    struct rb_curl_multi *m = RB_CONTAINER(g, struct rb_curl_multi, guest);
    m->closing = true;
    while (!rb_list_empty(&m->sockets))
        unwatch(RB_CONTAINER(m->sockets.next, struct watch, link));
    while (!rb_list_empty(&m->kept))
        unwatch(RB_CONTAINER(m->kept.next, struct watch, link));
    while (!rb_list_empty(&m->gone))
        unwatch(RB_CONTAINER(m->gone.next, struct watch, link));
    rb_timer_disarm(&m->timer);
    rb_loop_turn_remove(m->loop, &m->turn);
    m->api->multi_cleanup(m->multi);
    free(m);
}

int rb_curl_multi_open(struct rb_loop *loop, struct rb_curl_multi **out, struct rb_err *err)
{
    struct rb_loop_guest *g = rb_loop_guest_find(loop, release);
    if (g) {
        *out = RB_CONTAINER(g, struct rb_curl_multi, guest);
        return RB_OK;
    }
    const struct rb_curl_api *api = rb_curl(err);
    if (!api)
        return err->code;
    int rc = rb_timer_open(loop, err);
    if (rc)
        return rc;
    CURLM *multi = api->multi_init();
    if (!multi)
        return rb_err_set(err, RB_EIO, "libcurl gives no multi handle");
    struct rb_curl_multi *m = rb_alloc(sizeof(*m));
    m->guest.release = release;
    m->loop = loop;
    m->api = api;
    m->multi = multi;
    m->turn.run = on_turn;
    rb_list_init(&m->guest.link);
    rb_list_init(&m->turn.link);
    rb_list_init(&m->sockets);
    rb_list_init(&m->kept);
    rb_list_init(&m->gone);
    rb_timer_init(&m->timer, loop, on_time);
    api->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    api->multi_setopt(multi, CURLMOPT_SOCKETDATA, m);
    api->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    api->multi_setopt(multi, CURLMOPT_TIMERDATA, m);
    api->multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    api->multi_setopt(multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
    rb_loop_turn_add(loop, &m->turn);
    rb_loop_guest_add(loop, &m->guest);
    *out = m;
    return RB_OK;
}

int rb_curl_multi_add(struct rb_curl_multi *m, struct rb_curl_transfer *t, struct rb_err *err)
{
    m->api->easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    m->api->easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    m->api->easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, m);
    m->api->easy_setopt(t->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    m->api->easy_setopt(t->easy, CURLOPT_CLOSESOCKETDATA, m);
    CURLMcode code = m->api->multi_add_handle(m->multi, t->easy);
    if (code)
        return rb_err_set(err, RB_EIO, "libcurl takes no transfer: %s", m->api->multi_strerror(code));
    t->added = true;
    m->look = true; /* one that fails at once may leave nothing else to wake us */
    wake(m);
    return RB_OK;
}

void rb_curl_multi_remove(struct rb_curl_multi *m, struct rb_curl_transfer *t)
{
    if (!t->added)
        return;
    t->added = false;
    m->api->multi_remove_handle(m->multi, t->easy);
}
