"""MCP Events, EXPERIMENTAL: the server events that are offered to whoever asks, each with a log, and where a reader is.

A log is bounded as a channel's is, in count and bytes, and lives as long as the process: its epoch says which one.
Knows nothing of requests, and of the SDK.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol, cast

import anyio
from pydantic_core import from_json

from mcpc.clock import Clock
from mcpc.mailbox import Mailbox
from mcpc.messages import MCPCMessage
from mcpc.server.answers import timestamp
from mcpc.server.journals import EVERY_SESSION
from mcpc.server.limits import Limits
from mcpc.tasks import TaskState
from mcpc.wire.callbacks import decode_message
from mcpc.wire.events import occurrence, read_cursor
from mcpc.wire.jsontext import encode_json
from mcpc.wire.requests import SESSION_ID, TASK_ID, TOOL_NAME

__all__ = ["MAX_PAGE", "EndOfTask", "EventLog", "Events", "OfferedEvent", "Page", "Source", "begin"]

MAX_PAGE = 100
"""Events of one answer at the most."""

EMPTY: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
ANY_OBJECT: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True)
class OfferedEvent:
    """A server event that MCP Events clients may ask for."""

    description: str
    """What a model reads."""
    payload_schema: Mapping[str, Any] = field(default_factory=lambda: dict(ANY_OBJECT))
    """The JSON schema of its data."""


@dataclass(frozen=True)
class Page:
    """What was read at once."""

    events: list[dict[str, Any]]
    after: int
    """The number of the last of them, or of the last that there was."""
    skipped: bool
    """Whether there were others before them, which are gone."""
    has_more: bool


class Source(Protocol):
    """Where the events of one subscription come from."""

    epoch: str

    def read(self, after: int, count: int, not_before: float) -> Page:
        """At most `count` events after a number, none older than a time (seconds since the epoch)."""
        ...

    @property
    def head(self) -> int:
        """The position of who begins now."""
        ...

    @property
    def oldest(self) -> int:
        """The position before all that can be read."""
        ...

    def is_over(self, after: int) -> bool:
        """Whether nothing can come after this number."""
        ...

    @property
    def change(self) -> anyio.Event:
        """Set when there may be something new."""
        ...


def begin(source: Source, cursor: str | None) -> tuple[int, bool]:
    """Where a reader with that cursor goes on, and whether it has missed something.

    A cursor of another epoch is one from before a restart: what has come since is read from the beginning.

    Raises:
        ValueError: no server like this has given that cursor.
    """
    if cursor is None:
        return source.head, False
    found = read_cursor(cursor)
    if found is None:
        raise ValueError("the cursor is none that was given here")
    epoch, number = found
    if epoch != source.epoch:
        return source.oldest, True
    if number > max(source.head, 1 if source.is_over(1) else 0):
        raise ValueError("the cursor is none that was given here")
    return max(number, source.oldest), number < source.oldest


class EventLog:
    """The log of one event."""

    def __init__(self, name: str, offered: OfferedEvent, limits: Limits, clock: Clock, epoch: str) -> None:
        self.name = name
        self.offered = offered
        self.epoch: str = epoch
        self._clock = clock
        self._max_bytes = limits.max_message_size
        self._log = Mailbox(max_messages=limits.max_messages, max_bytes=limits.max_bytes)
        self.change: anyio.Event = anyio.Event()
        """See `Source`."""

    @property
    def head(self) -> int:
        """The number of the newest event."""
        return self._log.head

    @property
    def oldest(self) -> int:
        """The number before the oldest event that is kept."""
        return self._log.oldest - 1

    def add(self, result: Any) -> None:
        """It has happened."""
        data = (
            cast("dict[str, Any]", result) if isinstance(result, dict) else {} if result is None else {"value": result}
        )
        now, number = timestamp(self._clock.wall()), self._log.head + 1
        self._log.append(encode_json(occurrence(f"{self.epoch}:{number}", self.name, now, data)))
        change, self.change = self.change, anyio.Event()
        change.set()

    def read(self, after: int, count: int, not_before: float = 0.0) -> Page:
        """See `Source`."""
        batch = self._log.read(after, max_messages=count, max_bytes=self._max_bytes)
        if batch is None:
            return Page([], max(after, self.oldest), after < self.oldest, has_more=False)
        events = [from_json(each) for each in batch.messages]
        young = [each for each in events if each["timestamp"] >= timestamp(not_before)]
        skipped = batch.first > after + 1 or len(young) < len(events)
        return Page(young, batch.last, skipped, has_more=batch.last < self._log.head)

    def is_over(self, after: int) -> bool:
        """Never."""
        return False


class Events:
    """The events of one server.

    Args:
        limits: The bounds of each log are those of a channel's.
        clock: Tells when they happen.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.logs: dict[str, EventLog] = {}
        """By the name of the event."""
        self._limits = limits
        self._clock = clock
        self._epoch = secrets.token_hex(4)

    def offer(self, name: str, offered: OfferedEvent) -> None:
        """Let it be asked for.

        Raises:
            ValueError: it is offered already.
        """
        if name in self.logs:
            raise ValueError(f"the event {name!r} is offered already")
        self.logs[name] = EventLog(name, offered, self._limits, self._clock, self._epoch)

    def take(self, message: MCPCMessage) -> None:
        """A server event was sent. One for a single session is nobody else's."""
        log = self.logs.get(message.event)
        if log is not None and message.session_id == EVERY_SESSION:
            log.add(message.result)


class EndOfTask:
    """The end of one task, as a log of one event. Its epoch is the task's own, so that it outlives the process.

    Args:
        name: Of the event.
        state: The task.
    """

    def __init__(self, name: str, state: TaskState) -> None:
        self._name = name
        self._state = state
        self.change: anyio.Event = anyio.Event()
        """See `Source`."""
        self.epoch: str = sha256(state.task_id.encode()).hexdigest()[:8]

    def noticed(self, state: TaskState) -> None:
        """The task has changed."""
        self._state = state
        if state.ended:
            self.change.set()

    @property
    def head(self) -> int:
        """Before the end, also where that has come: who asks for it has not heard of it."""
        return 0

    @property
    def oldest(self) -> int:
        """The same."""
        return 0

    def is_over(self, after: int) -> bool:
        """Whether it was told."""
        return after >= 1

    def read(self, after: int, count: int, not_before: float = 0.0) -> Page:
        """See `Source`."""
        state = self._state
        if after >= 1 or not state.ended:
            return Page([], after, skipped=False, has_more=False)
        if state.updated_at < not_before:
            return Page([], 1, skipped=True, has_more=False)
        event = occurrence(f"{state.task_id}:end", self._name, timestamp(state.updated_at), _told(state))
        return Page([event], 1, skipped=False, has_more=False)


def _told(state: TaskState) -> dict[str, Any]:
    data: dict[str, Any] = {TASK_ID: state.task_id, TOOL_NAME: state.tool_name, SESSION_ID: state.session_id}
    data["event"] = str(state.status)
    if state.last_message is not None:
        last = decode_message(state.last_message)
        if last.terminal:
            data.update(event=last.event, result=last.result)
    return data
