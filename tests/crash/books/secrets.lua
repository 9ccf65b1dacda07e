-- A secret of each kind is given to the same command again and again: after every resume it is the same text.
local p = runbook { params = { token = { "secret", required = true } } }
local w = require "world"

local r = random_secret(128)
local told = exec({ "cat", "told" }, { secret = true, read = true }).stdout
local all = { T = p.token, R = r, S = told, F = secret "file", C = secret("com" .. "mand") }
local seen = {}
local function give(word)
    w.put(word)
    exec({ "sh", "-c", 'echo "$T|$R|$S|$F|$C" >> given' }, { env = all, idempotent = true })
    seen[#seen + 1] = exec({ "sh", "-c", 'echo "$R $S"; echo "$C" | base64' }, { env = all, read = true }).stdout
end

give "one"
local new = step("Two", function()
    give "two"
    return random_secret(64, { alphabet = "hex" })
end)
all.R = r .. new
local made = exec({ "sh", "-c", 'echo "made $S"' }, { env = all, secret = true, idempotent = true }).stdout
all.S = told .. made
give "three"
all.R, all.S = r, told
give "four"
evidence("final", { seen = seen, r = r, told = told, new = new, made = made, token = p.token })
