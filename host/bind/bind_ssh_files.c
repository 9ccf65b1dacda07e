/* Owns ssh.upload and ssh.download: a file on its way to another machine, or from there, as an op. ssh itself reads and
 * writes the local file; on both sides it is whole or not there. Putting the same file there twice does no harm, so
 * what is in doubt is done again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/json.h"
#include "bind/args.h"
#include "bind/bind.h"
#include "bind/bind_ssh.h"
#include "bind/bind_ssh_local.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/secret.h"
#include "io/ssh_far_file.h"

#define ANSWER_MAX ((size_t)16 << 10)
#define DRAIN_MS 2000
#define FETCH_MAX (1 << 20) /* default of max, of what becomes a value */
#define FILE_MAX ((int64_t)16 << 30)

enum files_stage { FILES_REST, FILES_READING, FILES_SENDING, FILES_KEEPING };

struct files_op {
    struct rb_effect effect;
    struct ssh_where where;
    bool upload;
    char *local;   /* the path on this machine; NULL: content */
    char *far;     /* and over there */
    char *content; /* UPLOAD: what is sent */
    size_t content_len;
    char *mode, *owner, *sudo_password;
    bool sudo, content_secret;
    uint64_t max, timeout_ms;

    enum files_stage stage;
    struct rb_ssh *session;
    struct ssh_local file;
    struct rb_timer timer;
    bool orphan, stopping, timed_out;
    struct rb_buf answer;  /* lines from over there */
    struct rb_buf fetched; /* DOWNLOAD: the content */
    char sha256[RB_SHA_HEX];
    uint64_t size;
    bool ended;
};

static struct files_op *files_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct files_op, effect);
}

static void destroy(struct files_op *op)
{
    rb_timer_disarm(&op->timer);
    rb_ssh_local_close(&op->file);
    rb_ssh_where_release(&op->where);
    rb_ssh_wipe(op->content, op->content_len);
    rb_ssh_wipe(op->sudo_password, op->sudo_password ? strlen(op->sudo_password) : 0);
    if (op->fetched.data)
        explicit_bzero(op->fetched.data, op->fetched.cap);
    rb_buf_release(&op->fetched);
    rb_buf_release(&op->answer);
    char *const owned[] = {op->local, op->far, op->mode, op->owner};
    for (size_t i = 0; i < RB_COUNT(owned); i++)
        free(owned[i]);
    free(op);
}

static void release(struct rb_effect *e)
{
    struct files_op *op = files_of(e);
    rb_timer_disarm(&op->timer);
    op->orphan = op->session || op->file.busy;
    if (op->session)
        rb_ssh_close(op->session);
    rb_ssh_local_stop(&op->file);
    if (!op->orphan)
        destroy(op);
}

/* -- how it ends --------------------------------------------------------------------------------------------------- */

static void rest(struct files_op *op)
{
    op->stage = FILES_REST;
    rb_timer_disarm(&op->timer);
    rb_ssh_local_close(&op->file);
}

/* "ssh.upload web1: /etc/app.conf": what was tried. */
static void fail(struct files_op *op, const char *kind, enum rb_outcome outcome, const char *fmt, ...) RB_PRINTF(4, 5);

static void fail(struct files_op *op, const char *kind, enum rb_outcome outcome, const char *fmt, ...)
{
    struct rb_buf text;
    va_list ap;
    rest(op);
    rb_buf_init(&text, 4096);
    va_start(ap, fmt);
    rb_buf_addfv(&text, fmt, ap);
    va_end(ap);
    rb_effect_failed(&op->effect, kind, outcome, false, "%s %.200s: %.500s: %s", op->effect.type->kind, op->where.name,
                     op->far, rb_buf_text(&text));
    rb_buf_release(&text);
}

/* What has not ended may have replaced the file, or not. */
static enum rb_outcome unknown(const struct files_op *op)
{
    return op->upload ? RB_OUTCOME_UNKNOWN : RB_OUTCOME_FAILED;
}

static void fail_stopped(struct files_op *op, enum rb_outcome outcome)
{
    if (op->timed_out)
        fail(op, "ssh.timed_out", outcome, "it did not end within %.3gs and was stopped",
             (double)op->timeout_ms / 1000);
    else
        fail(op, "cancelled", outcome, "it was stopped");
}

static void succeed(struct files_op *op, uint64_t size, const uint8_t digest[RB_SHA_LEN])
{
    rest(op);
    op->size = size;
    rb_sha_hex(digest, op->sha256);
    op->ended = true;
    rb_effect_done(&op->effect);
}

/* -- its ways ------------------------------------------------------------------------------------------------------ */

static void fail_differs(struct files_op *op)
{
    fail(op, "ssh.file", RB_OUTCOME_FAILED,
         "what came has another digest than the file over there: it was changed meanwhile; try again");
}

static void on_kept(struct ssh_local *l)
{
    struct files_op *op = RB_CONTAINER(l, struct files_op, file);
    if (op->orphan)
        destroy(op);
    else if (l->failed && op->stopping)
        fail_stopped(op, RB_OUTCOME_FAILED);
    else if (l->differs)
        fail_differs(op);
    else if (l->failed)
        fail(op, "ssh.file", RB_OUTCOME_FAILED, "%.500s can not be written: %s", op->local, strerror(l->failed));
    else
        succeed(op, l->size, l->digest);
}

/* What the login has said before the file, which has so many bytes, is none of it. */
static void strip(struct rb_buf *fetched, uint64_t size)
{
    if (fetched->len <= size)
        return;
    size_t more = fetched->len - (size_t)size;
    memmove(fetched->data, fetched->data + more, (size_t)size);
    fetched->len = (size_t)size;
}

/* The file is here: is it the one that is there? */
static void fetched(struct files_op *op)
{
    char sum[RB_SHA_HEX + 8], mode[16] = "", size[24] = "";
    uint8_t digest[RB_SHA_LEN];
    const char *said = rb_buf_text(&op->answer);
    if (!rb_far_file_said(said, op->answer.len, "sum", sum, sizeof(sum)) || rb_sha_parse(sum, op->file.expected)) {
        fail(op, "ssh.file", RB_OUTCOME_FAILED, "it ended without a digest");
        return;
    }
    rb_far_file_said(said, op->answer.len, "mode", mode, sizeof(mode));
    rb_far_file_said(said, op->answer.len, "size", size, sizeof(size));
    op->file.want = strtoull(size, NULL, 10);
    if (op->local) {
        op->stage = FILES_KEEPING;
        op->file.mode = (unsigned)strtoul(mode, NULL, 8) & 0777;
        op->file.on_done = on_kept;
        rb_ssh_local_keep(&op->file, rb_effect_loop(&op->effect));
        return;
    }
    strip(&op->fetched, op->file.want);
    rb_sha(rb_buf_text(&op->fetched), op->fetched.len, digest);
    if (memcmp(digest, op->file.expected, RB_SHA_LEN) != 0) {
        fail_differs(op);
        return;
    }
    size_t length = op->fetched.len;
    const struct rb_run *run = op->effect.run;
    if (rb_secret_any(run) && length) {
        struct rb_buf clean;
        rb_buf_init(&clean, SIZE_MAX / 2);
        rb_secret_redact(run, op->fetched.data, length, &clean);
        explicit_bzero(op->fetched.data, op->fetched.cap);
        rb_buf_release(&op->fetched);
        op->fetched = clean;
    }
    succeed(op, length, digest);
}

static void on_done(void *arg, struct rb_ssh_result *r)
{
    struct files_op *op = arg;
    char why[400], kind[32], line[300];
    op->session = NULL;
    if (op->orphan) {
        if (!op->file.busy)
            destroy(op);
        return;
    }
    rb_buf_reset(&op->answer);
    rb_buf_add(&op->answer, rb_buf_text(&r->err.buf), r->err.buf.len);
    if (!op->upload && !op->local) {
        op->fetched = r->out.buf;
        rb_buf_init(&r->out.buf, 0);
    }
    bool done = r->end == RB_SSH_EXITED && r->code == 0 &&
                rb_far_file_said(rb_buf_text(&op->answer), op->answer.len, "here", why, sizeof(why));
    if (op->upload && rb_far_file_said(rb_buf_text(&op->answer), op->answer.len, "done", why, sizeof(why))) {
        succeed(op, op->file.size, op->file.digest);
    } else if (rb_far_file_said(rb_buf_text(&op->answer), op->answer.len, "no", why, sizeof(why)) && !op->stopping) {
        bool sudo = strncmp(why, "sudo:", 5) == 0;
        fail(op, sudo ? "ssh.sudo" : "ssh.file", sudo ? RB_OUTCOME_NOT_STARTED : RB_OUTCOME_FAILED, "%s", why);
    } else if (r->end == RB_SSH_NOT_STARTED && !op->stopping) {
        struct rb_buf words;
        struct rb_ssh_target target = rb_ssh_where_target(&op->where);
        rb_buf_init(&words, 2048);
        rb_ssh_words_why(&words, &target, r->why, r->text);
        rb_ssh_kind(r->why, kind);
        fail(op, kind, RB_OUTCOME_NOT_STARTED, "%s", rb_buf_text(&words));
        rb_buf_release(&words);
    } else if (op->stopping) {
        fail_stopped(op, r->end == RB_SSH_NOT_STARTED ? RB_OUTCOME_NOT_STARTED : unknown(op));
    } else if (r->end == RB_SSH_LOST || r->end == RB_SSH_CLOSED) {
        fail(op, "ssh.lost", unknown(op),
             "the connection was lost before it had ended (%.300s); the file is the old "
             "one or the new one, whole",
             r->text);
    } else if (done && !op->upload) {
        fetched(op);
    } else {
        bool here = rb_far_file_said(rb_buf_text(&op->answer), op->answer.len, "here", why, sizeof(why));
        rb_capture_last_line(op->upload || op->local ? &r->out.buf : &op->fetched, &r->err.buf, line, sizeof(line));
        if (!here) {
            fail(op, "ssh.session", unknown(op), RB_SSH_NO_SHELL "%s%s", line[0] ? ": " : "", line);
            return;
        }
        fail(op, "ssh.file", op->upload ? RB_OUTCOME_UNKNOWN : RB_OUTCOME_FAILED,
             "the shell over there ended with %d%s%s", r->end == RB_SSH_EXITED ? r->code : -1, line[0] ? ": " : "",
             line);
    }
}

/* Of this run and this op: another that sends a file to the same place has another. */
static void name_temporary(const struct files_op *op, char tag[RB_SHA_HEX])
{
    struct rb_buf who;
    rb_buf_init(&who, 64 << 10);
    rb_buf_addf(&who, "%s %s", op->effect.run->id, op->effect.key);
    rb_sha_of_hex(rb_buf_text(&who), who.len, tag);
    tag[16] = '\0';
    rb_buf_release(&who);
}

static int make_request(struct files_op *op, struct rb_far_request *r, struct rb_err *err)
{
    char sum[RB_SHA_HEX], tag[RB_SHA_HEX], mode[8];
    struct rb_far_file f = {.path = op->far,
                            .sudo = op->sudo,
                            .sudo_password = op->sudo_password,
                            .mode = op->mode,
                            .owner = op->owner,
                            .size = op->max};
    if (!op->upload)
        return rb_far_download(&f, r, err);
    name_temporary(op, tag);
    rb_sha_hex(op->file.digest, sum);
    snprintf(mode, sizeof(mode), "%04o", op->local ? op->file.mode : op->content_secret ? 0600U : 0644U);
    f.size = op->file.size;
    f.sha256 = sum;
    f.mode_of_new = mode;
    f.tag = tag;
    int rc = rb_far_upload(&f, r, err);
    if (!rc)
        rb_buf_add(&r->input, op->content, op->content_len);
    return rc;
}

static int open_session(struct files_op *op, struct rb_err *err)
{
    struct rb_far_request r = {0};
    int rc = make_request(op, &r, err);
    struct rb_ssh_options opt = {.target = rb_ssh_where_target(&op->where),
                                 .command = rb_buf_text(&r.command),
                                 .stdin_data = rb_buf_text(&r.input),
                                 .stdin_len = r.input.len,
                                 .stdin_fd = op->upload ? op->file.fd : -1,
                                 .stdout_fd = op->upload ? -1 : op->file.fd,
                                 .max_output = ANSWER_MAX,
                                 .drain_ms = DRAIN_MS,
                                 .on_done = on_done,
                                 .arg = op};
    if (!op->upload && !op->local)
        opt.max_output = (size_t)op->max + ANSWER_MAX;
    if (!rc)
        rc = rb_ssh_start(rb_effect_loop(&op->effect), &opt, &op->session, err);
    rb_far_request_release(&r);
    op->stage = rc ? FILES_REST : FILES_SENDING;
    return rc;
}

static void on_ready(struct ssh_local *l)
{
    struct files_op *op = RB_CONTAINER(l, struct files_op, file);
    struct rb_err err;
    if (op->orphan)
        destroy(op);
    else if (op->stopping)
        fail_stopped(op, RB_OUTCOME_NOT_STARTED);
    else if (l->refused)
        fail(op, l->refused == RB_EDENIED ? "policy" : "ssh.file", RB_OUTCOME_NOT_STARTED, "%s", l->why);
    else if (l->failed)
        fail(op, "ssh.file", RB_OUTCOME_NOT_STARTED, "%.500s can not be read: %s", op->local, strerror(l->failed));
    else if (open_session(op, &err))
        fail(op, "ssh.config", RB_OUTCOME_NOT_STARTED, "%s", err.msg);
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct files_op *op = files_of(e);
    int rc;
    op->stopping = op->timed_out = op->ended = false;
    rb_ssh_local_close(&op->file);
    op->file.mode = 0;
    snprintf(e->error_kind, sizeof(e->error_kind), "ssh.file");
    if (op->local) {
        op->stage = FILES_READING;
        op->file.on_done = on_ready;
        rc = op->upload ? rb_ssh_local_open(&op->file, e, op->local, err)
                        : rb_ssh_local_make(&op->file, e, op->local, err);
    } else {
        op->file.size = op->content_len;
        rb_sha(op->content, op->content_len, op->file.digest);
        rc = open_session(op, err);
    }
    if (rc == RB_EDENIED)
        snprintf(e->error_kind, sizeof(e->error_kind), "policy");
    if (!rc && op->timeout_ms)
        rb_timer_arm_ms(&op->timer, op->timeout_ms);
    return rc;
}

static void cancel(struct rb_effect *e, bool now)
{
    struct files_op *op = files_of(e);
    (void)now;
    op->stopping = true;
    if (op->stage == FILES_SENDING && op->session)
        rb_ssh_close(op->session);
    else if (op->file.reach) /* a disk may take its time */
        fail_stopped(op, RB_OUTCOME_NOT_STARTED);
    else /* a digest of many GB */
        rb_ssh_local_stop(&op->file);
}

static void on_time(struct rb_timer *t)
{
    struct files_op *op = RB_CONTAINER(t, struct files_op, timer);
    op->timed_out = !op->stopping;
    cancel(&op->effect, false);
}

/* -- the result ---------------------------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *field, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

static void push(struct rb_effect *e, lua_State *L)
{
    struct files_op *op = files_of(e);
    lua_createtable(L, 0, 5);
    set_text(L, "host", op->where.name);
    set_text(L, "path", op->upload || !op->local ? op->far : op->local);
    if (!op->ended)
        return;
    lua_pushinteger(L, (lua_Integer)op->size);
    lua_setfield(L, -2, "size");
    set_text(L, "sha256", op->sha256);
    if (!op->upload && !op->local) {
        lua_pushlstring(L, rb_buf_text(&op->fetched), op->fetched.len);
        lua_setfield(L, -2, "content");
    }
}

static void assume(struct rb_effect *e, lua_State *L)
{
    struct files_op *op = files_of(e);
    lua_createtable(L, 0, 5);
    set_text(L, "host", op->where.name);
    set_text(L, "path", op->upload || !op->local ? op->far : op->local);
    set_text(L, "assumed", e->as);
}

static const struct rb_effect_type upload_type = {
    .kind = "ssh.upload", .start = start, .cancel = cancel, .push = push, .assume = assume, .free = release};
static const struct rb_effect_type download_type = {
    .kind = "ssh.download", .start = start, .cancel = cancel, .push = push, .assume = assume, .free = release};

/* -- the call ------------------------------------------------------------------------------------------------------ */

static struct files_op *new_op(lua_State *L, const struct rb_effect_type *type, enum rb_class cls)
{
    struct files_op *op = rb_effect_new(L, sizeof(*op), type, cls);
    op->upload = type == &upload_type;
    rb_ssh_local_init(&op->file);
    rb_timer_init(&op->timer, rb_effect_loop(&op->effect), on_time);
    rb_buf_init(&op->answer, ANSWER_MAX);
    op->effect.idempotent = true;
    op->effect.on_doubt = RB_DOUBT_RETRY;
    rb_effect_options(L, 1, &op->effect);
    return op;
}

static void reach_file(struct files_op *op)
{
    if (op->local)
        rb_effect_reach(&op->effect, "file", op->local, strlen(op->local));
}

static int call(lua_State *L, struct files_op *op, struct rb_json *j)
{
    struct rb_effect *e = &op->effect;
    struct rb_buf title;
    rb_json_end_object(j);
    op->timeout_ms = (uint64_t)rb_args_int(L, 1, "timeout_ms", 0);
    reach_file(op);
    if (!e->title) {
        rb_buf_init(&title, 800);
        rb_buf_addf(&title, "%s %.200s: %.400s", e->type->kind, op->where.name, op->far);
        e->title = rb_buf_detach(&title);
    }
    return rb_effect_call(L, e);
}

int rb_bind_ssh_upload(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct files_op *op = new_op(L, &upload_type, RB_CLASS_EFFECT);
    struct rb_json j;
    rb_json_init(&j, &op->effect.args);
    rb_json_object(&j);
    rb_ssh_read_where(L, "ssh.upload", &op->effect, &op->where, &j);
    op->local = rb_args_text(L, 1, "ssh.upload", "from");
    op->far = rb_args_text(L, 1, "ssh.upload", "to");
    op->mode = rb_args_text(L, 1, "ssh.upload", "mode");
    op->owner = rb_args_text(L, 1, "ssh.upload", "owner");
    rb_json_ktext(&j, "from", op->local);
    if (!op->local) {
        lua_getfield(L, 1, "content");
        op->content_secret = rb_secret_is(L, -1);
        lua_pop(L, 1);
        op->content = rb_ssh_read_bytes(L, "ssh.upload", "content", RB_SSH_STDIN_MAX, &op->content_len, &j);
    }
    rb_json_ktext(&j, "to", op->far);
    rb_json_ktext(&j, "mode", op->mode);
    rb_json_ktext(&j, "owner", op->owner);
    op->sudo = rb_ssh_read_sudo(L, "ssh.upload", &op->sudo_password, &j);
    return call(L, op, &j);
}

int rb_bind_ssh_download(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bool keeps = lua_getfield(L, 1, "to") != LUA_TNIL;
    lua_pop(L, 1);
    struct files_op *op = new_op(L, &download_type, keeps ? RB_CLASS_EFFECT : RB_CLASS_READ);
    struct rb_json j;
    rb_json_init(&j, &op->effect.args);
    rb_json_object(&j);
    rb_ssh_read_where(L, "ssh.download", &op->effect, &op->where, &j);
    op->far = rb_args_text(L, 1, "ssh.download", "from");
    op->local = rb_args_text(L, 1, "ssh.download", "to");
    op->max = (uint64_t)rb_args_int(L, 1, "max", keeps ? FILE_MAX : FETCH_MAX);
    if (!keeps && op->max > RB_SSH_STDIN_MAX)
        rb_error_raise(L, "usage", "not_started", "ssh.download: max is %d MiB at most without to = PATH",
                       (int)(RB_SSH_STDIN_MAX >> 20));
    rb_json_ktext(&j, "from", op->far);
    rb_json_ktext(&j, "to", op->local);
    op->sudo = rb_ssh_read_sudo(L, "ssh.download", &op->sudo_password, &j);
    return call(L, op, &j);
}
