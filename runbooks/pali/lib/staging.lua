-- A restored Pali beside the one that serves: its own path, port, collection and database, and never production's.
local backup = require "lib.backup"
local expect = require "expect"
local release = require "lib.release"

local M = {}

--- Each part of the backup has the digest that it was taken with, and the database is sound.
function M.as_taken(folder, manifest)
  for _, row in ipairs(backup.verify_rows(folder, manifest)) do
    row[3]()
  end
end

--- What would be written to is not what production uses.
function M.apart(p, manifest, production)
  local database = expect.some(production.database, "production's database")
  if database:sub(1, #p.staging + 1) == p.staging .. "/" then
    fail(("production's database %s lies in the staging path"):format(database))
  elseif production["server.port"] == tostring(p.port) then
    fail(("production listens on %d"):format(p.port))
  elseif manifest.stores.qdrant then
    if expect.some(p.collection, "the parameter collection") == production["qdrant.collection"] then
      fail(p.collection .. " is production's collection")
    end
  end
  if manifest.stores.neo4j then
    expect.some(p.neo4j_load, "the parameter neo4j_load")
    if expect.some(p.neo4j_database, "the parameter neo4j_database") == production["neo4j.database"] then
      fail(p.neo4j_database .. " is production's database")
    end
  end
end

--- The restored configuration, changed where it would lead to production. Sed does it: the file holds secrets.
local function redirect(p)
  local rules = {
    ("s|^( *sqlite_dsn:).*|\\1 file:%s/pali.db|"):format(p.staging),
    ("/^server:/,/^[^ #]/ s|^( +port:).*|\\1 %d|"):format(p.port),
  }
  if p.collection then
    rules[#rules + 1] = ("/^qdrant:/,/^[^ #]/ s|^( +collection:).*|\\1 %s|"):format(p.collection)
  end
  if p.neo4j_database then
    rules[#rules + 1] = ("/^neo4j:/,/^[^ #]/ s|^( +database:).*|\\1 %s|"):format(p.neo4j_database)
  end
  exec({ "sed", "-i", "-E", table.concat(rules, "\n"), p.staging .. "/pali.yaml" }, {
    title = "lead the restored configuration to the staging path",
    idempotent = true,
  })
end

function M.restore(p, folder, manifest)
  file.mkdir(p.staging, { parents = true, mode = "0700" })
  release.put(folder .. "/pali.db", p.staging .. "/pali.db")
  release.put(folder .. "/pali.yaml", p.staging .. "/pali.yaml")
  redirect(p)
  if manifest.stores.qdrant then
    http.post(("%s/collections/%s/snapshots/upload"):format(p.qdrant, p.collection), {
      query = { priority = "snapshot" },
      headers = p.qdrant_key and { ["api-key"] = p.qdrant_key } or nil,
      multipart = { snapshot = { file = folder .. "/qdrant.snapshot", name = "qdrant.snapshot" } },
      idempotent = true,
      timeout = "1h",
    })
  end
  if manifest.stores.neo4j then
    local argv = table.move(p.neo4j_load, 1, #p.neo4j_load, 1, {})
    argv[#argv + 1] = folder .. "/neo4j"
    exec(argv, { idempotent = true, timeout = "1h", title = "load Neo4j" })
  end
end

--- Read back: before it is started there is no doubt which stores it will write to.
function M.leads_to_staging(p, manifest, c)
  expect.equal(c.database, p.staging .. "/pali.db", "sqlite_dsn")
  expect.equal(c["server.port"], tostring(p.port), "server.port")
  if manifest.stores.qdrant then
    expect.equal(c["qdrant.collection"], p.collection, "qdrant.collection")
  end
  if manifest.stores.neo4j then
    expect.equal(c["neo4j.database"], p.neo4j_database, "neo4j.database")
  end
end

function M.clear(p, manifest)
  file.remove(p.staging, { recursive = true, missing_ok = true })
  if manifest.stores.qdrant then
    http.delete(("%s/collections/%s"):format(p.qdrant, p.collection), {
      headers = p.qdrant_key and { ["api-key"] = p.qdrant_key } or nil,
      expect = { 200, 404 },
    })
  end
end

return M
