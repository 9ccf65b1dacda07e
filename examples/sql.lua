-- A database: bound parameters, rows as plain data, a transaction that nobody has to be asked about after a crash, and
-- a copy. Relative files count from the runbook's folder. then: test "$(sqlite3 copy.db 'SELECT sum(amount) FROM
-- bookings')" = 0
local db = sql.open("sqlite:bank.db", { timeout = "10s" })

step("Prepare", function()
    db:exec {
        "CREATE TABLE IF NOT EXISTS bookings (id INTEGER PRIMARY KEY, account TEXT NOT NULL, amount INTEGER NOT NULL)",
        idempotent = true,
    }
end)

local function transfer(from, to, amount)
    return db:tx({ title = "transfer", exactly_once = true }, function(tx)
        tx:exec("INSERT INTO bookings (account, amount) VALUES (?, ?)", from, -amount)
        tx:exec("INSERT INTO bookings (account, amount) VALUES (?, ?)", to, amount)
        return tx:value("SELECT sum(amount) FROM bookings WHERE account = :account", { account = to })
    end)
end

step("Transfer", function()
    print("bob has " .. transfer("ada", "bob", 100))
    print("bob has " .. transfer("ada", "bob", 50))
end)

checklist "After" {
    {
        "Books",
        "they balance",
        function()
            evidence("accounts", db:query "SELECT account, sum(amount) AS amount FROM bookings GROUP BY account")
            return db:value "SELECT sum(amount) FROM bookings" == 0
        end,
    },
}
db:backup "copy.db"
