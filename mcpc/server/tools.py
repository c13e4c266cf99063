"""Background tools: a worker, as the function of a tool.

How it is listed and how its arguments are checked is the server's affair (`registration`); what its call is answered
with depends on the caller (`callers`).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from mcpc.server.binding import Binding
from mcpc.server.call import current_call, current_principal
from mcpc.server.execution import Execution
from mcpc.server.invocation import Invocation
from mcpc.server.outlets import ProgressOutlet
from mcpc.server.signature import WorkerSignature
from mcpc.server.work import run_worker

__all__ = ["BackgroundTool"]


class BackgroundTool:
    """A worker as a tool of a server.

    Args:
        binding: The server it belongs to.
        signature: The worker.
    """

    def __init__(self, binding: Binding, signature: WorkerSignature) -> None:
        self.binding = binding
        self.signature = signature
        self.name: str = signature.name

    async def call(self, arguments: dict[str, Any]) -> Any:
        """Run the worker as a task, and return what it returns: the server makes the result of it.

        Raises:
            MCPCError: no task could be entered.
            Exception: what the worker raised.
        """
        call = current_call.get()

        async def worker(running: Execution) -> Any:
            return await run_worker(self.signature, running, arguments, self.binding.workshop.threads)

        if call is None or call.invocation is None or call.invocation.running is not None:
            return await self._run_alone(worker)
        return await call.invocation.work(self.name, worker)

    async def _run_alone(self, worker: Callable[[Execution], Awaitable[Any]]) -> Any:
        """For a tool that another one calls, or a server that knows nothing of us: nobody follows the task."""
        invocation = Invocation(self._enter_alone)

        async def work() -> None:
            await invocation.work(self.name, worker)

        await invocation.run(work)
        return invocation.returned()

    def _enter_alone(self, tool_name: str) -> Execution:
        running = self.binding.workshop.start(
            tool_name=tool_name,
            session_id="default",
            principal=current_principal(),
            outlet=ProgressOutlet(None, None),
            alone=True,
        )
        running.started.set()
        return running
