/* Owns what came of a command on another machine: its output, its outcome in words, its result as a value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bind/args.h"
#include "bind/bind_ssh_op.h"
#include "engine/core.h"
#include "engine/secret.h"

/* -- output -------------------------------------------------------------------------------------------------------- */

void rb_ssh_capture_reset(struct ssh_op *op)
{
    for (int i = 0; i < 2; i++) {
        struct rb_capture *c = &op->cap[i];
        rb_buf_release(&c->buf);
        rb_buf_init(&c->buf, op->max_output);
        c->total = 0;
        sha256_init(&c->sha);
    }
    op->verdict = (struct ssh_verdict){0};
}

void rb_ssh_capture(void *arg, int stream, const char *data, size_t len)
{
    struct ssh_op *op = arg;
    struct rb_capture *c = &op->cap[stream - 1];
    uint64_t *shown = &op->shown[stream - 1];
    uint64_t known = *shown > c->total ? *shown - c->total : 0; /* that an earlier session has brought */
    size_t old = known < len ? (size_t)known : len;
    rb_buf_add(&c->buf, data, len);
    sha256_update(&c->sha, len, (const uint8_t *)data);
    c->total += len;
    if (len > old) {
        *shown = c->total;
        if (rb_effect_watched(&op->effect))
            rb_effect_output(&op->effect, stream, data + old, len - old);
    }
}

/* Secrets leave the output before anybody sees it. */
static void redact(const struct rb_run *run, struct rb_capture *c)
{
    struct rb_buf *b = &c->buf;
    if (!rb_secret_any(run) || !b->len)
        return;
    if (c->total > b->len) /* cut, perhaps in the middle of one */
        b->len -= rb_secret_tail(run, b->data, b->len);
    struct rb_buf clean;
    rb_buf_init(&clean, SIZE_MAX / 2);
    rb_secret_redact(run, b->data, b->len, &clean);
    explicit_bzero(b->data, b->cap);
    rb_buf_release(b);
    *b = clean;
}

/* -- words --------------------------------------------------------------------------------------------------------- */

/* "git fetch", cut. */
static void add_command(const struct ssh_op *op, struct rb_buf *out)
{
    size_t from = out->len;
    if (op->text) {
        size_t n = strcspn(op->text, "\n");
        rb_buf_add(out, op->text, n > 120 ? 120 : n);
        if (op->text[n] || n > 120)
            rb_buf_adds(out, " …");
    }
    for (size_t i = 0; op->argv && op->argv[i] && out->len - from < 160; i++)
        rb_buf_addf(out, "%s%.100s%s", i ? " " : "", op->argv[i], strlen(op->argv[i]) > 100 ? "…" : "");
}

/* "ssh web1: `git fetch`". */
static struct rb_buf what(const struct ssh_op *op)
{
    struct rb_buf b;
    rb_buf_init(&b, 800);
    rb_buf_addf(&b, "ssh %.200s: `", op->where.name);
    add_command(op, &b);
    rb_buf_addc(&b, '`');
    return b;
}

char *rb_ssh_title(const struct ssh_op *op)
{
    struct rb_buf b;
    rb_buf_init(&b, 800);
    rb_buf_addf(&b, "ssh %.200s: ", op->where.name);
    add_command(op, &b);
    if (!rb_utf8_valid(rb_buf_text(&b), b.len)) /* as a title it would not be shown at all */
        for (size_t i = 0; i < b.len; i++)
            b.data[i] = (unsigned char)b.data[i] < 0x80 ? b.data[i] : '?';
    return rb_buf_detach(&b);
}

enum rb_outcome rb_ssh_unknown(const struct ssh_op *op)
{
    return op->effect.cls == RB_CLASS_READ ? RB_OUTCOME_FAILED : RB_OUTCOME_UNKNOWN;
}

void rb_ssh_not_begun(struct ssh_op *op, enum rb_ssh_why why, const char *text)
{
    struct rb_buf cmd = what(op), words;
    struct rb_ssh_target target = rb_ssh_where_target(&op->where);
    char kind[32];
    rb_buf_init(&words, 2048);
    rb_ssh_words_why(&words, &target, why, text);
    rb_ssh_kind(why, kind);
    op->effect.retryable = false;
    rb_effect_failed(&op->effect, kind, RB_OUTCOME_NOT_STARTED, false, "%s was not started: %s", rb_buf_text(&cmd),
                     rb_buf_text(&words));
    rb_buf_release(&cmd);
    rb_buf_release(&words);
}

void rb_ssh_refused(struct ssh_op *op, const char *why)
{
    struct rb_buf cmd = what(op);
    const char *kind = "ssh.receipt", *advice = "";
    if (strncmp(why, "there is no command", 19) == 0 || strncmp(why, "there is no folder", 18) == 0)
        kind = "ssh.not_found";
    else if (strncmp(why, "sudo:", 5) == 0)
        kind = "ssh.sudo";
    else
        advice = "; `rbhost doctor HOST` says more about receipts there, survive = false runs it without one";
    rb_effect_failed(&op->effect, kind, RB_OUTCOME_NOT_STARTED, false, "%s was not started: %.300s%s",
                     rb_buf_text(&cmd), why, advice);
    rb_buf_release(&cmd);
}

void rb_ssh_no_shell(struct ssh_op *op, enum rb_outcome outcome, const char *said)
{
    struct rb_buf cmd = what(op);
    rb_effect_failed(&op->effect, "ssh.session", outcome, false, "%s%s: " RB_SSH_NO_SHELL "%s%s", rb_buf_text(&cmd),
                     outcome == RB_OUTCOME_NOT_STARTED ? " was not started" : "", *said ? ": " : "", said);
    rb_buf_release(&cmd);
}

void rb_ssh_silent(struct ssh_op *op, uint64_t ms)
{
    struct rb_buf cmd = what(op);
    rb_effect_failed(&op->effect, "ssh.timed_out", RB_OUTCOME_NOT_STARTED, false,
                     "%s was not started: the session was opened, and the shell over there said nothing within %.3gs",
                     rb_buf_text(&cmd), (double)ms / 1000);
    rb_buf_release(&cmd);
}

void rb_ssh_late(struct ssh_op *op)
{
    struct rb_buf cmd = what(op);
    rb_effect_failed(&op->effect, "ssh.timed_out", rb_ssh_unknown(op), false,
                     "%s did not end within %.3gs, and could not be stopped: the shell over there had not begun it, or "
                     "had not said so",
                     rb_buf_text(&cmd), (double)op->timeout_ms / 1000);
    rb_buf_release(&cmd);
}

void rb_ssh_lost(struct ssh_op *op, enum rb_outcome outcome, const char *text)
{
    struct rb_buf cmd = what(op);
    const char *state = outcome == RB_OUTCOME_NOT_STARTED ? "it had not begun"
                        : op->effect.cls == RB_CLASS_READ ? "it was not heard to its end"
                                                          : "what became of it is not known";
    rb_effect_failed(&op->effect, "ssh.lost", outcome, false, "%s: the connection was lost, and %s%s%.600s",
                     rb_buf_text(&cmd), state, *text ? ": " : "", text);
    rb_buf_release(&cmd);
}

void rb_ssh_stopped(struct ssh_op *op, enum rb_outcome outcome, const char *text)
{
    struct rb_buf cmd = what(op);
    rb_effect_failed(&op->effect, "cancelled", outcome, op->verdict.there, "%s %s", rb_buf_text(&cmd), text);
    rb_buf_release(&cmd);
}

static void failed(struct ssh_op *op, const char *kind, enum rb_outcome outcome, const char *how)
{
    struct rb_buf cmd = what(op);
    char line[300];
    rb_capture_last_line(&op->cap[0].buf, &op->cap[1].buf, line, sizeof(line));
    rb_effect_failed(&op->effect, kind, outcome, true, "%s %s%s%s", rb_buf_text(&cmd), how, line[0] ? ": " : "", line);
    rb_buf_release(&cmd);
}

/* 127 of a list is the shell's word for a command that is not there; a command may also say it itself. */
static bool not_found(const struct ssh_op *op)
{
    return op->verdict.code == 127 && op->argv && !op->sudo;
}

void rb_ssh_finish(struct ssh_op *op)
{
    struct rb_effect *e = &op->effect;
    const struct ssh_verdict *v = &op->verdict;
    char how[200];
    for (int i = 0; i < 2; i++) {
        sha256_digest(&op->cap[i].sha, RB_SHA_LEN, op->cap[i].digest);
        redact(e->run, &op->cap[i]);
    }
    if (v->timed_out) {
        snprintf(how, sizeof(how), "did not end within %.3gs and was stopped", (double)op->timeout_ms / 1000);
        failed(op, "ssh.timed_out", rb_ssh_unknown(op), how);
    } else if (v->stopped) {
        rb_ssh_stopped(op, rb_ssh_unknown(op), "was stopped before it ended");
    } else if (v->signal && op->check) {
        snprintf(how, sizeof(how), "was ended by a signal");
        if (v->signal > 0)
            snprintf(how, sizeof(how), "was ended by signal %d (%s)", v->signal, strsignal(v->signal));
        failed(op, "ssh.signal", rb_ssh_unknown(op), how);
    } else if (v->code && op->check && not_found(op)) {
        snprintf(how, sizeof(how),
                 "exited with 127: there is no such command in the PATH that a session without a login has");
        failed(op, "ssh.not_found", RB_OUTCOME_FAILED, how);
    } else if (v->code && op->check) {
        snprintf(how, sizeof(how), "exited with %d", v->code);
        failed(op, "ssh.exit", RB_OUTCOME_FAILED, how);
    } else {
        rb_effect_done(e);
    }
}

/* -- the result ---------------------------------------------------------------------------------------------------- */

static void set_stream(lua_State *L, const char *name, const struct ssh_op *op, int stream)
{
    const struct rb_capture *c = &op->cap[stream];
    char field[32], hex[RB_SHA_HEX];
    lua_pushlstring(L, rb_buf_text(&c->buf), c->buf.len);
    lua_setfield(L, -2, name);
    uint64_t total = op->answer.total[stream] > c->total ? op->answer.total[stream] : c->total;
    if (!c->buf.cut && total == c->total)
        return;
    snprintf(field, sizeof(field), "%s_cut", name); /* how many bytes there were, and their digest if all came here */
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)total);
    lua_setfield(L, -2, "total");
    if (total == c->total) {
        rb_sha_hex(c->digest, hex);
        lua_pushstring(L, hex);
        lua_setfield(L, -2, "sha256");
    }
    lua_setfield(L, -2, field);
}

static void set_flag(lua_State *L, const char *name, bool set)
{
    if (!set)
        return;
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, name);
}

void rb_ssh_push(struct rb_effect *e, lua_State *L)
{
    struct ssh_op *op = ssh_op_of(e);
    const struct ssh_verdict *v = &op->verdict;
    lua_createtable(L, 0, 8);
    lua_pushstring(L, op->where.name);
    lua_setfield(L, -2, "host");
    if (!v->there)
        return;
    if (v->signal) {
        lua_pushinteger(L, v->signal);
        lua_setfield(L, -2, "signal");
    } else {
        lua_pushinteger(L, v->code);
        lua_setfield(L, -2, "code");
    }
    set_stream(L, "stdout", op, 0);
    set_stream(L, "stderr", op, 1);
    lua_pushnumber(L, (lua_Number)(v->ended - op->begun) / 1e6);
    lua_setfield(L, -2, "time");
    set_flag(L, "held_open", v->held_open);
    set_flag(L, "disk_full", v->disk_full);
}

void rb_ssh_assume(struct rb_effect *e, lua_State *L)
{
    lua_createtable(L, 0, 6);
    lua_pushstring(L, ssh_op_of(e)->where.name);
    lua_setfield(L, -2, "host");
    rb_args_assume_command(L, e->as);
}
