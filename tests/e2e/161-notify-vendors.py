#!/usr/bin/env python3
"""notify over HTTP: Slack, Mattermost, ntfy against receivers that hold each message against the vendor's published
rules (peers.py) and answer as the vendor does; refusals, 429, hang-ups, retries, fallback, TLS."""
import json
import os
import subprocess
import sys
import time
from email.utils import formatdate

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import ends, with_channels
from lib import TMP, check, contains, eq, finish
from peers import Receiver

NASTY = "a <b> & \"c\" *d* `e` <!channel> <@U1> ü 🎉 \\u0000"


def lua(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


with Receiver() as r:
    for kind, opts in (("slack", 'username = "rbhost", icon = ":robot_face:", channel = "#ops"'),
                       ("mattermost", 'username = "rbhost", icon = "https://x/y.png"'), ("ntfy", "")):
        url = r.url({"slack": "slack/services/T0/B0/x", "mattermost": "mattermost/hooks/x", "ntfy": "my-topic"}[kind])
        c = with_channels(f'ops = {{ type = "{kind}", url = "{url}", {opts} }},', f"""
        for _, s in ipairs {{ "debug", "info", "warning", "error", "critical" }} do
          notify("ops", {{ text = "t " .. s, severity = s }})
        end
        notify("ops", {{ title = "The title", text = {lua(NASTY)}, fields = {{ host = "db<1>", note = {lua(NASTY)} }}, dedup = "k" }})
        notify("ops", {{ text = "it is over", dedup = "k", action = "resolve" }})
        local many = {{}}
        for i = 1, 50 do many["f" .. i] = ("<"):rep(1900) end
        notify("ops", {{ title = ("t"):rep(250), text = ("&ü"):rep(20000) }})
        notify("ops", {{ text = ("&ü\\n"):rep(20000), fields = many }})
        notify("ops", {{ title = "only a title" }})
        """)
        before = len(r.got)
        done = c.run()
        ends(f"{kind}: messages of every severity, of every character, long ones, many fields", done, 0)
        eq(f"{kind}: none breaks a published rule", [w[:2] for w in r.wrong], [])
        got = [b for k, _, _, b in r.got[before:]]
        eq(f"{kind}: each came once", len(got), 10)
        whole = json.dumps(got[5], ensure_ascii=False)
        contains(f"{kind}: the title", whole, "The title")
        contains(f"{kind}: the fields", whole, "host")
        contains(f"{kind}: the run", whole, c.id)
        contains(f"{kind}: a long text is cut with a mark", json.dumps(got[7], ensure_ascii=False), "… [cut]")
        contains(f"{kind}: it says who sends", r.got[-1][2]["User-Agent"], "rbhost/")
        if kind == "slack":
            contains("slack: what could address people is escaped", whole, "&lt;!channel&gt; &lt;@U1&gt;")
            eq("slack: its own name, icon and place", [got[0][k] for k in ("username", "icon_emoji", "channel")],
               ["rbhost", ":robot_face:", "#ops"])
            eq("slack: posted to the webhook's URL", r.got[-1][1], "/slack/services/T0/B0/x")
        elif kind == "mattermost":
            eq("mattermost: colours by severity", len({g["attachments"][0]["color"] for g in got[:5]}), 5)
        else:
            eq("ntfy: priorities by severity", [g["priority"] for g in got[:5]], [1, 3, 4, 4, 5])
            eq("ntfy: posted to the root, with the topic", {(p, g["topic"]) for (k, p, _, g) in r.got[before:]}, {("/", "my-topic")})
            eq("ntfy: tags", [g["tags"][0] for g in got[:5]], ["mag", "information_source", "warning", "x", "rotating_light"])

    # -- what the receiver says

    URL = f'ops = {{ type = "slack", url = "{r.url("slack/x")}", timeout = "20s" }},'
    TRY = 'local r, e = pcall(notify, "ops", "x"); print(r, r and "" or e.kind, r and "" or e.outcome, r and "" or e.message)'
    c = with_channels(URL, TRY)
    r.answers += [(404, {}, b"channel_not_found")]
    n = len(r.tries)
    c.run()
    eq("a refusal fails it, with the receiver's word", c.prints(),
       ["false\tnotify.failed\tfailed\tthe message was not delivered: channel ops: it answered 404: channel_not_found"])
    eq("and is not repeated", len(r.tries) - n, 1)
    r.answers += [(302, {"Location": "http://127.0.0.1:1/"}, b"")]
    n = len(r.tries)
    c.run()
    check("a redirect is not followed, and says so", "which is not followed" in c.prints()[0] and len(r.tries) - n == 1, c.prints())
    r.answers += [(429, {"Retry-After": "1"}, b"rate_limited"), (503, {}, b"busy")]
    n = len(r.tries)
    c.run()
    eq("429 with Retry-After and 503 are waited for", c.prints(), ["true\t\t\t"])
    eq("three times it was sent", len(r.tries) - n, 3)
    r.answers += [(429, {"Retry-After": "3600"}, b"rate_limited")]
    c.run()
    contains("a wait that is longer than the time that is left fails it", c.prints()[0], "it answered 429: rate_limited")
    r.answers += [(429, {"Retry-After": formatdate(time.time() + 3600, usegmt=True)}, b"rate_limited")]
    n = len(r.tries)
    c.run()
    check("one that is said as a date, too", "it answered 429" in c.prints()[0] and len(r.tries) - n == 1, c.prints())
    r.answers += [(500, {}, b"rollup_error")]
    n = len(r.tries)
    c.run()
    check("a 500 may have been taken: its outcome is not known, and it is not repeated",
          "unknown" in c.prints()[0] and len(r.tries) - n == 1, c.prints())
    r.answers += ["hang up"]
    n = len(r.tries)
    c.run()
    check("nor is one that was read and never answered", "unknown" in c.prints()[0] and len(r.tries) - n == 1, c.prints())
    c = with_channels(f'm = {{ type = "mattermost", url = "{r.url("mattermost/x")}" }},', 'notify("m", "x")')
    r.answers += [(400, {}, b'{"id":"web.incoming","message":"Unable to find the channel.","status_code":400}')]
    contains("mattermost's own words", c.run().stderr, "it answered 400: Unable to find the channel.")
    c = with_channels(f'm = {{ type = "ntfy", url = "{r.url("x")}" }},', 'notify("m", "x")')
    r.answers += [(403, {}, b'{"code":40301,"http":403,"error":"forbidden"}')]
    contains("ntfy's own words", c.run().stderr, "it answered 403: forbidden")
    c = with_channels(f'm = {{ type = "slack", url = "{r.url("slack/x")}", fallback = "f" }}, f = {{ type = "file", path = "@DIR@/told" }},',
             'print(notify("m", "x").channel)')
    r.answers += [(410, {}, b"channel_is_archived")]
    ends("an archived channel falls back", c.run(), 0)
    eq("to the file", (c.prints(), len(c.lines("told"))), (["f"], 1))
    c = with_channels(f'm = {{ type = "ntfy", url = "{r.url("")}" }},', 'notify("m", "x")')
    contains("an ntfy URL without a topic says so", c.run().stderr, "names no topic")
    port = r.server.server_address[1]

c = with_channels(f'ops = {{ type = "slack", url = "http://127.0.0.1:{port}/slack", timeout = "3s" }},',
         'local _, e = pcall(notify, "ops", "x"); print(e.kind, e.outcome)')
ends("a receiver that is not there", c.run(), 0)
eq("nothing of it has left", c.prints(), ["notify.failed\tnot_started"])

# -- TLS

key, cert = TMP / "key.pem", TMP / "cert.pem"
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
with Receiver(tls=(cert, key)) as r:
    c = with_channels(f'ops = {{ type = "slack", url = "{r.url("slack/x")}" }},', 'notify("ops", "x")')
    done = c.run()
    ends("a certificate of an unknown authority", done, 1)
    check("is refused, and nothing was sent", not r.tries and "certificate" in done.stderr.lower(), done.stderr)
    c = with_channels(f'ops = {{ type = "slack", url = "{r.url("slack/x")}", ca_file = "{cert}" }},', 'notify("ops", "x")')
    ends("ca_file names the authority", c.run(), 0)
    c = with_channels(f'ops = {{ type = "slack", url = "{r.url("slack/x")}" }},', 'notify("ops", "x")', rest=f'http = {{ ca_file = "{cert}" }},')
    ends("so does http.ca_file of the configuration", c.run(), 0)
    eq("both came", len(r.got), 2)

finish()
