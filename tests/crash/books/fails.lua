-- A doubt is a failure.
local w = require "world"

w.put("first", { on_doubt = "fail", survive = false })
w.put("second", { on_doubt = "fail", survive = false })
local ok, e = pcall(w.put, "third", { on_doubt = "fail", survive = false })
print(ok or e.kind)
evidence("final", "through")
