/* Owns `sleep` and `sleep_until`: a wait for a wall-clock time that is recorded, so that a resumed run sleeps the rest
 * only. While the process lives, the clock that counts suspended time decides; a wall clock that is set meanwhile
 * changes nothing. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "bind/bind.h"
#include "engine/effect.h"
#include "engine/error.h"

struct sleep_op {
    struct rb_effect effect;
    struct rb_timer timer;
};

static void on_time(struct rb_timer *t)
{
    rb_effect_done(&RB_CONTAINER(t, struct sleep_op, timer)->effect);
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    (void)err;
    struct sleep_op *op = RB_CONTAINER(e, struct sleep_op, effect);
    rb_timer_arm(&op->timer, rb_clock_boot() + e->until - rb_clock_wall());
    return RB_OK;
}

static void cancel(struct rb_effect *e, bool now)
{
    (void)now;
    struct sleep_op *op = RB_CONTAINER(e, struct sleep_op, effect);
    rb_timer_disarm(&op->timer);
    rb_effect_failed(e, "cancelled", RB_OUTCOME_FAILED, false, "cancelled while it slept");
}

static void release(struct rb_effect *e)
{
    struct sleep_op *op = RB_CONTAINER(e, struct sleep_op, effect);
    if (op->timer.loop)
        rb_timer_disarm(&op->timer);
    free(op);
}

static const struct rb_effect_type sleep_type = {.kind = "sleep", .start = start, .cancel = cancel, .free = release};

int rb_bind_sleep(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct sleep_op *op = rb_effect_new(L, sizeof(*op), &sleep_type, RB_CLASS_WAIT);
    rb_timer_init(&op->timer, rb_effect_loop(&op->effect), on_time);
    rb_effect_options(L, 1, &op->effect);
    op->effect.cls = RB_CLASS_WAIT;
    lua_getfield(L, 1, "until");
    op->effect.until = luaL_checkinteger(L, -1);
    /* The digest covers what the author wrote (`for`), not the time that came of it. */
    struct rb_json j;
    rb_json_init(&j, &op->effect.args);
    rb_json_object(&j);
    lua_getfield(L, 1, "text");
    rb_json_ktext(&j, "for", lua_tostring(L, -1));
    rb_json_end_object(&j);
    lua_getfield(L, 1, "real");
    op->effect.real = lua_toboolean(L, -1);
    lua_pop(L, 3);
    return rb_effect_call(L, &op->effect);
}
