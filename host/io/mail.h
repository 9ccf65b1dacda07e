/* Hands a mail to an SMTP server, by libcurl on the loop. */
#ifndef RB_MAIL_H
#define RB_MAIL_H

#include "base/err.h"
#include "io/channel.h"
#include "loop/loop.h"

struct rb_mailing;

struct rb_mail_result {
    bool taken;   /* the server has it */
    bool refused; /* the server says no */
    bool sent;    /* all of it has left: without an answer nobody knows */
    bool again;   /* another time may be better */
    char message[600];
};

struct rb_mail_options {
    const struct rb_mail *mail; /* copied */
    const char *server;         /* "mail.example.com:587" */
    const char *user, *password;
    const char *tls;     /* "starttls" (required; also NULL), "tls" from the first byte, "none" */
    const char *ca_file; /* NULL: the system's authorities. What is TLS is always verified. */
    uint64_t timeout_ms;
    /* Once, on the loop, never from within rb_mail_start(). */
    void (*on_done)(void *arg, const struct rb_mail_result *result);
    void *arg;
};

int rb_mail_start(struct rb_loop *loop, const struct rb_mail_options *opt, struct rb_mailing **out, struct rb_err *err);
void rb_mail_cancel(struct rb_mailing *m); /* on_done follows soon */

#endif
