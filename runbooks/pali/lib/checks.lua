-- Is Pali well? The checks of health and readiness, for every runbook that has just started it or doubts it.
local expect = require "expect"
local systemd = require "systemd"

---@class pali.Service what runbooks ask the operator about a Pali
---@field unit string
---@field mode string?
---@field command string[]?
---@field api string
---@field poll number
---@field tenant string
---@field token rbhost.Secret?

local M = {}

--- GET /health, polled until it is well or `poll` is over, however slow the answers are.
---@param api string
---@param poll string|number
function M.health(api, poll)
  local said
  local function look()
    local ok, answer = pcall(http.get, api .. "/health", { timeout = "5s", retry = false })
    said = answer
    if not ok and not answer.retryable then
      error(answer, 0)
    end
    return ok
  end
  local waited, well = pcall(wait_until, { title = "poll /health", every = "250ms", timeout = poll }, look)
  if not waited and well.kind ~= "timeout" then
    error(well, 0)
  elseif well ~= true then
    fail(("/health was not well within %s: %s"):format(poll, said and said.message or "no answer"))
  end
  evidence("health", said.body)
end

--- An answer that tells of an error is none that is good, whatever its status.
local function no_error(said)
  local answer = said.body ~= "" and said.json()
  if type(answer) == "table" and answer.error and answer.error ~= null then
    fail(("it answers %d, and says: %s"):format(said.status, json.encode(answer.error)))
  end
  return answer
end

--- POST /v1/tenants: the probe's tenant is made, or is there already.
---@return rbhost.Response
function M.tenant(api, tenant, token)
  local said = http.post(api .. "/v1/tenants", {
    json = { id = tenant, name = "runbook probe" },
    bearer = token,
    expect = { 200, 201, 409 },
    idempotent = true,
  })
  if said.status ~= 409 then
    no_error(said)
  end
  evidence("tenant", { tenant = tenant, status = said.status })
  return said
end

--- POST /v1/memory/search in that tenant.
function M.search(api, tenant, token)
  local said = http.post(api .. "/v1/memory/search", {
    json = { tenant_id = tenant, query = "runbook probe", top_k = 1 },
    bearer = token,
    read = true,
  })
  local answer = no_error(said)
  if type(answer) ~= "table" then
    fail(("it answers %d without a result"):format(said.status))
  end
  evidence("found", #(answer.items or answer.results or answer))
end

--- Health, a tenant and a search through it. (A dry run makes no tenant that could be searched in.)
function M.flow(p)
  M.health(p.api, p.poll)
  if not M.tenant(p.api, p.tenant, p.token).assumed then
    M.search(p.api, p.tenant, p.token)
  end
end

-- How a line tells of something that went wrong: by its level, as text or as JSON, or by what it says of a migration or
-- a provider.
local LEVELS = { "level=error", "level=fatal", "level=panic", "panic:", "%[error%]", "%f[%a]error:", "%f[%a]fatal:" }
local JSON_LEVEL = '"level"%s*:%s*"(%a+)"'
local SEVERE = { error = true, fatal = true, panic = true, critical = true }

local function is_bad(line)
  if line:find "%f[%a]ERROR%f[%A]" or line:find "%f[%a]FATAL%f[%A]" then
    return true
  end
  line = line:lower()
  if SEVERE[line:match(JSON_LEVEL)] then
    return true
  end
  for _, pattern in ipairs(LEVELS) do
    if line:find(pattern) then
      return true
    end
  end
  local concerned = line:find("migration", 1, true) or line:find("provider", 1, true)
  return concerned and line:gsub("%f[%w]0 failed", ""):gsub("failed=0%f[%D]", ""):find("fail", 1, true) ~= nil
end

--- The lines that speak of something that went wrong.
---@param lines string[]
---@return string[]
function M.bad(lines)
  local found = {}
  for _, line in ipairs(lines) do
    if is_bad(line) then
      found[#found + 1] = line
    end
  end
  return found
end

local function has_words(line, words)
  for word in words:lower():gmatch "%S+" do
    if not line:lower():find(word, 1, true) then
      return false
    end
  end
  return true
end

--- A line of the start-up log has all these words, or beginnings of words, in whatever order and case, and does not say
--- that it failed.
---@param unit string
---@param what string
---@param words string
function M.logged(unit, what, words)
  for _, line in ipairs(systemd.journal(unit)) do
    if has_words(line, words) and not is_bad(line) then
      evidence(what, line)
      return
    end
  end
  fail(('the start-up log of %s has no good line with these words: %s'):format(unit, words))
end

local LATER = { times = 5, delay = "200ms" } -- it may still be writing its log

--- The rows of the start-up log: each of the document's four points has lines of its own, and nothing has failed.
---@param unit string
---@param startup table<string, string>
function M.startup_rows(unit, startup)
  local rows = {}
  for what, words in pairs(startup) do
    rows[#rows + 1] = { "Start-up log", what, function()
      M.logged(unit, what, words)
    end, retry = LATER }
  end
  rows[#rows + 1] = { "Start-up log", "nothing failed", function()
    expect.none(M.bad(systemd.journal(unit)), "it complains")
  end }
  return rows
end

--- One without an id is a notification, which is not answered.
local function message(id, method, params)
  return json.encode { jsonrpc = "2.0", id = id, method = method, params = json.object(params or {}) } .. "\n"
end

--- Speaks MCP to the command over its standard input: it must introduce itself and have tools.
---@param command string[]
function M.mcp(command)
  local hello = {
    protocolVersion = "2025-03-26",
    capabilities = json.object {},
    clientInfo = { name = "rbhost", version = "1" },
  }
  local said = exec(command, {
    stdin = message(1, "initialize", hello) .. message(nil, "notifications/initialized") .. message(2, "tools/list"),
    read = true,
    timeout = "30s",
    title = "ask the MCP server for its tools",
  }).stdout
  local answers = {}
  for line in said:gmatch "[^\n]+" do
    local answer = json.decode(line)
    answers[answer.id or 0] = answer
  end
  local server = expect.some(answers[1] and answers[1].result, "the answer to initialize").serverInfo
  local tools = {}
  for i, tool in ipairs(expect.some(answers[2] and answers[2].result, "the answer to tools/list").tools) do
    tools[i] = tool.name
  end
  evidence("server", server)
  evidence("tools", expect.some(tools, "the list of tools"))
end

--- The process that is there now is the one that was started.
local function stayed_up(unit, started)
  local is = systemd.show(unit)
  evidence("unit", is)
  expect.equal(is.state, "active", "the unit")
  expect.equal(is.invocation, started.invocation, "its invocation (it was started again meanwhile)")
end

--- The document's "Health and readiness verification" of the API that p tells of, one after the other; in MCP mode what
--- an MCP server has in its place.
---@param p pali.Service
---@param started? systemd.Unit what must still run at the end; default: what runs now
function M.ready(p, started)
  started = started or systemd.show(p.unit)
  local stays = { "Supervisor", "the unit stays up", function()
    stayed_up(p.unit, started)
  end }
  if p.mode == "mcp" then
    checklist "Readiness" {
      serial = true,
      { "MCP", "the server introduces itself and has tools", function()
        M.mcp(p.command)
      end },
      stays,
    }
    return
  end
  checklist "Health and readiness" {
    serial = true,
    { "Health", "GET /health answers", function()
      M.health(p.api, p.poll)
    end },
    { "Tenants", "POST /v1/tenants makes the probe's tenant", function()
      M.tenant(p.api, p.tenant, p.token)
    end, acts = true },
    { "Memory", "POST /v1/memory/search finds its way", function()
      M.search(p.api, p.tenant, p.token)
    end },
    stays,
  }
end

return M
