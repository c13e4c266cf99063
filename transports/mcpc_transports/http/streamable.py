"""`http://`, `https://`: Streamable HTTP.

It carries the SDK's messages, not frames: `connect` yields the SDK's streams, and a
listener serves the endpoint's server through the SDK's session manager. Clients run
on asyncio and trio; listeners need asyncio, as uvicorn does.
"""

import math
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from os import PathLike
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import TokenVerifier
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import (
    DEFAULT_MAX_SESSIONS,
    DEFAULT_SESSION_IDLE_TIMEOUT,
    StreamableHTTPASGIApp,
    StreamableHTTPSessionManager,
)

from mcpc.errors import URIError
from mcpc.mount import Mount, routes_of
from mcpc.taps import TappedReader
from mcpc.transport import (
    DEFAULT_MAX_ANSWER_SIZE,
    DEFAULT_MAX_MESSAGE_SIZE,
    URI,
    Endpoint,
    Listener,
    StreamPair,
    Traits,
)
from mcpc_transports.http.client import CallClient, Target, connecting, reach, unwrapped
from mcpc_transports.http.edge import MessageCheck
from mcpc_transports.http.server import DEFAULT_BACKLOG
from mcpc_transports.http.site import Site, mounted_site

__all__ = ["StreamableHttpTransport"]

STREAMABLE_PATH = "/mcp"


class StreamableHttpTransport:
    """Serves `http://` and `https://`."""

    traits = Traits(
        drives_server=True,
        mounted_as="http",
        listener_loops=frozenset(("asyncio",)),
        example="{scheme}://127.0.0.1:8765/mcp",
        place="{scheme}://127.0.0.1:0/mcp",
    )

    def connect(
        self,
        uri: URI,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx2.Auth | None = None,
        token: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_message_size: int = DEFAULT_MAX_ANSWER_SIZE,
        open_timeout: float | None = 10.0,
        read_timeout: float | None = 60.0,
    ) -> AbstractAsyncContextManager[StreamPair]:
        """Connect to the MCP endpoint at `uri` (`/mcp`, where it has no path).

        Args:
            uri: The address; a user and password in it are sent as basic authentication.
            headers: Sent with every request.
            auth: What authenticates each request, such as the SDK's OAuth providers.
            token: A bearer token.
            ssl_context: For TLS; the system's certificates otherwise.
            max_message_size: Bytes of the largest message from the server.
            open_timeout: Seconds until the server must have answered for the first time; None for no limit.
            read_timeout: Seconds of silence, with an answer due, after which the server is taken for dead.
                Event streams of the SDK's servers say something every 15 s, but a server that answers with
                plain JSON is silent for as long as a call takes. None for no limit.
        """
        target = Target(
            uri,
            STREAMABLE_PATH,
            headers,
            auth,
            token,
            ssl_context,
            max_message_size,
            open_timeout,
            read_timeout,
        )
        return self._connect(target)

    @asynccontextmanager
    async def _connect(self, target: Target) -> AsyncGenerator[StreamPair]:
        with unwrapped():
            with connecting(target):
                client = CallClient(target)
            async with client:
                await reach(client, target)
                async with streamable_http_client(
                    target.url, http_client=client, max_sse_event_size=target.max_message_size
                ) as (read, write):
                    yield TappedReader(read, client.tap), write

    def listen(
        self,
        uri: URI,
        endpoint: Endpoint,
        /,
        *,
        ssl_context: ssl.SSLContext | None = None,
        ssl_certfile: "str | PathLike[str] | None" = None,
        ssl_keyfile: "str | PathLike[str] | None" = None,
        token_verifier: TokenVerifier | None = None,
        allowed_hosts: Sequence[str] | None = None,
        allowed_origins: Sequence[str] | None = None,
        allow_remote: bool = False,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        max_sessions: int | None = DEFAULT_MAX_SESSIONS,
        backlog: int = DEFAULT_BACKLOG,
        json_response: bool = False,
        stateless: bool = False,
        session_idle_timeout: float | None = DEFAULT_SESSION_IDLE_TIMEOUT,
        event_store: EventStore | None = None,
        retry_interval: int | None = None,
        strict_headers: bool = False,
    ) -> AbstractAsyncContextManager[Listener]:
        """Serve the endpoint's server at `uri` (`/mcp`, where it has no path).

        Args:
            uri: The address; port 0 means any free port.
            endpoint: What to serve.
            ssl_context: For TLS; or, instead:
            ssl_certfile: The certificate, a PEM file.
            ssl_keyfile: Its key, where it is not in the same file.
            token_verifier: Knows whose a bearer token is; without a good one every request is refused.
            allowed_hosts: Values of the Host header that are let through, `name:*` for any port. On loopback
                the names of this machine, otherwise all.
            allowed_origins: Values of the Origin header that are let through, where there is one; `*` for
                all. Those of this machine, unless told otherwise.
            allow_remote: Listen at other than loopback addresses also without a `token_verifier`.
            max_message_size: Bytes of the largest message from a client; a larger one is answered 413.
            max_sessions: Sessions (of clients up to 2025-11-25) at a time; one more is answered 503.
            backlog: Connections that wait to be accepted.
            json_response: Answer each request with one JSON body, not an event stream: no progress then.
            stateless: Keep no sessions.
            session_idle_timeout: Seconds after which a session that is not used ends; None for never.
            event_store: Keeps the events of clients up to 2025-11-25, which can then resume a stream by its
                last event's id (callbacks resume without it).
            retry_interval: Milliseconds after which such a client shall come back, as it is told.
            strict_headers: Refuse requests about a task without the header `Mcp-Name`, as SEP-2663 has it.
        """
        site = Site(
            uri,
            STREAMABLE_PATH,
            ssl_context,
            ssl_certfile,
            ssl_keyfile,
            token_verifier,
            allowed_hosts,
            allowed_origins,
            allow_remote,
            max_message_size,
            max_sessions,
            backlog,
        )
        if session_idle_timeout is not None and not 0 < session_idle_timeout < math.inf:
            raise URIError("session_idle_timeout must be a positive number of seconds, or None")
        make_manager = partial(  # called when the listener opens: its locks belong to the loop that runs then
            StreamableHTTPSessionManager,
            endpoint.server,
            json_response=json_response,
            stateless=stateless,
            session_idle_timeout=session_idle_timeout,
            max_request_body_size=max_message_size,
            max_sessions=max_sessions,
            event_store=event_store,
            retry_interval=retry_interval,
        )
        return self._listen(site, make_manager, strict_headers, routes_of(endpoint))

    @asynccontextmanager
    async def _listen(
        self,
        site: Site,
        make_manager: Callable[[], StreamableHTTPSessionManager],
        strict_headers: bool,
        routes: Sequence[Any],
    ) -> AsyncGenerator[Listener]:
        manager = make_manager()
        app = site.guarded({site.path: _checked(manager, site, strict_headers)}, routes)
        async with site.serve(app, _running(manager)) as listener:
            yield listener

    def mount(
        self,
        endpoint: Endpoint,
        path: str,
        /,
        *,
        token_verifier: TokenVerifier | None = None,
        allowed_hosts: Sequence[str] | None = None,
        allowed_origins: Sequence[str] | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        max_sessions: int | None = DEFAULT_MAX_SESSIONS,
        json_response: bool = False,
        stateless: bool = False,
        event_store: EventStore | None = None,
        strict_headers: bool = False,
    ) -> Mount:
        """What serves `path` in somebody else's web server. The options are those of `listen`; any Host is let in."""
        site = mounted_site(
            "http", path, token_verifier, allowed_hosts, allowed_origins, max_message_size, max_sessions
        )
        manager = StreamableHTTPSessionManager(
            endpoint.server,
            json_response=json_response,
            stateless=stateless,
            max_request_body_size=max_message_size,
            max_sessions=max_sessions,
            event_store=event_store,
        )
        app = site.guarded({path: _checked(manager, site, strict_headers)}, routes_of(endpoint))
        return Mount("http", {path: app}, _running(manager))


def _checked(manager: StreamableHTTPSessionManager, site: Site, strict_headers: bool) -> MessageCheck:
    return MessageCheck(
        StreamableHTTPASGIApp(manager),
        methods=("GET", "POST", "DELETE"),
        max_message_size=site.max_message_size,
        strict_headers=strict_headers,
    )


@asynccontextmanager
async def _running(manager: StreamableHTTPSessionManager) -> AsyncGenerator[None]:
    """The manager's run, its sessions ended as by their clients.

    If they were cancelled with it, as the manager does, each with an open request would try for a second to
    write an answer that nothing carries any more, and warn.
    """
    async with manager.run():
        yield
        for session in tuple(manager._server_instances.values()):  # pyright: ignore[reportPrivateUsage]
            await session.terminate()
