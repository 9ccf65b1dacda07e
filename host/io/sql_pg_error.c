/* Owns the words and kinds of PostgreSQL's failures. SQLSTATEs: appendix A of its manual. Knows what libpq says, and
 * not what was asked. */
#include <stdio.h>
#include <string.h>

#include "io/sql_pg.h"

/* Kinds by the beginning of a SQLSTATE; the first that fits. */
static const struct {
    const char *begin, *kind;
    bool retryable;
} kinds[] = {
    {"40001", "sql.serialization", true},
    {"40P01", "sql.serialization", true},
    {"23", "sql.constraint", false},
    {"25006", "sql.readonly", false},
    {"28", "sql.auth", false},
    {"57014", "sql.timeout", false},
    {"55P03", "sql.busy", true},
};

static const char *kind_of(const char *code, bool *retryable)
{
    for (size_t i = 0; i < RB_COUNT(kinds); i++) {
        if (strncmp(code, kinds[i].begin, strlen(kinds[i].begin)) == 0) {
            *retryable = kinds[i].retryable;
            return kinds[i].kind;
        }
    }
    *retryable = false;
    return "sql.error";
}

void rb_pg_tidy(const char *message, char *out, size_t n)
{
    size_t len = 0;
    bool blank = true; /* none at the beginning, and one in a row */
    for (const char *p = message; *p && len + 1 < n; p++) {
        bool space = *p == ' ' || *p == '\n' || *p == '\t';
        if (!space)
            out[len++] = *p;
        else if (!blank)
            out[len++] = ' ';
        blank = space;
    }
    while (len && out[len - 1] == ' ')
        len--;
    while (len && ((unsigned char)out[len - 1] & 0xC0) == 0x80 && len + 4 >= n) /* cut within a character */
        len--;
    out[len] = '\0';
}

static void set(char *out, size_t n, const PGresult *r, int field)
{
    const char *text = rb_pq.PQresultErrorField(r, field);
    rb_pg_tidy(text ? text : "", out, n);
}

void rb_pg_failure(const PGresult *r, struct rb_sql_failure *f)
{
    const char *position = rb_pq.PQresultErrorField(r, PG_DIAG_STATEMENT_POSITION);
    *f = (struct rb_sql_failure){0};
    set(f->message, sizeof(f->message), r, PG_DIAG_MESSAGE_PRIMARY);
    set(f->code, sizeof(f->code), r, PG_DIAG_SQLSTATE);
    set(f->detail, sizeof(f->detail), r, PG_DIAG_MESSAGE_DETAIL);
    set(f->hint, sizeof(f->hint), r, PG_DIAG_MESSAGE_HINT);
    set(f->constraint, sizeof(f->constraint), r, PG_DIAG_CONSTRAINT_NAME);
    set(f->table, sizeof(f->table), r, PG_DIAG_TABLE_NAME);
    set(f->column, sizeof(f->column), r, PG_DIAG_COLUMN_NAME);
    snprintf(f->kind, sizeof(f->kind), "%s", kind_of(f->code, &f->retryable));
    for (; position && *position >= '0' && *position <= '9' && f->position < 100000000; position++)
        f->position = f->position * 10 + (*position - '0');
    /* 08007 transaction_resolution_unknown, 40003 statement_completion_unknown: the server itself does not know */
    f->unknown = strcmp(f->code, "08007") == 0 || strcmp(f->code, "40003") == 0;
}

void rb_pg_advise(struct rb_sql_failure *f, const char *sent)
{
    const char *advice = NULL;
    if (f->hint[0])
        return;
    if (strcmp(f->code, "42P18") == 0) /* indeterminate_datatype */
        advice = "say what it is: $1::text";
    else if (strcmp(f->code, "42601") == 0 && rb_pg_text_several(sent))
        advice = "one statement is sent at a time: db:tx(fn) keeps several together, and script = true takes all of "
                 "them or none, without parameters";
    else if (strcmp(f->code, "22P02") == 0 && strstr(f->message, "json"))
        advice = "json.encode(…) makes the text of a value";
    if (advice)
        snprintf(f->hint, sizeof(f->hint), "%s", advice);
}

/* With PQERRORS_VERBOSE a server's refusal reads "…: FATAL:  28P01: password …\nLOCATION:  …": the only way to get at
 * the code of a failed connection. Takes code and location out of the text. */
static void take_code(char *message, char *code)
{
    char *p = message;
    while ((p = strstr(p, ": "))) {
        char *word = p + 2 + strspn(p + 2, " ");
        bool five = strspn(word, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && word[5] == ':';
        if (five && strcspn(word, "0123456789") < 5) { /* and not FATAL */
            memcpy(code, word, 5);
            code[5] = '\0';
            char *rest = word + 6 + strspn(word + 6, " ");
            memmove(p + 2, rest, strlen(rest) + 1);
            break;
        }
        p += 2;
    }
    char *location = strstr(message, "LOCATION: ");
    if (location)
        *location = '\0';
}

void rb_pg_connect_failure(PGconn *pq, struct rb_sql_failure *f)
{
    char said[4096];
    *f = (struct rb_sql_failure){.not_started = true};
    snprintf(said, sizeof(said), "%s", rb_pq.PQerrorMessage(pq));
    take_code(said, f->code);
    for (char *p = said; (p = strstr(p, "\n\t"));) /* "Connection refused\n\tIs the server running …?" */
        memcpy(p, ". ", 2);
    rb_pg_tidy(said, f->message, sizeof(f->message));
    bool no_password = rb_pq.PQconnectionNeedsPassword(pq);
    bool auth = no_password || strncmp(f->code, "28", 2) == 0;
    snprintf(f->kind, sizeof(f->kind), "%s", auth ? "sql.auth" : "sql.connect");
    if (no_password)
        snprintf(f->hint, sizeof(f->hint), "%s",
                 "give a password in the configuration (dsns), or in ~/.pgpass as psql reads it");
    /* Nobody there, too many there, starting up, shutting down: that passes. A certificate does not. */
    f->retryable = strncmp(f->code, "53", 2) == 0 || strncmp(f->code, "57P", 3) == 0 ||
                   (!auth && !f->code[0] && !strstr(f->message, "SSL") && !strstr(f->message, "certificate"));
}
