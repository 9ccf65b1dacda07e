/* Owns what is kept of a command's output. Where the bytes come from is nobody's business here. */
#include "io/capture.h"

void rb_capture_init(struct rb_capture *c, size_t max)
{
    rb_buf_init(&c->buf, max);
    c->total = 0;
    sha256_init(&c->sha);
}

void rb_capture_add(struct rb_capture *c, const char *data, size_t len)
{
    c->total += len;
    sha256_update(&c->sha, len, (const uint8_t *)data);
    rb_buf_add(&c->buf, data, len); /* what the cap cuts off is only counted */
}

void rb_capture_end(struct rb_capture *c)
{
    sha256_digest(&c->sha, RB_SHA_LEN, c->digest);
}

void rb_capture_release(struct rb_capture *c)
{
    rb_buf_release(&c->buf);
}
