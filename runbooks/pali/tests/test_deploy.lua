local lu, mock = require "luaunit", require "mock"
local pali = require "lib.pali"

local ROLLBACKS = "/var/lib/pali-rollbacks"
local HEALTH = "GET http://127.0.0.1:8080/health"

local function machine()
  local m = pali.machine()
  m.files:put("/tmp/pali-new", "binary 2")
  return m
end

local function deploy(m, more)
  local params = {
    mode = "api",
    artifact = "/tmp/pali-new",
    sha256 = hash.sha256 "binary 2",
    binary = pali.BINARY,
    command = pali.COMMAND,
    unit = "pali",
    health_unit = "pali-health.timer",
    rollbacks = ROLLBACKS,
    poll = "1s",
    tenant = "probe",
    token = pali.TOKEN,
  }
  return pali.run(m, "deploy", params, more)
end

TestDeploy = {}

function TestDeploy:test_a_new_binary()
  local m = machine()
  local run = deploy(m)
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 2")
  lu.assertEquals(m.units.pali.InvocationID, "2")
  lu.assertEquals(run.undo, {})
end

function TestDeploy:test_what_ran_before_is_kept_and_named()
  local m = machine()
  deploy(m)
  local name = m.files:get(ROLLBACKS .. "/last-known-good"):match "%S+"
  lu.assertEquals(m.files:get(("%s/%s/pali"):format(ROLLBACKS, name)), "binary 1")
end

function TestDeploy:test_a_new_configuration()
  local m = machine()
  m.files:put("/tmp/pali.yaml", "config 2")
  lu.assertEquals(deploy(m, { new_config = "/tmp/pali.yaml" }).status, "succeeded")
  lu.assertEquals(m.files:get(pali.CONFIG), "config 2")
end

function TestDeploy:test_another_artifact_than_was_built()
  local m = machine()
  m.files:put("/tmp/pali-new", "something else")
  local run = deploy(m)
  lu.assertEquals(pali.failed(run), { "the new binary is what was built" })
  lu.assertEquals(run.steps["Keep what runs now"], nil)
end

function TestDeploy:test_a_unit_of_another_mode()
  local run = deploy(machine(), { command = { "/opt/pali/bin/pali", "mcp" } })
  lu.assertEquals(pali.failed(run), { "the unit runs the command of this mode" })
end

function TestDeploy:test_a_unit_that_nobody_starts_again()
  local m = machine()
  m.units.pali.Restart = "no"
  lu.assertEquals(pali.failed(deploy(m)), { "the unit is enabled, and started again when it ends" })
end

function TestDeploy:test_no_health_loop()
  local m = machine()
  m.units["pali-health.timer"] = nil
  lu.assertEquals(pali.failed(deploy(m)), { "the health check loop is enabled and running" })
end

function TestDeploy:test_a_server_that_is_not_well_afterwards_is_put_back()
  local m = machine()
  m.http[HEALTH] = function()
    return m.files:get(pali.BINARY) == "binary 1" and "well" or 503
  end
  local run = deploy(m)
  lu.assertEquals(run.status, "undone")
  lu.assertStrContains(run.error.message, "/health")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
  lu.assertEquals(m.units.pali.InvocationID, "3")
end

function TestDeploy:test_a_copy_that_fails_is_no_deployment()
  local m = machine()
  m.fail.cp = true
  local run = deploy(m)
  lu.assertEquals(run.status, "failed")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
end

function TestDeploy:test_a_restart_that_fails_is_put_back()
  local m = machine()
  local restart = m.exec["systemctl restart *"]
  m.exec["systemctl restart *"] = mock.turns { { code = 1, stderr = "Job failed" }, restart }
  local run = deploy(m)
  lu.assertEquals(run.status, "undone")
  lu.assertStrContains(run.error.message, "exited with 1: Job failed")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
end

function TestDeploy:test_a_restart_that_was_none_is_found()
  local m = machine()
  m.exec["systemctl restart *"] = true
  lu.assertStrContains(deploy(m).error.message, "its invocation is the same")
end

function TestDeploy:test_a_copy_that_is_another_is_found()
  local m = machine()
  local copy = m.exec["cp -p -- *"]
  m.exec["cp -p -- *"] = function(call)
    copy(call)
    m.files:put(call.argv[5], "half of it")
  end
  lu.assertStrContains(deploy(m).error.message, "the copy is another")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
end

function TestDeploy:test_what_was_not_well_before_is_no_known_good()
  local m = machine()
  m.files:put(ROLLBACKS .. "/last-known-good", "an older one\n")
  m.http[HEALTH] = function()
    return m.files:get(pali.BINARY) == "binary 2" and "well" or 503
  end
  local run = deploy(m)
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(run.steps["Name the last known-good deployment"].verdict, "skip")
  lu.assertEquals(m.files:get(ROLLBACKS .. "/last-known-good"), "an older one\n")
end

function TestDeploy:test_a_start_up_log_that_complains_is_put_back()
  local m = machine()
  m.log[#m.log + 1] = "panic: no such table"
  local run = deploy(m)
  lu.assertEquals(run.status, "undone")
  lu.assertStrContains(run.error.message, "panic: no such table")
end

TestDeployMcp = {}

function TestDeployMcp:test_the_server_is_asked_for_its_tools()
  local m = machine()
  m.exec[table.concat(pali.COMMAND, " ")] = pali.mcp { { name = "search" } }
  local run = deploy(m, { mode = "mcp" })
  lu.assertEquals(run.status, "succeeded")
  lu.assertEquals(run.evidence.tools, { "search" })
  lu.assertEquals(run.calls "http", {})
end

function TestDeployMcp:test_a_server_without_tools_is_put_back()
  local m = machine()
  m.exec[table.concat(pali.COMMAND, " ")] = mock.turns {
    pali.mcp { { name = "search" } },
    pali.mcp {},
    pali.mcp { { name = "search" } },
  }
  local run = deploy(m, { mode = "mcp" })
  lu.assertEquals(run.status, "undone")
  lu.assertEquals(m.files:get(pali.BINARY), "binary 1")
end
