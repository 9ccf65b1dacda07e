-- PUT and DELETE say themselves that they may be repeated.
local p = runbook { params = { sock = { "string", required = true } } }

http.put("http://world/put/first", { unix = p.sock, body = "1" })
all {
    left = function()
        http.put("http://world/put/left", { unix = p.sock, body = "2" })
    end,
    right = function()
        http.delete("http://world/put/right", { unix = p.sock })
    end,
}
evidence("final", "through")
