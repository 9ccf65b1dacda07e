-- Rolls Pali back to the last known-good deployment: evidence first, then the swap of binary and configuration, a
-- restart, and the checks that say whether it is well.
local checks = require "lib.checks"
local expect = require "expect"
local release = require "lib.release"

local p = runbook {
  title = "Pali: roll back",
  params = {
    mode = { "choice", choices = { "api", "mcp" }, default = "api" },
    command = { "list", help = "what the unit runs, word by word; needed in MCP mode" },
    snapshot = { "string", match = "^%x+%-%x+$", help = "which one; default: the last known-good" },
    rollbacks = { "file", required = true, help = "the directory of the snapshots, as deploy has it" },
    binary = { "file", required = true, help = "where the binary is installed" },
    config = { "file", default = "/etc/pali/pali.yaml" },
    unit = { "string", required = true, help = "the supervisor's unit" },
    evidence_folder = { "file", required = true, help = "where evidence for the post-mortem is kept" },
    recent = { "duration", required = true, help = "how far back the evidence's logs go" },
    access_log = { "file", help = "the gateway's log of requests; needed in API mode" },
    api = { "url", default = "http://127.0.0.1:8080" },
    poll = { "duration", required = true, help = "how long /health may take until it is well" },
    tenant = { "string", default = "", help = "the tenant of the probe; needed in API mode" },
    token = { "secret", help = "a bearer token; needed where auth.enabled is true" },
  },
  allow = {
    exec = {
      "systemctl show --property=* {unit}",
      "systemctl restart {unit}",
      "journalctl --no-pager --output=cat **",
      "tail -n 1000 -- {access_log}",
      "cp -p -- {rollbacks}/* {binary}.new",
      "cp -p -- {rollbacks}/* {config}.new",
      "cp -p -- {binary} {evidence_folder}/*",
      "cp -p -- {config} {evidence_folder}/*",
      "mv -T -- {binary}.new {binary}",
      "mv -T -- {config}.new {config}",
      "mv -T -- {evidence_folder}/* {evidence_folder}/*",
      "{command}",
    },
    http = { "GET {api}/health", "POST {api}/v1/tenants", "POST {api}/v1/memory/search" },
    file = { "{rollbacks}", "{evidence_folder}", "{binary}", "{config}", "{binary}.new", "{config}.new" },
  },
  timeout = "30m",
}

local snapshot = p.snapshot or release.known_good(p)

checklist "Before the rollback" {
  { "Rollback", "the snapshot is there and whole", function()
    release.whole(p, snapshot)
  end },
  { "Mode", "what this mode needs is named", function()
    if p.mode == "mcp" then
      expect.some(p.command, "the parameter command")
    else
      expect.some(p.tenant, "the parameter tenant")
      expect.some(p.access_log, "the parameter access_log")
    end
  end },
}

step("Preserve the evidence", function()
  return release.preserve(p)
end)

local started = step("Swap and restart", function()
  return release.back(p, snapshot)
end)

checks.ready(p, started)
