/* Owns what outlives an op of ssh: where its command was started, as the intent keeps it, and receipts over there that
 * are not needed any more. They are emptied together, a moment after the first of them, and only while a connection
 * stands: nobody is called for that. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/jsonscan.h"
#include "bind/bind_ssh.h"

#define BATCH_MAX 64
#define LINGER_MS 100
#define PATIENCE_MS 1500 /* when the host ends */

/* -- the place ----------------------------------------------------------------------------------------------------- */

void rb_ssh_place_write(const struct ssh_where *w, const struct rb_far_place *place, struct rb_buf *json)
{
    struct rb_json j;
    rb_json_init(&j, json);
    rb_json_object(&j);
    rb_json_ktext(&j, "host", w->host);
    rb_json_ktext(&j, "user", w->user);
    if (w->port)
        rb_json_kint(&j, "port", w->port);
    rb_json_ktext(&j, "identity", w->identity);
    rb_json_ktext(&j, "jump", w->jump);
    rb_json_ktext(&j, "config", w->config);
    rb_json_ktext(&j, "root", place->root);
    rb_json_ktext(&j, "boot", place->boot);
    rb_json_ktext(&j, "machine", place->machine);
    rb_json_ktext(&j, "login", place->user);
    rb_json_end_object(&j);
}

static char *text_of(const json_t *o, const char *key)
{
    return rb_strdup(json_string_value(json_object_get(o, key)));
}

static bool copy(const json_t *o, const char *key, char *out, size_t n)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s && (size_t)snprintf(out, n, "%s", s) < n;
}

int rb_ssh_place_read(const char *json, size_t len, struct ssh_where *w, struct rb_far_place *place, struct rb_err *err)
{
    json_t *o = json_loadb(json, len, 0, NULL);
    *w = (struct ssh_where){.host = text_of(o, "host"),
                            .user = text_of(o, "user"),
                            .identity = text_of(o, "identity"),
                            .jump = text_of(o, "jump"),
                            .config = text_of(o, "config"),
                            .port = (int)json_integer_value(json_object_get(o, "port"))};
    *place = (struct rb_far_place){0};
    bool whole = w->host && copy(o, "root", place->root, sizeof(place->root)) &&
                 copy(o, "boot", place->boot, sizeof(place->boot)) &&
                 copy(o, "machine", place->machine, sizeof(place->machine)) &&
                 copy(o, "login", place->user, sizeof(place->user));
    json_decref(o);
    return whole ? RB_OK : rb_err_set(err, RB_ECORRUPT, "the intent does not say where the command was started");
}

/* -- receipts that may go ------------------------------------------------------------------------------------------ */

/* Of one place. */
struct batch {
    struct rb_list link;
    struct keeper *keeper;
    char *place;              /* JSON */
    char *ids[BATCH_MAX + 1]; /* NULL at the end */
    size_t n;
    struct rb_timer timer;
};

/* One in a loop. */
struct keeper {
    struct rb_loop_guest guest;
    struct rb_loop *loop;
    struct rb_list batches;
    int asked; /* that are on their way */
    bool released;
    struct rb_timer patience;
};

static void batch_free(struct batch *b)
{
    rb_timer_disarm(&b->timer);
    rb_list_remove(&b->link);
    for (size_t i = 0; i < b->n; i++)
        free(b->ids[i]);
    free(b->place);
    free(b);
}

static void release(struct rb_loop_guest *g);
static void forget(struct batch *b);

static void on_impatient(struct rb_timer *t)
{
    (void)t; /* release() sees that it is over */
}

static struct keeper *keeper_of(struct rb_loop *loop)
{
    struct rb_loop_guest *g = rb_loop_guest_find(loop, release);
    if (g)
        return RB_CONTAINER(g, struct keeper, guest);
    struct keeper *k = rb_alloc(sizeof(*k));
    k->guest.release = release;
    k->loop = loop;
    rb_list_init(&k->batches);
    rb_timer_init(&k->patience, loop, on_impatient);
    rb_loop_guest_add(loop, &k->guest);
    return k;
}

static void on_forgotten(void *arg, const struct ssh_said *said)
{
    struct keeper *k = arg;
    (void)said; /* what was not emptied is swept when it is old */
    if (--k->asked == 0 && k->released)
        free(k);
}

static void forget(struct batch *b)
{
    struct ssh_where w;
    struct rb_far_place place;
    struct rb_far_request r = {0};
    struct rb_err err;
    if (!rb_ssh_place_read(b->place, strlen(b->place), &w, &place, &err)) {
        struct rb_ssh_target target = rb_ssh_where_target(&w);
        bool over = rb_json_member_true(b->place, strlen(b->place), "over");
        if (rb_ssh_stands(b->keeper->loop, &target) &&
            !rb_far_forget(&place, (const char *const *)b->ids, over, &r, &err) &&
            rb_ssh_say(b->keeper->loop, &target, &r, on_forgotten, b->keeper, &err))
            b->keeper->asked++;
    }
    rb_ssh_where_release(&w);
    batch_free(b);
}

/* The host ends. What commands have said shall not lie there for days, so it waits a moment for the last of them. */
static void release(struct rb_loop_guest *g)
{
    struct keeper *k = RB_CONTAINER(g, struct keeper, guest);
    while (!rb_list_empty(&k->batches))
        forget(RB_CONTAINER(k->batches.next, struct batch, link));
    if (k->asked)
        rb_timer_arm_ms(&k->patience, PATIENCE_MS);
    while (k->asked && rb_timer_armed(&k->patience))
        uv_run(&k->loop->uv, UV_RUN_ONCE);
    rb_timer_disarm(&k->patience);
    k->released = true;
    if (!k->asked)
        free(k);
}

static void on_time(struct rb_timer *t)
{
    forget(RB_CONTAINER(t, struct batch, timer));
}

static struct batch *batch_of(struct keeper *k, const char *place)
{
    RB_LIST_EACH (it, &k->batches) {
        struct batch *b = RB_CONTAINER(it, struct batch, link);
        if (strcmp(b->place, place) == 0)
            return b;
    }
    struct batch *b = rb_alloc(sizeof(*b));
    b->keeper = k;
    b->place = rb_strdup(place);
    rb_timer_init(&b->timer, k->loop, on_time);
    rb_list_push(&k->batches, &b->link);
    return b;
}

void rb_ssh_place_over(struct rb_buf *json)
{
    if (json->len && json->data[json->len - 1] == '}') {
        json->len--;
        rb_buf_adds(json, ",\"over\":true}");
    }
}

void rb_ssh_recorded(struct rb_loop *loop, const char *place, const char *id)
{
    struct batch *b = batch_of(keeper_of(loop), place);
    b->ids[b->n++] = rb_strdup(id);
    if (b->n == BATCH_MAX)
        forget(b);
    else if (!rb_timer_armed(&b->timer))
        rb_timer_arm_ms(&b->timer, LINGER_MS);
}
