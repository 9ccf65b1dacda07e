#!/usr/bin/env python3
"""notify by e-mail, to a real SMTP server (python3-aiosmtpd): STARTTLS and TLS, authentication, verification, headers
that stay headers, what a server may answer."""
import asyncio
import contextlib
import email
import email.policy
import os
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.environ["T"] + "/e2e")
sys.path.append("/usr/lib/python3/dist-packages")  # Debian's, whichever Python is the first in PATH
from aiosmtpd.smtp import SMTP, AuthResult
from book import Case, ends
from lib import TMP, check, contains, eq, finish

PASSWORD = "correct horse battery"
SECRETS = {"MAILPW": PASSWORD, "WRONGPW": "incorrect horse"}
key, cert = TMP / "key.pem", TMP / "cert.pem"
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.load_cert_chain(cert, key)


class Sink:
    def __init__(self):
        self.mails, self.say, self.user = [], None, None

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.say:
            return self.say
        self.mails.append((session.ssl is not None, getattr(session, "auth_data", None), envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        return "250 2.0.0 queued"


def login(server, session, envelope, mechanism, data):
    good = data.login == b"me" and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=False, auth_data=data)


class Server:
    """starttls: offers it, and takes nothing before it; direct: TLS from the first byte. On a free port."""

    def __init__(self, handler, starttls=True, direct=False, auth=False):
        self.handler, self.context = handler, CONTEXT if direct else None
        self.kw = dict(tls_context=CONTEXT if starttls else None, require_starttls=starttls,
                       authenticator=login if auth else None, auth_required=auth, auth_require_tls=not direct)

    def smtp(self):
        return SMTP(self.handler, hostname="sink", loop=self.loop, **self.kw)

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(self.loop.create_server(self.smtp, "127.0.0.1", 0, ssl=self.context))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


def case(port, more, text, to='{ "Ops Müller <ops@example.com>", "b@example.com" }'):
    c = Case(text).configure(f"""return {{ environment = "lab", secrets = {{ pw = {{ env = "MAILPW" }}, wrong = {{ env = "WRONGPW" }} }}, channels = {{
      mail = {{ type = "email", server = "localhost:{port}", from = "rbhost <rb@example.com>", to = {to}, {more} }} }} }}""")
    c.env.update(SECRETS)
    return c


def parsed(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


TLS = f'ca_file = "{cert}",'
sink = Sink()
with Server(sink) as s:
    c = case(s.port, TLS + 'cc = "c@example.com", subject = "[rb]",', """
    notify("mail", { title = "Überlauf 🎉 " .. ("lang "):rep(30), text = "line 1\\n.\\n..dots\\nFrom x\\n=20 ü\\n" .. ("x"):rep(2000), severity = "critical",
      fields = { host = "db1" }, dedup = "disk" })
    notify.resolve("mail", "disk", "room again")
    notify("mail", { title = "inject\\r\\nBcc: evil@example.com", text = "x" })
    """)
    ends("mails over STARTTLS", c.run(), 0)
    eq("each came", len(sink.mails), 3)
    tls, auth, sender, to, raw = sink.mails[0]
    eq("over TLS, to all, from the address", (tls, sender, to), (True, "rb@example.com", ["ops@example.com", "b@example.com", "c@example.com"]))
    m = parsed(raw)
    eq("its subject", m["Subject"].split("lang")[0], "[rb] critical: Überlauf 🎉 ")
    eq("names with umlauts", m["To"].addresses[0].display_name, "Ops Müller")
    eq("cc", str(m["Cc"]), "c@example.com")
    body = m.get_content()
    eq("the text, whole", body.splitlines()[:6], ["line 1", ".", "..dots", "From x", "=20 ü", "x" * 2000])
    contains("the fields", body, "host: db1")
    contains("where it comes from", body, f"runbook t · run {c.id} · lab")
    check("no line is over 998 bytes, and all are ASCII", all(len(x) <= 998 for x in raw.split(b"\r\n")) and raw.isascii())
    check("nothing in it is malformed", not m.defects and not m["Subject"].defects and not m["Date"].defects, m.defects)
    check("it says that no person wrote it", m["Auto-Submitted"] == "auto-generated" and m["Importance"] == "high", dict(m))
    second = parsed(sink.mails[1][4])
    eq("mails about one thing are one thread", m["References"], second["References"])
    check("with ids of their own", m["Message-ID"] != second["Message-ID"] and m["Message-ID"].endswith("@example.com>"), m["Message-ID"])
    third = parsed(sink.mails[2][4])
    check("a line break in a title makes no header", third["Bcc"] is None and "Bcc: evil" in third["Subject"], dict(third))

    # the same id out of doubt
    c = case(s.port, TLS, 'notify("mail", "x")')
    sink.mails.clear()
    c.run(binary=os.environ["RBHOST_FAULT_BIN"], env={"RBHOST_FAULT": "kill:notify.after-send:1"})
    ends("a mail in doubt is sent again", c.rb("resume", c.id), 0)
    eq("with the same Message-ID", (len(sink.mails), len({parsed(x[4])["Message-ID"] for x in sink.mails})), (2, 1))
    check("marked as perhaps told twice", any(e.get("twice") for e in c.events("result")), c.events("result"))

    # what a server may answer
    ERR = 'local _, e = pcall(notify, "mail", "x"); print(e.kind, e.outcome, e.message)'
    c = case(s.port, TLS, ERR)
    sink.say = "554 5.7.1 spam"
    c.run()
    check("a refusal is told with its code", c.prints()[0].startswith("notify.failed\tfailed\t") and "answered 554" in c.prints()[0], c.prints())
    sink.say = None
    c = case(s.port, TLS, ERR, to='"nobody@example.com"')
    c.run()
    check("an unknown recipient, too", "notify.failed\tfailed" in c.prints()[0] and "550" in c.prints()[0], c.prints())

    # verification
    c = case(s.port, "", ERR)
    sink.mails.clear()
    c.run()
    check("a certificate of an unknown authority is refused", "not_started" in c.prints()[0] and "certificate" in c.prints()[0].lower(), c.prints())
    eq("and nothing was sent", sink.mails, [])

with Server(sink, starttls=False) as s:
    sink.mails.clear()
    c = case(s.port, TLS, ERR)
    c.run()
    check("a server without STARTTLS gets no mail", "not_started" in c.prints()[0] and "offers no STARTTLS" in c.prints()[0] and not sink.mails, c.prints())
    c = case(s.port, 'tls = "none",', 'notify("mail", "x")')
    ends('unless the channel says tls = "none"', c.run(), 0)
    eq("then it goes in clear", [x[0] for x in sink.mails], [False])
    c = case(s.port, 'tls = "none", user = "me", password = { secret = "pw" },', ERR)
    c.run()
    contains("but never with a password", c.prints()[0], "would send the password in clear")

with Server(sink, starttls=False, direct=True) as s:
    sink.mails.clear()
    c = case(s.port, TLS + 'tls = "tls",', 'notify("mail", "x")')
    ends("TLS from the first byte", c.run(), 0)
    eq("took it", len(sink.mails), 1)

with Server(sink, auth=True) as s:
    sink.mails.clear()
    c = case(s.port, TLS + 'user = "me", password = { secret = "pw" },', 'notify("mail", "x")')
    done = c.run()
    ends("user and password", done, 0)
    eq("are taken", [x[1].login for x in sink.mails], [b"me"])
    c = case(s.port, TLS + 'user = "me", password = { secret = "wrong" },', ERR)
    done = c.run()
    check("a wrong one is told", "not_started" in c.prints()[0] and "does not take the user and the password" in c.prints()[0], c.prints())
    everything = b"".join(f.read_bytes() for f in c.dir.glob("j.db*") if f.is_file()) + (done.stdout + done.stderr).encode()
    check("and is nowhere", SECRETS["WRONGPW"].encode() not in everything)
    port = s.port

c = case(port, TLS + 'timeout = "2s",', ERR)
c.run()
check("no server", "not_started" in c.prints()[0], c.prints())

# -- a server that says no, or hangs up, at each stage of it


class Stage:
    """Speaks TLS from the first byte; says `say[WORD]` to that command, hangs up on `drop`, offers `offers`."""

    def __init__(self, say=None, drop=None, offers="AUTH PLAIN"):
        self.say, self.drop, self.offers, self.tries, self.logins = say or {}, drop, offers, 0, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer, _ = self.socket.accept()
            self.tries += 1
            with contextlib.suppress(OSError, ssl.SSLError), CONTEXT.wrap_socket(peer, server_side=True) as tls, tls.makefile("rwb") as f:
                self.session(f)

    def answer(self, f, word, usual):
        if self.drop == word:
            return False
        f.write(self.say.get(word, usual).encode() + b"\r\n")
        f.flush()
        return True

    def session(self, f):
        there = self.answer(f, "greeting", "220 sink")
        while there and (line := f.readline().decode().split()):
            word = line[0].upper()
            if word == "AUTH":
                self.logins.append(line[1])
                for _ in range({"LOGIN": 2, "PLAIN": 1}.get(line[1], 0) if "AUTH" not in self.say else 0):
                    self.answer(f, "334", "334 ")
                    f.readline()
            usual = {"EHLO": f"250-sink\r\n250-{self.offers}\r\n250 SIZE 1000000", "AUTH": "235 in", "DATA": "354 go on"}.get(word, "250 ok")
            there = self.answer(f, word, usual)
            if word == "DATA" and there and word not in self.say:
                while f.readline() != b".\r\n":
                    pass
                there = self.answer(f, "dot", "250 queued")


STAGED = 'local r, e = pcall(notify, "mail", "x", { timeout = "8s" }) print(r, r and "" or e.outcome, r and "" or e.message)'
LOGIN = TLS + 'tls = "tls", user = "me", password = { secret = "pw" },'
for stage in ("greeting", "MAIL", "RCPT", "DATA", "dot", "AUTH"):
    s = Stage({stage: "554 5.7.1 not from here"})
    c = case(s.port, LOGIN, STAGED, to='"a@example.com"')
    c.run()
    said = c.prints()[0] if c.prints() else ""
    check(f"{stage}, 554: it has not been taken, in the server's words, and is not tried again",
          said.startswith(f"false\t{'not_started' if stage == 'AUTH' else 'failed'}\t") and "554 5.7.1 not from here" in said and s.tries == 1,
          (said, s.tries))
s = Stage({"RCPT": "451 4.7.1 greylisted"})
c = case(s.port, LOGIN, STAGED, to='"a@example.com"')
c.run()
check("a 4yz is tried again", "greylisted" in c.prints()[0] and s.tries == 4, (c.prints(), s.tries))
for stage, outcome, tries in (("greeting", "not_started", 4), ("RCPT", "not_started", 4), ("dot", "unknown", 1), ("QUIT", "", 1)):
    s = Stage(drop=stage)
    c = case(s.port, LOGIN, STAGED, to='"a@example.com"')
    c.run()
    check(f"a link that is lost at {stage}: {outcome or 'it has been taken'}",
          c.prints()[0].split("\t")[:2] == [str(not outcome).lower(), outcome] and s.tries == tries, (c.prints(), s.tries))
for offers, login_by in (("AUTH LOGIN", ["LOGIN"]), ("AUTH GSSAPI NTLM LOGIN", ["LOGIN"]), ("AUTH GSSAPI XOAUTH2", [])):
    s = Stage(offers=offers)
    c = case(s.port, LOGIN, STAGED, to='"a@example.com"')
    c.run()
    eq(f"{offers}: logged in by {login_by}", s.logins, login_by)
contains("where there is no way, the message names those that there are", c.prints()[0], "AUTH GSSAPI XOAUTH2")

finish()
