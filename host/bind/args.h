/* Reading the table that stdlib/rt gives to a primitive: what is wrong with a member is an error of the author, kind
 * "usage", that names the verb and the member. */
#ifndef RB_ARGS_H
#define RB_ARGS_H

#include <lua.h>

#include "base/rb.h"

/* [-0, +0, e] a string member of the table at index, without NUL bytes, as a copy; NULL when it is absent. */
char *rb_args_text(lua_State *L, int index, const char *verb, const char *field);
/* [-0, +0, e] an integer, a boolean, or `otherwise` when it is absent. */
int64_t rb_args_int(lua_State *L, int index, const char *field, int64_t otherwise);
bool rb_args_bool(lua_State *L, int index, const char *field, bool otherwise);

/* [-0, +0, e] the words of a list member, for a command: a NULL-terminated list. `what` names one of them in messages.
 * Secrets are put in where they may be (never in arguments, which every user of a machine can see). */
char **rb_args_words(lua_State *L, const char *verb, const char *field, const char *what, bool secrets, size_t max);

/* Frees a NULL-terminated list of strings; NULL is one. */
void rb_args_free(char **list);

/* [-0, +0, m] fills the table on top of the stack with the result of a command that nobody saw end: as is the word that
 * stands for it. */
void rb_args_assume_command(lua_State *L, const char *as);

#endif
