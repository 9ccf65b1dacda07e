/* Owns a look-up of a name: its thread, its deadline, and what outlives the caller's interest. A look-up that a thread
 * has begun can not be stopped: it is left to itself, and frees itself at its end. */
#include "io/resolve.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/timer.h"

struct rb_resolve {
    uv_getaddrinfo_t req;
    struct rb_loop *loop;
    struct rb_timer limit;
    uint64_t timeout_ms;
    void (*fn)(void *arg, const struct addrinfo *addresses, const struct rb_err *err); /* NULL: nobody waits any more */
    void *arg;
    char host[256];
};

static void tell(struct rb_resolve *r, const struct addrinfo *addresses, const struct rb_err *err)
{
    void (*fn)(void *, const struct addrinfo *, const struct rb_err *) = r->fn;
    rb_timer_disarm(&r->limit);
    r->fn = NULL;
    if (fn)
        fn(r->arg, addresses, err);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *addresses)
{
    struct rb_resolve *r = RB_CONTAINER(req, struct rb_resolve, req);
    struct rb_err err;
    bool unknown = status == UV_EAI_NONAME || status == UV_EAI_NODATA;
    if (status)
        rb_err_set(&err, unknown ? RB_ENOENT : RB_EIO, unknown ? "there is no host %s" : "no address of %s: %s",
                   r->host, uv_strerror(status));
    else if (!addresses)
        rb_err_set(&err, status = RB_ENOENT, "the host %s has no address", r->host);
    tell(r, status ? NULL : addresses, status ? &err : NULL);
    uv_freeaddrinfo(addresses);
    free(r);
}

static void on_limit(struct rb_timer *t)
{
    struct rb_resolve *r = RB_CONTAINER(t, struct rb_resolve, limit);
    struct rb_err err;
    rb_err_set(&err, RB_ETIMEDOUT, "the name servers gave no address of %s within %.3gs", r->host,
               (double)r->timeout_ms / 1000);
    uv_cancel((uv_req_t *)&r->req);
    tell(r, NULL, &err);
}

/* The work could not even be queued (a name that is none): said from the loop, as everything is. */
static void on_refused(struct rb_timer *t)
{
    struct rb_resolve *r = RB_CONTAINER(t, struct rb_resolve, limit);
    struct rb_err err;
    rb_err_set(&err, RB_ENOENT, "%s is no name of a host", r->host);
    tell(r, NULL, &err);
    free(r);
}

struct rb_resolve *rb_resolve_start(struct rb_loop *loop, const char *host, uint64_t timeout_ms,
                                    void (*fn)(void *arg, const struct addrinfo *addresses, const struct rb_err *err),
                                    void *arg)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct rb_resolve *r = rb_alloc(sizeof(*r));
    r->loop = loop;
    r->fn = fn;
    r->arg = arg;
    r->timeout_ms = timeout_ms;
    rb_timer_init(&r->limit, loop, on_limit);
    snprintf(r->host, sizeof(r->host), "%s", host);
    if (uv_getaddrinfo(&loop->uv, &r->req, on_resolved, host, NULL, &hints)) {
        rb_timer_init(&r->limit, loop, on_refused);
        rb_timer_arm_ms(&r->limit, 0);
    } else if (timeout_ms) {
        rb_timer_arm_ms(&r->limit, timeout_ms);
    }
    return r;
}

void rb_resolve_cancel(struct rb_resolve *r)
{
    bool queued = r->limit.fn != on_refused;
    rb_timer_disarm(&r->limit);
    r->fn = NULL;
    if (queued)
        uv_cancel((uv_req_t *)&r->req); /* on_resolved still comes, and frees */
    else
        free(r);
}
