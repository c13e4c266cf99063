"""Two small real proxies, HTTP and SOCKS5, which look up the names they are told: to them every name is this machine's.

They run in threads, so that they serve tests on any event loop.
"""

import contextlib
import re
import socket
import struct
import threading
from base64 import b64encode
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["TestProxy", "proxy"]


class TestProxy:
    """A proxy of one kind, perhaps for one user only."""

    __test__ = False

    def __init__(self, kind: str, user: str = "", password: str = "") -> None:
        self.asked: list[str] = []
        """What it was asked for: `host:port`."""
        self.refuse = False
        """Whether it opens nothing."""
        self._user, self._password = user, password
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        known = f"{user}:{password}@" if user else ""
        self.url = f"{kind}://{known}127.0.0.1:{self._listener.getsockname()[1]}"
        self._serve: Callable[[socket.socket], None] = self._http if kind == "http" else self._socks
        self._spawn(self._accept)

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self._spawn(self._one, client)

    def _one(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            self._serve(client)

    def _dial(self, host: str, port: int) -> socket.socket:
        self.asked.append(f"{host}:{port}")
        there = socket.create_connection(("127.0.0.1", port))
        self._open.append(there)
        return there

    def _http(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(65536)
            if not data:
                return
            head += data
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        known = b64encode(f"{self._user}:{self._password}".encode())
        if self._user and b"basic " + known.lower() not in head.lower():
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        elif self.refuse:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
        elif method == "CONNECT":
            host, _, port = target.rpartition(":")
            there = self._dial(host, int(port))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            self._relay(client, there)
        else:  # the whole address: the server there is given the path, and one request
            where, _, path = target.removeprefix("http://").partition("/")
            host, _, port = where.rpartition(":")
            there = self._dial(host, int(port))
            head = head.replace(target.encode(), f"/{path}".encode(), 1)
            there.sendall(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"\r\nconnection: close", head))
            self._relay(client, there)

    def _socks(self, client: socket.socket) -> None:
        _, count = client.recv(2)
        methods = client.recv(count)
        wanted = 2 if self._user else 0
        if wanted not in methods:
            client.sendall(b"\x05\xff")
            return
        client.sendall(bytes((5, wanted)))
        if wanted:
            data = client.recv(1024)
            user = data[2 : 2 + data[1]]
            is_known = (user, data[3 + data[1] :]) == (self._user.encode(), self._password.encode())
            client.sendall(b"\x01\x00" if is_known else b"\x01\x01")
            if not is_known:
                return
        request = client.recv(1024)
        host, (port,) = request[5:-2].decode(), struct.unpack("!H", request[-2:])
        if self.refuse:
            client.sendall(b"\x05\x02\x00\x01\0\0\0\0\0\0")
            return
        there = self._dial(host, port)
        client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        self._relay(client, there)

    def _relay(self, client: socket.socket, there: socket.socket) -> None:
        self._spawn(self._pass, there, client)
        self._pass(client, there)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it, with all that goes through it."""
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(5)


@contextmanager
def proxy(kind: str, user: str = "", password: str = "") -> Generator[TestProxy]:
    """A proxy, until the context ends."""
    running = TestProxy(kind, user, password)
    try:
        yield running
    finally:
        running.close()
