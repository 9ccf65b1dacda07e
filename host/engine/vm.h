/* The Lua state of one run: sandbox, memory limit, budget, loading of code. Knows no tasks, no ops and no journal: what
 * it needs of them it gets through struct rb_vm_context and struct rb_vm_hooks. */
#ifndef RB_VM_H
#define RB_VM_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/arena.h"
#include "engine/bindings.h"

/* What differs from task to task; task.c switches vm->context before each resume. */
struct rb_vm_context {
    int depth; /* protected calls (pcall, xpcall, coroutine.resume) that are open in this task */
    /* depth at which a cancellation was raised, -1 none: protected calls at or below it re-raise whatever comes, those
     * opened later by <close> handlers behave as usual */
    int unwind_depth;
    int64_t slice_start; /* rb_clock_thread_cpu() at the first look at it; 0: nobody has looked */
    int blocked; /* > 0: inside coroutine.resume called from a place that can not wait (table.sort, gsub, require …) */
    int nesting;        /* coroutines of the script that are active in this task, one inside the other */
    uint64_t random[4]; /* state of math.random, seeded at first use */
    bool random_seeded;
    bool seen; /* the script holds the task's own coroutine: coroutine.running() */
};

/* Slots that the bottom frame of every coroutine keeps free: the stack is neither moved nor shrunk for calls within
 * them. In the distribution's 5.4.4 `a .. b .. c` goes on with a pointer into the old stack when a __concat in it has
 * moved it (mended upstream in 5.4.7); errors and secrets have one, so that an author meets it without knowing. */
#define RB_VM_STACK_ROOM 250
#define RB_VM_STACK_ROOM_SECRETS 1000 /* where the run knows secrets */

enum rb_vm_dead { RB_VM_ALIVE, RB_VM_BUDGET, RB_VM_MEMORY }; /* sticky: every pcall re-raises it, the run ends */

/* What the engine gives to the sandbox. Each is a lua_CFunction that behaves as a record of the run (same on replay);
 * NULL leaves the plain, refusing version ("only inside a run"). */
struct rb_vm_hooks {
    lua_CFunction os_time, os_date, os_clock; /* records */
    lua_CFunction random_seed;                /* returns two integers for math.random of the current task */
    /* Source of a module by name for require and for the run's files: returns 1 and fills text/chunkname, 0 not found,
     * negative error. */
    int (*find_module)(void *arg, const char *name, struct rb_buf *text, char chunkname[256], struct rb_err *err);
    void *arg;
};

struct rb_vm_options {
    size_t memory;         /* bytes; 0: 256 MiB */
    int64_t slice_warn_us; /* 0: 100,000 */
    int64_t slice_max_us;  /* 0: 1,000,000 */
    struct rb_vm_hooks hooks;
    void (*on_slow_slice)(void *arg, int64_t us, const char *where); /* once a slice */
    void *arg;                                                       /* of on_slow_slice */
};

struct rb_vm {
    lua_State *L;
    struct rb_vm_options opt;
    struct rb_arena arena;
    size_t used; /* bytes that Lua holds */
    enum rb_vm_dead dead;
    char dead_where[256];          /* the author's line that was running when it was first noticed; "" unknown */
    struct rb_vm_context *context; /* never NULL: own_context until task.c sets another */
    struct rb_vm_context own_context;
    bool error_tables;  /* pcall and xpcall give Lua's own errors as tables (a run), not as strings */
    bool warned;        /* about this slice */
    long oom_after;     /* tests: fail the n-th allocation from now on; 0 off */
    int env_ref;        /* the table of globals that runbooks see */
    int face_ref;       /* what their _ENV and _G are: reads from it, refuses writes once sealed */
    int rt_ref;         /* the globals of stdlib/rt */
    int coroutines;     /* made by scripts and not known to be dead */
    int closing;        /* coroutine.close inside coroutine.close */
    unsigned ticks;     /* of rb_vm_tick */
    struct rb_vm_real { /* functions of Lua's own libraries that ours end in */
        lua_CFunction resume, yield, status, close, format, rep;
    } real;
};

/* What the engine's await yields, as its only value (a light userdata): nested coroutine.resume and wrap pass it up to
 * the task and go on with the inner coroutine, without arguments, when they are resumed. */
extern const char rb_await_sentinel;

/* Makes the state with the whole environment of D2 (sandboxed string, table, math, utf8, os, coroutine, pairs, next,
 * require, load, pcall …, json, base64, hash, hmac, duration, null). The engine adds verbs to the environment table
 * (rb_vm_push_env) afterwards. 0 or RB_E…. */
int rb_vm_open(struct rb_vm *vm, const struct rb_vm_options *opt, struct rb_err *err);
/* What is there will stay, so the collector need not look at it before as much again is in use. */
void rb_vm_rest(struct rb_vm *vm);
void rb_vm_close(struct rb_vm *vm);
struct rb_vm *rb_vm_of(lua_State *L); /* from any thread of it, O(1) (lua_getextraspace) */

/* [-0, +1, -] the environment table. After rb_vm_seal() it and the library tables are read-only for scripts, and
 * reading or writing an unknown global is an error that suggests the nearest known name. Assigning a new global in a
 * runbook: an error that says `local`. */
void rb_vm_push_env(lua_State *L);
void rb_vm_seal(struct rb_vm *vm);

/* [-1, +1, m] wraps the table on top into a face: reading finds what is in the table, also when it is added later by C;
 * assigning, rawset, setmetatable and table.insert are refused with "`name` is read-only". For libraries and callable
 * tables (C may add __call to the face's metatable). */
void rb_vm_protect(lua_State *L, const char *name);

/* May the code that runs on L wait now? False inside table.sort, gsub, require …, also when a coroutine was resumed
 * from there. */
bool rb_vm_can_wait(lua_State *L);

/* [-0, +0, v] for C loops that run long on behalf of a script: raises when the slice's budget is used up, or when the
 * VM is dead. rb_vm_tick looks at the clock only every 4,096th call. */
void rb_vm_check(lua_State *L);
void rb_vm_tick(lua_State *L);
/* [-0, +0, v] raises (sticky, kind "memory") when a script asks for more bytes at once than the run may have. */
void rb_vm_need(lua_State *L, double bytes);
/* Raises the error of a dead VM: kind "budget" or "memory". */
int rb_vm_raise_dead(lua_State *L);

/* A slice begins: from one wait to the next. */
void rb_vm_slice(struct rb_vm *vm);

/* [-0, +1, -] compiles text (never bytecode) with the environment; on failure pushes nothing and returns RB_EINVAL with
 * "file:line: …". */
int rb_vm_load(lua_State *L, const char *text, size_t n, const char *chunkname, struct rb_err *err);
/* [-0, +1, -] an internal module of stdlib/rt, loaded once (its result cached in the registry); host code, not
 * sandboxed: it sees the real base library in its _ENV, plus `host`, the table of C functions that the engine registers
 * with rb_vm_host_functions(). */
int rb_vm_rt(lua_State *L, const char *name, struct rb_err *err);
void rb_vm_host_functions(struct rb_vm *vm, const struct rb_binding *table); /* may be NULL */

/* Any error value on top of the stack to one line of text (tables with __tostring, strings, nil, anything). Pops
 * nothing. */
void rb_vm_error_text(lua_State *L, int index, struct rb_buf *out);

/* "file:line" of the innermost frame of L that belongs to a runbook (not to stdlib/rt, not C); "" when there is
 * none. */
void rb_vm_where(lua_State *L, char *out, size_t n);

/* Traceback of the author's frames only, one "  file:line: in function 'x'" a line. */
void rb_vm_traceback(lua_State *L, struct rb_buf *out);

#endif
