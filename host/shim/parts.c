/* Owns what the shim needs of a C library: lines of text, copying memory, SHA-256 (FIPS 180-4); and its fault
 * points. */
#include "shim/parts.h"

#include <signal.h>

#include "shim/shim.h"
#include "shim/sys.h"

/* -- memory: the compiler calls these by itself -------------------------------------------------------------------- */

#define NO_PATTERN __asm__ volatile("" ::: "memory") /* or the loop is taken for a memcpy, which calls itself */

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int byte, size_t n);

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
        NO_PATTERN;
    }
    return to;
}

void *memset(void *to, int byte, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)to)[i] = (uint8_t)byte;
        NO_PATTERN;
    }
    return to;
}

/* -- text ---------------------------------------------------------------------------------------------------------- */

static void put(struct line *l, char c)
{
    if (l->len < sizeof(l->text))
        l->text[l->len++] = c;
}

void line_text(struct line *l, const char *s)
{
    for (; *s; s++)
        put(l, *s);
}

void line_number(struct line *l, char before, int64_t n)
{
    char digits[20];
    size_t count = 0;
    uint64_t left = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do
        digits[count++] = (char)('0' + left % 10);
    while (left /= 10);
    put(l, before);
    if (n < 0)
        put(l, '-');
    while (count)
        put(l, digits[--count]);
}

void line_hex(struct line *l, char before, const uint8_t *p, size_t n)
{
    put(l, before);
    for (size_t i = 0; i < n; i++) {
        put(l, "0123456789abcdef"[p[i] >> 4]);
        put(l, "0123456789abcdef"[p[i] & 15]);
    }
}

/* -- SHA-256 ------------------------------------------------------------------------------------------------------- */

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void compress(uint32_t state[8], const uint8_t *p)
{
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(s, state, sizeof(s));
    for (int i = 0; i < 64; i++) {
        uint32_t one = turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25);
        uint32_t t1 = s[7] + one + ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + w[i];
        uint32_t zero = turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22);
        uint32_t t2 = zero + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int j = 7; j > 0; j--)
            s[j] = s[j - 1];
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void hash_begin(struct hash *h)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(h->state, initial, sizeof(initial));
    h->total = 0;
}

void hash_add(struct hash *h, const void *data, size_t n)
{
    const uint8_t *p = data;
    size_t have = h->total % 64;
    h->total += n;
    if (have) {
        size_t take = n < 64 - have ? n : 64 - have;
        memcpy(h->block + have, p, take);
        p += take;
        n -= take;
        if (have + take < 64)
            return;
        compress(h->state, h->block);
    }
    for (; n >= 64; p += 64, n -= 64)
        compress(h->state, p);
    memcpy(h->block, p, n);
}

void hash_end(struct hash *h, uint8_t out[32])
{
    uint64_t bits = h->total * 8;
    uint8_t end[72] = {0x80};
    size_t pad = (119 - h->total % 64) % 64 + 1; /* up to 56 of 64 */
    for (int i = 0; i < 8; i++)
        end[pad + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    hash_add(h, end, pad + 8);
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

/* -- fault points -------------------------------------------------------------------------------------------------- */

#ifdef RB_FAULT
struct fault fault;

void fault_point(uint32_t number)
{
    if (number != fault.at)
        return;
    long self = SYS(getpid, 0, 0, 0, 0, 0);
    long whom = fault.whom == RB_SHIM_FAULT_SHIM      ? fault.shim
                : fault.whom == RB_SHIM_FAULT_COMMAND ? fault.command
                                                      : self;
    if (whom > 0)
        SYS(kill, whom, fault.whom == RB_SHIM_FAULT_STOP ? SIGSTOP : SIGKILL, 0, 0, 0);
}
#endif
