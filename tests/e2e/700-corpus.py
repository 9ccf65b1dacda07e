#!/usr/bin/env python3
"""The kept journals of every release (tests/corpus): a run that an older rbhost has left in the middle ends with today's as
it would have ended then. tests/corpus/make writes them."""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import shutil
import sqlite3
import sys

sys.dont_write_bytecode = True
sys.path[:0] = [os.environ["T"] + "/e2e", os.environ["T"] + "/verify2"]
import verify2
from lib import RBHOST, T, TMP, check, eq, finish

CORPUS = T / "corpus"
_spec = importlib.util.spec_from_loader(
    "corpus_make", importlib.machinery.SourceFileLoader("corpus_make", str(CORPUS / "make"))
)
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)


def sound(name, folder, run):
    journal = folder / "journal.db"
    code, said = make.act(folder, ["verify", run], "", [], RBHOST)
    check(f"{name}: rbhost verify", code == 0, said)
    db = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    eq(f"{name}: the second verifier", verify2.verify(db, run)[0], None)
    db.close()


releases = sorted(p.parent for p in CORPUS.glob("*/ends.json"))
check("there are journals of a release at least", len(releases) > 0, str(CORPUS))
for release in releases:
    check(f"{release.name}: the journal is one file", sorted(os.listdir(release)) == ["ends.json", "journal.db"], os.listdir(release))
    for case, end in json.loads((release / "ends.json").read_text()).items():
        name = f"{release.name} {case}"
        folder = TMP / f"{release.name}-{case}"
        folder.mkdir()
        shutil.copy(release / "journal.db", folder)
        (folder / "journal.db").chmod(0o600)
        eq(f"{name}: stands where it was left", make.newest(folder / "journal.db", case), (end["run"], end["from"]))
        sound(f"{name}, before", folder, end["run"])
        codes, said = [], ""
        for command in end["commands"]:
            code, words = make.act(folder, command, case, [], RBHOST)
            codes.append(code)
            said += words
        got = (codes, make.newest(folder / "journal.db", case)[1])
        check(f"{name}: its end", got == (end["codes"], end["status"]), f"got:  {got}\nwant: {(end['codes'], end['status'])}\n{said}")
        eq(f"{name}: what it has printed", make.prints(folder / "journal.db", end["run"]), end["prints"])
        sound(f"{name}, after", folder, end["run"])
finish()
