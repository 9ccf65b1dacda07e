/* What a run looks like to people: the tree of its steps, checks and operations, what it waits for, what can be undone.
 * Made from events alone, so the live display, `show`, `attach` and the plain lines agree. */
#ifndef RB_VIEW_H
#define RB_VIEW_H

#include <jansson.h>

#include "base/clock.h"
#include "base/list.h"
#include "front/cli.h"

enum rb_node_type { RB_NODE_BRANCH, RB_NODE_STEP, RB_NODE_CHECKLIST, RB_NODE_CHECK, RB_NODE_OP };
enum rb_node_state {
    RB_NODE_RUNNING,
    RB_NODE_WAITS, /* for a person or for time */
    RB_NODE_DOUBT,
    RB_NODE_STOPPED, /* the run was parked or ended under it */
    RB_NODE_PASS,
    RB_NODE_FAIL,
    RB_NODE_SKIP,
    RB_NODE_WOULD, /* a dry run can not know: it rests on what was only listed */
};

struct rb_node {
    struct rb_list link; /* in its parent's children */
    struct rb_list open; /* in view->open while it waits or is in doubt, in the order of asking */
    struct rb_list children;
    struct rb_node *parent; /* NULL for the root */
    struct rb_node *next;   /* in its bucket */
    enum rb_node_type type;
    enum rb_node_state state;
    char *key;              /* whole path */
    char *title;            /* neutral text */
    char *stage;            /* of a check; NULL */
    char *op;               /* of an operation: exec, approve …; NULL */
    json_t *args;           /* of an operation that is open; NULL */
    char *where;            /* file:line; NULL */
    char *last;             /* last line of output, evidence or comment, neutral; NULL */
    char *error;            /* why it failed or was skipped, neutral; NULL */
    int64_t n;              /* number of an operation, 0 until known */
    int64_t started, ended; /* wall µs */
    int64_t until;          /* wall µs; 0 none */
    int64_t end_seq;        /* event that ended it */
    int ops;                /* operations that have ended within it and are not kept as nodes */
    bool twice;             /* may have run twice */
    bool would;             /* a dry run: it was not done */
    bool answered;          /* a decision is on its way: not asked again */
    bool shown;             /* the live display has printed it for good */
};

struct rb_view_undo {
    struct rb_list link;
    int64_t n;
    char *title;
};

struct rb_view {
    char id[RB_RUN_ID_MAX];
    char *runbook, *title, *actor, *reason, *file;
    char *status;      /* as in runs.status */
    char *waiting;     /* one line; NULL */
    char *error;       /* one line; NULL */
    char *where;       /* of the error; NULL */
    char *folder;      /* of the file, absolute; NULL */
    char *park;        /* why it was parked; NULL */
    char *environment; /* label of the site; NULL */
    char *override;    /* why a freeze window was overridden; NULL */
    json_t *allow;     /* the runbook's reach; NULL: not limited by it */
    json_t *start;     /* the data of run.start; NULL */
    bool hopeless;     /* it has failed, and a retry would fail in the same way */
    bool undone;       /* an undo has begun: there is no retry any more */
    bool destructive;
    bool dry;
    int64_t started, ended;
    int64_t seq;     /* last event seen; earlier ones are ignored */
    int64_t signal;  /* highest id of a signal that an event names */
    int64_t failing; /* number of the first failed operation; 0 */
    struct rb_node root;
    struct rb_node *buckets[4096];
    struct rb_list open;  /* struct rb_node.open */
    struct rb_list undos; /* struct rb_view_undo, oldest first */
    json_t *running;      /* run.park's list of what runs on; NULL */
    struct rb_list notes; /* struct rb_note, when they are kept */
    struct rb_node *done; /* operation that has ended with the last event; forgotten at the next one */
    bool keep_ops, keep_notes;
    bool brief; /* nobody is shown what went well: a read that did leaves nothing here */
};

/* A line of evidence, a note or a printed line, for `show`. */
struct rb_note {
    struct rb_list link;
    struct rb_node *node;
    int64_t at;
    char *kind; /* evidence, note, print, warn */
    char *name; /* of evidence; NULL */
    char *text; /* neutral */
};

void rb_view_init(struct rb_view *v, const char *id);
/* The same for whoever watches a run while it goes: what is kept is what they are shown. */
void rb_view_watch(struct rb_view *v, const struct rb_cli *cli, const char *id);
void rb_view_release(struct rb_view *v); /* a zeroed one, too */
/* Keep operations and/or notes instead of forgetting them: for `show` and --verbose. Before the first event. */
void rb_view_keep(struct rb_view *v, bool ops, bool notes);

/* Takes the next event. Returns its node, or NULL when it belongs to no single one. data is parsed once; *data_json
 * (may be NULL) gets a new reference to it; of the value of a result it has only what is shown. An event that was seen
 * before is ignored (NULL, *data_json NULL). */
struct rb_node *rb_view_event(struct rb_view *v, const struct rb_event *ev, json_t **data_json);
/* Live output: shown as the last line until its result comes. */
struct rb_node *rb_view_output(struct rb_view *v, int64_t op, const char *key, const char *data, size_t n);
/* Reads all events that the store has beyond v->seq. */
int rb_view_load(struct rb_view *v, struct rb_store *s, struct rb_err *err);

/* Marks what the store's signals have decided already and the owner has not journaled. */
int rb_view_load_signals(struct rb_view *v, struct rb_store *s, struct rb_err *err);

/* The operation with this number, as far as it is kept; NULL. */
struct rb_node *rb_view_find(struct rb_view *v, int64_t n);
/* The open wait or doubt with this number; NULL. */
struct rb_node *rb_view_open(const struct rb_view *v, int64_t n);
/* What a person can decide about it: "approve", "answer" (manual), "signal", "resolve" (doubt), or NULL (a sleep). */
const char *rb_node_decision(const struct rb_node *node);
/* "Promote v2?": what it asks or does, without its op's name when it has a title. */
const char *rb_node_text(const struct rb_node *node);

/* How many open nodes need a person and are not decided. */
int rb_view_asks(const struct rb_view *v);

#endif
