/* rbhost journal stats, backup, prune: the file as a whole. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "front/cmds.h"

struct values {
    int64_t older;
    int unfinished, dry;
};

static int stats(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct rb_store_stats s = {0};
    struct rb_err err;
    struct rb_buf out;
    struct rb_json j;
    (void)values;
    (void)argc;
    (void)argv;
    int code = rb_cli_store(cli, NULL, RB_CLI_READ);
    if (code)
        return code;
    if (!cli->store) {
        rb_cli_note(cli, "nothing has run yet (no journal at %s)", cli->journal_path);
        return RB_EXIT_OK;
    }
    if (rb_store_stats(cli->store, &s, &err) < 0)
        return rb_cli_fail(cli, RB_EXIT_STORE, "%s", err.msg);
    const struct {
        const char *name;
        int64_t value;
    } rows[] = {
        {"schema", s.schema},         {"runs", s.runs},       {"events", s.events},         {"blobs", s.blobs},
        {"blob_bytes", s.blob_bytes}, {"signals", s.signals}, {"file_bytes", s.file_bytes}, {"wal_bytes", s.wal_bytes},
    };
    rb_buf_init(&out, 64 << 10);
    rb_json_init(&j, &out);
    if (cli->json > 0) {
        rb_json_object(&j);
        rb_json_ktext(&j, "journal", rb_store_path(cli->store));
        for (size_t i = 0; i < RB_COUNT(rows); i++)
            rb_json_kint(&j, rows[i].name, rows[i].value);
        rb_json_end_object(&j);
        rb_buf_addc(&out, '\n');
    } else {
        rb_buf_addf(&out, "%-11s %s\n", "journal", rb_store_path(cli->store));
        for (size_t i = 0; i < RB_COUNT(rows); i++)
            rb_buf_addf(&out, "%-11s %lld\n", rows[i].name, (long long)rows[i].value);
    }
    code = rb_cli_put(&out, RB_EXIT_OK);
    rb_buf_release(&out);
    return code;
}

static int backup(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct rb_err err;
    (void)values;
    (void)argc;
    int code = rb_cli_store(cli, NULL, RB_CLI_READ);
    if (code)
        return code;
    if (!cli->store)
        return rb_cli_fail(cli, RB_EXIT_STORE, "there is nothing to back up: no journal at %s", cli->journal_path);
    int rc = rb_store_backup(cli->store, argv[0], &err);
    if (rc < 0)
        return rb_cli_fail(cli, rb_cli_exit_of(rc), "no backup was made: %s", err.msg);
    rb_cli_note(cli, "%s is a whole copy; `rbhost --journal %s verify --all` checks it", argv[0], argv[0]);
    return RB_EXIT_OK;
}

static const struct rb_opt prune_options[] = {
    {"older", 'o', RB_OPT_SPAN, offsetof(struct values, older), "TIME",
     "only runs that ended longer ago than this (default 90d)", 0},
    {"unfinished", 0, RB_OPT_BOOL, offsetof(struct values, unfinished), NULL, "also failed runs that could be retried",
     0},
    {"dry", 'n', RB_OPT_BOOL, offsetof(struct values, dry), NULL, "only say how many", 0},
    {0},
};

static int prune(struct rb_cli *cli, void *values, int argc, char **argv)
{
    const struct values *v = values;
    struct rb_err err;
    struct rb_buf out;
    int64_t runs = 0, older = v->older ? v->older : 90LL * 86400000;
    (void)argc;
    (void)argv;
    int code = rb_cli_store(cli, NULL, RB_CLI_WRITE);
    if (code)
        return code;
    int rc = rb_store_prune(cli->store, rb_clock_wall() - older * 1000, v->unfinished > 0, v->dry > 0, &runs, &err);
    if (rc < 0)
        return rb_cli_fail(cli, rb_cli_exit_of(rc), "%s", err.msg);
    rb_buf_init(&out, 256);
    if (cli->json > 0)
        rb_buf_addf(&out, "{\"runs\":%lld,\"dry\":%s}\n", (long long)runs, v->dry > 0 ? "true" : "false");
    else
        rb_buf_addf(&out, "%lld run%s %s\n", (long long)runs, runs == 1 ? "" : "s",
                    v->dry > 0 ? "would be deleted" : "deleted");
    code = rb_cli_put(&out, RB_EXIT_OK);
    rb_buf_release(&out);
    return code;
}

const struct rb_cmd rb_cmd_journal_stats = {
    .name = "journal stats",
    .group = "Journal",
    .operands = "",
    .summary = "how many runs, events and bytes",
    .example = "rbhost journal stats --json",
    .run = stats,
};

const struct rb_cmd rb_cmd_journal_backup = {
    .name = "journal backup",
    .group = "Journal",
    .operands = "FILE",
    .summary = "a whole, consistent copy while runs go on",
    .example = "rbhost journal backup /backup/journal-$(date +%F).db",
    .min = 1,
    .max = 1,
    .operand = RB_ARG_FILE,
    .run = backup,
};

const struct rb_cmd rb_cmd_journal_prune = {
    .name = "journal prune",
    .group = "Journal",
    .operands = "",
    .summary = "delete old runs that have ended",
    .example = "rbhost journal prune --older 30d --dry",
    .options = prune_options,
    .values = sizeof(struct values),
    .run = prune,
};
