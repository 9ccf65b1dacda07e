#!/usr/bin/env python3
"""ssh.hosts: ranges, groups, files, ssh's own names, what is left out; --limit; the same on a resume. No host is
reached."""
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, prints, waits
from lib import check, contains, eq, finish

SHOW = """
local function show(...)
    local out = {}
    for i, h in ipairs(ssh.hosts(...)) do out[i] = type(h) == "table" and h.name or h end
    print(#out, table.concat(out, " "))
end
"""
CONFIG = """return { ssh = { config = "@DIR@/ssh_config", hosts = {
    web = { "web[01-03]", "edge" }, db = { "db[a-b].lab" }, every = { "web", "db", "deploy@gate:2222" }, edge = { "edge" } } } }"""


def case(text, config=CONFIG):
    c = Case(SHOW + text)
    c.write("config.lua", config)
    c.write("ssh_config", "Host lab1 lab2 *.x\n  User me\nHost gate\nInclude @DIR@/more\n")
    c.write("more", "Host lab3\n")
    c.write("hosts", "\ufeff# the list\r\nweb[7-9]   # three\n\n!web8, db1\nuser@other:22\n")
    c.env["RBHOST_CONFIG"] = str(c.dir / "config.lua")
    return c



def words(c):
    return [line.replace("\t", "  ") for line in c.prints()]


c = case("""
show("web[01-03]", "x@y:22", "web02")
show({ "a", { "b", "c" } }, { host = "d", name = "dd" })
show "web"
show "every"
show "file:hosts"
show "lab*"
show("every", "!web*", "!dba.lab")
show("web[1-4]", "!web[2-3]")
show("db", "!*@*")
show()
""")
ends("lists", c.run(), 0)
eq("stand for these hosts, each once, in order", words(c), [
    "4  web01 web02 web03 x@y:22", "4  a b c dd", "4  web01 web02 web03 edge",
    "7  web01 web02 web03 edge dba.lab dbb.lab deploy@gate:2222", "4  web7 web9 db1 user@other:22", "3  lab1 lab2 lab3",
    "3  edge dbb.lab deploy@gate:2222", "2  web1 web4", "2  dba.lab dbb.lab", "0  "])

for bad, says in (
    ('ssh.hosts("web[3-1]")', "[3-1] is no range"),
    ('ssh.hosts("a b;c")', "names no host"),
    ('ssh.hosts("nothing*")', "no Host of ssh's configuration matches"),
    ('ssh.hosts("-x")', "names no host"),
    ('ssh.hosts(5)', "must be a string"),
    ('ssh.hosts("file:absent")', "absent"),
    ('ssh.hosts({ host = "a", usr = "x" })', "did you mean user"),
    ('ssh.hosts("a[1-200]b[1-200]")', "more than 10000"),
):
    c = case(bad)
    r = c.run()
    check(f"{bad} is an error", r.returncode == 1 and says in r.stderr, f"exit {r.returncode}, want {says!r}\n{r.stderr}")

c = case('show("web[01-09]", "db1")\nshow "every"\nssh.each("web[01-09]", { limit = 3 }, function(h) print(h) end)')
ends("--limit", c.run("--limit", "web0[2-4],!web03,*@gate"), 0)
eq("narrows lists, and what ssh.each is given", words(c),
   ["2  web02 web04", "2  web02 deploy@gate:2222", "web02", "web04"])
eq("and is in the journal", c.events("run.start")[0].get("limit"), "web0[2-4],!web03,*@gate")

c = case('show "every"\nshow "db"')
ends("--limit takes a group", c.run("--limit", "web"), 0)
eq("and its members stay; that nothing is left of a list is said", words(c), ["4  web01 web02 web03 edge", "--limit web leaves none of these 2 hosts", "0  "])
c = case('show "every"')
ends("--limit without a group", c.run("--limit", "!db,!web"), 0)
eq("leaves its members out", words(c), ["1  deploy@gate:2222"])
r = case('show "web"').run("--limit", "web[")
check("a limit that names nothing is an error", r.returncode == 1 and "--limit web[" in r.stderr, r.stderr)
r = case('show "web"').run("--limit", "web[3-1]")
check("a limit that is none is an error", r.returncode == 1 and "--limit web[3-1]: [3-1] is no range" in r.stderr, r.stderr)

# what a list stood for stays, whatever has become of the files
c = case('show "every"\nshow "file:hosts"\nshow "lab*"\nsignal "go"\nshow "every"\nshow("web[1-3]")')
p = c.start("run", "t.lua", "--limit", "web*,lab1", "--wait")
waits(c)
park(c, p)
c.write("ssh_config", "Host other\n")
c.write("hosts", "other\n")
c.write("config.lua", 'return { ssh = { config = "@DIR@/ssh_config", hosts = { every = { "web77" } } } }')
ends("the signal", c.rb("signal", c.id, "go"), 0)
ends("a resume with other files", c.rb("resume", c.id), 0)
eq("has the recorded lists, then the new ones, under the same --limit", words(c),
   ["3  web01 web02 web03", "2  web7 web9", "1  lab1", "1  web77", "3  web1 web2 web3"])
ends("and the journal is sound", c.rb("verify", "--all"), 0)

prints("an allow of ssh refuses what it does not name, before anything starts",
       'runbook { allow = { ssh = { "web*", "ops@db1" } } }\n'
       'for _, h in ipairs { "db1", "root@db1", "web1.evil", { host = "web1", jump = "gate" } } do\n'
       '  local _, e = pcall(ssh, h, { "true" }) print(e.kind, e.outcome) end',
       ["policy\tnot_started"] * 4)
c = Case('runbook { allow = { ssh = { "web 1", "a@b:x", "db1" } } }')
r = c.rb("check", "t.lua")
for what in ('"web 1"', '"a@b:x"'):
    contains(f"check: {what} is no pattern of ssh", r.stdout + r.stderr, what)
c = Case('runbook { allow = { ssh = { "web*" } } }\nssh("web1", { "a" }, { tiemout = 1 })\nssh("x")')
r = c.rb("check", "t.lua")
contains("check knows the options", r.stdout, "unknown option tiemout of ssh; did you mean timeout?")
contains("and that a command is wanted", r.stdout, "ssh takes a host and a command")
contains("describe shows the reach", c.rb("describe", "t.lua").stdout, "ssh       web*")
c = case('print(#ssh.hosts("every", "web[05-12]")) print(#ssh.hosts("a", "b"))')
r = c.run("--limit", "web*,a")
contains("a list that stood for more than its words is told", r.stdout,
         "hosts     15: web01 web02 web03 edge dba.lab dbb.lab deploy@gate:2222 web05 … and 7 more\n")
check("one of plain names is not, nor what the limit stood for",
      all(t.count("  hosts  ") == 1 and "record" not in t for t in (r.stdout, c.rb("log", c.id).stdout)), r.stdout)

c = case("print(1)", 'return { ssh = { connect_timeout = "soon", hosts = { web = { "a b", "[3-1]" } }, config = "~/x", foo = 1 } }')
r = c.run()
for what in ("ssh.connect_timeout", "ssh.hosts.web", "ssh.config", "ssh.foo"):
    contains(f"a wrong configuration names {what}", r.stderr, what)
finish()
