/* rbhost with what only the benchmarks need: the verb noop(), an effect that does nothing; memory that is resident from
 * the start ($BENCH_BALLAST, MiB); and many runs at once in one process:
 *
 *   host many FILE JOURNAL N     N runs of FILE, all started before any is waited for
 *   host again JOURNAL           all runs there that can go on, at once
 *
 * Anything else is rbhost's own command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "engine/effect.h"
#include "engine/run.h"
#include "front/cli.h"

/* -- noop ---------------------------------------------------------------------------------------------------------- */

static int start(struct rb_effect *e, struct rb_err *err)
{
    (void)err;
    rb_effect_done(e);
    return RB_OK;
}

static const struct rb_effect_type noop_type = {.kind = "noop", .start = start};

static int l_noop(lua_State *L)
{
    return rb_effect_call(L, rb_effect_new(L, sizeof(struct rb_effect), &noop_type, RB_CLASS_EFFECT));
}

static void add_noop(void)
{
    static struct rb_binding table[64];
    size_t n = 0;
    for (; rb_bindings[n].name && n < RB_COUNT(table) - 2; n++)
        table[n] = rb_bindings[n];
    table[n] = (struct rb_binding){"noop", l_noop};
    rb_lib_bindings(table);
}

static void take_ballast(void)
{
    const char *mib = getenv("BENCH_BALLAST");
    size_t n = mib ? (size_t)atoi(mib) << 20 : 0;
    if (n)
        memset(rb_alloc(n), 1, n);
}

/* -- many ---------------------------------------------------------------------------------------------------------- */

static long alive, failed;

static void on_stopped(void *arg, struct rb_run *run, const char *status, const char *error)
{
    struct rb_loop *loop = arg;
    if (strcmp(status, "succeeded") != 0) {
        failed++;
        fprintf(stderr, "%s: %s: %s\n", rb_run_id(run), status, error ? error : "");
    }
    if (--alive == 0)
        rb_loop_stop(loop);
}

struct fleet {
    struct rb_loop loop;
    struct rb_store *store;
    struct rb_host *host;
    struct rb_run_options opt;
    struct rb_actor actor;
    struct rb_run **runs;
    char (*ids)[RB_RUN_ID_MAX]; /* of those that go on */
    long count;
};

static int fail(const struct rb_err *err)
{
    fprintf(stderr, "%s\n", err->msg);
    return 1;
}

static int fleet_open(struct fleet *f, const char *journal)
{
    struct rb_err err = {0};
    struct rb_store_options so = {.path = journal, .write = true, .create = true};
    if (rb_loop_init(&f->loop, &err) || rb_store_open(&f->loop, &so, &f->store, &err))
        return fail(&err);
    rb_actor_self(&f->actor);
    f->host = rb_host_new(&(struct rb_host_options){.loop = &f->loop, .store = f->store});
    f->opt = (struct rb_run_options){.params_json = "{}",
                                     .actor = &f->actor,
                                     .later = true,
                                     .observer = {.on_stopped = on_stopped, .arg = &f->loop}};
    return 0;
}

/* Until all have stopped. */
static int fleet_run(struct fleet *f)
{
    if (alive)
        rb_loop_run(&f->loop);
    for (long i = 0; i < f->count; i++)
        rb_run_free(f->runs[i]);
    free(f->runs);
    rb_host_free(f->host);
    rb_store_close(f->store);
    return rb_loop_release(&f->loop) || failed;
}

static int many(const char *file, const char *journal, long n)
{
    struct fleet f = {.count = n, .runs = rb_alloc((size_t)n * sizeof(*f.runs))};
    struct rb_err err = {0};
    char id[RB_RUN_ID_MAX];
    if (fleet_open(&f, journal))
        return 1;
    for (long i = 0; i < n; i++) {
        if (rb_run_start(f.host, file, &f.opt, &f.runs[i], id, &err))
            return fail(&err);
        alive++;
    }
    return fleet_run(&f);
}

#define AGAIN_MAX 10000

static int on_row(void *arg, const struct rb_run_row *row)
{
    struct fleet *f = arg;
    static char ids[AGAIN_MAX][RB_RUN_ID_MAX];
    f->ids = ids;
    if (f->count == AGAIN_MAX)
        return 1;
    snprintf(ids[f->count++], RB_RUN_ID_MAX, "%s", row->id);
    return 0;
}

static int again(const char *journal)
{
    struct fleet f = {0};
    struct rb_err err = {0};
    struct rb_run_filter open = {.status = "open", .limit = AGAIN_MAX};
    if (fleet_open(&f, journal) || rb_store_runs(f.store, &open, on_row, &f, &err))
        return 1;
    f.runs = rb_alloc((size_t)(f.count + 1) * sizeof(*f.runs));
    for (long i = 0; i < f.count; i++) {
        if (rb_run_resume(f.host, f.ids[i], &f.opt, &f.runs[i], &err))
            return fail(&err);
        alive++;
    }
    return fleet_run(&f);
}

int main(int argc, char **argv)
{
    add_noop();
    take_ballast();
    if (argc == 5 && strcmp(argv[1], "many") == 0)
        return many(argv[2], argv[3], atol(argv[4]));
    if (argc == 3 && strcmp(argv[1], "again") == 0)
        return again(argv[2]);
    return rb_cli_main(argc, argv);
}
