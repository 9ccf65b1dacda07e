/* Owns how the files of a request are reached: as those of file.read and file.write, by their own opener, each link on
 * the way asked about. At once and on the loop: what it waits for is the disk, for a name. */
#include "bind/http_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/core.h"
#include "engine/policy.h"
#include "io/file.h"

#define HOPS_MAX 40 /* links on the way, as the kernel has it */

static int reach(const struct rb_run *run, struct rb_file *f, const char **name, struct rb_err *err)
{
    struct rb_file_place *p = &f->place;
    char first[RB_FILE_PATH_MAX];
    snprintf(first, sizeof(first), "%s", p->path);
    for (int hops = 0; hops <= HOPS_MAX; hops++) {
        if (rb_policy_check_path(run, p->path, p->bases, err)) {
            if (hops)
                rb_err_prefix(err, "a link leads from %.500s to %.500s", first, p->path);
            return -1;
        }
        int fd = rb_file_reach(f, name);
        if (fd >= 0)
            return fd;
        if (f->end != RB_FILE_ELSEWHERE) {
            rb_err_set(err, strcmp(f->kind, "policy") ? RB_EIO : RB_EDENIED, "%s", f->text);
            return -1;
        }
        free(p->path);
        p->path = p->elsewhere;
        p->elsewhere = NULL;
    }
    rb_err_set(err, RB_EIO, "the links on the way to %.1000s lead round in a circle, or change all the time", first);
    return -1;
}

int rb_http_file_open(const struct rb_run *run, const char *path, char *name, struct rb_err *err)
{
    struct rb_file *f = rb_file_new(name ? RB_FILE_WRITE : RB_FILE_READ);
    struct rb_buf normal;
    const char *in_folder = NULL;
    int fd = -1;
    rb_buf_init(&normal, RB_FILE_PATH_MAX);
    f->as = name ? "save" : "body";
    f->refuse = rb_strdup(rb_store_path(run->host->store));
    if (!rb_file_normal("/", path, &normal, err)) {
        f->place.path = rb_strdup(rb_buf_text(&normal));
        fd = reach(run, f, &in_folder, err);
    }
    if (fd >= 0 && name)
        snprintf(name, 256, "%s", in_folder);
    rb_buf_release(&normal);
    rb_file_free(f);
    return fd;
}
