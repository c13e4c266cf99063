"""`Backlog`: messages that cannot come again, as they have no number, and that wait for room, ahead of all others.

Bounded: beyond it the oldest goes, and is counted. Knows nothing of where messages go.
"""

from collections import deque
from collections.abc import Callable, Sequence

from mcpc.messages import MCPCMessage

__all__ = ["MAX_BACKLOG", "Backlog"]

MAX_BACKLOG = 100_000
"""Messages that wait at the most."""


class Backlog:
    """Those of one channel."""

    def __init__(self) -> None:
        self.dropped: int = 0
        """How many were given up for those after them."""
        self._waiting: deque[MCPCMessage] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, message: MCPCMessage) -> None:
        """Let a message wait."""
        self._waiting.append(message)
        if len(self._waiting) > MAX_BACKLOG:
            self._waiting.popleft()
            self.dropped += 1

    def deliver(self, deliver: Callable[[Sequence[MCPCMessage]], int]) -> None:
        """Deliver what waits, in order, as far as there is room."""
        while self._waiting:
            message = self._waiting.popleft()  # first: a listener may change something that leads here again
            if not deliver((message,)):
                self._waiting.appendleft(message)
                return
