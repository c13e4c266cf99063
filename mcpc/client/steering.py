"""`Steering`: how one task is reached: given inputs, stopped, asked how it stands.

There is one for each way: over the channel of a server of ours (`ChannelSteering`),
as an ordinary call of this client (`CallSteering`), not at all (`Unsteered`); the
tasks extension has its own (`mcpc.client.sep2663_tasks.RemoteTask`). A handle holds
one and does not know which. Knows nothing of messages.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import METHOD_NOT_FOUND, ElicitResult

from mcpc.client.repeater import Repeater
from mcpc.errors import MCPCError, PromptError, TaskEnded, UnknownTask
from mcpc.wire.names import SEND_METHOD, STOP_METHOD, TASK_METHOD
from mcpc.wire.requests import about_task, input_params, state_params

__all__ = ["CallSteering", "ChannelSteering", "Steering", "Unsteered"]


class Steering(Protocol):
    """Reaches one task.

    Every method raises `UnknownTask` where the server does not know the task, or cannot be asked about one, and
    `ConnectionLost` where there is no connection: `state` at once, the others when there will be no other.
    """

    @property
    def on_channel(self) -> bool:
        """Whether the server counts the task among its channel's: what it does not list there has gone."""
        ...

    async def send_input(self, value: Any, prompt_id: str | None = None) -> None:
        """Send a value to the task, or answer one of its prompts.

        Raises:
            TaskEnded: it has ended.
            InputRefused: too many values wait already, or it takes none.
            PromptError: no such prompt is open, or the answer does not fit it.
        """
        ...

    async def stop(self) -> None:
        """Ask the task to stop."""
        ...

    async def state(self) -> dict[str, Any]:
        """What the server knows of the task."""
        ...


class ChannelSteering:
    """A task on our channel of a server that speaks MCPC.

    Args:
        server: Asks the server.
        channel: The channel's key.
        task_id: The task.
        max_message_size: Bytes of the largest message that we take, where the server is to know.
    """

    on_channel = True

    def __init__(self, server: Repeater, channel: str, task_id: str, max_message_size: int | None = None) -> None:
        self._server = server
        self._channel = channel
        self._task_id = task_id
        self._max_message_size = max_message_size

    async def send_input(self, value: Any, prompt_id: str | None = None) -> None:
        """`mcpc/send`, again where the connection went away: a question takes one answer, a key one input."""
        key = secrets.token_hex(8) if prompt_id is None else None
        params = input_params(self._channel, self._task_id, value, prompt_id, key)
        if prompt_id is None:
            await self._typed(self._server.ask(SEND_METHOD, params))
        else:
            await self._typed(self._server.ask(SEND_METHOD, params, arrived=_has_had_it))

    async def stop(self) -> None:
        """`mcpc/stop`, again where the connection went away."""
        await self._typed(self._server.ask(STOP_METHOD, about_task(self._channel, self._task_id)))

    async def state(self) -> dict[str, Any]:
        """`mcpc/task`."""
        params = state_params(self._channel, self._task_id, self._max_message_size)
        return await self._typed(self._server.ask_once(TASK_METHOD, params))

    async def _typed(self, asked: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        try:
            return await asked
        except MCPError as exc:
            if exc.code != METHOD_NOT_FOUND:
                raise
            raise UnknownTask("there is another server at this address now, which speaks no MCPC") from exc


def _has_had_it(refusal: MCPCError) -> bool:
    """Whether what is said again was refused as it is too late: an answer that is no good is told as it was."""
    return isinstance(refusal, TaskEnded) or (isinstance(refusal, PromptError) and refusal.closed)


class Unsteered:
    """A task that cannot be reached: its server has no words for that.

    Args:
        tool_name: Its tool.
    """

    on_channel = False

    def __init__(self, tool_name: str) -> None:
        self._tool_name = tool_name

    async def send_input(self, value: Any, prompt_id: str | None = None) -> None:
        """Refused."""
        self._refuse()

    async def stop(self) -> None:
        """Refused."""
        self._refuse()

    async def state(self) -> dict[str, Any]:
        """Refused."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UnknownTask(f"this server cannot be asked about a running task ({self._tool_name})")


class CallSteering(Unsteered):
    """An ordinary call: it can be cancelled, and what its server asks meanwhile can be answered.

    Args:
        tool_name: Its tool.
    """

    def __init__(self, tool_name: str) -> None:
        super().__init__(tool_name)
        self.scope: anyio.CancelScope = anyio.CancelScope()
        """What the call runs in."""
        self.questions: dict[str, Callable[[Any], None]] = {}
        """What takes the answer to each open question, by its id."""

    async def send_input(self, value: Any, prompt_id: str | None = None) -> None:
        """Answer a question. Anything else is refused."""
        if prompt_id is None:
            self._refuse()
        take = self.questions.get(prompt_id)
        if take is None:
            raise PromptError("no such open prompt", closed=True)
        take(value)

    async def decline(self, prompt_id: str, action: str) -> None:
        """The user will not answer an elicitation: `decline` or `cancel`. The tool is told, and goes on.

        Raises:
            PromptError: no such prompt is open.
        """
        await self.send_input(ElicitResult.model_validate({"action": action}), prompt_id)

    async def stop(self) -> None:
        """Cancel the call."""
        self.scope.cancel()
