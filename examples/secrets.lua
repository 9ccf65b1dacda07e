-- A secret comes from a file or from standard input, never as a plain argument; it prints as a placeholder, becomes its
-- text only in a command's environment and input, and is taken out of what commands print.
-- before: head -c 18 /dev/urandom | base64 > token
-- run: token=@token
-- then: ! grep -qF "$(cat token)" .state/rbhost/journal.db*
local p = runbook { params = { token = { "secret", required = true, help = "of the API" } } }

print("the token is", p.token)
local said = exec({ "sh", "-c", 'printf "%s" "$AUTH"' }, { env = { AUTH = "Bearer " .. p.token }, read = true }).stdout
assert(said == "Bearer " .. tostring(p.token))
assert(not pcall(exec, { "echo", p.token }))
