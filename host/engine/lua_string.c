/* Owns the string library of the sandbox but for patterns (lua_pattern.c): what of Lua's own is in, and bounds on what
 * makes large strings. */
#include <string.h>

#include "engine/lua_lib.h"

/* A script that asks for more than the run may have gets its error before any work. */
static int l_rep(lua_State *L)
{
    size_t n, nsep;
    luaL_checklstring(L, 1, &n);
    lua_Integer times = luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &nsep);
    if (times > 0)
        rb_vm_need(L, (double)n * (double)times + (double)nsep * (double)(times - 1));
    return rb_vm_of(L)->real.rep(L);
}

/* Values for %s are made text first, without addresses; the rest is Lua's. */
static int l_format(lua_State *L)
{
    int top = lua_gettop(L);
    int arg = 1;
    size_t n;
    const char *format = luaL_checklstring(L, 1, &n), *end = format + n;
    for (const char *p = format; p < end; p++) {
        if (*p != '%')
            continue;
        if (++p < end && *p == '%')
            continue;
        while (p < end && strchr("-+ #0123456789.", *p) && *p != '\0')
            p++;
        arg++;
        if (p < end && *p == 'p')
            return luaL_error(L, "string.format: '%%p' is not available: addresses differ from process to process");
        if (p < end && *p == 's' && arg <= top && !lua_isstring(L, arg)) {
            rb_lib_tostring(L, arg, NULL);
            lua_replace(L, arg);
        }
    }
    return rb_vm_of(L)->real.format(L);
}

void rb_lib_string(lua_State *L, int real)
{
    static const char *const names[] = {"byte", "char", "len",      "lower",  "upper", "reverse",
                                        "sub",  "pack", "packsize", "unpack", NULL};
    static const luaL_Reg functions[] = {
        {"find", rb_lib_find}, {"match", rb_lib_match}, {"gmatch", rb_lib_gmatch},
        {"gsub", rb_lib_gsub}, {"rep", l_rep},          {"format", l_format},
        {NULL, NULL},
    };
    lua_createtable(L, 0, 16);
    rb_lib_copy(L, real, -1, names);
    luaL_setfuncs(L, functions, 0);
}
