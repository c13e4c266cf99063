"""Serving a server at a URI, in an event loop that runs: `listen`, `serve`."""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar, Unpack

import anyio
from mcp.server import Server
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import ServerMessageMetadata

from mcpc.framing import Connection
from mcpc.logs import logger_of
from mcpc.options import ListenOptions, merged
from mcpc.pending import PendingRequests
from mcpc.sdk import custom_routes
from mcpc.server.apart import apart
from mcpc.server.binding import Binding, bind
from mcpc.server.counted import CountedReader, CountedWriter
from mcpc.server.leaving import until_cancelled
from mcpc.server.served import Served
from mcpc.server.told_limit import served_limit
from mcpc.server.workshop import Workshop
from mcpc.transport import URI, FrameChannel, Peer, traits_of
from mcpc.uri import listen_at, parse_uri, prepare, resolve
from mcpc.uri import transport_options as transport_options_of

__all__ = ["KEYWORDS", "ServerEndpoint", "Told", "held", "listen", "serve"]

logger: logging.Logger = logger_of(__name__)

ListenerT = TypeVar("ListenerT")

CLOSE_PATIENCE = 3.0
"""Seconds that an address has to close, after its clients were sent the last messages."""


class ServerEndpoint:
    """The core's side of the connections that a listener accepts (see `transport.Endpoint`)."""

    def __init__(self, binding: Binding, limit: int | None = None) -> None:
        self._binding = binding
        self._limit = limit
        self.state: Any = None
        """What the server's lifespan gave."""

    @property
    def workshop(self) -> Workshop:
        """Where the server's tasks run."""
        return self._binding.workshop

    @property
    def routes(self) -> Sequence[Any]:
        """What else the server's application serves over HTTP."""
        return custom_routes(self._binding.server)

    @property
    def server(self) -> Server[Any]:
        """The lowlevel server."""
        return self._binding.lowlevel

    def pending(self) -> PendingRequests:
        """Bounds the requests of one client."""
        limits = self.workshop.limits
        return PendingRequests(limits.max_requests, limits.max_request_bytes)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """The server's lifespan, entered once for all connections of the listener."""
        async with self.server.lifespan(self.server) as self.state:
            yield

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        """Serve one framed connection until it ends."""
        await self.serve_connection(Connection(channel, side="server", peer=peer, pending=self.pending()))

    async def serve_connection(self, connection: Connection) -> None:
        """Serve a connection that is not open yet, until it ends."""
        async with connection.open():
            _introduce(connection)
            connection.reader.last_context.run(served_limit.set, self._limit)
            await self._serve(*connection.streams)

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        """Serve one pair of the SDK's streams until it ends."""
        pending = self.pending()
        await self._serve(CountedReader(read, write, pending), CountedWriter(write, pending))

    async def _serve(self, read: Any, write: Any) -> None:
        try:
            await serve_dual_era_loop(
                self.server,
                read,
                write,
                lifespan_state=self.state,
                init_options=self.server.create_initialization_options(),
            )
        except Exception:
            # One connection's trouble is its own: the listener goes on.
            logger.exception("a connection ended with an error")
        except BaseExceptionGroup as exc:
            # asyncio closes a handler that waits for a thread which raised GeneratorExit, where it runs in no task of
            # its own: nobody can answer in its place, and the SDK's task group ends. And on trio what fails may come
            # beside the cancellation of all connections, which goes on alone.
            failures, rest = exc.split((Exception, GeneratorExit))
            if failures is not None:
                logger.error("a connection ended with an error", exc_info=failures)
            if rest is not None:
                raise rest from None


@dataclass(frozen=True, slots=True)
class _Opening:
    """The HTTP request that opened a connection, as far as it goes: what the SDK shows as `ctx.headers`."""

    headers: Mapping[str, str]
    scope: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """FastMCP looks here for the user first, and finds none: then it asks the SDK, which knows."""


def _introduce(connection: Connection) -> None:
    """Let handlers see who is at the other end, as the SDK does where each message is an HTTP request."""
    peer = connection.peer
    if peer.headers is not None:
        connection.reader.metadata = ServerMessageMetadata(request_context=_Opening(peer.headers))
    if peer.access_token is not None:
        connection.reader.last_context.run(auth_context_var.set, AuthenticatedUser(peer.access_token))


@asynccontextmanager
async def listen(
    server: Any,
    uri: str | URI,
    *,
    transport_options: Mapping[str, Any] | None = None,
    **options: Unpack[ListenOptions],
) -> AsyncGenerator[Served]:
    """Serve `server` at `uri` for as long as the context lasts; `served.uri` can be dialled.

    On leaving, running tasks are asked to stop, then cancelled, and clients are sent the last messages, all within
    the server's `shutdown_grace` (unless the server is being served elsewhere too: then only this address closes).

    Args:
        server: An `MCPServer`, a lowlevel `Server` or a `fastmcp.FastMCP`.
        uri: Where, such as `ws://127.0.0.1:0/mcp`; port 0 means any free port.
        transport_options: More of them, for a transport whose options are not among `ListenOptions`.
        options: The transport's options for listening.

    Raises:
        URIError: the address or an option cannot be used.
        TypeError: there is no such option, or it is given twice.
        ListenFailed: the address is taken, or may not be served.
        MCPCError: it is not a server.
    """
    binding = bind(server)
    scheme = parse_uri(uri).scheme
    given = merged(options, transport_options)
    limit = {**transport_options_of(resolve(scheme), "listen"), **given}.get("max_message_size")
    endpoint = ServerEndpoint(binding, limit)
    opened = listen_at(uri, endpoint, **given)
    lifespan = nullcontext() if traits_of(resolve(scheme)).drives_server else endpoint.lifespan()
    binding.workshop.duties.serves = True
    token = served_limit.set(limit)  # for what runs the server itself, as HTTP does; a connection knows its own
    async with held(binding.workshop, lifespan, opened, f"a connection over {scheme}") as listener:
        served_limit.reset(token)
        yield Served(listener, binding.name, binding.workshop.wind_down, binding.store)


@asynccontextmanager
async def held(
    workshop: Workshop,
    lifespan: AbstractAsyncContextManager[None],
    opened: AbstractAsyncContextManager[ListenerT],
    what: str,
) -> AsyncGenerator[ListenerT]:
    """What was opened, with the workshop kept open behind it; the last one out winds it down."""
    failure: Exception | None = None
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(workshop.hold())
        await stack.enter_async_context(lifespan)
        listener = await stack.enter_async_context(apart(opened, patience=CLOSE_PATIENCE, what=what))
        workshop.listeners += 1
        try:
            yield listener
        except Exception as exc:
            failure = exc  # raised below, where no task group wraps it
        finally:
            workshop.listeners -= 1
            if workshop.listeners == 0:
                with anyio.CancelScope(shield=True):
                    await workshop.wind_down()
    if failure is not None:
        raise failure


Told = Callable[[str], None]

KEYWORDS = ("on_listening", "backend", "transport_options")
"""What `serve` and `run` take by name beside the transport's options; `serve` is given no `backend`."""


async def serve(
    server: Any,
    uri: str | URI,
    *,
    on_listening: Told | None = None,
    transport_options: Mapping[str, Any] | None = None,
    **options: Unpack[ListenOptions],
) -> None:
    """Serve `server` at `uri` until cancelled; over `stdio:`, until the client closes our stdin.

    Args:
        server: An `MCPServer`, a lowlevel `Server` or a `fastmcp.FastMCP`.
        uri: Where.
        on_listening: Called with the address that can be dialled (the real port), once it can be.
        transport_options: More of them, for a transport whose options are not among `ListenOptions`.
        options: The transport's options for listening.

    Raises:
        URIError, ListenFailed, MCPCError, TypeError: see `listen`.
    """
    given = merged(options, transport_options)
    prepare(uri, "listen", given, KEYWORDS)
    # Whoever cancels us means the serving, not the last messages of the tasks (see `listen`).
    await until_cancelled(lambda leaving: _hold(server, uri, leaving, on_listening, given))


async def _hold(
    server: Any, uri: str | URI, leaving: anyio.Event, on_listening: Told | None, options: dict[str, Any]
) -> None:
    """Serve until `leaving` is set, or the listener ends by itself."""
    async with listen(server, uri, **options) as served:
        if on_listening is not None:
            on_listening(served.uri)
        async with anyio.create_task_group() as tasks:

            async def until_leaving() -> None:
                await leaving.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_leaving)
            await served.finished()
            tasks.cancel_scope.cancel()
