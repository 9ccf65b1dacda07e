/* Owns the values of SQLite both ways: parameters into a statement, rows out of it. On the connection's thread. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "io/sql_sqlite.h"

#define CELL_BYTES 16 /* counted for each value beside its text, so that a billion of nulls has a cap too */

/* -- parameters ---------------------------------------------------------------------------------------------------- */

static bool unfit(struct rb_sql_failure *f)
{
    f->not_started = true;
    return false;
}

static int bind_value(sqlite3_stmt *stmt, int i, const struct rb_sql_value *v)
{
    switch (v->type) {
    case RB_SQL_NULL: return sqlite3_bind_null(stmt, i);
    case RB_SQL_BOOL:
    case RB_SQL_INT: return sqlite3_bind_int64(stmt, i, v->i);
    case RB_SQL_FLOAT: return sqlite3_bind_double(stmt, i, v->f);
    case RB_SQL_TEXT:
    case RB_SQL_JSON: return sqlite3_bind_text64(stmt, i, v->text, v->len, SQLITE_STATIC, SQLITE_UTF8);
    case RB_SQL_BYTES: return sqlite3_bind_blob64(stmt, i, v->text, v->len, SQLITE_STATIC);
    case RB_SQL_LIST: break;
    }
    return SQLITE_MISMATCH;
}

static bool bind_one(sqlite3_stmt *stmt, int i, const struct rb_sql_param *p, const char *what,
                     struct rb_sql_failure *f)
{
    if (p->value.type == RB_SQL_LIST)
        rb_sql_fail(f, "usage", "parameter %s is a list, which SQLite has not; give its JSON (json.encode)", what);
    else if (p->value.type == RB_SQL_FLOAT && isnan(p->value.f))
        rb_sql_fail(f, "usage", "parameter %s is not a number (nan): SQLite would keep NULL in its place", what);
    else if (bind_value(stmt, i, &p->value) != SQLITE_OK)
        rb_sql_fail(f, "sql.too_big", "parameter %s is too big for SQLite (%zu bytes)", what, p->value.len);
    else
        return true;
    return unfit(f);
}

static bool bind_positions(sqlite3_stmt *stmt, const struct sqlite_work *w, struct rb_sql_failure *f)
{
    int want = sqlite3_bind_parameter_count(stmt);
    if ((size_t)want != w->param_count) {
        const char *name = want > 0 ? sqlite3_bind_parameter_name(stmt, 1) : NULL;
        if (name && *name != '?' && !w->param_count)
            rb_sql_fail(f, "usage", "the statement has %d parameter%s, the first is %.60s, and none was given", want,
                        want == 1 ? "" : "s", name);
        else
            rb_sql_fail(f, "usage", "the statement has %d parameter%s, and %zu %s given", want, want == 1 ? "" : "s",
                        w->param_count, w->param_count == 1 ? "was" : "were");
        return unfit(f);
    }
    for (int i = 1; i <= want; i++) {
        char what[16];
        sqlite3_snprintf(sizeof(what), what, "%d", i);
        if (!bind_one(stmt, i, &w->params[i - 1], what, f))
            return false;
    }
    return true;
}

static bool bind_names(sqlite3_stmt *stmt, const struct sqlite_work *w, struct rb_sql_failure *f)
{
    int want = sqlite3_bind_parameter_count(stmt);
    bool *used = rb_alloc(w->param_count);
    bool ok = true;
    for (int i = 1; i <= want && ok; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt, i);
        size_t k = 0;
        while (name && k < w->param_count && strcmp(w->params[k].name, name + 1) != 0)
            k++;
        if (!name || *name == '?') {
            rb_sql_fail(f, "usage", "parameter %d has no name, and a table of names was given", i);
            ok = unfit(f);
        } else if (k == w->param_count) {
            rb_sql_fail(f, "usage", "the statement's parameter %.60s was not given", name);
            ok = unfit(f);
        } else {
            used[k] = true;
            ok = bind_one(stmt, i, &w->params[k], name, f);
        }
    }
    for (size_t k = 0; k < w->param_count && ok; k++)
        if (!used[k]) {
            rb_sql_fail(f, "usage",
                        "the statement has no parameter :%.60s (options stand in one table with the statement)",
                        w->params[k].name);
            ok = unfit(f);
        }
    free(used);
    return ok;
}

bool rb_sql_sqlite_bind(sqlite3_stmt *stmt, const struct sqlite_work *w, struct rb_sql_failure *f)
{
    return w->param_count && w->params[0].name ? bind_names(stmt, w, f) : bind_positions(stmt, w, f);
}

/* -- rows ---------------------------------------------------------------------------------------------------------- */

void rb_sql_sqlite_columns(sqlite3_stmt *stmt, struct sqlite_rows *rows)
{
    rows->column_count = (size_t)sqlite3_column_count(stmt);
    rows->columns = rb_alloc((rows->column_count + 1) * sizeof(*rows->columns));
    for (size_t i = 0; i < rows->column_count; i++)
        rows->columns[i] = rb_strdup(sqlite3_column_name(stmt, (int)i));
}

static struct rb_sql_value cell(sqlite3_stmt *stmt, int i, struct rb_buf *text)
{
    struct rb_sql_value v = {.type = RB_SQL_NULL};
    const void *p;
    switch (sqlite3_column_type(stmt, i)) {
    case SQLITE_INTEGER:
        v.type = RB_SQL_INT;
        v.i = sqlite3_column_int64(stmt, i);
        return v;
    case SQLITE_FLOAT:
        v.type = RB_SQL_FLOAT;
        v.f = sqlite3_column_double(stmt, i);
        return v;
    case SQLITE_NULL: return v;
    case SQLITE_TEXT:
        v.type = RB_SQL_TEXT;
        p = sqlite3_column_text(stmt, i);
        break;
    default:
        v.type = RB_SQL_BYTES;
        p = sqlite3_column_blob(stmt, i);
        break;
    }
    v.len = (size_t)sqlite3_column_bytes(stmt, i);
    if (v.type == RB_SQL_TEXT && !rb_utf8_valid(p, v.len)) /* SQLite takes anything for a text */
        v.type = RB_SQL_BYTES;
    v.i = (int64_t)text->len;
    rb_buf_add(text, p, v.len);
    rb_buf_addc(text, '\0');
    return v;
}

bool rb_sql_sqlite_row(sqlite3_stmt *stmt, const struct sqlite_work *w, struct sqlite_rows *rows)
{
    size_t n = rows->column_count, bytes = rows->text.len + (rows->cell_count + n) * CELL_BYTES;
    if (rows->row_count >= w->max_rows)
        return false;
    for (size_t i = 0; i < n; i++)
        if (sqlite3_column_type(stmt, (int)i) == SQLITE_TEXT || sqlite3_column_type(stmt, (int)i) == SQLITE_BLOB)
            bytes += (size_t)sqlite3_column_bytes(stmt, (int)i) + 1;
    if (bytes > w->max_bytes)
        return false;
    if (rows->cell_count + n > rows->cell_cap) {
        rows->cell_cap = rows->cell_cap ? rows->cell_cap * 2 + n : 16 * n;
        rows->cells = rb_realloc(rows->cells, rows->cell_cap * sizeof(*rows->cells));
    }
    if (!rows->text.max)
        rb_buf_init(&rows->text, SIZE_MAX / 2);
    for (size_t i = 0; i < n; i++)
        rows->cells[rows->cell_count++] = cell(stmt, (int)i, &rows->text);
    rows->row_count++;
    return true;
}

void rb_sql_sqlite_rows_finish(struct sqlite_work *w)
{
    struct sqlite_rows *rows = &w->rows;
    const char *text = rb_buf_text(&rows->text);
    for (size_t i = 0; i < rows->cell_count; i++)
        if (rows->cells[i].type == RB_SQL_TEXT || rows->cells[i].type == RB_SQL_BYTES)
            rows->cells[i].text = text + rows->cells[i].i;
    w->result.columns = rows->columns;
    w->result.column_count = rows->column_count;
    w->result.cells = rows->cells;
    w->result.row_count = rows->row_count;
}

void rb_sql_sqlite_rows_release(struct sqlite_rows *rows)
{
    for (size_t i = 0; i < rows->column_count; i++)
        free(rows->columns[i]);
    free(rows->columns);
    free(rows->cells);
    rb_buf_release(&rows->text);
}
