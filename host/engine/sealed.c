/* Owns the encryption of secrets in the journal, and the key. Knows no primitive.
 *
 * AES-256-GCM with a random nonce. The associated data is the run's id, the key of the op and the name of the secret,
 * so that a ciphertext that is moved to another place does not open there. The id of the key (the beginning of a
 * digest) stands before it, to tell a wrong key from a changed journal. */
#include "engine/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>

#include "base/fault.h"
#include "base/json.h"
#include "engine/core.h"
#include "engine/error.h"
#include "engine/secretmem.h"

#define VERSION "1."
#define KEY_ID 8 /* hex digits */
#define SEALED_MAX ((size_t)64 << 20)
#define TEXTS_MAX 1000 /* of one result */
#define RANDOM_MAX 512 /* bytes */

/* -- the key ------------------------------------------------------------------------------------------------------- */

static int make_folders(const char *path, struct rb_err *err)
{
    char *copy = rb_strdup(path);
    int rc = RB_OK;
    for (char *p = strchr(copy + 1, '/'); p && !rc; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            rc = rb_err_sys(err, RB_EIO, errno, "the folder %s of the key to secrets can not be made", copy);
        *p = '/';
    }
    free(copy);
    return rc;
}

/* Two processes may do it at once: the first link wins, and both read that one. */
static int make_key(const char *path, struct rb_err *err)
{
    uint8_t key[RB_SEAL_KEY_LEN];
    struct rb_buf temp;
    int rc = make_folders(path, err);
    if (rc)
        return rc;
    rb_buf_init(&temp, 8192);
    uint32_t mark = 0;
    if (getrandom(&mark, sizeof(mark), 0) != sizeof(mark))
        mark = (uint32_t)getpid();
    rb_buf_addf(&temp, "%s.%08x", path, (unsigned)mark);
    int fd = open(rb_buf_text(&temp), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && getrandom(key, sizeof(key), 0) == sizeof(key) &&
                write(fd, key, sizeof(key)) == sizeof(key) && fsync(fd) == 0;
    rb_fault_point("secret.before-key");
    good = good && (link(rb_buf_text(&temp), path) == 0 || errno == EEXIST);
    if (!good)
        rc = rb_err_sys(err, RB_EIO, errno, "the key to secrets, %s, can not be made", path);
    if (fd >= 0) {
        close(fd);
        unlink(rb_buf_text(&temp));
    }
    rb_fault_point("secret.after-key");
    explicit_bzero(key, sizeof(key));
    rb_buf_release(&temp);
    return rc;
}

static int read_key(struct rb_host *h, struct rb_err *err)
{
    struct stat st;
    uint8_t key[RB_SEAL_KEY_LEN + 1];
    int fd = open(h->secret_key, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return rb_err_sys(err, errno == ENOENT ? RB_ENOENT : RB_EINVAL, errno,
                          "the key to the run's encrypted secrets, %s, can not be read", h->secret_key);
    int rc = RB_OK;
    ssize_t n = -1;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        rc = rb_err_set(err, RB_EINVAL, "the key to secrets, %s, is no regular file", h->secret_key);
    else if (st.st_mode & 077)
        rc = rb_err_set(err, RB_EINVAL, "the key to secrets, %s, can be read by others (mode %03o): chmod 600 it",
                        h->secret_key, (unsigned)st.st_mode & 0777);
    else if ((n = read(fd, key, sizeof(key))) != RB_SEAL_KEY_LEN)
        rc = rb_err_set(err, RB_EINVAL, "the key to secrets, %s, has not %d bytes: it is damaged, or another file",
                        h->secret_key, RB_SEAL_KEY_LEN);
    close(fd);
    if (!rc) {
        h->seal_key = rb_secretmem_alloc(RB_SEAL_KEY_LEN);
        memcpy(h->seal_key, key, RB_SEAL_KEY_LEN);
    }
    explicit_bzero(key, sizeof(key));
    return rc;
}

static int have_key(struct rb_host *h, bool make, struct rb_err *err)
{
    if (h->seal_key)
        return RB_OK;
    if (!h->secret_key)
        return rb_err_set(err, RB_ENOENT,
                          "there is no place for the key to secrets: neither secret_key in the configuration nor "
                          "XDG_CONFIG_HOME nor HOME names one");
    int rc = read_key(h, err);
    if (rc == RB_ENOENT && make) {
        rc = make_key(h->secret_key, err);
        if (!rc)
            rc = read_key(h, err);
    }
    return rc;
}

int rb_sealed_ready(struct rb_host *h, struct rb_err *err)
{
    return have_key(h, true, err);
}

void rb_sealed_forget_key(struct rb_host *h)
{
    rb_secretmem_free(h->seal_key, RB_SEAL_KEY_LEN);
    h->seal_key = NULL;
}

static void key_id(const uint8_t *key, char out[KEY_ID + 1])
{
    static const char what[] = "rbhost secret key";
    uint8_t text[sizeof(what) + RB_SEAL_KEY_LEN];
    char hex[RB_SHA_HEX];
    memcpy(text, what, sizeof(what));
    memcpy(text + sizeof(what), key, RB_SEAL_KEY_LEN);
    rb_sha_of_hex(text, sizeof(text), hex);
    explicit_bzero(text, sizeof(text));
    snprintf(out, KEY_ID + 1, "%.*s", KEY_ID, hex);
}

/* -- one text ------------------------------------------------------------------------------------------------------ */

static void begin(struct gcm_aes256_ctx *ctx, const struct rb_run *run, const uint8_t *nonce, const char *op_key,
                  const char *name)
{
    const char *const parts[] = {"rbhost", run->id, op_key, name};
    struct rb_buf place;
    rb_buf_init(&place, SEALED_MAX);
    for (size_t i = 0; i < RB_COUNT(parts); i++)
        rb_buf_add(&place, parts[i], strlen(parts[i]) + 1);
    gcm_aes256_set_key(ctx, run->host->seal_key);
    gcm_aes256_set_iv(ctx, GCM_IV_SIZE, nonce);
    gcm_aes256_update(ctx, place.len, (const uint8_t *)place.data);
    rb_buf_release(&place);
}

int rb_sealed_close(struct rb_run *run, const char *op_key, const char *name, const char *text, size_t n,
                    struct rb_buf *out, struct rb_err *err)
{
    struct gcm_aes256_ctx ctx;
    char id[KEY_ID + 1];
    int rc = have_key(run->host, true, err);
    if (rc)
        return rc;
    if (n > SEALED_MAX)
        return rb_err_set(err, RB_ETOOBIG, "a secret of more than %zu MiB can not be kept", SEALED_MAX >> 20);
    size_t size = GCM_IV_SIZE + n + GCM_DIGEST_SIZE;
    uint8_t *raw = rb_alloc(size);
    if (getrandom(raw, GCM_IV_SIZE, 0) != GCM_IV_SIZE)
        rb_die("the system gives no random bytes");
    begin(&ctx, run, raw, op_key, name);
    gcm_aes256_encrypt(&ctx, n, raw + GCM_IV_SIZE, (const uint8_t *)text);
    gcm_aes256_digest(&ctx, GCM_DIGEST_SIZE, raw + GCM_IV_SIZE + n);
    key_id(run->host->seal_key, id);
    rb_buf_addf(out, VERSION "%s.", id);
    rb_base64(out, raw, size);
    explicit_bzero(&ctx, sizeof(ctx));
    free(raw);
    return RB_OK;
}

int rb_sealed_open(struct rb_run *run, const char *op_key, const char *name, const char *sealed, size_t n,
                   struct rb_buf *text, struct rb_err *err)
{
    struct gcm_aes256_ctx ctx;
    struct rb_buf raw;
    char id[KEY_ID + 1];
    const size_t head = sizeof(VERSION) - 1 + KEY_ID + 1;
    int rc = have_key(run->host, false, err);
    if (rc)
        return rc;
    if (n < head || memcmp(sealed, VERSION, sizeof(VERSION) - 1) != 0 || sealed[head - 1] != '.')
        return rb_err_set(err, RB_ECORRUPT, "the secret %s is not encrypted as this version of rbhost does it", name);
    key_id(run->host->seal_key, id);
    if (memcmp(sealed + sizeof(VERSION) - 1, id, KEY_ID) != 0)
        return rb_err_set(err, RB_EINVAL, "the secret %s was encrypted with another key (%.*s) than the one in %s (%s)",
                          name, KEY_ID, sealed + sizeof(VERSION) - 1, run->host->secret_key, id);
    rb_buf_init(&raw, SEALED_MAX);
    rc = rb_base64_decode(&raw, sealed + head, n - head);
    if (!rc && raw.len >= GCM_IV_SIZE + GCM_DIGEST_SIZE) {
        const uint8_t *p = (const uint8_t *)raw.data;
        size_t len = raw.len - GCM_IV_SIZE - GCM_DIGEST_SIZE;
        uint8_t tag[GCM_DIGEST_SIZE];
        char *clear = rb_alloc(len + 1);
        begin(&ctx, run, p, op_key, name);
        gcm_aes256_decrypt(&ctx, len, (uint8_t *)clear, p + GCM_IV_SIZE);
        gcm_aes256_digest(&ctx, sizeof(tag), tag);
        if (!memeql_sec(tag, p + GCM_IV_SIZE + len, sizeof(tag)))
            rc = RB_ECORRUPT;
        else
            rb_buf_add(text, clear, len);
        explicit_bzero(clear, len);
        explicit_bzero(&ctx, sizeof(ctx));
        free(clear);
    } else {
        rc = RB_ECORRUPT;
    }
    rb_buf_release(&raw);
    if (rc)
        rb_err_set(err, RB_ECORRUPT, "the encrypted secret %s has been changed, or moved from another place", name);
    return rc;
}

/* -- of an op with secret = true ----------------------------------------------------------------------------------- */

struct hiding {
    struct rb_run *run;
    const char *op_key;
    struct rb_buf *sealed; /* {name: sealed …, without the last bracket */
    int texts;
};

/* The name begins with what made it, and with a digest of its place in the run: the same on a replay. */
static void name_of(const char *kind, const char *op_key, struct rb_buf *out)
{
    char hex[RB_SHA_HEX];
    rb_sha_of_hex(op_key, strlen(op_key), hex);
    rb_buf_addf(out, "%s-%.8s", kind, hex);
}

/* [-0, +1, e] the text at index as a secret: known to the run, its ciphertext appended. */
static void hide_text(lua_State *L, struct hiding *h, int index, const char *name)
{
    struct rb_err err;
    size_t n;
    const char *s = lua_tolstring(L, index, &n);
    while (n && (s[n - 1] == '\n' || s[n - 1] == '\r'))
        n--;
    struct rb_buf *whole = rb_effect_buf(L, 2 * SEALED_MAX); /* secrets that were taken out of it belong into it */
    rb_secret_restore(h->run, s, n, whole);
    s = rb_buf_text(whole);
    n = whole->len;
    if (++h->texts > TEXTS_MAX)
        rb_error_raise(L, "result", NULL, "a secret result has more than %d texts", TEXTS_MAX);
    rb_buf_addf(h->sealed, "%s\"%s\":\"", h->texts > 1 ? "," : "{", name);
    if (rb_sealed_close(h->run, h->op_key, name, s, n, h->sealed, &err))
        rb_error_raise(L, "result", NULL, "%s", err.msg);
    rb_buf_addc(h->sealed, '"');
    rb_secret_learn(h->run, name, s, n);
    explicit_bzero(whole->data, whole->cap);
    rb_secret_push_name(L, name);
    lua_replace(L, -2);
}

static void hide(lua_State *L, struct hiding *h, const char *name);

/* The table on top. Its keys are names, not secrets. */
static void hide_table(lua_State *L, struct hiding *h, const char *name)
{
    int t = lua_gettop(L);
    luaL_checkstack(L, 8, "a secret result is nested too deeply");
    lua_pushnil(L);
    while (lua_next(L, t)) {
        int type = lua_type(L, -1);
        if (type == LUA_TSTRING || type == LUA_TTABLE) {
            struct rb_buf *inner = rb_effect_buf(L, 65536); /* below the value */
            lua_insert(L, -2);
            if (lua_type(L, -3) == LUA_TSTRING && rb_secret_name_good(lua_tostring(L, -3), lua_rawlen(L, -3)))
                rb_buf_addf(inner, "%s.%s", name, lua_tostring(L, -3));
            else if (lua_isinteger(L, -3))
                rb_buf_addf(inner, "%s.%lld", name, (long long)lua_tointeger(L, -3));
            else
                rb_buf_addf(inner, "%s.text%d", name, h->texts + 1);
            hide(L, h, rb_buf_text(inner)); /* key, buffer, value, hidden */
            lua_pushvalue(L, -4);
            lua_insert(L, -2);
            lua_rawset(L, t);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pushvalue(L, t);
}

/* [-0, +1, e] what stands for the value on top. */
static void hide(lua_State *L, struct hiding *h, const char *name)
{
    if (lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) > 0)
        hide_text(L, h, lua_gettop(L), name);
    else if (lua_type(L, -1) == LUA_TTABLE)
        hide_table(L, h, name);
    else
        lua_pushvalue(L, -1);
}

void rb_sealed_outcome(lua_State *L, struct rb_effect *e, struct rb_buf *event)
{
    struct hiding h = {.run = e->run, .op_key = e->key};
    int top = lua_gettop(L);
    if (e->as && !e->decided.len) /* "it was done" says nothing secret */
        return;
    struct rb_buf *name = rb_effect_buf(L, 256);
    h.sealed = rb_effect_buf(L, 2 * SEALED_MAX);
    name_of(e->type->kind, e->key, name);
    if (e->ok) {
        lua_pushvalue(L, top);
        hide(L, &h, rb_buf_text(name));
        lua_replace(L, top);
    } else {
        if (e->outcome != RB_OUTCOME_NOT_STARTED && strcmp(e->error_kind, "result") != 0) {
            lua_pushfstring(L, "%s failed (%s); what it said is secret", e->type->kind, e->error_kind);
            lua_setfield(L, top, "message");
        }
        lua_getfield(L, top, "result");
        hide(L, &h, rb_buf_text(name));
        lua_setfield(L, top, "result");
    }
    if (h.texts)
        rb_buf_addf(event, ",\"sealed\":%s}", rb_buf_text(h.sealed));
    lua_settop(L, top);
}

/* -- before a replay ----------------------------------------------------------------------------------------------- */

static int load_event(struct rb_run *run, const struct rb_recorded *ev, struct rb_err *err)
{
    struct rb_slice s = rb_json_member(ev->data, ev->data_len, "sealed");
    json_t *sealed = s.p ? json_loadb(s.p, s.n, 0, NULL) : NULL, *v;
    const char *name;
    int rc = RB_OK;
    json_object_foreach(sealed, name, v)
    {
        struct rb_buf text;
        rb_buf_init(&text, SEALED_MAX);
        if (!rc)
            rc = rb_sealed_open(run, ev->key, name, json_string_value(v) ? json_string_value(v) : "",
                                json_string_length(v), &text, err);
        if (!rc)
            rb_secret_learn(run, name, rb_buf_text(&text), text.len);
        if (text.data)
            explicit_bzero(text.data, text.len);
        rb_buf_release(&text);
    }
    json_decref(sealed);
    return rc;
}

int rb_sealed_load(struct rb_run *run, struct rb_err *err)
{
    int rc = RB_OK;
    for (size_t i = 1; !rc && i <= run->replay.count; i++) {
        const struct rb_recorded *ev = rb_replay_at(&run->replay, (int64_t)i);
        if (memmem(ev->data, ev->data_len, "\"sealed\"", 8))
            rc = load_event(run, ev, err);
    }
    return rc ? rb_err_prefix(err, "run %s does not go on without what is encrypted in its journal", run->id) : RB_OK;
}

/* -- random_secret ------------------------------------------------------------------------------------------------- */

static void random_text(struct rb_buf *out, size_t n, bool hex)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[RANDOM_MAX];
    if (getrandom(bytes, n, 0) != (ssize_t)n)
        rb_die("the system gives no random bytes");
    if (!hex)
        rb_base64(out, bytes, n);
    for (size_t i = 0; hex && i < n; i++)
        rb_buf_add(out, (char[]){digits[bytes[i] >> 4], digits[bytes[i] & 15]}, 2);
    while (!hex && out->len && out->data[out->len - 1] == '=')
        out->len--;
    for (size_t i = 0; !hex && i < out->len; i++)
        out->data[i] = out->data[i] == '+' ? '-' : out->data[i] == '/' ? '_' : out->data[i];
    explicit_bzero(bytes, sizeof(bytes));
}

int rb_sealed_random(lua_State *L)
{
    struct rb_run *run = rb_run_of(L);
    struct rb_err err;
    lua_Integer n = luaL_checkinteger(L, 1);
    bool hex = lua_toboolean(L, 2);
    luaL_argcheck(L, n >= RB_SECRET_MIN && n <= RANDOM_MAX, 1, "8 to 512");
    if (run->mode != RB_RUN_REPLAY && rb_sealed_ready(run->host, &err))
        return rb_error_raise(L, "secret", "not_started", "random_secret: %s", err.msg);
    char *made = rb_scope_next_key(rb_task_current(L)->scope);
    const char *key = lua_pushstring(L, made);
    free(made);
    struct rb_buf *name = rb_effect_buf(L, 256);
    name_of("random", key, name);
    if (!rb_record_pinned(L, run, key, "random_secret")) {
        struct rb_buf *event = rb_effect_buf(L, 8192);
        char clear[2 * RANDOM_MAX + 2];
        struct rb_buf text = {.data = clear, .cap = sizeof(clear), .max = sizeof(clear) - 1};
        random_text(&text, (size_t)n, hex);
        rb_buf_addf(event, "{\"op\":\"random_secret\",\"value\":{\"$secret\":\"%s\"},\"sealed\":{\"%s\":\"",
                    rb_buf_text(name), rb_buf_text(name));
        int rc = rb_sealed_close(run, key, rb_buf_text(name), clear, text.len, event, &err);
        rb_buf_adds(event, "\"}}");
        rb_secret_learn(run, rb_buf_text(name), clear, text.len);
        explicit_bzero(clear, sizeof(clear));
        if (rc)
            return rb_error_raise(L, "secret", "not_started", "random_secret: %s", err.msg);
        rb_record_event(L, run, key, "record", rb_buf_text(event), event->len);
    }
    rb_secret_push_name(L, rb_buf_text(name));
    return 1;
}
