-- Is Pali well? Polls its health, sends a tenant and a search through it, and reads what it logged at its start.
local checks = require "lib.checks"

local p = runbook {
  title = "Pali: health and readiness",
  params = {
    api = { "url", default = "http://127.0.0.1:8080" },
    poll = { "duration", required = true, help = "how long /health may take until it is well" },
    tenant = { "string", required = true, help = "the tenant of this probe; it is made when it is not there" },
    token = { "secret", help = "a bearer token; needed where auth.enabled is true" },
    unit = { "string", required = true, help = "the supervisor's unit" },
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
    exec = { "systemctl show --property=* {unit}", "journalctl --no-pager --output=cat *" },
    http = { "GET {api}/health", "POST {api}/v1/tenants", "POST {api}/v1/memory/search" },
  },
  timeout = "15m",
}

checks.ready(p)

checklist "Start-up log" (checks.startup_rows(p.unit, p.startup))
