-- The first response to an incident of Pali: six looks, all of them taken whatever the others show; evidence of what
-- was found; and, where somebody says that it is required, the way back to the last known-good deployment.
local checks = require "lib.checks"
local config = require "lib.config"
local expect = require "expect"
local look = require "lib.incident"
local release = require "lib.release"
local systemd = require "systemd"

local p = runbook {
  title = "Pali: first response",
  params = {
    unit = { "string", required = true, help = "the supervisor's unit" },
    gateway = { "url", required = true, help = "the reverse proxy in front of Pali" },
    access_log = { "file", required = true, help = "the gateway's log of requests" },
    api = { "url", default = "http://127.0.0.1:8080" },
    tenant = { "string", required = true, help = "the tenant of the probe" },
    token = { "secret", required = true, help = "a bearer token" },
    config = { "file", default = "/etc/pali/pali.yaml" },
    data = { "file", required = true, help = "the directory that the database lies in" },
    disk_free = { "integer", required = true, min = 1, max = 99, help = "percent of the disk that must be free" },
    recent = { "duration", required = true, help = "how far back logs are looked at" },
    qdrant = { "url", default = "http://127.0.0.1:6333", help = "used where vector_backend is qdrant" },
    neo4j = { "url", default = "http://127.0.0.1:7474", help = "used where entity_fact_backend is neo4j" },
    rollbacks = { "file", required = true, help = "the directory of the snapshots, as deploy has it" },
    binary = { "file", required = true, help = "where the binary is installed" },
    evidence_folder = { "file", required = true, help = "where evidence for the post-mortem is kept" },
    poll = { "duration", required = true, help = "how long /health may take until it is well, after a rollback" },
    decision = { "duration", required = true, help = "how long the question about a rollback is open" },
  },
  allow = {
    exec = {
      "systemctl show --property=* {unit}",
      "systemctl restart {unit}",
      "journalctl --no-pager --output=cat **",
      "tail -n 1000 -- {access_log}",
      "df --output=pcent -- {data}",
      "awk -v * -v * * {config}",
      "cp -p -- {rollbacks}/* {binary}.new",
      "cp -p -- {rollbacks}/* {config}.new",
      "cp -p -- {binary} {evidence_folder}/*",
      "cp -p -- {config} {evidence_folder}/*",
      "mv -T -- {binary}.new {binary}",
      "mv -T -- {config}.new {config}",
      "mv -T -- {evidence_folder}/* {evidence_folder}/*",
    },
    http = {
      "GET {gateway}/health",
      "GET {api}/health",
      "POST {api}/v1/tenants",
      "POST {api}/v1/memory/search",
      "GET {qdrant}/readyz",
      "GET {neo4j}/",
    },
    sql = { "sqlite:{data}/**" },
    file = { "{rollbacks}", "{evidence_folder}", "{binary}", "{config}", "{binary}.new", "{config}.new" },
  },
  timeout = "4h",
}

-- It may be the configuration that is broken: then the other looks are taken all the same.
local readable, c = pcall(config.read, p.config)

local function configured()
  if not readable then
    skip "the configuration can not be read, so nobody knows what is in use"
  end
  return c
end

local function first_response()
  checklist "First response" {
    { "Supervisor", "the process runs, and was not started again by itself", function()
      local unit = systemd.show(p.unit)
      evidence("unit", unit)
      expect.equal(unit.state, "active", "the unit")
      expect.equal(unit.restarts, 0, "the number of restarts")
    end },
    { "Gateway", "the way from the gateway to Pali is open, over good TLS", function()
      local r = http.get(p.gateway .. "/health", { query = look.OURS, expect = false, retry = false })
      evidence("gateway", { status = r.status, certificate = expect.some(r.tls, "TLS at the gateway").valid_until })
      expect.equal(r.status, 200, "what the gateway answers")
    end },
    { "Health", "GET /health answers", function()
      checks.health(p.api, "1s")
    end },
    { "Access", "a token is wanted, and this one is good", function()
      look.tenant_auth(p.api, p.tenant, p.token)
    end },
    { "Logs", "no migration and no provider has failed", function()
      expect.none(checks.bad(systemd.journal(p.unit, p.recent)), "the journal complains")
    end },
    { "Logs", "no request was answered with an error of the server", function()
      look.requests(p.access_log)
    end },
    { "Stores", "the configuration can be read", function()
      if not readable then
        error(c, 0)
      end
    end },
    { "Stores", "the disk has room", function()
      look.disk(p.data, p.disk_free)
    end },
    { "Stores", "SQLite is sound", function()
      local db = sql.open("sqlite:" .. expect.some(configured().database, "the file in sqlite_dsn") .. "?mode=ro")
      expect.equal(db:value "PRAGMA quick_check", "ok", "SQLite's check")
    end },
    { "Stores", "Qdrant is ready", function()
      look.used(configured()["vector_backend"], "qdrant")
      http.get(p.qdrant .. "/readyz", { expect = 200, retry = false })
    end },
    { "Stores", "Neo4j answers", function()
      look.used(configured()["entity_fact_backend"], "neo4j")
      http.get(p.neo4j .. "/", { expect = 200, retry = false })
    end },
  }
end

local well, found = pcall(first_response)
if well then
  print "all six looks are green: nothing of the first response explains the incident"
  return
end
warn(found.message)
evidence("found", found.message)

step("Preserve the evidence", function()
  return release.preserve(p)
end)

local snapshot = release.known_good(p)
local answer = manual(("Is a rollback to %s required?"):format(snapshot or "(there is no known-good deployment)"), {
  choices = { "yes", "no" },
  timeout = p.decision,
})
if answer == "no" then
  fail("no rollback; what was found stands: " .. found.message)
end

check("Rollback", "the snapshot is there and whole", function()
  release.whole(p, snapshot)
end)

local started = step("Roll back", function()
  return release.back(p, snapshot)
end)

checks.ready(p, started)
