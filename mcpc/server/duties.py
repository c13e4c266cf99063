"""Which tasks of a store a process takes, and how their tools are run. Knows no store and no task."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from mcpc.server.execution import Execution

__all__ = ["Duties", "Run"]

Run = Callable[[Execution, dict[str, Any]], Awaitable[Any]]
"""Runs a tool's worker for a task, with the arguments that were kept."""


class Duties:
    """The duties of one server in one process."""

    def __init__(self) -> None:
        self.again: dict[str, Run] = {}
        """The tools whose tasks may run again where they are called, by name."""
        self.away: dict[str, Run] = {}
        """Those whose tasks worker processes run."""
        self.slots = 0
        """Tasks of `away` that this process runs at once; none where it is no worker."""
        self.serves = True
        """Whether clients call it, so that it takes over tasks of others that they call and that have died."""

    def tools(self, running: Iterable[str]) -> set[str]:
        """The tools whose tasks may be taken now.

        Args:
            running: The tool of each task that runs here.
        """
        names = set(self.again) if self.serves else set[str]()
        busy = sum(name in self.away for name in running)
        return names | set(self.away) if busy < self.slots else names

    def run(self, execution: Execution) -> Awaitable[Any]:
        """Run the worker of a task that was taken."""
        state = execution.state
        tool = self.away.get(state.tool_name) or self.again[state.tool_name]
        return tool(execution, state.arguments or {})
