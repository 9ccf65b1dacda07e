/* A VM as a run has it, and ways to run pieces of Lua in it, for the tests of the sandbox. */
#ifndef RB_VM_FIXTURE_H
#define RB_VM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/error.h"
#include "engine/vm.h"

enum { FIXTURE_TEXT = 64 * 1024 };

static int fixture_time(lua_State *L)
{
    lua_pushinteger(L, 1700000000);
    return 1;
}

static int fixture_seed(lua_State *L)
{
    lua_pushinteger(L, 11);
    lua_pushinteger(L, 22);
    return 2;
}

static void open_vm(struct rb_vm *vm, const struct rb_vm_options *given)
{
    struct rb_vm_options opt = given ? *given : (struct rb_vm_options){.memory = 0};
    struct rb_err err = {.code = 0};
    if (opt.slice_max_us == 0)
        opt.slice_max_us = 60000000; /* sanitizers are slow; who tests the budget sets one */
    opt.hooks.os_time = fixture_time;
    opt.hooks.random_seed = fixture_seed;
    if (rb_vm_open(vm, &opt, &err) < 0)
        fail_msg("%s", err.msg);
    rb_vm_push_env(vm->L);
    lua_pushinteger(vm->L, 1);
    lua_setfield(vm->L, -2, "step");
    lua_pop(vm->L, 1);
    rb_vm_seal(vm);
}

/* Runs code in a thread of its own; out gets its results, as text with blanks between, or "kind: line" of the error.
 * Returns whether it succeeded. */
static bool run_lua(struct rb_vm *vm, const char *code, struct rb_buf *out)
{
    rb_buf_reset(out);
    lua_State *L = lua_newthread(vm->L);
    struct rb_err err = {.code = 0};
    rb_vm_slice(vm);
    if (rb_vm_load(L, code, strlen(code), "@t.lua", &err) < 0) {
        rb_buf_adds(out, err.msg);
        lua_pop(vm->L, 1);
        return false;
    }
    int status = lua_pcall(L, 0, LUA_MULTRET, 0);
    if (status == LUA_ERRMEM)
        rb_buf_adds(out, "memory: ");
    if (status != LUA_OK && status != LUA_ERRMEM) {
        rb_error_normalize(L, -1);
        rb_buf_addf(out, "%s: ", rb_error_kind(L, -1));
    }
    int top = lua_gettop(L);
    for (int i = status == LUA_OK ? 1 : top; i <= top; i++) {
        if (i > 1 && status == LUA_OK)
            rb_buf_addc(out, ' ');
        if (status == LUA_OK && lua_isnil(L, i))
            rb_buf_adds(out, "nil");
        else if (lua_isboolean(L, i))
            rb_buf_adds(out, lua_toboolean(L, i) ? "true" : "false");
        else
            rb_vm_error_text(L, i, out);
    }
    lua_settop(L, 0);
    lua_pop(vm->L, 1);
    return status == LUA_OK;
}

/* A new VM for each piece: none can lean on another. */
static void expect_with(const struct rb_vm_options *opt, const char *code, const char *expected)
{
    struct rb_vm vm;
    struct rb_buf out;
    rb_buf_init(&out, FIXTURE_TEXT);
    open_vm(&vm, opt);
    run_lua(&vm, code, &out);
    if (strcmp(rb_buf_text(&out), expected) != 0)
        fail_msg("\n  code:     %s\n  gave:     %s\n  expected: %s", code, rb_buf_text(&out), expected);
    rb_buf_release(&out);
    rb_vm_close(&vm);
    assert_int_equal(vm.used, 0);
}

static inline void expect(const char *code, const char *expected)
{
    expect_with(NULL, code, expected);
}

/* The text that code gives must contain part. */
static inline void expect_part(const char *code, const char *part)
{
    struct rb_vm vm;
    struct rb_buf out;
    rb_buf_init(&out, FIXTURE_TEXT);
    open_vm(&vm, NULL);
    run_lua(&vm, code, &out);
    if (!strstr(rb_buf_text(&out), part))
        fail_msg("\n  code: %s\n  gave: %s\n  which does not contain: %s", code, rb_buf_text(&out), part);
    rb_buf_release(&out);
    rb_vm_close(&vm);
}

#endif
