/* Server-sent events (HTML Living Standard, "Event stream interpretation"), from bytes as they come. */
#ifndef RB_SSE_H
#define RB_SSE_H

#include "base/buf.h"

struct rb_sse {
    struct rb_buf line, data, event;
    struct rb_buf id;      /* the last that was said; stays from event to event */
    struct rb_buf last_id; /* the same as of the last event that was whole: what is asked for after a break */
    int64_t retry_ms;      /* as the server says; -1 not said */
    bool after_return;     /* "\r" ended a line: a "\n" belongs to it */
    bool begun;            /* a byte-order mark is behind us */
    /* An event is whole; the texts are borrowed. */
    void (*on_event)(void *arg, const char *event, const struct rb_buf *data, const char *id);
    void *arg;
};

/* max: bytes of one event. */
void rb_sse_init(struct rb_sse *s, size_t max);
/* A new connection: what was not whole is void; the last id stays. */
void rb_sse_restart(struct rb_sse *s);
void rb_sse_release(struct rb_sse *s);

/* RB_ETOOBIG: an event is larger than max. */
int rb_sse_feed(struct rb_sse *s, const char *p, size_t n);

#endif
