-- Backups of what Pali keeps: taking them store by store, finding them, proving that they are whole.
local expect = require "expect"
local release = require "lib.release"

local M = {}

local function described(path, more)
  local out = { file = path:match "[^/]+$", sha256 = file.digest(path), size = file.stat(path).size }
  for k, v in pairs(more or {}) do
    out[k] = v
  end
  return out
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
  return described(folder .. "/pali.yaml")
end

--- SQLite copies itself while Pali goes on writing.
local function sqlite(database)
  return function(folder)
    sql.open("sqlite:" .. database .. "?mode=rw"):backup(folder .. "/pali.db")
    return described(folder .. "/pali.db", { tables = M.counts(folder .. "/pali.db") })
  end
end

--- Qdrant makes a snapshot of the collection on its side, and hands it out. (Made twice, there are two: no harm.)
local function qdrant(url, collection, key)
  return function(folder)
    local headers = key and { ["api-key"] = key } or nil
    local at = ("%s/collections/%s/snapshots"):format(url, collection)
    local made = http.post(at, { headers = headers, idempotent = true, timeout = "1h" }).json().result
    local path = folder .. "/qdrant.snapshot"
    http.get(at .. "/" .. made.name, { headers = headers, save = path, timeout = "1h" })
    local is = described(path, { collection = collection })
    expect.equal(is.sha256, made.checksum or is.sha256, "the digest of Qdrant's snapshot")
    return is
  end
end

local function neo4j(command)
  return function(folder)
    local to = folder .. "/neo4j"
    file.mkdir(to, { mode = "0700" })
    local argv = table.move(command, 1, #command, 1, {})
    argv[#argv + 1] = to
    exec(argv, { idempotent = true, timeout = "1h", title = "dump Neo4j" })
    local dump = expect.some(file.list(to), "what the dump has left in " .. to)[1]
    local is = described(to .. "/" .. dump.name)
    is.file = "neo4j/" .. dump.name
    return is
  end
end

--- What has to be backed up under this configuration: SQLite always, the others where they are in use.
---@param c pali.Config
---@param p table the runbook's parameters
---@return { name: string, title: string, take: fun(folder: string): table }[]
function M.stores(c, p)
  local database = expect.some(c.database, "the file in sqlite_dsn")
  local list = { { name = "sqlite", title = "SQLite database", take = sqlite(database) } }
  if c["vector_backend"] == "qdrant" then
    local collection = expect.some(c["qdrant.collection"], "qdrant.collection")
    local take = qdrant(p.qdrant, collection, p.qdrant_key)
    list[#list + 1] = { name = "qdrant", title = "Vectors in Qdrant", take = take }
  end
  if c["entity_fact_backend"] == "neo4j" then
    local command = expect.some(p.neo4j_dump, "the parameter neo4j_dump, which facts in Neo4j need,")
    list[#list + 1] = { name = "neo4j", title = "Facts in Neo4j", take = neo4j(command) }
  end
  return list
end

--- One row for each part of a manifest: the file is there, is what it was, has something in it; a database is sound.
function M.verify_rows(folder, manifest)
  local rows = {}
  for name, part in pairs(manifest.stores) do
    rows[#rows + 1] = { "Snapshot", name .. " is whole", function()
      local path = folder .. "/" .. part.file
      local is = expect.some(file.stat(path), path)
      expect.at_least(is.size, 1, "the size of " .. part.file)
      expect.equal(file.digest(path), part.sha256, "the digest of " .. part.file)
      if name == "sqlite" then
        local db = sql.open("sqlite:" .. path .. "?mode=ro")
        expect.equal(db:value "PRAGMA integrity_check", "ok", "SQLite's integrity check")
        expect.equal(M.counts(path), part.tables, "the rows of each table")
      end
    end }
  end
  return rows
end

function M.manifest(folder)
  return json.decode(file.read(folder .. "/manifest.json"))
end

--- The folder of the newest backup that is whole; nil where there is none.
---@return string?
function M.latest(backups)
  local found
  for _, entry in ipairs(file.stat(backups) and file.list(backups) or {}) do
    local folder = backups .. "/" .. entry.name
    if entry.type == "folder" and file.stat(folder .. "/manifest.json") then
      found = folder
    end
  end
  return found
end

return M
