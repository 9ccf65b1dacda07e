/* Plain data between a Lua stack and the JSON text of the journal (docs/journal.md "Values"): exact both ways, so that
 * a result that is fed from the journal is the result that was seen live. Direct walks; no tree in between. */
#ifndef RB_VALUE_H
#define RB_VALUE_H

#include <lua.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/sha.h"

#define RB_VALUE_DEPTH 100
#define RB_VALUE_BLOB_OVER (16 * 1024) /* longer strings become blobs where the codec can keep them */
#define RB_VALUE_HEAD 1024             /* so much of a blob stays readable in the event */

struct rb_codec {
    /* Keeps a large string; writes its hex digest. NULL: everything stays in the text. */
    void (*blob_out)(void *arg, const char *s, size_t n, char digest[RB_SHA_HEX]);
    int (*blob_in)(void *arg, const char *digest, struct rb_buf *out, struct rb_err *err);
    void *arg;
    /* What is to be kept in place of a text (rb_secret_filter); NULL: the text. */
    bool (*filter)(void *arg, bool is_json, const char *s, size_t n, struct rb_buf *out);
};

/* [-0, +0, -] appends the value at index. RB_EINVAL: not plain data; err names the place: "value.hosts[2] is a
 * function". `what` is the first word of that path. Never raises a Lua error. */
int rb_value_encode(lua_State *L, int index, const char *what, const struct rb_codec *codec, struct rb_buf *out,
                    struct rb_err *err);

/* [-0, +1, m] pushes the value; on failure pushes nothing. */
int rb_value_decode(lua_State *L, const char *json, size_t n, const struct rb_codec *codec, struct rb_err *err);

/* null of D2: an absent value from JSON or SQL, a light userdata that is NULL. */
static inline void rb_value_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

static inline bool rb_value_is_null(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TLIGHTUSERDATA && !lua_touserdata(L, index);
}

/* Secrets are userdata of this metatable: the NUL-terminated template of secret.h. */
#define RB_SECRET_META "rbhost.secret"

#endif
