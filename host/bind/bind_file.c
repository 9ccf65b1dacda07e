/* Owns file.read, stat, list, digest, write, remove and mkdir as ops: their arguments, what they reach, and what came
 * of them as a value. How a file is read or replaced is io/file.c's.
 *
 * What changes files is idempotent by its nature: after a crash it is begun again, looks at what is there, and does
 * what is missing (rb_file.again). So no doubt is left, unless the call's on_doubt wishes to be asked. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "base/json.h"
#include "bind/args.h"
#include "bind/bind.h"
#include "bind/reach_file.h"
#include "engine/core.h"
#include "engine/effect.h"
#include "engine/error.h"
#include "engine/policy.h"
#include "engine/secret.h"
#include "io/file.h"
#include "io/timer.h"

#define CONTENT_MAX ((size_t)256 << 20)
#define HOPS_MAX 40        /* links on the way, as the kernel has it */
#define DETACH_MS 2000     /* after its time-out: a disk that does not answer is waited for no longer */
#define TIMEOUT_MS 300000  /* default */
#define READ_MAX (1 << 20) /* default of max */
#define LIST_MAX 10000

struct file_op {
    struct rb_effect effect;
    struct rb_file *file; /* NULL once it was left to itself */
    char *path;           /* as it was called for, before any link */
    uint64_t timeout_ms;
    struct rb_timer timer;
    int hops;
    bool running, timed_out;
};

static struct file_op *file_of(struct rb_effect *e)
{
    return RB_CONTAINER(e, struct file_op, effect);
}

/* The pool still works on it: it is stopped, and freed when it comes back. */
static void leave(struct file_op *op)
{
    op->file->arg = NULL;
    rb_file_stop(op->file);
    op->file = NULL;
    op->running = false;
}

static void release(struct rb_effect *e)
{
    struct file_op *op = file_of(e);
    rb_timer_disarm(&op->timer);
    if (op->running)
        leave(op);
    if (op->file)
        rb_file_free(op->file);
    free(op->path);
    free(op);
}

/* -- on its way ---------------------------------------------------------------------------------------------------- */

/* What lies below a path, as a policy has it. */
static void tree_name(const char *path, char out[RB_FILE_PATH_MAX + 4])
{
    snprintf(out, RB_FILE_PATH_MAX + 4, "%s/**", path[1] ? path : "");
}

/* May it be reached, and all below it where that is wanted; and from which folder on are links looked at? */
static int ask_policy(const struct rb_effect *e, bool tree, struct rb_file_place *p, struct rb_err *err)
{
    char all[RB_FILE_PATH_MAX + 4];
    int rc = rb_policy_check_path(e->run, "file", p->path, p->bases, err);
    if (rc || !tree)
        return rc;
    tree_name(p->path, all);
    return rb_policy_check(e->run, "file", all, err);
}

static int ask_policy_of_all(const struct rb_effect *e, struct rb_file *f, struct rb_err *err)
{
    int rc = ask_policy(e, f->recursive, &f->place, err);
    return rc || !f->backup.path ? rc : ask_policy(e, false, &f->backup, err);
}

static void fail_late(struct file_op *op)
{
    struct rb_effect *e = &op->effect;
    bool acts = e->cls == RB_CLASS_EFFECT;
    if (op->timed_out)
        rb_effect_failed(e, "file.timeout", acts ? RB_OUTCOME_UNKNOWN : RB_OUTCOME_FAILED, false,
                         "%s: %.1000s did not end within %.3gs, and its disk does not answer", e->type->kind, op->path,
                         (double)op->timeout_ms / 1000);
    else
        rb_effect_failed(e, "cancelled", acts ? RB_OUTCOME_UNKNOWN : RB_OUTCOME_FAILED, false,
                         "%s: %.1000s was not waited for", e->type->kind, op->path);
}

static void on_time(struct rb_timer *t)
{
    struct file_op *op = RB_CONTAINER(t, struct file_op, timer);
    if (op->timed_out) {
        leave(op);
        fail_late(op);
        return;
    }
    op->timed_out = true;
    rb_file_stop(op->file);
    rb_timer_arm_ms(t, DETACH_MS);
}

/* A link was in the way. Where it leads is asked about like any path, and then gone to without following any link. */
static void follow(struct file_op *op)
{
    struct rb_file *f = op->file;
    struct rb_effect *e = &op->effect;
    struct rb_file_place *p = f->place.elsewhere ? &f->place : &f->backup;
    struct rb_err err = {0};
    if (++op->hops > HOPS_MAX) {
        rb_effect_failed(e, "file.loop", RB_OUTCOME_FAILED, false,
                         "%s: the links on the way to %.1000s lead round in a circle, or change all the time",
                         e->type->kind, op->path);
        return;
    }
    free(p->path);
    p->path = p->elsewhere;
    p->elsewhere = NULL;
    if (ask_policy(e, f->recursive, p, &err)) {
        rb_effect_failed(e, "policy", RB_OUTCOME_NOT_STARTED, false, "%s: a link leads from %.500s to %.500s: %.900s",
                         e->type->kind, op->path, p->path, err.msg);
        return;
    }
    op->running = true;
    rb_file_start(rb_effect_loop(e), f);
}

static void on_done(struct rb_file *f)
{
    struct file_op *op = f->arg;
    if (!op) {
        rb_file_free(f);
        return;
    }
    struct rb_effect *e = &op->effect;
    op->running = false;
    if (f->end == RB_FILE_ELSEWHERE && !op->timed_out && !e->cancel_wanted) {
        follow(op);
        if (op->running)
            return;
        rb_timer_disarm(&op->timer);
        return;
    }
    rb_timer_disarm(&op->timer);
    switch (f->end) {
    case RB_FILE_DONE:
        if (f->was_cut && !e->secret) /* perhaps in the middle of a secret, of which the beginning would not be found */
            f->content.len -= rb_secret_tail(e->run, rb_buf_text(&f->content), f->content.len);
        rb_effect_done(e);
        break;
    case RB_FILE_FAILED: rb_effect_failed(e, f->kind, RB_OUTCOME_FAILED, false, "%s", f->text); break;
    case RB_FILE_UNSURE: rb_effect_failed(e, f->kind, RB_OUTCOME_UNKNOWN, false, "%s", f->text); break;
    case RB_FILE_STOPPED:
    case RB_FILE_ELSEWHERE:
        if (op->timed_out)
            rb_effect_failed(e, "file.timeout", RB_OUTCOME_FAILED, false,
                             "%s: %.1000s did not end within %.3gs and was stopped; nothing was changed", e->type->kind,
                             op->path, (double)op->timeout_ms / 1000);
        else
            rb_effect_failed(e, "cancelled", RB_OUTCOME_FAILED, false,
                             "%s: %.1000s was stopped before anything was changed", e->type->kind, op->path);
        break;
    }
}

static int start(struct rb_effect *e, struct rb_err *err)
{
    struct file_op *op = file_of(e);
    struct rb_file *f = op->file;
    int rc = ask_policy_of_all(e, f, err);
    if (rc) {
        snprintf(e->error_kind, sizeof(e->error_kind), "policy");
        return rc;
    }
    rb_reach_tag(e, f);
    f->again = e->twice;
    f->sweep = e->twice || e->attempt > 1;
    f->on_done = on_done;
    f->arg = op;
    op->running = true;
    rb_timer_arm_ms(&op->timer, op->timeout_ms);
    rb_file_start(rb_effect_loop(e), f);
    return RB_OK;
}

static void cancel(struct rb_effect *e, bool now)
{
    struct file_op *op = file_of(e);
    if (!op->running)
        return;
    rb_file_stop(op->file);
    if (!now)
        return;
    leave(op);
    rb_timer_disarm(&op->timer);
    fail_late(op);
}

/* -- the result ---------------------------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *field, const char *text)
{
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

static void set_mode(lua_State *L, mode_t mode)
{
    lua_pushfstring(L, "%d%d%d%d", (int)(mode >> 9 & 7), (int)(mode >> 6 & 7), (int)(mode >> 3 & 7), (int)(mode & 7));
    lua_setfield(L, -2, "mode");
}

static const char *type_of(unsigned char d_type)
{
    static const char *const names[] = {[DT_REG] = "file",   [DT_DIR] = "folder",           [DT_LNK] = "link",
                                        [DT_FIFO] = "fifo",  [DT_CHR] = "character device", [DT_BLK] = "block device",
                                        [DT_SOCK] = "socket"};
    return d_type < RB_COUNT(names) && names[d_type] ? names[d_type] : "unknown";
}

static void set_int(lua_State *L, const char *field, int64_t n)
{
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, field);
}

static void push_stat(lua_State *L, const struct rb_file *f)
{
    const struct stat *st = &f->st;
    if (!f->found) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 10);
    set_text(L, "type", type_of(IFTODT(st->st_mode)));
    set_mode(L, st->st_mode & 07777);
    set_int(L, "size", st->st_size);
    set_int(L, "uid", st->st_uid);
    set_int(L, "gid", st->st_gid);
    set_int(L, "links", (int64_t)st->st_nlink);
    if (f->owner[0])
        set_text(L, "owner", f->owner);
    if (f->group[0])
        set_text(L, "group", f->group);
    if (f->target)
        set_text(L, "target", f->target);
    lua_pushnumber(L, (lua_Number)st->st_mtim.tv_sec + (lua_Number)(st->st_mtim.tv_nsec / 1000) / 1e6);
    lua_setfield(L, -2, "mtime");
}

static void push_list(lua_State *L, const struct rb_file *f)
{
    lua_createtable(L, (int)f->count, 0);
    for (size_t i = 0; i < f->count; i++) {
        lua_createtable(L, 0, 2);
        set_text(L, "name", f->entries[i].name);
        set_text(L, "type", type_of(f->entries[i].type));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_written(struct file_op *op, lua_State *L)
{
    const struct rb_file *f = op->file;
    lua_createtable(L, 0, 4);
    set_text(L, "path", op->path);
    set_int(L, "size", (int64_t)f->content.len);
    if (f->backed_up)
        set_text(L, "backup", f->backup.path);
}

static void push(struct rb_effect *e, lua_State *L)
{
    struct file_op *op = file_of(e);
    struct rb_file *f = op->file;
    char hex[RB_SHA_HEX];
    switch (f->verb) {
    case RB_FILE_READ:
        lua_createtable(L, 0, 3);
        lua_pushlstring(L, rb_buf_text(&f->content), f->content.len);
        lua_setfield(L, -2, "content");
        set_int(L, "size", (int64_t)f->size);
        if (f->was_cut) {
            lua_pushboolean(L, 1);
            lua_setfield(L, -2, "cut");
        }
        break;
    case RB_FILE_STAT: push_stat(L, f); break;
    case RB_FILE_LIST: push_list(L, f); break;
    case RB_FILE_DIGEST:
        rb_sha_hex(f->digest, hex);
        lua_pushstring(L, hex);
        break;
    case RB_FILE_WRITE: push_written(op, L); break;
    case RB_FILE_REMOVE:
    case RB_FILE_MKDIR: lua_pushboolean(L, f->found); break;
    case RB_FILE_OPEN:
    case RB_FILE_BEGIN: break; /* other primitives' */
    }
}

/* "It was done": by the word of a person, or in a dry run. */
static void assume(struct rb_effect *e, lua_State *L)
{
    struct file_op *op = file_of(e);
    if (op->file->verb != RB_FILE_WRITE) {
        lua_pushboolean(L, 1);
        return;
    }
    push_written(op, L);
    set_text(L, "assumed", e->as);
}

/* -- the call ------------------------------------------------------------------------------------------------------ */

#define TYPE(name) \
    { \
        .kind = "file." name, .start = start, .cancel = cancel, .push = push, .assume = assume, .free = release \
    }

static const struct rb_effect_type types[] = {
    [RB_FILE_READ] = TYPE("read"),     [RB_FILE_STAT] = TYPE("stat"),   [RB_FILE_LIST] = TYPE("list"),
    [RB_FILE_DIGEST] = TYPE("digest"), [RB_FILE_WRITE] = TYPE("write"), [RB_FILE_REMOVE] = TYPE("remove"),
    [RB_FILE_MKDIR] = TYPE("mkdir"),
};

static enum rb_file_verb read_verb(lua_State *L)
{
    lua_getfield(L, 1, "verb");
    const char *verb = luaL_checkstring(L, -1);
    for (size_t i = 0; i < RB_COUNT(types); i++)
        if (strcmp(types[i].kind + strlen("file."), verb) == 0) {
            lua_pop(L, 1);
            return (enum rb_file_verb)i;
        }
    return (enum rb_file_verb)luaL_argerror(L, 1, "verb");
}

/* [-0, +0, e] an absolute path without . and .. from a text. */
static char *normal(lua_State *L, const struct rb_effect *e, const char *text)
{
    struct rb_err err = {0};
    struct rb_buf *out = rb_effect_buf(L, RB_FILE_PATH_MAX);
    int rc = rb_file_normal(e->run->folder ? e->run->folder : "/", text, out, &err);
    if (rc)
        rb_error_raise(L, "usage", "not_started", "%s: %s", e->type->kind, err.msg);
    char *path = rb_buf_detach(out);
    lua_pop(L, 1);
    return path;
}

/* [-0, +0, e] the path in a field of the table; NULL when it is absent. */
static char *read_path(lua_State *L, const struct rb_effect *e, const char *field)
{
    free(rb_args_text(L, 1, e->type->kind, field)); /* checks it, as a string without NUL */
    if (lua_getfield(L, 1, field) == LUA_TNIL) {
        lua_pop(L, 1);
        return NULL;
    }
    char *path = normal(L, e, lua_tostring(L, -1));
    lua_pop(L, 1);
    return path;
}

/* [-0, +0, e] ".bak" is behind the path, anything else is a path itself. */
static void read_backup(lua_State *L, struct file_op *op)
{
    struct rb_file *f = op->file;
    char path[RB_FILE_PATH_MAX + 64];
    if (lua_getfield(L, 1, "backup") != LUA_TNIL) {
        const char *text = luaL_checkstring(L, -1);
        bool suffix = text[0] == '.' && !strchr(text, '/') && strlen(text) < 60;
        snprintf(path, sizeof(path), "%s%s", suffix ? op->path : "", text);
        f->backup.path = suffix ? normal(L, &op->effect, path) : read_path(L, &op->effect, "backup");
        if (strcmp(f->backup.path, op->path) == 0)
            rb_error_raise(L, "usage", "not_started", "file.write: the backup would be the file itself");
    }
    lua_pop(L, 1);
}

static void read_content(lua_State *L, struct file_op *op, struct rb_json *j)
{
    struct rb_file *f = op->file;
    char hex[RB_SHA_HEX];
    struct rb_buf *said = rb_effect_buf(L, CONTENT_MAX); /* of a secret: what may be shown of it */
    lua_getfield(L, 1, "content");
    f->content.max = CONTENT_MAX;
    rb_secret_expand(L, -1, &f->content, "file.write: the content");
    rb_secret_shown(L, -1, said, "file.write: the content");
    if (rb_secret_is(L, -1))
        f->mode_of_new = 0600;
    if (f->content.cut)
        rb_error_raise(L, "usage", "not_started", "file.write: the content is larger than %d MiB",
                       (int)(CONTENT_MAX >> 20));
    rb_sha_of_hex(rb_buf_text(said), said->len, hex);
    rb_json_kint(j, "size", (int64_t)f->content.len);
    rb_json_ktext(j, "sha256", hex);
    rb_buf_release(said);
    lua_pop(L, 2);
}

static void read_write(lua_State *L, struct file_op *op, struct rb_json *j)
{
    struct rb_file *f = op->file;
    read_content(L, op, j);
    read_backup(L, op);
    if (f->backup.path) {
        rb_json_key(j, "backup");
        rb_json_string(j, f->backup.path, strlen(f->backup.path));
        rb_effect_reach(&op->effect, "file", f->backup.path, strlen(f->backup.path));
    }
    f->create = rb_args_bool(L, 1, "create", false);
    if (f->create)
        rb_json_ktext(j, "create", "new");
    if (lua_getfield(L, 1, "expect") == LUA_TSTRING) {
        f->expects = true;
        if (rb_sha_parse(lua_tostring(L, -1), f->expected))
            rb_error_raise(L, "usage", "not_started", "file.write: expect is a SHA-256 as 64 hexadecimal digits");
        rb_json_ktext(j, "expect", lua_tostring(L, -1));
    }
    lua_pop(L, 1);
}

static void read_options(lua_State *L, struct file_op *op, struct rb_json *j)
{
    struct rb_file *f = op->file;
    static const struct {
        const char *name;
        size_t at;
    } flags[] = {
        {"cut", offsetof(struct rb_file, cut)},
        {"follow", offsetof(struct rb_file, follow)},
        {"recursive", offsetof(struct rb_file, recursive)},
        {"missing_ok", offsetof(struct rb_file, missing_ok)},
        {"parents", offsetof(struct rb_file, parents)},
    };
    for (size_t i = 0; i < RB_COUNT(flags); i++)
        if (rb_args_bool(L, 1, flags[i].name, false)) {
            *(bool *)((char *)f + flags[i].at) = true;
            rb_json_kbool(j, flags[i].name, true);
        }
    int64_t mode = rb_args_int(L, 1, "mode", -1), max = rb_args_int(L, 1, "max", 0);
    int64_t depth = rb_args_int(L, 1, "depth", 0);
    f->max = (size_t)(max ? max : f->verb == RB_FILE_READ ? READ_MAX : LIST_MAX);
    f->depth = depth > 0 && depth < 1000 ? (int)depth : 0;
    f->glob = rb_args_text(L, 1, op->effect.type->kind, "glob");
    if (max)
        rb_json_kint(j, "max", max);
    if (depth)
        rb_json_kint(j, "depth", depth);
    rb_json_ktext(j, "glob", f->glob);
    if (mode >= 0) {
        char text[16];
        f->mode = (mode_t)mode & 07777;
        snprintf(text, sizeof(text), "%04o", (unsigned)f->mode);
        rb_json_ktext(j, "mode", text);
    }
}

int rb_bind_file(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    enum rb_file_verb verb = read_verb(L);
    bool acts = verb >= RB_FILE_WRITE;
    struct file_op *op = rb_effect_new(L, sizeof(*op), &types[verb], acts ? RB_CLASS_EFFECT : RB_CLASS_READ);
    struct rb_effect *e = &op->effect;
    rb_timer_init(&op->timer, rb_effect_loop(e), on_time);
    op->file = rb_file_new(verb);
    op->file->refuse = rb_strdup(rb_store_path(e->run->host->store));
    if (acts) {
        e->idempotent = true;
        e->on_doubt = RB_DOUBT_RETRY;
    }
    rb_effect_options(L, 1, e);
    op->path = read_path(L, e, "path");
    op->file->place.path = rb_strdup(op->path);
    op->timeout_ms = (uint64_t)rb_args_int(L, 1, "timeout_ms", TIMEOUT_MS);
    struct rb_json j;
    rb_json_init(&j, &e->args);
    rb_json_object(&j);
    rb_json_key(&j, "path");
    rb_json_string(&j, op->path, strlen(op->path));
    rb_effect_reach(e, "file", op->path, strlen(op->path));
    read_options(L, op, &j);
    if (verb == RB_FILE_WRITE)
        read_write(L, op, &j);
    rb_json_end_object(&j);
    if (op->file->recursive) {
        char all[RB_FILE_PATH_MAX + 4];
        tree_name(op->path, all);
        rb_effect_reach(e, "file", all, strlen(all));
    }
    return rb_effect_call(L, e);
}
