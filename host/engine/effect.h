/* The way of an operation (D3): key → look up in the journal → policy → intent, durable → start → outcome → journal →
 * resume. One path for all primitives; a primitive's code knows nothing of it.
 *
 * A primitive allocates its own struct that begins with a struct rb_effect, fills the first group of members, and ends
 * with `return rb_effect_call(L, &op->effect);`. */
#ifndef RB_EFFECT_H
#define RB_EFFECT_H

#include <jansson.h>

#include "base/buf.h"
#include "base/sha.h"
#include "engine/redact.h"
#include "engine/task.h"
#include "io/timer.h"
#include "store/journal.h"

enum rb_class {
    RB_CLASS_EFFECT, /* may change the world: an intent is durable before it starts */
    RB_CLASS_READ,   /* looks; nothing is written before it starts */
    RB_CLASS_WAIT,   /* time or a person: a `wait` event says what for and until when */
};

enum rb_on_doubt { RB_DOUBT_ASK, RB_DOUBT_RETRY, RB_DOUBT_FAIL, RB_DOUBT_FUNCTION };

enum rb_outcome { RB_OUTCOME_NONE, RB_OUTCOME_NOT_STARTED, RB_OUTCOME_FAILED, RB_OUTCOME_UNKNOWN };

enum rb_effect_state {
    RB_EFFECT_NEW,     /* called in this slice */
    RB_EFFECT_PENDING, /* called during replay; nothing is decided */
    RB_EFFECT_HELD,    /* the run is parking: it does not start */
    RB_EFFECT_QUEUED,  /* waits for a slot */
    RB_EFFECT_LOCATE,  /* type->locate finds out where it will start */
    RB_EFFECT_INTENT,  /* its intent is being made durable */
    RB_EFFECT_RUNNING,
    RB_EFFECT_DOUBT, /* a person or a function decides */
    RB_EFFECT_DONE,  /* its outcome is known */
};

struct rb_effect;
struct rb_recorded;
struct rb_limits;
struct rb_loop;

struct rb_effect_type {
    const char *kind; /* "exec" */
    bool slots;       /* counts against the limit of children at once */
    bool person;      /* only a person can end it: the run is `waiting` meanwhile */
    bool tells;       /* it only tells somebody: nothing that is looked at later rests on it */
    /* Live only, before the policy is asked and the intent written: can it go ahead at all? Non-zero: no, err says why
     * (kind: e->error_kind, else "usage"). NULL: yes. */
    int (*prepare)(struct rb_effect *e, struct rb_err *err);
    /* Of effects that leave a receipt where they run (D3 "Receipts"), all four or none; the start is then named by
     * rb_effect_receipt(). locate: finds out where it will start, before the intent is written, and ends with
     * rb_effect_located() or rb_effect_failed(), at once or later (a connection); cancel() may come meanwhile. */
    void (*locate)(struct rb_effect *e);
    /* In place of a doubt: what became of the start that e->place and rb_effect_receipt() name? Ends, also after
     * waiting for the end of what still runs, with rb_effect_done() or rb_effect_failed() as the start would have,
     * rb_effect_absent() or rb_effect_unsure(). cancel() may come meanwhile: it ends what runs. */
    void (*look)(struct rb_effect *e);
    /* The host leaves: what runs goes on without it. No call of the driver's may follow. False: it can not be left
     * (it is not under a receipt, or has not begun); it is ended as others are. */
    bool (*detach)(struct rb_effect *e);
    /* Its outcome is durable: the receipt `id` at `place` (JSON, as in the intent) has been collected. e is gone, or
     * about to go. */
    void (*recorded)(struct rb_loop *loop, const char *place, const char *id);
    /* Begins the work; on the loop, never inside a Lua call. Non-zero: it has not started, err says why. */
    int (*start)(struct rb_effect *e, struct rb_err *err);
    /* Ends it early; rb_effect_done() or rb_effect_failed() must follow soon. now: at once, without courtesy. */
    void (*cancel)(struct rb_effect *e, bool now);
    /* [-0, +1, m] the result of one that has ended. NULL: nil. */
    void (*push)(struct rb_effect *e, lua_State *L);
    /* [-0, +1, m] the result that "it was done" stands for, when a person says so, it is skipped or the run is dry.
     * NULL: nil. */
    void (*assume)(struct rb_effect *e, lua_State *L);
    /* [-0, +0, m] adds what else is known of a failure to the error table on top of the stack; NULL: nothing. */
    void (*explain)(struct rb_effect *e, lua_State *L);
    /* Of ops that a person or a signal ends; NULL for others. wants: does it wait for a signal of this name? decide:
     * kind approve, deny, answer or signal with its data (JSON object) and actor (JSON); RB_EINVAL, RB_EDENIED with a
     * sentence when it does not fit. */
    bool (*wants)(struct rb_effect *e, const char *name);
    int (*decide)(struct rb_effect *e, const char *kind, const char *data, const char *actor, int64_t signal,
                  struct rb_err *err);
    void (*free)(struct rb_effect *e); /* frees what is its own, and e */
};

struct rb_effect {
    /* Set by the primitive. */
    const struct rb_effect_type *type;
    enum rb_class cls;
    enum rb_on_doubt on_doubt;
    int doubt_ref; /* registry reference of the function, LUA_NOREF */
    bool idempotent, doubt_stated;
    bool secret;         /* the texts of its result are secrets: sealed.c */
    bool within_tx;      /* part of the database transaction that its task is in: allowed there */
    struct rb_buf args;  /* JSON object: what the journal, the prompt and the report show */
    struct rb_buf world; /* the bytes that reach the world: what the digest covers; empty: args */
    char *title;         /* or NULL; owned */
    int64_t until;       /* WAIT: wall clock µs at which it ends; 0 none */
    struct rb_buf reach; /* what it reaches, for the policy: rb_effect_reach() */
    bool receipt;        /* it leaves one: type->locate and the others are asked */
    bool real;           /* a wait that takes its time in a dry run, too */

    /* Set by effect.c. */
    struct rb_effect **box; /* the userdata that owns it until the call */
    struct rb_list link, done_link, slot_link;
    struct rb_run *run;
    struct rb_task *task;
    enum rb_effect_state state;
    char *key;
    char where[160];
    char digest[RB_SHA_HEX];
    int64_t n; /* number of the op: the seq of its intent or wait, 0 for a read until its result */
    int attempt;
    struct rb_buf place; /* JSON object of where it starts: what the intent has of it; empty without a receipt */
    bool has_slot;
    bool detached;  /* HELD: it runs on without the host */
    bool looking;   /* RUNNING, but somebody else started it: type->look */
    char *unsure;   /* why its receipt does not say what became of it; NULL */
    char *decision; /* a person's on its doubt, while it is looked for: JSON of the resolve event; NULL */
    bool again;     /* a doubt was settled as "retry": an earlier start may have done something */
    bool cancel_wanted, stop_sent, cut;
    struct rb_task *doubt_task; /* runs the on_doubt function */
    int64_t doubt_call;         /* seq of its doubt.call event */
    char doubt_says[8];         /* what it returned: done, retry, fail, ask; "" */
    bool twice;                 /* may have run twice: on_doubt = retry */
    struct rb_durable durable;
    struct rb_timer grace;
    int64_t started;                 /* rb_clock_boot() */
    struct rb_redact_stream live[2]; /* output that is held back: perhaps the beginning of a secret */

    /* The outcome. */
    bool ok;
    char error_kind[32];
    char *error_message;
    enum rb_outcome outcome;
    bool retryable;
    bool error_has_result; /* type->push gives error.result */
    const char *as;        /* "done", "skip", "dry": a person's or a rule's word instead of the world's; NULL */
    struct rb_buf decided; /* JSON of the value that came with the decision; empty: type->assume */
    struct rb_buf actor;   /* JSON of who decided; empty */
    int64_t signal;        /* id of the signal that brought it; 0 */
    int value_ref;         /* registry: the value or the error for the task */
};

/* Allocates size zeroed bytes that begin with an rb_effect, boxed in a userdata on top of L's stack so that a Lua error
 * frees it. */
void *rb_effect_new(lua_State *L, size_t size, const struct rb_effect_type *type, enum rb_class cls);

/* [-*, +?, e] takes the effect out of its box. Last call of a primitive: `return rb_effect_call(L, e);` */
int rb_effect_call(lua_State *L, struct rb_effect *e);

/* The same with a key that was made already (copied). */
int rb_effect_call_at(lua_State *L, struct rb_effect *e, const char *key);

/* [-0, +1, m] a buffer that Lua frees, whatever is raised meanwhile. */
struct rb_buf *rb_effect_buf(lua_State *L, size_t max);

/* Reads the options that every op takes (timeout is the primitive's): title, read, idempotent, secret, on_doubt from
 * the table at index. */
void rb_effect_options(lua_State *L, int index, struct rb_effect *e);

/* Says that the op reaches this: kind as in the header's `allow` ("exec", "http", "sql", "file", "notify"), name as
 * policy.h has it for that kind. All that is said must be allowed, or the op is refused before its intent (kind
 * `policy`). */
void rb_effect_reach(struct rb_effect *e, const char *kind, const char *name, size_t len);

/* -- for drivers' callbacks, on the loop --------------------------------------------------------------------------- */
void rb_effect_done(struct rb_effect *e);
void rb_effect_failed(struct rb_effect *e, const char *kind, enum rb_outcome outcome, bool has_result, const char *fmt,
                      ...) RB_PRINTF(5, 6);
/* Of those with a receipt. located: place is a JSON object that the intent keeps; empty (len 0): it starts without a
 * receipt after all. absent: it has certainly never started, and never will. unsure: nobody can know; it is in
 * doubt. */
void rb_effect_located(struct rb_effect *e, const char *place, size_t len);
void rb_effect_absent(struct rb_effect *e);
void rb_effect_unsure(struct rb_effect *e, const char *why);
/* The name of its receipt, unique to this start: "<run>-<number of the intent>". */
#define RB_RECEIPT_MAX 96
void rb_effect_receipt(const struct rb_effect *e, char out[RB_RECEIPT_MAX]);
bool rb_effect_watched(const struct rb_effect *e); /* is anybody there to see live output? */
struct rb_loop *rb_effect_loop(const struct rb_effect *e);
const struct rb_limits *rb_effect_limits(const struct rb_effect *e);
/* A member of the configuration, borrowed; NULL when it is not there. Shape: front/config.h. */
const json_t *rb_effect_config(const struct rb_effect *e, const char *key);
const char *rb_effect_journal(const struct rb_effect *e); /* the file of the run's journal */
/* The attempt that this one is, or that it repeats because nobody knows whether it has happened. */
int rb_effect_attempt(const struct rb_effect *e);
/* Gives it the oldest signal of this name that has come already. */
bool rb_effect_take_letter(struct rb_effect *e, const char *name);
/* Live output, to whoever watches; secrets are taken out here. stream is 1 or 2. */
void rb_effect_output(struct rb_effect *e, int stream, const char *data, size_t len);

/* -- for run.c ----------------------------------------------------------------------------------------------------- */
void rb_effect_open(struct rb_effect *e);           /* live: goes its way from here */
void rb_effect_settle_pending(struct rb_effect *e); /* at the end of a replay: in doubt, or open */
void rb_effect_continue(struct rb_effect *e);       /* a wait that was recorded: goes on without a new event */
void rb_effect_deliver(struct rb_effect *e);        /* journal the outcome, then wake the task */
/* a recorded result; RB_ENOENT: nobody waits for it */
int rb_effect_feed(struct rb_run *run, struct rb_recorded *ev, struct rb_err *err);
void rb_effect_cancel(struct rb_effect *e, bool now);
/* The host leaves: what runs under a receipt goes on without it (e->detached); the others stay as they are. */
void rb_effect_detach(struct rb_effect *e);
void rb_effect_decide_done(struct rb_effect *e, const char *as, const char *value, size_t value_len,
                           const char *actor_json, int64_t signal);
/* A decision on a doubt: as is done, retry or fail. */
void rb_effect_resolve(struct rb_effect *e, const char *as, const char *value, size_t len, const char *actor,
                       int64_t signal);
/* A person has decided, and it is still being looked for: an outcome that is found counts, else this. False: it is
 * not. */
bool rb_effect_decide_later(struct rb_effect *e, const char *resolve_json);
void rb_effect_rerun(struct rb_effect *e); /* a doubt was settled as "retry" */
/* a recorded doubt.call: the function runs again */
int rb_effect_feed_doubt(struct rb_run *run, struct rb_recorded *ev);
void rb_effect_doubt_ended(struct rb_effect *e); /* its doubt_task has ended */
void rb_effect_free(struct rb_effect *e);
/* The op number n of the run; NULL when it is not open. */
struct rb_effect *rb_effect_find(struct rb_run *run, int64_t n);

#endif
