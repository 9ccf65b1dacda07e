#!/usr/bin/env python3
"""ssh.each over a hundred hosts, three of which fail: results in order, one error with a table, limits, a crash in the
middle.

# time-limit: 300
"""
import os
import signal
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends
from farlab import Lab, printed, words
from lib import SLOW, check, contains, eq, finish, wait_for

lab = Lab([f"n{i:03d}" for i in range(1, 101)])
lab.__enter__()

c = lab.case("""
    local rs = ssh.each("n[001-100]", { limit = 20, read = true }, "echo $LAB_HOST")
    local good = #rs == 100
    for i, r in ipairs(rs) do
        local want = ("n%03d"):format(i)
        good = good and r.stdout == want .. "\\n" and r.host == want
    end
    print(good)
""")
ends("a hundred hosts", c.run(timeout=200), 0)
eq("answer, and the results are in their order", words(c), ["true"])
eq("each has been logged in to once", max(lab.logins(h) for h in ("n001", "n050", "n100")), 1)

FAILING = '''[[ echo $LAB_HOST >>@LAB@/world
    case $LAB_HOST in n007|n042) echo "no space on $LAB_HOST" >&2; exit 3 ;; n099) kill -9 $$ ;; esac ]]'''
c = lab.case(f"""
    local ok, e = pcall(ssh.each, "n[001-100]", {{ limit = 25, timeout = "1m" }}, {FAILING})
    print(e.kind, e.outcome, #e.failures, #e.succeeded, #e.not_begun)
    for _, f in ipairs(e.failures) do print(f.host, f.kind, f.outcome) end
    error(e)
""")
r = c.run(timeout=200)
ends("three fail", r, 1)
eq("all the others have gone on; the failures are told together",
   printed(c), ["ssh.each  unknown  3  97  0", "n007  ssh.exit  failed", "n042  ssh.exit  failed", "n099  ssh.signal  unknown"])
eq("each host was reached once", sorted((lab.dir / "world").read_text().split()), lab.hosts)
for line in ("ssh.each: 3 of 100 hosts failed", "n007  ssh.exit", "exited with 3: no space on n007", "n099  ssh.signal"):
    contains(f"the table has {line!r}", r.stdout, line)
contains("the error names them in one line", r.stderr, "ssh.each: 3 of 100 hosts failed: n007, n042, n099; n007: `")
eq("each host has a key of its own", sorted(e["key"] for e in c.events("intent"))[:2], ["n001/1", "n002/1"])
(lab.dir / "world").unlink()

c = lab.case("""
    print(#ssh.each("n[001-002]", { "sh", "-c", "echo without options" }))
    step("On each", function() ssh.each("n[001-004]", { limit = 2 }, "echo $LAB_HOST >>@LAB@/world; test -e @LAB@/mended") end)
    print "on"
""")
ends("a command on each fails", c.run(), 1)
(lab.dir / "mended").touch()
ends("a retry does it again where it has failed", c.rb("retry", c.id), 0)
eq("and goes on", printed(c)[-1], "on")
eq("a list without options is a command", printed(c)[0], "2")
(lab.dir / "world").unlink()
c = lab.case(f"""
    local ok, e = pcall(ssh.each, "n[004-023]", {{ limit = 1, fail_fast = true }}, {FAILING})
    print(#e.failures, #e.succeeded, #e.not_begun)
    local ok, e = pcall(ssh.each, "n007 n[040-049]", {{ limit = 1, max_failures = 1 }}, {FAILING})
    print(#e.failures, #e.succeeded, #e.not_begun, e.not_begun[1])
    local ok, e = pcall(ssh.each, "n[004-013]", {{ limit = 1, max_failures = "10%" }}, {FAILING})
    print(#e.failures, #e.succeeded, #e.not_begun)
    print(#ssh.each({{ "n001", "n002" }}, function(h, i) return h .. i end), ssh.each({{}}, "true")[1])
    local ok, e = pcall(ssh.each, "n[004-013]", {{ limit = 20, fail_fast = true }}, function(h)
        if h == "n007" then sleep(0.3) fail("no") end
        ssh(h, "sleep 600")
    end)
    print(e.kind, #e.failures, e.failures[4].kind, e.failures[1].kind)
""")
r = c.run(timeout=200)
ends("fail_fast and max_failures", r, 0)
eq("stop at the first, at more than so many, and cancel what runs", printed(c),
   ["1  3  16", "2  2  7  n043", "1  9  0", "2  nil", "ssh.each  10  failed  cancelled"])
(lab.dir / "world").unlink()

# the host dies in the middle
c = lab.case("""
    local rs = ssh.each("n[001-020]", { limit = 5 }, "echo $LAB_HOST >>@LAB@/world; sleep 0.2; echo $LAB_HOST")
    print(#rs, rs[1].stdout, rs[20].stdout)
""")
p = c.start("run", "t.lua")
wait_for("some of them to have run", lambda: (lab.dir / "world").exists() and len((lab.dir / "world").read_text().split()) >= 7)
p.send_signal(signal.SIGKILL)
p.wait()
ends("killed in the middle, the resume", c.rb("resume", c.id, timeout=200), 0)
eq("has all results", words(c), ["20  n001\n  n020\n"])
eq("and each host has run it once", sorted((lab.dir / "world").read_text().split()), lab.hosts[:20])

# in a checklist, and narrowed
c = lab.case("""
    checklist "Fleet" { { "Hosts", "answer", function()
        local rs = ssh.each("n[001-100]", { read = true, limit = 50 }, { "true" })
        evidence("hosts", #rs)
    end } }
""")
ends("--limit", c.run("--limit", "n00[1-3]"), 0)
eq("narrows what ssh.each is given", [e["value"] for e in c.events("evidence")], [3])
lab.close()
finish()
