"""The options of the HTTP transports, said once: their names, types, defaults and meaning.

`takes` gives a method the fields of one of these as its keyword-only parameters, so that who lists, checks or
completes options sees them there. What they lead to is in `client`, `site` and the transports.
"""

import inspect
import math
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from os import PathLike
from typing import Any, TypeVar

import httpx2
from mcp.server.auth.provider import TokenVerifier
from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import DEFAULT_MAX_SESSIONS, DEFAULT_SESSION_IDLE_TIMEOUT

from mcpc.errors import URIError
from mcpc.transport import DEFAULT_MAX_ANSWER_SIZE, DEFAULT_MAX_MESSAGE_SIZE, Token

__all__ = [
    "Dialling",
    "Mounting",
    "Serving",
    "StreamableMounting",
    "StreamableServing",
    "check_seconds",
    "takes",
]

R = TypeVar("R")

DEFAULT_BACKLOG = 2048
"""Connections that the system holds until they are accepted (uvicorn's default)."""

DEFAULT_MAX_CONNECTIONS = 10_000
"""Connections of one listener, as many as there may be sessions."""


@dataclass(frozen=True, kw_only=True)
class Dialling:
    """The options of both transports for connecting."""

    headers: Mapping[str, str] | None = field(default=None, repr=False)
    """Sent with every request."""
    auth: httpx2.Auth | None = field(default=None, repr=False)
    """What authenticates each request, such as the SDK's OAuth providers."""
    token: Token | None = field(default=None, repr=False)
    """A bearer token. An async function that gives one is called for each request, and once more where that is
    answered 401."""
    ssl_context: ssl.SSLContext | None = None
    """For TLS; the system's certificates otherwise."""
    max_message_size: int = DEFAULT_MAX_ANSWER_SIZE
    """Bytes of the largest message from the server. Over HTTP+SSE a larger one ends the connection."""
    open_timeout: float | None = 10.0
    """Seconds until the server must have answered for the first time; None for no limit."""
    read_timeout: float | None = 60.0
    """Seconds of silence, with an answer due, after which the server is taken for dead. Event streams of the SDK's
    servers say something every 15 s, but a server that answers with plain JSON is silent for as long as a call takes.
    Over HTTP+SSE silence counts at all times, as the stream is always open. None for no limit."""


@dataclass(frozen=True, kw_only=True)
class Mounting:
    """The options of both transports for serving a path, whoever's the server is."""

    token_verifier: TokenVerifier | None = None
    """Knows whose a bearer token is; without a good one every request is refused."""
    allowed_hosts: Sequence[str] | None = None
    """Values of the Host header that are let through, `name:*` for any port. On loopback the names of this machine,
    otherwise all; mounted in another server, all."""
    allowed_origins: Sequence[str] | None = None
    """Values of the Origin header that are let through, where there is one; `*` for all. Those of this machine, unless
    told otherwise."""
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
    """Bytes of the largest message from a client; a larger one is answered 413."""
    max_sessions: int | None = DEFAULT_MAX_SESSIONS
    """Sessions (of clients up to 2025-11-25) at a time, or event streams of HTTP+SSE; one more is answered 503."""
    body_timeout: float = 120.0
    """Seconds for the body of a request as a whole, a quarter of them without a byte; then it is answered 408."""


@dataclass(frozen=True, kw_only=True)
class Serving(Mounting):
    """The options of both transports for a listener."""

    ssl_context: ssl.SSLContext | None = None
    """For TLS; or, instead:"""
    ssl_certfile: "str | PathLike[str] | None" = None
    """The certificate, a PEM file."""
    ssl_keyfile: "str | PathLike[str] | None" = None
    """Its key, where it is not in the same file."""
    allow_remote: bool = False
    """Listen at other than loopback addresses also without a `token_verifier`."""
    backlog: int = DEFAULT_BACKLOG
    """Connections that wait to be accepted."""
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    """Connections at a time, and fewer where the process may not have as many descriptors; more wait to be accepted."""
    head_timeout: float = 20.0
    """Seconds from a connection, or from the end of the last answer, to the end of the next request's head, and for the
    handshake of TLS."""


@dataclass(frozen=True, kw_only=True)
class StreamableMounting(Mounting):
    """The options of Streamable HTTP for serving a path."""

    json_response: bool = False
    """Answer each request with one JSON body, not an event stream: no progress then."""
    stateless: bool = False
    """Keep no sessions."""
    event_store: EventStore | None = None
    """Keeps the events of clients up to 2025-11-25, which can then resume a stream by its last event's id (callbacks
    resume without it)."""
    absence_timeout: float | None = 15.0
    """Seconds that a client up to 2025-11-25 may have no connection, after it has lost one in the middle of a request;
    then what it had open is cancelled, and its session ended if it was listening to callbacks. None for ever."""
    strict_headers: bool = False
    """Refuse requests about a task without the header `Mcp-Name`, as SEP-2663 has it."""


@dataclass(frozen=True, kw_only=True)
class StreamableServing(StreamableMounting, Serving):
    """The options of Streamable HTTP for a listener."""

    session_idle_timeout: float | None = DEFAULT_SESSION_IDLE_TIMEOUT
    """Seconds after which a session that is not used ends; None for never."""
    retry_interval: int | None = None
    """Milliseconds after which a client up to 2025-11-25 shall come back, as it is told."""


def check_seconds(name: str, value: float | None, *, optional: bool = False) -> None:
    """See that an option is a time.

    Raises:
        URIError: it is none.
    """
    if value is None and optional:
        return
    if value is None or isinstance(value, bool) or not 0 < value < math.inf:
        raise URIError(f"{name} must be a positive number of seconds{', or None' if optional else ''}")


def takes(options: type[Any]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Let a method take the fields of `options` as its keyword-only parameters; its last one is given them."""

    def decorate(method: Callable[..., R]) -> Callable[..., R]:
        @wraps(method)
        def call(*positional: Any, **given: Any) -> R:
            return method(*positional, options(**given))

        own = [p.replace(kind=p.POSITIONAL_ONLY) for p in inspect.signature(method).parameters.values()][:-1]
        kind = inspect.Parameter.KEYWORD_ONLY
        taken = [inspect.Parameter(f.name, kind, default=f.default, annotation=f.type) for f in fields(options)]
        signature = inspect.Signature([*own, *taken])
        call.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue] - what `inspect` goes by
        return call

    return decorate
