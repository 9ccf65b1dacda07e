/* Where secrets come from by configuration: secrets = { name = { env | file | credential | command | stdin = … } }.
 * Sources are asked off the loop's back; what they gave is kept no longer than a run takes it. */
#ifndef RB_SECRET_SOURCE_H
#define RB_SECRET_SOURCE_H

#include <jansson.h>

#include "base/list.h"
#include "engine/secret.h"

struct rb_host;

/* What a host has fetched and is fetching. Part of struct rb_host. */
struct rb_vault {
    struct rb_list entries; /* struct entry.link */
    json_t *wanted;         /* names that a run could not do without (RB_EAGAIN); NULL none */
};

void rb_vault_init(struct rb_vault *v);
void rb_vault_release(struct rb_vault *v); /* what is on its way is given up */

/* The word of a source ("env", "file", …), borrowed; NULL, with the reason, when the name has none or a wrong one. */
const char *rb_secret_source_kind(struct rb_host *h, const char *name, struct rb_err *err);

/* Asks the source; w->fn follows, perhaps from within. One question is asked once, however many wait for it. */
void rb_secret_source_get(struct rb_host *h, const char *name, struct rb_secret_wait *w);

/* Text of a secret that was fetched for the run that starts now; false: it is put on the list of what is wanted. */
bool rb_vault_take(struct rb_host *h, const char *name, const char **text, size_t *len);
void rb_vault_forget(struct rb_host *h); /* what was fetched and is not needed any more */

#endif
