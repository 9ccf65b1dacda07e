-- Checks and checklists: verifications with a verdict. They only look, unless they say that they act.
local base = require "rt.base"
local steps = require "rt.steps"

local M = {}

--- A check in the scope that is open. In a dry run one that looks at what was only listed is not made: either world
--- that it could see would be the wrong one. rests: so it is because a check before it was not made.
local function run_check(stage, text, fn, opts, rests)
    if base.info.dry and (rests or host.assumed() > 0) then
        return steps.unseen("check", text, stage)
    end
    local before = host.set_reads_only(opts.acts and -1 or 1)
    local function proved(...)
        local r = table.pack(fn(...))
        if r[1] == false then -- an error in here, so that `retry` looks again
            error(host.error("check", nil, "the check did not hold: " .. text), 0)
        end
        return table.unpack(r, 1, r.n)
    end
    local r = steps.group("check", text, stage, steps.wrapped(opts, proved))
    host.set_reads_only(before)
    return r
end

--- One check, at once: an error or `false` is a failure. Only reads, unless acts = true.
---@param stage string
---@param text string
---@param fn fun(): any
---@param opts { acts: boolean?, timeout: string?, retry: table? }?
---@return any
function M.check(stage, text, fn, opts)
    base.expect("check", "the stage", stage, "string")
    base.expect("check", "the text", text, "string")
    base.expect("check", "the function", fn, "function")
    opts = base.options("check", opts)
    host.scope_push(text)
    local r = run_check(stage, text, fn, opts)
    host.scope_pop()
    return steps.open_up(r)
end

local function check_row(row, i)
    base.expect("checklist", "row " .. i, row, "table")
    for place, what in ipairs { "stage", "text" } do
        if type(row[place]) ~= "string" then
            base.usage("checklist: row %d has no %s: { \"stage\", \"what is checked\", function() … end }", i, what)
        end
    end
    if type(row[3]) ~= "function" then
        base.usage("checklist: row %d (%s) has no function", i, row[2])
    end
end

--- Rows that stand together run together; a row that acts runs alone. Returns how many a dry run has not made.
local function run_rows(rows, failed)
    local i, unseen = 1, 0
    while i <= #rows do
        local last = i
        while not rows.serial and not rows[i].acts and last < #rows and not rows[last + 1].acts do
            last = last + 1
        end
        local where, final = {}, nil
        for k = i, last do
            local row = rows[k]
            where[base.start(row[2], function()
                local r = run_check(row[1], row[2], row[3], row, rows.serial and unseen > 0)
                unseen = unseen + (r.would and 1 or 0)
                return steps.open_up(r)
            end)] = k
        end
        for id, ok, e in host.wait_child do
            if not ok and not final then
                if base.is_final(e) then
                    final = e
                    host.cancel_children "another check ended the run"
                else
                    failed[#failed + 1] = { row = where[id], error = e }
                end
            end
        end
        if final then
            error(final, 0)
        end
        i = last + 1
    end
    return unseen
end

--- checklist(title) { {stage, text, fn}, … }: runs its rows as checks and fails once, at the end, naming every failed
--- check.
---@param title string
---@return fun(rows: table)
function M.checklist(title)
    base.expect("checklist", "the title", title, "string")
    return function(rows)
        base.expect("checklist", "the rows", rows, "table")
        for i, row in ipairs(rows) do
            check_row(row, i)
        end
        steps.titled("checklist", title, nil, function()
            local failed = {}
            local unseen = run_rows(rows, failed)
            if #failed == 0 and unseen > 0 then
                error(host.error("unseen", nil, string.format("%d of %d would be checked", unseen, #rows)), 0)
            elseif #failed == 0 then
                return
            end
            table.sort(failed, function(a, b)
                return a.row < b.row
            end)
            local names, errors = {}, {}
            for i, f in ipairs(failed) do
                names[i] = string.format("%s: %s (%s)", rows[f.row][1], rows[f.row][2], f.error.message or f.error.kind)
                errors[i] = f.error
            end
            local text = string.format("%d of %d checks failed: %s", #failed, #rows, table.concat(names, "; "))
            error(host.error("checklist", nil, text, { errors = errors }), 0)
        end)
    end
end

return M
