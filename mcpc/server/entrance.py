"""Where a call of a background tool enters its task: the inner end of a call, met where the tool's function begins.

Knows nothing of the server's handling around it (`invocation`), nor of what the caller is answered (`callers`).
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from mcpc.errors import MCPCError
from mcpc.latch import Latch
from mcpc.server.errand import Errand
from mcpc.server.execution import ANSWER_TIMEOUT, Execution
from mcpc.server.failures import holds_cancellation
from mcpc.server.terms import Terms

__all__ = ["Entrance"]


class Entrance:
    """Enters one task, and runs the worker with it.

    Args:
        enter: Enters the task, by what the caller can do.
    """

    __slots__ = ("_enter", "begun", "failure", "refusal", "running", "scope", "value")

    def __init__(self, enter: Callable[[str, Terms], Awaitable[Execution]]) -> None:
        self.begun: Latch = Latch()
        """Set when the worker has its task, or when the call ended before."""
        self.running: Execution | None = None
        """The task; None while there is none. A call with bad arguments never has one."""
        self.scope: anyio.CancelScope = anyio.CancelScope()
        """Cancelled to cancel the call, its worker included."""
        self.value: Any = None
        """What the worker returned."""
        self.failure: BaseException | None = None
        """What left the worker instead."""
        self.refusal: MCPCError | None = None
        """Why no task could be entered."""
        self._enter = enter

    async def work(self, tool_name: str, worker: Callable[[Execution], Awaitable[Any]], terms: Terms) -> Any:
        """Enter the task and run the worker with it: what the tool's function does.

        Raises:
            MCPCError: no task could be entered.
            Exception: what the worker raised.
        """
        running = await self._begin(tool_name, terms)
        if isinstance(running, Errand):
            self.scope.cancel()  # the call is over here: its task goes on in a worker process
            await anyio.sleep_forever()
        with anyio.move_on_after(ANSWER_TIMEOUT):
            await running.started.wait()
        try:
            self.value = await worker(running)
        except BaseException as exc:
            if holds_cancellation(exc):
                await checkpoint_if_cancelled()  # raises where it is we who are cancelled; else it was a stray one
            self.failure = exc
            if isinstance(exc, Exception):
                raise
            raise MCPCError(f"the worker raised {type(exc).__name__}") from exc
        return self.value

    def forget(self) -> None:
        """Drop what the worker returned or what left it, and why no task could be entered: nobody asks any more."""
        self.value = self.failure = self.refusal = None

    async def _begin(self, tool_name: str, terms: Terms) -> Execution:
        try:
            running = self.running = await self._enter(tool_name, terms)
        except MCPCError as exc:
            self.refusal = exc
            raise
        running.scope = self.scope
        self.begun.set()
        return running
