"""What a client sends to one running task, until its worker takes it. Bounded; ends when the task shall stop."""

from collections import deque
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from mcpc.errors import InputRefused

__all__ = ["Inputs"]


class Inputs:
    """The inputs of one task.

    Args:
        max_waiting: How many may wait.
    """

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: deque[Any] = deque()
        self._came = anyio.Event()
        self._closed = False

    def put(self, value: Any) -> None:
        """Let an input wait for the worker.

        Raises:
            InputRefused: as many wait as may.
        """
        if len(self._waiting) >= self._max_waiting:
            raise InputRefused(f"{self._max_waiting} inputs wait already, which is the limit")
        self._waiting.append(value)
        self._came.set()

    def close(self) -> None:
        """None comes after those that wait."""
        self._closed = True
        self._came.set()

    def clear(self) -> None:
        """Nobody takes them any more."""
        self._waiting.clear()
        self.close()

    async def next(self) -> tuple[Any] | None:
        """The next input, in a tuple; None once they are closed and nothing waits."""
        await checkpoint()
        while not self._waiting:
            if self._closed:
                return None
            self._came = anyio.Event()
            await self._came.wait()
        return (self._waiting.popleft(),)
