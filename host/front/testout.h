/* The results of tests as text, TAP or JUnit's XML, on standard output. */
#ifndef RB_TESTOUT_H
#define RB_TESTOUT_H

#include "front/cli.h"

struct rb_testout;

struct rb_test_result {
    const char *file, *name;
    const char *status;  /* "pass", "fail", "skip" */
    const char *message; /* of one that failed or was skipped; NULL */
    const char *trace;   /* where it failed, a line for each frame; NULL */
    const char *printed; /* what it has printed; "" */
    double seconds;
};

/* format: "text", "tap" or "junit" */
struct rb_testout *rb_testout_new(struct rb_cli *cli, const char *format);
void rb_testout_file(struct rb_testout *o, const char *file); /* the tests of this file follow */
void rb_testout_result(struct rb_testout *o, const struct rb_test_result *r);
/* The file does not load, or its run has ended where no test was: said here in the formats that programs read, which
 * see nothing of standard error. */
void rb_testout_broken(struct rb_testout *o, const char *file, const char *why);
/* The last lines; returns whether a test has failed. Frees it. *closed: standard output was. */
bool rb_testout_end(struct rb_testout *o, bool *closed);

#endif
