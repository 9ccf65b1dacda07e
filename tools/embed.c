/* Build-time tool: writes the C file that holds the Lua side of rbhost.
 *
 *   embed ROOT FILE… > embed.c
 *
 * A module's name is its path below ROOT without ".lua". The host's own modules (rt/…) are compiled here, so that a run
 * does not pay for their parsing; the debug information stays in, an error in them must name its line. What runbooks
 * may require stays text: the sandbox never loads bytecode for them. Owns the format of that file and nothing else. */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    unsigned char *data;
    size_t len, cap;
};

static void append(struct bytes *b, const void *p, size_t n)
{
    if (b->len + n > b->cap) {
        b->cap = (b->len + n) * 2;
        b->data = realloc(b->data, b->cap);
        if (!b->data) {
            fputs("embed: out of memory\n", stderr);
            exit(1);
        }
    }
    memcpy(b->data + b->len, p, n);
    b->len += n;
}

static int on_chunk(lua_State *L, const void *p, size_t n, void *arg)
{
    (void)L;
    append(arg, p, n);
    return 0;
}

static int read_file(const char *path, struct bytes *out)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    char part[8192];
    size_t n;
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        append(out, part, n);
    int failed = ferror(f);
    fclose(f);
    if (failed)
        fprintf(stderr, "embed: %s: can not be read\n", path);
    return failed ? -1 : 0;
}

/* Replaces the text by its bytecode; compiles what stays text too, so that a syntax error fails the build and not a
 * run. */
static int compile(lua_State *L, const char *path, int keep_text, struct bytes *b)
{
    char chunkname[512];
    snprintf(chunkname, sizeof(chunkname), "@%s", path);
    if (luaL_loadbufferx(L, (const char *)b->data, b->len, chunkname, "t") != LUA_OK) {
        fprintf(stderr, "embed: %s\n", lua_tostring(L, -1));
        return -1;
    }
    if (!keep_text) {
        b->len = 0;
        lua_dump(L, on_chunk, b, 1);
    }
    lua_pop(L, 1);
    return 0;
}

static void print_array(size_t index, const struct bytes *b)
{
    printf("static const unsigned char module%zu[] = {", index);
    for (size_t i = 0; i < b->len; i++)
        printf("%s%u,", i % 24 ? "" : "\n    ", b->data[i]);
    printf("%s};\n", b->len ? "\n" : "0");
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: embed ROOT FILE...\n", stderr);
        return 2;
    }
    size_t root = strlen(argv[1]) + 1;
    size_t n = (size_t)argc - 2;
    size_t *len = calloc(n + 1, sizeof(*len));
    lua_State *L = luaL_newstate();
    if (!len || !L)
        return 1;
    puts("/* Made by tools/embed.c from stdlib/. */\n#include \"engine/embed.h\"\n");
    for (size_t i = 0; i < n; i++) {
        const char *path = argv[i + 2];
        struct bytes b = {0};
        if (read_file(path, &b) < 0 || compile(L, path, strncmp(path + root, "rt/", 3) != 0, &b) < 0)
            return 1;
        print_array(i, &b);
        len[i] = b.len;
        free(b.data);
    }
    puts("\nconst struct rb_embed rb_stdlib[] = {");
    for (size_t i = 0; i < n; i++) {
        const char *name = argv[i + 2] + root;
        printf("    {\"%.*s\", module%zu, %zu},\n", (int)(strlen(name) - 4), name, i, len[i]);
    }
    puts("    {0},\n};");
    lua_close(L);
    free(len);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
