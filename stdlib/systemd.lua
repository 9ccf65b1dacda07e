--- Units of systemd: looking, starting, restarting, their journal. A thin, typed layer over systemctl, systemd-run and
--- journalctl; it runs where the host runs. The commands that it calls, for `allow.exec`:
---
---     "systemctl show --property=* UNIT", "systemctl restart UNIT", "systemctl start UNIT", "systemctl stop UNIT",
---     "systemd-run --unit=UNIT --collect -- COMMAND…", "journalctl --no-pager --output=cat **"
local M = {}

local PROPERTIES = "LoadState,ActiveState,SubState,UnitFileState,Restart,NRestarts,MainPID,InvocationID,ExecStart,"
  .. "NextElapseUSecRealtime,NextElapseUSecMonotonic"

---@class systemd.Unit
---@field state string "active", "inactive", "failed" …; of a unit that is not there: "not-found"
---@field active boolean
---@field enabled boolean it comes back after a boot (so "enabled-runtime" is not)
---@field restart string "no", "always", "on-failure" …
---@field restarts integer how often the supervisor has started it again by itself
---@field pid integer 0: none
---@field invocation string another one for each start
---@field command string what it runs, its words joined by spaces
---@field next? string of a timer: when it elapses next

local NEVER = { [""] = true, ["0"] = true, ["n/a"] = true, ["infinity"] = true }

local function some_time(text)
  return text and not NEVER[text] and text or nil
end

--- What the supervisor says of a unit.
---@param unit string
---@return systemd.Unit
function M.show(unit)
  local argv, p = { "systemctl", "show", "--property=" .. PROPERTIES, unit }, {}
  local said = exec(argv, { read = true, title = "look at " .. unit }).stdout
  for name, value in said:gmatch "(%w+)=([^\n]*)" do
    p[name] = p[name] or value
  end
  local state = p.LoadState == "not-found" and p.LoadState or p.ActiveState or "unknown"
  return {
    state = state,
    active = state == "active",
    enabled = p.UnitFileState == "enabled",
    restart = p.Restart or "no",
    restarts = math.tointeger(p.NRestarts) or 0,
    pid = math.tointeger(p.MainPID) or 0,
    invocation = p.InvocationID or "",
    command = (p.ExecStart or ""):match "argv%[%]=(.-) ;" or "",
    next = some_time(p.NextElapseUSecRealtime) or some_time(p.NextElapseUSecMonotonic),
  }
end

--- Restarts a unit, once: after a crash its invocation says whether it has happened. One that the supervisor has
--- started again by itself meanwhile proves nothing: it is restarted once more, which does no harm. What systemctl says
--- is not believed: another invocation must be there.
---@param unit string
---@return systemd.Unit as it is now
function M.restart(unit)
  local before = M.show(unit)
  return step("Restart " .. unit, function() -- a retry looks again in here, and not at what was before
    local done = exec({ "systemctl", "restart", unit }, {
      on_doubt = function()
        local is = M.show(unit)
        return is.invocation ~= before.invocation and is.restarts <= before.restarts and "done" or "retry"
      end,
    })
    local is = M.show(unit)
    if done.assumed ~= "dry" and is.invocation == before.invocation then
      local text = "systemctl says that it has restarted %s, and its invocation is the same: restart it by hand, "
        .. "and retry"
      fail(text:format(unit))
    end
    return is
  end)
end

--- Starts a unit; one that is active stays as it is.
---@param unit string
function M.start(unit)
  exec({ "systemctl", "start", unit }, { idempotent = true })
end

--- Stops a unit; one that is not active, or gone, stays as it is.
---@param unit string
function M.stop(unit)
  if M.show(unit).state == "not-found" then
    return
  end
  local done = exec({ "systemctl", "stop", unit }, {
    on_doubt = function()
      return M.show(unit).active and "retry" or "done"
    end,
  })
  if done.assumed ~= "dry" and M.show(unit).active then
    fail(("systemctl says that it has stopped %s, and it is active"):format(unit))
  end
end

--- Runs a command as a unit of its own, which outlives the host and goes with its end.
---@param unit string
---@param argv string[]
function M.run(unit, argv)
  exec({ "systemd-run", "--unit=" .. unit, "--collect", "--", table.unpack(argv) }, {
    title = "start " .. unit,
    on_doubt = function()
      return M.show(unit).active and "done" or "retry"
    end,
  })
end

--- The lines that a unit has written since it was started last, or in the last `since` seconds, whatever was started.
---@param unit string
---@param since? string|number a duration
---@return string[]
function M.journal(unit, since)
  local which = { "_SYSTEMD_INVOCATION_ID=" .. M.show(unit).invocation }
  if since then
    which = { "--unit=" .. unit, ("--since=-%ds"):format(math.ceil(duration.parse(since))) }
  end
  local argv = { "journalctl", "--no-pager", "--output=cat", table.unpack(which) }
  local said = exec(argv, { read = true, title = "the journal of " .. unit }).stdout
  local lines = {}
  for line in said:gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  return lines
end

return M
