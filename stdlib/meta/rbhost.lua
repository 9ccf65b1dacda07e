---@meta rbhost
-- Everything that a runbook can use beyond Lua itself: the reference that editors and docs/ show. Lua's own functions
-- are those of 5.4, but for what reaches outside (io, os.execute, debug, package, dofile, loadfile …), which is absent.
-- A test compares this file with the words that `rbhost check` knows.

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

-- -- databases
-- -------------------------------------------------------------------------------------------------------------

---@alias rbhost.SqlValue nil|boolean|number|string|rbhost.Secret|rbhost.Bytes|lightuserdata|any[] NULL is `null`; lists are for databases that have arrays.

---@class rbhost.SqlOptions In the one table of a statement: { "SELECT …", value, …, timeout = "5s" }.
---@field params? rbhost.SqlValue[]|table<string, rbhost.SqlValue> The parameters, where they do not stand behind the statement.
---@field timeout? rbhost.Duration Default "5m"; another's lock is waited for as long, or 10 s where it does not say.
---@field retry? rbhost.RetryOptions
---@field secret? boolean The texts of its result are secrets: encrypted in the journal.
---@field title? string
---@field read? boolean Of sql: it looks and changes nothing; the database is told to refuse a write.
---@field idempotent? boolean Running it twice does no harm.
---@field on_doubt? rbhost.OnDoubt
---@field max_rows? integer Default 10,000. A read that has more is an error; of a write the rows are cut.
---@field max_bytes? integer Of all rows together, default 16 MiB.
---@field numeric? boolean PostgreSQL: numeric as a float instead of a text.
---@field script? boolean Several statements without parameters: all of them or none.

---@class rbhost.SqlRows A list of tables by the names of the columns; plain data.
---@field columns string[] their names, in the order of the statement
---@field [integer] table<string, any>

---@class rbhost.SqlResult
---@field changes? integer rows that were inserted, updated or deleted
---@field last_id? integer SQLite: rowid of the row inserted last
---@field rows? rbhost.SqlRows of RETURNING
---@field more? boolean there were more rows than max_rows
---@field notices? string[] what PostgreSQL had to say
---@field assumed? "done"|"skip"|"dry"

---@class rbhost.Bytes

---@class rbhost.Sql
---@overload fun(dsn: string|rbhost.Secret, statement: string|table, ...: rbhost.SqlValue|table): rbhost.SqlRows|rbhost.SqlResult
sql = {}

---@class rbhost.SqlOpen Defaults for everything that is done with the db.
---@field timeout? rbhost.Duration
---@field retry? rbhost.RetryOptions
---@field secret? boolean The texts of its result are secrets: encrypted in the journal.
---@field title? string
---@field read? boolean
---@field idempotent? boolean
---@field on_doubt? rbhost.OnDoubt
---@field max_rows? integer
---@field max_bytes? integer
---@field numeric? boolean
---@field attach? table<string, string> SQLite: other databases by a name: { archive = "/srv/archive.db" }.

---A database, by the name that the configuration has for it (dsns) or by its DSN. Nothing is opened yet.
---@param dsn string|rbhost.Secret "app", "sqlite:/srv/app.db", "postgres://user@host/db"
---@param opts? rbhost.SqlOpen
---@return rbhost.Db
function sql.open(dsn, opts) end

---Bytes that are bound as a blob, though they may look like text.
---@param s string
---@return rbhost.Bytes
function sql.bytes(s) end

---@class rbhost.EachRowOptions
---@field batch? integer Rows a batch, default 500. Each batch is an operation.
---@field max_rows? integer default 1,000,000; more are an error
---@field max_bytes? integer of a batch
---@field numeric? boolean
---@field timeout? rbhost.Duration of a batch
---@field retry? rbhost.RetryOptions
---@field title? string

---@class rbhost.BackupOptions
---@field timeout? rbhost.Duration
---@field retry? rbhost.RetryOptions
---@field title? string
---@field idempotent? boolean default true
---@field on_doubt? rbhost.OnDoubt

---@class rbhost.TxOptions
---@field title? string
---@field timeout? rbhost.Duration Of the function; then it is rolled back.
---@field attempts? integer How often the function is called when others are in the way (busy, serialization), default 3.
---@field isolation? string SQLite: "immediate" (default), "deferred", "exclusive"; PostgreSQL: "read committed", "repeatable read", "serializable".
---@field read? boolean It only reads.
---@field exactly_once? boolean A row in rbhost_once, written with it, says after a crash whether it took place: nobody is asked.
---@field idempotent? boolean
---@field on_doubt? rbhost.OnDoubt What to do when the host died while COMMIT was under way.

---@class rbhost.Db
---@field query fun(self: rbhost.Db, statement: string|table, ...): rbhost.SqlRows all rows
---@field one fun(self: rbhost.Db, statement: string|table, ...): table? the one row; more are an error
---@field value fun(self: rbhost.Db, statement: string|table, ...): any the one value of the one row
---@field exec fun(self: rbhost.Db, statement: string|table, ...): rbhost.SqlResult a statement that changes something
---@field each fun(self: rbhost.Db, statement: string, params: table?, opts: rbhost.EachRowOptions?, fn: fun(row: table, n: integer): any): integer
---@field tx fun(self: rbhost.Db, opts: rbhost.TxOptions|fun(tx: rbhost.Tx, attempt: integer): ..., fn?: fun(tx: rbhost.Tx, attempt: integer): ...): ...
---@field backup fun(self: rbhost.Db, path: string, opts: rbhost.BackupOptions?) SQLite: a copy of the whole database

---@class rbhost.TxSqlOptions In the one table of a statement inside db:tx.
---@field params? table
---@field timeout? rbhost.Duration
---@field secret? boolean The texts of its result are secrets: encrypted in the journal.
---@field title? string
---@field max_rows? integer
---@field max_bytes? integer
---@field numeric? boolean
---@field script? boolean

---@class rbhost.Tx What the function of db:tx is given; of use only inside it.
---@field query fun(self: rbhost.Tx, statement: string|table, ...): rbhost.SqlRows
---@field one fun(self: rbhost.Tx, statement: string|table, ...): table?
---@field value fun(self: rbhost.Tx, statement: string|table, ...): any
---@field exec fun(self: rbhost.Tx, statement: string|table, ...): rbhost.SqlResult
---@class rbhost.Tls
---@field ca? string File with the authorities to trust instead of the system's.
---@field cert? string File with a client certificate.
---@field key? string File with its key.
---@field insecure? boolean true: the server's certificate is not verified.
---@field name? string The name that the certificate must be for; default: the URL's host.
---@field pins? string|string[] Digests of the server's key, "sha256//…": one of them must fit.

---@class rbhost.HttpWire
---@field headers? table<string, string|number|rbhost.Secret|(string|rbhost.Secret)[]>
---@field query? table<string, any> Encoded and put behind the URL; of a list each element.
---@field auth? { user: string, password: string|rbhost.Secret } Basic.
---@field bearer? string|rbhost.Secret
---@field tls? rbhost.Tls
---@field unix? string A socket file that is spoken to instead of the URL's host.
---@field max_body? integer Bytes kept of the answer, default 1 MiB (in a file: 16 GiB).
---@field proxy? boolean false: no proxy, whatever the configuration says.
---@field connect_timeout? rbhost.Duration Default 10 s.
---@field http2? boolean Ask for HTTP/2; default HTTP/1.1.

---@class rbhost.HttpOptions: rbhost.HttpWire
---@field timeout? rbhost.Duration Of the whole request with its answer, default 30 s.
---@field follow? integer How many redirects; default 5 for GET and HEAD, else 0.
---@field expect? integer|string|(integer|string)[]|false Statuses that are no error: 200, "2xx", "200-299", a list; false: every one. Default "2xx".
---@field save? string The body goes to this file, which appears when it is whole.
---@field read? boolean It looks and changes nothing; default for GET, HEAD and OPTIONS.
---@field idempotent? boolean Doing it twice does no harm; default for PUT and DELETE.
---@field on_doubt? rbhost.OnDoubt
---@field retry? rbhost.RetryOptions|false
---@field secret? boolean The texts of its result are secrets; the journal holds them encrypted.
---@field title? string

---@class rbhost.HttpBodyOptions: rbhost.HttpOptions
---@field json? any
---@field form? table<string, any>
---@field multipart? table<string, any> Texts, or { file = path, name = …, type = … }.
---@field body? string|rbhost.Secret|{ file: string }

---@class rbhost.HttpRequest: rbhost.HttpBodyOptions
---@field method? string Default GET.
---@field url string|rbhost.Secret

---@class rbhost.HttpEventsOptions: rbhost.HttpWire
---@field timeout? rbhost.Duration The longest silence between two events, default 5 min.
---@field reconnect? boolean true: a stream that the server ends is opened again; default: only one that broke.
---@field max_event? integer Bytes of one event, default 1 MiB.
---@field last_id? string Begin behind this event.
---@field method? string Default GET.
---@field json? any
---@field title? string

---@class rbhost.HttpResult
---@field status integer
---@field headers table<string, string|string[]> Names in lower case; repeated ones joined by ", ", set-cookie a list.
---@field body string
---@field json fun(): any The body as JSON.
---@field url string That gave it, after redirects.
---@field time { dns: number?, connect: number?, tls: number?, first_byte: number?, total: number } Seconds since the start.
---@field tls? { issuer: string, subject: string, not_after: integer, valid_until: string }
---@field reused boolean The connection was there already.
---@field redirects? string[] The URLs that led there.
---@field saved? { path: string, size: integer, sha256: string }
---@field body_cut? { total: integer, sha256: string } Where not all of it was kept.
---@field retry_after? number Seconds that the server asks to wait.
---@field assumed? "done"|"skip"|"dry" a word stands for the world's: nobody saw an answer

---@class rbhost.Http
---@overload fun(request: rbhost.HttpRequest): rbhost.HttpResult
http = {}

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpOptions
---@return rbhost.HttpResult
function http.get(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpOptions
---@return rbhost.HttpResult
function http.head(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpBodyOptions
---@return rbhost.HttpResult
function http.post(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpBodyOptions
---@return rbhost.HttpResult
function http.put(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpBodyOptions
---@return rbhost.HttpResult
function http.patch(url, opts) end

---@param url string|rbhost.Secret
---@param opts? rbhost.HttpBodyOptions
---@return rbhost.HttpResult
function http.delete(url, opts) end

---Server-sent events: fn is called with each until it returns true or "stop", or the server ends the stream. Each is an
---op: a resumed run sees the same ones and asks for what came after them. Returns how many there were.
---@param url string|rbhost.Secret
---@param opts? rbhost.HttpEventsOptions
---@param fn fun(event: { id: string?, event: string, data: string }): any
---@return integer
function http.events(url, opts, fn) end
---@class rbhost.Host A host in parts. What is not said is ssh's own configuration's business.
---@field host string A name that ssh knows.
---@field user? string
---@field port? integer
---@field identity? string The file of a key.
---@field jump? string Hosts on the way: "user@gate:22", with commas between.
---@field name? string For people, and in keys; default the host.

---@alias rbhost.HostLike string|rbhost.Host "web1", "user@web1", "web1:2222", or a table.

---@class rbhost.SshOptions: rbhost.ExecOptions
---@field sudo? boolean|{ password: rbhost.Secret } As root, by sudo. It never waits for a password.
---@field survive? boolean false: no receipt over there; a crash of this host leaves it in doubt.
---@field connect_timeout? rbhost.Duration Default: the configuration's, else 30 s.

---@class rbhost.SshEachOptions: rbhost.SshOptions
---@field limit? integer Hosts at a time, default 16.
---@field fail_fast? boolean The first failure cancels the rest.
---@field max_failures? integer|string When more have failed, no further host is begun: a number, or "10%".

---@class rbhost.SshUploadOptions
---@field from? string A file of this machine.
---@field content? string|rbhost.Secret Or the content itself.
---@field to string The path over there.
---@field mode? string Such as "0640". Default: of the file that is replaced, else of `from`, else "0644".
---@field owner? string Such as "app" or "app:www".
---@field sudo? boolean By sudo, where it wants no password.
---@field timeout? rbhost.Duration
---@field connect_timeout? rbhost.Duration
---@field retry? rbhost.RetryOptions
---@field on_doubt? rbhost.OnDoubt Default "retry": the same file is put there once more.
---@field title? string

---@class rbhost.SshDownloadOptions
---@field from string The path over there.
---@field to? string A file of this machine. Without it the result has the content.
---@field max? integer Bytes; default 16 GiB, or 1 MiB without `to`.
---@field secret? boolean The content is a secret.
---@field sudo? boolean By sudo, where it wants no password.
---@field timeout? rbhost.Duration
---@field connect_timeout? rbhost.Duration
---@field retry? rbhost.RetryOptions
---@field on_doubt? rbhost.OnDoubt
---@field title? string

---@class rbhost.SshResult: rbhost.ExecResult
---@field host string

---@class rbhost.SshFile
---@field host string
---@field path string
---@field size integer bytes
---@field sha256 string
---@field content? string|rbhost.Secret of a download without `to`

---  command on another machine, by OpenSSH's client and its configuration. A list is passed word by word, a text goes
---  to
---/bin/sh over there as it is. Another exit code than 0 is an error, unless check = false.
---@class rbhost.Ssh
---@overload fun(host: rbhost.HostLike, command: string[]|string, opts?: rbhost.SshOptions): rbhost.SshResult
ssh = {}

--- he same on many hosts. Results in the order of the hosts; what failed is one error (kind "ssh.each") with
--- `failures`.
---@param hosts string|(string|rbhost.Host)[] as ssh.hosts has them
---@param opts? rbhost.SshEachOptions
---@param what string[]|string|fun(host: rbhost.HostLike, index: integer): any
---@return any[]
function ssh.each(hosts, opts, what) end

---Puts a file over there: whole and with its digest compared, or not at all.
---@param host rbhost.HostLike
---@param opts rbhost.SshUploadOptions
---@return rbhost.SshFile
function ssh.upload(host, opts) end

---Gets a file from over there.
---@param host rbhost.HostLike
---@param opts rbhost.SshDownloadOptions
---@return rbhost.SshFile
function ssh.download(host, opts) end

---The hosts that texts stand for: names, ranges "web[01-20]", groups of the configuration, "file:PATH", globs of the
---names in ssh's configuration; "!web07" takes out again. `rbhost run --limit` narrows what comes of it.
---@param ... string|rbhost.Host|(string|rbhost.Host)[]
---@return rbhost.HostLike[]
function ssh.hosts(...) end

---@class rbhost.FileOptions
---@field timeout? rbhost.Duration Default "5m".
---@field retry? rbhost.RetryOptions
---@field title? string

---@class rbhost.FileReadOptions: rbhost.FileOptions
---@field max? integer Bytes, default 1 MiB; a larger file is an error.
---@field cut? boolean The beginning of a larger file is enough.
---@field secret? boolean The content is a secret: opaque, redacted from then on, encrypted in the journal.

---@class rbhost.FileStatOptions: rbhost.FileOptions
---@field follow? boolean What a link leads to, instead of the link.

---@class rbhost.FileListOptions: rbhost.FileOptions
---@field recursive? boolean What is in its folders, too. Links are not followed.
---@field depth? integer Levels of folders, default 64.
---@field glob? string Only names that match; with a slash in it, paths below the folder that match.
---@field max? integer Entries, default 10,000; more is an error.
---@field cut? boolean Some of them are enough.

---@class rbhost.FileActOptions: rbhost.FileOptions
---@field on_doubt? rbhost.OnDoubt Default: it looks what is there, and does what is missing.

---@class rbhost.FileWriteOptions: rbhost.FileActOptions
---@field mode? string Such as "0640". Default: of the file that is replaced, else "0644", else, for a secret, "0600".
---@field backup? boolean|string Keep the old content: true is the ending ".bak", another ending begins with a dot, anything else is a path.
---@field create? "new" It must not be there.
---@field expect? string SHA-256: replace only this content.

---@class rbhost.FileRemoveOptions: rbhost.FileActOptions
---@field recursive? boolean What is in the folder, too; never across a mount, and no link is followed.
---@field missing_ok? boolean That there is nothing is no error.
---@field max? integer Entries that recursive may remove, default 10,000.

---@class rbhost.FileMkdirOptions: rbhost.FileActOptions
---@field parents? boolean The folders above it, too; that it is there is no error.
---@field mode? string Default "0755".

---@class rbhost.FileStat
---@field type "file"|"folder"|"link"|"fifo"|"socket"|"character device"|"block device"
---@field mode string "0644"
---@field size integer bytes
---@field uid integer
---@field gid integer
---@field owner? string
---@field group? string
---@field links integer names that it has
---@field mtime number seconds since 1970
---@field target? string of a link

---Files of this machine. A relative path is below the runbook's folder.
file = {}

---The content. Text or bytes, as it is.
---@param path string
---@param opts? rbhost.FileReadOptions
---@return string|rbhost.Secret content
---@return integer? size with cut = true: of the whole file
function file.read(path, opts) end

---What is there; nil when nothing is. Of a link: the link itself.
---@param path string
---@param opts? rbhost.FileStatOptions
---@return rbhost.FileStat?
function file.stat(path, opts) end

---What is in a folder, sorted by name.
---@param path string
---@param opts? rbhost.FileListOptions
---@return { name: string, type: string }[]
function file.list(path, opts) end

---The SHA-256 of the content.
---@param path string
---@param opts? rbhost.FileOptions
---@return string hex
function file.digest(path, opts) end

---Replaces the file as a whole, or makes it: at every moment it is the old one or the new one, and lasting when this
---returns.
---@param path string
---@param content string|rbhost.Secret
---@param opts? rbhost.FileWriteOptions
---@return { path: string, size: integer, backup: string? }
function file.write(path, content, opts) end

---Removes a file, a link or an empty folder.
---@param path string
---@param opts? rbhost.FileRemoveOptions
---@return boolean was_there
function file.remove(path, opts) end

---Makes a folder.
---@param path string
---@param opts? rbhost.FileMkdirOptions
---@return boolean made false: it was there
function file.mkdir(path, opts) end

---@class rbhost.Message What is told: a text, or a text with a headline and more.
---@field text? string|number
---@field title? string The headline; without a text it is the text.
---@field severity? "debug"|"info"|"warning"|"error"|"critical" Default "info". A channel may want a least one.
---@field fields? table<string, string|number|boolean> Named values, shown below the text.
---@field dedup? string The thing it is about: what a later message with action = "resolve" closes.
---@field action? "trigger"|"acknowledge"|"resolve" Default "trigger".

---@class rbhost.NotifyOptions
---@field timeout? rbhost.Duration Of the whole delivery, default the channel's, else 30 s.
---@field check? boolean false: a message that is not delivered is a result, not an error.
---@field idempotent? boolean
---@field on_doubt? rbhost.OnDoubt Default: the channel's, else "retry".
---@field retry? rbhost.RetryOptions
---@field title? string Of the operation, in the tree and the report.

---@class rbhost.NotifyResult
---@field delivered boolean
---@field channel string that took it: the one that was named, or one it falls back to
---@field id? string of the message: the same when it is sent again
---@field held? "severity"|"rate" why it was not delivered, on purpose
---@field error? string why it was not delivered, with check = false
---@field assumed? "done"|"skip"|"dry" a word stands for the world's: nobody saw whether it was delivered

---@class rbhost.Notify
---@overload fun(channel: string, message: string|number|rbhost.Message, opts?: rbhost.NotifyOptions): rbhost.NotifyResult
notify = {}

---Says that the thing that was told of by this key is over.
---@param channel string
---@param key string the `dedup` of the message that opened it
---@param text? string
---@return rbhost.NotifyResult
function notify.resolve(channel, key, text) end

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
