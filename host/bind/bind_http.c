/* Owns `http`: a request and its answer as an op. Knows what redirects, outcomes and kinds of errors are; what is asked
 * for is http_request.c's, what comes back http_answer.c's, how it goes over the wire io/http.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "bind/args.h"
#include "bind/bind.h"
#include "bind/http_answer.h"
#include "bind/http_file.h"
#include "bind/http_request.h"
#include "engine/effect.h"
#include "engine/error.h"
#include "engine/policy.h"
#include "engine/run.h"
#include "engine/secret.h"

#define EXPECT_MAX 32
#define UNSAVED_MAX ((size_t)64 << 10) /* kept of an answer that is not saved after all */

struct http_op {
    struct rb_effect effect;
    struct rb_http_request request; /* as the script said */
    struct rb_http_request hop;     /* as it is asked now: the same, or what a redirect made of it */
    bool hopping;                   /* hop is in use */
    struct {
        int from, to;
    } expect[EXPECT_MAX];
    int expects; /* 0: any 2xx; -1: whatever comes */
    struct rb_http *http;
    struct rb_http_opening *opening; /* its files, before it is sent */
    bool orphan;                     /* the op has been dropped: the last callback frees it */
    bool acted;                      /* an earlier hop of an effect has been answered */
    char host[256];
    struct rb_http_answer answer;
    char **redirects;
    int redirect_count;
};

static struct http_op *http_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct http_op, effect);
}

static void forget_hops(struct http_op *op)
{
    if (op->hopping)
        rb_http_request_free(&op->hop);
    op->hopping = false;
    rb_args_free(op->redirects);
    op->redirects = NULL;
    op->redirect_count = 0;
    op->acted = false;
}

static void destroy(struct http_op *op)
{
    rb_http_answer_reset(&op->answer);
    forget_hops(op);
    rb_http_request_free(&op->request);
    free(op);
}

static void release(struct rb_effect *e)
{
    struct http_op *op = http_of(e);
    if (op->opening)
        rb_http_opening_leave(op->opening);
    if (op->http) {
        op->orphan = true;
        rb_http_cancel(op->http);
        return;
    }
    destroy(op);
}

static struct rb_http_request *current(struct http_op *op)
{
    return op->hopping ? &op->hop : &op->request;
}

/* "GET http://host/path" for messages: no query, which may hold what is nobody's business. */
static void request_text(struct http_op *op, char *out, size_t n)
{
    const struct rb_http_request *r = current(op);
    size_t len = strcspn(r->url_shown, "?");
    snprintf(out, n, "%s %.*s%s", r->method, len > 200 ? 200 : (int)len, r->url_shown, len > 200 ? "…" : "");
}

/* -- what it means ------------------------------------------------------------------------------------------------- */

/* The beginning of a body that is text: what the server has to say. */
static void body_text(const struct http_op *op, char *out, size_t n)
{
    const struct rb_buf *b = &op->answer.body;
    const char *text = rb_buf_text(b);
    out[0] = '\0';
    if (op->effect.secret)
        return;
    size_t from = strspn(text, " \t\r\n"), len = strcspn(text + from, "\r\n");
    len = len < n - 4 ? len : n - 4;
    memcpy(out, text + from, len);
    out[len] = '\0';
    while (len && !rb_utf8_valid(out, len) && len + 4 > n - 4) /* cut in the middle of a character */
        out[--len] = '\0';
    if (!rb_utf8_valid(out, len))
        out[0] = '\0';
}

static bool expected(const struct http_op *op)
{
    int status = op->answer.status;
    if (op->expects < 0)
        return true;
    if (op->expects == 0 && status >= 200 && status < 300)
        return true;
    for (int i = 0; i < op->expects; i++)
        if (status >= op->expect[i].from && status <= op->expect[i].to)
            return true;
    /* it was asked for twice because nobody knew: gone is what was wanted */
    return op->effect.twice && !strcmp(op->request.method, "DELETE") && (status == 404 || status == 410);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void fail_status(struct http_op *op)
{
    struct rb_effect *e = &op->effect;
    int status = op->answer.status;
    char what[300], says[200];
    request_text(op, what, sizeof(what));
    body_text(op, says, sizeof(says));
    e->retryable = status == 429 || status == 503;
    const char *to = is_redirect(status) ? rb_http_header(op->answer.headers, "Location") : NULL;
    const char *hint = to && *to ? " (a redirect that was not followed: follow = N)" : "";
    rb_effect_failed(e, "http.status", RB_OUTCOME_FAILED, true, "%s: answered %d%s%s%s", what, status, hint,
                     says[0] ? ": " : "", says);
}

static void fail(struct http_op *op, const char *word, bool sent, const char *message)
{
    struct rb_effect *e = &op->effect;
    char kind[32], what[300];
    bool plain = !strcmp(word, "policy") || !strcmp(word, "cancelled") || !strcmp(word, "usage");
    snprintf(kind, sizeof(kind), plain ? "%s" : "http.%s", word);
    request_text(op, what, sizeof(what));
    enum rb_outcome outcome = RB_OUTCOME_FAILED;
    if (!sent && !op->acted)
        outcome = e->again ? RB_OUTCOME_UNKNOWN : RB_OUTCOME_NOT_STARTED;
    else if (e->cls == RB_CLASS_EFFECT && (op->acted || op->answer.status < 400))
        outcome = RB_OUTCOME_UNKNOWN;
    struct rb_buf clean; /* the server's own words may be in it */
    rb_buf_init(&clean, 4096);
    rb_buf_adds(&clean, message);
    rb_http_redact(e->run, &clean, false);
    rb_effect_failed(e, kind, outcome, op->answer.there, "%s: %s", what, rb_buf_text(&clean));
    rb_buf_release(&clean);
}

/* -- redirects ----------------------------------------------------------------------------------------------------- */

static char **copy_list(char *const *list, int n)
{
    char **copy = rb_alloc(((size_t)n + 1) * sizeof(*copy));
    for (int i = 0; i < n; i++)
        copy[i] = rb_strdup(list[i]);
    return copy;
}

/* The first redirect works on a copy: a doubt that is settled as "retry" begins with what the script said. */
static void copy_request(struct http_op *op)
{
    struct rb_http_request *from = &op->request, *r = &op->hop;
    *r = *from;
    r->headers = from->headers ? copy_list(from->headers, from->header_count) : NULL;
    r->confidential = rb_alloc(((size_t)from->header_count + 1) * sizeof(bool));
    if (from->header_count)
        memcpy(r->confidential, from->confidential, (size_t)from->header_count * sizeof(bool));
    r->files = NULL;
    r->at = (struct rb_http_url){0};
    if (from->body) {
        r->body = rb_alloc(from->body_len + 1);
        memcpy(r->body, from->body, from->body_len);
    }
    char **texts[] = {&r->method,    &r->url,      &r->url_shown,   &r->body_file, &r->save,        &r->ca_file,
                      &r->cert_file, &r->key_file, &r->server_name, &r->pins,      &r->unix_socket, &r->key_password};
    for (size_t i = 0; i < RB_COUNT(texts); i++)
        *texts[i] = rb_strdup(*texts[i]);
    op->hopping = true;
}

static void note_redirect(struct http_op *op)
{
    size_t n = (size_t)op->redirect_count++;
    op->redirects = rb_realloc(op->redirects, (n + 2) * sizeof(*op->redirects));
    op->redirects[n] = rb_strdup(current(op)->url_shown);
    op->redirects[n + 1] = NULL;
}

static void change_method(struct rb_http_request *r, int status)
{
    if (status == 307 || status == 308 || !strcmp(r->method, "HEAD"))
        return;
    rb_http_request_drop_body(r);
    free(r->method);
    r->method = rb_strdup("GET");
}

/* Makes the next request of the answer; an error otherwise. */
static int take_hop(struct http_op *op, const char *location, struct rb_err *err)
{
    const struct rb_http_url *from = &current(op)->at;
    struct rb_http_url to;
    struct rb_buf text;
    int rc = rb_http_url_read(location, current(op)->url, &to, err);
    if (rc)
        return rb_err_prefix(err, "it redirects to what can not be followed");
    bool same = rb_http_url_same_origin(from, &to);
    if (!strcmp(from->scheme, "https") && strcmp(to.scheme, "https")) {
        rb_http_url_release(&to);
        return rb_err_set(err, RB_EDENIED, "it redirects from https to http, which is not followed");
    }
    bool again = op->answer.status == 307 || op->answer.status == 308;
    if (!same && again && current(op)->body_secret) {
        rb_err_set(
            err, RB_EDENIED,
            "it redirects the body, which holds a secret, to another origin (%.200s), which gets none: ask there",
            to.host);
        rb_http_url_release(&to);
        return err->code;
    }
    note_redirect(op);
    if (!op->hopping)
        copy_request(op);
    struct rb_http_request *r = &op->hop;
    change_method(r, op->answer.status);
    if (!same)
        rb_http_request_drop_confidential(r);
    rb_http_request_go_to(r, &to);
    rb_buf_init(&text, 1 << 20);
    rb_buf_adds(&text, r->url);
    rb_http_redact(op->effect.run, &text, false);
    free(r->url_shown);
    r->url_shown = rb_strdup(rb_buf_text(&text));
    rb_buf_release(&text);
    return RB_OK;
}

/* -- on the wire --------------------------------------------------------------------------------------------------- */

static int go(struct http_op *op, struct rb_err *err);

static void follow(struct http_op *op, const char *location)
{
    struct rb_err err = {0};
    char name[4096];
    char *target = rb_strdup(location);
    int limit = op->request.follow;
    op->acted = op->acted || (op->effect.cls == RB_CLASS_EFFECT);
    if (op->redirect_count >= limit) {
        rb_err_set(&err, RB_ETOOBIG, "more than %d redirects (follow = N); the next would be to %.200s", limit, target);
        fail(op, "redirect", true, err.msg);
    } else if (take_hop(op, target, &err)) {
        fail(op, "redirect", true, err.msg);
    } else {
        snprintf(name, sizeof(name), "%s %s", op->hop.method, op->hop.url_shown);
        if (rb_policy_check(op->effect.run, "http", name, &err))
            fail(op, "policy", true, err.msg);
        else if (go(op, &err))
            fail(op, err.code == RB_EDENIED ? "policy" : "redirect", true, err.msg);
    }
    free(target);
}

static void take_answer(struct http_op *op, struct rb_http_result *r)
{
    rb_http_answer_reset(&op->answer);
    rb_http_answer_take(&op->answer, op->effect.run, r);
    op->answer.url = rb_strdup(current(op)->url_shown);
    op->answer.saved = r->saved ? current(op)->save : NULL;
}

/* Where it redirects to, secrets and all: what is shown of it is said elsewhere. */
static const char *location_of(const struct rb_http_result *r)
{
    const char *location = rb_http_header(r->headers, "Location");
    return !r->error && is_redirect(r->status) && location && *location ? location : NULL;
}

static void on_done(void *arg, struct rb_http_result *r)
{
    struct http_op *op = arg;
    struct rb_effect *e = &op->effect;
    op->http = NULL;
    if (op->orphan) {
        destroy(op);
        return;
    }
    take_answer(op, r);
    const char *location = location_of(r);
    if (location && op->request.follow > 0) {
        follow(op, location);
        return;
    }
    op->answer.redirects = op->redirects;
    op->redirects = NULL;
    if (r->error)
        fail(op, r->error, r->sent == RB_HTTP_SENT || op->answer.redirects, r->message);
    else if (expected(op))
        rb_effect_done(e);
    else
        fail_status(op);
}

static int on_address(void *arg, const struct sockaddr *address, struct rb_err *err)
{
    struct http_op *op = arg;
    if (op->orphan)
        return rb_err_set(err, RB_ECANCELED, "the run is gone");
    return rb_policy_check_address(op->effect.run, op->host, address, err);
}

/* What is no answer to what was asked does not become the file, and is an error by its status, not by its size. */
static void on_head(void *arg, const struct rb_http_result *so_far)
{
    struct http_op *op = arg;
    op->answer.status = so_far->status;
    if (!op->orphan && (!expected(op) || (is_redirect(so_far->status) && op->request.follow > 0)))
        rb_http_unsave(op->http, UNSAVED_MAX);
}

/* files: NULL for a request without. */
static int ask(struct http_op *op, struct rb_http_files *files, struct rb_err *err)
{
    struct rb_effect *e = &op->effect;
    struct rb_http_request *r = current(op);
    struct rb_http_options opt;
    struct rb_buf proxy;
    snprintf(op->host, sizeof(op->host), "%s", r->at.host);
    rb_buf_init(&proxy, 4096);
    rb_http_request_options(r, e, &opt, &proxy);
    opt.repeatable = e->cls == RB_CLASS_READ;
    opt.cut_body = e->cls == RB_CLASS_EFFECT; /* it has happened: no answer may be lost for its size */
    opt.on_address = r->unix_socket ? NULL : on_address;
    opt.files = files;
    opt.on_head = on_head;
    opt.on_done = on_done;
    opt.arg = op;
    int rc = rb_http_start(rb_effect_loop(e), &opt, &op->http, err);
    rb_buf_release(&proxy);
    return rc;
}

static void on_opened(void *arg, struct rb_http_files *files, const char *word, const char *message)
{
    struct http_op *op = arg;
    struct rb_err err = {0};
    op->opening = NULL;
    if (!word && ask(op, files, &err)) {
        word = err.code == RB_EINVAL ? "usage" : "start";
        message = err.msg;
    }
    if (word)
        fail(op, word, false, message);
}

static int go(struct http_op *op, struct rb_err *err)
{
    struct rb_http_request *r = current(op);
    return rb_http_wants_files(r) ? rb_http_open_files(&op->effect, r, on_opened, op, &op->opening, err)
                                  : ask(op, NULL, err);
}

/* The same key for the same attempt, however often it has to be repeated because nobody knows. */
static void add_key(struct http_op *op)
{
    struct rb_effect *e = &op->effect;
    struct rb_buf text;
    char hex[RB_SHA_HEX], header[100];
    if (e->cls != RB_CLASS_EFFECT)
        return;
    for (int i = 0; i < op->request.header_count; i++)
        if (!strncmp(op->request.headers[i], "Idempotency-Key: rbhost-", 24))
            return; /* of the first start in this process, which is repeated */
    if (rb_http_request_has(&op->request, "Idempotency-Key"))
        return;
    rb_buf_init(&text, 65536);
    rb_buf_addf(&text, "%s\n%s\n%d", rb_run_id(e->run), e->key, rb_effect_attempt(e));
    rb_sha_of_hex(rb_buf_text(&text), text.len, hex);
    rb_buf_release(&text);
    snprintf(header, sizeof(header), "Idempotency-Key: rbhost-%.32s", hex);
    rb_http_request_add(&op->request, header, false);
}

static void set_limit(const struct rb_effect *e)
{
    const json_t *max = json_object_get(rb_effect_config(e, "http"), "max_connections");
    if (json_is_integer(max))
        rb_http_set_max(rb_effect_loop(e), (int)json_integer_value(max));
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct http_op *op = http_of(e);
    rb_http_answer_reset(&op->answer);
    forget_hops(op);
    set_limit(e);
    int rc = rb_http_request_ready(&op->request, err);
    if (!rc) {
        add_key(op);
        rc = go(op, err);
    }
    if (rc) {
        char what[300];
        request_text(op, what, sizeof(what));
        rb_err_prefix(err, "%s", what);
        snprintf(e->error_kind, sizeof(e->error_kind), "%s",
                 rc == RB_EINVAL    ? "usage"
                 : rc == RB_EDENIED ? "policy"
                 : rc == RB_EIO     ? "http.io"
                                    : "http.start");
    }
    return rc;
}

static void cancel(struct rb_effect *e, bool now)
{
    struct http_op *op = http_of(e);
    (void)now; /* there is no courtesy to be had */
    if (op->opening) {
        rb_http_opening_leave(op->opening);
        op->opening = NULL;
        fail(op, "cancelled", false, "it was stopped before it was sent");
    }
    if (op->http)
        rb_http_cancel(op->http);
}

static void push(struct rb_effect *e, lua_State *L)
{
    rb_http_answer_push(&http_of(e)->answer, L);
}

static void assume(struct rb_effect *e, lua_State *L)
{
    rb_http_answer_assume(e->as, L);
}

static const struct rb_effect_type http_type = {
    .kind = "http", .start = start, .cancel = cancel, .push = push, .assume = assume, .free = release};

/* -- the call ------------------------------------------------------------------------------------------------------ */

/* expect: nil, false, or a list of numbers, each two of which are the first and the last of a range. */
static void read_expect(lua_State *L, struct http_op *op)
{
    int type = lua_getfield(L, 1, "expect");
    if (type == LUA_TBOOLEAN)
        op->expects = -1;
    size_t n = type == LUA_TTABLE ? lua_rawlen(L, -1) / 2 : 0;
    if (n > EXPECT_MAX)
        rb_error_raise(L, "usage", "not_started", "http: expect has more than %d elements", EXPECT_MAX);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)(2 * i + 1));
        lua_rawgeti(L, -2, (lua_Integer)(2 * i + 2));
        op->expect[i].from = (int)lua_tointeger(L, -2);
        op->expect[i].to = (int)lua_tointeger(L, -1);
        op->expects++;
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

int rb_bind_http(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct http_op *op = rb_effect_new(L, sizeof(*op), &http_type, RB_CLASS_EFFECT);
    op->answer.retry_after = -1;
    rb_effect_options(L, 1, &op->effect);
    rb_http_request_read(L, &op->request, &op->effect);
    read_expect(L, op);
    return rb_effect_call(L, &op->effect);
}
