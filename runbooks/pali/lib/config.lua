-- Pali's configuration, read without its secrets: the named values come as they are, of every other only a measure
-- comes out of awk, so that neither the script nor the journal ever holds one.
local M = {}

local SHOWN = {
  "auth.enabled",
  "database.sqlite_dsn",
  "embedding.provider",
  "entity_fact_backend",
  "neo4j.database",
  "qdrant.base_url",
  "qdrant.collection",
  "server.port",
  "vector_backend",
}

-- Maps within maps, as the file is written: a path and "=value", or a path and "#length bits changes". Bits are the
-- entropy of a character; changes is the share of neighbours of different kinds (digit, small, capital), leaving out
-- all else, so that dashes between words are no variety. mode=secrets prints the values of what is named like a secret,
-- and passwords in URLs.
local AWK = [==[
function kind(c) { return c ~ /[0-9]/ ? 1 : c ~ /[a-z]/ ? 2 : c ~ /[A-Z]/ ? 3 : 0 }
function measure(s,    n, i, c, of, bits, before, pairs, changes) {
    n = length(s); bits = before = pairs = changes = 0
    for (i = 1; i <= n; i++) {
        of[c = substr(s, i, 1)]++
        if (!kind(c)) continue
        if (before) { pairs++; if (kind(c) != before) changes++ }
        before = kind(c)
    }
    for (c in of) bits -= of[c] / n * log(of[c] / n) / log(2)
    return "#" n " " bits " " (pairs ? changes / pairs : 0)
}
BEGIN { n = split(shown, list, " "); for (i = 1; i <= n; i++) show[list[i]] = 1 }
{ sub(/\r$/, "") }
/^[ ]*(#|$)/ || !/:/ { next }
{
    match($0, /^ */); indent = RLENGTH; text = substr($0, indent + 1)
    key = text; sub(/:.*/, "", key)
    value = text; sub(/^[^:]*:[ ]*/, "", value)
    while (depth > 0 && at[depth] >= indent) depth--
    path = ""; for (i = 1; i <= depth; i++) path = path name[i] "."
    if (value ~ /^".*"/) { sub(/^"/, "", value); sub(/".*$/, "", value) }
    else if (value ~ /^'.*'/) { sub(/^'/, "", value); sub(/'.*$/, "", value) }
    else {
        sub(/(^|[ ])#.*$/, "", value); sub(/[ ]+$/, "", value)
        if (value == "") { at[++depth] = indent; name[depth] = key; next }
    }
    path = path key
    if (mode == "secrets") {
        if (value ~ /:\/\/[^\/:@]*:[^\/@]*@/) { sub(/^[^@]*:/, "", value); sub(/@.*/, "", value) }
        else if (path !~ /(secret|password|key|token)$/) next
        if (length(value) >= 8) print value
    } else if (path in show) {
        sub(/:\/\/[^\/@]*@/, "://", value); print path "\t=" value
    } else print path "\t" measure(value)
}]==]

local function awk(mode, path, opts)
  return exec({ "awk", "-v", "mode=" .. mode, "-v", "shown=" .. table.concat(SHOWN, " "), AWK, path }, opts).stdout
end

---@class pali.Config
---@field [string] string the shown values, by path
---@field measured table<string, { length: integer, bits: number, changes: number }> the others
---@field database? string the path in sqlite_dsn; nil where there is no file

--- What a configuration says.
---@param path string
---@return pali.Config
function M.read(path)
  local said = awk("values", path, { read = true, title = "read " .. path })
  local config = { measured = {} }
  for key, mark, value in said:gmatch "([^\t\n]+)\t([=#])([^\n]*)" do
    if mark == "=" then
      config[key] = value
    else
      local length, bits, changes = value:match "^(%S+) (%S+) (%S+)$"
      config.measured[key] = {
        length = math.tointeger(tonumber(length)),
        bits = tonumber(bits),
        changes = tonumber(changes),
      }
    end
  end
  local file = (config["database.sqlite_dsn"] or ""):gsub("^file:/*", "/"):match "^(/[^?]*)"
  config.database = file
  return config
end

local ELSEWHERE = { vector_backend = "qdrant", entity_fact_backend = "neo4j" }
local NOTHING = { memory = true, mock = true, none = true, disabled = true }

--- Which stores are in use beside SQLite. One that these runbooks do not know is refused: they would neither back it up
--- nor keep a drill away from it.
---@param c pali.Config
---@return { qdrant: boolean?, neo4j: boolean? }
function M.uses(c)
  local uses = {}
  for key, store in pairs(ELSEWHERE) do
    local is = (c[key] or "sqlite"):lower()
    if is == store then
      uses[store] = true
    elseif not is:find "^sqlite" and not NOTHING[is] then
      fail(("%s is %s, which these runbooks do not know"):format(key, is))
    end
  end
  return uses
end

--- Every value that is named like a secret and every password in a URL, one a line, as one secret: for commands that
--- look for them.
---@param path string
function M.secrets(path)
  return awk("secrets", path, { read = true, secret = true, title = "the secrets of " .. path })
end

return M
