#!/usr/bin/env python3
"""Parameters in the patterns of `allow`: what a run may reach is what it was given, and nothing beside it."""

import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends
from lib import check, contains, eq, finish, lacks

HEADER = """
local p = runbook {
  params = {
    api = { "url", default = "http://127.0.0.1:9/base/" },
    folder = { "file", default = "in" },
    tool = { "string", default = "echo" },
    words = { "list", default = { "echo", "a b", "c" } },
    more = { "list", default = { "x", "y" } },
    port = { "integer", default = 9 },
    absent = { "string" },
  },
  allow = {
    exec = { "{words} last", "{tool} one", "{tool} {absent}", "touch -- {folder}.new" },
    http = { "GET {api}/health", "http://127.0.0.1:{port}/other" },
    file = { "{folder}", "{more}/*.txt", "{absent}" },
  },
}
local function tells(what, fn, ...)
  local ok, e = pcall(fn, ...)
  print(what, ok or e.kind)
end
"""

c = Case(HEADER + """
tells("a list is its words", exec, { "echo", "a b", "c", "last" })
tells("one word is one word", exec, { "echo", "a", "b", "c", "last" })
tells("one more", exec, { "echo", "a b", "c", "last", "more" })
tells("a tool", exec, { "echo", "one" })
tells("a part of a word", exec, { "touch", "--", "in.new" }, { cwd = "@DIR@" })
tells("another", exec, { "touch", "--", "out.new" }, { cwd = "@DIR@" })
tells("no value opens nothing", exec, { "echo", "" })
tells("its health", http.get, p.api .. "health")
tells("its other paths", http.get, p.api .. "secret")
tells("a port", http.get, "http://127.0.0.1:9/other")
tells("a folder", file.write, "in/a", "1")
tells("below it alone", file.write, "inside", "1")
tells("each of a list", file.write, "y/a.txt", "1")
tells("and nothing else", file.write, "z/a.txt", "1")
""")
for folder in ("in", "x", "y", "z"):
    (c.dir / folder).mkdir()
ends("it runs", c.run(), 0)
eq("what was given may be reached, and nothing else", c.prints(), [
    "a list is its words\ttrue", "one word is one word\tpolicy", "one more\tpolicy", "a tool\ttrue",
    "a part of a word\ttrue", "another\tpolicy", "no value opens nothing\tpolicy",
    "its health\thttp.refused", "its other paths\tpolicy", "a port\thttp.refused",
    "a folder\ttrue", "below it alone\tpolicy", "each of a list\ttrue", "and nothing else\tpolicy",
])
check("the world agrees", (c.dir / "in.new").exists() and not (c.dir / "out.new").exists() and not (c.dir / "inside").exists()
      and (c.dir / "y/a.txt").exists() and not (c.dir / "z/a.txt").exists())

c = Case(HEADER + """
tells("anything", exec, { "rm", "one" })
tells("the value itself", exec, { "*", "one" })
tells("every file", file.write, "z", "1")
""")
c.run("tool=*", "folder=*")
eq("a value is never a wildcard", c.prints(), ["anything\tpolicy", "the value itself\tpolicy", "every file\tpolicy"])

c = Case(HEADER)
r = c.rb("describe", "t.lua")
contains("describe shows them as they stand", r.stdout, "GET {api}/health")
c.write("site.lua", "return { policy = { allow = { exec = { 'echo' }, http = { 'http://127.0.0.1:*' } } } }")
r = c.rb("--config", "site.lua", "describe", "t.lua")
contains("where the values decide, the site's list stands beside it", r.stdout, "and of these only what the site allows: http://127.0.0.1:*")
lacks("and nothing is said to be refused that may be allowed", r.stdout, "the site refuses {words}")

for what, allow, message in (
    ("no such parameter", 'http = { "{apl}/x" }', "{apl} is no parameter; did you mean api?"),
    ("a secret", 'exec = { "echo {token}" }', "{token} is a secret and can not be part of a pattern"),
    ("a pattern that is none even so", 'http = { "{name}" }', "expected a URL"),
):
    c = Case('runbook { params = { api = { "url" }, token = { "secret" }, name = { "string" } }, allow = { %s } }' % allow)
    r = c.rb("check", "t.lua")
    ends(f"{what}: rbhost check says so", r, 2)
    contains(f"{what}: in its words", r.stdout + r.stderr, message)
finish()
