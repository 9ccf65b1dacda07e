/* Owns `exec`: a command on this machine as an op. Knows what a command is; how its process lives is io/proc.c's, and
 * under a receipt io/receipt.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "bind/args.h"
#include "bind/bind.h"
#include "bind/bind_exec.h"
#include "engine/error.h"
#include "engine/policy.h"
#include "engine/run.h"
#include "engine/secret.h"

#define ARGS_BYTES_MAX ((size_t)8 << 20)
#define STDIN_MAX ((size_t)256 << 20)
#define GRACE_MS 5000
#define DRAIN_MS 2000

static void destroy(struct exec_op *op)
{
    if (op->ended) {
        rb_buf_release(&op->result.out.buf);
        rb_buf_release(&op->result.err.buf);
    }
    for (size_t i = 0; op->env && op->env[i]; i++) /* secrets are in the environment and the input */
        explicit_bzero(op->env[i], strlen(op->env[i]));
    if (op->input)
        explicit_bzero(op->input, op->input_len);
    rb_args_free(op->argv);
    rb_args_free(op->env);
    free(op->cwd);
    free(op->input);
    free(op);
}

static void release(struct rb_effect *e)
{
    struct exec_op *op = exec_of(e);
    if (op->receipt) /* the run is dropped, as in a crash: the resume collects it */
        rb_receipt_detach(op->receipt);
    if (op->proc) {
        op->orphan = true;
        rb_proc_kill_now(op->proc);
        return;
    }
    destroy(op);
}

/* "git verify-tag v1" for messages, cut. */
static void command_text(const struct exec_op *op, struct rb_buf *out)
{
    for (size_t i = 0; op->argv[i] && out->len < 160; i++)
        rb_buf_addf(out, "%s%.100s%s", i ? " " : "", op->argv[i], strlen(op->argv[i]) > 100 ? "…" : "");
}

/* Secrets leave the output before anybody sees it. */
static void redact(const struct rb_run *run, struct rb_capture *c)
{
    struct rb_buf *b = &c->buf;
    if (!rb_secret_any(run) || !b->len)
        return;
    bool cut = b->cut;
    if (cut) /* perhaps in the middle of one */
        b->len -= rb_secret_tail(run, b->data, b->len);
    struct rb_buf clean;
    rb_buf_init(&clean, SIZE_MAX / 2);
    rb_secret_redact(run, b->data, b->len, &clean);
    clean.cut = cut; /* not its length tells: a secret's place is shorter or longer than the secret */
    explicit_bzero(b->data, b->cap);
    rb_buf_release(b);
    *b = clean;
}

static void on_output(void *arg, int stream, const char *data, size_t len)
{
    struct exec_op *op = arg;
    if (!op->orphan)
        rb_effect_output(&op->effect, stream, data, len);
}

void rb_exec_ended(struct exec_op *op, struct rb_proc_result *r)
{
    op->result = *r;
    /* The captures become ours: the driver's are left empty. */
    rb_buf_init(&r->out.buf, 0);
    rb_buf_init(&r->err.buf, 0);
    op->ended = true;
    struct rb_effect *e = &op->effect;
    redact(e->run, &op->result.out);
    redact(e->run, &op->result.err);
    struct rb_buf cmd;
    char line[300];
    rb_buf_init(&cmd, 400);
    command_text(op, &cmd);
    rb_capture_last_line(&op->result.out.buf, &op->result.err.buf, line, sizeof(line));
    const char *colon = line[0] ? ": " : "";
    if (r->end == RB_PROC_TIMED_OUT)
        rb_effect_failed(e, "exec.timeout", RB_OUTCOME_UNKNOWN, true,
                         "`%s` did not end within %.3gs and was stopped%s%s", rb_buf_text(&cmd),
                         (double)op->timeout_ms / 1000, colon, line);
    else if (r->end == RB_PROC_KILLED)
        rb_effect_failed(e, "cancelled", RB_OUTCOME_UNKNOWN, true, "`%s` was stopped before it ended",
                         rb_buf_text(&cmd));
    else if (r->signal && op->check)
        rb_effect_failed(e, "exec.signal", RB_OUTCOME_UNKNOWN, true, "`%s` was ended by signal %d (%s)%s%s",
                         rb_buf_text(&cmd), r->signal, strsignal(r->signal), colon, line);
    else if (r->code && op->check)
        rb_effect_failed(e, "exec.exit", RB_OUTCOME_FAILED, true, "`%s` exited with %d%s%s", rb_buf_text(&cmd), r->code,
                         colon, line);
    else
        rb_effect_done(e);
    rb_buf_release(&cmd);
}

static void on_done(void *arg, struct rb_proc_result *r)
{
    struct exec_op *op = arg;
    op->proc = NULL;
    if (op->orphan)
        destroy(op);
    else
        rb_exec_ended(op, r);
}

void rb_exec_options(struct exec_op *op, struct rb_proc_options *opt)
{
    *opt = (struct rb_proc_options){.argv = (const char *const *)op->argv,
                                    .envp = (const char *const *)op->env,
                                    .cwd = op->cwd,
                                    .stdin_data = op->has_input ? op->input : NULL,
                                    .stdin_len = op->input_len,
                                    .max_output = op->max_output,
                                    .timeout_ms = op->timeout_ms,
                                    .grace_ms = op->grace_ms,
                                    .drain_ms = DRAIN_MS,
                                    .on_output = rb_effect_watched(&op->effect) ? on_output : NULL,
                                    .arg = op};
}

void rb_exec_reset(struct exec_op *op)
{
    if (!op->ended)
        return;
    rb_buf_release(&op->result.out.buf);
    rb_buf_release(&op->result.err.buf);
    op->ended = false;
}

const char *rb_exec_error_kind(int rc)
{
    return rc == RB_ENOENT ? "exec.not_found" : rc == RB_EDENIED ? "exec.denied" : "exec.start";
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct exec_op *op = exec_of(e);
    struct rb_proc_options opt;
    int rc;
    rb_exec_reset(op); /* a doubt was settled as retry: the earlier result is void */
    rb_exec_options(op, &opt);
    if (!rb_exec_start_receipt(op, &opt, &rc, err)) {
        opt.on_done = on_done;
        rc = rb_proc_start(rb_effect_loop(e), &opt, &op->proc, err);
    }
    if (rc)
        snprintf(e->error_kind, sizeof(e->error_kind), "%s", rb_exec_error_kind(rc));
    return rc;
}

static void cancel(struct rb_effect *e, bool now)
{
    struct exec_op *op = exec_of(e);
    if (op->receipt && now)
        rb_receipt_kill_now(op->receipt);
    else if (op->receipt)
        rb_receipt_kill(op->receipt);
    else if (op->proc && now)
        rb_proc_kill_now(op->proc);
    else if (op->proc)
        rb_proc_kill(op->proc);
}

/* -- the result ---------------------------------------------------------------------------------------------------- */

static void set_stream(lua_State *L, const char *name, const struct rb_capture *c)
{
    char field[32], hex[RB_SHA_HEX];
    lua_pushlstring(L, rb_buf_text(&c->buf), c->buf.len);
    lua_setfield(L, -2, name);
    if (!c->buf.cut)
        return;
    snprintf(field, sizeof(field), "%s_cut", name); /* how many bytes came in all, and the digest of them */
    rb_sha_hex(c->digest, hex);
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)c->total);
    lua_setfield(L, -2, "total");
    lua_pushstring(L, hex);
    lua_setfield(L, -2, "sha256");
    lua_setfield(L, -2, field);
}

static void push(struct rb_effect *e, lua_State *L)
{
    struct exec_op *op = exec_of(e);
    const struct rb_proc_result *r = &op->result;
    lua_createtable(L, 0, 8);
    if (!op->ended)
        return;
    if (r->signal) {
        lua_pushinteger(L, r->signal);
        lua_setfield(L, -2, "signal");
    } else {
        lua_pushinteger(L, r->code);
        lua_setfield(L, -2, "code");
    }
    set_stream(L, "stdout", &r->out);
    set_stream(L, "stderr", &r->err);
    lua_pushnumber(L, (lua_Number)(r->ended - r->started) / 1e6);
    lua_setfield(L, -2, "time");
    if (r->held_open) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "held_open");
    }
}

static void assume(struct rb_effect *e, lua_State *L)
{
    lua_createtable(L, 0, 5);
    rb_args_assume_command(L, e->as);
}

static const struct rb_effect_type exec_type = {.kind = "exec",
                                                .slots = true,
                                                .locate = rb_exec_locate,
                                                .look = rb_exec_look,
                                                .detach = rb_exec_detach,
                                                .recorded = rb_exec_recorded,
                                                .start = start,
                                                .cancel = cancel,
                                                .push = push,
                                                .assume = assume,
                                                .free = release};

/* -- the call ------------------------------------------------------------------------------------------------------ */

static void read_command(lua_State *L, struct exec_op *op)
{
    if (lua_getfield(L, 1, "argv") != LUA_TTABLE)
        rb_error_raise(
            L, "usage", "not_started",
            "exec: the command must be a list: exec({ \"git\", \"status\" }); exec.sh takes a text for the shell");
    if (!lua_rawlen(L, -1))
        rb_error_raise(L, "usage", "not_started", "exec: the command is an empty list");
    lua_pop(L, 1);
    op->argv = rb_args_words(L, "exec", "argv", "argument", false, ARGS_BYTES_MAX);
    op->env = rb_args_words(L, "exec", "envp", "environment variable", true, ARGS_BYTES_MAX);
    if (!op->argv[0][0])
        rb_error_raise(L, "usage", "not_started", "exec: the name of the command is empty");
}

static void reach_word(struct rb_effect *e, const char *word)
{
    struct rb_buf name;
    rb_buf_init(&name, ARGS_BYTES_MAX);
    rb_policy_word(&name, word);
    rb_effect_reach(e, "exec", rb_buf_text(&name), name.len);
    rb_buf_release(&name);
}

static void write_args(lua_State *L, struct exec_op *op)
{
    struct rb_effect *e = &op->effect;
    struct rb_json j;
    rb_json_init(&j, &e->args);
    rb_json_object(&j);
    rb_json_key(&j, "argv");
    rb_json_array(&j);
    for (size_t i = 0; op->argv[i]; i++)
        rb_json_string(&j, op->argv[i], strlen(op->argv[i]));
    rb_json_end_array(&j);
    if (op->cwd) {
        rb_json_key(&j, "cwd");
        rb_json_string(&j, op->cwd, strlen(op->cwd));
    }
    struct rb_buf *shown = rb_effect_buf(L, ARGS_BYTES_MAX);
    lua_getfield(L, 1, "own_env"); /* what the call adds, not what every child gets */
    size_t own = lua_rawlen(L, -1);
    if (own) {
        rb_json_key(&j, "env");
        rb_json_array(&j);
        for (size_t i = 0; i < own; i++) {
            rb_buf_reset(shown);
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
            rb_secret_shown(L, -1, shown, "exec: env");
            lua_pop(L, 1);
            rb_json_string(&j, rb_buf_text(shown), shown->len);
            /* another PATH, other libraries: the name means another program, so the policy is asked about them */
            const char *text = rb_buf_text(shown);
            if ((strncmp(text, "PATH=", 5) == 0 && !strchr(op->argv[0], '/')) || strncmp(text, "LD_", 3) == 0)
                reach_word(e, text);
        }
        rb_json_end_array(&j);
    }
    lua_pop(L, 2);
    if (op->has_input) {
        char hex[RB_SHA_HEX];
        struct rb_buf *said = rb_effect_buf(L, STDIN_MAX); /* of a secret: what may be shown of it */
        lua_getfield(L, 1, "stdin");
        rb_secret_shown(L, -1, said, "exec: stdin");
        rb_sha_of_hex(rb_buf_text(said), said->len, hex);
        lua_pop(L, 2);
        rb_json_key(&j, "stdin");
        rb_json_object(&j);
        rb_json_kint(&j, "size", (int64_t)op->input_len);
        rb_json_ktext(&j, "sha256", hex);
        rb_json_end_object(&j);
    }
    if (e->cls == RB_CLASS_READ)
        rb_json_kbool(&j, "read", true);
    rb_json_end_object(&j);
}

int rb_bind_exec(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct exec_op *op = rb_effect_new(L, sizeof(*op), &exec_type, RB_CLASS_EFFECT);
    struct rb_effect *e = &op->effect;
    rb_effect_options(L, 1, e);
    read_command(L, op);
    op->cwd = rb_args_text(L, 1, "exec", "cwd");
    if (lua_getfield(L, 1, "stdin") != LUA_TNIL) {
        struct rb_buf *input = rb_effect_buf(L, STDIN_MAX);
        rb_secret_expand(L, -2, input, "exec: stdin");
        if (input->cut)
            rb_error_raise(L, "usage", "not_started", "exec: stdin is larger than %d MiB", (int)(STDIN_MAX >> 20));
        op->input_len = input->len;
        op->input = rb_buf_detach(input);
        op->has_input = true;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    e->receipt = e->cls == RB_CLASS_EFFECT && rb_args_bool(L, 1, "survive", true);
    op->check = rb_args_bool(L, 1, "check", true);
    op->timeout_ms = (uint64_t)rb_args_int(L, 1, "timeout_ms", 0);
    op->grace_ms = (uint64_t)rb_args_int(L, 1, "grace_ms", GRACE_MS);
    op->max_output = (size_t)rb_args_int(L, 1, "max_output", (int64_t)rb_effect_limits(e)->max_output);
    write_args(L, op);
    struct rb_buf *words = rb_effect_buf(L, ARGS_BYTES_MAX);
    for (size_t i = 0; op->argv[i]; i++)
        rb_policy_word(words, i == 0 && rb_args_bool(L, 1, "shell", false) ? "sh" : op->argv[i]);
    rb_effect_reach(e, "exec", rb_buf_text(words), words->len);
    return rb_effect_call(L, e);
}
