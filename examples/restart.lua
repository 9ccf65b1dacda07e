-- A loop that watches for ever would have a journal without end: it hands on to a successor, whose journal begins anew.
local p = runbook { params = { round = { "integer", default = 1 } } }

print("round", p.round)
sleep "10ms"
if p.round < 3 then
    restart_with { round = p.round + 1 }
end
