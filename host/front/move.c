/* Owns the events of a run's way from one journal to another. Copies nothing: the store does. */
#include "front/move.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "engine/run.h"
#include "store/chain.h"

static void event_data(struct rb_buf *data, const char *status, const char *field, const char *file, const char *was)
{
    struct rb_actor actor;
    struct rb_buf who;
    struct rb_json j;
    rb_actor_self(&actor);
    rb_buf_init(&who, 4096);
    rb_actor_json(&actor, &who);
    rb_json_init(&j, data);
    rb_json_object(&j);
    rb_json_ktext(&j, "status", status);
    rb_json_kraw(&j, "actor", rb_buf_text(&who), who.len);
    rb_json_key(&j, field);
    rb_json_string(&j, file, strlen(file));
    rb_json_ktext(&j, "was", was);
    rb_json_end_object(&j);
    rb_buf_release(&who);
}

int rb_move_mark(struct rb_store *s, const char *id, const char *status, const char *field, const char *file,
                 const char *was, struct rb_err *err)
{
    struct rb_run_row row = {0};
    struct rb_buf data;
    struct rb_err ignored;
    int rc = rb_store_claim_sync(s, id, &row, err);
    if (rc < 0)
        return rc;
    rb_buf_init(&data, 64 << 10);
    event_data(&data, status, field, file, was);
    struct rb_event ev = {row.seq + 1, rb_clock_wall(), "", "run.moved", rb_buf_text(&data), data.len, {0}};
    rb_chain_hash(row.head, row.id, &ev);
    struct rb_batch *b = rb_batch_new(row.id, row.epoch);
    rb_batch_event(b, &ev);
    rb_batch_row(b, status, NULL, NULL, -1, -1);
    rc = rb_store_append_sync(s, b, err);
    rb_store_disown_sync(s, row.id, row.epoch, &ignored);
    rb_buf_release(&data);
    rb_run_row_release(&row);
    return rc;
}

static int on_event(void *arg, const struct rb_event *ev)
{
    json_t *data;
    if (strcmp(ev->kind, "run.moved") != 0)
        return 0;
    data = json_loadb(ev->data, ev->data_len, JSON_ALLOW_NUL, NULL);
    const char *was = json_string_value(json_object_get(data, "was"));
    snprintf(arg, 24, "%s", was ? was : "parked");
    json_decref(data);
    return 0;
}

int rb_move_was(struct rb_store *s, const char *id, char out[24], struct rb_err *err)
{
    snprintf(out, 24, "parked");
    return rb_store_events(s, id, 0, on_event, out, err);
}
