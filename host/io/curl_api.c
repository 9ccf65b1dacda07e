/* Owns the one opening of libcurl. Knows nothing of what it is used for. */
#include "io/curl_api.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"
#define PACKAGE "libcurl4"
#define OLDEST 0x075500 /* 7.85.0: the protocols as a text */

/* A pointer to a function out of one to an object, as POSIX has it. */
static bool find(void *library, const char *name, void *slot)
{
    void *symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof(symbol));
    return symbol != NULL;
}

/* libcurl's handle also finds what libcurl itself is linked with. */
static void find_openssl(struct rb_curl_api *api, void *library)
{
    bool all = find(library, "SSL_get1_peer_certificate", &api->ssl_peer_certificate) &&
               find(library, "X509_get_issuer_name", &api->x509_issuer) &&
               find(library, "X509_get_subject_name", &api->x509_subject) &&
               find(library, "X509_NAME_oneline", &api->x509_name_text) &&
               find(library, "X509_get0_notAfter", &api->x509_not_after) &&
               find(library, "ASN1_TIME_to_tm", &api->asn1_time_to_tm) && find(library, "X509_free", &api->x509_free);
    if (!all)
        api->ssl_peer_certificate = NULL;
}

static void find_others(struct rb_curl_api *api, void *library)
{
    bool zlib = find(library, "inflateInit2_", &api->inflate_init) && find(library, "inflate", &api->inflate) &&
                find(library, "inflateReset2", &api->inflate_reset) && find(library, "inflateEnd", &api->inflate_end);
    if (!zlib)
        api->inflate = NULL;
    if (!find(library, "idn2_free", &api->idn_free) || !find(library, "idn2_lookup_u8", &api->idn_lookup))
        api->idn_lookup = NULL;
}

static int open_library(struct rb_curl_api *api, struct rb_err *err)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return rb_err_set(err, RB_ENOENT, "http needs libcurl, which is not here: install the package " PACKAGE " (%s)",
                          dlerror());
#define RB_CURL_FIND(name) \
    if (!find(library, "curl_" #name, &api->name)) \
        return rb_err_set(err, RB_ENOENT, LIBRARY " has no curl_" #name ": install the package " PACKAGE);
    RB_CURL_FUNCTIONS(RB_CURL_FIND)
#undef RB_CURL_FIND
    if (api->global_init(CURL_GLOBAL_DEFAULT))
        return rb_err_set(err, RB_EIO, "libcurl does not start");
    const curl_version_info_data *version = api->version_info(CURLVERSION_NOW);
    if (version->version_num < OLDEST)
        return rb_err_set(err, RB_ENOENT, "libcurl %s is too old: install the package " PACKAGE " from 7.85",
                          version->version);
    if (version->ssl_version && strncmp(version->ssl_version, "OpenSSL/", 8) == 0)
        find_openssl(api, library);
    find_others(api, library);
    return RB_OK;
}

const struct rb_curl_api *rb_curl(struct rb_err *err)
{
    static struct rb_curl_api api;
    static bool opened;
    if (!opened && open_library(&api, err))
        return NULL;
    opened = true;
    return &api;
}
