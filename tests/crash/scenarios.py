"""The runbooks of the sweep, and what a person does with each: which command comes next, what is answered from another
process and when, what must be true at the end beyond what is true of every run."""

from case import BOOKS, ENDED


class Scenario:
    name = ""
    book = ""
    params = ()
    # How often an effect may reach the world: once (whoever settles its doubt looks at the world), or once and for each
    # repetition that is marked as such [2].
    allowed = "once"
    same_world = True  # the words do not depend on who came first
    other_codes = ()  # exit codes of commands that drive the run, besides the one that its status stands for
    short, long = 60, 0  # points that are tried in each tier; 0 is all
    again = True  # what goes on is killed too
    output = ("--json",)  # how it is shown: () is as plain lines
    detached = False
    doubts = True  # may an operation be in doubt? Not where all effects leave receipts
    postgres = False  # it needs the server that is started once for all
    far = False  # it needs hosts that are reached by ssh, started once for all
    answers = {}  # text of a gate → (command, what is answered)

    def on_event(self, case, process, event):
        """Something was shown while a process drives the run."""

    def next(self, case, status):
        """Arguments of the command that goes on, or None."""
        if status is None:
            return ["run", BOOKS / self.book, *self.params]
        if status in ("running", "parked", "undoing"):
            return ["resume", case.run]
        if status in ("waiting", "in_doubt"):
            return self.decide(case)
        return self.after(case, status) if status in ENDED else ["resume", case.run]

    def after(self, case, status):
        return None

    def decide(self, case):
        for gate in case.open():
            argv = self.decision(case, gate)
            about = (argv[0], gate["n"])
            if about in case.acknowledged:
                if about in case.memory:
                    case.problem("lost", f"{about[0]} of #{gate['n']} was acknowledged, and the run still waits for it")
                    return None
                case.memory[about] = True
                return ["resume", case.run]
            return [*argv, "--resume"]
        return ["resume", case.run]

    def decision(self, case, gate):
        if gate["decision"] == "resolve":
            word = next((e.word() for e in case.events() if e.seq == gate["n"]), None)
            return ["resolve", case.run, gate["n"], "done" if word in case.world() else "retry"]
        command, *what = self.answers[gate["text"]]
        target = [case.run, gate["n"]] if command != "signal" else [case.run]
        return [command, *target, *what]

    def agrees(self, outcome, reference):
        """Has it ended as it does without crashes?"""
        return outcome == reference

    def check_printed(self, case):
        """What was printed, where that is not JSON."""

    def check(self, case, events):
        """What must hold at the end."""


class Receipts(Scenario):
    """Whose effects are commands: whatever dies, a receipt says what became of them."""

    doubts = False


class Sequential(Receipts):
    name, book, short = "one task after the other", "sequential.lua", 100


class Keyed(Sequential):
    """The same command again and again: the key says that it is the same run."""

    name, short = "run with a key, and again", 30

    def next(self, case, status):
        if status in ENDED:
            return None
        return ["run", BOOKS / self.book, "--key", "release 7"]


class Plain(Sequential):
    """Shown as plain lines, as off a terminal."""

    name, short, output = "plain lines", 60, ()

    def check_printed(self, case):
        if not case.printed:
            return
        logged = case.look("log", "latest", output=None).splitlines()
        for line in case.printed:
            if line not in logged:
                case.problem("lost", f"shown, and not in the journal: {line}")


class Detached(Sequential):
    """In the background: what is shown is the run's id, and then the run is there for ever."""

    name, short, output, detached = "in the background", 60, (), True

    def next(self, case, status):
        argv = super().next(case, status)
        return [*argv, "--detach"] if argv else None

    def check_printed(self, case):
        ids = {run for (run,) in case.query("SELECT id FROM runs")}
        for line in case.printed:
            if line not in ids:
                case.problem("lost", f"shown, and not in the journal: run {line}")


class Concurrent(Receipts):
    name, book, short = "tasks that act on a shared list", "concurrent.lua", 150
    same_world = False


class Hundred(Receipts):
    name, book, short, long = "100 tasks and one variable", "hundred.lua", 40, 400
    same_world = again = False


class Dozen(Hundred):
    name, params, short, long = "12 tasks and one variable", ("tasks=12",), 120, 0
    again = True


class Undo(Receipts):
    name, book, short = "undo, a failing one left out", "undo.lua", 120

    def after(self, case, status):
        events = case.events()
        ends = [e for e in events if e.kind == "undo.end"]
        if status == "undone":
            return None
        if not ends:
            return ["undo", case.run]
        left = ends[-1].data["left"]
        return ["undo", case.run, "--skip", left[0]["n"], "--reason", "the cache is gone"]

    order = ["undo-cache-0", "undo-web", "undo-db"]

    def check(self, case, events):
        order = [w for w in case.world() if w.startswith("undo-")]
        if order != self.order:
            case.problem("order", f"undone: {order}, and it should be {self.order}")


class UndoAgain(Undo):
    """What made the undo fail is mended, and it goes on with the same compensation."""

    name = "undo, and once more"
    order = ["undo-cache-0", "undo-cache-1", "undo-cache-last", "undo-web", "undo-db"]

    def after(self, case, status):
        if status == "undone":
            return None
        if any(e.kind == "undo.end" for e in case.events()):
            (case.folder / "mended").touch()
        return ["undo", case.run]


class People(Receipts):
    """Each answer comes when the run has stopped and waits."""

    name, book, short = "answers while nobody drives the run", "people.lua", 120
    answers = {
        "Go on?": ["approve"],
        "How many?": ["answer", "done", "--value", "3"],
        "deployed": ["signal", "deployed", '{"build": 42}'],
    }

    def check(self, case, events):
        for command, n in case.acknowledged:
            if not any(e.kind == "result" and e.data.get("n") == n and e.data.get("ok") for e in events):
                case.problem("lost", f"{command} of #{n} was acknowledged, and has no result")
        for kind in ("approve", "manual", "signal"):
            n = sum(e.kind == "result" and e.data["op"] == kind for e in events)
            if n != 1:
                case.problem("doubled" if n else "lost", f"{kind} has {n} results")


class PeopleLive(People):
    """Each answer comes from another process while the run's owner waits for it."""

    name = "answers while the owner waits"

    def next(self, case, status):
        argv = super().next(case, status)
        if argv and argv[0] in ("run", "resume"):
            return [*argv, "--wait"]
        return argv

    def decide(self, case):
        return ["resume", case.run]

    def on_event(self, case, process, event):
        if event["kind"] != "run.state" or event["data"].get("status") != "waiting":
            return
        for _ in range(3):  # one that was killed is asked again
            for gate in case.open():
                argv = self.decision(case, gate)
                about = (argv[0], gate["n"])
                if about not in case.acknowledged and process.poll() is None and not case.helper(argv, about):
                    break
            else:
                return


class Sleep(Receipts):
    name, book, short = "durable sleep", "sleep.lua", 60

    def check(self, case, events):
        for e in events:
            if e.kind == "wait" and sum(x.kind == "wait" and x.key == e.key for x in events) != 1:
                case.problem("doubled", f"the wait {e.key} was begun anew: it would sleep its whole time again")


class Memo(Receipts):
    name, book, short = "memo", "memo.lua", 80


class Close(Receipts):
    name, book, short = "handlers of <close> that wait", "close.lua", 120


class Again(Receipts):
    name, book, short = "a failed run is retried", "again.lua", 100

    def after(self, case, status):
        if status == "succeeded":
            return None
        (case.folder / "mended").touch()
        return ["retry", case.run]


class AgainStopped(Again):
    """What was stopped by the failure of another: the retry asks the world."""

    name, params, short = "a failed run is retried, and what its failure has stopped", ("slow=true",), 30


class Cancel(Scenario):
    """From another process while the owner drives it, or by itself where the owner was killed."""

    name, book, short = "cancel", "cancel.lua", 120
    cancelling = ("--reason", "enough")

    def next(self, case, status):
        argv = super().next(case, status)
        if argv and argv[0] == "resume" and any(e.data.get("text") == "ready" for e in case.events()):
            asked = ("cancel", 0) in case.acknowledged or any(e.kind == "cancel" for e in case.events())
            if not asked:
                return ["cancel", case.run, *self.cancelling]
        if argv and argv[0] in ("run", "resume"):
            return [*argv, "--wait"]
        return argv

    def decide(self, case):
        return ["resume", case.run]

    def on_event(self, case, process, event):
        if event["data"].get("text") == "ready" and process.poll() is None:
            for _ in range(3):
                if case.helper(["cancel", case.run, "--no-resume", *self.cancelling], ("cancel", 0)):
                    return

    def check(self, case, events):
        n = sum(e.kind == "cancel" for e in events)
        if n != 1:
            case.problem("doubled" if n else "lost", f"{n} events of cancel")


class Park(Receipts):
    name, book, short = "parked by SIGINT", "park.lua", 120
    same_world = False

    def on_event(self, case, process, event):
        if event["data"].get("text") == "ready":
            process.send_signal(2)


class Checklist(Receipts):
    name, book, short = "a checklist", "checklist.lua", 100
    same_world = False


class Ask(Scenario):
    name, book, short = "doubts that a person settles", "ask.lua", 150


class AskLive(Ask):
    """The owner waits while the doubt is settled from another process."""

    name, short = "doubts that are settled while the owner waits", 60

    def next(self, case, status):
        argv = super().next(case, status)
        return [*argv, "--wait"] if argv else None

    def decide(self, case):
        return ["resume", case.run]

    def on_event(self, case, process, event):
        if event["kind"] != "run.state" or event["data"].get("status") != "in_doubt":
            return
        for _ in range(3):
            for gate in case.open():
                argv = self.decision(case, gate)
                about = (argv[0], gate["n"])
                if about not in case.acknowledged and process.poll() is None and not case.helper(argv, about):
                    break
            else:
                return


class AskFails(Ask):
    """What is not in the world, the person says, has failed. Then the run fails with in_doubt, and is retried; where that
    asks again, the answer is to try again."""

    name, short = "doubts that are settled as failed", 60

    def decision(self, case, gate):
        argv = super().decision(case, gate)
        if argv[-1] == "retry" and not any(e.kind == "resolve" and e.data["n"] == gate["n"] for e in case.events()):
            return [*argv[:-1], "fail"]
        return argv

    def after(self, case, status):
        if status == "succeeded":
            return None
        if "in_doubt" not in str(case.outcome().get("run.end")):
            case.problem("exit", f"it failed, and not by a doubt: {case.outcome()}")
            return None
        return ["retry", case.run]


class Retries(Scenario):
    name, book, short = "effects that may be repeated", "retries.lua", 100
    allowed = "marked"


class Fails(Scenario):
    name, book, short = "a doubt is a failure", "fails.lua", 100

    def agrees(self, outcome, reference):
        if outcome["status"] == "failed":
            return outcome["exit"] == 1 and outcome["run.end"][1] == "in_doubt"
        return {**outcome, "world": 0} == {**reference, "world": 0}

    def check(self, case, events):
        failed = case.status() == "failed"
        doubts = [e for e in events if e.kind == "result" and (e.data.get("error") or {}).get("kind") == "in_doubt"]
        for e in doubts:
            if e.data["error"]["outcome"] != "unknown":
                case.problem("exit", f"a doubt with the outcome {e.data['error']['outcome']}")
        if failed and not doubts:
            case.problem("exit", "it failed without a doubt")


from secret_scenarios import Secrets  # noqa: E402  they are scenarios themselves
from sql_scenarios import Sql, SqlPg, SqlWal  # noqa: E402
from file_scenarios import Files  # noqa: E402
from notify_scenarios import Notify  # noqa: E402
from ssh_scenarios import Ssh  # noqa: E402

ALL = [
    cls() for cls in (
        Sequential, Keyed, Plain, Detached, Concurrent, Dozen, Hundred, Undo, UndoAgain, People, PeopleLive, Sleep,
        Memo, Close, Again, AgainStopped, Cancel, Park, Checklist, Ask, AskLive, AskFails, Retries, Fails,
        Secrets,
        Sql, SqlWal, SqlPg,
        Files,
        Notify,
        Ssh,
    )
]

import http_world  # noqa: E402 its scenarios are made from the class above

ALL += http_world.ALL
