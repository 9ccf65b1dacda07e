/* Secrets as opaque values: a script holds a template ("Bearer ‹secret:token›"), the host the text. The text is put in
 * where a command is started, and replaced by the placeholder in whatever comes back, before the script or the journal
 * sees it. Where they come from by configuration is secret_source.c's. */
#ifndef RB_SECRET_H
#define RB_SECRET_H

#include <lua.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

#define RB_SECRET_MIN 8          /* bytes; shorter ones would be found everywhere */
#define RB_SECRET_MAX (64 << 10) /* bytes of one secret */
#define RB_SECRET_NAME "secret name: letters, digits, _ . and -, 64 at most"

struct rb_run;
struct rb_secret;

/* A secret of a run: its text lies in memory of its own (secretmem.h). */
void rb_secret_learn(struct rb_run *run, const char *name, const char *text, size_t len);
bool rb_secret_size(const struct rb_run *run, const char *name, size_t *len); /* false: it is not known */
/* Is it one that the runbook names in its text or takes as a parameter? Those are there before the first op; any other
 * is fetched by an op of its own. */
bool rb_secret_declared(const struct rb_run *run, const char *name);
bool rb_secret_name_good(const char *name, size_t len);

/* The secrets that the runbook names: of a new run those of names_json (a list), of one that goes on what its journal
 * says. RB_EAGAIN: the host must fetch some first (rb_host_gather). */
int rb_secret_declare(struct rb_run *run, const char *names_json, struct rb_err *err);
int rb_secret_declare_again(struct rb_run *run, struct rb_err *err);

/* The secrets of a run: values from the given parameters (JSON as in rb_run_options), else fetched again from where the
 * journal says they came from. from_json (may be NULL): {name: "file:/path"} of those that were read from a file.
 * RB_EINVAL names what is missing. */
int rb_secret_load(struct rb_run *run, const char *given_json, const char *from_json, struct rb_err *err);
/* Before that, of a new run: secret parameters that nobody gave come from the configuration, if it has a source of that
 * name. *completed: the given ones with those (wipe and free it); NULL when there are none. Sets run->secret_from. */
int rb_secret_complete(struct rb_run *run, const char *header_json, const char *given_json, const char *from_json,
                       char **completed, struct rb_err *err);
void rb_secret_free(struct rb_run *run);

/* [-0, +0, m] a new template for a secret by name (for decoding), and the metatable with __concat and __tostring. */
void rb_secret_push(lua_State *L, const char *template_text);
/* [-0, +1, m] the template that is one secret alone. */
void rb_secret_push_name(lua_State *L, const char *name);
bool rb_secret_is(lua_State *L, int index);

/* [-0, +0, e] appends what may be shown of a string or a secret; raises for other types. */
void rb_secret_shown(lua_State *L, int index, struct rb_buf *out, const char *what);
/* [-0, +0, e] appends the real bytes of a string or a secret. A string that contains a placeholder is refused: it was
 * printed, not passed. */
void rb_secret_expand(lua_State *L, int index, struct rb_buf *out, const char *what);

/* [-0, +0, e] raises when there is a placeholder in a text that goes to an operation. */
void rb_secret_refuse_printed(lua_State *L, const char *text, size_t n, const char *what);

/* Appends text with every known secret replaced by its placeholder. */
void rb_secret_redact(const struct rb_run *run, const char *text, size_t n, struct rb_buf *out);
/* How many of the last bytes of a text that was cut are the beginning of a secret: the rest of it can not be found. */
size_t rb_secret_tail(const struct rb_run *run, const char *text, size_t n);
/* The same for the journal, the values in it and what people say: false, and nothing written, when there is nothing to
 * replace. Of JSON the texts are redacted, so that it stays JSON. arg: the run. */
bool rb_secret_filter(void *arg, bool is_json, const char *text, size_t n, struct rb_buf *out);
/* Are two JSON values the same when the secrets are taken out of both? A replay knows secrets from its beginning that
 * the run came to know later. */
bool rb_secret_same(const struct rb_run *run, const char *a, size_t an, const char *b, size_t bn);
/* Appends text with the texts of known secrets in place of their placeholders. */
void rb_secret_restore(const struct rb_run *run, const char *text, size_t n, struct rb_buf *out);
bool rb_secret_any(const struct rb_run *run); /* is there anything to replace? */

/* A secret that the configuration names, {secret = "name"} in place of a text: fetched from its source once in each
 * process, and known to the redaction before fn sees it. For what a driver needs and a script never holds (the password
 * of a DSN, the URL of a channel). */
struct rb_secret_wait {
    struct rb_list link;
    struct rb_run *run; /* set by rb_secret_fetch() */
    /* On the loop, perhaps from within rb_secret_fetch(). text is borrowed for the call; NULL: err says why. */
    void (*fn)(struct rb_secret_wait *w, const char *text, size_t len, const struct rb_err *err);
};
void rb_secret_fetch(struct rb_run *run, const char *name, struct rb_secret_wait *w);
void rb_secret_forget(struct rb_secret_wait *w); /* fn will not be called any more */

int rb_secret_l_equal(lua_State *L); /* secret.equal(a, b) */

#endif
