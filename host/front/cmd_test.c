/* rbhost test: runs files of LuaUnit tests, each in a run of its own. Owns the temporary journal and what becomes of a
 * file whose run is ended early: the test that was running has failed, and the others have another run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bind/bind_mock.h"
#include "engine/run.h"
#include "engine/runbook.h"
#include "front/cmds.h"
#include "front/testout.h"
#include "loop/loop.h"

#define LUAUNIT "/usr/share/lua/5.4/luaunit.lua"
#define TEXT_MAX ((size_t)16 << 20)
#define FILES_MAX 10000

struct values {
    const char *format, *only;
};

static const struct rb_opt options[] = {
    {"format", 'f', RB_OPT_CHOICE, offsetof(struct values, format), "text|tap|junit", "how results are written", 0},
    {"only", 0, RB_OPT_TEXT, offsetof(struct values, only), "PATTERN",
     "the tests whose names (Class.test_name) have this text, or match this Lua pattern", RB_OPT_NOENV},
    {0},
};

struct tests {
    struct rb_cli *cli;
    struct rb_loop loop;
    struct rb_store *store;
    struct rb_host *host;
    struct rb_testout *out;
    struct rb_signal signals[2];
    const char *only;
    char *luaunit;
    char folder[4096], key[4200];
    char **files;
    size_t count;
    int interrupted; /* number of the signal */
    bool store_failed;
    /* of the file whose tests run */
    const char *file;
    json_t *done;  /* names of the tests that have ended */
    char *current; /* the test that runs; NULL */
    char *error;   /* of its run; NULL */
    bool loaded, stopped, failed;
    json_int_t in_file;
    struct rb_buf printed;
    struct rb_run *run;
    struct rb_bench *bench;
};

/* -- which files --------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_file(struct tests *t, char *path)
{
    char **files = rb_alloc((t->count + 1) * sizeof(*files));
    if (t->count)
        memcpy(files, t->files, t->count * sizeof(*files));
    free(t->files);
    t->files = files;
    files[t->count++] = path;
}

/* All test_*.lua of a folder and of those below it. */
static int add_folder(struct tests *t, const char *folder, int depth)
{
    size_t n = strlen(folder), before = t->count;
    DIR *d = opendir(folder);
    int code = 0;
    if (!d)
        return rb_cli_fail(t->cli, RB_EXIT_USAGE, "%s: %s", folder, strerror(errno));
    for (struct dirent *e; !code && (e = readdir(d));) {
        struct stat st;
        struct rb_buf path;
        size_t len = strlen(e->d_name);
        if (e->d_name[0] == '.')
            continue;
        rb_buf_init(&path, 4096);
        rb_buf_addf(&path, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", e->d_name);
        if (lstat(rb_buf_text(&path), &st) == 0 && S_ISDIR(st.st_mode) && depth < 20)
            code = add_folder(t, rb_buf_text(&path), depth + 1);
        else if (strncmp(e->d_name, "test_", 5) == 0 && len > 9 && strcmp(e->d_name + len - 4, ".lua") == 0 &&
                 t->count < FILES_MAX)
            add_file(t, rb_buf_detach(&path));
        rb_buf_release(&path);
    }
    closedir(d);
    if (!code && t->count > before)
        qsort(t->files + before, t->count - before, sizeof(*t->files), by_name);
    return code;
}

static int collect(struct tests *t, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        struct stat st;
        size_t before = t->count;
        if (stat(argv[i], &st) < 0)
            return rb_cli_fail(t->cli, RB_EXIT_USAGE, "%s: %s", argv[i], strerror(errno));
        if (!S_ISDIR(st.st_mode)) {
            add_file(t, rb_strdup(argv[i]));
            continue;
        }
        int code = add_folder(t, argv[i], 0);
        if (code)
            return code;
        if (t->count == before)
            return rb_cli_fail(t->cli, RB_EXIT_USAGE, "%s has no file of tests: their names are test_*.lua", argv[i]);
    }
    return 0;
}

/* -- what it needs ------------------------------------------------------------------------------------------------- */

static int read_luaunit(struct tests *t)
{
    struct rb_buf text;
    char part[65536];
    ssize_t n;
    int fd = open(LUAUNIT, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return rb_cli_fail(t->cli, RB_EXIT_USAGE,
                           "LuaUnit is not there (%s: %s); tests need it: apt-get install lua-unit", LUAUNIT,
                           strerror(errno));
    rb_buf_init(&text, TEXT_MAX);
    while ((n = read(fd, part, sizeof(part))) > 0)
        rb_buf_add(&text, part, (size_t)n);
    close(fd);
    t->luaunit = rb_buf_detach(&text);
    return 0;
}

static void on_store_failed(void *arg, const struct rb_err *why)
{
    struct tests *t = arg;
    t->store_failed = true;
    rb_cli_fail(t->cli, 0, "the temporary journal can not be written any more: %s", why->msg);
    rb_loop_stop(&t->loop);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void on_signal(struct rb_signal *s, int signum)
{
    struct tests *t = s->handle.loop->data;
    t->interrupted = signum;
    rb_loop_stop(&t->loop);
}

static int prepare(struct tests *t)
{
    struct rb_err err;
    const char *tmp = getenv("TMPDIR");
    char journal[4200];
    t->loop.uv.data = t;
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < RB_COUNT(numbers); i++) {
        t->signals[i].on_signal = on_signal;
        rb_list_init(&t->signals[i].link);
        if (rb_loop_signal_add(&t->loop, &t->signals[i], numbers[i], &err) < 0)
            return rb_cli_fail(t->cli, RB_EXIT_USAGE, "%s", err.msg);
    }
    if (snprintf(t->folder, sizeof(t->folder), "%s/rbhost-test-XXXXXX", tmp && *tmp ? tmp : "/tmp") >=
            (int)sizeof(t->folder) ||
        !mkdtemp(t->folder)) {
        int why = errno;
        int code =
            rb_cli_fail(t->cli, RB_EXIT_USAGE, "there can be no temporary folder %s: %s", t->folder, strerror(why));
        t->folder[0] = '\0';
        return code;
    }
    snprintf(journal, sizeof(journal), "%s/journal.db", t->folder);
    snprintf(t->key, sizeof(t->key), "%s/secret.key", t->folder);
    struct rb_store_options so = {
        .path = journal, .write = true, .create = true, .on_failed = on_store_failed, .arg = t};
    if (rb_store_open(&t->loop, &so, &t->store, &err) < 0)
        return rb_cli_fail(t->cli, RB_EXIT_STORE, "%s", err.msg);
    /* Without the site's configuration, so that a test is the same everywhere. */
    t->host = rb_host_new(&(struct rb_host_options){.loop = &t->loop, .store = t->store, .secret_key = t->key});
    return 0;
}

/* -- one file ------------------------------------------------------------------------------------------------------ */

static void tell(struct tests *t, const char *status, const char *message, const char *trace, double seconds)
{
    struct rb_test_result r = {.file = t->file,
                               .name = t->current,
                               .status = status,
                               .message = message,
                               .trace = trace,
                               .printed = rb_buf_text(&t->printed),
                               .seconds = seconds};
    rb_testout_result(t->out, &r);
    json_array_append_new(t->done, json_string(t->current));
    free(t->current);
    t->current = NULL;
    rb_buf_reset(&t->printed);
}

static void on_report(void *arg, const char *json, size_t len)
{
    struct tests *t = arg;
    json_t *r = json_loadb(json, len, JSON_ALLOW_NUL, NULL);
    const char *what = json_string_value(json_object_get(r, "what"));
    const char *status = json_string_value(json_object_get(r, "status"));
    if (what && strcmp(what, "load") == 0) {
        t->loaded = true;
        t->in_file = json_integer_value(json_object_get(r, "tests"));
    } else if (what && strcmp(what, "print") == 0) {
        const char *text = json_string_value(json_object_get(r, "text"));
        rb_buf_addf(&t->printed, "%s%s", t->printed.len ? "\n" : "", text ? text : "");
    } else if (what && strcmp(what, "test") == 0) {
        free(t->current);
        t->current = rb_strdup(json_string_value(json_object_get(r, "name")));
    } else if (what && status && t->current) {
        tell(t,
             strcmp(status, "SUCCESS") == 0 ? "pass"
             : strcmp(status, "SKIP") == 0  ? "skip"
                                            : "fail",
             json_string_value(json_object_get(r, "message")), json_string_value(json_object_get(r, "trace")),
             json_number_value(json_object_get(r, "seconds")));
    }
    json_decref(r);
}

static void on_stopped(void *arg, struct rb_run *run, const char *status, const char *error)
{
    struct tests *t = arg;
    (void)run;
    t->stopped = true;
    t->failed = strcmp(status, "succeeded") != 0;
    free(t->error);
    t->error = rb_strdup(error);
    if (rb_bench_stop(t->bench))
        rb_loop_stop(&t->loop);
}

static void on_quiet(void *arg)
{
    struct tests *t = arg;
    if (t->stopped)
        rb_loop_stop(&t->loop);
}

/* The file can not be counted on: exit code 2, whatever its tests have shown. */
static int broken(struct tests *t, const char *fmt, ...) RB_PRINTF(2, 3);

static int broken(struct tests *t, const char *fmt, ...)
{
    struct rb_buf why;
    va_list ap;
    rb_buf_init(&why, 64 << 10);
    va_start(ap, fmt);
    rb_buf_addfv(&why, fmt, ap);
    va_end(ap);
    int code = rb_cli_fail(t->cli, RB_EXIT_USAGE, "%s", rb_buf_text(&why));
    rb_testout_broken(t->out, t->file, rb_buf_text(&why));
    rb_buf_release(&why);
    return code;
}

static void on_outside(void *arg)
{
    rb_loop_stop(&((struct tests *)arg)->loop);
}

/* Until the run of the tests, and all that it has begun, have ended. */
static void drive(struct tests *t)
{
    do {
        rb_loop_run(&t->loop);
        rb_bench_outside(t->bench);
    } while (!t->interrupted && !t->store_failed && !(t->stopped && rb_bench_stop(t->bench)));
}

/* Its tests from the first that is not done. 0, or the exit code after complaining. */
static int run_once(struct tests *t)
{
    struct rb_err err;
    struct rb_actor actor;
    char id[RB_RUN_ID_MAX];
    struct rb_runbook book = {0};
    int code = 0;
    json_t *plan = json_object();
    if (t->only)
        json_object_set_new(plan, "only", json_string(t->only));
    json_object_set(plan, "done", t->done);
    char *plan_json = json_dumps(plan, JSON_COMPACT);
    struct rb_bench_options bo = {.host = t->host,
                                  .loop = &t->loop,
                                  .luaunit = t->luaunit,
                                  .plan_json = plan_json,
                                  .on_report = on_report,
                                  .on_quiet = on_quiet,
                                  .on_outside = on_outside,
                                  .arg = t};
    t->bench = rb_bench_new(&bo);
    t->stopped = t->failed = false;
    rb_actor_self(&actor);
    rb_buf_init(&book.text, TEXT_MAX);
    rb_buf_init(&book.header, 4096);
    rb_buf_adds(&book.header, "{\"name\":\"tests\",\"params\":[]}");
    struct rb_run_options ro = {.runbook = &book,
                                .actor = &actor,
                                .later = true,
                                .stage = rb_bench_stage(t->bench),
                                .observer = {.on_stopped = on_stopped, .arg = t}};
    if (rb_runbook_read(t->file, &book.text, &err) < 0 || rb_run_start(t->host, t->file, &ro, &t->run, id, &err) < 0) {
        code = broken(t, "%s", err.msg);
    } else {
        drive(t);
        if (t->interrupted || t->store_failed) { /* nothing of it is left in the world */
            rb_run_park(t->run, "interrupted", true);
            while (!t->store_failed && (!t->stopped || !rb_bench_stop(t->bench)))
                rb_loop_run(&t->loop);
            code = t->interrupted ? 128 + t->interrupted : RB_EXIT_STORE;
        }
    }
    rb_run_free(t->run);
    t->run = NULL;
    rb_bench_free(t->bench);
    t->bench = NULL;
    rb_runbook_release(&book);
    free(plan_json);
    json_decref(plan);
    return code;
}

/* What has become of its run: 0 and done, the exit code, or -1: the tests behind the one that ended it are to
 * follow. */
static int judge(struct tests *t)
{
    if (!t->loaded)
        return broken(t, "%s does not load: %s", t->file, t->error ? t->error : "");
    if (t->failed && !t->current) /* in what belongs to no test: setupClass, for instance */
        return broken(t, "%s: %s", t->file, t->error ? t->error : "its run failed");
    if (t->failed) {
        tell(t, "fail", t->error, NULL, 0);
        return -1;
    }
    return t->in_file ? 0 : broken(t, "%s has no tests: a test is a function test… of a global table Test…", t->file);
}

static int run_file(struct tests *t, const char *file)
{
    int code;
    t->file = file;
    t->loaded = false;
    t->in_file = 0;
    t->done = json_array();
    rb_buf_reset(&t->printed);
    rb_testout_file(t->out, file);
    do {
        code = run_once(t);
        code = code ? code : judge(t);
    } while (code < 0);
    json_decref(t->done);
    t->done = NULL;
    free(t->current);
    free(t->error);
    t->current = t->error = NULL;
    return code;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct values *v = values;
    struct rb_err err;
    struct tests t = {.cli = cli, .only = v->only};
    bool closed = false;
    if (rb_loop_init(&t.loop, &err) < 0)
        return rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    rb_buf_init(&t.printed, TEXT_MAX);
    int code = collect(&t, argc, argv), worst = 0;
    if (!code)
        code = read_luaunit(&t);
    if (!code)
        code = prepare(&t);
    if (!code) {
        t.out = rb_testout_new(cli, v->format ? v->format : "text");
        for (size_t i = 0; i < t.count && !t.interrupted && !t.store_failed; i++) {
            code = run_file(&t, t.files[i]);
            worst = code > worst ? code : worst;
        }
        bool failed = rb_testout_end(t.out, &closed);
        code = worst ? worst : failed ? RB_EXIT_FAILED : RB_EXIT_OK;
    }
    if (t.host)
        rb_host_free(t.host);
    if (t.store)
        rb_store_close(t.store);
    for (size_t i = 0; i < RB_COUNT(t.signals); i++)
        if (t.signals[i].handle.loop)
            rb_loop_signal_remove(&t.loop, &t.signals[i]);
    rb_loop_release(&t.loop);
    if (t.folder[0])
        nftw(t.folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    for (size_t i = 0; i < t.count; i++)
        free(t.files[i]);
    free(t.files);
    free(t.luaunit);
    rb_buf_release(&t.printed);
    return closed && !code ? RB_EXIT_PIPE : code;
}

const struct rb_cmd rb_cmd_test = {
    .name = "test",
    .group = "Runbooks",
    .operands = "FILE ...",
    .summary = "run tests of runbooks, with answers in place of the world",
    .example = "rbhost test tests/                     # all test_*.lua below a folder\n"
               "rbhost test --only rollback tests/     # those whose names have this\n"
               "rbhost test --format junit tests/      # for a CI",
    .text =
        "A file of tests is Lua with LuaUnit (package lua-unit); `mock.run` runs a runbook and answers what it calls: "
        "nothing\n"
        "real is started. The configuration is not read.\n\n"
        "Exit code 1 when a test fails, 2 when a file does not load.",
    .options = options,
    .values = sizeof(struct values),
    .min = 1,
    .max = -1,
    .operand = RB_ARG_FILE,
    .run = run,
};
