/* Owns one delivery by SMTP: libcurl's easy handle for it, the bytes that have left, what the server's answer means.
 * TLS is required unless the channel says otherwise, and always verified. */
#include "io/mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/curl_multi.h"
#include "io/timer.h"

struct rb_mailing {
    const struct rb_curl_api *api;
    struct rb_curl_multi *multi;
    struct rb_curl_transfer transfer;
    struct curl_slist *to;
    struct rb_buf data;
    size_t given; /* bytes of it that libcurl has taken */
    char *server;
    bool cancelled;
    struct rb_timer soon; /* cancelled: the end, not from within */
    void (*on_done)(void *arg, const struct rb_mail_result *result);
    void *arg;
    char error[CURL_ERROR_SIZE];
    char said[256];       /* the last line of the server's: "550 5.1.1 no such user" */
    char mechanisms[128]; /* "AUTH GSSAPI NTLM": how it says that one can log in */
};

static void destroy(struct rb_mailing *m)
{
    rb_timer_disarm(&m->soon);
    if (m->transfer.easy)
        m->api->easy_cleanup(m->transfer.easy);
    m->api->slist_free_all(m->to);
    rb_buf_release(&m->data);
    free(m->server);
    free(m);
}

static size_t on_read(char *out, size_t size, size_t n, void *arg)
{
    struct rb_mailing *m = arg;
    size_t room = size * n, left = m->data.len - m->given;
    size_t len = left < room ? left : room;
    memcpy(out, rb_buf_text(&m->data) + m->given, len);
    m->given += len;
    return len;
}

/* Each line that the server says: kept is why it says no. */
static size_t on_line(char *data, size_t size, size_t n, void *arg)
{
    struct rb_mailing *m = arg;
    struct rb_buf clean, line;
    size_t len = size * n;
    rb_buf_init(&clean, 4096);
    rb_buf_init(&line, sizeof(m->said) - 1);
    while (len && (data[len - 1] == '\r' || data[len - 1] == '\n'))
        len--;
    rb_text_clean(&clean, data, len < 1000 ? len : 1000, true);
    rb_text_cut(&line, rb_buf_text(&clean), 200);
    const char *text = rb_buf_text(&line);
    if (*text == '4' || *text == '5')
        snprintf(m->said, sizeof(m->said), "%s", text);
    else if (!strncmp(text, "250", 3) && line.len > 8 && !strncasecmp(text + 4, "AUTH", 4))
        snprintf(m->mechanisms, sizeof(m->mechanisms), "%.100s", text + 4);
    rb_buf_release(&line);
    rb_buf_release(&clean);
    return size * n;
}

/* Before anything of the message had left? */
static bool is_early(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_USE_SSL_FAILED:
    case CURLE_LOGIN_DENIED: return true;
    default: return false;
    }
}

/* What the server said, where that is what went wrong; else libcurl's words. */
static const char *why(const struct rb_mailing *m, CURLcode code, long answer)
{
    if (answer >= 400 && m->said[0])
        return m->said;
    if (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING)
        return "it closed the connection in the middle";
    return m->error[0] ? m->error : m->api->easy_strerror(code);
}

static void say(const struct rb_mailing *m, CURLcode code, long answer, char *out, size_t n)
{
    const char *text = why(m, code, answer), *s = m->server;
    if (m->cancelled)
        snprintf(out, n, "stopped while %s was spoken to", s);
    else if (code == CURLE_LOGIN_DENIED && answer < 400)
        snprintf(out, n, "%s offers no way to log in that is known here (PLAIN, LOGIN, CRAM-MD5): %s", s,
                 m->mechanisms[0] ? m->mechanisms : text);
    else if (code == CURLE_LOGIN_DENIED)
        snprintf(out, n, "%s does not take the user and the password (%s)", s, text);
    else if (code == CURLE_USE_SSL_FAILED && answer < 400)
        snprintf(out, n, "%s offers no STARTTLS, and a mail is not sent in clear; tls = \"tls\" is for port 465 (%s)",
                 s, text);
    else if (code == CURLE_USE_SSL_FAILED)
        snprintf(out, n, "%s does not begin with TLS, and a mail is not sent in clear: %s", s, text);
    else if (answer >= 400 && !is_early(code))
        snprintf(out, n, "%s answered %s", s, text);
    else
        snprintf(out, n, "%s: %s", s, text);
}

static void finish(struct rb_mailing *m, CURLcode code)
{
    struct rb_mail_result r = {0};
    long answer = 0;
    m->api->easy_getinfo(m->transfer.easy, CURLINFO_RESPONSE_CODE, &answer);
    bool early = is_early(code), soon = answer >= 400 && answer < 500; /* 4yz: it may do later (RFC 5321 4.2.1) */
    r.taken = code == CURLE_OK && !m->cancelled;
    r.refused = !r.taken && !m->cancelled && answer >= 400 && !early && code != CURLE_OPERATION_TIMEDOUT;
    r.sent = !r.taken && !early && m->given > 0;
    if (r.refused || code == CURLE_LOGIN_DENIED || code == CURLE_USE_SSL_FAILED)
        r.again = soon;
    else
        r.again = code != CURLE_PEER_FAILED_VERIFICATION;
    say(m, code, answer, r.message, sizeof(r.message));
    m->on_done(m->arg, &r);
    destroy(m);
}

static void on_transfer(struct rb_curl_transfer *t, CURLcode code)
{
    finish(RB_CONTAINER(t, struct rb_mailing, transfer), code);
}

static void on_soon(struct rb_timer *t)
{
    finish(RB_CONTAINER(t, struct rb_mailing, soon), CURLE_ABORTED_BY_CALLBACK);
}

static int set_options(struct rb_mailing *m, const struct rb_mail_options *opt, struct rb_err *err)
{
    CURL *e = m->transfer.easy;
    struct rb_buf url;
    bool direct = opt->tls && strcmp(opt->tls, "tls") == 0, none = opt->tls && strcmp(opt->tls, "none") == 0;
    const char *s = opt->server;
    if (!s || !*s || strpbrk(s, "/?#@ \t\r\n"))
        return rb_err_set(err, RB_EINVAL, "its server is no host, perhaps with a port: mail.example.com:587");
    if (opt->password && none)
        return rb_err_set(err, RB_EINVAL, "tls = \"none\" would send the password in clear");
    rb_buf_init(&url, 1024);
    const char *host_end = strrchr(s, ']'); /* of an IPv6 address */
    bool has_port = strchr(host_end ? host_end : s, ':') != NULL;
    rb_buf_addf(&url, "%s://%s%s", direct ? "smtps" : "smtp", s, has_port ? "" : direct ? ":465" : ":587");
    const struct rb_curl_api *a = m->api;
    CURLcode rc = a->easy_setopt(e, CURLOPT_URL, rb_buf_text(&url));
    rb_buf_release(&url);
#define SET(option, value) \
    if (!rc) \
    rc = a->easy_setopt(e, option, value)
    SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_USE_SSL, (long)(none ? CURLUSESSL_NONE : CURLUSESSL_ALL));
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (opt->ca_file)
        SET(CURLOPT_CAINFO, opt->ca_file);
    if (opt->user) {
        SET(CURLOPT_USERNAME, opt->user);
        SET(CURLOPT_PASSWORD, opt->password ? opt->password : "");
        /* Not GSSAPI and NTLM, which libcurl would try first where a server has them, and then no other. */
        SET(CURLOPT_LOGIN_OPTIONS, "AUTH=PLAIN;AUTH=LOGIN;AUTH=CRAM-MD5");
    }
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)opt->timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)opt->timeout_ms);
    SET(CURLOPT_MAIL_FROM, opt->mail->from);
    for (size_t i = 0; i < opt->mail->n_to; i++)
        m->to = a->slist_append(m->to, opt->mail->to[i]);
    SET(CURLOPT_MAIL_RCPT, m->to);
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_READDATA, m);
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_ERRORBUFFER, m->error);
    SET(CURLOPT_HEADERFUNCTION, on_line);
    SET(CURLOPT_HEADERDATA, m);
#undef SET
    return rc ? rb_err_set(err, RB_EINVAL, "libcurl does not take its settings: %s", a->easy_strerror(rc)) : RB_OK;
}

int rb_mail_start(struct rb_loop *loop, const struct rb_mail_options *opt, struct rb_mailing **out, struct rb_err *err)
{
    const struct rb_curl_api *api = rb_curl(err);
    struct rb_curl_multi *multi;
    if (!api)
        return err->code;
    int rc = rb_curl_multi_open(loop, &multi, err);
    if (rc)
        return rc;
    struct rb_mailing *m = rb_alloc(sizeof(*m));
    m->api = api;
    m->multi = multi;
    m->on_done = opt->on_done;
    m->arg = opt->arg;
    m->server = rb_strdup(opt->server);
    m->transfer.on_done = on_transfer;
    rb_timer_init(&m->soon, loop, on_soon);
    rb_buf_init(&m->data, SIZE_MAX / 2);
    rb_buf_add(&m->data, rb_buf_text(&opt->mail->data), opt->mail->data.len);
    m->transfer.easy = api->easy_init();
    if (!m->transfer.easy)
        rb_die("out of memory");
    rc = set_options(m, opt, err);
    if (!rc)
        rc = rb_curl_multi_add(multi, &m->transfer, err);
    if (rc)
        destroy(m);
    else
        *out = m;
    return rc;
}

void rb_mail_cancel(struct rb_mailing *m)
{
    if (m->cancelled)
        return;
    m->cancelled = true;
    rb_curl_multi_remove(m->multi, &m->transfer);
    rb_timer_arm_ms(&m->soon, 0);
}
