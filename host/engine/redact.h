/* Finding secrets in texts, in every form in which the world gives them back, and putting ‹secret:name› in their place.
 *
 * Forms: as they are; base64 (any alignment, both alphabets, wrapped or not); hex (any case, with separators);
 * URL-encoded, wholly or in part; escaped as in JSON, C or $'…'; quoted for a shell. One automaton (Aho–Corasick) has
 * the texts of all secrets; the forms are ways of reading, each of which feeds it. Encodings of encodings are not
 * seen. */
#ifndef RB_REDACT_H
#define RB_REDACT_H

#include "base/buf.h"

struct rb_redactor;

struct rb_redactor *rb_redactor_new(void);
void rb_redactor_free(struct rb_redactor *r); /* NULL is one */
/* Copies. A text that is known already under this name is not added again; one shorter than RB_REDACT_MIN is left
 * out. */
#define RB_REDACT_MIN 8
void rb_redactor_add(struct rb_redactor *r, const char *name, const char *text, size_t len);
bool rb_redactor_any(const struct rb_redactor *r);

/* Appends the whole text without secrets. */
void rb_redact(struct rb_redactor *r, const char *text, size_t n, struct rb_buf *out);
bool rb_redact_finds(struct rb_redactor *r, const char *text, size_t n); /* is there anything to replace? */
/* How many of the last bytes of a text that was cut belong to a secret that may go on behind the cut. */
size_t rb_redact_tail(struct rb_redactor *r, const char *text, size_t n);

/* A text that comes in pieces. What may be the beginning of a secret is held back until more comes. Zeroed at first. */
struct rb_redact_stream {
    struct rb_buf held;
};
void rb_redact_feed(struct rb_redactor *r, struct rb_redact_stream *s, const char *text, size_t n, struct rb_buf *out);
void rb_redact_end(struct rb_redactor *r, struct rb_redact_stream *s, struct rb_buf *out); /* the rest; forgets it */

#endif
