"""The opening handshake of a WebSocket connection, both sides: who is let in, and how a refusal reads.

The HTTP of it is `websockets`' protocol core; what is decided here is whether a
client may have a connection at all. Every check is made before the upgrade, so
that a refused client gets a plain HTTP answer with a short text, and nothing of
ours runs for it. Knows nothing of messages.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import anyio
from mcp.server.auth.provider import AccessToken, TokenVerifier
from starlette.datastructures import Headers
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidHeaderValue, InvalidStatus, NegotiationError
from websockets.http11 import Request, Response
from websockets.protocol import Event
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol
from websockets.uri import WebSocketURI

from mcpc.errors import FINAL_STATUSES, ConnectFailed, ConnectRefused, URIError
from mcpc.logs import logger_of
from mcpc.transport import URI, Token
from mcpc_transports.addresses import Guests
from mcpc_transports.tokens import is_expired
from mcpc_transports.websocket.core import checked_value, frame_limit, status_of
from mcpc_transports.websocket.outgoing import STREAM_ERRORS
from mcpc_transports.websocket.stream import Stream

__all__ = [
    "QUIET",
    "Admitted",
    "HandshakeError",
    "Rules",
    "accept_upgrade",
    "authorize",
    "busy",
    "client_protocol",
    "request_upgrade",
]

logger: logging.Logger = logger_of(__name__)

QUIET = logger_of(__name__).getChild("protocol")
"""The protocol core's logger. At DEBUG it would write out headers, tokens among them, and whole messages."""
QUIET.setLevel(logging.ERROR)

SUBPROTOCOL = Subprotocol("mcp")

LINGER = 0.5
"""Seconds that a refused client gets to read why."""

BODY_SHOWN = 200
"""Characters of a refusal's text that an error shows."""

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


class HandshakeError(Exception):
    """This connection is not to be served; the client has been told why, if it could be."""


# --- the server's side ---


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom a listener lets in."""

    path: str
    """The path served; the query of a request is not looked at."""
    guests: Guests
    token_verifier: TokenVerifier | None = None

    def refuse(self, request: Request) -> tuple[HTTPStatus, str] | None:
        """Why the path, the Host or the Origin of `request` will not do."""
        refusal = self.guests.refusal(request.headers.get_all("Host"), request.headers.get_all("Origin"))
        if refusal is not None:
            return refusal
        if request.path.partition("?")[0] != self.path:
            return HTTPStatus.NOT_FOUND, "there is nothing at this path"
        return None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A client that was let in."""

    headers: Headers
    """Of its request."""
    access: AccessToken | None
    """What it authenticated with."""


async def accept_upgrade(stream: Stream, rules: Rules) -> Admitted:
    """Take the client through the opening handshake.

    Raises:
        HandshakeError: the client was refused, or did not speak HTTP.
    """
    protocol = ServerProtocol(select_subprotocol=_select_subprotocol, logger=QUIET)
    request = await _read_request(stream, protocol)
    answer, access = await _judge(protocol, request, rules)
    if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        await _refuse(stream, answer)
    await stream.send(answer.serialize())
    return Admitted(Headers(raw=[(n.lower().encode(), v.encode()) for n, v in request.headers.raw_items()]), access)


async def _refuse(stream: Stream, answer: Response) -> None:
    await stream.send(answer.serialize())
    await _linger(stream)
    raise HandshakeError(f"refused: {answer.status_code} {bytes(answer.body).decode().strip()}")


async def _linger(stream: Stream) -> None:
    """Read the client out: closing a socket with unread bytes in it could take our answer from the client."""
    with anyio.move_on_after(LINGER), suppress(anyio.EndOfStream, *STREAM_ERRORS):
        with suppress(NotImplementedError):  # TLS cannot half-close
            await stream.send_eof()
        while True:
            await stream.receive()


async def _read_request(stream: Stream, protocol: ServerProtocol) -> Request:
    events: list[Event] = []
    while not events and protocol.handshake_exc is None:
        try:
            protocol.receive_data(await stream.receive())
        except anyio.EndOfStream as exc:
            raise HandshakeError("the client went away before it asked for anything") from exc
        events = protocol.events_received()
    if protocol.handshake_exc is not None:
        # The core answers headers over its bounds, but not what is no HTTP at all.
        answer = protocol.reject(status_of(protocol.handshake_exc), f"{protocol.handshake_exc}\n").serialize()
        await stream.send(b"".join(protocol.data_to_send()) or answer)
        await _linger(stream)
        raise HandshakeError(str(protocol.handshake_exc))
    request = events[0]
    assert isinstance(request, Request)
    if len(events) > 1 or protocol.reader.buffer or protocol.parser_exc is not None:
        await _refuse(stream, protocol.reject(HTTPStatus.BAD_REQUEST, "nothing may follow before our answer\n"))
    return request


def _select_subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    if offered:
        raise NegotiationError("this server speaks the subprotocol 'mcp' only")
    return None  # older MCP clients offer none


async def _judge(protocol: ServerProtocol, request: Request, rules: Rules) -> tuple[Response, AccessToken | None]:
    """The answer to `request`, and whose it is. The token comes last: a look at it may cost something."""
    refusal = rules.refuse(request)
    if refusal is not None:
        return protocol.reject(refusal[0], refusal[1] + "\n"), None
    answer = protocol.accept(request)
    if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS or rules.token_verifier is None:
        return answer, None
    token = _bearer(request)
    if token is None:
        return _unauthorized(protocol, "Bearer", "a bearer token is needed\n"), None
    try:
        access = await rules.token_verifier.verify_token(token)
    except Exception as exc:
        # Anything may come out of a verifier. No traceback: it could show the token.
        logger.error("the token verifier failed: %s: %s", type(exc).__name__, str(exc).replace(token, "***"))
        return protocol.reject(HTTPStatus.INTERNAL_SERVER_ERROR, "the token could not be checked\n"), None
    if access is None or is_expired(access):
        return _unauthorized(protocol, 'Bearer error="invalid_token"', "the token is not valid\n"), None
    return answer, access


def _bearer(request: Request) -> str | None:
    values = request.headers.get_all("Authorization")
    scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _unauthorized(protocol: ServerProtocol, challenge: str, text: str) -> Response:
    answer = protocol.reject(HTTPStatus.UNAUTHORIZED, text)
    answer.headers["WWW-Authenticate"] = challenge
    return answer


async def busy(stream: Stream) -> None:
    """Turn a client away unheard."""
    answer = ServerProtocol(logger=QUIET).reject(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections\n")
    with suppress(*STREAM_ERRORS):
        await stream.send(answer.serialize())
        await _linger(stream)


# --- the client's side ---


def client_protocol(
    uri: URI,
    address: WebSocketURI,
    *,
    headers: Mapping[str, str] | None,
    token: Token | None,
    origin: str | None,
    max_message_size: int,
) -> tuple[ClientProtocol, Request]:
    """The protocol core for one connection to `uri`, and the request that opens it.

    Raises:
        URIError: a header cannot be sent. The message never shows its value.
    """
    protocol = ClientProtocol(
        address,
        origin=None if origin is None else Origin(origin),
        subprotocols=[SUBPROTOCOL],
        max_size=frame_limit(max_message_size),
        logger=QUIET,
    )
    extra = list((headers or {}).items())
    if isinstance(token, str):
        extra.append(("Authorization", f"Bearer {token}"))
    try:
        request = protocol.connect()
    except InvalidHeaderValue:
        raise URIError(f"{uri.scheme}: the origin or the user of the address cannot be sent as a header") from None
    for name, value in extra:
        _add_header(uri, request, name, value)
    return protocol, request


async def authorize(uri: URI, request: Request, token: Token | None) -> str | None:
    """Ask for the token of this connection, where it is asked for each; the token.

    Raises:
        URIError: it cannot be sent.
    """
    if token is None or isinstance(token, str):
        return token
    fresh = await token()
    _add_header(uri, request, "Authorization", f"Bearer {fresh}")
    return fresh


def _add_header(uri: URI, request: Request, name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise URIError(f"{uri.scheme}: {name!r} cannot be the name of a header")
    if name in request.headers or name.lower().startswith("sec-websocket-"):
        raise URIError(f"{uri.scheme}: the header {name!r} is set already, by the transport or by another option")
    try:
        request.headers[name] = checked_value(value)
    except (InvalidHeaderValue, ValueError):
        raise URIError(f"{uri.scheme}: the value given for the header {name!r} cannot be sent") from None


async def request_upgrade(
    stream: Stream, protocol: ClientProtocol, request: Request, uri: URI, token: str | None
) -> bytes:
    """Ask for the upgrade; return what the server sent after its answer already.

    Raises:
        ConnectFailed: the server refused, or is no WebSocket server that speaks MCP.
    """
    protocol.send_request(request)
    await stream.send(b"".join(protocol.data_to_send()))
    is_answered, rest = False, b""
    while not is_answered and protocol.handshake_exc is None:
        try:
            is_answered, rest = _read_answer(protocol, await stream.receive())
        except anyio.EndOfStream:
            protocol.receive_eof()
    if protocol.handshake_exc is not None:
        kind = ConnectRefused if _is_final(protocol.handshake_exc) else ConnectFailed
        raise kind(_refusal(protocol.handshake_exc, uri, token)) from protocol.handshake_exc
    return rest


def _read_answer(protocol: ClientProtocol, data: bytes) -> tuple[bool, bytes]:
    """Give the core `data`, line by line, until it has the whole answer; whether it has, and what follows it."""
    while data:
        line, newline, data = data.partition(b"\n")
        protocol.receive_data(line + newline)
        if protocol.events_received():
            return True, data
    return False, b""


def _is_final(exc: Exception) -> bool:
    """Whether dialling again would change nothing: the credentials, the address or the subprotocol is wrong."""
    return isinstance(exc, NegotiationError) or (
        isinstance(exc, InvalidStatus) and exc.response.status_code in FINAL_STATUSES
    )


def _refusal(exc: Exception, uri: URI, token: str | None) -> str:
    if isinstance(exc, InvalidStatus):
        response = exc.response
        text = " ".join(bytes(response.body).decode(errors="replace").split())
        if token:
            text = text.replace(token, "***")
        said = f": {text[:BODY_SHOWN]}" if text else ""
        return f"{uri} refused the connection: HTTP {response.status_code} {response.reason_phrase}{said}"
    if isinstance(exc, InvalidHandshake):
        why = "the connection ended" if isinstance(exc.__cause__, EOFError) else str(exc)
        return f"{uri} did not answer as a WebSocket server for MCP does: {why}"
    return f"{uri} did not answer as a WebSocket server does: {exc}"
