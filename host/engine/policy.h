/* What a run may reach: the header's `allow`, and the site's policy in the configuration, which narrows it further and
 * never widens it. Asked in the way of an op, before its intent (effect.c), live only; what has been recorded is not
 * asked about again. Patterns are compiled at a run's first question; a question allocates nothing unless it is about
 * ssh or its answer is no. The patterns: docs/policy.md.
 *
 * Names, by kind:
 *   exec    the command and its arguments as rb_policy_word() puts them together: "git verify-tag v1"
 *   http    "METHOD URL", the URL as it will be asked for; each hop of a redirect is asked about again
 *   ssh     [user@]host[:port], as far as the call says them
 *   sql     the name of a DSN of the configuration, else the DSN without its password; the path of "sqlite:" absolute,
 *           or relative to the runbook's folder
 *   file    the absolute path; PATH and two asterisks behind a slash: all that is below it (to list, to remove it)
 *   notify  the channel */
#ifndef RB_POLICY_H
#define RB_POLICY_H

#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"

struct rb_host;
struct rb_run;

/* RB_EDENIED with a sentence that names what was refused, by whom, the nearest pattern, and what to do. A kind that is
 * not known is refused. */
int rb_policy_check(const struct rb_run *run, const char *kind, const char *name, struct rb_err *err);

/* Is there neither a header's list nor one of the site? Then everything is allowed. */
bool rb_policy_is_open(const struct rb_run *run);

/* The same of a path, of kind "file" (or "sql": the file of a SQLite database), and how far symbolic links may lead: it
 * must be absolute and without ".", ".." and "//". bases: lengths of two beginnings of path, the first not longer than
 * the second. Open path[0..bases[0]] as it is, the rest up to bases[1] beneath it, and what is left beneath that
 * (openat2, RESOLVE_BENEATH): then no link leads out of what the site and the header have named. Both are 1 ("/") where
 * everything is allowed. */
int rb_policy_check_path(const struct rb_run *run, const char *kind, const char *path, size_t bases[2],
                         struct rb_err *err);

/* Appends "sqlite:" and a path as a DSN has it: "?" and "%" written as %3F and %25. */
void rb_policy_database(struct rb_buf *name, const char *path);

/* May http speak to this address, to which `host` (of the URL that was allowed) resolves? Loopback and link-local
 * addresses, and those of the clouds' metadata services, only where that is said: RB_EDENIED. A proxy's own address is
 * not asked about. The address's port counts where it is set. */
int rb_policy_check_address(const struct rb_run *run, const char *host, const struct sockaddr *address,
                            struct rb_err *err);

/* Appends one word of a command to a name of kind exec: a space first unless it is the first; spaces and backslashes in
 * the word escaped, so that one word never looks like two. */
void rb_policy_word(struct rb_buf *name, const char *word);

/* What is compiled; freed with their owner. */
void rb_policy_free(struct rb_run *run);
void rb_policy_site_free(struct rb_host *h);

#endif
