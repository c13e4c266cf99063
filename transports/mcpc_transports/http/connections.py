"""HTTP connections: how they are accepted, how many there may be, and how long the head of a request may take.

asyncio's own accept loop tries as often as the backlog is long when there are no descriptors left, and logs each time;
uvicorn waits for a head for ever. Knows nothing of requests once their head is there.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio

from mcpc.logs import logger_of
from mcpc_transports.accepting import accept_forever
from mcpc_transports.sockets.connection import tune

if sys.platform != "win32":
    import resource

__all__ = ["Bounds", "accept_connections", "watched"]

logger = logger_of(__name__)

SPARE = 64
"""Descriptors that are left to the rest of the process."""


@dataclass(frozen=True)
class Bounds:
    """What the connections of a listener may take."""

    max_connections: int
    """How many there may be at a time."""
    head_timeout: float
    """Seconds from a connection, or from the end of an answer, to the end of the next head; and for TLS."""

    def most_connections(self) -> int:
        """How many connections one listener of this process may have: so many need as many descriptors."""
        if sys.platform == "win32":
            return self.max_connections
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = self.max_connections
        return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - SPARE))


class _Watched(asyncio.Protocol):
    """Mixed into uvicorn's protocol: no access log, and a deadline for each head."""

    cycle: Any
    """The request that was last begun; None before the first."""
    transport: Any
    head_timeout: float
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
            self._deadline = asyncio.get_running_loop().call_later(self.head_timeout, self._late)

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


def watched(protocol: type[Any], head_timeout: float) -> type[Any]:
    """uvicorn's protocol, that writes no access log and has a deadline for each head.

    A request line may hold a session's id; uvicorn's own option for its log alters a global logger.
    """
    return type("Watched", (_Watched, protocol), {"head_timeout": head_timeout})


async def accept_connections(
    sock: socket.socket,
    where: str,
    make_protocol: Callable[[], asyncio.Protocol],
    connections: set[Any],
    bounds: Bounds,
    ssl_context: ssl.SSLContext | None,
) -> None:
    """Accept until cancelled; where there are as many connections as may be, further ones wait in the backlog.

    Args:
        sock: A socket that listens.
        where: Its address, for the log.
        make_protocol: Makes what serves one connection.
        connections: Those that are open.
        bounds: How many there may be.
        ssl_context: For TLS.
    """
    most = bounds.most_connections()
    opening: set[socket.socket] = set()
    async with anyio.create_task_group() as tasks:

        async def begin(connection: socket.socket) -> None:
            try:
                await _begin(connection, make_protocol, bounds.head_timeout, ssl_context)
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
    connection: socket.socket,
    make_protocol: Callable[[], asyncio.Protocol],
    timeout: float,
    ssl_context: ssl.SSLContext | None,
) -> None:
    loop = asyncio.get_running_loop()
    handshake = timeout if ssl_context is not None else None
    try:
        tune(connection)
        await loop.connect_accepted_socket(make_protocol, connection, ssl=ssl_context, ssl_handshake_timeout=handshake)
    except OSError as exc:  # TLS that fails, a peer that left
        logger.debug("a connection did not begin: %s", exc)
        connection.close()
