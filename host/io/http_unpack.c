/* Owns the unpacking of a body. Not left to libcurl: of a packed body that ends in the middle it makes a whole answer,
 * and one of several members (RFC 1952 2.2) it refuses. Knows nothing of where the bytes go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "io/http_exchange.h"

#define ROOM 16384
#define RAW (-15)
#define ZLIB 15
#define GZIP (15 + 16)

struct rb_http_unpack {
    const struct rb_curl_api *api;
    z_stream z;
    bool gzip;
    bool begun, whole; /* some bytes have come; the last of them ended what was packed */
};

void rb_http_unpack_begin(struct rb_http *h, const char *how)
{
    bool gzip = !strcasecmp(how, "gzip") || !strcasecmp(how, "x-gzip");
    if (!h->unpacks || !*how || !strcasecmp(how, "identity"))
        return;
    if (h->unpack || (!gzip && strcasecmp(how, "deflate"))) { /* also one in the other */
        rb_http_set_error(h, "protocol", "the body of the answer is packed as %.60s, which nobody asked for", how);
        return;
    }
    struct rb_http_unpack *u = rb_alloc(sizeof(*u));
    u->api = h->api;
    u->gzip = gzip;
    if (u->api->inflate_init(&u->z, gzip ? GZIP : ZLIB, ZLIB_VERSION, (int)sizeof(u->z)) != Z_OK)
        rb_die("out of memory");
    h->unpack = u;
}

void rb_http_unpack_free(struct rb_http *h)
{
    if (!h->unpack)
        return;
    h->unpack->api->inflate_end(&h->unpack->z);
    free(h->unpack);
    h->unpack = NULL;
}

/* Behind the end of a member another one may stand. */
static bool next_member(struct rb_http_unpack *u)
{
    u->whole = false;
    return u->gzip && *u->z.next_in == 0x1f && u->api->inflate_reset(&u->z, GZIP) == Z_OK;
}

/* "deflate" is also sent without the head that belongs to it: then it is begun once more, as that. */
static bool try_raw(struct rb_http_unpack *u, const char *data, size_t len)
{
    if (u->gzip || u->begun)
        return false;
    u->begun = true;
    u->z.next_in = (Bytef *)(uintptr_t)data;
    u->z.avail_in = (uInt)len;
    return u->api->inflate_reset(&u->z, RAW) == Z_OK;
}

bool rb_http_unpack(struct rb_http *h, const char *data, size_t len,
                    bool (*take)(struct rb_http *, const char *, size_t))
{
    struct rb_http_unpack *u = h->unpack;
    char out[ROOM];
    u->z.next_in = (Bytef *)(uintptr_t)data;
    u->z.avail_in = (uInt)len;
    do {
        if (u->whole && !next_member(u)) {
            rb_http_set_error(h, "protocol", "behind the end of the packed body are other bytes");
            return false;
        }
        u->z.next_out = (Bytef *)out;
        u->z.avail_out = ROOM;
        int rc = u->api->inflate(&u->z, Z_NO_FLUSH);
        if (rc == Z_DATA_ERROR && try_raw(u, data, len))
            continue;
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
            /* the last: all was taken, and nothing came of it */
            rb_http_set_error(h, "protocol", "the body of the answer can not be unpacked: %s",
                              u->z.msg ? u->z.msg : "it is damaged");
            return false;
        }
        u->begun = true;
        u->whole = rc == Z_STREAM_END;
        if (u->z.avail_out < ROOM && !take(h, out, ROOM - u->z.avail_out))
            return false;
    } while (u->z.avail_in || (!u->z.avail_out && !u->whole));
    return true;
}

void rb_http_unpack_end(struct rb_http *h)
{
    if (h->unpack && h->unpack->begun && !h->unpack->whole)
        rb_http_set_error(h, "protocol", "the packed body of the answer ends in the middle");
}
