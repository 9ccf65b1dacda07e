-- The part of the static check that knows the verbs: literal option tables, checklists and their rows, checks that act.
local lint_sql = require "rt.lint_sql"
local lint_values = require "rt.lint_values"
local tree = require "rt.tree"
local words = require "rt.words"

local M = {}

local function argument(call, n) -- call[1] is what is called
    return call[n + 1]
end

local function item(tbl, key)
    for _, i in ipairs(tbl) do
        if i.key == key then
            return i.value
        end
    end
end

local function is_true(node)
    return node ~= nil and node.kind ~= "false" and node.kind ~= "nil"
end

local function check_keys(tbl, keys, of, report)
    for _, i in ipairs(tbl) do
        if i.key and not keys[i.key] then
            report(
                i.at,
                "error",
                ("unknown option %s of %s%s"):format(i.key, of, words.hint(i.key, keys, true))
            )
        end
    end
end

-- ssh(host, command, opts): a word that was meant for the options stands in the list of arguments.
local function check_remote(call, path, spec, report)
    local argv = argument(call, path == "ssh" and 2 or 3)
    if path == "ssh" and not argv then
        report(call.at, "error", 'ssh takes a host and a command: ssh("web1", { "uptime" })')
    end
    for _, i in ipairs(argv and argv.tag == "Table" and argv or {}) do
        if i.key then
            local where = path == "ssh" and "ssh(host, { … }, { %s = … })" or "ssh.each(hosts, { %s = … }, { … })"
            local known = spec.keys[i.key] and i.key or words.nearest(i.key, spec.keys)
            local hint = known and ("; options have a table of their own: " .. where):format(known) or ""
            report(i.at, "error", i.key .. " stands in the list of arguments" .. hint)
        end
    end
end

local function check_argv(call, path, spec, report)
    local argv = argument(call, 1)
    if not argv then
        report(
            call.at,
            "error",
            path == "exec" and 'exec takes a list: exec({ "git", "status" })'
                or "exec.sh takes a text for the shell"
        )
    elseif path == "exec" and (argv.kind == "string" or argv.kind == "number") then
        report(
            argv.at,
            "error",
            'exec takes a list: exec({ "git", "status" }); a line for the shell is exec.sh(text)'
        )
    elseif path == "exec" and argv.tag == "Table" then
        for _, i in ipairs(argv) do
            if i.key then
                local near = words.nearest(i.key, spec.keys)
                local known = spec.keys[i.key] or near
                report(
                    i.at,
                    "error",
                    ("%s stands in the list of arguments%s"):format(
                        i.key,
                        known
                                and ("; options are the second argument: exec({ … }, { %s = … })"):format(
                                    near or i.key
                                )
                            or ""
                    )
                )
            end
        end
    elseif path == "exec.sh" and argv.tag == "Table" then
        report(argv.at, "error", "exec.sh takes a text for the shell; a list of arguments is exec({ … })")
    end
end

local ACTS = { ["file.write"] = true, ["file.remove"] = true, ["file.mkdir"] = true }

-- Commands, and requests that may change something, directly in the function of a check that does not say acts = true.
-- A `read` whose value is not literal is the author's word.
local function check_reads(fn, report)
    tree.walk(fn, function(node)
        local path = node.tag == "Call" and tree.global_path(node[1])
        if words.acts[path] then
            local opts = argument(node, words.options[path].arg)
            local read = opts and opts.tag == "Table" and item(opts, "read")
            if not opts or opts.tag == "Table" and not is_true(read or nil) then
                report(
                    node.at,
                    "warning",
                    path .. " inside a check without read = true; a check that acts says so: acts = true"
                )
            end
        elseif ACTS[path] then
            report(node.at, "warning", path .. " inside a check; a check that acts says so: acts = true")
        elseif node.tag == "Call" or node.tag == "Method" then
            local writes = lint_sql.writes(node)
            if writes then
                report(node.at, "warning", writes .. " writes inside a check; a check that acts says so: acts = true")
            end
        end
    end)
end

local function check_row(row, report)
    check_keys(row, words.row, "a row of a checklist", report)
    local positions = {}
    for _, i in ipairs(row) do
        if not i.key and not i.computed then
            positions[#positions + 1] = i.value
        end
    end
    if #positions < 3 then
        report(row.at, "error", 'a row of a checklist is { "stage", "text", function() … end }')
        return
    end
    if positions[3].tag == "Function" and not is_true(item(row, "acts")) then
        check_reads(positions[3], report)
    end
end

local function check_rows(tbl, report)
    for _, i in ipairs(tbl) do
        if i.key and not words.checklist[i.key] then
            report(
                i.at,
                "error",
                ("unknown option %s of checklist%s"):format(i.key, words.hint(i.key, words.checklist, true))
            )
        elseif not i.key and not i.computed and i.value.tag == "Table" then
            check_row(i.value, report)
        end
    end
end

-- step(title, fn) and step(title, opts, fn): a table as the only thing behind the title is a step without a function.
local function check_function(call, path, report)
    local last = call[#call]
    if path == "step" and #call <= 3 and last.tag == "Table" then
        report(last.at, "error", "step needs a function: step(title, { … }, function() … end)")
    end
end

--- Reports what is wrong with one call, as far as its arguments are literal.
---@param call table a node of kind Call
---@param path string? the global that is called
---@param report fun(at: integer, level: string, text: string)
function M.check_call(call, path, report)
    local callee = call[1]
    if callee.tag == "Call" and tree.global_path(callee[1]) == "checklist" then
        local rows = argument(call, 1)
        if rows and rows.tag == "Table" then
            check_rows(rows, report)
        end
        return
    end
    local spec = path and words.options[path]
    if not spec then
        return
    end
    if path == "exec" or path == "exec.sh" then
        check_argv(call, path, spec, report)
    elseif path == "ssh" or path == "ssh.each" then
        check_remote(call, path, spec, report)
    end
    local opts = argument(call, spec.arg)
    lint_values.check_arguments(call, spec, path, report)
    if opts and opts.tag == "Table" then
        check_keys(opts, spec.keys, path, report)
        lint_values.check(opts, spec, path, report)
    end
    check_function(call, path, report)
    if path == "check" then
        local fn = argument(call, 3)
        local acts = opts and (opts.tag ~= "Table" or is_true(item(opts, "acts")))
        if fn and fn.tag == "Function" and not acts then
            check_reads(fn, report)
        end
    end
end

return M
