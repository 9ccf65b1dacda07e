/* The recorded events of a run, as replay needs them: the ordered ones in the order in which they are fed, and for each
 * key what is known of its operation. Knows no Lua. */
#ifndef RB_REPLAY_H
#define RB_REPLAY_H

#include "base/buf.h"
#include "base/jsonscan.h"
#include "base/strmap.h"
#include "store/store.h"

struct rb_recorded {
    int64_t seq, at;
    const char *key, *kind, *data; /* in the replay's own memory */
    size_t data_len;
    bool claimed;
};

struct rb_effect;

/* What the journal holds of one operation. */
struct rb_keyed {
    const struct rb_recorded *intent; /* the latest intent or wait event; NULL */
    int attempts;                     /* intents so far */
    const struct rb_recorded *result; /* the latest result that counts; NULL */
    const struct rb_recorded *voided; /* result that a retry has voided and that nothing has replaced; NULL */
    bool chosen;                      /* this retry sets its result aside */
    bool rerun;                       /* the retry named it: it runs again without being asked about */
    /* its latest intent, a repetition, was taken back: what it repeats may have run */
    bool twice;
    char *skip;                        /* the retry says that it counts as done, with this reason */
    const struct rb_recorded *resolve; /* decision on its doubt; NULL */
    const struct rb_recorded *doubt;   /* a person has been asked */
    struct rb_effect *pending;         /* the replayed script has called it and waits */
    bool effects;                      /* a memo: its body has started an effect */
    bool called;                       /* the replayed script has called it */
};

struct rb_replay {
    struct rb_recorded *events; /* all, by seq - 1 */
    size_t count, cap;
    int64_t *order; /* seqs of the ordered events, as they are fed */
    size_t ordered, order_cap, next;
    struct rb_strmap keys;         /* key → struct rb_keyed */
    struct rb_strmap signals_used; /* decimal id of each signal that an event has consumed */
    /* Tolerant: the replay of a retry. Events are claimed as they fit; `order` is rebuilt from what was claimed. */
    bool tolerant;
    /* "kind key" → the latest such ordered event that is no result; made for a tolerant replay */
    struct rb_strmap records;
    int64_t *claimed;
    size_t claimed_count, claimed_cap;
};

/* Reads all events of a run. */
int rb_replay_load(struct rb_replay *r, struct rb_store *store, const char *run, struct rb_err *err);
void rb_replay_release(struct rb_replay *r);

/* The next event to be fed; NULL at the end. In tolerant mode the first that is not claimed. */
struct rb_recorded *rb_replay_peek(struct rb_replay *r);
void rb_replay_claim(struct rb_replay *r, struct rb_recorded *ev);
struct rb_keyed *rb_replay_key(struct rb_replay *r, const char *key); /* NULL: nothing is recorded of it */
/* Tolerant: the unclaimed event of this kind and key, wherever it stands in the order; NULL. */
struct rb_recorded *rb_replay_find(struct rb_replay *r, const char *kind, const char *key);
/* A live event that was appended during the replay takes its place in the claimed order. */
void rb_replay_claim_live(struct rb_replay *r, int64_t seq);
struct rb_recorded *rb_replay_at(struct rb_replay *r, int64_t seq); /* NULL out of range */
/* The last event of a kind; NULL. */
struct rb_recorded *rb_replay_last(struct rb_replay *r, const char *kind);
/* Is this the end of a run, or of an undo, that was ended wherever its code just was, because it computed too long or
 * had no memory? Another time it may get further. */
bool rb_replay_ended_early(const struct rb_recorded *ev);
bool rb_replay_is_ordered(const char *kind);

/* Prepares a retry: leaves these results (seqs) out of the order and switches to tolerant mode. */
void rb_replay_void(struct rb_replay *r, const int64_t *seqs, size_t n);
/* After a tolerant replay: writes "keep" ranges and the "voided" seqs of a run.retry event. */
void rb_replay_write_retry(struct rb_replay *r, struct rb_buf *keep, struct rb_buf *voided);

#endif
