"""Code of the server's author, run in a task of its own: what is thrown into that task closes nothing of ours.

On asyncio what a thread raised is thrown into the task that waits for it. Python throws a `GeneratorExit` into no
coroutine that waits: it closes them all, from the inside out, and goes on at the outermost, which is the SDK's. None of
them could answer the request then, and every session of the older era at a listener would end with it. In a task of
its own, the outermost is ours. trio hands over what a thread raised as a value.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from mcpc.detached import spawn_detached
from mcpc.latch import Latch

__all__ = ["in_own_task"]

T = TypeVar("T")


async def in_own_task(call: Callable[[], Awaitable[T]]) -> T:
    """Call it in a task of its own, which is cancelled with this one, and return what it returns.

    Raises:
        BaseException: what left it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # trio
        return await call()
    task = _OwnTask(call)
    spawn_detached(task.main)  # cheaper than a task group
    try:
        await task.over.wait()
    except anyio.get_cancelled_exc_class():
        task.scope.cancel()
        with anyio.CancelScope(shield=True):
            await task.over.wait()
        raise
    return task.outcome()


class _OwnTask(Generic[T]):
    """One call, and how it ended."""

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self.scope = anyio.CancelScope()
        self.over = Latch()
        self._call = call
        self._returned: list[T] = []
        self._raised: BaseException | None = None

    async def main(self) -> None:
        try:
            with self.scope:
                self._returned.append(await self._call())
        except BaseException as exc:
            self._raised = exc
        finally:
            self.over.set()

    def outcome(self) -> T:
        raised, self._raised = self._raised, None
        if raised is None:
            return self._returned[0]
        try:
            raise raised
        finally:
            del raised  # or this frame and the error would keep each other alive
