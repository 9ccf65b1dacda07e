/* Owns what the runs of a process share: limits, the loop's turn, the wake-up when somebody signals. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/core.h"
#include "engine/policy.h"

const struct rb_limits rb_limits_standard = {
    .lua_memory = (size_t)256 << 20,
    .slice_warn_us = 100000,
    .slice_max_us = 1000000,
    .max_output = (size_t)1 << 20,
    .max_exec = 64,
    .max_tasks = 10000,
    .park_grace_ms = 10000,
    .cancel_grace_ms = 10000,
    .notice_after_ms = 30000,
};

/* Closing an inotify descriptor takes the kernel 10 ms and more, which a run that is over by then need not pay. */
#define WATCH_AFTER_MS 50
#define LOOK_EVERY_MS 1000

static void on_signalled(void *arg)
{
    struct rb_host *h = arg;
    RB_LIST_EACH_SAFE (it, next, &h->runs)
        rb_run_read_signals(RB_CONTAINER(it, struct rb_run, link));
}

/* What came before the watch is looked for once. Where there can be no watch, the table is looked at now and then. */
static void on_watch_due(struct rb_timer *t)
{
    struct rb_host *h = RB_CONTAINER(t, struct rb_host, watch_timer);
    struct rb_err ignored;
    h->watching = rb_store_watch(h->store, on_signalled, h, &ignored) == RB_OK;
    if (!h->watching)
        rb_timer_arm_ms(&h->watch_timer, LOOK_EVERY_MS);
    on_signalled(h);
}

struct rb_host *rb_host_new(const struct rb_host_options *opt)
{
    struct rb_host *h = rb_alloc(sizeof(*h));
    h->loop = opt->loop;
    h->store = opt->store;
    h->limits = opt->limits;
    h->env_pass = opt->env_pass;
    h->config_json = rb_strdup(opt->config_json);
    h->config_file = opt->config_file;
    h->secret_key = rb_strdup(opt->secret_key);
    struct rb_limits *l = &h->limits;
    const struct rb_limits standard = rb_limits_standard;
    l->lua_memory = l->lua_memory ? l->lua_memory : standard.lua_memory;
    l->slice_warn_us = l->slice_warn_us ? l->slice_warn_us : standard.slice_warn_us;
    l->slice_max_us = l->slice_max_us ? l->slice_max_us : standard.slice_max_us;
    l->max_output = l->max_output ? l->max_output : standard.max_output;
    l->max_exec = l->max_exec ? l->max_exec : standard.max_exec;
    l->max_tasks = l->max_tasks ? l->max_tasks : standard.max_tasks;
    l->park_grace_ms = l->park_grace_ms ? l->park_grace_ms : standard.park_grace_ms;
    l->cancel_grace_ms = l->cancel_grace_ms ? l->cancel_grace_ms : standard.cancel_grace_ms;
    l->notice_after_ms = l->notice_after_ms ? l->notice_after_ms : standard.notice_after_ms;
    h->exec.max = l->max_exec;
    rb_list_init(&h->exec.queue);
    rb_vault_init(&h->vault);
    rb_list_init(&h->runs);
    rb_list_init(&h->runnable);
    h->turn.run = rb_run_turns;
    rb_loop_turn_add(h->loop, &h->turn);
    rb_timer_init(&h->watch_timer, h->loop, on_watch_due);
    return h;
}

void rb_host_free(struct rb_host *h)
{
    if (!h)
        return;
    rb_loop_turn_remove(h->loop, &h->turn);
    rb_timer_disarm(&h->watch_timer);
    rb_policy_site_free(h);
    rb_vault_release(&h->vault);
    rb_sealed_forget_key(h);
    free(h->secret_key);
    json_decref(h->config);
    free(h->config_json);
    free(h);
}

const json_t *rb_host_config(struct rb_host *h, const char *key)
{
    if (!h->config && h->config_json)
        h->config = json_loads(h->config_json, JSON_ALLOW_NUL, NULL);
    return json_object_get(h->config, key);
}

void rb_host_config_place(const struct rb_host *h, const char *path, char *out, size_t n)
{
    const char *file = h->config_file ? h->config_file : "the configuration";
    int line = h->config_file ? rb_config_line(file, path) : 0; /* read again: only a refusal wants to know */
    if (line)
        snprintf(out, n, "%s:%d", file, line);
    else
        snprintf(out, n, "%s", file);
}

void rb_host_watch(struct rb_host *h)
{
    if (!h->watching && !rb_timer_armed(&h->watch_timer))
        rb_timer_arm_ms(&h->watch_timer, WATCH_AFTER_MS);
}
