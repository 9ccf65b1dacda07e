-- How the looks of the first response are taken.
local expect = require "expect"

local M = {}

--- Skips the check of a store that this configuration does not use.
function M.used(backend, name)
  if backend ~= name then
    skip("it is not in use: " .. (backend or "nothing is configured"))
  end
end

--- Without a token the door is shut, with this one it is open. (A search: it changes nothing.)
function M.tenant_auth(api, tenant, token)
  local function ask(bearer)
    return http.post(api .. "/v1/memory/search", {
      json = { tenant_id = tenant, query = "runbook probe", top_k = 1 },
      bearer = bearer,
      read = true,
      expect = false,
      retry = false,
    }).status
  end
  local without, with = ask(), ask(token)
  evidence("auth", { without = without, with = with })
  expect.one_of(without, { 401, 403 }, "the status without a token")
  expect.one_of(with, { 200, 404 }, "the status with the token") -- 404: no such tenant yet
end

M.OURS = { runbook = "incident" } -- the query of our own requests, so that they are told from those of others

--- Of the last requests in the gateway's log (in the combined format, or any that has the status behind the request).
function M.requests(log)
  local said = exec({ "tail", "-n", "1000", "--", log }, { read = true, title = "the last requests" }).stdout
  local total, bad = 0, {}
  for line in said:gmatch "[^\n]+" do
    local ours = line:find("runbook=" .. M.OURS.runbook, 1, true)
    total = total + (ours and 0 or 1)
    if not ours and line:find '" 5%d%d ' then
      bad[#bad + 1] = line
    end
  end
  evidence("requests", { looked_at = total, failed = #bad })
  expect.none({ table.unpack(bad, 1, math.min(3, #bad)) }, #bad .. " requests failed, such as")
end

function M.disk(path, percent)
  local said = exec({ "df", "--output=pcent", "--", path }, { read = true }).stdout
  local used = expect.some(said:match "(%d+)%%", "df's word on " .. path) -- rounded up, so what is free is rounded down
  local free = 100 - tonumber(used)
  evidence("free", free .. " %")
  expect.at_least(free, percent, "the free part of the disk, in percent,")
end

return M
