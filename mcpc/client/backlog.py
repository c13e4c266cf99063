"""`Backlog`: messages that cannot come again, as they have no number, and that wait for room, ahead of all others.

Bounded: beyond it the oldest goes, and is counted. Knows nothing of where messages go.
"""

from collections.abc import Callable, Sequence, Sized

from mcpc.client.held import Held
from mcpc.messages import MCPCMessage
from mcpc.queue import DEFAULT_CAPACITY_BYTES

__all__ = ["MAX_BACKLOG", "MAX_BACKLOG_BYTES", "Backlog"]

MAX_BACKLOG = 100_000
"""Messages that wait at the most."""
MAX_BACKLOG_BYTES = DEFAULT_CAPACITY_BYTES
"""Bytes of them."""


class Backlog:
    """Those of one channel."""

    def __init__(self) -> None:
        self.dropped: int = 0
        """How many were given up for those after them."""
        self._waiting = Held(MAX_BACKLOG, MAX_BACKLOG_BYTES)
        self.items: Sized = self._waiting.items
        """What waits: to be looked at only."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size(self) -> int:
        """Bytes of what waits."""
        return self._waiting.size

    def add(self, message: MCPCMessage, size: int) -> None:
        """Let a message of `size` bytes wait."""
        self.dropped += self._waiting.add(message, size)

    def deliver(self, deliver: Callable[[Sequence[MCPCMessage], int], int]) -> None:
        """Deliver what waits, in order, as far as there is room."""
        while self._waiting:
            message, size = self._waiting.get()  # first: a listener may change something that leads here again
            if not deliver((message,), size):
                self._waiting.put_back(message, size)
                return
