local lu, mock = require "luaunit", require "mock"
local pali = require "lib.pali"

local function verify(m)
  return pali.run(m, "verify", { unit = "pali", tenant = "probe", token = pali.TOKEN, poll = "1s" })
end

TestVerify = {}

function TestVerify:test_a_server_that_is_well()
  local run = verify(pali.machine())
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(run.calls "http", {
    "GET http://127.0.0.1:8080/health",
    "POST http://127.0.0.1:8080/v1/tenants",
    "POST http://127.0.0.1:8080/v1/memory/search",
  })
  lu.assertEquals(run.evidence.tenant, { tenant = "probe", status = 201 })
end

function TestVerify:test_health_is_polled_until_it_answers()
  local m = pali.machine()
  m.http["GET http://127.0.0.1:8080/health"] = mock.turns { mock.fail "http.refused", 503, '{"status":"ok"}' }
  local run = verify(m)
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(#run.calls "http", 5)
end

function TestVerify:test_health_that_never_answers_is_found()
  local m = pali.machine()
  m.http["GET http://127.0.0.1:8080/health"] = mock.fail "http.refused"
  local run = verify(m)
  lu.assertEquals(run.status, "failed")
  lu.assertEquals(pali.failed(run), { "GET /health answers" })
  lu.assertEquals(#run.calls "http", 4 + 2) -- for one second, four times; then the other checks
end

function TestVerify:test_a_tenant_that_is_there_already_is_no_failure()
  local m = pali.machine()
  m.http["POST http://127.0.0.1:8080/v1/tenants"] = 409
  lu.assertEquals(verify(m).status, "succeeded")
end

function TestVerify:test_a_search_that_fails_is_found()
  local m = pali.machine()
  m.http["POST http://127.0.0.1:8080/v1/memory/search"] = 500
  lu.assertEquals(pali.failed(verify(m)), { "POST /v1/memory/search finds its way" })
end

function TestVerify:test_an_answer_that_tells_of_an_error_is_none()
  local m = pali.machine()
  m.http["POST http://127.0.0.1:8080/v1/memory/search"] = { json = { error = "no embeddings" } }
  lu.assertStrContains(verify(m).error.message, "no embeddings")
end

function TestVerify:test_a_unit_that_is_started_again_meanwhile()
  local m = pali.machine()
  m.http["POST http://127.0.0.1:8080/v1/memory/search"] = function()
    m.units.pali.InvocationID = "2"
    return { json = { items = {} } }
  end
  lu.assertEquals(pali.failed(verify(m)), { "the unit stays up" })
end

function TestVerify:test_a_line_that_the_start_up_log_lacks_is_named()
  local m = pali.machine()
  table.remove(m.log, 2)
  local run = verify(m)
  lu.assertEquals(pali.failed(run), { "provider selection" })
  lu.assertStrContains(run.error.message, "has no good line with these words: provider select")
end

function TestVerify:test_a_complaint_in_the_start_up_log_is_shown()
  local m = pali.machine()
  m.log[#m.log + 1] = "level=ERROR migration failed"
  lu.assertStrContains(verify(m).error.message, "migration failed")
end
