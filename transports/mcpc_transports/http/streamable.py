"""`http://`, `https://`: Streamable HTTP.

It carries the SDK's messages, not frames: `connect` yields the SDK's streams, and a
listener serves the endpoint's server through the SDK's session manager. Clients run
on asyncio and trio; listeners need asyncio, as uvicorn does.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from mcp.client.streamable_http import streamable_http_client
from mcp.server.streamable_http_manager import (
    StreamableHTTPASGIApp,
    StreamableHTTPSessionManager,
)

from mcpc.mount import Mount, pending_of, routes_of
from mcpc.sdk import http_sessions, let_sessions_end_alone
from mcpc.taps import TappedReader
from mcpc.transport import (
    URI,
    Endpoint,
    Listener,
    StreamPair,
    Traits,
)
from mcpc_transports import examples
from mcpc_transports.http.absence import Absences
from mcpc_transports.http.client import CallClient, Target, connecting, reach, unwrapped
from mcpc_transports.http.edge import MessageCheck
from mcpc_transports.http.options import Dialling, StreamableMounting, StreamableServing, check_seconds, takes
from mcpc_transports.http.site import Site, mounted_site

__all__ = ["StreamableHttpTransport"]

STREAMABLE_PATH = "/mcp"


class StreamableHttpTransport:
    """Serves `http://` and `https://`."""

    traits: Traits = Traits(
        drives_server=True,
        mounted_as="http",
        listener_loops=frozenset(("asyncio",)),
        example=examples.STREAMABLE_HTTP,
        named=("http", "streamable-http", "streamable_http", "streamableHttp"),
        place="{scheme}://127.0.0.1:0/mcp",
    )

    @takes(Dialling)
    def connect(self, uri: URI, options: Dialling) -> AbstractAsyncContextManager[StreamPair]:
        """Connect to the MCP endpoint at `uri` (`/mcp`, where it has no path). The options are those of `Dialling`.

        A user and password in `uri` are sent as basic authentication.

        Raises:
            URIError: the address or an option cannot be used.
            ConnectFailed: (on entering) nobody answered, or the server refused us.
        """
        return self._connect(Target(uri, STREAMABLE_PATH, options))

    @asynccontextmanager
    async def _connect(self, target: Target) -> AsyncGenerator[StreamPair]:
        with unwrapped():
            with connecting(target):
                client = CallClient(target)
            async with client:
                await reach(client, target)
                async with streamable_http_client(
                    target.url, http_client=client, max_sse_event_size=target.options.max_message_size
                ) as (read, write):
                    yield TappedReader(read, client.tap), write
            client.probe.check()

    @takes(StreamableServing)
    def listen(self, uri: URI, endpoint: Endpoint, options: StreamableServing) -> AbstractAsyncContextManager[Listener]:
        """Serve the endpoint's server at `uri` (`/mcp`, where it has no path). The options are `StreamableServing`'s.

        Port 0 means any free port.

        Raises:
            URIError: the address or an option cannot be used.
            ListenFailed: (on entering) the address is taken, or may not be served.
        """
        site = Site(uri, STREAMABLE_PATH, options)
        check_seconds("absence_timeout", options.absence_timeout, optional=True)
        check_seconds("session_idle_timeout", options.session_idle_timeout, optional=True)
        make_manager = partial(  # called when the listener opens: its locks belong to the loop that runs then
            _manager,
            endpoint,
            options,
            session_idle_timeout=options.session_idle_timeout,
            retry_interval=options.retry_interval,
        )
        return self._listen(site, make_manager, options, endpoint)

    @asynccontextmanager
    async def _listen(
        self,
        site: Site,
        make_manager: Callable[[], StreamableHTTPSessionManager],
        options: StreamableServing,
        endpoint: Endpoint,
    ) -> AsyncGenerator[Listener]:
        manager = make_manager()
        absences = _absences(manager, options)
        app = site.guarded({site.path: _checked(absences, site, options, endpoint)}, routes_of(endpoint))
        async with site.serve(app, _running(manager, absences)) as listener:
            yield listener

    @takes(StreamableMounting)
    def mount(self, endpoint: Endpoint, path: str, options: StreamableMounting) -> Mount:
        """What serves `path` in somebody else's web server. The options are `StreamableMounting`'s.

        Raises:
            URIError: an option cannot be used.
        """
        site = mounted_site("http", path, options)
        check_seconds("absence_timeout", options.absence_timeout, optional=True)
        manager = _manager(endpoint, options)
        absences = _absences(manager, options)
        app = site.guarded({path: _checked(absences, site, options, endpoint)}, routes_of(endpoint))
        return Mount("http", {path: app}, _running(manager, absences))


def _manager(endpoint: Endpoint, options: StreamableMounting, **more: Any) -> StreamableHTTPSessionManager:
    return StreamableHTTPSessionManager(
        endpoint.server,
        json_response=options.json_response,
        stateless=options.stateless,
        max_request_body_size=options.max_message_size,
        max_sessions=options.max_sessions,
        event_store=options.event_store,
        **more,
    )


def _absences(manager: StreamableHTTPSessionManager, options: StreamableMounting) -> Absences:
    return Absences(
        StreamableHTTPASGIApp(manager),
        options.absence_timeout,
        resumable=manager.event_store is not None,
        silent=options.json_response,
    )


def _checked(app: Absences, site: Site, options: StreamableMounting, endpoint: Endpoint) -> MessageCheck:
    return MessageCheck(
        app,
        methods=("GET", "POST", "DELETE"),
        max_message_size=site.options.max_message_size,
        body_timeout=site.options.body_timeout,
        strict_headers=options.strict_headers,
        make_pending=pending_of(endpoint),
        keeps_events=options.event_store is not None,
    )


@asynccontextmanager
async def _running(manager: StreamableHTTPSessionManager, absences: Absences) -> AsyncGenerator[None]:
    """The manager's run, its sessions ended as by their clients.

    If they were cancelled with it, as the manager does, each with an open request would try for a second to
    write an answer that nothing carries any more, and warn.
    """
    async with manager.run():
        let_sessions_end_alone(manager)
        async with absences.run():
            yield
        for session in http_sessions(manager):
            await session.terminate()
