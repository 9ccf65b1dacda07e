/* SHA-256 (FIPS 180-4) by nettle, which loads in a third of libcrypto's time: every run hashes its journal. */
#ifndef RB_SHA_H
#define RB_SHA_H

#include <nettle/sha2.h>

#include "base/rb.h"

#define RB_SHA_LEN 32
#define RB_SHA_HEX 65 /* with the NUL */

void rb_sha(const void *p, size_t n, uint8_t out[RB_SHA_LEN]);
void rb_sha_hex(const uint8_t sum[RB_SHA_LEN], char out[RB_SHA_HEX]); /* lower case */
void rb_sha_of_hex(const void *p, size_t n, char out[RB_SHA_HEX]);    /* digest of p, as hex */
/* 64 hex digits to bytes; RB_EINVAL for anything else. */
int rb_sha_parse(const char *hex, uint8_t out[RB_SHA_LEN]);

#endif
