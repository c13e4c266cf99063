"""What every HTTP request passes before the SDK sees it: who may talk to us, and what counts as a message.

ASGI layers, outermost first: `Door` (Host and Origin), `readable` (CORS), `Paths`,
`authenticated` (the SDK's bearer check), `MessageCheck`. No sockets and no sessions here.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import anyio
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import AccessToken, TokenVerifier, principal_components
from mcp_types import HEADER_MISMATCH
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcpc.clock import SYSTEM_CLOCK, Clock
from mcpc.errors import FrameError, FrameTooLarge
from mcpc.pending import PendingRequests
from mcpc.responses import current_response
from mcpc.routing import TASK_METHODS
from mcpc.transport import Peer
from mcpc.wire.events import STREAM_METHOD
from mcpc.wire.members import ARRIVED
from mcpc.wire.message import id_of, method_of
from mcpc.wire.names import LISTEN_METHOD
from mcpc.wire.rpc import decode_frame, encode_error
from mcpc.wire.sep2663 import SUBSCRIBE_METHOD
from mcpc_transports.addresses import Guests
from mcpc_transports.http.absence import SESSION_HEADER
from mcpc_transports.http.event_response import EventResponse
from mcpc_transports.http.expiry import ending_after
from mcpc_transports.http.server import STREAMING, is_streaming, respond
from mcpc_transports.http.session_requests import SessionRequests
from mcpc_transports.tokens import lifetime

__all__ = ["Door", "MessageCheck", "Paths", "authenticated", "peer_of", "readable", "refuse"]

SILENCE = 0.25
"""The part of the time for a body that may pass without a byte of it."""

PAGE_HEADERS = (
    "Accept",
    "Authorization",
    "Content-Type",
    "Last-Event-ID",
    "Mcp-Method",
    "Mcp-Name",
    "MCP-Protocol-Version",
    "Mcp-Session-Id",
)
"""The request headers of MCP, which the script of a page may send."""

NO_EVENTS = "no events are kept here, so none can be sent again; open the stream without Last-Event-ID"

CLOSE = (b"connection", b"close")
"""With the answer to a message of which the rest did not come: it is not waited for any more."""

HEAD = 512
"""Bytes of a message in which it says what it is."""

LISTEN_METHODS = (LISTEN_METHOD, SUBSCRIBE_METHOD, STREAM_METHOD)


async def refuse(send: Send, status: int, why: str, *headers: tuple[bytes, bytes]) -> None:
    """Answer with an HTTP status and, as the body, a JSON-RPC error that says why."""
    await respond(send, status, encode_error(FrameError(why)), *headers)


class Door:
    """Refuses requests by their Host and Origin.

    Args:
        app: What is behind it.
        guests: Who is let in.
    """

    def __init__(self, app: ASGIApp, guests: Guests) -> None:
        self._app = app
        self._guests = guests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        refusal = self._guests.refusal(headers.getlist("host"), headers.getlist("origin"))
        if refusal is not None:
            await refuse(send, *refusal)
        else:
            await self._app(scope, receive, send)


class Paths:
    """Sends a request to the app of its path, with or without a slash at the end.

    Args:
        apps: By path.
        otherwise: Serves all other paths; without it they are answered 404.
    """

    def __init__(self, apps: Mapping[str, ASGIApp], otherwise: ASGIApp | None = None) -> None:
        self._apps = {path.rstrip("/"): app for path, app in apps.items()}
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._apps.get(scope["path"].rstrip("/"), self._otherwise)
        if app is None:
            await refuse(send, HTTPStatus.NOT_FOUND, "nothing is served at this path")
        else:
            await app(scope, receive, send)


def authenticated(app: ASGIApp, token_verifier: TokenVerifier) -> ASGIApp:
    """`app` for those who bring a bearer token that the verifier knows; 401 for the others."""
    required = AuthContextMiddleware(RequireAuthMiddleware(app, required_scopes=[]))
    return AuthenticationMiddleware(required, backend=BearerAuthBackend(token_verifier))


def readable(app: ASGIApp) -> ASGIApp:
    """`app` for the scripts of web pages too: preflights are answered, and answers may be read (CORS).

    Of any origin, since it stands behind the `Door`, which lets in those that may. Cookies are not part of it.
    """
    return CORSMiddleware(
        app,
        allow_origin_regex=".*",
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=PAGE_HEADERS,
        expose_headers=("Mcp-Session-Id", "WWW-Authenticate"),
    )


def peer_of(scope: Scope) -> Peer:
    """Who sent a request."""
    access = _access(scope)
    principal = None if access is None else principal_components(access)
    client = scope.get("client")
    return Peer(principal, "" if client is None else f"{client[0]}:{client[1]}", access, Headers(scope=scope))


def _access(scope: Scope) -> AccessToken | None:
    """What a request authenticated with."""
    user = scope.get("user")
    return user.access_token if isinstance(user, AuthenticatedUser) else None


class MessageCheck:
    """Lets only sound JSON-RPC messages through to the SDK.

    The SDK would take some bad ones for something else: a request whose id is 1.5, true or null for a
    notification (and its sender waits for ever), NaN and 1e999 for null, the last of two equal members for
    the only one.

    Args:
        app: The SDK's app.
        methods: The HTTP methods that the path takes.
        max_message_size: Bytes of the largest body; a larger one is answered 413.
        body_timeout: Seconds for a body as a whole, however its bytes come.
        strict_headers: Refuse requests about a task without `Mcp-Name` too (SEP-2663).
        clock: Tells when a token has expired.
        make_pending: Makes what bounds the requests of one session.
        keeps_events: Whether a stream can be taken up again after its last event.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        methods: Sequence[str],
        max_message_size: int,
        body_timeout: float,
        strict_headers: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        make_pending: Callable[[], PendingRequests] = PendingRequests,
        keeps_events: bool = True,
    ) -> None:
        self._clock = clock
        self._keeps_events = keeps_events
        self._sessions = SessionRequests(make_pending)
        self._strict = strict_headers
        self._app = app
        self._methods = methods
        self._allow = ", ".join(methods).encode()
        self._limit = max_message_size
        self._body_timeout = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in self._methods:
            await refuse(send, HTTPStatus.METHOD_NOT_ALLOWED, "no such HTTP method here", (b"allow", self._allow))
        elif not self._keeps_events and "last-event-id" in Headers(scope=scope):
            await refuse(send, HTTPStatus.BAD_REQUEST, NO_EVENTS)
        elif scope["method"] != "POST":
            await self._pass(scope, receive, send)
        else:
            await self._message(scope, receive, send)

    async def _message(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as waiting:
            try:
                with anyio.fail_after(self._body_timeout):
                    body = await self._read(scope, receive)
                if body is None:
                    return  # the client left in the middle of its message: nobody is there to answer
                message = decode_frame(body)
                self._check_headers(scope, message)
                answered = waiting.enter_context(self._sessions.request(_session(scope), message, body))
            except FrameTooLarge as exc:
                await refuse(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(exc))
            except FrameError as exc:
                await respond(send, HTTPStatus.BAD_REQUEST, encode_error(exc))
            except TimeoutError:
                await refuse(send, HTTPStatus.REQUEST_TIMEOUT, "the rest of the message did not come", CLOSE)
            else:
                await self._pass_on(message, body, scope, receive, _telling(send, answered))

    async def _pass_on(
        self, message: Mapping[str, Any], body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        scope[ARRIVED] = message
        if method_of(message) in LISTEN_METHODS:
            scope[STREAMING] = True
        if method_of(message) == LISTEN_METHOD and _is_modern(scope):
            response = EventResponse(send)
            current_response.set(response)
            send = response.relay
        await self._pass(_accepting(scope), _replay(body, receive), send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on; a stream ends with the token that opened it."""
        seconds = lifetime(_access(scope), self._clock) if is_streaming(scope) else math.inf
        await ending_after(seconds, self._app, scope, receive, send)

    def _check_headers(self, scope: Scope, message: Mapping[str, Any]) -> None:
        if self._strict and method_of(message) in TASK_METHODS and "mcp-name" not in Headers(scope=scope):
            raise FrameError("the Mcp-Name header is missing", code=HEADER_MISMATCH, request_id=id_of(message))

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body; None where the client left before its end."""
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self._limit:
            raise FrameTooLarge(self._limit)
        body = bytearray()
        while True:
            with anyio.fail_after(self._body_timeout * SILENCE):
                message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise FrameTooLarge(self._limit)
            if not message.get("more_body", False):
                return bytes(body)


def _telling(send: Send, answered: Callable[[], None]) -> Send:
    """`send`, which tells when the answer to the request is on its way: its sender may use the id again at once."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.body" and _is_answer(message.get("body", b"")):
            answered()
        await send(message)

    return told


def _is_answer(body: bytes) -> bool:
    """Whether a piece of a response is the answer: what else comes before it has a method, or is no message."""
    head = body[:HEAD]
    return b'"jsonrpc"' in head and b'"method"' not in head


def _session(scope: Scope) -> str | None:
    """The session that a request names (up to 2025-11-25)."""
    return Headers(scope=scope).get(SESSION_HEADER)


def _is_modern(scope: Scope) -> bool:
    """Whether a request is of the era in which its answer is all there is: no sessions, no events kept for later."""
    return Headers(scope=scope).get("mcp-protocol-version") in MODERN_PROTOCOL_VERSIONS


def _accepting(scope: Scope) -> Scope:
    """A request that does not say what it accepts accepts anything (RFC 9110, 12.5.1); the SDK answers it 406."""
    if "accept" in Headers(scope=scope):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"accept", b"application/json, text/event-stream")]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body again, and then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
