-- A runbook that says what it reaches: once `allow` is there, what it does not name is refused before it starts.
-- then: rbhost describe policy.lua | grep -q 'exec      echo, git tag \*\*'
local p = runbook {
  title = "Say what may be reached",
  params = { tag = { "string", default = "v1" } },
  allow = {
    exec = { "echo", "git tag **" }, -- any echo; of git only this
    http = { "GET https://api.example.com/v1/*" },
    file = { "notes/*.txt" }, -- below this file's folder
  },
}

exec { "echo", "tagging", p.tag }

local ok, err = pcall(exec, { "git", "push", "origin", p.tag })
assert(not ok and err.kind == "policy" and err.outcome == "not_started")
print(err.message)
