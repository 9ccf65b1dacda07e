/* Owns transactions that live: the connection that one holds, and the queue of the ops that want it. After a crash, a
 * park, or in another process there is none, whatever the journal records: then an op of it fails with sql.tx_lost and
 * rt/sql_tx.lua begins again. */
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "bind/bind_sql.h"

#define TX_META "rbhost.sql.tx"

static const char registry_key = 0; /* key → userdata */

void rb_sql_tx_unref(struct sql_tx *tx)
{
    if (tx && --tx->refs == 0)
        free(tx);
}

void rb_sql_tx_over(struct sql_tx *tx, bool keep)
{
    struct rb_sql_conn *conn = tx->conn;
    tx->conn = NULL;
    if (conn)
        conn->driver->release(conn, keep);
}

/* What was not committed is rolled back. One that is under way ends first: its callback needs the connection. */
static void drop(struct sql_tx *tx)
{
    tx->dropped = true;
    if (!tx->current)
        rb_sql_tx_over(tx, false);
}

static int l_gc(lua_State *L)
{
    struct sql_tx **box = lua_touserdata(L, 1);
    if (*box) {
        drop(*box);
        rb_sql_tx_unref(*box);
    }
    *box = NULL;
    return 0;
}

/* [-0, +1, m] */
static void push_table(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}

struct sql_tx *rb_sql_tx_of(lua_State *L, const char *key, bool make)
{
    struct sql_tx *tx = NULL;
    push_table(L);
    if (make) {
        struct sql_tx **box = lua_newuserdatauv(L, sizeof(*box), 0);
        *box = NULL;
        if (luaL_newmetatable(L, TX_META)) {
            lua_pushcfunction(L, l_gc);
            lua_setfield(L, -2, "__gc");
        }
        lua_setmetatable(L, -2);
        lua_setfield(L, -2, key);
        lua_getfield(L, -1, key);
        tx = rb_alloc(sizeof(*tx)); /* nothing raises from here */
        tx->refs = 1;
        rb_list_init(&tx->queue);
        *box = tx;
    } else if (lua_getfield(L, -1, key) == LUA_TUSERDATA) {
        tx = *(struct sql_tx **)lua_touserdata(L, -1);
    }
    lua_pop(L, 2);
    if (tx)
        tx->refs++;
    return tx;
}

int rb_bind_sql_drop(lua_State *L)
{
    const char *key = luaL_checkstring(L, 1);
    push_table(L);
    if (lua_getfield(L, -1, key) == LUA_TUSERDATA) {
        struct sql_tx **box = lua_touserdata(L, -1);
        if (*box) {
            drop(*box);
            rb_sql_tx_unref(*box);
        }
        *box = NULL;
        lua_pushnil(L);
        lua_setfield(L, -3, key);
    }
    return 0;
}

/* -- one at a time ------------------------------------------------------------------------------------------------- */

void rb_sql_tx_enter(struct sql_op *op)
{
    struct sql_tx *tx = op->tx;
    if (tx->current) {
        rb_list_push(&tx->queue, &op->tx_link);
        return;
    }
    tx->current = op;
    rb_sql_op_go(op);
}

void rb_sql_tx_leave(struct sql_op *op)
{
    struct sql_tx *tx = op->tx;
    rb_list_remove(&op->tx_link);
    if (!tx || tx->current != op)
        return;
    tx->current = NULL;
    if (tx->dropped)
        rb_sql_tx_over(tx, false);
    struct rb_list *it = rb_list_pop(&tx->queue);
    if (it) {
        tx->current = RB_CONTAINER(it, struct sql_op, tx_link);
        rb_sql_op_go(tx->current);
    }
}
