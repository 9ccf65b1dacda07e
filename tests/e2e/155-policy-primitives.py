#!/usr/bin/env python3
"""One refusal of every primitive, by the header's allow, by the site's allow and by its deny: of kind policy, before
anything is started, with the world as it was, and with words that say whose list it is, where it stands and what to do."""
import http.server
import os
import socket
import sys
import threading

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case
from lib import check, contains, eq, finish


class Asked(http.server.BaseHTTPRequestHandler):
    """Counts; /hop leads to what is asked for in its query."""

    def do_GET(self):
        asked.append(self.path)
        hop = self.path.startswith("/hop?")
        self.send_response(302 if hop else 200)
        if hop:
            self.send_header("Location", self.path[5:])
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *args):
        pass


asked = []
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked)
threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
PORT = server.server_address[1]
U = f"http://127.0.0.1:{PORT}"

# kind of the list, what else it needs, a pattern that lets it through, one that does not, the call
CALLS = {
    "exec": ("exec", "touch **", "true", 'exec { "touch", "@DIR@/world" }'),
    "http": ("http", U, "https://x.invalid", f'http.post("{U}/post")'),
    "sql": ("sql", "sqlite:@DIR@/*.sqlite", "sqlite:/nowhere/*.db",
            'sql.open("sqlite:@DIR@/world.sqlite?mode=rwc"):exec "CREATE TABLE t (a)"'),
    "sql by name": ("sql", "app", "other", 'sql.open("app"):exec "CREATE TABLE t (a)"'),
    "file": ("file", "@DIR@/world", "@DIR@/in", 'file.write("world", "x")'),
    "file, remove": ("file", "@DIR@/held", "@DIR@/in", 'file.remove("held")'),
    "file, through a link": ("file", "@DIR@", "@DIR@/in", 'file.write("in/link", "x")'),
    "notify": ("notify", "ops", "team-*", 'notify("ops", "hello")'),
}
CONFIG = """return {
  dsns = { app = "sqlite:@DIR@/world.sqlite?mode=rwc" },
  channels = { ops = { type = "file", path = "@DIR@/world" } },
  policy = POLICY,
}
"""
BOOK = """runbook { allow = ALLOW }
local ok, e = pcall(function() CALL end)
print(ok, e and e.kind, e and e.outcome)
print(e and e.message)
"""


def one(call, allow="nil", policy="nil"):
    c = Case(BOOK.replace("ALLOW", allow).replace("CALL", call))
    c.write("config.lua", CONFIG.replace("POLICY", policy)).chmod(0o644)
    c.write("held", "held")
    (c.dir / "in").mkdir()
    (c.dir / "in/link").symlink_to(c.dir / "held")
    asked.clear()
    c.said = c.rb("--config", "config.lua", "run", c.name)
    return c, (c.prints() + ["", ""])[:2]


def world(c):
    return [f for f in ("world", "world.sqlite") if (c.dir / f).exists()], c.text("held"), list(asked)


for name, (kind, through, other, call) in CALLS.items():
    lists = lambda pattern: f'{{ {kind} = {{ "{pattern}" }} }}'
    c, got = one(call, lists(through), f"{{ allow = {lists(through)} }}")
    check(f"{name}: what both lists name is done", got[0].startswith("true") and world(c) != ([], "held", []),
          f"{got}\n{c.said.stdout}{c.said.stderr}")
    deny = "@DIR@/held" if "link" in name else through
    for whose, allow, policy, where, what in (
        ("the header's allow", lists(other), "nil", f"header's allow.{kind} (t.lua:1)", "name it there"),
        ("the site's allow", "nil", f"{{ allow = {lists(other)} }}", f"policy.allow.{kind} of the configuration (config.lua:4)", ""),
        ("the site's deny", lists(through), f"{{ deny = {lists(deny)} }}", f"policy.deny.{kind} of the configuration (config.lua:4)", ""),
    ):
        c, got = one(call, allow, policy)
        eq(f"{name}: refused by {whose}", got[0], "false\tpolicy\tnot_started")
        contains(f"{name}: {whose} is named, with its line", got[1], where)
        contains(f"{name}: {whose}: what to do", got[1], what)
        eq(f"{name}: {whose}: the world is as it was", world(c), ([], "held", []))
        if "link" not in name:  # where one leads is found on the way
            eq(f"{name}: {whose}: there is no intent", c.events("intent"), [])

# -- the ways of a request

GET = f'{{ http = {{ "{U}/hop" }} }}'
c, got = one(f'http.get("{U}/hop?/other")', GET)
eq("http: a hop that the header does not name", (got[0], asked), ("false\tpolicy\tfailed", ["/hop?/other"]))
contains("http: the hop is named", got[1], f"{U}/other")
c, got = one(f'http.get("{U}/hop?/other")', "nil", f'{{ deny = {{ http = {{ "{U}/other" }} }} }}')
eq("http: a hop that the site forbids", (got[0], asked), ("false\tpolicy\tfailed", ["/hop?/other"]))
contains("http: by whom", got[1], "policy.deny.http of the configuration (config.lua:4)")

name = socket.gethostname()  # of /etc/hosts, perhaps, or localhost by another name
aliases = [n for n in ("localhost.localdomain", "ip6-localhost", "ip6-loopback", name, "alias.localhost") if n]


def is_loopback(n):
    try:
        return all(a[4][0] == "::1" or a[4][0].startswith("127.") for a in socket.getaddrinfo(n, PORT, type=socket.SOCK_STREAM))
    except OSError:
        return False


found = [n for n in aliases if is_loopback(n)]
if not found:
    check("http: a name that leads to loopback # SKIP no name does here", True)
for n in found[:2]:
    for whose, allow, policy in (("header", f'{{ http = {{ "http://*:{PORT}" }} }}', "nil"),
                                 ("site", "nil", f'{{ allow = {{ http = {{ "http://*:{PORT}" }} }} }}')):
        c, got = one(f'http.get("http://{n}:{PORT}/")', allow, policy)
        eq(f"http: {n} leads to loopback, of which the {whose} says nothing", (got[0], asked), ("false\tpolicy\tnot_started", []))
        check("http: the address is named, and what allows it", "loopback" in got[1], got[1])
c, got = one('http.get("http://169.254.169.254/", { timeout = "1s" })', '{ http = { "http://*" } }')
eq("http: a link-local address that no list names", got[0], "false\tpolicy\tnot_started")
contains("http: the message says what it is", got[1], "169.254.169.254")
contains("http: and what allows it", got[1], "link_local")
c, got = one('http.get("http://169.254.169.254/", { timeout = "1s" })', '{ http = { "http://169.254.169.254" } }',
             '{ link_local = false }')
eq("http: one that the site forbids", got[0], "false\tpolicy\tnot_started")
server.shutdown()
server.server_close()
finish()
