-- Promotes a release of a web site on a set of nginx servers: proves that it may go out, asks, switches the servers in
-- batches, and puts everything back when a server does not come up healthy. examples/demo/run plays it with real parts.
--
--     site/releases/v1.4.0/   one folder for each release, made from its tag
--     site/web1/current       what a server serves: a link to one of them
local p = runbook {
  name = "promote",
  title = "Promote a release",
  params = {
    version = { "string", required = true, match = "^v%d+%.%d+%.%d+$", help = "the release: a signed tag" },
    repo = { "string", required = true, help = "the git repository that has the tag" },
    database = { "string", required = true, help = "the application's SQLite file" },
    site = { "string", required = true, help = "folder of the servers and the releases" },
    servers = { "map", of = "url", required = true, help = "the servers: name = URL" },
    soak = { "duration", default = "2s", help = "how long to watch the first server before the others" },
  },
  allow = { exec = { "git", "sqlite3", "mkdir", "tar", "sh", "timeout", "readlink", "nginx", "curl" } },
  on_failure = "undo",
  timeout = "1h",
}

local names = {}
for name in pairs(p.servers) do
  names[#names + 1] = name
end
local release = p.site .. "/releases/" .. p.version

local function look(argv)
  return (exec(argv, { read = true }).stdout:gsub("%s+$", ""))
end

--- What the server says of itself must be "ok" and the release. It gets a moment to come up.
local function healthy(name, version)
  evidence("says", retry({ times = 5, delay = "200ms" }, function()
    local said = look { "curl", "-fsS", "--max-time", "2", p.servers[name] .. "/health" }
    if said ~= "ok " .. version then
      fail(("%s says: %s"):format(name, said))
    end
    return said
  end))
end

--- The link is renamed over the old one, so that no request finds none. Both commands may be repeated.
local function serve(name, target)
  local prefix = p.site .. "/" .. name
  exec({ "sh", "-c", 'ln -sfn "$1" current.new && mv -T current.new current', "sh", target }, {
    title = "link to " .. target:match("[^/]+$"),
    cwd = prefix,
    idempotent = true,
  })
  exec({ "nginx", "-p", prefix, "-e", "error.log", "-c", "nginx.conf", "-s", "reload" }, {
    title = "reload nginx",
    idempotent = true,
  })
end

--- Every switch is announced to the server's deploy log, once. When the host was killed in the middle nobody may guess
--- whether the request came through, but the log can be asked; the answer may take a moment to get there.
local function announce(name)
  local path = "/deployed/" .. p.version
  exec({ "curl", "-fsS", "--max-time", "8", "-o", "/dev/null", "-X", "POST", p.servers[name] .. path }, {
    title = "announce " .. p.version .. " on " .. name,
    on_doubt = function()
      local look_for = 'until grep -q "$1" deploy.log; do sleep 0.1; done'
      local found = exec({ "timeout", "10", "sh", "-c", look_for, "sh", path }, {
        title = "look for it in the deploy log",
        cwd = p.site .. "/" .. name,
        read = true,
        check = false,
      })
      return found.code == 0 and "done" or "retry"
    end,
  })
end

local function switch(name)
  step(("%s to %s"):format(name, p.version), function()
    local before = look { "readlink", p.site .. "/" .. name .. "/current" }
    local old = before:match("[^/]+$")
    undo(("%s back to %s"):format(name, old), function()
      serve(name, before)
      healthy(name, old)
    end)
    serve(name, "../releases/" .. p.version)
    announce(name)
  end)
end

checklist "Before the promotion" {
  { "Build", "the tag is signed by a release manager", function()
    evidence("signature", exec({ "git", "-C", p.repo, "verify-tag", p.version }, { read = true }).stderr)
  end },
  { "Data", "no migration is missing", function()
    local applied = tonumber(look { "sqlite3", "-readonly", p.database, "SELECT count(*) FROM migrations" })
    local shipped = 0
    for _ in look({ "git", "-C", p.repo, "ls-tree", "--name-only", p.version, "migrations/" }):gmatch("[^\n]+") do
      shipped = shipped + 1
    end
    evidence("migrations", { applied = applied, shipped = shipped })
    if applied < shipped then
      fail(("%d of %d migrations are applied"):format(applied, shipped))
    end
  end },
  { "Servers", "all of them are up", function()
    each(names, { limit = 4 }, function(name)
      evidence(name, look { "curl", "-fsS", "--max-time", "2", p.servers[name] .. "/health" })
    end)
  end },
}

local backup = p.database .. "." .. p.version .. ".bak"
step("Back up the database", function()
  exec({ "sqlite3", p.database, ".backup '" .. backup .. "'" }, { idempotent = true })
  local verdict = look { "sqlite3", "-readonly", backup, "PRAGMA integrity_check" }
  evidence("integrity of " .. backup:match("[^/]+$"), verdict)
  if verdict ~= "ok" then
    fail("the backup is damaged: " .. verdict)
  end
end)

step("Unpack the release", function()
  exec({ "mkdir", "-p", release }, { idempotent = true })
  exec({ "git", "-C", p.repo, "archive", "-o", release .. ".tar", p.version, "site" }, { idempotent = true })
  exec({ "tar", "-xf", release .. ".tar", "-C", release, "--strip-components", "1" }, { idempotent = true })
end)

approve { ("Promote %s on %d servers?"):format(p.version, #names), timeout = "30m" }

local function check_health(name)
  check("Servers", name .. " is healthy", function()
    healthy(name, p.version)
  end)
end

local batches = { { names[1] }, table.move(names, 2, #names, 1, {}) }
for n, batch in ipairs(batches) do
  step(("Batch %d: %s"):format(n, table.concat(batch, ", ")), function()
    each(batch, { limit = 4 }, function(name)
      switch(name)
      check_health(name)
    end)
    if n < #batches then
      sleep(p.soak)
      check_health(batch[1])
    end
  end)
end

settled()
print(("%s is live on %s"):format(p.version, table.concat(names, ", ")))
