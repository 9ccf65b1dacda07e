/* Rows of a database as Lua values: a list with `columns`, plain data both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/lua_lib.h"
#include "engine/value.h"
#include "engine/vm.h"

static const char TEXT[] = "{\"$rows\":[{\"a\":1,\"b\":null},{\"a\":2,\"b\":\"x\"}],\"columns\":[\"a\",\"b\"]}";

static struct rb_vm vm;

static int setup(void **state)
{
    (void)state;
    struct rb_vm_options opt = {0};
    struct rb_err err;
    return rb_vm_open(&vm, &opt, &err);
}

static int teardown(void **state)
{
    (void)state;
    rb_vm_close(&vm);
    return 0;
}

static void assert_encodes(int index, const char *want)
{
    struct rb_buf out;
    struct rb_err err = {0};
    rb_buf_init(&out, 4096);
    assert_int_equal(rb_value_encode(vm.L, index, "value", NULL, &out, &err), RB_OK);
    assert_string_equal(rb_buf_text(&out), want);
    rb_buf_release(&out);
}

static void test_both_ways(void **state)
{
    (void)state;
    struct rb_err err = {0};
    assert_int_equal(rb_value_decode(vm.L, TEXT, strlen(TEXT), NULL, &err), RB_OK);
    assert_int_equal(lua_gettop(vm.L), 1);
    assert_int_equal(lua_rawlen(vm.L, 1), 2);
    assert_int_equal(lua_getfield(vm.L, 1, "columns"), LUA_TTABLE);
    assert_int_equal(lua_rawgeti(vm.L, -1, 2), LUA_TSTRING);
    assert_string_equal(lua_tostring(vm.L, -1), "b");
    assert_encodes(1, TEXT);
    lua_pushliteral(vm.L, "columns"); /* no row of that name: a list is a list */
    assert_int_equal(lua_rawget(vm.L, 1), LUA_TNIL);
    lua_settop(vm.L, 0);
}

static void test_no_rows(void **state)
{
    (void)state;
    lua_newtable(vm.L);
    lua_newtable(vm.L);
    rb_lib_rows(vm.L);
    assert_encodes(1, "{\"$rows\":[],\"columns\":[]}");
    lua_newtable(vm.L); /* in a table; another one's metatable is none of ours */
    lua_insert(vm.L, 1);
    lua_setfield(vm.L, 1, "found");
    assert_encodes(1, "{\"found\":{\"$rows\":[],\"columns\":[]}}");
    lua_newtable(vm.L);
    lua_setmetatable(vm.L, 1);
    assert_false(rb_lib_rows_columns(vm.L, 1));
    assert_int_equal(lua_gettop(vm.L), 1);
    lua_settop(vm.L, 0);
}

static void test_damaged(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"$rows\":[]}", "{\"$rows\":[],\"columns\":1}"};
    for (size_t i = 0; i < RB_COUNT(bad); i++) {
        struct rb_err err = {0};
        assert_int_equal(rb_value_decode(vm.L, bad[i], strlen(bad[i]), NULL, &err), RB_EINVAL);
        assert_int_equal(lua_gettop(vm.L), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
