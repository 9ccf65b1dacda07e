"""What every part of a lab keeps: a log of the calls that it got, and the faults that a test has asked of it. Both are
files below the lab's folder, so that parts in other processes (commands, daemons) share them.

    calls = Calls(folder);  calls.add("qdrant", "GET", path="/readyz");  calls.of("qdrant", "GET")
    faults = Faults(folder);  faults.set("pali.health", "503");  faults.get("pali.health");  faults.clear()

Few imports: stand-ins of commands load this at each call."""

import json
import os


class Calls:
    def __init__(self, folder):
        self.path = os.path.join(folder, "calls.jsonl")

    def add(self, part, what, **details):
        line = json.dumps({"part": part, "what": what, **details}) + "\n"
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line.encode())  # one write, so that lines of several processes never mix
        finally:
            os.close(fd)

    def all(self):
        if not os.path.exists(self.path):
            return []
        with open(self.path) as f:
            return [json.loads(line) for line in f]

    def of(self, part, what=None, **details):
        """Those of a part, of one kind, with these details."""
        return [
            c
            for c in self.all()
            if c["part"] == part
            and what in (None, c["what"])
            and all(c.get(k) == v for k, v in details.items())
        ]

    def clear(self):
        if os.path.exists(self.path):
            os.truncate(self.path, 0)


class Faults:
    def __init__(self, folder):
        self.folder = os.path.join(folder, "faults")
        os.makedirs(self.folder, exist_ok=True)

    def set(self, name, value="on"):
        with open(os.path.join(self.folder, name), "w") as f:
            f.write(value)

    def get(self, name):
        """Its value; None: the part is to behave."""
        try:
            with open(os.path.join(self.folder, name)) as f:
                return f.read()
        except FileNotFoundError:
            return None

    def clear(self, *names):
        for name in names or os.listdir(self.folder):
            if os.path.exists(os.path.join(self.folder, name)):
                os.remove(os.path.join(self.folder, name))
