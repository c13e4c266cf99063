"""`http://`, `https://`: Streamable HTTP. `sse+http://`, `sse+https://`: the older HTTP+SSE.

Both carry the SDK's messages, not frames, so `connect` yields the SDK's streams,
and a listener serves the endpoint's server: for Streamable HTTP through the SDK's
session manager, for HTTP+SSE as one pair of streams for each event stream.

Clients run on asyncio and trio; listeners need asyncio, as uvicorn does.
"""

import math
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from os import PathLike
from typing import Any
from urllib.parse import unquote

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import TokenVerifier
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import (
    DEFAULT_MAX_SESSIONS,
    DEFAULT_SESSION_IDLE_TIMEOUT,
    StreamableHTTPASGIApp,
    StreamableHTTPSessionManager,
)
from starlette.types import ASGIApp, Receive, Scope, Send

from mcpc.errors import ListenFailed, URIError
from mcpc.taps import TappedReader
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE, LOOPBACK_HOSTS, URI, Endpoint, Listener, StreamPair
from mcpc_transports._http_client import CallClient, Target, connecting, reach, unwrapped
from mcpc_transports._http_edge import Door, MessageCheck, Paths, authenticated, peer_of, refuse
from mcpc_transports._sse_client import sse_streams
from mcpc_transports._uvicorn import DEFAULT_BACKLOG, bind, serving

__all__ = ["SseTransport", "StreamableHttpTransport"]

STREAMABLE_PATH = "/mcp"
SSE_PATH = "/sse"


@dataclass(frozen=True)
class _Serving:
    """An address being served."""

    uri: str


@dataclass(frozen=True)
class _Site:
    """An address to listen at, with the options that both transports share, checked."""

    uri: URI
    default_path: str
    ssl_context: ssl.SSLContext | None
    ssl_certfile: "str | PathLike[str] | None"
    ssl_keyfile: "str | PathLike[str] | None"
    token_verifier: TokenVerifier | None
    allowed_hosts: Sequence[str] | None
    allowed_origins: Sequence[str] | None
    allow_remote: bool
    max_message_size: int
    max_sessions: int | None
    backlog: int
    tls: ssl.SSLContext | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        uri = self.uri
        if not uri.host:
            raise URIError(f"an address to listen at needs a host: {uri.scheme}://127.0.0.1:0/path")
        if uri.username is not None or uri.query:
            raise URIError("an address to listen at has no user and no query; use token_verifier to admit users")
        if self.max_message_size <= 0:
            raise URIError("max_message_size must be a positive number of bytes")
        if self.max_sessions is not None and self.max_sessions <= 0:
            raise URIError("max_sessions must be a positive number, or None")
        object.__setattr__(self, "tls", self._load_tls())

    def _load_tls(self) -> ssl.SSLContext | None:
        given = self.ssl_context is not None or self.ssl_certfile is not None
        if not self.uri.scheme.endswith("https"):
            if given or self.ssl_keyfile is not None:
                raise URIError(f"TLS options are for {self.uri.scheme}s://, this address is {self.uri.scheme}://")
            return None
        if not given:
            raise URIError(f"{self.uri.scheme}:// needs ssl_context, or ssl_certfile (and ssl_keyfile)")
        if self.ssl_context is not None:
            return self.ssl_context
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # The password: without one, an encrypted key would be asked for on the terminal.
            context.load_cert_chain(self.ssl_certfile or "", self.ssl_keyfile, password="")
        except (OSError, ssl.SSLError) as exc:
            raise URIError(f"the certificate cannot be used: {exc.strerror or exc}") from exc
        return context

    @property
    def path(self) -> str:
        """The path being served, decoded."""
        return unquote(self.uri.path or self.default_path)

    def guarded(self, apps: Mapping[str, ASGIApp]) -> ASGIApp:
        """The apps of some paths behind the checks that every request passes."""
        app: ASGIApp = Paths(apps)
        if self.token_verifier is not None:
            app = authenticated(app, self.token_verifier)
        return Door(
            app,
            local=self.uri.host in LOOPBACK_HOSTS,
            allowed_hosts=self.allowed_hosts,
            allowed_origins=self.allowed_origins,
        )

    @asynccontextmanager
    async def serve(self, app: ASGIApp, running: "AbstractAsyncContextManager[Any]") -> AsyncGenerator[Listener]:
        """Serve `app` at the address."""
        if self.uri.host not in LOOPBACK_HOSTS and self.token_verifier is None and not self.allow_remote:
            raise ListenFailed(
                f"{self.uri} would let in anybody who can reach this machine: "
                "give a token_verifier, or say allow_remote=True"
            )
        with await bind(self.uri, self.backlog) as sock:
            listener = _Serving(self._dialable(sock.getsockname()[1]))
            async with serving(app, sock, ssl_context=self.tls, backlog=self.backlog, running=running):
                yield listener

    def _dialable(self, port: int) -> str:
        # The wildcard addresses can be listened at but not dialled (everywhere).
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.uri.host, self.uri.host)
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        return f"{self.uri.scheme}://{host}:{port}{self.uri.path or self.default_path}"


class StreamableHttpTransport:
    """Serves `http://` and `https://`."""

    drives_server = True
    """A listener enters the server's lifespan itself, once."""

    def connect(
        self,
        uri: URI,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx2.Auth | None = None,
        token: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
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
            json_response: Answer each request with one JSON body, not an event stream: no progress on the
                way.
            stateless: Keep no sessions.
            session_idle_timeout: Seconds after which a session that is not used ends; None for never.
            event_store: Keeps the events of clients up to 2025-11-25, which can then resume a stream by its
                last event's id (callbacks resume without it).
            retry_interval: Milliseconds after which such a client shall come back, as it is told.
        """
        site = _Site(
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
        # Made when the listener opens, not here: its locks belong to the loop that runs then.
        make_manager = partial(
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
        return self._listen(site, make_manager)

    @asynccontextmanager
    async def _listen(
        self, site: _Site, make_manager: Callable[[], StreamableHTTPSessionManager]
    ) -> AsyncGenerator[Listener]:
        manager = make_manager()
        checked = MessageCheck(
            StreamableHTTPASGIApp(manager),
            methods=("GET", "POST", "DELETE"),
            max_message_size=site.max_message_size,
        )
        async with site.serve(site.guarded({site.path: checked}), _running(manager)) as listener:
            yield listener


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


class SseTransport:
    """Serves `sse+http://` and `sse+https://`."""

    def connect(
        self,
        uri: URI,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        auth: httpx2.Auth | None = None,
        token: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        open_timeout: float | None = 10.0,
        read_timeout: float | None = 60.0,
    ) -> AbstractAsyncContextManager[StreamPair]:
        """Connect to the event stream at `uri` (`/sse`, where it has no path).

        The options are those of `StreamableHttpTransport.connect`, but that a message from the server over
        `max_message_size` ends the connection, and that silence counts at all times, as the stream is always open.
        """
        target = Target(uri, SSE_PATH, headers, auth, token, ssl_context, max_message_size, open_timeout, read_timeout)
        return self._connect(target)

    @asynccontextmanager
    async def _connect(self, target: Target) -> AsyncGenerator[StreamPair]:
        with unwrapped():
            async with sse_streams(target) as streams:
                yield streams

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
    ) -> AbstractAsyncContextManager[Listener]:
        """Serve the endpoint at `uri` (`/sse`, where it has no path); messages are posted to `messages/` below it.

        The options are those of `StreamableHttpTransport.listen`, but that `max_sessions` counts event streams.
        """
        site = _Site(
            uri,
            SSE_PATH,
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
        streams = _EventStreams(endpoint, site)
        return site.serve(site.guarded(streams.apps), nullcontext())


class _EventStreams:
    """The two apps of HTTP+SSE: one opens event streams, the other takes the messages."""

    def __init__(self, endpoint: Endpoint, site: _Site) -> None:
        self._endpoint = endpoint
        self._max_sessions = site.max_sessions
        self._open = 0
        messages = f"{site.path.rstrip('/')}/messages/"
        try:
            self._sse = SseServerTransport(messages, max_request_body_size=site.max_message_size)
        except ValueError as exc:
            raise URIError(f"the path of {site.uri} cannot be served") from exc
        limit = site.max_message_size
        self.apps: dict[str, ASGIApp] = {
            site.path: MessageCheck(self._stream, methods=("GET",), max_message_size=limit),
            messages: MessageCheck(self._message, methods=("POST",), max_message_size=limit),
        }

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from its event stream's beginning to its end."""
        if self._max_sessions is not None and self._open >= self._max_sessions:
            await refuse(send, HTTPStatus.SERVICE_UNAVAILABLE, "too many event streams are open")
            return
        self._open += 1
        try:
            async with self._sse.connect_sse(scope, receive, send) as (read, write), read, write:
                await self._endpoint.serve_streams(read, write, peer_of(scope))
        finally:
            self._open -= 1

    async def _message(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Raised when the session ends between the answer, 202, and the message's delivery.
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await self._sse.handle_post_message(scope, receive, send)
