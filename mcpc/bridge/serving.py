"""`bridge` and `bridging`: an address that is served by the server at another."""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
from mcp.server import Server

from mcpc.bridge.hub import HubKeeper
from mcpc.bridge.links import FrameLink, Link, StreamLink, Target
from mcpc.bridge.pipe import Pipe
from mcpc.bridge.proxy import ProxyServer
from mcpc.bridge.sharing import SharedClient
from mcpc.framing import Connection
from mcpc.groups import errors_told
from mcpc.logs import logger_of
from mcpc.transport import URI, FrameChannel, Listener, Peer, until_finished
from mcpc.uri import listen_at

__all__ = ["BridgeEndpoint", "bridge", "bridging"]

logger: logging.Logger = logger_of(__name__)


class BridgeEndpoint:
    """What a bridge's listener serves (see `transport.Endpoint`).

    Args:
        target: The server behind the bridge.
        tasks: For what outlives a client's connection.
        shared: Whether clients share one connection to the server.
        poll_after: See `bridging`.
    """

    def __init__(
        self, target: Target, tasks: anyio.abc.TaskGroup, *, shared: bool, poll_after: float | None = None
    ) -> None:
        self._target = target
        self._keeper = HubKeeper(target, tasks)
        self._shared = shared
        self._server = ProxyServer(target, self._keeper, tasks, shared=shared, poll_after=poll_after)

    @property
    def server(self) -> Server[Any]:
        """For transports that drive a server."""
        return self._server

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        """Serve one framed connection until it ends."""
        async with Connection(channel, side="server", peer=peer).open() as connection:
            await self._serve(FrameLink(connection))

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        """Serve one pair of the SDK's streams until it ends."""
        await self._serve(StreamLink(read, write))

    async def _serve(self, client: Link) -> None:
        with errors_told(_failed):  # one connection's trouble is its own: the listener goes on
            if self._shared:
                await SharedClient(client, self._keeper).run()
            else:
                await Pipe(client, self._target).run()


def _failed(error: Exception) -> None:
    logger.error("a bridged connection ended with an error", exc_info=error)


@asynccontextmanager
async def bridging(
    listen_uri: str | URI,
    connect_uri: str | URI,
    *,
    shared: bool = False,
    poll_after: float | None = None,
    listen_options: Mapping[str, Any] | None = None,
    connect_options: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Listener]:
    """Serve, at `listen_uri`, the server at `connect_uri`, for as long as the context lasts.

    Each client has a connection to the server of its own, made when it first says something and closed when it
    leaves; over Streamable HTTP, each session of the older era has, and the requests of the stateless era, which
    belong to no connection, share one. Between framed transports messages are passed on as the bytes they came
    as; over HTTP their values are kept, and the spelling of numbers is not (`1e2` becomes `100.0`).

    Args:
        listen_uri: Where clients come, such as `http://127.0.0.1:0/mcp`; port 0 means any free port.
        connect_uri: Where the server is. Nothing that a client sends has a say in it.
        shared: All clients share one connection, as where the server is one process. Their requests and progress
            tokens are renamed; the server cannot ask clients; a client that stops reading holds the others up for
            two seconds and is then cut off.
        poll_after: Seconds after which the event stream of an unanswered HTTP request is closed, so that its client
            comes back for the rest (clients of 2025-11-25, and a listener that keeps events); None for never.
        listen_options: The listening transport's options, `token_verifier` and `allowed_origins` among them.
        connect_options: The connecting transport's options.

    Raises:
        URIError: an address or an option cannot be used.
        ListenFailed: the address is taken, or may not be served.
    """
    target = Target(connect_uri, connect_options or {})
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            endpoint = BridgeEndpoint(target, tasks, shared=shared, poll_after=poll_after)
            async with listen_at(listen_uri, endpoint, **(listen_options or {})) as listener:
                try:
                    yield listener
                except Exception as exc:
                    failure = exc  # raised below, where no task group wraps it
        except Exception as exc:
            failure = failure or exc
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def bridge(
    listen_uri: str | URI,
    connect_uri: str | URI,
    *,
    shared: bool = False,
    poll_after: float | None = None,
    listen_options: Mapping[str, Any] | None = None,
    connect_options: Mapping[str, Any] | None = None,
) -> None:
    """Serve, at `listen_uri`, the server at `connect_uri`, until cancelled; over `stdio:`, until the client leaves.

    Arguments and errors are those of `bridging`.
    """
    opened = bridging(
        listen_uri,
        connect_uri,
        shared=shared,
        poll_after=poll_after,
        listen_options=listen_options,
        connect_options=connect_options,
    )
    async with opened as listener:
        await until_finished(listener)
