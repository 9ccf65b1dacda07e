/* The Lua state of one run: sandbox, memory limit, budget, loading of code. Knows no tasks, no ops and no journal: what it
 * needs of them it gets through struct rb_vm_context and struct rb_vm_hooks. */
#ifndef RB_VM_H
#define RB_VM_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/buf.h"
#include "base/err.h"

/* What differs from task to task; task.c switches vm->context before each resume. */
struct rb_vm_context {
    int depth;        /* protected calls (pcall, xpcall, coroutine.resume) that are open in this task */
    int unwind_depth; /* depth at which a cancellation was raised, -1 none: protected calls at or below it re-raise whatever
                       * comes, those opened later by <close> handlers behave as usual */
    int64_t slice_start; /* rb_clock_thread_cpu() */
};

enum rb_vm_dead { RB_VM_ALIVE, RB_VM_BUDGET, RB_VM_MEMORY }; /* sticky: every pcall re-raises it, the run ends */

/* What the engine gives to the sandbox. Each is a lua_CFunction that behaves as a record of the run (same on replay); NULL leaves the
 * plain, refusing version ("only inside a run"). */
struct rb_vm_hooks {
    lua_CFunction os_time, os_date, os_clock; /* records */
    lua_CFunction random_seed;                /* returns two integers for math.random of the current task */
    /* Source of a module by name for require and for the run's files: returns 1 and fills text/chunkname, 0 not found, negative error. */
    int (*find_module)(void *arg, const char *name, struct rb_buf *text, char chunkname[256], struct rb_err *err);
    void *arg;
};

struct rb_vm_options {
    size_t memory;          /* bytes; 0: 256 MiB */
    int64_t slice_warn_us;  /* 0: 100,000 */
    int64_t slice_max_us;   /* 0: 1,000,000 */
    struct rb_vm_hooks hooks;
    void (*on_slow_slice)(void *arg, int64_t us, const char *where); /* once a slice */
    void *arg;              /* of on_slow_slice */
};

struct rb_vm {
    lua_State *L;
    struct rb_vm_options opt;
    size_t used;                   /* bytes that Lua holds */
    enum rb_vm_dead dead;
    struct rb_vm_context *context; /* never NULL: own_context until task.c sets another */
    struct rb_vm_context own_context;
    bool warned;                   /* about this slice */
    long oom_after;                /* tests: fail the n-th allocation from now on; 0 off */
    int env_ref;                   /* the table of globals that runbooks see */
};

/* Makes the state with the whole environment of D2 (sandboxed string, table, math, utf8, os, coroutine, pairs, next, require, load, pcall …, json, base64,
 * hash, hmac, duration, null). The engine adds verbs to the environment table (rb_vm_push_env) afterwards. 0 or RB_E…. */
int rb_vm_open(struct rb_vm *vm, const struct rb_vm_options *opt, struct rb_err *err);
void rb_vm_close(struct rb_vm *vm);
struct rb_vm *rb_vm_of(lua_State *L); /* from any thread of it, O(1) (lua_getextraspace) */

/* [-0, +1, -] the environment table. After rb_vm_seal() it and the library tables are read-only for scripts, and reading or writing an
 * unknown global is an error that suggests the nearest known name. Assigning a new global in a runbook: an error that says `local`. */
void rb_vm_push_env(lua_State *L);
void rb_vm_seal(struct rb_vm *vm);

/* A slice begins: from one wait to the next; also at each op. */
void rb_vm_slice(struct rb_vm *vm);

/* [-0, +1, -] compiles text (never bytecode) with the environment; on failure pushes nothing and returns RB_EINVAL with "file:line: …". */
int rb_vm_load(lua_State *L, const char *text, size_t n, const char *chunkname, struct rb_err *err);
/* [-0, +1, -] an internal module of stdlib/rt, loaded once (its result cached in the registry); host code, not sandboxed: it sees the
 * real base library in its _ENV, plus `host`, the table of C functions that the engine registers with rb_vm_host_function(). */
int rb_vm_rt(lua_State *L, const char *name, struct rb_err *err);
void rb_vm_host_function(struct rb_vm *vm, const char *name, lua_CFunction fn);

/* Any error value on top of the stack to one line of text (tables with __tostring, strings, nil, anything). Pops nothing. */
void rb_vm_error_text(lua_State *L, int index, struct rb_buf *out);

/* "file:line" of the innermost frame of L that belongs to a runbook (not to stdlib/rt, not C); "" when there is none. */
void rb_vm_where(lua_State *L, char *out, size_t n);

/* Traceback of the author's frames only, one "  file:line: in function 'x'" a line. */
void rb_vm_traceback(lua_State *L, struct rb_buf *out);

#endif
