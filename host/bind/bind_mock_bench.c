/* Owns the run of a file of tests: what stdlib/rt/test.lua and rt/mock.lua call in place of the primitives, none of
 * which a test has itself. Its one op waits for what a rehearsal does next. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "bind/args.h"
#include "bind/bind_mock.h"
#include "engine/core.h"
#include "engine/effect.h"
#include "engine/error.h"
#include "engine/lua_lib.h"
#include "engine/runbook.h"
#include "engine/value.h"

#define NEWS_MAX ((size_t)300 << 20)
#define TEXT_MAX ((size_t)16 << 20)
#define RB_MODULE_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

struct rb_bench {
    struct rb_stage stage;
    struct rb_bench_options opt;
    struct rb_list seats; /* struct seat.link */
    int64_t last;
    bool stopping;
};

/* A rehearsal on the bench. */
struct seat {
    struct rb_list link;
    int64_t n;
    struct rb_bench *bench;
    struct rb_rehearsal *rehearsal;
    struct next_op *waiter;
    enum { SEAT_GOES, SEAT_UNDO, SEAT_RETRY } wish; /* what rb_bench_outside() is to do */
    struct rb_err refused;                          /* why that could not be done; code 0: it was */
};

static struct rb_bench *bench_of(lua_State *L)
{
    return RB_CONTAINER(rb_stage_of(L), struct rb_bench, stage);
}

static struct seat *seat_at(lua_State *L, int index)
{
    struct rb_bench *b = bench_of(L);
    int64_t n = luaL_checkinteger(L, index);
    RB_LIST_EACH (it, &b->seats) {
        struct seat *s = RB_CONTAINER(it, struct seat, link);
        if (s->n == n)
            return s;
    }
    luaL_error(L, "there is no rehearsal %d", (int)n);
    return NULL;
}

static void seat_free(struct seat *s)
{
    rb_list_remove(&s->link);
    if (s->rehearsal)
        rb_rehearsal_free(s->rehearsal);
    free(s);
}

/* -- the op that waits for news ------------------------------------------------------------------------------------ */

struct next_op {
    struct rb_effect effect;
    struct seat *seat; /* NULL: nobody tells it any more */
    struct rb_buf news;
};

static struct next_op *next_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct next_op, effect);
}

static void look(struct seat *s)
{
    struct next_op *op = s->waiter;
    if (!op || s->wish != SEAT_GOES)
        return;
    if (s->refused.code) {
        rb_buf_adds(&op->news, "{\"refused\":");
        rb_json_quote(&op->news, s->refused.msg, strlen(s->refused.msg));
        rb_buf_addc(&op->news, '}');
        s->refused.code = RB_OK;
    } else if (!rb_rehearsal_next(s->rehearsal, &op->news)) {
        return;
    }
    s->waiter = NULL;
    op->seat = NULL;
    rb_effect_done(&op->effect);
}

static int next_start(struct rb_effect *e, struct rb_err *err)
{
    struct next_op *op = next_of(e);
    (void)err;
    op->seat->waiter = op;
    look(op->seat);
    return RB_OK;
}

static void forget(struct next_op *op)
{
    if (op->seat && op->seat->waiter == op)
        op->seat->waiter = NULL;
    op->seat = NULL;
}

static void next_cancel(struct rb_effect *e, bool now)
{
    (void)now;
    forget(next_of(e));
    rb_effect_failed(e, "cancelled", RB_OUTCOME_FAILED, false, "the test was stopped");
}

static void next_push(struct rb_effect *e, lua_State *L)
{
    struct next_op *op = next_of(e);
    struct rb_err err;
    if (op->news.cut || rb_value_decode(L, rb_buf_text(&op->news), op->news.len, &e->run->codec, &err))
        lua_pushnil(L); /* the codec knows the texts that an event keeps apart */
}

static void next_free(struct rb_effect *e)
{
    struct next_op *op = next_of(e);
    forget(op);
    rb_buf_release(&op->news);
    free(op);
}

static const struct rb_effect_type next_type = {
    .kind = "mock", .start = next_start, .cancel = next_cancel, .push = next_push, .free = next_free};

static int l_next(lua_State *L) /* n → the next call, or the end, of a rehearsal */
{
    struct seat *s = seat_at(L, 1);
    struct next_op *op = rb_effect_new(L, sizeof(*op), &next_type, RB_CLASS_READ);
    rb_buf_init(&op->news, NEWS_MAX);
    op->seat = s;
    return rb_effect_call(L, &op->effect);
}

/* -- rehearsals ---------------------------------------------------------------------------------------------------- */

static void on_news(void *arg)
{
    look(arg);
}

static void on_stopped(void *arg)
{
    struct seat *s = arg;
    struct rb_bench *b = s->bench;
    if (b->stopping && rb_bench_stop(b))
        b->opt.on_quiet(b->opt.arg);
}

static void sweep(struct rb_bench *b)
{
    RB_LIST_EACH_SAFE (it, next, &b->seats) {
        struct seat *s = RB_CONTAINER(it, struct seat, link);
        if (s->n < 0 && rb_rehearsal_stopped(s->rehearsal))
            seat_free(s);
    }
}

static int l_start(lua_State *L) /* { file, params, secrets, groups, env, clock, actor, limit, dry } → n */
{
    struct rb_bench *b = bench_of(L);
    struct rb_err err = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    sweep(b);
    const char *texts[7];
    static const char *const names[] = {"file", "params", "secrets", "groups", "actor", "limit", "env"};
    for (size_t i = 0; i < RB_COUNT(names); i++) {
        lua_getfield(L, 1, names[i]);
        texts[i] = luaL_optstring(L, -1, NULL);
    }
    struct seat *s = rb_alloc(sizeof(*s)); /* nothing raises from here to the end */
    struct rb_rehearsal_options opt = {.host = b->opt.host,
                                       .loop = b->opt.loop,
                                       .file = texts[0],
                                       .params_json = texts[1],
                                       .secrets_json = texts[2],
                                       .groups_json = texts[3],
                                       .actor = texts[4] ? texts[4] : "tester",
                                       .limit = texts[5],
                                       .env_json = texts[6],
                                       .clock = rb_clock_wall(),
                                       .on_news = on_news,
                                       .on_stopped = on_stopped,
                                       .arg = s};
    lua_getfield(L, 1, "clock");
    if (lua_isinteger(L, -1))
        opt.clock = lua_tointeger(L, -1);
    lua_getfield(L, 1, "dry");
    opt.dry = lua_toboolean(L, -1);
    s->bench = b;
    rb_list_init(&s->link);
    s->rehearsal = rb_rehearsal_new(&opt, &err);
    if (!s->rehearsal) {
        free(s);
        lua_pushnil(L);
        lua_pushstring(L, err.msg);
        return 2;
    }
    s->n = ++b->last;
    rb_list_push(&b->seats, &s->link);
    lua_pushinteger(L, s->n);
    return 1;
}

static int l_again(lua_State *L) /* n, "undo" | "retry": it goes on; l_next() tells how */
{
    static const char *const ways[] = {"undo", "retry", NULL};
    struct seat *s = seat_at(L, 1);
    s->wish = luaL_checkoption(L, 2, NULL, ways) == 0 ? SEAT_UNDO : SEAT_RETRY;
    s->bench->opt.on_outside(s->bench->opt.arg);
    return 0;
}

static int l_answer(lua_State *L) /* n, call, answer */
{
    luaL_checktype(L, 3, LUA_TTABLE);
    rb_rehearsal_answer(L, 3, seat_at(L, 1)->rehearsal, luaL_checkinteger(L, 2));
    return 0;
}

static int l_rows(lua_State *L) /* list, columns → the list as rows of a database */
{
    lua_settop(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    rb_lib_rows(L);
    return 1;
}

static int l_drop(lua_State *L) /* n: nobody wants to know more of it */
{
    struct seat *s = seat_at(L, 1);
    s->n = -1;
    rb_rehearsal_stop(s->rehearsal);
    return 0;
}

/* -- the file of tests --------------------------------------------------------------------------------------------- */

static int l_report(lua_State *L) /* a table of plain data, for whoever shows it */
{
    struct rb_bench *b = bench_of(L);
    struct rb_buf *out = rb_effect_buf(L, TEXT_MAX);
    struct rb_err err;
    if (rb_value_encode(L, 1, "report", NULL, out, &err))
        return luaL_error(L, "%s", err.msg);
    rb_vm_slice(rb_vm_of(L)); /* each test has the time of a slice, however many there are between two waits */
    b->opt.on_report(b->opt.arg, rb_buf_text(out), out->len);
    return 0;
}

static int l_plan(lua_State *L)
{
    struct rb_bench *b = bench_of(L);
    struct rb_err err;
    if (rb_value_decode(L, b->opt.plan_json, strlen(b->opt.plan_json), NULL, &err))
        return luaL_error(L, "%s", err.msg);
    return 1;
}

static int l_luaunit(lua_State *L)
{
    lua_pushstring(L, bench_of(L)->opt.luaunit);
    return 1;
}

static int l_source(lua_State *L) /* the name of a module, "@main" for the file → text, name of the chunk; nil */
{
    struct rb_vm *vm = rb_vm_of(L);
    struct rb_err err = {0};
    char chunkname[256] = "";
    const char *name = luaL_checkstring(L, 1);
    struct rb_buf *text = rb_effect_buf(L, TEXT_MAX);
    int found = vm->opt.hooks.find_module(vm->opt.hooks.arg, name, text, chunkname, &err);
    if (found < 0)
        return luaL_error(L, "require '%s': %s", name, err.msg);
    if (!found)
        return 0;
    lua_pushlstring(L, rb_buf_text(text), text->len);
    lua_pushstring(L, chunkname);
    return 2;
}

/* The same of a module below the folder above, where that of the file is called tests: the runbooks' own. */
static int l_source_above(lua_State *L)
{
    struct rb_run *run = rb_run_of(L);
    struct rb_err err = {0};
    const char *name = luaL_checkstring(L, 1), *folder = run->folder ? run->folder : "", *slash = strrchr(folder, '/');
    if (!slash || strcmp(slash, "/tests") != 0 || name[strspn(name, RB_MODULE_LETTERS)] || strstr(name, ".."))
        return 0;
    struct rb_buf *path = rb_effect_buf(L, 8192), *text = rb_effect_buf(L, TEXT_MAX);
    rb_buf_addf(path, "%.*s/", (int)(slash - folder), folder);
    for (const char *p = name; *p; p++)
        rb_buf_addc(path, *p == '.' ? '/' : *p);
    rb_buf_adds(path, ".lua");
    int rc = rb_runbook_read(rb_buf_text(path), text, &err);
    if (rc == RB_ENOENT)
        return 0;
    if (rc)
        return luaL_error(L, "require '%s': %s", name, err.msg);
    lua_pushlstring(L, rb_buf_text(text), text->len);
    lua_pushfstring(L, "@../%s.lua", name);
    return 2;
}

static int l_cpu(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)rb_clock_boot() / 1e6);
    return 1;
}

static int l_traceback(lua_State *L)
{
    struct rb_buf *out = rb_effect_buf(L, 65536);
    rb_vm_traceback(L, out);
    lua_pushlstring(L, rb_buf_text(out), out->len);
    return 1;
}

static int l_where(lua_State *L) /* "file:line" of the author's line that runs now */
{
    char where[256];
    rb_vm_where(L, where, sizeof(where));
    lua_pushstring(L, where);
    return 1;
}

static int l_refuse(lua_State *L)
{
    return rb_error_raise(L, "usage", "not_started",
                          "a test starts nothing itself: what reaches the world belongs into a runbook, which "
                          "mock.run(\"…\") runs");
}

static const struct rb_binding bindings[] = {
    {"mock_start", l_start},
    {"mock_again", l_again},
    {"mock_next", l_next},
    {"mock_answer", l_answer},
    {"mock_drop", l_drop},
    {"mock_rows", l_rows},
    {"test_report", l_report},
    {"test_plan", l_plan},
    {"test_luaunit", l_luaunit},
    {"test_source", l_source},
    {"test_source_above", l_source_above},
    {"test_clock", l_cpu},
    {"test_traceback", l_traceback},
    {"test_where", l_where},
    {"exec", l_refuse},
    {"sleep", l_refuse},
    {"gate", l_refuse},
    {"secret", l_refuse},
    {"sql", l_refuse},
    {"http", l_refuse},
    {"http_stream", l_refuse},
    {"http_event", l_refuse},
    {"file", l_refuse},
    {"ssh", l_refuse},
    {"ssh_upload", l_refuse},
    {"ssh_download", l_refuse},
    {"ssh_groups", l_refuse},
    {"ssh_names", l_refuse},
    {"notify", l_refuse},
    {NULL, NULL},
};

/* -- its life ------------------------------------------------------------------------------------------------------ */

struct rb_bench *rb_bench_new(const struct rb_bench_options *opt)
{
    struct rb_bench *b = rb_alloc(sizeof(*b));
    b->stage = (struct rb_stage){.bindings = bindings, .root = "test"};
    b->opt = *opt;
    rb_list_init(&b->seats);
    return b;
}

struct rb_stage *rb_bench_stage(struct rb_bench *b)
{
    return &b->stage;
}

void rb_bench_outside(struct rb_bench *b)
{
    RB_LIST_EACH (it, &b->seats) {
        struct seat *s = RB_CONTAINER(it, struct seat, link);
        bool undo = s->wish == SEAT_UNDO;
        if (s->wish == SEAT_GOES)
            continue;
        s->refused.code = rb_rehearsal_again(s->rehearsal, undo, &s->refused);
        s->wish = SEAT_GOES;
        look(s);
    }
}

bool rb_bench_stop(struct rb_bench *b)
{
    bool quiet = true;
    b->stopping = true;
    RB_LIST_EACH (it, &b->seats) {
        struct seat *s = RB_CONTAINER(it, struct seat, link);
        rb_rehearsal_stop(s->rehearsal);
        quiet = quiet && rb_rehearsal_stopped(s->rehearsal);
    }
    return quiet;
}

void rb_bench_free(struct rb_bench *b)
{
    if (!b)
        return;
    RB_LIST_EACH_SAFE (it, next, &b->seats)
        seat_free(RB_CONTAINER(it, struct seat, link));
    free(b);
}
