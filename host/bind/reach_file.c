/* Owns how an op reaches a file by its path, link by link, each asked of the policy. What is done with the file is its
 * caller's business. */
#include "bind/reach_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha.h"
#include "engine/core.h"
#include "engine/policy.h"

#define HOPS_MAX 40 /* links on the way, as the kernel has it */

struct rb_reach_file {
    struct rb_effect *effect; /* borrowed until it is left */
    struct rb_file *file;
    const char *kind; /* as the policy calls what the file is to be */
    char *path;       /* as it was asked for, for messages */
    int hops;
    rb_reached_fn *on_reached;
    void *arg;
    bool left;
};

static void destroy(struct rb_reach_file *r)
{
    rb_file_free(r->file);
    free(r->path);
    free(r);
}

void rb_reach_tag(const struct rb_effect *e, struct rb_file *f)
{
    char hex[RB_SHA_HEX];
    struct rb_buf b;
    rb_buf_init(&b, SIZE_MAX / 2);
    rb_buf_addf(&b, "%s %s", e->run->id, e->key);
    rb_sha_of_hex(rb_buf_text(&b), b.len, hex);
    rb_buf_release(&b);
    snprintf(f->tag, sizeof(f->tag), "%.16s", hex);
}

/* Asks whether its path may be reached, and reaches for it: on_done comes. */
static int reach(struct rb_reach_file *r, struct rb_err *err)
{
    struct rb_file *f = r->file;
    if (r->hops > HOPS_MAX)
        return rb_err_set(err, RB_EIO, "the links on the way to %.1000s lead round in a circle, or change all the time",
                          r->path);
    int rc = rb_policy_check_path(r->effect->run, r->kind, f->place.path, f->place.bases, err);
    if (rc && r->hops)
        rb_err_prefix(err, "a link leads from %.500s to %.500s", r->path, f->place.path);
    if (!rc)
        rb_file_start(rb_effect_loop(r->effect), f);
    return rc;
}

static void finish(struct rb_reach_file *r, int rc, const char *message)
{
    r->on_reached(r->arg, r->file, rc, message);
    destroy(r);
}

static void on_done(struct rb_file *f)
{
    struct rb_reach_file *r = f->arg;
    struct rb_err err = {0};
    if (r->left) {
        destroy(r);
    } else if (f->end == RB_FILE_ELSEWHERE) {
        free(f->place.path);
        f->place.path = f->place.elsewhere;
        f->place.elsewhere = NULL;
        r->hops++;
        int rc = reach(r, &err);
        if (rc)
            finish(r, rc, err.msg);
    } else if (f->end == RB_FILE_DONE) {
        finish(r, RB_OK, NULL);
    } else {
        finish(r, strcmp(f->kind, "policy") ? RB_EIO : RB_EDENIED,
               f->end == RB_FILE_STOPPED ? "the host ends" : f->text);
    }
}

int rb_reach_file(struct rb_effect *e, struct rb_file *f, const char *kind, const char *path, rb_reached_fn *on_reached,
                  void *arg, struct rb_reach_file **out, struct rb_err *err)
{
    struct rb_buf normal;
    struct rb_reach_file *r = rb_alloc(sizeof(*r));
    *r = (struct rb_reach_file){.effect = e, .file = f, .kind = kind, .path = rb_strdup(path)};
    r->on_reached = on_reached;
    r->arg = arg;
    f->refuse = rb_strdup(rb_effect_journal(e));
    f->on_done = on_done;
    f->arg = r;
    rb_reach_tag(e, f);
    f->sweep = e->run->epoch > 1 || e->twice || e->attempt > 1; /* what an earlier process has left of it */
    rb_buf_init(&normal, RB_FILE_PATH_MAX);
    int rc = rb_file_normal("/", path, &normal, err);
    if (!rc) {
        f->place.path = rb_buf_detach(&normal);
        rc = reach(r, err);
    }
    rb_buf_release(&normal);
    if (rc)
        destroy(r);
    else
        *out = r;
    return rc;
}

void rb_reach_file_leave(struct rb_reach_file *r)
{
    r->left = true;
    rb_file_stop(r->file);
}
