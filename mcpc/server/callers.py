"""What a call of a background tool is answered with, by what its caller can do (see the table in protocol.md).

One class for each kind of caller; the worker's code is the same for all. How each enters its task is `entries`.
"""

from collections.abc import Callable
from typing import Any, Protocol

from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, TextContent
from pydantic_core import from_json

from mcpc.messages import LOG_EVENT, MCPCMessage
from mcpc.server.call import Call
from mcpc.server.desk import Desk
from mcpc.server.entries import Entry, FollowingEntry, ListeningEntry
from mcpc.server.execution import Execution
from mcpc.server.handed import HandedTasks
from mcpc.server.invocation import Invocation
from mcpc.server.plain import PlainCaller
from mcpc.server.rounds import RoundTable
from mcpc.server.sep2663_extension import TasksExtension
from mcpc.wire.callbacks import encode_message
from mcpc.wire.reasons import reason_to

__all__ = ["Caller", "caller_of"]


class Caller(Protocol):
    """One who calls a background tool."""

    @property
    def entry(self) -> Entry:
        """Where the task of the call is entered."""
        ...

    async def answer(self, invocation: Invocation, begin: Callable[[], None]) -> HandlerResult:
        """Let the call begin, and wait for what it is answered with.

        Args:
            invocation: The call.
            begin: Hands it to the host, where it runs to its end.

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
) -> Caller:
    """Who makes a call."""
    if call.journal is not None:
        return _Listening(call, desk)
    if call.task_extension:
        return _Following(call, sep2663)
    return PlainCaller(call, desk.workshop, rounds, handed)


class _Listening:
    """Speaks MCPC: gets the `created` message at once; the rest comes on its channel."""

    __slots__ = ("_call", "entry")

    def __init__(self, call: Call, desk: Desk) -> None:
        self._call = call
        self.entry: ListeningEntry = ListeningEntry(call, desk)

    async def answer(self, invocation: Invocation, begin: Callable[[], None]) -> HandlerResult:
        """The `created` message."""
        begin()
        try:
            return self._answer(invocation, await _begun(invocation))
        finally:
            _let_go(invocation)

    def _answer(self, invocation: Invocation, running: Execution | None) -> HandlerResult:
        created, refused = self.entry.created, self.entry.refused
        if refused is not None:
            raise MCPError(INVALID_PARAMS, str(refused), reason_to(refused))
        if running is None and not created:
            return invocation.answer()
        if running is not None:
            self._call.when_answered(running.started.set)
        return CallToolResult(
            content=[TextContent(type="text", text=created.decode())], structured_content=from_json(created)
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
        self.entry: FollowingEntry = FollowingEntry(call, sep2663)

    async def answer(self, invocation: Invocation, begin: Callable[[], None]) -> HandlerResult:
        """The task handle."""
        begin()
        try:
            running = await _begun(invocation)
            if running is None:
                return invocation.answer()
        finally:
            _let_go(invocation)
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


def _let_go(invocation: Invocation) -> None:
    """Its caller has been answered. A call that is not over yet drops by itself what it holds."""
    invocation.is_awaited = False
    if invocation.over.is_set():
        invocation.let_go()
