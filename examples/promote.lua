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
  allow = { exec = { "git", "sqlite3", "mkdir", "tar", "sh", "readlink", "nginx", "curl", "grep" } },
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
  retry({ times = 5, delay = "200ms" }, function()
    local said = look { "curl", "-fsS", "--max-time", "2", p.servers[name] .. "/health" }
    if said ~= "ok " .. version then
      fail(("%s says: %s"):format(name, said))
    end
    evidence(name .. " is healthy", said)
  end)
end

--- The link is renamed over the old one, so that no request finds none; and again does no harm.
local function serve(name, target)
  local current = p.site .. "/" .. name .. "/current"
  exec({ "sh", "-c", 'ln -sfn "$1" "$2.new" && mv -T "$2.new" "$2"', "sh", target, current }, { idempotent = true })
  local prefix = p.site .. "/" .. name
  exec({ "nginx", "-p", prefix, "-e", "error.log", "-c", "nginx.conf", "-s", "reload" }, { idempotent = true })
end

--- Each switch is announced to the server's deploy log once. Nobody may guess whether a request whose sender was killed
--- came through, but the log can be asked.
local function announce(name, what)
  local function came_through()
    local log = p.site .. "/" .. name .. "/deploy.log"
    return exec({ "grep", "-c", "POST /deployed/" .. what .. " ", log }, { read = true, check = false }).code == 0
  end
  local url = p.servers[name] .. "/deployed/" .. what
  exec({ "curl", "-fsS", "--max-time", "10", "-o", "/dev/null", "-X", "POST", url }, {
    title = "announce " .. what .. " on " .. name,
    on_doubt = function()
      for _ = 1, 50 do -- it may still be on its way
        if came_through() then
          return "done"
        end
        sleep("200ms")
      end
      return "retry"
    end,
  })
end

local function switch(name)
  local before = look { "readlink", p.site .. "/" .. name .. "/current" }
  local old = before:match("[^/]+$")
  undo(("%s back to %s"):format(name, old), function()
    serve(name, before)
    healthy(name, old)
  end)
  serve(name, release)
  announce(name, p.version)
end

checklist "Before the promotion" {
  { "Build", "the tag is signed by somebody who may release", function()
    evidence("signature", exec({ "git", "-C", p.repo, "verify-tag", p.version }, { read = true }).stderr)
  end },
  { "Data", "the database has every migration that the release counts on", function()
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

local batches = { { names[1] }, table.move(names, 2, #names, 1, {}) }
for n, batch in ipairs(batches) do
  step(("Batch %d: %s"):format(n, table.concat(batch, ", ")), function()
    each(batch, { limit = 4 }, switch)
    each(batch, { limit = 4 }, function(name)
      healthy(name, p.version)
    end)
    if n < #batches then
      sleep(p.soak)
      healthy(batch[1], p.version)
    end
  end)
end

settled()
print(("%s is live on %s"):format(p.version, table.concat(names, ", ")))
