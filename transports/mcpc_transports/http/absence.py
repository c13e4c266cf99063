"""Clients of the older era that have gone without a word: noticed by the connections that they lose.

A session of that era has no connection of its own, and a lost one cancels nothing
(2025-11-25, basic/transports): its client may come back. So what a client had open
when it died stayed open until the session was idle for half an hour. Here a client
has a while to show itself, by any request; then what nobody waits for is cancelled
in its name, and its session is ended where it is one of ours, which would begin
anew. A request of ours to listen is cancelled at once: its stream is gone. And a
session that was begun and never used is ended: its client may not even have got
its name.

Knows requests and sessions, and nothing of sockets.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
from mcp_types import RequestId
from pydantic_core import to_json
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcpc.logs import logger_of
from mcpc.wire.members import ARRIVED
from mcpc.wire.message import id_of, is_request, method_of, notification_message
from mcpc.wire.names import LISTEN_METHOD
from mcpc.wire.standard import CANCELLED_METHOD, INITIALIZE_METHOD, REQUEST_ID
from mcpc_transports.http.client import unwrapped

__all__ = ["SESSION_HEADER", "Absences"]

logger = logger_of(__name__)

SESSION_HEADER = "mcp-session-id"

MAX_LOST = 1000
"""Lost requests of a session; beyond it the oldest is cancelled, as a client may make and lose them without end."""

ACTION_TIMEOUT = 5.0
"""Seconds that one act in the name of a client that has gone may take."""

UNUSED = 4
"""So many times as long as a client may be absent it may leave a session unused that it has begun. All clients go on at
once, but a person who types the requests does not."""

OUR_OWN = frozenset((b"accept", b"content-length", b"content-type", b"last-event-id", b"transfer-encoding"))
"""Headers of a request that an act in the name of its client does not share."""


class _Session:
    """One session's connections, and the requests that lost theirs."""

    def __init__(self) -> None:
        self.open = 0
        """HTTP requests in progress."""
        self.lost: dict[RequestId, Scope] = {}
        """Requests whose answer can reach nobody, and what they came with; the oldest first."""
        self.listener: Scope | None = None
        """What a request to listen that was lost came with: the client is one of ours."""
        self.returned = anyio.Event()
        """Set when the client shows itself again."""


class Absences:
    """An ASGI layer around the SDK's app, behind the one that reads messages.

    Args:
        app: The SDK's app.
        seconds: How long a client may have no connection, after it has lost one with an answer due; None for ever.
        resumable: Whether a lost stream can be taken up again. Then nothing is cancelled before the time is over.
        silent: Whether the app looks for no disconnect while it works on an answer, as the SDK's does that gives plain
            JSON.
    """

    def __init__(self, app: ASGIApp, seconds: float | None, *, resumable: bool, silent: bool) -> None:
        self._app = app
        self._seconds = seconds
        self._resumable = resumable
        self._silent = silent
        self._sessions: dict[str, _Session] = {}
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Watch for as long as the context lasts."""
        async with anyio.create_task_group() as self._tasks:
            try:
                yield
            finally:
                self._tasks.cancel_scope.cancel()
                self._tasks = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = Headers(scope=scope).get(SESSION_HEADER)
        if self._seconds is None:
            await self._app(scope, receive, send)
        elif name is not None:
            await self._request(name, scope, receive, send)
        elif method_of(scope.get(ARRIVED, {})) == INITIALIZE_METHOD:
            await self._app(scope, receive, self._noting(scope, send))
        else:
            await self._app(scope, receive, send)

    def _noting(self, scope: Scope, send: Send) -> Send:
        """`send` of a request that begins a session, whose name is in the head of the answer."""

        async def noting(message: Message) -> None:
            name = Headers(raw=message.get("headers", ())).get(SESSION_HEADER)
            if name is not None:
                named = {**scope, "headers": [*scope["headers"], (SESSION_HEADER.encode(), name.encode())]}
                self._soon(self._wait_for_use, name, named, self._sessions.setdefault(name, _Session()).returned)
            await send(message)

        return noting

    async def _wait_for_use(self, name: str, scope: Scope, used: anyio.Event) -> None:
        with anyio.move_on_after(UNUSED * (self._seconds or 0.0)):
            await used.wait()
        if used.is_set():
            return
        logger.debug("a client that began a session has not gone on; it is ended")
        self._sessions.pop(name, None)
        await self._act("DELETE", scope, b"")

    async def _request(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A request of a session."""
        session = self._sessions.setdefault(name, _Session())
        session.open += 1
        message = scope.get(ARRIVED, {})
        if method_of(message) == LISTEN_METHOD:
            session.listener = None
        session.returned.set()
        request = _Request(receive, send)
        try:
            if self._silent:
                await request.run_watched(self._app, scope)
            else:
                await self._app(scope, request.receive, request.send)
        finally:
            session.open -= 1
            if request.was_lost:
                self._lose(session, scope, message)
            self._left(name, session)

    def _lose(self, session: _Session, scope: Scope, message: Mapping[str, Any]) -> None:
        """The client of a request left before its answer."""
        if not is_request(message):
            return
        if method_of(message) == LISTEN_METHOD:
            session.listener = scope
            if not self._resumable:
                self._soon(self._cancel, id_of(message), scope)
                return
        session.lost[id_of(message)] = scope
        if len(session.lost) > MAX_LOST:
            oldest = next(iter(session.lost))
            self._soon(self._cancel, oldest, session.lost.pop(oldest))

    def _left(self, name: str, session: _Session) -> None:
        """A request of the session has ended: was it the last?"""
        if session.open:
            return
        if session.lost or session.listener is not None:
            session.returned = anyio.Event()
            self._soon(self._wait, name, session, session.returned)
        else:
            self._sessions.pop(name, None)

    async def _wait(self, name: str, session: _Session, returned: anyio.Event) -> None:
        with anyio.move_on_after(self._seconds):
            await returned.wait()
            return
        logger.debug("a client has gone without a word; what it had open is ended")
        self._sessions.pop(name, None)
        if session.listener is not None:
            await self._act("DELETE", session.listener, b"")
            return
        for request_id, scope in session.lost.items():
            await self._cancel(request_id, scope)

    async def _cancel(self, request_id: RequestId, scope: Scope) -> None:
        await self._act("POST", scope, to_json(notification_message(CANCELLED_METHOD, {REQUEST_ID: request_id})))

    async def _act(self, verb: str, scope: Scope, body: bytes) -> None:
        """A request in the name of the client: with its session, and with what it authenticated with."""
        headers = [header for header in scope["headers"] if header[0] not in OUR_OWN]
        headers += [(b"content-type", b"application/json"), (b"accept", b"application/json, text/event-stream")]
        scope = {**scope, "headers": headers}
        scope["method"] = verb
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            """Nobody is there to read the answer."""

        try:
            with anyio.move_on_after(ACTION_TIMEOUT):
                await self._app(scope, receive, send)
        except Exception:
            logger.debug("what a client had open could not be ended", exc_info=True)

    def _soon(self, act: Any, *arguments: Any) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(act, *arguments)


class _Request:
    """One HTTP request, watched for its client leaving before the end of the answer."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.was_lost = False
        self._receive = receive
        self._send = send
        self._complete = False

    async def receive(self) -> Message:
        """The ASGI `receive`."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.was_lost = not self._complete
        return message

    async def send(self, message: Message) -> None:
        """The ASGI `send`."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._complete = True
        await self._send(message)

    async def run_watched(self, app: ASGIApp, scope: Scope) -> None:
        """Let an app answer that looks for no disconnect, until there is one."""
        waiting = [await self.receive()]

        async def receive() -> Message:
            if not waiting:
                await anyio.sleep_forever()
            return waiting.pop()

        with unwrapped():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_when_left, tasks.cancel_scope)
                await app(scope, receive, self.send)
                tasks.cancel_scope.cancel()

    async def _cancel_when_left(self, answering: anyio.CancelScope) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        answering.cancel()
