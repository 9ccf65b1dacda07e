/* Owns the Lua state of a run: its memory, its budget, its environment and how code gets into it. Knows nothing of
 * tasks, ops and the journal; what the functions of the environment do is in lua_*.c.
 *
 * Two sets of globals: `rt`, for the host's own Lua (stdlib/rt), and the environment of runbooks, a list of what is in.
 * Scripts never hold the environment's table itself but a face of it, so that `print = nil` and `string.format = f` are
 * errors. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/nearest.h"
#include "engine/embed.h"
#include "engine/error.h"
#include "engine/lua_lib.h"
#include "engine/value.h"

const char rb_await_sentinel = 0;

static const char face_key = 0; /* in a face's metatable: the table behind it */
static const char mode_key = 0; /* in the registry: the string object that Lua takes for "__mode" */
static const char rt_key = 0;   /* in the registry: results of stdlib/rt modules by name */

enum {
    HOOK_EVERY = 1000, /* VM instructions */
    TICK_EVERY = 4096,
    STRESS_MAX = 256 << 10, /* bytes, in the build that stresses the collector */
    STRESS_SCALE = 16 << 10,
    DEAD_SLACK = 256 * 1024, /* what a dead VM may use beyond its limit, to make its errors */
};

struct rb_vm *rb_vm_of(lua_State *L)
{
    return *(struct rb_vm **)lua_getextraspace(L);
}

/* -- memory -------------------------------------------------------------------------------------------------------- */

#ifdef RB_GCSTRESS
/* Whoever is refused memory for a new object collects everything and asks again: so the collector runs in the middle of
 * whatever makes one. The larger the state, the rarer, and not in large ones, which would do nothing else. */
static bool refuse_once(const struct rb_vm *vm)
{
    static unsigned made;
    static bool refused;
    refused = !refused && vm->L && vm->used < STRESS_MAX && ++made % (2 + vm->used / STRESS_SCALE) == 0;
    return refused;
}
#endif

/* When ptr is NULL, osize is a type and not a size. Shrinking never fails, as Lua demands. */
static void *allocate(void *ud, void *ptr, size_t osize, size_t nsize)
{
    struct rb_vm *vm = ud;
    size_t old = ptr ? osize : 0;
    if (nsize == 0) {
        rb_arena_resize(&vm->arena, ptr, old, 0);
        vm->used -= old;
        return NULL;
    }
#ifdef RB_GCSTRESS
    if (!ptr && osize && refuse_once(vm))
        return NULL;
#endif
    if (nsize > old) {
        /* It goes on failing: a single failure would be healed by the emergency collection that follows. */
        if (vm->oom_after == 1)
            return NULL;
        if (vm->oom_after > 1)
            vm->oom_after--;
        size_t limit = vm->opt.memory + (vm->dead ? DEAD_SLACK : 0);
        if (nsize - old > limit || vm->used > limit - (nsize - old))
            return NULL;
    }
    void *p = rb_arena_resize(&vm->arena, ptr, old, nsize);
    if (!p)
        return nsize <= old ? ptr : NULL;
    vm->used += nsize;
    vm->used -= old;
    return p;
}

static int on_panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);
    rb_die("a Lua error left its protected call: %s", text ? text : "(not a string)");
}

void rb_vm_need(lua_State *L, double bytes)
{
    struct rb_vm *vm = rb_vm_of(L);
    if (bytes <= (double)vm->opt.memory)
        return;
    vm->dead = RB_VM_MEMORY;
    rb_vm_raise_dead(L);
}

/* -- budget -------------------------------------------------------------------------------------------------------- */

int rb_vm_raise_dead(lua_State *L)
{
    struct rb_vm *vm = rb_vm_of(L);
    if (!vm->dead_where[0])
        rb_vm_where(L, vm->dead_where, sizeof vm->dead_where);
    if (vm->dead == RB_VM_MEMORY)
        return rb_error_raise(L, "memory", NULL, "the run's Lua state needs more than its limit of %.1f MiB",
                              (double)vm->opt.memory / (1024 * 1024));
    return rb_error_raise(L, "budget", NULL,
                          "computed for more than %.1f s of CPU time without waiting for any operation",
                          (double)vm->opt.slice_max_us / 1e6);
}

void rb_vm_check(lua_State *L)
{
    struct rb_vm *vm = rb_vm_of(L);
    int64_t now = rb_clock_thread_cpu();
    if (!vm->context->slice_start) /* to ask at each resume would cost more than most slices do */
        vm->context->slice_start = now;
    int64_t us = now - vm->context->slice_start;
    if (us >= vm->opt.slice_max_us && !vm->dead)
        vm->dead = RB_VM_BUDGET;
    if (vm->dead)
        rb_vm_raise_dead(L);
    if (us >= vm->opt.slice_warn_us && !vm->warned) {
        vm->warned = true;
        char where[256];
        rb_vm_where(L, where, sizeof where);
        if (vm->opt.on_slow_slice)
            vm->opt.on_slow_slice(vm->opt.arg, us, where);
    }
}

void rb_vm_tick(lua_State *L)
{
    if (++rb_vm_of(L)->ticks % TICK_EVERY == 0)
        rb_vm_check(L);
}

/* Raises and never yields: a yield in a count hook resumes at the wrong instruction in 5.4.4. As it raises again at
 * every count, neither a __close handler nor a message handler can go on computing in a dead VM. */
static void on_count(lua_State *L, lua_Debug *ar)
{
    (void)ar;
#ifdef RB_GCSTRESS
    if (rb_vm_of(L)->used < STRESS_MAX)
        lua_gc(L, LUA_GCCOLLECT);
#endif
    rb_vm_check(L);
}

void rb_vm_slice(struct rb_vm *vm)
{
    vm->context->slice_start = 0;
    vm->warned = false;
}

bool rb_vm_can_wait(lua_State *L)
{
    return lua_isyieldable(L) && rb_vm_of(L)->context->blocked == 0;
}

/* -- faces --------------------------------------------------------------------------------------------------------- */

bool rb_lib_unwrap(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
        return false;
    if (lua_rawgetp(L, -1, &face_key) != LUA_TTABLE) {
        lua_pop(L, 2);
        return false;
    }
    lua_remove(L, -2);
    return true;
}

static int l_read_only(lua_State *L)
{
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    if (lua_type(L, 2) == LUA_TSTRING)
        return luaL_error(L, "%s.%s can not be assigned: '%s' is read-only", name, lua_tostring(L, 2), name);
    return luaL_error(L, "'%s' is read-only", name);
}

void rb_vm_protect(lua_State *L, const char *name)
{
    lua_newtable(L);
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushcclosure(L, l_read_only, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -3);
    lua_rawsetp(L, -2, &face_key);
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

void rb_lib_copy(lua_State *L, int from, int to, const char *const *names)
{
    from = lua_absindex(L, from);
    to = lua_absindex(L, to);
    for (; *names; names++) {
        lua_getfield(L, from, *names);
        lua_setfield(L, to, *names);
    }
}

/* Weak tables made by scripts would let the collector's timing into a run, and are what 5.4.4's use after free in
 * __newindex needs. setmetatable refuses a metatable with __mode, but can not see one that gets the field later. So the
 * one string object by which Lua knows the field (short strings are unique) gets other bytes: whoever writes "__mode"
 * afterwards has another, ordinary string. The host keeps the object itself, for its own weak tables. */
static void hide_mode(lua_State *L)
{
    lua_pushliteral(L, "__mode");
    char *bytes = (char *)(uintptr_t)lua_tostring(L, -1);
    bytes[0] = '\1';
    lua_rawsetp(L, LUA_REGISTRYINDEX, &mode_key);
}

void rb_lib_weak(lua_State *L, const void *key)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &mode_key);
    lua_pushliteral(L, "k");
    lua_rawset(L, -3);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

/* -- globals ------------------------------------------------------------------------------------------------------- */

/* __index of the sealed environment: (environment, key). */
static int l_unknown_global(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *word = lua_tostring(L, 2);
    size_t n = 0, cap = 0;
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
        cap++;
    const char **names = lua_newuserdatauv(L, (cap + 1) * sizeof *names, 0);
    for (lua_pushnil(L); lua_next(L, 1) && n < cap; lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING)
            names[n++] = lua_tostring(L, -2);
    const char *near = NULL;
    /* The order of a plain walk differs between processes, so of equally near names the smallest is taken. */
    for (size_t i = 0; i < n; i++) {
        int d = rb_nearest_distance(word, names[i]);
        if (rb_nearest(word, &names[i], 1) && (!near || d < rb_nearest_distance(word, near) ||
                                               (d == rb_nearest_distance(word, near) && strcmp(names[i], near) < 0)))
            near = names[i];
    }
    if (near)
        return luaL_error(L, "unknown global '%s' (did you mean '%s'?)", word, near);
    return luaL_error(L, "unknown global '%s'", word);
}

/* __newindex of the sealed face: (face, key, value); upvalue 1 is the environment. */
static int l_assign_global(lua_State *L)
{
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return luaL_error(L, "global '%s' is read-only; choose another name and write 'local' before it", name);
    return luaL_error(L, "assignment to undeclared global '%s': write 'local %s' (a runbook has no globals of its own)",
                      name, name);
}

void rb_vm_push_env(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, rb_vm_of(L)->env_ref);
}

static int seal(lua_State *L)
{
    struct rb_vm *vm = rb_vm_of(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->env_ref);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_unknown_global);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->face_ref);
    lua_getmetatable(L, -1);
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, l_assign_global, 1);
    lua_setfield(L, -2, "__newindex");
    return 0;
}

void rb_vm_seal(struct rb_vm *vm)
{
    lua_pushcfunction(vm->L, seal);
    if (lua_pcall(vm->L, 0, 0, 0) != LUA_OK) {
        vm->dead = RB_VM_MEMORY; /* nothing else can fail in there */
        lua_pop(vm->L, 1);
    }
}

/* -- opening ------------------------------------------------------------------------------------------------------- */

static lua_CFunction real_function(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    lua_CFunction fn = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    return fn;
}

/* [-0, +1] the table of one of Lua's own libraries. */
static int push_real(lua_State *L, lua_CFunction open, const char *name)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    return lua_gettop(L);
}

struct library {
    const char *name;
    lua_CFunction real_open; /* or NULL */
    void (*with_real)(lua_State *L, int real);
    void (*plain)(lua_State *L);
};

static const struct library libraries[] = {
    {LUA_STRLIBNAME, luaopen_string, rb_lib_string, NULL},
    {LUA_TABLIBNAME, luaopen_table, rb_lib_table, NULL},
    {LUA_MATHLIBNAME, luaopen_math, rb_lib_math, NULL},
    {LUA_UTF8LIBNAME, luaopen_utf8, rb_lib_utf8, NULL},
    {LUA_COLIBNAME, luaopen_coroutine, rb_lib_coroutine, NULL},
    {LUA_OSLIBNAME, NULL, NULL, rb_lib_os},
    {"json", NULL, NULL, rb_lib_json},
    {"base64", NULL, NULL, rb_lib_base64},
    {"hash", NULL, NULL, rb_lib_hash},
    {"hmac", NULL, NULL, rb_lib_hmac},
    {"duration", NULL, NULL, rb_lib_duration},
};

static int l_rt_require(lua_State *L);

/* What our functions call of Lua's library at index real. */
static void keep_real_functions(lua_State *L, int real, lua_CFunction library)
{
    struct rb_vm_real *keep = &rb_vm_of(L)->real;
    if (library == luaopen_coroutine) {
        keep->resume = real_function(L, real, "resume");
        keep->yield = real_function(L, real, "yield");
        keep->status = real_function(L, real, "status");
        keep->close = real_function(L, real, "close");
    } else if (library == luaopen_string) {
        keep->format = real_function(L, real, "format");
        keep->rep = real_function(L, real, "rep");
    }
}

/* Builds everything. Stack: 1 rt globals (Lua's own base library, with what would break a run replaced), 2 the
 * environment, 3 package.loaded. */
static int build(lua_State *L)
{
    struct rb_vm *vm = rb_vm_of(L);
    hide_mode(L);
    push_real(L, luaopen_base, LUA_GNAME);
    lua_createtable(L, 0, 64);
    /* luaL_argerror and tracebacks find the names of functions here. */
    lua_newtable(L);
    lua_pushvalue(L, 3);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    rb_lib_base(L, 2, 1);
    rb_lib_pairs(L, 2);
    rb_lib_loading(L, 2);
    for (size_t i = 0; i < RB_COUNT(libraries); i++) {
        const struct library *lib = &libraries[i];
        if (lib->real_open) {
            int real = push_real(L, lib->real_open, lib->name);
            keep_real_functions(L, real, lib->real_open);
            lib->with_real(L, real);
            lua_remove(L, real);
        } else {
            lib->plain(L);
        }
        lua_pushvalue(L, -1);
        lua_setfield(L, 3, lib->name);
        lua_pushvalue(L, -1);
        lua_setfield(L, 1, lib->name);
        rb_vm_protect(L, lib->name);
        lua_setfield(L, 2, lib->name);
    }
    rb_value_push_null(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, 1, "null");
    lua_setfield(L, 2, "null");
    lua_pushvalue(L, 2);
    lua_setfield(L, 3, LUA_GNAME);

    /* Methods of strings go straight to the library's table; scripts can not get at it. */
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_getfield(L, 3, LUA_STRLIBNAME);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_settop(L, 3);

    /* In rt the plain functions that would hide a dead VM or let the order of a hash table into a run are ours, too. */
    static const char *const ours[] = {"pcall", "xpcall", "pairs", "next", "tostring", NULL};
    rb_lib_copy(L, 2, 1, ours);
    lua_createtable(L, 0, 64);
    lua_setfield(L, 1, "host");
    lua_pushcfunction(L, l_rt_require);
    lua_setfield(L, 1, "require");
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &rt_key);

    lua_pushvalue(L, 2);
    rb_vm_protect(L, LUA_GNAME);
    lua_getmetatable(L, -1);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "__newindex"); /* until it is sealed */
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, LUA_GNAME);
    vm->face_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 2);
    vm->env_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 1);
    vm->rt_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

int rb_vm_open(struct rb_vm *vm, const struct rb_vm_options *opt, struct rb_err *err)
{
    memset(vm, 0, sizeof *vm);
    if (opt)
        vm->opt = *opt;
    if (vm->opt.memory == 0)
        vm->opt.memory = (size_t)256 << 20;
    if (vm->opt.slice_warn_us == 0)
        vm->opt.slice_warn_us = 100000;
    if (vm->opt.slice_max_us == 0)
        vm->opt.slice_max_us = 1000000;
    vm->context = &vm->own_context;
    vm->own_context.unwind_depth = -1;
#ifdef RB_OOM
    const char *after = getenv("RBHOST_OOM");
    vm->oom_after = after ? strtol(after, NULL, 10) : 0;
#endif
    vm->L = lua_newstate(allocate, vm);
    if (!vm->L) {
        rb_arena_release(&vm->arena);
        return rb_err_set(err, RB_ETOOBIG, "no memory for a Lua state");
    }
    lua_State *L = vm->L;
    *(struct rb_vm **)lua_getextraspace(L) = vm; /* new threads get a copy of the main thread's */
    lua_atpanic(L, on_panic);
    lua_gc(L, LUA_GCINC, 0, 0, 0); /* the generational mode of 5.4.4 has bugs */
    lua_gc(L, LUA_GCSTOP);
    rb_vm_slice(vm);
    lua_pushcfunction(L, build);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) {
        rb_err_set(err, RB_ETOOBIG, "making the Lua state: %s", lua_tostring(L, -1) ? lua_tostring(L, -1) : "error");
        rb_vm_close(vm);
        return RB_ETOOBIG;
    }
#ifdef RB_GCSTRESS
    lua_sethook(L, on_count, LUA_MASKCOUNT, 20);
#else
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_EVERY); /* inherited by every thread that is made later */
#endif
    rb_vm_rest(vm);
    return 0;
}

void rb_vm_rest(struct rb_vm *vm)
{
    lua_gc(vm->L, LUA_GCRESTART);
    lua_gc(vm->L, LUA_GCSTEP, -(int)(vm->used / 1024)); /* a step that takes work away */
}

void rb_vm_close(struct rb_vm *vm)
{
    if (!vm->L)
        return;
    lua_State *L = vm->L;
    vm->context = &vm->own_context;
    lua_sethook(L, NULL, 0, 0); /* finalizers are the host's own */
    lua_close(L);
    rb_arena_release(&vm->arena);
    vm->L = NULL;
}

/* -- code ---------------------------------------------------------------------------------------------------------- */

int rb_vm_load(lua_State *L, const char *text, size_t n, const char *chunkname, struct rb_err *err)
{
    struct rb_vm *vm = rb_vm_of(L);
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        n -= 3;
    }
    if (n > 0 && text[0] == '#') { /* "#!/usr/bin/env rbhost"; its line end stays, for the line numbers */
        const char *end = memchr(text, '\n', n);
        n -= end ? (size_t)(end - text) : n;
        text = end ? end : "";
    }
    int status = luaL_loadbufferx(L, text, n, chunkname, "t");
    if (status == LUA_OK) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, vm->face_ref);
        lua_setupvalue(L, -2, 1);
        return 0;
    }
    if (status == LUA_ERRMEM)
        vm->dead = RB_VM_MEMORY;
    const char *said = lua_tostring(L, -1) ? lua_tostring(L, -1) : "it does not load";
    if (strchr(said, ':'))
        rb_err_set(err, RB_EINVAL, "%s", said);
    else /* "C stack overflow", "not enough memory" */
        rb_err_set(err, RB_EINVAL, "%s: %s", chunkname + (*chunkname == '@'), said);
    lua_pop(L, 1);
    return RB_EINVAL;
}

/* [-0, +1, e] result of stdlib/rt/<name>. */
static void load_rt(lua_State *L, const char *name)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &rt_key);
    if (lua_getfield(L, -1, name) != LUA_TNIL) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    for (const struct rb_embed *e = rb_stdlib; e->name; e++) {
        if (strncmp(e->name, "rt/", 3) != 0 || strcmp(e->name + 3, name) != 0)
            continue;
        const char *chunkname = lua_pushfstring(L, "@stdlib/rt/%s.lua", name);
        if (luaL_loadbufferx(L, (const char *)e->data, e->len, chunkname, "bt") != LUA_OK)
            lua_error(L);
        lua_remove(L, -2);
        lua_rawgeti(L, LUA_REGISTRYINDEX, rb_vm_of(L)->rt_ref);
        lua_setupvalue(L, -2, 1);
        lua_call(L, 0, 1);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushboolean(L, true);
        }
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, name);
        lua_remove(L, -2);
        return;
    }
    luaL_error(L, "this rbhost has no module stdlib/rt/%s.lua", name);
}

/* require of the rt modules among themselves: "rt.words". */
static int l_rt_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    luaL_argcheck(L, strncmp(name, "rt.", 3) == 0, 1, "an rt module requires rt modules only");
    load_rt(L, name + 3);
    return 1;
}

static int load_rt_protected(lua_State *L)
{
    load_rt(L, lua_touserdata(L, 1));
    return 1;
}

int rb_vm_rt(lua_State *L, const char *name, struct rb_err *err)
{
    lua_pushcfunction(L, load_rt_protected);
    lua_pushlightuserdata(L, (void *)(uintptr_t)name);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
        return 0;
    struct rb_buf text;
    rb_buf_init(&text, RB_ERR_MAX);
    rb_vm_error_text(L, -1, &text);
    rb_err_set(err, RB_EINVAL, "%s", rb_buf_text(&text));
    rb_buf_release(&text);
    lua_pop(L, 1);
    return RB_EINVAL;
}

void rb_vm_host_functions(struct rb_vm *vm, const struct rb_binding *table)
{
    lua_State *L = vm->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->rt_ref);
    lua_getfield(L, -1, "host");
    for (const struct rb_binding *b = table; b && b->name; b++) {
        lua_pushcfunction(L, b->fn);
        lua_setfield(L, -2, b->name);
    }
    lua_pop(L, 2);
}

/* -- places -------------------------------------------------------------------------------------------------------- */

/* 0 not the author's: C, or stdlib/rt; 1 another module of the stdlib; 2 a runbook. */
static int authorship(const lua_Debug *ar)
{
    if (strcmp(ar->what, "C") == 0 || ar->currentline <= 0 || strncmp(ar->source, "@stdlib/rt/", 11) == 0)
        return 0;
    return strncmp(ar->source, "@stdlib/", 8) == 0 ? 1 : 2;
}

static const char *file_of(const lua_Debug *ar)
{
    return ar->source[0] == '@' ? ar->source + 1 : ar->short_src;
}

void rb_vm_where(lua_State *L, char *out, size_t n)
{
    out[0] = '\0';
    lua_Debug ar;
    enum { LOOKED_AT = 1000 }; /* each level is reached from the top anew */
    for (int level = 0; level < LOOKED_AT && lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "Sl", &ar))
            continue;
        int kind = authorship(&ar);
        if (kind == 2 || (kind == 1 && out[0] == '\0'))
            snprintf(out, n, "%s:%d", file_of(&ar), ar.currentline);
        if (kind == 2)
            return;
    }
}

/* Of a stack that overflowed only the top is of interest; and lua_getstack walks from the top each time. */
void rb_vm_traceback(lua_State *L, struct rb_buf *out)
{
    lua_Debug ar;
    enum { SHOWN = 30, LOOKED_AT = 1000 };
    int shown = 0;
    for (int level = 0; level < LOOKED_AT && lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "Sln", &ar) || authorship(&ar) == 0)
            continue;
        if (++shown > SHOWN) {
            rb_buf_adds(out, "  …\n");
            return;
        }
        rb_buf_addf(out, "  %s:%d: in ", file_of(&ar), ar.currentline);
        if (strcmp(ar.what, "main") == 0)
            rb_buf_adds(out, "main chunk\n");
        else if (ar.name)
            rb_buf_addf(out, "%s '%s'\n", *ar.namewhat ? ar.namewhat : "function", ar.name);
        else
            rb_buf_addf(out, "function <%s:%d>\n", file_of(&ar), ar.linedefined);
    }
}
