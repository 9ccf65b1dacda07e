/* A run that this process owns, from the first signal handler to the exit code: what run, resume, retry and undo
 * share. */
#ifndef RB_DRIVE_H
#define RB_DRIVE_H

#include "engine/run.h"
#include "front/cli.h"

enum rb_drive_how { RB_DRIVE_START, RB_DRIVE_RESUME, RB_DRIVE_RETRY, RB_DRIVE_UNDO };

struct rb_drive_options {
    enum rb_drive_how how;
    const char *file;                 /* START: the runbook */
    const struct rb_runbook *runbook; /* START: as it was read; NULL */
    const char *id;                   /* else: the whole id of the run */
    const char *params_json;          /* START: all; else secrets that are given again; NULL: {} */
    const char *secret_from;          /* START: where secrets were read from, for a resume; NULL */
    const char *actor;                /* --actor; NULL */
    const char *reason, *key, *confirm;
    const char *limit;           /* START: the hosts that lists are narrowed to; NULL */
    const char *name;            /* of the runbook: what freeze windows are about */
    const char *override_freeze; /* why it goes on in one all the same; NULL */
    bool ends;                   /* RESUME only to end it (a cancel): in a freeze, too */
    bool dry, step, yes, take_back;
    /* 0 leave when only a person can go on, -1 stay; a terminal that may be asked always stays */
    int64_t wait_ms;
    int64_t op, skip; /* RETRY, UNDO */
    bool detach;      /* go on in the background; prints the id */
};

/* The options that run, resume, retry, undo and the deciding commands have in common, as members of their structs. */
struct rb_go_options {
    const char *actor, *reason, *confirm, *override_freeze;
    int yes, step, detach;
    int64_t wait;
};
/* clang-format off */
#define RB_GO_OPTIONS(type, member) \
    {"actor", 0, RB_OPT_TEXT, offsetof(type, member.actor), "NAME", \
     "who asks for it, recorded as claimed; satisfies no gate", 0}, \
    {"reason", 0, RB_OPT_TEXT, offsetof(type, member.reason), "TEXT", "why, or a ticket; recorded", 0}, \
    {"step", 0, RB_OPT_BOOL, offsetof(type, member.step), NULL, "confirm each step", 0}, \
    {"wait", 'w', RB_OPT_SPAN, offsetof(type, member.wait), "TIME", \
     "off a terminal: stay while only a person can go on (exit 3)", RB_OPT_OPTIONAL}, \
    {"yes", 'y', RB_OPT_BOOL, offsetof(type, member.yes), NULL, \
     "answer confirmations; not approvals that name somebody", 0}, \
    {"confirm", 0, RB_OPT_TEXT, offsetof(type, member.confirm), "NAME", \
     "the runbook's name: agrees to a destructive one", 0}, \
    {"override-freeze", 0, RB_OPT_TEXT, offsetof(type, member.override_freeze), "REASON", \
     "go on in a freeze window of the configuration; recorded", RB_OPT_NOENV}, \
    {"detach", 'd', RB_OPT_BOOL, offsetof(type, member.detach), NULL, \
     "go on in the background; prints the run's id", 0}
/* clang-format on */

void rb_drive_take(struct rb_drive_options *out, const struct rb_go_options *go);

/* Does it and shows it. Returns the exit code. cli->store must be closed or read-only; it is closed. */
int rb_drive(struct rb_cli *cli, const struct rb_drive_options *opt);

/* Exit code of a status; `parked` is the code for parked (by which signal). */
int rb_exit_of_status(const char *status, int parked);

#endif
