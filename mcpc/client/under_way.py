"""`UnderWay`: what was on its way when there was no more room, in order, until there is.

A server that is told to pause has sent something by then. Bounded. Knows nothing of where messages go.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mcpc.messages import MCPCMessage

__all__ = ["MAX_UNDER_WAY", "Row", "UnderWay"]

MAX_UNDER_WAY = 100_000
"""Messages that wait here at the most."""


@dataclass(slots=True)
class Row:
    """Messages with contiguous numbers, or an announcement that stands between such."""

    first: int
    """The number of the first message."""
    messages: Sequence[MCPCMessage | None]
    """The messages; None stands for what was none."""
    announcement: dict[str, Any] | None = None


class UnderWay:
    """Rows in order.

    Args:
        limit: Messages that may wait.
    """

    def __init__(self, limit: int = MAX_UNDER_WAY) -> None:
        self._limit = limit
        self._rows: deque[Row] = deque()
        self._count = 0

    def __len__(self) -> int:
        """How many messages wait, with the announcements between them."""
        return self._count

    def put(self, row: Row) -> bool:
        """Keep a row behind the others; False where there is no room for it."""
        if self._count + _weight(row) > self._limit:
            return False
        self._rows.append(row)
        self._count += _weight(row)
        return True

    def put_back(self, row: Row) -> None:
        """Keep what is left of the row that was taken, ahead of the others."""
        self._rows.appendleft(row)
        self._count += _weight(row)

    def take(self) -> Row:
        """The next row."""
        row = self._rows.popleft()
        self._count -= _weight(row)
        return row


def _weight(row: Row) -> int:
    return len(row.messages) if row.announcement is None else 1
