"""A real nginx in front of a service: TLS with a certificate of the lab's own authority, a rate limit, an access log.

    gateway = lab.start(Gateway(lab, upstream_port))
    gateway.url, gateway.ca, gateway.access_log
    gateway.configure(limit=False)      changes something and reloads

`limit` requests a minute are let through, `burst` of them at once; what is over gets 429, as api gateways answer."""

import ssl
import subprocess
import urllib.request

from parts import Process, free_ports, listens, wait_until


def openssl(folder, *args):
    return subprocess.run(["openssl", *map(str, args)], cwd=folder, check=True, capture_output=True).stdout


def certificates(folder, days=30):
    """An authority and a certificate of it for 127.0.0.1 and localhost: ca.crt, server.crt, server.key."""
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-days", 30,
            "-subj", "/CN=lab authority")
    openssl(folder, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr",
            "-subj", "/CN=localhost")
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    sign(folder, days)


def sign(folder, days):
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
            "-extfile", "ext", "-out", "server.crt")


class Gateway(Process):
    def __init__(self, lab, upstream, limit=60, burst=6):
        self.folder = lab.path("gateway")
        (self.port,) = free_ports(1)
        self.access_log, self.ca = self.folder / "access.log", self.folder / "ca.crt"
        self.upstream = upstream
        self.options = {"limit": limit, "burst": burst, "protocols": "TLSv1.2 TLSv1.3", "log": True, "day": 0}
        certificates(self.folder)
        self.write()
        argv = ["/usr/sbin/nginx", "-e", self.folder / "error.log", "-c", self.folder / "nginx.conf", "-p", self.folder]
        super().__init__(lab, "nginx", argv, lambda: listens(self.port))

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def write(self):
        o = self.options
        zone = f"limit_req_zone $binary_remote_addr zone=all:1m rate={o['limit']}r/m;" if o["limit"] else ""
        limit = f"limit_req zone=all burst={o['burst']} nodelay; limit_req_status 429;" if o["limit"] else ""
        temp = " ".join(f"{d}_temp_path {self.folder}/tmp;" for d in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        log = self.access_log if o["log"] else "off"
        ciphers = "DEFAULT:@SECLEVEL=0" if "TLSv1.1" in o["protocols"] else "DEFAULT"
        (self.folder / "nginx.conf").write_text(f"""
daemon off; master_process on; worker_processes 1; pid {self.folder}/pid; worker_shutdown_timeout 1s;
user {subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()};
events {{ worker_connections 256; }}
http {{
    {temp} {zone}
    access_log {log};
    add_header X-Lab-Configuration {o['day']} always;
    server {{
        listen 127.0.0.1:{self.port} ssl;
        ssl_certificate {self.folder}/server.crt;
        ssl_certificate_key {self.folder}/server.key;
        ssl_protocols {o['protocols']};
        ssl_ciphers {ciphers};
        location / {{ {limit} proxy_pass http://127.0.0.1:{self.upstream}; proxy_read_timeout 10s; }}
        location = /lab {{ return 204; }}
    }}
}}
""")

    def asked(self):
        """The number of the configuration that answers."""
        context = ssl.create_default_context(cafile=self.ca)
        with urllib.request.urlopen(f"{self.url}/lab", context=context, timeout=5) as r:
            return r.headers["X-Lab-Configuration"]

    def configure(self, **options):
        """Changes options and waits until they hold. A new rate limit begins empty."""
        if "days" in options:
            sign(self.folder, options.pop("days"))
        self.options.update(options, day=self.options["day"] + 1)
        self.write()
        before = self.workers()
        self.process.send_signal(1)
        wait_until("nginx to take its configuration", lambda: not before & self.workers() and self.holds())

    def workers(self):
        """The processes that answer; after a reload the old ones do so for a moment."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return set(f.read().split())

    def holds(self):
        try:
            return self.asked() == str(self.options["day"])
        except OSError as e:  # a certificate that is not good any more holds, too
            return "certificate" in str(e)
