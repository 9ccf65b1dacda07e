/* Owns the watching of a journal that another process writes. Knows nothing of what events mean. */
#include "front/follow.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 200 /* where inotify tells nothing */

static int on_event(void *arg, const struct rb_event *ev)
{
    struct rb_follow *f = arg;
    f->seq = ev->seq;
    return f->on_event(f->arg, ev);
}

static void look(struct rb_follow *f)
{
    struct rb_err err = {0};
    int rc = rb_store_events(f->store, f->run, f->seq, on_event, f, &err);
    f->on_look(f->arg, rc < 0 ? rc : 0, &err);
}

static void on_timer(uv_timer_t *h)
{
    look(h->data);
}

static void on_change(uv_fs_event_t *h, const char *name, int events, int status)
{
    struct rb_follow *f = h->data;
    (void)name;
    (void)events;
    /* A commit makes several changes: one look a moment later sees them all. */
    if (status == 0)
        uv_timer_start(&f->timer, on_timer, 5, LOOK_MS);
}

int rb_follow_start(struct rb_follow *f, struct rb_err *err)
{
    char dir[4096];
    (void)err;
    snprintf(dir, sizeof(dir), "%s", rb_store_path(f->store));
    char *slash = strrchr(dir, '/');
    if (slash && slash != dir)
        *slash = '\0';
    uv_timer_init(&f->loop->uv, &f->timer);
    f->timer.data = f;
    uv_timer_start(&f->timer, on_timer, 0, LOOK_MS);
    uv_fs_event_init(&f->loop->uv, &f->fs);
    f->fs.data = f;
    uv_fs_event_start(&f->fs, on_change, slash ? dir : ".", 0); /* the timer does it where this fails */
    return RB_OK;
}

void rb_follow_stop(struct rb_follow *f)
{
    uv_close((uv_handle_t *)&f->timer, NULL);
    uv_close((uv_handle_t *)&f->fs, NULL);
}
