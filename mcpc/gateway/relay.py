"""A task of another server, for a caller of ours: each is told what the other says.

The caller's own task lives here, and its worker is the relay: it tells what the other one tells, and hands on what
that one asks and is sent. So each kind of caller is served as it is for a tool of ours. (`mcpc.server.relay` does the
same for tasks that are entered into a store.)
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
from mcp.shared.exceptions import MCPError

from mcpc.client import TaskHandle
from mcpc.client.steering import CallSteering
from mcpc.errors import ConnectionLost, MCPCError, PromptError, TaskFailed, TaskStopped, UnknownTask
from mcpc.gateway.child import Child
from mcpc.messages import ClientRequest, MCPCMessage, Prompt, prompt_of, request_of
from mcpc.server.execution import Execution
from mcpc.server.failures import ToldFailure
from mcpc.server.task import Task
from mcpc.wire.jsontext import as_object

__all__ = ["Relay", "stop_quietly"]

GOODBYE = 2.0
"""Seconds that the other server has to take a stop whose caller has gone."""

Respond = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def stop_quietly(handle: TaskHandle) -> None:
    """Stop a task that nobody waits for any more."""
    if handle.ended:
        return
    with anyio.move_on_after(GOODBYE, shield=True):
        try:
            await handle.stop()
        except (MCPCError, MCPError):
            await anyio.lowlevel.checkpoint()  # its server is gone, or knows it no more


class Relay:
    """One relay.

    Args:
        child: The other server.
        handle: The task there.
        running: The task here.
        respond: Gives the response of the caller's program to a request.
    """

    def __init__(self, child: Child, handle: TaskHandle, running: Execution, respond: Respond) -> None:
        self._child = child
        self._handle = handle
        self._task = Task(running)
        self._respond = respond
        self._unasked: PromptError | None = None
        """Why a question could not be put to the caller."""

    async def run(self, first: MCPCMessage | None = None) -> Any:
        """Until the task has ended; what it returned: of an ordinary tool its answer.

        Args:
            first: A message that was taken from the handle before.

        Raises:
            TaskStopped: it was stopped.
            PromptError: it asked, and its caller cannot be asked; or would not answer, and it is a background task.
            ToldFailure: it has failed.
            ConnectionLost: its server is gone, or no longer knows it.
        """
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._hand_on_inputs)
                group.start_soon(self._hand_on_stop)
                await self._follow(group, first)
                group.cancel_scope.cancel()
            return await self._outcome()
        finally:
            await stop_quietly(self._handle)

    async def _follow(self, group: anyio.abc.TaskGroup, first: MCPCMessage | None) -> None:
        if first is not None:
            await self._tell(first, group)
        try:
            async for message in self._handle:
                await self._tell(message, group)
        except (ConnectionLost, UnknownTask):
            return  # which its outcome says

    async def _tell(self, message: MCPCMessage, group: anyio.abc.TaskGroup) -> None:
        if message.event != "update":
            return
        if (prompt := prompt_of(message)) is not None:
            group.start_soon(self._ask, prompt)
        elif (request := request_of(message)) is not None:
            group.start_soon(self._pass_on, request)
        else:
            await self._task.update(message.result)

    async def _ask(self, prompt: Prompt) -> None:
        try:
            answer = await self._task.ask(prompt.message, choices=prompt.choices, schema=prompt.schema_)
        except TaskStopped:
            return  # the stop is handed on
        except PromptError as exc:
            await self._quietly(self._unanswered(prompt, exc))
            return
        await self._quietly(self._handle.answer(prompt.id, answer))

    async def _unanswered(self, prompt: Prompt, why: PromptError) -> None:
        """The tool decides what it does where the user will not answer. MCPC has no word for that: there, and where
        nobody could be asked, the task is stopped.
        """
        steering = self._handle.steering
        if why.action is not None and isinstance(steering, CallSteering):
            await steering.decline(prompt.id, why.action)
        else:
            self._unasked = why
            await self._handle.stop()

    async def _pass_on(self, asked: ClientRequest) -> None:
        try:
            response = await self._respond(asked.request)
        except TaskStopped:
            return  # the stop is handed on
        await self._quietly(self._handle.answer(asked.id, response))

    async def _hand_on_inputs(self) -> None:
        async for value in self._task.inputs():
            await self._quietly(self._handle.send(value))

    async def _hand_on_stop(self) -> None:
        await self._task.stopping()
        await self._quietly(self._handle.stop())

    async def _quietly(self, told: Awaitable[None]) -> None:
        """Tell the task something; where it has ended, or is lost, its outcome says so."""
        try:
            await told
        except (MCPCError, MCPError):
            await anyio.lowlevel.checkpoint()

    async def _outcome(self) -> Any:
        if self._handle.call_result is not None:
            return self._handle.call_result
        try:
            return await self._handle.result()
        except TaskStopped:
            if self._unasked is not None:
                raise self._unasked from None
            raise
        except TaskFailed as exc:
            details = as_object(exc.result)
            if "error" not in details:
                raise
            raise ToldFailure(details) from exc
        except (ConnectionLost, UnknownTask) as exc:
            raise self._child.lost("went away under this task") from exc
