"""Delivers messages to listeners: in order, bounded, each isolated from the others.

A sync listener is called inline. An async one has one worker and one bounded
queue, so a slow listener delays itself only. What happens when its queue is full
is its policy (see `mcpc.queue`), and its statistics count it. A listener that raises
is logged, counted, and called again with the next message.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Unpack

import anyio

from mcpc.flow import Flow
from mcpc.foreign import hold_back, hold_back_sync
from mcpc.keywords import refuse_unknown
from mcpc.listener_states import TRANSITIONS, ListenerEvent, ListenerState
from mcpc.logs import logger_of
from mcpc.machine import step
from mcpc.matching import Matches, message_filter
from mcpc.messages import MCPCMessage
from mcpc.queue import DEFAULT_CAPACITY, DEFAULT_CAPACITY_BYTES, ListenerStats, Overflow, Queue

__all__ = ["Dispatcher", "Registration", "Spawn"]

logger: logging.Logger = logger_of(__name__)

KEYWORDS = ("capacity", "overflow", "capacity_bytes", *Matches.__annotations__)
"""What is given by name when a listener is added."""

ListenerFn = Callable[[MCPCMessage], Any]
Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
"""Runs an async function in the background."""


_IDLE, _WAITING, _CLOSED, _REMOVED = (
    ListenerState.IDLE,
    ListenerState.WAITING,
    ListenerState.CLOSED,
    ListenerState.REMOVED,
)
_OFFER, _EMPTY, _CLOSE = ListenerEvent.OFFER, ListenerEvent.EMPTY, ListenerEvent.CLOSE
_LEAVE, _REMOVE = ListenerEvent.LEAVE, ListenerEvent.REMOVE


class Registration:
    """One listener as it was added. `remove()` ends it; `stats` tells what became of its messages."""

    def __init__(
        self, owner: "Dispatcher", listener: ListenerFn, matches: dict[str, str], queue: Queue, is_async: bool
    ) -> None:
        self.listener = listener
        self.wants: Callable[[MCPCMessage], bool] | None = message_filter(matches)
        """Whether the listener's filter lets a message through; None where there is no filter."""
        self._owner = owner
        self._queue = queue
        self._stats = queue.counts
        self._is_async = is_async
        self._given = 0
        """How many messages it was given since it is async, and, before that, was called with."""
        self._state = _IDLE
        self._wake = anyio.Event()
        """Set when its worker is to wait no longer."""

    @property
    def stats(self) -> ListenerStats:
        """A reading of the counters, taken now."""
        return self._queue.stats

    @property
    def state(self) -> ListenerState:
        """Where it stands."""
        return self._state

    def _move(self, event: ListenerEvent) -> None:
        was_waiting = self._state is _WAITING
        self._state = step(TRANSITIONS, self._state, event)
        if was_waiting:
            self._wake.set()

    def remove(self) -> None:
        """Call the listener no more. What waits for it is dropped."""
        self._move(_REMOVE)
        self._owner.discard(self)
        self._queue.close()

    @property
    def is_async(self) -> bool:
        """Whether it has a worker, so that messages may wait for it."""
        return self._is_async

    def mark(self) -> Callable[[], bool]:
        """What tells whether it is through with all that it was given so far: called with it, or it was given up."""
        stats, given = self._stats, self._given
        return lambda: self._state is _REMOVED or stats.delivered + stats.errors + stats.dropped >= given

    def room(self, each: int) -> int:
        """How many messages of `each` bytes may be queued before its policy has to decide."""
        return self._queue.room(each)

    def takes(self, each: int) -> bool:
        """Whether the listener can take a message now; where it cannot, the flow stops until it can."""
        return not self._is_async or self._queue.takes(each)

    def offer(self, message: MCPCMessage, each: int) -> None:
        """Give the listener a message it wants: call it, or queue it for its worker."""
        if self._state is _REMOVED:
            return
        if self._is_async:
            self._enqueue(message, each)
        else:
            self.call(message)

    def call(self, message: MCPCMessage) -> None:
        """Call a sync listener."""
        try:
            outcome = self.listener(message)
        except BaseException as exc:
            self._failed(message, exc)
            hold_back_sync(exc)
            return
        if outcome is None or not inspect.isawaitable(outcome):
            self._stats.delivered += 1
        else:
            self._become_async(outcome, message)

    def call_row(self, messages: Iterable[MCPCMessage]) -> int:
        """`call` for messages in a row, until the listeners change; how many."""
        listener, stats, owner, given = self.listener, self._stats, self._owner, 0
        changes = owner.changes
        for message in messages:
            given += 1
            try:
                outcome = listener(message)
            except BaseException as exc:
                self._failed(message, exc)
                hold_back_sync(exc)
            else:
                if outcome is None or not inspect.isawaitable(outcome):
                    stats.delivered += 1
                else:
                    self._become_async(outcome, message)
            if owner.changes != changes:
                break
        return given

    def enqueue_row(self, messages: Sequence[MCPCMessage], each: int) -> None:
        """Queue those that it wants of messages in a row, for which there is `room`."""
        wanted = messages if self.wants is None else list(filter(self.wants, messages))
        if wanted and self._state is not _REMOVED:
            self._queue.put_row(wanted, each)
            self._given += len(wanted)
            self._begin_work()

    def _become_async(self, outcome: Awaitable[Any], message: MCPCMessage) -> None:
        """A plain function returned an awaitable (a lambda, a partial): from now on it has a worker."""
        self._is_async = True
        self._given = self._stats.delivered + self._stats.errors + 1
        self._move(_OFFER)
        self._owner.has_changed()
        self._owner.spawn(lambda: self._finish(outcome, message))

    def _failed(self, message: MCPCMessage, exc: BaseException) -> None:
        self._stats.errors += 1
        logger.error("a listener raised on a %s %r message", message.type, message.event, exc_info=exc)

    async def _await(self, outcome: Awaitable[Any], message: MCPCMessage) -> None:
        try:
            await outcome
            self._stats.delivered += 1
        except BaseException as exc:
            await hold_back(exc)
            self._failed(message, exc)

    async def _finish(self, outcome: Awaitable[Any], message: MCPCMessage) -> None:
        await self._await(outcome, message)
        await self._work()

    def _enqueue(self, message: MCPCMessage, each: int) -> None:
        if not self._queue.put(message, each):
            self._stats.disconnected = True
            logger.warning("a listener fell %d messages behind and was disconnected", len(self._queue))
            self.remove()
        else:
            self._given += 1
            self._begin_work()

    def _begin_work(self) -> None:
        has_worker = self._state is not _IDLE and self._state is not _CLOSED
        self._move(_OFFER)
        if not has_worker:
            self._owner.spawn(self._work)

    def close(self) -> None:
        """Let the worker end when its queue is empty; a later message starts it anew."""
        self._move(_CLOSE)

    async def _work(self) -> None:
        try:
            await self._work_off()
        finally:
            self._move(_LEAVE)

    async def _work_off(self) -> None:
        while self._state is not _REMOVED:
            if self._queue:
                message = self._queue.get()
                try:  # as `_await`, without a coroutine for each message
                    await self.listener(message)
                    self._stats.delivered += 1
                except BaseException as exc:
                    await hold_back(exc)
                    self._failed(message, exc)
                continue
            self._move(_EMPTY)
            if self._state is not _WAITING:
                return
            self._wake = anyio.Event()
            await self._wake.wait()


class Dispatcher:
    """The listeners of one client.

    Args:
        spawn: Runs an async function in the background, for as long as the client lives.
        flow: Stopped while a listener has no room.
    """

    def __init__(self, spawn: Spawn, flow: Flow) -> None:
        self.spawn = spawn
        self._flow = flow
        self._listeners: tuple[Registration, ...] = ()
        self._called: tuple[Registration, ...] = ()
        """Those that are called, in order."""
        self._queued: tuple[Registration, ...] = ()
        """Those whose messages wait for a worker."""
        self._only: Registration | None = None
        """The one listener, where it is called with all that comes."""
        self.changes: int = 0
        """How often the listeners have changed."""

    def __len__(self) -> int:
        return len(self._listeners)

    def add(
        self,
        listener: ListenerFn,
        *,
        capacity: int = DEFAULT_CAPACITY,
        overflow: Overflow = "coalesce",
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
        **matches: Unpack[Matches],
    ) -> Registration:
        """Add a listener, sync or async; see `mcpc.queue.Overflow` for the policies.

        Args:
            listener: Called with each message that matches.
            capacity: Messages that may wait for an async listener.
            overflow: What happens when that many wait.
            capacity_bytes: Bytes of messages that may wait for it; a single larger one still may.
            matches: Members (`session_id`, `task_id`, `tool_name`, `type`, `event`) that must be equal.

        Raises:
            TypeError: there is no such member.
        """
        refuse_unknown("add_event_listener", KEYWORDS, matches, TypeError)
        is_async = inspect.iscoroutinefunction(listener) or inspect.iscoroutinefunction(
            getattr(listener, "__call__", None)  # noqa: B004 - an object whose __call__ is async
        )
        wanted = {name: str(value) for name, value in matches.items() if value is not None}
        queue = Queue(capacity, overflow, self._flow, capacity_bytes)
        registration = Registration(self, listener, wanted, queue, is_async)
        self._set((*self._listeners, registration))
        return registration

    def _set(self, listeners: tuple[Registration, ...]) -> None:
        self.changes += 1
        self._listeners = listeners
        self._called = tuple(registration for registration in listeners if not registration.is_async)
        self._queued = tuple(registration for registration in listeners if registration.is_async)
        is_plain = len(listeners) == len(self._called) == 1 and listeners[0].wants is None
        self._only = listeners[0] if is_plain else None

    def has_changed(self) -> None:
        """A listener turned out to be async."""
        self._set(self._listeners)

    def remove(self, listener: ListenerFn) -> None:
        """Remove a listener, however often it was added; one that is not there is not an error."""
        for registration in self._listeners:
            if registration.listener == listener:
                registration.remove()

    def discard(self, registration: Registration) -> None:
        """Forget a registration (`Registration.remove` calls this)."""
        self._set(tuple(r for r in self._listeners if r is not registration))

    def deliver(self, message: MCPCMessage, each: int = 0) -> bool:
        """Give a message to every listener that wants it, or to none: False says that one has no room for it.

        Args:
            message: The message.
            each: The bytes it came in, as far as they are known.
        """
        wanting = [r for r in self._listeners if r.wants is None or r.wants(message)]
        if self._queued and not all([r.takes(each) for r in wanting]):
            return False
        for registration in wanting:
            registration.offer(message, each)
        return True

    def deliver_all(self, messages: Sequence[MCPCMessage], each: int = 0) -> int:
        """`deliver` for messages in a row; how many were given. The next one, where there is one, had no room."""
        if self._only is not None:  # the usual case
            given = self._only.call_row(messages)
        else:
            given = 0 if self._queued else self._deliver_row(messages, each)
        while given < len(messages):
            room = min([len(messages) - given, *[registration.room(each) for registration in self._queued]])
            if room > 0:  # the usual case, without a question for each message
                given += self._deliver_row(messages[given : given + room], each)
            elif self.deliver(messages[given], each):
                given += 1
            else:
                break
        return given

    def _deliver_row(self, row: Sequence[MCPCMessage], each: int) -> int:
        """`deliver` for messages for which every queue has room, until the listeners change; how many."""
        called, queued = self._called, self._queued
        given = self._call_one(called[0], row) if len(called) == 1 else self._call_each(row, each)
        for registration in queued:
            registration.enqueue_row(row[:given], each)
        return given

    def _call_one(self, registration: Registration, row: Sequence[MCPCMessage]) -> int:
        """Call the one listener with what it wants of a row, until they change; how many messages were gone through."""
        if registration.wants is None:
            return registration.call_row(row)
        wanted, changes = list(filter(registration.wants, row)), self.changes
        called = registration.call_row(wanted)
        if self.changes == changes:
            return len(row)
        return next(number for number, message in enumerate(row, 1) if message is wanted[called - 1])

    def _call_each(self, row: Sequence[MCPCMessage], each: int) -> int:
        """Call several listeners with each message, in order, until they change; how many messages."""
        calls = [(registration, registration.wants, registration.call) for registration in self._called]
        changes = self.changes
        for given, message in enumerate(row, 1):
            for registration, wants, call in calls:
                if wants is not None and not wants(message):
                    continue
                if self.changes == changes:
                    call(message)
                else:  # this one may be among what has changed
                    registration.offer(message, each)
            if self.changes != changes:
                return given
        return len(row)

    def mark(self) -> Callable[[], bool]:
        """What tells whether every listener has handled all that it was given so far."""
        marks = [listener.mark() for listener in self._listeners if listener.is_async]
        return lambda: all(is_through() for is_through in marks)

    def close(self) -> None:
        """No more messages come: let the workers end once their queues are empty."""
        for registration in self._listeners:
            registration.close()
