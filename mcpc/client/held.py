"""`Held`: messages that the client has taken and nobody has yet, bounded in count and bytes.

Knows nothing of what they wait for.
"""

from collections import deque
from collections.abc import Iterator

from mcpc.messages import MCPCMessage
from mcpc.queue import DEFAULT_CAPACITY, DEFAULT_CAPACITY_BYTES

__all__ = ["Held"]


class Held:
    """Messages that wait, in order.

    Args:
        max_messages: How many may wait.
        max_bytes: How many bytes of them; a single larger message still may.
    """

    def __init__(self, max_messages: int = DEFAULT_CAPACITY, max_bytes: int = DEFAULT_CAPACITY_BYTES) -> None:
        self.size: int = 0
        """Bytes of them."""
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self.items: deque[tuple[MCPCMessage, int]] = deque()
        """What waits: to be looked at only."""

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[tuple[MCPCMessage, int]]:
        """The messages, with their bytes."""
        return iter(self.items)

    def has_room(self, size: int) -> bool:
        """Whether a message of `size` bytes may wait, too."""
        return not self.items or (len(self.items) < self._max_messages and self.size + size <= self._max_bytes)

    def add(self, message: MCPCMessage, size: int) -> int:
        """Let a message wait; where there is no room the oldest ones go: how many."""
        gone = 0
        while not self.has_room(size):
            self.get()
            gone += 1
        self.items.append((message, size))
        self.size += size
        return gone

    def get(self) -> tuple[MCPCMessage, int]:
        """Take the oldest message, and its bytes."""
        message, size = self.items.popleft()
        self.size -= size
        return message, size

    def put_back(self, message: MCPCMessage, size: int) -> None:
        """It is the oldest again."""
        self.items.appendleft((message, size))
        self.size += size
