---@meta rbhost
-- Everything that a runbook can use beyond Lua itself: the reference that editors and docs/ show. Lua's own functions
-- are those of 5.4, but for what reaches outside (io, os.execute, debug, package, dofile, loadfile …), which is absent.
-- sql, http, ssh, file and notify have files of their own beside this one. A test compares all of them with the words
-- that `rbhost check` knows.

-- -- the header
-- ------------------------------------------------------------------------------------------------------------

---@alias rbhost.Duration string|number A text such as "90s", "1h30m", "500ms", "2d", or a number of seconds.

---@class rbhost.Param One parameter: its type first, then what restricts it.
---@field [1] "string"|"integer"|"number"|"boolean"|"choice"|"list"|"map"|"duration"|"url"|"host"|"secret"|"file"
---@field required? boolean The run does not start without it.
---@field default? any Its value when none is given. A secret has none.
---@field match? string A Lua pattern that the text (or each element of a list or map) must match.
---@field min? number|string The least number, duration, length of a text, or count of elements.
---@field max? number|string The same, upwards.
---@field choices? any[] What is allowed; a `choice` needs it.
---@field of? "string"|"integer"|"number"|"boolean"|"duration"|"url"|"host" Type of the elements of a list or map; default string.
---@field help? string One line for the person who is asked.

---@class rbhost.Allow What the runbook may reach. In a pattern {param} stands for the value of a parameter. Absent in the header: everything, for a file run by its owner on the command line.
---@field exec? string[] Programs by name or path, "git", or commands word by word, "git verify-tag *"; `**` is all the words that follow. exec.sh is `sh`.
---@field http? string[] URLs, "https://*.corp:8443/v1/*", perhaps with methods before them, "GET,HEAD https://…". Without a port: the scheme's; without a path, or when it ends in `/` or `/*`: all of them.
---@field ssh? string[] Hosts as calls name them: "web*" (with any user and port), "deploy@db1", "db1:2222". `*` does not cross a dot, `**` does.
---@field sql? string[] Names of DSNs of the configuration, or DSNs, "sqlite:/srv/*.db".
---@field file? string[] Paths, also relative to the runbook's folder: "data/*.csv"; `**` crosses folders; without a wildcard all that is below, too.
---@field notify? string[] Channels of the configuration.

---@class rbhost.Header
---@field name? string Default: the file's name without .lua.
---@field title? string
---@field params? table<string, rbhost.Param>
---@field allow? rbhost.Allow
---@field destructive? boolean It starts only when its name is typed, or given by --confirm.
---@field lock? string One run at a time for each key; {param} stands for a parameter's value. For a later version.
---@field timeout? rbhost.Duration Of the whole run.
---@field on_failure? "ask"|"undo"|"leave" What happens with the armed compensations when the run fails; default "ask".
---@field notify? table<"waiting"|"in_doubt"|"failed"|"parked"|"succeeded"|"denied"|"cancelled", string|string[]> Channels of the configuration that are told when the run comes to this, with the command that goes on. A time-out counts as failed.
---@field env? string[] Names of environment variables that env() may read and that commands get.

---The header of a runbook: plain data, read without running the body; only `require` may precede it. Returns the
---parameters' values. Without a header a runbook has no parameters.
---@param header rbhost.Header
---@return table<string, any> params
function runbook(header) end

-- -- steps and checks
-- ------------------------------------------------------------------------------------------------------

---@class rbhost.StepOptions
---@field retry? rbhost.RetryOptions Try the whole step again.
---@field timeout? rbhost.Duration Cancel it when it takes longer.
---@field undo? fun() The same as calling undo(title, fn) first.
---@field on_doubt? "ask"|"retry"|"fail" For the effects in it that do not say themselves.

---A titled group of operations. Returns what fn returns: plain data.
---@param title string
---@param opts rbhost.StepOptions
---@param fn fun(): ...
---@return ...
---@overload fun(title: string, fn: fun(): ...): ...
function step(title, opts, fn) end

---@class rbhost.CheckOptions
---@field acts? boolean It changes the world: it runs alone, and a dry run only lists it.
---@field timeout? rbhost.Duration
---@field retry? rbhost.RetryOptions

---One check, at once. An error or `false` is a failure, skip(why) leaves it out. It only reads, unless acts = true.
---@param stage string
---@param text string what is proved
---@param fn fun(): any
---@param opts? rbhost.CheckOptions
---@return any
function check(stage, text, fn, opts) end

---@class rbhost.Row: rbhost.CheckOptions
---@field [1] string the stage
---@field [2] string what is checked
---@field [3] fun(): any how it is proved

---@class rbhost.Rows
---@field [integer] rbhost.Row
---@field serial? boolean One row after the other; default: rows that only read run together.

---Runs its rows as checks and fails once, at the end, naming every failed check:
---checklist "title" { {stage, text, fn}, … }
---@param title string
---@return fun(rows: rbhost.Rows)
function checklist(title) end

---Keeps a named value or text with the step or check; the report shows it.
---@param name string
---@param value any plain data
function evidence(name, value) end

---Keeps a line of text in the journal and the report.
---@param text string
function note(text) end

---Ends the step or check as failed.
---@param message string
---@param fields? table further fields of the error
function fail(message, fields) end

---Ends the step or check as skipped.
---@param why? string
function skip(why) end

---Registers a compensation. It is armed when its step starts its first effect; after a failure the armed ones run, last
---first, when a person (or on_failure = "undo") says so.
---@param title string
---@param fn fun()
function undo(title, fn) end

---What was registered so far is settled: it will not be undone.
function settled() end

---Calls fn once; a replay takes its result from the journal and does not call it, nor anything in it: `undo` and
---`settled` are refused there, its evidence is no part of what a later approval is bound to.
---@generic T
---@param name string
---@param fn fun(): T
---@return T
function memo(name, fn) end

---Ends this run and starts its successor with these parameters: for loops that watch for ever.
---@param params table<string, any>
function restart_with(params) end

-- -- people
-- ----------------------------------------------------------------------------------------------------------------

---@class rbhost.Gate
---@field by? string|string[] Who may open it: users or groups of the system; an empty list: nobody.
---@field timeout? rbhost.Duration How long to wait.
---@field on_timeout? "fail"|"deny"|"continue" Default "fail".

---@class rbhost.Approve: rbhost.Gate
---@field [1] string what is asked
---@field text? string the same by name
---@field binds? any A value, or a function that gives one: when it has changed by the time of the release, the gate is closed again.
---@field not_requester? boolean Whoever started the run may not open it.

---A gate that a person opens. Denial is an error of kind "denied".
---@param gate rbhost.Approve|string
---@return { decision: string, by: string?, comment: string? }
function approve(gate) end

---@class rbhost.Manual: rbhost.Gate
---@field type? "string"|"integer"|"number"|"boolean"|"choice" What is to be answered besides done or failed.
---@field choices? string[]

---A person does or looks at something and answers: done, failed, or a value of the stated type, with a comment.
---@param text string
---@param opts? rbhost.Manual
---@return any value the value where a type is stated, else the comment
function manual(text, opts) end

---@class rbhost.SignalOptions
---@field timeout? rbhost.Duration
---@field title? string

---Waits for a signal of this name from outside (`rbhost signal`); one that came before is taken at once.
---@param name string
---@param opts? rbhost.SignalOptions
---@return any value that the signal carried
function signal(name, opts) end

-- -- effects and waits
-- -----------------------------------------------------------------------------------------------------

---@alias rbhost.OnDoubt "ask"|"retry"|"fail"|fun(): string, any What to do when nobody knows whether an effect has happened.

---@class rbhost.ExecOptions
---@field cwd? string
---@field env? table<string, string|number|rbhost.Secret> Added to the small environment that commands get.
---@field stdin? string|rbhost.Secret
---@field timeout? rbhost.Duration Then TERM, and KILL, to its whole process group.
---@field check? boolean false: a status other than 0 is a result, not an error.
---@field max_output? integer Bytes kept of each of stdout and stderr, default 1 MiB; all of it is counted and digested.
---@field survive? boolean false: no receipt. It ends with the host, and is in doubt when that is killed.
---@field read? boolean It looks and changes nothing: it may run in a check, in a dry run, and again after a crash.
---@field idempotent? boolean Running it twice does no harm.
---@field secret? boolean The texts of its result are secrets: opaque, redacted from then on, encrypted in the journal.
---@field on_doubt? rbhost.OnDoubt
---@field retry? rbhost.RetryOptions
---@field title? string

---@class rbhost.ExecResult
---@field code? integer the exit status
---@field signal? integer the signal that ended it
---@field stdout string
---@field stderr string
---@field stdout_cut? { total: integer, sha256: string } where not all of it was kept
---@field stderr_cut? { total: integer, sha256: string }
---@field time number seconds
---@field assumed? "done"|"skip"|"dry" a word stands for the world's: nobody saw how it ended
---@field held_open? boolean it ended, but a descendant kept its output open

---@class rbhost.Exec
---@overload fun(argv: (string|number)[], opts?: rbhost.ExecOptions): rbhost.ExecResult
exec = {}

---A text for /bin/sh.
---@param text string
---@param opts? rbhost.ExecOptions
---@return rbhost.ExecResult
function exec.sh(text, opts) end

---@class rbhost.SleepOptions
---@field title? string

---Waits. Durable: a resumed run sleeps the rest only.
---@param duration rbhost.Duration
---@param opts? rbhost.SleepOptions
function sleep(duration, opts) end

---Waits until a time: seconds since 1970, or "2026-11-22T03:00:00Z".
---@param time number|string
---@param opts? rbhost.SleepOptions
function sleep_until(time, opts) end

-- -- records: the same on replay
-- -------------------------------------------------------------------------------------------

---Seconds since 1970.
---@return number
function now() end

---A random UUID.
---@return string
function uuid() end

---An environment variable of the host whose name the header or the configuration lets through.
---@param name string
---@return string?
function env(name) end

---A line in the run's log: shown and journaled once, silent on replay.
---@param ... any
function print(...) end

---The same, as a warning.
---@param ... any
function warn(...) end

-- -- concurrency: no task outlives the call that started it
-- ----------------------------------------------------------------

---Runs all branches at once; the first error cancels the rest.
---@generic K, V
---@param branches table<K, fun(): V>
---@return table<K, V>
function all(branches) end

---Runs all branches at once and waits for every one.
---@generic K
---@param branches table<K, fun(): any>
---@return table<K, { ok: boolean, value: any, error: rbhost.Error? }>
function settle(branches) end

---The first branch that ends decides; the rest are cancelled.
---@param branches table<any, fun(): any>
---@return any value
---@return any key
function race(branches) end

---@class rbhost.EachOptions
---@field limit? integer How many at a time; default 16.

---Calls fn(element, index) for each element; the first error cancels the rest. Results come in the order of the list.
---@generic T, R
---@param list T[]
---@param opts rbhost.EachOptions
---@param fn fun(element: T, index: integer): R
---@return R[]
---@overload fun(list: any[], fn: fun(element: any, index: integer): any): any[]
function each(list, opts, fn) end

---Runs fn and cancels it when the time is over: an error of kind "timeout".
---@param limit rbhost.Duration
---@param fn fun(): ...
---@return ...
function timeout(limit, fn) end

---@class rbhost.RetryOptions
---@field times? integer Attempts in all; default 3. retry(5, fn) is short for retry({ times = 5 }, fn).
---@field delay? rbhost.Duration Before the second attempt; default "1s".
---@field backoff? number Each further delay is so many times as long; default 1.
---@field max? rbhost.Duration The longest delay; default "1h".
---@field jitter? number The share of a delay that is left to chance: 0.1 is ±10 %.
---@field on? string|string[]|fun(e: rbhost.Error): boolean Kinds of errors that are worth another attempt; default: all that can be.
---@field title? string

---Calls fn until it succeeds. An effect whose outcome is unknown is not repeated, unless it is idempotent.
---@param opts rbhost.RetryOptions|integer
---@param fn fun(attempt: integer): ...
---@return ...
function retry(opts, fn) end

---@class rbhost.WaitOptions
---@field title? string
---@field every? rbhost.Duration default "5s"
---@field timeout? rbhost.Duration default: for ever

---Calls fn until it returns something true, and returns that.
---@param opts rbhost.WaitOptions
---@param fn fun(attempt: integer): any
---@return any
function wait_until(opts, fn) end

---@class rbhost.ShieldOptions
---@field timeout? rbhost.Duration default "30s"

---Runs fn with cancellation held back until it has ended.
---@param fn fun(): ...
---@param opts? rbhost.ShieldOptions
---@return ...
function shield(fn, opts) end

-- -- values
-- ----------------------------------------------------------------------------------------------------------------

---@class rbhost.Error What is raised is always such a table; tostring gives one line.
---@field kind string "exec.exit", "exec.timeout", "denied", "cancelled", "timeout", "policy", "usage", "failed" …
---@field message string
---@field op? integer the number of the operation
---@field where? string file:line of the call in the runbook
---@field outcome? "not_started"|"failed"|"unknown"
---@field retryable? boolean
---@field result? any
---@field errors? rbhost.Error[] of a checklist

---@class rbhost.Secret An opaque value: it expands only inside effects, and prints as ‹secret:name›.

--- he secret of this name, from its source in the configuration. One with a literal name is there before the run
--- begins;
---for a computed name the source is asked now.
---@class rbhost.SecretVerb
---@overload fun(name: string): rbhost.Secret
secret = {}

---Are two secrets, or a secret and a text, equal?
---@param a rbhost.Secret|string
---@param b rbhost.Secret|string
---@return boolean
function secret.equal(a, b) end

---@class rbhost.RandomSecretOptions
---@field alphabet? "base64url"|"hex"

---A new random secret; the same after a resume.
---@param bits integer 64 to 4096, a multiple of 8
---@param opts? rbhost.RandomSecretOptions
---@return rbhost.Secret
function random_secret(bits, opts) end

---@type lightuserdata An absent value from JSON: the host never returns tables with holes.
null = nil

json = {}

---@param value any
---@return string
function json.encode(value) end

---@param text string
---@return any
function json.decode(text) end

---Marks a table, so that it is encoded as an object though it is empty.
---@param t? table
---@return table
function json.object(t) end

base64 = {}

---@param bytes string
---@return string
function base64.encode(bytes) end

---@param text string
---@return string
function base64.decode(text) end

---With - and _ and without padding, as in URLs and tokens.
---@param bytes string
---@return string
function base64.encode_url(bytes) end

---@param text string
---@return string
function base64.decode_url(text) end

hash = {}

---@param bytes string
---@return string hex
function hash.sha256(bytes) end

---@param bytes string
---@return string hex
function hash.sha512(bytes) end

---@param bytes string
---@return string hex
function hash.sha1(bytes) end

---@param bytes string
---@return string hex
function hash.md5(bytes) end

hmac = {}

---@param key string
---@param bytes string
---@return string hex
function hmac.sha256(key, bytes) end

---@param key string
---@param bytes string
---@return string hex
function hmac.sha512(key, bytes) end

---@param key string
---@param bytes string
---@return string hex
function hmac.sha1(key, bytes) end

---@param key string
---@param bytes string
---@return string hex
function hmac.md5(key, bytes) end

duration = {}

---Seconds of a duration.
---@param text rbhost.Duration
---@return number
function duration.parse(text) end

---The shortest usual text of so many seconds.
---@param seconds number
---@return string
function duration.format(seconds) end
