/* Owns what flows: the head and the body of the answer as they come. Knows nothing of connections, nor of disks. */
#include "io/http_exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STOP 0 /* to libcurl: less than it gave */

/* -- the head ------------------------------------------------------------------------------------------------------ */

static void list_head(struct rb_http *h)
{
    h->result.headers = rb_realloc(h->result.headers, ((size_t)h->head_lines + 1) * sizeof(char *));
    char *p = h->head.data;
    for (int i = 0; i < h->head_lines; i++, p += strlen(p) + 1)
        h->result.headers[i] = p;
    h->result.headers[h->head_lines] = NULL;
}

/* The value of a header, without the space before it; NULL: this is another one. */
static const char *value_of(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) || line[n] != ':')
        return NULL;
    return line + n + 1 + strspn(line + n + 1, " \t");
}

/* What two of them say of where the answer ends is what one of them does not say (RFC 9112 6.3). */
static void check_lengths(struct rb_http *h)
{
    const char *first = NULL;
    for (char **line = h->result.headers; *line; line++) {
        const char *value = value_of(*line, "Content-Length");
        if (value && first && strcmp(value, first))
            rb_http_set_error(h, "protocol", "the answer says of its length both %.30s and %.30s", first, value);
        first = value ? value : first;
    }
}

static void find_packing(struct rb_http *h)
{
    for (char **line = h->result.headers; *line; line++) {
        const char *how = value_of(*line, "Content-Encoding");
        if (how)
            rb_http_unpack_begin(h, how);
    }
}

/* A body that says that it is too large is not begun with. */
static void check_size(struct rb_http *h)
{
    curl_off_t size = -1;
    const struct rb_http_options *o = &h->opt;
    h->api->easy_getinfo(h->transfer.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    if (size > 0 && (uint64_t)size > o->max_body && !o->on_data && !o->cut_body && strcmp(o->method, "HEAD") &&
        h->result.status != 204 && h->result.status != 304)
        rb_http_set_too_big(h, o->max_body);
}

static void head_ends(struct rb_http *h)
{
    long status = 0;
    h->api->easy_getinfo(h->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 101)
        rb_http_set_error(h, "protocol", "the server goes over to another protocol, which nobody asked for");
    if (status == 407 && h->opt.proxy) { /* the proxy's own word: it has handed nothing on */
        h->result.sent = RB_HTTP_NOT_SENT;
        rb_http_set_error(h, "proxy", "%s", RB_HTTP_PROXY_LOGIN);
    }
    if (status < 200) /* "100 Continue", "103 Early Hints": the answer is still to come */
        return;
    h->head_whole = true;
    h->result.status = (int)status;
    list_head(h);
    rb_http_note_peer(h);
    check_lengths(h);
    find_packing(h);
    if (h->opt.on_head)
        h->opt.on_head(h->opt.arg, &h->result);
    check_size(h);
}

size_t rb_http_on_head(char *data, size_t size, size_t n, void *arg)
{
    struct rb_http *h = arg;
    size_t len = size * n, given = len;
    if (h->head_whole) /* trailers */
        return given;
    while (len && (data[len - 1] == '\n' || data[len - 1] == '\r'))
        len--;
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0 && !memchr(data, ':', len)) {
        rb_buf_reset(&h->head);
        h->head_lines = 0;
        return given;
    }
    if (!len) {
        head_ends(h);
        return h->cancelled || h->result.error ? STOP : given;
    }
    while (len && (data[len - 1] == ' ' || data[len - 1] == '\t')) /* no part of the value (RFC 9110 5.5) */
        len--;
    if (memchr(data, '\0', len)) {
        rb_http_set_error(h, "protocol", "a header of the answer has a NUL byte in it");
        return STOP;
    }
    if ((data[0] == ' ' || data[0] == '\t') && h->head_lines) /* the line before goes on (RFC 9112 5.2) */
        h->head.len--;
    else
        h->head_lines++;
    rb_buf_add(&h->head, data, len);
    rb_buf_addc(&h->head, '\0');
    if (h->head_lines > RB_HTTP_HEAD_LINES) {
        rb_http_set_error(h, "too_big", "the answer has more than %d headers", RB_HTTP_HEAD_LINES);
        return STOP;
    }
    if (h->head.cut) {
        rb_http_set_error(h, "too_big", "the headers of the answer are larger than %zu bytes", RB_HTTP_HEAD_MAX);
        return STOP;
    }
    return given;
}

/* -- the body ------------------------------------------------------------------------------------------------------ */

static void hash(struct rb_http *h, const char *data, size_t len)
{
    struct rb_capture *c = &h->result.body;
    if (!h->hashing) { /* it is too large: only from now on is its digest wanted, and it begins with what is kept */
        sha256_init(&c->sha);
        sha256_update(&c->sha, c->buf.len, (const uint8_t *)rb_buf_text(&c->buf));
        h->hashing = true;
    }
    sha256_update(&c->sha, len, (const uint8_t *)data);
}

/* As it is, unpacked. False: no more of it. */
static bool take(struct rb_http *h, const char *data, size_t len)
{
    struct rb_capture *c = &h->result.body;
    uint64_t most = h->opt.cut_body ? RB_HTTP_BODY_MAX : h->opt.max_body;
    c->total += len;
    if (h->enough && c->total > h->opt.max_body) {
        rb_buf_add(&c->buf, data, len);
        h->had_enough = true;
        return false;
    }
    if (c->total > most) {
        rb_http_set_too_big(h, most);
        return false;
    }
    if (rb_http_saves(h)) {
        hash(h, data, len);
        rb_http_write(h, data, len);
        return true;
    }
    if (h->hashing || c->total > h->opt.max_body)
        hash(h, data, len);
    rb_buf_add(&c->buf, data, len);
    return true;
}

size_t rb_http_on_body(char *data, size_t size, size_t n, void *arg)
{
    struct rb_http *h = arg;
    size_t len = size * n;
    if (h->cancelled)
        return STOP;
    if (h->held || (rb_http_saves(h) && rb_http_write_full(h, len))) {
        h->paused = true;
        return CURL_WRITEFUNC_PAUSE; /* it comes again */
    }
    if (h->opt.on_data) {
        h->result.body.total += len;
        h->opt.on_data(h->opt.arg, data, len);
        return h->cancelled ? STOP : len;
    }
    if (!len)
        return len;
    return (h->unpack ? rb_http_unpack(h, data, len, take) : take(h, data, len)) ? len : STOP;
}
