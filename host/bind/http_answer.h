/* The answer to an http op, as the script and the journal get it. For bind/ only. */
#ifndef RB_BIND_HTTP_ANSWER_H
#define RB_BIND_HTTP_ANSWER_H

#include "engine/effect.h"
#include "io/http.h"

struct rb_http_answer {
    bool there; /* it has come to a status */
    int status;
    struct rb_buf body;
    uint64_t total;
    bool cut;
    char digest[RB_SHA_HEX]; /* of the whole body where it was cut or saved; "" */
    char **headers;          /* "Name: value" … NULL, without secrets */
    struct rb_http_time time;
    char tls_issuer[256], tls_subject[256];
    int64_t tls_not_after;
    bool reused;
    char *url;          /* that gave it, as it may be shown */
    char **redirects;   /* URLs that led there, as they may be shown; NULL-terminated or NULL */
    double retry_after; /* seconds; -1 none */
    const char *saved;  /* name of the file; borrowed */
};

/* Takes what came out of the driver: secrets go out of it first. */
void rb_http_answer_take(struct rb_http_answer *a, const struct rb_run *run, struct rb_http_result *r);
void rb_http_answer_reset(struct rb_http_answer *a);
/* The value of the first of these headers ("Name: value" … NULL) that has this name; NULL. */
const char *rb_http_header(char *const *headers, const char *name);
/* [-0, +1, m] */
void rb_http_answer_push(const struct rb_http_answer *a, lua_State *L);
void rb_http_answer_assume(const char *as, lua_State *L);

/* Replaces every secret in a buffer. cut: it ends in the middle of something. */
void rb_http_redact(const struct rb_run *run, struct rb_buf *b, bool cut);

#endif
