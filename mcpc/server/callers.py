"""What a call of a background tool is answered with, by what its caller can do (see the table in protocol.md).

One class for each kind of caller; the worker's code is the same for all. Each enters the task in its way, and each
answers in its way.
"""

from typing import Any, Protocol

from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, TextContent
from pydantic_core import from_json

from mcpc.errors import DuplicateTask, KeyRefused
from mcpc.messages import LOG_EVENT, MCPCMessage
from mcpc.server.call import Call, current_principal
from mcpc.server.desk import Desk
from mcpc.server.execution import Execution
from mcpc.server.handed import HandedTasks
from mcpc.server.invocation import Invocation
from mcpc.server.phrasing import Phrasing
from mcpc.server.plain import PlainCaller
from mcpc.server.rounds import RoundTable
from mcpc.server.sep2663_extension import TasksExtension
from mcpc.server.terms import Terms
from mcpc.tasks import TaskState
from mcpc.wire.callbacks import encode_message
from mcpc.wire.reasons import reason_to

__all__ = ["Caller", "caller_of"]


class Caller(Protocol):
    """One who calls a background tool."""

    async def enter(self, tool_name: str, terms: Terms) -> Execution:
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
    desk: Desk,
    sep2663: TasksExtension,
    rounds: RoundTable,
    handed: HandedTasks,
    after: float | None,
) -> Caller:
    """Who makes a call."""
    if call.journal is not None:
        return _Listening(call, desk)
    if call.task_extension:
        return _Following(call, sep2663)
    return PlainCaller(call, desk.workshop, rounds, handed, after)


class _Listening:
    """Speaks MCPC: gets the `created` message at once; the rest comes on its channel."""

    def __init__(self, call: Call, desk: Desk) -> None:
        self._call = call
        self._desk = desk
        self._created = b""
        self._refused: KeyRefused | None = None

    async def enter(self, tool_name: str, terms: Terms) -> Execution:
        """Enter a task whose messages go to the caller's journal."""
        try:
            running = await self._enter(tool_name, terms)
        except KeyRefused as exc:
            self._refused = exc
            raise
        state = running if isinstance(running, TaskState) else running.state
        phrasing = Phrasing(state, self._desk.workshop.limits.max_message_size)
        self._created = phrasing.encode("created", f"{tool_name} has started; its updates follow.")
        if isinstance(running, TaskState):
            raise DuplicateTask("a task of this key has been started before; it goes on")
        running.state.last_update = self._created
        return running

    async def _enter(self, tool_name: str, terms: Terms) -> Execution | TaskState:
        call = self._call
        return await self._desk.enter(
            terms=terms,
            key=call.key,
            tool_name=tool_name,
            session_id=call.metadata.session_id,
            task_id=call.metadata.task_id,
            principal=current_principal(),
            journal=call.journal,
            client=call.client,
        )

    async def answer(self, invocation: Invocation) -> HandlerResult:
        """The `created` message."""
        running = await _begun(invocation)
        if self._refused is not None:
            raise MCPError(INVALID_PARAMS, str(self._refused), reason_to(self._refused))
        if running is None and not self._created:
            return invocation.answer()
        if running is not None:
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

    async def enter(self, tool_name: str, terms: Terms) -> Execution:
        """Enter a task that is polled."""
        return await self._sep2663.start(self._call, terms)

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
