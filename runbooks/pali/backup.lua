-- Takes a snapshot of everything that Pali keeps, by the stores in use, proves that it can be read, and that snapshots
-- are taken on a schedule. A backup is whole when its manifest.json is there: that is written last.
local backup = require "lib.backup"
local config = require "lib.config"
local expect = require "expect"
local systemd = require "systemd"

local p = runbook {
  title = "Pali: backup",
  params = {
    config = { "file", default = "/etc/pali/pali.yaml" },
    data = { "file", required = true, help = "the directory that the database lies in" },
    backups = { "file", required = true, help = "where the backups are kept, a folder for each" },
    qdrant = { "url", default = "http://127.0.0.1:6333", help = "used where vector_backend is qdrant" },
    qdrant_key = { "secret", help = "its API key, where it wants one" },
    neo4j_dump = { "list", help = "the command that dumps Neo4j into the folder that is added as its last word" },
    schedule = { "string", required = true, help = "the timer that takes backups" },
    every = { "duration", required = true, help = "how old the backup before this one may be" },
  },
  allow = {
    exec = {
      "awk -v * -v * * {config}",
      "cp -p -- {config} {backups}/*",
      "mv -T -- {backups}/* {backups}/*",
      "{neo4j_dump} {backups}/*",
      "systemctl show --property=* {schedule}",
    },
    http = { "POST {qdrant}/collections/*/snapshots", "GET {qdrant}/collections/*/snapshots/*" },
    sql = { "sqlite:{data}/**", "sqlite:{backups}/**" },
    file = { "{config}", "{data}", "{backups}" },
  },
  timeout = "2h",
}

local c = config.read(p.config)
local stores = backup.stores(c, p)
local before = backup.latest(p.backups)
local at = math.floor(now())
local folder = ("%s/%s-%s"):format(p.backups, os.date("!%Y%m%dT%H%M%SZ", at), uuid():sub(1, 8))
local manifest = { at = at, stores = {} }

step("Make the folder", function()
  file.mkdir(folder, { parents = true, mode = "0700" })
end)

step("Configuration", function()
  manifest.stores.config = backup.config(p.config, folder)
end)

for _, store in ipairs(stores) do
  step(store.title, function()
    manifest.stores[store.name] = store.take(folder)
    evidence(store.name, manifest.stores[store.name])
  end)
end

checklist "The snapshots can be read" (backup.verify_rows(folder, manifest))

step("Declare it whole", function()
  file.write(folder .. "/manifest.json", json.encode(manifest), { mode = "0600" })
  evidence("backup", folder)
end)

checklist "Schedule" {
  { "Schedule", "the timer is enabled and will elapse", function()
    local timer = systemd.show(p.schedule)
    evidence("timer", timer)
    expect.equal(timer.enabled, true, "that the timer is enabled")
    expect.equal(timer.state, "active", "the timer")
    expect.some(timer.next, "the time at which it elapses next")
  end },
  { "Schedule", "the backup before this one was taken in time", function()
    if not before then
      skip "this is the first one"
    end
    local age, since = at - before.manifest.at, "the time since " .. before.folder .. ", in seconds"
    expect.at_least(age, 0, since .. " (a clock is wrong),")
    expect.at_most(age, duration.parse(p.every), since .. ",")
  end },
}
