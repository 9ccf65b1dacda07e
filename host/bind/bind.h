/* The primitives that scripts call, name → function: the table that main gives to the engine. */
#ifndef RB_BIND_H
#define RB_BIND_H

#include "engine/bindings.h"

extern const struct rb_binding rb_bindings[];

int rb_bind_exec(lua_State *L);  /* exec{ argv=, cwd=, env=, stdin=, timeout=, check=, max_output=, … } */
int rb_bind_sleep(lua_State *L); /* sleep{ until= wall µs, title= } */
int rb_bind_gate(lua_State *L);  /* gate{ kind= "approve"|"manual"|"signal", … } */
int rb_bind_file(lua_State *L);  /* file{ verb= "read"|"stat"|…, path=, … } */

int rb_bind_secret(lua_State *L); /* secret{ name= } */

#endif
