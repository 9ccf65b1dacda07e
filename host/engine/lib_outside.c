/* Owns what a runbook may see of the world without an effect: clocks, chance, the environment. What differs from time
 * to time is a record, so that a replay sees the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/sha.h"
#include "engine/bindings.h"
#include "engine/core.h"
#include "engine/error.h"

#define DATA_MAX ((size_t)16 << 20)

/* -- the environment ----------------------------------------------------------------------------------------------- */

static const char *const small_environment[] = {"PATH", "HOME", "USER",   "LOGNAME",       "SHELL",           "LANG",
                                                "TZ",   "TERM", "TMPDIR", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR", NULL};

static bool passes(const struct rb_host *h, const char *name, size_t len)
{
    if (len >= 3 && strncmp(name, "LC_", 3) == 0)
        return true;
    for (const char *const *p = small_environment; *p; p++)
        if (strlen(*p) == len && memcmp(*p, name, len) == 0)
            return true;
    for (const char *const *p = h->env_pass; p && *p; p++)
        if (strlen(*p) == len && memcmp(*p, name, len) == 0)
            return true;
    return false;
}

/* Is the name of "NAME=value" at entry among the strings of the list at index (as "NAME" or "NAME=…")? */
static bool listed(lua_State *L, int index, const char *entry, size_t len)
{
    bool found = false;
    size_t n = lua_rawlen(L, index);
    for (size_t i = 1; i <= n && !found; i++) {
        lua_rawgeti(L, index, (lua_Integer)i);
        const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_testudata(L, -1, RB_SECRET_META);
        found = s && strncmp(s, entry, len) == 0 && (s[len] == '=' || s[len] == '\0');
        lua_pop(L, 1);
    }
    return found;
}

extern char **environ;

char **rb_small_environ(const struct rb_host *h)
{
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **list = rb_alloc((n + 1) * sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        const char *eq = strchr(environ[i], '=');
        if (eq && passes(h, environ[i], (size_t)(eq - environ[i])))
            list[k++] = environ[i];
    }
    return list;
}

static int l_environ(lua_State *L) /* names let through, own "NAME=value" … → the whole environment of a child */
{
    struct rb_run *run = rb_run_of(L);
    lua_Integer n = 0;
    lua_settop(L, 2);
    lua_newtable(L);
    for (char **e = environ; *e; e++) {
        const char *eq = strchr(*e, '=');
        size_t len = eq ? (size_t)(eq - *e) : 0;
        if (!len || (!passes(run->host, *e, len) && !listed(L, 1, *e, len)) || listed(L, 2, *e, len))
            continue;
        lua_pushstring(L, *e);
        lua_rawseti(L, 3, ++n);
    }
    size_t own = lua_rawlen(L, 2);
    for (size_t i = 1; i <= own; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i);
        lua_rawseti(L, 3, ++n);
    }
    return 1;
}

static int l_getenv(lua_State *L) /* name → value or nil, allowed?: allowed by the configuration or the header */
{
    struct rb_run *run = rb_run_of(L);
    const char *name = luaL_checkstring(L, 1);
    bool ok = passes(run->host, name, strlen(name));
    const char *value = getenv(name);
    if (value && rb_secret_any(run)) {
        struct rb_buf *clean = rb_effect_buf(L, DATA_MAX);
        rb_secret_redact(run, value, strlen(value), clean);
        lua_pushstring(L, rb_buf_text(clean));
    } else {
        lua_pushstring(L, value);
    }
    lua_pushboolean(L, ok);
    return 2;
}

/* -- clocks and chance --------------------------------------------------------------------------------------------- */

static int l_parse_time(lua_State *L) /* "2026-11-22T03:00:00Z" → seconds, or nil (RFC 3339) */
{
    struct tm tm = {0};
    const char *rest = strptime(luaL_checkstring(L, 1), "%Y-%m-%dT%H:%M:%S", &tm);
    long offset = 0;
    int hours, minutes;
    if (rest && *rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (!rest)
        return 0;
    if ((*rest == '+' || *rest == '-') && sscanf(rest + 1, "%2d:%2d", &hours, &minutes) == 2 && strlen(rest) == 6)
        offset = (*rest == '-' ? -60L : 60L) * (hours * 60 + minutes);
    else if (strcmp(rest, "Z") != 0)
        return 0;
    lua_pushinteger(L, (lua_Integer)timegm(&tm) - offset);
    return 1;
}

int64_t rb_stage_clock(const struct rb_run *run)
{
    return run->stage && run->stage->clock ? run->stage->clock : rb_clock_wall();
}

static int l_wall_us(lua_State *L)
{
    lua_pushinteger(L, rb_stage_clock(rb_run_of(L)));
    return 1;
}

static int l_random_bytes(lua_State *L) /* n → bytes */
{
    char bytes[64];
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_argcheck(L, n >= 0 && n <= 64, 1, "0 to 64");
    if (getrandom(bytes, (size_t)n, 0) != (ssize_t)n)
        return luaL_error(L, "the system gives no random bytes");
    lua_pushlstring(L, bytes, (size_t)n);
    return 1;
}

static int pinned_call(lua_State *L, const char *op, lua_CFunction fn) /* the arguments of the call go to fn */
{
    if (!rb_run_of(L)->current)
        return rb_error_raise(L, "usage", "not_started", "%s can only be used while the run's tasks are running", op);
    lua_pushcfunction(L, rb_lib_pin);
    lua_insert(L, 1);
    lua_pushstring(L, op);
    lua_insert(L, 2);
    lua_pushcfunction(L, fn);
    lua_insert(L, 3);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int now_seconds(lua_State *L)
{
    lua_pushinteger(L, rb_stage_clock(rb_run_of(L)) / 1000000);
    return 1;
}

static int cpu_seconds(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)rb_clock_thread_cpu() / 1e6);
    return 1;
}

int rb_lib_os_time(lua_State *L)
{
    lua_settop(L, 0);
    return pinned_call(L, "now", now_seconds);
}

int rb_lib_os_clock(lua_State *L)
{
    lua_settop(L, 0);
    return pinned_call(L, "clock", cpu_seconds);
}

static int date_text(lua_State *L) /* format, time: local time depends on the host, so its text is the record */
{
    char out[512];
    const char *format = luaL_optstring(L, 1, "%c");
    time_t t = (time_t)luaL_optinteger(L, 2, rb_stage_clock(rb_run_of(L)) / 1000000);
    struct tm tm;
    bool utc = *format == '!';
    if (!(utc ? gmtime_r(&t, &tm) : localtime_r(&t, &tm)))
        return luaL_error(L, "the time can not be represented in this installation");
    format += utc;
    if (strcmp(format, "*t") == 0) {
        static const char *const names[] = {"year", "month", "day", "hour", "min", "sec", "yday", "wday"};
        int values[] = {tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,     tm.tm_hour,
                        tm.tm_min,         tm.tm_sec,     tm.tm_yday + 1, tm.tm_wday + 1};
        lua_createtable(L, 0, 9);
        for (size_t i = 0; i < RB_COUNT(names); i++) {
            lua_pushinteger(L, values[i]);
            lua_setfield(L, -2, names[i]);
        }
        lua_pushboolean(L, tm.tm_isdst > 0);
        lua_setfield(L, -2, "isdst");
        return 1;
    }
    size_t n = *format ? strftime(out, sizeof(out), format, &tm) : 0;
    if (!n && *format)
        return luaL_error(L, "the format of os.date gives more than %d bytes", (int)sizeof(out));
    lua_pushlstring(L, out, n);
    return 1;
}

int rb_lib_os_date(lua_State *L)
{
    return pinned_call(L, "date", date_text);
}

/* two integers from the run's seed and the task's place: the same on replay, no record needed */
int rb_lib_random_seed(lua_State *L)
{
    struct rb_run *run = rb_run_of(L);
    const char *path = run->current ? run->current->scope->path : "";
    uint8_t sum[RB_SHA_LEN];
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, sizeof(run->seed), (const uint8_t *)&run->seed);
    sha256_update(&ctx, strlen(path), (const uint8_t *)path);
    sha256_digest(&ctx, RB_SHA_LEN, sum);
    lua_Integer two[2];
    memcpy(two, sum, sizeof(two));
    lua_pushinteger(L, two[0]);
    lua_pushinteger(L, two[1]);
    return 2;
}

const struct rb_binding rb_lib_outside[] = {
    {"wall_us", l_wall_us}, {"random_bytes", l_random_bytes}, {"parse_time", l_parse_time},
    {"getenv", l_getenv},   {"environ", l_environ},           {NULL, NULL},
};
