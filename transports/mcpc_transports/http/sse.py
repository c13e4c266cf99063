"""`sse+http://`, `sse+https://`: the older HTTP+SSE.

It carries the SDK's messages, not frames: `connect` yields the SDK's streams, and a
listener serves one pair of streams for each event stream. Clients run on asyncio
and trio; listeners need asyncio, as uvicorn does.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from http import HTTPStatus

import anyio
from mcp.server.sse import SseServerTransport
from starlette.types import ASGIApp, Receive, Scope, Send

from mcpc.errors import URIError
from mcpc.mount import Mount, routes_of
from mcpc.transport import (
    URI,
    Endpoint,
    Listener,
    StreamPair,
    Traits,
)
from mcpc_transports import examples
from mcpc_transports.http.client import Target, unwrapped
from mcpc_transports.http.edge import MessageCheck, peer_of, refuse
from mcpc_transports.http.event_response import AnsweringReader, EventResponse
from mcpc_transports.http.options import Dialling, Mounting, Serving, takes
from mcpc_transports.http.site import Site, mounted_site
from mcpc_transports.http.sse_client import sse_streams

__all__ = ["SseTransport"]

SSE_PATH = "/sse"


class SseTransport:
    """Serves `sse+http://` and `sse+https://`."""

    traits: Traits = Traits(
        superseded=True,
        mounted_as="sse",
        listener_loops=frozenset(("asyncio",)),
        example=examples.SSE,
        named=("sse",),
        place="{scheme}://127.0.0.1:0/sse",
    )

    @takes(Dialling)
    def connect(self, uri: URI, options: Dialling) -> AbstractAsyncContextManager[StreamPair]:
        """Connect to the event stream at `uri` (`/sse`, where it has no path). The options are those of `Dialling`.

        Raises:
            URIError: the address or an option cannot be used.
            ConnectFailed: (on entering) nobody answered, or the server refused us.
        """
        return self._connect(Target(uri, SSE_PATH, options))

    @asynccontextmanager
    async def _connect(self, target: Target) -> AsyncGenerator[StreamPair]:
        with unwrapped():
            async with sse_streams(target) as streams:
                yield streams

    @takes(Serving)
    def listen(self, uri: URI, endpoint: Endpoint, options: Serving) -> AbstractAsyncContextManager[Listener]:
        """Serve the endpoint at `uri` (`/sse`, where it has no path); messages are posted to `messages/` below it.

        The options are those of `Serving`.

        Raises:
            URIError: the address or an option cannot be used.
            ListenFailed: (on entering) the address is taken, or may not be served.
        """
        site = Site(uri, SSE_PATH, options)
        streams = _EventStreams(endpoint, site)
        return site.serve(site.guarded(streams.apps, routes_of(endpoint)), nullcontext())

    @takes(Mounting)
    def mount(self, endpoint: Endpoint, path: str, options: Mounting) -> Mount:
        """What serves the event stream beside `path`, at `sse`. The options are those of `Mounting`.

        Raises:
            URIError: the path or an option cannot be used.
        """
        beside = f"{path.rstrip('/').rpartition('/')[0]}{SSE_PATH}"
        site = mounted_site("sse+http", beside, options)
        streams = _EventStreams(endpoint, site)
        app = site.guarded(streams.apps, routes_of(endpoint))
        return Mount("http", dict.fromkeys(streams.apps, app), nullcontext())


class _EventStreams:
    """The two apps of HTTP+SSE: one opens event streams, the other takes the messages."""

    def __init__(self, endpoint: Endpoint, site: Site) -> None:
        self._endpoint = endpoint
        self._max_sessions = site.options.max_sessions
        self._open = 0
        messages = f"{site.path.rstrip('/')}/messages/"
        try:
            self._sse = SseServerTransport(messages, max_request_body_size=site.options.max_message_size)
        except ValueError as exc:
            raise URIError(f"the path of {site.uri} cannot be served") from exc
        limit, timeout = site.options.max_message_size, site.options.body_timeout
        self.apps: dict[str, ASGIApp] = {
            site.path: MessageCheck(self._stream, methods=("GET",), max_message_size=limit, body_timeout=timeout),
            messages: MessageCheck(self._message, methods=("POST",), max_message_size=limit, body_timeout=timeout),
        }

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from its event stream's beginning to its end."""
        if self._max_sessions is not None and self._open >= self._max_sessions:
            await refuse(send, HTTPStatus.SERVICE_UNAVAILABLE, "too many event streams are open")
            return
        self._open += 1
        response = EventResponse(send)
        try:
            async with self._sse.connect_sse(scope, receive, response.relay) as (read, write), read, write:
                await self._endpoint.serve_streams(AnsweringReader(read, response), write, peer_of(scope))
        finally:
            self._open -= 1

    async def _message(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Raised when the session ends between the answer, 202, and the message's delivery.
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await self._sse.handle_post_message(scope, receive, send)
