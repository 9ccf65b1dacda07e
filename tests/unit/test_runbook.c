/* Reading runbooks before they run: files that are none, headers, parameters, requires, check, configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/run.h"
#include "engine/runbook.h"

struct fixture {
    char folder[64];
    char path[128];
    struct rb_buf out;
    struct rb_err err;
};

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    snprintf(f.folder, sizeof f.folder, "/tmp/test_runbook.XXXXXX");
    if (!mkdtemp(f.folder))
        return -1;
    snprintf(f.path, sizeof f.path, "%s/up.lua", f.folder);
    rb_buf_init(&f.out, RB_RUNBOOK_MAX + 1);
    f.err = (struct rb_err){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rb_buf_release(&f.out);
    chmod(f.path, 0600);
    unlink(f.path);
    rmdir(f.path);
    return rmdir(f.folder);
}

static void write_bytes(const char *text, size_t n)
{
    FILE *file = fopen(f.path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *text)
{
    write_bytes(text, strlen(text));
}

/* The message without the folder, so that it can be compared whole. */
static const char *message(void)
{
    static char text[RB_ERR_MAX];
    size_t n = strlen(f.folder) + 1;
    text[0] = '\0';
    for (const char *p = f.err.msg; *p;) {
        size_t len = strlen(text);
        if (strncmp(p, f.folder, n - 1) == 0 && p[n - 1] == '/')
            p += n;
        else
            snprintf(text + len, sizeof text - len, "%c", *p++);
    }
    return text;
}

static void refused(int code, const char *said)
{
    rb_buf_reset(&f.out);
    f.err = (struct rb_err){0};
    int rc = rb_runbook_describe(f.path, &f.out, &f.err);
    assert_string_equal(message(), said);
    assert_int_equal(rc, code);
    assert_int_equal(f.err.code, code);
    assert_string_equal(rb_buf_text(&f.out), "");
}

/* -- files --------------------------------------------------------------------------------------------------------- */

static void files_that_are_no_runbooks(void **state)
{
    (void)state;
    refused(RB_ENOENT, "up.lua: there is no such file");
    assert_int_equal(mkdir(f.path, 0700), 0);
    refused(RB_EINVAL, "up.lua: is a directory; name a Lua file in it");
    rmdir(f.path);
    assert_int_equal(mkfifo(f.path, 0600), 0);
    refused(RB_EINVAL, "up.lua: is no regular file; write the text to a file first");
    unlink(f.path);
    assert_int_equal(symlink("up.lua", f.path), 0);
    refused(RB_EINVAL, "up.lua: can not be opened: Too many levels of symbolic links");
    unlink(f.path);
    write_text("\033Lua\x54");
    refused(RB_EINVAL, "up.lua: is compiled Lua (bytecode); rbhost runs source text only");
    write_bytes("local a\nlocal \0", 15);
    refused(RB_EINVAL, "up.lua:2:7: has a NUL byte: this is no Lua text");
    write_text("-- ok\nprint '\xE4'");
    refused(RB_EINVAL, "up.lua:2:8: byte 0xe4 is not UTF-8; save the file as UTF-8, write bytes in strings as \\xe4");
    write_text("\xFF\xFEp");
    refused(RB_EINVAL, "up.lua: is UTF-16 text; save it as UTF-8");
    write_text("<html>\n");
    refused(RB_EINVAL, "up.lua:1: unexpected symbol near '<'\n    <html>\n    ^");
    if (geteuid() != 0) {
        chmod(f.path, 0);
        refused(RB_EDENIED, "up.lua: can not be read: Permission denied");
    }
}

static void a_file_that_is_too_large(void **state)
{
    (void)state;
    write_text("-- x");
    assert_int_equal(truncate(f.path, RB_RUNBOOK_MAX + 1), 0);
    refused(RB_ETOOBIG, "up.lua: is larger than 4 MiB");
    char *text = malloc(RB_RUNBOOK_MAX);
    memset(text, ' ', RB_RUNBOOK_MAX);
    write_bytes(text, RB_RUNBOOK_MAX);
    free(text);
    assert_int_equal(rb_runbook_describe(f.path, &f.out, &f.err), 0);
    assert_string_equal(rb_buf_text(&f.out), "{\"name\":\"up\",\"params\":[]}");
}

/* -- headers ------------------------------------------------------------------------------------------------------- */

static void a_header_as_json(void **state)
{
    (void)state;
    write_text("local r = require 'rollout'\n"
               "local p = runbook { name = 'promote', allow = {}, timeout = '90m', params = {\n"
               "  version = { 'string', required = true, match = '^v%d+$' }, n = { 'integer', default = 3 },\n"
               "  ratio = { 'number', default = 1.0 }, dry = { 'boolean', default = false }, env = { 'list', default = "
               "{} } } }\n"
               "error 'the body ran'\n");
    assert_int_equal(rb_runbook_describe(f.path, &f.out, &f.err), 0);
    assert_string_equal(rb_buf_text(&f.out),
                        "{\"allow\":[],\"name\":\"promote\",\"params\":["
                        "{\"default\":false,\"name\":\"dry\",\"type\":\"boolean\"},"
                        "{\"default\":[],\"name\":\"env\",\"type\":\"list\"},"
                        "{\"default\":3,\"name\":\"n\",\"type\":\"integer\"},"
                        "{\"default\":1.0,\"name\":\"ratio\",\"type\":\"number\"},"
                        "{\"match\":\"^v%d+$\",\"name\":\"version\",\"required\":true,\"type\":\"string\"}],"
                        "\"timeout\":5400,\"timeout_text\":\"90m\"}");
}

static void headers_that_raise_or_never_end(void **state)
{
    (void)state;
    write_text("\nrunbook { name = nil .. 'x' }");
    refused(RB_EINVAL, "up.lua:2: attempt to concatenate a nil value");
    write_text("runbook {\n  nam = 1 }");
    refused(RB_EINVAL, "up.lua:1: wrong header:\n  line 2: nam: unknown key; did you mean name?");
    write_text("while true do end runbook {}");
    rb_buf_reset(&f.out);
    assert_int_equal(rb_runbook_describe(f.path, &f.out, &f.err), RB_EINVAL);
    assert_non_null(strstr(message(), "up.lua:1: "));
    assert_null(strstr(strstr(message(), "up.lua") + 1, "up.lua")); /* said once */
    assert_non_null(strstr(message(), "computed for more than"));
    assert_null(strstr(message(), "rbhost itself"));
    write_text("local s = ('x'):rep(1 << 40) runbook { title = s }");
    rb_buf_reset(&f.out);
    assert_int_equal(rb_runbook_describe(f.path, &f.out, &f.err), RB_EINVAL);
    assert_non_null(strstr(message(), "limit of 256.0 MiB"));
    write_text("local function f() return f() + 1 end f() runbook {}");
    rb_buf_reset(&f.out);
    assert_int_equal(rb_runbook_describe(f.path, &f.out, &f.err), RB_EINVAL);
    assert_non_null(strstr(message(), "stack overflow"));
}

static void many_problems_fit_into_one_message(void **state)
{
    (void)state;
    struct rb_buf text;
    rb_buf_init(&text, 1 << 20);
    rb_buf_adds(&text, "runbook { params = {\n");
    for (int i = 0; i < 500; i++)
        rb_buf_addf(&text, "  p%d = { 'strng' },\n", i);
    rb_buf_adds(&text, "} }\n");
    write_bytes(rb_buf_text(&text), text.len);
    rb_buf_release(&text);
    assert_int_equal(rb_runbook_describe(f.path, &f.out, &f.err), RB_EINVAL);
    assert_non_null(strstr(message(), " more"));
    assert_true(strlen(f.err.msg) < RB_ERR_MAX - 1);
}

static void literal_requires(void **state)
{
    (void)state;
    const char *text =
        "#!/usr/bin/env rbhost\nlocal a, b = require 'a', require('b.c') require(x) local require = 1 require 'd'";
    assert_int_equal(rb_requires_scan("up.lua", text, strlen(text), &f.out, &f.err), 0);
    assert_string_equal(rb_buf_text(&f.out), "[\"a\",\"b.c\"]");
    rb_buf_reset(&f.out);
    assert_int_equal(rb_requires_scan("up.lua", "= 1", 3, &f.out, &f.err), RB_EINVAL);
    assert_string_equal(f.err.msg, "up.lua:1: unexpected symbol near '='\n    = 1\n    ^");
}

/* -- parameters ---------------------------------------------------------------------------------------------------- */

static const char header[] = "runbook { params = { version = { 'string', required = true, match = '^v%d+$' }, n = { "
                             "'integer', min = 1, max = 10, default = 3 },"
                             " ratio = { 'number' }, hosts = { 'list', default = { 'a' } }, labels = { 'map', of = "
                             "'integer' }, token = { 'secret' } } }";

static struct rb_buf header_json;

static void resolve(const char *given, const char *values)
{
    rb_buf_init(&header_json, 1 << 20);
    assert_int_equal(rb_header_read("up.lua", header, strlen(header), &header_json, &f.err), 0);
    rb_buf_reset(&f.out);
    f.err = (struct rb_err){0};
    int rc = rb_params_resolve(rb_buf_text(&header_json), given, &f.out, &f.err);
    assert_string_equal(f.err.msg, "");
    assert_int_equal(rc, 0);
    assert_string_equal(rb_buf_text(&f.out), values);
    rb_buf_release(&header_json);
}

static void bad(const char *given, const char *said)
{
    rb_buf_init(&header_json, 1 << 20);
    assert_int_equal(rb_header_read("up.lua", header, strlen(header), &header_json, &f.err), 0);
    rb_buf_reset(&f.out);
    assert_int_equal(rb_params_resolve(rb_buf_text(&header_json), given, &f.out, &f.err), RB_EINVAL);
    assert_string_equal(f.err.msg, said);
    rb_buf_release(&header_json);
}

static void parameters_from_text_and_from_json(void **state)
{
    (void)state;
    resolve("{\"version\":\"v1\"}", "{\"hosts\":[\"a\"],\"n\":3,\"version\":\"v1\"}");
    resolve("{\"version\":\"v1\",\"n\":\"7\",\"ratio\":\"0.5\",\"hosts\":\"x,y\",\"labels\":\"a=1,$b=2\"}",
            "{\"hosts\":[\"x\",\"y\"],\"labels\":{\"$map\":[[\"$b\",2],[\"a\",1]]},\"n\":7,\"ratio\":0.5,\"version\":"
            "\"v1\"}");
    resolve("{\"version\":\"v1\",\"n\":7,\"ratio\":1.0,\"hosts\":[],\"labels\":{\"a\":1}}",
            "{\"hosts\":[],\"labels\":{\"a\":1},\"n\":7,\"ratio\":1.0,\"version\":\"v1\"}");
    resolve("{\"version\":\"v1\",\"hosts\":\"[\\\"a,b\\\"]\",\"labels\":\"{\\\"a\\\": 1}\",\"n\":null}",
            "{\"hosts\":[\"a,b\"],\"labels\":{\"a\":1},\"n\":3,\"version\":\"v1\"}");
}

static void all_bad_parameters_at_once(void **state)
{
    (void)state;
    bad("{\"n\":\"11\",\"verison\":\"v1\",\"token\":\"hunter2\",\"hosts\":\"[1\",\"ratio\":{\"$b64\":\"/w==\"}}",
        "bad parameters:\n"
        "  hosts: got \"[1\" (it is not valid JSON), expected a list (a,b,c or a JSON array)\n"
        "  n: got \"11\", expected an integer, 1 to 10\n"
        "  ratio: got \"\\xff\", expected a number\n"
        "  token: got a secret (it has 7 bytes), expected a secret, at least 8 bytes\n"
        "  version: missing, expected text that matches ^v%d+$\n"
        "  verison: unknown parameter; did you mean version?");
    bad("{\"version\":\"v1\\u0000\"}",
        "bad parameter:\n  version: got \"v1\\x00\" (it has a NUL byte), expected text that matches ^v%d+$");
    bad("[1]", "the parameters must be one JSON object: { \"name\": value, … }");
    bad("{\"a\":", "the parameters are not valid JSON: line 1, column 5: unexpected token near end of file");
    bad("{\"n\":1,\"n\":2}", "the parameters are not valid JSON: line 1, column 10: duplicate object key near '\"n\"'");
}

static void of_a_secret_only_the_name_is_given(void **state)
{
    (void)state;
    resolve("{\"version\":\"v1\",\"token\":\"hunter2hunter2\"}",
            "{\"hosts\":[\"a\"],\"n\":3,\"token\":{\"$secret\":\"token\"},\"version\":\"v1\"}");
}

static void schema(void **state)
{
    (void)state;
    rb_buf_init(&header_json, 1 << 20);
    const char *text = "runbook { params = { n = { 'integer', min = 1, required = true } } }";
    assert_int_equal(rb_header_read("up.lua", text, strlen(text), &header_json, &f.err), 0);
    assert_int_equal(rb_params_schema(rb_buf_text(&header_json), &f.out, &f.err), 0);
    assert_string_equal(
        rb_buf_text(&f.out),
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"additionalProperties\":false,"
        "\"properties\":{\"n\":{\"minimum\":1,\"type\":\"integer\"}},\"required\":[\"n\"],\"type\":\"object\"}");
    rb_buf_release(&header_json);
}

/* -- check and configuration --------------------------------------------------------------------------------------- */

static void findings(void **state)
{
    (void)state;
    int warnings = -1;
    write_text("exce({})\nchecklist 't' { { 'a', 'b', function() exec({ 'x' }) end } }\n");
    assert_int_equal(rb_runbook_check(f.path, &f.out, &warnings, &f.err), 1);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(rb_buf_text(&f.out), "up.lua:1:1: error: unknown global exce; did you mean exec?\n"));
    assert_non_null(strstr(rb_buf_text(&f.out), "up.lua:2:40: warning: exec inside a check without read = true"));
    rb_buf_reset(&f.out);
    write_text("print 'hello'\n");
    assert_int_equal(rb_runbook_check(f.path, &f.out, &warnings, &f.err), 0);
    assert_int_equal(warnings, 0);
    assert_string_equal(rb_buf_text(&f.out), "");
    unlink(f.path);
    assert_int_equal(rb_runbook_check(f.path, &f.out, NULL, &f.err), RB_ENOENT);
}

static void a_large_file_can_be_checked(void **state)
{
    (void)state;
    struct rb_buf text;
    rb_buf_init(&text, RB_RUNBOOK_MAX);
    for (int i = 0; i < 5000; i++)
        rb_buf_addf(
            &text, "step('step %d', { timeout = '5s' }, function() exec({ 'echo', 'x' .. %d }, { read = true }) end)\n",
            i, i);
    write_bytes(rb_buf_text(&text), text.len);
    rb_buf_release(&text);
    int rc = rb_runbook_check(f.path, &f.out, NULL, &f.err);
    assert_string_equal(f.err.msg, "");
    assert_int_equal(rc, 0);
    assert_string_equal(rb_buf_text(&f.out), "");
}

static void configuration(void **state)
{
    (void)state;
    write_text("return { roots = { 'a' }, limits = { max_exec = 4, park_grace = '1500ms', max_output = '2KiB' } }");
    assert_int_equal(rb_config_load(f.path, &f.out, &f.err), 0);
    assert_string_equal(rb_buf_text(&f.out),
                        "{\"limits\":{\"max_exec\":4,\"max_output\":2048,\"park_grace\":1.5},\"roots\":[\"a\"]}");
    rb_buf_reset(&f.out);
    write_text("return {\n  a = os.getenv 'HOME' }");
    assert_int_equal(rb_config_load(f.path, &f.out, &f.err), RB_EINVAL);
    assert_string_equal(message(),
                        "up.lua:2: os is not there: a configuration is plain data, read in an empty environment");
    write_text("return {\n  a = function() end }");
    assert_int_equal(rb_config_load(f.path, &f.out, &f.err), RB_EINVAL);
    assert_string_equal(message(), "up.lua:2: a is a function; a configuration is plain data");
    write_text("while true do end");
    assert_int_equal(rb_config_load(f.path, &f.out, &f.err), RB_EINVAL);
    assert_non_null(strstr(message(), "computed for more than"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_that_are_no_runbooks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(a_header_as_json, setup, teardown),
        cmocka_unit_test_setup_teardown(headers_that_raise_or_never_end, setup, teardown),
        cmocka_unit_test_setup_teardown(many_problems_fit_into_one_message, setup, teardown),
        cmocka_unit_test_setup_teardown(literal_requires, setup, teardown),
        cmocka_unit_test_setup_teardown(parameters_from_text_and_from_json, setup, teardown),
        cmocka_unit_test_setup_teardown(all_bad_parameters_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(of_a_secret_only_the_name_is_given, setup, teardown),
        cmocka_unit_test_setup_teardown(schema, setup, teardown),
        cmocka_unit_test_setup_teardown(findings, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_file_can_be_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(configuration, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
