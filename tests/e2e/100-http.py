#!/usr/bin/env python3
"""http against a server that misbehaves: what goes out, what comes back, and for each way to fail its own kind and its
true outcome; redirects, Retry-After, a POST that is sent once."""

import os
import socket
import sys
import threading

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, park, prints
from hostile import Hostile
from lib import check, contains, eq, finish, lacks, wait_for

s = Hostile()
U = s.url


def book(text):
    return text.replace("@U@", U)


# -- what goes in

for bad, says in (
    ("http()", "http"),
    ('http("x")', "http.get"),
    ("http.get()", "URL"),
    ("http.get({})", "URL"),
    ('http.get("x")', "http://"),
    ('http.get("file:///etc/passwd")', "http://"),
    ('http.get("http://x/a b")', "space"),
    ('http.get("http://x/\\r\\nX: y")', "line end"),
    ('http.get("http://x/a\\0b")', "NUL"),
    ('http.get("http://x", { querry = {} })', "did you mean query"),
    ('http.get("http://x", { json = {} })', "unknown option"),
    ('http.get("http://x", { query = "a=b" })', "query"),
    ('http.get("http://x", { query = { a = {{}} } })', "query.a"),
    ('http.get("http://x#y", { query = { a = 1 } })', "#"),
    ('http.get("http://x", { headers = { ["a b"] = "c" } })', "header"),
    ('http.get("http://x", { headers = { a = "b\\r\\nc: d" } })', "line end"),
    ('http.get("http://x", { headers = { a = {{}} } })', "headers.a"),
    ('http.get("http://x", { headers = { ["Content-Length"] = "5" } })', "Content-Length"),
    ('http.get("http://x", { auth = "me" })', "auth"),
    ('http.get("http://x", { auth = { user = "a:b", password = "c" } })', "auth"),
    ('http.get("http://x", { auth = { "a", "b" }, bearer = "c" })', "enough"),
    ('http.get("http://x", { bearer = 5 })', "bearer"),
    ('http.get("http://x", { tls = { sni = "x" } })', "tls.sni"),
    ('http.get("http://x", { tls = { pins = "md5" } })', "pins"),
    ('http.get("http://x", { expect = "ok" })', "expect"),
    ('http.get("http://x", { expect = 42 })', "expect"),
    ('http.get("http://x", { expect = "300-200" })', "expect"),
    ('http.get("http://x", { follow = -1 })', "follow"),
    ('http.get("http://x", { max_body = "1M" })', "max_body"),
    ('http.get("http://x", { timeout = "soon" })', "timeout"),
    ('http.get("http://x", { save = "a/../../b" })', "save"),
    ('http.post("http://x", { json = 1, form = {} })', "one body"),
    ('http.post("http://x", { body = 5 })', "body"),
    ('http.post("http://x", { body = { a = 1 } })', "body"),
    ('http.post("http://x", { multipart = { a = { file = 5 } } })', "multipart"),
    ('http{ method = "A B", url = "http://x" }', "method"),
    ('http.fetch("http://x")', ""),
):
    c = Case(bad)
    r = c.run()
    good = r.returncode == 1 and "t.lua:1: " in r.stderr and says in r.stderr and not c.events("intent", "result")
    check(f"{bad}: an error of the author, with its place, before anything starts", good, r.stdout + r.stderr)

c = Case(book(r"""
local r = http.get("@U@/echo?z=0", { query = { a = "x y&=ü", b = { 1, true } } })
print(r.body, r.headers["x-method"], r.status, r.url == "@U@/echo?z=0&a=x%20y%26%3D%C3%BC&b=1&b=true")
r = http.post("@U@/echo", { json = { a = { 1, "ü\n" }, b = json.object {} } }) print(r.body, r.headers["content-type"])
print(r.json().a[2] == "ü\n", r:json().a[1])
r = http.post("@U@/echo", { form = { a = "1 2", b = "&" } }) print(r.body, r.headers["content-type"])
r = http.put("@U@/echo", { body = "a\0b" }) print(r.body == "a\0b", r.headers["content-type"])
r = http.post("@U@/echo", { multipart = { a = "text", f = { file = "@DIR@/up", name = "u.txt", type = "text/plain" } } })
print((r.body:gsub("rbhost%-%x+", "B"):gsub("\r\n", "|")))
r = http.patch("@U@/echo", { body = { file = "@DIR@/up" } }) print(r.body, r.headers["x-method"])
r = http { url = "@U@/echo", method = "options" } print(r.headers["x-method"])
print(#http.get("@U@/binary").body, http.get("@U@/binary").body:sub(256, 257) == "\255\0")
r = http.get("@U@/headers") print(r.headers["x-two"], r.headers["set-cookie"][2], r.headers["x-up"])
r = http.head("@U@/hello") print(r.status, r.body == "")
r = http.get("@U@/gzip") print(#r.body, r.body:sub(1, 17))
print(http.delete("@U@/status/204").status, http.get("@U@/status/418", { expect = { "4xx" } }).status,
    http.get("@U@/status/500", { expect = false }).status, http.get("@U@/status/302", { expect = 302, follow = 0 }).status)
r = http.get("@U@/big", { save = "@DIR@/down" }) print(r.saved.size, r.saved.path == "@DIR@/down", r.body)
http.get("@U@/hello", { auth = { user = "ada", password = "pä:ss" } })
http.get("@U@/hello", { bearer = "t0ken" })
http.get("@U@/hello", { headers = { ["X-List"] = { "a", "b" }, ["X-N"] = 5, ["X-Empty"] = "" } })
"""))
c.write("up", "file's text")
r = c.run()
ends("requests of every form", r, 0)
contains("the screen says what is asked", r.stderr + r.stdout, f"http POST {U}/echo")
eq("come back as they should", c.prints(), [
    "/echo?z=0&a=x%20y%26%3D%C3%BC&b=1&b=true\tGET\t200\ttrue",
    '{"a":[1,"ü\\n"],"b":{}}\tapplication/json', "true\t1",
    "a=1%202&b=%26\tapplication/x-www-form-urlencoded",
    "true\ttext/plain",
    '--B|Content-Disposition: form-data; name="a"||text|--B|Content-Disposition: form-data; name="f"; filename="u.txt"|Content-Type: text/plain||file\'s text|--B--|',
    "file's text\tPATCH", "OPTIONS", "1024\ttrue", "a, b\tb=2\tv", "200\ttrue", "1800\tsmall when packed",
    "204\t418\t500\t302", "10000\ttrue\t",
])
eq("the file is whole", c.text("down"), "0123456789" * 1000)
hello = [e[2] for e in s.asked("/hello", "GET")]
eq("basic, bearer", [h.get("authorization") for h in hello[:2]], ["Basic YWRhOnDDpDpzcw==", "Bearer t0ken"])
eq("headers", (hello[2].get("x-n"), hello[2].get("x-empty")), ("5", ""))
check("who asks says so", hello[0]["user-agent"].startswith("rbhost/"), hello[0])
lacks("no plain password in the journal", str(c.sql("SELECT data FROM events")), "YWRhOnDDpDpzcw")
reused = [e["value"]["reused"] for e in c.events("result")]
check("connections are kept for what can be repeated", reused[-1] and s.connections < len(s.log), (reused, s.connections))

# -- how it fails: kind, outcome of a read and of an effect

for path, kind, read, effect in (
    ("/status/404", "http.status", "failed", "failed"),
    ("/status/500", "http.status", "failed", "failed"),
    ("/close", "http.reset", "failed", "unknown"),
    ("/reset", "http.reset", "failed", "unknown"),
    ("/reset-body", "http.reset", "failed", "unknown"),
    ("/half-head", "http.reset", "failed", "unknown"),
    ("/short", "http.reset", "failed", "unknown"),
    ("/chunks", "http.protocol", "failed", "unknown"),
    ("/noise", "http.protocol", "failed", "unknown"),
    ("/bad-gzip", "http.protocol", "failed", "unknown"),
    ("/many-headers", "http.too_big", "failed", "unknown"),
):
    c = Case(book(f"""
        for _, call in ipairs {{ http.get, http.post }} do
            local ok, e = pcall(call, "@U@{path}")
            print(ok, e.kind, e.outcome, e.message, e.where)
        end
    """))
    c.run()
    got = [p.split("\t") for p in c.prints()]
    eq(f"{path}: kind and outcome", [g[1:3] for g in got], [[kind, read], [kind, effect]])
    check(f"{path}: the message says what was tried", all(U + path in g[3] and "t.lua:3" in g[4] for g in got), got)
    eq(f"{path}: the POST was sent once", len(s.asked(path, "POST")), 1)

prints("what can not be sent has not happened", book(r"""
    for url, opts in pairs { ["http://127.0.0.1:1/"] = {}, ["http://nobody.invalid/"] = {}, ["@U@/hello"] = { unix = "@DIR@/none.sock" } } do
        local ok, e = pcall(http.post, url, opts)
        print(e.kind, e.outcome, e.retryable)
    end
"""), ["http.refused\tnot_started\ttrue", "http.connect\tnot_started\ttrue", "http.resolve\tnot_started\ttrue"])
prints("a time-out says so, and a slow drip is one", book(r"""
    for _, path in ipairs { "/hang", "/drip" } do
        local ok, e = pcall(http.post, "@U@" .. path, { timeout = "150ms" })
        print(e.kind, e.outcome)
        ok, e = pcall(http.get, "@U@" .. path, { timeout = "150ms" })
        print(e.kind, e.outcome)
    end
"""), ["http.timeout\tunknown", "http.timeout\tfailed"] * 2)
prints("a body that is too big is an error of a read, and cut in an effect, which has happened", book(r"""
    local ok, e = pcall(http.get, "@U@/big", { max_body = 100 }) print(e.kind, e.outcome)
    ok, e = pcall(http.get, "@U@/endless") print(e.kind)
    ok, e = pcall(http.get, "@U@/bomb") print(e.kind)
    local r = http.post("@U@/big", { max_body = 100 })
    print(#r.body, r.body_cut.total, #r.body_cut.sha256)
    ok, e = pcall(r.json) print(e.kind)
"""), ["http.too_big\tfailed", "http.too_big", "http.too_big", "100\t10000\t64", "http.json"])
plain = socket.create_server(("127.0.0.1", 0))


def answer_plainly():
    peer, _ = plain.accept()
    with peer:
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(65536):
            pass


threading.Thread(target=answer_plainly, daemon=True).start()
prints("messages say what is wrong, and what to do", book(r"""
    local function says(word, ...)
        local ok, e = pcall(...)
        print(not ok and e.message:find(word, 1, true) ~= nil or e.message)
    end
    says("(max_body); take more, or keep it in a file with save", http.get, "@U@/big", { max_body = 100 })
    says("(max_body); take more, or keep it in a file with save", http.get, "@U@/chunks", { max_body = 1 })
    says("no TLS handshake with 127.0.0.1", http.get, "https://127.0.0.1:@PLAIN@/")
    says("nobody answers at the socket @DIR@/none (unix)", http.get, "http://x/", { unix = "none" })
    says("multipart.f is a text or { file =, name =, type = }, not fil", http.post, "@U@/echo", { multipart = { f = { fil = "x" } } })
    says('max_body (bytes) must be a whole number from 0, got 1MiB', http.get, "@U@/big", { max_body = "1MiB" })
    says("/bad-json: the body is not JSON: json.decode: line 1", http.get("@U@/bad-json").json)
    says("save must be a string, got a secret", http.get, "@U@/hello", { save = random_secret(64) })
    says("is a secret: pass it to an operation", json.encode, { random_secret(64) })
""").replace("@PLAIN@", str(plain.getsockname()[1])), ["true"] * 9)
prints("what is not JSON", book(r"""
    local ok, e = pcall(http.get("@U@/bad-json").json) print(e.kind, e.message:find("JSON") ~= nil)
    print(http.get("@U@/json").json().a[3].b == null)
"""), ["http.json\ttrue", "true"])
c = Case(book('pcall(http.get, "@U@/short", { save = "@DIR@/part" })'))
c.run()
eq("a file that did not come whole leaves nothing", sorted(f.name for f in c.dir.iterdir() if "part" in f.name or "rbhost-" in f.name), [])

# libcurl would send it again on a new connection, and again
c = Case(book(r"""
    for i = 1, 3 do http.get("@U@/hello") end
    print(pcall(http.post, "@U@/close", { body = "once" }))
    http.get("@U@/hello")
    local ok, e = pcall(http.put, "@U@/close?put") print(e.kind, e.outcome, e.retryable)
"""))
before = len(s.asked("/close", "POST"))
c.run()
eq("a POST on a kept connection that closes is sent once", len(s.asked("/close", "POST")) - before, 1)
eq("and so is a PUT", (len(s.asked("/close", "PUT")), c.prints()[1]), (1, "http.reset\tunknown\ttrue"))

# -- redirects

other = Hostile()
prints("redirects are followed, each noted", book(r"""
    local r = http.get("@U@/to/302?/to/301?/hello") print(r.body, r.url == "@U@/hello", #r.redirects, r.redirects[2] == "@U@/to/301?/hello")
    print(http.post("@U@/to/303?/echo", { follow = 1, body = "x" }).headers["x-method"])
    print(http.post("@U@/to/302?/echo", { follow = 1, body = "x" }).headers["x-method"])
    r = http.post("@U@/to/307?/echo", { follow = 1, body = "kept" }) print(r.headers["x-method"], r.body)
    local ok, e = pcall(http.post, "@U@/to/307?/echo") print(e.kind, e.outcome)
    ok, e = pcall(http.get, "@U@/loop") print(e.kind, e.message:find("5 redirects") ~= nil)
    ok, e = pcall(http.get, "@U@/to/302?file:///etc/passwd") print(e.kind)
    ok, e = pcall(http.post, "@U@/to/303?http://127.0.0.1:1/", { follow = 1 }) print(e.kind, e.outcome)
"""), ["hello\ttrue\t2\ttrue", "GET", "GET", "POST\tkept", "http.status\tfailed", "http.redirect\ttrue", "http.redirect",
       "http.refused\tunknown"])
prints("credentials stay with their origin", book(r"""
    local opts = { bearer = "t0ken", headers = { Cookie = "a=1", ["X-Plain"] = "p" } }
    http.get("@U@/to/302?@O@/hello", opts)
    http.get("@U@/to/302?/hello", opts)
""").replace("@O@", other.url), [])
eq("another origin gets none", [other.log[0][2].get(k) for k in ("authorization", "cookie", "x-plain")], [None, None, "p"])
eq("the same gets them", s.asked("/hello")[-1][2].get("authorization"), "Bearer t0ken")
c = Case(book(r"""
    runbook { allow = { http = { "http://127.0.0.1:@P@/*" } } }
    local ok, e = pcall(http.get, "@U@/to/302?@O@/hello") print(e.kind, e.outcome)
    ok, e = pcall(http.get, "@O@/hello") print(e.kind, e.outcome)
""").replace("@O@", other.url).replace("@P@", str(s.port)))
before = len(other.log)
c.run()
eq("each hop is asked about", (c.prints(), len(other.log) - before), (["policy\tfailed", "policy\tnot_started"], 0))

c = Case(book(r"""
    for _, url in ipairs { "@U@/hello", "http://localhost:@P@/hello", "http://2130706433:@P@/hello" } do
        local ok, e = pcall(http.post, url) print(e.kind, e.outcome)
    end
""").replace("@P@", str(s.port)))
c.write("conf.lua", "return { policy = { loopback = false } }")
before = len(s.log)
c.run("--config", "conf.lua")
eq("addresses are asked about, whatever their name", (c.prints(), len(s.log) - before), (["policy\tnot_started"] * 3, 0))

# -- come back later

c = Case(book(r"""
    print(http.get("@U@/busy/503/0").body, http.put("@U@/busy/429/0").body, http.get("@U@/busy-date").body)
    local ok, e = pcall(http.post, "@U@/busy/503/0?post") print(e.kind, e.outcome, e.retryable, e.result.retry_after)
    ok, e = pcall(http.get, "@U@/busy/503/0?no", { retry = false }) print(e.kind)
    ok, e = pcall(http.get, "@U@/busy/503/7200") print(e.kind, e.result.retry_after)
    print(http.post("@U@/busy/429/0?retry", { retry = { times = 2, delay = "1ms" } }).body)
    print(http.get("@U@/busy/503/1?waits").body)
"""))
ends("Retry-After", c.run(), 0)
eq("is heeded where it is harmless, and where the author says", c.prints(),
   ["at the 2. time\tat the 2. time\tnow", "http.status\tfailed\ttrue\t0.0", "http.status", "http.status\t7200.0",
    "at the 2. time", "at the 2. time"])
slept = [e for e in c.events("wait") if e["op"] == "sleep"]
eq("the waiting is in the journal", len(slept), 2)

# -- secrets

c = Case(book(r"""
    local p = runbook { params = { token = { "secret" } } }
    local r = http.post("@U@/echo", { query = { k = p.token }, json = { t = p.token, s = "Bearer " .. p.token }, bearer = p.token })
    print(r.body)
    print(http.post("@U@/echo", { form = { t = p.token } }).body)
    http.get("@U@/hello", { auth = { user = "u", password = p.token } })
    local ok, e = pcall(http.get, "@U@/status/400?k=" .. tostring(p.token)) print(e.kind)
    ok, e = pcall(http.get, "http://u:pl4inpassword@127.0.0.1:1/x?k=q") print(e.message)
    ok, e = pcall(http.get, "http://u:" .. p.token .. "@127.0.0.1:1/x") print(e.message)
"""))
(c.dir / "tok").write_text('s3cr3t"/&value')
r = c.run("token=@" + str(c.dir / "tok"))
ends("secrets in every part", r, 0)
body = s.asked("/echo", "POST")[-2]
eq("the wire has them, encoded", (body[1], body[3], body[2]["authorization"]),
   ("/echo?k=s3cr3t%22%2F%26value", b'{"s":"Bearer s3cr3t\\"/&value","t":"s3cr3t\\"/&value"}', 'Bearer s3cr3t"/&value'))
eq("form", s.asked("/echo", "POST")[-1][3], b"t=s3cr3t%22%2F%26value")
eq("basic", s.asked("/hello")[-1][2]["authorization"], "Basic dTpzM2NyM3QiLyZ2YWx1ZQ==")
text = str(c.sql("SELECT data FROM events")) + r.stdout + r.stderr
lacks("the journal and the screen do not", text, 's3cr3t"')
lacks("nor the password of a URL", text, "pl4in")
contains("a placeholder of a secret that was printed is refused", c.prints()[2], "usage")
contains("messages show no password", c.prints()[3], "GET http://127.0.0.1:1/x: connection refused")
contains("nor a secret of a URL that is none", c.prints()[4], "GET http://127.0.0.1:1/x: this is no URL")

c = Case(book(r"""
    local r = http.post("@U@/echo", { body = "s3ssion-token-of-the-day", secret = true })
    print(r.body, r.status)
    print(pcall(r.json))
    print(http.post("@U@/echo", { body = r.body }).status)
    local ok, e = pcall(http.post, "@U@/status/500", { secret = true }) print(e.message)
"""))
r = c.run()
ends("an answer that is a secret", r, 0)
lacks("is not shown", "".join(c.prints()) + r.stdout + r.stderr, "s3ssion")
eq("and can be passed on", s.asked("/echo", "POST")[-1][3], b"s3ssion-token-of-the-day")
lacks("nor is the body of one that failed", c.prints()[-1], "as you wish")

# -- checks, dry runs, times

c = Case(book(r"""
    check("a", "GET in a check", function() return http.get("@U@/hello").body == "hello" end)
    check("a", "POST that reads", function() return http.post("@U@/echo", { read = true, body = "x" }).body == "x" end)
    local ok, e = pcall(check, "a", "POST", function() http.post("@U@/echo") end) print(ok, e.message:find("read = true") ~= nil)
"""))
c.run()
eq("a check reads", c.prints(), ["false\ttrue"])
c = Case(book('print(http.get("@U@/hello").body, http.post("@U@/things/dry").assumed)'))
c.run("--dry")
eq("a dry run reads and does nothing else", (c.prints(), len(s.asked("/things/dry"))), (["hello\tdry"], 0))

# -- cancelled and parked in flight

c = Case(book(r"""
    local r = race { slow = function() http.post("@U@/hang?race") end, quick = function() return http.get("@U@/hello").body end }
    print(r)
    local ok, e = pcall(timeout, "100ms", function() http.get("@U@/hang?timeout") end) print(e.kind)
"""))
ends("cancelled in flight", c.run(), 0)
c = Case(book('http.post("@U@/hang?park")'))
c.write("conf.lua", 'return { limits = { park_grace = "50ms" } }')
p = c.start("run", "t.lua", "--config", "conf.lua")
wait_for("the request", lambda: any("park" in e[1] for e in s.asked("/hang")))
check("parked in flight: it ends", park(c, p) in (-15, 143) and c.status() == "parked", c.status())
c.rb("resume", c.id)
eq("and nobody knows", c.status(), "in_doubt")

# -- many at once

c = Case(book(r"""
    local list = {}
    for i = 1, 200 do list[i] = i end
    local n = 0
    each(list, { limit = 200 }, function() if http.get("@U@/hello").status == 200 then n = n + 1 end end)
    print(n)
"""))
c.write("conf.lua", "return { http = { max_connections = 4 } }")
before = s.connections
ends("200 at once through 4 connections", c.run("--config", "conf.lua"), 0)
eq("all come back", (c.prints(), s.connections - before <= 4), (["200"], True))
s.release.set()
finish()
