"""Delivers messages to listeners: in order, bounded, each isolated from the others.

A sync listener is called inline. An async one has one worker and one bounded
queue, so a slow listener delays itself only. What happens when its queue is full
is its policy (see `mcpc.queue`), and its statistics count it. A listener that raises
is logged, counted, and called again with the next message.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, TypedDict, Unpack

import anyio

from mcpc.flow import Flow
from mcpc.foreign import hold_back, hold_back_sync
from mcpc.keywords import refuse_unknown
from mcpc.machine import step
from mcpc.messages import MCPCMessage, MessageType
from mcpc.queue import DEFAULT_CAPACITY, ListenerStats, Overflow, Queue

__all__ = ["TRANSITIONS", "Dispatcher", "ListenerEvent", "ListenerState", "Matches", "Registration", "Spawn"]

logger: logging.Logger = logging.getLogger("mcpc")

ListenerFn = Callable[[MCPCMessage], Any]
Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
"""Runs an async function in the background."""


class ListenerState(StrEnum):
    """Where a listener's registration stands."""

    IDLE = "idle"
    """Its worker has not begun. A sync listener has none, and is always idle."""
    WORKING = "working"
    """Its worker has a message."""
    WAITING = "waiting"
    """Its worker waits for the next one."""
    CLOSING = "closing"
    """No more messages come: its worker ends once its queue is empty."""
    CLOSED = "closed"
    """Its worker has ended. A message that comes all the same gets one of its own."""
    REMOVED = "removed"
    """It is called no more."""


class ListenerEvent(StrEnum):
    """What can happen to a listener's registration."""

    OFFER = "offer"
    """There is a message for it."""
    EMPTY = "empty"
    """Its worker finds nothing in its queue."""
    CLOSE = "close"
    """The client ends."""
    LEAVE = "leave"
    """Its worker is gone, perhaps cancelled."""
    REMOVE = "remove"
    """The application, or the policy of its queue, ends it."""


_IDLE, _WORKING, _WAITING = ListenerState.IDLE, ListenerState.WORKING, ListenerState.WAITING
_CLOSING, _CLOSED, _REMOVED = ListenerState.CLOSING, ListenerState.CLOSED, ListenerState.REMOVED
_OFFER, _EMPTY, _CLOSE = ListenerEvent.OFFER, ListenerEvent.EMPTY, ListenerEvent.CLOSE
_LEAVE, _REMOVE = ListenerEvent.LEAVE, ListenerEvent.REMOVE

TRANSITIONS: Mapping[ListenerState, Mapping[ListenerEvent, ListenerState]] = {
    _IDLE: {_OFFER: _WORKING, _CLOSE: _CLOSED, _REMOVE: _REMOVED},
    _WORKING: {_OFFER: _WORKING, _EMPTY: _WAITING, _CLOSE: _CLOSING, _LEAVE: _IDLE, _REMOVE: _REMOVED},
    _WAITING: {_OFFER: _WORKING, _CLOSE: _CLOSING, _LEAVE: _IDLE, _REMOVE: _REMOVED},
    _CLOSING: {_OFFER: _CLOSING, _EMPTY: _CLOSED, _CLOSE: _CLOSING, _LEAVE: _CLOSED, _REMOVE: _REMOVED},
    _CLOSED: {_OFFER: _CLOSING, _CLOSE: _CLOSED, _LEAVE: _CLOSED, _REMOVE: _REMOVED},
    _REMOVED: {_OFFER: _REMOVED, _CLOSE: _REMOVED, _LEAVE: _REMOVED, _REMOVE: _REMOVED},
}
"""From each state, what can happen and where it leads."""


class Matches(TypedDict, total=False):
    """The members of a message that a listener may choose by; None matches any."""

    session_id: str | None
    task_id: str | None
    tool_name: str | None
    type: MessageType | None
    event: str | None


KEYWORDS = ("capacity", "overflow", *Matches.__annotations__)
"""What is given by name when a listener is added."""


class Registration:
    """One listener as it was added. `remove()` ends it; `stats` tells what became of its messages."""

    def __init__(
        self, owner: "Dispatcher", listener: ListenerFn, matches: dict[str, str], queue: Queue, is_async: bool
    ) -> None:
        self.listener = listener
        self._owner = owner
        self._matches = tuple(matches.items())
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

    @property
    def takes_all(self) -> bool:
        """Whether it can be given any message without being asked first."""
        return not self._is_async and not self._matches

    def mark(self) -> Callable[[], bool]:
        """What tells whether it is through with all that it was given so far: called with it, or it was given up."""
        stats, given = self._stats, self._given
        return lambda: self._state is _REMOVED or stats.delivered + stats.errors + stats.dropped >= given

    def wants(self, message: MCPCMessage) -> bool:
        """Whether the listener's filter lets `message` through."""
        return all(getattr(message, name) == value for name, value in self._matches)

    def takes(self) -> bool:
        """Whether the listener can take a message now; where it cannot, the flow stops until it can."""
        return not self._is_async or self._queue.takes()

    def offer(self, message: MCPCMessage) -> None:
        """Give the listener a message it wants: call it, or queue it for its worker."""
        if self._state is _REMOVED:
            return
        if self._is_async:
            self._enqueue(message)
            return
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

    def offer_row(self, messages: Iterable[MCPCMessage]) -> int:
        """`offer` for a sync listener that is the only one, until it raises or the listeners change; how many."""
        listener, stats, owner, given = self.listener, self._stats, self._owner, 0
        changes = owner.changes
        for message in messages:
            given += 1
            try:
                outcome = listener(message)
            except BaseException as exc:
                self._failed(message, exc)
                hold_back_sync(exc)
                return given
            if outcome is None or not inspect.isawaitable(outcome):
                stats.delivered += 1
            else:
                self._become_async(outcome, message)
            if owner.changes != changes:
                return given
        return given

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

    def _enqueue(self, message: MCPCMessage) -> None:
        if not self._queue.put(message):
            self._stats.disconnected = True
            logger.warning("a listener fell %d messages behind and was disconnected", self._queue.capacity)
            self.remove()
            return
        self._given += 1
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
                await self._await(_called(self.listener, message), message)
                continue
            self._move(_EMPTY)
            if self._state is not _WAITING:
                return
            self._wake = anyio.Event()
            await self._wake.wait()


async def _called(listener: ListenerFn, message: MCPCMessage) -> None:
    await listener(message)


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
        self._offers: tuple[Callable[[MCPCMessage], None], ...] = ()
        self._direct = True
        """Whether every listener is sync and wants every message."""
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
        **matches: Unpack[Matches],
    ) -> Registration:
        """Add a listener, sync or async; see `mcpc.queue.Overflow` for the policies.

        Args:
            listener: Called with each message that matches.
            capacity: Messages that may wait for an async listener.
            overflow: What happens when that many wait.
            matches: Members (`session_id`, `task_id`, `tool_name`, `type`, `event`) that must be equal.

        Raises:
            TypeError: there is no such member.
        """
        refuse_unknown("add_event_listener", KEYWORDS, matches, TypeError)
        is_async = inspect.iscoroutinefunction(listener) or inspect.iscoroutinefunction(
            getattr(listener, "__call__", None)  # noqa: B004 - an object whose __call__ is async
        )
        wanted = {name: str(value) for name, value in matches.items() if value is not None}
        queue = Queue(capacity, overflow, self._flow)
        registration = Registration(self, listener, wanted, queue, is_async)
        self._set((*self._listeners, registration))
        return registration

    def _set(self, listeners: tuple[Registration, ...]) -> None:
        self.changes += 1
        self._listeners = listeners
        self._offers = tuple(registration.offer for registration in listeners)
        self._direct = all(registration.takes_all for registration in listeners)

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

    def deliver(self, message: MCPCMessage) -> bool:
        """Give a message to every listener that wants it, or to none: False says that one has no room for it."""
        if self._direct:  # the usual case: nobody to ask
            for offer in self._offers:
                offer(message)
            return True
        wanting = [r for r in self._listeners if r.wants(message)]
        if not all([r.takes() for r in wanting]):
            return False
        for registration in wanting:
            registration.offer(message)
        return True

    def deliver_all(self, messages: Sequence[MCPCMessage]) -> int:
        """`deliver` for messages in a row; how many were given. The next one, where there is one, had no room."""
        given = 0
        while given < len(messages):
            if self._direct and len(self._listeners) == 1:  # the usual case, without a call for each in between
                given += self._listeners[0].offer_row(islice(messages, given, None))
            elif self.deliver(messages[given]):
                given += 1
            else:
                break
        return given

    def mark(self) -> Callable[[], bool]:
        """What tells whether every listener has handled all that it was given so far."""
        marks = [listener.mark() for listener in self._listeners if listener.is_async]
        return lambda: all(is_through() for is_through in marks)

    def close(self) -> None:
        """No more messages come: let the workers end once their queues are empty."""
        for registration in self._listeners:
            registration.close()
