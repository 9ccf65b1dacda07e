/* What the sandboxed libraries (lua_*.c) give to vm.c and to each other. */
#ifndef RB_LUA_LIB_H
#define RB_LUA_LIB_H

#include "engine/vm.h"

/* Each: [-0, +1, m] pushes the table of the library, not yet wrapped. `real` is the index of the table of Lua's own
 * library, from which whitelisted functions are taken over; 0 where there is none. */
void rb_lib_string(lua_State *L, int real);
void rb_lib_table(lua_State *L, int real);
void rb_lib_math(lua_State *L, int real);
void rb_lib_utf8(lua_State *L, int real);
void rb_lib_coroutine(lua_State *L, int real);
void rb_lib_os(lua_State *L);
void rb_lib_json(lua_State *L);
void rb_lib_base64(lua_State *L);
void rb_lib_hash(lua_State *L);
void rb_lib_hmac(lua_State *L);
void rb_lib_duration(lua_State *L);

/* [-0, +0, m] adds the basic functions to the table at env; real: Lua's own globals. */
void rb_lib_base(lua_State *L, int env, int real);
void rb_lib_pairs(lua_State *L, int env);   /* pairs, next */
void rb_lib_loading(lua_State *L, int env); /* load, require */

/* [-0, +0, m] copies the named fields (list ends with NULL) from one table to another. */
void rb_lib_copy(lua_State *L, int from, int to, const char *const *names);

/* [-0, +1, e] text of any value without an address, as tostring of scripts gives it. */
const char *rb_lib_tostring(lua_State *L, int index, size_t *len);

/* [-0, +0|1, -] the table behind a face (rb_vm_protect): pushes it and returns true; pushes nothing and returns false
 * for anything else. */
bool rb_lib_unwrap(lua_State *L, int index);

/* Pushes the registry's table at this key, with weak keys, made at first use ([-0, +1, m]). Scripts can make no weak
 * tables. */
void rb_lib_weak(lua_State *L, const void *key);

/* A protected call of the script begins: counts it and returns its number. */
int rb_lib_enter(lua_State *L);
/* It ended. failed: the error is on top of the stack; memory: it was LUA_ERRMEM. Does not return when the error is one
 * that no script may hold up: of a dead VM, or of a cancellation that is unwinding through this call. */
void rb_lib_leave(lua_State *L, bool failed, bool memory);

/* Functions for find, match, gmatch, gsub (lua_pattern.c). */
int rb_lib_find(lua_State *L);
int rb_lib_match(lua_State *L);
int rb_lib_gmatch(lua_State *L);
int rb_lib_gsub(lua_State *L);
int rb_lib_sort(lua_State *L);
/* [-0, +0, v] #t for a table at index that is a sequence; raises, naming the first missing index, when it has holes.
 * Honours __len. */
lua_Integer rb_lib_length(lua_State *L, int index, const char *function);

/* [-0, +1, e] list of the n keys of the table at index, in the order of pairs. */
void rb_lib_sorted_keys(lua_State *L, int index, lua_Integer n);

/* "1h30m" to microseconds; RB_EINVAL for what is no duration. A bare number is seconds. */
int rb_lib_duration_us(const char *s, size_t n, int64_t *us);

/* Is the (empty) table at index marked as a JSON object? [-0, +0, m] */
bool rb_lib_is_json_object(lua_State *L, int index);
void rb_lib_mark_json_object(lua_State *L, int index);

/* Rows of a database: a list of tables that has `columns`, the list of their names, beside it. [-2, +1, m] (rows,
 * columns) → rows, marked. */
void rb_lib_rows(lua_State *L);
/* [-0, +1|0, -] Is the table at index such rows? Then its columns are pushed. */
bool rb_lib_rows_columns(lua_State *L, int index);

#endif
