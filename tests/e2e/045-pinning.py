#!/usr/bin/env python3
"""Pinning: a resume uses the stored sources, whatever became of the files. And nondeterminism: a journal whose source was
changed by hand takes another way, which is found and shows both calls, and nothing is started."""
import hashlib
import os
import shutil
import sqlite3
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, waits
from lib import check, contains, eq, finish, lacks

MAIN = """
local util = require "lib.util"
local name = "lib" .. "." .. "later"
exec.sh("echo " .. util.first() .. " >> @DIR@/world")
local later = require(name)
signal "go"
exec.sh("echo " .. util.second() .. " " .. later.what .. " >> @DIR@/world")
"""
UTIL = """
local deep = require "lib.deep"
return { first = function() return "one" end, second = function() return "two-" .. deep end }
"""


def case():
    c = Case(MAIN, lib__util=UTIL, lib__deep='return "deep"', lib__later='return { what = "later" }')
    ends("a runbook with modules waits", c.run(), 3)
    return c


for what in ("changed", "deleted"):
    c = case()
    for path in [c.dir / "t.lua", *(c.dir / "lib").iterdir()]:
        if what == "changed":
            path.write_text('error("the changed file was used")')
        else:
            path.unlink()
    if what == "deleted":
        shutil.rmtree(c.dir / "lib")
    ends(f"all files {what}: the resume", c.rb("signal", c.id, "go", "--resume"), 0)
    eq(
        f"all files {what}: uses the stored source, also of modules of modules and computed ones",
        c.lines("world"),
        ["one", "two-deep later"],
    )
names = [r[0] for r in c.sql("SELECT name FROM sources")]
check(
    "the journal names every source",
    len(names) == 4 and all(any(w in n for n in names) for w in ("util", "deep", "later")),
    names,
)
ends("and verifies", c.rb("verify"), 0)

c = Case('local m = require(("a"):rep(1))\nprint(m)', a='return "A"')
eq("a computed require before anything", (c.run().returncode, c.prints()), (0, ["A"]))
c = Case('print(require "a" == require "a", #require "a")', a='print "loaded once" return { 1 }')
ends("a module is loaded once", c.run(), 0)
eq("and its prints are the run's", c.prints(), ["loaded once", "true\t1"])
for what, text, files, says in (
    ("a module that is not there", 'require "no.such.module"', {}, "no.such.module"),
    ("a module with a syntax error", 'require "bad"', {"bad": "local = 5"}, "bad.lua:1"),
    ("a module that raises", 'require "bad"', {"bad": 'error("module says no")'}, "module says no"),
    ("modules that require each other", 'require "x"', {"x": 'return require "y"', "y": 'return require "x"'}, "x"),
    ("a path out of the root", 'require "..secret"', {}, "secret"),
    ("a path out of the root, computed", 'require("../" .. "secret")', {}, "secret"),
    ("an absolute path", 'require "/etc/passwd"', {}, "passwd"),
    ("an empty name", 'require ""', {}, "require"),
    ("no name", "require()", {}, "require"),
    ("bytecode as a module", 'require "bad"', {"bad": "\x1bLua"}, "bad"),
    ("a module of Lua's that is not there", 'require "io"', {}, "io"),
    ("a NUL byte in the name", 'require "a\\0b"', {"a": "return 1"}, "NUL"),
):
    c = Case(text, **files)
    r = c.run()
    check(
        f"{what}: the run fails and says so",
        r.returncode in (1, 2) and says in r.stderr and "stdlib/rt" not in r.stderr,
        f"exit {r.returncode}, want 1 or 2 and {says!r}\n{r.stderr}",
    )
c = Case('require "out"')
(c.dir / "out.lua").symlink_to("/etc/hostname")
r = c.run()
check(
    "a symbolic link out of the root is refused",
    r.returncode in (1, 2) and "out" in r.stderr,
    (r.returncode, r.stderr),
)
c = Case("print(require 'waits')", waits='sleep("1ms") return "waited"')
r = c.run()
check(
    "awaiting inside a require: works, or says clearly that it can not",
    c.prints() == ["waited"] or (r.returncode == 1 and "module's own body" in r.stderr),
    (r.returncode, r.stderr),
)

# -- nondeterminism

BEFORE = 'exec({ "sh", "-c", "echo one >> @DIR@/world" })\nsignal "go"\nexec.sh("echo two >> @DIR@/world")\n'


def changed(before, after):
    """A waiting run whose stored source is exchanged, as a fault in the host or a hand at the journal would."""
    c = Case(before)
    ends("a run that waits", c.run(), 3)
    text = after.replace("@DIR@", str(c.dir)).encode()
    digest = hashlib.sha256(text).hexdigest()
    db = sqlite3.connect(c.journal)
    old = db.execute("SELECT digest FROM sources WHERE run = ?", (c.id,)).fetchone()[0]
    db.execute("INSERT INTO blobs (digest, data) VALUES (?, ?)", (digest, text))
    db.execute("UPDATE sources SET digest = ?", (digest,))
    db.execute("UPDATE run_blobs SET digest = ? WHERE digest = ?", (digest, old))
    previous, fields = b"\0" * 32, ("run", "seq", "at", "key", "kind", "data")
    for row in db.execute(f"SELECT {', '.join(fields)} FROM events WHERE run = ? ORDER BY seq", (c.id,)).fetchall():
        row = [str(v).replace(old, digest) if f == "data" else str(v) for f, v in zip(fields, row)]
        h = hashlib.sha256(previous)
        for v in row:
            h.update(len(v.encode()).to_bytes(8, "big") + v.encode())
        previous = h.digest()
        db.execute("UPDATE events SET data = ?, hash = ? WHERE run = ? AND seq = ?", (row[5], previous, c.id, row[1]))
    db.execute("UPDATE runs SET head = ?", (previous,))
    db.commit()
    db.close()
    ends("the exchanged journal is sound in itself", c.rb("verify"), 0)
    return c


c = changed(BEFORE, BEFORE.replace("echo one", "echo other"))
r = c.rb("signal", c.id, "go", "--resume")
ends("another command at the same place", r, 1)
for part in ("echo one", "echo other", "t.lua:1"):
    contains(f"the error shows {part}", r.stderr, part)
contains("its kind", c.rb("show", c.id).stdout + str(c.events("run.end")), "nondeterminism")
eq("nothing was started", c.lines("world"), ["one"])
c = changed(BEFORE, 'print "new"\n' + BEFORE)
r = c.rb("signal", c.id, "go", "--resume")
check(
    "a print too many before it is found too",
    r.returncode == 1 and "nondeterminism" in str(c.events("run.end")),
    (r.returncode, r.stderr, c.status()),
)
eq("nothing was started then", c.lines("world"), ["one"])
c = changed(BEFORE, 'exec.sh("echo two >> @DIR@/world")')
r = c.rb("signal", c.id, "go", "--resume")
check(
    "an operation that is no longer asked for",
    r.returncode == 1 and "nondeterminism" in str(c.events("run.end")),
    (r.returncode, r.stderr, c.status()),
)
eq("nothing was started there", c.lines("world"), ["one"])
c = changed(BEFORE, "print 'at once at its end'")
r = c.rb("signal", c.id, "go", "--resume")
check(
    "a run that ends with events unclaimed",
    r.returncode == 1 and "nondeterminism" in str(c.events("run.end")),
    (r.returncode, r.stderr, c.status()),
)
c = changed(BEFORE, 'sleep("1s")\nsignal "go"\nexec.sh("echo two >> @DIR@/world")\n')
r = c.rb("signal", c.id, "go", "--resume")
check(
    "another kind of operation at the same place",
    r.returncode == 1 and "sleep" in r.stderr and "exec" in r.stderr,
    (r.returncode, r.stderr),
)
c = changed(
    BEFORE,
    BEFORE.replace('"sh", "-c", "echo one >> @DIR@/world" }', '"sh", "-c", "echo one >> @DIR@/world" }, { title = "new title", timeout = "9m" }'),
)
r = c.rb("signal", c.id, "go", "--resume")
ends("a title and a time-out are no part of what is compared", r, 0)
eq("the run ends as it should", c.lines("world"), ["one", "two"])
c = changed(BEFORE, BEFORE + "}")
r = c.rb("signal", c.id, "go", "--resume")
check(
    "a stored source that does not compile",
    r.returncode in (1, 2, 5) and "t.lua:4" in r.stderr,
    (r.returncode, r.stderr),
)
finish()
