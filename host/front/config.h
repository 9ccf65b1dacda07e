/* The configuration file and the places of rbhost (D4 "Places"). */
#ifndef RB_CONFIG_H
#define RB_CONFIG_H

#include <jansson.h>

#include "base/err.h"
#include "engine/run.h"

/* The file to read: `given` (--config), else $XDG_CONFIG_HOME/rbhost/config.lua, else /etc/rbhost/config.lua. False:
 * there is none (a given one counts as there). */
bool rb_config_find(const char *given, char *path, size_t n);

/* Reads and checks it. A new reference, or NULL with a sentence that names the file and the key. */
json_t *rb_config_read(const char *path, struct rb_err *err);

/* $XDG_STATE_HOME/rbhost, else ~/.local/state/rbhost. RB_ENOENT when there is no home either. */
int rb_config_state(char *path, size_t n, struct rb_err *err);

/* Where the key to secrets in the journal is: secret_key ("/path", "credential:NAME"), else secret.key beside
 * config.lua. False: there is no home. */
bool rb_config_secret_key(const json_t *config, char *path, size_t n);

/* The limits in it; members that it does not name stay 0 (the engine's defaults). */
void rb_config_limits(const json_t *config, struct rb_limits *out);

/* The i-th limit as text in its unit ("2s", "67108864"), where limits has none the default; NULL: there are no more.
 * Returns its name. */
const char *rb_config_limit(const struct rb_limits *limits, size_t i, char *text, size_t n);

/* Finds a runbook by name below the roots: the first ROOT/NAME.lua that is a file. RB_ENOENT with a sentence (near
 * names, or that no roots are configured), RB_EINVAL for a name that is not one ("..", absolute, odd characters). */
int rb_config_runbook(const json_t *config, const char *name, char *path, size_t n, struct rb_err *err);

/* Calls each for every runbook below the roots, sorted by name; the first of equal names wins. */
int rb_config_each(const json_t *config, void (*each)(void *arg, const char *name, const char *path), void *arg,
                   struct rb_err *err);

#endif
