/* Owns the way of a blocking call to the thread pool and back. Knows nothing of what is called. */
#include "loop/work.h"

static void on_pool(uv_work_t *req)
{
    struct rb_work *w = req->data;
    w->run(w);
}

static void on_loop(uv_work_t *req, int status)
{
    struct rb_work *w = req->data;
    w->on_done(w, status == UV_ECANCELED ? RB_ECANCELED : RB_OK);
}

void rb_work_start(struct rb_loop *loop, struct rb_work *w)
{
    w->req.data = w;
    int rc = uv_queue_work(&loop->uv, &w->req, on_pool, on_loop);
    if (rc) /* only for a missing callback: there is no other way to fail */
        rb_die("uv_queue_work: %s", uv_strerror(rc));
}

bool rb_work_cancel(struct rb_work *w)
{
    return uv_cancel((uv_req_t *)&w->req) == 0;
}
