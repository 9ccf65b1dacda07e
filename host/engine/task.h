/* Tasks: coroutines of a run, in a tree. The only file that suspends and resumes Lua is task.c. */
#ifndef RB_TASK_H
#define RB_TASK_H

#include "base/list.h"
#include "engine/vm.h"

struct rb_effect;
struct rb_scope;
struct rb_run;

enum rb_task_state {
    RB_TASK_READY,   /* in run->ready */
    RB_TASK_RUNNING, /* on the Lua stack now */
    RB_TASK_WAITING, /* for task->op */
    RB_TASK_JOINING, /* for a child to end */
    RB_TASK_DONE,
};

struct rb_task {
    struct rb_list ready;    /* in run->ready */
    struct rb_list sibling;  /* in parent->children, or parent->ended once done */
    struct rb_list children; /* alive */
    struct rb_list ended;    /* children that are done and were not collected yet, in the order of their ends */
    struct rb_run *run;
    struct rb_task *parent;
    int id;
    enum rb_task_state state;
    lua_State *co;
    int co_ref; /* registry: keeps co alive */
    struct rb_vm_context context;
    struct rb_scope *scope; /* holds a reference */
    struct rb_effect *op;   /* what it waits for; owned */
    bool started;
    bool ok; /* when done: results are on co's stack, or the error is */
    int results;
    /* Cancellation: wanted once and for ever; delivered when it was raised; cut when the grace for clean-up has
     * passed. */
    bool cancel_wanted, cancel_delivered, cut;
    char *cancel_why;
    int shield;          /* > 0: not raised now */
    int64_t grace_until; /* rb_clock_boot() by which clean-up must end; 0 none */
    int reads_only;      /* > 0: inside a check: effects are refused; < 0: inside one that acts */
    int on_doubt;        /* of effects that do not say: 0 their own default, else 1 + enum rb_on_doubt */
    int in_memo;         /* > 0: a replay will not come here */
    int in_tx;           /* > 0: inside a transaction of a database: only reads, and what is part of it */
    int no_wait;         /* > 0: inside memo or another place where waiting is refused */
};

/* [-(1+nargs), +0, m] makes a task that will call the function below the nargs arguments on top of L's stack. The
 * child's scope becomes task->scope (takes the reference). It is put at the end of run->ready. */
struct rb_task *rb_task_spawn(lua_State *L, struct rb_run *run, struct rb_task *parent, struct rb_scope *scope,
                              int nargs);

/* Runs one ready task until it waits or ends. */
void rb_task_resume(struct rb_task *task);

/* The task of the code that runs on L now; raises when there is none (the runbook's header, a module body of another
 * state). */
struct rb_task *rb_task_current(lua_State *L);

/* Is waiting possible here? Raises a clear error when not (table.sort, gsub, require, a module body). `what` names the
 * call. */
void rb_task_check_waitable(lua_State *L, const char *what);

/* Suspends until task->op has an outcome: the value is returned, the error raised. Call as `return
 * rb_task_await(L);`. */
int rb_task_await(lua_State *L);

/* Lua: wait_child() → id, ok, values… of the next child that has ended and was not collected; nothing when there are
 * none left. */
int rb_task_wait_child(lua_State *L);

/* Lua: message handler of tasks and steps: makes one of our errors of anything, with the author's traceback. */
int rb_task_on_error(lua_State *L);

/* The op of a waiting task has its outcome: makes it ready. */
void rb_task_wake(struct rb_task *task);

/* Asks it and its children to end. Always succeeds. */
void rb_task_cancel(struct rb_task *task, const char *why);

/* Raises `cancelled` now when it is due. Called before each op. */
void rb_task_check_cancel(lua_State *L, struct rb_task *task);

/* Frees a task tree without running any Lua (park, crash of the run). */
void rb_task_free_tree(struct rb_task *task);

#endif
