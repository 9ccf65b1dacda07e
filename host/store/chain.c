/* Owns the hash chain and its verification. Reads through store.h only; knows no SQL. docs/journal.md is the description from which
 * tests/verify2 was written; the two must agree on every journal. */
#include "store/chain.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void field(struct sha256_ctx *ctx, const void *p, size_t n)
{
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
    sha256_update(ctx, sizeof(length), length);
    sha256_update(ctx, n, p);
}

static void number(struct sha256_ctx *ctx, int64_t v)
{
    char text[24];
    field(ctx, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, v));
}

void rb_chain_hash(const uint8_t previous[RB_SHA_LEN], const char *run, struct rb_event *ev)
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, RB_SHA_LEN, previous);
    field(&ctx, run, strlen(run));
    number(&ctx, ev->seq);
    number(&ctx, ev->at);
    field(&ctx, ev->key, strlen(ev->key));
    field(&ctx, ev->kind, strlen(ev->kind));
    field(&ctx, ev->data_len ? ev->data : "", ev->data_len);
    sha256_digest(&ctx, RB_SHA_LEN, ev->hash);
}
