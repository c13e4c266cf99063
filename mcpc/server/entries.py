"""How the task of a call is entered, by what its caller can do: on a journal, to be polled, or for as long as it waits.

Each stands at the inner end of a call (`entrance`). What the caller is answered, at the outer end, is `callers`.
"""

from collections.abc import Callable
from typing import Protocol

from mcpc.errors import DuplicateTask, KeyRefused
from mcpc.server.call import Call, current_principal
from mcpc.server.desk import Desk
from mcpc.server.execution import Execution, Observer
from mcpc.server.outlet import Outlet
from mcpc.server.phrasing import Phrasing
from mcpc.server.sep2663_extension import TasksExtension
from mcpc.server.terms import Terms
from mcpc.server.workshop import Workshop
from mcpc.tasks import TaskState

__all__ = ["Entry", "FollowingEntry", "ListeningEntry", "PlainEntry"]


class Entry(Protocol):
    """Where the task of one call is entered."""

    async def enter(self, tool_name: str, terms: Terms) -> Execution:
        """Enter the task.

        Raises:
            MCPCError: it cannot be entered.
        """
        ...


class ListeningEntry:
    """For a caller that speaks MCPC: the task's messages go to its journal."""

    __slots__ = ("_call", "_desk", "created", "refused")

    def __init__(self, call: Call, desk: Desk) -> None:
        self._call = call
        self._desk = desk
        self.created: bytes = b""
        """The `created` message, once there is a task, begun now or before with the same key."""
        self.refused: KeyRefused | None = None
        """Why the key of the call was refused."""

    async def enter(self, tool_name: str, terms: Terms) -> Execution:
        """See `Entry.enter`."""
        try:
            running = await self._enter(tool_name, terms)
        except KeyRefused as exc:
            self.refused = exc
            raise
        state = running if isinstance(running, TaskState) else running.state
        phrasing = Phrasing(state, self._desk.workshop.limits.max_message_size)
        self.created = phrasing.encode("created", f"{tool_name} has started; its updates follow.")
        if isinstance(running, TaskState):
            raise DuplicateTask("a task of this key has been started before; it goes on")
        running.created = running.state.last_update = self.created
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


class FollowingEntry:
    """For a caller that declares the tasks extension: the task is polled."""

    def __init__(self, call: Call, sep2663: TasksExtension) -> None:
        self._call = call
        self._sep2663 = sep2663

    async def enter(self, tool_name: str, terms: Terms) -> Execution:
        """See `Entry.enter`."""
        return await self._sep2663.start(self._call, terms)


class PlainEntry:
    """For a caller that speaks plain MCP: the task lives as long as the call.

    Args:
        call: The call.
        workshop: Where the task is done.
        outlet: Where what the worker says goes.
        changed: Told of each change of the task.
        learn: Told of the terms before the task begins.
    """

    def __init__(
        self, call: Call, workshop: Workshop, outlet: Outlet, changed: Observer, learn: Callable[[Terms], None]
    ) -> None:
        self._call = call
        self._workshop = workshop
        self._outlet = outlet
        self._changed = changed
        self._learn = learn

    async def enter(self, tool_name: str, terms: Terms) -> Execution:
        """See `Entry.enter`."""
        call = self._call
        self._learn(terms)
        running = self._workshop.start(
            tool_name=tool_name,
            session_id=call.metadata.session_id,
            principal=current_principal(),
            outlet=self._outlet,
            client=call.client,
        )
        running.observers.append(self._changed)
        running.started.set()
        return running
