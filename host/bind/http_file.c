/* Owns which files a request wants, and in which order they are reached for. */
#include "bind/http_file.h"

#include <stdlib.h>
#include <string.h>

#include "bind/reach_file.h"
#include "io/timer.h"

#define PEM_MAX ((size_t)4 << 20)

enum slot { BODY, SAVE, CA, CERT, KEY, SOCKET, PARTS };

struct rb_http_opening {
    struct rb_effect *effect; /* borrowed, with the request, until it is left */
    struct rb_http_request *request;
    struct rb_http_files files;
    enum slot slot;
    struct rb_http_file *part; /* of the multipart body */
    size_t parts_size;
    struct rb_reach_file *reach; /* on its way */
    struct rb_timer limit;
    rb_http_opened_fn *on_opened;
    void *arg;
};

bool rb_http_wants_files(const struct rb_http_request *r)
{
    return r->body_file || r->save || r->ca_file || r->cert_file || r->key_file || r->unix_socket || r->files;
}

static void destroy(struct rb_http_opening *o)
{
    rb_timer_disarm(&o->limit);
    rb_http_files_release(&o->files);
    free(o);
}

void rb_http_opening_leave(struct rb_http_opening *o)
{
    if (o->reach)
        rb_reach_file_leave(o->reach);
    destroy(o);
}

static void fail(struct rb_http_opening *o, int rc, const char *message)
{
    o->on_opened(o->arg, NULL, rc == RB_EDENIED ? "policy" : "io", message);
    destroy(o);
}

/* -- one file ------------------------------------------------------------------------------------------------------ */

static const char *path_of(const struct rb_http_opening *o)
{
    const struct rb_http_request *r = o->request;
    const char *const paths[] = {
        r->body_file, r->save, r->ca_file, r->cert_file, r->key_file, r->unix_socket, o->part ? o->part->path : NULL};
    return paths[o->slot];
}

static void on_reached(void *arg, struct rb_file *f, int rc, const char *message);

static int begin(struct rb_http_opening *o, struct rb_err *err)
{
    static const char *const names[] = {"body", "save", "tls.ca", "tls.cert", "tls.key", "unix", "body"};
    static const enum rb_file_verb verbs[] = {RB_FILE_OPEN, RB_FILE_BEGIN, RB_FILE_READ, RB_FILE_READ,
                                              RB_FILE_READ, RB_FILE_STAT,  RB_FILE_READ};
    struct rb_file *f = rb_file_new(verbs[o->slot]);
    f->as = names[o->slot];
    f->follow = true; /* of the socket */
    f->max = o->slot == PARTS ? RB_HTTP_PARTS_MAX - o->parts_size : PEM_MAX;
    return rb_reach_file(o->effect, f, "file", path_of(o), on_reached, o, &o->reach, err);
}

/* -- all of them --------------------------------------------------------------------------------------------------- */

/* Goes to the next file that is wanted; false: there is none. */
static bool advance(struct rb_http_opening *o)
{
    while (o->slot < PARTS) {
        o->slot++;
        if (o->slot == PARTS)
            o->part = o->request->files;
        if (path_of(o))
            return true;
    }
    o->part = o->part ? o->part->next : NULL;
    return o->part != NULL;
}

static struct rb_buf take_content(struct rb_file *f)
{
    struct rb_buf b = f->content;
    rb_buf_init(&f->content, SIZE_MAX / 2);
    return b;
}

static void take(struct rb_http_opening *o, struct rb_file *f)
{
    struct rb_http_files *to = &o->files;
    switch (o->slot) {
    case BODY:
        to->body_fd = f->fd;
        to->body_size = (int64_t)f->st.st_size;
        f->fd = -1;
        break;
    case SAVE:
        to->save_dir = f->fd;
        to->save_fd = f->temp_fd;
        to->save_name = rb_strdup(f->name);
        to->save_part = rb_strdup(f->temp);
        f->fd = f->temp_fd = -1;
        break;
    case CA: to->ca = take_content(f); break;
    case CERT: to->cert = take_content(f); break;
    case KEY: to->key = take_content(f); break;
    case SOCKET: /* or nothing is there, which connecting will say */
        to->socket = f->place.path;
        f->place.path = NULL;
        break;
    case PARTS:
        o->parts_size += f->content.len;
        o->part->content = take_content(f);
        break;
    }
}

static void on_reached(void *arg, struct rb_file *f, int rc, const char *message)
{
    struct rb_http_opening *o = arg;
    struct rb_err err = {0};
    o->reach = NULL;
    if (!rc) {
        take(o, f);
        if (!advance(o)) {
            rb_http_request_join(o->request);
            o->on_opened(o->arg, &o->files, NULL, NULL);
            destroy(o);
            return;
        }
        rc = begin(o, &err);
        message = err.msg;
    }
    if (rc)
        fail(o, rc, message);
}

static void on_limit(struct rb_timer *t)
{
    struct rb_http_opening *o = RB_CONTAINER(t, struct rb_http_opening, limit);
    struct rb_err err = {0};
    rb_err_set(&err, RB_EIO, "the disk of %.1000s does not answer within %.3gs", path_of(o),
               (double)o->request->timeout_ms / 1000);
    rb_http_opened_fn *on_opened = o->on_opened;
    void *arg = o->arg;
    rb_http_opening_leave(o);
    on_opened(arg, NULL, "timeout", err.msg);
}

int rb_http_open_files(struct rb_effect *e, struct rb_http_request *r, rb_http_opened_fn *on_opened, void *arg,
                       struct rb_http_opening **out, struct rb_err *err)
{
    struct rb_http_opening *o = rb_alloc(sizeof(*o));
    o->effect = e;
    o->request = r;
    o->on_opened = on_opened;
    o->arg = arg;
    rb_http_files_init(&o->files);
    rb_timer_init(&o->limit, rb_effect_loop(e), on_limit);
    if (!r->body_file)
        advance(o);
    int rc = begin(o, err);
    if (rc) {
        destroy(o);
        return rc == RB_EDENIED ? rc : RB_EIO;
    }
    if (r->timeout_ms)
        rb_timer_arm_ms(&o->limit, r->timeout_ms);
    *out = o;
    return RB_OK;
}
