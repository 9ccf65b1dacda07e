-- How the rows of the pre-deploy checklist are proved.
local expect = require "expect"

local M = {}

-- What a secret looks like where it is set, as extended regular expressions; empty values and references to variables
-- are none.
local SET = [=[["']?[ ]*[:=][ ]*["']?]=]
M.JWT_SECRET = "[Jj][Ww][Tt]_?[Ss][Ee][Cc][Rr][Ee][Tt]" .. SET .. "[A-Za-z0-9+/_=.-]{8,}"
M.API_KEY = "([Aa][Pp][Ii]_?[Kk][Ee][Yy]" .. SET .. "[A-Za-z0-9_-]{12,}|sk-[A-Za-z0-9_-]{20,})"
M.DATABASE = "([Pp][Aa][Ss][Ss][Ww][Oo][Rr][Dd]" .. SET .. "[A-Za-z0-9+/_=.!-]{6,}|[a-z+]+://[^/:@ $]+:[^/@ $]+@)"

local function folder_of(path)
  return path:match "^(.*)/[^/]*$" or "."
end

--- Where a path really is: links may lead back into a repository, or to what does not last.
local function resolved(path)
  return exec({ "realpath", "-e", "--", path }, { read = true }).stdout:match "[^\n]*"
end

--- Git itself says so, of the folder that a path is in.
function M.outside_repositories(path)
  path = resolved(path) .. (path:sub(-1) == "/" and "/" or "")
  local said = exec({ "git", "-C", folder_of(path), "rev-parse", "--show-toplevel" }, {
    env = { LC_ALL = "C" },
    read = true,
    check = false,
  })
  if said.code == 0 then
    fail(("%s is in the repository %s"):format(path, said.stdout:match "[^\n]*"))
  end
  expect.contains(said.stderr, "not a git repository", "git's answer")
end

--- The mount that a path is on: its point and the type of its file system, from the table in /proc.
local function mount_of(table_file, path)
  local best
  for line in file.read(table_file):gmatch "[^\n]+" do
    local point, rest = line:match "^%S+ %S+ %S+ %S+ (%S+) (.*)$"
    point = point and point:gsub("\\(%d%d%d)", function(octal)
      return string.char(tonumber(octal, 8))
    end)
    local inside = point and (point == "/" or path == point or path:sub(1, #point + 1) == point .. "/")
    if inside and (not best or #point >= #best.point) then
      best = { point = point, type = rest:match " %- (%S+)" }
    end
  end
  return expect.some(best, "the mount of " .. path)
end

--- The path is on a mount of its own, not on the root's file system.
function M.mounted(mounts, path)
  local mount = mount_of(mounts, resolved(path))
  evidence("mount", mount)
  if mount.point == "/" then
    fail(path .. " is on the root's file system: nothing is mounted there")
  end
end

local VOLATILE = { tmpfs = true, ramfs = true, overlay = true }

--- The database is a file below `data`, which lasts.
function M.persistent(mounts, config, data, temporary)
  local path = expect.some(config.database, "the file in sqlite_dsn")
  evidence("database", path)
  if folder_of(path) ~= data and path:sub(1, #data + 1) ~= data .. "/" then
    fail(("the database is %s, which is not in %s"):format(path, data))
  end
  path = resolved(folder_of(path)) .. "/" .. path:match "[^/]*$"
  for _, folder in ipairs(temporary) do
    if path:sub(1, #folder + 1) == folder .. "/" then
      fail(("the database is in %s, which does not last"):format(folder))
    end
  end
  local mount = mount_of(mounts, path)
  if VOLATILE[mount.type] then
    fail(("%s is on a %s, which does not last"):format(mount.point, mount.type))
  end
end

--- No commit of any branch has added or removed a line like this. Commits and files are named, never the line.
function M.never_committed(p, pattern)
  local argv = { "git", "-C", p.repository, "log", "--all", "-m", "--format=%h", "--name-only", "-G", pattern }
  argv = table.move({ "--", "." }, 1, 2, #argv + 1, argv)
  for _, path in ipairs(p.no_secrets) do
    argv[#argv + 1] = ":(exclude)" .. path
  end
  local said = exec(argv, { read = true, title = "search the history" }).stdout
  local found = {}
  for line in said:gmatch "[^\n]+" do
    found[#found + 1] = line
  end
  expect.none(found, "it stands in these commits and files")
end

--- None of these texts is in a file of the current commit.
function M.not_in_the_tree(repository, secrets)
  if secrets == "" then
    skip "the configuration holds no secret"
  end
  local said = exec({ "git", "-C", repository, "grep", "-l", "-F", "-f", "-", "HEAD" }, {
    stdin = secrets,
    read = true,
    check = false,
    title = "search the current commit for the values of the configuration",
  })
  if said.code > 1 then
    fail("git grep: " .. said.stderr)
  end
  local found = {}
  for line in said.stdout:gmatch "[^\n]+" do
    found[#found + 1] = line
  end
  expect.none(found, "a secret of the configuration stands in")
end

local BITS, CHANGES = 3, 0.25 -- a character: what 32 random hexadecimal digits reach, and words do not

--- Long by its length; random by the variety of its characters and by how often neighbours are of another kind.
function M.long_and_random(secret, length)
  local is = expect.some(secret, "auth.jwt_secret")
  evidence("measured", is)
  expect.at_least(is.length, length, "the length of auth.jwt_secret")
  expect.at_least(is.bits, BITS, "its entropy, in bits a character,")
  expect.at_least(is.changes, CHANGES, "the share of neighbours of different kinds")
end

--- A client that offers an old protocol only is turned away, and one that offers all of them is not: so it was not just
--- out of reach.
function M.no_old_tls(gateway)
  local host, port = gateway:match "^https://(%[[%x:.]+%]):?(%d*)"
  if not host then
    host, port = gateway:match "^https://([^/:?#]+):?(%d*)"
  end
  local to = expect.some(host, "the host of an https gateway") .. ":" .. (port ~= "" and port or "443")
  local function speaks(...)
    local argv = { "openssl", "s_client", "-connect", to, "-cipher", "DEFAULT:@SECLEVEL=0", ... }
    return exec(argv, { read = true, check = false, timeout = "10s" }).code == 0
  end
  for _, old in ipairs { "tls1", "tls1_1" } do
    if speaks("-" .. old) then
      fail(("%s still speaks %s"):format(to, old))
    end
  end
  if not speaks() then
    fail(("nobody at %s speaks TLS"):format(to))
  end
end

--- Of `burst` requests at once some are refused, which is seen and not believed. Some gateways say 503 then: that
--- proves a limit only where others are let through, as it is also what they say when nothing is behind them.
function M.rate_limited(gateway, burst)
  local n, count = {}, { refused = 0, unavailable = 0, let_through = 0 }
  for i = 1, burst do
    n[i] = i
  end
  each(n, { limit = burst }, function()
    local status = http.get(gateway .. "/health", { expect = false, retry = false }).status
    local is = status == 429 and "refused" or status == 503 and "unavailable" or status < 400 and "let_through"
    if is then
      count[is] = count[is] + 1
    end
  end)
  evidence("of " .. burst, count)
  local refused = count.refused + (count.let_through > 0 and count.unavailable or 0)
  expect.at_least(refused, 1, "the number of refused requests")
end

--- A list, in whatever format, has this name as a whole: "pali" is not in "pali-old".
function M.lists(text, name)
  local at = 1
  while at do
    local from, to = text:find(name, at, true)
    if not from then
      fail(("%s is not in the monitor's list: %s"):format(name, text))
    elseif not text:sub(from - 1, from - 1):find "[%w_-]" and not text:sub(to + 1, to + 1):find "[%w_-]" then
      return
    end
    at = to + 1
  end
end

--- A request makes the log longer.
function M.logs_requests(gateway, log)
  local before = expect.some(file.stat(log), log).size
  http.get(gateway .. "/health", { expect = false, retry = false })
  wait_until({ title = "the request is in the log", every = "200ms", timeout = "5s" }, function()
    return file.stat(log).size > before
  end)
end

--- The record of the last drill says that it has passed, and when.
function M.drilled(path, window)
  expect.some(file.stat(path), "the record of a drill, " .. path .. ",")
  local record = json.decode(file.read(path))
  evidence("drill", record)
  if math.type(record.at) == nil then
    fail(path .. " does not say when the drill was")
  end
  local age = math.floor(now() - record.at)
  expect.at_least(age, 0, "the age of the last drill, in seconds (a clock is wrong),")
  expect.at_most(age, duration.parse(window), "the age of the last drill, in seconds,")
end

return M
