"""The options of the transports that come with mcpc, by name and type, for signatures: `Unpack[ConnectOptions]`.

An editor and a type checker then see a misspelt one. Each transport takes some of
them, and refuses the others when it is asked. A transport that is not among those
may have others: they are given as `transport_options={…}`, which no type checker
reads, or by name, which it reads and does not know. Knows nothing of what an option does.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

if TYPE_CHECKING:
    import ssl

    import httpx2
    from mcp.server.auth.provider import TokenVerifier
    from mcp.server.streamable_http import EventStore

__all__ = ["ConnectOptions", "HasFileno", "ListenOptions", "MountOptions", "merged"]


class HasFileno(Protocol):
    """An open file of the system's."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


class ConnectOptions(TypedDict, total=False):
    """What `connect` and `Client` take for the transports that come with mcpc (see `docs/transports.md`)."""

    headers: Mapping[str, str] | None
    """Sent with every request (HTTP), or with the one that opens the connection (WebSocket)."""
    auth: "httpx2.Auth | None"
    """What authenticates each request, such as the SDK's OAuth providers (HTTP)."""
    token: str | Callable[[], Awaitable[str]] | None
    """A bearer token (HTTP, WebSocket), or an async function that gives the one of now; never shown."""
    origin: str | None
    """The Origin to claim (WebSocket); programs need none."""
    ssl_context: "ssl.SSLContext | None"
    """For TLS; without it, the system's certificate authorities are trusted."""
    max_message_size: int
    """Bytes of the largest message accepted."""
    open_timeout: float | None
    """Seconds for connecting and the handshakes."""
    read_timeout: float | None
    """Seconds of silence, with an answer due, after which the server is taken for dead (HTTP)."""
    ping_interval: float | None
    """Seconds between two pings (WebSocket); None for none."""
    ping_timeout: float | None
    """Seconds of silence after a ping that end the connection (WebSocket); None for any time."""
    env: Mapping[str, str] | None
    """Variables set for the server (stdio)."""
    cwd: "str | PathLike[str] | None"
    """The directory that the server runs in (stdio)."""
    errlog: HasFileno | int | None
    """Where the server's stderr is passed on to: an open file, its descriptor, or None for nowhere (stdio)."""
    terminate_timeout: float
    """Seconds that each step of stopping the server may take (stdio)."""
    buffer: int
    """Bytes that wait in between (memory)."""


class MountOptions(TypedDict, total=False):
    """What `asgi_app` takes for the transports that come with mcpc (see `docs/transports.md`)."""

    token_verifier: "TokenVerifier | None"
    """Checks the bearer token that every client must then send."""
    allowed_hosts: Sequence[str] | None
    """Values of the Host header to answer for; `name:*` means any port, `*` all."""
    allowed_origins: Sequence[str] | None
    """Origins of web pages that may connect; `scheme://name:*` means any port, `*` all."""
    max_message_size: int
    """Bytes of the largest message accepted."""
    max_sessions: int | None
    """Sessions at one time (HTTP); None for any number."""
    body_timeout: float
    """Seconds for the body of a request as a whole (HTTP)."""
    json_response: bool
    """Answer with plain JSON instead of event streams (Streamable HTTP)."""
    stateless: bool
    """Keep no sessions (Streamable HTTP)."""
    event_store: "EventStore | None"
    """Keeps events, so that streams can be taken up again (Streamable HTTP)."""
    absence_timeout: float | None
    """Seconds without a connection after which a client of the older era is taken for gone (Streamable HTTP)."""
    strict_headers: bool
    """Refuse a call whose `Mcp-Name` header is missing (Streamable HTTP)."""


class ListenOptions(MountOptions, total=False):
    """What `listen`, `serve` and `run` take for the transports that come with mcpc (see `docs/transports.md`)."""

    allow_remote: bool
    """Let the listener be reached from other machines without a `token_verifier`."""
    backlog: int
    """Connections that the system keeps until we accept them."""
    max_connections: int
    """Connections at one time (HTTP, WebSocket)."""
    head_timeout: float
    """Seconds for TLS, and for the head of a request (HTTP)."""
    open_timeout: float
    """Seconds that a client has for TLS and the handshake together (WebSocket)."""
    ping_interval: float | None
    """Seconds between two pings (WebSocket); None for none."""
    ping_timeout: float | None
    """Seconds of silence after a ping that end a connection (WebSocket); None for any time."""
    ssl_context: "ssl.SSLContext | None"
    """For `wss`, `https` and `sse+https`."""
    ssl_certfile: "str | PathLike[str] | None"
    """A certificate's file, in place of `ssl_context` (HTTP)."""
    ssl_keyfile: "str | PathLike[str] | None"
    """The file of its key (HTTP)."""
    session_idle_timeout: float | None
    """Seconds after which a session that nobody uses is ended (Streamable HTTP)."""
    retry_interval: int | None
    """Milliseconds after which clients come back for a stream (Streamable HTTP)."""
    mode: int
    """Permissions of the socket's file (unix)."""


def merged(options: Mapping[str, Any], more: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options given by name, and those given as `transport_options`.

    Raises:
        TypeError: one is given twice.
    """
    twice = sorted(options.keys() & (more or {}).keys())
    if twice:
        raise TypeError(f"given twice, by name and in transport_options: {', '.join(map(repr, twice))}")
    return {**options, **(more or {})}
