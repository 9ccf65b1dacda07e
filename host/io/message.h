/* What is told to people: one message, whatever channel it goes through. */
#ifndef RB_MESSAGE_H
#define RB_MESSAGE_H

#include "base/buf.h"
#include "base/json.h"

enum rb_severity { RB_DEBUG, RB_INFO, RB_WARNING, RB_ERROR, RB_CRITICAL, RB_SEVERITIES };

/* What it does to the thing that its dedup key names: where a channel knows no such things it is just told. */
enum rb_message_action { RB_TRIGGER, RB_ACKNOWLEDGE, RB_RESOLVE };

struct rb_field {
    char *name, *value;
};

struct rb_message {
    char *id;    /* of the message: the same when it is sent again, so that a receiver can tell */
    char *title; /* one line; NULL: the first line of the text stands for it */
    char *text;
    enum rb_severity severity;
    enum rb_message_action action;
    char *dedup; /* the thing it is about; NULL: the message itself */
    struct rb_field *fields;
    size_t n_fields;
    int64_t at;                        /* wall µs */
    char *runbook, *run, *environment; /* where it comes from; NULL */
};

#define RB_MESSAGE_TEXT ((size_t)64 << 10) /* bytes of a text; more is cut */
#define RB_MESSAGE_TITLE 250
#define RB_MESSAGE_FIELDS 50
#define RB_MESSAGE_DEDUP 255

const char *rb_severity_word(enum rb_severity s);
int rb_severity_parse(const char *word, enum rb_severity *out); /* RB_EINVAL */
const char *rb_action_word(enum rb_message_action a);
int rb_action_parse(const char *word, enum rb_message_action *out);

void rb_message_copy(struct rb_message *to, const struct rb_message *from);
void rb_message_release(struct rb_message *m);
void rb_message_field(struct rb_message *m, const char *name, const char *value); /* copies */

/* Appends at most max bytes of text that is UTF-8, whole characters, with a mark when it was cut. */
void rb_text_cut(struct rb_buf *out, const char *text, size_t max);
/* Appends text as UTF-8 without control characters: what is none becomes U+FFFD; line: newlines become spaces. */
void rb_text_clean(struct rb_buf *out, const char *text, size_t n, bool line);

/* Its headline, at most max bytes: the title, else the first line of the text. */
void rb_message_headline(const struct rb_message *m, size_t max, struct rb_buf *out);
/* Text, fields, origin as plain lines; max bytes of it. Begins with the title when `title`. */
void rb_message_plain(const struct rb_message *m, bool title, size_t max, struct rb_buf *out);
/* "runbook promote · run 7h2mc · prod"; nothing when it comes from nowhere. */
void rb_message_origin(const struct rb_message *m, struct rb_buf *out);
/* The members of the form that files, commands and webhooks get: {"id","at","severity","title","text", …}. */
void rb_message_json(const struct rb_message *m, const char *channel, struct rb_buf *out);

#endif
