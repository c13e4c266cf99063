"""A context that may be left behind: entered in a task of its own, so that whoever leaves waits only so long.

What hangs in it (a handler that swallows its cancellation, a function that blocks a thread) then holds up neither
those who come after it, nor the process.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar

import anyio

from mcpc.detached import spawn_detached
from mcpc.ending import left_behind

__all__ = ["apart"]

T = TypeVar("T")
LAST_PATIENCE = 0.5
"""Seconds that a context has once it is cancelled."""


@asynccontextmanager
async def apart(context: AbstractAsyncContextManager[T], *, patience: float, what: str) -> AsyncGenerator[T]:
    """Enter `context`; on leaving wait `patience` seconds for its end, then cancel it, then go on without it.

    Args:
        context: What is entered.
        patience: Seconds.
        what: Says in the log what was left behind.

    Raises:
        Exception: what the context raised. If it ends while it is in use, the body is cancelled.
    """
    task = _Apart(context)
    spawn_detached(task.main)
    try:
        await task.entered.wait()
        if not task.failures:
            async with anyio.create_task_group() as watching:
                watching.start_soon(task.watch, watching.cancel_scope)
                yield task.value[0]
                watching.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await task.leave(patience, what)
    if task.failures:
        raise task.failures[0]


class _Apart(Generic[T]):
    """The task that a context is entered in."""

    def __init__(self, context: AbstractAsyncContextManager[T]) -> None:
        self.entered = anyio.Event()
        """Set when there is a value, or a failure."""
        self.value: list[T] = []
        self.failures: list[BaseException] = []
        self._context = context
        self._leaving = anyio.Event()
        self._left = anyio.Event()
        self._scope = anyio.CancelScope()

    async def main(self) -> None:
        """Be in the context until it is to be left."""
        try:
            with self._scope:
                async with self._context as value:
                    self.value.append(value)
                    self.entered.set()
                    await self._leaving.wait()
        except Exception as exc:
            self.failures.append(exc)
        finally:
            self.entered.set()
            self._left.set()

    async def watch(self, scope: Any) -> None:
        """Cancel `scope` if the context ends while it is in use."""
        await self._left.wait()
        scope.cancel()

    async def leave(self, patience: float, what: str) -> None:
        """Leave the context, or leave it behind."""
        self._leaving.set()
        if not self.entered.is_set():
            self._scope.cancel()
        with anyio.move_on_after(patience):
            await self._left.wait()
            return
        self._scope.cancel()
        with anyio.move_on_after(LAST_PATIENCE):
            await self._left.wait()
            return
        left_behind(f"{what} would not end, and was left behind")
