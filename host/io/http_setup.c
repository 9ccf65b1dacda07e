/* Owns what libcurl is told of one exchange, and what its errors mean. Each option that is a guard says against what;
 * the facts behind them were measured with libcurl 7.88.1. */
#include "io/http_exchange.h"
#include "io/http_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fault.h"

#define TOKEN "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" /* RFC 9110 5.6.2 */

void rb_http_set_error(struct rb_http *h, const char *error, const char *fmt, ...)
{
    struct rb_http_result *r = &h->result;
    if (r->error)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->message, sizeof(r->message), fmt, ap);
    va_end(ap);
    r->error = error;
}

void rb_http_set_too_big(struct rb_http *h, uint64_t most)
{
    rb_http_set_error(h, "too_big", "the body of the answer is larger than %llu bytes (max_body)%s",
                      (unsigned long long)most, h->opt.save ? "" : "; take more, or keep it in a file with save = …");
}

/* -- what is asked for --------------------------------------------------------------------------------------------- */

static int check_headers(const struct rb_http *h, struct rb_err *err)
{
    for (const char *const *p = h->opt.headers; p && *p; p++) {
        size_t name = strspn(*p, TOKEN);
        if (!name || (*p)[name] != ':')
            return rb_err_set(err, RB_EINVAL, "a header has no name, or one with a character that no name may have");
        if (strpbrk(*p, "\r\n"))
            return rb_err_set(err, RB_EINVAL, "the header %.*s has a line end in it", (int)name, *p);
        if (!strncasecmp(*p, "Content-Length:", 15) || !strncasecmp(*p, "Transfer-Encoding:", 18))
            return rb_err_set(err, RB_EINVAL, "the header %.*s is made from the body: leave it out", (int)name, *p);
    }
    return RB_OK;
}

static int check_url(struct rb_http *h, struct rb_err *err)
{
    const struct rb_curl_api *api = h->api;
    char *part = NULL;
    struct rb_http_url plain;
    h->url = api->url();
    CURLUcode rc = api->url_set(h->url, CURLUPART_URL, h->opt.url, 0);
    if (rc)
        return rb_err_set(err, RB_EINVAL, "this is no URL: %s", api->url_strerror(rc));
    if (rb_http_url_read_plain(h->opt.url, &plain)) {
        snprintf(h->host, sizeof(h->host), "%s", plain.host);
        memcpy(h->seek, h->host, sizeof(h->seek));
        h->seek_port = h->port = plain.port;
        rb_http_url_release(&plain);
        return RB_OK;
    }
    if (api->url_get(h->url, CURLUPART_SCHEME, &part, 0))
        return rb_err_set(err, RB_EINVAL, "the URL has no scheme");
    bool http = strcasecmp(part, "http") == 0 || strcasecmp(part, "https") == 0;
    api->free(part);
    if (!http)
        return rb_err_set(err, RB_EINVAL, "the URL must begin with http:// or https://");
    rc = api->url_get(h->url, CURLUPART_HOST, &part, CURLU_PUNYCODE);
    if (rc)
        return rb_err_set(err, RB_EINVAL, "the URL's host is none: %s", api->url_strerror(rc));
    size_t n = strlen(part);
    bool bracket = part[0] == '[' && part[n - 1] == ']';
    snprintf(h->host, sizeof(h->host), "%.*s", (int)(bracket ? n - 2 : n), part + (bracket ? 1 : 0));
    if (!bracket)
        api->url_set(h->url, CURLUPART_HOST, part, 0); /* one name for libcurl and for us */
    api->free(part);
    if (n > 255)
        return rb_err_set(err, RB_EINVAL, "the URL's host is longer than 255 bytes");
    if (!api->url_get(h->url, CURLUPART_PORT, &part, CURLU_DEFAULT_PORT)) {
        h->port = strtol(part, NULL, 10);
        api->free(part);
    }
    snprintf(h->seek, sizeof(h->seek), "%s", h->host);
    h->seek_port = h->port;
    return RB_OK;
}

int rb_http_check(struct rb_http *h, struct rb_err *err)
{
    const char *method = h->opt.method;
    if (!method || !*method || method[strspn(method, TOKEN)])
        return rb_err_set(err, RB_EINVAL, "this is no method of HTTP");
    int rc = check_headers(h, err);
    return rc ? rc : check_url(h, err);
}

/* -- addresses ----------------------------------------------------------------------------------------------------- */

bool rb_http_may(struct rb_http *h, const struct sockaddr *sa)
{
    struct rb_err err = {0};
    if (!h->opt.on_address || !h->opt.on_address(h->opt.arg, sa, &err))
        return true;
    rb_http_set_error(h, "policy", "%s", err.msg);
    return false;
}

static void address_text(const union rb_http_address *a, char out[INET6_ADDRSTRLEN])
{
    bool v4 = a->sa.sa_family == AF_INET;
    out[0] = '\0';
    inet_ntop(a->sa.sa_family, v4 ? (const void *)&a->v4.sin_addr : &a->v6.sin6_addr, out, INET6_ADDRSTRLEN);
}

static bool same_address(const union rb_http_address *known, const char *ip)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    if (known->sa.sa_family == AF_INET)
        return inet_pton(AF_INET, ip, &v4) == 1 && v4.s_addr == known->v4.sin_addr.s_addr;
    address_text(known, text);
    return strcmp(text, ip) == 0;
}

/* The last moment: a connection is there (perhaps kept from another exchange, whose addresses were others), and the
 * request goes out when this returns. */
static int on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    (void)local_ip;
    (void)local_port;
    struct rb_http *h = arg;
    struct sockaddr_storage sa = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&sa;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&sa;
    bool known = !h->opt.on_address || h->opt.proxy || h->opt.unix_socket;
    for (int i = 0; i < h->address_count && !known; i++)
        known = same_address(&h->addresses[i], ip);
    if (!known) {
        if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
            v4->sin_family = AF_INET;
            v4->sin_port = htons((uint16_t)port);
        } else if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
            v6->sin6_family = AF_INET6;
            v6->sin6_port = htons((uint16_t)port);
        }
        if (!rb_http_may(h, (struct sockaddr *)&sa))
            return CURL_PREREQFUNC_ABORT;
    }
    if (h->cancelled)
        return CURL_PREREQFUNC_ABORT;
    rb_fault_point("http.before-send");
    h->result.sent = RB_HTTP_SENT;
    return CURL_PREREQFUNC_OK;
}

/* "+host:port:address,address": what libcurl takes instead of asking a name server. With the plus it is forgotten
 * again. */
static void pin_addresses(struct rb_http *h, const char *host, long port)
{
    struct rb_buf b;
    if (!h->address_count || h->literal)
        return;
    rb_buf_init(&b, 4096);
    rb_buf_addf(&b, "+%s:%ld:", host, port);
    for (int i = 0; i < h->address_count; i++) {
        char text[INET6_ADDRSTRLEN];
        address_text(&h->addresses[i], text);
        rb_buf_addf(&b, h->addresses[i].sa.sa_family == AF_INET ? "%s%s" : "%s[%s]", i ? "," : "", text);
    }
    h->hosts = h->api->slist_append(h->hosts, rb_buf_text(&b));
    h->api->easy_setopt(h->transfer.easy, CURLOPT_RESOLVE, h->hosts);
    rb_buf_release(&b);
}

/* -- options ------------------------------------------------------------------------------------------------------- */

static bool has_header(const struct rb_http *h, const char *name)
{
    size_t n = strlen(name);
    for (const char *const *p = h->opt.headers; p && *p; p++)
        if (strncasecmp(*p, name, n) == 0 && (*p)[n] == ':')
            return true;
    return false;
}

static void add_header(struct rb_http *h, const char *text)
{
    h->headers = h->api->slist_append(h->headers, text);
}

static void set_headers(struct rb_http *h, bool has_body)
{
    struct rb_buf b;
    rb_buf_init(&b, 1024);
    for (const char *const *p = h->opt.headers; p && *p; p++) {
        const char *value = strchr(*p, ':') + 1;
        if (value[strspn(value, " \t")]) {
            add_header(h, *p);
            continue;
        }
        rb_buf_reset(&b); /* "Name:" would take a header away; with a semicolon an empty one is sent */
        rb_buf_addf(&b, "%.*s;", (int)(value - 1 - *p), *p);
        add_header(h, rb_buf_text(&b));
    }
    if (h->opt.server_name && !has_header(h, "Host")) {
        char *host = NULL, *port = NULL;
        h->api->url_get(h->url, CURLUPART_HOST, &host, 0);
        h->api->url_get(h->url, CURLUPART_PORT, &port, 0);
        rb_buf_reset(&b);
        rb_buf_addf(&b, "Host: %s%s%s", host ? host : "", port ? ":" : "", port ? port : "");
        add_header(h, rb_buf_text(&b));
        h->api->free(host);
        h->api->free(port);
    }
    rb_buf_release(&b);
    if (!has_header(h, "Expect"))
        add_header(h, "Expect:"); /* no waiting for "100 Continue" */
    h->unpacks = h->api->inflate && !h->opt.on_data && !has_header(h, "Accept-Encoding");
    if (h->unpacks)
        add_header(h, "Accept-Encoding: gzip, deflate"); /* what comes out of it is counted */
    if (has_body && !has_header(h, "Content-Type"))
        add_header(h, "Content-Type:"); /* libcurl would call it a form */
    h->api->easy_setopt(h->transfer.easy, CURLOPT_HTTPHEADER, h->headers);
}

static void set_method(struct rb_http *h)
{
    const struct rb_curl_api *api = h->api;
    CURL *easy = h->transfer.easy;
    const char *method = h->opt.method;
    bool body = h->opt.body || h->files.body_fd >= 0;
    bool usual = !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH"); /* have a length of 0 */
    if (body || usual) {
        api->easy_setopt(easy, CURLOPT_POST, 1L);
        if (h->files.body_fd >= 0) {
            api->easy_setopt(easy, CURLOPT_READFUNCTION, rb_http_on_read);
            api->easy_setopt(easy, CURLOPT_READDATA, h);
            api->easy_setopt(easy, CURLOPT_SEEKFUNCTION, rb_http_on_seek);
            api->easy_setopt(easy, CURLOPT_SEEKDATA, h);
            api->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)h->files.body_size);
        } else {
            api->easy_setopt(easy, CURLOPT_POSTFIELDS, h->body ? h->body : "");
            api->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(h->body ? h->opt.body_len : 0));
        }
        if (strcmp(method, "POST"))
            api->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    } else if (strcmp(method, "HEAD") == 0) {
        api->easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (strcmp(method, "GET")) {
        api->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    }
    set_headers(h, body || usual);
}

static void set_blob(struct rb_http *h, CURLoption option, const struct rb_buf *pem)
{
    struct curl_blob blob = {pem->data, pem->len, CURL_BLOB_COPY};
    if (pem->len)
        h->api->easy_setopt(h->transfer.easy, option, &blob);
}

static void set_tls(struct rb_http *h)
{
    const struct rb_curl_api *api = h->api;
    CURL *easy = h->transfer.easy;
    const struct rb_http_options *o = &h->opt;
    api->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, o->insecure ? 0L : 1L);
    api->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, o->insecure ? 0L : 2L);
    /* The same range twice: libcurl takes them for two, so that neither goes out on a connection kept of the other. */
    api->easy_setopt(easy, CURLOPT_SSLVERSION,
                     (long)CURL_SSLVERSION_TLSv1_2 | (o->http2 ? (long)CURL_SSLVERSION_MAX_TLSv1_3 : 0L));
    if (o->ca_file) {
        api->easy_setopt(easy, CURLOPT_CAINFO, o->ca_file);
        api->easy_setopt(easy, CURLOPT_CAPATH, NULL); /* these authorities and no others */
    }
    if (o->cert_file)
        api->easy_setopt(easy, CURLOPT_SSLCERT, o->cert_file);
    if (o->key_file)
        api->easy_setopt(easy, CURLOPT_SSLKEY, o->key_file);
    if (h->files.ca.len)
        api->easy_setopt(easy, CURLOPT_CAPATH, NULL);
    set_blob(h, CURLOPT_CAINFO_BLOB, &h->files.ca);
    set_blob(h, CURLOPT_SSLCERT_BLOB, &h->files.cert);
    /* Without one, even an empty one, OpenSSL would ask for it at the terminal, and the loop would stand. */
    api->easy_setopt(easy, CURLOPT_KEYPASSWD, o->key_password ? o->key_password : "");
    set_blob(h, CURLOPT_SSLKEY_BLOB, h->files.key.len ? &h->files.key : &h->files.cert);
    if (o->pins)
        api->easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, o->pins);
    if (!o->server_name)
        return;
    /* libcurl checks the certificate against the URL's host: so that gets the other name, and the connection goes where
     * it would have gone. */
    struct rb_buf b;
    rb_buf_init(&b, 1024);
    bool v6 = strchr(h->host, ':') != NULL;
    rb_buf_addf(&b, v6 ? "%s:%ld:[%s]:%ld" : "%s:%ld:%s:%ld", o->server_name, h->port, h->host, h->port);
    h->connect_to = api->slist_append(NULL, rb_buf_text(&b));
    api->easy_setopt(easy, CURLOPT_CONNECT_TO, h->connect_to);
    rb_buf_release(&b);
}

#ifdef RB_FAULT
/* Only so that a crash test can end the host right behind the sending. */
static int on_trace(CURL *easy, curl_infotype type, char *data, size_t n, void *arg)
{
    (void)easy;
    (void)data;
    (void)n;
    (void)arg;
    if (type == CURLINFO_HEADER_OUT)
        rb_fault_point("http.after-send");
    return 0;
}
#endif

int rb_http_prepare(struct rb_http *h, struct rb_err *err)
{
    const struct rb_curl_api *api = h->api;
    CURL *easy = h->transfer.easy;
    const struct rb_http_options *o = &h->opt;
    set_tls(h); /* before the URL: it says where the connection goes */
    set_method(h);
    if (o->server_name && api->url_set(h->url, CURLUPART_HOST, o->server_name, 0))
        return rb_err_set(err, RB_EINVAL, "%s is no name of a server", o->server_name);
    api->easy_setopt(easy, CURLOPT_CURLU, h->url);
    api->easy_setopt(easy, CURLOPT_ERRORBUFFER, h->curl_says);
    api->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    api->easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
    api->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a look-up of libcurl's own would be waited for */
    api->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    api->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    api->easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    api->easy_setopt(easy, CURLOPT_PROXY, o->proxy ? o->proxy : ""); /* "": nor that of the environment */
    api->easy_setopt(easy, CURLOPT_NOPROXY, "");
    api->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    /* Debian's libcurl lacks the later repairs of HTTP/2. */
    api->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)(o->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    api->easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
    /* libcurl sends a request again when a kept connection breaks before the answer, also a POST that was acted on. */
    api->easy_setopt(easy, CURLOPT_FRESH_CONNECT, o->repeatable ? 0L : 1L);
    if (o->unix_socket)
        api->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, h->files.socket ? h->files.socket : o->unix_socket);
    if (o->connect_timeout_ms)
        api->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
    api->easy_setopt(easy, CURLOPT_HEADERFUNCTION, rb_http_on_head);
    api->easy_setopt(easy, CURLOPT_HEADERDATA, h);
    api->easy_setopt(easy, CURLOPT_WRITEFUNCTION, rb_http_on_body);
    api->easy_setopt(easy, CURLOPT_WRITEDATA, h);
    api->easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
    api->easy_setopt(easy, CURLOPT_PREREQDATA, h);
    pin_addresses(h, h->seek, h->seek_port);
#ifdef RB_FAULT
    api->easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_trace);
    api->easy_setopt(easy, CURLOPT_VERBOSE, 1L);
#endif
    return RB_OK;
}

/* -- what went wrong ----------------------------------------------------------------------------------------------- */

static const char *connect_word(const struct rb_http *h)
{
    long number = 0;
    if (h->opt.proxy)
        return "proxy";
    h->api->easy_getinfo(h->transfer.easy, CURLINFO_OS_ERRNO, &number);
    return number == ECONNREFUSED ? "refused" : "connect";
}

static const char *word_of(const struct rb_http *h, CURLcode code)
{
    bool sent = h->result.sent == RB_HTTP_SENT;
    const char *says = h->curl_says;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST: return "resolve";
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY: return "proxy";
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED: return connect_word(h);
    case CURLE_OPERATION_TIMEDOUT: return sent ? "timeout" : "connect_timeout";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT: return "tls";
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE: return sent ? "reset" : h->opt.proxy ? "proxy" : "connect";
    case CURLE_RECV_ERROR:
        if (!sent)
            return h->opt.proxy ? "proxy" : "connect";
        if (strstr(says, "alert"))
            return "tls"; /* TLS 1.3: a server that refuses a certificate says so after the handshake */
        return strstr(says, "chunk") ? "protocol" : "reset";
    case CURLE_FILESIZE_EXCEEDED: return "too_big";
    case CURLE_READ_ERROR:
    case CURLE_WRITE_ERROR: return "io";
    default: return "protocol";
    }
}

void rb_http_set_curl_error(struct rb_http *h, CURLcode code)
{
    if (code == CURLE_OK || h->result.error)
        return;
    const char *word = word_of(h, code);
    if (code == CURLE_OPERATION_TIMEDOUT && h->result.sent == RB_HTTP_NOT_SENT)
        rb_http_set_error(h, word, "no connection within %.3gs", (double)h->opt.connect_timeout_ms / 1000);
    else if (code == CURLE_FILESIZE_EXCEEDED)
        rb_http_set_too_big(h, h->opt.max_body);
    else if (code == CURLE_OUT_OF_MEMORY) /* so it calls a line of more than its cap */
        rb_http_set_error(h, "too_big", "a header of the answer is larger than libcurl takes (100 kB)");
    else if (code == CURLE_GOT_NOTHING && h->result.sent == RB_HTTP_SENT)
        rb_http_set_error(h, word, "the server closed the connection without an answer");
    else if (h->opt.unix_socket && code == CURLE_COULDNT_CONNECT)
        rb_http_set_error(h, word,
                          "nobody answers at the socket %.300s (unix): is it there, and may this user open it?",
                          h->opt.unix_socket);
    else if (strstr(h->curl_says, "wrong version number") || strstr(h->curl_says, "SSL_connect: ")) /* OpenSSL's */
        rb_http_set_error(h, word,
                          "no TLS handshake with %.200s port %ld: it answered with something else, or hung up "
                          "(is it http://?)",
                          h->host, h->port);
    else if (h->opt.proxy && strstr(h->curl_says, "response 407"))
        rb_http_set_error(h, word, "%s", RB_HTTP_PROXY_LOGIN);
    else if (code == CURLE_SSL_CERTPROBLEM)
        rb_http_set_error(h, word,
                          "the client certificate can not be used: %s (do tls.cert and tls.key belong together, and is "
                          "tls.key_password the key's?)",
                          h->curl_says);
    else if (strcmp(word, "refused") == 0)
        rb_http_set_error(h, word, "connection refused (nobody listens on %.200s port %ld)", h->host, h->port);
    else
        rb_http_set_error(h, word, "%s", h->curl_says[0] ? h->curl_says : h->api->easy_strerror(code));
}
