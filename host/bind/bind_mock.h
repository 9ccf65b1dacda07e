/* Tests of runbooks: the run of a file of tests (the bench), and the runs of runbooks that it rehearses. A rehearsal is
 * a run as any other, with the engine's steps, checks, retries and compensations; only what would reach the world waits
 * for the bench's answer instead, and its clock goes on when all of it waits for time. */
#ifndef RB_BIND_MOCK_H
#define RB_BIND_MOCK_H

#include "base/buf.h"
#include "engine/run.h"
#include "engine/stage.h"
#include "loop/loop.h"

struct rb_bench;
struct rb_rehearsal;

/* -- the bench, for front/ ----------------------------------------------------------------------------------------- */

struct rb_bench_options {
    struct rb_host *host; /* of all its runs, without a configuration */
    struct rb_loop *loop;
    const char *luaunit;   /* the text of LuaUnit */
    const char *plan_json; /* {"only": pattern, "done": [names of tests that are not called again]} */
    /* What the tests tell: {"what":"test"|"end"|"print"|"load", …} as rt/test.lua has it; borrowed. */
    void (*on_report)(void *arg, const char *json, size_t len);
    void (*on_quiet)(void *arg);   /* after rb_bench_stop() */
    void (*on_outside)(void *arg); /* rb_bench_outside() is to be called, where the loop does not run */
    void *arg;
};

/* The texts are borrowed for its life. */
struct rb_bench *rb_bench_new(const struct rb_bench_options *opt);
struct rb_stage *rb_bench_stage(struct rb_bench *b); /* for the run of the file of tests */
/* Goes on with the rehearsals of which a test wishes it: a run is claimed outside of the loop only. */
void rb_bench_outside(struct rb_bench *b);
/* Ends the rehearsals that are left. True: none is; else on_quiet follows. */
bool rb_bench_stop(struct rb_bench *b);
void rb_bench_free(struct rb_bench *b); /* its run and all rehearsals have stopped */

/* -- between bind_mock.c and bind_mock_bench.c --------------------------------------------------------------------- */

/* Of the rehearsal, on the loop: a call waits for an answer, or it has ended. */
typedef void rb_rehearsal_fn(void *arg);

struct rb_rehearsal_options {
    struct rb_host *host;
    struct rb_loop *loop;
    /* copied where they are kept */
    const char *file, *params_json, *secrets_json, *groups_json, *env_json, *actor, *limit;
    int64_t clock; /* µs */
    bool dry;
    rb_rehearsal_fn *on_news, *on_stopped;
    void *arg;
};

/* Starts the runbook. NULL, with the reason, when it does not start. */
struct rb_rehearsal *rb_rehearsal_new(const struct rb_rehearsal_options *opt, struct rb_err *err);
/* Goes on with one that has ended: its compensations, or once more from where it failed. */
int rb_rehearsal_again(struct rb_rehearsal *r, bool undo, struct rb_err *err);
/* The next that the bench has to know, as JSON: a call, or the end with all events. False: nothing yet. */
bool rb_rehearsal_next(struct rb_rehearsal *r, struct rb_buf *json);
/* [-0, +0, e] the answer to call n: a table as rt/mock.lua gives it. */
void rb_rehearsal_answer(lua_State *L, int index, struct rb_rehearsal *r, int64_t n);
void rb_rehearsal_stop(struct rb_rehearsal *r);
bool rb_rehearsal_stopped(const struct rb_rehearsal *r);
void rb_rehearsal_free(struct rb_rehearsal *r);

#endif
