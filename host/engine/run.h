/* The life of a run: start, resume, park, cancel, retry, undo. What front/ may call; loop thread only. */
#ifndef RB_RUN_H
#define RB_RUN_H

#include <jansson.h>

#include "base/buf.h"
#include "store/journal.h"

struct rb_host;
struct rb_stage;

/* Whoever shows a run. Any member may be NULL. Called on the loop; must not call back into the run except where
 * said. */
struct rb_observer {
    /* An event has become durable (docs/journal.md). This is what may be shown as fact. May call rb_run_answer/… */
    void (*on_event)(void *arg, struct rb_run *run, const struct rb_event *ev);
    /* Live output of a running op: provisional. `op` is the op's number (the seq of its intent, or 0 for a read), key
     * its key. */
    void (*on_output)(void *arg, struct rb_run *run, int64_t op, const char *key, int stream, const char *data,
                      size_t len);
    /* The run needs nothing more from this process: it has ended, is parked, or waits for a person and may not stay
     * (wait_ms). The last call for it. status as in runs.status; error is one line or NULL. */
    void (*on_stopped)(void *arg, struct rb_run *run, const char *status, const char *error);
    /* Replay: how many recorded events were fed of how many. */
    void (*on_replayed)(void *arg, struct rb_run *run, int64_t events, int64_t us);
    void *arg;
    /* A line for whoever is at the terminal: a channel of type terminal, or somebody who could not be told. */
    void (*on_told)(void *arg, struct rb_run *run, const char *line);
    /* What is told of a run that waits, is in doubt, was parked or ends as `state` (of the header's notify): why, what
     * for, the exact command that goes on. Every event up to now was shown. stays: this process goes on driving it. */
    void (*describe)(void *arg, struct rb_run *run, const char *state, const char *error, bool stays,
                     struct rb_buf *text);
};

struct rb_limits {
    size_t lua_memory;       /* bytes for one run's Lua state; default 256 MiB */
    int64_t slice_warn_us;   /* 100 ms */
    int64_t slice_max_us;    /* 1 s */
    size_t max_output;       /* default of max_output: 1 MiB for each stream */
    int max_exec;            /* children at once in this process: 64 */
    int max_tasks;           /* of one run: 10,000 */
    int64_t park_grace_ms;   /* running ops get this long when parked: 10 s */
    int64_t cancel_grace_ms; /* a cancelled task's clean-up: 10 s */
    int64_t notice_after_ms; /* a question at a terminal that nobody answers is told of: 30 s */
};

extern const struct rb_limits rb_limits_standard; /* what is not set otherwise */

/* One in a process: what all of its runs share. */
struct rb_host_options {
    struct rb_loop *loop;
    struct rb_store *store;
    struct rb_limits limits; /* zero members get the defaults */
    /* names that the configuration lets through to children and env(); NULL-terminated or NULL */
    const char *const *env_pass;
    const char *config_json; /* the whole configuration as JSON; NULL */
    const char *config_file; /* where it was read, for messages; borrowed for the host's life; NULL */
    const char *secret_key;  /* path of the key to secrets in the journal (made at first need); NULL none */
};
struct rb_host *rb_host_new(const struct rb_host_options *opt);
void rb_host_free(struct rb_host *h); /* all runs must have stopped */

struct rb_actor {
    char name[128]; /* the uid's name */
    int uid;
    char claimed[128]; /* --actor; "" none. Satisfies no gate. */
};
void rb_actor_self(struct rb_actor *a);
void rb_actor_json(const struct rb_actor *a, struct rb_buf *out);

/* A runbook that was read once, for its header, and is run as it was read. */
struct rb_runbook {
    struct rb_buf text, header; /* header: JSON as rb_runbook_describe() gives it */
};
/* rb_runbook_release() also after a failure */
int rb_runbook_peek(const char *file, struct rb_runbook *book, struct rb_err *err);
void rb_runbook_release(struct rb_runbook *book);

struct rb_run_options {
    const struct rb_runbook *runbook; /* borrowed for the call; NULL: rb_run_start() reads the file */
    /* one JSON object: values as given; strings from the command line are converted by the header */
    const char *params_json;
    /* {name: "file:/path"} of secrets that were read from files, so that a resume can read them again; or NULL */
    const char *secret_from;
    const struct rb_actor *actor;
    /* the run need not be durable when rb_run_start() returns: it becomes so with others */
    bool later;
    const char *reason;      /* or NULL */
    const char *environment; /* label of the site, recorded; or NULL */
    /* JSON {"reason","window"} of a freeze window that somebody overrode, recorded with the actor; or NULL */
    const char *freeze_override;
    const char *key;             /* idempotency key or NULL */
    const char *limit;           /* the hosts that lists of hosts are narrowed to, recorded; or NULL */
    bool dry;                    /* reads happen; effects are listed as what would be done */
    bool step;                   /* confirm each step (as a gate that the observer answers) */
    bool take_back;              /* goes on with one that was exported, or in an older copy of its journal */
    int64_t notice_after_ms;     /* a question is told of when it is unanswered for so long: 0 at once */
    int64_t wait_ms;             /* how long to stay when only a person can go on: 0 leave at once, -1 for ever */
    struct rb_observer observer; /* copied */
    struct rb_stage *stage;      /* of a test: what stands in for the world (stage.h), borrowed; NULL */
};

/* Reads the file, its header and its literal requires, checks the parameters, writes the first event durably and starts
 * it. RB_EINVAL with every bad parameter or the load error; RB_EEXIST: the key names run id (copied to id). */
int rb_run_start(struct rb_host *h, const char *file, const struct rb_run_options *opt, struct rb_run **out,
                 char id[RB_RUN_ID_MAX], struct rb_err *err);

/* Claims and replays. RB_EBUSY: another process owns it. RB_EINVAL: it has ended (the error says how and which command
 * fits). */
int rb_run_resume(struct rb_host *h, const char *id, const struct rb_run_options *opt, struct rb_run **out,
                  struct rb_err *err);

/* After RB_EAGAIN of rb_run_start(), _resume(), _retry() or _undo(): fetches the secrets that the run needs before its
 * first op. fn once, perhaps from within; err NULL: they are there, call again; else all that failed, a line each. */
void rb_host_gather(struct rb_host *h, void (*fn)(void *arg, const struct rb_err *err), void *arg);

/* Goes on with a failed run: voids the failing outcomes and what they cancelled. op: void this op instead (0: what
 * failed). skip: the op counts as done, with this reason (NULL: none). */
int rb_run_retry(struct rb_host *h, const char *id, const struct rb_run_options *opt, int64_t op, int64_t skip,
                 struct rb_run **out, struct rb_err *err);

/* Runs the armed compensations, last first. skip: number of an undo (as shown) to leave out, 0 none. */
int rb_run_undo(struct rb_host *h, const char *id, const struct rb_run_options *opt, int64_t skip, struct rb_run **out,
                struct rb_err *err);

const char *rb_run_id(const struct rb_run *run);
const char *rb_run_status(const struct rb_run *run);
const char *rb_run_on_failure(const struct rb_run *run); /* "ask", "undo" or "leave", as the header says */
int rb_run_undo_count(const struct rb_run *run);         /* armed compensations */

/* Stops it so that it can be resumed: no new op starts; running ones get the grace; then on_stopped("parked"). now: at
 * once. */
void rb_run_park(struct rb_run *run, const char *why, bool now);

/* A decision, by the owner's own terminal or another process (rb_run_signal writes it to the store when the run is not
 * ours).
 *   approve | deny       target op number, data {"comment":…}
 *   answer               target op number, data {"verdict":"done"|"failed","value":…,"comment":…}
 *   resolve              target op number, data {"as":"done"|"retry"|"fail","value":…,"comment":…}
 *   signal               target name, data {"value":…}
 *   cancel | pause       target "", data {"reason":…}
 * Returns RB_EINVAL with a sentence when the run does not wait for this. */
int rb_run_decide(struct rb_run *run, const char *kind, const char *target, const char *data_json,
                  const struct rb_actor *actor, struct rb_err *err);

/* Drops the run's Lua state and memory; only after on_stopped. */
void rb_run_free(struct rb_run *run);

/* The run that goes on after restart_with(); NULL. It is in the store, nobody drives it: rb_run_resume() it. */
const char *rb_run_successor(const struct rb_run *run);

/* -- without running ----------------------------------------------------------------------------------------------- */

/* The header of a file as JSON:
 * {"name","title","params":[{name,type,required,default,help,choices,min,max,match,of}…],"allow":…,…}. A file without a
 * header gives {"name":…,"params":[]}. */
int rb_runbook_describe(const char *file, struct rb_buf *json, struct rb_err *err);
/* The secrets that a file and the modules it requires by literal names name by literal names: a JSON list, perhaps with
 * a name twice. */
int rb_runbook_secrets(const char *file, struct rb_buf *names_json, struct rb_err *err);
/* Static check: syntax, header, unknown globals and options (with the nearest known one). Appends one line for each
 * finding, "file:line:column: error|warning: text"; returns the number of errors, or a negative status when the file
 * can not be read. */
int rb_runbook_check(const char *file, struct rb_buf *findings, int *warnings, struct rb_err *err);
/* Evaluates a configuration file (a Lua table of plain data, empty environment, budget) to JSON and checks all of it:
 * every problem is in err, each with file and line. RB_EDENIED: somebody else could have written it. */
int rb_config_load(const char *file, struct rb_buf *json, struct rb_err *err);
/* Its settings, in order: [{"path":"limits.max_exec","line":4,"value":16} …]. */
int rb_config_settings(const char *file, struct rb_buf *json, struct rb_err *err);
/* The line of one ("policy.allow.exec"), or of what encloses it; 0: the file can not be read any more. */
int rb_config_line(const char *file, const char *member);

#endif
