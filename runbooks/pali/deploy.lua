-- Deploys a version of Pali, as an API server or as an MCP server: keeps what runs now, swaps binary and configuration,
-- restarts, looks whether it is well, and puts everything back when it is not.
local checks = require "lib.checks"
local expect = require "expect"
local release = require "lib.release"
local systemd = require "systemd"

local p = runbook {
  title = "Pali: deploy",
  params = {
    mode = { "choice", choices = { "api", "mcp" }, required = true },
    artifact = { "file", required = true, help = "the new binary" },
    sha256 = { "string", required = true, match = "^%x+$", min = 64, max = 64, help = "its digest, as it was built" },
    new_config = { "file", help = "the new configuration; without it the old one stays" },
    binary = { "file", required = true, help = "where the binary is installed" },
    config = { "file", default = "/etc/pali/pali.yaml" },
    command = { "list", required = true, help = "what the unit runs in this mode, word by word" },
    unit = { "string", required = true, help = "the supervisor's unit" },
    health_unit = { "string", required = true, help = "the unit of the health check loop, such as a timer" },
    rollbacks = { "file", required = true, help = "the directory of the snapshots to roll back to" },
    api = { "url", default = "http://127.0.0.1:8080" },
    poll = { "duration", required = true, help = "how long /health may take until it is well" },
    tenant = { "string", default = "", help = "the tenant of the probe; needed in API mode" },
    token = { "secret", help = "a bearer token; needed where auth.enabled is true" },
    startup = {
      "map",
      default = {
        ["repository initialization"] = "repositor init",
        ["provider selection"] = "provider select",
        ["adapter selection"] = "adapter select",
        ["startup counts"] = "start count",
        ["vectorstore backend"] = "vector init",
        ["entity-fact backend"] = "entity fact init",
      },
      help = "what the start-up log must show, and beginnings of the words that one line of it has",
    },
  },
  allow = {
    exec = {
      "systemctl show --property=* {unit}",
      "systemctl show --property=* {health_unit}",
      "systemctl restart {unit}",
      "journalctl --no-pager --output=cat *",
      "cp -p -- {artifact} {binary}.new",
      "cp -p -- {new_config} {config}.new",
      "cp -p -- {binary} {rollbacks}/*",
      "cp -p -- {config} {rollbacks}/*",
      "cp -p -- {rollbacks}/* {binary}.new",
      "cp -p -- {rollbacks}/* {config}.new",
      "mv -T -- {binary}.new {binary}",
      "mv -T -- {config}.new {config}",
      "mv -T -- {rollbacks}/* {rollbacks}/*",
      "{command}",
    },
    http = { "GET {api}/health", "POST {api}/v1/tenants", "POST {api}/v1/memory/search" },
    file = { "{artifact}", "{new_config}", "{binary}", "{config}", "{binary}.new", "{config}.new", "{rollbacks}" },
  },
  on_failure = "undo",
  timeout = "1h",
}

local function well()
  if p.mode == "api" then
    checks.health(p.api, p.poll)
  else
    checks.mcp(p.command)
  end
end

local function serves()
  if p.mode == "api" then
    checks.flow(p)
  else
    checks.mcp(p.command)
  end
end

checklist "Before the deploy" {
  { "Artifact", "the new binary is what was built", function()
    expect.equal(file.digest(p.artifact), p.sha256:lower(), "the digest of " .. p.artifact)
  end },
  { "Mode", "the unit runs the command of this mode", function()
    expect.equal(systemd.show(p.unit).command, table.concat(p.command, " "), "the command of " .. p.unit)
  end },
  { "Mode", "the probe's tenant is named", function()
    if p.mode == "mcp" then
      skip "an MCP server has no HTTP API"
    end
    expect.some(p.tenant, "the parameter tenant")
  end },
  { "Supervisor", "the unit is enabled, and started again when it ends", function()
    local unit = systemd.show(p.unit)
    evidence("unit", unit)
    expect.equal(unit.enabled, true, "that the unit is enabled")
    expect.one_of(unit.restart, { "always", "on-failure" }, "its restart policy")
  end },
  { "Supervisor", "the health check loop is enabled and running", function()
    local loop = systemd.show(p.health_unit)
    expect.equal(loop.enabled, true, "that the health check loop is enabled")
    expect.equal(loop.state, "active", "the health check loop")
  end },
}

local snapshot = step("Keep what runs now", function()
  return release.keep(p)
end)

check("Rollback", "the snapshot is there and whole", function()
  release.whole(p, snapshot)
end)

step("Name the last known-good deployment", function()
  local good, why = pcall(serves)
  if not good then
    skip("what runs now is not well, so what was known to be good stays so: " .. why.message)
  end
  file.write(p.rollbacks .. "/last-known-good", snapshot .. "\n")
end)

local started = step("Swap and restart", function()
  undo("Back to " .. snapshot, function()
    release.back(p, snapshot)
    well()
  end)
  release.put(p.artifact, p.binary)
  if p.new_config then
    release.put(p.new_config, p.config)
  end
  return systemd.restart(p.unit)
end)

checks.ready(p, started)

checklist "Start-up log" (checks.startup_rows(p.unit, p.startup))

settled()
