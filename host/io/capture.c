/* Owns what is kept of a command's output. Where the bytes come from is nobody's business here. */
#include "io/capture.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

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

void rb_capture_last_line(const struct rb_buf *out, const struct rb_buf *err, char *line, size_t n)
{
    const struct rb_buf *b = err->len ? err : out;
    const char *text = rb_buf_text(b), *end = text + b->len;
    while (end > text && (unsigned char)end[-1] <= ' ')
        end--;
    const char *p = end;
    while (p > text && p[-1] != '\n')
        p--;
    size_t len = (size_t)(end - p);
    if (len > n - 1)
        for (len = n - 1; len && ((unsigned char)p[len] & 0xc0) == 0x80; len--)
            ;
    memcpy(line, p, len);
    line[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
    if (!rb_utf8_valid(line, len))
        snprintf(line, n, "(its last line is not text)");
}
