#!/usr/bin/env python3
"""runbooks/pali/coverage: every line of the operations document is where it says: the runbook, the step in it, and the
test. A line that asks for nothing has a reason."""

import os
import pathlib
import re
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import T, check, eq, finish

RUNBOOKS = pathlib.Path(os.environ["ROOT"]) / "runbooks" / "pali"


def entries(path):
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


document = [tuple(line.split(" ")) for line in entries(T / "lab" / "documents" / "pali")]
rows = [re.fullmatch(r"(\d+) ([0-9a-f]{12}) (.+)", line) for line in entries(RUNBOOKS / "coverage")]
check("every row can be read", all(rows), rows)
covered = []
for row in rows:
    if (row[1], row[2]) not in covered:
        covered.append((row[1], row[2]))
eq("every line of the document, in its order, with its digest", covered, document)

# What a runbook may call its steps: the texts of its own file and of the modules.
modules = "".join(p.read_text() for p in sorted((RUNBOOKS / "lib").glob("*.lua")))
for row in rows:
    parts = row[3].split(" · ")
    if parts[0] == "statement":
        check(f"line {row[1]}: a statement, with its reason", len(parts) == 2 and len(parts[1]) > 10, row[3])
        continue
    runbook, step, test = parts
    file, _, name = test.partition(": ")
    path, tests = RUNBOOKS / f"{runbook}.lua", T / "e2e" / f"{file}.py"
    wrong = []
    if not path.exists():
        wrong.append(f"there is no {path}")
    elif not any(f'"{step}"' in text for text in (path.read_text(), modules)):
        wrong.append(f"no step or check is called {step}")
    if not tests.exists():
        wrong.append(f"there is no {tests}")
    elif name not in tests.read_text():
        wrong.append(f"it has no test {name}")
    check(f"line {row[1]}: {runbook}: {step}", not wrong, wrong)

named = {row[3].split(" · ")[0] for row in rows} - {"statement"}
eq("every runbook has lines of the document", named, {p.stem for p in RUNBOOKS.glob("*.lua")})
finish()
