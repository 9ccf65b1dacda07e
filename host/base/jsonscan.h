/* Looking up one member of a JSON object's text without building a tree: what replay does for each event. */
#ifndef RB_JSONSCAN_H
#define RB_JSONSCAN_H

#include "base/rb.h"

struct rb_slice {
    const char *p; /* NULL: absent */
    size_t n;
};

/* The next top-level member of the object whose text ends at end; *at is its beginning at first. False: there is no
 * other. The key is without its quotes; its escapes stay. */
bool rb_json_next(const char **at, const char *end, struct rb_slice *key, struct rb_slice *value);
/* The text of the top-level member `key` (a string keeps its quotes). Keys with escapes are not found. */
struct rb_slice rb_json_member(const char *json, size_t n, const char *key);
/* Of a member: its integer, or `otherwise`; whether it is true; whether it is exactly the string `s` (no escapes). */
int64_t rb_json_member_int(const char *json, size_t n, const char *key, int64_t otherwise);
bool rb_json_member_true(const char *json, size_t n, const char *key);
bool rb_json_member_is(const char *json, size_t n, const char *key, const char *s);
/* Copies a string member without escapes into out (cut at n_out); false when absent or null. Simple escapes are
 * undone. */
bool rb_json_member_text(const char *json, size_t n, const char *key, char *out, size_t n_out);

#endif
