"""Connecting a stream socket: to one address or the first of a host's that answers, and what went wrong in words.

It knows nothing of URIs or of what the frames say.
"""

import os
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio

from mcpc.errors import ConnectFailed
from mcpc.transport import FrameChannel
from mcpc_transports.lines import LineChannel

if sys.platform != "win32":
    pass
from mcpc_transports.sockets.connection import POLL, SocketBytes, is_tcp, tune

__all__ = ["OPEN_TIMEOUT", "channel_over", "connect_socket", "dialling", "open_tcp"]

OPEN_TIMEOUT = 10.0
"""Seconds to connect in, unless `open_timeout` says otherwise."""


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
        if not is_tcp(sock):
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
