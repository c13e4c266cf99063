"""`tcp://host:port`: newline-framed JSON-RPC over TCP.

It has no authentication, so it keeps to this machine unless told otherwise: a
listener binds to loopback, and a client that does not speak JSON-RPC (a web page's
POST, say) is dropped at its first line. What happens on a socket once it is there
is not told here.
"""

import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio

from mcpc.errors import ListenFailed, URIError
from mcpc.transport import (
    DEFAULT_MAX_ANSWER_SIZE,
    DEFAULT_MAX_MESSAGE_SIZE,
    URI,
    Endpoint,
    FrameChannel,
    Listener,
    Traits,
)
from mcpc_transports.addresses import authority, dialable, is_loopback
from mcpc_transports.sockets.dialling import OPEN_TIMEOUT, channel_over, dialling, open_tcp
from mcpc_transports.sockets.serving import BACKLOG, Serving, binding, run

__all__ = ["TcpTransport"]


class TcpTransport:
    """Serves `tcp://host:port`."""

    traits: Traits = Traits(heartbeat=True, place="{scheme}://127.0.0.1:0")

    def connect(
        self, uri: URI, /, *, max_message_size: int = DEFAULT_MAX_ANSWER_SIZE, open_timeout: float = OPEN_TIMEOUT
    ) -> AbstractAsyncContextManager[FrameChannel]:
        """Connect to `uri`.

        Args:
            uri: `tcp://host:port`.
            max_message_size: Bytes of the largest message accepted.
            open_timeout: Seconds to connect in, the search for the host's name included.
        """
        host, port = _host_and_port(uri)
        if port == 0:
            raise URIError("port 0 can only be listened on: it means any free port")
        return self._connect(host, port, max_message_size, open_timeout)

    @asynccontextmanager
    async def _connect(
        self, host: str, port: int, max_message_size: int, seconds: float
    ) -> AsyncGenerator[FrameChannel]:
        with dialling(f"tcp://{authority(host, port)}", seconds), anyio.fail_after(seconds):
            sock = await open_tcp(host, port, seconds)
        async with channel_over(sock, max_message_size) as channel:
            yield channel

    def listen(
        self,
        uri: URI,
        endpoint: Endpoint,
        /,
        *,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        allow_remote: bool = False,
        backlog: int = BACKLOG,
    ) -> AbstractAsyncContextManager[Listener]:
        """Serve `uri`.

        Args:
            uri: `tcp://host:port`; port 0 is any free port.
            endpoint: What to serve.
            max_message_size: Bytes of the largest message accepted.
            allow_remote: Bind to an address that other machines can reach. There is no authentication.
            backlog: Connections that may wait to be accepted.
        """
        host, port = _host_and_port(uri)
        return self._listen(host, port, endpoint, max_message_size, allow_remote, backlog)

    @asynccontextmanager
    async def _listen(
        self, host: str, port: int, endpoint: Endpoint, max_message_size: int, allow_remote: bool, backlog: int
    ) -> AsyncGenerator[Serving]:
        where = f"tcp://{authority(host, port)}"
        if not allow_remote and not is_loopback(host):
            raise ListenFailed(
                f"{where} can be reached from other machines, and tcp: has no authentication; "
                "bind to 127.0.0.1, or pass allow_remote=True"
            )
        # Bound to one family: with any free port, two families would get two ports.
        host = "127.0.0.1" if host.lower() == "localhost" else host
        with binding(where):
            sock = await _bind_tcp(host, port, backlog)
        uri = f"tcp://{authority(dialable(host), sock.getsockname()[1])}"
        with sock:
            serving = Serving(uri, sock, endpoint, max_message_size, _peer)
            async with run(serving, retire=lambda: None):
                yield serving


def _host_and_port(uri: URI) -> tuple[str, int]:
    if uri.username is not None or uri.path or uri.query or "#" in uri.rest:
        raise URIError(f"a tcp: address is tcp://host:port and nothing else, not {uri}")
    if not uri.host or uri.port is None:
        raise URIError("a tcp: address needs a host and a port: tcp://host:port")
    return uri.host, uri.port


def _peer(address: tuple[Any, ...]) -> str:
    return authority(*address[:2])


async def _bind_tcp(host: str, port: int, backlog: int) -> socket.socket:
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if sys.platform != "win32":  # there it would let a second listener steal the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock
