/* Runbook files before they run: reading the file, its header, its parameters and its literal requires.
 * (rb_runbook_describe, rb_runbook_check and rb_config_load, which front/ calls, are declared in engine/run.h.)
 *
 * Each call opens a scratch Lua state of its own with a memory limit and a budget and drops it again: nothing of a file
 * survives in the process but the JSON that is returned. Nothing here waits or touches the journal. */
#ifndef RB_RUNBOOK_H
#define RB_RUNBOOK_H

#include "base/buf.h"
#include "base/err.h"

#define RB_RUNBOOK_MAX (4 * 1024 * 1024) /* bytes of one runbook file, module or configuration */

/* Reads a Lua file into text (initialised by the caller; its cap should be RB_RUNBOOK_MAX or more) and refuses what is
 * no Lua text: RB_ENOENT missing, RB_EDENIED unreadable, RB_ETOOBIG, RB_EIO, RB_EINVAL for a directory, a device,
 * bytecode, NUL bytes and bytes that are not UTF-8. The message names the file and what to do. */
int rb_runbook_read(const char *file, struct rb_buf *text, struct rb_err *err);

/* The header of a file whose text is there already, as one JSON object:
 *   name        the header's, or the file's name without folder and ".lua"
 *   title       absent when the header has none
 *   params      array, sorted by name, of {name, type, required, default, match, min, max, choices, of, help}, of which
 *               all but name and type may be absent
 *   allow       object of arrays of strings (an empty one is [], as in docs/journal.md): present and empty means that
 *               nothing is allowed, absent means the default
 *   lock        text; {param} stands for a parameter's value
 *   timeout     seconds (integer or float), and timeout_text as it is written
 *   on_failure  "ask" | "undo" | "leave" · notify {event: [channel …]} · env [name …]
 * RB_EINVAL: the file does not compile ("file:line: …", with a caret), the header raises, or it is wrong;
 * then all of its problems, one a line. */
int rb_header_read(const char *file, const char *text, size_t n, struct rb_buf *json, struct rb_err *err);

/* The line of a member of the header, such as "allow.exec" (of what encloses it, when it is not written out); 0: not
 * known. */
int rb_header_line(const char *file, const char *text, size_t n, const char *member);

/* Checks given values against a header (the JSON of rb_header_read) and fills in defaults. given_json is an object of
 * raw values: from the command line all are strings, from a file or the API they are typed; both are taken. values_json
 * is an object with every parameter that has a value, in the format of docs/journal.md "Values"; a secret is
 * {"$secret":"<name of the parameter>"}, so that values_json may be stored and shown. RB_EINVAL: every bad parameter,
 * one a line. No message contains the text of a secret. */
int rb_params_resolve(const char *header_json, const char *given_json, struct rb_buf *values_json, struct rb_err *err);
/* JSON Schema (draft 2020-12) of the parameters, for the API and the web page. */
int rb_params_schema(const char *header_json, struct rb_buf *schema_json, struct rb_err *err);

/* The literal requires of a text (require "x", require("x"), require [[x]]), in order of appearance, each once: a JSON
 * array of strings. A `require` that is a local variable does not count. RB_EINVAL when the text does not compile. */
int rb_requires_scan(const char *file, const char *text, size_t n, struct rb_buf *names_json, struct rb_err *err);

/* The same of the literal names of secrets: secret "x", secret("x"). */
int rb_secrets_scan(const char *file, const char *text, size_t n, struct rb_buf *names_json, struct rb_err *err);

#endif
