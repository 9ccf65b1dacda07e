/* Owns the JSON stream of a run on standard output: a version line, every durable event, provisional output, an end
 * line. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "front/display.h"
#include "front/text.h"

#define STREAM_FORMAT 1 /* grows when a field changes its meaning; new fields and types do not count */

static void put(struct rb_buf *b)
{
    rb_cli_write(STDOUT_FILENO, rb_buf_text(b), b->len);
    rb_buf_release(b);
}

void rb_jsonout_time(struct rb_json *j, const char *key, int64_t wall_us)
{
    char at[32];
    if (!wall_us)
        return;
    rb_clock_format(wall_us, at);
    rb_json_ktext(j, key, at);
}

void rb_jsonout_lines(struct rb_json *j, const char *key, const char *lines)
{
    const char *line;
    size_t n;
    rb_json_key(j, key);
    rb_json_array(j);
    while (rb_text_next(&lines, &line, &n))
        rb_json_string(j, line, n);
    rb_json_end_array(j);
}

void rb_jsonout_version(struct rb_buf *out)
{
    struct rb_json j;
    rb_json_init(&j, out);
    rb_json_object(&j);
    rb_json_ktext(&j, "type", "version");
    rb_json_ktext(&j, "rbhost", RB_VERSION);
    rb_json_kint(&j, "format", STREAM_FORMAT);
    rb_json_end_object(&j);
    rb_buf_addc(out, '\n');
}

void rb_jsonout_event(struct rb_buf *out, const char *run, const struct rb_event *ev)
{
    struct rb_json j;
    char at[32];
    rb_clock_format(ev->at, at);
    rb_json_init(&j, out);
    rb_json_object(&j);
    rb_json_ktext(&j, "type", "event");
    rb_json_ktext(&j, "run", run);
    rb_json_kint(&j, "seq", ev->seq);
    rb_json_ktext(&j, "at", at);
    rb_json_ktext(&j, "key", ev->key);
    rb_json_ktext(&j, "kind", ev->kind);
    rb_json_kraw(&j, "data", ev->data, ev->data_len);
    rb_json_end_object(&j);
    rb_buf_addc(out, '\n');
}

static void on_event(struct rb_display *d, const struct rb_event *ev, struct rb_node *node, const json_t *data)
{
    struct rb_buf b;
    (void)node;
    (void)data;
    rb_buf_init(&b, SIZE_MAX / 2);
    rb_jsonout_event(&b, d->view->id, ev);
    put(&b);
}

static void on_output(struct rb_display *d, int64_t op, const char *key, int stream, const char *data, size_t n)
{
    struct rb_buf b;
    struct rb_json j;
    rb_buf_init(&b, SIZE_MAX / 2);
    rb_json_init(&j, &b);
    rb_json_object(&j);
    rb_json_ktext(&j, "type", "output");
    rb_json_ktext(&j, "run", d->view->id);
    rb_json_kint(&j, "op", op);
    rb_json_ktext(&j, "key", key);
    rb_json_kint(&j, "stream", stream);
    rb_json_key(&j, "data");
    rb_json_string(&j, data, n);
    rb_json_end_object(&j);
    rb_buf_addc(&b, '\n');
    put(&b);
}

static void on_end(struct rb_display *d, int exit_code, const char *next)
{
    struct rb_buf b;
    struct rb_json j;
    rb_buf_init(&b, 1 << 20);
    rb_json_init(&j, &b);
    rb_json_object(&j);
    rb_json_ktext(&j, "type", "end");
    rb_json_ktext(&j, "run", d->view->id);
    rb_json_ktext(&j, "status", d->view->status);
    rb_json_kint(&j, "exit", exit_code);
    rb_json_ktext(&j, "error", d->view->error);
    rb_json_ktext(&j, "waiting", d->view->waiting);
    rb_jsonout_lines(&j, "next", next);
    rb_json_end_object(&j);
    rb_buf_addc(&b, '\n');
    put(&b);
}

static void on_free(struct rb_display *d)
{
    free(d);
}

struct rb_display *rb_jsonout_new(struct rb_cli *cli, struct rb_view *view)
{
    struct rb_display *d = rb_alloc(sizeof(*d));
    struct rb_buf b;
    d->cli = cli;
    d->view = view;
    d->event = on_event;
    d->output = on_output;
    d->end = on_end;
    d->free = on_free;
    rb_buf_init(&b, 1024);
    rb_jsonout_version(&b);
    put(&b);
    return d;
}
