"""What a call of a background tool is answered with, by what its caller can do (see the table in protocol.md).

One class for each kind of caller; the worker's code is the same for all. Each enters the task in its way, and each
answers in its way.
"""

from typing import Any, Protocol

from mcp.server.context import HandlerResult
from mcp_types import CallToolResult, TextContent
from pydantic_core import from_json

from mcpc.messages import LOG_EVENT, MCPCMessage
from mcpc.server.call import Call, current_principal
from mcpc.server.execution import Execution
from mcpc.server.handed import HandedTasks
from mcpc.server.invocation import Invocation
from mcpc.server.plain import PlainCaller
from mcpc.server.rounds import RoundTable
from mcpc.server.sep2663_extension import TasksExtension
from mcpc.server.workshop import Workshop
from mcpc.wire.callbacks import encode_message

__all__ = ["Caller", "caller_of"]


class Caller(Protocol):
    """One who calls a background tool."""

    def enter(self, tool_name: str) -> Execution:
        """Enter the task of the call.

        Raises:
            MCPCError: it cannot be entered.
        """
        ...

    async def answer(self, invocation: Invocation) -> HandlerResult:
        """Wait for what the call is answered with.

        Raises:
            MCPError: the answer is an error of the protocol.
        """
        ...

    async def log(self, running: Execution, entry: dict[str, Any]) -> None:
        """Tell who follows the task what its worker logs: `{"level", "data", "logger"?}`."""
        ...


def caller_of(
    call: Call,
    workshop: Workshop,
    sep2663: TasksExtension,
    rounds: RoundTable,
    handed: HandedTasks,
    after: float | None,
) -> Caller:
    """Who makes a call."""
    if call.journal is not None:
        return _Listening(call, workshop)
    if call.task_extension:
        return _Following(call, sep2663)
    return PlainCaller(call, workshop, rounds, handed, after)


class _Listening:
    """Speaks MCPC: gets the `created` message at once; the rest comes on its channel."""

    def __init__(self, call: Call, workshop: Workshop) -> None:
        self._call = call
        self._workshop = workshop
        self._created = b""

    def enter(self, tool_name: str) -> Execution:
        """Enter a task whose messages go to the caller's journal."""
        call = self._call
        running = self._workshop.start(
            tool_name=tool_name,
            session_id=call.metadata.session_id,
            task_id=call.metadata.task_id,
            principal=current_principal(),
            journal=call.journal,
        )
        self._created = running.state.last_update = running.encode(
            "created", f"{tool_name} has started; its updates follow."
        )
        return running

    async def answer(self, invocation: Invocation) -> HandlerResult:
        """The `created` message."""
        running = await _begun(invocation)
        if running is None:
            return invocation.answer()
        self._call.when_answered(running.started.set)
        return CallToolResult(
            content=[TextContent(type="text", text=self._created.decode())], structured_content=from_json(self._created)
        )

    async def log(self, running: Execution, entry: dict[str, Any]) -> None:
        """A server event `log` on the caller's channel."""
        state, journal = running.state, self._call.journal
        assert journal is not None
        result = {"task_id": state.task_id, "tool_name": state.tool_name, **entry}
        event = MCPCMessage(type="server_event", event=LOG_EVENT, session_id=state.session_id, result=result)
        await journal.post_with_pressure(encode_message(event))


class _Following:
    """Declares the tasks extension: gets a task handle, which takes the place of a result."""

    def __init__(self, call: Call, sep2663: TasksExtension) -> None:
        self._call = call
        self._sep2663 = sep2663

    def enter(self, tool_name: str) -> Execution:
        """Enter a task that is polled."""
        return self._sep2663.start(self._call)

    async def answer(self, invocation: Invocation) -> HandlerResult:
        """The task handle."""
        running = await _begun(invocation)
        if running is None:
            return invocation.answer()
        self._call.when_answered(running.started.set)
        return self._call.outcome

    async def log(self, running: Execution, entry: dict[str, Any]) -> None:
        """The task's status message: an update."""
        data = entry["data"]
        await running.update({"message": data, **entry} if isinstance(data, str) else entry)


async def _begun(invocation: Invocation) -> Execution | None:
    """The task of a call; None where the call ended before there was one. A call that is cancelled before has none."""
    try:
        await invocation.begun.wait()
    finally:
        if invocation.running is None:
            invocation.scope.cancel()
    return invocation.running
