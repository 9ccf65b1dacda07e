/* A real part that a script of tests/ runs for a test (a database server, a lab of hosts), until its input ends. It
 * says a line of JSON when it is up, and one to each line that it is asked: {"ok": …} or {"error": …}. */
#ifndef RB_TEST_PART_FIXTURE_H
#define RB_TEST_PART_FIXTURE_H

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rb.h"

static struct {
    const char *script;
    int pid;
    FILE *to, *from;
} the_part;

static inline json_t *part_line(void)
{
    char line[65536];
    if (!fgets(line, sizeof(line), the_part.from))
        fail_msg("%s has ended", the_part.script);
    json_t *said = json_loads(line, 0, NULL);
    assert_non_null(said);
    return said;
}

/* What it says when it is up, for the caller to release; NULL: it could not be started. `argv` begins with the
 * script. */
static inline json_t *start_part(const char *const *argv)
{
    int in[2], out[2];
    const char *words[8] = {"python3"};
    for (size_t i = 0; argv[i] && i + 2 < RB_COUNT(words); i++)
        words[i + 1] = argv[i];
    the_part.script = argv[0];
    if (pipe(in) || pipe(out))
        return NULL;
    the_part.pid = fork();
    if (the_part.pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    the_part.to = fdopen(in[1], "w");
    the_part.from = fdopen(out[0], "r");
    return part_line();
}

/* Its answer, for the caller to release; an error is a failure of the test. */
static inline json_t *RB_PRINTF(1, 2) ask_part(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(the_part.to, fmt, ap);
    va_end(ap);
    fputc('\n', the_part.to);
    fflush(the_part.to);
    json_t *said = part_line();
    if (json_object_get(said, "error"))
        fail_msg("%s: %s", fmt, json_string_value(json_object_get(said, "error")));
    return said;
}

static inline int stop_part(void **state)
{
    (void)state;
    int status = 0;
    fclose(the_part.to);
    fclose(the_part.from);
    waitpid(the_part.pid, &status, 0);
    return status;
}

#endif
