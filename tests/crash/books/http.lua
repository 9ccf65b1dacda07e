-- POSTs to a server that writes down what it is told; when a crash leaves one in doubt, it is asked.
local p = runbook { params = { sock = { "string", required = true } } }

local function has(word)
    return http.get("http://world/has/" .. word, { unix = p.sock, expect = { 200, 404 } }).status == 200
end

local function put(word)
    return http.post("http://world/put/" .. word, {
        unix = p.sock,
        json = { word = word },
        on_doubt = function()
            return has(word) and "done" or "retry"
        end,
    })
end

put "first"
all {
    left = function()
        put "left"
    end,
    right = function()
        put "right"
    end,
}
put "last"
evidence("final", tostring(has "first") .. tostring(has "never"))
