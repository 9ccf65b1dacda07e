-- The outside world of the crash tests: a file in the working directory, to which each effect appends its word, once.
local M = {}

--- Appends the word. When a crash leaves it in doubt, the file itself is asked.
---@param word string
---@param opts { on_doubt: any, before: string?, after: string?, idempotent: boolean?, survive: boolean? }?
function M.put(word, opts)
    opts = opts or {}
    local script = (opts.before or "") .. 'echo "$1" >>world' .. (opts.after or "")
    return exec({ "/bin/sh", "-c", script, "put", word }, {
        idempotent = opts.idempotent,
        survive = opts.survive,
        on_doubt = opts.on_doubt or function()
            if M.has(word) then
                return "done", { code = 0, stdout = "", stderr = "" }
            end
            return "retry"
        end,
    })
end

--- Is the word in the world? A read.
function M.has(word)
    return exec({ "grep", "-qxF", word, "world" }, { read = true, check = false }).code == 0
end

--- A list that every task of a run sees. What is added to it is printed, so the journal holds what the tasks did to it,
--- and in which order; at the end the list itself must be the same.
function M.history()
    local list = {}
    return {
        add = function(what)
            list[#list + 1] = what
            print("h " .. what)
        end,
        count = function()
            return #list
        end,
        digest = function()
            return hash.sha256(table.concat(list, "\n")):sub(1, 8)
        end,
        finish = function()
            evidence("history", list)
        end,
    }
end

return M
