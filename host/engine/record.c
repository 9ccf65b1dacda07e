/* Owns the events that are written in the middle of a slice, without waiting: what a script prints, notes, pins. A
 * replay claims them at the same place, which also shows that it has taken the same way. */
#include <string.h>

#include "engine/core.h"
#include "engine/error.h"

static int diverge(lua_State *L, struct rb_run *run, const char *key, const char *kind, const char *data, size_t len,
                   const struct rb_recorded *ev)
{
    char where[160];
    if (!run->replay.tolerant && rb_replay_ended_early(ev)) {
        run->vm.dead = RB_VM_BUDGET; /* nothing catches this; turn.c goes on from the recorded end */
        return rb_vm_raise_dead(L);
    }
    rb_vm_where(L, where, sizeof(where));
    rb_run_fail_internal(run, "nondeterminism",
                         "the runbook has taken another way than the journal of this run records. The journal's event "
                         "%lld is %s of \"%s\": %.*s; now it is %s of "
                         "\"%s\" at %s: %.*s. What a runbook does may depend only on its parameters and on results of "
                         "operations. Nothing was started; see `rbhost log %s`",
                         (long long)ev->seq, ev->kind, ev->key, ev->data_len > 300 ? 300 : (int)ev->data_len, ev->data,
                         kind, key, where, len > 300 ? 300 : (int)len, data, run->id);
    return rb_error_raise(L, "nondeterminism", "not_started",
                          "the runbook has taken another way than its journal records");
}

static int64_t append(struct rb_run *run, const char *key, const char *kind, const char *data, size_t len)
{
    int64_t seq = rb_journal_append(run->journal, key, kind, data, len);
    if (run->mode == RB_RUN_REPLAY && run->replay.tolerant)
        rb_replay_claim_live(&run->replay, seq);
    return seq;
}

int64_t rb_record_event(lua_State *L, struct rb_run *run, const char *key, const char *kind, const char *data,
                        size_t len)
{
    struct rb_replay *r = &run->replay;
    if (run->mode != RB_RUN_REPLAY)
        return append(run, key, kind, data, len);
    struct rb_recorded *ev = r->tolerant ? rb_replay_find(r, kind, key) : rb_replay_peek(r);
    bool same = ev && strcmp(ev->kind, kind) == 0 && strcmp(ev->key, key) == 0 &&
                ((ev->data_len == len && memcmp(ev->data, data, len) == 0) ||
                 rb_secret_same(run, ev->data, ev->data_len, data, len));
    if (!ev || (!same && r->tolerant))
        return append(run, key, kind, data, len);
    if (!same)
        return diverge(L, run, key, kind, data, len, ev);
    rb_replay_claim(r, ev);
    return ev->seq;
}

struct rb_recorded *rb_record_pinned(lua_State *L, struct rb_run *run, const char *key, const char *op)
{
    struct rb_replay *r = &run->replay;
    if (run->mode != RB_RUN_REPLAY)
        return NULL;
    struct rb_recorded *ev = r->tolerant ? rb_replay_find(r, "record", key) : rb_replay_peek(r);
    if (!ev)
        return NULL;
    if (strcmp(ev->kind, "record") != 0 || strcmp(ev->key, key) != 0 ||
        !rb_json_member_is(ev->data, ev->data_len, "op", op)) {
        if (r->tolerant)
            return NULL;
        diverge(L, run, key, op, "", 0, ev);
    }
    rb_replay_claim(r, ev);
    return ev;
}
