local lu, mock = require "luaunit", require "mock"
local pali = require "lib.pali"

local BACKUPS, STAGING = "/var/backups/pali", "/srv/drill"
local FOLDER = BACKUPS .. "/20251130T000000Z"
local COUNT = 'SELECT count(*) FROM "memories"'

--- What the restored Pali answers; before it is started nobody listens there.
local function answers(m, answer)
  return function()
    return m.units["pali-restore-drill"] and answer or mock.fail "http.refused"
  end
end

--- The machine with a backup; the restored Pali comes up on port 9090.
local function machine()
  local m = pali.machine()
  local function part(name, content, more)
    m.files:put(FOLDER .. "/" .. name, content)
    local out = { files = { { file = name, sha256 = hash.sha256(content), size = #content } } }
    for k, v in pairs(more or {}) do
      out[k] = v
    end
    return out
  end
  m.manifest = {
    at = 1764460800,
    stores = {
      config = part("pali.yaml", "auth:\n"),
      sqlite = part("pali.db", "a copy of the database", { tables = { memories = 12 } }),
    },
  }
  m.part = part
  m.staged = { ["database.sqlite_dsn"] = "=file:" .. STAGING .. "/pali.db", ["server.port"] = "=9090" }
  m.sql["SELECT name FROM sqlite_schema *"] = { { name = "memories" } }
  m.sql[COUNT], m.sql["PRAGMA integrity_check"] = 12, "ok"
  m.exec["sed -i -E *"] = true
  m.exec["systemd-run *"] = function(call)
    m.units[call.argv[2]:match "=(.*)"] = { LoadState = "loaded", ActiveState = "active", InvocationID = "1" }
  end
  m.http["GET http://127.0.0.1:9090/health"] = answers(m, "well")
  m.http["POST http://127.0.0.1:9090/v1/tenants"] = 201
  m.http["POST http://127.0.0.1:9090/v1/memory/search"] = { json = { items = {} } }
  return m
end

local function drill(m, more)
  if m.manifest then
    m.files:put(FOLDER .. "/manifest.json", json.encode(m.manifest))
  end
  local params = {
    backups = BACKUPS,
    staging = STAGING,
    port = 9090,
    command = { "/opt/pali/bin/pali", "serve", "-config" },
    poll = "1s",
    tenant = "drill",
    token = pali.TOKEN,
  }
  return pali.run(m, "restore-drill", params, more)
end

local function is_cleared(m)
  lu.assertNil(m.files:get(STAGING .. "/pali.db"))
  lu.assertNil(m.units["pali-restore-drill"])
end

TestRestoreDrill = {}

function TestRestoreDrill:test_restores_looks_and_clears_away()
  local m = machine()
  local run = drill(m)
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(run.undo, {})
  is_cleared(m)
  local record = json.decode(m.files:get(BACKUPS .. "/restore-drill.json"))
  lu.assertEquals(record, { at = 1764547200, backup = "20251130T000000Z", taken = 1764460800 })
end

function TestRestoreDrill:test_without_a_backup_there_is_no_drill()
  local m = machine()
  m.manifest = nil
  local run = drill(m)
  lu.assertEquals(run.status, "failed")
  lu.assertStrContains(run.error.message, "a whole backup in " .. BACKUPS)
end

function TestRestoreDrill:test_a_backup_that_was_damaged()
  local m = machine()
  m.files:put(FOLDER .. "/pali.db", "half a copy")
  lu.assertEquals(pali.failed(drill(m)), { "it is as it was taken" })
end

function TestRestoreDrill:test_a_staging_path_that_is_in_use()
  local m = machine()
  m.files:put(STAGING .. "/pali.db", "somebody's")
  lu.assertEquals(pali.failed(drill(m)), { "the staging path is free" })
  lu.assertEquals(m.files:get(STAGING .. "/pali.db"), "somebody's")
end

function TestRestoreDrill:test_the_port_of_production_is_refused()
  local m = machine()
  m.config["server.port"] = "=9090"
  lu.assertEquals(pali.failed(drill(m)), { "nothing of it is production's" })
end

function TestRestoreDrill:test_a_configuration_that_still_leads_to_production()
  local m = machine()
  m.staged["database.sqlite_dsn"] = "=file:" .. pali.DATA .. "/pali.db"
  local run = drill(m)
  lu.assertEquals(run.status, "undone")
  lu.assertEquals(pali.failed(run), { "the restored configuration leads to what was restored" })
  lu.assertNil(run.steps["Start Pali with the restored configuration"])
  is_cleared(m)
end

function TestRestoreDrill:test_a_restored_pali_that_is_not_well_is_cleared_away()
  local m = machine()
  m.http["GET http://127.0.0.1:9090/health"] = answers(m, 503)
  local run = drill(m)
  lu.assertEquals(run.status, "undone")
  lu.assertEquals(pali.failed(run), { "GET /health answers" })
  is_cleared(m)
  lu.assertNil(m.files:get(BACKUPS .. "/restore-drill.json"))
end

function TestRestoreDrill:test_a_port_at_which_somebody_answers()
  local m = machine()
  m.http["GET http://127.0.0.1:9090/health"] = "well"
  lu.assertEquals(pali.failed(drill(m)), { "nobody listens on its port" })
end

function TestRestoreDrill:test_a_restored_pali_that_has_ended()
  local m = machine()
  m.http["GET http://127.0.0.1:9090/health"] = function()
    local there = m.units["pali-restore-drill"]
    if there then
      there.ActiveState = "failed"
    end
    return there and "well" or mock.fail "http.refused"
  end
  lu.assertEquals(pali.failed(drill(m)), { "it is the restored Pali that runs" })
  is_cleared(m)
end

function TestRestoreDrill:test_rows_that_are_missing()
  local m = machine()
  m.sql[COUNT] = mock.turns { 12, 11 }
  local run = drill(m)
  lu.assertEquals(pali.failed(run), { "every table has the rows that were saved" })
  is_cleared(m)
end

function TestRestoreDrill:test_a_command_that_does_not_start()
  local m = machine()
  m.exec["systemd-run *"] = { code = 1, stderr = "Failed to start transient service" }
  local run = drill(m)
  lu.assertEquals(run.status, "undone")
  lu.assertStrContains(run.error.message, "Failed to start transient service")
  is_cleared(m)
end

TestRestoreDrillStores = {}

local function with_qdrant()
  local m = machine()
  m.manifest.stores.qdrant = m.part("qdrant.snapshot", "vectors", { collection = "memories" })
  m.config["qdrant.collection"], m.staged["qdrant.collection"] = "=memories", "=drill"
  m.staged["vector_backend"] = "=qdrant"
  m.http["POST http://127.0.0.1:6333/collections/drill/snapshots/upload*"] = true
  m.http["DELETE http://127.0.0.1:6333/collections/drill"] = true
  return m
end

function TestRestoreDrillStores:test_vectors_go_to_a_collection_of_their_own()
  local run = drill(with_qdrant(), { collection = "drill" })
  lu.assertEquals(run.status, "succeeded")
  lu.assertStrContains(run.calls("http")[2], "POST http://127.0.0.1:6333/collections/drill/snapshots/upload")
  lu.assertEquals(run.calls("http")[6], "DELETE http://127.0.0.1:6333/collections/drill")
end

function TestRestoreDrillStores:test_never_to_productions_collection()
  local run = drill(with_qdrant(), { collection = "memories" })
  lu.assertEquals(pali.failed(run), { "nothing of it is production's" })
  lu.assertEquals(run.calls "http", { "GET http://127.0.0.1:9090/health" })
end

function TestRestoreDrillStores:test_facts_are_loaded_into_a_database_of_their_own()
  local m = machine()
  m.manifest.stores.neo4j = m.part("neo4j/neo4j.dump", "facts")
  m.config["neo4j.database"], m.staged["neo4j.database"] = "=neo4j", "=drill"
  m.staged["entity_fact_backend"] = "=neo4j"
  m.exec["neo4j-admin load *"], m.exec["cypher-shell drop drill"] = true, true
  local run = drill(m, {
    neo4j_load = { "neo4j-admin", "load" },
    neo4j_clear = { "cypher-shell", "drop", "drill" },
    neo4j_database = "drill",
  })
  lu.assertEquals(run.status, "succeeded")
end

function TestRestoreDrillStores:test_never_into_productions_database()
  local m = machine()
  m.manifest.stores.neo4j = m.part("neo4j/neo4j.dump", "facts")
  m.config["neo4j.database"] = "=neo4j"
  local run = drill(m, {
    neo4j_load = { "neo4j-admin", "load" },
    neo4j_clear = { "cypher-shell", "drop", "neo4j" },
    neo4j_database = "neo4j",
  })
  lu.assertEquals(pali.failed(run), { "nothing of it is production's" })
end
