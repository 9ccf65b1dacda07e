-- Proves that the newest backup can be restored: restores it to a staging path, starts Pali there with the restored
-- configuration, runs the checks, clears everything away and keeps a record, which the pre-deploy checklist asks for.
local backup = require "lib.backup"
local checks = require "lib.checks"
local config = require "lib.config"
local expect = require "expect"
local staging = require "lib.staging"
local systemd = require "systemd"

local p = runbook {
  title = "Pali: restore drill",
  params = {
    backups = { "file", required = true, help = "where the backups are kept, a folder for each" },
    config = { "file", default = "/etc/pali/pali.yaml", help = "the production configuration" },
    staging = { "file", required = true, match = "^/[%w_./-]+$", help = "the staging path; it must not be there" },
    port = { "integer", required = true, min = 1, max = 65535, help = "where the restored Pali listens" },
    command = { "list", required = true, help = "what starts Pali; the restored configuration is its last word" },
    unit = { "string", default = "pali-restore-drill", help = "the unit that it runs as meanwhile" },
    poll = { "duration", required = true, help = "how long /health may take until it is well" },
    tenant = { "string", required = true, help = "the tenant of the probe; it is made when it is not there" },
    token = { "secret", help = "a bearer token; needed where auth.enabled is true" },
    qdrant = { "url", default = "http://127.0.0.1:6333", help = "used where the backup has vectors" },
    qdrant_key = { "secret", help = "its API key, where it wants one" },
    collection = { "string", match = "^[%w_-]+$", help = "for the restored vectors, where there are some" },
    neo4j_load = { "list", help = "the command that loads a dump from the folder that is added as its last word" },
    neo4j_clear = { "list", help = "the command that drops that database; one that is not there is no error" },
    neo4j_database = { "string", match = "^[%w.-]+$", help = "the database that neo4j_load loads into" },
  },
  allow = {
    exec = {
      "awk -v * -v * * {config}",
      "awk -v * -v * * {staging}/pali.yaml",
      "cp -p -- {backups}/* {staging}/*",
      "mv -T -- {staging}/* {staging}/*",
      "sed -i -E * {staging}/pali.yaml",
      "{neo4j_load} {backups}/*",
      "{neo4j_clear}",
      "systemd-run --unit={unit} --collect -- {command} {staging}/pali.yaml",
      "systemctl show --property=* {unit}",
      "systemctl stop {unit}",
      "journalctl --no-pager --output=cat *",
    },
    http = {
      "GET http://127.0.0.1:{port}/health",
      "POST http://127.0.0.1:{port}/v1/tenants",
      "POST http://127.0.0.1:{port}/v1/memory/search",
      "POST {qdrant}/collections/{collection}/snapshots/upload",
      "DELETE {qdrant}/collections/{collection}",
    },
    sql = { "sqlite:{backups}/**", "sqlite:{staging}/**" },
    file = { "{backups}", "{staging}" },
  },
  on_failure = "undo",
  timeout = "2h",
}

local newest, damaged = backup.latest(p.backups)
expect.none(damaged, "manifests")
local folder, manifest = expect.some(newest, "a whole backup in " .. p.backups).folder, newest.manifest
local production = config.read(p.config)
local api = ("http://127.0.0.1:%d"):format(p.port)

checklist "The backup" {
  { "Snapshot", "it is as it was taken", function()
    evidence("backup", { folder = folder, taken = manifest.at })
    staging.as_taken(folder, manifest)
  end },
  { "Staging", "the staging path is free", function()
    if file.stat(p.staging) then
      fail(p.staging .. " is there already: what is in it?")
    end
  end },
  { "Staging", "nothing of it is production's", function()
    staging.apart(p, manifest, production)
  end },
  { "Staging", "nobody listens on its port", function()
    staging.port_is_free(api)
  end },
}

step("Restore to the staging path", function()
  undo("Clear the staging path", function()
    staging.clear(p, manifest)
  end)
  staging.restore(p, folder, manifest)
end)

check("Staging", "the restored configuration leads to what was restored", function()
  staging.leads_to_staging(p, manifest, config.read(p.staging .. "/pali.yaml"))
end)

step("Start Pali with the restored configuration", function()
  undo("Stop it", function()
    systemd.stop(p.unit)
  end)
  local argv = table.move(p.command, 1, #p.command, 1, {})
  argv[#argv + 1] = p.staging .. "/pali.yaml"
  systemd.run(p.unit, argv)
end)

checklist "Health and readiness of the restored Pali" {
  serial = true,
  { "Health", "GET /health answers", function()
    checks.health(api, p.poll)
  end },
  { "Supervisor", "it is the restored Pali that runs", function()
    expect.equal(systemd.show(p.unit).state, "active", p.unit)
  end },
  { "Data", "every table has the rows that were saved", function()
    local counts = backup.counts(p.staging .. "/pali.db")
    evidence("rows", counts)
    expect.equal(counts, manifest.stores.sqlite.tables, "the rows of each table")
  end },
  { "Tenants", "POST /v1/tenants makes the probe's tenant", function()
    checks.tenant(api, p.tenant, p.token)
  end, acts = true },
  { "Memory", "POST /v1/memory/search finds its way", function()
    checks.search(api, p.tenant, p.token)
  end },
}

step("Clear everything away", function()
  systemd.stop(p.unit)
  staging.clear(p, manifest)
end)
settled()

step("Record the drill", function()
  local record = { at = math.floor(now()), backup = folder:match "[^/]+$", taken = manifest.at }
  file.write(p.backups .. "/restore-drill.json", json.encode(record))
  evidence("drill", record)
end)
