"""Secrets under the sweep: each is the same text after every resume, and none is in a file that rbhost writes."""

import base64

from case import BOOKS
from scenarios import Scenario

TEXTS = {"token": "crash-token-0001", "told": "crash-told-000002", "file": "crash-file-00003", "command": "crash-command-04"}


class Secrets(Scenario):
    name, book, short = "secrets of every kind", "secrets.lua", 60

    def next(self, case, status):
        if status is None:
            self.prepare(case)
            return ["run", BOOKS / self.book, f"token=@{case.folder}/token"]
        return super().next(case, status)

    def prepare(self, case):
        for name, text in TEXTS.items():
            (case.folder / name).write_text(text + "\n")
        (case.folder / "rbhost").mkdir(exist_ok=True)
        (case.folder / "rbhost/config.lua").write_text(
            'return { secrets = { file = { file = "%s/file" }, command = { command = { "cat", "%s/command" } } } }'
            % (case.folder, case.folder)
        )

    def check(self, case, events):
        given = [line.split("|") for line in (case.folder / "given").read_text().splitlines()]
        plain = {tuple(g) for g in given if len(g[1]) == 22}
        if len(plain) != 1:
            case.problem("variables", f"one secret has had {len(plain)} texts: {plain}")
        for token, random, told, file, command in given:
            if (token, file, command) != (TEXTS["token"], TEXTS["file"], TEXTS["command"]) or TEXTS["told"] not in told:
                case.problem("variables", f"a command was given {token} {told} {file} {command}")
        texts = {*TEXTS.values(), *(t for g in given for t in g)}
        forms = {f for t in texts for f in (t.encode(), base64.b64encode(t.encode())[:-4])}
        for path in case.folder.glob("j.db*"):
            data = path.read_bytes() if path.is_file() else b""
            case.problem("secret", f"a secret is in {path.name}") if any(f in data for f in forms) else None
