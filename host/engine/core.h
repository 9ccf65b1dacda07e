/* What the files of engine/ share about a run and its host. Private to engine/; bind/ sees effect.h and task.h only. */
#ifndef RB_CORE_H
#define RB_CORE_H

#include "engine/bindings.h"
#include "engine/effect.h"
#include "engine/replay.h"
#include "engine/run.h"
#include "engine/scope.h"
#include "engine/sealed.h"
#include "engine/secret.h"
#include "engine/secret_source.h"
#include "engine/stage.h"
#include "engine/task.h"
#include "engine/value.h"
#include "engine/vm.h"
#include "io/git.h"
#include "io/timer.h"

/* A slot limit that the runs of a process share, first come first served. */
struct rb_slots {
    int max, used;
    bool serving;         /* free slots are being given to the queue */
    struct rb_list queue; /* struct rb_effect.slot_link */
};

struct rb_host {
    struct rb_loop *loop;
    struct rb_store *store;
    struct rb_limits limits;
    const char *const *env_pass;
    char *config_json;
    json_t *config; /* the same, parsed at its first use */
    struct rb_turn turn;
    struct rb_list runs;     /* struct rb_run.link */
    struct rb_list runnable; /* struct rb_run.turn_link */
    struct rb_slots exec;
    struct rb_policy_site *policy; /* policy.c's; NULL until its first question */
    const char *config_file;       /* borrowed; NULL */
    struct rb_vault vault;         /* secret_source.c's */
    char *secret_key;              /* path of the key of sealed.c; NULL */
    uint8_t *seal_key;             /* secretmem; NULL until it is needed */
    struct rb_timer watch_timer;   /* until signals are watched */
    bool watching;                 /* signals */
};

enum rb_run_mode {
    RB_RUN_REPLAY, /* recorded events are fed; nothing starts */
    RB_RUN_LIVE,
    RB_RUN_PARKING, /* no new op starts; what runs may finish */
    RB_RUN_STOPPED, /* on_stopped was called */
};

enum rb_phase { RB_PHASE_MAIN, RB_PHASE_UNDO };

/* A compensation that the runbook has registered. Its function lives in the registry. */
struct rb_undo {
    int64_t n;
    char *title;
    int fn_ref;
    struct rb_scope *scope; /* of the step it belongs to: armed when an effect has started there */
    bool done, skipped;
};

/* One run in this process. Owner: whoever called rb_run_start/resume; freed by rb_run_free(). */
struct rb_run {
    struct rb_list link, turn_link;
    struct rb_host *host;
    struct rb_vm vm;
    struct rb_journal *journal;
    struct rb_replay replay;
    struct rb_observer observer;
    struct rb_stage *stage; /* NULL: the world itself */
    char id[RB_RUN_ID_MAX];
    char status[24];
    enum rb_run_mode mode;
    enum rb_phase phase;
    struct rb_actor actor;
    char *runbook, *title, *file;
    char *folder;             /* the file's, absolute; NULL in a run of old */
    struct rb_policy *policy; /* policy.c's; NULL until its first question */
    int main_ref;             /* registry: the compiled runbook, until its task begins */
    char *header_json, *params_json;
    int64_t created, epoch;
    bool dry, confirm_steps;
    int64_t assumed, probed; /* effects that a dry run has only listed: outside of checks, and in checks that act */
    char *environment, *freeze_override, *limit; /* as in rb_run_options; NULL */
    int64_t wait_ms, notice_after_ms;
    struct rb_notices *notices; /* notice.c's, or NULL */
    struct rb_list backlogs;    /* struct rb_backlog: held back for a channel's rate */
    uint64_t seed;
    struct rb_git git; /* of a new run */

    struct rb_list ready; /* struct rb_task.ready */
    struct rb_task *root, *current;
    int tasks;   /* alive */
    int idle[8]; /* registry: coroutines for tasks to come */
    size_t idle_count;
    int next_task;
    struct rb_list fresh;    /* struct rb_effect.done_link: called in this slice, not opened */
    struct rb_list helpers;  /* struct rb_task.sibling: tasks of on_doubt functions */
    struct rb_list ops;      /* struct rb_effect.link: called and not delivered, in the order of the calls */
    struct rb_list done;     /* struct rb_effect.done_link: outcome known, not journaled */
    struct rb_buf event;     /* where the next of these is written */
    struct rb_list receipts; /* receipts.c's: of outcomes that are journaled, the oldest first */
    int seen_fd;             /* rb_store_see()'s */
    struct rb_durable older_wait;
    int64_t older;      /* the journal was put back, and had come to this event before; 0 */
    int64_t doubted_to; /* what has begun up to this event may have ended since, though it has no receipt */
    struct rb_undo *undos;
    size_t undo_count, undo_cap;
    int64_t undo_cleared; /* registrations up to this n are settled */

    /* The end. */
    struct rb_durable stop_wait;    /* for the last event */
    char *stop_status, *stop_error; /* for on_stopped; set once */
    char *fatal_kind, *fatal_text;  /* the run can not go on: nondeterminism, budget, memory … */
    bool stopping;                  /* running ops are being ended; then the run stops */
    struct rb_timer park_timer, wait_timer, deadline_timer;
    char *park_why;
    int64_t park_signal; /* id of the signal that asked for it */
    bool parked_event;   /* run.park is in the journal */
    char *cancel_event;  /* JSON of a cancel that the next turn applies; NULL */
    bool cancelled, timed_out;
    char *cancel_text; /* who cancelled it and why, for people */
    bool retrying;     /* a tolerant replay: its run.retry event is still to be written */
    int64_t retry_op, retry_skip;
    char *retry_reason;
    bool undo_wanted; /* the undo phase begins when the replay is through */
    int64_t undo_skip;
    char successor[RB_RUN_ID_MAX];
    struct rb_secret *secrets;    /* secret.c's */
    struct rb_redactor *redactor; /* of their texts; NULL none */
    int64_t filtered;             /* how often it has found one in what was to be kept */
    char *secret_from;            /* JSON: where they were read from; NULL */
    char *secret_kinds;           /* JSON: those that the runbook names, and the kinds of their sources; NULL */
    struct rb_strmap sources;     /* module name → struct rb_source */
    struct rb_list mailbox;       /* struct rb_letter: signals by name that came before their wait */
    int64_t signals_seen;         /* highest id looked at */
    int64_t signals_old;          /* up to this id: asked of the run before its end (run.retry, undo.start) */
    int64_t signals_parked;       /* up to this id, it was parked for those that wished it */
    int64_t computed;             /* CPU µs since it called an operation or all of its tasks waited */
    bool deadline_passed;         /* during the replay */
    int64_t replay_started;
    bool again; /* has something to do at the next turn */
    bool resumed;
    struct rb_codec codec;
};

/* A pinned file: what the run executes, whatever becomes of the files on disk. */
struct rb_source {
    char *text;
    size_t len;
};

/* A member of the configuration, borrowed; NULL when it is not there. host.c */
const json_t *rb_host_config(struct rb_host *h, const char *key);
/* "file:line" of a setting ("policy.allow.exec"), as far as it is known. */
void rb_host_config_place(const struct rb_host *h, const char *path, char *out, size_t n);

/* The receipt of an op whose result is event seq may go when that is durable. receipts.c */
void rb_run_note_receipt(struct rb_run *run, const struct rb_effect *e, int64_t seq);
void rb_run_drop_receipts(struct rb_run *run); /* forgets them: they are left to be swept */
/* Is the journal that was loaded older than what the run has done? RB_EINVAL, unless it is taken back; then what had
 * begun is in doubt. */
int rb_run_check_older(struct rb_run *run, bool take_back, struct rb_err *err);
void rb_run_write_older(struct rb_run *run, struct rb_buf *json); /* ,"older":N of the event it goes on with */
void rb_run_note_older(struct rb_run *run); /* when that is durable, this journal is the one that holds */

/* The run of any Lua thread of it. Only in a run's own state, never in the scratch states of runbook.c. */
static inline struct rb_run *rb_run_of(lua_State *L)
{
    return RB_CONTAINER(rb_vm_of(L), struct rb_run, vm);
}

/* A signal that nobody waited for yet. The first of a name wins. */
struct rb_letter {
    struct rb_list link;
    char *name, *data, *actor;
    int64_t id;
};

/* turn.c: what happens in a loop turn */
void rb_run_wake(struct rb_run *run);       /* it has something to do at the next turn */
void rb_run_begin_undo(struct rb_run *run); /* live, after the run's end: the compensations */
void rb_run_turns(struct rb_turn *t);       /* the host's turn hook */
/* one without a parent: the root, an on_doubt function */
void rb_run_task_ended(struct rb_run *run, struct rb_task *task);
/* The run can not go on. What runs is ended first; then it ends as failed with this kind. */
void rb_run_fail_internal(struct rb_run *run, const char *kind, const char *fmt, ...) RB_PRINTF(3, 4);

/* run_end.c: the ways in which a run leaves this process */
void rb_run_end(struct rb_run *run); /* its root task has ended, live */
void rb_run_end_fatal(struct rb_run *run);
/* on_stopped once everything appended is durable */
void rb_run_stop(struct rb_run *run, const char *status, const char *error);
/* Of one that is stopping: it leaves because only a person can go on, so it stays when it is answered before its last
 * event is durable. */
bool rb_run_may_stay(const struct rb_run *run);
void rb_run_lost(struct rb_run *run, int rc, const struct rb_err *err); /* the journal can not go on */
bool rb_run_ops_busy(struct rb_run *run);                               /* does something still run in the world? */

/* park.c */
void rb_run_park_init(struct rb_run *run);
void rb_run_park_now(struct rb_run *run);

/* state.c: who is waited for */
void rb_run_update_state(struct rb_run *run);
void rb_run_state_init(struct rb_run *run);

/* decide.c */
void rb_run_read_signals(struct rb_run *run);
/* ,"signals":N of a run that has ended and goes on */
void rb_run_write_signals(struct rb_run *run, struct rb_buf *json);
struct rb_letter *rb_run_letter(struct rb_run *run, const char *name); /* takes the oldest letter of that name; NULL */
void rb_letter_free(struct rb_letter *l);

/* undo.c: [-0,+0,e] */
/* function on top of L, popped; returns n */
int rb_undo_register(lua_State *L, struct rb_run *run, const char *title, size_t len);
void rb_undo_free(struct rb_run *run);
struct rb_undo *rb_undo_next(struct rb_run *run);          /* the armed one that was registered last; NULL */
struct rb_undo *rb_undo_at(struct rb_run *run, int64_t n); /* NULL */
size_t rb_undo_armed(struct rb_run *run);
void rb_undo_json(struct rb_run *run, struct rb_buf *out); /* [{"n":…,"title":…}…] of the armed ones, last first */

/* source.c */
int rb_source_pin_all(struct rb_run *run, const char *text, size_t len, struct rb_buf *json, struct rb_err *err);
/* the sources of a run for another */
void rb_source_pin_again(const struct rb_run *from, struct rb_run *to, struct rb_buf *json);
/* The names of secrets in the texts of all that is pinned: a JSON list. */
int rb_source_secrets(const struct rb_run *run, struct rb_buf *names_json, struct rb_err *err);
int rb_source_load_pinned(struct rb_run *run, struct rb_err *err);
int rb_source_find(void *arg, const char *name, struct rb_buf *text, char chunkname[256], struct rb_err *err);
void rb_source_free(void *source);

/* successor.c: restart_with(). Creates the run that goes on; the same one again when this run is resumed in between. */
int rb_run_create_successor(struct rb_run *run, const char *params_json, struct rb_err *err);

/* retry.c: the seqs of the results that a retry sets aside: of op (0: of what failed). The caller frees the list, also
 * after a failure. */
int rb_retry_choose(struct rb_run *run, int64_t op, int64_t **seqs, size_t *n, struct rb_err *err);

/* host.c */
void rb_host_watch(struct rb_host *h); /* signals of other processes, from soon on, and those that have come by then */

/* run.c */
struct rb_run *rb_run_make(struct rb_host *h, const struct rb_run_options *opt);
int rb_run_open_vm(struct rb_run *run, struct rb_err *err);
int rb_run_compile(struct rb_run *run, const char *text, size_t len, struct rb_err *err);
int rb_run_begin(struct rb_run *run, struct rb_err *err);
/* ,"environment":"…","freeze_override":{…} of where and how it goes on here */
void rb_run_write_site(const struct rb_run *run, struct rb_buf *json);
char *rb_run_header_text(const char *header, const char *key); /* allocated; NULL */
void rb_run_append_start(struct rb_run *run, const struct rb_actor *actor, const char *reason, const char *secret_from,
                         const char *previous, const struct rb_buf *sources);
int rb_run_spawn_root(struct rb_run *run, const char *rt_module, struct rb_err *err); /* NULL: the runbook itself */

/* record.c: events that are written at once and claimed by replay at the same place (print, note, step.start …).
 * [-0, +0, e] `data` is the event's JSON. Raises `nondeterminism`. */
int64_t rb_record_event(lua_State *L, struct rb_run *run, const char *key, const char *kind, const char *data,
                        size_t len);
/* A value that was pinned under this key by op: its event, claimed; NULL when it is to be made now. */
struct rb_recorded *rb_record_pinned(lua_State *L, struct rb_run *run, const char *key, const char *op);

/* lib.c: what stdlib/rt sees of the engine, and the verbs in the environment */
int rb_lib_register(struct rb_run *run, struct rb_err *err);
int rb_lib_pin(lua_State *L); /* host.pin */
/* lib_outside.c: clocks, chance, environment */
extern const struct rb_binding rb_lib_outside[];
/* The small environment that every child gets: a NULL-terminated list to free(); the strings are borrowed. */
char **rb_small_environ(const struct rb_host *h);
int rb_lib_os_time(lua_State *L);
int rb_lib_os_date(lua_State *L);
int rb_lib_os_clock(lua_State *L);
int rb_lib_random_seed(lua_State *L);

#endif
