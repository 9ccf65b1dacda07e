/* The forms in which messages leave: what each kind of channel sends, and what its answers mean. Nothing here sends. */
#ifndef RB_CHANNEL_H
#define RB_CHANNEL_H

#include <jansson.h>

#include "base/err.h"
#include "io/message.h"

/* What is sent to a channel that speaks HTTP: always a POST. */
struct rb_request {
    struct rb_buf url, body;
    char **headers; /* "Name: value" … NULL */
    size_t n_headers;
};

void rb_request_init(struct rb_request *r);
void rb_request_release(struct rb_request *r);
void rb_request_header(struct rb_request *r, const char *fmt, ...) RB_PRINTF(2, 3);

enum rb_channel_way { RB_WAY_TERMINAL, RB_WAY_FILE, RB_WAY_EXEC, RB_WAY_HTTP, RB_WAY_MAIL };

struct rb_channel_kind {
    const char *type; /* "slack" */
    enum rb_channel_way way;
    bool dedups; /* its receiver knows a message that came before by its id: twice is once */
    /* HTTP. channel: its table in the configuration, with secrets in place. now: wall µs. RB_EINVAL: the configuration
     * can not be used, err says why. */
    int (*shape)(const json_t *channel, const struct rb_message *m, int64_t now, struct rb_request *out,
                 struct rb_err *err);
    /* HTTP, may be NULL: the receiver's own words for a refusal, from its answer. */
    void (*refusal)(const char *body, size_t len, struct rb_buf *out);
};

const struct rb_channel_kind *rb_channel_kind(const json_t *channel); /* NULL: no such type */

/* A text of a channel's table; NULL: not there. Borrowed. */
const char *rb_channel_text(const json_t *channel, const char *key);

/* Shapes, one a kind (channel_chat.c, channel_alert.c). */
int rb_slack_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r, struct rb_err *err);
int rb_mattermost_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r,
                        struct rb_err *err);
int rb_ntfy_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r, struct rb_err *err);
int rb_pagerduty_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r,
                       struct rb_err *err);
int rb_webhook_shape(const json_t *c, const struct rb_message *m, int64_t now, struct rb_request *r,
                     struct rb_err *err);
void rb_slack_refusal(const char *body, size_t len, struct rb_buf *out);
void rb_mattermost_refusal(const char *body, size_t len, struct rb_buf *out);
void rb_ntfy_refusal(const char *body, size_t len, struct rb_buf *out);
void rb_pagerduty_refusal(const char *body, size_t len, struct rb_buf *out);

/* An e-mail (channel_mail.c): its header and body as they go over the wire, and the addresses of the envelope. */
struct rb_mail {
    struct rb_buf data;
    char *from; /* "ops@example.com" */
    char **to;  /* … NULL: to and cc */
    size_t n_to;
};
int rb_mail_shape(const json_t *channel, const struct rb_message *m, struct rb_mail *out, struct rb_err *err);
void rb_mail_release(struct rb_mail *mail);

#endif
