/* Owns the questions at the terminal: which is asked, what an answer means, when one is withdrawn. Knows neither engine
 * nor store: a decision goes out by a callback. Lines come from the terminal's own line mode. */
#include "front/prompt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/json.h"
#include "front/answer.h"
#include "front/next.h"
#include "front/reach.h"
#include "front/text.h"

enum stage {
    STAGE_NONE,
    STAGE_VERDICT, /* of an open wait or doubt */
    STAGE_COMMENT,
    STAGE_CALLER, /* rb_prompt_ask() */
};

struct rb_prompt {
    struct rb_prompt_options opt;
    int fd;
    uv_poll_t poll;
    bool polling, closed;
    enum stage stage;
    int64_t n;     /* what is asked about */
    int64_t after; /* put off: the next question has a higher number */
    char verdict[16];
    char *value; /* JSON; NULL none */
    bool (*on_line)(void *arg, const char *line);
    char *question; /* of rb_prompt_ask() */
    struct rb_buf line;
};

static void on_readable(uv_poll_t *h, int status, int events);

static void listen_to(struct rb_prompt *p, bool yes)
{
    if (yes && !p->polling)
        uv_poll_start(&p->poll, UV_READABLE, on_readable);
    if (!yes && p->polling)
        uv_poll_stop(&p->poll);
    p->polling = yes;
}

/* What was typed before a question stood on the screen is no answer to it. */
static void drop_typed_ahead(struct rb_prompt *p)
{
    tcflush(p->fd, TCIFLUSH);
    rb_buf_reset(&p->line);
}

/* Writes a question, through the display so that a live tree stays where it is. */
static void ask(struct rb_prompt *p, const char *block, const char *question)
{
    struct rb_display *d = p->opt.display;
    listen_to(p, true);
    if (d->ask) {
        d->ask(d, block, question);
        return;
    }
    if (block)
        rb_cli_write(STDOUT_FILENO, block, strlen(block));
    rb_cli_write(STDOUT_FILENO, question, strlen(question));
}

/* The question is over: line was typed, or NULL: it was withdrawn. */
static void asked(struct rb_prompt *p, const char *line)
{
    struct rb_display *d = p->opt.display;
    p->stage = STAGE_NONE;
    listen_to(p, false);
    if (!line)
        drop_typed_ahead(p); /* half a line that was meant for this question */
    if (d->asked)
        d->asked(d, line);
    else if (!line)
        rb_cli_write(STDOUT_FILENO, "\n", 1);
}

/* -- open waits and doubts ----------------------------------------------------------------------------------------- */

static bool has_prompt(const struct rb_node *node)
{
    const char *what = rb_node_decision(node);
    return what && strcmp(what, "signal") != 0;
}

static const char *question_of(const struct rb_node *node, char *out, size_t n)
{
    const char *what = rb_node_decision(node);
    if (strcmp(what, "approve") == 0)
        return "approve? [y]es, [n]o, [?] details, Enter for later: ";
    if (strcmp(what, "resolve") == 0)
        return "did it happen? [d]one, [r]etry it, [f]ail, [?] details: ";
    if (!rb_answer_type(node))
        return "[d]one or [f]ailed? [?] details, Enter for later: ";
    snprintf(out, n, "value (%.40s), or [f]ailed, [?] details: ", rb_answer_type(node));
    return out;
}

/* Where it is, and what the run may reach: whoever says yes agrees to that. */
static void describe_site(const struct rb_prompt *p, bool with_details, struct rb_buf *out)
{
    const struct rb_view *v = p->opt.view;
    const json_t *policy = json_object_get(p->opt.cli->config, "policy");
    if (v->environment || v->destructive)
        rb_buf_addf(out, "  %s%s%s\n", v->environment ? v->environment : "",
                    v->environment && v->destructive ? ", " : "", v->destructive ? "destructive" : "");
    if (with_details) {
        rb_buf_adds(out, "  may reach\n");
        rb_reach_lines(v->allow, policy, v->folder, out);
    } else if (v->allow || json_object_get(policy, "allow")) {
        struct rb_buf reach;
        rb_buf_init(&reach, 64 << 10);
        rb_reach_short(v->allow, policy, v->folder, &reach);
        rb_buf_adds(out, "  may reach: ");
        rb_text_fit(out, rb_buf_text(&reach), reach.len, 200);
        rb_buf_addc(out, '\n');
        rb_buf_release(&reach);
    }
}

static void describe(const struct rb_node *node, struct rb_buf *out)
{
    const char *by = json_string_value(json_object_get(node->args, "by"));
    if (node->state == RB_NODE_DOUBT)
        rb_buf_addf(out, "In doubt, #%lld: %s\n  It was started before and its outcome is unknown.\n",
                    (long long)node->n, node->title);
    else
        rb_buf_addf(out, "#%lld %s: %s\n", (long long)node->n, node->op, rb_node_text(node));
    if (by && *by) {
        rb_buf_adds(out, "  to be given by ");
        rb_text_line(out, by, strlen(by));
        rb_buf_addc(out, '\n');
    }
    if (node->error && node->state == RB_NODE_DOUBT)
        rb_buf_addf(out, "  %s\n", node->error);
    if (node->where && node->state == RB_NODE_DOUBT)
        rb_buf_addf(out, "  at %s\n", node->where);
}

/* Every argument of the operation, one a line. */
static void details(const struct rb_node *node, struct rb_buf *out)
{
    const char *name;
    json_t *v;
    rb_buf_addf(out, "  %s at %s\n", node->op ? node->op : "operation",
                node->where && *node->where ? node->where : "an unknown place");
    json_object_foreach(node->args, name, v)
    {
        rb_buf_adds(out, "  ");
        rb_text_line(out, name, strlen(name));
        rb_buf_adds(out, ": ");
        rb_text_value(out, v);
        rb_buf_addc(out, '\n');
    }
    if (json_is_array(node->args)) {
        rb_buf_adds(out, "  ");
        rb_text_value(out, node->args);
        rb_buf_addc(out, '\n');
    }
}

static void ask_open(struct rb_prompt *p, const struct rb_node *node, bool with_details)
{
    struct rb_buf block;
    char room[128];
    rb_buf_init(&block, 32 << 10);
    describe(node, &block);
    if (with_details)
        details(node, &block);
    if (strcmp(rb_node_decision(node), "approve") == 0)
        describe_site(p, with_details, &block);
    p->stage = STAGE_VERDICT;
    p->n = node->n;
    drop_typed_ahead(p);
    ask(p, rb_buf_text(&block), question_of(node, room, sizeof(room)));
    rb_buf_release(&block);
}

void rb_prompt_update(struct rb_prompt *p)
{
    if ((p->stage == STAGE_VERDICT || p->stage == STAGE_COMMENT) && !rb_view_open(p->opt.view, p->n))
        asked(p, NULL);
    if (p->stage != STAGE_NONE || p->closed)
        return;
    struct rb_node *first = NULL;
    RB_LIST_EACH (it, &p->opt.view->open) {
        struct rb_node *node = RB_CONTAINER(it, struct rb_node, open);
        if (!has_prompt(node) || node->n <= 0 || node->answered)
            continue;
        if (!first)
            first = node;
        if (node->n > p->after) {
            ask_open(p, node, false);
            return;
        }
    }
    if (first) { /* all were put off once: from the beginning */
        p->after = 0;
        ask_open(p, first, false);
    }
}

static void say(struct rb_prompt *p, const char *text)
{
    struct rb_display *d = p->opt.display;
    if (d->hide)
        d->hide(d);
    rb_cli_fail(p->opt.cli, 0, "%s", text);
    if (d->show)
        d->show(d);
}

static void deliver(struct rb_prompt *p, struct rb_node *node, const char *comment)
{
    const char *what = rb_node_decision(node);
    struct rb_buf data;
    struct rb_json j;
    struct rb_err err;
    char target[24];
    rb_buf_init(&data, 256 << 10);
    rb_json_init(&j, &data);
    rb_json_object(&j);
    if (strcmp(what, "answer") == 0)
        rb_json_ktext(&j, "verdict", p->verdict);
    else if (strcmp(what, "resolve") == 0)
        rb_json_ktext(&j, "as", p->verdict);
    else
        what = p->verdict; /* approve or deny */
    if (p->value)
        rb_json_kraw(&j, "value", p->value, strlen(p->value));
    if (*comment) {
        rb_json_key(&j, "comment");
        rb_json_string(&j, comment, strlen(comment));
    }
    rb_json_end_object(&j);
    snprintf(target, sizeof(target), "%lld", (long long)node->n);
    p->after = node->n;
    node->answered = true;
    if (p->opt.decide(p->opt.arg, what, target, rb_buf_text(&data), &err) < 0) {
        say(p, err.msg);
        p->after = node->n - 1;
        node->answered = false;
        rb_prompt_update(p);
    }
    rb_buf_release(&data);
}

static bool is(const char *word, const char *full)
{
    return strcmp(word, full) == 0 || (word[0] == full[0] && word[1] == '\0');
}

/* What a first word means for this node; NULL: nothing. */
static const char *verdict_of(const struct rb_node *node, const char *word)
{
    const char *what = rb_node_decision(node);
    if (strcmp(what, "approve") == 0)
        return is(word, "yes") || is(word, "approve") ? "approve" : is(word, "no") || is(word, "deny") ? "deny" : NULL;
    if (strcmp(what, "resolve") == 0)
        return is(word, "done") ? "done" : is(word, "retry") ? "retry" : is(word, "fail") ? "fail" : NULL;
    if (is(word, "failed"))
        return "failed";
    return is(word, "done") && !rb_answer_type(node) ? "done" : NULL;
}

/* The next one is asked, if there is one, else the same again; meanwhile it can be answered from elsewhere. */
static void put_off(struct rb_prompt *p, const struct rb_node *node)
{
    struct rb_buf text;
    rb_buf_init(&text, 32 << 10);
    rb_buf_addf(&text, "the run waits for #%lld; later, from any terminal:\n", (long long)node->n);
    rb_next_decide(p->opt.cli, p->opt.view, node, true, "  ", &text);
    say(p, rb_buf_text(&text));
    rb_buf_release(&text);
    p->after = node->n;
    rb_prompt_update(p);
}

static void on_verdict(struct rb_prompt *p, struct rb_node *node, const char *line)
{
    char word[16] = "";
    size_t n = strcspn(line, " \t");
    free(p->value);
    p->value = NULL;
    if (!*line) {
        put_off(p, node);
        return;
    }
    if (strcmp(line, "?") == 0) {
        ask_open(p, node, true);
        return;
    }
    snprintf(word, sizeof(word), "%.*s", (int)n, line);
    for (char *c = word; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    const char *verdict = n < sizeof(word) ? verdict_of(node, word) : NULL;
    const char *comment = line + n + strspn(line + n, " \t");
    struct rb_err err = {.msg = "please answer with one of the letters"};
    if (!verdict && rb_answer_type(node)) {
        struct rb_buf json;
        rb_buf_init(&json, 256 << 10);
        if (rb_answer_value(node, line, &json, &err) == 0) {
            p->value = rb_buf_detach(&json);
            verdict = "done";
        }
        comment = "";
        rb_buf_release(&json);
    }
    if (!verdict) {
        say(p, err.msg);
        ask_open(p, node, false);
        return;
    }
    snprintf(p->verdict, sizeof(p->verdict), "%s", verdict);
    if (*comment) {
        deliver(p, node, comment);
        return;
    }
    p->stage = STAGE_COMMENT;
    p->n = node->n;
    ask(p, NULL, "comment (Enter for none): ");
}

/* -- lines --------------------------------------------------------------------------------------------------------- */

static void on_line(struct rb_prompt *p, const char *line)
{
    enum stage stage = p->stage;
    struct rb_node *node = stage == STAGE_CALLER ? NULL : rb_view_open(p->opt.view, p->n);
    asked(p, line);
    if (stage == STAGE_CALLER) {
        bool (*fn)(void *arg, const char *line) = p->on_line;
        if (!fn(p->opt.arg, line) && p->stage == STAGE_NONE)
            rb_prompt_ask(p, NULL, p->question, fn);
    } else if (node && stage == STAGE_VERDICT) {
        on_verdict(p, node, line);
    } else if (node && stage == STAGE_COMMENT) {
        deliver(p, node, line);
    }
    if (p->stage == STAGE_NONE)
        rb_prompt_update(p);
}

static void on_end(struct rb_prompt *p)
{
    p->closed = true;
    asked(p, NULL);
    p->opt.on_eof(p->opt.arg);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    struct rb_prompt *p = h->data;
    char chunk[4096];
    (void)events;
    pid_t front = tcgetpgrp(p->fd);
    if (front >= 0 && front != getpgrp()) {
        /* reading would stop us: the shell has the terminal; SIGCONT brings us back */
        listen_to(p, false);
        return;
    }
    ssize_t n = status < 0 ? 0 : read(p->fd, chunk, sizeof(chunk));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        on_end(p);
        return;
    }
    rb_buf_add(&p->line, chunk, (size_t)n);
    const char *text = rb_buf_text(&p->line);
    if (!memchr(text, '\n', p->line.len)) /* Ctrl-D in the middle of a line */
        return;
    struct rb_buf line;
    rb_buf_init(&line, 64 << 10);
    size_t len = strcspn(text, "\n");
    while (len && isspace((unsigned char)*text)) {
        text++;
        len--;
    }
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    rb_buf_add(&line, text, len);
    rb_buf_reset(&p->line);
    if (p->stage != STAGE_NONE)
        on_line(p, rb_buf_text(&line));
    rb_buf_release(&line);
}

void rb_prompt_ask(struct rb_prompt *p, const char *block, const char *question,
                   bool (*fn)(void *arg, const char *line))
{
    char *kept = rb_strdup(question); /* it may be p->question */
    p->stage = STAGE_CALLER;
    p->on_line = fn;
    free(p->question);
    p->question = kept;
    drop_typed_ahead(p);
    ask(p, block, kept);
}

void rb_prompt_resume(struct rb_prompt *p)
{
    if (p->stage != STAGE_NONE)
        listen_to(p, true);
}

struct rb_prompt *rb_prompt_new(const struct rb_prompt_options *opt)
{
    /* Opened anew: uv_poll makes its descriptor non-blocking, and that of standard input is shared with the shell. */
    int fd = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct rb_prompt *p = rb_alloc(sizeof(*p));
    p->opt = *opt;
    p->fd = fd;
    p->poll.data = p;
    rb_buf_init(&p->line, 64 << 10);
    if (uv_poll_init(&opt->loop->uv, &p->poll, fd) < 0) {
        close(fd);
        free(p);
        return NULL;
    }
    return p;
}

static void on_closed(uv_handle_t *h)
{
    struct rb_prompt *p = h->data;
    close(p->fd);
    rb_buf_release(&p->line);
    free(p->value);
    free(p->question);
    free(p);
}

void rb_prompt_free(struct rb_prompt *p)
{
    uv_close((uv_handle_t *)&p->poll, on_closed);
}

/* -- before the loop ----------------------------------------------------------------------------------------------- */

static struct termios saved;

static void on_fatal(int signum)
{
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
    signal(signum, SIG_DFL);
    raise(signum);
}

int rb_prompt_read(const char *question, bool hidden, struct rb_buf *out)
{
    static const int fatal[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction old[RB_COUNT(fatal)], sa = {.sa_handler = on_fatal};
    struct termios quiet;
    bool hide = hidden && tcgetattr(STDIN_FILENO, &saved) == 0;
    int rc = RB_ECANCELED;
    char c;
    if (hide) {
        /* before the question stands there: whoever types at once is not echoed, and nothing of it is dropped */
        for (size_t i = 0; i < RB_COUNT(fatal); i++)
            sigaction(fatal[i], &sa, &old[i]);
        quiet = saved;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        quiet.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stop would leave the shell without echo */
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    rb_cli_write(STDERR_FILENO, question, strlen(question));
    for (;;) {
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        rc = RB_OK;
        if (c == '\n')
            break;
        rb_buf_addc(out, c);
    }
    if (hide) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
        for (size_t i = 0; i < RB_COUNT(fatal); i++)
            sigaction(fatal[i], &old[i], NULL);
    }
    if (hide || rc < 0)
        rb_cli_write(STDERR_FILENO, "\n", 1);
    return rc;
}
