/* Owns batches: events, blobs and new values of a run's row on their way to a store. Knows no database and no
 * thread. */
#include "store/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/chain.h"

struct rb_batch *rb_batch_new(const char *run, int64_t epoch)
{
    struct rb_batch *b = rb_alloc(sizeof(*b));
    rb_list_init(&b->job.link);
    rb_list_init(&b->mine);
    snprintf(b->run, sizeof(b->run), "%s", run);
    b->epoch = epoch;
    b->events_end = &b->events;
    b->blobs_end = &b->blobs;
    return b;
}

void rb_batch_event(struct rb_batch *b, const struct rb_event *ev)
{
    size_t key = strlen(ev->key) + 1, kind = strlen(ev->kind) + 1;
    struct rb_batch_event *e = rb_alloc(sizeof(*e) + key + kind + ev->data_len + 1);
    e->ev = *ev;
    e->ev.key = memcpy(e->text, ev->key, key);
    e->ev.kind = memcpy(e->text + key, ev->kind, kind);
    e->ev.data = e->text + key + kind;
    if (ev->data_len)
        memcpy(e->text + key + kind, ev->data, ev->data_len);
    b->largest = ev->data_len > b->largest ? ev->data_len : b->largest;
    *b->events_end = b->last = e;
    b->events_end = &e->next;
}

static void add_blob(struct rb_batch *b, const char *name, const char *digest, const void *data, size_t len)
{
    struct rb_batch_blob *blob = rb_alloc(sizeof(*blob) + len);
    snprintf(blob->digest, sizeof(blob->digest), "%s", digest);
    blob->name = rb_strdup(name);
    blob->len = len;
    if (len)
        memcpy(blob->data, data, len);
    b->largest = len > b->largest ? len : b->largest;
    *b->blobs_end = blob;
    b->blobs_end = &blob->next;
}

void rb_batch_blob(struct rb_batch *b, const char *digest, const void *data, size_t len)
{
    add_blob(b, NULL, digest, data, len);
}

void rb_batch_source(struct rb_batch *b, const char *name, const char *digest, const void *data, size_t len)
{
    add_blob(b, name, digest, data, len);
}

static void replace_text(char **slot, const char *text)
{
    if (!text)
        return;
    free(*slot);
    *slot = rb_strdup(text);
}

void rb_batch_row(struct rb_batch *b, const char *status, const char *waiting, const char *error, int64_t ended,
                  int64_t wake)
{
    if (!b->row) {
        b->row = true;
        b->ended = b->wake = -1;
    }
    replace_text(&b->status, status);
    replace_text(&b->waiting, waiting);
    replace_text(&b->error, error);
    if (ended >= 0)
        b->ended = ended;
    if (wake >= 0)
        b->wake = wake;
}

void rb_batch_rename(struct rb_batch *b, const char *run, uint8_t head[RB_SHA_LEN])
{
    memset(head, 0, RB_SHA_LEN);
    snprintf(b->run, sizeof(b->run), "%s", run);
    for (struct rb_batch_event *e = b->events; e; e = e->next) {
        rb_chain_hash(head, b->run, &e->ev);
        memcpy(head, e->ev.hash, RB_SHA_LEN);
    }
}

void rb_batch_free(struct rb_batch *b)
{
    if (!b)
        return;
    for (struct rb_batch_event *e = b->events, *next; e; e = next) {
        next = e->next;
        free(e);
    }
    for (struct rb_batch_blob *blob = b->blobs, *next; blob; blob = next) {
        next = blob->next;
        free(blob->name);
        free(blob);
    }
    if (b->create)
        rb_run_row_release(b->create);
    free(b->create);
    free(b->status);
    free(b->waiting);
    free(b->error);
    if (!b->job.sync)
        free(b->job.err);
    free(b);
}
