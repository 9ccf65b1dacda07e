/* Owns what tells rows of a database from any other list: a metatable for each, which gives `rows.columns`. So a list
 * of rows has only rows in it: ipairs, # and json.encode see a list, and it is plain data (value.c: "$rows"). */
#include "engine/lua_lib.h"

static const char columns_key = 0; /* in the metatable */

void rb_lib_rows(lua_State *L)
{
    lua_createtable(L, 0, 3);
    lua_createtable(L, 0, 1); /* rows, columns, metatable, index */
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "columns");
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "rows");
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, &columns_key);
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
}

bool rb_lib_rows_columns(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    if (lua_rawgetp(L, -1, &columns_key) != LUA_TTABLE) {
        lua_pop(L, 2);
        return false;
    }
    lua_remove(L, -2);
    return true;
}
