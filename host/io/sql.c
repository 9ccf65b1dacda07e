/* Owns what the databases have in common: which driver a DSN is for, and the words of failures that every driver can
 * have. Knows neither SQLite nor libpq. */
#include "io/sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct rb_sql_driver *rb_sql_driver_of(const char *dsn, struct rb_err *err)
{
    if (strncmp(dsn, "sqlite:", 7) == 0)
        return &rb_sql_sqlite;
    if (strncmp(dsn, "postgres:", 9) == 0 || strncmp(dsn, "postgresql:", 11) == 0)
        return &rb_sql_pg;
    rb_err_set(err, RB_EINVAL,
               "it begins neither with sqlite: nor with postgres:, and the configuration has no DSN of that name "
               "(dsns = { … })");
    return NULL;
}

void rb_sql_fail(struct rb_sql_failure *f, const char *kind, const char *fmt, ...)
{
    va_list ap;
    *f = (struct rb_sql_failure){0};
    snprintf(f->kind, sizeof(f->kind), "%s", kind);
    va_start(ap, fmt);
    int n = vsnprintf(f->message, sizeof(f->message), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n < sizeof(f->message))
        return;
    size_t len = sizeof(f->message) - 1; /* cut: not in the middle of a character */
    while (len > 0 && ((unsigned char)f->message[len - 1] & 0xC0) == 0x80)
        len--;
    f->message[len > 0 && (unsigned char)f->message[len - 1] >= 0xC0 ? len - 1 : len] = '\0';
}

bool rb_sql_duplicate(char *const *columns, size_t n, struct rb_sql_failure *f)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            if (strcmp(columns[i], columns[k]) == 0) {
                rb_sql_fail(f, "usage",
                            "columns %zu and %zu are both called \"%.100s\"; name one of them otherwise: … AS name",
                            i + 1, k + 1, columns[i]);
                return true;
            }
    return false;
}

int rb_sql_position(const char *text, size_t offset)
{
    int position = 1;
    for (size_t i = 0; i < offset && text[i]; i++)
        position += ((unsigned char)text[i] & 0xC0) != 0x80;
    return position;
}
