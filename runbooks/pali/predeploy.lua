-- Before Pali is deployed: everything that has to hold, and how it is proved. It changes nothing.
local checks = require "lib.predeploy"
local config = require "lib.config"
local expect = require "expect"

local p = runbook {
  title = "Pali: pre-deploy checklist",
  params = {
    config = { "file", default = "/etc/pali/pali.yaml" },
    repository = { "file", required = true, help = "the checkout of Pali's repository" },
    no_secrets = { "list", default = {}, help = "files of it whose findings were looked at, and are no secrets" },
    data = { "file", required = true, help = "the directory on persistent storage that the database lies in" },
    service_user = { "string", required = true, help = "the user that Pali runs as" },
    environment = { "choice", choices = { "dev", "production" }, default = "production" },
    jwt_secret_length = { "integer", required = true, min = 1, help = "characters from which on jwt_secret is long" },
    gateway = { "url", required = true, help = "the reverse proxy in front of Pali" },
    access_log = { "file", required = true, help = "the gateway's log of requests" },
    burst = { "integer", required = true, min = 2, help = "requests at once of which the gateway must refuse some" },
    embeddings = { "url", help = "readiness of the embeddings provider; needed unless it is lexical" },
    monitor = { "url", required = true, help = "the external monitor's list of what it watches" },
    watched = { "list", required = true, min = 1, help = "names that must be in that list: the process, its stores" },
    drill = { "file", required = true, help = "the last drill's record: restore-drill.json of the backups" },
    change_window = { "duration", required = true, help = "a restore must have been tested within it" },
    mounts = { "file", default = "/proc/self/mountinfo" },
    temporary = { "list", default = { "/tmp", "/var/tmp", "/run", "/dev/shm" }, help = "directories that do not last" },
  },
  allow = {
    exec = {
      "realpath -e -- *",
      "stat -L -c * -- {data}",
      "git -C * rev-parse --show-toplevel",
      "git -C {repository} log --all **",
      "git -C {repository} grep **",
      "awk -v * -v * * {config}",
      "pali init -config {config}",
      "scripts/verify_docs_examples.sh",
      "openssl s_client **",
    },
    http = { "GET {gateway}/health", "GET {embeddings}", "GET {monitor}" },
    file = { "{access_log}", "{drill}", "{mounts}" },
  },
  timeout = "30m",
}

local c = config.read(p.config)

local function only_outside_dev()
  if p.environment == "dev" then
    skip "it is a development environment"
  end
end

checklist "Pre-deploy" {
  { "Paths", "the configuration is outside of any repository", function()
    checks.outside_repositories(p.config)
  end },
  { "Paths", "the data are outside of any repository", function()
    checks.outside_repositories(p.data .. "/")
  end },
  { "Paths", "the configuration is mounted", function()
    checks.mounted(p.mounts, p.config)
  end },
  { "Paths", "the data are mounted", function()
    checks.mounted(p.mounts, p.data)
  end },

  { "Source control", "no jwt_secret was ever committed", function()
    checks.never_committed(p, checks.JWT_SECRET)
  end },
  { "Source control", "no provider API key was ever committed", function()
    checks.never_committed(p, checks.API_KEY)
  end },
  { "Source control", "no database credential was ever committed", function()
    checks.never_committed(p, checks.DATABASE)
  end },
  { "Source control", "no secret of this configuration is in it", function()
    checks.not_in_the_tree(p.repository, config.secrets(p.config))
  end },

  { "Start-up", "pali init accepts the configuration", function()
    local said = exec({ "pali", "init", "-config", p.config }, { idempotent = true, timeout = "5m" })
    evidence("init", said.stdout .. said.stderr) -- warnings, too
  end, acts = true },
  { "Start-up", "the documents' commands have not drifted", function()
    local said = exec({ "scripts/verify_docs_examples.sh" }, { cwd = p.repository, read = true, timeout = "10m" })
    evidence("drift", said.stdout .. said.stderr)
  end },

  { "Access", "auth.enabled is true", function()
    only_outside_dev()
    expect.equal((c["auth.enabled"] or "false"):lower(), "true", "auth.enabled")
  end },
  { "Access", "auth.jwt_secret is long and random", function()
    only_outside_dev()
    checks.long_and_random(c.measured["auth.jwt_secret"], p.jwt_secret_length)
  end },
  { "TLS", "the gateway's certificate is good", function()
    only_outside_dev()
    local tls = http.get(p.gateway .. "/health", { expect = false, retry = false }).tls
    evidence("certificate", expect.some(tls, "TLS at the gateway"))
  end },
  { "TLS", "the gateway speaks nothing older than TLS 1.2", function()
    only_outside_dev()
    checks.no_old_tls(p.gateway)
  end },

  { "Data", "sqlite_dsn is a file on persistent storage", function()
    checks.persistent(p.mounts, c, p.data, p.temporary)
  end },
  { "Data", "the directory is the service user's alone", function()
    local said = exec({ "stat", "-L", "-c", "%U %a", "--", p.data }, { read = true }).stdout
    local owner, mode = said:match "^(%S+) (%d+)"
    evidence("directory", { owner = owner, mode = mode })
    expect.equal(owner, p.service_user, "the owner of " .. p.data)
    expect.equal(mode:sub(-2), "00", "what its mode lets group and others do")
  end },

  { "Profile", "the Neo4j password is there where facts are in Neo4j", function()
    if not config.uses(c).neo4j then
      skip("facts are in " .. (c["entity_fact_backend"] or "SQLite"))
    end
    expect.at_least((c.measured["neo4j.password"] or { length = 0 }).length, 1, "the length of neo4j.password")
  end },
  { "Profile", "the embeddings provider is ready", function()
    if c["embedding.provider"] == "lexical" then
      skip "lexical embeddings need no provider"
    end
    evidence("provider", http.get(expect.some(p.embeddings, "the parameter embeddings"), { expect = 200 }).body)
  end },

  { "Limits", "the gateway limits the rate", function()
    checks.rate_limited(p.gateway, p.burst)
  end },
  { "Limits", "the gateway logs its requests", function()
    checks.logs_requests(p.gateway, p.access_log)
  end },
  { "Limits", "process and dependencies are watched from outside", function()
    local said = http.get(p.monitor, { expect = 200 }).body
    for _, name in ipairs(p.watched) do
      checks.lists(said, name)
    end
    evidence("monitor", said)
  end },

  { "Recovery", "a restore was tested in this change window", function()
    checks.drilled(p.drill, p.change_window)
  end },
}
