"""Who follows the state of a stored task: they are told what the store holds, wherever the task runs."""

import logging
from collections.abc import Awaitable, Callable

import anyio

from mcpc.errors import MCPCError
from mcpc.logs import logger_of
from mcpc.server.execution import Observer
from mcpc.tasks import TaskState

__all__ = ["Followed", "Following"]

logger: logging.Logger = logger_of(__name__)


class Followed:
    """One task that is followed."""

    def __init__(self) -> None:
        self.observers: list[Observer] = []
        """Told of each state."""


class Following:
    """The tasks of a store that are followed from this process.

    Args:
        look: Reads a task from the store.
    """

    def __init__(self, look: Callable[[str], Awaitable[TaskState | None]]) -> None:
        self._look = look
        self._followed: dict[str, Followed] = {}
        self._changed: dict[str, None] = {}
        self._came = anyio.Event()

    def follow(self, task_id: str) -> Followed:
        """What tells of a task."""
        return self._followed.setdefault(task_id, Followed())

    def changed(self, task_id: str) -> None:
        """A task's state has landed, here or elsewhere."""
        if task_id in self._followed:
            self._changed[task_id] = None
            self._came.set()

    def look_at_all(self) -> None:
        """Any of them may have changed."""
        for task_id in self._followed:
            self.changed(task_id)

    async def tell_for_ever(self) -> None:
        """Read what has changed, and tell those who follow."""
        while True:
            self._came = anyio.Event()
            for task_id in list(self._changed):
                del self._changed[task_id]
                await self._tell(task_id)
            if not self._changed:
                await self._came.wait()

    async def _tell(self, task_id: str) -> None:
        followed = self._followed.get(task_id)
        if followed is None:
            return  # it ended while its last change was told
        if not followed.observers:
            del self._followed[task_id]
            return
        try:
            state = await self._look(task_id)
        except MCPCError:
            return  # it is looked at again with the next look at everything
        if state is None or state.ended:
            self._followed.pop(task_id, None)
        if state is not None:
            for observer in tuple(followed.observers):
                try:
                    observer(state)
                except Exception:
                    logger.exception("a follower of a task raised")
