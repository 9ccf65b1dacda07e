-- Backups of what Pali keeps: taking them store by store, finding them, proving that they are whole.
local config = require "lib.config"
local expect = require "expect"
local release = require "lib.release"

local M = {}

--- A file of a backup, by its name in the folder of it.
local function described(folder, name)
  local path = folder .. "/" .. name
  return { file = name, sha256 = file.digest(path), size = file.stat(path).size }
end

--- The rows of each table.
---@param database string
---@return table<string, integer>
function M.counts(database)
  local db = sql.open("sqlite:" .. database .. "?mode=ro")
  local counts = {}
  local tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
  for _, row in ipairs(db:query(tables)) do
    counts[row.name] = db:value(('SELECT count(*) FROM "%s"'):format(row.name:gsub('"', '""')))
  end
  return counts
end

function M.config(from, folder)
  release.put(from, folder .. "/pali.yaml")
  return { files = { described(folder, "pali.yaml") } }
end

--- SQLite copies itself while Pali goes on writing.
local function sqlite(database)
  return function(folder)
    sql.open("sqlite:" .. database .. "?mode=rw"):backup(folder .. "/pali.db")
    return { files = { described(folder, "pali.db") }, tables = M.counts(folder .. "/pali.db") }
  end
end

--- Qdrant makes a snapshot of the collection on its side, and hands it out. (Made twice, there are two: no harm.)
local function qdrant(url, collection, key)
  return function(folder)
    local headers = key and { ["api-key"] = key } or nil
    local at = ("%s/collections/%s/snapshots"):format(url, collection)
    local said = http.post(at, { headers = headers, idempotent = true, timeout = "1h" }).json()
    local made = expect.some(said.result, "the snapshot in Qdrant's answer")
    http.get(at .. "/" .. made.name, { headers = headers, save = folder .. "/qdrant.snapshot", timeout = "1h" })
    local is = described(folder, "qdrant.snapshot")
    expect.equal(is.size, made.size or is.size, "the size of Qdrant's snapshot")
    expect.equal(is.sha256, made.checksum or is.sha256, "the digest of Qdrant's snapshot") -- old ones do not tell it
    return { files = { is }, collection = collection }
  end
end

local function neo4j(command)
  return function(folder)
    local to = folder .. "/neo4j"
    file.mkdir(to, { mode = "0700" })
    local argv = table.move(command, 1, #command, 1, {})
    argv[#argv + 1] = to
    exec(argv, { idempotent = true, timeout = "1h", title = "dump Neo4j" })
    local files = {}
    for i, dump in ipairs(expect.some(file.list(to), "what the dump has left in " .. to)) do
      files[i] = described(folder, "neo4j/" .. dump.name)
    end
    return { files = files }
  end
end

--- What has to be backed up under this configuration: SQLite always, the others where they are in use.
---@param c pali.Config
---@param p table the runbook's parameters
---@return { name: string, title: string, take: fun(folder: string): table }[]
function M.stores(c, p)
  local database, uses = expect.some(c.database, "the file in sqlite_dsn"), config.uses(c)
  local list = { { name = "sqlite", title = "SQLite database", take = sqlite(database) } }
  if uses.qdrant then
    local collection = expect.some(c["qdrant.collection"], "qdrant.collection")
    local take = qdrant(p.qdrant, collection, p.qdrant_key)
    list[#list + 1] = { name = "qdrant", title = "Vectors in Qdrant", take = take }
  end
  if uses.neo4j then
    local command = expect.some(p.neo4j_dump, "the parameter neo4j_dump, which facts in Neo4j need,")
    list[#list + 1] = { name = "neo4j", title = "Facts in Neo4j", take = neo4j(command) }
  end
  return list
end

local function is_whole(folder, name, part)
  for _, of in ipairs(expect.some(part.files, "the list of files")) do
    local path = folder .. "/" .. of.file
    local is = expect.some(file.stat(path), path)
    expect.at_least(is.size, 1, "the size of " .. of.file)
    expect.equal(file.digest(path), of.sha256, "the digest of " .. of.file)
  end
  if name == "sqlite" then
    local path = folder .. "/pali.db"
    local db = sql.open("sqlite:" .. path .. "?mode=ro")
    expect.equal(db:value "PRAGMA integrity_check", "ok", "SQLite's integrity check")
    expect.equal(M.counts(path), part.tables, "the rows of each table")
  end
end

--- One row for each part of a manifest: its files are there, are what they were, have something in them; a database is
--- sound.
function M.verify_rows(folder, manifest)
  local rows = {}
  for name, part in pairs(manifest.stores) do
    rows[#rows + 1] = { "Snapshot", name .. " is whole", function()
      is_whole(folder, name, part)
    end }
  end
  return rows
end

--- The manifest in a folder; nil where there is none, or what is wrong with it.
local function manifest_of(folder)
  local path = folder .. "/manifest.json"
  if not file.stat(path) then
    return nil
  end
  local ok, m = pcall(json.decode, file.read(path))
  local whole = ok and type(m) == "table" and math.type(m.at) and type(m.stores) == "table" and m.stores.sqlite
  if not whole then
    return nil, path .. " is damaged"
  end
  return m
end

--- The newest backup that is whole, by the time in its manifest; nil where there is none. Manifests that can not be
--- read are named in `damaged`.
---@return { folder: string, manifest: table }? newest
---@return string[] damaged
function M.latest(backups)
  local newest, damaged = nil, {}
  for _, entry in ipairs(file.stat(backups) and file.list(backups) or {}) do
    local folder = backups .. "/" .. entry.name
    local manifest, wrong
    if entry.type == "folder" then
      manifest, wrong = manifest_of(folder)
    end
    damaged[#damaged + 1] = wrong
    if manifest and (not newest or manifest.at >= newest.manifest.at) then
      newest = { folder = folder, manifest = manifest }
    end
  end
  return newest, damaged
end

return M
