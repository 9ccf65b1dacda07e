"""The runbooks of the corpus, what is done with each until it stops in the middle, and what ends it. Used by ./make
only: what a release has written stays as it is, with its sources in its journal.

Their effects are harmless wherever they run again: echo, true, false, and a sleep that nobody waits for."""

EVERYTHING = """
local p = runbook {
  title = "Everything that a journal can hold",
  params = {
    who = { "string", required = true },
    many = { "integer", default = 3 },
    hosts = { "list", default = { "web1", "web2", "web3" } },
  },
  env = { "CORPUS_NAME" },
}
local function say(word)
  return (exec({ "echo", word }, { title = "say " .. word, on_doubt = "retry" }).stdout:gsub("%s", ""))
end

local id, at, dice, name = uuid(), now(), math.random(1000000), env "CORPUS_NAME"
local shared = {}
print("drawn", id, at, dice, name, os.date("!%Y", 0))
checklist "Before" {
  { "World", "it is there", function()
    return exec({ "true" }, { read = true }).code == 0
  end },
  { "World", "it can be changed", acts = true, function()
    say "row"
  end },
  { "World", "nothing to see", function()
    skip "not today"
  end },
}
local two = step("A/b \\\\ c", { undo = function()
  say "undone"
end }, function()
  undo("another", function()
    say "undone, too"
  end)
  note "in the step"
  return { say "two", 2.0, 2, null, { [1.5] = "\\xff\\0" }, json.object() }
end)
step("twice", function()
  say "first"
end)
local tried = retry({ times = 3, delay = "1ms" }, function(n)
  if n < 3 then
    fail("not yet", { n = n })
  end
  return n
end)
local kept = memo("kept", function()
  say "in the memo"
  sleep "1ms"
  return { p.who, 1 / 3 }
end)
local r = all {
  left = function()
    for i = 1, 2 do
      shared[#shared + 1] = "left" .. i .. say("l" .. i)
    end
    return "L"
  end,
  right = function()
    for i = 1, 2 do
      shared[#shared + 1] = "right" .. i
      sleep "1ms"
    end
    return "R"
  end,
}
local won, winner = race {
  slow = function()
    sleep "1h"
  end,
  fast = function()
    sleep "1ms"
    return "won"
  end,
}
print(pcall(timeout, "1ms", function()
  sleep "1h"
end))
local ok, e = pcall(exec, { "false" })
print(ok, e.kind, e.outcome)
local doubled = each(p.hosts, { limit = 2 }, function(host, i)
  say(host)
  return i * 2
end)
local outcomes = settle {
  bad = function()
    fail "as it should"
  end,
  good = function()
    return #shared
  end,
}
evidence("long", ("x"):rep(16500))
evidence("drawn", { id, at, dice, name })
local answer = manual("How many?", { type = "integer" })
step("Rest", function()
  local go
  all {
    gate = function()
      go = signal "go"
    end,
    work = function()
      shared[#shared + 1] = "work" .. say "work"
    end,
  }
  print("go", json.encode(go), answer + p.many)
end)
print(id, at, dice, name, two[2], math.type(two[3]), two[4] == null, #two[5][1.5], json.encode(two[6]))
print(tried, kept[1], kept[2], r.left, r.right, won, winner, table.concat(doubled, ","))
print(outcomes.bad.error.message, outcomes.good.value, table.concat(shared, " "))
for i = 1, 2 do
  step("twice", function()
    print("later", i, say "third", uuid() ~= id, now() >= at)
  end)
end
"""

PARKED = """
local word = exec({ "echo", "before" }).stdout
all {
  one = function()
    sleep "2s"
    print "one woke"
  end,
  two = function()
    sleep("3s", { title = "longer" })
    print "two woke"
  end,
}
print(word .. exec({ "echo", "after" }).stdout)
"""

DOUBT = """
step("Pause", function()
  print "starting"
  local r = exec({ "sleep", "3" }, { title = "a pause" })
  print(r.assumed)
end)
print(exec({ "echo", "after" }).stdout)
"""


FAILED = """
local kept = memo("kept", function()
  return exec({ "echo", "once" }).stdout
end)
step("Second", function()
  exec({ "false" }, { title = "what fails" })
  print "it counts as done"
end)
print("end", kept)
"""

UNDO = """
for _, name in ipairs { "db", "web" } do
  step("Change " .. name, function()
    undo("change back " .. name, function()
      print("back", name, exec({ "echo", name }).stdout)
    end)
    exec { "echo", "changed", name }
  end)
end
fail "what was changed does not work"
"""

RESTART = """
local p = runbook { params = { round = { "integer", default = 1 } } }
print("round", p.round, exec({ "echo", "around" }).stdout)
if p.round < 2 then
  restart_with { round = p.round + 1 }
end
print(signal("go").why)
"""

GATES = """
local ok, e = pcall(approve, { "Go on?", binds = { "this", "that" } })
print(ok, e.kind)
local gate = approve { "And now?", binds = "the plan" }
print(gate.decision, gate.comment, manual("Which?", { type = "choice", choices = { "blue", "green" } }))
"""

# The world outside is there before it waits, and not behind: what came of it stands in the journal.
EFFECTS = """
local p = runbook { params = { api = { "url", required = true }, given = { "secret", required = true } } }
local token, made = secret "token", random_secret(128)
local r = http.get(p.api .. "/json", { bearer = token, query = { q = "ü" } })
print(r.status, r.json().a[2], r.headers["content-type"], r.body)
print(pcall(http.get, p.api .. "/none", { retry = { times = 2, delay = "1ms" } }))
print(http.post(p.api .. "/echo", { json = { t = token, n = 1.0 } }).body, http.put(p.api .. "/echo", { body = "\\xff" }).status)
print(http.get(p.api .. "/json", { save = "saved" }).saved.size)
print(http.events(p.api .. "/events", {}, function(e)
  print(e.id, e.event, e.data, exec({ "echo", e.data }, { on_doubt = "retry" }).stdout)
end))

local db = sql.open "app"
db:exec { "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, x, y)", idempotent = true }
local made_row = db:exec("INSERT INTO t (x, y) VALUES (?, ?)", 1.5, sql.bytes "\\0\\1")
print(made_row.changes, made_row.last_id, pcall(db.query, db, "SELECT nope"))
print(db:tx({ exactly_once = true }, function(tx)
  tx:exec("INSERT INTO t (x, y) VALUES (:x, :y)", { x = token, y = null })
  return tx:query "SELECT id, y FROM t ORDER BY id"
end)[2].y == null)
print(db:each("SELECT id FROM t ORDER BY id", nil, { batch = 1 }, function(row)
  print("row", row.id)
end))

file.write("data", "old")
print(file.write("data", "Bearer " .. token, { backup = true, expect = hash.sha256 "old" }).size)
print(file.read "data", file.stat("data.bak").size, #file.list(".", { glob = "data*" }), pcall(file.read, "none"))
print(file.mkdir("sub", { parents = true }), file.remove "data.bak")
print(notify("ops", { title = "Corpus", text = "told", severity = "error", dedup = "c" }).delivered, notify.resolve("ops", "c").id ~= nil)
print(pcall(notify, "broken", "x"))
local sealed = exec({ "echo", "made-by-a-command" }, { secret = true, read = true }).stdout
print(token, made, sealed, p.given)
signal "go"
-- what is known only from the journal reaches a command as it was
print(#exec({ "sha256sum" }, { stdin = made, read = true }).stdout)
print(exec({ "cat" }, { stdin = token .. " " .. sealed .. " " .. p.given .. "\\n", read = true }).stdout)
print(exec({ "sha256sum" }, { stdin = sealed, read = true }).stdout)
db:exec { "CREATE TABLE IF NOT EXISTS later (x)", idempotent = true }
print(db:exec("INSERT INTO later (x) VALUES (?)", token).changes, notify("ops", "later").delivered)
"""

# name: the runbook, arguments of its run, the commands that follow until it stops, those that end it. RUN is the newest
# run of the runbook; API the URL of a server that is there until it stops; OP the number of the operation that is in doubt, or of the failing one. "run", "kill" and "pause"
# start the run; with the second its host is killed in the middle of a command, with the third it is parked as it sleeps.
CASES = {
    "everything": (EVERYTHING, ["who=Ada"], [["run"], ["answer", "RUN", "--value", "4", "--resume"]],
                   [["signal", "RUN", "go", '{"build": 7}', "--resume"]]),
    "parked": (PARKED, [], [["pause"]], [["resume", "RUN"]]),
    "in-doubt": (DOUBT, [], [["kill"]], [["resume", "RUN"], ["resolve", "RUN", "OP", "done", "--resume"]]),
    "retried": (FAILED, [], [["run"], ["retry", "RUN"]],
                [["retry", "RUN"], ["retry", "RUN", "--skip", "OP", "--reason", "by hand"]]),
    "undo": (UNDO, [], [["run"]], [["undo", "RUN"]]),
    "restart": (RESTART, [], [["run"]], [["signal", "RUN", "go", '{"why": "the second"}', "--resume"]]),
    "effects": (EFFECTS, ["api=API", "given=@given"], [["run"]],
                [["signal", "RUN", "go"], ["resume", "RUN", "given=@given"]]),
    "gates": (GATES, [], [["run"], ["deny", "RUN", "-m", "no", "--resume"]],
              [["approve", "RUN", "-m", "well", "--resume"], ["answer", "RUN", "--value", "green", "--resume"]]),
}
