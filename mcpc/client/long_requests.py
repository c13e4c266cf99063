"""`LongRequests`: requests that stay open for long, each with a stream of notifications that bear its id.

`subscriptions/listen` (SEP-2663) and `events/stream` (MCP Events) are such. The SDK's
session drops notifications it does not know and may reorder others, so the streams
are tapped: what belongs to one of these requests leaves for it here, in the order of
arrival. Knows nothing of what the notifications say.
"""

import contextvars
from collections.abc import Callable
from typing import Any

from mcp.client import ClientSession
from mcp.shared.message import SessionMessage
from mcp_types import EmptyResult, JSONRPCNotification, JSONRPCRequest, Request, RequestId, RequestParams
from pydantic import ConfigDict

from mcpc.client.requests import FOR_EVER
from mcpc.errors import LimitReached
from mcpc.taps import InterceptingReader, StreamWrapper
from mcpc.transport import StreamPair
from mcpc.wire.message import meta_of
from mcpc.wire.names import SUBSCRIPTION_META

__all__ = ["MAX_STREAMS", "LongRequests", "Take", "ask_for_long"]

MAX_STREAMS = 32
"""Such requests of one client at once. Over HTTP each is a connection of its own."""

Take = Callable[[str, dict[str, Any]], bool]
"""Takes the method and the params of a notification; False where it is for others. Must neither raise nor block."""


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class _LongRequest:
    """One of them, while it is open."""

    def __init__(self, take: Take) -> None:
        self.take = take
        self._entry: tuple[dict[RequestId, _LongRequest], RequestId] | None = None

    def enter(self, open_ones: "dict[RequestId, _LongRequest]", request_id: RequestId) -> None:
        """It goes out with that id."""
        self._entry = (open_ones, request_id)
        open_ones[request_id] = self

    def leave(self) -> None:
        """It is over."""
        if self._entry is not None:
            open_ones, request_id = self._entry
            if open_ones.get(request_id) is self:
                del open_ones[request_id]


_asking: contextvars.ContextVar[_LongRequest | None] = contextvars.ContextVar("mcpc_long_request", default=None)
"""The request that is being sent: requests are written in the context of who makes them."""


async def ask_for_long(session: ClientSession, method: str, params: dict[str, Any], take: Take) -> None:
    """Make such a request, and return when the server ends it. Cancelling it ends it at the server, too.

    Args:
        session: The session of a client whose streams are tapped.
        method: The method.
        params: Its params.
        take: Takes what is notified on it.

    Raises:
        LimitReached: as many are open as may be; nothing was sent.
        MCPError: the server refused, or the connection is gone.
    """
    about = _LongRequest(take)
    request: Any = Request[_Params, str](method=method, params=_Params.model_validate(params))
    token = _asking.set(about)
    try:
        await session.send_request(request, EmptyResult, request_read_timeout_seconds=FOR_EVER)
    finally:
        _asking.reset(token)
        about.leave()


class LongRequests:
    """The open ones of one client, over one connection after another."""

    def __init__(self) -> None:
        self._open: dict[RequestId, _LongRequest] = {}

    def tap(self, streams: StreamPair) -> StreamPair:
        """The same streams, tapped."""
        read, write = streams
        return _Reader(read, self._notified), _Writer(write, self._sent)

    @property
    def crowded(self) -> bool:
        """Whether as many are open as may be."""
        return len(self._open) >= MAX_STREAMS

    def _sent(self, request: JSONRPCRequest) -> None:
        """A request is on its way: if it is a long one, this is its id.

        Raises:
            LimitReached: as many are open as may be.
        """
        about = _asking.get()
        if about is None:
            return
        if self.crowded:
            raise LimitReached(f"this client holds {MAX_STREAMS} streams open, and no more", value=MAX_STREAMS)
        about.enter(self._open, request.id)

    def _notified(self, notification: JSONRPCNotification) -> bool:
        """Take a notification if it belongs to one of them."""
        params: dict[str, Any] = notification.params or {}
        found = meta_of(params).get(SUBSCRIPTION_META)
        about = self._open.get(found) if isinstance(found, str | int) else None
        return about is not None and about.take(notification.method, params)


class _Reader(InterceptingReader):
    """The read stream, without the notifications of long requests."""

    def __init__(self, inner: Any, notified: Callable[[JSONRPCNotification], bool]) -> None:
        super().__init__(inner, lambda message, size: None)
        self._notified = notified

    def _intercept(self, item: Any) -> bool:
        message = item.message if isinstance(item, SessionMessage) else None
        return isinstance(message, JSONRPCNotification) and self._notified(message)


class _Writer(StreamWrapper):
    """The write stream, which learns the ids of long requests."""

    def __init__(self, inner: Any, sent: Callable[[JSONRPCRequest], None]) -> None:
        super().__init__(inner)
        self._sent = sent

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message.

        Raises:
            LimitReached: it would be one long request too many.
        """
        if isinstance(item.message, JSONRPCRequest):
            self._sent(item.message)
        await self._inner.send(item)
