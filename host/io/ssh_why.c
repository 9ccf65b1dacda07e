/* Owns the reading of ssh's complaints: which reason they are, and which line says it. They are English in every
 * locale, and what the other side adds to them is not trusted: it can only choose among the reasons of a connection
 * that does not stand.
 *
 * ssh says several things for one reason, the least telling last ("Connection closed by UNKNOWN port 65535"); a jump
 * host's own complaint comes before. So the table is gone through in its order, over all lines, and the first hit is
 * the reason. */
#include "io/ssh_why.h"

#include <string.h>
#include <strings.h>

#define LINES_MAX 200
#define CONFIG_LINE " line #: " /* stands for any number */
#define UNKNOWN_KEY "Host key verification failed"
#define NO_CLIENT 127  /* of the shell that starts ssh: not found */
#define BAD_CLIENT 126 /* not executable */

struct line {
    const char *p;
    size_t n;
};

static const struct {
    const char *part; /* found in a line, whatever its case */
    enum rb_ssh_why why;
} table[] = {
    {"REMOTE HOST IDENTIFICATION HAS CHANGED", RB_SSH_WHY_HOST_KEY_CHANGED},
    {" has changed and you have requested strict checking", RB_SSH_WHY_HOST_KEY_CHANGED},
    {"REVOKED HOST KEY DETECTED", RB_SSH_WHY_HOST_KEY},
    {" host key is known for ", RB_SSH_WHY_HOST_KEY},
    {"The authenticity of host ", RB_SSH_WHY_HOST_KEY},
    {UNKNOWN_KEY, RB_SSH_WHY_HOST_KEY},
    {"Bad configuration option", RB_SSH_WHY_CONFIG},
    {"bad configuration options", RB_SSH_WHY_CONFIG},
    {"Can't open user config file", RB_SSH_WHY_CONFIG},
    {"Bad owner or permissions on ", RB_SSH_WHY_CONFIG},
    {"hostname contains invalid characters", RB_SSH_WHY_CONFIG},
    {"remote username contains invalid characters", RB_SSH_WHY_CONFIG},
    {CONFIG_LINE, RB_SSH_WHY_CONFIG},
    {"unsupported option", RB_SSH_WHY_CONFIG},
    {"unknown option -- ", RB_SSH_WHY_CONFIG},
    {"illegal option -- ", RB_SSH_WHY_CONFIG},
    {"Bad port ", RB_SSH_WHY_CONFIG},
    {"Invalid -J argument", RB_SSH_WHY_CONFIG},
    {"ControlPath too long", RB_SSH_WHY_CONFIG},
    {"Unable to negotiate with ", RB_SSH_WHY_CONFIG},
    {"Could not resolve hostname ", RB_SSH_WHY_NAME},
    {"Permission denied (", RB_SSH_WHY_AUTH},
    {"Too many authentication failures", RB_SSH_WHY_AUTH},
    {"No more authentication methods", RB_SSH_WHY_AUTH},
    {"Connection refused", RB_SSH_WHY_REFUSED},
    {"timed out", RB_SSH_WHY_TIMEOUT},
    {"No route to host", RB_SSH_WHY_UNREACHABLE},
    {"Network is unreachable", RB_SSH_WHY_UNREACHABLE},
    {"Host is down", RB_SSH_WHY_UNREACHABLE},
    {"Connection reset", RB_SSH_WHY_UNREACHABLE},
    {"Connection closed", RB_SSH_WHY_UNREACHABLE},
    {"closed by remote host", RB_SSH_WHY_UNREACHABLE},
    {"Broken pipe", RB_SSH_WHY_UNREACHABLE},
};

/* Where the line holds the text, whatever its case; its length when it does not. */
static size_t place(const struct line *l, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= l->n; i++)
        if (strncasecmp(l->p + i, part, n) == 0)
            return i;
    return l->n;
}

/* "/etc/ssh/ssh_config line 12: …" */
static bool is_of_config(const struct line *l)
{
    size_t at = place(l, " line ") + 6, digits = at;
    while (digits < l->n && l->p[digits] >= '0' && l->p[digits] <= '9')
        digits++;
    return digits > at && digits + 1 < l->n && l->p[digits] == ':' && l->p[digits + 1] == ' ';
}

static bool holds(const struct line *l, const char *part)
{
    return strcmp(part, CONFIG_LINE) == 0 ? is_of_config(l) : place(l, part) < l->n;
}

static size_t split(const char *said, size_t n, struct line lines[LINES_MAX])
{
    size_t count = 0;
    const char *end = said + n;
    while (said < end && count < LINES_MAX) {
        const char *stop = said;
        while (stop < end && *stop != '\n')
            stop++;
        struct line l = {said, (size_t)(stop - said)};
        while (l.n && ((unsigned char)l.p[l.n - 1] <= ' '))
            l.n--;
        while (l.n && (unsigned char)l.p[0] <= ' ')
            l.p++, l.n--;
        if (l.n)
            lines[count++] = l;
        said = stop + 1;
    }
    return count;
}

/* Adds the n bytes, made printable, to text. */
static void add(char text[RB_SSH_TEXT_MAX], const char *p, size_t n)
{
    size_t at = strlen(text);
    for (size_t i = 0; i < n && at + 1 < RB_SSH_TEXT_MAX; i++)
        text[at++] = (char)((unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x7f ? p[i] : '?');
    text[at] = '\0';
}

static void adds(char text[RB_SSH_TEXT_MAX], const char *s)
{
    add(text, s, strlen(s));
}

/* The line without what only says who speaks. */
static void add_line(char text[RB_SSH_TEXT_MAX], const struct line *l)
{
    size_t skip = l->n > 5 && strncmp(l->p, "ssh: ", 5) == 0 ? 5 : 0;
    add(text, l->p + skip, l->n - skip);
}

static const struct line *find(const struct line *lines, size_t count, const char *part)
{
    for (size_t i = 0; i < count; i++)
        if (holds(&lines[i], part))
            return &lines[i];
    return NULL;
}

/* "web01's key is not the one in FILE:3 (it is now SHA256:…)": the story is spread over a dozen lines. */
static void tell_changed(char text[RB_SSH_TEXT_MAX], const struct line *lines, size_t count)
{
    const struct line *where = find(lines, count, "Offending ");
    const struct line *print = find(lines, count, "SHA256:");
    const struct line *who = find(lines, count, "Host key for ");
    if (who) {
        const char *name = who->p + strlen("Host key for ");
        size_t n = 0, room = (size_t)(who->p + who->n - name);
        while (n < room && name[n] != ' ')
            n++;
        adds(text, "the host key of ");
        add(text, name, n);
        adds(text, " has changed");
    } else {
        adds(text, "the host key has changed");
    }
    if (print) {
        size_t n = print->n && print->p[print->n - 1] == '.' ? print->n - 1 : print->n;
        adds(text, ": it is now ");
        add(text, print->p, n);
    }
    if (where) {
        size_t at = 0;
        while (at + 4 < where->n && strncmp(where->p + at, " in ", 4) != 0)
            at++;
        if (at + 4 < where->n) {
            adds(text, ", and another stands in ");
            add(text, where->p + at + 4, where->n - at - 4);
        }
    }
}

/* A key that could not be used is the usual reason why permission is denied. */
static void add_hint(char text[RB_SSH_TEXT_MAX], const struct line *lines, size_t count)
{
    static const char *const hints[] = {"Load key ",    "no such identity: ", "not accessible: ",
                                        "are too open", "signing failed",     "agent refused operation"};
    for (size_t i = 0; i < RB_COUNT(hints); i++) {
        const struct line *l = find(lines, count, hints[i]);
        if (l) {
            adds(text, " (");
            add_line(text, l);
            adds(text, ")");
            return;
        }
    }
}

void rb_ssh_last_line(const char *said, size_t n, char text[RB_SSH_TEXT_MAX])
{
    struct line lines[LINES_MAX];
    size_t count = split(said, n, lines);
    text[0] = '\0';
    if (count)
        add_line(text, &lines[count - 1]);
}

enum rb_ssh_why rb_ssh_why_of(const char *said, size_t n, int code, char text[RB_SSH_TEXT_MAX])
{
    struct line lines[LINES_MAX];
    size_t count = split(said, n, lines);
    text[0] = '\0';
    if (code == NO_CLIENT || code == BAD_CLIENT) {
        adds(text, code == NO_CLIENT ? "there is no ssh here (Debian's package is openssh-client)"
                                     : "ssh can not be run here");
        return RB_SSH_WHY_CLIENT;
    }
    for (size_t i = 0; i < RB_COUNT(table); i++) {
        const struct line *l = find(lines, count, table[i].part);
        if (!l)
            continue;
        if (table[i].why == RB_SSH_WHY_HOST_KEY_CHANGED)
            tell_changed(text, lines, count);
        else if (strcmp(table[i].part, UNKNOWN_KEY) == 0) /* all that is said where ssh would have asked */
            adds(text, "its host key is not in known_hosts, and nobody is there to be asked");
        else
            add_line(text, l);
        if (table[i].why == RB_SSH_WHY_AUTH)
            add_hint(text, lines, count);
        return table[i].why;
    }
    if (count)
        add_line(text, &lines[count - 1]);
    else
        adds(text, "ssh ended and said nothing");
    return RB_SSH_WHY_UNREACHABLE;
}

const char *rb_ssh_why_name(enum rb_ssh_why why)
{
    static const char *const names[] = {
        [RB_SSH_WHY_NONE] = "none",
        [RB_SSH_WHY_NAME] = "name",
        [RB_SSH_WHY_REFUSED] = "refused",
        [RB_SSH_WHY_TIMEOUT] = "timeout",
        [RB_SSH_WHY_UNREACHABLE] = "unreachable",
        [RB_SSH_WHY_HOST_KEY] = "host_key",
        [RB_SSH_WHY_HOST_KEY_CHANGED] = "host_key_changed",
        [RB_SSH_WHY_AUTH] = "auth",
        [RB_SSH_WHY_CONFIG] = "config",
        [RB_SSH_WHY_SESSION] = "session",
        [RB_SSH_WHY_CLIENT] = "client",
        [RB_SSH_WHY_LOST] = "lost",
    };
    return names[why];
}
