-- A restored Pali beside the one that serves: its own path, port, collection and database, and never production's.
local backup = require "lib.backup"
local config = require "lib.config"
local expect = require "expect"
local release = require "lib.release"

local M = {}

--- Each part of the backup has the digest that it was taken with, and the database is sound.
function M.as_taken(folder, manifest)
  for _, row in ipairs(backup.verify_rows(folder, manifest)) do
    row[3]()
  end
end

--- What would be written to is not what production uses, and nobody else has it.
function M.apart(p, manifest, production)
  local database = expect.some(production.database, "production's database")
  if database:sub(1, #p.staging + 1) == p.staging .. "/" then
    fail(("production's database %s lies in the staging path"):format(database))
  elseif (production["server.port"] or "8080") == tostring(p.port) then
    fail(("production listens on %d"):format(p.port))
  end
  if manifest.stores.qdrant then
    local collection = expect.some(production["qdrant.collection"], "production's qdrant.collection")
    if expect.some(p.collection, "the parameter collection") == collection then
      fail(p.collection .. " is production's collection")
    end
  end
  if manifest.stores.neo4j then
    expect.some(p.neo4j_load, "the parameter neo4j_load")
    expect.some(p.neo4j_clear, "the parameter neo4j_clear")
    if expect.some(p.neo4j_database, "the parameter neo4j_database") == (production["neo4j.database"] or "neo4j") then
      fail(p.neo4j_database .. " is production's database")
    end
  end
end

--- Nobody listens there: whoever did would answer in place of the restored Pali.
function M.port_is_free(api)
  local answered, e = pcall(http.get, api .. "/health", { expect = false, retry = false, timeout = "5s" })
  if answered then
    fail("somebody answers at " .. api)
  elseif e.kind ~= "http.refused" then
    error(e, 0)
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

--- Read back: before it is started there is no doubt which stores it will write to. That is asked of the configuration:
--- it decides, whatever the backup has.
function M.leads_to_staging(p, manifest, c)
  expect.equal(c.database, p.staging .. "/pali.db", "sqlite_dsn")
  expect.equal(c["server.port"], tostring(p.port), "server.port")
  local uses = config.uses(c)
  if uses.qdrant then
    expect.some(manifest.stores.qdrant, "Qdrant's part of the backup, which the configuration uses,")
    expect.equal(c["qdrant.collection"], p.collection, "qdrant.collection")
  end
  if uses.neo4j then
    expect.some(manifest.stores.neo4j, "Neo4j's part of the backup, which the configuration uses,")
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
  if manifest.stores.neo4j then
    exec(p.neo4j_clear, { idempotent = true, title = "clear " .. p.neo4j_database })
  end
end

return M
