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
#define RB_HTTP_HEAD_LINES 2000
#define RB_HTTP_BODY_MAX ((uint64_t)1 << 30) /* of one that is cut: what is counted and thrown away */

#define RB_HTTP_PROXY_LOGIN \
    "the proxy wants another login (407): user and password stand in the environment's URL of it (proxy_env = true)"

struct rb_http_pool; /* the loop's */

enum rb_http_state {
    RB_HTTP_WAITS,     /* for its turn */
    RB_HTTP_RESOLVES,  /* the name */
    RB_HTTP_TRANSFERS, /* libcurl has it */
    RB_HTTP_SAVES,     /* it is over but for what the thread pool has still to do with its files */
};

/* The way of its files to the pool and back: one chunk is read ahead, one is written behind. http_files.c's. */
struct rb_http_disk {
    struct rb_work read, write, end;
    bool reading, writing, ending; /* on the pool: the other side's, but for what is said */
    int64_t sent;                  /* of the request's body, by libcurl */
    char *ahead;
    int64_t ahead_from;
    ssize_t ahead_len; /* or -errno */
    struct rb_buf behind, on_its_way;
    int write_errno, end_errno;
    bool unsaved; /* the answer is not for the file */
    bool keep;    /* at the end: it gets its name */
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
    bool enough, had_enough;        /* of the body only max_body bytes are wanted; there were more, which ended it */
    bool unpacks;                   /* has asked for a packed body */
    struct rb_http_unpack *unpack;  /* of the body; NULL: it is as it came */
    bool held, paused, send_paused; /* wanted; libcurl was told so, of the answer and of the request */
    struct rb_http_files files;
    struct rb_http_disk disk;
    bool late; /* its time is over, and its disk still at work */
    bool left; /* on_done was called: what is at work on the pool keeps the memory */
    struct rb_http_result result;
};

/* http_setup.c. check: method, headers and URL into h->url, host, port. prepare: all options of h->transfer.easy. */
int rb_http_check(struct rb_http *h, struct rb_err *err);
int rb_http_prepare(struct rb_http *h, struct rb_err *err);
/* May this address be spoken to? Asks on_address, and sets the result's error. */
bool rb_http_may(struct rb_http *h, const struct sockaddr *sa);

/* http_body.c: what libcurl calls with the answer. */
size_t rb_http_on_head(char *data, size_t size, size_t n, void *arg);
size_t rb_http_on_body(char *data, size_t size, size_t n, void *arg);

/* http_unpack.c: packed bodies. begin: packed so (Content-Encoding). unpack: hands on what comes of it; false: an end,
 * with the result's error or take's wish. end: the answer is whole; is the body? */
void rb_http_unpack_begin(struct rb_http *h, const char *how);
bool rb_http_unpack(struct rb_http *h, const char *data, size_t len,
                    bool (*take)(struct rb_http *, const char *, size_t));
void rb_http_unpack_end(struct rb_http *h);
void rb_http_unpack_free(struct rb_http *h);

/* http_files.c: the files, whatever their disk does. */
size_t rb_http_on_read(char *data, size_t size, size_t n, void *arg);
int rb_http_on_seek(void *arg, curl_off_t offset, int origin);
bool rb_http_saves(const struct rb_http *h);                  /* the body goes to a file */
bool rb_http_write_full(const struct rb_http *h, size_t len); /* it has to wait until some was written */
void rb_http_write(struct rb_http *h, const char *data, size_t len);
/* After the transfer: is everything done with the files? Else rb_http_disk_came() follows. */
bool rb_http_put_away(struct rb_http *h);
bool rb_http_disk_busy(const struct rb_http *h);

/* http.c, for http_files.c. came: the pool has done what it was asked for. break: ends it with the result's error. */
void rb_http_disk_came(struct rb_http *h);
void rb_http_break(struct rb_http *h);
struct rb_loop *rb_http_loop(const struct rb_http *h);
void rb_http_set_pause(struct rb_http *h); /* tells libcurl what `paused` and `send_paused` say */

/* http_peer.c: what is known of the other side, while the connection is there. */
void rb_http_note_peer(struct rb_http *h);

/* Sets the error of the result; the first one stays. */
void rb_http_set_error(struct rb_http *h, const char *error, const char *fmt, ...) RB_PRINTF(3, 4);
void rb_http_set_too_big(struct rb_http *h, uint64_t most);
/* What the end of libcurl's work means, as an error of the result; nothing for a good one. */
void rb_http_set_curl_error(struct rb_http *h, CURLcode code);

#endif
