/* Owns the compensations that a runbook registers. Their functions are regained by replay, so they are as good a week
 * later. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/core.h"

int rb_undo_register(lua_State *L, struct rb_run *run, const char *title, size_t len)
{
    if (run->undo_count == run->undo_cap) {
        run->undo_cap = run->undo_cap ? run->undo_cap * 2 : 8;
        run->undos = rb_realloc(run->undos, run->undo_cap * sizeof(*run->undos));
    }
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    struct rb_undo *u = &run->undos[run->undo_count++];
    *u = (struct rb_undo){.n = (int64_t)run->undo_count,
                          .title = rb_strndup(title, len),
                          .fn_ref = ref,
                          .scope = rb_scope_ref(run->current->scope)};
    return (int)u->n;
}

static bool armed(const struct rb_run *run, const struct rb_undo *u)
{
    return u->scope->effects && !u->done && !u->skipped && u->n > run->undo_cleared;
}

size_t rb_undo_armed(struct rb_run *run)
{
    size_t n = 0;
    for (size_t i = 0; i < run->undo_count; i++)
        n += armed(run, &run->undos[i]);
    return n;
}

int rb_run_undo_count(const struct rb_run *run)
{
    return (int)rb_undo_armed((struct rb_run *)(uintptr_t)run);
}

struct rb_undo *rb_undo_next(struct rb_run *run)
{
    for (size_t i = run->undo_count; i > 0; i--)
        if (armed(run, &run->undos[i - 1]))
            return &run->undos[i - 1];
    return NULL;
}

struct rb_undo *rb_undo_at(struct rb_run *run, int64_t n)
{
    return n >= 1 && n <= (int64_t)run->undo_count ? &run->undos[n - 1] : NULL;
}

void rb_undo_json(struct rb_run *run, struct rb_buf *out)
{
    struct rb_json j;
    rb_json_init(&j, out);
    rb_json_array(&j);
    for (size_t i = run->undo_count; i > 0; i--) {
        if (!armed(run, &run->undos[i - 1]))
            continue;
        rb_json_object(&j);
        rb_json_kint(&j, "n", run->undos[i - 1].n);
        rb_json_ktext(&j, "title", run->undos[i - 1].title);
        rb_json_end_object(&j);
    }
    rb_json_end_array(&j);
}

void rb_undo_free(struct rb_run *run)
{
    for (size_t i = 0; i < run->undo_count; i++) {
        free(run->undos[i].title);
        rb_scope_unref(run->undos[i].scope);
    }
    free(run->undos);
    run->undos = NULL;
    run->undo_count = 0;
}
