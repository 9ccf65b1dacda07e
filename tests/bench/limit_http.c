/* The limit of row 4: N GETs, WIDTH at a time, by libcurl's multi interface on a uv loop; the bodies are kept until
 * each request has ended.
 *
 *   limit_http URL N WIDTH */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct request {
    CURL *easy;
    char body[65536];
    size_t len;
};

static CURLM *multi;
static uv_timer_t timer;
static long left, failed;
static const char *url;

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct request *r = arg;
    size_t take = size * n < sizeof(r->body) - r->len ? size * n : sizeof(r->body) - r->len;
    memcpy(r->body + r->len, data, take);
    r->len += take;
    return size * n;
}

static void ask(struct request *r)
{
    left--;
    r->len = 0;
    curl_easy_setopt(r->easy, CURLOPT_URL, url);
    curl_multi_add_handle(multi, r->easy);
}

static void reap(void)
{
    CURLMsg *m;
    int n;
    while ((m = curl_multi_info_read(multi, &n))) {
        struct request *r;
        if (m->msg != CURLMSG_DONE)
            continue;
        failed += m->data.result != CURLE_OK;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
        curl_multi_remove_handle(multi, r->easy);
        if (left > 0) {
            ask(r);
        } else {
            curl_easy_cleanup(r->easy);
            free(r);
        }
    }
}

static void on_time(uv_timer_t *t)
{
    int running;
    (void)t;
    curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    reap();
}

static int set_timer(CURLM *m, long ms, void *arg)
{
    (void)m;
    (void)arg;
    if (ms < 0)
        uv_timer_stop(&timer);
    else
        uv_timer_start(&timer, on_time, ms ? (uint64_t)ms : 1, 0);
    return 0;
}

static void on_socket(uv_poll_t *p, int status, int events)
{
    int running, flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    curl_multi_socket_action(multi, (curl_socket_t)(intptr_t)p->data, flags, &running);
    reap();
}

static void on_closed(uv_handle_t *h)
{
    free(h);
}

static int set_socket(CURL *easy, curl_socket_t s, int what, void *arg, void *known)
{
    uv_poll_t *p = known;
    (void)easy;
    (void)arg;
    if (what == CURL_POLL_REMOVE) {
        if (p) {
            uv_poll_stop(p);
            uv_close((uv_handle_t *)p, on_closed);
            curl_multi_assign(multi, s, NULL);
        }
        return 0;
    }
    if (!p) {
        p = malloc(sizeof(*p));
        p->data = (void *)(intptr_t)s;
        uv_poll_init(uv_default_loop(), p, s);
        curl_multi_assign(multi, s, p);
    }
    uv_poll_start(p, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0), on_socket);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    url = argv[1];
    left = atol(argv[2]);
    long width = atol(argv[3]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    uv_timer_init(uv_default_loop(), &timer);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, width);
    for (long i = 0; i < width && left > 0; i++) {
        struct request *r = calloc(1, sizeof(*r));
        r->easy = curl_easy_init();
        curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
        curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
        curl_easy_setopt(r->easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
        ask(r);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return failed != 0;
}
