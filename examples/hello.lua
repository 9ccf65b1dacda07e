-- The smallest runbook with a parameter. No header is needed: `print "hello"` is a runbook, too.
-- run: who=Ada times=2
local p = runbook {
    title = "Say hello",
    params = {
        who = { "string", required = true, match = "^%a+$", help = "whom to greet" },
        times = { "integer", min = 1, max = 5, default = 1 },
    },
}

for i = 1, p.times do
    print(("%d: hello %s"):format(i, p.who))
end
