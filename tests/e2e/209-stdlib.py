#!/usr/bin/env python3
"""The library: expect's words; systemd against the lab's supervisor, killed in the middle of each of its effects."""

import os
import signal
import sys

sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/lab"]
import supervisor
from book import Case, ends, prints
from lib import TMP, contains, eq, finish, wait_for
from parts import Lab

prints("expect says what was found and what was expected", r"""
    local expect = require "expect"
    local function why(fn, ...) local ok, e = pcall(fn, ...) print(ok and "holds" or e.kind .. ": " .. e.message) end
    why(expect.equal, 1, 1, "n") why(expect.equal, 1, 2, "n") why(expect.equal, "1", 1, "n")
    why(expect.equal, { a = { 1 } }, { a = { 1 } }, "t") why(expect.equal, { a = 1 }, { a = 2 }, "t") why(expect.equal, nil, 1, "n")
    why(expect.one_of, "b", { "a", "b" }, "w") why(expect.one_of, "c", { "a", "b" }, "w")
    why(expect.at_least, 2, 2, "n") why(expect.at_least, 1, 2, "n") why(expect.at_least, nil, 2, "n")
    why(expect.at_most, 2, 2, "n") why(expect.at_most, 3, 2, "n")
    why(expect.contains, "a.b", ".", "t") why(expect.contains, "ab", ".", "t") why(expect.contains, nil, ".", "t")
    why(expect.some, 0, "n") why(expect.some, "", "n") why(expect.some, {}, "n") why(expect.some, null, "n") why(expect.some, nil, "n")
    why(expect.none, {}, "errors") why(expect.none, nil, "errors") why(expect.none, { "x" }, "errors")
    print(expect.equal(7, 7, "n") + expect.at_least(1, 0, "n"))
""", ["holds", "failed: n is 1, expected 2", 'failed: n is "1", expected 1', "holds", 'failed: t is {"a":1}, expected {"a":2}',
      "failed: n is nil, expected 1", "holds", 'failed: w is "c", expected "a" or "b"', "holds", "failed: n is 1, expected 2 or more",
      "failed: n is nil, expected 2 or more", "holds", "failed: n is 3, expected 2 or less", "holds", 'failed: t is "ab", expected a text with "."',
      'failed: t is nil, expected a text with "."', "holds", "failed: n is missing or empty", "failed: n is missing or empty",
      "failed: n is missing or empty", "failed: n is missing or empty", "holds", "holds", 'failed: errors: ["x"]', "8"])
c = Case('require "expct"')
r = c.run()
contains("a module that is almost one of the library's", r.stdout + r.stderr, "did you mean 'expect'?")

with Lab(TMP / "lab") as lab:
    for name, function in (("systemctl", "systemctl"), ("systemd-run", "systemd_run"), ("journalctl", "journalctl")):
        lab.command(name, "supervisor", function)
    supervisor.define(lab.folder, "worker.service", exec=["/bin/sh", "-c", "echo up; exec sleep 1000"], enabled=True, restart="always")
    supervisor.define(lab.folder, "daily.timer", active=True, next="Sun 2026-11-29 03:00:00 UTC")

    def calls(what):
        return len(lab.calls.of("supervisor", what))

    try:
        c = prints("units are seen, started, restarted, stopped", r"""
            local systemd = require "systemd"
            local u = systemd.show "worker" print(u.state, u.active, u.enabled, u.restart, u.restarts, u.next)
            u = systemd.show "none" print(u.state, u.active, u.enabled)
            u = systemd.show "daily.timer" print(u.state, u.enabled, u.next)
            systemd.start "worker"
            u = systemd.show "worker" print(u.state, u.pid > 0, u.command)
            local v = systemd.restart "worker" print(v.active, v.invocation ~= u.invocation, v.pid ~= u.pid)
            wait_until({ title = "it has said so", every = "20ms", timeout = "10s" }, function() return systemd.journal("worker")[1] == "up" end)
            print(#systemd.journal "worker", #systemd.journal("worker", "1h"))
            systemd.stop "worker" systemd.stop "worker" systemd.stop "none"
            print(systemd.show("worker").active)
            systemd.run("probe", { "/bin/sh", "-c", "exec sleep 1000" }) print(systemd.show("probe").active)
            systemd.stop "probe" print(systemd.show("probe").state)
        """, ["inactive\tfalse\ttrue\talways\t0\tnil", "not-found\tfalse\tfalse", "active\tfalse\tSun 2026-11-29 03:00:00 UTC",
              "active\ttrue\t/bin/sh -c echo up; exec sleep 1000", "true\ttrue\ttrue", "1\t2", "false", "true", "not-found"], env=lab.env)

        # Killed when it has happened and nobody was told: it is not done again. When the command goes on without its host it is
        # collected; when it is lost as well, the unit is asked.
        for what, call, lost in (
            ("restart", 'systemd.restart "worker"', False),
            ("restart", 'systemd.restart "worker"', True),
            ("run", 'systemd.run("probe", { "/bin/sleep", "1000" })', False),
            ("run", 'systemd.run("again", { "/bin/sleep", "1000" })', True),
        ):
            c = Case(f'local systemd = require "systemd"\n{call}\nprint "done"')
            c.env.update(lab.env)
            n = calls(what)
            lab.faults.set("systemctl.hold")
            host = c.start("run", "t.lua")
            wait_for(what, lambda: lab.faults.get("systemctl.held"))
            host.send_signal(signal.SIGKILL)
            host.wait()
            if lost:
                supervisor.lose(lab.folder)
            lab.faults.clear()
            (lab.folder / "release").write_text("")
            how = f"killed in {what}{', and the command with it' if lost else ''}"
            ends(f"{how}: a resume goes on", c.rb("resume"), 0)
            eq(f"{how}: it was done once", (c.prints(), calls(what) - n), (["done"], 1))
            eq(f"{how}: the unit is asked where nobody else knows", len(c.events("doubt.call")), int(lost))
            (lab.folder / "release").unlink()
    finally:
        supervisor.stop_all(lab.folder)
finish()
