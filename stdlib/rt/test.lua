-- The root task of a file of tests: gives it LuaUnit, `mock` and globals of its own, and calls its tests one by one.
-- Nothing else of the world is in reach: the host has put refusals in the place of the primitives.
local plan = host.test_plan()
local face = host.global "_G"

-- What the tests see: the sandbox of runbooks, in which they may set globals (LuaUnit finds its classes there).
local world = setmetatable({}, { __index = face })
world._G = world

local function nothing() end

--- The author's frames of a traceback, where they say more than the place of the error.
local function frames(trace)
    local out = {}
    for frame in (trace or ""):gmatch "[^\n]+" do
        local text = frame:match "^%s*(.*)$"
        out[#out + 1] = not text:find "^luaunit%.lua:" and text or nil
    end
    return #out > 1 and table.concat(out, "\n") or nil
end

local function report(what, fields)
    fields.what = what
    host.test_report(fields)
end

--- An error as LuaUnit knows them: a text that begins with its place.
local function as_text(e)
    if type(e) ~= "table" then
        return e
    end
    local e_where, message = rawget(e, "where"), rawget(e, "message")
    if rawget(e, "kind") ~= "lua" then
        message = host.error_text(e)
    end
    if type(message) ~= "string" then
        return e
    elseif type(e_where) == "string" and message:sub(1, #e_where) ~= e_where then
        return e_where .. ": " .. message
    end
    return message
end

-- LuaUnit is a program for a terminal: what it wants of one is not there, and what it says goes to our output.
local silent = { write = nothing, flush = nothing, close = nothing }
local unit_env = setmetatable({
    _G = setmetatable({}, {
        __index = function(_, name)
            return rawget(world, name)
        end,
    }),
    print = nothing,
    require = nothing,
    io = { stdout = silent, stderr = silent, open = nothing },
    os = { exit = nothing, getenv = nothing, clock = host.test_clock, date = function() return "" end },
    debug = { traceback = host.test_traceback },
    pcall = function(...)
        local r = table.pack(pcall(...))
        if not r[1] then
            r[2] = as_text(r[2])
        end
        return table.unpack(r, 1, r.n)
    end,
    xpcall = function(fn, handler, ...)
        return xpcall(fn, function(e)
            return handler(as_text(e))
        end, ...)
    end,
}, { __index = _G })

local lu = assert(load(host.test_luaunit(), "@luaunit.lua", "t", unit_env))()
local run_tests = lu.LuaUnit.runSuiteByInstances

--- A file may end as LuaUnit's own manual has it: os.exit(lu.LuaUnit.run()). Its tests are called by us.
local function not_now()
    return 0
end
lu.run, lu.Run, lu.LuaUnit.run, lu.LuaUnit.runSuite = not_now, not_now, not_now, not_now
lu.LuaUnit.runSuiteByInstances = not_now
world.os = setmetatable({ exit = nothing }, { __index = face.os })

function world.print(...)
    local parts = table.pack(...)
    for i = 1, parts.n do
        parts[i] = tostring(parts[i])
    end
    report("print", { text = table.concat(parts, "\t", 1, parts.n) })
end

local loaded = { luaunit = lu, mock = require "rt.mock" }
local LOADING = {}

local function run_source(name, chunkname, text)
    local fn, why = load((text:gsub("^#[^\n]*", "")), chunkname, "t", world)
    if not fn then
        error(why, 0)
    end
    return fn(name)
end

function world.require(name)
    if loaded[name] == LOADING then
        error(("require '%s': modules require each other"):format(name), 2)
    elseif loaded[name] == nil then
        local text, chunkname = host.test_source(name)
        if not text then
            text, chunkname = host.test_source_above(name)
        end
        if not text then
            error(("module '%s' not found: neither in the library nor below the folder of the tests"):format(name), 2)
        end
        loaded[name] = LOADING
        local value = run_source(name, chunkname, text)
        loaded[name] = value == nil and true or value
    end
    return loaded[name]
end

-- -- what is told

local Output = {}
Output.__index = function(_, name)
    return Output[name] or nothing
end

function Output.new()
    return setmetatable({}, Output)
end

function Output.startTest(_, name)
    report("test", { name = name })
end

function Output.endTest(_, node)
    report("end", {
        name = node.testName,
        status = node.status,
        message = node.msg and tostring(node.msg),
        trace = frames(node.stackTrace),
        seconds = node.duration,
    })
end

-- -- which

local function is_test(name)
    return type(name) == "string" and name:sub(1, 4):lower() == "test"
end

local function wanted(name)
    for _, done in ipairs(plan.done) do
        if done == name then
            return false
        end
    end
    if not plan.only then
        return true
    end
    local good, found = pcall(string.find, name, plan.only)
    return good and found ~= nil or name:find(plan.only, 1, true) ~= nil
end

--- { name, instance } of every test that is to be called, and how many there are in all.
local function collect()
    local list, all = {}, 0
    local function add(name, instance)
        all = all + 1
        if wanted(name) then
            list[#list + 1] = { name, instance }
        end
    end
    for name, value in pairs(world) do
        if is_test(name) and type(value) == "function" then
            add(name, value)
        elseif is_test(name) and type(value) == "table" then
            for method, fn in pairs(value) do
                if is_test(method) and type(fn) == "function" then
                    add(name .. "." .. method, value)
                end
            end
        end
    end
    return list, all
end

return function()
    run_source("test", "@" .. host.info().file, (host.test_source "@main"))
    local list, all = collect()
    report("load", { tests = all, chosen = #list })
    local runner = setmetatable({ outputType = Output }, { __index = lu.LuaUnit })
    run_tests(runner, list)
end
