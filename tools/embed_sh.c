/* Build-time tool: writes the C file that holds what is said to the shell on another machine.
 *
 *   embed_sh [--fault] FILE.sh… > ssh_far_sh.c
 *
 * Each file becomes one line of POSIX sh, since a line is what a shell can read from its input without taking a byte
 * too many: comments and indentation are taken off, and lines are joined as their ends want it. For that the files keep
 * to a simple form: no here-document, no text over several lines, a pattern of `case` on one line with what it begins,
 * a "#" that begins a comment behind a blank. Lines that begin with "fault " are fault points, and only stay with
 * --fault. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *line, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && memcmp(line + len - n, end, n) == 0;
}

/* Whether the next line goes on with the same command, so that no ";" may stand between them. */
static bool goes_on(const char *line, size_t len)
{
    static const char *const ends[] = {"{", "(", "|", "&", ";", " do", " then"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
        if (ends_with(line, len, ends[i]))
            return true;
    if (strncmp(line, "case ", 5) == 0 && ends_with(line, len, " in"))
        return true;
    return (len == 4 && ends_with(line, len, "else")) || (len == 4 && ends_with(line, len, "then")) ||
           (len == 2 && ends_with(line, len, "do"));
}

/* Where the code of a line ends: before its comment and the blanks there. */
static size_t code_length(const char *line)
{
    char quote = 0;
    size_t n = 0;
    for (; line[n] && line[n] != '\n'; n++) {
        char c = line[n];
        if (quote ? c == quote : c == '\'' || c == '"')
            quote = quote ? 0 : c;
        else if (c == '\\' && quote != '\'' && line[n + 1] != '\n')
            n++;
        else if (!quote && c == '#' && (n == 0 || line[n - 1] == ' '))
            break;
    }
    while (n && line[n - 1] == ' ')
        n--;
    return n;
}

static void put(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            putchar('\\');
        putchar(text[i]);
    }
}

static int embed(const char *path, bool with_faults)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        return -1;
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    printf("\nconst char rb_far_sh_%.*s[] =", (int)(strlen(name) - 3), name);
    char line[1024];
    bool glue = true; /* nothing to separate from */
    while (fgets(line, sizeof(line), f)) {
        const char *code = line + strspn(line, " ");
        size_t len = code_length(code);
        if (len == 0 || (!with_faults && strncmp(code, "fault ", 6) == 0))
            continue;
        bool continued = code[len - 1] == '\\';
        fputs(glue ? "\n    \"" : "\n    \";", stdout);
        put(code, continued ? len - 1 : len);
        glue = continued || goes_on(code, len);
        fputs(glue && !continued ? " \"" : "\"", stdout);
    }
    puts(";");
    bool failed = ferror(f);
    fclose(f);
    return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    int at = 1;
    bool with_faults = argc > 1 && strcmp(argv[1], "--fault") == 0;
    puts("/* Made by tools/embed_sh.c from host/io/ssh_far/. */\n#include \"io/ssh_far_sh.h\"");
    for (at += with_faults; at < argc; at++)
        if (embed(argv[at], with_faults) < 0)
            return 1;
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
