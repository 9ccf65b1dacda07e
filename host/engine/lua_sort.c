/* Owns table.sort: a stable merge sort. Lua's own takes its pivots from the clock, so elements that compare equal end
 * in another order in each process. Comparators run in a plain call: they can not wait. */
#include <limits.h>
#include <string.h>

#include "engine/lua_lib.h"

enum { RUN = 8 }; /* runs of so many are sorted by insertion first */

/* An element without its Lua value, for lists of nothing but numbers or nothing but strings. */
union plain {
    lua_Number number;
    lua_Integer integer;
    struct {
        const char *s; /* borrowed from the copy of the elements */
        size_t len;
    } text;
};

struct sorter {
    lua_State *L;
    int values;      /* stack index: copy of the elements, 1 … n */
    bool comparator; /* at stack index 2 */
    enum { MIXED, FLOATS, INTEGERS, STRINGS } kind;
    union plain *plain; /* unless MIXED: element i is plain[i - 1] */
};

static bool text_before(const union plain *a, const union plain *b)
{
    int d = memcmp(a->text.s, b->text.s, a->text.len < b->text.len ? a->text.len : b->text.len);
    return d != 0 ? d < 0 : a->text.len < b->text.len;
}

/* Does element a (a place in values) come before element b? */
static bool before(struct sorter *s, uint32_t a, uint32_t b)
{
    lua_State *L = s->L;
    rb_vm_tick(L);
    switch (s->kind) {
    case FLOATS: return s->plain[a - 1].number < s->plain[b - 1].number;
    case INTEGERS: return s->plain[a - 1].integer < s->plain[b - 1].integer;
    case STRINGS: return text_before(&s->plain[a - 1], &s->plain[b - 1]);
    case MIXED: break;
    }
    if (s->comparator)
        lua_pushvalue(L, 2);
    lua_rawgeti(L, s->values, a);
    lua_rawgeti(L, s->values, b);
    bool less;
    if (s->comparator) {
        lua_call(L, 2, 1);
        less = lua_toboolean(L, -1);
        lua_pop(L, 1);
    } else {
        less = lua_compare(L, -2, -1, LUA_OPLT);
        lua_pop(L, 2);
    }
    return less;
}

static void sort_run(struct sorter *s, uint32_t *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t x = v[i];
        size_t j = i;
        for (; j > 0 && before(s, x, v[j - 1]); j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

/* Merges v[0 … middle) and v[middle … n) into out. Of equals the left one comes first. */
static void merge(struct sorter *s, const uint32_t *v, size_t middle, size_t n, uint32_t *out)
{
    size_t a = 0, b = middle, k = 0;
    if (middle < n && !before(s, v[middle], v[middle - 1])) { /* in order already */
        memcpy(out, v, n * sizeof *v);
        return;
    }
    while (a < middle && b < n)
        out[k++] = before(s, v[b], v[a]) ? v[b++] : v[a++];
    memcpy(out + k, v + a, (middle - a) * sizeof *v);
    memcpy(out + k + (middle - a), v + b, (n - b) * sizeof *v);
}

static uint32_t *sort(struct sorter *s, uint32_t *v, uint32_t *spare, size_t n)
{
    for (size_t i = 0; i < n; i += RUN)
        sort_run(s, v + i, n - i < RUN ? n - i : RUN);
    for (size_t width = RUN; width < n; width *= 2) {
        for (size_t i = 0; i < n; i += 2 * width) {
            size_t here = n - i < 2 * width ? n - i : 2 * width;
            merge(s, v + i, width < here ? width : here, here, spare + i);
        }
        uint32_t *swap = v;
        v = spare;
        spare = swap;
    }
    return v;
}

/* [-0, +1, e] prepares comparing without Lua where that gives the same (the locale is C: strings compare by their
 * bytes). */
static void look_at_elements(struct sorter *s, lua_Integer n)
{
    lua_State *L = s->L;
    s->plain = lua_newuserdatauv(L, (size_t)n * sizeof *s->plain, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        int type = lua_rawgeti(L, s->values, i);
        int kind = type == LUA_TSTRING    ? STRINGS
                   : type != LUA_TNUMBER  ? MIXED
                   : lua_isinteger(L, -1) ? INTEGERS
                                          : FLOATS;
        union plain *p = &s->plain[i - 1];
        if (kind == STRINGS)
            p->text.s = lua_tolstring(L, -1, &p->text.len);
        else if (kind == INTEGERS)
            p->integer = lua_tointeger(L, -1);
        else if (kind == FLOATS)
            p->number = lua_tonumber(L, -1);
        lua_pop(L, 1);
        if (kind == MIXED || (i > 1 && kind != (int)s->kind)) {
            s->kind = MIXED;
            return;
        }
        s->kind = kind;
        rb_vm_tick(L);
    }
}

/* table.sort(list [, comparator]). The list changes only when all went well. */
int rb_lib_sort(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TTABLE && luaL_getmetafield(L, 1, "__len") == LUA_TNIL)
        luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer n = rb_lib_length(L, 1, "sort");
    if (n <= 1)
        return 0;
    luaL_argcheck(L, n < INT_MAX, 1, "array too big");
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    rb_vm_need(L, (double)n * (16 + sizeof(union plain) + 2 * sizeof(uint32_t)));
    lua_createtable(L, (int)n, 0); /* 3 */
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, 1, i);
        lua_rawseti(L, 3, i);
        rb_vm_tick(L);
    }
    uint32_t *places = lua_newuserdatauv(L, (size_t)n * 2 * sizeof *places, 0);
    for (lua_Integer i = 0; i < n; i++)
        places[i] = (uint32_t)i + 1;
    struct sorter s = {.L = L, .values = 3, .comparator = !lua_isnil(L, 2), .kind = MIXED};
    if (!s.comparator)
        look_at_elements(&s, n);
    const uint32_t *order = sort(&s, places, places + n, (size_t)n);
    for (lua_Integer i = 0; i < n; i++) {
        lua_rawgeti(L, 3, order[i]);
        lua_seti(L, 1, i + 1);
        rb_vm_tick(L);
    }
    return 0;
}
