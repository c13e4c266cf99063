"""HTTP connections: how they are accepted, how many there may be, and how long the head of a request may take.

asyncio's own accept loop tries as often as the backlog is long when there are no descriptors left, and logs each time;
uvicorn waits for a head for ever. Knows nothing of requests once their head is there.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any

import anyio

from mcpc.logs import logger_of
from mcpc_transports.accepting import accept_forever

if sys.platform != "win32":
    import resource

__all__ = ["HEAD_TIMEOUT", "accept_connections", "most_connections", "watched"]

logger = logger_of(__name__)

HEAD_TIMEOUT = 20.0
"""Seconds from a connection, or from the first byte of a further request, to the end of the request's head."""

TLS_TIMEOUT = 20.0
"""Seconds for the handshake of TLS."""

MOST = 10_000
"""Connections that one listener has at a time; fewer where the process may not have as many descriptors."""

SPARE = 64
"""Descriptors that are left to the rest of the process."""


def most_connections() -> int:
    """How many connections one listener of this process may have."""
    if sys.platform == "win32":
        return MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft - SPARE))


class _Watched(asyncio.Protocol):
    """Mixed into uvicorn's protocol: no access log, and a deadline for each head."""

    cycle: Any
    """The request that was last begun; None before the first."""
    transport: Any
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.access_log = False
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if not self._is_waiting():
            self._unwatch()
        elif self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(HEAD_TIMEOUT, self._late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _is_waiting(self) -> bool:
        """Whether no request is in progress, so that what comes is a head."""
        return self.cycle is None or self.cycle.response_complete

    def _late(self) -> None:
        self._deadline = None
        if self._is_waiting():
            logger.debug("closed a connection whose request did not come")
            self.transport.abort()


def watched(protocol: type[Any]) -> type[Any]:
    """uvicorn's protocol, that writes no access log and has a deadline for each head.

    A request line may hold a session's id; uvicorn's own option for its log alters a global logger.
    """
    return type("Watched", (_Watched, protocol), {})


async def accept_connections(
    sock: socket.socket,
    where: str,
    make_protocol: Callable[[], asyncio.Protocol],
    connections: set[Any],
    ssl_context: ssl.SSLContext | None,
) -> None:
    """Accept until cancelled; where there are as many connections as may be, further ones wait in the backlog.

    Args:
        sock: A socket that listens.
        where: Its address, for the log.
        make_protocol: Makes what serves one connection.
        connections: Those that are open.
        ssl_context: For TLS.
    """
    most = most_connections()
    opening: set[socket.socket] = set()
    async with anyio.create_task_group() as tasks:

        async def begin(connection: socket.socket) -> None:
            try:
                await _begin(connection, make_protocol, ssl_context)
            finally:
                opening.discard(connection)

        def take(connection: socket.socket, _: Any) -> None:
            opening.add(connection)
            tasks.start_soon(begin, connection)

        def is_room() -> bool:
            return len(connections) + len(opening) < most

        try:
            await accept_forever(sock, where, take, is_room)
        finally:
            for connection in opening:
                connection.close()


async def _begin(
    connection: socket.socket, make_protocol: Callable[[], asyncio.Protocol], ssl_context: ssl.SSLContext | None
) -> None:
    loop = asyncio.get_running_loop()
    timeout = TLS_TIMEOUT if ssl_context is not None else None
    try:
        await loop.connect_accepted_socket(make_protocol, connection, ssl=ssl_context, ssl_handshake_timeout=timeout)
    except OSError as exc:  # TLS that fails, a peer that left
        logger.debug("a connection did not begin: %s", exc)
        connection.close()
