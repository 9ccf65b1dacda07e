/* Owns load and require of the sandbox: text only, always with the environment of runbooks. Where modules of the run's
 * own come from is the hook's business (find_module). */
#include <string.h>

#include "base/nearest.h"
#include "engine/embed.h"
#include "engine/error.h"
#include "engine/lua_lib.h"

static const char modules_key = 0; /* in the registry: results by name */
static const char loading_key = 0; /* in the registry: list of the names whose bodies run now, outermost first */

/* -- load ---------------------------------------------------------------------------------------------------------- */

/* [-0, +1, e] all text that the reader function at index 1 gives. */
static void read_all(lua_State *L)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (;;) {
        lua_pushvalue(L, 1);
        lua_call(L, 0, 1);
        if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) == 0))
            break;
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "reader function must return a string");
        luaL_addvalue(&b);
    }
    lua_pop(L, 1);
    luaL_pushresult(&b);
}

static int l_load(lua_State *L)
{
    bool text = lua_type(L, 1) == LUA_TSTRING;
    const char *chunkname = luaL_optstring(L, 2, text ? lua_tostring(L, 1) : "=(load)");
    const char *mode = luaL_optstring(L, 3, "bt");
    bool own_env = !lua_isnone(L, 4);
    if (own_env)
        luaL_checktype(L, 4, LUA_TTABLE);
    if (!text)
        luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_argcheck(L, strncmp(chunkname, "@stdlib/", 8) != 0, 2, "this name is the stdlib's");
    lua_settop(L, 4);
    if (text)
        lua_pushvalue(L, 1);
    else
        read_all(L);
    size_t n;
    const char *source = lua_tolstring(L, -1, &n);
    int status;
    if (!strchr(mode, 't') && (n == 0 || source[0] != LUA_SIGNATURE[0])) {
        lua_pushfstring(L, "attempt to load a text chunk (mode is '%s')", mode);
        status = LUA_ERRSYNTAX;
    } else {
        status = luaL_loadbufferx(L, source, n, chunkname, "t");
    }
    if (status == LUA_ERRMEM) {
        rb_vm_of(L)->dead = RB_VM_MEMORY;
        return rb_vm_raise_dead(L);
    }
    if (status != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (own_env)
        lua_pushvalue(L, 4);
    else
        lua_rawgeti(L, LUA_REGISTRYINDEX, rb_vm_of(L)->face_ref);
    lua_setupvalue(L, -2, 1);
    return 1;
}

/* -- require ------------------------------------------------------------------------------------------------------- */

static void push_table(lua_State *L, const void *key)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

/* Raises when name is being loaded already; loading: the list. */
static void check_cycle(lua_State *L, int loading, const char *name)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, loading);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, loading, i);
        bool here = strcmp(lua_tostring(L, -1), name) == 0;
        lua_pop(L, 1);
        if (!here)
            continue;
        luaL_Buffer b;
        luaL_buffinit(L, &b);
        for (; i <= n; i++) {
            lua_rawgeti(L, loading, i);
            luaL_addvalue(&b);
            luaL_addstring(&b, " requires ");
        }
        luaL_addstring(&b, name);
        luaL_pushresult(&b);
        luaL_error(L, "modules require each other: %s", lua_tostring(L, -1));
    }
}

/* [-0, +1, e] the module's compiled body and, above it, its chunk name. What the run has pinned comes first: a resume
 * by a newer binary uses the library that the run began with. */
static void find(lua_State *L, const char *name)
{
    struct rb_vm *vm = rb_vm_of(L);
    struct rb_err err = {.code = 0};
    int found = 0;
    char chunkname[256] = "";
    if (vm->opt.hooks.find_module) {
        struct rb_buf text;
        rb_buf_init(&text, (size_t)16 << 20);
        found = vm->opt.hooks.find_module(vm->opt.hooks.arg, name, &text, chunkname, &err);
        if (found > 0 && rb_vm_load(L, rb_buf_text(&text), text.len, chunkname, &err) < 0)
            found = err.code;
        rb_buf_release(&text);
    }
    if (found < 0 && vm->dead)
        rb_vm_raise_dead(L);
    if (found < 0)
        luaL_error(L, "require '%s': %s", name, err.msg);
    if (found > 0) {
        lua_pushstring(L, chunkname);
        return;
    }
    const char *near = NULL;
    for (const struct rb_embed *e = rb_stdlib; e->name && !near; e++)
        if (strncmp(e->name, "rt/", 3) != 0 && rb_nearest(name, &e->name, 1))
            near = e->name;
    if (near)
        luaL_error(L, "module '%s' not found: neither in the stdlib nor below the runbook's root (did you mean '%s'?)",
                   name, near);
    luaL_error(L, "module '%s' not found: neither in the stdlib nor below the runbook's root", name);
}

/* A module's body runs in a plain call: waiting inside it is refused by the engine, because the same require would be
 * loaded or not, depending on which task comes first. */
static int l_require(lua_State *L)
{
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    luaL_argcheck(L, strlen(name) == len, 1, "the name of a module has no NUL byte");
    lua_settop(L, 1);
    push_table(L, &modules_key); /* 2 */
    if (lua_getfield(L, 2, name) != LUA_TNIL)
        return 1;
    push_table(L, &loading_key); /* 4 */
    check_cycle(L, 4, name);
    find(L, name); /* 5 body, 6 chunk name */
    lua_Integer place = (lua_Integer)lua_rawlen(L, 4) + 1;
    lua_pushvalue(L, 1);
    lua_rawseti(L, 4, place);
    lua_pushvalue(L, 1);
    lua_insert(L, 6);
    int status = lua_pcall(L, 2, 1, 0);
    lua_pushnil(L);
    lua_rawseti(L, 4, place);
    if (status == LUA_ERRMEM)
        rb_vm_of(L)->dead = RB_VM_MEMORY;
    if (status != LUA_OK)
        return lua_error(L);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, true);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return 1;
}

void rb_lib_loading(lua_State *L, int env)
{
    lua_pushcfunction(L, l_load);
    lua_setfield(L, env, "load");
    lua_pushcfunction(L, l_require);
    lua_setfield(L, env, "require");
}
