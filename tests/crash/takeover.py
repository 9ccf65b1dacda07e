"""An owner that is stopped in the middle of a run, while another process takes the run over: once the owner is
continued, it must add nothing to the run and do nothing more in the world.

As long as the stopped process lives, its lock shows that it does, and nobody takes its run. So the test takes away the
file that the lock is on, as a person might who cleans up by hand."""

import os
import signal

import case as case_module
from scenarios import Scenario


class Takeover(Scenario):
    name, book = "a stopped owner that wakes after a takeover", "takeover.lua"
    other_codes = (5,)

    def on_event(self, case, process, event):
        if event["data"].get("text") == "ready" and not case.memory:
            os.kill(process.pid, signal.SIGSTOP)
            case.memory["stopped"] = process
            try:
                self.take(case)
            finally:
                os.kill(process.pid, signal.SIGCONT)

    def take(self, case):
        refused = case.start(["resume", case.run])
        for _ in case.lines(refused):
            pass
        command = case.ended(refused, ["resume", case.run])
        if command.code != 2 or str(case.memory["stopped"].pid) not in command.err:
            case.problem("exit", f"resume of a run whose owner is stopped: exit {command.code}: {command.err}")
        ((owner,),) = case.query("SELECT owner FROM runs")
        (case.folder / "j.db.d" / owner).unlink()
        p = case.start(["resume", case.run, "--json"])
        for _ in case.lines(p):
            pass
        command = case.ended(p, ["resume", case.run], {})
        if command.code:
            case.problem("exit", f"the takeover: exit {command.code}: {command.err}")
        case.memory["events"] = [e.__dict__ for e in case.events()]

    def next(self, case, status):
        return super().next(case, status) if status is None else None

    def check(self, case, events):
        if [e.__dict__ for e in events] != case.memory.get("events"):
            case.problem("epoch", "the woken owner has changed the journal")
        last = case.commands[-1]
        if last.code != 5 or "taken" not in last.err:
            case.problem("exit", f"the woken owner: exit {last.code}: {last.err}")


def play(folder, binary, mutation=None):
    case = case_module.Case(Takeover(), folder, binary, {}, mutation)
    case.go()
    return case
