/* Owns the life of an exchange, from its call to on_done, and the places at which exchanges are at work. What libcurl
 * is told is http_setup.c's, what flows http_body.c's, its files http_files.c's, the sockets curl_multi.c's.
 *
 *   rb_http_start -> WAITS --(a place)--> RESOLVES --(addresses, each allowed)--> TRANSFERS --> SAVES -> on_done ->
 *   free
 *                                \___ an address, a Unix socket ______________/      \__ nothing to save __/
 *
 * - Whatever leads to on_done comes from the loop: the turn hook, a timer, a look-up, a transfer's end. From within
 *   rb_http_start() and libcurl's callbacks an exchange is only put on a list.
 * - Cancelled, it ends at the next turn, wherever it is; only a file that is being saved is waited for.
 * - An exchange's time begins with its place, so that a long queue is no time-out. */
#include "io/http.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "io/http_exchange.h"

#define MAX_AT_ONCE 64
#define MAX_WAITING 100000
#define SPARE_MAX 64
#define HEAD_USUAL 500 /* bytes */
#define LATE_MS 1000

struct rb_http_pool {
    struct rb_loop_guest guest;
    struct rb_loop *loop;
    const struct rb_curl_api *api;
    struct rb_curl_multi *multi;
    struct rb_turn turn;
    struct rb_list waiting; /* struct rb_http.link */
    struct rb_list working; /* struct rb_http.link */
    struct rb_list stopped; /* struct rb_http.stop_link */
    int at_once, max, queued;
    struct rb_list spare; /* struct rb_http.link: nothing but memory and a handle, for the next ones */
    int spare_count;
    bool closing;
    bool released; /* only files that are being saved keep it */
};

static void wake(struct rb_http_pool *p)
{
    rb_loop_again(p->loop);
}

struct rb_loop *rb_http_loop(const struct rb_http *h)
{
    return h->pool->loop;
}

/* -- memory -------------------------------------------------------------------------------------------------------- */

static struct rb_http *take(struct rb_http_pool *p)
{
    struct rb_list *l = rb_list_pop(&p->spare);
    if (!l)
        return rb_alloc(sizeof(struct rb_http));
    p->spare_count--;
    return RB_CONTAINER(l, struct rb_http, link);
}

static void give_back(struct rb_http_pool *p, struct rb_http *h)
{
    CURL *easy = h->transfer.easy;
    if (p->spare_count == SPARE_MAX || p->closing) {
        if (easy)
            p->api->easy_cleanup(easy);
        free(h);
        return;
    }
    if (easy)
        p->api->easy_reset(easy);
    *h = (struct rb_http){.transfer.easy = easy};
    rb_list_init(&h->link);
    rb_list_push(&p->spare, &h->link);
    p->spare_count++;
}

static void maybe_free(struct rb_http_pool *p)
{
    if (p->released && rb_list_empty(&p->working))
        free(p);
}

static void destroy(struct rb_http *h)
{
    const struct rb_curl_api *api = h->api;
    struct rb_http_pool *p = h->pool;
    rb_timer_disarm(&h->limit);
    rb_list_remove(&h->link);
    rb_list_remove(&h->stop_link);
    if (h->resolve)
        rb_resolve_cancel(h->resolve);
    rb_http_files_release(&h->files);
    rb_http_unpack_free(h);
    rb_buf_release(&h->disk.behind);
    rb_buf_release(&h->disk.on_its_way);
    free(h->disk.ahead);
    api->slist_free_all(h->headers);
    api->slist_free_all(h->hosts);
    api->slist_free_all(h->connect_to);
    if (h->url)
        api->url_cleanup(h->url);
    if (h->texts.data) /* passwords are among them */
        explicit_bzero(h->texts.data, h->texts.len);
    rb_buf_release(&h->texts);
    rb_buf_release(&h->head);
    rb_buf_release(&h->result.body.buf);
    free(h->result.headers);
    free(h->body);
    give_back(p, h);
    maybe_free(p);
}

/* -- the end ------------------------------------------------------------------------------------------------------- */

static void report(struct rb_http *h)
{
    struct rb_http_pool *p = h->pool;
    rb_timer_disarm(&h->limit);
    rb_list_remove(&h->stop_link);
    if (h->counted)
        p->at_once--;
    if (h->hashing) {
        sha256_digest(&h->result.body.sha, RB_SHA_LEN, h->result.body.digest);
        h->result.digested = true;
    }
    if (!h->result.error)
        rb_fault_point("http.answer");
    if (h->result.time.total <= 0 && h->started)
        h->result.time.total = (double)(rb_clock_boot() - h->started) / 1e6;
    if (!rb_list_empty(&p->waiting))
        wake(p);
    h->opt.on_done(h->opt.arg, &h->result);
}

/* The transfer is over, well or not, or never began. */
static void settle(struct rb_http *h)
{
    h->state = RB_HTTP_SAVES;
    if (!rb_http_put_away(h))
        return; /* rb_http_disk_came() follows */
    report(h);
    destroy(h);
}

void rb_http_disk_came(struct rb_http *h)
{
    if (h->left && !rb_http_disk_busy(h))
        destroy(h);
    else if (!h->left && h->state == RB_HTTP_SAVES)
        settle(h);
}

/* Ends it with what the result says, wherever it is. */
static void stop(struct rb_http *h)
{
    if (h->state == RB_HTTP_SAVES)
        return; /* rb_http_disk_came() follows */
    if (h->state == RB_HTTP_WAITS) {
        h->pool->queued--;
        h->counted = false; /* it had no place yet */
    }
    if (h->state == RB_HTTP_TRANSFERS) {
        rb_http_note_peer(h);
        rb_curl_multi_remove(h->pool->multi, &h->transfer);
    }
    if (h->resolve)
        rb_resolve_cancel(h->resolve);
    h->resolve = NULL;
    settle(h);
}

void rb_http_break(struct rb_http *h)
{
    stop(h);
}

static void on_transferred(struct rb_curl_transfer *t, CURLcode code)
{
    struct rb_http *h = RB_CONTAINER(t, struct rb_http, transfer);
    if (h->cancelled)
        rb_http_set_error(h, "cancelled", "it was stopped before it ended");
    if (h->had_enough)
        code = CURLE_OK;
    else if (code == CURLE_OK)
        rb_http_unpack_end(h);
    if (code == CURLE_OK && !h->head_whole) /* libcurl takes a head without an end for an answer */
        rb_http_set_error(h, "reset", "the server closed the connection in the middle of the head of its answer");
    rb_http_set_curl_error(h, code);
    rb_http_note_peer(h);
    settle(h);
}

/* A disk gets a moment more: what was begun is best put away by whoever began it. */
static void on_limit(struct rb_timer *t)
{
    struct rb_http *h = RB_CONTAINER(t, struct rb_http, limit);
    if (h->late || h->state == RB_HTTP_SAVES) {
        if (!h->late) {
            h->late = true;
            rb_timer_arm_ms(&h->limit, LATE_MS);
            return;
        }
        rb_http_set_error(h, "timeout", "the answer is there, and its disk did not take it within %.3gs",
                          (double)h->opt.timeout_ms / 1000);
        h->left = true;
        report(h);
        return;
    }
    bool sent = h->result.sent == RB_HTTP_SENT;
    rb_http_set_error(h, sent ? "timeout" : "connect_timeout",
                      h->result.status ? "the answer was not whole within %.3gs"
                      : sent           ? "no answer within %.3gs"
                                       : "no connection within %.3gs, which is the time of the whole (timeout)",
                      (double)h->opt.timeout_ms / 1000);
    h->late = true;
    rb_timer_arm_ms(&h->limit, LATE_MS); /* the end disarms it */
    stop(h);
}

/* -- to work ------------------------------------------------------------------------------------------------------- */

static void transfer(struct rb_http *h)
{
    struct rb_err err = {0};
    h->state = RB_HTTP_TRANSFERS;
    h->waited = rb_clock_boot() - h->started;
    if (!h->transfer.easy)
        h->transfer.easy = h->api->easy_init();
    h->transfer.on_done = on_transferred;
    int rc = h->transfer.easy ? rb_http_prepare(h, &err) : rb_err_set(&err, RB_EIO, "libcurl gives no handle");
    if (!rc)
        rc = rb_curl_multi_add(h->pool->multi, &h->transfer, &err);
    if (rc) {
        rb_http_set_error(h, rc == RB_EDENIED ? "policy" : "io", "%s", err.msg);
        settle(h);
    }
}

/* One of the addresses of the name; refused, it is the end. */
static void note_address(struct rb_http *h, const struct sockaddr *sa, socklen_t len)
{
    if (h->address_count == RB_HTTP_ADDRESSES || len > sizeof(h->addresses[0]))
        return;
    union rb_http_address *slot = &h->addresses[h->address_count++];
    memcpy(slot, sa, len);
    if (sa->sa_family == AF_INET)
        slot->v4.sin_port = htons((uint16_t)h->seek_port);
    else
        slot->v6.sin6_port = htons((uint16_t)h->seek_port);
    if (!h->opt.proxy)
        rb_http_may(h, &slot->sa);
}

static void on_resolved(void *arg, const struct addrinfo *addresses, const struct rb_err *err)
{
    struct rb_http *h = arg;
    h->resolve = NULL;
    h->result.time.dns = (double)(rb_clock_boot() - h->started) / 1e6;
    if (!addresses)
        rb_http_set_error(h, h->opt.proxy ? "proxy" : "resolve", "%s", err->msg);
    for (const struct addrinfo *a = addresses; a && !h->result.error; a = a->ai_next)
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
            note_address(h, a->ai_addr, a->ai_addrlen);
    if (h->result.error)
        settle(h);
    else
        transfer(h);
}

/* Is the host an address already? Then it needs no look-up, only leave. */
static bool is_address(struct rb_http *h)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, h->seek, &v4.sin_addr) == 1)
        note_address(h, (struct sockaddr *)&v4, sizeof(v4));
    else if (inet_pton(AF_INET6, h->seek, &v6.sin6_addr) == 1)
        note_address(h, (struct sockaddr *)&v6, sizeof(v6));
    else
        return false;
    h->literal = true;
    return true;
}

/* The proxy is who is spoken to: its name is looked up, and the URL's is its business. */
static void go_to_proxy(struct rb_http *h)
{
    char *part = NULL;
    CURLU *url = h->api->url();
    if (h->api->url_set(url, CURLUPART_URL, h->opt.proxy, CURLU_DEFAULT_SCHEME | CURLU_NON_SUPPORT_SCHEME) ||
        h->api->url_get(url, CURLUPART_HOST, &part, 0))
        rb_http_set_error(h, "proxy", "the proxy of the configuration is no URL");
    else
        snprintf(h->seek, sizeof(h->seek), "%.*s", (int)(part[0] == '[' ? strlen(part) - 2 : strlen(part)),
                 part + (part[0] == '['));
    h->api->free(part);
    part = NULL;
    h->seek_port = !h->api->url_get(url, CURLUPART_PORT, &part, 0) ? strtol(part, NULL, 10) : 1080; /* libcurl's own */
    h->api->free(part);
    h->api->url_cleanup(url);
}

static void begin(struct rb_http *h)
{
    h->state = RB_HTTP_RESOLVES;
    h->started = rb_clock_boot();
    if (h->opt.timeout_ms)
        rb_timer_arm_ms(&h->limit, h->opt.timeout_ms);
    if (h->opt.proxy)
        go_to_proxy(h);
    bool known = !h->result.error && (h->opt.unix_socket || is_address(h));
    if (h->result.error) { /* also an address that was refused */
        settle(h);
    } else if (known) {
        transfer(h);
    } else {
        h->resolve = rb_resolve_start(h->pool->loop, h->seek, h->opt.connect_timeout_ms, on_resolved, h);
    }
}

/* Those that want no place stand in front. */
static struct rb_http *next_waiting(const struct rb_http_pool *p)
{
    if (rb_list_empty(&p->waiting))
        return NULL;
    struct rb_http *h = RB_CONTAINER(p->waiting.next, struct rb_http, link);
    return !h->counted || p->at_once < p->max ? h : NULL;
}

static void on_turn(struct rb_turn *t)
{
    struct rb_http_pool *p = RB_CONTAINER(t, struct rb_http_pool, turn);
    for (struct rb_list *l = rb_list_pop(&p->stopped); l; l = rb_list_pop(&p->stopped)) {
        struct rb_http *h = RB_CONTAINER(l, struct rb_http, stop_link);
        rb_http_set_error(h, "cancelled", "it was stopped before it ended");
        stop(h);
    }
    for (struct rb_http *h; (h = next_waiting(p));) {
        p->queued--;
        p->at_once += h->counted ? 1 : 0;
        rb_list_remove(&h->link);
        rb_list_push(&p->working, &h->link);
        begin(h);
    }
}

/* -- the pool ------------------------------------------------------------------------------------------------------ */

static void abandon(struct rb_list *list)
{
    RB_LIST_EACH_SAFE (it, next, list) {
        struct rb_http *h = RB_CONTAINER(it, struct rb_http, link);
        rb_http_set_error(h, "cancelled", "the host ends");
        stop(h);
    }
}

static void release(struct rb_loop_guest *g)
{
    struct rb_http_pool *p = RB_CONTAINER(g, struct rb_http_pool, guest);
    p->closing = true;
    rb_loop_turn_remove(p->loop, &p->turn);
    abandon(&p->waiting);
    abandon(&p->working);
    for (struct rb_list *l = rb_list_pop(&p->spare); l; l = rb_list_pop(&p->spare))
        give_back(p, RB_CONTAINER(l, struct rb_http, link)); /* which frees it now */
    p->released = true;
    maybe_free(p);
}

static int open_pool(struct rb_loop *loop, struct rb_http_pool **out, struct rb_err *err)
{
    struct rb_curl_multi *multi;
    struct rb_loop_guest *g = rb_loop_guest_find(loop, release);
    if (g) {
        *out = RB_CONTAINER(g, struct rb_http_pool, guest);
        return RB_OK;
    }
    int rc = rb_curl_multi_open(loop, &multi, err);
    if (rc)
        return rc;
    struct rb_http_pool *p = rb_alloc(sizeof(*p));
    p->guest.release = release;
    p->loop = loop;
    p->api = rb_curl(err);
    p->multi = multi;
    p->max = MAX_AT_ONCE;
    p->turn.run = on_turn;
    rb_list_init(&p->guest.link);
    rb_list_init(&p->turn.link);
    rb_list_init(&p->waiting);
    rb_list_init(&p->working);
    rb_list_init(&p->stopped);
    rb_list_init(&p->spare);
    rb_loop_turn_add(loop, &p->turn);
    rb_loop_guest_add(loop, &p->guest);
    *out = p;
    return RB_OK;
}

/* -- the call ------------------------------------------------------------------------------------------------------ */

/* Copies of the texts of the options, one behind the other in h->texts: two passes, so that none moves. */
static void copy_texts(struct rb_http *h)
{
    const char **slots[] = {&h->opt.method,      &h->opt.url,       &h->opt.body_file, &h->opt.save,
                            &h->opt.ca_file,     &h->opt.cert_file, &h->opt.key_file,  &h->opt.server_name,
                            &h->opt.unix_socket, &h->opt.proxy,     &h->opt.pins,      &h->opt.key_password};
    size_t count = 0, bytes = 0, at;
    for (size_t i = 0; i < RB_COUNT(slots); i++)
        bytes += *slots[i] ? strlen(*slots[i]) + 1 : 0;
    for (; h->opt.headers && h->opt.headers[count]; count++)
        bytes += strlen(h->opt.headers[count]) + 1;
    size_t list = (count + 1) * sizeof(char *);
    rb_buf_init(&h->texts, SIZE_MAX / 2);
    h->texts.data = rb_alloc(list + bytes);
    h->texts.cap = h->texts.len = list + bytes;
    char *p = h->texts.data + list;
    for (size_t i = 0; i < RB_COUNT(slots); i++) {
        if (!*slots[i])
            continue;
        at = strlen(*slots[i]) + 1;
        *slots[i] = memcpy(p, *slots[i], at);
        p += at;
    }
    const char **headers = (const char **)(void *)h->texts.data;
    for (size_t i = 0; i < count; i++) {
        at = strlen(h->opt.headers[i]) + 1;
        headers[i] = memcpy(p, h->opt.headers[i], at);
        p += at;
    }
    h->opt.headers = headers;
}

int rb_http_start(struct rb_loop *loop, const struct rb_http_options *opt, struct rb_http **out, struct rb_err *err)
{
    struct rb_http_pool *p;
    int rc = open_pool(loop, &p, err);
    if (!rc && p->queued >= MAX_WAITING)
        rc = rb_err_set(err, RB_EBUSY, "%d requests are waiting already", p->queued);
    if (rc) {
        if (opt->files)
            rb_http_files_release(opt->files);
        return rc;
    }
    struct rb_http *h = take(p);
    h->pool = p;
    h->api = p->api;
    h->opt = *opt;
    rb_http_files_init(&h->files);
    if (opt->files) {
        h->files = *opt->files;
        rb_http_files_init(opt->files);
    }
    rb_buf_init(&h->disk.behind, SIZE_MAX / 2);
    rb_buf_init(&h->disk.on_its_way, SIZE_MAX / 2);
    rb_list_init(&h->link);
    rb_list_init(&h->stop_link);
    rb_timer_init(&h->limit, loop, on_limit);
    rb_buf_init(&h->head, RB_HTTP_HEAD_MAX);
    rb_buf_reserve(&h->head, HEAD_USUAL);
    rb_buf_init(&h->result.body.buf, opt->max_body);
    copy_texts(h);
    if (opt->body && opt->body_len) {
        h->body = rb_alloc(opt->body_len);
        memcpy(h->body, opt->body, opt->body_len);
    }
    h->opt.body = opt->body ? (h->body ? h->body : "") : NULL;
    if (rb_http_saves(h)) { /* what is kept is in the file: the digest is of all of it */
        sha256_init(&h->result.body.sha);
        h->hashing = true;
    }
    rc = rb_http_check(h, err);
    if (rc) {
        destroy(h);
        return rc;
    }
    h->counted = !opt->on_data;
    p->queued++;
    rb_list_push(h->counted ? &p->waiting : p->waiting.next, &h->link);
    wake(p);
    *out = h;
    return RB_OK;
}

void rb_http_cancel(struct rb_http *h)
{
    if (h->cancelled)
        return;
    h->cancelled = true;
    rb_list_push(&h->pool->stopped, &h->stop_link);
    wake(h->pool);
}

void rb_http_hold(struct rb_http *h, bool hold)
{
    h->held = hold;
    if (hold || !h->paused)
        return;
    h->paused = false;
    rb_http_set_pause(h);
}

void rb_http_set_pause(struct rb_http *h)
{
    h->api->easy_pause(h->transfer.easy, (h->paused ? CURLPAUSE_RECV : 0) | (h->send_paused ? CURLPAUSE_SEND : 0));
}

void rb_http_set_max(struct rb_loop *loop, int max)
{
    struct rb_http_pool *p;
    struct rb_err err;
    if (!open_pool(loop, &p, &err))
        p->max = max > 0 ? max : 1;
}
