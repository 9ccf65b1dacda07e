-- What the tests of Pali's runbooks share: a machine on which all is well, in memory. A test changes what is to be
-- otherwise and runs a runbook there.
local mock = require "mock"

local M = {}

M.CONFIG = "/etc/pali/pali.yaml"
M.BINARY = "/opt/pali/bin/pali"
M.DATA = "/var/lib/pali"
M.COMMAND = { "/opt/pali/bin/pali", "serve" }
M.TOKEN = "a-token-for-the-tests"

--- What `systemctl show` says of a unit.
local function shown(unit)
  unit = unit or { LoadState = "not-found", ActiveState = "inactive" }
  local lines = {}
  for name, value in pairs(unit) do
    lines[#lines + 1] = name .. "=" .. tostring(value)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function pali_unit()
  return {
    LoadState = "loaded",
    ActiveState = "active",
    UnitFileState = "enabled",
    Restart = "always",
    NRestarts = 0,
    MainPID = 42,
    InvocationID = "1",
    ExecStart = "{ path=/opt/pali/bin/pali ; argv[]=" .. table.concat(M.COMMAND, " ") .. " ; ignore_errors=no ; }",
  }
end

--- What lib/config.lua's awk says: of shown names their value, of others a measure.
local function settings(config)
  local lines = {}
  for name, value in pairs(config) do
    lines[#lines + 1] = ("%s\t%s"):format(name, value)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function copies(files, fail)
  return function(call)
    local from, to = call.argv[4], call.argv[5]
    if fail[call.argv[1]] or not files:get(from) then
      return { code = 1, stderr = ("%s: can not stat '%s'"):format(call.argv[1], from) }
    end
    files[call.argv[1] == "cp" and "copy" or "move"](files, from, to)
  end
end

--- A machine where all is well.
---@return table
function M.machine()
  local m = {
    files = mock.files {
      [M.CONFIG] = "auth:\n  enabled: true\n",
      [M.BINARY] = "binary 1",
      [M.DATA .. "/pali.db"] = { content = "the database", owner = "pali" },
      ["/var/log/nginx/access.log"] = "",
    },
    units = { pali = pali_unit(), ["pali-health.timer"] = pali_unit(), ["pali-backup.timer"] = pali_unit() },
    config = {
      ["auth.enabled"] = "=true",
      ["auth.jwt_secret"] = "#64 4.5 0.6",
      ["database.sqlite_dsn"] = "=file:" .. M.DATA .. "/pali.db",
      ["embedding.provider"] = "=lexical",
      ["server.port"] = "=8080",
    },
    log = {
      "repository initialized",
      "provider selected",
      "adapter selected",
      "startup counts",
      "vectorstore backend initialized",
      "entity-fact backend initialized",
    },
    requests = { '127.0.0.1 - - [x] "GET /health HTTP/1.1" 200 2' },
    fail = {}, -- commands that do: fail.cp = true
    http = {},
    exec = {},
    sql = {},
    answers = {},
  }
  m.files:folder(M.DATA, { owner = "pali", mode = "0700" })
  m.units["pali-backup.timer"].NextElapseUSecRealtime = "Sun 2026-11-29 03:00:00 UTC"
  m.http["GET http://127.0.0.1:8080/health"] = '{"status":"ok"}'
  m.http["POST http://127.0.0.1:8080/v1/tenants"] = 201
  m.http["POST http://127.0.0.1:8080/v1/memory/search"] = { json = { items = {} } }
  m.exec["systemctl show --property=* *"] = function(call)
    return shown(m.units[call.argv[4]])
  end
  m.exec["systemctl restart *"] = function(call)
    local unit = m.units[call.argv[3]]
    unit.InvocationID = tostring(tonumber(unit.InvocationID) + 1)
  end
  m.exec["systemctl stop *"] = function(call)
    m.units[call.argv[3]] = nil
  end
  m.exec["journalctl *"] = function()
    return table.concat(m.log, "\n") .. "\n"
  end
  m.exec["awk -v mode=values *"] = function(call)
    return settings(m.staged and call.argv[#call.argv] ~= M.CONFIG and m.staged or m.config)
  end
  m.exec["realpath -e -- *"] = function(call)
    return call.argv[4]:gsub("(.)/$", "%1") .. "\n"
  end
  m.exec["tail -n 1000 -- *"] = function()
    return table.concat(m.requests, "\n") .. "\n"
  end
  m.exec["cp -p -- *"], m.exec["mv -T -- *"] = copies(m.files, m.fail), copies(m.files, m.fail)
  return m
end

--- Runs a runbook on it.
---@param m table
---@param name string
---@param params table
---@param more table? parameters that this test gives, or has other values for
---@return table run
function M.run(m, name, params, more)
  for k, v in pairs(more or {}) do
    params[k] = v
  end
  return mock.run("../" .. name .. ".lua", {
    params = params,
    file = m.files,
    http = m.http,
    exec = m.exec,
    sql = m.sql,
    answers = m.answers,
    now = 1764547200, -- 2025-12-01
  })
end

--- What an MCP server answers to "initialize" and "tools/list".
---@param tools table[]
---@return string
function M.mcp(tools)
  local hello = { id = 1, result = { serverInfo = { name = "pali" } } }
  return json.encode(hello) .. "\n" .. json.encode { id = 2, result = { tools = tools } } .. "\n"
end

--- The titles of the checks that have not held.
---@param run table
---@return string[]
function M.failed(run)
  local out = {}
  for _, check in ipairs(run.checks) do
    out[#out + 1] = check.verdict == "fail" and check.title or nil
  end
  return out
end

return M
