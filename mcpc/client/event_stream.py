"""`EventStream`: the events of one subscription, as the server sends them (`events/stream`). MCP Events, EXPERIMENTAL.

One request is open at a time, in the background. It is made anew, from the position after what has come, only when
somebody waits for more: so what a slow reader has not taken stays with the server, and is bounded here.
"""

import logging
from collections.abc import Callable
from typing import Any

import anyio
from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError

from mcpc.client.backoff import Backoff
from mcpc.client.long_requests import ask_for_long
from mcpc.client.requests import typed
from mcpc.client.told_events import ToldEvents
from mcpc.detached import spawn_detached
from mcpc.errors import MCPCError, MessageError, TimedOut
from mcpc.logs import logger_of
from mcpc.wire.events import (
    ACTIVE_METHOD,
    ERROR_METHOD,
    EVENT_METHOD,
    HEARTBEAT_METHOD,
    STREAM_METHOD,
    TERMINATED_METHOD,
    read_error,
    read_event,
    read_position,
)

__all__ = ["EventStream"]

logger: logging.Logger = logger_of(__name__)

CONFIRMATION = 10.0
"""Seconds that a server has to say that a stream is open."""
QUIET = 65.0
"""Seconds of silence after which a stream is dead: a heartbeat is due every 30."""
LONGEST = 30.0
"""Seconds between two streams at the most, of a server that ends each at once."""


class EventStream:
    """Holds the stream.

    Args:
        session: Gives the session of the present connection; raises `ConnectionLost` where there is none.
        params: Gives the params of a request that begins at a position.
        told: Where the events go.
    """

    def __init__(
        self, session: Callable[[], ClientSession], params: Callable[[str | None], dict[str, Any]], told: ToldEvents
    ) -> None:
        self._session = session
        self._params = params
        self._told = told
        self._request: _Request | None = None
        self._backoff = Backoff(maximum=LONGEST)
        self._has_begun = False
        self._closed = False

    async def begin(self) -> None:
        """Open it, and return once the server has confirmed it.

        Raises:
            TimedOut: it does not. The way to it may not carry a stream.
            LimitReached: the client holds as many open as may be.
            ConnectionLost, MessageError, MCPError: see `more`.
        """
        request = self._opened()
        try:
            await request.news.wait()
        except BaseException:
            self.close()  # it may be open there already, and nobody has it
            raise
        if not request.confirmed:
            self._request = None
            raise request.failure or _not_opened()
        self._has_begun = True

    async def more(self) -> None:
        """Return once something may have come; opens the stream again where it has ended.

        Raises:
            MessageError: what the server tells makes no sense.
            TimedOut: it does not open the stream again.
            ConnectionLost: the connection went away.
            MCPError: the server refused, or has ended the subscription.
        """
        request = self._request
        if request is None:
            await self._backoff.wait()
            if self._closed:
                return
            request = self._opened()
        if not request.over:
            await request.news.wait()
            request.news = anyio.Event()
        if self._told:
            self._backoff.succeeded()
        elif request.over:
            self._request = None
            self._look_at_end_of(request)

    def _look_at_end_of(self, request: "_Request") -> None:
        if request.failure is not None:
            raise request.failure
        if not request.confirmed and not self._closed:
            raise _not_opened()

    def _opened(self) -> "_Request":
        session = self._session()
        if self._has_begun and self._told.after is None:
            self._told.skipped()  # the server cannot go back: what has come meanwhile is gone
        self._request = request = _Request(self._told)
        params = self._params(self._told.after)
        spawn_detached(lambda: request.run(session, params))
        return request

    def close(self) -> None:
        """Let go of it: the server is told that nobody listens."""
        self._closed = True
        if self._request is not None:
            self._request.close()


def _not_opened() -> TimedOut:
    text = f"the server did not open the stream of events within {CONFIRMATION:g} seconds"
    return TimedOut(text, "timeout", CONFIRMATION)


class _Request:
    """One `events/stream`, from its sending to its end."""

    def __init__(self, told: ToldEvents) -> None:
        self.news: anyio.Event = anyio.Event()
        """Set when something has come, or it is over."""
        self.confirmed = False
        self.over = False
        self.failure: Exception | None = None
        self._told = told
        self._scope = anyio.CancelScope()

    async def run(self, session: ClientSession, params: dict[str, Any]) -> None:
        """Make the request, and wait until it ends, or is dead. Raises nothing: see `failure`."""
        try:
            with self._scope:
                self._scope.deadline = anyio.current_time() + CONFIRMATION
                await ask_for_long(session, STREAM_METHOD, params, self._take)
        except MCPError as exc:
            self.failure = self.failure or typed(exc)
        except (MCPCError, anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            self.failure = self.failure or exc
        finally:
            self.over = True
            self.news.set()

    def close(self) -> None:
        """End it here and at the server."""
        self._scope.cancel()

    def _take(self, method: str, params: dict[str, Any]) -> bool:
        if self.over or self._scope.cancel_called:
            return True
        self._scope.deadline = anyio.current_time() + QUIET
        try:
            self._told_of(method, params)
        except MessageError as exc:
            self._fail(exc)
        if self._told.is_full:
            self.close()  # it is asked for again, after what has come, once that was taken
        return True

    def _told_of(self, method: str, params: dict[str, Any]) -> None:
        if method in (ACTIVE_METHOD, EVENT_METHOD, HEARTBEAT_METHOD):
            cursor, skipped = read_position(params)
            if method == EVENT_METHOD:
                self._told.add(read_event(params))
            if method == ACTIVE_METHOD and skipped:
                self._told.skipped()
            self._told.moved(cursor)
            self.confirmed = True
            self.news.set()
        elif method == TERMINATED_METHOD:
            self._fail(MCPError(*read_error(params)))
        elif method == ERROR_METHOD:
            logger.warning("a server cannot tell of an event now, and goes on trying: %s", read_error(params)[1])

    def _fail(self, failure: Exception) -> None:
        self.failure = failure
        self.close()
