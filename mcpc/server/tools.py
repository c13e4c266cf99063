"""Background tools: a worker, as the function of a tool.

How it is listed and how its arguments are checked is the server's affair (`registration`); what its call is answered
with depends on the caller (`callers`).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from mcpc.later import later
from mcpc.server.binding import Binding
from mcpc.server.call import current_call, current_principal
from mcpc.server.entrance import Entrance
from mcpc.server.execution import Execution
from mcpc.server.invocation import Invocation
from mcpc.server.options import RunsWhere
from mcpc.server.outlets import ProgressOutlet
from mcpc.server.signature import WorkerSignature
from mcpc.server.terms import Terms
from mcpc.server.worker import run_worker

if TYPE_CHECKING:
    from mcpc.server import relay
    from mcpc.stored import OnInterrupt
else:
    relay = later("mcpc.server.relay")  # only workers apart need it

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
        self.on_interrupt: OnInterrupt = "fail"
        """What becomes of a task whose process dies, where there is a store."""
        self.max_attempts: int = 3
        """How often a task is begun at the most."""
        self.handle_after: float | None = None
        """Seconds after which a plain caller is given a handle; None where it waits for the end."""
        self.run: RunsWhere = "here"
        """Where its tasks run."""

    def call(self, arguments: dict[str, Any]) -> Awaitable[Any]:
        """Run the worker as a task, and return what it returns: the server makes the result of it.

        To be awaited at once. No coroutine of its own, which a running task would hold.

        Raises:
            MCPCError: no task could be entered.
            Exception: what the worker raised.
        """
        call = current_call.get()
        work = partial(run_worker, self.signature, arguments, self.binding.workshop.threads)
        worker = work if self.run == "here" else partial(relay.relay, self.binding.workshop, self._terms(arguments))
        if call is None or call.entrance is None or call.entrance.running is not None:
            return self._run_alone(worker)
        return call.entrance.work(self.name, worker, self._terms(arguments))

    async def _run_alone(self, worker: Callable[[Execution], Awaitable[Any]]) -> Any:
        """For a tool that another one calls, or a server that knows nothing of us: nobody follows the task."""
        entrance = Entrance(self._enter_alone)
        invocation = Invocation(entrance)

        async def work() -> None:
            await entrance.work(self.name, worker, Terms())

        try:
            await invocation.run(work)
            return invocation.returned()
        finally:
            invocation.let_go()

    async def _enter_alone(self, tool_name: str, terms: Terms) -> Execution:
        call = current_call.get()
        running = self.binding.workshop.start(
            tool_name=tool_name,
            session_id="default",
            principal=current_principal(),
            outlet=ProgressOutlet(None, None),
            client=None if call is None else call.client,
            alone=True,
        )
        running.started.set()
        return running

    def _terms(self, arguments: dict[str, Any]) -> Terms:
        is_elsewhere = self.run == "worker"
        is_kept = is_elsewhere or self.on_interrupt != "fail"
        kept = to_jsonable_python(arguments) if is_kept else None
        return Terms(kept, self.on_interrupt, self.max_attempts, self.handle_after, is_elsewhere)

    async def work(self, running: Execution, arguments: dict[str, Any]) -> Any:
        """Run the worker for a task, with checked arguments."""
        return await run_worker(self.signature, arguments, self.binding.workshop.threads, running)
