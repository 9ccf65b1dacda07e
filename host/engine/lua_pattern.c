/* Owns string.find, match, gmatch and gsub: Lua 5.4's patterns, with its limits and its error texts (reference manual
 * §6.4.1; the unit test compares with Lua's own functions on a large generated corpus). What differs: matching counts
 * its steps against the budget of the slice, because a count hook can not interrupt a C function and a pattern may
 * backtrack for hours. */
#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "engine/lua_lib.h"

enum {
    ESCAPE = '%',
    MAX_CAPTURES = 32,
    MAX_DEPTH = 200,       /* of nested quantifiers and captures: "pattern too complex" */
    CHECK_EVERY = 1 << 14, /* steps between two looks at the clock */
};

/* Lengths of captures that are not (yet) text. */
#define UNFINISHED ((ptrdiff_t)-1)
#define POSITION ((ptrdiff_t)-2)

struct matcher {
    lua_State *L;
    const char *begin, *end; /* the subject; *end is a NUL, as in all Lua strings */
    const char *pattern_end;
    int depth; /* that is left */
    int steps;
    int level; /* captures, finished or not */
    struct {
        const char *begin;
        ptrdiff_t len;
    } capture[MAX_CAPTURES];
};

static const char *match_here(struct matcher *m, const char *s, const char *p);

static void init(struct matcher *m, lua_State *L, const char *s, size_t ns, const char *p, size_t np)
{
    m->L = L;
    m->begin = s;
    m->end = s + ns;
    m->pattern_end = p + np;
    m->steps = 0;
}

/* One attempt, with the pattern anchored at s. Returns the end of the match, or NULL. */
static const char *attempt(struct matcher *m, const char *s, const char *p)
{
    m->depth = MAX_DEPTH;
    m->level = 0;
    return match_here(m, s, p);
}

static void step(struct matcher *m)
{
    if (++m->steps < CHECK_EVERY)
        return;
    m->steps = 0;
    rb_vm_check(m->L);
}

/* -- single characters --------------------------------------------------------------------------------------------- */

/* The end of the single-character item that begins at p. */
static const char *item_end(struct matcher *m, const char *p)
{
    char first = *p++;
    if (first == ESCAPE) {
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (first != '[')
        return p;
    if (*p == '^')
        p++;
    do { /* a ']' in the first place is one of the set */
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p++ == ESCAPE && p < m->pattern_end)
            p++;
    } while (*p != ']');
    return p + 1;
}

static bool in_class(int c, int class)
{
    bool in;
    switch (tolower(class)) {
    case 'a': in = isalpha(c); break;
    case 'c': in = iscntrl(c); break;
    case 'd': in = isdigit(c); break;
    case 'g': in = isgraph(c); break;
    case 'l': in = islower(c); break;
    case 'p': in = ispunct(c); break;
    case 's': in = isspace(c); break;
    case 'u': in = isupper(c); break;
    case 'w': in = isalnum(c); break;
    case 'x': in = isxdigit(c); break;
    case 'z': in = c == 0; break; /* deprecated since 5.2, and still there */
    default: return class == c;
    }
    return isupper(class) ? !in : in;
}

/* p: at '[', last: at the closing ']'. */
static bool in_set(int c, const char *p, const char *last)
{
    bool found = true;
    if (p[1] == '^') {
        found = false;
        p++;
    }
    while (++p < last) {
        if (*p == ESCAPE) {
            p++;
            if (in_class(c, (unsigned char)*p))
                return found;
        } else if (p[1] == '-' && p + 2 < last) {
            p += 2;
            if ((unsigned char)p[-2] <= c && c <= (unsigned char)*p)
                return found;
        } else if ((unsigned char)*p == c) {
            return found;
        }
    }
    return !found;
}

/* Does the item p … end match the character at s? */
static bool one(struct matcher *m, const char *s, const char *p, const char *end)
{
    if (s >= m->end)
        return false;
    step(m);
    int c = (unsigned char)*s;
    switch (*p) {
    case '.': return true;
    case ESCAPE: return in_class(c, (unsigned char)p[1]);
    case '[': return in_set(c, p, end - 1);
    default: return (unsigned char)*p == c;
    }
}

/* -- repetitions and captures -------------------------------------------------------------------------------------- */

static const char *longest(struct matcher *m, const char *s, const char *p, const char *end)
{
    ptrdiff_t n = 0;
    while (one(m, s + n, p, end))
        n++;
    for (; n >= 0; n--) {
        const char *e = match_here(m, s + n, end + 1);
        if (e)
            return e;
    }
    return NULL;
}

static const char *shortest(struct matcher *m, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *e = match_here(m, s, end + 1);
        if (e)
            return e;
        if (!one(m, s, p, end))
            return NULL;
    }
}

static const char *open_capture(struct matcher *m, const char *s, const char *p, ptrdiff_t kind)
{
    if (m->level >= MAX_CAPTURES)
        luaL_error(m->L, "too many captures");
    m->capture[m->level].begin = s;
    m->capture[m->level].len = kind;
    m->level++;
    const char *e = match_here(m, s, p);
    if (!e)
        m->level--;
    return e;
}

static const char *close_capture(struct matcher *m, const char *s, const char *p)
{
    int n = m->level - 1;
    while (n >= 0 && m->capture[n].len != UNFINISHED)
        n--;
    if (n < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->capture[n].len = s - m->capture[n].begin;
    const char *e = match_here(m, s, p);
    if (!e)
        m->capture[n].len = UNFINISHED;
    return e;
}

/* %1 … %9 in a pattern. A position never matches. */
static const char *back_reference(struct matcher *m, const char *s, int digit)
{
    int n = digit - '1';
    if (n < 0 || n >= m->level || m->capture[n].len == UNFINISHED) {
        luaL_error(m->L, "invalid capture index %%%d", n + 1);
        return NULL;
    }
    ptrdiff_t len = m->capture[n].len;
    if (len < 0 || m->end - s < len || memcmp(m->capture[n].begin, s, (size_t)len) != 0)
        return NULL;
    return s + len;
}

/* %bxy, p behind the b. */
static const char *balanced(struct matcher *m, const char *s, const char *p)
{
    if (p >= m->pattern_end - 1)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (*s != p[0])
        return NULL;
    int open = 1;
    while (++s < m->end) {
        step(m);
        if (*s == p[1]) {
            if (--open == 0)
                return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

/* %f[set], p at the bracket. Returns the end of the item when s is at a frontier. */
static const char *frontier(struct matcher *m, const char *s, const char *p)
{
    if (*p != '[')
        luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *end = item_end(m, p);
    int before = s == m->begin ? '\0' : (unsigned char)s[-1];
    return !in_set(before, p, end - 1) && in_set((unsigned char)*s, p, end - 1) ? end : NULL;
}

/* -- the matcher --------------------------------------------------------------------------------------------------- */

static const char *match_items(struct matcher *m, const char *s, const char *p)
{
    while (p != m->pattern_end) {
        step(m);
        switch (*p) {
        case '(': return p[1] == ')' ? open_capture(m, s, p + 2, POSITION) : open_capture(m, s, p + 1, UNFINISHED);
        case ')': return close_capture(m, s, p + 1);
        case '$':
            if (p + 1 == m->pattern_end)
                return s == m->end ? s : NULL;
            break;
        case ESCAPE:
            if (p[1] == 'b') {
                s = balanced(m, s, p + 2);
                if (!s)
                    return NULL;
                p += 4;
                continue;
            }
            if (p[1] == 'f') {
                p = frontier(m, s, p + 2);
                if (!p)
                    return NULL;
                continue;
            }
            if (p[1] >= '0' && p[1] <= '9') {
                s = back_reference(m, s, (unsigned char)p[1]);
                if (!s)
                    return NULL;
                p += 2;
                continue;
            }
            break;
        default: break;
        }
        const char *end = item_end(m, p);
        char suffix = *end; /* the NUL behind the pattern is none */
        if (!one(m, s, p, end)) {
            if (suffix != '*' && suffix != '?' && suffix != '-')
                return NULL;
            p = end + 1; /* nothing to repeat: no depth is used up */
            continue;
        }
        if (suffix == '*')
            return longest(m, s, p, end);
        if (suffix == '-')
            return shortest(m, s, p, end);
        if (suffix == '+')
            return longest(m, s + 1, p, end);
        if (suffix == '?') {
            const char *e = match_here(m, s + 1, end + 1);
            if (e)
                return e;
            p = end + 1;
            continue;
        }
        s++;
        p = end;
    }
    return s;
}

static const char *match_here(struct matcher *m, const char *s, const char *p)
{
    if (m->depth == 0)
        luaL_error(m->L, "pattern too complex");
    m->depth--;
    const char *e = match_items(m, s, p);
    m->depth++;
    return e;
}

/* -- captures as values -------------------------------------------------------------------------------------------- */

/* [-0, +1, e] capture n (from 0) of a match s … e; without captures the whole match is the first. */
static void push_capture(struct matcher *m, int n, const char *s, const char *e)
{
    if (n >= m->level) {
        if (n != 0)
            luaL_error(m->L, "invalid capture index %%%d", n + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));
        return;
    }
    ptrdiff_t len = m->capture[n].len;
    if (len == UNFINISHED)
        luaL_error(m->L, "unfinished capture");
    else if (len == POSITION)
        lua_pushinteger(m->L, m->capture[n].begin - m->begin + 1);
    else
        lua_pushlstring(m->L, m->capture[n].begin, (size_t)len);
}

/* [-0, +n, e] all captures; s NULL: not the whole match in their place. */
static int push_captures(struct matcher *m, const char *s, const char *e)
{
    int n = m->level == 0 && s ? 1 : m->level;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(m, i, s, e);
    return n;
}

/* -- find and match ------------------------------------------------------------------------------------------------ */

/* A start position as an offset; may lie behind the end. */
static size_t start_offset(lua_Integer at, size_t len)
{
    if (at > 0)
        return (size_t)at - 1;
    if (at == 0 || at < -(lua_Integer)len)
        return 0;
    return (size_t)((lua_Integer)len + at);
}

static bool is_plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != '\0' && strchr("^$*+?.([%-", p[i]))
            return false;
    return true;
}

static int find_or_match(lua_State *L, bool find)
{
    size_t ns, np;
    const char *s = luaL_checklstring(L, 1, &ns);
    const char *p = luaL_checklstring(L, 2, &np);
    size_t from = start_offset(luaL_optinteger(L, 3, 1), ns);
    if (from > ns) {
        luaL_pushfail(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_plain(p, np))) {
        const char *at = np == 0 ? s + from : memmem(s + from, ns - from, p, np);
        if (!at) {
            luaL_pushfail(L);
            return 1;
        }
        lua_pushinteger(L, at - s + 1);
        lua_pushinteger(L, at - s + (lua_Integer)np);
        return 2;
    }
    bool anchored = np > 0 && *p == '^';
    p += anchored;
    np -= anchored;
    struct matcher m;
    init(&m, L, s, ns, p, np);
    for (const char *at = s + from; at <= m.end; at++) {
        const char *e = attempt(&m, at, p);
        if (e && find) {
            lua_pushinteger(L, at - s + 1);
            lua_pushinteger(L, e - s);
            return push_captures(&m, NULL, NULL) + 2;
        }
        if (e)
            return push_captures(&m, at, e);
        if (anchored)
            break;
    }
    luaL_pushfail(L);
    return 1;
}

int rb_lib_find(lua_State *L)
{
    return find_or_match(L, true);
}

int rb_lib_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* -- gmatch -------------------------------------------------------------------------------------------------------- */

/* Upvalues: 1 subject, 2 pattern, 3 offset of the next attempt, 4 offset where the last match ended, -1 none. */
static int l_gmatch_step(lua_State *L)
{
    size_t ns, np;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &ns);
    const char *p = lua_tolstring(L, lua_upvalueindex(2), &np);
    size_t from = (size_t)lua_tointeger(L, lua_upvalueindex(3));
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct matcher m;
    init(&m, L, s, ns, p, np);
    for (; from <= ns; from++) {
        const char *e = attempt(&m, s + from, p);
        if (!e || e - s == last)
            continue;
        lua_pushinteger(L, e - s);
        lua_pushvalue(L, -1);
        lua_replace(L, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&m, s + from, e);
    }
    return 0;
}

int rb_lib_gmatch(lua_State *L)
{
    size_t ns;
    luaL_checklstring(L, 1, &ns);
    luaL_checkstring(L, 2);
    size_t from = start_offset(luaL_optinteger(L, 3, 1), ns);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)(from > ns ? ns + 1 : from));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, l_gmatch_step, 4);
    return 1;
}

/* -- gsub ---------------------------------------------------------------------------------------------------------- */

/* Adds the replacement string at index 3 with its %0 … %9 filled in. */
static void add_template(struct matcher *m, luaL_Buffer *b, const char *s, const char *e)
{
    lua_State *L = m->L;
    size_t n;
    const char *t = lua_tolstring(L, 3, &n), *end = t + n;
    for (;;) {
        const char *escape = memchr(t, ESCAPE, (size_t)(end - t));
        luaL_addlstring(b, t, (size_t)((escape ? escape : end) - t));
        if (!escape)
            return;
        char c = escape[1]; /* a NUL at the end of the string */
        if (c == ESCAPE) {
            luaL_addchar(b, c);
        } else if (c == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else if (isdigit((unsigned char)c)) {
            push_capture(m, c - '1', s, e);
            luaL_tolstring(L, -1, NULL); /* positions */
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%c' in replacement string", ESCAPE);
        }
        t = escape + 2;
    }
}

/* Adds what stands for the match s … e; returns whether that is anything else than the match itself. */
static bool add_replacement(struct matcher *m, luaL_Buffer *b, const char *s, const char *e, int type)
{
    lua_State *L = m->L;
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, e), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    } else {
        add_template(m, b, s, e);
        return true;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
        return false;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

int rb_lib_gsub(lua_State *L)
{
    size_t ns, np;
    const char *s = luaL_checklstring(L, 1, &ns);
    const char *p = luaL_checklstring(L, 2, &np);
    int type = lua_type(L, 3);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)ns + 1);
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                     "string/function/table");
    bool anchored = np > 0 && *p == '^';
    p += anchored;
    np -= anchored;
    const char *at = s, *last = NULL;
    bool changed = false;
    lua_Integer n = 0;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    struct matcher m;
    init(&m, L, s, ns, p, np);
    while (n < most) {
        const char *e = attempt(&m, at, p);
        if (e && e != last) {
            n++;
            changed |= add_replacement(&m, &b, at, e, type);
            at = last = e;
        } else if (at < m.end) {
            luaL_addchar(&b, *at++);
        } else {
            break;
        }
        if (anchored)
            break;
    }
    if (changed) {
        luaL_addlstring(&b, at, (size_t)(m.end - at));
        luaL_pushresult(&b);
    } else {
        lua_pushvalue(L, 1);
    }
    lua_pushinteger(L, n);
    return 2;
}
