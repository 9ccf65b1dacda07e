local lu, mock = require "luaunit", require "mock"
local pali = require "lib.pali"

local BACKUPS = "/var/backups/pali"
local COUNT = 'SELECT count(*) FROM "memories"'

local function machine()
  local m = pali.machine()
  m.sql["SELECT name FROM sqlite_schema *"] = { { name = "memories" } }
  m.sql[COUNT] = 12
  m.sql["PRAGMA integrity_check"] = "ok"
  m.sql["BACKUP *"] = function(call)
    m.files:put(call.request.text, "a copy of the database")
  end
  return m
end

local function with_qdrant()
  local m = machine()
  m.config["vector_backend"], m.config["qdrant.collection"] = "=qdrant", "=memories"
  m.http["POST http://127.0.0.1:6333/collections/memories/snapshots"] =
    { json = { result = { name = "s1", checksum = hash.sha256 "vectors" } } }
  m.http["GET http://127.0.0.1:6333/collections/memories/snapshots/s1"] = "vectors"
  return m
end

local function backup(m, more)
  local params = { data = pali.DATA, backups = BACKUPS, schedule = "pali-backup.timer", every = "26h" }
  return pali.run(m, "backup", params, more)
end

--- A backup that was taken this long before.
local function earlier(m, hours)
  local at = 1764547200 - hours * 3600
  m.files:put(BACKUPS .. "/20251101T000000Z/manifest.json", json.encode { at = at, stores = { sqlite = {} } })
end

TestBackup = {}

function TestBackup:test_database_and_configuration()
  local m = machine()
  local run = backup(m)
  lu.assertEquals(run.status, "succeeded")
  local manifest = json.decode(m.files:get(run.evidence.backup .. "/manifest.json"))
  lu.assertEquals(manifest.stores.sqlite.tables, { memories = 12 })
  lu.assertEquals(manifest.stores.sqlite.files[1].sha256, hash.sha256 "a copy of the database")
  lu.assertEquals(m.files:get(run.evidence.backup .. "/pali.yaml"), m.files:get(pali.CONFIG))
end

function TestBackup:test_the_manifest_is_written_last()
  local m = machine()
  m.sql["PRAGMA integrity_check"] = "row 3 missing from index"
  local run = backup(m)
  lu.assertEquals(pali.failed(run), { "sqlite is whole" })
  lu.assertNil(run.steps["Declare it whole"])
  for _, path in ipairs(m.files:paths()) do
    lu.assertNotStrContains(path, "manifest.json")
  end
end

function TestBackup:test_rows_that_are_missing_are_found()
  local m = machine()
  m.sql[COUNT] = mock.turns { 12, 11 }
  lu.assertStrContains(backup(m).error.message, "the rows of each table")
end

function TestBackup:test_vectors_where_qdrant_has_them()
  local m = with_qdrant()
  local run = backup(m)
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(m.files:get(run.evidence.backup .. "/qdrant.snapshot"), "vectors")
  lu.assertEquals(run.evidence.qdrant.collection, "memories")
end

function TestBackup:test_a_snapshot_that_was_damaged_on_its_way()
  local m = with_qdrant()
  m.http["GET http://127.0.0.1:6333/collections/memories/snapshots/s1"] = "vect"
  lu.assertStrContains(backup(m).error.message, "the digest of Qdrant's snapshot")
end

function TestBackup:test_a_backend_that_nobody_knows_is_refused()
  local m = machine()
  m.config["vector_backend"] = "=milvus"
  lu.assertStrContains(backup(m).error.message, "vector_backend is milvus, which these runbooks do not know")
end

function TestBackup:test_qdrant_that_does_not_answer()
  local m = with_qdrant()
  m.http["POST http://127.0.0.1:6333/collections/memories/snapshots"] = mock.fail "http.refused"
  local run = backup(m)
  lu.assertEquals(run.status, "failed")
  lu.assertEquals(run.steps["Vectors in Qdrant"].verdict, "fail")
end

function TestBackup:test_facts_where_neo4j_has_them()
  local m = machine()
  m.config["entity_fact_backend"] = "=neo4j"
  m.exec["neo4j-admin dump *"] = function(call)
    m.files:put(call.argv[3] .. "/neo4j.dump", "facts")
  end
  local run = backup(m, { neo4j_dump = { "neo4j-admin", "dump" } })
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(run.evidence.neo4j.files[1].file, "neo4j/neo4j.dump")
end

function TestBackup:test_a_dump_that_leaves_nothing()
  local m = machine()
  m.config["entity_fact_backend"] = "=neo4j"
  m.exec["neo4j-admin dump *"] = true
  lu.assertStrContains(backup(m, { neo4j_dump = { "neo4j-admin", "dump" } }).error.message, "what the dump has left")
end

function TestBackup:test_a_timer_that_will_not_elapse()
  local m = machine()
  m.units["pali-backup.timer"].NextElapseUSecRealtime = ""
  lu.assertEquals(pali.failed(backup(m)), { "the timer is enabled and will elapse" })
end

function TestBackup:test_the_first_one_has_none_before_it()
  local run = backup(machine())
  lu.assertEquals(run.checks["the backup before this one was taken in time"].verdict, "skip")
end

function TestBackup:test_the_one_before_was_taken_in_time()
  local m = machine()
  earlier(m, 24)
  lu.assertEquals(backup(m).status, "succeeded")
end

function TestBackup:test_the_one_before_is_of_tomorrow()
  local m = machine()
  earlier(m, -24)
  lu.assertStrContains(backup(m).error.message, "a clock is wrong")
end

function TestBackup:test_the_one_before_is_too_old()
  local m = machine()
  earlier(m, 50)
  lu.assertEquals(pali.failed(backup(m)), { "the backup before this one was taken in time" })
end
