/* Options: every form of each type, what is refused and with which words, the environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "front/opt.h"

struct values {
    int dry, loud;
    const char *name, *colour;
    int64_t count, wait, grace;
    int no_input;
};

static const struct rb_opt table[] = {
    {"dry", 'n', RB_OPT_BOOL, offsetof(struct values, dry), NULL, "dry", 0},
    {"loud", 'l', RB_OPT_COUNT, offsetof(struct values, loud), NULL, "loud", 0},
    {"name", 'm', RB_OPT_TEXT, offsetof(struct values, name), "NAME", "name", 0},
    {"colour", 0, RB_OPT_CHOICE, offsetof(struct values, colour), "auto|always|never", "colour", 0},
    {"count", 'c', RB_OPT_NUMBER, offsetof(struct values, count), "N", "count", 0},
    {"wait", 'w', RB_OPT_SPAN, offsetof(struct values, wait), "TIME", "wait", RB_OPT_OPTIONAL},
    {"grace", 'g', RB_OPT_SPAN, offsetof(struct values, grace), "TIME", "grace", 0},
    {"no-input", 0, RB_OPT_BOOL, offsetof(struct values, no_input), NULL, "no input", RB_OPT_NOENV},
    {0},
};

struct parsed {
    struct values v;
    char *operands[16];
    int n, used, rc;
    struct rb_err err;
};

/* Parses the words of one line (no quoting). */
static struct parsed parse(const char *line, bool stop)
{
    static char text[512];
    char *args[16];
    int n = 0;
    struct parsed p = {0};
    snprintf(text, sizeof(text), "%s", line);
    for (char *w = strtok(text, " "); w; w = strtok(NULL, " "))
        args[n++] = w;
    struct rb_opt_set set = {table, &p.v};
    p.rc = rb_opt_parse(&set, 1, args, n, stop, p.operands, &p.n, &p.used, &p.err);
    return p;
}

static void refused(const char *line, const char *words)
{
    struct parsed p = parse(line, false);
    assert_int_equal(p.rc, RB_EINVAL);
    assert_string_equal(p.err.msg, words);
}

static void test_long_forms(void **state)
{
    (void)state;
    struct parsed p = parse("--dry --name x --count=7 --colour always --grace 1h30m", false);
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.v.dry, 1);
    assert_string_equal(p.v.name, "x");
    assert_int_equal(p.v.count, 7);
    assert_string_equal(p.v.colour, "always");
    assert_int_equal(p.v.grace, 5400000);
    assert_int_equal(parse("--no-dry", false).v.dry, -1);
    assert_int_equal(parse("--dry --no-dry --dry", false).v.dry, 1);
    assert_int_equal(parse("--loud --loud --no-loud", false).v.loud, 0);
    assert_int_equal(parse("--no-input", false).v.no_input, 1);
    assert_string_equal(parse("--name=a=b", false).v.name, "a=b");
    assert_string_equal(parse("--name=", false).v.name, "");
    assert_string_equal(parse("--name --dry", false).v.name, "--dry");
}

static void test_short_forms(void **state)
{
    (void)state;
    struct parsed p = parse("-nll -mx -c 3 op", false);
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.v.dry, 1);
    assert_int_equal(p.v.loud, 2);
    assert_string_equal(p.v.name, "x");
    assert_int_equal(p.v.count, 3);
    assert_int_equal(p.n, 1);
    assert_string_equal(p.operands[0], "op");
    assert_int_equal(parse("-lc5", false).v.count, 5);
}

static void test_optional_value(void **state)
{
    (void)state;
    struct parsed p = parse("--wait 30m", false); /* only = gives an optional value */
    assert_int_equal(p.v.wait, -1);
    assert_int_equal(p.n, 1);
    assert_int_equal(parse("--wait=30m", false).v.wait, 1800000);
    assert_int_equal(parse("-w", false).v.wait, -1);
    assert_int_equal(parse("-w2s", false).v.wait, 2000);
}

static void test_operands(void **state)
{
    (void)state;
    struct parsed p = parse("a --dry b - -- --name -x", false);
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.n, 5);
    assert_string_equal(p.operands[2], "-");
    assert_string_equal(p.operands[3], "--name");
    assert_string_equal(p.operands[4], "-x");
    p = parse("--dry run --name x", true);
    assert_int_equal(p.used, 1);
    assert_null(p.v.name);
}

static void test_refusals(void **state)
{
    (void)state;
    refused("--dyr", "unknown option --dyr; did you mean --dry?");
    refused("--zzzzzz", "unknown option --zzzzzz");
    refused("--no-name", "unknown option --no-name");
    refused("--no-no-input", "unknown option --no-no-input; did you mean --no-input?");
    refused("-z", "unknown option -z");
    refused("-nz", "unknown option -z in -nz");
    refused("--dry=1", "--dry takes no value");
    refused("--name", "--name needs a value: --name=NAME");
    refused("-m", "-m needs a value: -m NAME");
    refused("--count=-1", "--count: '-1' is not a whole number of 0 or more");
    refused("--count=1x", "--count: '1x' is not a whole number of 0 or more");
    refused("--count=99999999999999999999", "--count: '99999999999999999999' is not a whole number of 0 or more");
    refused("--colour=blue", "--colour: 'blue' is not one of auto|always|never");
    refused("--colour=a", "--colour: 'a' is not one of auto|always|never");
    refused("--grace=5x", "--grace: '5x' is not a duration; write it as 90s, 30m, 1h30m or 2d");
}

static void test_spans(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"0", 0}, {"7", 7000}, {"250ms", 250}, {"90s", 90000}, {"2d", 172800000}, {"1h30m5s", 5405000}};
    static const char *const bad[] = {"", "s", "-5s", "5 s", "1h30", "1.5h", "5S", "99999999999d", "5ss"};
    int64_t ms;
    for (size_t i = 0; i < RB_COUNT(good); i++) {
        assert_int_equal(rb_opt_span(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < RB_COUNT(bad); i++)
        assert_int_equal(rb_opt_span(bad[i], &ms), RB_EINVAL);
}

static int environment(struct values *v, struct rb_err *err)
{
    return rb_opt_environment(&(struct rb_opt_set){table, v}, err);
}

static void test_environment(void **state)
{
    (void)state;
    struct values v = {.name = "said"};
    struct rb_err err;
    setenv("RBHOST_DRY", "yes", 1);
    setenv("RBHOST_LOUD", "2", 1);
    setenv("RBHOST_NAME", "other", 1);
    setenv("RBHOST_WAIT", "1", 1);
    setenv("RBHOST_COUNT", "", 1);
    setenv("RBHOST_NO_INPUT", "1", 1);
    assert_int_equal(environment(&v, &err), 0);
    assert_int_equal(v.dry, 1);
    assert_int_equal(v.loud, 2);
    assert_string_equal(v.name, "said"); /* an argument wins */
    assert_int_equal(v.wait, -1);
    assert_int_equal(v.count, 0);
    assert_int_equal(v.no_input, 0);
    v = (struct values){.dry = -1};
    assert_int_equal(environment(&v, &err), 0);
    assert_int_equal(v.dry, -1);
    setenv("RBHOST_DRY", "perhaps", 1);
    v = (struct values){0};
    assert_int_equal(environment(&v, &err), RB_EINVAL);
    assert_string_equal(err.msg, "RBHOST_DRY: 'perhaps' is neither yes nor no (1, true, yes, on; 0, false, no, off)");
    setenv("RBHOST_DRY", "off", 1);
    setenv("RBHOST_COUNT", "many", 1);
    assert_int_equal(environment(&v, &err), RB_EINVAL);
    assert_string_equal(err.msg, "RBHOST_COUNT: 'many' is not a whole number of 0 or more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_forms),  cmocka_unit_test(test_short_forms), cmocka_unit_test(test_optional_value),
        cmocka_unit_test(test_operands),    cmocka_unit_test(test_refusals),    cmocka_unit_test(test_spans),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
