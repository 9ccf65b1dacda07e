"""Messages under the sweep. The world is a receiver of webhooks and a file: what was sent is there at least once, what
came more often has one id, and a message through the file came more often only where the journal says so."""

import collections
import json
import pathlib
import sys

from case import BOOKS
from scenarios import Scenario

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from peers import Receiver, webhook_verify  # noqa: E402

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Notify(Scenario):
    name, book, short = "messages, and what the header tells", "notify.lua", 60
    answers = {"Go on?": ["approve"]}

    def next(self, case, status):
        if status is None and "receiver" not in case.memory:
            r = case.memory["receiver"] = Receiver()
            (case.folder / "key").write_text(KEY)
            (case.folder / "rbhost").mkdir()
            (case.folder / "rbhost/config.lua").write_text(
                'return { secrets = { key = { file = "%s/key" } }, channels = { file = { type = "file", path = "%s/told" },'
                ' hook = { type = "webhook", url = "%s", key = { secret = "key" } } } }'
                % (case.folder, case.folder, r.url("webhook"))
            )
        return super().next(case, status)

    def check(self, case, events):
        r = case.memory["receiver"]
        r.close()
        hook = [body["data"] for _, _, _, body in r.got]
        file = [json.loads(line) for line in (case.folder / "told").read_text().splitlines()]
        for (_, headers, raw) in r.tries:
            if not webhook_verify(KEY, headers, raw):
                case.problem("variables", f"a webhook is not signed: {headers}")
        for where, got in (("hook", hook), ("file", file)):
            ids = collections.defaultdict(set)
            for m in got:
                ids[m["title"], m["text"]].add(m["id"])
            for what, one in ids.items():
                if len(one) > 1:
                    case.problem("doubled", f"{what} came through {where} under {len(one)} ids: {one}")
        texts = collections.Counter(m["text"] for m in hook + file)
        for text in ("hook one", "hook two", "hook three", "hook four", "file one", "file two"):
            marked = sum(
                e.data.get("twice") is True for e in events if e.kind == "intent" and e.data["args"].get("text") == text
            )
            if not texts[text]:
                case.problem("lost", f"{text} was not told")
            if text.startswith("file") and texts[text] > 1 + marked:
                case.problem("doubled", f"{text} was told {texts[text]} times, {1 + marked} allowed")
        for state in ("waiting", "succeeded"):
            notices = [e for e in events if e.kind == "notice" and e.data["for"] == state]
            ids = {m["id"] for m in hook if f"-{state}-" in m["id"]}
            if len(notices) > 1 or len(ids) > 1:
                case.problem("doubled", f"{state}: told as {ids}, recorded {len(notices)} times")
            # a question that is answered while nobody drives the run need not be told of any more
            if (notices and not ids) or (state == "succeeded" and (not notices or not notices[0].data["ok"])):
                case.problem("lost", f"{state}: told as {ids}, recorded {len(notices)} times")
