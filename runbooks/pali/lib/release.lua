-- The binary and the configuration that run: keeping them, replacing them, putting them back, and the evidence of
-- what they did.
local expect = require "expect"
local systemd = require "systemd"

local M = {}

--- The copy has to be the whole file before it takes the place of anything.
local function copied(from, new)
  local is, of = file.digest(new), file.digest(from)
  if is ~= of then
    file.remove(new)
    fail(("cp says that it has copied %s, and the copy is another: %s, not %s"):format(from, is, of))
  end
end

--- Puts a copy of a file in the place of another: whoever opens it meanwhile gets all of the old or all of the new.
---@param from string
---@param to string
function M.put(from, to)
  local new = to .. ".new"
  local done = exec({ "cp", "-p", "--", from, new }, { idempotent = true })
  if done.assumed ~= "dry" then
    copied(from, new)
  end
  done = exec({ "mv", "-T", "--", new, to }, {
    on_doubt = function()
      return file.stat(new) == nil and "done" or "retry"
    end,
  })
  if done.assumed ~= "dry" and file.stat(new) then
    fail(("mv says that it has put %s in its place, and it has not"):format(new))
  end
end

local function digests(binary, config)
  return { binary = file.digest(binary), config = file.digest(config) }
end

--- Keeps what runs now below p.rollbacks, named by its content, and proves that the copy is the same.
---@return string name
function M.keep(p)
  local now_runs = digests(p.binary, p.config)
  local name = now_runs.binary:sub(1, 12) .. "-" .. now_runs.config:sub(1, 12)
  local folder = p.rollbacks .. "/" .. name
  file.mkdir(folder, { parents = true, mode = "0700" })
  M.put(p.binary, folder .. "/pali")
  M.put(p.config, folder .. "/pali.yaml")
  file.write(folder .. "/digests.json", json.encode(now_runs), { mode = "0600" })
  return name
end

--- The name of the last known-good deployment; nil where there is none.
function M.known_good(p)
  local path = p.rollbacks .. "/last-known-good"
  return file.stat(path) and file.read(path):match "%S+"
end

--- Is this snapshot whole?
function M.whole(p, name)
  local folder = p.rollbacks .. "/" .. expect.some(name, "the last known-good deployment")
  expect.some(file.stat(folder .. "/digests.json"), "the snapshot " .. name)
  local kept = json.decode(file.read(folder .. "/digests.json"))
  expect.equal(digests(folder .. "/pali", folder .. "/pali.yaml"), kept, "the snapshot " .. name)
  evidence("snapshot", { name = name, digests = kept })
end

--- Swaps binary and configuration for those of a snapshot and restarts.
---@return systemd.Unit
function M.back(p, name)
  local folder = p.rollbacks .. "/" .. name
  M.put(folder .. "/pali", p.binary)
  M.put(folder .. "/pali.yaml", p.config)
  return systemd.restart(p.unit)
end

--- Keeps, for whoever looks into it later, what would be gone after a rollback: the unit's state, its journal, the end
--- of the gateway's log, the binary and the configuration, where they are there: that one is gone may be what happened,
--- and must not be in the way of a rollback. Returns the folder.
---@param p table evidence_folder, unit, recent, binary, config, access_log
---@return string
function M.preserve(p)
  local folder = ("%s/%s-%s"):format(p.evidence_folder, os.date("!%Y%m%dT%H%M%SZ", math.floor(now())), p.unit)
  file.mkdir(folder, { parents = true, mode = "0700" })
  file.write(folder .. "/unit.json", json.encode(systemd.show(p.unit)), { mode = "0600" })
  local journal = table.concat(systemd.journal(p.unit, p.recent), "\n") .. "\n"
  file.write(folder .. "/journal.log", journal, { mode = "0600" })
  if p.access_log then
    local said = exec({ "tail", "-n", "1000", "--", p.access_log }, { read = true }).stdout
    file.write(folder .. "/access.log", said, { mode = "0600" })
  end
  local kept = { folder = folder }
  for name, path in pairs { pali = p.binary, ["pali.yaml"] = p.config } do
    if file.stat(path) then
      M.put(path, folder .. "/" .. name)
      kept[name] = file.digest(path)
    else
      kept[name] = path .. " is not there"
    end
  end
  evidence("preserved", kept)
  return folder
end

return M
