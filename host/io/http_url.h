/* URLs, as libcurl reads them: one reader for what is checked and for what is asked for. */
#ifndef RB_HTTP_URL_H
#define RB_HTTP_URL_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

struct rb_http_url {
    char *text;            /* absolute, without user and fragment */
    char *user, *password; /* decoded; NULL: none */
    char *scheme, *host;   /* host without brackets */
    long port;
};

/* Reads text, relative to base unless that is NULL. On failure (RB_EINVAL, RB_ENOENT) nothing is to be released. */
int rb_http_url_read(const char *text, const char *base, struct rb_http_url *out, struct rb_err *err);
/* The same for URLs that can be read in one way only: http or https, a plain host, perhaps a port, a path; nothing in
 * it that a reader might change. False: ask rb_http_url_read(). libcurl needs thousands of instructions for one. */
bool rb_http_url_read_plain(const char *text, struct rb_http_url *out);
void rb_http_url_release(struct rb_http_url *u);

bool rb_http_url_same_origin(const struct rb_http_url *a, const struct rb_http_url *b);

/* The proxy for this URL, appended, as `http` of the configuration says (http_proxy.c); nothing: none. */
void rb_http_proxy(const json_t *config, const struct rb_http_url *url, struct rb_buf *out);

#endif
