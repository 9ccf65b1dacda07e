"""A recording HTTP server, the base of the stand-ins that speak HTTP. It lives in a thread of the test, so that a test
sees its state; every request is a call of its part in the lab's log.

    class Qdrant(Web):
        name = "qdrant"
        def get(self, path, request): return 200, {"result": "ok"}

What a method returns is a status and a body: bytes, text, or something that becomes JSON. The fault NAME.down answers
503 to everything, NAME.gone closes the connection without an answer."""

import http.server
import json
import threading
import urllib.parse


class Request:
    def __init__(self, handler, body):
        parts = urllib.parse.urlsplit(handler.path)
        self.method, self.path = handler.command, urllib.parse.unquote(parts.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query))
        self.headers, self.body = handler.headers, body

    def json(self):
        return json.loads(self.body or b"null")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client):
        pass  # whoever asked was killed


def serve(port, answer, name="web"):
    """A server whose answer(Request) gives (status, body), or None to hang up."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answered = answer(Request(self, body))
            if answered is None:
                self.close_connection = True
                return
            status, said = answered
            kind = "application/octet-stream" if isinstance(said, bytes) else "application/json"
            data = said if isinstance(said, bytes) else said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = any

        def log_message(self, *_):
            pass

    return Server(("127.0.0.1", port), Handler)


class Web:
    name = "web"

    def __init__(self, lab, port=0):
        self.lab, self.lock = lab, threading.Lock()
        self.server = serve(port, self.answer, self.name)
        self.port = self.server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def answer(self, request):
        self.lab.calls.add(self.name, request.method, path=request.path, size=len(request.body))
        if self.lab.faults.get(f"{self.name}.gone"):
            return None
        if self.lab.faults.get(f"{self.name}.down"):
            return 503, {"error": "down for a test"}
        method = getattr(self, request.method.lower(), None)
        with self.lock:
            return (method and method(request.path, request)) or (404, {"error": f"no {request.method} {request.path}"})

    def start(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
