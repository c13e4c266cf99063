"""One call of a tool, passed on to the server that has it.

A background tool's call becomes a task here, too, and so does an ordinary one that asks something; any other is
answered with what comes back. Which kind a tool is shows when it is called: a background tool answers at once.
"""

from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, Tool

from mcpc.client import TaskHandle
from mcpc.client.steering import CallSteering
from mcpc.errors import ConnectionLost, MCPCError, UnknownTask
from mcpc.gateway.answers import answer_of
from mcpc.gateway.child import Child
from mcpc.gateway.logs import CallLog
from mcpc.gateway.program import CallersProgram
from mcpc.gateway.relay import Relay, stop_quietly
from mcpc.messages import MCPCMessage, prompt_of, request_of
from mcpc.server.answers import error_result
from mcpc.server.call import Call
from mcpc.server.entrance import Entrance
from mcpc.server.execution import Execution
from mcpc.server.terms import Terms
from mcpc.wire.jsontext import as_object

__all__ = ["Passing"]


class Passing:
    """One call on its way.

    Args:
        child: The server that has the tool.
        tool: The tool as it is listed there.
        arguments: Its arguments.
        call: The call.
        entrance: Where its task is entered.
        session: What its caller is told by.
    """

    def __init__(
        self, child: Child, tool: Tool, arguments: dict[str, Any], call: Call, entrance: Entrance, session: Any
    ) -> None:
        self._child = child
        self._tool = tool
        self._arguments = arguments
        self._call = call
        self._entrance = entrance
        self._session = session
        self._logs = CallLog(self._log, child.spawn)
        self._program = CallersProgram(session, call.request_id)
        self._handle: TaskHandle | None = None
        self._asked: MCPCMessage | None = None
        """The question that made a task of an ordinary call."""

    async def answer(self) -> CallToolResult:
        """What the call is answered with.

        Raises:
            MCPError: the other server refused it.
        """
        try:
            return await self._answer()
        except MCPError:
            raise
        except Exception as exc:
            return error_result(f"{type(exc).__name__}: {exc}")
        finally:
            self._logs.close()
            if self._handle is not None:
                self._child.logs.remove(self._handle.task_id)
                await stop_quietly(self._handle)

    async def _answer(self) -> CallToolResult:
        try:
            return await self._outcome()
        finally:
            await self._logs.flush()  # before the answer

    async def _outcome(self) -> CallToolResult:
        # Where the start has a key it may be a repetition, which is found out where the task is entered.
        if self._call.key is None and self._tool.name not in self._child.background:
            handle = await self._begin()
            if not isinstance(handle.steering, CallSteering):
                self._child.background.add(self._tool.name)
            elif (answer := await self._ordinary(handle)) is not None:
                return answer
        value = await self._entrance.work(self._call.tool_name, self._work, Terms())
        return answer_of(value, self._tool)

    async def _begin(self) -> TaskHandle:
        client = await self._child.client()
        session_id = self._call.metadata.session_id
        try:
            with self._child.logs.starting():
                handle = await client.start_task(self._tool.name, self._arguments, session_id=session_id)
                self._child.logs.add(handle.task_id, self._logs)
        except ConnectionLost as exc:
            raise self._child.lost("went away under this call") from exc
        self._handle = handle
        return handle

    async def _ordinary(self, handle: TaskHandle) -> CallToolResult | None:
        """The answer of an ordinary tool; None once it asks something."""
        if not handle.ended and self._call.metadata.task_id is not None:
            await self._session.report_progress(0.0)  # the sign that it is an ordinary tool's, and runs
        try:
            async for message in handle:
                if prompt_of(message) is not None or request_of(message) is not None:
                    self._asked = message
                    return None
                if message.event == "update":
                    await self._report(as_object(message.result))
        except (ConnectionLost, UnknownTask) as exc:
            raise self._child.lost("went away under this call") from exc
        if handle.call_result is not None:
            return handle.call_result
        await handle.result()
        raise MCPCError(f"{self._tool.name} has ended without an answer")

    async def _report(self, update: dict[str, Any]) -> None:
        progress = update.get("progress")
        if isinstance(progress, int | float):
            await self._session.report_progress(progress, update.get("total"), update.get("status"))

    async def _work(self, running: Execution) -> Any:
        """What the task does whose worker is elsewhere."""
        handle = self._handle or await self._begin()
        return await Relay(self._child, handle, running, self._program.respond).run(self._asked)

    async def _log(self, entry: dict[str, Any]) -> None:
        level, data, logger = entry.get("level", "info"), entry.get("data"), entry.get("logger")
        await self._session.send_log_message(level, data, logger, self._call.request_id)
