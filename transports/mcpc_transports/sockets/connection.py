"""A connected stream socket as bytes, on any event loop.

It is driven here rather than through anyio's streams: closing must not cut off what
was sent. It knows nothing of addresses, or of what the bytes say.
"""

import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import anyio
from anyio.lowlevel import checkpoint

from mcpc_transports.polled import CHUNK, PolledStream

if sys.platform != "win32":
    import fcntl
    import termios

__all__ = ["POLL", "SocketBytes", "is_tcp", "tune"]

LINGER = 1.0
"""Seconds that closing a TCP connection waits for the peer's system to have what was sent."""

POLL = 0.01
"""Seconds between two looks at what tells nobody when it changes."""

KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))
"""A peer that vanished without a word is noticed after a minute: instead of never, or, with something under way to it,
of a quarter of an hour. So is one that has read nothing of it for that long."""


class SocketBytes(PolledStream):
    """A connected, non-blocking stream socket, which it owns.

    Args:
        sock: The socket.
        on_release: Called once, just before the peer can learn that the socket is closed.
    """

    def __init__(self, sock: socket.socket, on_release: Callable[[], None] | None = None) -> None:
        super().__init__(sock.fileno(), sock.fileno())
        self._sock = sock
        self._on_release = on_release

    def _read(self, max_bytes: int) -> bytes:
        return self._sock.recv(max_bytes)

    def _write(self, data: memoryview) -> int:
        return self._sock.send(data)

    async def send_eof(self) -> None:
        """Tell the peer that nothing more comes; what it sends can still be read."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        await checkpoint()

    async def _release(self) -> None:
        """Part in good order: to close with unread data resets the connection, and a reset may destroy what we sent."""
        if self._on_release is not None:
            self._on_release()
        tcp = is_tcp(self._sock)
        with self._sock, suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR if tcp else socket.SHUT_RDWR)
            with anyio.move_on_after(LINGER):
                while tcp and _in_flight(self._sock):
                    self._discard()
                    await anyio.sleep(POLL)
            self._discard()

    def _discard(self) -> None:
        """Drop what has come in. Bounded: a peer may send faster than we drop."""
        with suppress(OSError):
            for _ in range(64):
                if not self._sock.recv(CHUNK):
                    return


def is_tcp(sock: socket.socket) -> bool:
    """The other kind here is a unix socket."""
    return sock.family in (socket.AF_INET, socket.AF_INET6)


def _in_flight(sock: socket.socket) -> int:
    """Bytes that the peer's system has not acknowledged; 0 where ours cannot tell."""
    if sys.platform == "win32":
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


def tune(sock: socket.socket) -> None:
    """No delay for small messages, and a dead peer is noticed. A refusal of the system is no reason to fail."""
    if not is_tcp(sock):
        return
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
