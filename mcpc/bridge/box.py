"""A bounded box of messages for one reader behind a shared connection. No I/O, no JSON-RPC."""

from collections import deque
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

__all__ = ["Box"]

LIMIT = 1024 * 1024
"""Bytes that wait for one reader before the writer waits."""

STALL = 2.0
"""Seconds that the writer waits for one reader: it has others to serve."""


class Box:
    """Messages for one reader, in order.

    A reader that is behind holds the writer up, and with it all who share the connection, so only for a while: a
    box that is still full after `STALL` is closed, which its reader finds out as an end.
    """

    def __init__(self) -> None:
        self.closed: bool = False
        self.overflowed: bool = False
        """Whether it was closed because its reader was too slow."""
        self._items: deque[tuple[dict[str, Any], int]] = deque()
        self._size = 0
        self._changed = anyio.Event()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def close(self) -> None:
        """Take nothing more; what is inside can still be read."""
        self.closed = True
        self._change()

    def drop(self, message: dict[str, Any]) -> None:
        """Put one message, room or not: for what is small and comes once."""
        if not self.closed:
            self._items.append((message, 0))
            self._change()

    async def put(self, message: dict[str, Any], size: int) -> None:
        """Put one message; wait for room, but no longer than `STALL`. Nothing happens where the box is closed."""
        with anyio.move_on_after(STALL) as waiting:
            while self._size > LIMIT and not self.closed:
                await self._changed.wait()
        if waiting.cancelled_caught:
            self.overflowed = True
            self.close()
        if not self.closed:
            self._items.append((message, size))
            self._size += size
            self._change()

    async def take(self) -> list[dict[str, Any]]:
        """All that is inside, once there is something; nothing where the box is closed and empty."""
        await checkpoint()
        while not self._items and not self.closed:
            await self._changed.wait()
        messages = [message for message, _ in self._items]
        self._items.clear()
        self._size = 0
        self._change()
        return messages
