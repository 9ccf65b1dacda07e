/* What came out of a command on one stream: its first bytes, how many there were in all, and the digest of them all. */
#ifndef RB_CAPTURE_H
#define RB_CAPTURE_H

#include "base/buf.h"
#include "base/sha.h"

/* One captured stream. */
struct rb_capture {
    struct rb_buf buf; /* the first max_output bytes */
    uint64_t total;    /* bytes that came in all; more than buf.len means cut */
    struct sha256_ctx sha;
    uint8_t digest[RB_SHA_LEN]; /* of all that came, also of what was cut; after rb_capture_end() */
};

void rb_capture_init(struct rb_capture *c, size_t max);
void rb_capture_add(struct rb_capture *c, const char *data, size_t len);
void rb_capture_end(struct rb_capture *c);
void rb_capture_release(struct rb_capture *c);

/* The last line that a program has said, for people: of its error output when that has any, whole characters of at most
 * n - 1 bytes, control characters as blanks. "" when it has said nothing. */
void rb_capture_last_line(const struct rb_buf *out, const struct rb_buf *err, char *line, size_t n);

#endif
