/* Owns the spelling of durations: "90s", "1h30m", "1.5h", "500ms"; a bare number is seconds. Knows nothing of what they
 * are for. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "engine/lua_lib.h"

static const struct unit {
    const char *name;
    int64_t us;
} units[] = {
    /* largest first, the order in which they may follow each other */
    {"w", INT64_C(604800000000)}, {"d", INT64_C(86400000000)}, {"h", INT64_C(3600000000)},
    {"m", INT64_C(60000000)},     {"s", INT64_C(1000000)},     {"ms", INT64_C(1000)},
};

#define LONGEST_US INT64_C(1000000000000000000) /* 10^12 seconds */

/* Digits with an optional fraction times factor, exact to the microsecond (what is finer is cut). Returns the number of
 * bytes read, 0: none. */
static size_t read_number(const char *s, size_t n, int64_t factor, int64_t *us)
{
    size_t i = 0;
    int64_t whole = 0, part = 0, scale = factor;
    for (; i < n && isdigit((unsigned char)s[i]); i++) {
        whole = whole * 10 + (s[i] - '0');
        if (whole > LONGEST_US / factor)
            return 0;
    }
    if (i == 0)
        return 0;
    if (i + 1 < n && s[i] == '.' && isdigit((unsigned char)s[i + 1])) {
        int64_t digits = 0, power = 1;
        for (i++; i < n && isdigit((unsigned char)s[i]); i++) {
            if (power < INT64_C(1000000)) {
                digits = digits * 10 + (s[i] - '0');
                power *= 10;
            }
        }
        part = digits * (scale / 1000) / power * 1000 + digits * (scale / 1000) % power * 1000 / power;
    }
    *us = whole * factor + part;
    return i;
}

int rb_lib_duration_us(const char *s, size_t n, int64_t *us)
{
    int64_t total = 0;
    size_t i = 0;
    size_t next_unit = 0;
    int64_t value;
    size_t bare = read_number(s, n, INT64_C(1000000), &value);
    if (bare > 0 && bare == n) {
        *us = value;
        return 0;
    }
    while (i < n) {
        size_t len = 0;
        while (i + len < n && (isdigit((unsigned char)s[i + len]) || s[i + len] == '.'))
            len++;
        size_t word = 0;
        while (i + len + word < n && isalpha((unsigned char)s[i + len + word]))
            word++;
        size_t u = next_unit;
        while (u < RB_COUNT(units) && (strlen(units[u].name) != word || memcmp(units[u].name, s + i + len, word) != 0))
            u++;
        if (u == RB_COUNT(units) || read_number(s + i, len, units[u].us, &value) != len || len == 0)
            return RB_EINVAL;
        total += value;
        if (total > LONGEST_US)
            return RB_EINVAL;
        next_unit = u + 1;
        i += len + word;
        size_t before = i;
        while (i < n && s[i] == ' ')
            i++;
        if (i == n && i != before)
            return RB_EINVAL;
    }
    if (n == 0)
        return RB_EINVAL;
    *us = total;
    return 0;
}

/* duration.parse("1h30m") → 5400: seconds, an integer where it is one. Numbers are seconds already. Raises for anything
 * else. */
static int l_parse(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TNUMBER) {
        lua_Number seconds = lua_tonumber(L, 1);
        luaL_argcheck(L, seconds >= 0 && seconds < 1e12, 1, "a duration can not be negative or beyond 1e12 seconds");
        lua_settop(L, 1);
        return 1;
    }
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    int64_t us;
    if (rb_lib_duration_us(s, n, &us) < 0)
        return luaL_error(L, "duration.parse: '%s' is not a duration; write it as 90s, 30m, 1h30m, 2d or 500ms", s);
    if (us % 1000000 == 0)
        lua_pushinteger(L, us / 1000000);
    else
        lua_pushnumber(L, (lua_Number)us / 1e6);
    return 1;
}

/* duration.format(5400) → "1h30m"; parse gives the same number back, to the millisecond. */
static int l_format(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds < 1e12, 1, "a duration can not be negative or beyond 1e12 seconds");
    int64_t left = (int64_t)llround(seconds * 1000) * 1000;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    bool any = false;
    for (size_t i = 0; i < RB_COUNT(units); i++) {
        int64_t count = left / units[i].us;
        left %= units[i].us;
        if (count == 0)
            continue;
        any = true;
        lua_pushfstring(L, "%I%s", (LUAI_UACINT)count, units[i].name);
        luaL_addvalue(&b);
    }
    if (!any)
        luaL_addstring(&b, "0s");
    luaL_pushresult(&b);
    return 1;
}

void rb_lib_duration(lua_State *L)
{
    static const luaL_Reg functions[] = {{"parse", l_parse}, {"format", l_format}, {NULL, NULL}};
    luaL_newlib(L, functions);
}
