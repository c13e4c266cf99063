"""The HTTP client under both HTTP transports: where to, as whom, and what went wrong in plain words.

It knows HTTP and nothing of MCP, but for one thing: the SDK's Streamable HTTP
client lets an exception of one request end the whole connection, so `CallClient`
turns what went wrong with a POST into a JSON-RPC error that answers that POST.
"""

import functools
import math
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import anyio
import httpx2
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR
from pydantic_core import from_json, to_json

from mcpc.errors import FINAL_STATUSES, ConnectFailed, ConnectRefused, FrameTooLarge, MCPCError, URIError
from mcpc.taps import CallbackTap
from mcpc.transport import URI
from mcpc.wire.message import error_message, is_error, method_of
from mcpc_transports.http.event_tap import EventTap
from mcpc_transports.http.options import Dialling
from mcpc_transports.http.probe import Probe
from mcpc_transports.proxies import Proxy, proxy_for

__all__ = ["CallClient", "Target", "connecting", "explain", "reach", "read_whole", "status_line", "unwrapped"]

PROXY_FAILURES = (HTTPStatus.PROXY_AUTHENTICATION_REQUIRED, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
"""What a proxy answers that does not reach the server. (Over TLS it is not asked for the request, but for a tunnel.)"""

CLOSE_TIMEOUT = 1.0
"""Seconds that ending a session at the server may take."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")
_TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Target:
    """An address to connect to, with its options, checked."""

    uri: URI
    default_path: str
    options: Dialling
    proxy: Proxy | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if not self.uri.host:
            raise URIError(f"an address to connect to needs a host: {self.uri.scheme}://host/path")
        if self.options.max_message_size <= 0:
            raise URIError("max_message_size must be a positive number of bytes")
        for name in ("open_timeout", "read_timeout"):
            seconds = getattr(self.options, name)
            if seconds is not None and not 0 < seconds < math.inf:
                raise URIError(f"{name} must be a positive number of seconds, or None")
        if self.options.ssl_context is not None and not self.is_tls:
            raise URIError(f"ssl_context is for {self.uri.scheme}s://, this address is {self.uri.scheme}://")
        self._check_credentials()
        object.__setattr__(self, "proxy", proxy_for(self.is_tls, self.uri.host, self.port))

    def _check_credentials(self) -> None:
        given = {
            "auth": self.options.auth,
            "token": self.options.token,
            "the user in the address": self.uri.credentials,
        }
        used = [name for name, value in given.items() if value is not None]
        if len(used) > 1:
            raise URIError(f"give only one of these: {', '.join(used)}")
        # The HTTP library would show the value in its own error, so what it would refuse is refused here.
        if isinstance(self.options.token, str) and not _TOKEN.fullmatch(self.options.token):
            raise URIError("token must be ASCII text without spaces or line breaks")
        for name, value in (self.options.headers or {}).items():
            if not _HEADER_NAME.fullmatch(name):
                raise URIError(f"{name!r} cannot be the name of a header")
            if not _HEADER_VALUE.fullmatch(value):
                raise URIError(f"the value of header {name!r} holds characters that a header cannot hold")

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.uri.scheme.endswith("https")

    @property
    def where(self) -> str:
        """What is dialled, for people."""
        return str(self.uri) if self.proxy is None else f"{self.uri} through {self.proxy}"

    @property
    def port(self) -> int:
        """The port that is dialled."""
        return self.uri.port if self.uri.port is not None else 443 if self.is_tls else 80

    @property
    def auth(self) -> httpx2.Auth | None:
        """What gives each request credentials of its own; None where all have the same."""
        token = self.options.token
        return self.options.auth if token is None or isinstance(token, str) else _FreshToken(token)

    @property
    def url(self) -> str:
        """What HTTP is to be told: no user, no password."""
        scheme = self.uri.scheme.rpartition("+")[2]
        query = f"?{self.uri.query}" if self.uri.query else ""
        return f"{scheme}://{self.uri.authority}{self.uri.path or self.default_path}{query}"

    @property
    def too_late(self) -> str:
        """What to say when `open_timeout` has passed."""
        within = "in time" if self.options.open_timeout is None else f"within {self.options.open_timeout:g} s"
        return f"cannot reach {self.where}: no answer {within}"

    @property
    def deadline(self) -> float:
        """When `open_timeout` will have passed, on anyio's clock."""
        return math.inf if self.options.open_timeout is None else anyio.current_time() + self.options.open_timeout

    def client_options(self) -> dict[str, Any]:
        """How an `httpx2.AsyncClient` is made for this target."""
        headers = httpx2.Headers(dict(self.options.headers or {}))
        if isinstance(self.options.token, str):
            headers["Authorization"] = f"Bearer {self.options.token}"
        elif self.uri.credentials is not None:
            user, password = self.uri.credentials
            headers["Authorization"] = f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
        return {
            "headers": headers,
            "auth": self.auth,
            "proxy": None if self.proxy is None else self.proxy.url,
            "trust_env": False,  # the proxy is chosen here, as for the other transports
            "verify": self.options.ssl_context or _default_ssl_context(),
            "event_hooks": {"request": [_watch_handshake]} if self.is_tls or self.proxy else {},
            "timeout": httpx2.Timeout(self.options.read_timeout, connect=self.options.open_timeout, pool=None),
            # Each call in progress has a connection: the library's bound of 100 would block the 101st for ever.
            "limits": httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        }


class _FreshToken(httpx2.Auth):
    """Asks for the token of now, and for another where the server does not take it any more."""

    def __init__(self, token: Callable[[], Awaitable[str]]) -> None:
        self._token = token

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """See `httpx2.Auth`."""
        token = await self._token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == HTTPStatus.UNAUTHORIZED and (fresh := await self._token()) != token:
            request.headers["Authorization"] = f"Bearer {fresh}"
            yield request


@functools.cache
def _default_ssl_context() -> ssl.SSLContext:
    # Loading the system's certificates takes some 20 ms, so it is done once.
    return httpx2.create_ssl_context()


async def _watch_handshake(request: httpx2.Request) -> None:
    """Close the socket of a handshake, TLS's or a SOCKS proxy's, that fails or is cancelled: the library leaves it to
    the garbage collector, and the server waits in the handshake for as long. (The extension `trace` is the library's
    public way to watch it.)
    """
    opened: list[Any] = []

    async def trace(event: str, info: dict[str, Any]) -> None:
        if event.endswith(".connect_tcp.complete"):
            opened.append(info["return_value"])
        elif event.endswith((".start_tls.failed", ".setup_socks5_connection.failed")):
            with anyio.CancelScope(shield=True):
                for stream in opened:
                    await stream.aclose()

    request.extensions["trace"] = trace


# --- what went wrong ----------------------------------------------------------------------------------------

_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the host name cannot be resolved"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "the peer reset the connection"),
    (httpx2.ConnectTimeout, "no answer in time"),
    (httpx2.TimeoutException, "the peer is silent"),
    (httpx2.LocalProtocolError, "the request cannot be written as HTTP"),
)


def explain(exc: BaseException) -> str:
    """Why an HTTP request failed, for people. Holds nothing of the request, so no secrets."""
    causes = list(_causes(exc))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the server's certificate was not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or cause}"
    refused = next((cause for cause in causes if isinstance(cause, httpx2.ProxyError)), None)
    if refused is not None:
        return f"the proxy refused: {refused}"
    for kind, reason in _REASONS:
        if any(isinstance(cause, kind) for cause in causes):
            return reason
    return str(exc) or type(exc).__name__


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """`exc` and all that led to it."""
    pending: list[BaseException | None] = [exc]
    seen: set[int] = set()
    while pending:
        found = pending.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        pending += [found.__cause__, found.__context__]
        if isinstance(found, BaseExceptionGroup):
            pending += cast("BaseExceptionGroup[BaseException]", found).exceptions


def status_line(response: httpx2.Response) -> str:
    """The status that a server answered with, in words."""
    try:
        phrase = HTTPStatus(response.status_code).phrase
    except ValueError:
        phrase = ""
    return f"HTTP {response.status_code} {phrase}".rstrip()


@contextmanager
def connecting(target: Target) -> Generator[None]:
    """The errors of opening a connection, as ours: the one table of this adapter's client."""
    try:
        yield
    except MCPCError:
        raise
    except TimeoutError as exc:
        raise ConnectFailed(target.too_late) from exc
    except httpx2.InvalidURL as exc:
        raise URIError(f"not an address for HTTP: {target.uri}") from exc
    except (httpx2.RequestError, OSError) as exc:
        raise ConnectFailed(f"cannot reach {target.where}: {explain(exc)}") from exc


@contextmanager
def unwrapped() -> Generator[None]:
    """Take off the group that a task group puts around a single error, so that callers see the error."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        error = group.exceptions[0]
        raise error from error.__cause__


# --- requests -----------------------------------------------------------------------------------------------


async def read_whole(response: httpx2.Response, limit: int) -> bytes:
    """The body of a response, closing it.

    Raises:
        FrameTooLarge: it is over `limit` bytes.
        httpx2.RequestError: the connection failed before its end.
    """
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                raise FrameTooLarge(limit)
    finally:
        await response.aclose()
    return bytes(body)


async def reach(client: httpx2.AsyncClient, target: Target) -> None:
    """Find out whether an HTTP server is at the target; the connection made for it serves the next request.

    Any answer will do but one: 401 to credentials that cannot get better. An `auth` flow is left to real
    requests, as it may ask a person, and take its time.

    Raises:
        ConnectFailed: nobody answered, or the server wants other credentials.
    """
    # With the id of no session, as older servers of the SDK's kind begin one for whatever comes without an id.
    request = client.build_request("OPTIONS", target.url, headers={"Mcp-Session-Id": "none"})
    with connecting(target), anyio.fail_after(target.options.open_timeout):
        # Named class: `CallClient.send` would hide the failure.
        response = await httpx2.AsyncClient.send(client, request, stream=True, auth=None, follow_redirects=False)
        with suppress(FrameTooLarge):
            await read_whole(response, target.options.max_message_size)
    if response.status_code == HTTPStatus.UNAUTHORIZED and target.auth is None:
        raise ConnectRefused(f"{target.uri} refused us: {status_line(response)}")
    if target.proxy is not None and response.status_code in PROXY_FAILURES:
        raise ConnectFailed(f"cannot reach {target.where}: {status_line(response)}")


class CallClient(httpx2.AsyncClient):
    """What the SDK's Streamable HTTP client sends with: a failed POST is *answered* with a JSON-RPC error.

    A request that cannot be sent, a connection cut in the middle of an answer, an answer that is too large,
    and a refusal that is not JSON-RPC all become an error for that one request. For event streams the SDK answers
    when they end; only callbacks leave them here.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(**target.client_options())
        self.tap: CallbackTap = CallbackTap()
        """Where callbacks leave the event streams."""
        self._target = target
        self.probe: Probe = Probe()
        """What is known of the connection's first questions."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """See `httpx2.AsyncClient.send`."""
        if request.method == "DELETE":
            return await self._end_session(request, options)
        if request.method != "POST":
            return await super().send(request, **options)
        refusal = self.probe.refusal(_method(request)) if self.probe.was_lost else None
        if refusal is not None:
            return _error_answer(request, HTTPStatus.BAD_GATEWAY, CONNECTION_CLOSED, refusal)
        try:
            response = await super().send(request, **options)
            if response.next_request is not None:
                return response
            if _content_type(response) == "text/event-stream":
                return self._tapped(response)
            body = await read_whole(response, self._target.options.max_message_size)
        except httpx2.RequestError as exc:
            text = f"connection to {self._target.uri} failed: {explain(exc)}"
            self.probe.lose(_method(request), text)
            return _error_answer(request, HTTPStatus.BAD_GATEWAY, CONNECTION_CLOSED, text)
        except FrameTooLarge as exc:
            text = f"the answer from {self._target.uri} is too large: {exc}"
            return _error_answer(request, HTTPStatus.BAD_GATEWAY, INTERNAL_ERROR, text)
        return self._checked(request, response, body)

    def _tapped(self, response: httpx2.Response) -> httpx2.Response:
        if "content-encoding" not in response.headers and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = EventTap(response.stream, self.tap, self._target.options.max_message_size)
        return response

    def _checked(self, request: httpx2.Request, response: httpx2.Response, body: bytes) -> httpx2.Response:
        """The response with its body read; one that refuses without a reason is given the reason it has."""
        status = response.status_code
        if status in FINAL_STATUSES:
            self.probe.refused(_method(request), body, f"{self._target.uri} refused us: {status_line(response)}")
        # 404 keeps its meaning for the SDK: no such session, or a server that does not know the method.
        if status >= 400 and status != HTTPStatus.NOT_FOUND and not _is_json_rpc(body):
            text = f"{self._target.uri} refused the request: {status_line(response)}"
            return _error_answer(request, status, INTERNAL_ERROR, text)
        gone = {"content-encoding", "content-length", "transfer-encoding"}
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in gone]
        return httpx2.Response(status, headers=headers, content=body, request=request)

    async def _end_session(self, request: httpx2.Request, options: dict[str, Any]) -> httpx2.Response:
        """Tell the server that the session is over: also while being cancelled, but briefly; it never fails."""
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            try:
                return await super().send(request, **options)
            except httpx2.RequestError:
                pass  # the session went with the server
        return httpx2.Response(HTTPStatus.NO_CONTENT, request=request)


def _method(request: httpx2.Request) -> str | None:
    return method_of(from_json(request.content))


def _content_type(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_json_rpc(body: bytes) -> bool:
    try:
        decoded: Any = from_json(body)
    except ValueError:
        return False
    return is_error(decoded)


def _error_answer(request: httpx2.Request, status: int, code: int, text: str) -> httpx2.Response:
    # The SDK puts the id of its request in the place of null.
    body = to_json(error_message(None, code, text))
    return httpx2.Response(status, headers={"content-type": "application/json"}, content=body, request=request)
