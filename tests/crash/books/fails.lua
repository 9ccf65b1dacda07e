-- A doubt is a failure.
local w = require "world"

w.put("first", { on_doubt = "fail" })
w.put("second", { on_doubt = "fail" })
local ok, e = pcall(w.put, "third", { on_doubt = "fail" })
print(ok or e.kind)
evidence("final", "through")
