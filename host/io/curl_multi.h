/* libcurl's multi interface on the loop: one for each loop, with its connections, which all that speak through libcurl
 * share. Whoever has an easy handle hands it over as a transfer and hears of its end.
 *
 * None of these may be called from within a callback of libcurl. */
#ifndef RB_CURL_MULTI_H
#define RB_CURL_MULTI_H

#include "io/curl_api.h"
#include "loop/loop.h"

struct rb_curl_multi;

/* One easy handle at work. Owned by whoever adds it. */
struct rb_curl_transfer {
    CURL *easy; /* its CURLOPT_PRIVATE is the transfer's while it is added */
    /* Once, on the loop, never from within add; the transfer has been removed and may be freed or added again. */
    void (*on_done)(struct rb_curl_transfer *t, CURLcode code);
    bool added;
};

/* The loop's, made at the first call. RB_ENOENT: there is no libcurl. */
int rb_curl_multi_open(struct rb_loop *loop, struct rb_curl_multi **out, struct rb_err *err);

int rb_curl_multi_add(struct rb_curl_multi *m, struct rb_curl_transfer *t, struct rb_err *err);
/* Ends it early: on_done will not be called. Does nothing for one that is not added. */
void rb_curl_multi_remove(struct rb_curl_multi *m, struct rb_curl_transfer *t);

#endif
