/* Owns what a call of http asks for: its reading, its two forms (as it goes out, as it may be shown), and what a
 * redirect takes from it. Knows nothing of answers. */
#include "bind/http_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "bind/args.h"
#include "engine/error.h"
#include "engine/lua_lib.h"
#include "engine/secret.h"

#define URL_MAX ((size_t)64 << 10)
#define HEADERS_MAX ((size_t)256 << 10)
#define BODY_MAX RB_HTTP_PARTS_MAX
#define SHOWN_BODY 1024 /* of a body, in the journal */

/* -- pieces -------------------------------------------------------------------------------------------------------- */

static void add_url(struct rb_buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        bool plain =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
        if (plain)
            rb_buf_addc(out, (char)c);
        else
            rb_buf_addf(out, "%%%02X", c);
    }
}

static void add_encoded(struct rb_buf *out, const char *how, const struct rb_buf *raw)
{
    const char *s = rb_buf_text(raw);
    if (!how)
        rb_buf_add(out, s, raw->len);
    else if (strcmp(how, "url") == 0)
        add_url(out, s, raw->len);
    else if (strcmp(how, "base64") == 0)
        rb_base64(out, s, raw->len);
    else
        rb_json_quote(out, s, raw->len);
}

/* The piece on top of the stack. */
static void add_piece(lua_State *L, const char *what, struct rb_buf *real, struct rb_buf *shown, bool *secret)
{
    const char *how = NULL;
    int top = lua_gettop(L);
    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_rawgeti(L, -1, 2);
        how = lua_tostring(L, -1);
        lua_rawgeti(L, top, 1);
    }
    struct rb_buf *raw = rb_effect_buf(L, BODY_MAX); /* behind the value */
    rb_secret_expand(L, -2, raw, what);
    if (how && strcmp(how, "json") == 0 && !rb_utf8_valid(rb_buf_text(raw), raw->len))
        rb_error_raise(L, "usage", "not_started", "%s is not UTF-8, which JSON has to be", what);
    add_encoded(real, how, raw);
    bool is_secret = rb_secret_is(L, -2);
    *secret = *secret || is_secret;
    if (is_secret) {
        if (how && strcmp(how, "json") == 0)
            rb_buf_addc(shown, '"');
        rb_secret_shown(L, -2, shown, what);
        if (how && strcmp(how, "json") == 0)
            rb_buf_addc(shown, '"');
    } else {
        add_encoded(shown, how && strcmp(how, "base64") ? how : NULL, raw);
    }
    if (raw->data)
        explicit_bzero(raw->data, raw->len);
    lua_settop(L, top);
}

static void add_file(lua_State *L, struct rb_http_request *r, struct rb_effect *e, size_t at)
{
    struct rb_http_file **last = &r->files;
    while (*last)
        last = &(*last)->next;
    struct rb_http_file *f = *last = rb_alloc(sizeof(*f));
    f->at = at;
    f->path = rb_args_text(L, -1, "http", "path");
    rb_effect_reach(e, "file", f->path, strlen(f->path));
}

/* The text at the top of the stack: a string, a secret or a list of pieces. Says whether a secret is in it. */
static bool add_text(lua_State *L, const char *what, struct rb_buf *real, struct rb_buf *shown,
                     struct rb_http_request *files, struct rb_effect *e)
{
    bool secret = false;
    if (lua_type(L, -1) != LUA_TTABLE) {
        add_piece(L, what, real, shown, &secret);
        return secret;
    }
    size_t n = lua_rawlen(L, -1);
    for (size_t i = 1; i <= n; i++) {
        bool file = false;
        lua_rawgeti(L, -1, (lua_Integer)i);
        if (files && lua_type(L, -1) == LUA_TTABLE) {
            file = lua_getfield(L, -1, "path") != LUA_TNIL;
            lua_pop(L, 1);
        }
        if (file) {
            add_file(L, files, e, real->len);
            rb_buf_adds(shown, "(file)");
        } else {
            add_piece(L, what, real, shown, &secret);
        }
        lua_pop(L, 1);
    }
    return secret;
}

/* -- reading ------------------------------------------------------------------------------------------------------- */

static void no_nul(lua_State *L, const struct rb_buf *b, const char *what)
{
    if (b->cut)
        rb_error_raise(L, "usage", "not_started", "http: %s is larger than %zu bytes", what, b->max);
    if (b->len && memchr(b->data, '\0', b->len))
        rb_error_raise(L, "usage", "not_started", "http: %s contains a NUL byte", what);
}

/* Without "user:password@" and fragment: neither is asked for, and a password is nobody's to see. */
static char *without_user(const char *url)
{
    const char *authority = strstr(url, "://");
    authority = authority ? authority + 3 : url;
    size_t n = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', n);
    const char *rest = at ? at + 1 : authority;
    struct rb_buf b;
    rb_buf_init(&b, URL_MAX);
    rb_buf_add(&b, url, (size_t)(authority - url));
    rb_buf_add(&b, rest, strcspn(rest, "#"));
    return b.data ? rb_buf_detach(&b) : rb_strdup("");
}

static void read_url(lua_State *L, struct rb_http_request *r)
{
    struct rb_buf *real = rb_effect_buf(L, URL_MAX), *shown = rb_effect_buf(L, URL_MAX);
    lua_getfield(L, 1, "url");
    add_text(L, "http: the URL", real, shown, NULL, NULL);
    no_nul(L, real, "the URL");
    if (strpbrk(rb_buf_text(real), " \t\r\n"))
        rb_error_raise(L, "usage", "not_started",
                       "http: the URL has a space or a line end in it: query = { … } encodes what is put in");
    if (strncasecmp(rb_buf_text(shown), "http://", 7) && strncasecmp(rb_buf_text(shown), "https://", 8))
        rb_error_raise(L, "usage", "not_started", "http: a URL begins with http:// or https://, not as %.60s does",
                       rb_buf_text(shown));
    r->url = rb_strdup(rb_buf_text(real));
    r->url_shown = without_user(rb_buf_text(shown));
    if (real->data)
        explicit_bzero(real->data, real->len);
    lua_pop(L, 3);
}

void rb_http_request_add(struct rb_http_request *r, const char *text, bool confidential)
{
    size_t n = (size_t)r->header_count;
    r->headers = rb_realloc(r->headers, (n + 2) * sizeof(*r->headers));
    r->confidential = rb_realloc(r->confidential, (n + 1) * sizeof(*r->confidential));
    r->headers[n] = rb_strdup(text);
    r->headers[n + 1] = NULL;
    r->confidential[n] = confidential;
    r->header_count++;
}

static bool header_is(const char *header, const char *name)
{
    size_t n = strlen(name);
    return strncasecmp(header, name, n) == 0 && header[n] == ':';
}

/* By its name: "Authorization", "Cookie", "X-Api-Key", "X-Vault-Token", "PRIVATE-TOKEN", …. And the name of the host
 * that was meant says nothing to another one. */
static bool is_for_one_origin(const char *header)
{
    static const char *const words[] = {"auth",    "cookie",  "token",  "secret",     "password", "credential",
                                        "session", "api-key", "apikey", "access-key", "signature"};
    char name[128];
    size_t n = strcspn(header, ":");
    snprintf(name, sizeof(name), "%.*s", (int)n, header);
    for (size_t i = 0; i < RB_COUNT(words); i++)
        if (strcasestr(name, words[i]))
            return true;
    return header_is(header, "Host");
}

/* Leaves the list of what may be shown of them, as a JSON array, in `json`. */
static void read_headers(lua_State *L, struct rb_http_request *r, struct rb_buf *json)
{
    struct rb_json j;
    size_t n = lua_getfield(L, 1, "headers") == LUA_TTABLE ? lua_rawlen(L, -1) : 0;
    if (!n) {
        lua_pop(L, 1);
        return;
    }
    struct rb_buf *real = rb_effect_buf(L, HEADERS_MAX), *shown = rb_effect_buf(L, HEADERS_MAX);
    lua_rotate(L, -3, -1); /* the list on top */
    rb_json_init(&j, json);
    rb_json_array(&j);
    for (size_t i = 1; i <= n; i++) {
        rb_buf_reset(real);
        rb_buf_reset(shown);
        lua_rawgeti(L, -1, (lua_Integer)i);
        bool secret = add_text(L, "http: a header", real, shown, NULL, NULL);
        lua_pop(L, 1);
        no_nul(L, real, "a header");
        if (strpbrk(rb_buf_text(real), "\r\n"))
            rb_error_raise(L, "usage", "not_started", "http: the header %.*s has a line end in it", /* no value */
                           (int)strcspn(rb_buf_text(shown), ":\r\n"), rb_buf_text(shown));
        rb_http_request_add(r, rb_buf_text(real), secret || is_for_one_origin(rb_buf_text(real)));
        if (!secret && header_is(rb_buf_text(shown), "Authorization")) { /* a plain password is no secret, and yet */
            rb_buf_reset(shown);
            rb_buf_adds(shown, "Authorization: (not shown)");
        }
        rb_json_string(&j, rb_buf_text(shown), shown->len);
        if (real->data)
            explicit_bzero(real->data, real->len);
    }
    rb_json_end_array(&j);
    lua_pop(L, 3);
}

static void write_body(struct rb_json *j, const struct rb_buf *shown, size_t size, bool files)
{
    char hex[RB_SHA_HEX];
    rb_json_key(j, "body");
    rb_json_object(j);
    if (!files)
        rb_json_kint(j, "size", (int64_t)size);
    rb_sha_of_hex(rb_buf_text(shown), shown->len, hex);
    rb_json_ktext(j, "sha256", hex);
    if (shown->len <= SHOWN_BODY && rb_utf8_valid(rb_buf_text(shown), shown->len) &&
        !memchr(rb_buf_text(shown), '\0', shown->len))
        rb_json_ktext(j, "text", rb_buf_text(shown));
    rb_json_end_object(j);
}

static void read_body(lua_State *L, struct rb_http_request *r, struct rb_effect *e, struct rb_json *j)
{
    if (lua_getfield(L, 1, "body") == LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    struct rb_buf *real = rb_effect_buf(L, BODY_MAX), *shown = rb_effect_buf(L, BODY_MAX);
    lua_rotate(L, -3, -1); /* the body on top */
    r->body_secret = add_text(L, "http: the body", real, shown, r, e);
    if (real->cut)
        rb_error_raise(L, "usage", "not_started", "http: the body is larger than %d MiB: send it from a file",
                       (int)(BODY_MAX >> 20));
    r->has_body = true;
    r->body_len = real->len;
    write_body(j, shown, real->len, r->files != NULL);
    r->body = real->data ? rb_buf_detach(real) : rb_strdup("");
    lua_pop(L, 3);
}

static char *read_file_name(lua_State *L, const char *field, struct rb_effect *e, struct rb_json *j)
{
    char *path = rb_args_text(L, 1, "http", field);
    if (!path)
        return NULL;
    rb_effect_reach(e, "file", path, strlen(path));
    rb_json_ktext(j, field, path);
    return path;
}

static void read_tls(lua_State *L, struct rb_http_request *r, struct rb_effect *e, struct rb_json *j)
{
    static const char *const names[] = {"ca", "cert", "key", "name", "pins"};
    char **slots[] = {&r->ca_file, &r->cert_file, &r->key_file, &r->server_name, &r->pins};
    if (lua_getfield(L, 1, "tls") == LUA_TTABLE) {
        int index = lua_gettop(L);
        for (size_t i = 0; i < RB_COUNT(names); i++)
            *slots[i] = rb_args_text(L, index, "http: tls", names[i]);
        r->insecure = rb_args_bool(L, index, "insecure", false);
        rb_json_key(j, "tls");
        rb_json_object(j);
        for (size_t i = 0; i < RB_COUNT(names); i++) {
            rb_json_ktext(j, names[i], *slots[i]);
            if (i < 3 && *slots[i]) /* ca, cert and key are files */
                rb_effect_reach(e, "file", *slots[i], strlen(*slots[i]));
        }
        if (r->insecure)
            rb_json_kbool(j, "insecure", true);
        rb_json_end_object(j);
    }
    lua_pop(L, 1);
}

/* Reaches nobody but OpenSSL, so it is no part of what is compared in a replay. */
static void read_key_password(lua_State *L, struct rb_http_request *r)
{
    int top = lua_gettop(L);
    if (lua_getfield(L, 1, "tls") == LUA_TTABLE && lua_getfield(L, -1, "key_password") != LUA_TNIL) {
        struct rb_buf *real = rb_effect_buf(L, URL_MAX), *shown = rb_effect_buf(L, URL_MAX);
        lua_rotate(L, -3, -1); /* the password on top */
        add_text(L, "http: tls.key_password", real, shown, NULL, NULL);
        no_nul(L, real, "tls.key_password");
        r->key_password = rb_strdup(rb_buf_text(real));
        if (real->data)
            explicit_bzero(real->data, real->len);
    }
    lua_settop(L, top);
}

/* Milliseconds: of the call, else of the configuration's http, else this. */
static uint64_t read_limit(lua_State *L, const char *field, const struct rb_effect *e, const char *key, uint64_t plain)
{
    const json_t *v = json_object_get(rb_effect_config(e, "http"), key);
    int64_t us;
    if (json_is_string(v) && rb_lib_duration_us(json_string_value(v), json_string_length(v), &us) == RB_OK)
        plain = (uint64_t)us / 1000;
    else if (json_is_number(v) && json_number_value(v) > 0)
        plain = (uint64_t)(json_number_value(v) * 1000);
    return (uint64_t)rb_args_int(L, 1, field, (int64_t)plain);
}

void rb_http_request_read(lua_State *L, struct rb_http_request *r, struct rb_effect *e)
{
    struct rb_json j;
    struct rb_buf *headers = rb_effect_buf(L, HEADERS_MAX);
    r->method = rb_args_text(L, 1, "http", "method");
    read_url(L, r);
    read_headers(L, r, headers);
    rb_json_init(&j, &e->args);
    rb_json_object(&j);
    rb_json_ktext(&j, "method", r->method);
    rb_json_ktext(&j, "url", r->url_shown);
    if (r->header_count)
        rb_json_kraw(&j, "headers", rb_buf_text(headers), headers->len);
    read_body(L, r, e, &j);
    r->body_file = read_file_name(L, "body_file", e, &j);
    r->save = read_file_name(L, "save", e, &j);
    read_tls(L, r, e, &j);
    r->unix_socket = rb_args_text(L, 1, "http", "unix");
    rb_json_ktext(&j, "unix", r->unix_socket);
    if (e->cls == RB_CLASS_READ && strcmp(r->method, "GET") && strcmp(r->method, "HEAD"))
        rb_json_kbool(&j, "read", true);
    rb_json_end_object(&j);
    read_key_password(L, r);
    r->http2 = rb_args_bool(L, 1, "http2", false);
    r->direct = !rb_args_bool(L, 1, "proxy", true);
    r->follow = (int)rb_args_int(L, 1, "follow", 0);
    r->connect_timeout_ms = read_limit(L, "connect_timeout_ms", e, "connect_timeout", 10000);
    r->timeout_ms = read_limit(L, "timeout_ms", e, "timeout", 30000);
    r->max_body = (size_t)rb_args_int(L, 1, "max_body", 1 << 20);
    rb_buf_add(&e->reach, "http", 5); /* as rb_effect_reach() */
    rb_buf_adds(&e->reach, r->method);
    rb_buf_addc(&e->reach, ' ');
    rb_buf_add(&e->reach, r->url_shown, strlen(r->url_shown) + 1);
    if (r->unix_socket)
        rb_effect_reach(e, "file", r->unix_socket, strlen(r->unix_socket));
    lua_pop(L, 1);
}

static void free_files(struct rb_http_request *r)
{
    while (r->files) {
        struct rb_http_file *f = r->files;
        r->files = f->next;
        rb_buf_release(&f->content);
        free(f->path);
        free(f);
    }
}

/* The client certificate, and what belongs to it. */
static void forget_key(struct rb_http_request *r)
{
    if (r->key_password)
        explicit_bzero(r->key_password, strlen(r->key_password));
    free(r->key_password);
    free(r->cert_file);
    free(r->key_file);
    r->cert_file = r->key_file = r->key_password = NULL;
}

void rb_http_request_free(struct rb_http_request *r)
{
    free_files(r);
    for (int i = 0; i < r->header_count; i++)
        explicit_bzero(r->headers[i], strlen(r->headers[i]));
    rb_args_free(r->headers);
    free(r->confidential);
    if (r->body)
        explicit_bzero(r->body, r->body_len);
    forget_key(r);
    char *texts[] = {r->method, r->url,     r->url_shown,   r->body, r->body_file,
                     r->save,   r->ca_file, r->server_name, r->pins, r->unix_socket};
    for (size_t i = 0; i < RB_COUNT(texts); i++)
        free(texts[i]);
    rb_http_url_release(&r->at);
    *r = (struct rb_http_request){0};
}

/* -- on its way ---------------------------------------------------------------------------------------------------- */

bool rb_http_request_has(const struct rb_http_request *r, const char *name)
{
    for (int i = 0; i < r->header_count; i++)
        if (header_is(r->headers[i], name))
            return true;
    return false;
}

static void remove_header(struct rb_http_request *r, int i)
{
    explicit_bzero(r->headers[i], strlen(r->headers[i]));
    free(r->headers[i]);
    for (int k = i; k < r->header_count; k++) {
        r->headers[k] = r->headers[k + 1];
        r->confidential[k] = k + 1 < r->header_count && r->confidential[k + 1];
    }
    r->header_count--;
}

void rb_http_request_remove(struct rb_http_request *r, const char *name)
{
    for (int i = r->header_count - 1; i >= 0; i--)
        if (header_is(r->headers[i], name))
            remove_header(r, i);
}

void rb_http_request_drop_confidential(struct rb_http_request *r)
{
    for (int i = r->header_count - 1; i >= 0; i--)
        if (r->confidential[i])
            remove_header(r, i);
    forget_key(r);
    free(r->server_name); /* the certificate of the first one was to be for it */
    r->server_name = NULL;
}

void rb_http_request_drop_body(struct rb_http_request *r)
{
    rb_http_request_remove(r, "Content-Type");
    rb_http_request_remove(r, "Content-Encoding");
    rb_http_request_remove(r, "Idempotency-Key"); /* nothing is left that could be done twice */
    free(r->body);
    free(r->body_file);
    r->body = r->body_file = NULL;
    r->body_len = 0;
    r->has_body = r->body_secret = false;
}

void rb_http_request_join(struct rb_http_request *r)
{
    struct rb_buf whole;
    size_t at = 0;
    if (!r->files)
        return;
    rb_buf_init(&whole, SIZE_MAX / 2);
    for (const struct rb_http_file *f = r->files; f; f = f->next) {
        rb_buf_add(&whole, r->body + at, f->at - at);
        rb_buf_add(&whole, rb_buf_text(&f->content), f->content.len);
        at = f->at;
    }
    rb_buf_add(&whole, r->body + at, r->body_len - at);
    free_files(r);
    free(r->body);
    r->body_len = whole.len;
    r->body = rb_buf_detach(&whole);
}

void rb_http_request_go_to(struct rb_http_request *r, struct rb_http_url *url)
{
    free(r->url);
    r->url = url->text;
    url->text = NULL;
    rb_http_url_release(&r->at);
    r->at = *url;
    *url = (struct rb_http_url){0};
}

int rb_http_request_ready(struct rb_http_request *r, struct rb_err *err)
{
    struct rb_http_url url;
    int rc = rb_http_url_read(r->url, NULL, &url, err);
    if (rc)
        return rc;
    if (url.user && !rb_http_request_has(r, "Authorization")) {
        struct rb_buf pair, header;
        rb_buf_init(&pair, URL_MAX);
        rb_buf_init(&header, 2 * URL_MAX);
        rb_buf_addf(&pair, "%s:%s", url.user, url.password ? url.password : "");
        rb_buf_adds(&header, "Authorization: Basic ");
        rb_base64(&header, rb_buf_text(&pair), pair.len);
        rb_http_request_add(r, rb_buf_text(&header), true);
        explicit_bzero(pair.data, pair.len);
        explicit_bzero(header.data, header.len);
        rb_buf_release(&pair);
        rb_buf_release(&header);
    }
    if (!rb_http_request_has(r, "User-Agent"))
        rb_http_request_add(r, "User-Agent: rbhost/" RB_VERSION, false);
    rb_http_request_go_to(r, &url);
    return RB_OK;
}

void rb_http_request_options(const struct rb_http_request *r, const struct rb_effect *e, struct rb_http_options *out,
                             struct rb_buf *proxy)
{
    const json_t *config = rb_effect_config(e, "http");
    if (!r->direct && !r->unix_socket && config && r->at.host)
        rb_http_proxy(config, &r->at, proxy);
    *out = (struct rb_http_options){
        .method = r->method,
        .url = r->url,
        .headers = (const char *const *)r->headers,
        .body = r->has_body ? r->body : NULL,
        .body_len = r->body_len,
        .body_file = r->body_file,
        .save = r->save,
        .http2 = r->http2,
        .insecure = r->insecure,
        .ca_file = r->ca_file ? NULL : json_string_value(json_object_get(config, "ca_file")), /* a call's own is read */
        .server_name = r->server_name,
        .key_password = r->key_password,
        .pins = r->pins,
        .unix_socket = r->unix_socket,
        .proxy = proxy->len ? rb_buf_text(proxy) : NULL,
        .connect_timeout_ms = r->connect_timeout_ms,
        .timeout_ms = r->timeout_ms,
        .max_body = r->max_body,
    };
}
