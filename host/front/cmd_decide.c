/* rbhost approve, deny, answer, resolve, signal, cancel, pause: what a person decides about a run. Each becomes one
 * signal in the store; the run's owner checks it and journals it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/nearest.h"
#include "front/answer.h"
#include "front/cmds.h"
#include "front/drive.h"
#include "front/next.h"

struct values {
    const char *comment, *value, *actor, *reason;
    int resume;
};

#define COMMENT \
    { \
        "comment", 'm', RB_OPT_TEXT, offsetof(struct values, comment), "TEXT", "recorded with the decision", 0 \
    }
#define VALUE \
    { \
        "value", 0, RB_OPT_TEXT, offsetof(struct values, value), "VALUE", "JSON, or text when it is none", 0 \
    }
#define ACTOR \
    { \
        "actor", 0, RB_OPT_TEXT, offsetof(struct values, actor), "NAME", \
            "who decides, recorded as claimed; satisfies no gate", 0 \
    }
#define REASON \
    { \
        "reason", 0, RB_OPT_TEXT, offsetof(struct values, reason), "TEXT", "why; recorded", 0 \
    }
#define RESUME \
    { \
        "resume", 'r', RB_OPT_BOOL, offsetof(struct values, resume), NULL, \
            "if nobody drives the run, go on with it here", 0 \
    }

static const struct rb_opt gate_options[] = {COMMENT, ACTOR, RESUME, {0}};
static const struct rb_opt value_options[] = {VALUE, COMMENT, ACTOR, RESUME, {0}};
static const struct rb_opt signal_options[] = {ACTOR, RESUME, {0}};
static const struct rb_opt run_options[] = {REASON, ACTOR, RESUME, {0}};
#define CANCEL_HERE \
    { \
        "resume", 'r', RB_OPT_BOOL, offsetof(struct values, resume), NULL, \
            "if nobody drives the run, cancel it here; --no-resume only records the wish", RB_OPT_NO \
    }
static const struct rb_opt cancel_options[] = {REASON, ACTOR, CANCEL_HERE, {0}};

/* One decision on its way. */
struct decision {
    struct rb_cli *cli;
    const struct values *v;
    const char *kind;     /* of the signal */
    const char *decision; /* which open nodes it fits: rb_node_decision(); NULL: the run as a whole */
    struct rb_run_row row;
    struct rb_view view;
    struct rb_node *node; /* what it is about; NULL: the run as a whole */
    char target[256];
    struct rb_buf data;
};

/* -- reading the operands ------------------------------------------------------------------------------------------ */

static bool is_number(const char *text, int64_t *n)
{
    char *end;
    if (*text == '#')
        text++;
    if (!isdigit((unsigned char)*text))
        return false;
    *n = strtoll(text, &end, 10);
    return *end == '\0' && *n > 0;
}

static bool fits(const struct decision *d, const struct rb_node *p)
{
    const char *what = rb_node_decision(p);
    return what && strcmp(what, d->decision) == 0;
}

static const char *noun(const struct decision *d)
{
    return strcmp(d->decision, "approve") == 0  ? "approval"
           : strcmp(d->decision, "answer") == 0 ? "manual step"
                                                : "doubt";
}

/* Finds the open operation that is meant. */
static int aim(struct decision *d, const char *op)
{
    struct rb_node *found = NULL;
    struct rb_buf open;
    int64_t n = 0;
    int count = 0;
    if (op && !is_number(op, &n))
        return rb_cli_fail(d->cli, RB_EXIT_USAGE,
                           "'%s' is not the number of an operation; `rbhost show %s` shows what is open", op,
                           d->row.id);
    RB_LIST_EACH (it, &d->view.open) {
        struct rb_node *p = RB_CONTAINER(it, struct rb_node, open);
        if (!fits(d, p) || (n && p->n != n))
            continue;
        found = p;
        count++;
    }
    if (count == 1) {
        d->node = found;
        snprintf(d->target, sizeof(d->target), "%lld", (long long)found->n);
        return RB_EXIT_OK;
    }
    int code = RB_EXIT_USAGE;
    bool owned = rb_cmd_owned(d->cli, &d->row);
    rb_buf_init(&open, 64 << 10);
    rb_next_open(d->cli, &d->view, owned, &open);
    if (count > 1)
        rb_cli_fail(d->cli, code, "run %s waits for several of these; name one by its number\n%s", d->row.id,
                    rb_buf_text(&open));
    else if (n && rb_view_open(&d->view, n))
        rb_cli_fail(d->cli, code, "#%lld of run %s is not a %s\n%s", (long long)n, d->row.id, noun(d),
                    rb_buf_text(&open));
    else if (open.len)
        rb_cli_fail(d->cli, code, "run %s waits for no %s%s%s; it waits for\n%s", d->row.id, noun(d), n ? " #" : "",
                    n ? op : "", rb_buf_text(&open));
    else
        rb_cli_fail(d->cli, code, "run %s waits for no %s: it is %s", d->row.id, noun(d),
                    rb_cmd_status_word(&d->row, owned));
    rb_buf_release(&open);
    return code;
}

/* Is this the gate of other people? The owner checks it again; here it is said at once, to who asks. */
static int may_decide(const struct decision *d)
{
    struct rb_actor actor;
    struct rb_err err;
    rb_actor_self(&actor);
    if (rb_answer_allowed(d->node, &actor, d->row.actor, &err) < 0)
        return rb_cli_fail(d->cli, RB_EXIT_DENIED, "run %s: %s", d->row.id, err.msg);
    return RB_EXIT_OK;
}

/* -- sending ------------------------------------------------------------------------------------------------------- */

static bool is_ended(const char *status)
{
    static const char *const ended[] = {"succeeded", "failed", "cancelled", "denied", "timed_out", "undone", "moved"};
    for (size_t i = 0; i < RB_COUNT(ended); i++)
        if (strcmp(status, ended[i]) == 0)
            return true;
    return false;
}

static int open_run(struct decision *d, struct rb_cli *cli, const struct values *v, const char *run)
{
    struct rb_err err;
    d->cli = cli;
    d->v = v;
    rb_buf_init(&d->data, 16 << 20);
    rb_view_init(&d->view, NULL);
    int code = rb_cli_run(cli, RB_CLI_WRITE, run, &d->row);
    if (code)
        return code;
    memcpy(d->view.id, d->row.id, sizeof(d->view.id));
    if (rb_view_load(&d->view, cli->store, &err) < 0 || rb_view_load_signals(&d->view, cli->store, &err) < 0)
        return rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    if (is_ended(d->row.status))
        return rb_cli_fail(cli, RB_EXIT_USAGE, "run %s is over: %s; `rbhost show %s` shows it", d->row.id,
                           d->row.status, d->row.id);
    return RB_EXIT_OK;
}

static void release(struct decision *d)
{
    rb_buf_release(&d->data);
    rb_view_release(&d->view);
    rb_run_row_release(&d->row);
}

/* Writes the signal; says who takes it; goes on here when asked to. */
static int deliver(struct decision *d)
{
    struct rb_actor actor;
    struct rb_buf who;
    struct rb_err err;
    struct rb_cli *cli = d->cli;
    char owner[256];
    rb_actor_self(&actor);
    snprintf(actor.claimed, sizeof(actor.claimed), "%s", d->v->actor ? d->v->actor : "");
    rb_buf_init(&who, 4096);
    rb_actor_json(&actor, &who);
    struct rb_signal_row sig = {
        0, d->row.id, d->kind, d->target, rb_buf_text(&d->data), rb_buf_text(&who), rb_clock_wall()};
    int64_t id = 0;
    int rc = rb_store_signal_sync(cli->store, &sig, &id, &err);
    rb_buf_release(&who);
    if (rc < 0)
        return rb_cli_fail(cli, RB_EXIT_STORE, "%s is not recorded: %s", d->kind, err.msg);
    bool owned = d->row.owner && *d->row.owner && rb_store_owner_stays(cli->store, d->row.owner);
    bool resume = d->v->resume > 0 || (strcmp(d->kind, "cancel") == 0 && d->v->resume >= 0);
    if (owned) {
        rb_store_owner_describe(cli->store, d->row.owner, owner, sizeof(owner));
        rb_cli_note(cli, "%s%s%s recorded for run %s; %s takes it", d->kind, *d->target ? " " : "", d->target,
                    d->row.id, owner);
        return RB_EXIT_OK;
    }
    if (!resume) {
        rb_cli_note(cli, "%s%s%s recorded for run %s; nobody drives it now; `rbhost resume %s` goes on", d->kind,
                    *d->target ? " " : "", d->target, d->row.id, d->row.id);
        return RB_EXIT_OK;
    }
    struct rb_drive_options o = {.how = RB_DRIVE_RESUME,
                                 .id = d->row.id,
                                 .name = d->row.runbook,
                                 .actor = d->v->actor,
                                 .ends = strcmp(d->kind, "cancel") == 0};
    return rb_drive(cli, &o);
}

static void begin_data(struct decision *d, struct rb_json *j)
{
    rb_json_init(j, &d->data);
    rb_json_object(j);
}

static void add_text(struct rb_json *j, const char *name, const char *text)
{
    if (!text || !*text)
        return;
    rb_json_key(j, name);
    rb_json_string(j, text, strlen(text));
}

/* -- the commands -------------------------------------------------------------------------------------------------- */

static int gate(struct rb_cli *cli, void *values, char **argv, int argc, const char *kind)
{
    struct decision d = {.kind = kind, .decision = "approve"};
    struct rb_json j;
    int code = open_run(&d, cli, values, argv[0]);
    if (!code)
        code = aim(&d, argc > 1 ? argv[1] : NULL);
    if (!code)
        code = may_decide(&d);
    if (!code) {
        begin_data(&d, &j);
        add_text(&j, "comment", d.v->comment);
        rb_json_end_object(&j);
        code = deliver(&d);
    }
    release(&d);
    return code;
}

static int approve(struct rb_cli *cli, void *values, int argc, char **argv)
{
    return gate(cli, values, argv, argc, "approve");
}

static int deny(struct rb_cli *cli, void *values, int argc, char **argv)
{
    return gate(cli, values, argv, argc, "deny");
}

/* RUN [OP] WORD, where WORD may be left out when it has a default. */
static int worded(struct rb_cli *cli, void *values, int argc, char **argv, struct decision *d, const char *field,
                  const char *const *words, size_t n, const char *fallback)
{
    const struct values *v = values;
    struct rb_json j;
    int64_t number;
    const char *op = NULL, *word = NULL;
    for (int i = 1; i < argc; i++) {
        if (!op && !word && is_number(argv[i], &number))
            op = argv[i];
        else if (!word)
            word = argv[i];
        else
            return rb_cli_fail(cli, RB_EXIT_USAGE, "'%s' is one word too many", argv[i]);
    }
    size_t k = 0;
    if (!word)
        word = fallback;
    while (word && k < n && strcmp(words[k], word) != 0)
        k++;
    if (!word || k == n) {
        const char *near = word ? rb_nearest(word, words, n) : NULL;
        struct rb_buf all;
        rb_buf_init(&all, 256);
        for (size_t i = 0; i < n; i++)
            rb_buf_addf(&all, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
        if (!word)
            rb_cli_fail(cli, 0, "the answer is missing: %s", rb_buf_text(&all));
        else
            rb_cli_fail(cli, 0, "'%s' is no answer; it is %s%s%s%s", word, rb_buf_text(&all),
                        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        rb_buf_release(&all);
        return RB_EXIT_USAGE;
    }
    int code = open_run(d, cli, v, argv[0]);
    if (!code)
        code = aim(d, op);
    if (!code && strcmp(d->decision, "answer") == 0)
        code = may_decide(d);
    if (code)
        return code;
    struct rb_buf value;
    struct rb_err err;
    rb_buf_init(&value, 16 << 20);
    int rc = v->value ? rb_answer_value(d->node, v->value, &value, &err) : RB_OK;
    if (rc == 0 && !v->value && rb_answer_type(d->node) && strcmp(word, "done") == 0)
        rc = rb_err_set(&err, RB_EINVAL, "it asks for a value (%s): --value VALUE", rb_answer_type(d->node));
    if (rc < 0) {
        rb_buf_release(&value);
        return rb_cli_fail(cli, RB_EXIT_USAGE, "#%s of run %s: %s", d->target, d->row.id, err.msg);
    }
    begin_data(d, &j);
    rb_json_ktext(&j, field, word);
    if (value.len)
        rb_json_kraw(&j, "value", rb_buf_text(&value), value.len);
    rb_buf_release(&value);
    add_text(&j, "comment", v->comment);
    rb_json_end_object(&j);
    return deliver(d);
}

static int answer(struct rb_cli *cli, void *values, int argc, char **argv)
{
    static const char *const words[] = {"done", "failed"};
    struct decision d = {.kind = "answer", .decision = "answer"};
    const struct values *v = values;
    int code = worded(cli, values, argc, argv, &d, "verdict", words, RB_COUNT(words), v->value ? "done" : NULL);
    release(&d);
    return code;
}

static int resolve(struct rb_cli *cli, void *values, int argc, char **argv)
{
    static const char *const words[] = {"done", "retry", "fail"};
    struct decision d = {.kind = "resolve", .decision = "resolve"};
    int code = worded(cli, values, argc, argv, &d, "as", words, RB_COUNT(words), NULL);
    release(&d);
    return code;
}

static int send_signal(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct decision d = {.kind = "signal"};
    struct rb_json j;
    int code = open_run(&d, cli, values, argv[0]);
    if (!code && (!*argv[1] || strlen(argv[1]) >= sizeof(d.target)))
        code = rb_cli_fail(cli, RB_EXIT_USAGE, "the name of a signal has 1 to %zu bytes", sizeof(d.target) - 1);
    if (!code) {
        snprintf(d.target, sizeof(d.target), "%s", argv[1]);
        begin_data(&d, &j);
        if (argc > 2) {
            json_t *json = json_loads(argv[2], JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
            rb_json_key(&j, "value");
            if (json)
                rb_json_raw(&j, argv[2], strlen(argv[2]));
            else
                rb_json_string(&j, argv[2], strlen(argv[2]));
            json_decref(json);
        }
        rb_json_end_object(&j);
        code = deliver(&d);
    }
    release(&d);
    return code;
}

static int whole_run(struct rb_cli *cli, void *values, char **argv, const char *kind)
{
    struct decision d = {.kind = kind};
    struct rb_json j;
    int code = open_run(&d, cli, values, argv[0]);
    if (!code) {
        begin_data(&d, &j);
        add_text(&j, "reason", d.v->reason);
        rb_json_end_object(&j);
        code = deliver(&d);
    }
    release(&d);
    return code;
}

static int cancel(struct rb_cli *cli, void *values, int argc, char **argv)
{
    (void)argc;
    return whole_run(cli, values, argv, "cancel");
}

/* A run that nobody drives is paused already. */
static int pause_run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct rb_run_row row = {0};
    (void)argc;
    int code = rb_cli_run(cli, RB_CLI_WRITE, argv[0], &row);
    if (code)
        return code;
    bool owned = row.owner && *row.owner && rb_store_owner_stays(cli->store, row.owner);
    if (!owned)
        rb_cli_note(cli, "nobody drives run %s: it is %s and starts nothing", row.id, rb_cmd_status_word(&row, false));
    rb_run_row_release(&row);
    return owned ? whole_run(cli, values, argv, "pause") : RB_EXIT_OK;
}

const struct rb_cmd rb_cmd_approve = {
    .name = "approve",
    .group = "Decide",
    .operands = "RUN [OP]",
    .summary = "say yes to a gate",
    .example = "rbhost approve 7h2mc 14 -m \"checked the graphs\" --resume",
    .text = "OP is the number that `rbhost show RUN` gives; it may be left out when only one approval is open.",
    .options = gate_options,
    .values = sizeof(struct values),
    .min = 1,
    .max = 2,
    .operand = RB_ARG_RUN,
    .run = approve,
};

const struct rb_cmd rb_cmd_deny = {
    .name = "deny",
    .group = "Decide",
    .operands = "RUN [OP]",
    .summary = "say no to a gate",
    .example = "rbhost deny 7h2mc -m \"error rate is up\"",
    .options = gate_options,
    .values = sizeof(struct values),
    .min = 1,
    .max = 2,
    .operand = RB_ARG_RUN,
    .run = deny,
};

const struct rb_cmd rb_cmd_answer = {
    .name = "answer",
    .group = "Decide",
    .operands = "RUN [OP] done|failed",
    .summary = "answer a manual step",
    .example = "rbhost answer 7h2mc 14 done -m \"cable is in\"\n"
               "rbhost answer 7h2mc --value 3.5      # done, with a value",
    .options = value_options,
    .values = sizeof(struct values),
    .min = 1,
    .max = 3,
    .operand = RB_ARG_RUN,
    .run = answer,
};

const struct rb_cmd rb_cmd_resolve = {
    .name = "resolve",
    .group = "Decide",
    .operands = "RUN [OP] done|retry|fail",
    .summary = "settle an effect that is in doubt",
    .example = "rbhost resolve 7h2mc 14 done             # it did happen\n"
               "rbhost resolve 7h2mc 14 retry --resume   # it did not: do it again",
    .options = value_options,
    .values = sizeof(struct values),
    .min = 1,
    .max = 3,
    .operand = RB_ARG_RUN,
    .run = resolve,
};

const struct rb_cmd rb_cmd_signal = {
    .name = "signal",
    .group = "Decide",
    .operands = "RUN NAME [VALUE]",
    .summary = "send a named signal with a value to a run",
    .example = "rbhost signal 7h2mc deployed '{\"build\": 42}'",
    .text = "VALUE is JSON, or text when it is none. A signal that comes before the run waits for it is kept.",
    .options = signal_options,
    .values = sizeof(struct values),
    .min = 2,
    .max = 3,
    .operand = RB_ARG_RUN,
    .run = send_signal,
};

const struct rb_cmd rb_cmd_cancel = {
    .name = "cancel",
    .group = "Run",
    .operands = "RUN",
    .summary = "end a run: its tasks get the error \"cancelled\" and clean up",
    .example = "rbhost cancel 7h2mc --reason \"wrong version\"",
    .text = "If nobody drives the run, it is cancelled here. With --no-resume the wish is only recorded, and whoever "
            "resumes the run ends it. `rbhost undo` can follow.",
    .options = cancel_options,
    .values = sizeof(struct values),
    .min = 1,
    .max = 1,
    .operand = RB_ARG_RUN,
    .run = cancel,
};

const struct rb_cmd rb_cmd_pause = {
    .name = "pause",
    .group = "Run",
    .operands = "RUN",
    .summary = "stop a run before its next operation",
    .example = "rbhost pause 7h2mc --reason \"lunch\"",
    .text = "The process that drives it ends as on Ctrl-C; `rbhost resume` goes on.",
    .options = run_options,
    .values = sizeof(struct values),
    .min = 1,
    .max = 1,
    .operand = RB_ARG_RUN,
    .run = pause_run,
};
