---@meta sql
-- Databases: sql. What all operations share is in rbhost.lua.

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
---@field key? string A column that has another value in each row: batches go on behind the last one, in its order.
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
