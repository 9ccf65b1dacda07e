/* Owns the reading of host names from ssh's configuration. Knows nothing else of it. */
#include "io/ssh_config.h"

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/rb.h"

enum { LINE_CAP = 4096, DEPTH_MAX = 16, FILES_MAX = 256 }; /* depth as ssh has it */

struct reading {
    const char *home, *folder; /* what "~" and relative names are below */
    int depth, files;
    void (*each)(void *arg, const char *name);
    void *arg;
};

static void read_file(struct reading *r, const char *file);

/* The next word of a line, in place; quotes hold it together. NULL: there is none, or a comment begins. */
static char *next_word(char **line)
{
    char *p = *line;
    while (isspace((unsigned char)*p))
        p++;
    if (!*p || *p == '#')
        return NULL;
    char *word = p, end = ' ';
    if (*p == '"') {
        word = ++p;
        end = '"';
    }
    while (*p && (end == '"' ? *p != '"' : !isspace((unsigned char)*p)))
        p++;
    if (*p)
        *p++ = '\0';
    *line = p;
    return word;
}

static void include(struct reading *r, const char *word)
{
    char pattern[LINE_CAP];
    glob_t found = {0};
    int n;
    if (word[0] == '~' && word[1] == '/')
        n = snprintf(pattern, sizeof(pattern), "%s%s", r->home ? r->home : "", word + 1);
    else
        n = snprintf(pattern, sizeof(pattern), "%s%s%s", word[0] == '/' ? "" : r->folder, word[0] == '/' ? "" : "/",
                     word);
    if ((size_t)n >= sizeof(pattern) || r->depth >= DEPTH_MAX)
        return;
    r->depth++;
    if (glob(pattern, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            read_file(r, found.gl_pathv[i]);
    globfree(&found);
    r->depth--;
}

static void read_line(struct reading *r, char *line)
{
    char *keyword = line + strspn(line, " \t"), *rest = keyword + strcspn(keyword, " \t=\"\r\n");
    size_t n = (size_t)(rest - keyword);
    bool host = n == 4 && strncasecmp(keyword, "Host", n) == 0;
    if (!host && !(n == 7 && strncasecmp(keyword, "Include", n) == 0))
        return;
    rest += strspn(rest, " \t");
    rest += *rest == '=';
    for (char *word; (word = next_word(&rest));) {
        if (!host)
            include(r, word);
        else if (*word && !strpbrk(word, "*?!"))
            r->each(r->arg, word);
    }
}

static void read_file(struct reading *r, const char *file)
{
    char line[LINE_CAP];
    FILE *f = r->files < FILES_MAX ? fopen(file, "re") : NULL;
    if (!f)
        return;
    r->files++;
    while (fgets(line, sizeof(line), f))
        read_line(r, line);
    fclose(f);
}

void rb_ssh_config_names(const char *file, const char *home, void (*each)(void *arg, const char *name), void *arg)
{
    char folder[LINE_CAP], path[LINE_CAP + 8];
    struct reading r = {.home = home, .folder = folder, .each = each, .arg = arg};
    snprintf(folder, sizeof(folder), "%s/.ssh", home ? home : "");
    snprintf(path, sizeof(path), "%s/config", folder);
    if (file || home)
        read_file(&r, file ? file : path);
    if (file)
        return;
    snprintf(folder, sizeof(folder), "/etc/ssh");
    read_file(&r, "/etc/ssh/ssh_config");
}
