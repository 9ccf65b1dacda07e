/* Owns base64, hash and hmac of the sandbox: text in, text out. All memory is Lua's, so that errors leak nothing. */
#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <string.h>

#include "engine/lua_lib.h"

/* -- base64 (RFC 4648): padded with the standard alphabet, without padding with the one for URLs ------------------- */

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int encode(lua_State *L, const char *alphabet, bool padded)
{
    size_t n;
    const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &n);
    rb_vm_need(L, (double)n / 3 * 4);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, (n + 2) / 3 * 4);
    size_t len = 0;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) | (left > 2 ? s[i + 2] : 0);
        out[len++] = alphabet[bits >> 18];
        out[len++] = alphabet[bits >> 12 & 63];
        if (left > 1)
            out[len++] = alphabet[bits >> 6 & 63];
        else if (padded)
            out[len++] = '=';
        if (left > 2)
            out[len++] = alphabet[bits & 63];
        else if (padded)
            out[len++] = '=';
    }
    luaL_pushresultsize(&b, len);
    return 1;
}

/* Only what encode makes: bits that are not used must be zero, so that a value has one text. */
static int decode(lua_State *L, const char *alphabet, bool padded, const char *function)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    size_t given = n;
    int8_t value[256];
    memset(value, -1, sizeof value);
    for (int i = 0; i < 64; i++)
        value[(unsigned char)alphabet[i]] = (int8_t)i;
    while (padded && n > 0 && given - n < 2 && s[n - 1] == '=')
        n--;
    bool good = n % 4 != 1 && (!padded || given % 4 == 0);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, n / 4 * 3 + 3);
    size_t len = 0;
    uint32_t bits = 0;
    for (size_t i = 0; good && i < n; i++) {
        int8_t v = value[(unsigned char)s[i]];
        if (v < 0)
            return luaL_error(L, "%s: the character at %d is not one of base64's", function, (int)i + 1);
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 1)
            out[len++] = (char)(bits >> 4);
        else if (i % 4 == 2)
            out[len++] = (char)(bits >> 2);
        else if (i % 4 == 3)
            out[len++] = (char)bits;
    }
    if (n % 4 == 2)
        good = good && (bits & 15) == 0;
    else if (n % 4 == 3)
        good = good && (bits & 3) == 0;
    if (!good)
        return luaL_error(L, "%s: this is not complete base64 text (%s padding)", function,
                          padded ? "with" : "without");
    luaL_pushresultsize(&b, len);
    return 1;
}

static int l_encode(lua_State *L)
{
    return encode(L, standard, true);
}

static int l_decode(lua_State *L)
{
    return decode(L, standard, true, "base64.decode");
}

static int l_encode_url(lua_State *L)
{
    return encode(L, for_urls, false);
}

static int l_decode_url(lua_State *L)
{
    return decode(L, for_urls, false, "base64.decode_url");
}

void rb_lib_base64(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", l_encode},         {"decode", l_decode}, {"encode_url", l_encode_url},
        {"decode_url", l_decode_url}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
}

/* -- hash and hmac (RFC 2104), as lower-case hex ------------------------------------------------------------------- */

static int push_hex(lua_State *L, const uint8_t *sum, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char out[2 * SHA512_DIGEST_SIZE];
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[sum[i] >> 4];
        out[2 * i + 1] = digits[sum[i] & 15];
    }
    lua_pushlstring(L, out, 2 * n);
    return 1;
}

#define HASH(name, SIZE) \
    static int l_##name(lua_State *L) \
    { \
        size_t n; \
        const char *s = luaL_checklstring(L, 1, &n); \
        struct name##_ctx ctx; \
        uint8_t sum[SIZE]; \
        name##_init(&ctx); \
        name##_update(&ctx, n, (const uint8_t *)s); \
        name##_digest(&ctx, sizeof sum, sum); \
        return push_hex(L, sum, sizeof sum); \
    } \
    static int l_hmac_##name(lua_State *L) \
    { \
        size_t nkey, n; \
        const char *key = luaL_checklstring(L, 1, &nkey); \
        const char *s = luaL_checklstring(L, 2, &n); \
        struct hmac_##name##_ctx ctx; \
        uint8_t sum[SIZE]; \
        hmac_##name##_set_key(&ctx, nkey, (const uint8_t *)key); \
        hmac_##name##_update(&ctx, n, (const uint8_t *)s); \
        hmac_##name##_digest(&ctx, sizeof sum, sum); \
        return push_hex(L, sum, sizeof sum); \
    }

HASH(md5, MD5_DIGEST_SIZE)
HASH(sha1, SHA1_DIGEST_SIZE)
HASH(sha256, SHA256_DIGEST_SIZE)
HASH(sha512, SHA512_DIGEST_SIZE)

void rb_lib_hash(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"md5", l_md5}, {"sha1", l_sha1}, {"sha256", l_sha256}, {"sha512", l_sha512}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
}

void rb_lib_hmac(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"md5", l_hmac_md5}, {"sha1", l_hmac_sha1}, {"sha256", l_hmac_sha256}, {"sha512", l_hmac_sha512}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
}
