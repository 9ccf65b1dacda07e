--- Assertions whose failure says what was found and what was expected:
---
---     local expect = require "expect"
---     expect.equal(unit.state, "active", "the service")     → the service is "failed", expected "active"
---
--- Each returns what it was given, so that it can stand in the middle of an expression.
local M = {}

local function show(v)
  if type(v) == "string" then
    return ('"%s"'):format(v)
  end
  local plain, text = pcall(json.encode, v)
  return plain and text or tostring(v)
end

local function refuse(got, what, expected)
  fail(("%s is %s, expected %s"):format(what, show(got), expected), { got = got })
end

--- Plain data of equal content.
---@generic T
---@param got T
---@param want any
---@param what string what it is, for the message
---@return T
function M.equal(got, want, what)
  if got ~= want and (type(got) ~= "table" or type(want) ~= "table" or json.encode(got) ~= json.encode(want)) then
    refuse(got, what, show(want))
  end
  return got
end

--- One of a list.
---@generic T
---@param got T
---@param list any[]
---@param what string
---@return T
function M.one_of(got, list, what)
  local shown = {}
  for i, want in ipairs(list) do
    if got == want then
      return got
    end
    shown[i] = show(want)
  end
  refuse(got, what, table.concat(shown, " or "))
end

---@param got number?
---@param least number
---@param what string
---@return number
function M.at_least(got, least, what)
  if type(got) ~= "number" or got < least then
    refuse(got, what, ("%s or more"):format(least))
  end
  return got
end

---@param got number?
---@param most number
---@param what string
---@return number
function M.at_most(got, most, what)
  if type(got) ~= "number" or got > most then
    refuse(got, what, ("%s or less"):format(most))
  end
  return got
end

--- A text that holds another, as it stands.
---@param text string?
---@param part string
---@param what string
---@return string
function M.contains(text, part, what)
  if type(text) ~= "string" or not text:find(part, 1, true) then
    refuse(text, what, "a text with " .. show(part))
  end
  return text
end

--- Something that is there and has something in it: not nil, `null`, "" or an empty table.
---@generic T
---@param got T?
---@param what string
---@return T
function M.some(got, what)
  if got == nil or got == null or got == "" or type(got) == "table" and next(got) == nil then
    fail(what .. " is missing or empty", { got = got })
  end
  return got
end

--- Nothing: nil or an empty list. What is there is named.
---@param list any[]?
---@param what string
function M.none(list, what)
  if list and #list > 0 then
    fail(("%s: %s"):format(what, show(list)), { got = list })
  end
end

return M
