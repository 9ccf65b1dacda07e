-- Rolls Pali back to the last known-good deployment: evidence first, then the swap of binary and configuration, a
-- restart, and the checks that say whether it is well.
local checks = require "lib.checks"
local release = require "lib.release"

local p = runbook {
  title = "Pali: roll back",
  params = {
    snapshot = { "string", match = "^%x+%-%x+$", help = "which one; default: the last known-good" },
    rollbacks = { "file", required = true, help = "the directory of the snapshots, as deploy has it" },
    binary = { "file", required = true, help = "where the binary is installed" },
    config = { "file", default = "/etc/pali/pali.yaml" },
    unit = { "string", required = true, help = "the supervisor's unit" },
    evidence_folder = { "file", required = true, help = "where evidence for the post-mortem is kept" },
    recent = { "duration", required = true, help = "how far back the evidence's logs go" },
    access_log = { "file", required = true, help = "the gateway's log of requests" },
    api = { "url", default = "http://127.0.0.1:8080" },
    poll = { "duration", default = "30s", help = "how long /health may take to answer" },
    tenant = { "string", required = true, help = "the tenant of the probe; it is made when it is not there" },
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
    },
    http = { "GET {api}/health", "POST {api}/v1/tenants", "POST {api}/v1/memory/search" },
    file = { "{rollbacks}", "{evidence_folder}", "{binary}.new", "{config}.new" },
  },
  timeout = "30m",
}

local snapshot = p.snapshot or release.known_good(p)

check("Rollback", "the snapshot is there and whole", function()
  release.whole(p, snapshot)
end)

step("Preserve the evidence", function()
  return release.preserve(p)
end)

step("Swap and restart", function()
  release.back(p, snapshot)
end)

checks.ready(p)
