"""Background tools: what a call of one answers, by what its caller can do (see the table in protocol.md).

The worker's code is the same for every caller. How a tool is listed and how its arguments are checked is the
server's affair (`registration`).
"""

from typing import Any

from mcp_types import CallToolResult, TextContent
from pydantic_core import from_json

from mcpc.errors import MCPCError
from mcpc.server.answers import call_result, error_result
from mcpc.server.binding import Binding
from mcpc.server.call import Call, current_call, current_principal
from mcpc.server.execution import Execution
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
        self.name = signature.name

    # --- calls ---

    async def call(self, arguments: dict[str, Any]) -> CallToolResult:
        """Answer a call, by what the caller can do."""
        call = current_call.get()
        try:
            if call is not None and call.journal is not None:
                return self._start(call, arguments)
            if call is not None and call.task_extension:
                return self._start_followed(call, arguments)
            return await self._run_to_end(call, arguments)
        except MCPCError as exc:
            return error_result(f"{self.name}: {exc}")

    def _start(self, call: Call, arguments: dict[str, Any]) -> CallToolResult:
        """For a caller that speaks MCPC: the `created` message at once; the rest comes on its channel."""
        running = self.binding.workshop.start(
            tool_name=self.name,
            session_id=call.metadata.session_id,
            task_id=call.metadata.task_id,
            principal=current_principal(),
            journal=call.journal,
        )
        created = running.encode("created", f"{self.name} has started; its updates follow.")
        running.state.last_update = created
        self.binding.workshop.run(running, lambda: self._work(running, arguments))
        call.when_answered(running.started.set)
        return CallToolResult(
            content=[TextContent(type="text", text=created.decode())], structured_content=from_json(created)
        )

    def _start_followed(self, call: Call, arguments: dict[str, Any]) -> CallToolResult:
        """For a caller that declares the tasks extension: a task handle, which takes the place of this result."""
        running = self.binding.sep2663.start(call)
        self.binding.workshop.run(running, lambda: self._work(running, arguments))
        call.when_answered(running.started.set)
        return CallToolResult(content=[])

    async def _run_to_end(self, call: Call | None, arguments: dict[str, Any]) -> CallToolResult:
        """For anyone else: progress while it runs, and the final result as the answer.

        The task is stopped if the call is cancelled.
        """
        outlet = ProgressOutlet(call.session, call.request_id) if call is not None else ProgressOutlet(None, None)
        session_id = call.metadata.session_id if call is not None else "default"
        running = self.binding.workshop.start(
            tool_name=self.name, session_id=session_id, principal=current_principal(), outlet=outlet
        )
        running.started.set()
        await self.binding.workshop.run_to_end(running, lambda: self._work(running, arguments))
        return call_result(running.state)

    async def _work(self, running: Execution, arguments: dict[str, Any]) -> Any:
        return await run_worker(self.signature, running, arguments, self.binding.workshop.thread_limiter)
