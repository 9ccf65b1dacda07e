/* What a call of http asks for, read from the table that stdlib/rt/http.lua makes. For bind/ only.
 *
 * A text of the request is a list of pieces: a string, a secret, or { value, "url" | "json" | "base64" } whose real
 * bytes are encoded so. Each text is kept twice: as it goes out, and as it may be shown (with placeholders). */
#ifndef RB_BIND_HTTP_REQUEST_H
#define RB_BIND_HTTP_REQUEST_H

#include "engine/effect.h"
#include "io/http.h"
#include "io/http_url.h"

#define RB_HTTP_PARTS_MAX ((size_t)256 << 20)

struct rb_http_file { /* of a multipart body: put in when it is sent */
    size_t at;        /* place in the body as it was given */
    char *path;
    struct rb_buf content; /* once it was read */
    struct rb_http_file *next;
};

struct rb_http_request {
    char *method;
    char *url, *url_shown; /* shown: without user and fragment */
    struct rb_http_url at; /* the parts of url, when it is ready or a redirect led to it; without text */
    char **headers;        /* "Name: value" … NULL */
    bool *confidential;    /* headers[i] is for the origin that was named, and no other */
    int header_count;
    char *body;
    size_t body_len;
    bool has_body;
    struct rb_http_file *files; /* in the order of their places in body */
    char *body_file, *save;
    bool body_secret; /* a secret is in it: no other origin gets it */
    char *ca_file, *cert_file, *key_file, *key_password, *server_name, *pins, *unix_socket;
    bool insecure, http2, direct; /* direct: no proxy, whatever the configuration says */
    int follow;                   /* hops */
    uint64_t connect_timeout_ms, timeout_ms;
    size_t max_body;
};

/* [-0, +0, e] reads the table at index 1; writes e's args and reach. */
void rb_http_request_read(lua_State *L, struct rb_http_request *r, struct rb_effect *e);
void rb_http_request_free(struct rb_http_request *r);

/* Live, before the first hop: user and password of the URL become a header. */
int rb_http_request_ready(struct rb_http_request *r, struct rb_err *err);
/* The files of a multipart body, which have been read, get their places in it. */
void rb_http_request_join(struct rb_http_request *r);
/* Asks for this URL, whose parts it takes. */
void rb_http_request_go_to(struct rb_http_request *r, struct rb_http_url *url);
/* The header of this name is there. */
bool rb_http_request_has(const struct rb_http_request *r, const char *name);
/* Adds "Name: value". */
void rb_http_request_add(struct rb_http_request *r, const char *text, bool confidential);
void rb_http_request_remove(struct rb_http_request *r, const char *name);
/* Without the body, and the headers that speak of it. */
void rb_http_request_drop_body(struct rb_http_request *r);
/* Without what is for the first origin alone. */
void rb_http_request_drop_confidential(struct rb_http_request *r);
/* As the driver takes it; borrows from r and from the configuration. proxy: buffer for a proxy's URL. */
void rb_http_request_options(const struct rb_http_request *r, const struct rb_effect *e, struct rb_http_options *out,
                             struct rb_buf *proxy);

#endif
