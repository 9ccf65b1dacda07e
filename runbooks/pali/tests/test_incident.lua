local lu, mock = require "luaunit", require "mock"
local pali = require "lib.pali"

local ROLLBACKS = "/var/lib/pali-rollbacks"
local SEARCH = "POST http://127.0.0.1:8080/v1/memory/search"

--- The machine behind its gateway, with a snapshot to go back to.
local function machine()
  local m = pali.machine()
  m.files:put(ROLLBACKS .. "/abc-def/pali", "binary 0")
  m.files:put(ROLLBACKS .. "/abc-def/pali.yaml", "config 0")
  local digests = { binary = hash.sha256 "binary 0", config = hash.sha256 "config 0" }
  m.files:put(ROLLBACKS .. "/abc-def/digests.json", json.encode(digests))
  m.files:put(ROLLBACKS .. "/last-known-good", "abc-def\n")
  m.http["GET https://pali.example/health*"] = { body = "well", tls = { valid_until = "2026-06-01T00:00:00Z" } }
  m.http[SEARCH] = function(call)
    return call.headers.authorization and { json = { items = {} } } or 401
  end
  m.exec["df --output=pcent *"] = "Use%\n 40%\n"
  m.sql["PRAGMA quick_check"] = "ok"
  return m
end

local function incident(m)
  return pali.run(m, "incident", {
    unit = "pali",
    gateway = "https://pali.example",
    access_log = "/var/log/nginx/access.log",
    tenant = "probe",
    token = pali.TOKEN,
    data = pali.DATA,
    disk_free = 20,
    recent = "1h",
    rollbacks = ROLLBACKS,
    binary = pali.BINARY,
    evidence_folder = "/var/lib/pali-evidence",
    poll = "1s",
    decision = "1h",
  })
end

local QUESTION = "Is a rollback to abc-def required?"

TestIncident = {}

function TestIncident:test_all_looks_are_green()
  local run = incident(machine())
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(run.printed, { "all six looks are green: nothing of the first response explains the incident" })
  lu.assertEquals(run.calls "answers", {})
  lu.assertEquals(run.checks["Qdrant is ready"].verdict, "skip")
end

function TestIncident:test_what_was_found_is_kept_before_anybody_is_asked()
  local m = machine()
  m.units.pali.NRestarts = 3
  m.answers[QUESTION] = function()
    lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
    for _, path in ipairs(m.files:paths()) do
      if path:find("/var/lib/pali-evidence/", 1, true) and path:find "journal%.log$" then
        return "no"
      end
    end
    lu.fail "there is no evidence yet"
  end
  local run = incident(m)
  lu.assertEquals(run.status, "failed")
  lu.assertStrContains(run.error.message, "no rollback; what was found stands")
  lu.assertEquals(pali.failed(run), { "the process runs, and was not started again by itself" })
end

function TestIncident:test_a_rollback_that_somebody_wants()
  local m = machine()
  m.log[#m.log + 1] = "level=error provider failed"
  m.answers[QUESTION] = "yes"
  local run = incident(m)
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 0")
  lu.assertEquals(run.steps["Roll back"].verdict, "pass")
end

function TestIncident:test_nobody_decides()
  local m = machine()
  m.units.pali.ActiveState = "failed"
  m.answers[QUESTION] = mock.nobody
  local run = incident(m)
  lu.assertEquals(run.error.kind, "timeout")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
  lu.assertEquals(run.ended, 1764547200 + 3600)
end

function TestIncident:test_a_snapshot_that_was_changed_is_not_gone_back_to()
  local m = machine()
  m.units.pali.ActiveState = "failed"
  m.files:put(ROLLBACKS .. "/abc-def/pali", "something else")
  m.answers[QUESTION] = "yes"
  local run = incident(m)
  lu.assertEquals(run.status, "failed")
  lu.assertNil(run.steps["Roll back"])
end

TestLooks = {}

--- Each fault is found by its look and by no other.
local function finds(title, change)
  local m = machine()
  change(m)
  m.answers[QUESTION] = "no"
  lu.assertEquals(pali.failed(incident(m)), { title })
end

function TestLooks:test_gateway()
  finds("the way from the gateway to Pali is open, over good TLS", function(m)
    m.http["GET https://pali.example/health*"] = { status = 502, tls = { valid_until = "2026-06-01T00:00:00Z" } }
  end)
end

function TestLooks:test_gateway_with_a_bad_certificate()
  finds("the way from the gateway to Pali is open, over good TLS", function(m)
    m.http["GET https://pali.example/health*"] = mock.fail("http.tls", "the certificate has expired")
  end)
end

function TestLooks:test_health()
  finds("GET /health answers", function(m)
    m.http["GET http://127.0.0.1:8080/health"] = 503
  end)
end

function TestLooks:test_an_open_door()
  finds("a token is wanted, and this one is good", function(m)
    m.http[SEARCH] = { json = { items = {} } }
  end)
end

function TestLooks:test_a_bad_token()
  finds("a token is wanted, and this one is good", function(m)
    m.http[SEARCH] = 401
  end)
end

function TestLooks:test_errors_of_the_server()
  finds("no request was answered with an error of the server", function(m)
    m.requests[#m.requests + 1] = '127.0.0.1 - - [x] "GET /v1/memory HTTP/1.1" 500 2'
  end)
end

function TestLooks:test_our_own_requests_do_not_count()
  local m = machine()
  m.requests[#m.requests + 1] = '127.0.0.1 - - [x] "GET /health?runbook=incident HTTP/1.1" 502 2'
  lu.assertEquals(incident(m).status, "succeeded")
end

function TestLooks:test_a_configuration_that_can_not_be_read()
  finds("the configuration can be read", function(m)
    m.exec["awk -v mode=values *"] = { code = 2, stderr = "awk: can not open" }
  end)
end

function TestLooks:test_a_full_disk()
  finds("the disk has room", function(m)
    m.exec["df --output=pcent *"] = "Use%\n 95%\n"
  end)
end

function TestLooks:test_a_damaged_database()
  finds("SQLite is sound", function(m)
    m.sql["PRAGMA quick_check"] = "database disk image is malformed"
  end)
end

function TestLooks:test_qdrant_where_it_is_used()
  finds("Qdrant is ready", function(m)
    m.config["vector_backend"] = "=qdrant"
    m.http["GET http://127.0.0.1:6333/readyz"] = 503
  end)
end

function TestLooks:test_neo4j_where_it_is_used()
  finds("Neo4j answers", function(m)
    m.config["entity_fact_backend"] = "=neo4j"
    m.http["GET http://127.0.0.1:7474/"] = mock.fail "http.refused"
  end)
end
