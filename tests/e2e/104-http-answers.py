#!/usr/bin/env python3
"""http, the small print: answers that are packed, cut or say two things; what goes to another origin; requests whose
parts are no text; time-outs before anything was sent; streams that break in the middle of an event."""

import gzip
import os
import socket
import sys
import zlib

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, prints
from hostile import Hostile
from lib import check, contains, eq, finish, lacks

GZ = gzip.compress(b"hello " * 5000)


def chunked(body):
    return b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def sized(body):
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PACKED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
RAW = {
    "packed": PACKED + sized(GZ),
    "packed-chunked": PACKED + chunked(GZ),
    "packed-cut": PACKED + sized(GZ[:-20]),
    "packed-tail-cut": PACKED + sized(GZ[:-4]),
    "packed-chunked-cut": PACKED + chunked(GZ[:-30]),
    "packed-twice": PACKED + sized(GZ + GZ),
    "packed-and-more": PACKED + sized(GZ + b"more"),
    "deflated": b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n" + sized(zlib.compress(b"hello")),
    "deflated-raw": b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n" + sized(zlib.compress(b"hello")[2:-4]),
    "brotli": b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n" + sized(b"\x0b\x02\x80hello\x03"),
    "packed-in-packed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\n" + sized(gzip.compress(GZ)),
    "not-packed": b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n" + sized(b"as it is"),
    "packed-nothing": PACKED + sized(b""),
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + sized(b"hello"),
    "same-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + sized(b"hello"),
    "minus": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
    "too-long": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhelHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
    "nothing-but": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "old": b"HTTP/1.0 200 OK\r\n\r\nten",
    "early": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + sized(b"after"),
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "spaces": b"HTTP/1.1 200 OK\r\nX-A: v  \r\nX-B:   \r\nX-C:\r\nRetry-After: 7 \r\n" + sized(b"x"),
    "crowd": b"HTTP/1.1 200 OK\r\n" + b"X:\r\n" * 5000 + sized(b"x"),
    "cap": b"HTTP/1.1 200 OK\r\n" + sized(b"0123456789"),
    "page": b"HTTP/1.1 404 Not Found\r\n" + sized(b"e" * 5000),
    "endless-page": b"HTTP/1.1 500 Oh\r\n\r\n" + b"e" * 500000,
    "same": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "to-nowhere": b"HTTP/1.1 302 Found\r\nLocation:\r\n" + sized(b""),
    "to-space": b"HTTP/1.1 302 Found\r\nLocation: /hello?a b\xc3\xbc  \r\n" + sized(b""),
    "to-fat": b"HTTP/1.1 302 Found\r\nLocation: /hello\r\n" + sized(b"x" * 5000),
    "bom": b"HTTP/1.1 200 OK\r\n" + sized(b'\xef\xbb\xbf{"a":1}'),
    "twins": b"HTTP/1.1 200 OK\r\n" + sized(b'{"a":1,"a":2}'),
    "huge-number": b"HTTP/1.1 200 OK\r\n" + sized(b"123456789012345678901234567890"),
    "deep": b"HTTP/1.1 200 OK\r\n" + sized(b"[" * 3000 + b"]" * 3000),
}


class Server(Hostile):
    def on_raw(self, h, method, path, headers, body, n):
        """/raw/NAME: these bytes, and no more."""
        h.wfile.write(RAW[path.split("/")[2].split("?")[0]])
        return path.split("/")[2] in ("nothing-but", "too-long")

    def on_slash(self, h, method, path, *_):
        """As servers do for a folder: the same with a slash, and with the query."""
        name, _, query = path.partition("?")
        if name.endswith("/"):
            return self.say(h, 200, "there")
        return self.say(h, 301, "", [("Location", f"{name}/?{query}")])

    def on_torn(self, h, method, path, headers, body, n):
        """The first connection breaks in the middle of the second event; the server then is away for a moment."""
        def chunk(text):
            h.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

        if n == 2:
            return self.say(h, 503, "starting")
        h.wfile.write(STREAM)
        if n == 1:
            chunk(b"retry: 10\nid: 1\ndata: one\n\nid: 2\ndata: tw")
            return False
        chunk(b"id: 2\ndata: two\n\n" if headers.get("last-event-id") == "1" else b"data: lost\n\n")
        h.wfile.write(b"0\r\n\r\n")
        return False

    def on_ping(self, h, *_):
        """Comments, eight times as long together as the silence that is allowed; then an event."""
        h.wfile.write(STREAM)
        for _ in range(16):
            h.wfile.write(b"2\r\n:\n\r\n")
            self.release.wait(0.1)
        h.wfile.write(b"9\r\ndata: x\n\n\r\n0\r\n\r\n")
        return False

    def on_event_of(self, h, method, path, *_):
        """/event-of/BYTES"""
        text = b"data: " + b"x" * int(path.split("/")[2]) + b"\n\n"
        h.wfile.write(STREAM + b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))
        return False


s, other = Server(), Server()


def book(text):
    return text.replace("@U@", s.url).replace("@O@", other.url).replace("@P@", str(s.port))


# -- packed bodies

prints("a packed body is unpacked, in one part or two", book(r"""
    for _, name in ipairs { "packed", "packed-chunked", "packed-twice", "deflated", "deflated-raw", "not-packed", "packed-nothing" } do
        print(name, #http.get("@U@/raw/" .. name).body)
    end
    print(#http.get("@U@/raw/packed", { max_body = 30000 }).body, pcall(http.get, "@U@/raw/packed", { max_body = 29999 }))
    local r = http.get("@U@/raw/packed", { headers = { ["Accept-Encoding"] = "gzip" } }) print(r.body:sub(1, 2) == "\x1f\x8b")
""".replace(", pcall(http.get", ", select(2, pcall(http.get").replace("29999 }))", "29999 })).kind)")),
    ["packed\t30000", "packed-chunked\t30000", "packed-twice\t60000", "deflated\t5", "deflated-raw\t5", "not-packed\t8",
     "packed-nothing\t0", "30000\thttp.too_big", "true"])
for name, says in (
    ("packed-cut", "ends in the middle"), ("packed-tail-cut", "ends in the middle"), ("packed-chunked-cut", "ends in the middle"),
    ("packed-and-more", "other bytes"), ("brotli", "packed as br"), ("packed-in-packed", "packed as gzip"), ("two-lengths", "both 3 and 5"), ("minus", "Content-Length"),
    ("upgrade", "another protocol"),
):
    prints(f"{name}: no answer that could be believed", book(rf"""
        local ok, e = pcall(http.post, "@U@/raw/{name}") print(e.kind, e.outcome, e.message:find("{says}", 1, true) ~= nil or e.message)
    """), "http.protocol\tunknown\ttrue")
c = prints("nor is a half of one saved", book(r"""
    local ok, e = pcall(http.get, "@U@/raw/packed-cut", { save = "@DIR@/out" }) print(e.kind)
    print(http.get("@U@/raw/packed", { save = "@DIR@/whole" }).saved.size)
"""), ["http.protocol", "30000"])
eq("only what came whole is there", sorted(f.name for f in c.dir.iterdir() if f.name in ("out", "whole")), ["whole"])

# -- heads and lengths

prints("answers of other times, and bytes that nobody asked for", book(r"""
    for _, name in ipairs { "same-lengths", "too-long", "nothing-but", "old", "early" } do
        local r = http.get("@U@/raw/" .. name) print(name, r.status, r.body)
    end
    print(http.get("@U@/hello").body)
    local h = http.get("@U@/raw/spaces").headers print(h["x-a"] .. "|" .. h["x-b"] .. "|" .. h["x-c"], http.get("@U@/raw/spaces").retry_after)
    local ok, e = pcall(http.get, "@U@/raw/crowd") print(e.kind)
"""), ["same-lengths\t200\thello", "too-long\t200\thel", "nothing-but\t204\t", "old\t200\tten", "early\t200\tafter", "hello",
       "v||\t7.0", "http.too_big"])
prints("a body of exactly the cap; an unexpected status is the error, whatever its size", book(r"""
    print(http.get("@U@/raw/cap", { max_body = 10 }).body)
    local ok, e = pcall(http.get, "@U@/raw/cap", { max_body = 9 }) print(e.kind)
    for _, call in ipairs { http.get, http.post } do
        ok, e = pcall(call, "@U@/raw/page", { max_body = 100 }) print(e.kind, e.outcome, e.result.status, #e.result.body)
        ok, e = pcall(call, "@U@/raw/endless-page", { max_body = 100 }) print(e.kind, e.result.status)
    end
    print(http.get("@U@/raw/to-fat", { max_body = 100 }).body)
"""), ["0123456789", "http.too_big", "http.status\tfailed\t404\t100", "http.status\t500", "http.status\tfailed\t404\t100",
       "http.status\t500", "hello"])
prints("what is said of a status is true", book(r"""
    for _, name in ipairs { "same", "to-nowhere" } do
        local ok, e = pcall(http.get, "@U@/raw/" .. name) print(e.kind, e.message:find("follow", 1, true) == nil)
    end
    local ok, e = pcall(http.post, "@U@/to/302?/hello") print(e.message:find("follow = N", 1, true) ~= nil)
"""), ["http.status\ttrue", "http.status\ttrue", "true"])
prints("JSON that is none, empty, or begins with a mark", book(r"""
    print(http.get("@U@/raw/bom").json().a)
    for _, name in ipairs { "twins", "huge-number", "deep", "packed-nothing" } do
        local ok, e = pcall(http.get("@U@/raw/" .. name .. "?k=v").json) print(e.kind, e.message:find("?", 1, true) == nil)
    end
    local ok, e = pcall(http.get("@U@/raw/packed-nothing").json) print(e.message:find("the body is empty", 1, true) ~= nil)
"""), ["1"] + ["http.json\ttrue"] * 4 + ["true"])

# -- what goes to another origin

other.log.clear()
prints("a host's name and what is a credential by its name stay", book(r"""
    local headers = { Host = "api.internal", ["X-Vault-Token"] = "v", ["PRIVATE-TOKEN"] = "g", ["X-Plain"] = "p" }
    http.get("@U@/to/302?@O@/hello", { headers = headers })
    http.get("@U@/to/302?/hello", { headers = headers })
"""), [])
eq("another origin is asked by its own name", {k: other.log[0][2].get(k) for k in ("host", "x-vault-token", "private-token", "x-plain")},
   {"host": f"127.0.0.1:{other.port}", "x-vault-token": None, "private-token": None, "x-plain": "p"})
eq("the same one as before", [s.log[-1][2][k] for k in ("host", "x-vault-token")], ["api.internal", "v"])
c = Case(book(r"""
    local key = secret "key"
    local r = http.get("@U@/slash", { query = { key = key } }) print(r.body, r.url)
    local ok, e = pcall(http.post, "@U@/to/307?@O@/echo", { follow = 1, form = { key = key } }) print(e.kind, e.outcome)
    print(http.post("@U@/to/307?/echo", { follow = 1, form = { key = key } }).headers["x-method"])
    print(http.post("@U@/to/308?@O@/echo", { follow = 1, form = { key = "plain" } }).body)
    print(http.post("@U@/to/303?@O@/echo", { follow = 1, form = { key = key } }).headers["x-method"])
"""))
c.write("conf.lua", 'return { secrets = { key = { env = "KEY" } } }')
other.log.clear()
r = c.run("--config", "conf.lua", env={"KEY": "s3cr3t/value&of the day"})
ends("secrets and redirects", r, 0)
eq("a secret that comes back in a Location goes on as it is, and is not shown",
   (c.prints()[0].replace("‹secret:key›", "KEY"), [e[1] for e in s.asked("/slash/")]),
   (f"there\t{s.url}/slash/?key=KEY", ["/slash/?key=s3cr3t%2Fvalue%26of%20the%20day"]))
eq("a body with a secret goes to the origin that was named, and to no other",
   (c.prints()[1:], [e[3] for e in other.log]), (["http.redirect\tunknown", "POST", "key=plain", "GET"], [b"key=plain", b""]))
lacks("nor is it in the journal", str(c.sql("SELECT data FROM events")) + r.stdout + r.stderr, "s3cr3t")
eq("what has become a GET can not be done twice", "idempotency-key" in other.log[-1][2], False)
eq("a Location with spaces is encoded", (prints("is followed", book('print(http.get("@U@/raw/to-space").body)'), ["hello"]) and s.log[-1][1]),
   "/hello?a+b%c3%bc")

# -- requests

for bad, says in (
    ('http.get("@U@/echo", { query = { a = { x = 1 } } })', "query.a is one value or a list"),
    ('http.get("@U@/echo", { query = { a = null } })', "null"),
    ('http.get("@U@/echo", { query = { a = 0/0 } })', "no finite number"),
    ('http.post("@U@/echo", { form = { a = { x = 1 } } })', "form.a is one value or a list"),
    ('http.get("@U@/echo", { headers = { A = { x = 1 } } })', "headers.A is one value or a list"),
    ('http.get("@U@/echo", { bearer = "t0ken\\r\\nX: y" })', "the header Authorization has a line end"),
    ('http.post("@U@/echo", { multipart = { a = { file = "t.lua", type = "text/plain\\r\\nX: y" } } })', "multipart.a.type"),
    ('http.post("@U@/echo", { json = { random_secret(64), k = 1 } })', "neither a list nor one of names"),
    ('http.put("@U@/echo", { body = { file = "t.lua", type = "x" } })', "not type"),
    ('http.get("@U@/echo", { proxy = "http://127.0.0.1:1" })', "the configuration"),
    ('http.get("@U@/echo", { http2 = "yes" })', "http2 is true or false"),
    ('http.get("@U@/echo", { read = "yes" })', "read is true or false"),
    ('http.get("@U@/echo", { tls = { insecure = "no" } })', "tls.insecure is true or false"),
    ('http.get("http://bücher.invalid/")', "write xn--bcher-kva.invalid"),
    ('http.events("@U@/ping", { headers = "x" }, print)', "headers must be a table"),
):
    c = Case(book(bad))
    r = c.run()
    check(f"{bad}: an error of the author", r.returncode == 1 and "t.lua:1: " in r.stderr and says in r.stderr, r.stderr)
    lacks(f"{bad}: without a value", r.stderr, "t0ken")
prints("what is sent", book(r"""
    print(http.get("@U@/echo", { query = {} }).body, http.get("@U@/echo?", { query = { a = 2^53 } }).body, http.get("@U@/echo?ü").body)
    print((http.post("@U@/echo", { multipart = { f = { "a", { file = "t.lua", name = 'b".txt' } } } }).body:gsub("^.-\r\n", "", 1):match "(.-)print"
        :gsub("rbhost%-%x+", "B"):gsub("\r\n", "|")))
"""), ["/echo\t/echo?a=9007199254740992.0\t/echo?%c3%bc".replace("9007199254740992.0", "9007199254740992"),
       'Content-Disposition: form-data; name="f"||a|--B|Content-Disposition: form-data; name="f"; filename="b%22.txt"|Content-Type: application/octet-stream||\n    '])

# -- before anything is sent

full = socket.create_server(("127.0.0.1", 0), backlog=0)
fill = [socket.socket() for _ in range(4)]
for x in fill:
    x.setblocking(False)
    x.connect_ex(full.getsockname())
silent = socket.create_server(("127.0.0.1", 0))
prints("a time-out says how far it came", book(r"""
    for _, opts in ipairs { { timeout = "150ms" }, { connect_timeout = "150ms" } } do
        for _, url in ipairs { "http://127.0.0.1:@FULL@/", "https://127.0.0.1:@SILENT@/" } do
            local ok, e = pcall(http.post, url, opts) print(e.kind, e.outcome)
        end
    end
    local ok, e = pcall(http.post, "http://127.0.0.1:@SILENT@/", { timeout = "150ms", connect_timeout = "100ms" }) print(e.kind, e.outcome)
""").replace("@FULL@", str(full.getsockname()[1])).replace("@SILENT@", str(silent.getsockname()[1])),
    ["http.connect_timeout\tnot_started"] * 4 + ["http.timeout\tunknown"])

# -- streams

prints("an event that was torn is asked for again, also from a server that is away for a moment", book(r"""
    print(http.events("@U@/torn", function(e) print(e.id, e.data) end))
"""), ["1\tone", "2\ttwo", "2"])
eq("by the id of the last whole one", [e[2].get("last-event-id") for e in s.asked("/torn")], [None, "1", "1"])
prints("comments are no silence", book('print(http.events("@U@/ping", { timeout = "800ms" }, function(e) print(e.data) end))'), ["x", "1"])
prints("an event of exactly the cap", book(r"""
    print(http.events("@U@/event-of/100", { max_event = 100 }, function(e) print(#e.data) end))
    local ok, e = pcall(http.events, "@U@/event-of/101", { max_event = 100 }, print) print(e.kind)
"""), ["100", "1", "http.too_big"])
s.release.set()
finish()
