"""A task in a worker process, for a caller whose own task lives on its request: each is told what the other says.

A plain caller waits for its call's result, is told its progress and asked its
questions. All that belongs to a task of this process, whose worker is the relay:
it enters a second task into the store, tells what that one tells, and hands on
what it asks and is sent. So a plain caller is no other than one of a tool that
runs here. Updates may be merged: what is followed is the task's state.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import anyio.abc
from mcp.shared.exceptions import MCPError
from pydantic_core import from_json

from mcpc.errors import MCPCError, PromptError, StoreRefused, TaskError, TaskStopped
from mcpc.server.errand import Errand
from mcpc.server.execution import Execution
from mcpc.server.failures import ToldFailure
from mcpc.server.stored_workshop import StoredWorkshop
from mcpc.server.terms import Terms
from mcpc.server.workshop import Workshop
from mcpc.tasks import Prompt, Status, TaskState
from mcpc.wire.jsontext import as_object

__all__ = ["relay"]

STOP_PATIENCE = 2.0
"""Seconds that the store has to take a stop whose caller has gone."""


async def relay(workshop: Workshop, terms: Terms, running: Execution) -> Any:
    """Let a worker process run the task, and give what it returned.

    Args:
        workshop: The server's; it has a store.
        terms: Those of the tool.
        running: The caller's task.

    Raises:
        StoreRefused: the server has no store.
        ToldFailure, MCPError: the task has failed.
        TooManyTasks, StoreError: it could not be entered.
    """
    if not isinstance(workshop, StoredWorkshop):
        raise StoreRefused(f"{running.state.tool_name} runs in worker processes, and this server has no store")
    own = running.state
    errand = await workshop.intake.send_away(own.tool_name, own.session_id, own.principal, terms)
    assert isinstance(errand, Errand), "there is no key"
    return await _Relay(workshop, running, errand.state).run()


class _Relay:
    """One relay.

    Args:
        workshop: The server's.
        running: The caller's task.
        state: The task in the store, as it was entered.
    """

    def __init__(self, workshop: StoredWorkshop, running: Execution, state: TaskState) -> None:
        self._workshop = workshop
        self._running = running
        self._state = state
        self._came = anyio.Event()
        self._told = state.last_update
        self._asking: dict[str, anyio.CancelScope] = {}

    async def run(self) -> Any:
        """Until the task has ended; what it returned."""
        followed = self._workshop.following.follow(self._state.task_id)
        followed.observers.append(self._changed)
        self._workshop.following.changed(self._state.task_id)
        try:
            with self._workshop.presence.following([self._state.task_id]):  # its caller is here for as long as it waits
                async with anyio.create_task_group() as group:
                    group.start_soon(self._hand_on_inputs)
                    group.start_soon(self._hand_on_stop)
                    await self._follow(group)
                    group.cancel_scope.cancel()
            return self._outcome()
        finally:
            followed.observers.remove(self._changed)
            if not self._state.ended:
                with anyio.move_on_after(STOP_PATIENCE, shield=True):
                    await self._stop()

    def _changed(self, state: TaskState) -> None:
        self._state = state
        self._came.set()

    async def _follow(self, group: anyio.abc.TaskGroup) -> None:
        while not self._state.ended:
            self._came = anyio.Event()
            await self._tell()
            self._ask(group)
            if not self._state.ended:
                await self._came.wait()

    async def _tell(self) -> None:
        """Tell the newest update, if it is new."""
        update = self._state.last_update
        if update is None or update == self._told:
            return
        self._told = update
        message = from_json(update)
        if message.get("event") == "update":
            await self._running.update(message.get("result"))

    def _ask(self, group: anyio.abc.TaskGroup) -> None:
        """Ask what is asked, and ask no more what is not."""
        for prompt_id in self._asking.keys() - self._state.prompts.keys():
            self._asking.pop(prompt_id).cancel()
        for prompt_id, prompt in self._state.prompts.items():
            if prompt_id not in self._asking:
                scope = self._asking[prompt_id] = anyio.CancelScope()
                group.start_soon(self._ask_one, prompt, scope)

    async def _ask_one(self, prompt: Prompt, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                answer = await self._running.ask(replace(prompt, prompt_id=self._running.prompt_id(None)))
                await self._workshop.signals.answer(self._state, prompt.prompt_id, answer)
            except TaskStopped:
                pass  # the stop is handed on
            except PromptError as exc:
                await self._refuse(prompt, exc.action or "cancel")
            except TaskError:
                pass  # it has ended

    async def _refuse(self, prompt: Prompt, action: str) -> None:
        with suppress(TaskError):  # it was answered elsewhere, or has ended
            await self._workshop.signals.refuse(self._state, prompt.prompt_id, action)

    async def _hand_on_inputs(self) -> None:
        while (item := await self._running.inputs.next()) is not None:
            try:
                await self._workshop.signals.send_input(self._state, item[0])
            except TaskError:
                return  # it has ended

    async def _hand_on_stop(self) -> None:
        await self._running.stop.wait()
        await self._stop()

    async def _stop(self) -> None:
        with suppress(MCPCError):  # the store is gone, or knows the task no more
            await self._workshop.stop_stored(self._state)

    def _outcome(self) -> Any:
        state = self._state
        if state.status is Status.COMPLETE:
            return state.result
        if state.error is not None:
            raise MCPError(state.error["code"], state.error["message"], state.error.get("data"))
        raise ToldFailure(as_object(state.result))
