-- Of tests/oom/everything.lua.
local M = {}

function M.double(n)
  return 2 * n
end

return M
