/* Writing JSON text into a buffer, compactly, for events and output that the host makes itself. Reading is jansson's.
 *
 * The writer keeps commas: call rb_json_key() before a value in an object, values one after another in an array.
 * Object keys are written in the order given; events that are hashed are hashed as these bytes. */
#ifndef RB_JSON_H
#define RB_JSON_H

#include "base/buf.h"

struct rb_json {
    struct rb_buf *out; /* borrowed */
    bool comma;
};

void rb_json_init(struct rb_json *j, struct rb_buf *out);
void rb_json_object(struct rb_json *j); /* { */
void rb_json_array(struct rb_json *j);  /* [ */
void rb_json_end_object(struct rb_json *j);
void rb_json_end_array(struct rb_json *j);
void rb_json_key(struct rb_json *j, const char *key);
void rb_json_int(struct rb_json *j, int64_t v);
void rb_json_bool(struct rb_json *j, bool v);
void rb_json_null(struct rb_json *j);
/* A string; bytes that are not UTF-8 become {"$b64":"…"} (docs/journal.md). */
void rb_json_string(struct rb_json *j, const char *s, size_t n);
void rb_json_text(struct rb_json *j, const char *s);             /* NULL writes null */
void rb_json_raw(struct rb_json *j, const char *json, size_t n); /* already JSON */

/* Key and value in one call. */
void rb_json_kint(struct rb_json *j, const char *key, int64_t v);
void rb_json_kbool(struct rb_json *j, const char *key, bool v);
void rb_json_ktext(struct rb_json *j, const char *key, const char *s); /* leaves key and value out when s is NULL */
void rb_json_kraw(struct rb_json *j, const char *key, const char *json, size_t n);

bool rb_utf8_valid(const char *s, size_t n);                 /* RFC 3629: no surrogates, no overlong forms */
void rb_base64(struct rb_buf *out, const void *p, size_t n); /* RFC 4648, padded */
/* Decodes n characters into out; RB_EINVAL when they are not canonical base64. */
int rb_base64_decode(struct rb_buf *out, const char *s, size_t n);
/* ASCII, and nothing in it that JSON escapes? */
bool rb_json_is_plain(const char *s, size_t n);
/* The quoted string alone, for valid UTF-8. */
void rb_json_quote(struct rb_buf *out, const char *s, size_t n);

#endif
