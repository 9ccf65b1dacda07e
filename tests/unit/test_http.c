/* The http driver against a small server of its own: what goes out, what comes back, what each failure is called, and
 * that nothing stays behind. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/curl_multi.h"
#include "io/http.h"
#include "io/timer.h"

/* -- the server ---------------------------------------------------------------------------------------------------- */

#define CONNS 128

static struct {
    int listener, stop[2], port;
    pthread_t thread;
    pthread_mutex_t lock;
    int requests, posts, connections, most_open;
    char last[65536]; /* the last request, whole */
} server;

struct conn {
    int fd;
    size_t len;
    char data[65536];
};

static void say(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text += sent;
        n -= (size_t)sent;
    }
}

static void reset(int fd)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* Answers one request; false: the connection is to be closed. */
static bool answer(int fd, const char *request)
{
    char path[256] = "", big[4096], text[512];
    sscanf(request, "%*s %255s", path);
    if (!strcmp(path, "/hello"))
        return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\nX-Empty:\r\n\r\nhello"), true;
    if (!strcmp(path, "/early"))
        return say(fd,
                   "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"),
               true;
    if (!strcmp(path, "/folded"))
        return say(fd, "HTTP/1.1 200 OK\r\nX-Long: a\r\n b\r\nContent-Length: 0\r\n\r\n"), true;
    if (!strcmp(path, "/empty"))
        return say(fd, "HTTP/1.1 204 No Content\r\n\r\n"), true;
    if (!strcmp(path, "/silent"))
        return true;
    if (!strcmp(path, "/drop"))
        return false;
    if (!strcmp(path, "/reset"))
        return reset(fd), false;
    if (!strcmp(path, "/short"))
        return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), false;
    if (!strcmp(path, "/chunks"))
        return say(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"), false;
    if (!strcmp(path, "/noise"))
        return say(fd, "who are you?\r\n\r\n"), false;
    if (!strcmp(path, "/head")) /* that does not end */
        return say(fd, "HTTP/1.1 200 OK\r\nContent-Le"), false;
    if (!strcmp(path, "/heads")) {
        memset(big, 'x', sizeof(big) - 1);
        big[sizeof(big) - 1] = '\0';
        say(fd, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 100; i++) {
            say(fd, "X-Big: ");
            say(fd, big);
            say(fd, "\r\n");
        }
        return say(fd, "Content-Length: 0\r\n\r\n"), false;
    }
    if (!strcmp(path, "/big")) { /* 64 KiB without a length */
        memset(big, 'b', sizeof(big) - 1);
        big[sizeof(big) - 1] = '\0';
        say(fd, "HTTP/1.1 200 OK\r\n\r\n");
        for (int i = 0; i < 16; i++) {
            say(fd, big);
            say(fd, "b");
        }
        return false;
    }
    snprintf(text, sizeof(text), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    return say(fd, text), true;
}

static size_t whole(const struct conn *c)
{
    const char *end = memmem(c->data, c->len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - c->data) + 4, body = 0;
    char *length = memmem(c->data, head, "Content-Length: ", 16);
    if (length)
        body = strtoul(length + 16, NULL, 10);
    return c->len >= head + body ? head + body : 0;
}

static bool serve(struct conn *c)
{
    ssize_t n = recv(c->fd, c->data + c->len, sizeof(c->data) - c->len - 1, 0);
    if (n <= 0)
        return false;
    c->len += (size_t)n;
    c->data[c->len] = '\0';
    if (c->data[0] == 0x16) /* TLS */
        return say(c->fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), false;
    for (size_t size; (size = whole(c));) {
        pthread_mutex_lock(&server.lock);
        server.requests++;
        server.posts += !strncmp(c->data, "POST", 4);
        memcpy(server.last, c->data, size);
        server.last[size] = '\0';
        pthread_mutex_unlock(&server.lock);
        bool keep = answer(c->fd, c->data);
        memmove(c->data, c->data + size, c->len - size + 1);
        c->len -= size;
        if (!keep)
            return false;
    }
    return true;
}

static void *server_main(void *arg)
{
    static struct conn conns[CONNS];
    int count = 0;
    (void)arg;
    for (;;) {
        struct pollfd fds[CONNS + 2] = {{.fd = server.stop[0], .events = POLLIN},
                                        {.fd = server.listener, .events = POLLIN}};
        for (int i = 0; i < count; i++)
            fds[i + 2] = (struct pollfd){.fd = conns[i].fd, .events = POLLIN};
        poll(fds, (nfds_t)count + 2, -1);
        if (fds[0].revents)
            break;
        for (int i = count - 1; i >= 0; i--) {
            if (!fds[i + 2].revents || serve(&conns[i]))
                continue;
            close(conns[i].fd);
            conns[i] = conns[--count];
        }
        if (fds[1].revents && count < CONNS) {
            conns[count].fd = accept(server.listener, NULL, NULL);
            conns[count++].len = 0;
            pthread_mutex_lock(&server.lock);
            server.connections++;
            server.most_open = count > server.most_open ? count : server.most_open;
            pthread_mutex_unlock(&server.lock);
        }
    }
    for (int i = 0; i < count; i++)
        close(conns[i].fd);
    return NULL;
}

static int server_start(void **state)
{
    (void)state;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(sa);
    memset(&server, 0, sizeof(server));
    pthread_mutex_init(&server.lock, NULL);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_return_code(bind(server.listener, (struct sockaddr *)&sa, sizeof(sa)), errno);
    assert_return_code(listen(server.listener, 100), errno);
    assert_return_code(getsockname(server.listener, (struct sockaddr *)&sa, &n), errno);
    server.port = ntohs(sa.sin_port);
    assert_return_code(pipe(server.stop), errno);
    assert_int_equal(pthread_create(&server.thread, NULL, server_main, NULL), 0);
    return 0;
}

static int server_stop(void **state)
{
    (void)state;
    assert_int_equal(write(server.stop[1], "x", 1), 1);
    pthread_join(server.thread, NULL);
    close(server.listener);
    close(server.stop[0]);
    close(server.stop[1]);
    return 0;
}

static int count_of(const int *what)
{
    pthread_mutex_lock(&server.lock);
    int n = *what;
    pthread_mutex_unlock(&server.lock);
    return n;
}

/* -- an exchange --------------------------------------------------------------------------------------------------- */

struct got {
    struct rb_loop *loop;
    int ends, *left; /* exchanges that the loop still waits for */
    char error[32], message[512], body[100000], head[4096], address[64];
    enum rb_http_sent sent;
    int status;
    uint64_t total;
    bool digested, reused;
    double first_byte;
};

static void on_done(void *arg, struct rb_http_result *r)
{
    struct got *g = arg;
    g->ends++;
    snprintf(g->error, sizeof(g->error), "%s", r->error ? r->error : "");
    snprintf(g->message, sizeof(g->message), "%s", r->message);
    snprintf(g->body, sizeof(g->body), "%s", rb_buf_text(&r->body.buf));
    snprintf(g->address, sizeof(g->address), "%s", r->address);
    g->head[0] = '\0';
    for (char **h = r->headers; h && *h; h++)
        snprintf(g->head + strlen(g->head), sizeof(g->head) - strlen(g->head), "%s\n", *h);
    g->sent = r->sent;
    g->status = r->status;
    g->total = r->body.total;
    g->digested = r->digested;
    g->reused = r->reused;
    g->first_byte = r->time.first_byte;
    if (--*g->left == 0)
        rb_loop_stop(g->loop);
}

static char *url_of(const char *path)
{
    static char url[256];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", server.port, path);
    return url;
}

static struct rb_http_options options(const char *method, const char *path)
{
    return (struct rb_http_options){.method = method,
                                    .url = url_of(path),
                                    .connect_timeout_ms = 20000,
                                    .timeout_ms = 60000,
                                    .max_body = 1 << 20,
                                    .repeatable = strcmp(method, "GET") == 0,
                                    .on_done = on_done};
}

static void with_loop(struct rb_loop *loop)
{
    struct rb_err err;
    assert_int_equal(rb_loop_init(loop, &err), RB_OK);
}

static void go_on(struct rb_loop *loop, struct rb_http_options opt, struct got *g)
{
    struct rb_err err;
    struct rb_http *h;
    int left = 1;
    memset(g, 0, sizeof(*g));
    g->loop = loop;
    g->left = &left;
    opt.arg = g;
    if (rb_http_start(loop, &opt, &h, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(g->ends, 0); /* never from within the start */
    rb_loop_run(loop);
    assert_int_equal(g->ends, 1);
}

static void go(struct rb_http_options opt, struct got *g)
{
    struct rb_loop loop;
    with_loop(&loop);
    go_on(&loop, opt, g);
    assert_int_equal(rb_loop_release(&loop), 0);
}

#define assert_error(g, word, was_sent) \
    do { \
        assert_string_equal((g).error, word); \
        assert_int_equal((g).sent, was_sent); \
        assert_true((g).message[0]); \
    } while (0)

/* -- what comes back ----------------------------------------------------------------------------------------------- */

static void test_an_answer(void **state)
{
    (void)state;
    struct got g;
    go(options("GET", "/hello"), &g);
    assert_string_equal(g.error, "");
    assert_int_equal(g.status, 200);
    assert_string_equal(g.body, "hello");
    assert_string_equal(g.head, "Content-Length: 5\nX-One: 1\nX-Empty:\n");
    assert_int_equal(g.sent, RB_HTTP_SENT);
    assert_true(g.first_byte > 0);
    assert_true(strstr(g.address, "127.0.0.1:") == g.address);
    assert_false(g.reused);
}

static void test_heads(void **state)
{
    (void)state;
    struct got g;
    go(options("GET", "/early"), &g);
    assert_int_equal(g.status, 201); /* not 103, and none of its headers */
    assert_string_equal(g.head, "Content-Length: 2\n");
    go(options("GET", "/folded"), &g);
    assert_string_equal(g.head, "X-Long: a b\nContent-Length: 0\n");
    go(options("GET", "/empty"), &g);
    assert_int_equal(g.status, 204);
    go(options("HEAD", "/hello"), &g);
    assert_int_equal(g.status, 200);
    assert_string_equal(g.body, "");
}

static void test_a_request(void **state)
{
    (void)state;
    struct got g;
    struct rb_http_options opt = options("PATCH", "/hello");
    const char *headers[] = {"X-A: b", "X-Empty:", NULL};
    opt.headers = headers;
    opt.body = "a\0b";
    opt.body_len = 3;
    go(opt, &g);
    assert_string_equal(g.error, "");
    assert_true(strstr(server.last, "PATCH /hello HTTP/1.1\r\n") == server.last);
    assert_non_null(strstr(server.last, "X-A: b\r\n"));
    assert_non_null(strstr(server.last, "X-Empty:"));
    assert_non_null(strstr(server.last, "Content-Length: 3\r\n"));
    assert_null(strstr(server.last, "Content-Type")); /* libcurl would have said it is a form */
    assert_null(strstr(server.last, "Expect"));
    assert_memory_equal(strstr(server.last, "\r\n\r\n") + 4, "a\0b", 3);
    opt = options("PUT", "/hello"); /* no body is a body of no bytes */
    go(opt, &g);
    assert_non_null(strstr(server.last, "Content-Length: 0\r\n"));
    opt = options("DELETE", "/hello");
    go(opt, &g);
    assert_true(strstr(server.last, "DELETE /hello HTTP/1.1\r\n") == server.last);
    assert_null(strstr(server.last, "Content-Length"));
}

static void test_what_is_refused_at_once(void **state)
{
    (void)state;
    struct rb_loop loop;
    struct rb_err err;
    struct rb_http *h;
    with_loop(&loop);
    static const char *const urls[] = {"",        "hello",       "ftp://x/",        "file:///etc/passwd",
                                       "http://", "http://a b/", "http://x:99999/", "gopher://x"};
    for (size_t i = 0; i < RB_COUNT(urls); i++) {
        struct rb_http_options opt = options("GET", "/");
        opt.url = urls[i];
        assert_int_equal(rb_http_start(&loop, &opt, &h, &err), RB_EINVAL);
        assert_true(err.msg[0]);
    }
    static const char *const methods[] = {"", "GE T", "GET\r\nX: y"};
    for (size_t i = 0; i < RB_COUNT(methods); i++) {
        struct rb_http_options opt = options(methods[i], "/");
        assert_int_equal(rb_http_start(&loop, &opt, &h, &err), RB_EINVAL);
    }
    static const char *const bad[] = {
        "X", ": y", "X Y: z", "X: y\r\nZ: 1", "X: y\nZ: 1", "Content-Length: 5", "transfer-encoding: chunked"};
    for (size_t i = 0; i < RB_COUNT(bad); i++) {
        struct rb_http_options opt = options("GET", "/");
        const char *headers[] = {bad[i], NULL};
        opt.headers = headers;
        assert_int_equal(rb_http_start(&loop, &opt, &h, &err), RB_EINVAL);
    }
    assert_int_equal(rb_loop_release(&loop), 0);
}

/* -- caps ---------------------------------------------------------------------------------------------------------- */

static void test_a_body_that_is_too_big(void **state)
{
    (void)state;
    struct got g;
    struct rb_http_options opt = options("GET", "/big");
    opt.max_body = 1000;
    go(opt, &g);
    assert_error(g, "too_big", RB_HTTP_SENT);
    opt.cut_body = true;
    go(opt, &g);
    assert_string_equal(g.error, "");
    assert_int_equal(strlen(g.body), 1000);
    assert_int_equal(g.total, 65536);
    assert_true(g.digested);
    opt = options("GET", "/hello"); /* the length that the server announces is enough */
    opt.max_body = 4;
    go(opt, &g);
    assert_error(g, "too_big", RB_HTTP_SENT);
    go(options("GET", "/heads"), &g);
    assert_error(g, "too_big", RB_HTTP_SENT);
}

/* What an exchange takes: a file to send, or a new one beside `path`. */
static struct rb_http_files *opened(struct rb_http_files *f, const char *body, const char *folder, const char *name)
{
    struct stat st;
    rb_http_files_init(f);
    if (body) {
        f->body_fd = open(body, O_RDONLY);
        assert_return_code(fstat(f->body_fd, &st), errno);
        f->body_size = st.st_size;
    }
    if (folder) {
        f->save_dir = open(folder, O_RDONLY | O_DIRECTORY);
        f->save_fd = openat(f->save_dir, "part", O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_true(f->save_fd >= 0);
        f->save_part = rb_strdup("part");
        f->save_name = rb_strdup(name);
    }
    return f;
}

static void test_files(void **state)
{
    (void)state;
    struct got g;
    struct rb_http_files files;
    char folder[] = "/tmp/rb-http-XXXXXX", path[64], text[16] = "";
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/saved", folder);
    struct rb_http_options opt = options("GET", "/hello");
    opt.save = path;
    opt.files = opened(&files, NULL, folder, "saved");
    go(opt, &g);
    assert_string_equal(g.error, "");
    assert_true(g.digested);
    assert_int_equal(files.save_fd, -1); /* it was taken */
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(text, 1, sizeof(text), f), 5);
    fclose(f);
    assert_string_equal(text, "hello");
    opt = options("POST", "/hello"); /* and sent from it */
    opt.body_file = path;
    opt.files = opened(&files, path, NULL, NULL);
    go(opt, &g);
    assert_string_equal(g.error, "");
    assert_string_equal(strstr(server.last, "\r\n\r\n") + 4, "hello");
    opt.files = opened(&files, path, NULL, NULL); /* became shorter meanwhile */
    files.body_size++;
    go(opt, &g);
    assert_error(g, "io", RB_HTTP_SENT);
    unlink(path);
    opt = options("GET", "/short"); /* one that did not come whole is not there, nor its part */
    opt.save = path;
    opt.files = opened(&files, NULL, folder, "saved");
    go(opt, &g);
    assert_error(g, "reset", RB_HTTP_SENT);
    opt = options("no method", "/hello"); /* taken, also when nothing was started */
    opt.files = opened(&files, NULL, folder, "saved");
    struct rb_loop loop;
    struct rb_http *h;
    struct rb_err err;
    with_loop(&loop);
    assert_int_equal(rb_http_start(&loop, &opt, &h, &err), RB_EINVAL);
    assert_int_equal(rb_loop_release(&loop), 0);
    assert_return_code(rmdir(folder), errno);
}

/* -- failures ------------------------------------------------------------------------------------------------------ */

static void test_failures_have_their_words(void **state)
{
    (void)state;
    struct got g;
    static const struct {
        const char *path, *word;
    } table[] = {
        {"/drop", "reset"}, {"/reset", "reset"}, {"/short", "reset"}, {"/chunks", "protocol"}, {"/noise", "protocol"}};
    for (size_t i = 0; i < RB_COUNT(table); i++) {
        go(options("POST", table[i].path), &g);
        assert_error(g, table[i].word, RB_HTTP_SENT);
    }
    struct rb_http_options opt = options("GET", "/hello");
    opt.url = "http://127.0.0.1:1/";
    go(opt, &g);
    assert_error(g, "refused", RB_HTTP_NOT_SENT);
    opt.url = "http://nobody.invalid/";
    go(opt, &g);
    assert_error(g, "resolve", RB_HTTP_NOT_SENT);
    char tls[64];
    snprintf(tls, sizeof(tls), "https://127.0.0.1:%d/", server.port);
    opt.url = tls;
    go(opt, &g); /* a server that speaks no TLS */
    assert_error(g, "tls", RB_HTTP_NOT_SENT);
    opt = options("GET", "/silent");
    opt.timeout_ms = 100;
    go(opt, &g);
    assert_error(g, "timeout", RB_HTTP_SENT);
    opt = options("GET", "/hello");
    opt.unix_socket = "/nowhere.sock";
    go(opt, &g);
    assert_error(g, "connect", RB_HTTP_NOT_SENT);
    opt = options("GET", "/hello");
    opt.proxy = "http://127.0.0.1:1";
    go(opt, &g);
    assert_error(g, "proxy", RB_HTTP_NOT_SENT);
}

/* A listener whose queue is full takes no connection: nothing answers. */
static void test_no_connection(void **state)
{
    (void)state;
    struct got g;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(sa);
    char url[64];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), full[8];
    assert_return_code(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), errno);
    assert_return_code(listen(fd, 0), errno);
    assert_return_code(getsockname(fd, (struct sockaddr *)&sa, &n), errno);
    for (size_t i = 0; i < RB_COUNT(full); i++) {
        full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int rc = connect(full[i], (struct sockaddr *)&sa, sizeof(sa));
        assert_true(rc == 0 || errno == EINPROGRESS);
    }
    struct rb_http_options opt = options("GET", "/");
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(sa.sin_port));
    opt.url = url;
    opt.connect_timeout_ms = 100;
    go(opt, &g);
    assert_error(g, "connect_timeout", RB_HTTP_NOT_SENT);
    for (size_t i = 0; i < RB_COUNT(full); i++)
        close(full[i]);
    close(fd);
}

/* libcurl sends a request again when a kept connection closes before the answer: a POST would be done twice. */
static void test_a_post_is_sent_once(void **state)
{
    (void)state;
    struct got g;
    struct rb_loop loop;
    with_loop(&loop);
    go_on(&loop, options("GET", "/hello"), &g);
    go_on(&loop, options("GET", "/hello"), &g);
    assert_true(g.reused);
    int before = count_of(&server.posts);
    go_on(&loop, options("POST", "/drop"), &g);
    assert_error(g, "reset", RB_HTTP_SENT);
    assert_int_equal(count_of(&server.posts) - before, 1);
    assert_int_equal(rb_loop_release(&loop), 0);
}

/* -- addresses ----------------------------------------------------------------------------------------------------- */

static int refuse(void *arg, const struct sockaddr *sa, struct rb_err *err)
{
    (void)arg;
    assert_int_equal(sa->sa_family == AF_INET6 || sa->sa_family == AF_INET, 1);
    return rb_err_set(err, RB_EDENIED, "not this address");
}

static void test_addresses_are_asked_about(void **state)
{
    (void)state;
    struct got g;
    char url[64];
    static const char *const hosts[] = {"127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433"};
    int before = count_of(&server.requests);
    for (size_t i = 0; i < RB_COUNT(hosts); i++) {
        struct rb_http_options opt = options("GET", "/hello");
        snprintf(url, sizeof(url), "http://%s:%d/hello", hosts[i], server.port);
        opt.url = url;
        opt.on_address = refuse;
        go(opt, &g);
        assert_error(g, "policy", RB_HTTP_NOT_SENT);
        assert_string_equal(g.message, "not this address");
    }
    /* also on a connection that somebody else has opened and left */
    struct rb_loop loop;
    with_loop(&loop);
    go_on(&loop, options("GET", "/hello"), &g);
    struct rb_http_options opt = options("GET", "/hello");
    opt.on_address = refuse;
    go_on(&loop, opt, &g);
    assert_error(g, "policy", RB_HTTP_NOT_SENT);
    assert_int_equal(rb_loop_release(&loop), 0);
    assert_int_equal(count_of(&server.requests) - before, 1);
}

static void test_a_name(void **state)
{
    (void)state;
    struct got g;
    char url[64];
    struct rb_http_options opt = options("GET", "/hello");
    snprintf(url, sizeof(url), "http://localhost:%d/hello", server.port);
    opt.url = url;
    go(opt, &g);
    assert_string_equal(g.error, "");
    assert_string_equal(g.body, "hello");
}

/* The environment's proxy is not ours. */
static void test_the_environment_is_not_asked(void **state)
{
    (void)state;
    struct got g;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    go(options("GET", "/hello"), &g);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    assert_string_equal(g.error, "");
}

/* -- many, and ended early ----------------------------------------------------------------------------------------- */

static void test_many_at_once(void **state)
{
    (void)state;
    enum { N = 300 };
    static struct got all[N];
    struct rb_loop loop;
    struct rb_err err;
    struct rb_http *h;
    int left = N;
    with_loop(&loop);
    rb_http_set_max(&loop, 8);
    memset(all, 0, sizeof(all));
    for (int i = 0; i < N; i++) {
        struct rb_http_options opt = options("GET", "/hello");
        all[i].loop = &loop;
        all[i].left = &left;
        opt.arg = &all[i];
        assert_int_equal(rb_http_start(&loop, &opt, &h, &err), RB_OK);
    }
    rb_loop_run(&loop);
    for (int i = 0; i < N; i++)
        assert_string_equal(all[i].body, "hello");
    assert_true(count_of(&server.most_open) <= 8);
    assert_int_equal(rb_loop_release(&loop), 0);
}

struct early {
    struct got g;
    struct rb_http *h;
    struct rb_timer timer;
};

static void on_early(struct rb_timer *t)
{
    struct early *e = RB_CONTAINER(t, struct early, timer);
    if (count_of(&server.requests) == 0) { /* not there yet */
        rb_timer_arm_ms(t, 1);
        return;
    }
    rb_http_cancel(e->h);
    rb_http_cancel(e->h);
}

static void test_cancelled(void **state)
{
    (void)state;
    struct rb_loop loop;
    struct rb_err err;
    struct early e;
    int left = 1;
    for (int in_flight = 0; in_flight < 2; in_flight++) {
        struct rb_http_options opt = options("GET", "/silent");
        with_loop(&loop);
        memset(&e, 0, sizeof(e));
        left = 1;
        e.g.loop = &loop;
        e.g.left = &left;
        opt.arg = &e.g;
        assert_int_equal(rb_http_start(&loop, &opt, &e.h, &err), RB_OK);
        rb_timer_init(&e.timer, &loop, on_early);
        if (in_flight)
            rb_timer_arm_ms(&e.timer, 0);
        else
            rb_http_cancel(e.h);
        rb_loop_run(&loop);
        assert_error(e.g, "cancelled", in_flight ? RB_HTTP_SENT : RB_HTTP_NOT_SENT);
        assert_int_equal(rb_loop_release(&loop), 0);
    }
}

/* The loop ends while exchanges wait, resolve and transfer: each hears of it. */
static void test_the_loop_ends(void **state)
{
    (void)state;
    struct rb_loop loop;
    struct rb_err err;
    struct rb_http *h;
    struct got got[3];
    int left = 4; /* never 0 */
    with_loop(&loop);
    memset(got, 0, sizeof(got));
    rb_http_set_max(&loop, 2);
    for (int i = 0; i < 3; i++) {
        struct rb_http_options opt = options("GET", "/silent");
        if (i == 1)
            opt.url = "http://nobody.invalid/";
        got[i].loop = &loop;
        got[i].left = &left;
        opt.arg = &got[i];
        assert_int_equal(rb_http_start(&loop, &opt, &h, &err), RB_OK);
    }
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(rb_loop_release(&loop), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(got[i].ends, 1);
    assert_string_equal(got[0].error, "cancelled");
    assert_string_equal(got[2].error, "cancelled");
}

struct stream {
    struct got g;
    struct rb_http *h;
    size_t seen;
    int status;
};

static void on_head(void *arg, const struct rb_http_result *so_far)
{
    struct stream *s = arg;
    s->status = so_far->status;
}

static void on_data(void *arg, const char *data, size_t len)
{
    struct stream *s = arg;
    (void)data;
    s->seen += len;
    rb_http_cancel(s->h);
}

static void test_a_stream_that_is_ended_from_within(void **state)
{
    (void)state;
    struct rb_loop loop;
    struct rb_err err;
    struct stream s;
    int left = 1;
    with_loop(&loop);
    memset(&s, 0, sizeof(s));
    s.g.loop = &loop;
    s.g.left = &left;
    struct rb_http_options opt = options("GET", "/big");
    opt.arg = &s;
    opt.on_head = on_head;
    opt.on_data = on_data;
    assert_int_equal(rb_http_start(&loop, &opt, &s.h, &err), RB_OK);
    rb_loop_run(&loop);
    assert_string_equal(s.g.error, "cancelled");
    assert_int_equal(s.status, 200);
    assert_true(s.seen > 0);
    assert_int_equal(rb_loop_release(&loop), 0);
}

#define WITH_SERVER(name) cmocka_unit_test_setup_teardown(name, server_start, server_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_an_answer),
        WITH_SERVER(test_heads),
        WITH_SERVER(test_a_request),
        WITH_SERVER(test_what_is_refused_at_once),
        WITH_SERVER(test_a_body_that_is_too_big),
        WITH_SERVER(test_files),
        WITH_SERVER(test_failures_have_their_words),
        WITH_SERVER(test_no_connection),
        WITH_SERVER(test_a_post_is_sent_once),
        WITH_SERVER(test_addresses_are_asked_about),
        WITH_SERVER(test_a_name),
        WITH_SERVER(test_the_environment_is_not_asked),
        WITH_SERVER(test_many_at_once),
        WITH_SERVER(test_cancelled),
        WITH_SERVER(test_the_loop_ends),
        WITH_SERVER(test_a_stream_that_is_ended_from_within),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
