"""What a client sends to one running task, until its worker takes it. Bounded; ends when the task shall stop."""

from collections import deque
from collections.abc import Hashable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from mcpc.errors import InputRefused
from mcpc.server.holders import Bound

__all__ = ["Inputs"]


class Inputs:
    """The inputs of one task.

    Args:
        max_waiting: How many may wait.
        max_bytes: How many bytes of them may wait.
    """

    __slots__ = ("_came", "_closed", "_holders", "_max_bytes", "_max_waiting", "_total", "_waiting", "size")

    def __init__(self, max_waiting: int, max_bytes: int) -> None:
        self.size: int = 0
        """Bytes that wait."""
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        # Made when they are needed: of the tasks that run most are sent nothing, and both take 0.9 KiB.
        self._waiting: deque[tuple[Any, int]] | None = None
        self._came: anyio.Event | None = None
        self._closed = False
        self._total: Bound | None = None
        self._holders: tuple[Hashable, ...] = ()

    def count_in(self, total: Bound, holders: tuple[Hashable, ...]) -> None:
        """Count what waits here among what waits in all tasks.

        Args:
            total: The bound on that.
            holders: Whom it is counted for.
        """
        self._total = total
        self._holders = holders

    def check(self, size: int) -> None:
        """Whether an input of `size` bytes may wait.

        Raises:
            InputRefused: as many wait as may, here or in all tasks.
        """
        refusal = self._refusal(size)
        if refusal is not None:
            text, limit, value = refusal
            raise InputRefused(text, limit=limit, value=value)

    def _refusal(self, size: int) -> tuple[str, str, float] | None:
        waiting = 0 if self._waiting is None else len(self._waiting)
        if waiting >= self._max_waiting:
            text = f"{self._max_waiting} inputs wait already, which is the limit (max_inputs)"
            return f"{text}; MCPCHelper(server, max_inputs=…) sets it", "max_inputs", self._max_waiting
        if waiting and self.size + size > self._max_bytes:
            text = f"{self.size} bytes of inputs wait already, and the limit is {self._max_bytes} (max_input_bytes)"
            return f"{text}; MCPCHelper(server, max_input_bytes=…) sets it", "max_input_bytes", self._max_bytes
        return None if self._total is None else self._total.refusal(self._holders, size)

    def put(self, value: Any, size: int) -> None:
        """Let an input of so many bytes, encoded, wait for the worker.

        Raises:
            InputRefused: as many wait as may.
        """
        self.check(size)
        self.add(value, size)

    def add(self, value: Any, size: int) -> None:
        """The same, whatever waits."""
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append((value, size))
        self._count(size)
        self._wake()

    def _count(self, size: int) -> None:
        self.size += size
        if self._total is not None:
            self._total.shares.take(self._holders, size)

    def _wake(self) -> None:
        if self._came is not None:
            self._came.set()
            self._came = None

    def close(self) -> None:
        """None comes after those that wait."""
        self._closed = True
        self._wake()

    def clear(self) -> None:
        """Nobody takes them any more."""
        self._waiting = None
        self._count(-self.size)
        self.close()

    async def next(self) -> tuple[Any] | None:
        """The next input, in a tuple; None once they are closed and nothing waits. Several may wait for one."""
        await checkpoint()
        while not self._waiting:
            if self._closed:
                return None
            if self._came is None:
                self._came = anyio.Event()
            await self._came.wait()
        value, size = self._waiting.popleft()
        self._count(-size)
        return (value,)
