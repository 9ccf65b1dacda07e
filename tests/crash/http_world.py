"""The crash sweep of http: the outside world is a server that writes down what it was told. It takes one connection after
the other, in the order in which they were made, so that a question comes after everything that was said before it, also
by a host that was killed meanwhile."""

import pathlib
import socket
import threading

from scenarios import Scenario


BODY = b"0123456789abcdef" * 20000


class World(threading.Thread):
    def __init__(self, folder):
        super().__init__(daemon=True)
        self.received = 0
        self.file, self.keys = pathlib.Path(folder) / "world", {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(pathlib.Path(folder) / "sock"))
        self.listener.listen(64)
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                try:
                    self.serve(peer)
                except OSError:
                    pass  # it was killed

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join()

    def serve(self, peer):
        data = b""
        while b"\r\n\r\n" not in data:
            block = peer.recv(65536)
            if not block:
                return
            data += block
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            block = peer.recv(65536)
            if not block:
                return
            body += block
        _, what, word = path.split("/")
        if what == "body":
            peer.sendall(f"HTTP/1.1 200 So\r\nContent-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode() + BODY)
            return
        if what == "events":
            peer.sendall(b"HTTP/1.1 200 So\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for n in range(int(headers.get("last-event-id", 0)) + 1, 4):
                peer.sendall(f"id: {n}\ndata: event{n}\n\n".encode())
            return
        if body == BODY:
            self.received += 1
        status = self.act(method, word, headers.get("idempotency-key"))
        peer.sendall(f"HTTP/1.1 {status} So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    def act(self, method, word, key):
        if method == "GET":
            return 200 if word in self.file.read_text().split() else 404
        with self.file.open("a") as f:
            f.write(word + "\n")
        again = word in self.keys
        self.keys.setdefault(word, set()).add(key)
        return 404 if method == "DELETE" and again else 200


class Http(Scenario):
    """POSTs: the server's own log says whether one has happened."""

    name, book, short = "requests, and the server is asked", "http.lua", 60

    def next(self, case, status):
        if "world" not in case.memory:
            case.memory["world"] = World(case.folder)
        argv = super().next(case, status)
        return [*argv, f"sock={case.folder}/sock"] if argv and argv[0] == "run" else argv

    def check(self, case, events):
        world = case.memory["world"]
        world.stop()
        for word, keys in world.keys.items():
            if len(keys) != 1 or None in keys:
                case.problem("doubled", f"{word} came with the idempotency keys {keys}: one attempt has one")


class HttpMarked(Http):
    """PUT and DELETE are repeated without a question, and marked."""

    name, book, short, allowed = "requests that may be repeated", "http-marked.lua", 60, "marked"


class HttpFiles(Http):
    """What is saved is whole or not there, nothing is left beside it, and each event is acted on once."""

    name, book, short = "saved and sent files, a stream of events", "http-files.lua", 60

    def next(self, case, status):
        argv = super().next(case, status)
        return [*argv[:-1], f"folder={case.folder}"] if argv and argv[0] == "run" else argv

    def check(self, case, events):
        super().check(case, events)
        if (case.folder / "saved").read_bytes() != BODY or not case.memory["world"].received:
            case.problem("lost", "the file was not saved whole, or not sent whole")
        left = [f.name for f in case.folder.iterdir() if f.name.startswith(".rbhost-")]
        if left:
            case.problem("left", f"of the file that was saved: {left}")


ALL = [Http(), HttpMarked(), HttpFiles()]
