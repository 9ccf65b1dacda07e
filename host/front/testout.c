/* Owns how the results of tests look. Text and TAP are written as they come; JUnit's XML when all is known. */
#include "front/testout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "front/text.h"

enum format { FORMAT_TEXT, FORMAT_TAP, FORMAT_JUNIT, FORMAT_JSON };

struct suite {
    char *file;
    struct rb_buf cases; /* XML */
    int tests, failed, skipped;
    double seconds;
};

struct rb_testout {
    struct rb_cli *cli;
    enum format format;
    int passed, failed, skipped;
    bool closed, color;
    struct suite *suites;
    size_t count;
};

struct rb_testout *rb_testout_new(struct rb_cli *cli, const char *format)
{
    struct rb_testout *o = rb_alloc(sizeof(*o));
    o->cli = cli;
    o->format = cli->json > 0                  ? FORMAT_JSON
                : strcmp(format, "tap") == 0   ? FORMAT_TAP
                : strcmp(format, "junit") == 0 ? FORMAT_JUNIT
                                               : FORMAT_TEXT;
    o->color = rb_cli_color(cli, STDOUT_FILENO);
    return o;
}

static void put(struct rb_testout *o, struct rb_buf *b)
{
    if (b->len && !o->closed)
        o->closed = !rb_cli_write(STDOUT_FILENO, b->data, b->len);
    rb_buf_release(b);
}

/* Text of several lines, each behind `indent`. */
static void add_block(struct rb_buf *out, const char *indent, const char *text)
{
    if (!text || !*text)
        return;
    rb_buf_adds(out, indent);
    rb_text_block(out, text, strlen(text), indent);
    rb_buf_addc(out, '\n');
}

/* -- XML ----------------------------------------------------------------------------------------------------------- */

/* What XML 1.0 can not hold (control characters, bytes that are no UTF-8) is made harmless first. */
static void add_xml(struct rb_buf *out, const char *text)
{
    struct rb_buf clean;
    rb_buf_init(&clean, 16 << 20);
    rb_text_block(&clean, text, strlen(text), "");
    for (const char *p = rb_buf_text(&clean); *p; p++) {
        switch (*p) {
        case '<': rb_buf_adds(out, "&lt;"); break;
        case '>': rb_buf_adds(out, "&gt;"); break;
        case '&': rb_buf_adds(out, "&amp;"); break;
        case '"': rb_buf_adds(out, "&quot;"); break;
        case '\n': rb_buf_adds(out, "&#10;"); break;
        default: rb_buf_addc(out, *p);
        }
    }
    rb_buf_release(&clean);
}

static void add_attribute(struct rb_buf *out, const char *name, const char *value)
{
    rb_buf_addf(out, " %s=\"", name);
    add_xml(out, value);
    rb_buf_addc(out, '"');
}

static void add_element(struct rb_buf *out, const char *name, const char *attribute, const char *text)
{
    rb_buf_addf(out, "      <%s", name);
    if (attribute)
        add_attribute(out, "message", attribute);
    rb_buf_addc(out, '>');
    add_xml(out, text);
    rb_buf_addf(out, "</%s>\n", name);
}

static void add_case(struct suite *s, const struct rb_test_result *r)
{
    struct rb_buf *out = &s->cases, what;
    const char *dot = strchr(r->name, '.');
    char class[200];
    snprintf(class, sizeof(class), "%.*s", dot ? (int)(dot - r->name) : 0, r->name);
    s->tests++;
    s->seconds += r->seconds;
    rb_buf_adds(out, "    <testcase");
    add_attribute(out, "classname", dot ? class : s->file);
    add_attribute(out, "name", dot ? dot + 1 : r->name);
    rb_buf_addf(out, " time=\"%.3f\">\n", r->seconds);
    if (strcmp(r->status, "fail") == 0) {
        s->failed++;
        rb_buf_init(&what, 16 << 20);
        rb_buf_addf(&what, "%s\n%s", r->message ? r->message : "", r->trace ? r->trace : "");
        add_element(out, "failure", r->message ? r->message : "", rb_buf_text(&what));
        rb_buf_release(&what);
    } else if (strcmp(r->status, "skip") == 0) {
        s->skipped++;
        add_element(out, "skipped", r->message ? r->message : "", "");
    }
    if (*r->printed)
        add_element(out, "system-out", NULL, r->printed);
    rb_buf_adds(out, "    </testcase>\n");
}

static void end_xml(struct rb_testout *o)
{
    struct rb_buf out;
    double seconds = 0;
    rb_buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0; i < o->count; i++)
        seconds += o->suites[i].seconds;
    rb_buf_adds(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    rb_buf_addf(&out, "<testsuites tests=\"%d\" failures=\"%d\" skipped=\"%d\" time=\"%.3f\">\n",
                o->passed + o->failed + o->skipped, o->failed, o->skipped, seconds);
    for (size_t i = 0; i < o->count; i++) {
        struct suite *s = &o->suites[i];
        rb_buf_adds(&out, "  <testsuite");
        add_attribute(&out, "name", s->file);
        rb_buf_addf(&out, " tests=\"%d\" failures=\"%d\" errors=\"0\" skipped=\"%d\" time=\"%.3f\">\n", s->tests,
                    s->failed, s->skipped, s->seconds);
        rb_buf_add(&out, rb_buf_text(&s->cases), s->cases.len);
        rb_buf_adds(&out, "  </testsuite>\n");
    }
    rb_buf_adds(&out, "</testsuites>\n");
    put(o, &out);
}

/* -- as they come -------------------------------------------------------------------------------------------------- */

void rb_testout_file(struct rb_testout *o, const char *file)
{
    struct rb_buf out;
    struct suite *suites = rb_alloc((o->count + 1) * sizeof(*suites));
    if (o->count)
        memcpy(suites, o->suites, o->count * sizeof(*suites));
    free(o->suites);
    o->suites = suites;
    suites[o->count] = (struct suite){.file = rb_strdup(file)};
    rb_buf_init(&suites[o->count++].cases, SIZE_MAX / 2);
    rb_buf_init(&out, 8192);
    if (o->format == FORMAT_TAP || (o->format == FORMAT_TEXT && o->cli->quiet <= 0)) {
        rb_buf_adds(&out, o->format == FORMAT_TAP ? "# " : "");
        rb_text_line(&out, file, strlen(file));
        rb_buf_addc(&out, '\n');
    }
    put(o, &out);
}

static void add_text(struct rb_testout *o, struct rb_buf *out, const struct rb_test_result *r)
{
    bool bad = strcmp(r->status, "fail") == 0;
    if (!bad && o->cli->quiet > 0)
        return;
    const char *color = !o->color ? "" : bad ? "\033[31m" : "\033[32m", *plain = o->color ? "\033[0m" : "";
    rb_buf_addf(out, "  %s%-4s%s  ", color, bad ? "FAIL" : strcmp(r->status, "skip") == 0 ? "skip" : "ok", plain);
    rb_text_line(out, r->name, strlen(r->name));
    rb_buf_addc(out, '\n');
    add_block(out, "        | ", r->printed);
    add_block(out, "        ", r->message);
    add_block(out, "        ", bad ? r->trace : NULL);
}

static void add_json(struct rb_buf *out, const struct rb_test_result *r)
{
    struct rb_json j;
    const char *const fields[][2] = {{"file", r->file},     {"name", r->name},
                                     {"status", r->status}, {"message", r->message},
                                     {"trace", r->trace},   {"printed", *r->printed ? r->printed : NULL}};
    rb_json_init(&j, out);
    rb_json_object(&j);
    for (size_t i = 0; i < RB_COUNT(fields); i++) {
        if (!fields[i][1])
            continue;
        rb_json_key(&j, fields[i][0]);
        rb_json_string(&j, fields[i][1], strlen(fields[i][1]));
    }
    rb_json_kint(&j, "us", (int64_t)(r->seconds * 1e6));
    rb_json_end_object(&j);
    rb_buf_addc(out, '\n');
}

static void add_tap(struct rb_testout *o, struct rb_buf *out, const struct rb_test_result *r)
{
    bool skip = strcmp(r->status, "skip") == 0;
    rb_buf_addf(out, "%sok %d - ", strcmp(r->status, "fail") == 0 ? "not " : "", o->passed + o->failed + o->skipped);
    rb_text_line(out, r->name, strlen(r->name));
    if (skip) {
        rb_buf_adds(out, " # SKIP ");
        rb_text_line(out, r->message ? r->message : "", r->message ? strlen(r->message) : 0);
    }
    rb_buf_addc(out, '\n');
    add_block(out, "#   | ", r->printed);
    if (!skip)
        add_block(out, "#   ", r->message);
    add_block(out, "#   ", skip ? NULL : r->trace);
}

void rb_testout_result(struct rb_testout *o, const struct rb_test_result *r)
{
    struct rb_buf out;
    rb_buf_init(&out, 64 << 20);
    *(strcmp(r->status, "fail") == 0 ? &o->failed : strcmp(r->status, "skip") == 0 ? &o->skipped : &o->passed) += 1;
    if (o->format == FORMAT_JUNIT)
        add_case(&o->suites[o->count - 1], r);
    else if (o->format == FORMAT_JSON)
        add_json(&out, r);
    else if (o->format == FORMAT_TAP)
        add_tap(o, &out, r);
    else
        add_text(o, &out, r);
    put(o, &out);
}

void rb_testout_broken(struct rb_testout *o, const char *file, const char *why)
{
    if (o->format != FORMAT_TEXT)
        rb_testout_result(o, &(struct rb_test_result){
                                 .file = file, .name = "(the file)", .status = "fail", .message = why, .printed = ""});
}

bool rb_testout_end(struct rb_testout *o, bool *closed)
{
    bool failed = o->failed > 0;
    struct rb_buf out;
    rb_buf_init(&out, 200);
    if (o->format == FORMAT_JUNIT)
        end_xml(o);
    else if (o->format == FORMAT_TAP)
        rb_buf_addf(&out, "1..%d\n", o->passed + o->failed + o->skipped);
    else if (o->format == FORMAT_TEXT)
        rb_buf_addf(&out, "%d passed, %d failed", o->passed, o->failed);
    if (o->format == FORMAT_TEXT && o->skipped)
        rb_buf_addf(&out, ", %d skipped", o->skipped);
    if (o->format == FORMAT_TEXT)
        rb_buf_addc(&out, '\n');
    put(o, &out);
    *closed = o->closed;
    for (size_t i = 0; i < o->count; i++) {
        free(o->suites[i].file);
        rb_buf_release(&o->suites[i].cases);
    }
    free(o->suites);
    free(o);
    return failed;
}
