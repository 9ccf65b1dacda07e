-- Is Pali well? The checks of health and readiness, for every runbook that has just started it or doubts it.
local expect = require "expect"
local systemd = require "systemd"

local M = {}

--- GET /health, polled until it is well or `poll` is over.
---@param api string
---@param poll string|number
function M.health(api, poll)
  local times = math.max(1, math.ceil(duration.parse(poll) / 0.25))
  local said = http.get(api .. "/health", { expect = 200, timeout = "5s", retry = { times = times, delay = "250ms" } })
  evidence("health", said.body)
end

--- POST /v1/tenants: the probe's tenant is made, or is there already.
function M.tenant(api, tenant, token)
  local said = http.post(api .. "/v1/tenants", {
    json = { id = tenant, name = "runbook probe" },
    bearer = token,
    expect = { 200, 201, 409 },
    idempotent = true,
  })
  evidence("tenant", { tenant = tenant, status = said.status })
end

--- POST /v1/memory/search in that tenant.
function M.search(api, tenant, token)
  local said = http.post(api .. "/v1/memory/search", {
    json = { tenant_id = tenant, query = "runbook probe", top_k = 1 },
    bearer = token,
    read = true,
  })
  evidence("found", #expect.some(said.json(), "the answer").items)
end

--- A line of the start-up log with this text, whatever its case.
---@param unit string
---@param text string
function M.logged(unit, text)
  for _, line in ipairs(systemd.journal(unit)) do
    if line:lower():find(text:lower(), 1, true) then
      evidence(text, line)
      return
    end
  end
  fail(('the start-up log of %s has no line with "%s"'):format(unit, text))
end

local BAD = { "level=error", "level=fatal", "panic:", "migration failed", "provider failed" }

--- The lines that speak of something that went wrong.
---@param lines string[]
---@return string[]
function M.bad(lines)
  local found = {}
  for _, line in ipairs(lines) do
    for _, text in ipairs(BAD) do
      if line:lower():find(text, 1, true) then
        found[#found + 1] = line
        break
      end
    end
  end
  return found
end

local LATER = { times = 5, delay = "200ms" } -- it may still be writing its log

--- The rows of the start-up log: each of the document's four points has lines of its own, and nothing has failed.
---@param unit string
---@param startup table<string, string>
function M.startup_rows(unit, startup)
  local rows = {}
  for what, text in pairs(startup) do
    rows[#rows + 1] = { "Start-up log", what, function()
      M.logged(unit, text)
    end, retry = LATER }
  end
  rows[#rows + 1] = { "Start-up log", "nothing failed", function()
    expect.none(M.bad(systemd.journal(unit)), "it complains")
  end }
  return rows
end

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
    stdin = message(1, "initialize", hello) .. message(2, "tools/list"),
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

--- The document's "Health and readiness verification" of the API that p tells of, one after the other.
---@param p { api: string, poll: number, tenant: string, token: rbhost.Secret? }
function M.ready(p)
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
  }
end

return M
