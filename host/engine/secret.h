/* Secrets as opaque values: a script holds a template ("Bearer ‹secret:token›"), the host the text. The text is put in
 * where a command is started, and replaced by the placeholder in whatever comes back, before the script or the journal
 * sees it. */
#ifndef RB_SECRET_H
#define RB_SECRET_H

#include <lua.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

#define RB_SECRET_MIN 8 /* bytes; shorter ones would be found everywhere */

struct rb_run;

/* The secrets of a run: values from the given parameters (JSON as in rb_run_options), else fetched again from where the
 * journal says they came from. from_json (may be NULL): {name: "file:/path"} of those that were read from a file.
 * RB_EINVAL names what is missing. */
int rb_secret_load(struct rb_run *run, const char *given_json, const char *from_json, struct rb_err *err);
void rb_secret_free(struct rb_run *run);

/* [-0, +0, m] a new template for a secret by name (for decoding), and the metatable with __concat and __tostring. */
void rb_secret_push(lua_State *L, const char *template_text);
bool rb_secret_is(lua_State *L, int index);

/* [-0, +0, e] appends what may be shown of a string or a secret; raises for other types. */
void rb_secret_shown(lua_State *L, int index, struct rb_buf *out, const char *what);
/* [-0, +0, e] appends the real bytes of a string or a secret. A string that contains a placeholder is refused: it was
 * printed, not passed. */
void rb_secret_expand(lua_State *L, int index, struct rb_buf *out, const char *what);

/* Appends text with every known secret replaced by its placeholder. */
void rb_secret_redact(const struct rb_run *run, const char *text, size_t n, struct rb_buf *out);
/* How many of the last bytes of a text that was cut are the beginning of a secret: the rest of it can not be found. */
size_t rb_secret_tail(const struct rb_run *run, const char *text, size_t n);
bool rb_secret_any(const struct rb_run *run); /* is there anything to replace? */

/* A secret that the configuration names, {secret = "name"} in place of a text: fetched from its source once in each
 * process, and known to the redaction before fn sees it. For what a driver needs and a script never holds (the password
 * of a DSN, the URL of a channel). */
struct rb_secret_wait {
    struct rb_list link;
    /* On the loop, perhaps from within rb_secret_fetch(). text is borrowed for the call; NULL: err says why. */
    void (*fn)(struct rb_secret_wait *w, const char *text, size_t len, const struct rb_err *err);
};
void rb_secret_fetch(struct rb_run *run, const char *name, struct rb_secret_wait *w);
void rb_secret_forget(struct rb_secret_wait *w); /* fn will not be called any more */

int rb_secret_l_equal(lua_State *L); /* secret.equal(a, b) */

#endif
