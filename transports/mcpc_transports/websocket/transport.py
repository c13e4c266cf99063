"""`ws://` and `wss://`: JSON-RPC over WebSocket, subprotocol `mcp`, one message a text frame.

Dialling and serving: sockets, TLS, limits and the tasks behind them. What a
handshake may say is in `handshake`, what an open connection does in
`channel`; of what the messages mean, nothing here knows.

Who may connect to a listener: it binds to loopback only, unless a
`token_verifier` is given or `allow_remote=True`. Web pages may connect from
loopback origins only, unless `allowed_origins` says otherwise; programs send no
Origin. On loopback the Host header must name it (or be among `allowed_hosts`),
which stops DNS rebinding; elsewhere any Host will do unless `allowed_hosts` is
given.
"""

import ssl
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from socket import gaierror
from typing import cast
from urllib.parse import quote

import anyio
from mcp.server.auth.provider import TokenVerifier
from websockets.client import ClientProtocol
from websockets.http11 import Request
from websockets.uri import WebSocketURI

from mcpc.errors import ConnectFailed, URIError
from mcpc.mount import Mount
from mcpc.transport import (
    DEFAULT_MAX_ANSWER_SIZE,
    DEFAULT_MAX_MESSAGE_SIZE,
    URI,
    Endpoint,
    FrameChannel,
    Listener,
    Token,
    Traits,
)
from mcpc_transports import examples
from mcpc_transports.addresses import Guests
from mcpc_transports.proxies import Proxy, proxy_for
from mcpc_transports.sockets.connection import SocketBytes
from mcpc_transports.sockets.dialling import open_tcp
from mcpc_transports.websocket.channel import WebSocketChannel, background
from mcpc_transports.websocket.handshake import authorize, client_protocol, request_upgrade
from mcpc_transports.websocket.keepalive import KeepAlive
from mcpc_transports.websocket.mounted import mounted
from mcpc_transports.websocket.outgoing import STREAM_ERRORS
from mcpc_transports.websocket.server import Limits, serve
from mcpc_transports.websocket.stream import Stream, secured
from mcpc_transports.websocket.tunnel import through

__all__ = ["WebSocketTransport"]

DEFAULT_OPEN_TIMEOUT = 10.0
"""Seconds for everything up to an open connection."""

DEFAULT_PING_INTERVAL = 20.0
"""Seconds between two pings."""

DEFAULT_PING_TIMEOUT = 20.0
"""Seconds of silence after a ping that end a connection."""

DEFAULT_MAX_CONNECTIONS = 10_000
"""Connections that one listener holds."""

_PORTS = {"ws": 80, "wss": 443}

_AS_IS = "/%?:@!$&'()*+,;=~[]"
"""What a path or a query is sent with as it stands; the rest is percent-encoded."""


class WebSocketTransport:
    """Serves `ws://` and `wss://`."""

    traits: Traits = Traits(
        mounted_as="ws", example=examples.WEBSOCKET, named=("ws", "websocket"), place="{scheme}://127.0.0.1:0/mcp"
    )

    def connect(
        self,
        uri: URI,
        /,
        *,
        headers: Mapping[str, str] | None = None,
        token: Token | None = None,
        origin: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_message_size: int = DEFAULT_MAX_ANSWER_SIZE,
        open_timeout: float = DEFAULT_OPEN_TIMEOUT,
        ping_interval: float | None = DEFAULT_PING_INTERVAL,
        ping_timeout: float | None = DEFAULT_PING_TIMEOUT,
    ) -> AbstractAsyncContextManager[FrameChannel]:
        """Connect to the WebSocket server at `uri`. Redirects are not followed.

        A user and password in `uri` are sent as Basic credentials. The proxy is that of `HTTP_PROXY` (`ws`), of
        `HTTPS_PROXY` (`wss`), or of `ALL_PROXY`.

        Args:
            uri: The address; without a port, 80 (`ws`) or 443 (`wss`).
            headers: Sent with the request, besides the transport's own.
            token: Sent as a bearer token; never shown. An async function that gives one is called for each connection.
            origin: The Origin to claim; programs need none.
            ssl_context: For `wss`; without it, the system's certificate authorities are trusted.
            max_message_size: Bytes of the largest message accepted.
            open_timeout: Seconds for connecting, TLS and the handshake together.
            ping_interval: Seconds between two pings; None for none.
            ping_timeout: Seconds of silence after a ping that end the connection; None for any time.

        Raises:
            URIError: the address or an option cannot be used.
            ConnectFailed: (on entering) nobody answered, or the server refused us.
        """
        limits = Limits(max_message_size, open_timeout, ping_interval, ping_timeout)
        limits.check(uri)
        if ssl_context is not None and uri.scheme != "wss":
            raise URIError(f"{uri.scheme}: ssl_context is for wss://")
        address = _address(uri)
        protocol, request = client_protocol(
            uri, address, headers=headers, token=token, origin=origin, max_message_size=max_message_size
        )
        proxy = proxy_for(address.secure, address.host, address.port)
        return _connect(_Call(uri, address, protocol, request, token, ssl_context, proxy), limits)

    def listen(
        self,
        uri: URI,
        endpoint: Endpoint,
        /,
        *,
        token_verifier: TokenVerifier | None = None,
        allowed_origins: Sequence[str] | None = None,
        allowed_hosts: Sequence[str] | None = None,
        allow_remote: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        backlog: int = 1024,
        open_timeout: float = DEFAULT_OPEN_TIMEOUT,
        ping_interval: float | None = DEFAULT_PING_INTERVAL,
        ping_timeout: float | None = DEFAULT_PING_TIMEOUT,
    ) -> AbstractAsyncContextManager[Listener]:
        """Serve WebSocket connections at `uri`.

        Args:
            uri: The address; port 0 is any free port. Only requests for its path are served.
            endpoint: What serves each connection.
            token_verifier: Checks the bearer token that every client must then send.
            allowed_origins: Origins of web pages that may connect; `scheme://name:*` means any port, `*`
                all. Without it, those of loopback.
            allowed_hosts: Values of the Host header to answer for; `name:*` means any port, `*` all. Without it, those
                of loopback where bound to loopback, and any elsewhere.
            allow_remote: Let the listener be reached from other machines without a `token_verifier`.
            ssl_context: For `wss`, which needs one.
            max_message_size: Bytes of the largest message accepted.
            max_connections: Connections at one time, those in their handshake included; more get a 503.
            backlog: Connections that the system keeps until we accept them.
            open_timeout: Seconds that a client has for TLS and the handshake together.
            ping_interval: Seconds between two pings; None for none.
            ping_timeout: Seconds of silence after a ping that end a connection; None for any time.

        Raises:
            URIError: the address or an option cannot be used.
            ListenFailed: (on entering) the address is taken, or is not loopback and nothing guards it.
        """
        limits = Limits(max_message_size, open_timeout, ping_interval, ping_timeout, max_connections, backlog)
        limits.check(uri)
        _check_served(uri, ssl_context)
        address = _address(uri)
        return serve(
            uri,
            address,
            endpoint,
            limits,
            ssl_context=ssl_context,
            token_verifier=token_verifier,
            guests=Guests.of(address.host, allowed_hosts, allowed_origins),
            allow_remote=allow_remote,
        )

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
    ) -> Mount:
        """What serves `path` in somebody else's web server. The options are those of `listen`; any Host is let in."""
        return mounted(endpoint, path, token_verifier, allowed_hosts, allowed_origins, max_message_size)


def _check_served(uri: URI, ssl_context: ssl.SSLContext | None) -> None:
    if uri.scheme == "wss" and ssl_context is None:
        raise URIError("wss: listen needs ssl_context, an ssl.SSLContext with the server's certificate")
    if uri.scheme != "wss" and ssl_context is not None:
        raise URIError(f"{uri.scheme}: ssl_context is for wss://")
    if uri.username is not None or uri.query:
        raise URIError(f"{uri.scheme}: an address to listen at has neither a user nor a query")


def _address(uri: URI) -> WebSocketURI:
    """`uri` as the protocol core wants it, in ASCII throughout."""
    if not uri.host:
        raise URIError(f"{uri.scheme}: the address needs a host: {uri.scheme}://host:port/path")
    if "#" in uri.rest:
        raise URIError(f"{uri.scheme}: the address cannot have a fragment (#)")
    user, password = uri.credentials or (None, None)
    if user is not None and ":" in user:
        raise URIError(f"{uri.scheme}: a user name with a colon in it cannot be sent")
    try:
        host = uri.host if ":" in uri.host else uri.host.encode("idna").decode()
    except UnicodeError:
        raise URIError(f"{uri.scheme}: {uri.host!r} is no host name") from None
    path, query = quote(uri.path or "/", safe=_AS_IS), quote(uri.query, safe=_AS_IS)
    port = _PORTS[uri.scheme] if uri.port is None else uri.port
    return WebSocketURI(uri.scheme == "wss", host.lower(), port, path, query, user, password)


@dataclass(frozen=True, slots=True)
class _Call:
    """One attempt to connect."""

    uri: URI
    address: WebSocketURI
    protocol: ClientProtocol
    request: Request
    token: Token | None = field(repr=False)
    ssl_context: ssl.SSLContext | None
    proxy: Proxy | None


@asynccontextmanager
async def _connect(call: _Call, limits: Limits) -> AsyncGenerator[WebSocketChannel]:
    with _dialling(call.uri, limits.open_timeout):
        stream = await _open(call, limits.open_timeout)
        try:
            token = await authorize(call.uri, call.request, call.token)
            ahead = await request_upgrade(stream, call.protocol, call.request, call.uri, token)
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(*STREAM_ERRORS):
                await stream.aclose()
            raise
    async with background() as tasks:
        channel = WebSocketChannel(stream, call.protocol, tasks, max_message_size=limits.max_message_size)
        try:
            channel.digest(ahead)
            keep_alive = KeepAlive(limits.ping_interval, limits.ping_timeout)
            keep_alive.add(channel)
            tasks.start_soon(keep_alive.run)
            yield channel
        finally:
            with anyio.CancelScope(shield=True):
                await channel.aclose()


async def _open(call: _Call, timeout: float) -> Stream:
    host, port = call.address.host, call.address.port
    stream: Stream
    if call.proxy is not None:
        stream = await through(call.proxy, host, port, timeout)
    else:
        stream = SocketBytes(await open_tcp(host, port, timeout))
    if not call.address.secure:
        return stream
    try:
        return await secured(stream, call.ssl_context, hostname=host)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await stream.aclose()
        raise


@contextmanager
def _dialling(uri: URI, timeout: float) -> Generator[None]:
    """Bounds the time, and turns what the system says into `ConnectFailed`."""
    try:
        with anyio.fail_after(timeout):
            yield
    except ConnectFailed:
        raise
    except TimeoutError as exc:
        raise ConnectFailed(f"{uri} did not answer within {timeout:g} s") from exc
    except ssl.SSLError as exc:
        why = getattr(exc, "verify_message", "") or exc.reason or exc
        raise ConnectFailed(f"TLS with {uri} failed: {why}") from exc
    except gaierror as exc:
        raise ConnectFailed(f"the host of {uri} cannot be found: {exc.strerror}") from exc
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as exc:
        raise ConnectFailed(f"{uri} ended the connection during the handshake") from exc
    except OSError as exc:
        raise ConnectFailed(f"{uri} cannot be reached: {_cause(exc)}") from exc


def _cause(exc: BaseException) -> str:
    """What the system said: where several addresses of a host were tried, of the first one."""
    while exc.__cause__ is not None:
        group = isinstance(exc.__cause__, BaseExceptionGroup)
        exc = cast("BaseExceptionGroup[OSError]", exc.__cause__).exceptions[0] if group else exc.__cause__
    return str(exc)
