"""Serving an ASGI app with uvicorn, in the running loop, with an end that is orderly and bounded.

Knows HTTP connections and requests, and nothing of MCP's methods. It adds what
uvicorn lacks for a guest in somebody's program: no signal handlers are taken, the
socket is ours (so that port 0 and "address in use" work), and the end does not
wait for streams that never end. Requests in progress get a moment; then every app
is told that its client has gone, which is how ASGI says "stop", and every answer
that had begun is completed.
"""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import anyio.abc
import uvicorn
from mcp_types import INTERNAL_ERROR
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcpc.errors import FrameError, ListenFailed
from mcpc.logs import logger_of
from mcpc.transport import URI
from mcpc.wire.rpc import encode_error
from mcpc_transports.http.client import unwrapped
from mcpc_transports.http.connections import Bounds, accept_connections, watched
from mcpc_transports.http.hanging_up import HangUp

__all__ = ["STREAMING", "bind", "is_streaming", "respond", "serving"]

logger: logging.Logger = logger_of(__name__)

GRACE = 1.0
"""Seconds that requests in progress get to finish when the listener ends."""

STEP = 0.5
"""Seconds for each later step of shutting down: apps that were told to stop, then those cancelled, then
connections."""

KEEP_ALIVE = 30
"""Seconds that an idle connection is kept. More than the 5 s of HTTP clients: where both ends give up a
connection at the same time, a request is lost."""

SHUTTING_DOWN = "the server is shutting down"

STREAMING = "mcpc.streaming"
"""Set in a scope: this request lasts until somebody ends it, so shutting down does not wait for it."""


def is_streaming(scope: Scope) -> bool:
    """Whether a request lasts until somebody ends it."""
    return scope["method"] == "GET" or STREAMING in scope


async def bind(uri: URI, backlog: int) -> socket.socket:
    """A listening socket at the host and port of `uri`.

    Raises:
        ListenFailed: the address is taken, or none of this machine's.
    """
    if _asyncio_is_missing():
        raise ListenFailed(f"cannot listen at {uri}: HTTP listeners need asyncio, and this is another event loop")
    try:
        # The protocol is asked for, as asyncio turns Nagle's delays off only for a socket that names it.
        port = uri.port if uri.port is not None else 443 if uri.scheme.endswith("https") else 80
        found = await anyio.getaddrinfo(uri.host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return _listen_at_first(found, backlog)
    except OSError as exc:
        raise ListenFailed(f"cannot listen at {uri}: {exc.strerror or exc}") from exc


def _asyncio_is_missing() -> bool:
    """Whether the running loop is not asyncio's (uvicorn's needs it)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def _listen_at_first(found: list[Any], backlog: int) -> socket.socket:
    """A socket at the first address that can be had: one port, so one socket."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        listener = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # on Windows the option would let two listeners share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind(address)
            listener.listen(backlog)  # here, not later: two sockets may be bound to a port, but only one listens
            return listener
        except OSError as exc:
            listener.close()
            failure = exc
    raise failure or OSError("the host has no address")


async def respond(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Answer a request with a JSON body."""
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = encode_error(FrameError(reason, code=INTERNAL_ERROR))
    await respond(send, status, body, (b"connection", b"close"))


# --- requests -----------------------------------------------------------------------------------------------


class _Request:
    """One request in progress."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._line = HangUp(receive)
        self._send = send
        self._started = False
        self._complete = False
        self._sending = False
        self._cancel_scope = anyio.CancelScope()

    @property
    def streaming(self) -> bool:
        """Whether it lasts until somebody ends it."""
        return is_streaming(self._scope)

    async def run(self, app: ASGIApp) -> None:
        """Let `app` answer, and see to it that there is a whole answer."""
        try:
            with self._cancel_scope:
                await app(self._scope, self._line.receive, self.send)
        except Exception:
            logger.exception("a request failed")
            await self._finish(500, "the server failed on this request")
        else:
            await self._finish(503, SHUTTING_DOWN)

    async def _finish(self, status: int, reason: str) -> None:
        """Complete the answer, where the app did not: an open end would keep the client waiting."""
        if not self._started:
            await _refuse(self._send, status, reason)
        elif not self._complete:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send(self, message: Message) -> None:
        """The ASGI `send`, watched."""
        if message["type"] == "http.response.start":
            self._started = True
        elif not message.get("more_body", False):
            self._complete = True
        self._sending = True
        await self._send(message)
        self._sending = False

    def cancel(self) -> None:
        """Cancel the app, unless its client does not read: then cutting the connection is what ends it."""
        if not self._sending:
            self._cancel_scope.cancel()

    def stop(self) -> None:
        """Tell the app that its client has gone."""
        self._line.end()


class _Requests:
    """The ASGI app that uvicorn runs: every request passes here, so that all can be ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._active: set[_Request] = set()
        self._changed: anyio.Event | None = None
        """Set when a request has ended; made when somebody waits for that."""
        self._closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._closed:
            await _refuse(send, 503, SHUTTING_DOWN)
            return
        request = _Request(scope, receive, send)
        self._active.add(request)
        try:
            await request.run(self._app)
        finally:
            self._active.discard(request)
            if self._changed is not None:
                self._changed.set()
                self._changed = None

    async def drain(self, seconds: float) -> None:
        """Wait until all but the streaming requests have ended."""
        with anyio.move_on_after(seconds):
            while any(not request.streaming for request in self._active):
                await self._change()

    def stop(self) -> None:
        """Tell every request to end, and refuse new ones."""
        self._closed = True
        for request in self._active:
            request.stop()

    async def end(self, seconds: float) -> None:
        """Wait until every request has ended; cancel those that take longer."""
        with anyio.move_on_after(seconds):
            while self._active:
                await self._change()
        for request in self._active:
            request.cancel()

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()


# --- the server ---------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """uvicorn's server: no signal handlers, and it says when it is ready and when it has ended."""

    def __init__(self, requests: _Requests, bounds: Bounds, ssl_context: ssl.SSLContext | None) -> None:
        config = uvicorn.Config(
            requests,
            lifespan="off",
            ws="none",
            log_config=None,  # logging is the application's to set up
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        config.load()
        config.ssl = ssl_context
        protocol = watched(config.http_protocol_class, bounds.head_timeout)  # pyright: ignore[reportArgumentType]
        config.http_protocol_class = protocol
        super().__init__(config)
        self.servers = []
        self._requests = requests
        self._bounds = bounds
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self._closing = anyio.Event()
        """Set when no more connections are accepted."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # we accept ourselves
        self.ready.set()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            self.ended.set()

    async def accept(self, sock: socket.socket, where: str) -> None:
        """Accept connections at `sock` until the end begins."""
        make: Any = self.config.http_protocol_class
        protocol = partial(make, config=self.config, server_state=self.server_state, app_state={})
        async with anyio.create_task_group() as tasks:
            open_now = self.server_state.connections
            tasks.start_soon(accept_connections, sock, where, protocol, open_now, self._bounds, self.config.ssl)
            await self._closing.wait()
            tasks.cancel_scope.cancel()
        sock.close()

    async def wind_down(self) -> None:
        """Accept no more; let requests in progress have their moment; tell the others to stop."""
        self.should_exit = True
        self._closing.set()
        await self._requests.drain(GRACE)
        self._requests.stop()

    async def end(self) -> None:
        """End what is left, in bounded steps; peers that do not read, or say no goodbye, are cut off."""
        if not self.ready.is_set():
            return
        self.should_exit = True
        with anyio.CancelScope(shield=True):
            await self._requests.end(STEP)
            if not await _set_within(self.ended, STEP):
                for connection in list(self.server_state.connections):
                    connection.transport.abort()
                await self._requests.end(STEP)
                await _set_within(self.ended, STEP)


async def _set_within(event: anyio.Event, seconds: float) -> bool:
    with anyio.move_on_after(seconds):
        await event.wait()
    return event.is_set()


@asynccontextmanager
async def serving(
    app: ASGIApp,
    sock: socket.socket,
    bounds: Bounds,
    *,
    ssl_context: ssl.SSLContext | None,
    where: str,
    running: AbstractAsyncContextManager[Any],
) -> AsyncGenerator[None]:
    """Serve `app` on `sock` for as long as the context lasts; then end what is in progress within some 3 s.

    Args:
        app: The ASGI app; only HTTP reaches it.
        sock: A listening socket; it is closed in the end.
        bounds: What its connections may take.
        ssl_context: For TLS.
        where: Its address, for the log.
        running: What the app needs while it serves. It ends after requests have had their moment, and before
            what is left of them is cancelled.
    """
    stop = anyio.Event()
    with unwrapped():
        async with anyio.create_task_group() as tasks:
            try:
                await tasks.start(_serve, _Server(_Requests(app), bounds, ssl_context), sock, where, running, stop)
                yield
            finally:
                stop.set()


async def _serve(
    server: _Server,
    sock: socket.socket,
    where: str,
    running: AbstractAsyncContextManager[Any],
    stop: anyio.Event,
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    with anyio.CancelScope() as scope, unwrapped():
        async with anyio.create_task_group() as tasks:
            try:
                async with running:
                    tasks.start_soon(server.serve)
                    await server.ready.wait()
                    tasks.start_soon(server.accept, sock, where)
                    scope.shield = True  # from here on the end is orderly, also when the caller is cancelled
                    task_status.started()
                    await stop.wait()
                    await server.wind_down()
            finally:
                await server.end()
                tasks.cancel_scope.cancel()
