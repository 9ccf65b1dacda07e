/* Owns what an exchange says of the other side: the certificate, the address, the times. */
#include "io/http_exchange.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void name_text(const struct rb_curl_api *api, const void *name, char *out, size_t n)
{
    if (!name || !api->x509_name_text(name, out, (int)n))
        out[0] = '\0';
}

/* Asked of OpenSSL and not of CURLINFO_CERTINFO, which has nothing on a connection that was kept. */
static void note_certificate(struct rb_http *h)
{
    const struct rb_curl_api *api = h->api;
    struct rb_http_result *r = &h->result;
    struct curl_tlssessioninfo *tls = NULL;
    if (!api->ssl_peer_certificate || api->easy_getinfo(h->transfer.easy, CURLINFO_TLS_SSL_PTR, &tls) || !tls ||
        tls->backend != CURLSSLBACKEND_OPENSSL || !tls->internals)
        return;
    void *certificate = api->ssl_peer_certificate(tls->internals);
    if (!certificate)
        return;
    struct tm tm;
    name_text(api, api->x509_issuer(certificate), r->tls_issuer, sizeof(r->tls_issuer));
    name_text(api, api->x509_subject(certificate), r->tls_subject, sizeof(r->tls_subject));
    if (api->asn1_time_to_tm(api->x509_not_after(certificate), &tm))
        r->tls_not_after = (int64_t)timegm(&tm);
    api->x509_free(certificate);
}

static double seconds(const struct rb_http *h, CURLINFO info)
{
    curl_off_t us = 0;
    h->api->easy_getinfo(h->transfer.easy, info, &us);
    return us > 0 ? (double)(us + h->waited) / 1e6 : 0;
}

void rb_http_note_peer(struct rb_http *h)
{
    struct rb_http_result *noted = &h->result;
    if (noted->address[0]) { /* at the end of an answer whose head has come: only its time has changed */
        noted->time.total = seconds(h, CURLINFO_TOTAL_TIME_T);
        return;
    }
    const struct rb_curl_api *api = h->api;
    struct rb_http_result *r = &h->result;
    CURL *easy = h->transfer.easy;
    const char *ip = NULL;
    long port = 0, opened = 0;
    if (!r->tls_issuer[0])
        note_certificate(h);
    api->easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip);
    api->easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
    api->easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &opened);
    if (ip && ip[0])
        snprintf(r->address, sizeof(r->address), strchr(ip, ':') ? "[%s]:%ld" : "%s:%ld", ip, port);
    r->reused = opened == 0 && r->sent == RB_HTTP_SENT;
    r->time.connect = seconds(h, CURLINFO_CONNECT_TIME_T);
    r->time.tls = seconds(h, CURLINFO_APPCONNECT_TIME_T);
    r->time.first_byte = seconds(h, CURLINFO_STARTTRANSFER_TIME_T);
    r->time.total = seconds(h, CURLINFO_TOTAL_TIME_T);
}
