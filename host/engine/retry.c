/* Owns the choice of what a retry sets aside (D3 "Parked, cancelled, failed"): the outcomes that ended the run. Every
 * success is kept. What is set aside runs again; where the outcome was unknown, only after the decision that its class
 * asks for, unless a person named the op. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/core.h"

struct choice {
    struct rb_run *run;
    int64_t *seqs;
    size_t n;
};

static int64_t number_of(const struct rb_recorded *ev)
{
    return rb_json_member_int(ev->data, ev->data_len, "n", ev->seq);
}

static bool error_is(const struct rb_recorded *ev, const char *member, const char *word)
{
    struct rb_slice error = rb_json_member(ev->data, ev->data_len, "error");
    return error.p && rb_json_member_is(error.p, error.n, member, word);
}

static void set_aside(struct choice *c, const struct rb_recorded *ev, struct rb_keyed *k, bool named)
{
    if (k->chosen)
        return;
    k->chosen = true;
    k->rerun = named || !error_is(ev, "outcome", "unknown");
    c->seqs[c->n++] = ev->seq;
}

/* Calls fn for each result that counts today. */
static void each_result(struct choice *c,
                        void (*fn)(struct choice *c, const struct rb_recorded *ev, struct rb_keyed *k, const void *arg),
                        const void *arg)
{
    struct rb_replay *r = &c->run->replay;
    for (size_t i = 0; i < r->count; i++) {
        const struct rb_recorded *ev = &r->events[i];
        struct rb_keyed *k = strcmp(ev->kind, "result") == 0 ? rb_replay_key(r, ev->key) : NULL;
        if (k && k->result == ev)
            fn(c, ev, k, arg);
    }
}

static void if_number(struct choice *c, const struct rb_recorded *ev, struct rb_keyed *k, const void *arg)
{
    if (number_of(ev) == *(const int64_t *)arg)
        set_aside(c, ev, k, true);
}

static void if_failing(struct choice *c, const struct rb_recorded *ev, struct rb_keyed *k, const void *arg)
{
    size_t i;
    const json_t *n;
    if (rb_json_member_true(ev->data, ev->data_len, "ok"))
        return;
    json_array_foreach((json_t *)(uintptr_t)arg, i, n)
    {
        if (json_integer_value(n) == number_of(ev))
            set_aside(c, ev, k, false);
    }
}

/* A result that there was no memory for: what was done is not known to the runbook. */
static void if_no_memory(struct choice *c, const struct rb_recorded *ev, struct rb_keyed *k, const void *arg)
{
    (void)arg;
    if (error_is(ev, "kind", "memory") || error_is(ev, "kind", "result"))
        set_aside(c, ev, k, false);
}

/* Where a step judged by itself (a check that returned false, fail()), it looks again: its reads are set aside. */
static void if_read_below(struct choice *c, const struct rb_recorded *ev, struct rb_keyed *k, const void *arg)
{
    size_t len = strlen(arg);
    if (!k->intent && strncmp(ev->key, arg, len) == 0 && ev->key[len] == '/')
        set_aside(c, ev, k, true);
}

/* for what the code did; a retry takes the way again as far as it is recorded */
static bool ended_by_itself(const json_t *end)
{
    static const char *const kinds[] = {"nondeterminism", "budget", "memory", "internal", "journal"};
    const char *kind = json_string_value(json_object_get(json_object_get(end, "error"), "kind"));
    for (size_t i = 0; kind && i < RB_COUNT(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

int rb_retry_choose(struct rb_run *run, int64_t op, int64_t **seqs, size_t *n, struct rb_err *err)
{
    struct choice c = {.run = run, .seqs = rb_alloc((run->replay.count + 1) * sizeof(*c.seqs))};
    const struct rb_recorded *ev = rb_replay_last(&run->replay, "run.end");
    json_t *end = ev ? json_loadb(ev->data, ev->data_len, JSON_ALLOW_NUL, NULL) : NULL;
    const json_t *step;
    size_t i;
    int rc = RB_OK;
    if (op) {
        each_result(&c, if_number, &op);
        if (!c.n)
            rc =
                rb_err_set(err, RB_EINVAL,
                           "operation #%lld of run %s has no outcome that a retry could set aside; `rbhost show -v %s` "
                           "lists the operations",
                           (long long)op, run->id, run->id);
    } else {
        each_result(&c, if_failing, json_object_get(end, "failing"));
        each_result(&c, if_no_memory, NULL);
        json_array_foreach(json_object_get(end, "failing_steps"), i, step)
            each_result(&c, if_read_below, json_string_value(step));
        const char *status = json_string_value(json_object_get(end, "status"));
        const struct rb_recorded *cancel =
            status && strcmp(status, "timed_out") == 0 ? rb_replay_last(&run->replay, "cancel") : NULL;
        if (cancel) /* and with it what it has cancelled */
            c.seqs[c.n++] = cancel->seq;
        if (!c.n && end && !ended_by_itself(end))
            rc = rb_err_set(
                err, RB_EINVAL,
                "run %s failed by a line of the runbook itself, not by an operation: a retry would take the same way "
                "again. Mend the "
                "runbook and start a new run; `rbhost show %s` names the line. `--op N` looks at operation N again",
                run->id, run->id);
    }
    json_decref(end);
    *seqs = c.seqs;
    *n = c.n;
    return rc;
}
