local hash_of, lu = hash.sha256, require "luaunit"
local pali = require "lib.pali"

local EVIDENCE = "/var/lib/pali-evidence"

--- The machine, with a snapshot to go back to.
local function machine()
  local m = pali.machine()
  m.files:put("/var/lib/pali-rollbacks/abc-def/pali", "binary 0")
  m.files:put("/var/lib/pali-rollbacks/abc-def/pali.yaml", "config 0")
  local digests = { binary = hash_of "binary 0", config = hash_of "config 0" }
  m.files:put("/var/lib/pali-rollbacks/abc-def/digests.json", json.encode(digests))
  m.files:put("/var/lib/pali-rollbacks/last-known-good", "abc-def\n")
  return m
end

local function rollback(m, more)
  local params = {
    rollbacks = "/var/lib/pali-rollbacks",
    binary = pali.BINARY,
    unit = "pali",
    evidence_folder = EVIDENCE,
    recent = "1h",
    access_log = "/var/log/nginx/access.log",
    poll = "1s",
    tenant = "probe",
    token = pali.TOKEN,
  }
  return pali.run(m, "rollback", params, more)
end

TestRollback = {}

function TestRollback:test_back_to_the_last_known_good()
  local m = machine()
  local run = rollback(m)
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 0")
  lu.assertEquals(m.files:get(pali.CONFIG), "config 0")
  lu.assertEquals(m.units.pali.InvocationID, "2")
  lu.assertEquals(run.evidence.snapshot.name, "abc-def")
end

function TestRollback:test_evidence_is_kept_before_anything_is_swapped()
  local m = machine()
  local run = rollback(m)
  local folder = run.evidence.preserved.folder
  lu.assertStrContains(folder, EVIDENCE .. "/")
  lu.assertEquals(m.files:get(folder .. "/pali"), "binary 1")
  lu.assertStrContains(m.files:get(folder .. "/journal.log"), "repository initialized")
  lu.assertStrContains(m.files:get(folder .. "/access.log"), "GET /health")
  lu.assertStrContains(m.files:get(folder .. "/unit.json"), '"active"')
end

function TestRollback:test_nothing_to_go_back_to()
  local m = pali.machine()
  local run = rollback(m)
  lu.assertEquals(pali.failed(run), { "the snapshot is there and whole" })
  lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
end

function TestRollback:test_a_snapshot_that_was_changed_is_refused()
  local m = machine()
  m.files:put("/var/lib/pali-rollbacks/abc-def/pali", "something else")
  local run = rollback(m, { snapshot = "abc-def" })
  lu.assertStrContains(run.error.message, "the snapshot abc-def is")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
end

function TestRollback:test_evidence_that_can_not_be_kept_stops_it()
  local m = machine()
  m.fail.cp = true
  local run = rollback(m)
  lu.assertEquals(run.status, "failed")
  lu.assertEquals(run.steps["Preserve the evidence"].verdict, "fail")
  lu.assertNil(run.steps["Swap and restart"])
end

function TestRollback:test_not_well_afterwards()
  local m = machine()
  m.http["GET http://127.0.0.1:8080/health"] = 503
  local run = rollback(m)
  lu.assertEquals(run.status, "failed")
  lu.assertEquals(run.steps["Swap and restart"].verdict, "pass")
  lu.assertEquals(pali.failed(run), { "GET /health answers" })
end

function TestRollback:test_what_a_mode_needs_is_asked_for_before_anything()
  local m = machine()
  local run = rollback(m, { tenant = "" })
  lu.assertEquals(pali.failed(run), { "what this mode needs is named" })
  lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
end

function TestRollback:test_an_mcp_server_is_asked_for_its_tools()
  local m = machine()
  m.exec[table.concat(pali.COMMAND, " ")] = pali.mcp { { name = "search" } }
  local run = rollback(m, { mode = "mcp", command = pali.COMMAND })
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(run.evidence.tools, { "search" })
  lu.assertEquals(run.calls "http", {})
end

function TestRollback:test_a_binary_that_is_gone_is_in_nobodys_way()
  local m = machine()
  m.files:remove(pali.BINARY)
  local run = rollback(m)
  lu.assertEquals(run.status, "succeeded")
  lu.assertStrContains(run.evidence.preserved.pali, "is not there")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 0")
end
