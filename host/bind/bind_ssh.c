/* Owns `ssh`: a command on another machine as an op. Knows what a command is and which session is needed when; how a
 * session lives is io/ssh.c's, what the shell over there is told io/ssh_far's.
 *
 * An effect goes under a receipt over there, so that neither a crash of this host nor a lost connection leaves it in
 * doubt: locate (what machine is it?) → intent → launch. When the connection goes in the middle, others are made to
 * look at the receipt, before anybody says that the outcome is not known. A read, and what is not to survive, runs
 * plainly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "bind/args.h"
#include "bind/bind.h"
#include "bind/bind_ssh_op.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/secret.h"

#define DRAIN_MS 2000
#define TRIES_MAX 6      /* to look again: after 0.5, 1, 2, 4, 8, 16 s */
#define TRIES_ELSEWHEN 2 /* of somebody else's start, and of what is to be stopped */
#define STOP_MS 10000    /* for word from over there, besides the grace */
#define STOP_NOW_MS 2000
#define HEAD_MAX ((size_t)64 << 10)
#define SAID_MAX 2048
#define PROBE_MS 60000      /* for the machine to say what it is; or the time-out of the command, which is then over */
#define SHELL_POSIX "posix" /* of RB_SSH_SHELL */
#define SHELL_OTHER "other"

/* -- memory -------------------------------------------------------------------------------------------------------- */

static void destroy(struct ssh_op *op)
{
    rb_timer_disarm(&op->timer);
    for (size_t i = 0; op->env && op->env[i]; i++) /* secrets are in the environment and the input */
        explicit_bzero(op->env[i], strlen(op->env[i]));
    rb_args_free(op->env);
    rb_args_free(op->argv);
    rb_ssh_wipe(op->input, op->input_len);
    rb_ssh_wipe(op->sudo_password, op->sudo_password ? strlen(op->sudo_password) : 0);
    free(op->text);
    free(op->cwd);
    rb_ssh_where_release(&op->where);
    rb_far_answer_release(&op->answer);
    rb_buf_release(&op->head);
    rb_buf_release(&op->shell_said);
    rb_buf_release(&op->cap[0].buf);
    rb_buf_release(&op->cap[1].buf);
    free(op);
}

static void tell_to_end(struct ssh_op *op, uint64_t grace_ms);
static int start(struct rb_effect *e, struct rb_err *err);

static void release(struct rb_effect *e)
{
    struct ssh_op *op = ssh_op_of(e);
    rb_timer_disarm(&op->timer);
    rb_ssh_outage_end(op, false);
    if (op->probe)
        rb_ssh_say_drop(op->probe);
    if (op->stage == SSH_PLAIN && op->session && op->pid && !op->killer)
        tell_to_end(op, 0);
    if (op->killer)
        rb_ssh_say_leave(op->killer);
    if (op->session) {
        op->orphan = true;
        if (!op->detached)
            rb_ssh_close(op->session);
        return;
    }
    destroy(op);
}

/* -- sessions ------------------------------------------------------------------------------------------------------ */

static struct rb_far_command far_command(const struct ssh_op *op, uint64_t timeout_ms)
{
    return (struct rb_far_command){.argv = (const char *const *)op->argv,
                                   .text = op->text,
                                   .cwd = op->cwd,
                                   .env = (const char *const *)op->env,
                                   .posix_login = op->posix_login,
                                   .sudo = op->sudo,
                                   .sudo_password = op->sudo_password,
                                   .stdin_data = op->has_input ? op->input : NULL,
                                   .stdin_len = op->input_len,
                                   .timeout_ms = timeout_ms,
                                   .grace_ms = RB_SSH_GRACE_MS,
                                   .max_output = op->max_output};
}

static void on_opened(void *arg)
{
    struct ssh_op *op = arg;
    if (op->orphan || op->detached)
        return;
    rb_ssh_watch_opened(op);
}

/* The login shell over there, once known for a connection, starts a read itself. When that was a mistake nothing has
 * begun, and the read is said again to /bin/sh. */
static void learn_shell(struct ssh_op *op, const char *shell)
{
    struct rb_ssh_target target = rb_ssh_where_target(&op->where);
    const char *known = rb_ssh_recall(rb_effect_loop(&op->effect), &target, RB_SSH_SHELL);
    if (!known || strcmp(shell, SHELL_OTHER) == 0)
        rb_ssh_remember(rb_effect_loop(&op->effect), &target, RB_SSH_SHELL, shell);
}

static bool login_is_posix(const struct ssh_op *op)
{
    struct rb_ssh_target target = rb_ssh_where_target(&op->where);
    const char *known = rb_ssh_recall(rb_effect_loop(&op->effect), &target, RB_SSH_SHELL);
    return op->effect.cls == RB_CLASS_READ && known && strcmp(known, SHELL_POSIX) == 0;
}

/* The command's own output, behind the line that says its pid, or that it was not started. */
static void on_plain_output(struct ssh_op *op, int stream, const char *data, size_t len)
{
    struct rb_far_head head;
    if (stream == 2 || op->pid || op->refused[0]) {
        rb_ssh_capture(op, stream, data, len);
        return;
    }
    rb_buf_add(&op->head, data, len);
    size_t skip = rb_far_strip(rb_buf_text(&op->head), op->head.len, &head);
    if (!skip && op->head.cut)
        head.pid = -1; /* not what was expected: no way to stop it */
    else if (!skip)
        return;
    op->pid = head.pid;
    rb_ssh_watch_heard(op);
    if (head.posix)
        learn_shell(op, SHELL_POSIX);
    snprintf(op->refused, sizeof(op->refused), "%s", head.why);
    if (op->head.len > skip)
        rb_ssh_capture(op, 1, op->head.data + skip, op->head.len - skip);
    rb_buf_reset(&op->head);
}

static void on_output(void *arg, int stream, const char *data, size_t len)
{
    struct ssh_op *op = arg;
    struct rb_err err;
    if (op->orphan || op->detached)
        return;
    if (op->stage == SSH_PLAIN) {
        on_plain_output(op, stream, data, len);
    } else if (stream == 2) {
        rb_buf_add(&op->shell_said, data, len);
    } else {
        enum rb_far_state before = op->answer.state;
        if (rb_far_answer_feed(&op->answer, data, len, &err)) {
            rb_buf_reset(&op->shell_said);
            rb_buf_adds(&op->shell_said, err.msg);
        }
        if (op->answer.greeted) {
            rb_ssh_watch_heard(op);
            rb_ssh_outage_end(op, true);
        }
        if (op->answer.state != before && op->answer.state == RB_FAR_RUNNING) {
            op->tries = 0;
            rb_fault_point("ssh.running");
        }
    }
}

static void on_done(void *arg, struct rb_ssh_result *r);

/* Takes the request. */
static int open_session(struct ssh_op *op, enum ssh_stage stage, struct rb_far_request *r, struct rb_err *err)
{
    op->stage = stage;
    op->awaiting = op->silent = false;
    rb_ssh_capture_reset(op);
    rb_far_answer_release(&op->answer);
    rb_far_answer_init(&op->answer);
    op->answer.on_output = rb_ssh_capture;
    op->answer.arg = op;
    op->refused[0] = '\0';
    rb_buf_reset(&op->head);
    rb_buf_reset(&op->shell_said);
    struct rb_ssh_options opt = {.target = rb_ssh_where_target(&op->where),
                                 .command = rb_buf_text(&r->command),
                                 .stdin_data = rb_buf_text(&r->input),
                                 .stdin_len = r->input.len,
                                 .stdin_fd = -1,
                                 .stdout_fd = -1,
                                 .drain_ms = DRAIN_MS,
                                 .on_opened = on_opened,
                                 .on_output = on_output,
                                 .on_done = on_done,
                                 .arg = op};
    int rc = rb_ssh_start(rb_effect_loop(&op->effect), &opt, &op->session, err);
    rb_far_request_release(r);
    if (rc) {
        op->session = NULL;
        op->stage = SSH_REST;
    }
    return rc;
}

/* -- looking again ------------------------------------------------------------------------------------------------- */

static void give_up(struct ssh_op *op, const char *why)
{
    struct rb_buf text;
    rb_buf_init(&text, 1200);
    op->stage = SSH_REST;
    rb_timer_disarm(&op->timer);
    rb_ssh_outage_end(op, false);
    rb_buf_addf(&text, "%.600s", why);
    if (op->effect.looking) {
        struct rb_buf whole;
        rb_buf_init(&whole, 1600);
        rb_buf_addf(&whole, "its receipt on %.200s could not be looked at: %s", op->where.name, rb_buf_text(&text));
        rb_effect_unsure(&op->effect, rb_buf_text(&whole));
        rb_buf_release(&whole);
    } else if (op->stopping) {
        rb_buf_reset(&text);
        rb_buf_addf(&text, "was to be stopped, and no word came of it: it may still run (%.600s)", why);
        rb_ssh_stopped(op, rb_ssh_unknown(op), rb_buf_text(&text));
    } else {
        rb_ssh_lost(op, rb_ssh_unknown(op), rb_buf_text(&text));
    }
    rb_buf_release(&text);
}

static void look_now(struct ssh_op *op)
{
    char id[RB_RECEIPT_MAX];
    struct rb_far_request r = {0};
    struct rb_err err;
    rb_effect_receipt(&op->effect, id);
    bool end = op->stopping || op->timed_out;
    if (rb_far_look(&op->place, id, end, op->cut ? 0 : RB_SSH_GRACE_MS, &r, &err) ||
        open_session(op, SSH_LOOKING, &r, &err))
        give_up(op, err.msg);
}

static void silent(struct ssh_op *op)
{
    struct rb_buf why;
    rb_buf_init(&why, 600);
    rb_ssh_watch_silent(op, &why);
    give_up(op, rb_buf_text(&why));
    rb_buf_release(&why);
}

/* The receipt has said nothing: it is asked again, a few times. */
static void look_again(struct ssh_op *op, const char *why)
{
    int most = op->effect.looking || op->stopping ? TRIES_ELSEWHEN : TRIES_MAX;
    if (op->cut || op->tries >= most) {
        give_up(op, why);
        return;
    }
    op->stage = SSH_WAITING;
    rb_ssh_outage_begin(op);
    rb_timer_arm_ms(&op->timer, (uint64_t)500 << op->tries++);
}

/* -- the end of a session ------------------------------------------------------------------------------------------ */

static void finish(struct ssh_op *op)
{
    rb_timer_disarm(&op->timer);
    if (op->killer)
        rb_ssh_say_leave(op->killer);
    op->killer = NULL;
    bool own = op->stage == SSH_LAUNCHED;
    op->stage = SSH_REST;
    op->verdict.there = true;
    op->verdict.ended = rb_clock_boot();
    if (own)
        rb_ssh_place_over(&op->effect.place);
    rb_fault_point("ssh.verdict");
    rb_ssh_finish(op);
}

static void not_begun(struct ssh_op *op, const struct rb_ssh_result *r)
{
    op->stage = SSH_REST;
    rb_timer_disarm(&op->timer);
    if (op->stopping)
        rb_ssh_stopped(op, RB_OUTCOME_NOT_STARTED, "was stopped before it began");
    else
        rb_ssh_not_begun(op, r->why, r->text);
}

/* The shell over there has not started it. */
static void refused(struct ssh_op *op, const char *why)
{
    struct rb_ssh_target target = rb_ssh_where_target(&op->where);
    if (op->stage == SSH_LAUNCHED) /* perhaps the place is no longer what it was: the next command asks anew */
        rb_ssh_remember(rb_effect_loop(&op->effect), &target, RB_SSH_PLACE, "");
    op->stage = SSH_REST;
    rb_timer_disarm(&op->timer);
    if (op->stopping)
        rb_ssh_stopped(op, RB_OUTCOME_NOT_STARTED, "was stopped before it began");
    else
        rb_ssh_refused(op, why);
}

static void plain_ended(struct ssh_op *op, const struct rb_ssh_result *r)
{
    struct ssh_verdict *v = &op->verdict;
    if (r->end == RB_SSH_NOT_STARTED) {
        not_begun(op, r);
        return;
    }
    if (op->refused[0]) {
        refused(op, op->refused);
        return;
    }
    if (r->end == RB_SSH_CLOSED && op->timed_out && !op->stopping) { /* it had not said yet what to stop */
        op->stage = SSH_REST;
        rb_timer_disarm(&op->timer);
        rb_ssh_late(op);
        return;
    }
    if (op->silent) {
        silent(op);
        return;
    }
    if (r->end == RB_SSH_LOST || r->end == RB_SSH_CLOSED) {
        give_up(op, r->end == RB_SSH_CLOSED ? "it did not end in time" : r->text);
        return;
    }
    if (r->end == RB_SSH_EXITED && !op->pid && op->posix_login) {
        struct rb_err err;
        learn_shell(op, SHELL_OTHER);
        if (!start(&op->effect, &err))
            return;
    }
    if (r->end == RB_SSH_EXITED && !op->pid) { /* a forced command, a shell that is none: ours was not what ran */
        char line[300];
        rb_capture_last_line(&op->head, &op->cap[1].buf, line, sizeof(line));
        op->stage = SSH_REST;
        rb_timer_disarm(&op->timer);
        rb_ssh_no_shell(op, rb_ssh_unknown(op), line);
        return;
    }
    bool ended_by_signal = r->end == RB_SSH_SIGNALLED || r->code > 128;
    v->timed_out = op->timed_out && ended_by_signal;
    v->stopped = op->stopping && ended_by_signal;
    v->code = r->end == RB_SSH_EXITED ? r->code : 0;
    v->signal = r->end == RB_SSH_SIGNALLED ? -1 : 0;
    finish(op);
}

/* Its receipt has said something, or nothing. */
static void watched_ended(struct ssh_op *op, const struct rb_ssh_result *r)
{
    const struct rb_far_answer *a = &op->answer;
    char line[300];
    bool looking = op->stage == SSH_LOOKING;
    rb_capture_last_line(&op->shell_said, &op->shell_said, line, sizeof(line));
    const char *text = r->end == RB_SSH_LOST || r->end == RB_SSH_NOT_STARTED || !line[0] ? r->text : line;
    switch (a->state) {
    case RB_FAR_ENDED:
        if (looking) { /* by another connection, which is to the same machine: the receipt was there */
            struct rb_ssh_target target = rb_ssh_where_target(&op->where);
            rb_ssh_remember(rb_effect_loop(&op->effect), &target, RB_SSH_PLACE, rb_buf_text(&op->effect.place));
        }
        op->verdict = (struct ssh_verdict){.code = a->code,
                                           .signal = a->signal,
                                           .timed_out = a->timed_out,
                                           .stopped = a->stopped && !a->timed_out,
                                           .held_open = a->held_open,
                                           .disk_full = a->disk_full};
        finish(op);
        return;
    case RB_FAR_REFUSED: refused(op, a->why); return;
    case RB_FAR_ABSENT:
        op->stage = SSH_REST;
        rb_timer_disarm(&op->timer);
        if (op->effect.looking)
            rb_effect_absent(&op->effect);
        else if (op->stopping)
            rb_ssh_stopped(op, RB_OUTCOME_NOT_STARTED, "was stopped before it began");
        else
            rb_ssh_lost(op, RB_OUTCOME_NOT_STARTED, "");
        return;
    case RB_FAR_UNKNOWN:
    case RB_FAR_ELSEWHERE: give_up(op, a->why); return;
    case RB_FAR_NOTHING:
    case RB_FAR_RUNNING: break;
    }
    if (r->end == RB_SSH_NOT_STARTED && !looking) {
        not_begun(op, r);
        return;
    }
    if (op->silent && looking)
        silent(op);
    else
        look_again(op, text);
}

static void on_done(void *arg, struct rb_ssh_result *r)
{
    struct ssh_op *op = arg;
    op->session = NULL;
    if (op->orphan)
        destroy(op);
    else if (op->detached)
        op->stage = SSH_REST;
    else if (op->stage == SSH_PLAIN)
        plain_ended(op, r);
    else
        watched_ended(op, r);
}

/* -- stopping ------------------------------------------------------------------------------------------------------ */

static void on_told(void *arg, const struct ssh_said *said)
{
    struct ssh_op *op = arg;
    op->killer = NULL;
    if (!said->ran && op->session) /* no way to it: nothing more will come */
        rb_ssh_close(op->session);
}

/* In a session of its own: closing the command's would leave it running. */
static void tell_to_end(struct ssh_op *op, uint64_t grace_ms)
{
    char id[RB_RECEIPT_MAX];
    struct rb_far_request r = {0};
    struct rb_err err;
    struct rb_ssh_target target = rb_ssh_where_target(&op->where);
    bool plain = op->stage == SSH_PLAIN;
    rb_effect_receipt(&op->effect, id);
    if (!rb_far_kill(plain ? NULL : &op->place, plain ? NULL : id, plain ? op->pid : 0, grace_ms, &r, &err))
        op->killer = rb_ssh_say(rb_effect_loop(&op->effect), &target, &r, on_told, op, &err);
    if (!op->killer && op->session)
        rb_ssh_close(op->session);
}

static void end_it(struct ssh_op *op, bool now)
{
    op->awaiting = false;                         /* the timer has another use from now on */
    if (op->stage == SSH_PLAIN && op->pid <= 0) { /* it has not said yet what to stop, or never will */
        rb_ssh_close(op->session);
    } else if (op->stage == SSH_WAITING) {
        rb_timer_arm_ms(&op->timer, 0);
        return;
    } else if (!op->killer) {
        tell_to_end(op, now ? 0 : RB_SSH_GRACE_MS);
    }
    rb_timer_arm_ms(&op->timer, now ? STOP_NOW_MS : RB_SSH_GRACE_MS + STOP_MS);
}

static void cancel(struct rb_effect *e, bool now)
{
    struct ssh_op *op = ssh_op_of(e);
    if (op->stage == SSH_REST)
        return;
    op->stopping = true;
    op->cut = op->cut || now;
    if (op->stage == SSH_PROBING) {
        rb_ssh_say_drop(op->probe);
        op->probe = NULL;
        op->stage = SSH_REST;
        rb_ssh_stopped(op, RB_OUTCOME_NOT_STARTED, "was stopped before it began");
        return;
    }
    if (now && op->killer) { /* whoever was asked politely is asked again */
        rb_ssh_say_leave(op->killer);
        op->killer = NULL;
    }
    end_it(op, now);
}

static void on_time(struct rb_timer *t)
{
    struct ssh_op *op = RB_CONTAINER(t, struct ssh_op, timer);
    if (op->stage == SSH_WAITING) {
        look_now(op);
    } else if (op->awaiting && op->session) {
        op->awaiting = false;
        op->silent = true;
        rb_ssh_close(op->session);
    } else if (op->stage == SSH_PLAIN && !op->stopping && !op->timed_out) {
        op->timed_out = true;
        end_it(op, false);
    } else if (op->session) { /* it should have ended long ago */
        op->timed_out = op->timed_out || !op->stopping;
        op->cut = op->cut || op->stopping;
        rb_ssh_close(op->session);
    }
}

static bool detach(struct rb_effect *e)
{
    struct ssh_op *op = ssh_op_of(e);
    if (op->stage != SSH_LAUNCHED && op->stage != SSH_LOOKING && op->stage != SSH_WAITING)
        return false;
    rb_timer_disarm(&op->timer);
    rb_ssh_outage_end(op, false);
    if (op->killer)
        rb_ssh_say_leave(op->killer);
    op->killer = NULL;
    op->detached = true;
    if (op->session)
        rb_ssh_close(op->session);
    return true;
}

/* -- starting ------------------------------------------------------------------------------------------------------ */

/* What was found out about the machine, as the connection's memory and the intent have it. */
static void located(struct ssh_op *op, const char *json)
{
    struct ssh_where w;
    struct rb_err err;
    op->stage = SSH_REST;
    rb_fault_point("ssh.located");
    bool can = !rb_ssh_place_read(json, strlen(json), &w, &op->place, &err) && op->place.root[0];
    rb_ssh_where_release(&w);
    rb_effect_located(&op->effect, can ? json : "", can ? strlen(json) : 0);
}

static uint64_t probe_ms(const struct ssh_op *op)
{
    return op->timeout_ms && op->timeout_ms < PROBE_MS ? op->timeout_ms : PROBE_MS;
}

static void on_probed(void *arg, const struct ssh_said *said)
{
    struct ssh_op *op = arg;
    struct rb_ssh_target target = rb_ssh_where_target(&op->where);
    struct rb_err err = {0};
    op->probe = NULL;
    op->stage = SSH_REST;
    if (!said->ran && said->why != RB_SSH_WHY_NONE) {
        rb_ssh_not_begun(op, said->why, said->text);
    } else if (said->late) {
        rb_ssh_silent(op, probe_ms(op));
    } else if (!said->ran || said->code || rb_far_read_place(said->out, said->out_len, &op->place, &err)) {
        rb_ssh_no_shell(op, RB_OUTCOME_NOT_STARTED, said->ran && !said->code ? err.msg : said->text);
    } else {
        struct rb_buf json;
        rb_buf_init(&json, 16384);
        rb_ssh_place_write(&op->where, &op->place, &json);
        rb_ssh_remember(rb_effect_loop(&op->effect), &target, RB_SSH_PLACE, rb_buf_text(&json));
        located(op, rb_buf_text(&json));
        rb_buf_release(&json);
    }
}

static void locate(struct rb_effect *e)
{
    struct ssh_op *op = ssh_op_of(e);
    struct rb_ssh_target target = rb_ssh_where_target(&op->where);
    const char *known = rb_ssh_recall(rb_effect_loop(e), &target, RB_SSH_PLACE);
    struct rb_far_request r = {0};
    struct rb_err err;
    if (known && *known) {
        char *json = rb_strdup(known); /* of the connection, which may go */
        located(op, json);
        free(json);
        return;
    }
    op->stage = SSH_PROBING;
    if (!rb_far_probe(&r, &err))
        op->probe = rb_ssh_say(rb_effect_loop(e), &target, &r, on_probed, op, &err);
    if (op->probe) {
        rb_ssh_say_within(op->probe, probe_ms(op));
    } else {
        op->stage = SSH_REST;
        rb_ssh_not_begun(op, RB_SSH_WHY_CONFIG, err.msg);
    }
}

static void restart(struct ssh_op *op)
{
    op->stopping = op->timed_out = op->cut = false;
    op->tries = 0;
    op->pid = 0;
    op->shown[0] = op->shown[1] = 0;
    op->begun = rb_clock_boot();
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct ssh_op *op = ssh_op_of(e);
    char id[RB_RECEIPT_MAX];
    struct rb_far_request r = {0};
    bool plain = !e->place.len;
    op->posix_login = login_is_posix(op);
    /* Under a receipt the time is kept over there; plainly here, and there in case nobody is left to keep it. */
    struct rb_far_command c =
        far_command(op, op->timeout_ms && plain ? op->timeout_ms + RB_SSH_OVERDUE_MS : op->timeout_ms);
    restart(op);
    rb_effect_receipt(e, id);
    int rc = plain ? rb_far_plain(&c, &r, err) : rb_far_launch(&op->place, id, &c, &r, err);
    if (!rc)
        rc = open_session(op, plain ? SSH_PLAIN : SSH_LAUNCHED, &r, err);
    if (rc) {
        snprintf(e->error_kind, sizeof(e->error_kind), "ssh.config");
        return rc;
    }
    rb_fault_point("ssh.launched");
    return RB_OK;
}

static void look(struct rb_effect *e)
{
    struct ssh_op *op = ssh_op_of(e);
    struct ssh_where then;
    struct rb_err err = {0};
    restart(op);
    int rc = rb_ssh_place_read(e->place.data, e->place.len, &then, &op->place, &err);
    rb_ssh_where_release(&then);
    if (rc)
        rb_effect_unsure(e, err.msg);
    else
        look_now(op);
}

static const struct rb_effect_type ssh_type = {.kind = "ssh",
                                               .locate = locate,
                                               .look = look,
                                               .detach = detach,
                                               .recorded = rb_ssh_recorded,
                                               .start = start,
                                               .cancel = cancel,
                                               .push = rb_ssh_push,
                                               .assume = rb_ssh_assume,
                                               .free = release};

/* -- the call ------------------------------------------------------------------------------------------------------ */

int rb_bind_ssh(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct ssh_op *op = rb_effect_new(L, sizeof(*op), &ssh_type, RB_CLASS_EFFECT);
    struct rb_effect *e = &op->effect;
    struct rb_json j;
    rb_timer_init(&op->timer, rb_effect_loop(e), on_time);
    rb_buf_init(&op->head, HEAD_MAX);
    rb_buf_init(&op->shell_said, SAID_MAX);
    rb_far_answer_init(&op->answer);
    rb_effect_options(L, 1, e);
    rb_json_init(&j, &e->args);
    rb_json_object(&j);
    rb_ssh_read_where(L, "ssh", e, &op->where, &j);
    rb_ssh_read_command(L, op, &j);
    op->sudo = rb_ssh_read_sudo(L, "ssh", &op->sudo_password, &j);
    op->input = rb_ssh_read_bytes(L, "ssh", "stdin", RB_SSH_STDIN_MAX, &op->input_len, &j);
    op->has_input = op->input != NULL;
    if (e->cls == RB_CLASS_READ)
        rb_json_kbool(&j, "read", true);
    rb_json_end_object(&j);
    op->check = rb_args_bool(L, 1, "check", true);
    op->timeout_ms = (uint64_t)rb_args_int(L, 1, "timeout_ms", 0);
    op->max_output = (size_t)rb_args_int(L, 1, "max_output", (int64_t)rb_effect_limits(e)->max_output);
    e->receipt = e->cls == RB_CLASS_EFFECT && rb_args_bool(L, 1, "survive", true);
    if (!e->title)
        e->title = rb_ssh_title(op);
    return rb_effect_call(L, e);
}
