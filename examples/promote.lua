-- Promotes a release of a web site on a set of machines: proves that it may go out, backs the database up, asks, has
-- the machines deploy it in batches with a health gate behind each, and puts everything back when one does not come
-- up healthy. examples/demo/run plays it with real parts: git, SQLite, sshd, nginx, a webhook.
--
-- On each machine:  releases/v1.4.0/   one folder for each release
--                   current            what is served: a link to one of them
--                   deploy VERSION     drains, switches the link, reloads; logs what it does
local p = runbook {
  name = "promote",
  title = "Promote a release",
  params = {
    version = { "string", required = true, match = "^v%d+%.%d+%.%d+$", help = "the release: a signed tag" },
    repo = { "string", required = true, help = "the git repository that has the tag" },
    machines = { "map", of = "url", required = true, help = "name for ssh = URL that it serves" },
    backups = { "string", required = true, help = "folder for the backup of the database" },
    soak = { "duration", default = "2s", help = "how long to watch the first machine before the others" },
  },
  allow = {
    exec = { "git -C * verify-tag *", "git -C * ls-tree **", "git -C * archive **" },
    http = { "GET http://127.0.0.1:*" },
    sql = { "app", "sqlite:{backups}/*" },
    ssh = { "web*" },
    file = { "{backups}/**" },
    notify = { "ops" },
  },
  on_failure = "undo",
  timeout = "1h",
}

local names = {}
for name in pairs(p.machines) do
  names[#names + 1] = name
end

--- What the machine says of itself must be "ok" and the release. It gets a moment to come up.
local function health(name, version)
  local said = retry({ times = 5, delay = "200ms" }, function()
    local body = http.get(p.machines[name] .. "/health", { timeout = "2s" }).body:gsub("%s+$", "")
    if body ~= "ok " .. version then
      fail(("%s says: %s"):format(name, body))
    end
    return body
  end)
  evidence("says", said)
end

checklist "Before the promotion" {
  { "Build", "the tag is signed by a release manager", function()
    evidence("signature", exec({ "git", "-C", p.repo, "verify-tag", p.version }, { read = true }).stderr)
  end },
  { "Data", "no migration is missing", function()
    local applied = {}
    for _, row in ipairs(sql("app", "SELECT name FROM migrations")) do
      applied[row.name .. ".sql"] = true
    end
    local files = exec({ "git", "-C", p.repo, "ls-tree", "--name-only", p.version .. ":migrations" }, { read = true })
    local count = 0
    for file in files.stdout:gmatch("[^\n]+") do
      if not applied[file] then
        fail(file .. " is not applied")
      end
      count = count + 1
    end
    evidence("applied", count)
  end },
  { "Machines", "all of them are up, and have room", function()
    each(names, { limit = 4 }, function(name)
      http.get(p.machines[name] .. "/health", { expect = 200, timeout = "2s" })
      evidence(name, ssh(name, "df -Pk . | awk 'NR == 2 { print $5 }'", { read = true }).stdout:match("%S+") .. " full")
    end)
  end },
}

step("Back up the database", function()
  local copy = ("%s/app-%s.db"):format(p.backups, p.version)
  sql.open("app"):backup(copy)
  evidence("integrity", sql.open("sqlite:" .. copy):value "PRAGMA integrity_check")
  evidence("digest", file.digest(copy))
end)

approve { ("Promote %s on %d machines?"):format(p.version, #names), timeout = "30m" }

--- Has one machine deploy the release. A crash in the middle leaves nothing in doubt: the command goes on over there,
--- and the resume takes its outcome from its receipt.
local function deploy(name)
  step(("%s to %s"):format(name, p.version), function()
    local old = ssh(name, { "readlink", "current" }, { read = true }).stdout:match("([^/\n]+)\n")
    undo(("%s back to %s"):format(name, old), function()
      ssh(name, { "./deploy", old }, { title = "deploy " .. old .. " on " .. name })
      health(name, old)
    end)
    ssh.upload(name, { from = p.backups .. "/" .. p.version .. ".tar", to = p.version .. ".tar" })
    ssh(name, { "tar", "-xf", p.version .. ".tar", "-C", "releases" }, { idempotent = true })
    ssh(name, { "./deploy", p.version }, { title = "deploy " .. p.version .. " on " .. name })
  end)
  check("Machines", name .. " is healthy", function()
    health(name, p.version)
  end)
end

step("Pack the release", function()
  local prefix = "--prefix=" .. p.version .. "/"
  local tar = p.backups .. "/" .. p.version .. ".tar"
  exec({ "git", "-C", p.repo, "archive", prefix, "-o", tar, p.version .. ":site" }, { idempotent = true })
end)

local batches = { { names[1] }, table.move(names, 2, #names, 1, {}) }
for n, batch in ipairs(batches) do
  step(("Batch %d: %s"):format(n, table.concat(batch, ", ")), function()
    each(batch, { limit = 4 }, deploy)
    if n < #batches then
      sleep(p.soak)
      check("Machines", batch[1] .. " is still healthy", function()
        health(batch[1], p.version)
      end)
    end
  end)
end

settled()
notify("ops", ("%s is live on %s"):format(p.version, table.concat(names, ", ")))
