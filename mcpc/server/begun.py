"""The tasks that `MCPCHelper.start_task` began, as a program in the style of mcpc 0.2 sees them."""

import logging
import time
from collections.abc import Callable, Generator
from typing import Any, Literal, TypedDict

import anyio

from mcpc.logs import logger_of
from mcpc.messages import MCPCMessage, TaskStatus
from mcpc.server.collected import Collected
from mcpc.server.execution import Execution
from mcpc.tasks import TaskState

__all__ = ["BegunTask", "BegunTasks", "KnownTask", "StartedTask"]

logger: logging.Logger = logger_of(__name__)

PRUNED_FROM = 64
"""How many there are before the first look for forgotten ones."""


class KnownTask(TypedDict, total=False):
    """What `MCPCHelper.check_task` tells."""

    status: TaskStatus
    start_time: float
    """When it was started, in seconds since the epoch."""
    is_running: bool


class BegunTask(TypedDict):
    """A task that `MCPCHelper.start_task` began."""

    status: Literal["running", "stopping"]
    start_time: float
    task: Execution


class BegunTasks(dict[str, BegunTask]):
    """Those tasks by their ids. An ended one stays as long as its server remembers it, whether it is cleaned up or not.

    A look through all of them for each new one would cost too much: there is one each time that they have doubled.
    """

    def __init__(self) -> None:
        super().__init__()
        self._prune_at = PRUNED_FROM

    def begin(self, running: Execution, is_remembered: Callable[[TaskState], bool]) -> None:
        """Know one from now on."""
        self[running.state.task_id] = {"status": "running", "start_time": time.time(), "task": running}
        if len(self) > self._prune_at:
            self._prune(is_remembered)

    def _prune(self, is_remembered: Callable[[TaskState], bool]) -> None:
        for task_id in [task_id for task_id in self if not self._is_known(task_id, is_remembered)]:
            del self[task_id]
        self._prune_at = max(PRUNED_FROM, 2 * len(self))

    def _is_known(self, task_id: str, is_remembered: Callable[[TaskState], bool]) -> bool:
        state = self[task_id]["task"].state
        return not state.ended or is_remembered(state)

    def describe(self, task_id: str, is_remembered: Callable[[TaskState], bool]) -> KnownTask:
        """What is known of one; empty for an unknown one."""
        if task_id not in self:
            return {}
        if not self._is_known(task_id, is_remembered):
            del self[task_id]
            return {}
        known = self[task_id]
        state = known["task"].state
        status = "stopping" if known["status"] == "stopping" else state.status.value
        return {"status": status, "start_time": known["start_time"], "is_running": not state.ended}


class StartedTask:
    """What `MCPCHelper.start_task` returns. The task runs already; awaiting it is optional.

    Awaited, it gives the messages for a caller that speaks no MCPC (mcpc 0.2.6), once the worker has ended
    or the timeout is over; for one that does, an empty list at once.
    """

    def __init__(self, running: Execution, timeout: float, collected: Collected | None) -> None:
        self._running = running
        self._timeout = timeout
        self._collected = collected

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._running.state.task_id

    @property
    def dropped(self) -> int:
        """How many of its first messages the list lacks, as they were more than a log holds (`max_messages` or
        `max_bytes`)."""
        return 0 if self._collected is None else self._collected.dropped

    def __await__(self) -> Generator[Any, Any, list[MCPCMessage]]:
        return self._collect().__await__()

    async def _collect(self) -> list[MCPCMessage]:
        if self._collected is None:
            return []
        with anyio.move_on_after(self._timeout):
            await self._running.ended.wait()
        if self.dropped:
            logger.warning("an answer lacks the first %d messages of its task", self.dropped)
        return self._collected.messages
