/* Sends one message through one channel, once. Who repeats, routes and counts is above. */
#ifndef RB_NOTIFY_H
#define RB_NOTIFY_H

#include "io/channel.h"
#include "loop/loop.h"

struct rb_notify;

enum rb_notify_end {
    RB_NOTIFY_TAKEN,    /* the receiver has it */
    RB_NOTIFY_NOT_SENT, /* nothing of it has left */
    RB_NOTIFY_REFUSED,  /* the receiver says no: it has not taken it */
    RB_NOTIFY_UNKNOWN,  /* it was sent, and no answer says whether it was taken */
};

struct rb_notify_result {
    enum rb_notify_end end;
    char message[700]; /* of what went wrong: what was tried, what came back */
    bool again;        /* another time may be better */
    int64_t after_ms;  /* the receiver asks to wait so long; 0 */
};

struct rb_notify_options {
    const json_t *channel;            /* its table, with secrets in place; borrowed */
    const struct rb_message *message; /* borrowed */
    const json_t *http;               /* `http` of the configuration: proxy, ca_file …; NULL */
    const char *name;                 /* of the channel */
    uint64_t timeout_ms;
    /* a channel of type terminal: where its line goes */
    void (*on_line)(void *arg, const char *line);
    /* Once, on the loop, never from within rb_notify_start(); the sending frees itself afterwards. */
    void (*on_done)(void *arg, const struct rb_notify_result *result);
    void *arg;
};

/* RB_EINVAL: the channel or the message can not be used; nothing was started and on_done is not called. */
int rb_notify_start(struct rb_loop *loop, const struct rb_notify_options *opt, struct rb_notify **out,
                    struct rb_err *err);
/* on_done follows soon. */
void rb_notify_cancel(struct rb_notify *n);
/* The same, and on_done is not called. */
void rb_notify_drop(struct rb_notify *n);

#endif
