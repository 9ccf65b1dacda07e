#!/usr/bin/env python3
"""A real PostgreSQL for a test: its own cluster in a short-lived folder, its own port, its own authorities, ended with
the test.

    with Postgres() as pg:
        pg.dsn()                     postgres://app:…@127.0.0.1:PORT/app
        pg.sql("SELECT 1")           as the superuser, through psql and the socket; what it printed
        pg.restart(), pg.stop("immediate"), pg.start()

As a program it prints a line of JSON (port, folder, …) and then obeys the lines of its standard input ("sql TEXT",
"restart"), each answered by one line of JSON, until that ends: for test programs in C.

Its users: "admin" (superuser, only by the socket), "app" and "other", with a password each. fsync is off: nothing here
is about the machine's power."""

import glob
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

PASSWORD = "p4ss w/ord:%@'\\"  # all that is awkward in a URL, a DSN and a shell
SLOW = float(os.environ.get("SLOW", "1"))


def programs():
    """The folder of initdb and postgres: Debian keeps it out of PATH."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[4]))
    if not found:
        sys.exit("tests/pg.py: there is no PostgreSQL; ./bootstrap test installs it")
    return pathlib.Path(found[-1])


def server_user():
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    sys.exit("tests/pg.py: neither a user postgres nor nobody")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(folder, port, text, database="app"):
    """What psql prints for it as the superuser, unaligned, without headers; for whoever has not started the server."""
    p = subprocess.run([programs() / "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p",
                        str(port), "-U", "admin", "-d", database, "-f", "-"], input=text, text=True,
                       capture_output=True, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"})
    if p.returncode:
        raise RuntimeError(p.stderr)
    return p.stdout.rstrip("\n")


class Postgres:
    def __init__(self, **settings):
        self.bin = programs()
        self.user = server_user()
        # short, because of the socket's path, and open to the server's user
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="rbpg.", dir="/tmp"))
        self.data = self.dir / "data"
        self.ca = self.dir / "ca.pem"
        self.other_ca = self.dir / "other.pem"
        self.port = free_port()
        self.process = None
        self.log = []
        self.settings = settings
        try:
            if self.user:
                os.chown(self.dir, self.user["user"], self.user["group"])
            self.dir.chmod(0o755)
            self.make_certificates()
            self.make_cluster()
            self.start()
            self.make_database()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, *argv, **kw):
        p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, cwd=self.dir, **kw)
        if p.returncode:
            raise RuntimeError(f"{argv}: {p.stdout}")
        return p.stdout

    def make_certificates(self):
        """An authority, a certificate for localhost and db.test, and an authority that has signed nothing."""
        d = self.dir
        for name in ("ca", "other"):
            self.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", d / f"{name}.key", "-out",
                     d / f"{name}.pem", "-days", "30", "-subj", f"/CN=test authority {name}", "-addext",
                     "basicConstraints=critical,CA:TRUE")
        (d / "san").write_text("subjectAltName=DNS:localhost,DNS:db.test\n")
        self.run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", d / "server.key", "-out",
                 d / "server.csr", "-subj", "/CN=db.test")
        self.run("openssl", "x509", "-req", "-in", d / "server.csr", "-CA", d / "ca.pem", "-CAkey", d / "ca.key",
                 "-CAcreateserial", "-days", "30", "-extfile", d / "san", "-out", d / "server.pem")
        (d / "server.key").chmod(0o600)
        if self.user:
            os.chown(d / "server.key", self.user["user"], self.user["group"])

    def make_cluster(self):
        self.run(self.bin / "initdb", "-D", self.data, "-U", "admin", "-A", "trust", "-E", "UTF8", "--locale=C",
                 "--no-sync", **self.user)
        settings = {
            "listen_addresses": "'127.0.0.1'", "unix_socket_directories": f"'{self.dir}'", "max_connections": 60,
            "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "ssl": "on",
            "ssl_cert_file": f"'{self.dir}/server.pem'", "ssl_key_file": f"'{self.dir}/server.key'",
            "deadlock_timeout": "100ms", "log_statement": "all", "log_line_prefix": "'%p '",
            "password_encryption": "'scram-sha-256'", "max_wal_size": "64MB", "shared_buffers": "8MB", **self.settings,
        }
        with open(self.data / "postgresql.conf", "a") as f:
            f.writelines(f"{key} = {value}\n" for key, value in settings.items())
        (self.data / "pg_hba.conf").write_text(
            "local all admin trust\nlocal all all scram-sha-256\n"
            "hostssl secure all 127.0.0.1/32 scram-sha-256\nhost secure all all reject\n"
            "host all admin all reject\nhost all all 127.0.0.1/32 scram-sha-256\n")

    def make_database(self):
        quoted = PASSWORD.replace("'", "''")
        for user in ("app", "other"):
            self.sql(f"CREATE ROLE {user} LOGIN PASSWORD '{quoted}'", "postgres")
        for name in ("app", "secure"):
            self.sql(f"CREATE DATABASE {name} OWNER app", "postgres")

    def start(self):
        p = subprocess.Popen([self.bin / "postgres", "-D", self.data, "-p", str(self.port)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
                             cwd=self.dir, start_new_session=True, **self.user)
        ready = threading.Event()

        def read():
            for line in p.stderr:
                self.log.append(line.rstrip("\n"))
                if "database system is ready to accept connections" in line:
                    ready.set()
            ready.set()

        self.process = p
        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        if not ready.wait(60 * SLOW) or p.poll() is not None:
            raise RuntimeError("PostgreSQL does not start:\n" + "\n".join(self.log[-20:]))

    def stop(self, how="fast"):
        if not self.process:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT if how == "fast" else signal.SIGQUIT)
            try:
                self.process.wait(30 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait()
        self.reader.join()
        self.process.stderr.close()
        self.process = None

    def restart(self, how="fast"):
        self.stop(how)
        self.start()

    def close(self):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- asking it

    def sql(self, text, database="app"):
        return ask(self.dir, self.port, text, database)

    def dsn(self, query="", user="app", database="app", host="127.0.0.1", port=None, password=PASSWORD):
        from urllib.parse import quote

        word = f":{quote(password, safe='')}" if password else ""
        return f"postgres://{user}{word}@{quote(host, safe='')}:{port or self.port}/{database}" + (
            f"?{query}" if query else "")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server goes too
    with Postgres() as pg:
        def say(**what):
            print(json.dumps(what), flush=True)

        say(port=pg.port, dir=str(pg.dir), dsn=pg.dsn(), password=PASSWORD)
        for line in sys.stdin:
            word, _, rest = line.rstrip("\n").partition(" ")
            try:
                say(ok=pg.sql(rest) if word == "sql" else pg.restart() or "")
            except RuntimeError as e:
                say(error=str(e))


if __name__ == "__main__":
    main()
