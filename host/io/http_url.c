/* Owns the reading of URLs for whoever has to know their parts before they are asked for. */
#include "io/http_url.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/curl_api.h"

static char *part_of(const struct rb_curl_api *api, CURLU *u, CURLUPart part, unsigned flags)
{
    char *text = NULL, *copy;
    if (api->url_get(u, part, &text, flags))
        return NULL;
    copy = rb_strdup(text);
    api->free(text);
    return copy;
}

/* A name of lower-case labels, or a dotted quad; so that libcurl would not touch it. */
static bool is_plain_host(const char *host, size_t n)
{
    char copy[254];
    struct in_addr v4;
    bool label = false; /* has begun */
    const char *last = copy;
    if (!n || n >= sizeof(copy))
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = host[i];
        bool sign = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!sign && !(label && (c == '-' || c == '.')))
            return false;
        label = c != '.';
        copy[i] = c;
        if (!label)
            last = copy + i + 1;
    }
    copy[n] = '\0';
    return label && (*last < '0' || *last > '9' || inet_pton(AF_INET, copy, &v4) == 1); /* "127.1" is an address, too */
}

bool rb_http_url_read_plain(const char *text, struct rb_http_url *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/?&=+,:;";
    bool tls = strncmp(text, "https://", 8) == 0;
    if (!tls && strncmp(text, "http://", 7))
        return false;
    const char *host = text + (tls ? 8 : 7), *p = host + strcspn(host, ":/?#@[\\");
    size_t n = (size_t)(p - host);
    long port = tls ? 443 : 80;
    if (*p == ':') {
        char *end;
        if (p[1] < '1' || p[1] > '9')
            return false;
        port = strtol(p + 1, &end, 10);
        p = end;
    }
    if (*p != '/' || port > 65535 || p[strspn(p, plain)] || strstr(p, "/.") || !is_plain_host(host, n))
        return false;
    *out = (struct rb_http_url){.text = rb_strdup(text),
                                .scheme = rb_strdup(tls ? "https" : "http"),
                                .host = rb_strndup(host, n),
                                .port = port};
    return true;
}

void rb_http_url_release(struct rb_http_url *u)
{
    if (u->password)
        explicit_bzero(u->password, strlen(u->password));
    free(u->text);
    free(u->user);
    free(u->password);
    free(u->scheme);
    free(u->host);
    *u = (struct rb_http_url){0};
}

/* Policy and name servers know a host by one name: the one of ASCII. Which that is, is said; what would be meant by
 * another one is nobody's guess. */
static int check_ascii(const struct rb_curl_api *api, const char *host, struct rb_err *err)
{
    enum { NFC_INPUT = 1, NONTRANSITIONAL = 8 };
    uint8_t *name = NULL;
    const char *p = host;
    while (*p && !(*p & 0x80))
        p++;
    if (!*p)
        return RB_OK;
    if (!api->idn_lookup || api->idn_lookup((const uint8_t *)host, &name, NFC_INPUT | NONTRANSITIONAL))
        return rb_err_set(err, RB_EINVAL, "the host %.200s has letters beyond ASCII: write it in its form with xn--",
                          host);
    rb_err_set(err, RB_EINVAL, "the host %.200s has letters beyond ASCII: write %.255s", host, (const char *)name);
    api->idn_free(name);
    return err->code;
}

int rb_http_url_read(const char *text, const char *base, struct rb_http_url *out, struct rb_err *err)
{
    const struct rb_curl_api *api = rb_curl(err);
    *out = (struct rb_http_url){0};
    if (!api)
        return err->code;
    if (!base && rb_http_url_read_plain(text, out))
        return RB_OK;
    CURLU *u = api->url();
    CURLUcode rc = base ? api->url_set(u, CURLUPART_URL, base, 0) : CURLUE_OK;
    if (!rc)
        rc = api->url_set(u, CURLUPART_URL, text, CURLU_URLENCODE | (base ? CURLU_ALLOW_SPACE : 0));
    if (rc) {
        api->url_cleanup(u);
        return rb_err_set(err, RB_EINVAL, "this is no URL: %s", api->url_strerror(rc));
    }
    out->user = part_of(api, u, CURLUPART_USER, CURLU_URLDECODE);
    out->password = part_of(api, u, CURLUPART_PASSWORD, CURLU_URLDECODE);
    api->url_set(u, CURLUPART_USER, NULL, 0);
    api->url_set(u, CURLUPART_PASSWORD, NULL, 0);
    api->url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    out->text = part_of(api, u, CURLUPART_URL, 0);
    out->scheme = part_of(api, u, CURLUPART_SCHEME, 0);
    out->host = part_of(api, u, CURLUPART_HOST, 0);
    char *port = part_of(api, u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    out->port = port ? strtol(port, NULL, 10) : 0;
    free(port);
    api->url_cleanup(u);
    bool http = out->scheme && (!strcasecmp(out->scheme, "http") || !strcasecmp(out->scheme, "https"));
    if (!out->text || !out->host || !http) {
        rb_http_url_release(out);
        return rb_err_set(err, RB_EINVAL, "a URL must begin with http:// or https:// and a host");
    }
    if (check_ascii(api, out->host, err)) {
        rb_http_url_release(out);
        return err->code;
    }
    size_t n = strlen(out->host);
    if (out->host[0] == '[' && n > 2) {
        memmove(out->host, out->host + 1, n - 2);
        out->host[n - 2] = '\0';
    }
    return RB_OK;
}

bool rb_http_url_same_origin(const struct rb_http_url *a, const struct rb_http_url *b)
{
    return !strcasecmp(a->scheme, b->scheme) && !strcasecmp(a->host, b->host) && a->port == b->port;
}
