/* rbhost with what only the benchmarks need: the verb noop(), an effect that does nothing; memory that is resident from
 * the start ($BENCH_BALLAST, MiB); and many runs at once in one process:
 *
 *   host many FILE JOURNAL N     N runs of FILE, all started before any is waited for
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

static int many(const char *file, const char *journal, long n)
{
    struct rb_loop loop;
    struct rb_store *store = NULL;
    struct rb_err err = {0};
    struct rb_store_options so = {.path = journal, .write = true, .create = true};
    struct rb_run **runs = rb_alloc((size_t)n * sizeof(*runs));
    struct rb_actor actor;
    char id[RB_RUN_ID_MAX];
    if (rb_loop_init(&loop, &err) || rb_store_open(&loop, &so, &store, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    rb_actor_self(&actor);
    struct rb_host *host = rb_host_new(&(struct rb_host_options){.loop = &loop, .store = store});
    struct rb_run_options opt = {
        .params_json = "{}", .actor = &actor, .later = true, .observer = {.on_stopped = on_stopped, .arg = &loop}};
    for (long i = 0; i < n; i++) {
        if (rb_run_start(host, file, &opt, &runs[i], id, &err)) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        alive++;
    }
    rb_loop_run(&loop);
    for (long i = 0; i < n; i++)
        rb_run_free(runs[i]);
    free(runs);
    rb_host_free(host);
    rb_store_close(store);
    return rb_loop_release(&loop) || failed;
}

int main(int argc, char **argv)
{
    add_noop();
    take_ballast();
    if (argc == 5 && strcmp(argv[1], "many") == 0)
        return many(argv[2], argv[3], atol(argv[4]));
    return rb_cli_main(argc, argv);
}
