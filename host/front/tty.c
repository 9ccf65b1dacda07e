/* Owns the live tree on a terminal: what is drawn, when, and how little of it is written again. Knows the run only as a
 * view; asks nothing itself (prompt.c does) and uses no raw mode, so a crash leaves the terminal as it was.
 *
 * The screen, from the top: lines that were printed for good (what has ended, what the runbook prints); the frame,
 * drawn again and again: the part of the tree that is not over; and, while a question is open, its lines. Below the
 * frame's last line stands the cursor. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "front/display.h"
#include "front/text.h"
#include "loop/loop.h"

#define FRAME_MS 100 /* at most ten frames a second */
#define FIRST_MS 30  /* a run that is over sooner is drawn once */
#define TICK_MS 1000 /* elapsed times and countdowns */
#define MAX_LINES 512

enum colour { PLAIN, DIM, BOLD, GREEN, RED, YELLOW, CYAN };

struct line {
    char *text;
    size_t width;
};

/* One row of the tree before it is drawn. */
struct row {
    const struct rb_node *node;
    int depth;
};

struct tty {
    struct rb_display base;
    struct rb_loop *loop;
    uv_timer_t timer;
    int open_handles;
    struct rb_signal winch;
    bool winch_on;
    size_t columns, rows;
    bool colour, utf8;
    bool scheduled, ended;
    uint64_t painted_at; /* uv_now */
    struct line lines[MAX_LINES];
    size_t n;               /* lines of the frame on the screen */
    struct rb_buf above;    /* lines to print for good before the next frame */
    char *block, *question; /* open question; NULL */
    bool question_drawn;
};

static void measure(struct tty *t)
{
    struct winsize ws;
    t->columns = 80;
    t->rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 && ws.ws_row > 0) {
        t->columns = ws.ws_col;
        t->rows = ws.ws_row;
    }
    if (t->columns < 20)
        t->columns = 20;
}

/* -- a row --------------------------------------------------------------------------------------------------------- */

static void colour(const struct tty *t, struct rb_buf *out, enum colour c)
{
    static const char *const codes[] = {"0", "2", "1", "32", "31", "33", "36"};
    if (t->colour)
        rb_buf_addf(out, "\x1b[%sm", codes[c]);
}

static const char *sign_of(const struct tty *t, const struct rb_node *p, enum colour *c)
{
    static const struct {
        const char *utf8, *ascii;
        enum colour colour;
    } signs[] = {
        [RB_NODE_RUNNING] = {"\xe2\x96\xb8", ">", CYAN},
        [RB_NODE_WAITS] = {"\xe2\x80\xa6", "~", YELLOW},
        [RB_NODE_DOUBT] = {"!", "!", RED},
        [RB_NODE_STOPPED] = {"\xe2\x96\xa0", "=", YELLOW},
        [RB_NODE_PASS] = {"\xe2\x9c\x93", "+", GREEN},
        [RB_NODE_FAIL] = {"\xe2\x9c\x97", "x", RED},
        [RB_NODE_SKIP] = {"-", "-", DIM},
        [RB_NODE_WOULD] = {"\xc2\xb7", ".", YELLOW},
    };
    bool asks = p->state == RB_NODE_WAITS && rb_node_decision(p);
    *c = signs[p->state].colour;
    return asks ? "?" : t->utf8 ? signs[p->state].utf8 : signs[p->state].ascii;
}

static void time_of(const struct rb_node *p, char out[32])
{
    char span[16];
    int64_t now = rb_clock_wall();
    out[0] = '\0';
    if (p->type == RB_NODE_BRANCH)
        return;
    if (p->state == RB_NODE_WAITS && p->until) {
        rb_clock_span(p->until - now > 0 ? (p->until - now + 999999) / 1000000 * 1000000 : 0, span);
        snprintf(out, 32, "%s left", span);
    } else if (p->started) {
        int64_t us = (p->ended ? p->ended : now) - p->started;
        if (!p->ended && us < 1000000)
            return;
        rb_clock_span(p->ended ? us : us / 1000000 * 1000000, span);
        snprintf(out, 32, "%s", span);
    }
}

/* Adds one row, no wider than the terminal. Returns its width. */
static size_t draw_row(const struct tty *t, const struct row *r, struct rb_buf *out)
{
    const struct rb_node *p = r->node;
    enum colour c;
    char when[32];
    size_t room = t->columns - 1, width = 0;
    size_t indent = (size_t)r->depth * 2 < room / 2 ? (size_t)r->depth * 2 : room / 2;
    const char *sign = sign_of(t, p, &c);
    const char *more = p->state >= RB_NODE_FAIL ? p->error : p->last;
    struct rb_buf title;
    rb_buf_init(&title, 16 << 10);
    if (p->stage && *p->stage)
        rb_buf_addf(&title, "%s: ", p->stage);
    if (p->state == RB_NODE_DOUBT)
        rb_buf_adds(&title, "in doubt: ");
    if (p->would)
        rb_buf_adds(&title, "would: ");
    rb_buf_adds(&title, rb_node_text(p));
    if (p->twice)
        rb_buf_adds(&title, " (may have run twice)");
    time_of(p, when);
    rb_text_pad(out, indent);
    width += indent;
    if (p->type == RB_NODE_BRANCH) {
        sign = t->utf8 ? "\xc2\xb7" : "."; /* a branch has no verdict of its own */
        c = DIM;
    }
    colour(t, out, c);
    rb_buf_adds(out, sign);
    colour(t, out, PLAIN);
    rb_buf_addc(out, ' ');
    width += 2;
    size_t keep = *when ? strlen(when) + 2 : 0;
    if (p->type != RB_NODE_OP && p->type != RB_NODE_BRANCH)
        colour(t, out, BOLD);
    width += rb_text_fit(out, rb_buf_text(&title), title.len, room - width > keep ? room - width - keep : 1);
    colour(t, out, PLAIN);
    if (*when && room - width >= keep) {
        colour(t, out, DIM);
        rb_buf_addf(out, "  %s", when);
        colour(t, out, PLAIN);
        width += keep;
    }
    if (more && *more && room > width + 10) {
        rb_buf_adds(out, "  ");
        colour(t, out, p->state == RB_NODE_FAIL ? RED : DIM);
        width += 2 + rb_text_fit(out, more, strlen(more), room - width - 2);
        colour(t, out, PLAIN);
    }
    rb_buf_release(&title);
    return width;
}

/* -- what is drawn ------------------------------------------------------------------------------------------------- */

static bool is_over(const struct rb_node *p)
{
    if (p->type == RB_NODE_BRANCH) {
        RB_LIST_EACH (it, &p->children)
            if (!is_over(RB_CONTAINER(it, struct rb_node, link)))
                return false;
        return true;
    }
    return p->state >= RB_NODE_PASS;
}

/* Below a step, operations that went well say nothing that the step does not. */
static bool is_worth(const struct tty *t, const struct rb_node *p)
{
    bool quiet = p->type == RB_NODE_OP && p->state == RB_NODE_PASS && !p->would && !p->twice && p->parent->parent &&
                 t->base.cli->verbose <= 0;
    if (p->type == RB_NODE_BRANCH) {
        RB_LIST_EACH (it, &p->children)
            if (is_worth(t, RB_CONTAINER(it, struct rb_node, link)))
                return true;
        return false;
    }
    return !quiet;
}

static void print_tree(struct tty *t, const struct rb_node *p, int depth)
{
    struct row r = {p, depth};
    if (!is_worth(t, p))
        return;
    draw_row(t, &r, &t->above);
    rb_buf_addc(&t->above, '\n');
    RB_LIST_EACH (it, &p->children)
        print_tree(t, RB_CONTAINER(it, struct rb_node, link), depth + 1);
}

/* Top-level parts that are over, as far as everything before them is, are printed for good. all: whatever is left,
 * too. */
static void print_finished(struct tty *t, bool all)
{
    RB_LIST_EACH (it, &t->base.view->root.children) {
        struct rb_node *p = RB_CONTAINER(it, struct rb_node, link);
        if (p->shown)
            continue;
        if (!all && !is_over(p))
            return;
        p->shown = true;
        print_tree(t, p, 0);
    }
}

static void collect(const struct tty *t, const struct rb_node *p, int depth, struct row *rows, size_t *n)
{
    RB_LIST_EACH (it, &p->children) {
        const struct rb_node *c = RB_CONTAINER(it, struct rb_node, link);
        if (c->shown || !is_worth(t, c) || *n >= MAX_LINES)
            continue;
        rows[(*n)++] = (struct row){c, depth};
        collect(t, c, depth + 1, rows, n);
    }
}

static void add_line(struct line *lines, size_t *n, struct rb_buf *text, size_t width)
{
    lines[*n].text = text->len ? rb_buf_detach(text) : rb_strdup("");
    lines[*n].width = width;
    (*n)++;
    rb_buf_release(text);
}

static void add_note(const struct tty *t, struct line *lines, size_t *n, size_t count, const char *what)
{
    struct rb_buf b;
    rb_buf_init(&b, 256);
    colour(t, &b, DIM);
    rb_buf_addf(&b, "  %s %zu %s", t->utf8 ? "\xe2\x80\xa6" : "...", count, what);
    colour(t, &b, PLAIN);
    add_line(lines, n, &b, 0);
}

/* The frame: at most `most` lines; what is over goes first when there is too much. */
static size_t compose(struct tty *t, struct line *lines, size_t most)
{
    static struct row rows[MAX_LINES]; /* one terminal in a process, one thread */
    size_t count = 0, n = 0, dropped = 0, excess;
    collect(t, &t->base.view->root, 0, rows, &count);
    excess = count > most ? count - most + 1 : 0;
    for (size_t i = 0; i < count; i++) {
        struct rb_buf b;
        if (dropped < excess && is_over(rows[i].node) && rows[i].node->state != RB_NODE_FAIL) {
            dropped++;
            continue;
        }
        if (dropped && n == 0)
            add_note(t, lines, &n, dropped, "finished");
        if (n + 1 >= most && i + 1 < count) {
            add_note(t, lines, &n, count - i, "more");
            break;
        }
        rb_buf_init(&b, 64 << 10);
        size_t width = draw_row(t, &rows[i], &b);
        add_line(lines, &n, &b, width);
    }
    return n;
}

/* -- painting ------------------------------------------------------------------------------------------------------ */

static size_t rows_of(const struct tty *t, size_t width)
{
    return width > t->columns ? (width + t->columns - 1) / t->columns : 1;
}

static size_t count_rows(const struct tty *t, const char *block)
{
    size_t rows = 0, n;
    const char *line;
    while (rb_text_next(&block, &line, &n))
        rows += rows_of(t, rb_text_width(line, n));
    return rows;
}

/* Screen rows from the top of the frame to the cursor. After a narrower window a line may take several. */
static size_t height(const struct tty *t)
{
    size_t rows = 0;
    for (size_t i = 0; i < t->n; i++)
        rows += rows_of(t, t->lines[i].width);
    return rows + (t->question_drawn ? count_rows(t, t->block) : 0);
}

static void up(struct rb_buf *out, size_t rows)
{
    rb_buf_addc(out, '\r');
    if (rows)
        rb_buf_addf(out, "\x1b[%zuA", rows);
}

static void forget_lines(struct tty *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->lines[i].text);
    t->n = 0;
}

/* The shell has the terminal (the run is in the background), or it takes no more output (Ctrl-S): draw nothing now. */
static bool may_draw(void)
{
    struct pollfd p = {STDOUT_FILENO, POLLOUT, 0};
    pid_t front = tcgetpgrp(STDOUT_FILENO);
    return (front < 0 || front == getpgrp()) && poll(&p, 1, 0) == 1;
}

static void draw_question(struct tty *t, struct rb_buf *out)
{
    if (t->block)
        rb_buf_adds(out, t->block);
    colour(t, out, BOLD);
    rb_buf_adds(out, t->question);
    colour(t, out, PLAIN);
    t->question_drawn = true;
}

/* While a person types, only lines that changed are written, in place, and the cursor goes back. */
static void repaint_above_question(struct tty *t, struct line *fresh, size_t n, struct rb_buf *out)
{
    size_t from_cursor = height(t);
    rb_buf_adds(out, "\x1b"
                     "7");
    up(out, from_cursor);
    for (size_t i = 0; i < t->n; i++) {
        const char *text = i < n ? fresh[i].text : "";
        if (strcmp(text, t->lines[i].text) != 0)
            rb_buf_addf(out, "\r%s\x1b[K", text);
        rb_buf_addf(out, "\x1b[%zuB", rows_of(t, t->lines[i].width));
    }
    rb_buf_adds(out, "\x1b"
                     "8");
    for (size_t i = n; i < t->n; i++)
        fresh[i] = (struct line){rb_strdup(""), 0};
}

static void paint(struct tty *t, bool force)
{
    static struct line fresh[MAX_LINES];
    struct rb_buf out;
    size_t reserve = 2 + (t->question ? count_rows(t, t->block) + 1 : 0);
    size_t most = t->rows > reserve + 3 ? t->rows - reserve : 3, n;
    if (!force && !may_draw())
        return;
    t->painted_at = uv_now(&t->loop->uv);
    rb_buf_init(&out, 4 << 20);
    if (t->question_drawn) {
        n = compose(t, fresh, t->n ? t->n : 1);
        if (n > t->n)
            n = t->n;
        size_t all = t->n;
        repaint_above_question(t, fresh, n, &out);
        forget_lines(t);
        n = all;
    } else {
        bool whole = t->above.len > 0;
        print_finished(t, false);
        whole = whole || t->above.len > 0;
        n = compose(t, fresh, most < MAX_LINES ? most : MAX_LINES);
        up(&out, height(t));
        const char *rest = rb_buf_text(&t->above), *line;
        size_t len;
        while (rb_text_next(&rest, &line, &len)) {
            rb_buf_add(&out, line, len);
            rb_buf_adds(&out, "\x1b[K\n");
        }
        rb_buf_reset(&t->above);
        for (size_t i = 0; i < n; i++) {
            bool same =
                !whole && i < t->n && t->lines[i].width < t->columns && strcmp(fresh[i].text, t->lines[i].text) == 0;
            rb_buf_addf(&out, same ? "%s\n" : "%s\x1b[K\n", same ? "" : fresh[i].text);
        }
        if (whole || n < t->n)
            rb_buf_adds(&out, "\x1b[J");
        forget_lines(t);
        if (t->question)
            draw_question(t, &out);
    }
    memcpy(t->lines, fresh, n * sizeof(*fresh));
    t->n = n;
    rb_cli_write(STDOUT_FILENO, rb_buf_text(&out), out.len);
    rb_buf_release(&out);
}

static void on_timer(uv_timer_t *h)
{
    struct tty *t = h->data;
    t->scheduled = false;
    paint(t, false);
    uv_timer_start(&t->timer, on_timer, TICK_MS, 0);
}

static void touch(struct tty *t)
{
    uint64_t since = uv_now(&t->loop->uv) - t->painted_at;
    if (t->scheduled || t->ended)
        return;
    t->scheduled = true;
    uv_timer_start(&t->timer, on_timer, !t->painted_at ? FIRST_MS : since < FRAME_MS ? FRAME_MS - since : 0, 0);
}

static void on_winch(struct rb_signal *s, int signum)
{
    struct tty *t = RB_CONTAINER(s, struct tty, winch);
    (void)signum;
    measure(t);
    for (size_t i = 0; i < t->n; i++) /* so that no line counts as unchanged */
        *t->lines[i].text = '\0';
    touch(t);
}

/* -- the display's functions --------------------------------------------------------------------------------------- */

static void print_above(struct tty *t, const char *prefix, const json_t *value)
{
    const char *text = rb_text_of(value);
    rb_buf_adds(&t->above, prefix);
    if (text)
        rb_text_block(&t->above, text, strlen(text), "  ");
    else
        rb_text_value(&t->above, value);
    rb_buf_addc(&t->above, '\n');
}

static void on_event(struct rb_display *d, const struct rb_event *ev, struct rb_node *node, const json_t *data)
{
    struct tty *t = (struct tty *)d;
    (void)node;
    if (strcmp(ev->kind, "log") == 0) {
        const char *level = json_string_value(json_object_get(data, "level"));
        print_above(t, level && strcmp(level, "warn") == 0 ? "warning: " : "", json_object_get(data, "text"));
    } else if (strcmp(ev->kind, "run.start") == 0) {
        colour(t, &t->above, BOLD);
        rb_buf_adds(&t->above, d->view->title ? d->view->title : d->view->runbook ? d->view->runbook : "");
        colour(t, &t->above, PLAIN);
        colour(t, &t->above, DIM);
        rb_buf_addf(&t->above, "  run %s%s", d->view->id, d->view->dry ? ", dry: effects are only listed" : "");
        colour(t, &t->above, PLAIN);
        if (d->view->environment || d->view->destructive) {
            colour(t, &t->above, BOLD);
            rb_buf_addf(&t->above, "  %s%s%s", d->view->environment ? d->view->environment : "",
                        d->view->environment && d->view->destructive ? ", " : "",
                        d->view->destructive ? "destructive" : "");
            colour(t, &t->above, PLAIN);
        }
        rb_buf_addc(&t->above, '\n');
    }
    touch(t);
}

static void on_output(struct rb_display *d, int64_t op, const char *key, int stream, const char *data, size_t n)
{
    (void)op;
    (void)key;
    (void)stream;
    (void)data;
    (void)n;
    touch((struct tty *)d);
}

static void on_hide(struct rb_display *d)
{
    struct tty *t = (struct tty *)d;
    struct rb_buf out;
    rb_buf_init(&out, 256);
    up(&out, height(t));
    rb_buf_adds(&out, "\x1b[J");
    forget_lines(t);
    t->question_drawn = false;
    rb_cli_write(STDOUT_FILENO, rb_buf_text(&out), out.len);
    rb_buf_release(&out);
}

static void on_show(struct rb_display *d)
{
    struct tty *t = (struct tty *)d;
    if (t->ended)
        return;
    measure(t);
    paint(t, false); /* not over the shell: a run that was continued in the background */
    touch(t);
}

static void on_ask(struct rb_display *d, const char *block, const char *question)
{
    struct tty *t = (struct tty *)d;
    if (t->ended) {
        rb_cli_write(STDOUT_FILENO, block ? block : "", block ? strlen(block) : 0);
        rb_cli_write(STDOUT_FILENO, question, strlen(question));
        return;
    }
    t->block = rb_strdup(block);
    t->question = rb_strdup(question);
    paint(t, true);
}

/* The question and its answer stay on the screen, above the tree. */
static void on_asked(struct rb_display *d, const char *line)
{
    struct tty *t = (struct tty *)d;
    struct rb_buf out;
    if (!t->question)
        return;
    size_t rows = height(t);
    if (line) /* the echo has moved the cursor to the next row */
        rows += rows_of(t, rb_text_width(t->question, strlen(t->question)) + rb_text_width(line, strlen(line)) + 1);
    rb_buf_init(&out, 256);
    up(&out, rows);
    rb_buf_adds(&out, "\x1b[J");
    rb_cli_write(STDOUT_FILENO, rb_buf_text(&out), out.len);
    rb_buf_release(&out);
    if (t->block)
        rb_buf_adds(&t->above, t->block);
    rb_buf_adds(&t->above, t->question);
    if (line)
        rb_text_line(&t->above, line, strlen(line));
    else
        rb_buf_adds(&t->above, "(withdrawn)");
    rb_buf_addc(&t->above, '\n');
    forget_lines(t);
    free(t->block);
    free(t->question);
    t->block = t->question = NULL;
    t->question_drawn = false;
    touch(t);
}

static void on_end(struct rb_display *d, int exit_code, const char *next)
{
    struct tty *t = (struct tty *)d;
    struct rb_view *v = d->view;
    (void)next;
    if (t->question)
        on_asked(d, NULL);
    print_finished(t, true);
    if (exit_code == RB_EXIT_OK) {
        char span[16];
        rb_clock_span((v->ended ? v->ended : rb_clock_wall()) - v->started, span);
        colour(t, &t->above, GREEN);
        rb_buf_addf(&t->above, "%s", v->status);
        colour(t, &t->above, PLAIN);
        rb_buf_addf(&t->above, " in %s: run %s; `%s show %s` shows it\n", span, v->id, rb_cli_self(d->cli), v->id);
    }
    paint(t, true);
    t->ended = true;
    uv_timer_stop(&t->timer);
}

static void drop(struct tty *t)
{
    if (--t->open_handles)
        return;
    forget_lines(t);
    rb_buf_release(&t->above);
    free(t->block);
    free(t->question);
    free(t);
}

static void on_timer_closed(uv_handle_t *h)
{
    drop(h->data);
}

static void on_winch_closed(uv_handle_t *h)
{
    drop(RB_CONTAINER(RB_CONTAINER(h, struct rb_signal, handle), struct tty, winch));
}

static void on_free(struct rb_display *d)
{
    struct tty *t = (struct tty *)d;
    if (t->winch_on) {
        rb_list_remove(&t->winch.link);
        uv_close((uv_handle_t *)&t->winch.handle, on_winch_closed);
    }
    uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

struct rb_display *rb_tty_new(struct rb_cli *cli, struct rb_view *view, struct rb_loop *loop)
{
    struct tty *t = rb_alloc(sizeof(*t));
    t->base = (struct rb_display){
        .cli = cli,
        .view = view,
        .event = on_event,
        .output = on_output,
        .hide = on_hide,
        .show = on_show,
        .ask = on_ask,
        .asked = on_asked,
        .end = on_end,
        .free = on_free,
    };
    t->loop = loop;
    t->colour = rb_cli_color(cli, STDOUT_FILENO);
    t->utf8 = rb_text_locale();
    rb_buf_init(&t->above, 16 << 20);
    measure(t);
    uv_timer_init(&loop->uv, &t->timer);
    t->timer.data = t;
    t->open_handles = 1;
    t->winch.on_signal = on_winch;
    if (rb_loop_signal_add(loop, &t->winch, SIGWINCH, NULL) == 0) {
        t->winch_on = true;
        t->open_handles++;
    }
    return &t->base;
}
