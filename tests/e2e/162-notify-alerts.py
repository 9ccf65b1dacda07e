#!/usr/bin/env python3
"""notify to machines that know what they were told: PagerDuty's Events v2 and signed webhooks, with their secrets; ntfy
with a token; what is repeated keeps its id."""
import base64
import json
import os
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends, with_channels
from lib import check, contains, eq, finish
from peers import Receiver, webhook_verify

ROUTING = "0123456789abcdef0123456789ABCDEF"
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SECRETS = {"ROUTING": ROUTING, "OLD": OLD, "NEW": NEW, "TOKEN": "tk_0123456789", "SHORT": "whsec_c2hvcnQtc2VjcmV0"}
TABLE = ", ".join(f'{k.lower()} = {{ env = "{k}" }}' for k in SECRETS)


def case(channels, text=None):
    c = with_channels(channels, text, f"secrets = {{ {TABLE} }},")
    c.env.update(SECRETS)
    return c


def quiet(name, c, *outputs):
    """No secret is anywhere in the journal or in what was printed."""
    everything = b"".join(f.read_bytes() for f in c.dir.glob("j.db*") if f.is_file()) + "".join(outputs).encode()
    check(name, not [k for k, v in SECRETS.items() if v.encode() in everything], "a secret is in the journal or in the output")


with Receiver() as r:
    # -- PagerDuty
    c = case(f'pager = {{ type = "pagerduty", key = {{ secret = "routing" }}, url = "{r.url("pagerduty/v2/enqueue")}", source = "db1" }},', """
    for _, s in ipairs { "debug", "info", "warning", "error", "critical" } do notify("pager", { text = s, severity = s }) end
    notify("pager", { title = "Disk full", text = ("long "):rep(3000), dedup = "disk", severity = "critical", fields = { free = "0", text = "own" } })
    notify("pager", { text = "on it", dedup = "disk", action = "acknowledge" })
    notify.resolve("pager", "disk")
    notify("pager", { text = ("s"):rep(3000) })
    """)
    done = c.run()
    ends("pagerduty: trigger, acknowledge, resolve", done, 0)
    eq("pagerduty: none breaks a published rule", r.wrong, [])
    got = [b for _, _, _, b in r.got]
    eq("pagerduty: actions", [b["event_action"] for b in got], ["trigger"] * 6 + ["acknowledge", "resolve", "trigger"])
    eq("pagerduty: severities are mapped", [b["payload"]["severity"] for b in got[:5]], ["info", "info", "warning", "error", "critical"])
    eq("pagerduty: one key for one thing", [b["dedup_key"] for b in got[5:8]], ["disk"] * 3)
    check("pagerduty: the others have keys of their own", len({b["dedup_key"] for b in got}) == 7, [b["dedup_key"] for b in got])
    eq("pagerduty: what it is about", {k: got[5]["payload"][k] for k in ("summary", "source", "component", "group")},
       {"summary": "Disk full", "source": "db1", "component": "t", "group": "lab"})
    eq("pagerduty: fields", {k: got[5]["payload"]["custom_details"][k] for k in ("free", "text", "run")}, {"free": "0", "text": "own", "run": c.id})
    eq("pagerduty: the routing key", {b["routing_key"] for b in got}, {ROUTING})
    contains("pagerduty: a long summary is cut", got[8]["payload"]["summary"], "[cut]")
    quiet("pagerduty: the routing key is nowhere else", c, done.stdout, done.stderr)
    r.answers.append((400, {}, json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": [f"'{ROUTING}' is wrong"]}).encode()))
    done = c.run()
    contains("pagerduty: its own words", done.stderr, "it answered 400: Event object is invalid: '")
    quiet("pagerduty: even when it repeats the key", c, done.stdout, done.stderr)
    n = len(r.tries)
    c.write("t.lua", 'notify("pager", { text = "x", dedup = "k" })')
    r.answers += [(429, {"Retry-After": "1"}, b""), (500, {}, b""), "hang up"]
    ends("pagerduty: 429, 500 and a hang-up are repeated, because it knows a key that comes twice", c.run(), 0)
    eq("pagerduty: four times the same", len({raw for _, _, raw in r.tries[n:]}), 1)
    eq("pagerduty: four times", len(r.tries) - n, 4)

    # -- webhooks
    r.got.clear(), r.raw.clear()
    c = case(f'hook = {{ type = "webhook", url = "{r.url("webhook")}", key = {{ {{ secret = "new" }}, {{ secret = "old" }} }}, headers = {{ ["X-Team"] = "ops" }} }},',
             'notify("hook", { title = "T", text = "ü", severity = "warning", dedup = "k", fields = { a = 1 } })')
    done = c.run()
    ends("webhook", done, 0)
    _, _, h, body = r.got[-1]
    eq("webhook: the message", {k: body["data"].get(k) for k in ("title", "text", "severity", "dedup", "fields", "run", "channel")},
       {"title": "T", "text": "ü", "severity": "warning", "dedup": "k", "fields": {"a": "1"}, "run": c.id, "channel": None})
    eq("webhook: its id is the message's", h["webhook-id"], body["data"]["id"])
    check("webhook: the new key verifies it", webhook_verify(NEW, h, r.raw[-1]), h)
    check("webhook: so does the old one, while they are being changed", webhook_verify(OLD, h, r.raw[-1]), h)
    check("webhook: another does not", not webhook_verify("whsec_" + base64.b64encode(b"x" * 32).decode(), h, r.raw[-1]))
    check("webhook: nor does it fit another body", not webhook_verify(NEW, h, r.raw[-1] + b" "))
    eq("webhook: own headers", h["X-Team"], "ops")
    quiet("webhook: its keys are nowhere", c, done.stdout, done.stderr)
    n = len(r.tries)
    r.answers += [(502, {}, b""), "hang up"]
    ends("webhook: what may have been taken is repeated", c.run(), 0)
    tries = r.tries[n:]
    eq("webhook: three times", len(tries), 3)
    eq("webhook: under one id", len({h["webhook-id"] for _, h, _ in tries}), 1)
    check("webhook: each signed for its own time", all(webhook_verify(NEW, h, raw) for _, h, raw in tries))
    n = len(r.tries)
    c.write("t.lua", """
    local n = 0
    notify("hook", { text = "x" }, { retry = { times = 3, delay = "10ms" }, timeout = "2s" })
    """)
    r.answers += [(400, {}, b"")] * 2
    ends("webhook: retry of the call repeats a refusal", c.run(), 0)
    eq("webhook: under the same id, too", (len(r.tries) - n, len({h["webhook-id"] for _, h, _ in r.tries[n:]})), (3, 1))
    c = case(f'hook = {{ type = "webhook", url = "{r.url("webhook")}", key = {{ secret = "short" }} }},', 'notify("hook", "x")')
    done = c.run()
    contains("webhook: a key that is none", done.stderr, "its key is no signing secret: whsec_ and the base64 of 24 to 64 bytes")
    c = case(f'hook = {{ type = "webhook", url = "{r.url("webhook")}", key = {{ secret = "new" }}, fallback = "f" }}, f = {{ type = "file", path = "@DIR@/told" }},',
             'notify("hook", "x")')
    del c.env["NEW"]
    ends("a secret that is not there: the channel falls back", c.run(), 0)
    eq("to the file", len(c.lines("told")), 1)

    # -- ntfy
    c = case(f'phone = {{ type = "ntfy", url = "{r.url("topic")}", token = {{ secret = "token" }} }}, basic = {{ type = "ntfy", url = "{r.url("")}", topic = "t2", user = "me", password = {{ secret = "token" }} }},',
             'notify("phone", "x") notify("basic", "y")')
    done = c.run()
    ends("ntfy with a token, and with a password", done, 0)
    eq("ntfy: they go in the header", [h["Authorization"] for _, _, h, _ in r.got[-2:]],
       ["Bearer tk_0123456789", "Basic " + base64.b64encode(b"me:tk_0123456789").decode()])
    quiet("ntfy: and nowhere else", c, done.stdout, done.stderr)

    # -- out of doubt: the same id
    c = case(f'hook = {{ type = "webhook", url = "{r.url("webhook")}", key = {{ secret = "new" }} }},', 'notify("hook", "x")')
    for point in ("notify.before-send", "notify.after-send", "effect.before-outcome", "effect.after-outcome"):
        n = len(r.tries)
        c.run(binary=os.environ["RBHOST_FAULT_BIN"], env={"RBHOST_FAULT": f"kill:{point}:1"})
        ends(f"killed at {point}: the resume ends it without asking", c.rb("resume", c.id), 0)
        ids = [h["webhook-id"] for _, h, _ in r.tries[n:]]
        check(f"{point}: delivered, and each time under one id", 1 <= len(ids) <= 2 and len(set(ids)) == 1, ids)

    # -- the command
    ends("rbhost notify with a secret", c.rb("notify", "hook", "x"), 0)
    check("is signed", webhook_verify(NEW, r.got[-1][2], r.raw[-1]))

finish()
