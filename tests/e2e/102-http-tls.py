#!/usr/bin/env python3
"""http against a real nginx with TLS: authorities, names, pins, client certificates, certificates that are not good, Unix
sockets, compression, connections that are kept; and through proxies."""

import os
import socket
import subprocess
import sys

sys.path.insert(0, os.environ["T"] + "/e2e")
from book import Case, ends, prints
from hostile import Hostile, Proxy
from lib import TMP, check, eq, finish, lacks, start, wait_for

D = TMP / "nginx"
D.mkdir()


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *map(str, args)], cwd=D, input=stdin, check=True, capture_output=True).stdout


def certificate(name, subject, san=None, days=10, ca=True):
    """A key and a certificate, from our authority or from itself."""
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
    (D / "ext").write_text(f"subjectAltName={san}\n" if san else "basicConstraints=CA:FALSE\n")
    sign = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"] if ca else ["-signkey", f"{name}.key"]
    openssl("x509", "-req", "-in", f"{name}.csr", *sign, "-days", days, "-extfile", "ext", "-out", f"{name}.crt")


openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", "10", "-subj", "/CN=rbhost test authority")
certificate("good", "localhost", "DNS:localhost,IP:127.0.0.1")
certificate("named", "elsewhere.test", "DNS:elsewhere.test")
certificate("expired", "localhost", "DNS:localhost,IP:127.0.0.1", days=-1)
certificate("self", "localhost", "DNS:localhost,IP:127.0.0.1", ca=False)
certificate("client", "ada")
openssl("rsa", "-aes256", "-in", "client.key", "-out", "locked.key", "-passout", "pass:open sesame")
key = openssl("rsa", "-in", "good.key", "-pubout", "-outform", "der")
PIN = "sha256//" + subprocess.run(
    ["openssl", "base64"], input=openssl("dgst", "-sha256", "-binary", stdin=key), capture_output=True, check=True
).stdout.decode().strip()


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for x in sockets:
        x.bind(("127.0.0.1", 0))
    ports = [x.getsockname()[1] for x in sockets]
    for x in sockets:
        x.close()
    return ports


SINK = Hostile()
NAMES = ["good", "named", "expired", "self", "mutual", "h2"]
PORTS = dict(zip(NAMES, free_ports(len(NAMES))))
servers = "".join(
    f"""
    server {{
        listen 127.0.0.1:{PORTS[n]} ssl{" http2" if n == "h2" else ""};
        {f"listen unix:{D}/sock;" if n == "good" else ""}
        ssl_certificate {D}/{"good" if n in ("mutual", "h2") else n}.crt;
        ssl_certificate_key {D}/{"good" if n in ("mutual", "h2") else n}.key;
        {f"ssl_client_certificate {D}/ca.crt; ssl_verify_client on;" if n == "mutual" else ""}
        location / {{ return 200 "{n} $host $ssl_client_s_dn\\n"; }}
        location /version {{ return 200 "$server_protocol $request_method $http_idempotency_key"; }}
        location /to {{ return 302 https://$http_host/version; }}
        location /status {{ return 503 "away"; }}
        location /upload {{ client_max_body_size 8m; proxy_pass http://127.0.0.1:{SINK.port}/echo; }}
        location /small {{ client_max_body_size 1k; proxy_pass http://127.0.0.1:{SINK.port}/echo; }}
        location /file {{ root {D}/www; gzip on; gzip_min_length 1; gzip_types text/plain application/octet-stream; }}
    }}"""
    for n in NAMES
)
(D / "www").mkdir()
(D / "www" / "file").write_text("compressible " * 1000)
(D / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {D}/pid; error_log {D}/error.log;
events {{ worker_connections 256; }}
http {{ access_log {D}/access.log; client_body_temp_path {D}/tmp; proxy_temp_path {D}/tmp; fastcgi_temp_path {D}/tmp;
        uwsgi_temp_path {D}/tmp; scgi_temp_path {D}/tmp; {servers} }}
""")
start(["/usr/sbin/nginx", "-e", D / "error.log", "-c", D / "nginx.conf", "-p", D], stderr=subprocess.DEVNULL)


def listens():
    with socket.socket() as x:
        return x.connect_ex(("127.0.0.1", PORTS["mutual"])) == 0


wait_for("nginx", listens)


def book(text):
    for n in NAMES:
        text = text.replace(f"@{n}@", f"https://localhost:{PORTS[n]}")
    return text.replace("@D@", str(D)).replace("@PIN@", PIN).replace("@IP@", f"https://127.0.0.1:{PORTS['good']}")


c = prints("a server that our authority vouches for", book(r"""
    local tls = { ca = "@D@/ca.crt" }
    local r = http.get("@good@/", { tls = tls })
    print(r.body, r.tls.issuer, r.tls.subject, r.tls.not_after > now(), r.tls.valid_until:sub(1, 2))
    r = http.get("@good@/", { tls = tls }) print(r.reused, r.tls.subject)
    print(http.get("@IP@/", { tls = tls }).status)
    print(http.get("@good@/", { tls = { ca = "@D@/ca.crt", pins = "@PIN@" } }).status)
    print(#http.get("@good@/file", { tls = tls }).body, http.get("@good@/file", { tls = tls }).headers["content-encoding"])
    print(http.get("@mutual@/", { tls = { ca = "@D@/ca.crt", cert = "@D@/client.crt", key = "@D@/client.key" } }).body)
    print(http.get("@named@/", { tls = { ca = "@D@/ca.crt", name = "elsewhere.test" } }).body)
    print(http.get("http://api.internal/", { unix = "@D@/sock" }).body)
    print(http.get("@self@/", { tls = { insecure = true } }).status)
    print(http.get("@good@/", { tls = tls, http2 = true }).status)
    r = http.get("@good@/file", { tls = tls, save = "@DIR@/saved" }) print(r.saved.size, #r.saved.sha256)
"""), ["good localhost \n\t/CN=rbhost test authority\t/CN=localhost\ttrue\t20", "true\t/CN=localhost", "200", "200",
       "13000\tgzip", "mutual localhost CN=ada\n", "named localhost \n", "good api.internal \n", "200", "200", "13000\t64"])
eq("saved as it is, not as it was packed", c.text("saved"), "compressible " * 1000)

c = Case(book(r"""
    local tls = { ca = "@D@/ca.crt" }
    local two = { tls = tls, http2 = true }
    print(http.get("@h2@/version", { tls = tls }).body, http.get("@h2@/version", two).body, http.get("@h2@/version", two).reused)
    print(http.get("@good@/version", two).body)
    print(http.get("@h2@/to", two).body, http.head("@h2@/file", two).status, #http.get("@h2@/file", two).body, http.get("@h2@/version", { tls = tls }).body)
    local r = http.post("@h2@/version", two) print((r.body:gsub("rbhost%-%x+", "KEY")), r.reused, r.tls.subject)
    print(#http.post("@h2@/upload", { tls = tls, http2 = true, body = { file = "big" }, max_body = 1 << 22 }).body)
    print(http.get("@h2@/file", { tls = tls, http2 = true, save = "@DIR@/saved" }).saved.size)
    local ok, e = pcall(http.post, "@h2@/status", two) print(e.kind, e.outcome, e.result.status)
    ok, e = pcall(http.post, "@h2@/small", { tls = tls, http2 = true, body = { file = "big" } }) print(e.kind, e.result and e.result.status)
    ok, e = pcall(http.get, "@h2@/file", { tls = tls, http2 = true, max_body = 12999 }) print(e.kind)
    local n = 0
    local list = {}
    for i = 1, 40 do list[i] = i end
    each(list, { limit = 40 }, function()
        local size = #http.get("@h2@/file", two).body
        n = n + size
    end)
    print(n)
"""))
c.write("big", "x" * 3000000)
ends("HTTP/2 of a real server", c.run(), 0)
eq("asked for and spoken; where the server has none, HTTP/1.1; bodies both ways, many at once", c.prints(), [
    "HTTP/1.1 GET \tHTTP/2.0 GET \ttrue", "HTTP/1.1 GET ", "HTTP/2.0 GET \t200\t13000\tHTTP/1.1 GET ", "HTTP/2.0 POST KEY\tfalse\t/CN=localhost",
    "3000000", "13000", "http.status\tfailed\t503", "http.status\t413", "http.too_big", "520000"])

LOCKED = book('print(http.get("@mutual@/", { tls = { ca = "@D@/ca.crt", cert = "@D@/client.crt", key = "@D@/locked.key", key_password = KEY } }).body)')
c = Case(LOCKED.replace("KEY", 'secret "key"'))
c.write("conf.lua", 'return { secrets = { key = { env = "LOCK" } } }')
r = c.run("--config", "conf.lua", env={"LOCK": "open sesame"})
eq("a client key with a password", (c.prints(), r.returncode), (["mutual localhost CN=ada\n"], 0))
lacks("which is shown nowhere", str(c.sql("SELECT data FROM events")) + r.stdout + r.stderr, "sesame")
for what, key in (("no password for it", "nil"), ("a wrong one", '"close sesame"')):
    c = Case("local ok, e = pcall(function() " + LOCKED.replace("KEY", key) + " end) print(e.kind, e.outcome, e.message)")
    c.run()
    check(f"{what}: an error, and no question at the terminal, nor a crash",
          c.prints() and c.prints()[0].startswith("http.tls\tnot_started\t") and "tls.key_password" in c.prints()[0], c.prints())

for what, call in (
    ("an authority that is not known", 'http.post("@good@/")'),
    ("a self-signed certificate", 'http.post("@self@/", { tls = tls })'),
    ("one that has expired", 'http.post("@expired@/", { tls = tls })'),
    ("one for another name", 'http.post("@named@/", { tls = tls })'),
    ("another name than the one that is asked for", 'http.post("@good@/", { tls = { ca = "@D@/ca.crt", name = "elsewhere.test" } })'),
    ("another key than the pinned one", 'http.post("@good@/", { tls = { ca = "@D@/ca.crt", pins = "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" } })'),
    ("authorities that are none", 'http.post("@good@/", { tls = { ca = "@D@/nginx.conf" } })'),
    ("a client certificate that is none", 'http.post("@mutual@/", { tls = { ca = "@D@/ca.crt", cert = "@D@/nginx.conf" } })'),
):
    prints(f"{what}: kind http.tls, nothing was sent",
           book(f'local tls = {{ ca = "@D@/ca.crt" }}\nlocal ok, e = pcall(function() {call} end)\nprint(e.kind, e.outcome)'),
           "http.tls\tnot_started")
prints("no client certificate where one is wanted: the server's own answer", book(r"""
    local ok, e = pcall(http.get, "@mutual@/", { tls = { ca = "@D@/ca.crt" } }) print(e.kind, e.result.status)
"""), "http.status\t400")
c = Case(book('print(http.get("@good@/").status)'))
c.write("conf.lua", book('return { http = { ca_file = "@D@/ca.crt" } }'))
c.run("--config", "conf.lua")
eq("authorities of the configuration", c.prints(), ["200"])

# -- proxies

s, proxy, wall, locked = Hostile(), Proxy(), Proxy(refuse="403 Forbidden"), Proxy(refuse="407 Proxy Authentication Required")
ENV = {"http_proxy": f"http://127.0.0.1:{proxy.port}", "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
CALLS = book('print(http.get("http://nowhere.invalid/x").body)\nprint(http.get("@good@/", { tls = { ca = "@D@/ca.crt" } }).body)')
for what, conf, env in (
    ("the configuration's proxy", f'proxy = "http://127.0.0.1:{proxy.port}"', {}),
    ("the environment's, where the configuration lets it", "proxy_env = true", ENV),
):
    proxy.log.clear()
    c = Case(CALLS)
    c.write("conf.lua", f"return {{ http = {{ {conf} }} }}")
    r = c.run("--config", "conf.lua", env=env)
    ends(f"{what}: is used", r, 0)
    eq(f"{what}: for http it answers, for https it is a tunnel", (c.prints(), [e[:2] for e in proxy.log]),
       (["by the proxy", "good localhost \n"], [("GET", "http://nowhere.invalid/x"), ("CONNECT", f"localhost:{PORTS['good']}")]))
proxy.log.clear()
c = Case(f'print(http.get("{s.url}/hello").body)')
c.run(env=ENV)
eq("the environment alone means nothing", (c.prints(), proxy.log), (["hello"], []))
c = Case(f'print(http.get("{s.url}/hello").body)\nprint(http.get("{s.url.replace("127.0.0.1", "localhost")}/hello", {{ proxy = false }}).body)')
c.write("conf.lua", f'return {{ http = {{ proxy = "http://127.0.0.1:{proxy.port}", no_proxy = {{ "127.0.0.*" }} }} }}')
c.run("--config", "conf.lua")
eq("no_proxy, and proxy = false", (c.prints(), proxy.log), (["hello", "hello"], []))
for what, port in (("a proxy that refuses", wall.port), ("one that is not there", 1)):
    c = Case(book('local ok, e = pcall(http.post, "@good@/", { tls = { ca = "@D@/ca.crt" } }) print(e.kind, e.outcome)'))
    c.write("conf.lua", f'return {{ http = {{ proxy = "http://127.0.0.1:{port}" }} }}')
    c.run("--config", "conf.lua")
    eq(f"{what}: http.proxy, nothing was sent", c.prints(), ["http.proxy\tnot_started"])
proxy.log.clear()
c = Case('print(http.get("http://nowhere.invalid/x").body)')
c.write("conf.lua", "return { http = { proxy_env = true } }")
r = c.run("--config", "conf.lua", env={"http_proxy": f"http://me%40corp:p%3Ass@127.0.0.1:{proxy.port}"})
eq("a proxy's login, from the environment's URL", (c.prints(), proxy.log[0][2].get("proxy-authorization")), (["by the proxy"], "Basic bWVAY29ycDpwOnNz"))
lacks("is shown nowhere", str(c.sql("SELECT data FROM events")) + r.stdout + r.stderr, "p%3Ass")
c = Case(book("""
for _, url in ipairs { "http://nowhere.invalid/x", "@good@/" } do
    local ok, e = pcall(http.post, url) print(e.kind, e.outcome, e.message:find("407", 1, true) and e.message:find("proxy_env", 1, true) ~= nil)
end"""))
c.write("conf.lua", f'return {{ http = {{ proxy = "http://127.0.0.1:{locked.port}" }} }}')
c.run("--config", "conf.lua")
eq("a proxy that wants another login: http.proxy, nothing was sent, in the clear as through a tunnel", c.prints(), ["http.proxy\tnot_started\ttrue"] * 2)
finish()
