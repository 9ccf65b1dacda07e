/* Owns the asking of sources: the environment, a file on the thread pool, a systemd credential, a command through
 * io/proc.c, standard input. Knows runs only as those who wait.
 *
 * An entry lives while its source is asked. It stays when it was fetched for a run that is about to start (until that
 * run has taken it), and when it came from standard input, which can be read only once. */
#include "engine/secret_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/nearest.h"
#include "engine/core.h"
#include "engine/secretmem.h"
#include "io/proc.h"
#include "loop/work.h"

#define TIMEOUT_MS 30000
#define GRACE_MS 2000
#define DRAIN_MS 500
#define NAMES_MAX 256 /* that a hint looks at */

struct entry {
    struct rb_list link, waits; /* waits: struct rb_secret_wait.link */
    struct rb_host *host;       /* NULL: given up, the last callback frees it */
    char *name;
    const char *kind;
    char *place; /* for messages and for the thread: a path, a variable, a command */
    bool ready, keep, once;
    atomic_bool stop; /* the thread shall not go on waiting */
    struct rb_work work;
    struct rb_proc *proc;
    char *text; /* secretmem, RB_SECRET_MAX + 1 bytes */
    size_t len;
    int rc;
    struct rb_err err;
};

/* -- the configuration --------------------------------------------------------------------------------------------- */

static const char *const kinds[] = {"env", "file", "credential", "command", "stdin"};

static int unknown(const json_t *sources, const char *name, struct rb_err *err)
{
    const char *known[NAMES_MAX], *key;
    size_t n = 0;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)sources, key, v)
    {
        if (n < NAMES_MAX)
            known[n++] = key;
    }
    const char *near = rb_nearest(name, known, n);
    return rb_err_set(err, RB_ENOENT,
                      "there is no source for the secret %s%s%s%s; the configuration names one: secrets = { %s = { env "
                      "= \"NAME\" } }",
                      name, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", name);
}

/* The one member that says where a secret comes from. */
static const json_t *source_of(struct rb_host *h, const char *name, const char **kind, struct rb_err *err)
{
    const json_t *sources = rb_host_config(h, "secrets"), *source = json_object_get(sources, name), *found = NULL;
    *kind = NULL;
    if (!source) {
        unknown(sources, name, err);
        return NULL;
    }
    for (size_t i = 0; i < RB_COUNT(kinds); i++) {
        const json_t *v = json_object_get(source, kinds[i]);
        if (v && found) {
            rb_err_set(err, RB_EINVAL, "configuration: secrets.%s has two sources, %s and %s; leave one", name, *kind,
                       kinds[i]);
            return NULL;
        }
        if (v) {
            found = v;
            *kind = kinds[i];
        }
    }
    bool list = found && strcmp(*kind, "command") == 0, flag = found && strcmp(*kind, "stdin") == 0;
    bool good = found && (list   ? json_array_size(found) > 0
                          : flag ? json_is_true(found)
                                 : json_string_value(found) && *json_string_value(found));
    for (size_t i = 0; good && list && i < json_array_size(found); i++)
        good = json_is_string(json_array_get(found, i));
    if (!good) {
        rb_err_set(err, RB_EINVAL,
                   "configuration: secrets.%s must be one of { env = \"NAME\" }, { file = \"/path\" }, { credential = "
                   "\"name\" }, { command = { \"pass\", \"show\", \"x\" } }, { stdin = true }",
                   name);
        return NULL;
    }
    return found;
}

const char *rb_secret_source_kind(struct rb_host *h, const char *name, struct rb_err *err)
{
    const char *kind;
    return source_of(h, name, &kind, err) ? kind : NULL;
}

/* -- an entry's life ----------------------------------------------------------------------------------------------- */

static void destroy(struct entry *e)
{
    rb_list_remove(&e->link);
    rb_secretmem_free(e->text, RB_SECRET_MAX + 1);
    free(e->place);
    free(e->name);
    free(e);
}

static int failed(struct entry *e, const char *fmt, ...) RB_PRINTF(2, 3);

static int failed(struct entry *e, const char *fmt, ...)
{
    struct rb_buf why;
    va_list ap;
    rb_buf_init(&why, 1000);
    va_start(ap, fmt);
    rb_buf_addfv(&why, fmt, ap);
    va_end(ap);
    e->rc = rb_err_set(&e->err, RB_EINVAL, "the secret %s (%s%s%.300s): %s", e->name, e->kind, e->place ? " " : "",
                       e->place ? e->place : "", rb_buf_text(&why));
    rb_buf_release(&why);
    return e->rc;
}

/* What came is looked at: line ends at its end are the file's, not the secret's. */
static void inspect(struct entry *e)
{
    while (e->len && (e->text[e->len - 1] == '\n' || e->text[e->len - 1] == '\r'))
        e->text[--e->len] = '\0';
    if (e->len > RB_SECRET_MAX)
        failed(e, "it gave more than %d KiB", RB_SECRET_MAX >> 10);
    else if (e->len == 0)
        failed(e, "it gave nothing");
    else if (memchr(e->text, '\0', e->len))
        failed(e, "it gave a NUL byte, which no command and no header can be given; encode it, in base64 for instance");
    else if (e->len < RB_SECRET_MIN)
        failed(e, "it gave fewer than %d bytes: so short a text could not be kept out of the journal", RB_SECRET_MIN);
}

static void ended(struct entry *e)
{
    struct rb_list *it;
    if (!e->host) {
        destroy(e);
        return;
    }
    if (!e->rc)
        inspect(e);
    e->ready = e->rc == RB_OK;
    if (!e->ready)
        rb_list_remove(&e->link); /* who asks from within fn asks the source again */
    while ((it = rb_list_pop(&e->waits))) {
        struct rb_secret_wait *w = RB_CONTAINER(it, struct rb_secret_wait, link);
        if (e->ready && w->run)
            rb_secret_learn(w->run, e->name, e->text, e->len);
        w->fn(w, e->ready ? e->text : NULL, e->ready ? e->len : 0, e->ready ? NULL : &e->err);
    }
    if (!e->ready || (!e->keep && !e->once))
        destroy(e);
}

/* -- the sources --------------------------------------------------------------------------------------------------- */

static void ask_env(struct entry *e)
{
    const char *value = getenv(e->place);
    if (!value) {
        failed(e, "this variable is not set; export it before rbhost starts");
    } else {
        size_t n = strlen(value);
        e->len = n > RB_SECRET_MAX ? RB_SECRET_MAX + 1 : n;
        memcpy(e->text, value, e->len > RB_SECRET_MAX ? RB_SECRET_MAX : n);
    }
    ended(e);
}

/* -- on the thread pool: touches the entry's text, length and result only ------------------------------------------ */

static void read_fd(struct entry *e, int fd)
{
    ssize_t n;
    while ((n = read(fd, e->text + e->len, RB_SECRET_MAX + 1 - e->len)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            failed(e, "it can not be read: %s", strerror(errno));
            return;
        }
        e->len += (size_t)n;
        if (e->len > RB_SECRET_MAX)
            return;
    }
}

static void read_file(struct rb_work *w)
{
    struct entry *e = RB_CONTAINER(w, struct entry, work);
    struct stat st;
    int fd = open(e->place, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO must not hold us up */
    if (fd < 0 || fstat(fd, &st) < 0)
        failed(e, "it can not be opened: %s", strerror(errno));
    else if (!S_ISREG(st.st_mode))
        failed(e, "this is no regular file");
    else
        read_fd(e, fd);
    if (fd >= 0)
        close(fd);
}

static void read_stdin(struct rb_work *w)
{
    struct entry *e = RB_CONTAINER(w, struct entry, work);
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    int64_t until = rb_clock_boot() + (int64_t)TIMEOUT_MS * 1000;
    if (isatty(STDIN_FILENO)) {
        failed(e, "standard input is a terminal, which would show it; pipe it in: pass show x | rbhost run …");
        return;
    }
    for (;;) { /* whoever writes may never come */
        int n = poll(&p, 1, 100);
        if (atomic_load(&e->stop))
            return;
        if (n == 0 && rb_clock_boot() > until) {
            failed(e, "nothing came within %d seconds, nor did it end", TIMEOUT_MS / 1000);
            return;
        }
        if (n <= 0)
            continue;
        ssize_t got = read(STDIN_FILENO, e->text + e->len, RB_SECRET_MAX + 1 - e->len);
        if (got < 0 && errno != EINTR && errno != EAGAIN) {
            failed(e, "it can not be read: %s", strerror(errno));
            return;
        }
        if (got == 0)
            return;
        e->len += got > 0 ? (size_t)got : 0;
        if (e->len > RB_SECRET_MAX)
            return;
    }
}

static void on_read(struct rb_work *w, int status)
{
    struct entry *e = RB_CONTAINER(w, struct entry, work);
    if (status && !e->rc)
        failed(e, "the reading was given up");
    ended(e);
}

static void ask_pool(struct entry *e, void (*run)(struct rb_work *w))
{
    e->work.run = run;
    e->work.on_done = on_read;
    rb_work_start(e->host->loop, &e->work);
}

/* -- a command ----------------------------------------------------------------------------------------------------- */

static void on_command(void *arg, struct rb_proc_result *r)
{
    struct entry *e = arg;
    char said[200];
    e->proc = NULL;
    /* Of its error output only: that is for people, and is not the secret. */
    rb_capture_last_line(&r->err.buf, &r->err.buf, said, sizeof(said));
    const char *colon = said[0] ? ": " : "";
    if (r->end == RB_PROC_TIMED_OUT)
        failed(e, "it did not end within %d seconds and was stopped%s%s", TIMEOUT_MS / 1000, colon, said);
    else if (r->end == RB_PROC_KILLED || r->signal)
        failed(e, "it was ended by signal %d%s%s", r->signal, colon, said);
    else if (r->code)
        failed(e, "it exited with %d%s%s", r->code, colon, said);
    e->len = r->out.total > RB_SECRET_MAX ? RB_SECRET_MAX + 1 : r->out.buf.len;
    memcpy(e->text, rb_buf_text(&r->out.buf), r->out.buf.len < RB_SECRET_MAX ? r->out.buf.len : RB_SECRET_MAX);
    if (r->out.buf.data)
        explicit_bzero(r->out.buf.data, r->out.buf.cap);
    ended(e);
}

static void ask_command(struct entry *e, const json_t *list)
{
    size_t n = json_array_size(list);
    struct rb_err err;
    const char **argv = rb_alloc((n + 1) * sizeof(*argv));
    char **envp = rb_small_environ(e->host);
    for (size_t i = 0; i < n; i++)
        argv[i] = json_string_value(json_array_get(list, i));
    struct rb_proc_options opt = {.argv = argv,
                                  .envp = (const char *const *)envp,
                                  .max_output = RB_SECRET_MAX,
                                  .timeout_ms = TIMEOUT_MS,
                                  .grace_ms = GRACE_MS,
                                  .drain_ms = DRAIN_MS,
                                  .on_done = on_command,
                                  .arg = e};
    int rc = rb_proc_start(e->host->loop, &opt, &e->proc, &err);
    free(envp);
    free(argv);
    if (rc) {
        failed(e, "%s", err.msg);
        ended(e);
    }
}

static void ask(struct entry *e, const json_t *source)
{
    const char *word = json_string_value(source), *dir = getenv("CREDENTIALS_DIRECTORY");
    struct rb_buf place;
    rb_buf_init(&place, 4096);
    rb_fault_point("secret.before-fetch");
    if (strcmp(e->kind, "env") == 0) {
        e->place = rb_strdup(word);
        ask_env(e);
    } else if (strcmp(e->kind, "file") == 0) {
        e->place = rb_strdup(word);
        ask_pool(e, read_file);
    } else if (strcmp(e->kind, "credential") == 0) {
        if (!dir || strchr(word, '/')) {
            e->place = rb_strdup(word);
            failed(e, "%s",
                   dir ? "a credential has a plain name, without /"
                       : "CREDENTIALS_DIRECTORY is not set; systemd sets it for services with LoadCredential=");
            ended(e);
        } else {
            rb_buf_addf(&place, "%s/%s", dir, word);
            e->place = rb_buf_detach(&place);
            ask_pool(e, read_file);
        }
    } else if (strcmp(e->kind, "command") == 0) {
        e->place = rb_strdup(json_string_value(json_array_get(source, 0)));
        ask_command(e, source);
    } else {
        ask_pool(e, read_stdin);
    }
    rb_buf_release(&place);
}

/* -- who asks ------------------------------------------------------------------------------------------------------ */

static struct entry *find(struct rb_vault *v, const char *name)
{
    RB_LIST_EACH (it, &v->entries) {
        struct entry *e = RB_CONTAINER(it, struct entry, link);
        if (strcmp(e->name, name) == 0)
            return e;
    }
    return NULL;
}

static void get(struct rb_host *h, const char *name, struct rb_secret_wait *w, bool keep)
{
    struct rb_err err;
    struct entry *e = find(&h->vault, name);
    rb_list_init(&w->link);
    if (e && e->ready) {
        if (w->run)
            rb_secret_learn(w->run, name, e->text, e->len);
        w->fn(w, e->text, e->len, NULL);
        return;
    }
    if (e) {
        e->keep |= keep;
        rb_list_push(&e->waits, &w->link);
        return;
    }
    const char *kind;
    const json_t *source = source_of(h, name, &kind, &err);
    if (!source) {
        w->fn(w, NULL, 0, &err);
        return;
    }
    e = rb_alloc(sizeof(*e));
    e->host = h;
    e->name = rb_strdup(name);
    e->kind = kind;
    e->keep = keep;
    e->once = strcmp(kind, "stdin") == 0;
    e->text = rb_secretmem_alloc(RB_SECRET_MAX + 1);
    rb_list_init(&e->waits);
    rb_list_push(&h->vault.entries, &e->link);
    rb_list_push(&e->waits, &w->link);
    ask(e, source);
}

void rb_secret_source_get(struct rb_host *h, const char *name, struct rb_secret_wait *w)
{
    get(h, name, w, false);
}

void rb_secret_forget(struct rb_secret_wait *w)
{
    rb_list_remove(&w->link);
}

bool rb_vault_take(struct rb_host *h, const char *name, const char **text, size_t *len)
{
    struct entry *e = find(&h->vault, name);
    if (e && e->ready) {
        *text = e->text;
        *len = e->len;
        return true;
    }
    if (!h->vault.wanted)
        h->vault.wanted = json_object();
    json_object_set_new(h->vault.wanted, name, json_true());
    return false;
}

void rb_vault_forget(struct rb_host *h)
{
    RB_LIST_EACH_SAFE (it, next, &h->vault.entries) {
        struct entry *e = RB_CONTAINER(it, struct entry, link);
        e->keep = false;
        if (e->ready && !e->once)
            destroy(e);
    }
}

void rb_vault_init(struct rb_vault *v)
{
    rb_list_init(&v->entries);
    v->wanted = NULL;
}

void rb_vault_release(struct rb_vault *v)
{
    struct rb_list *it;
    while ((it = rb_list_pop(&v->entries))) {
        struct entry *e = RB_CONTAINER(it, struct entry, link);
        while (rb_list_pop(&e->waits))
            ;
        e->host = NULL;
        atomic_store(&e->stop, true);
        if (e->ready)
            destroy(e);
        else if (e->proc)
            rb_proc_kill_now(e->proc);
    }
    json_decref(v->wanted);
}

/* -- before a run starts ------------------------------------------------------------------------------------------- */

struct gather {
    void (*fn)(void *arg, const struct rb_err *err);
    void *arg;
    int left;
    struct rb_err err; /* of all that failed, a line each */
};

struct gather_one {
    struct rb_secret_wait wait;
    struct gather *gather;
};

static void gathered(struct gather *g)
{
    if (--g->left)
        return;
    g->fn(g->arg, g->err.code ? &g->err : NULL);
    free(g);
}

static void on_one(struct rb_secret_wait *w, const char *text, size_t len, const struct rb_err *err)
{
    struct gather_one *one = RB_CONTAINER(w, struct gather_one, wait);
    struct gather *g = one->gather;
    (void)text;
    (void)len;
    free(one);
    if (err && g->err.code) {
        struct rb_err before = g->err;
        rb_err_set(&g->err, RB_EINVAL, "%s\n%s", before.msg, err->msg);
    } else if (err) {
        rb_err_set(&g->err, RB_EINVAL, "%s", err->msg);
    }
    gathered(g);
}

void rb_host_gather(struct rb_host *h, void (*fn)(void *arg, const struct rb_err *err), void *arg)
{
    struct gather *g = rb_alloc(sizeof(*g));
    json_t *names = h->vault.wanted, *v;
    const char *name;
    g->fn = fn;
    g->arg = arg;
    g->left = 1; /* until all are asked */
    h->vault.wanted = NULL;
    json_object_foreach(names, name, v)
    {
        struct gather_one *one = rb_alloc(sizeof(*one));
        one->gather = g;
        one->wait.fn = on_one;
        g->left++;
        get(h, name, &one->wait, true);
    }
    json_decref(names);
    gathered(g);
}
