/* The table of primitives: bind/ fills it, lib.c registers it. */
#ifndef RB_BINDINGS_H
#define RB_BINDINGS_H

#include <lua.h>

struct rb_binding {
    const char *name; /* of the function in the table `host` that stdlib/rt sees */
    lua_CFunction fn;
};
/* Ends with {NULL, NULL}. Set once, by main, before the first run. */
void rb_lib_bindings(const struct rb_binding *table);

#endif
