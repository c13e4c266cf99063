"""Following one task of a SEP-2663 server to its end: pushed where the server agrees to push, polled where not.

Push is `subscriptions/listen` with `taskIds`. The SDK's session drops
notifications it does not know and may reorder others, so the streams are tapped:
what belongs to one of our subscriptions leaves for it here, in the order of
arrival.
"""

import contextvars
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import anyio.abc
from mcp.client import ClientSession
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp_types import (
    EmptyResult,
    JSONRPCNotification,
    JSONRPCRequest,
    Request,
    RequestId,
    RequestParams,
)
from pydantic import ConfigDict

from mcpc.client.backoff import Backoff
from mcpc.client.requests import FOR_EVER
from mcpc.client.sep2663_requests import get_task
from mcpc.errors import MessageError
from mcpc.logs import logger_of
from mcpc.taps import InterceptingReader, StreamWrapper
from mcpc.transport import StreamPair
from mcpc.wire.message import meta_of
from mcpc.wire.names import SUBSCRIPTION_META
from mcpc.wire.sep2663 import (
    ACKNOWLEDGED_METHOD,
    SUBSCRIBE_METHOD,
    TASKS_NOTIFICATION,
    TaskState,
    acknowledged_ids,
    subscription_to,
    without_extension,
)
from mcpc.wire.standard import CALL_TOOL_METHOD

__all__ = ["Follower", "TaskStreams", "undeclared"]

logger: logging.Logger = logger_of(__name__)

MAX_STREAMS = 32
"""Subscriptions of one client at once; tasks beyond that are polled. Over HTTP each is a connection of its own."""

PUSHED_INTERVAL = 30.0
"""Seconds between two looks at a task whose server pushes: should a notification have been lost."""

undeclared: contextvars.ContextVar[bool] = contextvars.ContextVar("mcpc_tasks_undeclared", default=False)
"""Set around a tool call that shall not become a task: it goes out without the extension among its capabilities."""


class _Params(RequestParams):
    model_config = ConfigDict(extra="allow")


class _Subscription:
    """One `subscriptions/listen` request for one task."""

    def __init__(self, acknowledged: Callable[[list[Any]], None], take: Callable[[dict[str, Any]], None]) -> None:
        self.acknowledged = acknowledged
        self.take = take
        self.request_id: RequestId | None = None

    def notified(self, method: str, params: dict[str, Any]) -> bool:
        """Take a notification of this subscription; False where it is for others."""
        if method == TASKS_NOTIFICATION:
            self.take(params)
            return True
        if method == ACKNOWLEDGED_METHOD:
            self.acknowledged(acknowledged_ids(params))
            return True
        return False


_subscribing: contextvars.ContextVar[_Subscription | None] = contextvars.ContextVar("mcpc_subscribing", default=None)
"""The subscription whose request is being sent: requests are written in the context of who makes them."""


class TaskStreams:
    """The subscriptions of one client, and the tap on its streams that feeds them."""

    def __init__(self) -> None:
        self._open: dict[RequestId, _Subscription] = {}
        self._count = 0

    def tap(self, streams: StreamPair) -> StreamPair:
        """The same streams, tapped."""
        read, write = streams
        return _Reader(read, self.notified), _Writer(write, self)

    @property
    def crowded(self) -> bool:
        """Whether as many are open as may be."""
        return self._count >= MAX_STREAMS

    async def listen(
        self,
        session: ClientSession,
        task_id: str,
        acknowledged: Callable[[list[Any]], None],
        take: Callable[[dict[str, Any]], None],
    ) -> None:
        """Subscribe to a task until the server ends the subscription.

        Args:
            session: The session.
            task_id: The task.
            acknowledged: Called with the ids that the server agreed to.
            take: Called with the members of each `notifications/tasks`.

        Raises:
            MCPError: the server refused, or the connection is gone.
        """
        subscription = _Subscription(acknowledged, take)
        token = _subscribing.set(subscription)
        self._count += 1
        params = _Params.model_validate(subscription_to([task_id]))
        request: Any = Request[_Params, str](method=SUBSCRIBE_METHOD, params=params)
        try:
            await session.send_request(request, EmptyResult, request_read_timeout_seconds=FOR_EVER)
        finally:
            self._count -= 1
            _subscribing.reset(token)
            if subscription.request_id is not None:
                self._open.pop(subscription.request_id, None)

    def sent(self, request: JSONRPCRequest) -> None:
        """A `subscriptions/listen` request is on its way: if it is one of ours, this is its id."""
        subscription = _subscribing.get()
        if subscription is not None:
            subscription.request_id = request.id
            self._open[request.id] = subscription

    def notified(self, notification: JSONRPCNotification) -> bool:
        """Take a notification if it belongs to one of our subscriptions."""
        params: dict[str, Any] = notification.params or {}
        found = meta_of(params).get(SUBSCRIPTION_META)
        subscription = self._open.get(found) if isinstance(found, str | int) else None
        return subscription is not None and subscription.notified(notification.method, params)


class _Reader(InterceptingReader):
    """The read stream, without the notifications of our subscriptions."""

    def __init__(self, inner: Any, notified: Callable[[JSONRPCNotification], bool]) -> None:
        super().__init__(inner, lambda message, size: None)
        self._notified = notified

    def _intercept(self, item: Any) -> bool:
        message = item.message if isinstance(item, SessionMessage) else None
        return isinstance(message, JSONRPCNotification) and self._notified(message)


class _Writer(StreamWrapper):
    """The write stream: it learns the ids of our subscriptions, and takes the extension out of undeclared calls."""

    def __init__(self, inner: Any, streams: TaskStreams) -> None:
        super().__init__(inner)
        self._streams = streams

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message."""
        message = item.message
        if isinstance(message, JSONRPCRequest):
            if message.method == SUBSCRIBE_METHOD:
                self._streams.sent(message)
            elif message.method == CALL_TOOL_METHOD and undeclared.get():
                message.params = without_extension(message.params or {})
        await self._inner.send(item)


class Follower:
    """Follows one task over one connection.

    Args:
        session: The session.
        streams: The client's subscriptions.
        task_id: The task.
        take: Called with each state that is news, in order; the last one is terminal.
        seed: What is known of it already; without it the first thing is to look.
    """

    def __init__(
        self,
        session: ClientSession,
        streams: TaskStreams,
        task_id: str,
        take: Callable[[TaskState], None],
        seed: TaskState | None = None,
    ) -> None:
        self.session = session
        self._streams = streams
        self._task_id = task_id
        self._take = take
        self._last = seed
        self._pushed = False
        self._wake = anyio.Event()
        self._done = anyio.Event()
        self._failure: Exception | None = None
        self._group: anyio.abc.TaskGroup | None = None
        self._listening = anyio.CancelScope()

    async def run(self) -> None:
        """Follow it to its end.

        Raises:
            UnknownTask: the server does not know it (any more).
            MessageError: what the server says of it makes no sense.
            MCPError: any other error, the loss of the connection among them.
        """
        async with anyio.create_task_group() as self._group:
            self.spawn(self._poll)
            self.spawn(self._listen)
            await self._done.wait()
            self._group.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    def spawn(self, main: Callable[[], Awaitable[None]]) -> None:
        """Run `main` until the task has ended; what it raises ends the following."""
        assert self._group is not None
        self._group.start_soon(partial(self._guarded, main))

    async def _guarded(self, main: Callable[[], Awaitable[None]]) -> None:
        try:
            await main()
        except Exception as exc:
            self._failure = self._failure or exc
            self._done.set()

    def _news(self, state: TaskState) -> None:
        if self._done.is_set() or (self._last is not None and state.is_older_than(self._last)):
            return
        self._last = state
        try:
            self._take(state)
        except Exception as exc:
            self._failure = exc  # a pushed state is taken while the stream is read: nothing may be raised there
            self._done.set()
        if state.terminal:
            self._done.set()

    # --- polling ---

    async def _poll(self) -> None:
        if self._last is not None:
            await self._pause()
        while True:
            self._news(await get_task(self.session, self._task_id))
            await self._pause()

    async def _pause(self) -> None:
        """Wait for the time of the next look, or for a reason to look now."""
        interval = PUSHED_INTERVAL if self._last is None else self._last.interval
        patience = max(PUSHED_INTERVAL, interval) if self._pushed else interval
        with anyio.move_on_after(patience):
            await self._wake.wait()
        self._wake = anyio.Event()

    def _look_now(self) -> None:
        self._wake.set()

    # --- push ---

    async def _listen(self) -> None:
        """Subscribe, and again when the subscription ends, unless the server does not push at all."""
        backoff = Backoff()
        while not self._streams.crowded:
            with anyio.CancelScope() as self._listening:
                try:
                    await self._streams.listen(self.session, self._task_id, self._acknowledged, self._told)
                except MCPError as exc:
                    logger.debug("a subscription to a task ended: %s", exc)
            if not self._pushed:
                return
            self._pushed = False
            self._look_now()
            await backoff.wait()

    def _acknowledged(self, task_ids: list[Any]) -> None:
        if self._task_id in task_ids:
            self._pushed = True
            self._look_now()  # for what changed before the subscription began
        else:
            self._listening.cancel()

    def _told(self, members: dict[str, Any]) -> None:
        try:
            state = TaskState.read(members)
        except MessageError:
            logger.warning("a notification about a task made no sense, and was passed over")
            return
        if state.task_id == self._task_id:
            self._news(state)
