/* Owns growing byte buffers. Every buffer has a cap, so nothing grows without one. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

void rb_buf_init(struct rb_buf *b, size_t max)
{
    *b = (struct rb_buf){.max = max};
}

void rb_buf_release(struct rb_buf *b)
{
    free(b->data);
    *b = (struct rb_buf){.max = b->max};
}

void rb_buf_reset(struct rb_buf *b)
{
    b->len = 0;
    b->cut = false;
    if (b->data)
        b->data[0] = '\0';
}

static void reserve(struct rb_buf *b, size_t need)
{
    if (need + 1 <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need + 1)
        cap *= 2;
    b->data = rb_realloc(b->data, cap);
    b->cap = cap;
}

void rb_buf_reserve(struct rb_buf *b, size_t n)
{
    reserve(b, n < b->max ? n : b->max);
    b->data[b->len] = '\0';
}

int rb_buf_add(struct rb_buf *b, const void *p, size_t n)
{
    size_t room = b->max > b->len ? b->max - b->len : 0;
    size_t take = n < room ? n : room;
    if (take) {
        reserve(b, b->len + take);
        memcpy(b->data + b->len, p, take);
        b->len += take;
        b->data[b->len] = '\0';
    }
    if (take < n) {
        b->cut = true;
        return RB_ETOOBIG;
    }
    return RB_OK;
}

char *rb_buf_extend(struct rb_buf *b, size_t n)
{
    if (n > b->max || b->len > b->max - n)
        return NULL;
    reserve(b, b->len + n);
    char *p = b->data + b->len;
    b->len += n;
    b->data[b->len] = '\0';
    return p;
}

int rb_buf_adds(struct rb_buf *b, const char *s)
{
    return rb_buf_add(b, s, strlen(s));
}

int rb_buf_addc(struct rb_buf *b, char c)
{
    if (b->len < b->max && b->len + 2 <= b->cap) { /* nearly always */
        b->data[b->len++] = c;
        b->data[b->len] = '\0';
        return RB_OK;
    }
    return rb_buf_add(b, &c, 1);
}

size_t rb_decimal(int64_t v, char out[RB_DECIMAL_MAX])
{
    char text[RB_DECIMAL_MAX], *p = text + sizeof(text) - 1;
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    *p = '\0';
    do
        *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (v < 0)
        *--p = '-';
    size_t n = (size_t)(text + sizeof(text) - 1 - p);
    memcpy(out, p, n + 1);
    return n;
}

int rb_buf_addi(struct rb_buf *b, int64_t v)
{
    char text[RB_DECIMAL_MAX];
    return rb_buf_add(b, text, rb_decimal(v, text));
}

int rb_buf_addfv(struct rb_buf *b, const char *fmt, va_list ap)
{
    char small[512];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    int rc;
    if (n < (int)sizeof(small)) {
        rc = rb_buf_add(b, small, (size_t)n);
    } else {
        char *big = rb_alloc((size_t)n + 1);
        vsnprintf(big, (size_t)n + 1, fmt, again);
        rc = rb_buf_add(b, big, (size_t)n);
        free(big);
    }
    va_end(again);
    return rc;
}

int rb_buf_addf(struct rb_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = rb_buf_addfv(b, fmt, ap);
    va_end(ap);
    return rc;
}

const char *rb_buf_text(const struct rb_buf *b)
{
    return b->data ? b->data : "";
}

char *rb_buf_detach(struct rb_buf *b)
{
    char *p = b->data ? b->data : rb_alloc(1);
    *b = (struct rb_buf){.max = b->max};
    return p;
}
