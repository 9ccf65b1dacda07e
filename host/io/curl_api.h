/* libcurl, opened with dlopen at its first use: a run that speaks to nobody does not pay for it.
 *
 * The functions have libcurl's names without "curl_": api->easy_init(). Constants and types come from its header. */
#ifndef RB_CURL_API_H
#define RB_CURL_API_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <zlib.h>

#include "base/err.h"

/* clang-format off */
#define RB_CURL_FUNCTIONS(X) \
    X(global_init) X(version_info) X(free) X(slist_append) X(slist_free_all) \
    X(easy_init) X(easy_reset) X(easy_cleanup) X(easy_setopt) X(easy_getinfo) X(easy_strerror) X(easy_pause) \
    X(multi_init) X(multi_cleanup) X(multi_setopt) X(multi_add_handle) X(multi_remove_handle) \
    X(multi_socket_action) X(multi_assign) X(multi_info_read) X(multi_strerror) \
    X(url) X(url_cleanup) X(url_dup) X(url_get) X(url_set) X(url_strerror)
/* clang-format on */

struct rb_curl_api {
#define RB_CURL_MEMBER(name) __typeof__(curl_##name) *name;
    RB_CURL_FUNCTIONS(RB_CURL_MEMBER)
#undef RB_CURL_MEMBER
    /* Of the OpenSSL that libcurl speaks through: what it knows of the peer's certificate, also on a connection that
     * was kept. All NULL with another TLS library. */
    void *(*ssl_peer_certificate)(const void *ssl);
    void *(*x509_issuer)(const void *certificate);
    void *(*x509_subject)(const void *certificate);
    char *(*x509_name_text)(const void *name, char *buf, int size);
    const void *(*x509_not_after)(const void *certificate);
    int (*asn1_time_to_tm)(const void *time, struct tm *out);
    void (*x509_free)(void *certificate);
    /* Of the zlib that libcurl is linked with; all NULL without one: then nothing is asked for that would have to be
     * unpacked. */
    int (*inflate_init)(z_streamp z, int window_bits, const char *version, int size);
    int (*inflate)(z_streamp z, int flush);
    int (*inflate_reset)(z_streamp z, int window_bits);
    int (*inflate_end)(z_streamp z);
    /* Of its libidn2, for messages: a name with letters beyond ASCII as name servers know it. NULL: not there. */
    int (*idn_lookup)(const uint8_t *name, uint8_t **out, int flags);
    void (*idn_free)(void *name);
};

/* The table; NULL: RB_ENOENT with a sentence that names the package. One for the process, never closed. */
const struct rb_curl_api *rb_curl(struct rb_err *err);

#endif
