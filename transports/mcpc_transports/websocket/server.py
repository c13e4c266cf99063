"""A WebSocket listener: sockets, limits, and a task for each connection.

Who is let in is decided by `handshake`, what an open connection does by
`channel`; what is served is the endpoint's business.
"""

import logging
import socket
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.abc
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint
from mcp.server.auth.provider import TokenVerifier
from websockets.frames import CloseCode
from websockets.protocol import OPEN, Protocol, Side
from websockets.uri import WebSocketURI

from mcpc.errors import ListenFailed, URIError
from mcpc.groups import errors_told
from mcpc.logs import logger_of
from mcpc.transport import URI, Endpoint, Peer
from mcpc_transports.accepting import accept_forever
from mcpc_transports.addresses import Guests, authority, dialable, is_loopback
from mcpc_transports.sockets.connection import SocketBytes, tune
from mcpc_transports.websocket.channel import WebSocketChannel, background
from mcpc_transports.websocket.core import frame_limit
from mcpc_transports.websocket.expiry import ending_with_token, peer_of
from mcpc_transports.websocket.handshake import QUIET, HandshakeError, Rules, accept_upgrade, busy
from mcpc_transports.websocket.keepalive import KeepAlive
from mcpc_transports.websocket.outgoing import STREAM_ERRORS
from mcpc_transports.websocket.stream import Stream, secured

__all__ = ["Limits", "serve"]

logger: logging.Logger = logger_of(__name__)

TOLD_AT_ONCE = 64
"""Clients over the limit that are told so at one time; more than these are just dropped."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a connection or a listener: bytes, seconds, counts."""

    max_message_size: int
    open_timeout: float
    ping_interval: float | None
    ping_timeout: float | None
    max_connections: int = 1
    backlog: int = 1

    def check(self, uri: URI) -> None:
        """Raise `URIError` for a bound that bounds nothing or everything."""
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise URIError(f"{uri.scheme}: {name} must be more than 0, not {value!r}")


@asynccontextmanager
async def serve(
    uri: URI,
    address: WebSocketURI,
    endpoint: Endpoint,
    limits: Limits,
    *,
    ssl_context: ssl.SSLContext | None,
    token_verifier: TokenVerifier | None,
    guests: Guests,
    allow_remote: bool,
) -> "AsyncGenerator[_Serving]":
    """Serve `endpoint` at `address` until the context ends.

    Raises:
        ListenFailed: the address cannot be bound, or is not loopback and nothing guards it.
    """
    if not is_loopback(address.host) and token_verifier is None and not allow_remote:
        raise ListenFailed(
            f"{uri} can be reached from other machines: give a token_verifier, or allow_remote=True to let anybody in"
        )
    listeners = await _bind(uri, address, limits.backlog)
    port: int = listeners[0].getsockname()[1]
    rules = Rules(address.path, guests, token_verifier)
    where = f"{uri.scheme}://{authority(dialable(uri.host), port)}{uri.path}"
    async with background() as tasks:
        serving = _Serving(where, endpoint, limits, rules, ssl_context, tasks)
        for listener in listeners:
            tasks.start_soon(serving.accept, listener)
        try:
            yield serving
        finally:
            await serving.stop(listeners)


async def _bind(uri: URI, address: WebSocketURI, backlog: int) -> list[socket.socket]:
    """Listening sockets, one for each address of the host, all on one port."""
    try:
        bound = await anyio.create_tcp_listener(local_host=address.host, local_port=address.port, backlog=backlog)
    except OSError as exc:
        raise ListenFailed(f"{uri} cannot be served: {exc.strerror or exc}") from exc
    # Only the sockets: anyio's streams would cost a connection three objects more, and a turn of the loop a read.
    return [listener.extra(SocketAttribute.raw_socket) for listener in bound.listeners]


class _Serving:
    """One address being served."""

    def __init__(
        self,
        uri: str,
        endpoint: Endpoint,
        limits: Limits,
        rules: Rules,
        ssl_context: ssl.SSLContext | None,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self.uri = uri
        self._endpoint = endpoint
        self._limits = limits
        self._rules = rules
        self._ssl_context = ssl_context
        self._tasks = tasks
        self._connections = 0
        self._turned_away = 0
        self._channels: set[WebSocketChannel] = set()
        self._keep_alive = KeepAlive(limits.ping_interval, limits.ping_timeout)
        tasks.start_soon(self._keep_alive.run)

    async def stop(self, listeners: Sequence[socket.socket]) -> None:
        """Accept no more, and have those who are connected told that we go."""
        for channel in self._channels:
            channel.close_code = CloseCode.GOING_AWAY
        for listener in listeners:
            anyio.notify_closing(listener)
            listener.close()
        await checkpoint()

    async def accept(self, listener: socket.socket) -> None:
        """Accept connections until the listener is closed. An error is logged, and does not end it."""
        with suppress(anyio.ClosedResourceError):
            await accept_forever(listener, self.uri, self._accepted)

    def _accepted(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        tune(sock)
        if self._connections >= self._limits.max_connections:
            self._tasks.start_soon(self._turn_away, SocketBytes(sock))
            return
        self._connections += 1
        # Who sees that its connection is closed may count on there being room for another.
        stream = SocketBytes(sock, on_release=self._released)
        self._tasks.start_soon(self._serve, stream, authority(*address[:2]))

    def _released(self) -> None:
        self._connections -= 1

    async def _turn_away(self, stream: SocketBytes) -> None:
        self._turned_away += 1
        try:
            if self._turned_away <= TOLD_AT_ONCE and self._ssl_context is None:
                await busy(stream)
        finally:
            self._turned_away -= 1
            await _drop(stream)

    async def _serve(self, stream: SocketBytes, address: str) -> None:
        try:
            with errors_told(self._failed):
                opened = await self._open(stream, address)
                if opened is not None:
                    await self._serve_channel(*opened)
        finally:
            await _drop(stream)

    def _failed(self, error: Exception) -> None:
        logger.error("%s: serving a connection failed", self.uri, exc_info=error)

    async def _open(self, stream: SocketBytes, address: str) -> tuple[WebSocketChannel, Peer] | None:
        """The handshakes. None where they fail: that is the client's business, and worth a debug message only."""
        upper: Stream = stream
        try:
            with anyio.fail_after(self._limits.open_timeout):
                if self._ssl_context is not None:
                    upper = await secured(stream, self._ssl_context)
                admitted = await accept_upgrade(upper, self._rules)
        except (HandshakeError, anyio.EndOfStream, *STREAM_ERRORS) as exc:
            logger.debug("%s: no connection was opened: %s", self.uri, str(exc) or type(exc).__name__)
            return None
        limit = self._limits.max_message_size
        # A fresh protocol: that of the handshake would keep the request, token and all, as long as it lives.
        protocol = Protocol(Side.SERVER, state=OPEN, max_size=frame_limit(limit), logger=QUIET)
        channel = WebSocketChannel(upper, protocol, self._tasks, max_message_size=limit)
        return channel, peer_of(admitted.access, admitted.headers, address)

    async def _serve_channel(self, channel: WebSocketChannel, peer: Peer) -> None:
        self._channels.add(channel)
        self._keep_alive.add(channel)
        try:
            async with ending_with_token(channel, peer.access_token):
                await self._endpoint.serve_channel(channel, peer)
        finally:
            with anyio.CancelScope(shield=True):
                await channel.aclose()
            self._keep_alive.discard(channel)
            self._channels.discard(channel)


async def _drop(stream: SocketBytes) -> None:
    with anyio.CancelScope(shield=True), suppress(*STREAM_ERRORS):
        await stream.aclose()
