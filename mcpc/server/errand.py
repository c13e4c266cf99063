"""A task that a worker process runs, as the server knows it that was called: entered into the store, and not run here.

It stands where an `Execution` would, for as long as the call is answered, and does nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from mcpc.server.execution import Execution
from mcpc.server.limits import Limits
from mcpc.server.outlets import NullOutlet
from mcpc.tasks import TaskRegistry, TaskState

__all__ = ["Errand"]


class Errand(Execution):
    """One task of the store that was not claimed here.

    Args:
        state: The task, as it was entered.
        registry: The server's; it does not know the task.
        limits: The server's.
    """

    def __init__(self, state: TaskState, registry: TaskRegistry, limits: Limits) -> None:
        super().__init__(state, registry, NullOutlet(), limits, lambda errand: None)

    def stopped(self) -> None:
        """Nothing: the end of the call is not the end of the task."""

    async def run(self, worker: Callable[[], Awaitable[Any]]) -> None:
        """Nothing is run here."""
