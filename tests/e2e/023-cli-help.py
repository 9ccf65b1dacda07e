#!/usr/bin/env python3
"""docs/cli.md, table by table, against what each command's --help says, and against what the command takes."""
import os
import pathlib
import re
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from lib import check, eq, finish, rbhost

PAGE = (pathlib.Path(os.environ["ROOT"]) / "docs" / "cli.md").read_text()
SECTION = re.compile(r"^## rbhost ?(.*)$", re.M)
ROW = re.compile(r"^\| `((?:[^`\\]|\\.)*)` \| (.*) \| (?:`(\w+)`)? ?\|$", re.M)
OPTION = re.compile(r"^ {2}(-\w, | {4})(--\S+(?: \S+)?)(?:\s{2,}|\n\s+)(.*)$", re.M)


def by_page(text):
    """{words: (meaning, variable)} of a table."""
    return {words.replace("\\|", "|"): (meaning, variable or "") for words, meaning, variable in ROW.findall(text)}


def by_help(text):
    """The same of the list in a command's help."""
    own = text.split("\nOptions of every command:")[0].partition("\nOptions (")[2]
    found = {}
    for letter, words, meaning in OPTION.findall(own):
        variable = re.search(r" \[(RBHOST_\w+)\]$", meaning)
        found[letter.strip(" ") + (" " if letter.strip() else "") + words] = (
            meaning[: variable.start()] if variable else meaning,
            variable[1] if variable else "",
        )
    return found


parts = SECTION.split(PAGE)
sections = dict(zip(parts[1::2], parts[2::2]))
check("the page has every command", len(sections) > 25, list(sections))
for name, text in sections.items():
    words = name.split()
    r = rbhost(*words, "--help")
    if not words:  # bare rbhost: its help is the overview
        continue
    page, told = by_page(text), by_help(r.stdout)
    eq(f"{name}: the table has the options of --help, word by word", page, told)
    usage = re.search(r"^Usage: `?([^`\n]*)`?$", text, re.M)
    check(f"{name}: the same usage", usage and f"Usage: {usage[1]}\n" in r.stdout, (usage and usage[1], r.stdout))
    options = set()
    for option in page:
        long = re.search(r"--(\[no-\])?([a-z-]+)", option)
        options |= {f"--{long[2]}"} | ({f"--no-{long[2]}"} if long[1] else set())
    everywhere = PAGE.split("## Places")[0] + "--take-back"  # what `export` says of `resume`
    known = options | set(re.findall(r"--[a-z-]+", everywhere))
    named = set(re.findall(r"--[a-z][a-z-]+", text))
    eq(f"{name}: what its text names is in a table", named - known, set())
    unknown = [o for o in sorted(options) if "unknown option" in rbhost(*words, o, "--help").stderr]
    eq(f"{name}: takes each of them", unknown, [])
finish()
