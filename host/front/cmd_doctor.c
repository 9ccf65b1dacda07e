/* rbhost doctor: everything a run relies on, one line each, with what to do. */
#include <errno.h>
#include <langinfo.h>
#include <pwd.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "front/cmds.h"
#include "front/config.h"
#include "front/doctor.h"
#include "front/text.h"
#include "io/curl_api.h"
#include "io/pq_api.h"

void rb_doctor_say(struct rb_doctor *d, enum rb_verdict v, const char *what, const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warn", "fail"};
    struct rb_buf text, clean;
    struct rb_json j;
    va_list ap;
    rb_buf_init(&text, 8192);
    rb_buf_init(&clean, 32 << 10);
    va_start(ap, fmt);
    rb_buf_addfv(&text, fmt, ap);
    va_end(ap);
    d->warnings += v == RB_WARN;
    d->failures += v == RB_BAD;
    if (d->cli->json > 0) {
        rb_json_init(&j, &d->out);
        rb_json_object(&j);
        rb_json_ktext(&j, "check", what);
        rb_json_ktext(&j, "verdict", words[v]);
        rb_json_key(&j, "text");
        rb_json_string(&j, rb_buf_text(&text), text.len);
        rb_json_end_object(&j);
        rb_buf_addc(&d->out, '\n');
    } else if (v != RB_FINE || d->cli->quiet <= 0) {
        rb_text_line(&clean, rb_buf_text(&text), text.len);
        rb_buf_addf(&d->out, "%-4s  %-13s  %s\n", words[v], what, rb_buf_text(&clean));
    }
    rb_buf_release(&text);
    rb_buf_release(&clean);
}

static void check_config(struct rb_doctor *d)
{
    if (rb_cli_config(d->cli) != 0) {
        rb_doctor_say(d, RB_BAD, "configuration",
                      "does not load (see above); correct it, or name another with --config");
        d->cli->config = json_object();
        return;
    }
    if (d->cli->config_found)
        rb_doctor_say(d, RB_FINE, "configuration", "%s", d->cli->config_found);
    else
        rb_doctor_say(d, RB_FINE, "configuration",
                      "none (no --config, ~/.config/rbhost/config.lua or /etc/rbhost/config.lua)");
    const json_t *roots = json_object_get(d->cli->config, "roots");
    for (size_t i = 0; i < json_array_size(roots); i++) {
        const char *root = json_string_value(json_array_get(roots, i));
        struct stat st;
        if (stat(root, &st) < 0)
            rb_doctor_say(d, RB_BAD, "root", "%s: %s; make it, or take it out of roots", root, strerror(errno));
        else if (!S_ISDIR(st.st_mode))
            rb_doctor_say(d, RB_BAD, "root", "%s is not a folder", root);
        else if (st.st_mode & S_IWOTH)
            rb_doctor_say(d, RB_WARN, "root",
                          "%s can be changed by every user, and so can what your runs do: chmod o-w it", root);
        else
            rb_doctor_say(d, RB_FINE, "root", "%s", root);
    }
}

/* A file that a secret is in: there, for you, and for nobody else. */
static void check_secret_file(struct rb_doctor *d, const char *name, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        rb_doctor_say(d, RB_BAD, "secret", "%s: %s: %s", name, path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rb_doctor_say(d, RB_BAD, "secret", "%s: %s is no regular file", name, path);
    else if (access(path, R_OK) != 0)
        rb_doctor_say(d, RB_BAD, "secret", "%s: %s can not be read by you", name, path);
    else if (st.st_mode & 077)
        rb_doctor_say(d, RB_WARN, "secret", "%s: %s can be read by others (mode %03o): chmod 600 %s", name, path,
                      (unsigned)st.st_mode & 0777, path);
    else
        rb_doctor_say(d, RB_FINE, "secret", "%s: %s", name, path);
}

static bool in_path(const char *command)
{
    const char *path = getenv("PATH");
    if (strchr(command, '/'))
        return access(command, X_OK) == 0;
    for (size_t n; path; path = path[n] ? path + n + 1 : NULL) {
        char file[4096];
        n = strcspn(path, ":");
        snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, command);
        if (n && access(file, X_OK) == 0)
            return true;
    }
    return false;
}

/* Sources are looked at, not asked. */
static void check_secret(struct rb_doctor *d, const char *name, const json_t *source)
{
    const char *env = json_string_value(json_object_get(source, "env"));
    const char *file = json_string_value(json_object_get(source, "file"));
    const char *credential = json_string_value(json_object_get(source, "credential"));
    const char *command = json_string_value(json_array_get(json_object_get(source, "command"), 0));
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    char path[4096];
    if (env && !getenv(env))
        rb_doctor_say(d, RB_WARN, "secret", "%s: the variable %s is not set here", name, env);
    else if (env)
        rb_doctor_say(d, RB_FINE, "secret", "%s: the variable %s", name, env);
    else if (file)
        check_secret_file(d, name, file);
    else if (credential && !dir)
        rb_doctor_say(d, RB_WARN, "secret",
                      "%s: the credential %s is there only in a service with LoadCredential=", name, credential);
    else if (credential && (size_t)snprintf(path, sizeof(path), "%s/%s", dir, credential) < sizeof(path))
        check_secret_file(d, name, path);
    else if (command && !in_path(command))
        rb_doctor_say(d, RB_BAD, "secret", "%s: there is no command %s", name, command);
    else if (command)
        rb_doctor_say(d, RB_FINE, "secret", "%s: the command %s (not run)", name, command);
    else if (json_is_true(json_object_get(source, "stdin")))
        rb_doctor_say(d, RB_FINE, "secret", "%s: standard input of each run", name);
    else
        rb_doctor_say(
            d, RB_BAD, "secret",
            "%s: its source must be one of { env = … }, { file = … }, { credential = … }, { command = { … } }, { stdin "
            "= true }",
            name);
}

static void check_secrets(struct rb_doctor *d)
{
    const char *name;
    char key[4096];
    struct stat st;
    json_t *source;
    json_object_foreach(json_object_get(d->cli->config, "secrets"), name, source) check_secret(d, name, source);
    if (!rb_config_secret_key(d->cli->config, key, sizeof(key)) || stat(key, &st) < 0)
        return; /* made at first need */
    if (!S_ISREG(st.st_mode) || st.st_size != 32)
        rb_doctor_say(d, RB_BAD, "secret key", "%s is damaged: runs whose secrets are encrypted with it can not go on",
                      key);
    else if (st.st_mode & 077)
        rb_doctor_say(d, RB_BAD, "secret key", "%s can be read by others (mode %03o): chmod 600 %s", key,
                      (unsigned)st.st_mode & 0777, key);
    else
        rb_doctor_say(d, RB_FINE, "secret key",
                      "%s; keep a copy: without it, runs with encrypted secrets can not go on", key);
}

static const char *network_fs(long type)
{
    static const struct {
        long type;
        const char *name;
    } known[] = {{0x6969, "NFS"},    {0x517B, "SMB"},     {0xFF534D42L, "CIFS"},  {0xFE534D42L, "SMB2"},
                 {0x01021997, "9p"}, {0x5346414F, "AFS"}, {0x0BD00BD0, "Lustre"}, {0x00C36400, "Ceph"}};
    for (size_t i = 0; i < RB_COUNT(known); i++)
        if (known[i].type == type)
            return known[i].name;
    return NULL;
}

static void check_folder(struct rb_doctor *d, const char *dir, const struct stat *st)
{
    if (access(dir, W_OK | X_OK) != 0)
        rb_doctor_say(d, RB_BAD, "folder", "%s can not be written by you: %s", dir, strerror(errno));
    else if (st->st_uid != geteuid())
        rb_doctor_say(d, RB_WARN, "folder", "%s belongs to user %u, not to you", dir, (unsigned)st->st_uid);
    else if (st->st_mode & 077)
        rb_doctor_say(d, RB_WARN, "folder", "%s can be read by others (mode %03o): chmod 700 %s", dir,
                      (unsigned)st->st_mode & 0777, dir);
    else
        rb_doctor_say(d, RB_FINE, "folder", "%s", dir);
}

static void check_place(struct rb_doctor *d)
{
    char dir[4096];
    struct stat st;
    struct statfs fs;
    struct statvfs space;
    if (rb_cli_journal(d->cli) != 0) {
        rb_doctor_say(d, RB_BAD, "journal", "has no place (see above)");
        return;
    }
    snprintf(dir, sizeof(dir), "%s", d->cli->journal_path);
    char *slash = strrchr(dir, '/');
    if (slash)
        *(slash == dir ? slash + 1 : slash) = '\0';
    else
        memcpy(dir, ".", 2);
    if (stat(dir, &st) == 0) {
        check_folder(d, dir, &st);
    } else if (errno == ENOENT) {
        rb_doctor_say(d, RB_FINE, "folder", "%s does not exist yet; the first run makes it (0700)", dir);
        while (stat(dir, &st) < 0 && errno == ENOENT && (slash = strrchr(dir, '/')) != NULL && slash != dir)
            *slash = '\0'; /* its file system is that of the nearest folder that exists */
    } else {
        rb_doctor_say(d, RB_BAD, "folder", "%s: %s", dir, strerror(errno));
        return;
    }
    if (statfs(dir, &fs) == 0) {
        const char *net = network_fs((long)fs.f_type);
        if (net)
            rb_doctor_say(d, RB_BAD, "file system",
                          "%s: locks and memory maps can not be relied on; name a local file with --journal", net);
        else
            rb_doctor_say(d, RB_FINE, "file system", "local (type 0x%lx)", (long)fs.f_type);
    }
    if (statvfs(dir, &space) == 0) {
        uint64_t mb = (uint64_t)space.f_bavail * space.f_frsize >> 20;
        uint64_t inodes = space.f_files ? (uint64_t)space.f_favail : 1000000;
        if (mb < 64 || inodes < 100)
            rb_doctor_say(d, RB_BAD, "disk space",
                          "%llu MB and %llu inodes are free: make room, a run stops when the journal can not grow",
                          (unsigned long long)mb, (unsigned long long)inodes);
        else if (mb < 1024)
            rb_doctor_say(d, RB_WARN, "disk space", "%llu MB are free; `rbhost journal prune` deletes old runs",
                          (unsigned long long)mb);
        else
            rb_doctor_say(d, RB_FINE, "disk space", "%llu MB free", (unsigned long long)mb);
    }
}

static void check_journal(struct rb_doctor *d)
{
    struct rb_err err;
    struct rb_store_options opt = {.path = d->cli->journal_path};
    struct rb_store_stats stats;
    struct stat st;
    if (!*d->cli->journal_path)
        return;
    if (stat(d->cli->journal_path, &st) == 0 && st.st_mode & 077)
        rb_doctor_say(d, RB_WARN, "journal", "can be read by others (mode %03o): chmod 600 %s",
                      (unsigned)st.st_mode & 0777, d->cli->journal_path);
    int rc = rb_store_open(NULL, &opt, &d->cli->store, &err);
    if (rc == RB_ENOENT) {
        rb_doctor_say(d, RB_FINE, "journal", "%s does not exist yet", d->cli->journal_path);
        return;
    }
    if (rc < 0) {
        rb_doctor_say(d, RB_BAD, "journal", "%s", err.msg);
        return;
    }
    if (rb_store_check(d->cli->store, &err) < 0)
        rb_doctor_say(d, RB_BAD, "quick check", "%s; restore a backup, or `rbhost verify --all` names what is sound",
                      err.msg);
    else
        rb_doctor_say(d, RB_FINE, "quick check", "the file is sound");
    if (rb_store_stats(d->cli->store, &stats, &err) < 0)
        rb_doctor_say(d, RB_BAD, "journal", "%s", err.msg);
    else if (stats.wal_bytes > (int64_t)256 << 20)
        rb_doctor_say(d, RB_WARN, "journal", "its write-ahead log has %lld MB: a reader may be holding it open",
                      (long long)stats.wal_bytes >> 20);
    else
        rb_doctor_say(d, RB_FINE, "journal", "%s: schema %d, %lld runs, %lld events, %lld KB",
                      rb_store_path(d->cli->store), stats.schema, (long long)stats.runs, (long long)stats.events,
                      (long long)stats.file_bytes >> 10);
}

/* Where the receipts of local commands lie: beside the journal. */
static void check_receipts(struct rb_doctor *d)
{
    char path[4200];
    struct stat st;
    if (!*d->cli->journal_path)
        return;
    snprintf(path, sizeof(path), "%s.d/receipts", d->cli->journal_path);
    if (stat(path, &st) < 0 && errno == ENOENT)
        rb_doctor_say(d, RB_FINE, "receipts", "%s does not exist yet", path);
    else if (access(path, R_OK | W_OK | X_OK) != 0)
        rb_doctor_say(d, RB_BAD, "receipts", "%s: %s; commands run without, and a crash leaves them in doubt", path,
                      strerror(errno));
    else if (st.st_mode & 077)
        rb_doctor_say(d, RB_WARN, "receipts",
                      "%s can be read by others (mode %03o), and so can what commands say: chmod 700 %s", path,
                      (unsigned)st.st_mode & 0777, path);
    else
        rb_doctor_say(d, RB_FINE, "receipts", "%s", path);
}

static void check_sqlite(struct rb_doctor *d)
{
    if (sqlite3_libversion_number() < 3037000)
        rb_doctor_say(d, RB_BAD, "sqlite", "%s is older than 3.37", sqlite3_libversion());
    else if (!sqlite3_threadsafe())
        rb_doctor_say(d, RB_BAD, "sqlite", "%s was built without threads", sqlite3_libversion());
    else
        rb_doctor_say(d, RB_FINE, "sqlite",
                      "%s; commits and checkpoints run under one lock file, so its WAL-reset bug can not strike",
                      sqlite3_libversion());
}

static void check_clock(struct rb_doctor *d)
{
    struct timex tx = {0};
    time_t now = time(NULL);
    if (now < 1735689600) /* 2025 */
        rb_doctor_say(d, RB_BAD, "clock",
                      "says a year before this program was made; set it: deadlines of sleeping runs depend on it");
    else if (adjtimex(&tx) < 0 || tx.status & STA_UNSYNC)
        rb_doctor_say(d, RB_WARN, "clock",
                      "is not synchronised; install chrony or systemd-timesyncd, or deadlines may be early or late");
    else
        rb_doctor_say(d, RB_FINE, "clock", "synchronised");
}

static void check_limit(struct rb_doctor *d, const char *name, int which, rlim_t least, const char *help)
{
    struct rlimit r;
    if (getrlimit(which, &r) < 0)
        return;
    if (r.rlim_cur != RLIM_INFINITY && r.rlim_cur < least)
        rb_doctor_say(d, RB_WARN, name, "%llu is little: %s", (unsigned long long)r.rlim_cur, help);
    else if (r.rlim_cur == RLIM_INFINITY)
        rb_doctor_say(d, RB_FINE, name, "no limit");
    else
        rb_doctor_say(d, RB_FINE, name, "%llu", (unsigned long long)r.rlim_cur);
}

static void check_terminal(struct rb_doctor *d)
{
    const char *term = getenv("TERM"), *lang = "nothing";
    bool utf8 = rb_text_locale();
    for (const char *const *v = (const char *const[]){"LC_ALL", "LC_CTYPE", "LANG", NULL}; *v; v++)
        if (getenv(*v) && *getenv(*v)) {
            lang = getenv(*v);
            break;
        }
    if (!isatty(STDOUT_FILENO))
        rb_doctor_say(d, RB_FINE, "terminal", "none: one line for each event, no questions");
    else if (!rb_cli_live(d->cli))
        rb_doctor_say(d, RB_FINE, "terminal", "TERM is %s: plain lines", term && *term ? term : "not set");
    else
        rb_doctor_say(d, RB_FINE, "terminal", "%s, colours %s", term,
                      rb_cli_color(d->cli, STDOUT_FILENO) ? "on" : "off");
    if (utf8)
        rb_doctor_say(d, RB_FINE, "locale", "UTF-8 (%s)", lang);
    else
        rb_doctor_say(d, RB_WARN, "locale", "%s is not UTF-8, signs are drawn in ASCII; export LANG=C.UTF-8", lang);
}

/* What is opened at its first use. A run that never needs one does without. */
static void check_libraries(struct rb_doctor *d)
{
    struct rb_err err;
    if (in_path("ssh"))
        rb_doctor_say(d, RB_FINE, "ssh", "is there");
    else
        rb_doctor_say(d, RB_WARN, "ssh", "there is none: `ssh` needs it; apt install openssh-client");
    if (rb_curl(&err))
        rb_doctor_say(d, RB_FINE, "libcurl", "is there");
    else
        rb_doctor_say(d, RB_WARN, "libcurl", "%s", err.msg);
    if (rb_pq_open(&err) == 0)
        rb_doctor_say(d, RB_FINE, "libpq", "is there");
    else
        rb_doctor_say(d, RB_WARN, "libpq", "%s", err.msg);
}

static int end(struct rb_doctor *d)
{
    if (d->cli->json <= 0 && d->cli->quiet <= 0)
        rb_buf_addf(&d->out, "%d failed, %d warning%s\n", d->failures, d->warnings, d->warnings == 1 ? "" : "s");
    int code = rb_cli_put(&d->out, d->failures ? RB_EXIT_STORE : RB_EXIT_OK);
    rb_buf_release(&d->out);
    return code;
}

struct values {
    int clean;
};

static const struct rb_opt options[] = {
    {"clean", 0, RB_OPT_BOOL, offsetof(struct values, clean), NULL, "of HOST: sweep receipts older than 7 days", 0},
    {0},
};

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct rb_doctor d = {.cli = cli};
    struct passwd *pw = getpwuid(getuid());
    const struct values *v = values;
    rb_buf_init(&d.out, 1 << 20);
    if (argc) {
        int code = rb_cli_config(cli);
        if (code)
            return code;
        rb_doctor_host(&d, argv[0], v->clean > 0);
        return end(&d);
    }
    if (v->clean > 0)
        return rb_cli_fail(cli, RB_EXIT_USAGE, "--clean sweeps the receipts of a host: rbhost doctor HOST --clean");
    rb_doctor_say(&d, RB_FINE, "version", "rbhost %s, replay version %d", RB_VERSION, RB_REPLAY_VERSION);
    if (pw)
        rb_doctor_say(&d, RB_FINE, "user", "%s (%u)", pw->pw_name, (unsigned)getuid());
    else
        rb_doctor_say(&d, RB_WARN, "user", "uid %u has no name; runs record the number", (unsigned)getuid());
    check_config(&d);
    check_secrets(&d);
    check_place(&d);
    check_journal(&d);
    check_receipts(&d);
    check_sqlite(&d);
    check_clock(&d);
    check_limit(&d, "open files", RLIMIT_NOFILE, 1024, "each running command takes four; ulimit -n 4096");
    check_limit(&d, "processes", RLIMIT_NPROC, 256, "commands may fail to start; ulimit -u 1024");
    check_libraries(&d);
    check_terminal(&d);
    return end(&d);
}

const struct rb_cmd rb_cmd_doctor = {
    .name = "doctor",
    .group = "Help",
    .operands = "[HOST]",
    .summary = "check everything a run relies on, with what to do",
    .example = "rbhost doctor           # this machine\n"
               "rbhost doctor web1      # another one: what would leave its commands in doubt",
    .text = "Exit code 5 when a line says fail.",
    .options = options,
    .values = sizeof(struct values),
    .max = 1,
    .run = run,
};
