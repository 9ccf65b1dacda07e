#!/usr/bin/env python3
"""An ssh for the tests of its driver that is a master as it should not be: it knows no network, only its control socket,
and does there what the host's name says."""

import os
import signal
import socket
import struct
import sys
import time

HELLO = struct.pack(">III", 8, 1, 4)
OPENED = struct.pack(">IIII", 12, 0x80000006, 0, 5)


def take(connection, n):
    data = b""
    while len(data) < n:
        more = connection.recv(n - len(data))
        if not more:
            return None
        data += more
    return data


def request(connection):
    """The next packet's type, None at the end."""
    head = take(connection, 4)
    if head is None:
        return None
    body = take(connection, struct.unpack(">I", head)[0])
    return struct.unpack(">I", body[:4])[0]


def descriptors(connection):
    return [socket.recv_fds(connection, 1, 1)[1][0] for _ in range(3)]


def serve(connection, host):
    connection.sendall(HELLO if host != "old" else struct.pack(">III", 8, 1, 3))
    request(connection)  # the greeting
    kind = request(connection)
    if kind == 0x10000004:
        if host == "frozen":
            time.sleep(1000)
        connection.sendall(struct.pack(">IIII", 12, 0x80000005, 0, os.getpid()))
        return
    fds = descriptors(connection)
    if host in ("denies", "refuses"):
        text = b"Session open refused by peer"
        connection.sendall(struct.pack(">IIII", 12 + len(text), 0x80000002 + (host == "refuses"), 0, len(text)) + text)
    elif host == "no-exec":
        connection.sendall(OPENED)
        os.write(fds[2], b"exec request failed on channel 5\r\n")
    elif host == "says-no-exec":  # the command says so, in another session
        connection.sendall(OPENED)
        os.write(fds[2], b"exec request failed on channel 4\r\n")
    elif host == "gone":  # it has the request and says nothing any more
        sys.stderr.write("Timeout, server gone not responding.\r\n")
        os._exit(255)
    elif host == "mad":
        connection.sendall(OPENED + b"\xff\xff\xff\xff")
        time.sleep(1000)
    elif host == "gone-open":
        connection.sendall(OPENED)
        sys.stderr.write("Timeout, server gone not responding.\r\n")
        os._exit(255)
    elif host == "slow-code":  # the code first, then output, for longer than the code's own second
        connection.sendall(OPENED + struct.pack(">IIII", 12, 0x80000004, 5, 3))
        for _ in range(4):
            time.sleep(0.4)
            os.write(fds[1], b"more ")
    for fd in fds:
        os.close(fd)


def main():
    path, host = sys.argv[sys.argv.index("-S") + 1], sys.argv[-1]
    if host == "never-up":
        time.sleep(1000)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen(64)
    os.rename(path + ".new", path)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if host in ("gone", "gone-open"):
            serve(connection, host)
        elif os.fork() == 0:
            listener.close()
            serve(connection, host)
            os._exit(0)
        connection.close()


main()
