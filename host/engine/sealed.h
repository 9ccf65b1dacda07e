/* Secrets that came into being in a run (random_secret, results of secret = true) and must be the same after a resume:
 * encrypted in the run's journal, with a key that is not in the store. */
#ifndef RB_SEALED_H
#define RB_SEALED_H

#include <lua.h>

#include "base/buf.h"
#include "base/err.h"

struct rb_effect;
struct rb_host;
struct rb_run;

#define RB_SEAL_KEY_LEN 32

/* Is the key there? A key file that does not exist is made. */
int rb_sealed_ready(struct rb_host *h, struct rb_err *err);

/* A text as it stands in the journal: "1.<id of the key>.<base64 of nonce, text, tag>", bound to this run, key of the
 * op and name. Opening takes a buffer of the caller, who wipes it. */
int rb_sealed_close(struct rb_run *run, const char *op_key, const char *name, const char *text, size_t n,
                    struct rb_buf *out, struct rb_err *err);
int rb_sealed_open(struct rb_run *run, const char *op_key, const char *name, const char *sealed, size_t n,
                   struct rb_buf *text, struct rb_err *err);

/* [-0, +0, e] the outcome on top of the stack, of an op with secret = true: its texts become secrets, in place, and
 * what the event needs to have them again is appended: ,"sealed":{…} */
void rb_sealed_outcome(lua_State *L, struct rb_effect *e, struct rb_buf *event);

/* Before a replay: all that is sealed in the run's events becomes known to it. */
int rb_sealed_load(struct rb_run *run, struct rb_err *err);

int rb_sealed_random(lua_State *L); /* bytes, hex? → secret; the same on replay */
void rb_sealed_forget_key(struct rb_host *h);

#endif
