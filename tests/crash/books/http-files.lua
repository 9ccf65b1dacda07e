-- A file that an answer is saved to, a file that is sent, and a stream of events that are acted on one by one.
local p = runbook { params = { folder = { "string", required = true } } }
local sock, saved = p.folder .. "/sock", p.folder .. "/saved"

local function put(word, body)
    return http.post("http://world/put/" .. word, {
        unix = sock,
        body = body or word,
        on_doubt = function()
            local there = http.get("http://world/has/" .. word, { unix = sock, expect = { 200, 404 } }).status == 200
            return there and "done" or "retry"
        end,
    })
end

local r = http.get("http://world/body/saved", { unix = sock, save = saved })
assert(r.saved.sha256 == file.digest(saved))
put("sent", { file = saved })
http.events("http://world/events/x", { unix = sock }, function(e)
    put(e.data)
end)
evidence("final", r.saved.size)
