"""Following one task of a SEP-2663 server to its end: pushed where the server agrees to push, polled where not.

Push is `subscriptions/listen` with `taskIds`, a long request.
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
from mcp_types import JSONRPCRequest

from mcpc.client.backoff import Backoff
from mcpc.client.long_requests import LongRequests, ask_for_long
from mcpc.client.sep2663_requests import get_task
from mcpc.errors import LimitReached, MessageError
from mcpc.logs import logger_of
from mcpc.taps import StreamWrapper
from mcpc.transport import StreamPair
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

PUSHED_INTERVAL = 30.0
"""Seconds between two looks at a task whose server pushes: should a notification have been lost."""

undeclared: contextvars.ContextVar[bool] = contextvars.ContextVar("mcpc_tasks_undeclared", default=False)
"""Set around a tool call that shall not become a task: it goes out without the extension among its capabilities."""


class TaskStreams:
    """The subscriptions of one client, and the tap on its streams that feeds them."""

    def __init__(self) -> None:
        self._requests = LongRequests()

    def tap(self, streams: StreamPair) -> StreamPair:
        """The same streams, tapped, for this and for whatever else is asked for long."""
        read, write = self._requests.tap(streams)
        return read, _Writer(write)

    @property
    def crowded(self) -> bool:
        """Whether as many are open as may be; tasks beyond that are polled."""
        return self._requests.crowded

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
            LimitReached: too many are open; see `crowded`.
            MCPError: the server refused, or the connection is gone.
        """

        def notified(method: str, params: dict[str, Any]) -> bool:
            if method == TASKS_NOTIFICATION:
                take(params)
            elif method == ACKNOWLEDGED_METHOD:
                acknowledged(acknowledged_ids(params))
            else:
                return False
            return True

        await ask_for_long(session, SUBSCRIBE_METHOD, subscription_to([task_id]), notified)


class _Writer(StreamWrapper):
    """The write stream, which takes the extension out of undeclared calls."""

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message."""
        message = item.message
        if isinstance(message, JSONRPCRequest) and message.method == CALL_TOOL_METHOD and undeclared.get():
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
                except (MCPError, LimitReached) as exc:
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
