#!/usr/bin/env python3
"""Executes what the documentation shows: every ```lua and every ```console block of docs/, and every examples/*.lua.
Each page has a folder and a journal of its own.

  - A ```lua block whose first line is `-- NAME.lua` is that file; a console block of the page runs it. Every other one
    is run at once, as it stands, and must succeed.
  - A ```console block: `$ command`, then what it prints (standard output and errors). `…` stands for anything within a
    line, a line of only `…` for any lines. Ids of runs, times and durations are whatever they are, the same id meaning
    the same run; `ada` is whoever runs the test.
  - A page or an example about ssh finds three hosts in lab/ssh_config.
  - An example names in comments what it needs (`-- before: command`), what it is called with (`-- run: who=Ada`),
    how it ends (`-- exit: 3`, default 0), and what follows (`-- then: rbhost …`, with its own `-- exit:`).

The journals made on the way are also held against docs/journal.md: each event's fields stand in the row of its kind."""

# time-limit: 240

import atexit
import functools
import glob
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.environ["T"])
sys.path.insert(0, os.environ["T"] + "/e2e")
import sshd
from lib import RBHOST, SLOW, TMP, check, finish

ROOT = pathlib.Path(os.environ["ROOT"])
ID = r"[0-9a-hjkmnp-tv-z]{9}-[0-9a-hjkmnp-tv-z]{5}"
LOOSE = [
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"),
    (r"\d\d:\d\d:\d\d", r"\d\d:\d\d:\d\d"),
    (r"\d+(?:\.\d+)?(?:µs|ms|s)\b", r"(?:\d+(?:\.\d+)?(?:µs|ms|s|m|h))+"),
    (r"\b[0-9a-f]{16,64}\b", r"[0-9a-f]+"),
    (r"\bada\b", r"[\w.-]+"),
    (r"…", r".*"),
    (r" {2,}", r" +"),
]


@functools.cache
def hosts():
    """Hosts for the page and the example of ssh: lab/ssh_config in their folders."""
    server = sshd.Server(TMP / "lab", hosts=3)
    atexit.register(server.close)
    return server


class Page:
    """A folder with its own journal, in which a page's blocks are executed one after the other."""

    def __init__(self, name):
        self.name = name
        self.folder = TMP / name
        self.folder.mkdir()
        self.ids = {}  # as the page has it → as it is
        bin_folder = self.folder / ".bin"
        bin_folder.mkdir()
        (bin_folder / "rbhost").symlink_to(RBHOST)
        self.env = {
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "HOME": str(self.folder / ".home"),
            "XDG_STATE_HOME": str(self.folder / ".state"),
            "XDG_CONFIG_HOME": str(self.folder / ".config"),
        }
        self.written = set()
        self.ran = set()
        if name in ("ssh", "example-ssh"):
            (self.folder / "lab").symlink_to(hosts().dir)

    def sh(self, command):
        """Exit status and output. Not exec'd by the shell, so that a host that is killed is seen like any other."""
        done = subprocess.run(
            ["bash", "-c", command + "\nexit $?"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self.env,
            timeout=60 * SLOW,
        )
        return done.returncode, done.stdout.decode(errors="replace")

    def real(self, text):
        """The page's ids in a command become those that the runs have here; also their endings, as people type them."""
        for shown, is_ in self.ids.items():
            text = text.replace(shown, is_)
            text = re.sub(rf"\b{shown[-5:]}\b", is_[-5:], text)
        return text

    def pattern(self, line):
        """A regular expression for one line of expected output; new ids are named groups."""
        parts, groups = [], {}
        token = re.compile("|".join(f"(?:{p})" for p in [ID, *(p for p, _ in LOOSE)]))
        at = 0
        for m in token.finditer(line):
            parts.append(re.escape(line[at : m.start()]))
            at = m.end()
            word = m[0]
            if re.fullmatch(ID, word):
                if word in self.ids:
                    parts.append(re.escape(self.ids[word]))
                elif word in groups.values():
                    parts.append(f"(?P={next(g for g, w in groups.items() if w == word)})")
                else:
                    group = f"id{len(groups)}"
                    groups[group] = word
                    parts.append(f"(?P<{group}>{ID})")
            else:
                parts.append(next(to for p, to in LOOSE if re.fullmatch(p, word)))
        parts.append(re.escape(line[at:]))
        return re.compile("".join(parts)), groups

    def match(self, expected, got):
        """Does the output fit? Learns the ids that it meets. Returns what does not."""
        i = 0
        skipping = False
        for line in expected:
            if line.strip() == "…":
                skipping = True
                continue
            while i < len(got):
                pattern, groups = self.pattern(line)
                m = pattern.fullmatch(got[i].rstrip())
                i += 1
                if m:
                    self.ids.update({shown: m[group] for group, shown in groups.items()})
                    skipping = False
                    break
                if not skipping:
                    return f"expected: {line}\ngot:      {got[i - 1]}"
            else:
                return f"expected: {line}\ngot:      (no more)"
        if i < len(got) and not skipping:
            return f"expected: (no more)\ngot:      {got[i]}"
        return None

    def console(self, block, line):
        commands = []
        for text in block:
            if text.startswith("$ "):
                commands.append([text[2:], []])
            elif text.startswith("> ") and commands and not commands[-1][1]:
                commands[-1][0] += "\n" + text[2:]
            elif commands:
                commands[-1][1].append(text.rstrip())
        for command, expected in commands:
            self.ran |= {name for name in self.written if name in command or command == f"rbhost test {name.rpartition('/')[0]}"}
            status, out = self.sh(self.real(command))
            got = [x for x in out.splitlines() if "Killed" not in x]
            while got and not got[-1].strip():
                got.pop()
            while expected and not expected[-1]:
                expected.pop()
            wrong = self.match([x for x in expected if "Killed" not in x], got)
            detail = f"{wrong}\nexit status {status}, all of it:\n{out}"
            check(f"{self.name}:{line}: $ {command}", wrong is None, detail)

    def lua(self, block, line):
        named = re.match(r"-- ([\w./-]+\.lua)$", block[0])
        name = named[1] if named else f"line-{line}.lua"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(block) + "\n")
        if named:
            self.written.add(name)
            return
        self.checked(name, f"{self.name}:{line}")
        status, out = self.sh(f"rbhost run {name}")
        check(f"{self.name}:{line}: the Lua block runs", status == 0, f"exit status {status}\n{out}")

    def checked(self, name, where):
        status, out = self.sh(f"rbhost check {name}")
        check(f"{where}: rbhost check finds nothing in {name}", status == 0 and out.endswith("0 warnings\n"), out)

    def end(self):
        for name in sorted(self.written - self.ran):
            text = (self.folder / name).read_text()
            by = rf"""require *\(?["']{name[:-4].replace("/", ".")}["']|mock.run\("[./]*{name.rpartition("/")[2]}["]"""
            used = any(re.search(by, p.read_text()) for p in self.folder.rglob("*.lua"))
            check(f"{self.name}: {name} is used", used, text)
        status, out = self.sh("rbhost verify")
        whole = status == 0 or not (self.folder / ".state").exists()
        check(f"{self.name}: the journal of its runs is whole", whole, out)


def blocks(path):
    """(kind, line number, lines) of each fenced block."""
    kind, begun, lines = None, 0, []
    for n, text in enumerate(path.read_text().splitlines(), 1):
        if kind is None and text.startswith("```"):
            kind, begun, lines = text[3:].strip() or "text", n, []
        elif kind is not None and text.startswith("```"):
            yield kind, begun, lines
            kind = None
        elif kind is not None:
            lines.append(text)


def document(path):
    page = Page(path.stem)
    for kind, line, lines in blocks(path):
        if kind == "lua" and lines:
            page.lua(lines, line)
        elif kind == "console":
            page.console(lines, line)
    page.end()


def example(path):
    page = Page("example-" + path.stem)
    text = path.read_text()
    (page.folder / path.name).write_text(text)
    page.checked(path.name, path.name)
    first = re.search(r"^-- run: *(.*)$", text, re.M)
    for command in re.findall(r"^-- before: *(.*)$", text, re.M):
        page.sh(command)
    steps = [["rbhost run " + path.name + (" " + first[1] if first else ""), 0]]
    for word, rest in re.findall(r"^-- (then|exit): *(.*)$", text, re.M):
        if word == "then":
            steps.append([rest, 0])
        else:
            steps[-1][1] = int(rest)
    for command, want in steps:
        status, out = page.sh(command)
        check(f"{path.name}: $ {command}", status == want, f"exit status {status}, expected {want}\n{out}")
    page.end()


def only_checked():
    """examples/demo/run executes promote.lua, with its git, nginx and sqlite3; README's runbooks need what is not here."""
    page = Page("only-checked")
    texts = {"promote.lua": (ROOT / "examples/promote.lua").read_text()}
    for kind, line, lines in blocks(ROOT / "README.md"):
        if kind == "lua":
            texts[f"README-{line}.lua"] = "\n".join(lines) + "\n"
    for name, text in texts.items():
        (page.folder / name).write_text(text)
        page.checked(name, "README and examples")


def rows_of_events():
    """kind → the text of its row in docs/journal.md."""
    rows = {}
    for line in (ROOT / "docs/journal.md").read_text().splitlines():
        m = re.match(r"\| `([a-z.]+)` \| (?:yes)? *\| (.*) \|$", line)
        if m:
            rows[m[1]] = m[2]
    rows["undo.clear"] = ""
    return rows


def journal_page():
    rows = rows_of_events()
    unknown, seen = set(), set()
    for path in glob.glob(str(TMP / "*/.state/rbhost/journal.db")):
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        for kind, data in db.execute("SELECT kind, data FROM events"):
            seen.add(kind)
            if kind not in rows:
                unknown.add(kind)
                continue
            said = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]*)`", rows[kind]))))
            unknown |= {f"{kind}: {field}" for field in json.loads(data) if field not in said}
        db.close()
    check("docs/journal.md names every field of every event of these runs", not unknown, "\n".join(sorted(unknown)))
    check("these runs have most kinds of events", len(seen) > len(rows) * 3 // 4, sorted(set(rows) - seen))


def architecture_page():
    """The map of the house knows every file, and what it calls a function is one."""
    page = (ROOT / "docs/architecture.md").read_text()
    sources = sorted((ROOT / "host").glob("*/*.[ch]"))
    code = "".join(p.read_text() for p in sources)
    lost = [p.stem for p in sources if p.suffix == ".c" and f"`{p.stem}`" not in page and not p.stem.startswith("cmd_")]
    check("docs/architecture.md has every file of host/", not lost, " ".join(lost))
    named = set(re.findall(r"`([a-z_]+)\(\)`", page)) | set(re.findall(r"`(rb_[a-z_]+)", page))
    lost = sorted(n for n in named if not re.search(rf"\b{n}\b", code))
    check("what docs/architecture.md names is in the code", not lost, " ".join(lost))
    paths = set(re.findall(r"`((?:host|stdlib|tests|tools|docs)/[\w./-]+)`", page))
    lost = sorted(p for p in paths if not (ROOT / p).exists())
    check("the paths in docs/architecture.md lead somewhere", not lost, " ".join(lost))


for document_path in sorted((ROOT / "docs").glob("*.md")):
    document(document_path)
for example_path in sorted((ROOT / "examples").glob("*.lua")):
    if example_path.stem != "promote":
        example(example_path)
only_checked()
journal_page()
architecture_page()
finish()
