/* A growing byte buffer that always has a cap. Always NUL-terminated behind `len`. */
#ifndef RB_BUF_H
#define RB_BUF_H

#include <stdarg.h>

#include "base/rb.h"

struct rb_buf {
    char *data; /* NULL until the first byte; use rb_buf_text() for a C string */
    size_t len, cap, max;
    bool cut; /* something did not fit under max and was dropped */
};

void rb_buf_init(struct rb_buf *b, size_t max);
void rb_buf_reserve(struct rb_buf *b, size_t n); /* room for n bytes, so that it need not grow by steps; max holds */
void rb_buf_release(struct rb_buf *b);
void rb_buf_reset(struct rb_buf *b); /* empties it and keeps the memory */

/* Each add returns 0, or RB_ETOOBIG when the cap cut it (what fits is kept, `cut` is set). */
int rb_buf_add(struct rb_buf *b, const void *p, size_t n);
int rb_buf_adds(struct rb_buf *b, const char *s);
int rb_buf_addc(struct rb_buf *b, char c);
int rb_buf_addi(struct rb_buf *b, int64_t v); /* in decimal */
int rb_buf_addf(struct rb_buf *b, const char *fmt, ...) RB_PRINTF(2, 3);
int rb_buf_addfv(struct rb_buf *b, const char *fmt, va_list ap);
/* n bytes more, which the caller writes. NULL, and nothing has changed, when the cap forbids so many. */
char *rb_buf_extend(struct rb_buf *b, size_t n);

#define RB_DECIMAL_MAX 24
size_t rb_decimal(int64_t v, char out[RB_DECIMAL_MAX]); /* as "%lld" writes it; its length */

const char *rb_buf_text(const struct rb_buf *b); /* never NULL */
char *rb_buf_detach(struct rb_buf *b);           /* gives the memory away (free() it); the buffer is empty after */

#endif
