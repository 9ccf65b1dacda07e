/* rbhost version: which program, built how, with which libraries. */
#include <gnu/libc-version.h>
#include <jansson.h>
#include <lua.h>
#include <nettle/version.h>
#include <sqlite3.h>
#include <uv.h>

#include "base/json.h"
#include "front/cmds.h"

static const char *build(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return "address sanitizer";
#elif defined(__SANITIZE_THREAD__)
    return "thread sanitizer";
#elif defined(RB_GCSTRESS)
    return "gc stress";
#elif defined(RB_OOM)
    return "allocation failures";
#elif defined(RB_FAULT)
    return "fault points";
#elif defined(__OPTIMIZE__)
    return "release";
#else
    return "unoptimised";
#endif
}

static int run(struct rb_cli *cli, void *values, int argc, char **argv)
{
    (void)values;
    (void)argc;
    (void)argv;
    char lua[32], nettle[16];
    struct rb_buf out;
    struct rb_json j;
    rb_buf_init(&out, 4096);
    snprintf(lua, sizeof(lua), "%s.%s", LUA_VERSION_MAJOR "." LUA_VERSION_MINOR, LUA_VERSION_RELEASE);
    snprintf(nettle, sizeof(nettle), "%d.%d", nettle_version_major(), nettle_version_minor());
    const char *const libraries[][2] = {
        {"libuv", uv_version_string()},     {"lua", lua},       {"sqlite", sqlite3_libversion()},
        {"jansson", jansson_version_str()}, {"nettle", nettle}, {"glibc", gnu_get_libc_version()},
    };
    if (cli->json > 0) {
        rb_json_init(&j, &out);
        rb_json_object(&j);
        rb_json_ktext(&j, "name", "rbhost");
        rb_json_ktext(&j, "version", RB_VERSION);
        rb_json_ktext(&j, "build", build());
        rb_json_ktext(&j, "compiler", __VERSION__);
        rb_json_kint(&j, "replay_version", RB_REPLAY_VERSION);
        rb_json_key(&j, "libraries");
        rb_json_object(&j);
        for (size_t i = 0; i < RB_COUNT(libraries); i++)
            rb_json_ktext(&j, libraries[i][0], libraries[i][1]);
        rb_json_end_object(&j);
        rb_json_end_object(&j);
        rb_buf_addc(&out, '\n');
    } else {
        rb_buf_addf(&out, "rbhost %s\nbuild     %s, gcc %s, replay version %d\nlibraries", RB_VERSION, build(),
                    __VERSION__, RB_REPLAY_VERSION);
        for (size_t i = 0; i < RB_COUNT(libraries); i++)
            rb_buf_addf(&out, "%s %s %s", i ? "," : "", libraries[i][0], libraries[i][1]);
        rb_buf_addc(&out, '\n');
    }
    int code = rb_cli_put(&out, RB_EXIT_OK);
    rb_buf_release(&out);
    return code;
}

const struct rb_cmd rb_cmd_version = {
    .name = "version",
    .group = "Help",
    .operands = "",
    .summary = "the version, how it was built, and its libraries",
    .example = "rbhost version --json",
    .run = run,
};
