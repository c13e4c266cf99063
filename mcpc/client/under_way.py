"""`UnderWay`: what was on its way when there was no more room, in order, until there is.

A server that is told to pause has sent something by then. Bounded. Knows nothing of where messages go.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcpc.messages import MCPCMessage
from mcpc.queue import DEFAULT_CAPACITY_BYTES

__all__ = ["MAX_UNDER_WAY", "Row", "UnderWay"]

MAX_UNDER_WAY = 100_000
"""Messages that wait here at the most."""
MAX_UNDER_WAY_BYTES = DEFAULT_CAPACITY_BYTES
"""Bytes of them; a single larger row still waits."""


@dataclass(slots=True)
class Row:
    """Messages with contiguous numbers, or an announcement that stands between such."""

    first: int
    """The number of the first message."""
    messages: Sequence[MCPCMessage | None]
    """The messages; None stands for what was none."""
    each: int = 0
    """Bytes of each message."""
    announcement: dict[str, Any] | None = None


class UnderWay:
    """Rows in order.

    Args:
        limit: Messages that may wait.
        max_bytes: Bytes of messages that may wait.
    """

    def __init__(self, limit: int = MAX_UNDER_WAY, max_bytes: int = MAX_UNDER_WAY_BYTES) -> None:
        self.size: int = 0
        """Bytes of the messages that wait."""
        self._limit = limit
        self._max_bytes = max_bytes
        self.rows: deque[Row] = deque()
        """What waits: to be looked at only."""
        self._count = 0

    def __len__(self) -> int:
        """How many messages wait, with the announcements between them."""
        return self._count

    def put(self, row: Row) -> bool:
        """Keep a row behind the others; False where there is no room for it."""
        too_large = self.rows and self.size + _size(row) > self._max_bytes
        if too_large or self._count + _weight(row) > self._limit:
            return False
        self.rows.append(row)
        self._count += _weight(row)
        self.size += _size(row)
        return True

    def put_back(self, row: Row) -> None:
        """Keep what is left of the row that was taken, ahead of the others."""
        self.rows.appendleft(row)
        self._count += _weight(row)
        self.size += _size(row)

    def take(self) -> Row:
        """The next row."""
        row = self.rows.popleft()
        self._count -= _weight(row)
        self.size -= _size(row)
        return row


def _size(row: Row) -> int:
    return len(row.messages) * row.each


def _weight(row: Row) -> int:
    return len(row.messages) if row.announcement is None else 1
