/* Owns `http.events`: each event is an op of its own, a read, so that a replay sees the events that were seen. The
 * connection lives between the ops in a stream, an object of the run's Lua state; where it is not there (a new process,
 * a connection that broke) the next op opens it with the last id that was seen.
 *
 * A stream is kept by its userdata, by the ops that name it, and by its connection until on_done. Whoever waits is its
 * `waiter`; without one, events are kept up to QUEUE_MAX bytes, and then the server has to wait. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/args.h"
#include "bind/bind.h"
#include "bind/http_answer.h"
#include "bind/http_file.h"
#include "bind/http_request.h"
#include "bind/sse.h"
#include "engine/effect.h"
#include "engine/error.h"
#include "engine/policy.h"
#include "engine/run.h"

#define STREAM_META "rbhost.http.stream"
#define QUEUE_MAX ((size_t)1 << 20)
#define EVENT_MAX ((size_t)1 << 20)
#define RETRY_MS 3000 /* where the server does not say */
#define RETRY_MAX_MS 60000
#define ATTEMPTS 10 /* in a row that came to nothing */

struct event {
    struct rb_list link;
    struct rb_buf data;
    char *event, *id;
    size_t size; /* that it counts as */
};

struct event_op;

struct stream {
    int refs;
    struct rb_run *run; /* of its ops; not to be used once it is closed */
    bool closed;        /* its userdata is gone */
    struct rb_loop *loop;
    struct rb_http *http;
    struct rb_http_opening *opening; /* of its waiter's request */
    struct rb_timer again;
    bool again_made; /* the timer was initialised */
    struct rb_list events;
    size_t queued;
    struct event_op *waiter;
    struct rb_sse sse;
    bool parsing; /* sse was initialised */
    bool was_open, over, held;
    int status, failures;
    bool no_stream; /* the answer is something else */
    bool too_big;
    char host[256];
};

struct event_op {
    struct rb_effect effect;
    struct rb_http_request request;
    struct stream *stream; /* holds a reference */
    struct rb_timer limit;
    uint64_t silence_ms;
    bool reconnect, resumed;
    size_t max_event;
    struct event *event; /* the result; NULL: the stream has ended */
};

static struct event_op *op_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct event_op, effect);
}

/* -- memory -------------------------------------------------------------------------------------------------------- */

static void free_event(struct event *ev)
{
    if (!ev)
        return;
    rb_buf_release(&ev->data);
    free(ev->event);
    free(ev->id);
    free(ev);
}

static void unref(struct stream *s)
{
    if (--s->refs)
        return;
    for (struct rb_list *l = rb_list_pop(&s->events); l; l = rb_list_pop(&s->events))
        free_event(RB_CONTAINER(l, struct event, link));
    if (s->again_made)
        rb_timer_disarm(&s->again);
    if (s->parsing)
        rb_sse_release(&s->sse);
    free(s);
}

static void close_stream(struct stream *s)
{
    s->closed = true;
    if (s->again_made)
        rb_timer_disarm(&s->again);
    if (s->http)
        rb_http_cancel(s->http);
    unref(s);
}

static void forget_waiter(struct event_op *op)
{
    struct stream *s = op->stream;
    rb_timer_disarm(&op->limit);
    if (!s || s->waiter != op)
        return;
    s->waiter = NULL;
    if (s->opening)
        rb_http_opening_leave(s->opening);
    s->opening = NULL;
}

static void release(struct rb_effect *e)
{
    struct event_op *op = op_of(e);
    forget_waiter(op);
    if (op->stream)
        unref(op->stream);
    free_event(op->event);
    rb_http_request_free(&op->request);
    free(op);
}

/* -- events -------------------------------------------------------------------------------------------------------- */

/* The first event that lies there goes to whoever waits. */
static void deliver(struct stream *s)
{
    struct event_op *op = s->waiter;
    struct rb_list *l = op ? rb_list_pop(&s->events) : NULL;
    if (!l)
        return;
    op->event = RB_CONTAINER(l, struct event, link);
    s->queued -= op->event->size;
    forget_waiter(op);
    rb_effect_done(&op->effect);
}

static void on_event(void *arg, const char *name, const struct rb_buf *data, const char *id)
{
    struct stream *s = arg;
    struct event *ev = rb_alloc(sizeof(*ev));
    struct rb_buf text;
    rb_list_init(&ev->link);
    rb_buf_init(&ev->data, SIZE_MAX / 2);
    rb_buf_add(&ev->data, rb_buf_text(data), data->len);
    rb_http_redact(s->run, &ev->data, false);
    rb_buf_init(&text, 65536);
    rb_buf_adds(&text, name);
    rb_http_redact(s->run, &text, false);
    ev->event = rb_strdup(rb_buf_text(&text));
    rb_buf_reset(&text);
    rb_buf_adds(&text, id);
    rb_http_redact(s->run, &text, false);
    ev->id = text.len ? rb_strdup(rb_buf_text(&text)) : NULL;
    rb_buf_release(&text);
    ev->size = sizeof(*ev) + ev->data.len + strlen(ev->event) + (ev->id ? strlen(ev->id) : 0); /* an empty one counts */
    s->queued += ev->size;
    s->failures = 0;
    rb_list_push(&s->events, &ev->link);
    deliver(s);
}

static void on_head(void *arg, const struct rb_http_result *so_far)
{
    struct stream *s = arg;
    s->status = so_far->status;
    s->no_stream = so_far->status == 200;
    const char *type = rb_http_header(so_far->headers, "Content-Type");
    if (type && !strncasecmp(type, "text/event-stream", 17) && strchr("; \t", type[17]))
        s->no_stream = false;
    if (s->status != 200 || s->no_stream)
        rb_http_cancel(s->http);
    else
        s->was_open = true;
}

static void on_data(void *arg, const char *data, size_t len)
{
    struct stream *s = arg;
    if (s->closed)
        return;
    if (s->waiter && s->waiter->silence_ms) /* a comment is no silence: it says that the server is there */
        rb_timer_arm_ms(&s->waiter->limit, s->waiter->silence_ms);
    if (rb_sse_feed(&s->sse, data, len)) {
        s->too_big = true;
        rb_http_cancel(s->http);
    }
    s->held = s->queued > QUEUE_MAX;
    if (s->held)
        rb_http_hold(s->http, true);
}

/* -- the connection ------------------------------------------------------------------------------------------------ */

static int open_stream(struct stream *s, struct rb_err *err);

static void fail(struct event_op *op, const char *kind, const char *fmt, const char *text)
{
    char what[300];
    size_t len = strcspn(op->request.url_shown, "?");
    snprintf(what, sizeof(what), "%s %.*s", op->request.method, len > 200 ? 200 : (int)len, op->request.url_shown);
    struct rb_buf clean;
    rb_buf_init(&clean, 4096);
    rb_buf_addf(&clean, fmt, text);
    rb_http_redact(op->effect.run, &clean, false);
    forget_waiter(op);
    rb_effect_failed(&op->effect, kind, RB_OUTCOME_FAILED, false, "%s: %s", what, rb_buf_text(&clean));
    rb_buf_release(&clean);
}

static void end(struct event_op *op)
{
    forget_waiter(op);
    rb_effect_done(&op->effect);
}

static void on_again(struct rb_timer *t)
{
    struct stream *s = RB_CONTAINER(t, struct stream, again);
    struct rb_err err = {0};
    if (s->waiter && !s->http && !s->opening && open_stream(s, &err))
        fail(s->waiter, "http.start", "%s", err.msg);
}

static void later(struct stream *s)
{
    int64_t ms = s->sse.retry_ms >= 0 ? s->sse.retry_ms : RETRY_MS;
    for (int i = 1; i < s->failures && ms < RETRY_MAX_MS; i++)
        ms = ms ? 2 * ms : 100;
    rb_timer_arm_ms(&s->again, (uint64_t)(ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS));
}

/* What a gateway says while the server behind it is begun anew. */
static bool is_away(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static void on_done(void *arg, struct rb_http_result *r)
{
    struct stream *s = arg;
    struct event_op *op = s->waiter;
    char number[16], kind[32];
    bool is_clean = !r->error && (s->status == 200 || s->status == 204);
    s->http = NULL;
    s->held = false;
    s->over = is_clean;
    snprintf(number, sizeof(number), "%d", s->status);
    snprintf(kind, sizeof(kind), !r->error || !strcmp(r->error, "policy") ? "policy" : "http.%s", r->error);
    if (!s->closed && op) {
        if (s->too_big)
            fail(op, "http.too_big", "%s", "an event is larger than max_event");
        else if (s->status == 204)
            end(op);
        else if (is_away(s->status) && (s->was_open || op->resumed) && ++s->failures < ATTEMPTS)
            later(s);
        else if (s->status && s->status != 200)
            fail(op, "http.status", "answered %s to the wish for a stream of events (redirects are not followed here)",
                 number);
        else if (s->no_stream)
            fail(op, "http.protocol", "%s", "the answer is no stream of events (Content-Type: text/event-stream)");
        else if (is_clean && !op->reconnect)
            end(op);
        else if (is_clean || ((s->was_open || op->resumed) && ++s->failures < ATTEMPTS && strcmp(kind, "policy")))
            later(s);
        else
            fail(op, kind, "%s", r->message);
    }
    unref(s);
}

static int on_address(void *arg, const struct sockaddr *address, struct rb_err *err)
{
    struct stream *s = arg;
    if (s->closed)
        return rb_err_set(err, RB_ECANCELED, "the run is gone");
    return rb_policy_check_address(s->run, s->host, address, err);
}

/* files: NULL for a request without. */
static int ask(struct stream *s, struct rb_http_files *files, struct rb_err *err)
{
    struct event_op *op = s->waiter;
    struct rb_http_request *r = &op->request;
    struct rb_http_options opt;
    struct rb_buf proxy;
    snprintf(s->host, sizeof(s->host), "%s", r->at.host);
    rb_sse_restart(&s->sse);
    if (s->sse.id.len) {
        char header[4200];
        snprintf(header, sizeof(header), "Last-Event-ID: %.4096s", rb_buf_text(&s->sse.id));
        rb_http_request_remove(r, "Last-Event-ID");
        rb_http_request_add(r, header, false);
    }
    rb_buf_init(&proxy, 4096);
    rb_http_request_options(r, &op->effect, &opt, &proxy);
    opt.repeatable = true;
    opt.timeout_ms = 0; /* it may last; silence has its own limit */
    opt.on_address = r->unix_socket ? NULL : on_address;
    opt.files = files;
    opt.on_head = on_head;
    opt.on_data = on_data;
    opt.on_done = on_done;
    opt.arg = s;
    s->status = 0;
    s->no_stream = s->too_big = s->over = false;
    int rc = rb_http_start(s->loop, &opt, &s->http, err);
    rb_buf_release(&proxy);
    if (!rc)
        s->refs++; /* until on_done */
    return rc;
}

static void on_opened(void *arg, struct rb_http_files *files, const char *word, const char *message)
{
    struct stream *s = arg;
    struct rb_err err = {0};
    char kind[32];
    s->opening = NULL;
    if (!word && !ask(s, files, &err))
        return;
    snprintf(kind, sizeof(kind), word && !strcmp(word, "policy") ? "%s" : "http.%s", word ? word : "start");
    fail(s->waiter, kind, "%s", word ? message : err.msg);
}

static int open_stream(struct stream *s, struct rb_err *err)
{
    struct rb_http_request *r = &s->waiter->request;
    int rc = rb_http_request_ready(r, err);
    if (rc)
        return rc;
    return rb_http_wants_files(r) ? rb_http_open_files(&s->waiter->effect, r, on_opened, s, &s->opening, err)
                                  : ask(s, NULL, err);
}

/* -- the op -------------------------------------------------------------------------------------------------------- */

static void on_silence(struct rb_timer *t)
{
    struct event_op *op = RB_CONTAINER(t, struct event_op, limit);
    struct stream *s = op->stream;
    char seconds[32];
    rb_timer_disarm(&s->again);
    if (s->http)
        rb_http_cancel(s->http);
    snprintf(seconds, sizeof(seconds), "%.3gs", (double)op->silence_ms / 1000);
    fail(op, "http.timeout", "nothing came within %s (timeout)", seconds);
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct event_op *op = op_of(e);
    struct stream *s = op->stream;
    s->loop = rb_effect_loop(e);
    if (!s->parsing) {
        rb_sse_init(&s->sse, op->max_event);
        s->sse.on_event = on_event;
        s->sse.arg = s;
        s->parsing = true;
        rb_timer_init(&s->again, s->loop, on_again);
        s->again_made = true;
    }
    if (s->waiter)
        return rb_err_set(err, RB_EBUSY, "another task waits for the next event of this stream");
    s->waiter = op;
    if (!rb_list_empty(&s->events)) {
        deliver(s);
        if (s->held && s->queued <= QUEUE_MAX / 2 && s->http) {
            s->held = false;
            rb_http_hold(s->http, false);
        }
        return RB_OK;
    }
    if (op->silence_ms)
        rb_timer_arm_ms(&op->limit, op->silence_ms);
    if (s->http)
        return RB_OK;
    if (s->over && !op->reconnect) {
        end(op);
        return RB_OK;
    }
    if (s->was_open) { /* it ended while nobody waited */
        later(s);
        return RB_OK;
    }
    int rc = open_stream(s, err);
    if (rc) {
        forget_waiter(op);
        snprintf(e->error_kind, sizeof(e->error_kind), "%s",
                 rc == RB_EINVAL    ? "usage"
                 : rc == RB_EDENIED ? "policy"
                                    : "http.start");
    }
    return rc;
}

static void cancel(struct rb_effect *e, bool now)
{
    struct event_op *op = op_of(e);
    (void)now;
    if (op->stream->waiter != op)
        return;
    forget_waiter(op);
    rb_effect_failed(e, "cancelled", RB_OUTCOME_FAILED, false, "http.events was stopped");
}

static void push(struct rb_effect *e, lua_State *L)
{
    const struct event *ev = op_of(e)->event;
    lua_createtable(L, 0, 3);
    if (!ev) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "ended");
        return;
    }
    lua_pushlstring(L, rb_buf_text(&ev->data), ev->data.len);
    lua_setfield(L, -2, "data");
    lua_pushstring(L, ev->event);
    lua_setfield(L, -2, "event");
    if (ev->id) {
        lua_pushstring(L, ev->id);
        lua_setfield(L, -2, "id");
    }
}

static const struct rb_effect_type event_type = {
    .kind = "http.events", .start = start, .cancel = cancel, .push = push, .free = release};

/* -- in Lua -------------------------------------------------------------------------------------------------------- */

static int l_stream_gc(lua_State *L)
{
    struct stream **box = luaL_checkudata(L, 1, STREAM_META);
    if (*box)
        close_stream(*box);
    *box = NULL;
    return 0;
}

int rb_bind_http_stream(lua_State *L)
{
    struct stream **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = NULL;
    if (luaL_newmetatable(L, STREAM_META)) {
        lua_pushcfunction(L, l_stream_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    struct stream *s = rb_alloc(sizeof(*s));
    s->refs = 1;
    rb_list_init(&s->events);
    *box = s;
    return 1;
}

int rb_bind_http_stream_close(lua_State *L)
{
    return l_stream_gc(L);
}

int rb_bind_http_event(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct event_op *op = rb_effect_new(L, sizeof(*op), &event_type, RB_CLASS_READ);
    struct rb_effect *e = &op->effect;
    rb_timer_init(&op->limit, rb_effect_loop(e), on_silence);
    lua_getfield(L, 1, "stream");
    struct stream **box = luaL_checkudata(L, -1, STREAM_META);
    if (!*box)
        return rb_error_raise(L, "usage", "not_started", "http.events: the stream was closed");
    op->stream = *box;
    op->stream->refs++;
    op->stream->run = e->run;
    lua_pop(L, 1);
    rb_effect_options(L, 1, e);
    rb_http_request_read(L, &op->request, e);
    op->silence_ms = (uint64_t)rb_args_int(L, 1, "silence_ms", 300000);
    op->max_event = (size_t)rb_args_int(L, 1, "max_event", (int64_t)EVENT_MAX);
    op->reconnect = rb_args_bool(L, 1, "reconnect", false);
    op->resumed = rb_http_request_has(&op->request, "Last-Event-ID");
    return rb_effect_call(L, e);
}
