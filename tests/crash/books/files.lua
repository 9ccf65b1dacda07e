-- Files that are replaced, compared, backed up and removed. Killed anywhere, each is wholly old or wholly new.
local p = runbook { params = { dir = { "string", required = true } } }
local DIR = p.dir .. "/files/"

local function big(word)
    return (word .. "\n"):rep(60000)
end

file.mkdir(DIR .. "a/b", { parents = true })
file.write(DIR .. "whole", big "old")
file.write(DIR .. "whole", big "new", { backup = true, mode = "0640" })
file.write(DIR .. "lines", "", { create = "new" })
for i = 1, 4 do -- each follows from what is there: done twice it would be seen, or refused
    local text = file.read(DIR .. "lines")
    file.write(DIR .. "lines", text .. i .. "\n", { expect = hash.sha256(text), backup = ".before" })
end
all {
    left = function()
        file.write(DIR .. "left", big "left")
        file.write(DIR .. "a/b/left", "left")
    end,
    right = function()
        file.write(DIR .. "right", big "right")
        file.write(DIR .. "a/b/right", "right")
    end,
}
assert(file.remove(DIR .. "a", { recursive = true }))
assert(file.remove(DIR .. "left"))

local final = {}
for i, entry in ipairs(file.list(p.dir .. "/files", { recursive = true })) do
    local path = DIR .. entry.name
    final[i] = ("%s %s %s"):format(entry.name, file.stat(path).mode, file.digest(path):sub(1, 12))
end
evidence("final", final)
