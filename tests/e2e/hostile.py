"""A server that answers as real ones do on a bad day, for the tests of http. Each path is one misbehaviour. What it was
asked is in `log`: (method, path, headers, body), in order."""

import gzip
import socket
import socketserver
import struct
import threading

LINE = b"\r\n"


class Hostile:
    def __init__(self):
        self.log = []
        self.lock = threading.Lock()
        self.counts = {}
        self.connections = 0
        self.release = threading.Event()  # what hangs goes on when the test says so
        self.state = {}
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                outer.serve(self)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # whoever was hung up on

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def asked(self, path=None, method=None):
        with self.lock:
            return [e for e in self.log if (path is None or e[1].split("?")[0] == path) and (method is None or e[0] == method)]

    def serve(self, h):
        with self.lock:
            self.connections += 1
        h.served = 0
        while True:
            line = h.rfile.readline(65537)
            if not line or not line.strip():
                return
            method, path, _ = line.decode("latin-1").split(" ", 2)
            headers = {}
            while (line := h.rfile.readline(65537)) not in (b"\r\n", b"\n", b""):
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = h.rfile.read(int(headers.get("content-length", 0)))
            if headers.get("transfer-encoding") == "chunked":
                while size := int(h.rfile.readline(), 16):
                    body += h.rfile.read(size)
                    h.rfile.readline()
                h.rfile.readline()
            with self.lock:
                self.log.append((method, path, headers, body))
                n = self.counts[path] = self.counts.get(path, 0) + 1
            h.served += 1
            name = path.split("?")[0].strip("/").split("/")[0].replace("-", "_") or "root"
            if not getattr(self, "on_" + name, self.on_unknown)(h, method, path, headers, body, n):
                return

    # -- answers. True: the connection is kept.

    def say(self, h, status=200, body=b"", headers=(), keep=True):
        body = body.encode() if isinstance(body, str) else body
        out = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n"
        out += "".join(f"{k}: {v}\r\n" for k, v in headers)
        h.wfile.write(out.encode() + LINE + body)
        return keep

    def on_unknown(self, h, *_):
        return self.say(h, 404, "nothing here")

    def on_hello(self, h, *_):
        return self.say(h, 200, "hello")

    def on_echo(self, h, method, path, headers, body, n):
        return self.say(h, 200, body or path, [("Content-Type", headers.get("content-type", "text/plain")), ("X-Method", method)])

    def on_headers(self, h, *_):
        return self.say(h, 200, "x", [("X-Two", "a"), ("X-Two", "b"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-UP", "v")])

    def on_status(self, h, method, path, headers, body, n):
        return self.say(h, int(path.split("/")[2].split("?")[0]), "as you wish")

    def on_json(self, h, *_):
        return self.say(h, 200, '{"a":[1,2,{"b":null}],"ü":"é"}', [("Content-Type", "application/json")])

    def on_bad_json(self, h, *_):
        return self.say(h, 200, '{"a":')

    def on_binary(self, h, *_):
        return self.say(h, 200, bytes(range(256)) * 4)

    def on_gzip(self, h, method, path, headers, *_):
        assert "gzip" in headers.get("accept-encoding", "")
        return self.say(h, 200, gzip.compress(b"small when packed " * 100), [("Content-Encoding", "gzip")])

    def on_bomb(self, h, *_):
        return self.say(h, 200, gzip.compress(b"\0" * (64 << 20)), [("Content-Encoding", "gzip")])

    def on_bad_gzip(self, h, *_):
        return self.say(h, 200, b"this is not gzip at all", [("Content-Encoding", "gzip")])

    def on_endless(self, h, *_):
        h.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            h.wfile.write(b"x" * 65536)

    def on_drip(self, h, *_):
        h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not self.release.wait(0.02):
            h.wfile.write(b"x")

    def on_hang(self, h, *_):
        self.release.wait()
        return False

    def on_big(self, h, *_):
        return self.say(h, 200, b"0123456789" * 1000)

    def on_chunks(self, h, *_):
        h.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnope\r\n")

    def on_short(self, h, *_):
        h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")

    def on_half_head(self, h, *_):
        h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")

    def on_noise(self, h, *_):
        h.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")

    def on_close(self, h, *_):
        return False

    def on_reset(self, h, *_):
        h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def on_reset_body(self, h, *_):
        h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def on_many_headers(self, h, *_):
        h.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 8000 + b"\r\n")
        for _ in range(100):
            h.wfile.write(b"X: " + b"y" * 8000 + b"\r\n")
        h.wfile.write(b"\r\n")

    # -- redirects

    def on_to(self, h, method, path, *_):
        """/to/STATUS?URL"""
        where, _, url = path.partition("?")
        return self.say(h, int(where.split("/")[2]), "over there", [("Location", url)])

    def on_loop(self, h, *_):
        return self.say(h, 302, "", [("Location", "/loop")])

    # -- come back later

    def on_busy(self, h, method, path, headers, body, n):
        """/busy/STATUS/SECONDS: so the first time, then well."""
        _, _, status, seconds = path.split("?")[0].split("/")
        if n > 1:
            return self.say(h, 200, f"at the {n}. time")
        return self.say(h, int(status), "later", [("Retry-After", seconds)])

    def on_busy_date(self, h, method, path, headers, body, n):
        if n > 1:
            return self.say(h, 200, "now")
        return self.say(h, 503, "later", [("Date", "Sat, 28 Nov 2026 04:00:00 GMT"), ("Retry-After", "Sat, 28 Nov 2026 04:00:00 GMT")])

    # -- an API whose things can be made and deleted

    def on_things(self, h, method, path, headers, body, n):
        with self.lock:
            things = self.state.setdefault("things", {})
            if method == "DELETE":
                return self.say(h, 204 if things.pop(path, None) is not None else 404)
            things[path] = body
        return self.say(h, 201, "made")

    # -- events

    def on_events(self, h, method, path, headers, body, n):
        """Events 1…5; the first connection breaks behind the third."""
        last = int(headers.get("last-event-id", 0))
        h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

        def chunk(text):
            h.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))

        chunk(b": hello\nretry: 10\n\n")
        for i in range(last + 1, 6):
            chunk(b"id: %d\nevent: tick\ndata: one %d\ndata: two\n\n" % (i, i))
            if i == 3 and n == 1 and "whole" not in path:
                return False  # in the middle of the stream; a reset could take events with it
            if i == 3 and "wait" in path and not self.release.wait(60):
                return False
        chunk(b"data: never whole")
        h.wfile.write(b"0\r\n\r\n")
        return False

    def on_flood(self, h, *_):
        """Events without data, until nobody takes them for a second, or 24 MiB were taken."""
        h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        h.connection.settimeout(1)
        self.flood = "goes on"
        try:
            for _ in range(512):
                h.wfile.write(b"data\n\n" * 8192)
            self.flood = "was taken"
        except TimeoutError:
            self.flood = "is stopped"
        self.release.wait()
        return False

    def on_flooded(self, h, *_):
        return self.say(h, 200, self.flood)

    def on_silence(self, h, *_):
        h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        self.release.wait()
        return False

    def on_big_event(self, h, *_):
        h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: " + b"x" * 200000 + b"\n\n")
        return False


class Proxy:
    """Tunnels CONNECT, answers plain requests itself."""

    def __init__(self, refuse=None):
        """refuse: the status line's end, said to everybody."""
        self.log = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                line = self.rfile.readline().decode("latin-1")
                headers = {}
                while (h := self.rfile.readline()) not in (b"\r\n", b""):
                    name, _, value = h.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                method, target, _ = line.split(" ", 2)
                outer.log.append((method, target, headers))
                if refuse:
                    self.wfile.write(f"HTTP/1.1 {refuse}\r\nContent-Length: 0\r\n\r\n".encode())
                elif method == "CONNECT":
                    host, port = target.rsplit(":", 1)
                    with socket.create_connection((host, int(port))) as far:
                        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                        t = threading.Thread(target=outer.pump, args=(far, self.connection), daemon=True)
                        t.start()
                        outer.pump(self.connection, far)
                        t.join()
                else:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nby the proxy")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass
