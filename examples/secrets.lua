-- A secret comes from a source in the configuration, by name, or is a parameter; it prints as a placeholder, becomes
-- its text only in a command's environment and input, and is taken out of what commands print, in every form.
--
-- before: head -c 18 /dev/urandom | base64 > token; head -c 18 /dev/urandom | base64 > password
-- before: mkdir -p .config/rbhost
-- before: echo 'return { secrets = { password = { file = "password" } } }' > .config/rbhost/config.lua
-- run: token=@token
-- then: ! grep -qF -e "$(cat token)" -e "$(cat password)" .state/rbhost/journal.db*
-- then: rm .config/rbhost/config.lua
local p = runbook { params = { token = { "secret", required = true, help = "of the API" } } }

print("the token is", p.token, "and the password", secret "password")
local said = exec({ "sh", "-c", 'printf "%s" "$AUTH"' }, { env = { AUTH = "Bearer " .. p.token }, read = true }).stdout
assert(said == "Bearer " .. tostring(p.token))
local coded = exec({ "base64" }, { stdin = secret "password", read = true }).stdout
assert(coded:find(tostring(secret "password"), 1, true))
assert(not pcall(exec, { "echo", p.token }))

-- What is made or told in a run is encrypted in its journal, and the same after a resume.
local new = random_secret(256)
local old = exec({ "cat", "password" }, { secret = true, read = true }).stdout
assert(secret.equal(old, secret "password") and not secret.equal(old, new))
exec({ "sh", "-c", "cat > password.new" }, { stdin = new, title = "rotate " .. tostring(new) })
