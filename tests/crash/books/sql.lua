-- Effects on a database: single ones whose doubt the database itself settles, a transaction that writes down that it
-- took place, one whose doubt a person settles, and one that fails. Of SQLite a copy, too.
local p = runbook {
    params = {
        dsn = { "string", required = true },
        first = { "string", required = true, help = "a statement that may be repeated" },
        copy = { "string" },
    },
}
local db = sql.open(p.dsn, { timeout = "20s" })
local INSERT = "INSERT INTO world (word) VALUES (:word)"

local function has(word)
    return db:value("SELECT count(*) FROM world WHERE word = :word", { word = word }) > 0
end

local function put(word)
    return db:exec {
        INSERT,
        params = { word = word },
        on_doubt = function()
            if has(word) then
                return "done", { changes = 1 }
            end
            return "retry"
        end,
    }
end

db:exec { p.first, idempotent = true }
db:exec { "CREATE TABLE IF NOT EXISTS world (word TEXT NOT NULL)", idempotent = true }
put "one"
local once = db:tx({ exactly_once = true }, function(tx)
    tx:exec(INSERT, { word = "once-a" })
    local n = tx:value "SELECT count(*) FROM world"
    tx:exec(INSERT, { word = "once-b" })
    return n
end)
all {
    left = function()
        put "left"
    end,
    right = function()
        put "right"
    end,
}
local asked = step("Asked", function()
    return db:tx({ title = "asked" }, function(tx)
        tx:exec(INSERT, { word = "asked-a" })
        tx:exec(INSERT, { word = "asked-b" })
        return tx:query "SELECT word FROM world WHERE word LIKE 'asked-%' ORDER BY word"
    end)
end)
local ok = pcall(db.tx, db, function(tx)
    tx:exec(INSERT, { word = "never" })
    fail "not this one"
end)
if p.copy then
    db:backup(p.copy)
end
put "last"
evidence("final", { once, asked, ok, db:value "SELECT count(*) FROM world" })
