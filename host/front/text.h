/* Text for people: neutral (nothing in it can command a terminal), measured in columns, cut, quoted. */
#ifndef RB_TEXT_H
#define RB_TEXT_H

#include <jansson.h>

#include "base/buf.h"

/* One line without control characters: escape sequences (CSI, OSC, DCS …) vanish, tabs become a space, line ends "⏎"…
 * other control characters, bidirectional overrides and bytes that are not UTF-8 become U+FFFD. */
void rb_text_line(struct rb_buf *out, const char *s, size_t n);
/* As rb_text_line(), but keeps line ends; every line after the first begins with `indent`. A last empty line is
 * dropped. */
void rb_text_block(struct rb_buf *out, const char *s, size_t n, const char *indent);
/* The last line of output that says something, as one neutral line; what a carriage return has overwritten is left
 * out. */
void rb_text_last(struct rb_buf *out, const char *s, size_t n);

/* Columns that clean UTF-8 text takes. Needs rb_text_locale() once for wide characters. */
size_t rb_text_width(const char *s, size_t n);
/* Adds at most `columns` columns of clean text, with "…" at the end when it was cut. Returns the columns added. */
size_t rb_text_fit(struct rb_buf *out, const char *s, size_t n, size_t columns);
void rb_text_pad(struct rb_buf *out, size_t columns);
/* Loads the character widths; true when the environment says UTF-8 (else only ASCII signs should be drawn). */
bool rb_text_locale(void);

/* Walks the lines of a text: false at its end; else *line, *n bytes without the line end, and *rest stands behind
 * it. */
bool rb_text_next(const char **rest, const char **line, size_t *n);

/* A word for a POSIX shell: as it is when harmless, else in single quotes. */
void rb_text_shell(struct rb_buf *out, const char *word);

/* A journal value (docs/journal.md) as one neutral line: strings bare, ‹secret:x›, blobs by their head, else compact
 * JSON. */
void rb_text_value(struct rb_buf *out, const json_t *v);
/* A string value's text, or NULL: {"$blob"} gives its head. Borrowed from v. */
const char *rb_text_of(const json_t *v);

/* "promoting v2: exec git fetch …": what an operation does, from its event's op and args. */
void rb_text_op(struct rb_buf *out, const char *op, const json_t *args);

/* "2026-11-22 03:04:05" and "03:04:05" in local time. */
void rb_text_time(int64_t wall_us, char out[24]);
void rb_text_clock(int64_t wall_us, char out[12]);

#endif
