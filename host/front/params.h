/* The parameters of a run from the command line: key=value, key=@FILE, key=@-, --params, questions. */
#ifndef RB_PARAMS_H
#define RB_PARAMS_H

#include <jansson.h>

#include "front/cli.h"

/* Makes the JSON object that the engine gets. `header` is rb_runbook_describe()'s object. params_file: --params, NULL
 * none. Everything that is wrong is told in one message. 0, or the exit code after complaining. */
int rb_params_read(struct rb_cli *cli, const json_t *header, const char *params_file, char **pairs, int n,
                   struct rb_buf *json, struct rb_buf *secret_from);

#endif
