/* Owns the sending of one message: to the terminal, a file, a command, over HTTP, by mail. Knows what an answer means;
 * not who asked, nor what follows. */
#include "io/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "io/http.h"
#include "io/http_url.h"
#include "io/mail.h"
#include "io/proc.h"
#include "io/timer.h"
#include "loop/work.h"

#define ANSWER_MAX ((size_t)64 << 10)
#define OUTPUT_MAX ((size_t)16 << 10)
#define GRACE_MS 2000
#define RETRY_AFTER_MAX 86400 /* s; nobody waits so long */

extern char **environ;

struct rb_notify {
    struct rb_loop *loop;
    const struct rb_channel_kind *kind;
    void (*on_done)(void *arg, const struct rb_notify_result *result);
    void *arg;
    char *name;
    bool dropped;
    struct rb_notify_result result;
    struct rb_timer soon; /* terminal: on_done is never called from within start */
    struct rb_work work;  /* file */
    char *path;
    struct rb_buf line;
    struct rb_proc *proc;
    struct rb_http *http;
    struct rb_mailing *mail;
};

static void destroy(struct rb_notify *n)
{
    rb_timer_disarm(&n->soon);
    rb_buf_release(&n->line);
    free(n->name);
    free(n->path);
    free(n);
}

static void set(struct rb_notify *n, enum rb_notify_end end, bool again, const char *fmt, ...) RB_PRINTF(4, 5);

static void set(struct rb_notify *n, enum rb_notify_end end, bool again, const char *fmt, ...)
{
    struct rb_buf b;
    va_list ap;
    rb_buf_init(&b, sizeof(n->result.message) - 1);
    va_start(ap, fmt);
    rb_buf_addfv(&b, fmt, ap);
    va_end(ap);
    n->result.end = end;
    n->result.again = again;
    snprintf(n->result.message, sizeof(n->result.message), "%s", rb_buf_text(&b));
    rb_buf_release(&b);
}

static void finish(struct rb_notify *n)
{
    rb_fault_point("notify.after-send");
    if (!n->dropped)
        n->on_done(n->arg, &n->result);
    destroy(n);
}

/* -- terminal ------------------------------------------------------------------------------------------------------ */

static void on_soon(struct rb_timer *t)
{
    finish(RB_CONTAINER(t, struct rb_notify, soon));
}

static void send_to_terminal(struct rb_notify *n, const struct rb_notify_options *opt)
{
    const struct rb_message *m = opt->message;
    struct rb_buf text;
    rb_buf_init(&text, 32 << 10);
    rb_buf_addf(&text, "%s: ", m->action == RB_TRIGGER ? rb_severity_word(m->severity) : rb_action_word(m->action));
    if (m->title && *m->title)
        rb_buf_addf(&text, "%s\n", m->title);
    rb_text_cut(&text, m->text, 4000);
    for (size_t i = 0; i < m->n_fields; i++) {
        rb_buf_addf(&text, "\n%s: ", m->fields[i].name);
        rb_text_cut(&text, m->fields[i].value, 200);
    }
    opt->on_line(opt->arg, rb_buf_text(&text));
    rb_buf_release(&text);
    n->result.end = RB_NOTIFY_TAKEN;
    rb_timer_init(&n->soon, n->loop, on_soon);
    rb_timer_arm_ms(&n->soon, 0);
}

/* -- file ---------------------------------------------------------------------------------------------------------- */

/* On the pool: one write of the whole line at the end of the file, and then it is on the disk. */
static void append(struct rb_work *w)
{
    struct rb_notify *n = RB_CONTAINER(w, struct rb_notify, work);
    int fd = open(n->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0) {
        set(n, RB_NOTIFY_NOT_SENT, false, "%s can not be opened: %s", n->path, strerror(errno));
        return;
    }
    ssize_t len = write(fd, rb_buf_text(&n->line), n->line.len);
    if (len < 0)
        set(n, RB_NOTIFY_NOT_SENT, false, "%s can not be written: %s", n->path, strerror(errno));
    else if ((size_t)len < n->line.len)
        set(n, RB_NOTIFY_UNKNOWN, false, "%s took only a part of the line: is the disk full?", n->path);
    else if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS) /* a pipe has no disk */
        set(n, RB_NOTIFY_UNKNOWN, false, "%s can not be synced: %s", n->path, strerror(errno));
    else
        n->result.end = RB_NOTIFY_TAKEN;
    close(fd);
}

static void on_appended(struct rb_work *w, int status)
{
    struct rb_notify *n = RB_CONTAINER(w, struct rb_notify, work);
    if (status)
        set(n, RB_NOTIFY_NOT_SENT, false, "stopped before it was written");
    finish(n);
}

static int send_to_file(struct rb_notify *n, const struct rb_notify_options *opt, struct rb_err *err)
{
    const char *path = rb_channel_text(opt->channel, "path");
    if (!path || !*path)
        return rb_err_set(err, RB_EINVAL, "its path is missing");
    n->path = rb_strdup(path);
    rb_message_json(opt->message, opt->name, &n->line);
    rb_buf_addc(&n->line, '\n');
    n->work.run = append;
    n->work.on_done = on_appended;
    rb_work_start(n->loop, &n->work);
    return RB_OK;
}

/* -- exec ---------------------------------------------------------------------------------------------------------- */

static const char *last_line(const struct rb_capture *c, struct rb_buf *out)
{
    struct rb_buf clean;
    const char *text = rb_buf_text(&c->buf), *end = text + c->buf.len;
    while (end > text && (end[-1] == '\n' || end[-1] == '\r' || end[-1] == ' '))
        end--;
    const char *p = end;
    while (p > text && p[-1] != '\n')
        p--;
    rb_buf_init(&clean, OUTPUT_MAX * 3);
    rb_text_clean(&clean, p, (size_t)(end - p), true);
    rb_text_cut(out, rb_buf_text(&clean), 300);
    rb_buf_release(&clean);
    return rb_buf_text(out);
}

static void on_exec_done(void *arg, struct rb_proc_result *r)
{
    struct rb_notify *n = arg;
    struct rb_buf line;
    n->proc = NULL;
    rb_buf_init(&line, 1024);
    const char *said = last_line(r->err.buf.len ? &r->err : &r->out, &line);
    if (r->end == RB_PROC_TIMED_OUT)
        set(n, RB_NOTIFY_UNKNOWN, false, "its command did not end in time and was stopped%s%s", *said ? ": " : "",
            said);
    else if (r->end == RB_PROC_KILLED || r->signal)
        set(n, RB_NOTIFY_UNKNOWN, false, "its command was ended by a signal%s%s", *said ? ": " : "", said);
    else if (r->code)
        set(n, RB_NOTIFY_REFUSED, false, "its command exited with %d%s%s", r->code, *said ? ": " : "", said);
    else
        n->result.end = RB_NOTIFY_TAKEN;
    rb_buf_release(&line);
    finish(n);
}

/* What every child gets, and what the message is, for commands that read no JSON. */
static char **child_environment(const struct rb_notify_options *opt)
{
    static const char *const kept[] = {
        "PATH=",   "HOME=", "USER=",   "LOGNAME=",         "SHELL=", "LANG=",
        "LC_",     "TZ=",   "TMPDIR=", "XDG_RUNTIME_DIR=", "TERM=",  "DBUS_SESSION_BUS_ADDRESS=",
        "DISPLAY="};
    const struct rb_message *m = opt->message;
    const struct {
        const char *name, *value;
    } own[] = {
        {"CHANNEL", opt->name},
        {"ID", m->id},
        {"SEVERITY", rb_severity_word(m->severity)},
        {"TITLE", m->title},
        {"TEXT", m->text},
        {"ACTION", rb_action_word(m->action)},
        {"DEDUP", m->dedup},
        {"RUN", m->run},
        {"RUNBOOK", m->runbook},
        {"ENVIRONMENT", m->environment},
    };
    size_t n = 0, have = 0;
    while (environ[have])
        have++;
    char **list = rb_alloc((have + RB_COUNT(own) + 1) * sizeof(*list));
    for (size_t i = 0; i < have; i++)
        for (size_t k = 0; k < RB_COUNT(kept); k++)
            if (strncmp(environ[i], kept[k], strlen(kept[k])) == 0) {
                list[n++] = rb_strdup(environ[i]);
                break;
            }
    for (size_t i = 0; i < RB_COUNT(own); i++) {
        struct rb_buf b;
        rb_buf_init(&b, RB_MESSAGE_TEXT * 2);
        rb_buf_addf(&b, "RBHOST_NOTIFY_%s=%s", own[i].name, own[i].value ? own[i].value : "");
        list[n++] = rb_buf_detach(&b);
    }
    return list;
}

static int send_to_command(struct rb_notify *n, const struct rb_notify_options *opt, struct rb_err *err)
{
    const json_t *command = json_object_get(opt->channel, "command");
    size_t count = json_array_size(command);
    if (!count)
        return rb_err_set(err, RB_EINVAL, "its command is no list of words");
    const char **argv = rb_alloc((count + 1) * sizeof(*argv));
    for (size_t i = 0; i < count; i++)
        argv[i] = json_string_value(json_array_get(command, i)) ? json_string_value(json_array_get(command, i)) : "";
    char **env = child_environment(opt);
    rb_message_json(opt->message, opt->name, &n->line);
    rb_buf_addc(&n->line, '\n');
    struct rb_proc_options po = {.argv = argv,
                                 .envp = (const char *const *)env,
                                 .stdin_data = rb_buf_text(&n->line),
                                 .stdin_len = n->line.len,
                                 .max_output = OUTPUT_MAX,
                                 .timeout_ms = opt->timeout_ms,
                                 .grace_ms = GRACE_MS,
                                 .drain_ms = GRACE_MS,
                                 .on_done = on_exec_done,
                                 .arg = n};
    int rc = rb_proc_start(n->loop, &po, &n->proc, err);
    for (char **p = env; *p; p++)
        free(*p);
    free(env);
    free(argv);
    return rc;
}

/* -- HTTP ---------------------------------------------------------------------------------------------------------- */

/* ms that the answer asks to wait. */
static int64_t retry_after(const struct rb_http_result *r)
{
    double s = rb_http_retry_after(r);
    return s < 0 ? 0 : s > RETRY_AFTER_MAX ? RETRY_AFTER_MAX * 1000LL : (int64_t)(s * 1000);
}

static void read_answer(struct rb_notify *n, const struct rb_http_result *r)
{
    struct rb_buf said;
    if (r->status >= 200 && r->status < 300) {
        n->result.end = RB_NOTIFY_TAKEN;
        return;
    }
    rb_buf_init(&said, 1024);
    if (n->kind->refusal && r->body.buf.len)
        n->kind->refusal(rb_buf_text(&r->body.buf), r->body.buf.len, &said);
    bool busy = r->status == 429 || r->status == 503; /* says that it has not taken it, and to come again */
    bool known = r->status < 500 || busy || r->status == 501;
    /* what is to be told is told to whom the configuration names */
    bool elsewhere = r->status >= 300 && r->status < 400;
    set(n, known ? RB_NOTIFY_REFUSED : RB_NOTIFY_UNKNOWN, busy || r->status >= 500, "it answered %d%s%s%s", r->status,
        elsewhere ? ", a redirect, which is not followed: give the URL that it leads to" : "", said.len ? ": " : "",
        rb_buf_text(&said));
    n->result.after_ms = busy ? retry_after(r) : 0;
    rb_buf_release(&said);
}

static void on_http_done(void *arg, struct rb_http_result *r)
{
    struct rb_notify *n = arg;
    n->http = NULL;
    if (r->error)
        set(n, r->sent == RB_HTTP_NOT_SENT ? RB_NOTIFY_NOT_SENT : RB_NOTIFY_UNKNOWN,
            strcmp(r->error, "tls") != 0 && strcmp(r->error, "cancelled") != 0, "%s", r->message);
    else
        read_answer(n, r);
    finish(n);
}

static int send_by_http(struct rb_notify *n, const struct rb_notify_options *opt, struct rb_err *err)
{
    struct rb_request r;
    struct rb_http_url url = {0};
    struct rb_buf proxy;
    const char *ca = rb_channel_text(opt->channel, "ca_file");
    rb_request_init(&r);
    rb_buf_init(&proxy, 4096);
    int rc = n->kind->shape(opt->channel, opt->message, rb_clock_wall(), &r, err);
    if (!rc)
        rc = rb_http_url_read(rb_buf_text(&r.url), NULL, &url, err);
    if (!rc) {
        rb_http_proxy(opt->http, &url, &proxy);
        rb_request_header(&r, "User-Agent: rbhost/" RB_VERSION);
        struct rb_http_options ho = {.method = "POST",
                                     .url = rb_buf_text(&r.url),
                                     .headers = (const char *const *)r.headers,
                                     .body = rb_buf_text(&r.body),
                                     .body_len = r.body.len,
                                     .repeatable = n->kind->dedups,
                                     .ca_file = ca ? ca : json_string_value(json_object_get(opt->http, "ca_file")),
                                     .proxy = proxy.len ? rb_buf_text(&proxy) : NULL,
                                     .connect_timeout_ms = opt->timeout_ms,
                                     .timeout_ms = opt->timeout_ms,
                                     .max_body = ANSWER_MAX,
                                     .cut_body = true,
                                     .on_done = on_http_done,
                                     .arg = n};
        rc = rb_http_start(n->loop, &ho, &n->http, err);
        rb_http_url_release(&url);
    }
    rb_buf_release(&proxy);
    rb_request_release(&r);
    return rc;
}

/* -- mail ---------------------------------------------------------------------------------------------------------- */

static void on_mailed(void *arg, const struct rb_mail_result *r)
{
    struct rb_notify *n = arg;
    n->mail = NULL;
    if (r->taken)
        n->result.end = RB_NOTIFY_TAKEN;
    else
        set(n,
            r->refused ? RB_NOTIFY_REFUSED
            : r->sent  ? RB_NOTIFY_UNKNOWN
                       : RB_NOTIFY_NOT_SENT,
            r->again, "%s", r->message);
    finish(n);
}

static int send_by_mail(struct rb_notify *n, const struct rb_notify_options *opt, struct rb_err *err)
{
    struct rb_mail mail = {0};
    int rc = rb_mail_shape(opt->channel, opt->message, &mail, err);
    if (!rc) {
        struct rb_mail_options mo = {.mail = &mail,
                                     .server = rb_channel_text(opt->channel, "server"),
                                     .user = rb_channel_text(opt->channel, "user"),
                                     .password = rb_channel_text(opt->channel, "password"),
                                     .tls = rb_channel_text(opt->channel, "tls"),
                                     .ca_file = rb_channel_text(opt->channel, "ca_file"),
                                     .timeout_ms = opt->timeout_ms,
                                     .on_done = on_mailed,
                                     .arg = n};
        rc = rb_mail_start(n->loop, &mo, &n->mail, err);
    }
    rb_mail_release(&mail);
    return rc;
}

/* -- the whole ----------------------------------------------------------------------------------------------------- */

int rb_notify_start(struct rb_loop *loop, const struct rb_notify_options *opt, struct rb_notify **out,
                    struct rb_err *err)
{
    const struct rb_channel_kind *kind = rb_channel_kind(opt->channel);
    int rc = RB_OK;
    if (!kind)
        return rb_err_set(err, RB_EINVAL, "its type is not known");
    struct rb_notify *n = rb_alloc(sizeof(*n));
    n->loop = loop;
    n->kind = kind;
    n->name = rb_strdup(opt->name);
    n->on_done = opt->on_done;
    n->arg = opt->arg;
    rb_buf_init(&n->line, (size_t)1 << 20);
    rb_fault_point("notify.before-send");
    switch (kind->way) {
    case RB_WAY_TERMINAL: send_to_terminal(n, opt); break;
    case RB_WAY_FILE: rc = send_to_file(n, opt, err); break;
    case RB_WAY_EXEC: rc = send_to_command(n, opt, err); break;
    case RB_WAY_HTTP: rc = send_by_http(n, opt, err); break;
    case RB_WAY_MAIL: rc = send_by_mail(n, opt, err); break;
    }
    if (rc)
        destroy(n);
    else
        *out = n;
    return rc;
}

void rb_notify_cancel(struct rb_notify *n)
{
    if (n->proc)
        rb_proc_kill_now(n->proc);
    else if (n->http)
        rb_http_cancel(n->http);
    else if (n->mail)
        rb_mail_cancel(n->mail);
    else if (n->path)
        rb_work_cancel(&n->work); /* else it is about to end */
}

void rb_notify_drop(struct rb_notify *n)
{
    n->dropped = true;
    rb_notify_cancel(n);
}
