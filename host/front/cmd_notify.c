/* Owns `rbhost notify`: a message to a channel, without a run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "engine/run.h"
#include "engine/tell.h"
#include "front/cmds.h"
#include "front/config.h"
#include "loop/loop.h"

struct values {
    const char *severity, *title, *dedup;
    int acknowledge, resolve;
    int64_t timeout;
};

static const struct rb_opt options[] = {
    {"severity", 's', RB_OPT_CHOICE, offsetof(struct values, severity), "debug|info|warning|error|critical",
     "how bad it is", 0},
    {"title", 't', RB_OPT_TEXT, offsetof(struct values, title), "TEXT", "headline", 0},
    {"dedup", 'd', RB_OPT_TEXT, offsetof(struct values, dedup), "KEY", "what it is about, for --resolve later", 0},
    {"acknowledge", 0, RB_OPT_BOOL, offsetof(struct values, acknowledge), NULL, "somebody looks at what KEY names", 0},
    {"resolve", 0, RB_OPT_BOOL, offsetof(struct values, resolve), NULL, "what KEY names is over", 0},
    {"timeout", 0, RB_OPT_SPAN, offsetof(struct values, timeout), "TIME", "give up after TIME", 0},
    {0},
};

struct notify {
    struct rb_cli *cli;
    struct rb_loop loop;
    struct rb_host *host;
    struct rb_run *run;
    const char *channel;
    int code;
};

static void on_line(void *arg, struct rb_run *run, const char *line)
{
    struct notify *n = arg;
    (void)run;
    rb_cli_fail(n->cli, 0, "%s", line);
}

static void on_told(void *arg, const struct rb_told *told)
{
    struct notify *n = arg;
    if (told->delivered && strcmp(told->channel, n->channel) != 0)
        rb_cli_note(n->cli, "channel %s took it instead: %s", told->channel, told->message);
    else if (told->held)
        rb_cli_note(n->cli, "not delivered: it is less severe than channel %s wants", told->channel);
    else if (!told->delivered)
        n->code = rb_cli_fail(n->cli, told->outcome == RB_OUTCOME_UNKNOWN ? RB_EXIT_DOUBT : RB_EXIT_FAILED,
                              "the message was not delivered: %s", told->message);
    rb_loop_stop(&n->loop);
}

/* TEXT, or what comes on standard input when it is "-". */
static char *read_text(const char *text)
{
    struct rb_buf all, clean;
    char piece[4096];
    ssize_t len;
    rb_buf_init(&all, RB_MESSAGE_TEXT * 2);
    rb_buf_init(&clean, RB_MESSAGE_TEXT * 6);
    if (strcmp(text, "-") != 0)
        rb_buf_adds(&all, text);
    else
        while ((len = read(STDIN_FILENO, piece, sizeof(piece))) > 0)
            rb_buf_add(&all, piece, (size_t)len);
    while (all.len && all.data[all.len - 1] == '\n')
        all.data[--all.len] = '\0';
    rb_text_clean(&clean, rb_buf_text(&all), all.len, false);
    rb_buf_reset(&all);
    rb_text_cut(&all, rb_buf_text(&clean), RB_MESSAGE_TEXT);
    rb_buf_release(&clean);
    char *out = rb_strdup(rb_buf_text(&all));
    rb_buf_release(&all);
    return out;
}

static char *clean_line(const char *text, size_t n, size_t max)
{
    struct rb_buf clean, cut;
    rb_buf_init(&clean, 1 << 20);
    rb_buf_init(&cut, max + 64);
    rb_text_clean(&clean, text, n, true);
    rb_text_cut(&cut, rb_buf_text(&clean), max);
    rb_buf_release(&clean);
    char *out = rb_strdup(rb_buf_text(&cut));
    rb_buf_release(&cut);
    return out;
}

static int read_message(struct notify *n, const struct values *v, int argc, char **argv, struct rb_message *m)
{
    struct rb_buf id;
    uint8_t random[16];
    m->severity = RB_INFO;
    m->at = rb_clock_wall();
    if (v->severity)
        rb_severity_parse(v->severity, &m->severity);
    m->action = v->resolve > 0 ? RB_RESOLVE : v->acknowledge > 0 ? RB_ACKNOWLEDGE : RB_TRIGGER;
    if (m->action != RB_TRIGGER && !v->dedup)
        return rb_cli_fail(n->cli, RB_EXIT_USAGE, "--%s says of what by --dedup KEY", rb_action_word(m->action));
    m->text = read_text(argv[1]);
    if (!*m->text)
        return rb_cli_fail(n->cli, RB_EXIT_USAGE, "the message is empty");
    m->title = v->title ? clean_line(v->title, strlen(v->title), RB_MESSAGE_TITLE) : NULL;
    m->dedup = v->dedup ? clean_line(v->dedup, strlen(v->dedup), RB_MESSAGE_DEDUP) : NULL;
    for (int i = 2; i < argc; i++) {
        const char *eq = strchr(argv[i], '=');
        if (!eq || eq == argv[i] || i - 2 >= RB_MESSAGE_FIELDS)
            return rb_cli_fail(n->cli, RB_EXIT_USAGE, "'%s' is no field: name=value, %d of them at most", argv[i],
                               RB_MESSAGE_FIELDS);
        char *name = clean_line(argv[i], (size_t)(eq - argv[i]), 100),
             *value = clean_line(eq + 1, strlen(eq + 1), 2000);
        rb_message_field(m, name, value);
        free(name);
        free(value);
    }
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return rb_cli_fail(n->cli, RB_EXIT_STORE, "the system has no random numbers");
    rb_buf_init(&id, 64);
    rb_buf_adds(&id, "rbhost-");
    for (size_t i = 0; i < sizeof(random); i++)
        rb_buf_addf(&id, "%02x", random[i]);
    m->id = rb_buf_detach(&id);
    return RB_EXIT_OK;
}

static int send_it(struct notify *n, const struct values *v, struct rb_message *m)
{
    struct rb_err err;
    struct rb_host_options ho = {.loop = &n->loop, .config_file = n->cli->config_found};
    struct rb_observer observer = {.arg = n, .on_told = on_line};
    struct rb_telling *telling;
    char *config = json_dumps(n->cli->config, JSON_COMPACT);
    if (rb_loop_init(&n->loop, &err) < 0) {
        free(config);
        return rb_cli_fail(n->cli, RB_EXIT_STORE, "%s", err.msg);
    }
    ho.config_json = config;
    n->host = rb_host_new(&ho);
    n->run = rb_tell_alone(n->host, &observer);
    if (!rb_tell_channel(n->run, n->channel, &err)) {
        n->code = rb_cli_fail(n->cli, RB_EXIT_USAGE, "%s", err.msg);
    } else {
        rb_tell_origin(n->run, m);
        struct rb_tell_options to = {.run = n->run,
                                     .channel = n->channel,
                                     .message = m,
                                     .timeout_ms = (uint64_t)v->timeout,
                                     .fn = on_told,
                                     .arg = n};
        rb_tell_start(&to, &telling);
        rb_loop_run(&n->loop);
    }
    rb_run_free(n->run);
    rb_host_free(n->host);
    rb_loop_release(&n->loop);
    free(config);
    return n->code;
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    struct notify n = {.cli = cli, .channel = argv[0]};
    struct rb_message m = {0};
    int code = rb_cli_config(cli);
    if (!code)
        code = read_message(&n, values, argc, argv, &m);
    if (!code)
        code = send_it(&n, values, &m);
    rb_message_release(&m);
    return code;
}

const struct rb_cmd rb_cmd_notify = {
    .name = "notify",
    .group = "Decide",
    .operands = "CHANNEL TEXT [NAME=VALUE ...]",
    .summary = "send a message to a channel of the configuration",
    .example = "rbhost notify ops \"the backup is late\" --severity warning host=db1\n"
               "rbhost notify pager \"disk full\" --severity critical --dedup disk-db1\n"
               "rbhost notify pager \"disk has room again\" --dedup disk-db1 --resolve\n"
               "df -h | rbhost notify ops -                 # the text from standard input",
    .text = "Exit code 1 when it was not delivered, 6 when nobody knows.",
    .options = options,
    .values = sizeof(struct values),
    .min = 2,
    .max = -1,
    .run = run,
};
