/* Host names to addresses, on the thread pool, with a deadline of one's own: the system's is minutes. */
#ifndef RB_RESOLVE_H
#define RB_RESOLVE_H

#include <netdb.h>

#include "base/err.h"
#include "loop/loop.h"

struct rb_resolve;

/* fn is called once, on the loop, never from within this call. addresses (borrowed; freed afterwards) is NULL when
 * there are none, and err then says why: RB_ENOENT (there is no such name), RB_ETIMEDOUT, RB_EIO. */
struct rb_resolve *rb_resolve_start(struct rb_loop *loop, const char *host, uint64_t timeout_ms,
                                    void (*fn)(void *arg, const struct addrinfo *addresses, const struct rb_err *err),
                                    void *arg);

/* fn will not be called any more. A look-up that has begun ends by itself and frees itself. */
void rb_resolve_cancel(struct rb_resolve *r);

#endif
