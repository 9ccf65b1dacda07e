/* Owns the reading of a statement's text: where a parameter stands, and where only something that looks like one.
 * PostgreSQL knows $1; a name (:name) is written for people and becomes a number here. Lexical rules: "Lexical
 * Structure" of PostgreSQL's manual. Knows no connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "io/sql_pg.h"

#define NUMBER_MAX 65535 /* the protocol counts parameters in 16 bits */

static bool starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool in_name(char c)
{
    return starts_name(c) || is_digit(c);
}

/* Each skip_ is given the first character of its thing and returns what follows it; one that is not closed goes to the
 * end, and the server says what it thinks of it. */

static const char *skip_quoted(const char *p, bool backslash)
{
    char quote = *p++;
    for (; *p; p++) {
        if (backslash && *p == '\\' && p[1])
            p++;
        else if (*p == quote && p[1] == quote)
            p++;
        else if (*p == quote)
            return p + 1;
    }
    return p;
}

static const char *skip_comment(const char *p) /* these nest */
{
    int depth = 0;
    while (*p) {
        if (p[0] == '/' && p[1] == '*') {
            depth++;
            p += 2;
        } else if (p[0] == '*' && p[1] == '/') {
            p += 2;
            if (--depth == 0)
                return p;
        } else {
            p++;
        }
    }
    return p;
}

/* $tag$ … $tag$; p itself when it is not the beginning of one. */
static const char *skip_dollar(const char *p)
{
    const char *end = p + 1;
    if (starts_name(*end))
        while (in_name(*end))
            end++;
    if (*end != '$')
        return p;
    size_t n = (size_t)(end + 1 - p);
    for (const char *q = end + 1; *q; q++)
        if (*q == '$' && strncmp(q, p, n) == 0)
            return q + n;
    return p + strlen(p);
}

static const char *skip_name(const char *p)
{
    const char *from = p;
    while (in_name(*p) || *p == '$')
        p++;
    if (p - from == 1 && (*from == 'e' || *from == 'E') && *p == '\'')
        return skip_quoted(p, true);
    return p;
}

/* What can not hold a parameter; p itself when one may stand here. */
static const char *skip(const char *p)
{
    if (*p == '\'' || *p == '"')
        return skip_quoted(p, false);
    if (p[0] == '-' && p[1] == '-')
        return p + strcspn(p, "\n");
    if (p[0] == '/' && p[1] == '*')
        return skip_comment(p);
    if (starts_name(*p))
        return skip_name(p);
    if (*p == '$' && !is_digit(p[1]))
        return skip_dollar(p);
    if (p[0] == ':' && (p[1] == ':' || p[1] == '='))
        return p + 2;
    return p;
}

/* -- what it is ---------------------------------------------------------------------------------------------------- */

/* Behind blanks, comments and brackets. */
static const char *first_word(const char *p)
{
    for (;;) {
        const char *after = p + strspn(p, " \t\r\n\f\v(");
        if ((after[0] == '-' && after[1] == '-') || (after[0] == '/' && after[1] == '*'))
            after = skip(after);
        if (after == p)
            return p;
        p = after;
    }
}

static bool is_word(const char *p, const char *word)
{
    size_t n = strlen(word);
    return strncasecmp(p, word, n) == 0 && !in_name(p[n]) && p[n] != '$';
}

/* Is the word in it, outside of texts, names in quotes and comments? */
static bool has_word(const char *p, const char *word)
{
    while (*p) {
        if (starts_name(*p) && is_word(p, word))
            return true;
        const char *after = skip(p);
        p = after == p ? p + 1 : after;
    }
    return false;
}

/* A session that only reads says no to statements that write, but its transaction can be told otherwise before its
 * first query: by SET, and by COMMIT within DO and CALL. */
static bool may_look(const char *word)
{
    static const char *const words[] = {"SELECT", "VALUES", "TABLE", "WITH", "SHOW", "EXPLAIN", "FETCH",
                                        /* the server's own no to these says more */
                                        "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "ALTER", "DROP", "TRUNCATE",
                                        "GRANT", "REVOKE"};
    for (size_t i = 0; i < RB_COUNT(words); i++)
        if (is_word(word, words[i]))
            return true;
    return !*word || *word == ';'; /* empty, which the server says */
}

bool rb_pg_text_refused(const char *text, bool read, struct rb_sql_failure *f)
{
    const char *word = first_word(text);
    if (read && !may_look(word)) {
        int n = 0;
        while (in_name(word[n]) && n < 40)
            n++;
        rb_sql_fail(f, "sql.readonly",
                    "a read begins with SELECT, VALUES, TABLE, WITH, SHOW, EXPLAIN or FETCH, and this with %.*s",
                    n ? n : 1, word);
        snprintf(f->hint, sizeof(f->hint), "exec(…) is for statements that may change something");
    } else if (is_word(word, "COPY") && (has_word(word, "STDIN") || has_word(word, "STDOUT"))) {
        rb_sql_fail(f, "usage", "COPY from STDIN and to STDOUT is not to be had here; use INSERT and SELECT");
    } else {
        return false;
    }
    f->not_started = true;
    return true;
}

/* Words at the beginning of a statement that end the transaction of a script, or begin another: then it would no longer
 * be all or nothing. ROLLBACK TO does not. The END of a function's body (BEGIN ATOMIC … END) ends no transaction. */
static bool ends_transaction(const char *p, bool atomic)
{
    static const char *const words[] = {"BEGIN", "START", "COMMIT", "ABORT"};
    for (size_t i = 0; i < RB_COUNT(words); i++)
        if (is_word(p, words[i]))
            return true;
    if (is_word(p, "END"))
        return !atomic;
    if (!is_word(p, "ROLLBACK"))
        return false;
    for (; *p && *p != ';'; p++)
        if (*p == ' ' && is_word(p + 1, "TO"))
            return false;
    return true;
}

bool rb_pg_script_refused(const char *text, struct rb_sql_failure *f)
{
    bool begins = true, atomic = false;
    for (const char *p = text; *p;) {
        const char *after = skip(p);
        if (begins && starts_name(*p)) {
            if (ends_transaction(p, atomic)) {
                rb_sql_fail(f, "usage", "%.*s is not for a script, which is all or nothing; db:tx(fn) is a transaction",
                            (int)(after - p), p);
                f->not_started = true;
                return true;
            }
            atomic = atomic && !is_word(p, "END");
            begins = false;
        } else if (starts_name(*p) && is_word(p, "ATOMIC")) {
            atomic = true;
        }
        begins = begins || *p == ';';
        p = after == p ? p + 1 : after;
    }
    return false;
}

bool rb_pg_text_several(const char *p)
{
    for (bool ended = false; *p;) {
        const char *after = skip(p);
        bool comment = (p[0] == '-' && p[1] == '-') || (p[0] == '/' && p[1] == '*');
        if (*p == ';')
            ended = true;
        else if (ended && !comment && !strchr(" \t\r\n\f\v", *p))
            return true;
        p = after == p ? p + 1 : after;
    }
    return false;
}

/* -- parameters ---------------------------------------------------------------------------------------------------- */

static int characters(const char *from, const char *to)
{
    int n = 0;
    for (; from < to; from++)
        n += ((unsigned char)*from & 0xC0) != 0x80;
    return n;
}

static bool wrong(struct rb_sql_failure *f)
{
    f->not_started = true;
    return false;
}

struct reader {
    const struct rb_sql_param *params;
    size_t count;
    bool named;
    struct pg_text *out;
    struct rb_buf buf;
    size_t highest; /* of $n */
    int sent, own;  /* characters before here */
};

/* The number of a name: a new one gets the next. 0: nobody gave it a value. */
static size_t number_of(struct reader *r, const char *name, size_t len)
{
    struct pg_text *t = r->out;
    for (size_t n = 0; n < t->count; n++) {
        const char *known = r->params[t->order[n]].name;
        if (strlen(known) == len && memcmp(known, name, len) == 0)
            return n + 1;
    }
    for (size_t i = 0; i < r->count; i++) {
        if (strlen(r->params[i].name) == len && memcmp(r->params[i].name, name, len) == 0) {
            t->order[t->count++] = i;
            return t->count;
        }
    }
    return 0;
}

static void note_edit(struct reader *r)
{
    struct pg_text *t = r->out;
    t->edits = rb_realloc(t->edits, (t->edit_count + 1) * sizeof(*t->edits));
    t->edits[t->edit_count++] = (struct pg_edit){.sent = r->sent + 1, .own = r->own + 1};
}

static const char *copy(struct reader *r, const char *from, const char *to)
{
    int n = characters(from, to);
    rb_buf_add(&r->buf, from, (size_t)(to - from));
    r->sent += n;
    r->own += n;
    return to;
}

/* p is behind the colon. */
static const char *read_name(struct reader *r, const char *p, struct rb_sql_failure *f)
{
    const char *end = p;
    while (in_name(*end))
        end++;
    size_t n = number_of(r, p, (size_t)(end - p));
    if (!n) {
        rb_sql_fail(f, "usage", "the statement has :%.*s, and no parameter has that name", (int)(end - p), p);
        return NULL;
    }
    note_edit(r);
    size_t before = r->buf.len;
    rb_buf_addf(&r->buf, "$%zu", n);
    r->sent += (int)(r->buf.len - before);
    r->own += 1 + characters(p, end);
    note_edit(r);
    return end;
}

static const char *read_number(struct reader *r, const char *p, struct rb_sql_failure *f)
{
    const char *end = p + 1;
    size_t n = 0;
    for (; is_digit(*end) && n <= NUMBER_MAX; end++)
        n = n * 10 + (size_t)(*end - '0');
    if (r->named) {
        rb_sql_fail(f, "usage", "the statement has $%zu, and its parameters are given by name", n);
        return NULL;
    }
    if (n > r->highest)
        r->highest = n;
    return copy(r, p, end);
}

static bool read_all(struct reader *r, const char *p, struct rb_sql_failure *f)
{
    while (p && *p) {
        const char *after = skip(p);
        if (after != p)
            p = copy(r, p, after);
        else if (*p == '$' && is_digit(p[1]))
            p = read_number(r, p, f);
        else if (r->named && *p == ':' && starts_name(p[1]))
            p = read_name(r, p + 1, f);
        else
            p = copy(r, p, p + 1);
    }
    return p != NULL;
}

/* Every parameter must be wanted: the server could not know the type of one that is not. */
static bool all_wanted(const struct reader *r, struct rb_sql_failure *f)
{
    if (!r->named) {
        if (r->highest == r->count)
            return true;
        rb_sql_fail(f, "usage", "the statement has %zu parameter%s ($1 …), and %zu %s given", r->highest,
                    r->highest == 1 ? "" : "s", r->count, r->count == 1 ? "was" : "were");
        return false;
    }
    for (size_t i = 0; i < r->count; i++) {
        bool wanted = false;
        for (size_t n = 0; n < r->out->count && !wanted; n++)
            wanted = r->out->order[n] == i;
        if (!wanted) {
            rb_sql_fail(f, "usage", "the statement has no :%.100s", r->params[i].name);
            return false;
        }
    }
    return true;
}

bool rb_pg_text(const char *text, const struct rb_sql_param *params, size_t count, struct pg_text *out,
                struct rb_sql_failure *f)
{
    struct reader r = {.params = params, .count = count, .named = count && params[0].name, .out = out};
    *out = (struct pg_text){0};
    if (count > NUMBER_MAX) {
        rb_sql_fail(f, "usage", "%zu parameters are more than %d", count, NUMBER_MAX);
        return wrong(f);
    }
    for (size_t i = 1; i < count; i++) {
        if ((params[i].name != NULL) != r.named) {
            rb_sql_fail(f, "usage", "some parameters have a name and some have not");
            return wrong(f);
        }
    }
    out->order = rb_alloc((count ? count : 1) * sizeof(*out->order));
    rb_buf_init(&r.buf, SIZE_MAX / 2);
    bool ok = read_all(&r, text, f) && all_wanted(&r, f);
    for (size_t i = 0; ok && !r.named && i < count; i++)
        out->order[out->count++] = i;
    rb_buf_add(&r.buf, "", 0);
    out->sent = r.buf.data ? rb_buf_detach(&r.buf) : rb_strdup("");
    if (ok)
        return true;
    rb_pg_text_release(out);
    return wrong(f);
}

void rb_pg_text_release(struct pg_text *t)
{
    free(t->sent);
    free(t->order);
    free(t->edits);
    *t = (struct pg_text){0};
}

int rb_pg_text_position(const struct pg_text *t, int sent)
{
    int sent_at = 1, own_at = 1;
    for (size_t i = 0; i < t->edit_count && t->edits[i].sent <= sent; i++) {
        sent_at = t->edits[i].sent;
        own_at = t->edits[i].own;
    }
    return sent > 0 ? own_at + (sent - sent_at) : 0;
}
