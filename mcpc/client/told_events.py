"""`ToldEvents`: events that a server has told and nobody has taken yet, and the position before and after them.

MCP Events, EXPERIMENTAL. Knows nothing of how they come.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

from mcpc.queue import DEFAULT_CAPACITY, DEFAULT_CAPACITY_BYTES
from mcpc.wire.events import Happened
from mcpc.wire.jsontext import json_size

__all__ = ["Event", "ToldEvents"]

REMEMBERED = 1000
"""Ids of the newest events, so that none is told twice."""


@dataclass(frozen=True)
class Event:
    """Something that has happened at a server."""

    id: str
    """The same for the same event, however often it is told."""
    name: str
    timestamp: str
    """When, in ISO 8601."""
    data: dict[str, Any]
    """What the server says of it: data, no instructions."""
    missed: bool = False
    """Whether the server has skipped others before it (`truncated`): look how things stand, if that matters."""


@dataclass(slots=True)
class _Waiting:
    event: Event
    size: int
    moves: bool = False
    """Whether the position after it is known."""
    cursor: str | None = None
    """That position."""


class ToldEvents:
    """What waits.

    Args:
        cursor: Where it begins; None for now.
    """

    def __init__(self, cursor: str | None) -> None:
        self.cursor: str | None = cursor
        """The position before what waits: whoever begins there misses nothing."""
        self.after: str | None = cursor
        """The position after it."""
        self._missed = False
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._known: deque[str] = deque(maxlen=REMEMBERED)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether no more should be asked for: there are 10 000, or 64 MiB of them."""
        return len(self._waiting) >= DEFAULT_CAPACITY or self._size >= DEFAULT_CAPACITY_BYTES

    def add(self, told: Happened) -> None:
        """It was told; the position is not known yet. What was told before is left out."""
        if told.event_id in self._known:
            return
        self._known.append(told.event_id)
        event = Event(told.event_id, told.name, told.timestamp, told.data, self._missed)
        self._missed = False
        size = json_size(told.data)
        self._size += size
        self._waiting.append(_Waiting(event, size))

    def moved(self, cursor: str | None) -> None:
        """The position after all that was told is `cursor`."""
        self.after = cursor
        if not self._waiting:
            self.cursor = cursor
        else:
            last = self._waiting[-1]
            last.moves, last.cursor = True, cursor

    def skipped(self) -> None:
        """Others were left out before the next one."""
        self._missed = True

    def take(self) -> Event | None:
        """The oldest; None where none waits."""
        if not self._waiting:
            return None
        first = self._waiting.popleft()
        self._size -= first.size
        if first.moves:
            self.cursor = first.cursor
        return first.event
