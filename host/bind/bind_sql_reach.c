/* Owns the way to the files that a runbook names for `sql`: of a SQLite database, of what is attached to it, of a
 * backup. As for `file`, no link is followed unseen: where one is in the way the policy is asked about the path that it
 * leads to, and that path is what the driver opens. A database of the configuration is the site's own word, and is
 * opened as it stands there. */
#include <stdlib.h>
#include <string.h>

#include "bind/bind_sql.h"
#include "bind/reach_file.h"
#include "engine/core.h"
#include "engine/policy.h"

/* The path of a DSN, without its percent signs. */
static char *path_of_dsn(const char *dsn)
{
    const char *from = dsn + strlen("sqlite:");
    return rb_url_text(from, strcspn(from, "?"));
}

/* The file whose turn it is: 0 the database, then what is attached, then where the backup goes; allocated. NULL: there
 * is none, and *more says whether there may be others. */
static char *file_of_turn(const struct sql_op *op, size_t turn, bool *backup, bool *more)
{
    size_t attached = 0;
    while (op->attach && op->attach[attached])
        attached++;
    *backup = turn == attached + 1;
    *more = turn <= attached + 1;
    if (turn == 0)
        return op->of_the_site ? NULL : path_of_dsn(op->real);
    if (turn <= attached)
        return rb_strdup(strchr(op->attach[turn - 1], '=') + 1);
    return *backup && op->action == SQL_BACKUP ? rb_strdup(op->text) : NULL;
}

/* What the driver is given from now on. */
static void take_path(struct sql_op *op, size_t turn, bool backup, const char *path)
{
    struct rb_buf b;
    char **place = turn == 0 ? &op->real : backup ? &op->text : &op->attach[turn - 1];
    rb_buf_init(&b, 65536);
    if (turn == 0) {
        rb_policy_database(&b, path);
        rb_buf_adds(&b, strchr(op->real, '?') ? strchr(op->real, '?') : "");
    } else if (backup) {
        rb_buf_adds(&b, path);
    } else {
        rb_buf_add(&b, *place, (size_t)(strchr(*place, '=') + 1 - *place));
        rb_buf_adds(&b, path);
    }
    free(*place);
    *place = rb_buf_detach(&b);
}

static void refuse(struct sql_op *op, int rc, const char *message)
{
    struct rb_sql_failure f;
    rb_sql_fail(&f, rc == RB_EDENIED ? "policy" : "sql.connect", "%s", message);
    f.not_started = true;
    rb_sql_op_failed(op, &f);
}

static int next_turn(struct sql_op *op, struct rb_err *err);

static void on_reached(void *arg, struct rb_file *f, int rc, const char *message)
{
    struct sql_op *op = arg;
    struct rb_err err = {0};
    bool backup, more;
    op->reach = NULL;
    if (rc) {
        refuse(op, rc, message);
        return;
    }
    free(file_of_turn(op, op->reached, &backup, &more));
    take_path(op, op->reached++, backup, f->place.path);
    rc = next_turn(op, &err);
    if (rc)
        refuse(op, rc, err.msg);
}

static int next_turn(struct sql_op *op, struct rb_err *err)
{
    bool backup, more;
    char *path = NULL;
    while (!(path = file_of_turn(op, op->reached, &backup, &more)) && more)
        op->reached++;
    if (!path) {
        rb_sql_op_reached(op);
        return RB_OK;
    }
    struct rb_file *f = rb_file_new(RB_FILE_STAT);
    f->as = "sql";
    f->follow = true;
    int rc = rb_reach_file(&op->effect, f, backup ? "file" : "sql", path, on_reached, op, &op->reach, err);
    free(path);
    return rc;
}

int rb_sql_reach(struct sql_op *op, struct rb_err *err)
{
    op->reached = 0;
    if (op->driver != &rb_sql_sqlite || rb_policy_is_open(op->effect.run)) {
        rb_sql_op_reached(op);
        return RB_OK;
    }
    return next_turn(op, err);
}

void rb_sql_reach_leave(struct sql_op *op)
{
    if (op->reach)
        rb_reach_file_leave(op->reach);
    op->reach = NULL;
}
