"""Where a server's tasks are done: its tasks, the journals of its clients, the host they run in, and their orderly end.

Knows nothing of requests, connections or the SDK: `calls` and `methods` bring what clients want, `serving` holds the
workshop open.
"""

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio

from mcpc.clock import SYSTEM_CLOCK, Clock
from mcpc.errors import MCPCError, ServerStopping, TaskEnded, TooManyTasks
from mcpc.messages import MCPCMessage
from mcpc.server.answers import timestamp
from mcpc.server.duties import Duties
from mcpc.server.execution import Execution
from mcpc.server.failures import ABANDONED
from mcpc.server.holders import Bound, holders_of
from mcpc.server.host import Host
from mcpc.server.journal import Journal
from mcpc.server.journals import EVERY_SESSION, JournalTable
from mcpc.server.limits import Limits
from mcpc.server.outlet import Outlet
from mcpc.server.outlets import JournalOutlet
from mcpc.server.presence import Presence
from mcpc.server.telemetry import Telemetry
from mcpc.server.threads import Threads
from mcpc.shares import Shares
from mcpc.tasks import TaskRegistry, TaskState
from mcpc.wire.callbacks import encode_message
from mcpc.wire.jsontext import encode_json
from mcpc.wire.prompts import describe_prompt
from mcpc.wire.requests import last_message_of, task_description

__all__ = ["Follower", "Workshop"]

ExecutionT = TypeVar("ExecutionT", bound=Execution)

MAX_DESCRIBED = 1000
"""Tasks described to a listener that has missed messages; the newest, when there are more."""
MAX_PROMPT_BYTES = 64 * 1024
"""Bytes of the questions that a task's state shows; the newest are left out where there are more."""
SWEEP_INTERVAL = 15.0
"""Seconds between looks for what may be forgotten."""


class Follower(Protocol):
    """Somebody who is being sent what happens: a listener of a journal, or a subscription to tasks."""

    ended: anyio.Event
    """Set when nothing more is sent."""

    def finish(self) -> None:
        """End once everything that waits has been sent."""
        ...

    def end(self) -> None:
        """End now."""
        ...


class Workshop:
    """The tasks of one server and the journals of its clients."""

    def __init__(self, limits: Limits, clock: Clock = SYSTEM_CLOCK) -> None:
        self.limits = limits
        self.host: Host = Host()
        self.clock = clock
        self.registry: TaskRegistry = TaskRegistry(
            clock,
            max_running=limits.max_tasks,
            time_to_live=limits.task_ttl,
            max_ended=limits.max_ended_tasks,
            max_ended_bytes=limits.max_ended_bytes,
        )
        self.journals: JournalTable = JournalTable(limits, clock.steady, self._describe_journal, self.make_journal)
        self.followers: list[Follower] = []
        """Who else is sent what happens, beside the journals' readers."""
        self.shutting_down: bool = False
        self.tasks_taken: Bound = Bound(
            Shares(limits.max_tasks, limits.client_share, limits.max_tasks_per_client),
            "max_tasks",
            "tasks are running",
        )
        """Whose tasks run."""
        self.inputs_taken: Bound = Bound(
            Shares(limits.max_total_input_bytes, limits.client_share),
            "max_total_input_bytes",
            "bytes of inputs may wait",
        )
        """Whose inputs wait."""
        self.presence: Presence = Presence(clock.steady)
        """Who is there for the tasks that belong to no channel."""
        self.listeners = 0
        """How many of our listeners serve it."""
        self.duties: Duties = Duties()
        """What it takes from its store, if it has one."""
        self._executions: dict[str, Execution] = {}
        """What runs, by the ids of its tasks."""
        self._telemetry = Telemetry()
        self.threads: Threads = Threads(limits.max_tasks)
        """Where sync workers run: as many as tasks may."""

    # --- its life ---

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """Keep background work possible; the last one out ends what still runs."""
        first = self.host.holders == 0
        async with self.host.hold():
            if first:
                self.shutting_down = False
                self.threads.reset()
                self.host.spawn(self._sweep_for_ever)
            try:
                yield
            finally:
                if self.host.holders == 1:
                    self._end_all()

    async def _sweep_for_ever(self) -> None:
        patience = self.limits.abandon_after
        interval = SWEEP_INTERVAL if patience is None else min(SWEEP_INTERVAL, max(0.1, patience / 4))
        while True:
            await anyio.sleep(interval)
            self.sweep()

    def sweep(self) -> None:
        """Forget what may be forgotten, and stop the tasks whose clients are gone."""
        self.registry.forget_expired()
        self.journals.expire()
        if self.limits.abandon_after is not None:
            owners = {journal.key for journal in self.journals.absent(self.limits.abandon_after)}
            absent = set(self.presence.absent(self.limits.abandon_after))
            for execution in list(self._executions.values()):
                if execution.state.owner in owners or execution.state.task_id in absent:
                    execution.stopped_as = ABANDONED
                    self.stop(execution.state)

    def _end_all(self) -> None:
        for execution in list(self._executions.values()):
            execution.stopped()

    async def wind_down(self) -> None:
        """Stop the tasks, cancel those that do not, and let every listener read the rest: within twice the grace."""
        self.shutting_down = True
        running = list(self._executions.values())
        for task in running:
            task.request_stop()
        with anyio.move_on_after(self.limits.shutdown_grace):
            for task in running:
                await task.ended.wait()
        for task in running:
            task.cancel()
        await self.finish_followers()

    async def finish_followers(self) -> None:
        """End everybody who is being sent something, after the last message."""
        followers: list[Follower] = [journal.reader for journal in self.journals if journal.reader is not None]
        followers += self.followers
        for follower in followers:
            follower.finish()
        with anyio.move_on_after(self.limits.shutdown_grace):
            for follower in followers:
                await follower.ended.wait()
        for follower in followers:
            follower.end()

    # --- tasks ---

    def make_journal(self, key: str, principal: Hashable | None) -> Journal:
        """A new journal."""
        return Journal(key, principal, self.limits, self.clock.steady)

    def start(
        self,
        *,
        tool_name: str,
        session_id: str,
        task_id: str | None = None,
        principal: Hashable | None = None,
        journal: Journal | None = None,
        outlet: Outlet | None = None,
        client: Hashable | None = None,
        alone: bool = False,
    ) -> Execution:
        """Enter a new task.

        Args:
            tool_name: The tool that was called.
            session_id: The conversation, as the client named it.
            task_id: As the client named it; made here where it did not.
            principal: Who called, where the transport authenticates.
            journal: Whose task it is; nobody's, where there is none.
            outlet: Where its messages go, if not into the journal.
            client: The connection or the address that the call came over.
            alone: Whether it runs in its caller's own task, so that it needs no host.

        Raises:
            TooManyTasks: a limit is reached.
            DuplicateTask: the id is in use.
            MCPCError: the server is not being served; `ServerStopping` where it is shutting down.
        """
        self.check_room(journal, alone=alone)
        holders = self.check_share(principal, journal, client)
        owner = journal.key if journal is not None else secrets.token_hex(16)
        state = self.registry.start(
            owner=owner, tool_name=tool_name, session_id=session_id, task_id=task_id, principal=principal
        )
        if outlet is None:
            assert journal is not None
            state.session_id = journal.name_session(session_id)
            outlet = JournalOutlet(journal, self.journals.kept_until)
        return self.enter_execution(
            Execution(state, self.registry, outlet, self.limits, partial(self._ended, holders)), holders
        )

    def check_room(self, journal: Journal | None, *, alone: bool = False) -> None:
        """Whether a task may be begun.

        Raises:
            MCPCError: as for `start`; or the client has to read first.
        """
        if self.shutting_down or not (self.host.is_open or alone):
            raise _nothing_begins(self.shutting_down)
        if journal is not None:
            self.journals.check_unread(journal)

    def check_share(
        self, principal: Hashable | None, journal: Journal | None, client: Hashable | None
    ) -> tuple[Hashable, ...]:
        """Whom one more task is counted for.

        Raises:
            TooManyTasks: as many run as may, of this client or of all.
        """
        holders = holders_of(principal, None if journal is None else journal.key, client)
        if (refusal := self.tasks_taken.refusal(holders)) is not None:
            text, limit, value = refusal
            raise TooManyTasks(f"{text}; try again when one has ended", limit=limit, value=value)
        return holders

    def enter_execution(self, execution: ExecutionT, holders: tuple[Hashable, ...]) -> ExecutionT:
        """Know what runs a task, and whom it is counted for, until it ends."""
        self.tasks_taken.shares.take(holders)
        execution.inputs.count_in(self.inputs_taken, holders)
        self._executions[execution.state.task_id] = execution
        self._telemetry.began(execution.state)
        return execution

    def _ended(self, holders: tuple[Hashable, ...], execution: Execution) -> None:
        del self._executions[execution.state.task_id]
        self._telemetry.ended(execution.state)
        self.presence.forget(execution.state.task_id)
        self.tasks_taken.shares.give_back(holders)

    def run(self, execution: Execution, worker: Callable[[], Awaitable[Any]]) -> None:
        """Run a task's worker in the background."""
        self.host.spawn(lambda: execution.run(worker))

    def execution(self, state: TaskState) -> Execution:
        """What runs a task.

        Raises:
            TaskEnded: nothing does any more.
        """
        if (execution := self._executions.get(state.task_id)) is None:
            raise TaskEnded(f"the task is {state.status}: it takes no input")
        return execution

    def running_by_id(self, task_id: str | None) -> Execution | None:
        """What runs the task of that id, whoever's it is: for the application's own side only."""
        return self._executions.get(task_id or "")

    def stop(self, state: TaskState) -> None:
        """Ask a task to stop, and cancel it if it has not when the grace is over. One that has ended is left alone."""
        if (execution := self._executions.get(state.task_id)) is not None and not execution.stop.is_set():
            execution.request_stop()
            self.host.spawn(execution.stop_after_grace)

    def describe(self, task: TaskState, *, last_message: bool = True, largest: int | None = None) -> dict[str, Any]:
        """A task's state as `mcpc/task` gives it, to somebody who takes messages of that many bytes at the most."""
        state = task_description(
            task_id=task.task_id,
            tool_name=task.tool_name,
            session_id=task.session_id,
            status=str(task.status),
            created_at=timestamp(task.created_at),
            updated_at=timestamp(task.updated_at),
        )
        if last_message and task.last_message is not None:
            state.update(last_message_of(task.last_message, largest))
        if last_message and task.prompts:
            state["prompts"] = _open_prompts(task)
        return state

    def _describe_journal(self, key: str) -> list[dict[str, Any]]:
        return [self.describe(task, last_message=False) for task in self.registry.of(key)[-MAX_DESCRIBED:]]

    # --- server events ---

    def emit(self, message: MCPCMessage) -> int:
        """Send a server event to the journals of its session (`*`: to all); how many there were."""
        data, journals = encode_message(message), self.journals.of_session(message.session_id or EVERY_SESSION)
        for journal in journals:
            journal.post(data)
        return len(journals)

    async def announce(self, message: MCPCMessage) -> int:
        """The same, to the clients of other processes too, where there are any."""
        return self.emit(message)


def _nothing_begins(shutting_down: bool) -> MCPCError:
    """Why no task is begun here."""
    if shutting_down:
        return ServerStopping("the server is shutting down")
    return MCPCError("the server is not being served")


def _open_prompts(task: TaskState) -> list[dict[str, Any]]:
    """The questions that wait for an answer, oldest first."""
    described, size = list[dict[str, Any]](), 0
    for prompt_id, prompt in task.prompts.items():
        body = describe_prompt(prompt_id, prompt)
        size += len(encode_json(body))
        if size > MAX_PROMPT_BYTES:
            break
        described.append(body)
    return described
