/* HTTP requests on libcurl's multi interface over the loop. libcurl is opened with dlopen at the first request.
 *
 * One struct rb_http is one exchange: one request and its answer, never a redirect (whoever called decides on each
 * hop). The driver knows no Lua and no journal; nothing it does blocks the loop. Its messages name no URL: whoever
 * called knows what of it may be shown. */
#ifndef RB_HTTP_H
#define RB_HTTP_H

#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "io/proc.h"
#include "loop/loop.h"

struct rb_http;

enum rb_http_sent {
    RB_HTTP_NOT_SENT, /* no byte of the request has left: it has not happened */
    RB_HTTP_SENT,     /* some or all of it has: without an answer nobody knows */
};

struct rb_http_time {
    double dns, connect, tls, first_byte, total; /* seconds since the start; 0 where it did not come to that */
};

struct rb_http_result {
    /* NULL: there is an answer. Else what went wrong, a word for the error's kind: "resolve" "refused" "connect"
     * "connect_timeout" "timeout" "tls" "reset" "protocol" "too_big" "policy" "proxy" "cancelled" "io", and a sentence
     * in `message`. */
    const char *error;
    char message[512];
    enum rb_http_sent sent;
    int status;             /* of the answer; 0 none */
    char **headers;         /* "Name: value", NULL-terminated, without status line and trailers; borrowed */
    struct rb_capture body; /* decoded: cut at max_body, counted whole; digested when it was cut or saved */
    bool digested;          /* body.digest is there */
    bool saved;             /* the file has its name */
    struct rb_http_time time;
    char tls_issuer[256], tls_subject[256];
    int64_t tls_not_after; /* seconds since 1970; 0 without TLS */
    char address[64];      /* that was spoken to: "127.0.0.1:8080"; "" none */
    bool reused;           /* the connection was there already */
};

/* What an exchange has of the disk, opened already by whoever knows what may be reached. */
struct rb_http_files {
    int body_fd; /* the body of the request, a regular file; -1: none */
    int64_t body_size;
    /* Where the answer goes: save_fd is a new file, save_part in a folder, and gets save_name when it is whole and on
     * the disk. -1: none. The names are owned. */
    int save_dir, save_fd;
    char *save_name, *save_part;
    char *socket;                /* where unix_socket leads; owned. NULL: it is taken as it is */
    struct rb_buf ca, cert, key; /* PEM; empty: none. A key may stand with its certificate */
};

void rb_http_files_init(struct rb_http_files *f);
/* Closes; what was begun and did not get its name is removed. On the pool where a disk may be slow. */
void rb_http_files_release(struct rb_http_files *f);

struct rb_http_options {
    const char *method; /* "GET" */
    const char *url;
    const char *const *headers; /* "Name: value" … NULL; may be NULL */
    const void *body;           /* NULL: none. Copied. */
    size_t body_len;
    const char *body_file, *save; /* the names of what is in `files`, for messages; NULL */
    struct rb_http_files *files;  /* taken, whatever comes of it, and left as after init; NULL: none */
    bool repeatable; /* doing it twice is one: it may go out on a connection that was kept and may have died */
    bool http2;      /* asked for; else HTTP/1.1 */
    /* TLS: verification is on unless `insecure`. */
    bool insecure;
    const char *ca_file, *cert_file, *key_file; /* NULL: the system's authorities; no client certificate */
    const char *server_name;                    /* that the certificate must be for; NULL: the URL's host */
    const char *unix_socket;
    const char *proxy;        /* NULL: none. Never from the environment. */
    const char *key_password; /* of the client certificate's key; NULL: it has none */
    const char *pins;         /* of the server's key: "sha256//…;sha256//…"; NULL */
    uint64_t connect_timeout_ms, timeout_ms;
    size_t max_body; /* bytes kept, after decoding; 0: none */
    bool cut_body;   /* true: more is cut and counted, up to 1 GiB; false: more is the error "too_big" */
    /* Each address that the name resolves to, before anything is sent: RB_EDENIED refuses it. NULL: all may be. */
    int (*on_address)(void *arg, const struct sockaddr *address, struct rb_err *err);
    /* The status and headers have come (result as far as it goes); then data as it comes. Either may call
     * rb_http_cancel(). on_data set: the body is not kept. */
    void (*on_head)(void *arg, const struct rb_http_result *so_far);
    void (*on_data)(void *arg, const char *data, size_t len);
    /* Once, on the loop, never from within rb_http_start(). `result` is borrowed; the body may be taken with
     * rb_buf_detach(). The exchange frees itself afterwards. */
    void (*on_done)(void *arg, struct rb_http_result *result);
    void *arg;
};

/* Starts it. On failure nothing was started and on_done will not be called: RB_EINVAL (a URL, method or header that is
 * none), RB_ENOENT (no libcurl: the sentence names the package). */
int rb_http_start(struct rb_loop *loop, const struct rb_http_options *opt, struct rb_http **out, struct rb_err *err);

/* on_done follows, soon, with the error "cancelled". */
void rb_http_cancel(struct rb_http *h);

/* The answer is not what was wanted: of its body max_body bytes are kept, and the rest is not waited for. A file that
 * it was to be saved in stays as it is; then max bytes are kept. From on_head. */
void rb_http_unsave(struct rb_http *h, size_t max);

/* While it is held nothing more comes: the server has to wait. For on_data; it may be called from there. */
void rb_http_hold(struct rb_http *h, bool hold);

/* Seconds that an answer asks to wait (Retry-After, RFC 9110 10.2.3: seconds or a date); -1: it says nothing, or none
 * of these. */
double rb_http_retry_after(const struct rb_http_result *r);

/* How many exchanges of this loop are at work at once (default 64); more wait for their turn, and their time begins
 * with it. Those with on_data are not counted: they may last for hours. */
void rb_http_set_max(struct rb_loop *loop, int max);

#endif
