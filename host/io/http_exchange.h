/* What the files of the http driver share: one exchange. For io/http*.c only. */
#ifndef RB_HTTP_EXCHANGE_H
#define RB_HTTP_EXCHANGE_H

#include <netinet/in.h>

#include "io/curl_multi.h"
#include "io/http.h"
#include "io/resolve.h"
#include "io/timer.h"
#include "loop/work.h"

#define RB_HTTP_ADDRESSES 16 /* of one name; further ones are not tried */
#define RB_HTTP_HEAD_MAX ((size_t)256 << 10)
#define RB_HTTP_BODY_MAX ((uint64_t)1 << 30) /* of one that is cut: what is counted and thrown away */

struct rb_http_pool; /* the loop's */

enum rb_http_state {
    RB_HTTP_WAITS,     /* for its turn */
    RB_HTTP_RESOLVES,  /* the name */
    RB_HTTP_TRANSFERS, /* libcurl has it */
    RB_HTTP_SAVES,     /* the file is brought to the disk, on the thread pool */
};

union rb_http_address {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct rb_http {
    struct rb_http_pool *pool;
    const struct rb_curl_api *api;
    struct rb_list link;      /* in the pool: waiting or at work */
    struct rb_list stop_link; /* in the pool: was cancelled, ends at the next turn */
    enum rb_http_state state;
    bool counted;               /* has one of the pool's places */
    struct rb_http_options opt; /* its texts are copies, in `texts` */
    struct rb_buf texts;
    CURLU *url;
    char host[256]; /* the URL's, as a name server wants it; an IPv6 address without brackets */
    long port;
    char seek[256]; /* who is spoken to: that, or the proxy */
    long seek_port;
    bool literal; /* it is an address: nothing to look up */
    char *body;
    int body_fd;
    int64_t body_size, body_at;

    struct rb_timer limit; /* timeout_ms */
    int64_t started;       /* rb_clock_boot(), when its turn came */
    int64_t waited;        /* µs until libcurl got it: what its times lack */
    struct rb_resolve *resolve;
    union rb_http_address addresses[RB_HTTP_ADDRESSES]; /* that may be spoken to */
    int address_count;

    struct rb_curl_transfer transfer;
    struct curl_slist *headers, *hosts, *connect_to;
    char curl_says[CURL_ERROR_SIZE];

    struct rb_buf head; /* the lines of the answer's head, each with a NUL */
    int head_lines;
    bool head_whole, hashing, cancelled;
    bool held, paused; /* wanted; libcurl was told so */
    /* The folder of the file that is saved (or AT_FDCWD), its name there, the name while it grows. */
    int save_dir, save_fd;
    char *save_name, *save_part;
    struct rb_work work;
    int work_errno;
    struct rb_http_result result;
};

/* http_setup.c. check: method, headers and URL into h->url, host, port. prepare: all options of h->transfer.easy. */
int rb_http_check(struct rb_http *h, struct rb_err *err);
int rb_http_prepare(struct rb_http *h, struct rb_err *err);
/* May this address be spoken to? Asks on_address, and sets the result's error. */
bool rb_http_may(struct rb_http *h, const struct sockaddr *sa);

/* http_body.c: what libcurl calls with the answer and for the body, and the file that the answer goes to. */
size_t rb_http_on_head(char *data, size_t size, size_t n, void *arg);
size_t rb_http_on_body(char *data, size_t size, size_t n, void *arg);
size_t rb_http_on_read(char *data, size_t size, size_t n, void *arg);
int rb_http_on_seek(void *arg, curl_off_t offset, int origin);
int rb_http_open_files(struct rb_http *h, struct rb_err *err);
void rb_http_close_files(struct rb_http *h); /* a file that did not become whole is removed */
void rb_http_save_run(struct rb_work *w);    /* on the pool: to the disk, then its name */

/* http_peer.c: what is known of the other side, while the connection is there. */
void rb_http_note_peer(struct rb_http *h);

/* Sets the error of the result; the first one stays. */
void rb_http_set_error(struct rb_http *h, const char *error, const char *fmt, ...) RB_PRINTF(3, 4);
/* What the end of libcurl's work means, as an error of the result; nothing for a good one. */
void rb_http_set_curl_error(struct rb_http *h, CURLcode code);

#endif
