"""A small relay of stream sockets that cuts connections where a test wants it, between a client and a server.

It runs in threads of its own, so that it serves tests on any event loop and takes none of their time.
"""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path


@dataclass(frozen=True)
class After:
    """A cut right behind the n-th place where `pattern` stands in what comes from the server."""

    pattern: bytes
    n: int = 1


Cut = int | After | None
"""After how many bytes from the server a connection is cut, or behind what; None: never."""


def _room(cut: Cut, passed: bytes, data: bytes) -> int | None:
    """How many bytes of `data` may pass before the cut; None: all, and no cut yet."""
    if cut is None:
        return None
    if isinstance(cut, int):
        return None if len(passed) + len(data) < cut else cut - len(passed)
    position, whole = 0, passed + data
    for _ in range(cut.n):
        found = whole.find(cut.pattern, position)
        if found < 0:
            return None
        position = found + len(cut.pattern)
    return position - len(passed)


class Relay:
    """Passes bytes both ways; the n-th connection is cut after `cuts[n]` bytes from the server."""

    def __init__(self, uri: str, listener: socket.socket, dial: Callable[[], socket.socket], cuts: list[Cut]) -> None:
        self.uri = uri
        self.connections = 0
        self.cut_count = 0
        self.received: list[bytearray] = []
        """What came from the server, by connection."""
        self.refusing = False
        """Whether new connections are dropped at once."""
        self.cuts_next = False
        """Whether the next that comes from the server is swallowed, and its connection cut."""
        self._listener = listener
        self._dial = dial
        self._cuts = cuts
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._spawn(self._accept)

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                _abort(client)
                continue
            try:
                server = self._dial()
            except OSError:
                _abort(client)
                continue
            with self._lock:
                number = self.connections
                self.connections += 1
                self.received.append(bytearray())
                self._pairs.append((client, server))
            cut = self._cuts[number] if number < len(self._cuts) else None
            self._spawn(self._pass, client, server)
            self._spawn(self._pass_counted, server, client, number, cut)

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        _abort(source)
        _abort(target)

    def _pass_counted(self, source: socket.socket, target: socket.socket, number: int, cut: Cut) -> None:
        passed = self.received[number]
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.cuts_next:
                    self.cuts_next = False
                    self.cut_count += 1
                    break
                room = _room(cut, bytes(passed), data)
                target.sendall(data[:room])
                passed += data[:room]
                if room is not None:
                    self.cut_count += 1
                    break
        _abort(source, graceful=True)
        _abort(target, graceful=True)

    def lead_to(self, port: int) -> None:
        """Pass new connections to another server."""
        self._dial = partial(socket.create_connection, ("127.0.0.1", port))

    def cut_all(self) -> None:
        """Cut every connection that is open now."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self.cut_count += 1
            for end in pair:
                _abort(end)

    def close(self) -> None:
        """Stop: no more connections, and those that are there are cut."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join(5)


def _abort(end: socket.socket, *, graceful: bool = False) -> None:
    """Close at once, as a crash would. `graceful` lets what was passed on arrive first."""
    with contextlib.suppress(OSError):
        if end.family != socket.AF_UNIX and not graceful:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def relay_to(uri: str, tmp_path: Path, cuts: list[Cut] | None = None, others: Sequence[str] = ()) -> Generator[Relay]:
    """A relay in front of the server at `uri`; `relay.uri` is where to dial instead.

    With `others` (TCP only) each connection leads to the next of them all.
    """
    scheme, _, rest = uri.partition("://")
    if scheme == "unix":
        path = str(tmp_path / "relay.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        address = f"unix://{path}"

        def dial() -> socket.socket:
            end = socket.socket(socket.AF_UNIX)
            end.connect(rest)
            return end
    else:
        authority, slash, path = rest.partition("/")
        ports = cycle([int(authority.rpartition(":")[2]), *(int(other.rpartition(":")[2]) for other in others)])
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}{slash}{path}"

        def dial() -> socket.socket:
            return socket.create_connection(("127.0.0.1", next(ports)))

    listener.listen()
    relay = Relay(address, listener, dial, cuts or [])
    try:
        yield relay
    finally:
        relay.close()
        if scheme == "unix":
            os.unlink(address.removeprefix("unix://"))
