-- Is stopped while it waits, and taken over by another process meanwhile.
local w = require "world"
local h = w.history()

w.put "one"
h.add "one"
print "ready"
sleep "100ms"
h.add "slept"
w.put "two"
h.add "two"
h.finish()
evidence("final", h.count())
