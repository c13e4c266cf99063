"""Stream sockets on any event loop: connected ones as bytes, dialling, and an accept loop that does not die.

What `unix:` and `tcp:` share. The sockets are driven here rather than through
anyio's streams: the accept loop must outlive a failed accept, and closing must not
cut off what was sent. It knows nothing of URIs or of what the frames say.
"""

import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from mcpc.errors import ConnectFailed, ListenFailed
from mcpc.transport import Endpoint, FrameChannel, Peer
from mcpc_transports._lines import LineChannel
from mcpc_transports._polled import CHUNK, PolledStream

if sys.platform != "win32":
    import fcntl
    import termios

__all__ = [
    "POLL",
    "Serving",
    "SocketBytes",
    "binding",
    "channel_over",
    "connect_socket",
    "dialling",
    "open_tcp",
    "run",
    "tune",
]

logger = logging.getLogger("mcpc")

LINGER = 1.0
"""Seconds that closing a TCP connection waits for the peer's system to have what was sent."""

ACCEPT_PAUSE = 0.25
"""Seconds without accepting after an accept failed, as when we are out of descriptors."""

POLL = 0.01
"""Seconds between two looks at what tells nobody when it changes."""

KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""A peer that vanished without a word is noticed after a minute instead of never."""


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
        tcp = _is_tcp(self._sock)
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


def _is_tcp(sock: socket.socket) -> bool:
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
    if not _is_tcp(sock):
        return
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


# --- dialling ---


@contextmanager
def dialling(where: str, seconds: float) -> Generator[None]:
    """The system's errors as `ConnectFailed`."""
    try:
        yield
    except TimeoutError as exc:
        raise ConnectFailed(f"{where} did not answer within {seconds:g} seconds") from exc
    except ConnectionRefusedError as exc:
        raise ConnectFailed(f"nobody listens at {where}") from exc
    except FileNotFoundError as exc:
        raise ConnectFailed(f"there is no socket at {where}") from exc
    except (socket.gaierror, UnicodeError) as exc:
        raise ConnectFailed(f"the host of {where} cannot be found") from exc
    except OSError as exc:
        raise ConnectFailed(f"cannot connect to {where}: {exc.strerror or exc}") from exc


@asynccontextmanager
async def channel_over(sock: socket.socket, max_message_size: int) -> AsyncGenerator[FrameChannel]:
    """A channel over a connected socket, for as long as the context lasts."""
    channel = LineChannel(SocketBytes(sock), max_message_size)
    try:
        yield channel
    finally:
        await channel.aclose()


async def connect_socket(family: int, address: Any) -> socket.socket:
    """A connected, non-blocking socket."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        while not await _connected(sock, address):  # noqa: ASYNC110 - a full backlog tells nobody when it has room
            await anyio.sleep(POLL)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connected(sock: socket.socket, address: Any) -> bool:
    try:
        sock.connect(address)
    except BlockingIOError:
        if not _is_tcp(sock):
            return False  # the listener's backlog is full, and nothing is under way to wait for: connect(2), EAGAIN
        await anyio.wait_writable(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error)) from None
    return True


async def open_tcp(host: str, port: int, seconds: float) -> socket.socket:
    """A connected, non-blocking socket. The host's addresses are tried in turn, each for its share of `seconds`.

    Raises:
        OSError: none can be connected to; the last one's reason.
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = socket.gaierror("no address")
    for family, _, _, _, address in found:
        try:
            with anyio.fail_after(seconds / len(found)):
                sock = await connect_socket(family, address)
            tune(sock)
            return sock
        except OSError as exc:
            failure = exc
    raise failure


# --- serving ---


@contextmanager
def binding(where: str) -> Generator[None]:
    """The system's errors as `ListenFailed`."""
    try:
        yield
    except ListenFailed:
        raise
    except FileNotFoundError as exc:
        raise ListenFailed(f"cannot serve {where}: there is no such directory") from exc
    except (socket.gaierror, UnicodeError) as exc:
        raise ListenFailed(f"cannot serve {where}: its host cannot be found") from exc
    except OSError as exc:
        raise ListenFailed(f"cannot serve {where}: {exc.strerror or exc}") from exc


@dataclass
class Serving:
    """One address being served."""

    uri: str
    sock: socket.socket
    endpoint: Endpoint
    max_message_size: int
    name_peer: Callable[[Any], str]

    async def accept_forever(self, tasks: anyio.abc.TaskGroup) -> None:
        """Serve each connection in a task of its own; no failed accept ends this."""
        with self.sock:
            while True:
                await anyio.wait_readable(self.sock)
                try:
                    sock, address = self.sock.accept()
                except (BlockingIOError, ConnectionError):
                    continue  # it went away again before we took it
                except OSError as exc:
                    logger.warning("cannot accept a connection at %s: %s", self.uri, exc.strerror)
                    await anyio.sleep(ACCEPT_PAUSE)
                    continue
                tasks.start_soon(self.serve, sock, Peer(address=self.name_peer(address)))

    async def serve(self, sock: socket.socket, peer: Peer) -> None:
        """Serve one connection until it ends."""
        sock.setblocking(False)
        tune(sock)
        channel = LineChannel(SocketBytes(sock), self.max_message_size, objects_only=True)
        try:
            await self.endpoint.serve_channel(channel, peer)
        finally:
            await channel.aclose()


@asynccontextmanager
async def run(serving: Serving, retire: Callable[[], None]) -> AsyncGenerator[Serving]:
    """Accept for as long as the context lasts; call `retire` while the socket still listens."""
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serving.accept_forever, tasks)
        try:
            yield serving
        except Exception as exc:  # raised below, outside the task group, which would wrap it
            failure = exc
        finally:
            retire()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
