/* Owns the form of an e-mail (RFC 5322, 2045, 2047): header, encoded words, a plain text as quoted-printable. Nothing
 * that is not one line gets into a header. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/sha.h"
#include "io/channel.h"

#define BODY_MAX ((size_t)64 << 10)
#define WORD_BYTES 42 /* of text in an encoded word of 75 characters at most */
#define LINE_MAX_QP 75

static const char hex[] = "0123456789ABCDEF";

static bool is_ascii_line(const char *s)
{
    for (; *s; s++)
        if (*s < 0x20 || (unsigned char)*s > 0x7e)
            return false;
    return true;
}

/* A text for a header: as it is, or as encoded words, each of whole characters. */
static void header_text(struct rb_buf *out, const char *text)
{
    size_t n = strlen(text);
    if (is_ascii_line(text) && !strstr(text, "=?") && n < 900) {
        rb_buf_adds(out, text);
        return;
    }
    for (size_t i = 0; i < n;) {
        size_t len = n - i < WORD_BYTES ? n - i : WORD_BYTES;
        while (i + len < n && ((unsigned char)text[i + len] & 0xc0) == 0x80)
            len--;
        rb_buf_adds(out, i ? "\r\n =?UTF-8?B?" : "=?UTF-8?B?");
        rb_base64(out, text + i, len);
        rb_buf_adds(out, "?=");
        i += len;
    }
}

static void quoted_printable(struct rb_buf *out, const char *text)
{
    size_t column = 0;
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\n') {
            rb_buf_adds(out, "\r\n");
            column = 0;
            continue;
        }
        bool end = p[1] == '\n' || !p[1];
        bool plain = (c > 0x20 && c < 0x7f && c != '=') || ((c == ' ' || c == '\t') && !end);
        if (c == '.' && column == 0) /* some servers are not careful with it */
            plain = false;
        if (column + (plain ? 1 : 3) > LINE_MAX_QP) {
            rb_buf_adds(out, "=\r\n");
            column = 0;
            plain = plain && c != '.';
        }
        if (plain) {
            rb_buf_addc(out, (char)c);
            column++;
        } else {
            rb_buf_addf(out, "=%c%c", hex[c >> 4], hex[c & 15]);
            column += 3;
        }
    }
    rb_buf_adds(out, "\r\n");
}

/* "Ops <ops@example.com>" or "ops@example.com": the address alone, or NULL. */
static char *address_of(const char *text)
{
    const char *open = strchr(text, '<'), *from = open ? open + 1 : text;
    size_t n = open ? strcspn(from, ">") : strlen(from);
    char *address = rb_strndup(from, n);
    const char *at = strchr(address, '@');
    if (!at || at == address || !at[1] || strpbrk(address, " \t<>,;\"") || !is_ascii_line(address) ||
        (open && from[n] != '>')) {
        free(address);
        return NULL;
    }
    return address;
}

/* "Name: mailbox" for a header, its address for the envelope. */
static int mailbox(const char *what, const char *text, struct rb_buf *line, char **address, struct rb_err *err)
{
    *address = strpbrk(text, "\r\n") ? NULL : address_of(text);
    if (!*address)
        return rb_err_set(err, RB_EINVAL, "its `%s` is no address such as ops@example.com or Ops <ops@example.com>",
                          what);
    const char *open = strchr(text, '<');
    if (!open) {
        rb_buf_adds(line, *address);
        return RB_OK;
    }
    size_t n = (size_t)(open - text);
    while (n && (text[n - 1] == ' ' || text[n - 1] == '"'))
        n--;
    const char *name = text;
    while (n && (*name == '"' || *name == ' ')) {
        name++;
        n--;
    }
    char *copy = rb_strndup(name, n);
    bool quote = strpbrk(copy, "()<>[]:;@\\,.\"") != NULL;
    if (strpbrk(copy, "\"\\")) {
        free(copy);
        free(*address);
        *address = NULL;
        return rb_err_set(err, RB_EINVAL, "the name in its `%s` can not contain quotes or backslashes", what);
    }
    if (n && is_ascii_line(copy) && quote)
        rb_buf_addf(line, "\"%s\" ", copy);
    else if (n) {
        header_text(line, copy);
        rb_buf_addc(line, ' ');
    }
    rb_buf_addf(line, "<%s>", *address);
    free(copy);
    return RB_OK;
}

static int recipients(const json_t *c, const char *key, const char *name, struct rb_mail *mail, struct rb_err *err)
{
    const json_t *list = json_object_get(c, key);
    size_t n = json_is_array(list) ? json_array_size(list) : list ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_is_array(list) ? json_array_get(list, i) : list);
        char *address;
        rb_buf_adds(&mail->data, i ? ",\r\n " : name);
        int rc = mailbox(key, text ? text : "", &mail->data, &address, err);
        if (rc)
            return rc;
        mail->to = rb_realloc(mail->to, (mail->n_to + 2) * sizeof(*mail->to));
        mail->to[mail->n_to++] = address;
        mail->to[mail->n_to] = NULL;
    }
    if (n)
        rb_buf_adds(&mail->data, "\r\n");
    return RB_OK;
}

static void date(struct rb_buf *out, int64_t at)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)(at / 1000000);
    struct tm tm;
    gmtime_r(&t, &tm);
    rb_buf_addf(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* An id as the left side of a Message-ID: what is no atom becomes its digest. */
static void message_id(struct rb_buf *out, const char *id, const char *domain)
{
    char sum[RB_SHA_HEX];
    bool plain = *id && strlen(id) < 100;
    for (const char *p = id; *p && plain; p++)
        plain = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *p) != NULL;
    if (!plain) {
        rb_sha_of_hex(id, strlen(id), sum);
        id = sum;
    }
    rb_buf_addf(out, "<%s@%s>", id, domain);
}

static void subject(struct rb_buf *out, const json_t *c, const struct rb_message *m)
{
    const char *prefix = rb_channel_text(c, "subject");
    struct rb_buf line, clean;
    rb_buf_init(&line, 2048);
    rb_buf_init(&clean, 8192);
    if (prefix)
        rb_buf_addf(&line, "%s ", prefix);
    if (m->action == RB_RESOLVE)
        rb_buf_adds(&line, "resolved: ");
    else if (m->action == RB_ACKNOWLEDGE)
        rb_buf_adds(&line, "acknowledged: ");
    else if (m->severity >= RB_WARNING)
        rb_buf_addf(&line, "%s: ", rb_severity_word(m->severity));
    rb_message_headline(m, RB_MESSAGE_TITLE, &line);
    rb_text_clean(&clean, rb_buf_text(&line), line.len, true);
    rb_buf_adds(out, "Subject: ");
    header_text(out, rb_buf_text(&clean));
    rb_buf_adds(out, "\r\n");
    rb_buf_release(&line);
    rb_buf_release(&clean);
}

int rb_mail_shape(const json_t *c, const struct rb_message *m, struct rb_mail *mail, struct rb_err *err)
{
    struct rb_buf *out = &mail->data, body;
    const char *from = rb_channel_text(c, "from"), *prefix = rb_channel_text(c, "subject");
    rb_buf_init(out, (size_t)1 << 20);
    if (prefix && strpbrk(prefix, "\r\n"))
        return rb_err_set(err, RB_EINVAL, "its `subject` is more than one line");
    rb_buf_adds(out, "From: ");
    int rc = mailbox("from", from ? from : "", out, &mail->from, err);
    rb_buf_adds(out, "\r\n");
    if (!rc)
        rc = recipients(c, "to", "To: ", mail, err);
    if (!rc)
        rc = recipients(c, "cc", "Cc: ", mail, err);
    if (!rc && !mail->n_to)
        rc = rb_err_set(err, RB_EINVAL, "its `to` names nobody");
    if (rc)
        return rc;
    const char *domain = strchr(mail->from, '@') + 1;
    subject(out, c, m);
    date(out, m->at);
    rb_buf_adds(out, "Message-ID: ");
    message_id(out, m->id, domain);
    if (m->dedup) { /* mails about one thing make one thread */
        rb_buf_adds(out, "\r\nReferences: ");
        message_id(out, m->dedup, domain);
    }
    rb_buf_adds(out, "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                     "Content-Transfer-Encoding: quoted-printable\r\nAuto-Submitted: auto-generated\r\n");
    if (m->severity == RB_CRITICAL && m->action == RB_TRIGGER)
        rb_buf_adds(out, "Importance: high\r\n");
    rb_buf_adds(out, "\r\n");
    rb_buf_init(&body, BODY_MAX * 2);
    rb_message_plain(m, false, BODY_MAX, &body);
    quoted_printable(out, rb_buf_text(&body));
    rb_buf_release(&body);
    return RB_OK;
}

void rb_mail_release(struct rb_mail *mail)
{
    rb_buf_release(&mail->data);
    free(mail->from);
    for (size_t i = 0; i < mail->n_to; i++)
        free(mail->to[i]);
    free(mail->to);
    *mail = (struct rb_mail){0};
}
