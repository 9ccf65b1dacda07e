/* Owns what is known of a runbook before it runs: the file's text, its header, its parameters, its literal requires,
 * the static check; and configuration files, which are read the same way. The work is Lua's (stdlib/rt: reader, header,
 * params, lint, config); here are the scratch state that it runs in and the ways in and out. Knows no run, no task and
 * no journal. */
#include "engine/runbook.h"
#include "base/jsonscan.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/run.h"
#include "engine/value.h"
#include "engine/vm.h"

enum {
    SCRATCH_MEMORY = 256 << 20, /* the tree of a file of RB_RUNBOOK_MAX bytes fits */
    SLICE_US = 1000000,         /* a header or a configuration computes so long at most, */
    SLICE_US_PER_KIB = 4000,    /* and the check of a large file longer */
    MESSAGE_MAX = RB_ERR_MAX - 200,
};

/* -- the file ------------------------------------------------------------------------------------------------------ */

static int open_file(const char *file, struct rb_err *err)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == ENOTDIR)
        return rb_err_set(err, RB_ENOENT, "%s: there is no such file", file);
    if (errno == EACCES || errno == EPERM)
        return rb_err_sys(err, RB_EDENIED, errno, "%s: can not be read", file);
    return rb_err_sys(err, errno == ENXIO || errno == ELOOP || errno == ENAMETOOLONG ? RB_EINVAL : RB_EIO, errno,
                      "%s: can not be opened", file);
}

static int read_all(int fd, const char *file, struct rb_buf *text, struct rb_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return rb_err_sys(err, RB_EIO, errno, "%s: can not be read", file);
    if (S_ISDIR(st.st_mode))
        return rb_err_set(err, RB_EINVAL, "%s: is a directory; name a Lua file in it", file);
    if (!S_ISREG(st.st_mode))
        return rb_err_set(err, RB_EINVAL, "%s: is no regular file; write the text to a file first", file);
    for (;;) {
        char part[65536];
        ssize_t n = read(fd, part, sizeof part);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return rb_err_sys(err, RB_EIO, errno, "%s: can not be read", file);
        if (n == 0)
            return RB_OK;
        if (rb_buf_add(text, part, (size_t)n) != RB_OK || text->len > RB_RUNBOOK_MAX)
            return rb_err_set(err, RB_ETOOBIG, "%s: is larger than %d MiB", file, RB_RUNBOOK_MAX >> 20);
    }
}

static void place_of(const char *text, size_t at, int *line, int *column)
{
    *line = *column = 1;
    for (size_t i = 0; i < at; i++) {
        *column = text[i] == '\n' ? 1 : *column + 1;
        *line += text[i] == '\n';
    }
}

/* Length of the longest prefix that is UTF-8. */
static size_t valid_prefix(const char *text, size_t n)
{
    size_t from = 0;
    while (from < n) {
        size_t len = 1;
        unsigned char c = (unsigned char)text[from];
        if (c >= 0xC2)
            len = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
        if (len > n - from || !rb_utf8_valid(text + from, len))
            break;
        from += len;
    }
    return from;
}

static int check_text(const char *file, const struct rb_buf *text, struct rb_err *err)
{
    const char *p = rb_buf_text(text);
    int line, column;
    if (p[0] == '\033')
        return rb_err_set(err, RB_EINVAL, "%s: is compiled Lua (bytecode); rbhost runs source text only", file);
    if (text->len >= 2 && (memcmp(p, "\xFF\xFE", 2) == 0 || memcmp(p, "\xFE\xFF", 2) == 0))
        return rb_err_set(err, RB_EINVAL, "%s: is UTF-16 text; save it as UTF-8", file);
    const char *nul = memchr(p, '\0', text->len);
    if (nul) {
        place_of(p, (size_t)(nul - p), &line, &column);
        return rb_err_set(err, RB_EINVAL, "%s:%d:%d: has a NUL byte: this is no Lua text", file, line, column);
    }
    if (!rb_utf8_valid(p, text->len)) {
        size_t at = valid_prefix(p, text->len);
        place_of(p, at, &line, &column);
        return rb_err_set(
            err, RB_EINVAL,
            "%s:%d:%d: byte 0x%02x is not UTF-8; save the file as UTF-8, write bytes in strings as \\x%02x", file, line,
            column, (unsigned char)p[at], (unsigned char)p[at]);
    }
    return RB_OK;
}

/* A configuration says what runbooks may reach: nobody else may be able to change it. */
static int check_owner(int fd, const char *file, struct rb_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return rb_err_sys(err, RB_EIO, errno, "%s: can not be read", file);
    if (!S_ISREG(st.st_mode)) /* read_all() says what it is */
        return RB_OK;
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return rb_err_set(err, RB_EDENIED,
                          "%s: belongs to another user (uid %u), who could change it; it must be yours or root's", file,
                          (unsigned)st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return rb_err_set(err, RB_EDENIED,
                          "%s: %s can write it (mode %04o), and it says what runbooks may reach: chmod go-w %s", file,
                          st.st_mode & S_IWOTH ? "everybody" : "its group", (unsigned)st.st_mode & 07777, file);
    return RB_OK;
}

static int read_text(const char *file, bool own, struct rb_buf *text, struct rb_err *err)
{
    int fd = open_file(file, err);
    if (fd < 0)
        return fd;
    int rc = own ? check_owner(fd, file, err) : RB_OK;
    if (!rc)
        rc = read_all(fd, file, text, err);
    close(fd);
    return rc ? rc : check_text(file, text, err);
}

int rb_runbook_read(const char *file, struct rb_buf *text, struct rb_err *err)
{
    return read_text(file, false, text, err);
}

/* -- a scratch state ----------------------------------------------------------------------------------------------- */

/* One call of a function of stdlib/rt. Arguments that are NULL are left out. */
struct job {
    const char *module, *function;
    const char *text; /* first arguments: a text and the name of its file */
    size_t len;
    const char *file;
    const char *member;                   /* and what is asked about it */
    bool own;                             /* the file must be ours or root's, and nobody else's to write */
    const char *header_json, *given_json; /* or: the params of a header, given values, and the decoder of JSON text */
    void (*take)(lua_State *L, struct job *job); /* called with the function's results, from index 1 on */
    struct rb_buf *out;
    struct rb_err *err;
    int rc;
    int errors, warnings; /* of a check */
};

/* [-0, +1, m] a JSON value as it came from outside: no member has a special meaning but {"$b64": …} (bytes of an
 * argument that are not UTF-8). */
static void push_json(lua_State *L, const json_t *v)
{
    luaL_checkstack(L, 8, "JSON is nested too deeply");
    const char *key;
    json_t *item;
    size_t i;
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        item = json_object_size(v) == 1 ? json_object_get(v, "$b64") : NULL;
        if (json_is_string(item)) {
            struct rb_buf bytes;
            rb_buf_init(&bytes, json_string_length(item));
            bool ok = rb_base64_decode(&bytes, json_string_value(item), json_string_length(item)) == RB_OK;
            /* a raise here leaks a few bytes; the state ends anyway */
            char *block = ok ? lua_newuserdatauv(L, bytes.len + 1, 0) : NULL;
            if (block) {
                memcpy(block, rb_buf_text(&bytes), bytes.len);
                size_t n = bytes.len;
                rb_buf_release(&bytes);
                lua_pushlstring(L, block, n);
                lua_remove(L, -2);
                break;
            }
            rb_buf_release(&bytes);
        }
        lua_newtable(L);
        json_object_foreach((json_t *)(uintptr_t)v, key, item)
        {
            lua_pushstring(L, key);
            push_json(L, item);
            lua_rawset(L, -3);
        }
        break;
    case JSON_ARRAY:
        lua_newtable(L);
        json_array_foreach(v, i, item)
        {
            push_json(L, item);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        break;
    case JSON_STRING: lua_pushlstring(L, json_string_value(v), json_string_length(v)); break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(v)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(v)); break;
    case JSON_TRUE:
    case JSON_FALSE: lua_pushboolean(L, json_is_true(v)); break;
    case JSON_NULL: rb_value_push_null(L); break;
    }
}

static int l_json_box_gc(lua_State *L)
{
    json_t **box = lua_touserdata(L, 1);
    json_decref(*box);
    *box = NULL;
    return 0;
}

/* (text) → value; raises for what is not JSON. The tree hangs on a userdata, so that it is freed whatever raises. */
static int l_json_decode(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    json_t **box = lua_newuserdatauv(L, sizeof *box, 0);
    *box = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_json_box_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    json_error_t e;
    *box = json_loadb(text, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!*box)
        return luaL_error(L, "line %d, column %d: %s", e.line, e.column, e.text);
    push_json(L, *box);
    return 1;
}

/* Pushes the three arguments of rt.params: the list of parameters, the given values, the decoder. */
static int push_params(lua_State *L, struct job *job)
{
    if (rb_value_decode(L, job->header_json, strlen(job->header_json), NULL, job->err))
        return rb_err_prefix(job->err, "the header's JSON");
    if (lua_type(L, -1) != LUA_TTABLE || lua_getfield(L, -1, "params") != LUA_TTABLE)
        return rb_err_set(job->err, RB_EINVAL, "the header's JSON has no params");
    lua_remove(L, -2);
    if (job->given_json) {
        lua_pushcfunction(L, l_json_decode);
        lua_pushstring(L, job->given_json);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK)
            return rb_err_set(job->err, RB_EINVAL, "the parameters are not valid JSON: %s", lua_tostring(L, -1));
        if (job->given_json[strspn(job->given_json, " \t\r\n")] != '{')
            return rb_err_set(job->err, RB_EINVAL, "the parameters must be one JSON object: { \"name\": value, … }");
        lua_pushcfunction(L, l_json_decode);
    }
    return RB_OK;
}

static int run_job(lua_State *L)
{
    struct job *job = lua_touserdata(L, 1);
    lua_settop(L, 0);
    job->rc = rb_vm_rt(L, job->module, job->err);
    if (job->rc)
        return 0;
    lua_getfield(L, -1, job->function);
    lua_replace(L, 1);
    if (job->header_json) {
        job->rc = push_params(L, job);
        if (job->rc) {
            job->rc = RB_EINVAL;
            return 0;
        }
    } else {
        lua_pushlstring(L, job->text, job->len);
        lua_pushstring(L, job->file);
        if (job->member)
            lua_pushstring(L, job->member);
    }
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    lua_settop(L, 3); /* no function gives more */
    job->take(L, job);
    return 0;
}

static int start(struct job *job)
{
    struct rb_vm vm;
    struct rb_vm_options opt = {
        .memory = SCRATCH_MEMORY,
        .slice_max_us = SLICE_US + (int64_t)(job->len / 1024) * SLICE_US_PER_KIB,
    };
    job->rc = rb_vm_open(&vm, &opt, job->err);
    if (job->rc)
        return job->rc;
    lua_pushcfunction(vm.L, run_job);
    lua_pushlightuserdata(vm.L, job);
    rb_vm_slice(&vm);
    if (lua_pcall(vm.L, 1, 0, 0) != LUA_OK) { /* budget, memory, or a fault of our own Lua */
        struct rb_buf text;
        rb_buf_init(&text, MESSAGE_MAX);
        rb_vm_error_text(vm.L, -1, &text);
        const char *file = job->file ? job->file : "parameters";
        size_t n = strlen(file); /* where a place is known, the text begins with it */
        bool placed = strncmp(rb_buf_text(&text), file, n) == 0 && rb_buf_text(&text)[n] == ':';
        job->rc = vm.dead ? rb_err_set(job->err, RB_EINVAL, "%s%s%s", placed ? "" : file, placed ? "" : ": ",
                                       rb_buf_text(&text))
                          : rb_err_set(job->err, RB_EINVAL, "%s: %s (in rbhost itself)", file, rb_buf_text(&text));
        rb_buf_release(&text);
    }
    rb_vm_close(&vm);
    return job->rc;
}

/* Results (value) or (nil, message). */
static void take_value(lua_State *L, struct job *job)
{
    if (lua_isnil(L, 1)) {
        const char *why = lua_tostring(L, 2);
        job->rc = rb_err_set(job->err, RB_EINVAL, "%s", why ? why : "unknown error");
        return;
    }
    job->rc = rb_value_encode(L, 1, job->file ? job->file : "value", NULL, job->out, job->err);
    if (job->rc == RB_OK && job->out->cut)
        job->rc = rb_err_set(job->err, RB_ETOOBIG, "%s: too large", job->file ? job->file : "the values");
}

/* -- header, requires, configuration ------------------------------------------------------------------------------- */

int rb_header_read(const char *file, const char *text, size_t n, struct rb_buf *json, struct rb_err *err)
{
    struct job job = {.module = "reader",
                      .function = "header",
                      .text = text,
                      .len = n,
                      .file = file,
                      .take = take_value,
                      .out = json,
                      .err = err};
    return start(&job);
}

/* Result: a line. */
static void take_line(lua_State *L, struct job *job)
{
    job->errors = (int)lua_tointeger(L, 1);
}

int rb_header_line(const char *file, const char *text, size_t n, const char *member)
{
    struct rb_err ignored;
    struct job job = {.module = "reader",
                      .function = "line",
                      .text = text,
                      .len = n,
                      .file = file,
                      .member = member,
                      .take = take_line,
                      .err = &ignored};
    return start(&job) ? 0 : job.errors;
}

static int scan(const char *function, const char *file, const char *text, size_t n, struct rb_buf *names_json,
                struct rb_err *err)
{
    struct job job = {.module = "reader",
                      .function = function,
                      .text = text,
                      .len = n,
                      .file = file,
                      .take = take_value,
                      .out = names_json,
                      .err = err};
    return start(&job);
}

int rb_requires_scan(const char *file, const char *text, size_t n, struct rb_buf *names_json, struct rb_err *err)
{
    return scan("requires", file, text, n, names_json, err);
}

int rb_secrets_scan(const char *file, const char *text, size_t n, struct rb_buf *names_json, struct rb_err *err)
{
    return scan("secrets", file, text, n, names_json, err);
}

/* Reads the file and hands its text to a function. */
static int with_file(const char *file, struct job *job)
{
    struct rb_buf text;
    rb_buf_init(&text, RB_RUNBOOK_MAX + 1);
    job->rc = read_text(file, job->own, &text, job->err);
    if (job->rc == RB_OK) {
        job->file = file;
        job->text = rb_buf_text(&text);
        job->len = text.len;
        start(job);
    }
    rb_buf_release(&text);
    return job->rc;
}

int rb_runbook_describe(const char *file, struct rb_buf *json, struct rb_err *err)
{
    struct job job = {.module = "reader", .function = "header", .take = take_value, .out = json, .err = err};
    return with_file(file, &job);
}

/* A file without the word has no header: no Lua state is needed to say so. Its syntax is checked when it is loaded. */
static bool may_have_header(const struct rb_buf *text)
{
    return memmem(rb_buf_text(text), text->len, "runbook", 7) != NULL;
}

static void plain_header(const char *file, struct rb_buf *json)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    size_t n = strlen(name);
    struct rb_json j;
    if (n > 4 && strcmp(name + n - 4, ".lua") == 0)
        n -= 4;
    rb_json_init(&j, json);
    rb_json_object(&j);
    rb_json_key(&j, "name");
    rb_json_string(&j, name, n);
    rb_json_key(&j, "params");
    rb_json_raw(&j, "[]", 2);
    rb_json_end_object(&j);
}

int rb_runbook_peek(const char *file, struct rb_runbook *book, struct rb_err *err)
{
    rb_buf_init(&book->text, RB_RUNBOOK_MAX);
    rb_buf_init(&book->header, (size_t)64 << 20);
    int rc = rb_runbook_read(file, &book->text, err);
    if (rc)
        return rc;
    if (may_have_header(&book->text))
        return rb_header_read(file, rb_buf_text(&book->text), book->text.len, &book->header, err);
    plain_header(file, &book->header);
    return RB_OK;
}

void rb_runbook_release(struct rb_runbook *book)
{
    rb_buf_release(&book->text);
    rb_buf_release(&book->header);
}

int rb_config_load(const char *file, struct rb_buf *json, struct rb_err *err)
{
    struct job job = {.module = "config", .function = "read", .own = true, .take = take_value, .out = json, .err = err};
    return with_file(file, &job);
}

int rb_config_settings(const char *file, struct rb_buf *json, struct rb_err *err)
{
    struct job job = {
        .module = "config", .function = "settings", .own = true, .take = take_value, .out = json, .err = err};
    return with_file(file, &job);
}

int rb_config_line(const char *file, const char *member)
{
    struct rb_err ignored;
    struct job job = {
        .module = "config", .function = "line", .member = member, .own = true, .take = take_line, .err = &ignored};
    return with_file(file, &job) ? 0 : job.errors;
}

/* -- the static check ---------------------------------------------------------------------------------------------- */

/* Results (text, errors, warnings). */
static void take_findings(lua_State *L, struct job *job)
{
    size_t n;
    const char *text = lua_tolstring(L, 1, &n);
    rb_buf_add(job->out, text ? text : "", text ? n : 0);
    job->errors = (int)lua_tointeger(L, 2);
    job->warnings = (int)lua_tointeger(L, 3);
}

int rb_runbook_check(const char *file, struct rb_buf *findings, int *warnings, struct rb_err *err)
{
    struct job job = {.module = "lint", .function = "report", .take = take_findings, .out = findings, .err = err};
    int rc = with_file(file, &job);
    if (warnings)
        *warnings = job.warnings;
    return rc ? rc : job.errors;
}

/* -- parameters ---------------------------------------------------------------------------------------------------- */

/* Results (list, values, message): an object of the values, in the header's order; of a secret only its name. */
static void take_values(lua_State *L, struct job *job)
{
    if (!lua_isnil(L, 3)) {
        job->rc = rb_err_set(job->err, RB_EINVAL, "%s", lua_tostring(L, 3));
        return;
    }
    struct rb_json j;
    rb_json_init(&j, job->out);
    rb_json_object(&j);
    for (lua_Integer i = 1; lua_rawgeti(L, 1, i) == LUA_TTABLE && job->rc == RB_OK; i++, lua_settop(L, 3)) {
        lua_getfield(L, 4, "name");
        lua_getfield(L, 4, "type");
        const char *name = lua_tostring(L, 5), *type = lua_tostring(L, 6);
        if (lua_getfield(L, 2, name) == LUA_TNIL)
            continue;
        rb_json_key(&j, name);
        if (strcmp(type, "secret") == 0) {
            rb_json_object(&j);
            rb_json_ktext(&j, "$secret", name);
            rb_json_end_object(&j);
        } else {
            job->rc = rb_value_encode(L, 7, name, NULL, job->out, job->err);
            j.comma = true; /* written past the writer */
        }
    }
    rb_json_end_object(&j);
    if (job->rc == RB_OK && job->out->cut)
        job->rc = rb_err_set(job->err, RB_ETOOBIG, "the parameters are too large");
}

int rb_params_resolve(const char *header_json, const char *given_json, struct rb_buf *values_json, struct rb_err *err)
{
    struct rb_slice params = rb_json_member(header_json, strlen(header_json), "params");
    if ((!given_json || strcmp(given_json, "{}") == 0) && params.n == 2 && memcmp(params.p, "[]", 2) == 0) {
        rb_buf_adds(values_json, "{}");
        return RB_OK;
    }
    struct job job = {.module = "params",
                      .function = "check",
                      .header_json = header_json,
                      .given_json = given_json ? given_json : "{}",
                      .take = take_values,
                      .out = values_json,
                      .err = err};
    return start(&job);
}

static void take_schema(lua_State *L, struct job *job)
{
    rb_buf_adds(job->out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",");
    struct rb_buf rest;
    rb_buf_init(&rest, job->out->max);
    job->rc = rb_value_encode(L, 1, "schema", NULL, &rest, job->err);
    if (job->rc == RB_OK)
        rb_buf_adds(job->out, rb_buf_text(&rest) + 1);
    rb_buf_release(&rest);
}

int rb_params_schema(const char *header_json, struct rb_buf *schema_json, struct rb_err *err)
{
    struct job job = {.module = "params",
                      .function = "schema",
                      .header_json = header_json,
                      .take = take_schema,
                      .out = schema_json,
                      .err = err};
    return start(&job);
}
