/* Owns the reading of a stream of events. Pure: bytes in, events out. */
#include "bind/sse.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 4096

void rb_sse_init(struct rb_sse *s, size_t max)
{
    *s = (struct rb_sse){.retry_ms = -1};
    rb_buf_init(&s->line, max + 16);
    rb_buf_init(&s->data, max + 1); /* with its last line end */
    rb_buf_init(&s->event, NAME_MAX_BYTES);
    rb_buf_init(&s->id, NAME_MAX_BYTES);
    rb_buf_init(&s->last_id, NAME_MAX_BYTES);
}

void rb_sse_restart(struct rb_sse *s)
{
    rb_buf_reset(&s->line);
    rb_buf_reset(&s->data);
    rb_buf_reset(&s->event);
    rb_buf_reset(&s->id); /* what was not whole has not been seen */
    rb_buf_add(&s->id, rb_buf_text(&s->last_id), s->last_id.len);
    s->after_return = s->begun = false;
}

void rb_sse_release(struct rb_sse *s)
{
    rb_buf_release(&s->line);
    rb_buf_release(&s->data);
    rb_buf_release(&s->event);
    rb_buf_release(&s->id);
    rb_buf_release(&s->last_id);
}

static bool is_field(const char *line, size_t name, const char *word)
{
    return strlen(word) == name && memcmp(line, word, name) == 0;
}

static void take_field(struct rb_sse *s, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    size_t name = colon ? (size_t)(colon - line) : n;
    const char *value = colon ? colon + 1 : line + n;
    if (colon && value < line + n && *value == ' ')
        value++;
    size_t len = (size_t)(line + n - value);
    if (is_field(line, name, "data")) {
        rb_buf_add(&s->data, value, len);
        rb_buf_addc(&s->data, '\n');
    } else if (is_field(line, name, "event")) {
        rb_buf_reset(&s->event);
        rb_buf_add(&s->event, value, len);
    } else if (is_field(line, name, "id") && !memchr(value, '\0', len)) {
        rb_buf_reset(&s->id);
        rb_buf_add(&s->id, value, len);
    } else if (is_field(line, name, "retry") && len && len < 10 && strspn(value, "0123456789") >= len) {
        s->retry_ms = (int64_t)strtoll(value, NULL, 10);
    } /* a comment, or a field that nobody knows */
}

static void line_ends(struct rb_sse *s)
{
    const char *line = rb_buf_text(&s->line);
    size_t n = s->line.len;
    if (!s->begun && n >= 3 && memcmp(line, "\xEF\xBB\xBF", 3) == 0) {
        line += 3;
        n -= 3;
    }
    s->begun = true;
    if (n) {
        take_field(s, line, n);
    } else {
        rb_buf_reset(&s->last_id);
        rb_buf_add(&s->last_id, rb_buf_text(&s->id), s->id.len);
        if (s->data.len) {
            s->data.data[--s->data.len] = '\0'; /* the last line end is none */
            s->on_event(s->arg, s->event.len ? rb_buf_text(&s->event) : "message", &s->data, rb_buf_text(&s->id));
        }
        rb_buf_reset(&s->data);
        rb_buf_reset(&s->event);
    }
    rb_buf_reset(&s->line);
}

int rb_sse_feed(struct rb_sse *s, const char *p, size_t n)
{
    const char *end = p + n;
    while (p < end) {
        if (s->after_return && *p == '\n') {
            s->after_return = false;
            p++;
            continue;
        }
        s->after_return = false;
        size_t len = 0;
        while (p + len < end && p[len] != '\n' && p[len] != '\r')
            len++;
        rb_buf_add(&s->line, p, len);
        p += len;
        if (p < end) {
            s->after_return = *p++ == '\r';
            line_ends(s);
        }
        if (s->line.cut || s->data.cut || s->event.cut || s->id.cut)
            return RB_ETOOBIG;
    }
    return RB_OK;
}
