"""`attach`: a task of the store in the hands of any process, one of Celery's or Temporal's, say. It serves nothing.

The claim is its permission: while it holds that, nobody else says anything for the task.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any, Unpack

import anyio

from mcpc.errors import MCPCError, StoreRefused, TaskEnded, TaskHeld, TaskStopped, UnknownTask
from mcpc.keywords import refuse_unknown
from mcpc.server.keeper import Source
from mcpc.server.limits import Limits
from mcpc.server.options import LimitOptions
from mcpc.server.store_option import SHARED, source_of
from mcpc.server.stored_execution import StoredExecution
from mcpc.server.stored_workshop import StoredWorkshop
from mcpc.server.task import Task
from mcpc.stored import Claim, StoredTask

__all__ = ["AttachedTask", "attach"]


class _Outcome:
    """What a task is to end with, once somebody says so."""

    def __init__(self) -> None:
        self.is_said = anyio.Event()
        self._value: Any = None
        self._raised: BaseException | None = None

    def say(self, value: Any, raised: BaseException | None = None) -> None:
        """Say it."""
        self._value, self._raised = value, raised
        self.is_said.set()

    async def wait(self) -> Any:
        """What a worker would return, or raise."""
        await self.is_said.wait()
        if self._raised is not None:
            raise self._raised
        return self._value


class AttachedTask(Task):
    """A task in the hands of a process that has attached to it; see `attach`."""

    def __init__(self, running: StoredExecution, outcome: _Outcome) -> None:
        super().__init__(running)
        self._attached = running
        self._outcome = outcome

    async def complete(self, result: Any = None) -> None:
        """End the task with a result, as a worker does that returns it; returns once that is durable.

        Raises:
            TaskEnded: it has ended before, or another process has it by now.
        """
        await self._end(result, None)

    async def fail(self, error: BaseException) -> None:
        """End the task as failed, as a worker does that raises this error; returns once that is durable.

        Raises:
            TaskEnded: it has ended before, or another process has it by now.
        """
        await self._end(None, error)

    async def _end(self, result: Any, error: BaseException | None) -> None:
        running = self._attached
        if running.ended.is_set() or self._outcome.is_said.is_set():
            raise TaskEnded("the task has ended, or is run elsewhere by now")
        self._outcome.say(result, error)
        await running.ended.wait()
        await running.line.flushed()
        if running.line.is_lost:
            raise TaskEnded("the task is run elsewhere by now, or has ended there")


@asynccontextmanager
async def attach(
    store: str | Source, task_id: str, *, timeout: float = 10.0, **limits: Unpack[LimitOptions]
) -> AsyncGenerator[AttachedTask]:
    """Take a task that was handed off (`task.hand_off()`), or waits for a worker; it is yours while the context lasts.

    The task can be updated, asked and ended, as in its worker's hands. If the body raises, the task fails with that.
    If the body is left without an end, the task is handed off again, and waits for the next who attaches. If the
    process dies, the tool's `on_interrupt` says what becomes of it.

    Args:
        store: The address of the store that its server uses.
        task_id: The task.
        timeout: Seconds to wait for another process that has the task to hand it off.
        limits: The server's bounds, where it does not have the usual ones.

    Raises:
        UnknownTask: there is none of that id.
        TaskEnded: it has ended.
        TaskHeld: another process has it.
        TaskStopped: (from the body) it was to stop, and has not within its grace.
        URIError, StoreError: the store cannot be used, or is one that processes do not share.
    """
    refuse_unknown("attach", tuple(LimitOptions.__annotations__), limits, TypeError)
    bounds = Limits(**limits)
    source = source_of(store, bounds)
    if source is None:
        raise StoreRefused("a task is attached to in a store: sqlite:///… or redis://…")
    workshop = StoredWorkshop(bounds, source)
    async with workshop.hold():
        if not workshop.store().shared:
            raise StoreRefused(f"this store lives in one process, so no other can attach to its tasks: {SHARED}")
        running = await _taken_up(workshop, *await _taken(workshop, task_id, timeout))
        outcome, body = _Outcome(), anyio.CancelScope()
        running.started.set()
        workshop.run(running, outcome.wait)
        workshop.host.spawn(lambda: _cancel_at_end(running, outcome, body))
        attached = AttachedTask(running, outcome)
        try:
            with body:
                yield attached
        except Exception as exc:
            if not running.ended.is_set():
                await attached.fail(exc)
            raise
        finally:
            if not running.ended.is_set():
                await workshop.let_go(running, handed=True)
        if body.cancelled_caught:
            raise TaskStopped("the task was stopped, or is run elsewhere by now", task_id=task_id)


async def _cancel_at_end(running: StoredExecution, outcome: _Outcome, body: anyio.CancelScope) -> None:
    """Let nobody work for a task that has ended without them."""
    await running.ended.wait()
    if not outcome.is_said.is_set():
        body.cancel()


async def _taken(workshop: StoredWorkshop, task_id: str, timeout: float) -> tuple[Claim, StoredTask]:
    """Take the task as soon as it can be had.

    Raises:
        UnknownTask, TaskEnded, TaskHeld: it cannot.
    """
    came = anyio.Event()
    followed = workshop.following.follow(task_id)
    followed.observers.append(lambda state: came.set())
    try:
        with anyio.move_on_after(timeout):
            while True:
                came, taken = anyio.Event(), None
                with anyio.CancelScope(shield=True):  # taken and not known to be, it would be nobody's
                    taken = await workshop.store().take(workshop.runner, task_id)
                if taken is not None:
                    return taken
                stored = await workshop.store().task(task_id)
                if stored is None:
                    raise UnknownTask("unknown task")
                if stored.ended:
                    raise TaskEnded(f"the task is {stored.status}: nobody can attach to it any more")
                if stored.status == "running":
                    await came.wait()
        raise TaskHeld(f"another process has the task, and has not handed it off in {timeout:g} seconds")
    finally:
        followed.observers.clear()


async def _taken_up(workshop: StoredWorkshop, claim: Claim, stored: StoredTask) -> StoredExecution:
    """What runs the task that was taken. Not to be cancelled: whoever leaves from here on hands it off again.

    Raises:
        MCPCError, StoreError: see `Bench.take_up`; the task is handed off again.
    """
    running: StoredExecution | None = None
    with anyio.CancelScope(shield=True):
        try:
            running = await workshop.bench.take_up(claim, stored, is_restart=False)
        except Exception:
            with suppress(MCPCError):
                await workshop.store().release(claim, handed=True)
            raise
    assert running is not None, "nobody cancels that scope"
    return running
