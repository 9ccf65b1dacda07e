/* Errors as Lua values: always a table with kind, message, op, where, retryable, outcome, and result where there is one
 * (D2 "Errors"). */
#ifndef RB_ERROR_H
#define RB_ERROR_H

#include "engine/vm.h"

/* [-0, +1, m] a new error table. `outcome`: "not_started", "failed", "unknown" or NULL. `where` is filled from the
 * stack. The metatable gives __tostring (one line: where: message) and __name. */
void rb_error_push(lua_State *L, const char *kind, const char *outcome, const char *fmt, ...) RB_PRINTF(4, 5);
/* Pushes and raises. */
int rb_error_raise(lua_State *L, const char *kind, const char *outcome, const char *fmt, ...) RB_PRINTF(4, 5);
/* [-0, +0, m] gives any table at index the metatable of errors (for errors decoded from the journal). */
void rb_error_bless(lua_State *L, int index);
bool rb_error_is(lua_State *L, int index);          /* is it one of ours? */
const char *rb_error_kind(lua_State *L, int index); /* its kind, or NULL; valid while it is on the stack */
/* Anything that was raised (string, nil, table, userdata …) becomes one of ours, kind "lua" (replaces the value at
 * index). */
void rb_error_normalize(lua_State *L, int index);

#endif
