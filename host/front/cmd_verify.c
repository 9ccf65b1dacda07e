/* rbhost verify and head: is the journal what it was, and the head that lets somebody else find out. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "front/cmds.h"
#include "store/chain.h"

struct values {
    const char *head;
    int all;
};

static const struct rb_opt options[] = {
    {"all", 'a', RB_OPT_BOOL, offsetof(struct values, all), NULL, "every run, and the file as a whole", 0},
    {"head", 0, RB_OPT_TEXT, offsetof(struct values, head), "FILE",
     "heads as `rbhost head` printed them; - is standard input", RB_OPT_FILE},
    {0},
};

/* A head that was kept elsewhere. */
struct head {
    char run[RB_RUN_ID_MAX];
    int64_t seq;
    uint8_t hash[RB_SHA_LEN];
    bool used;
};

struct verify {
    struct rb_cli *cli;
    struct head *heads;
    size_t n_heads;
    char (*ids)[RB_RUN_ID_MAX];
    size_t n;
    int bad;
    struct rb_buf out;
};

static int add_id(struct verify *v, const char *id)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->ids[i], id) == 0)
            return 0;
    v->ids = rb_realloc(v->ids, (v->n + 1) * sizeof(*v->ids));
    snprintf(v->ids[v->n++], RB_RUN_ID_MAX, "%s", id);
    return 0;
}

static int each(void *arg, const struct rb_run_row *row)
{
    struct verify *v = arg;
    v->ids = rb_realloc(v->ids, (v->n + 1) * sizeof(*v->ids));
    snprintf(v->ids[v->n++], RB_RUN_ID_MAX, "%s", row->id);
    return 0;
}

static int read_heads(struct verify *v, const char *path)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char line[512];
    int number = 0, code = RB_EXIT_OK;
    if (!f)
        return rb_cli_fail(v->cli, RB_EXIT_USAGE, "--head: %s: %s", path, strerror(errno));
    while (!code && fgets(line, sizeof(line), f)) {
        char run[64], hex[80], rest[2];
        int64_t seq;
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0' || line[0] == '#')
            continue;
        v->heads = rb_realloc(v->heads, (v->n_heads + 1) * sizeof(*v->heads));
        struct head *h = &v->heads[v->n_heads];
        *h = (struct head){0};
        if (sscanf(line, "%63s %" SCNd64 " %79s %1s", run, &seq, hex, rest) != 3 || strlen(run) >= sizeof(h->run) ||
            seq < 1 || rb_sha_parse(hex, h->hash) < 0) {
            code = rb_cli_fail(v->cli, RB_EXIT_USAGE, "--head: %s:%d: a line must be: RUN SEQ HASH (64 hex digits)",
                               path, number);
            break;
        }
        memcpy(h->run, run, strlen(run) + 1);
        h->seq = seq;
        v->n_heads++;
    }
    if (f != stdin)
        fclose(f);
    return code;
}

static void report(struct verify *v, const char *run, const struct rb_verdict *verdict)
{
    struct rb_json j;
    char hex[RB_SHA_HEX];
    rb_sha_hex(verdict->head, hex);
    if (!verdict->ok)
        v->bad++;
    if (v->cli->json > 0) {
        rb_json_init(&j, &v->out);
        rb_json_object(&j);
        rb_json_ktext(&j, "run", run);
        rb_json_kbool(&j, "ok", verdict->ok);
        rb_json_kint(&j, "events", verdict->events);
        rb_json_ktext(&j, "head", hex);
        if (!verdict->ok) {
            rb_json_kint(&j, "bad_seq", verdict->bad_seq);
            rb_json_ktext(&j, "what", verdict->what);
        }
        rb_json_end_object(&j);
        rb_buf_addc(&v->out, '\n');
    } else if (verdict->ok) {
        if (v->cli->quiet <= 0)
            rb_buf_addf(&v->out, "ok       %s  %lld events, head %.16s\n", run, (long long)verdict->events, hex);
    } else if (verdict->bad_seq) {
        rb_buf_addf(&v->out, "DAMAGED  %s  event %lld: %s\n", run, (long long)verdict->bad_seq, verdict->what);
    } else {
        rb_buf_addf(&v->out, "DAMAGED  %s  %s\n", run, verdict->what);
    }
}

static int check(struct verify *v, const char *run, struct head *h)
{
    struct rb_verdict verdict = {0};
    struct rb_err err;
    int rc = rb_chain_verify(v->cli->store, run, h ? h->seq : 0, h ? h->hash : NULL, &verdict, &err);
    if (rc == RB_ENOENT || rc == RB_ECORRUPT) { /* a run that is gone, pages that can not be read: a verdict too */
        verdict = (struct rb_verdict){0};
        snprintf(verdict.what, sizeof(verdict.what), "%s", err.msg);
        rc = 0;
    }
    if (rc < 0)
        return rb_cli_fail(v->cli, RB_EXIT_STORE, "run %s can not be read: %s", run, err.msg);
    report(v, run, &verdict);
    return RB_EXIT_OK;
}

static int check_run(struct verify *v, const char *run)
{
    bool any = false;
    for (size_t i = 0; i < v->n_heads; i++) {
        if (strcmp(v->heads[i].run, run) != 0)
            continue;
        any = v->heads[i].used = true;
        int code = check(v, run, &v->heads[i]);
        if (code)
            return code;
    }
    return any ? RB_EXIT_OK : check(v, run, NULL);
}

static int choose(struct verify *v, const struct values *o, int argc, char **argv)
{
    struct rb_err err;
    for (int i = 0; i < argc; i++) {
        struct rb_run_row row = {0};
        int code = rb_cli_run(v->cli, RB_CLI_READ, argv[i], &row);
        if (code)
            return code;
        add_id(v, row.id);
        rb_run_row_release(&row);
    }
    /* Heads without RUN: the runs that they name, present or not. */
    if (!argc && o->head && o->all <= 0) {
        for (size_t i = 0; i < v->n_heads; i++)
            add_id(v, v->heads[i].run);
        return RB_EXIT_OK;
    }
    struct rb_run_filter f = {.limit = INT32_MAX};
    if ((!argc || o->all > 0) && rb_store_runs(v->cli->store, &f, each, v, &err) < 0)
        return rb_cli_fail(v->cli, RB_EXIT_STORE, "%s", err.msg);
    return RB_EXIT_OK;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    const struct values *o = values;
    struct verify v = {.cli = cli};
    struct rb_err err;
    int code = rb_cli_store(cli, NULL, RB_CLI_READ);
    if (!code && !cli->store) {
        rb_cli_note(cli, "nothing has run yet (no journal at %s)", cli->journal_path);
        return RB_EXIT_OK;
    }
    rb_buf_init(&v.out, 1u << 30);
    if (!code && o->head)
        code = read_heads(&v, o->head);
    if (!code)
        code = choose(&v, o, argc, argv);
    if (!code && (!argc || o->all > 0) && rb_store_check(cli->store, &err) < 0) {
        v.bad++;
        rb_cli_fail(cli, 0, "%s", err.msg);
    }
    for (size_t i = 0; i < v.n && !code; i++)
        code = check_run(&v, v.ids[i]);
    for (size_t i = 0; i < v.n_heads && !code; i++)
        if (!v.heads[i].used && (!argc || o->all > 0))
            code = check(&v, v.heads[i].run, &v.heads[i]);
    if (!code && v.bad)
        code = RB_EXIT_STORE;
    code = rb_cli_put(&v.out, code);
    free(v.heads);
    free(v.ids);
    rb_buf_release(&v.out);
    return code;
}

const struct rb_cmd rb_cmd_verify = {
    .name = "verify",
    .group = "Journal",
    .operands = "[RUN ...]",
    .summary = "check journals: chain, sources, blobs, heads",
    .example = "rbhost verify                    # every run\n"
               "rbhost verify --head heads.txt   # and that nothing was cut off since `rbhost head` wrote them",
    .text = "Names the first bad event of each damaged run; exit code 5 when there is one. A chain shows editing by "
            "whoever lacks the\n"
            "whole file; against somebody who has it, keep heads elsewhere.",
    .options = options,
    .values = sizeof(struct values),
    .max = -1,
    .operand = RB_ARG_RUN,
    .run = run,
};

/* -- head ---------------------------------------------------------------------------------------------------------- */

static void add_head(struct rb_cli *cli, const struct rb_run_row *row, struct rb_buf *out)
{
    char hex[RB_SHA_HEX];
    rb_sha_hex(row->head, hex);
    if (cli->json > 0)
        rb_buf_addf(out, "{\"run\":\"%s\",\"seq\":%lld,\"head\":\"%s\"}\n", row->id, (long long)row->seq, hex);
    else
        rb_buf_addf(out, "%s %lld %s\n", row->id, (long long)row->seq, hex);
}

struct heads {
    struct rb_cli *cli;
    struct rb_buf out;
};

static int each_head(void *arg, const struct rb_run_row *row)
{
    struct heads *h = arg;
    add_head(h->cli, row, &h->out);
    return 0;
}

static int run_head(struct rb_cli *cli, void *values, int argc, char **argv)
{
    const struct values *o = values;
    struct heads h = {.cli = cli};
    struct rb_err err;
    int code = RB_EXIT_OK;
    rb_buf_init(&h.out, 1u << 30);
    if (o->all > 0) {
        struct rb_run_filter f = {.limit = INT32_MAX};
        code = rb_cli_store(cli, NULL, RB_CLI_READ);
        if (!code && cli->store && rb_store_runs(cli->store, &f, each_head, &h, &err) < 0)
            code = rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    }
    for (int i = 0; !code && o->all <= 0 && i < (argc ? argc : 1); i++) {
        struct rb_run_row row = {0};
        code = rb_cli_run(cli, RB_CLI_READ, argc ? argv[i] : NULL, &row);
        if (!code)
            add_head(cli, &row, &h.out);
        rb_run_row_release(&row);
    }
    code = rb_cli_put(&h.out, code);
    rb_buf_release(&h.out);
    return code;
}

static const struct rb_opt head_options[] = {
    {"all", 'a', RB_OPT_BOOL, offsetof(struct values, all), NULL, "of every run", 0},
    {0},
};

const struct rb_cmd rb_cmd_head = {
    .name = "head",
    .group = "Journal",
    .operands = "[RUN ...]",
    .summary = "print a run's last event number and hash, to keep elsewhere",
    .example = "rbhost head --all > heads.txt\n"
               "rbhost head 7h2mc",
    .options = head_options,
    .values = sizeof(struct values),
    .max = -1,
    .operand = RB_ARG_RUN,
    .run = run_head,
};
