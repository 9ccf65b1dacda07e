/* Owns digests as bytes and as text. */
#include "base/sha.h"

#include <string.h>

void rb_sha(const void *p, size_t n, uint8_t out[RB_SHA_LEN])
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, n, p);
    sha256_digest(&ctx, RB_SHA_LEN, out);
}

void rb_sha_hex(const uint8_t sum[RB_SHA_LEN], char out[RB_SHA_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < RB_SHA_LEN; i++) {
        out[2 * i] = digits[sum[i] >> 4];
        out[2 * i + 1] = digits[sum[i] & 15];
    }
    out[RB_SHA_HEX - 1] = '\0';
}

void rb_sha_of_hex(const void *p, size_t n, char out[RB_SHA_HEX])
{
    uint8_t sum[RB_SHA_LEN];
    rb_sha(p, n, sum);
    rb_sha_hex(sum, out);
}

int rb_sha_parse(const char *hex, uint8_t out[RB_SHA_LEN])
{
    static const char digits[] = "0123456789abcdef";
    if (strlen(hex) != RB_SHA_HEX - 1)
        return RB_EINVAL;
    for (int i = 0; i < RB_SHA_LEN; i++) {
        const char *hi = strchr(digits, hex[2 * i]), *lo = strchr(digits, hex[2 * i + 1]);
        if (!hi || !lo)
            return RB_EINVAL;
        out[i] = (uint8_t)((hi - digits) << 4 | (lo - digits));
    }
    return RB_OK;
}
