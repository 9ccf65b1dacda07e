/* The files of a request: of its body, of its TLS, and the one that its answer is saved to. For bind/ only. */
#ifndef RB_BIND_HTTP_FILE_H
#define RB_BIND_HTTP_FILE_H

#include "bind/http_request.h"

struct rb_http_opening;

/* word NULL: they are open, and `files` is to be taken. Else why not, a word for the error's kind ("policy" "io"
 * "timeout") and a sentence. Once, never from within rb_http_open_files(); the opening is gone afterwards. */
typedef void rb_http_opened_fn(void *arg, struct rb_http_files *files, const char *word, const char *message);

bool rb_http_wants_files(const struct rb_http_request *r);

/* Opens what the run's policy lets it reach, by whatever links, and nothing else; on the pool, one after the other. The
 * request, which wants some, and the effect are borrowed until on_opened or rb_http_opening_leave(). Files of a
 * multipart body are put into it. On failure nothing was begun: RB_EDENIED is the policy's no. */
int rb_http_open_files(struct rb_effect *e, struct rb_http_request *r, rb_http_opened_fn *on_opened, void *arg,
                       struct rb_http_opening **out, struct rb_err *err);
/* Nobody waits for it any more: on_opened is not called, and it frees itself. */
void rb_http_opening_leave(struct rb_http_opening *o);

#endif
