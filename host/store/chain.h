/* The hash chain of a run's events, and its verification (docs/journal.md gives the bytes). */
#ifndef RB_CHAIN_H
#define RB_CHAIN_H

#include "store/store.h"

/* hash = SHA-256(previous ‖ for each of run, seq, at, key, kind, data: 8-byte big-endian length ‖ bytes); seq and at as
 * decimal text; previous is 32 zero bytes for the first event. Writes ev->hash. */
void rb_chain_hash(const uint8_t previous[RB_SHA_LEN], const char *run, struct rb_event *ev);

struct rb_verdict {
    bool ok;
    int64_t events; /* how many were read */
    int64_t
        /* the first event that is bad or missing; 0 when the events are sound (then it is the row, a source, a blob, or
         * a head of another journal) */
        bad_seq;
    uint8_t head[RB_SHA_LEN];
    char what[RB_ERR_MAX]; /* a sentence: what is wrong, and what that means */
};
/* Checks numbering, hashes, the digests of every source and blob that the events name, and that the runs row is what
 * the events say. head (may be NULL): also that the chain contains this exported head at seq head_seq: a cut tail.
 * Returns 0 with verdict filled, or an error when it could not be read at all. */
int rb_chain_verify(struct rb_store *s, const char *run, int64_t head_seq, const uint8_t *head, struct rb_verdict *out,
                    struct rb_err *err);

#endif
