"""The workshop of a server with a store: tasks and journals that outlive this process.

What a client is shown is what the store has acknowledged. Tasks that live on one
request or one connection (progress, the originals' direct form) are not stored.
"""

import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

from mcpc.clock import SYSTEM_CLOCK, Clock
from mcpc.errors import MCPCError, StoreError, StoreRefused, StoreUnavailable
from mcpc.logs import logger_of
from mcpc.messages import MCPCMessage
from mcpc.server.absences import Absences
from mcpc.server.bench import Bench
from mcpc.server.endings import Endings
from mcpc.server.execution import Execution
from mcpc.server.far_lines import FarLines
from mcpc.server.followed import Following
from mcpc.server.intake import Intake
from mcpc.server.journal import Journal
from mcpc.server.journals import EVERY_SESSION
from mcpc.server.keeper import Keeper, Source
from mcpc.server.limits import Limits
from mcpc.server.log import Log
from mcpc.server.recovery import Recovery
from mcpc.server.shelf import Shelf
from mcpc.server.signals import Signals
from mcpc.server.store_option import SHARED
from mcpc.server.stored_execution import StoredExecution
from mcpc.server.stored_journal import StoredJournal
from mcpc.server.stored_states import (
    STATE_ONLY,
    state_of,
)
from mcpc.server.tail import Tail
from mcpc.server.terms import Terms
from mcpc.server.visits import Visits
from mcpc.server.waiting import Waiting
from mcpc.server.workshop import Workshop
from mcpc.store import Store
from mcpc.stored import Change, Claim, StoredTask
from mcpc.tasks import TaskState
from mcpc.wire.callbacks import encode_message

__all__ = ["StoredWorkshop"]

logger: logging.Logger = logger_of(__name__)

RETRY = 0.5
"""Seconds before a task is given back again where the store was not reached."""
SWEEP_INTERVAL = 15.0
"""Seconds between two sweeps of the store."""
DIRECT = "direct:"
"""How the key of a journal begins that lives with its connection."""


class StoredWorkshop(Workshop):
    """The tasks of one server and the journals of its clients, in a store.

    Args:
        limits: The bounds.
        source: Opens the store.
        clock: Tells the time.
    """

    def __init__(self, limits: Limits, source: Source, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(limits, clock)
        self.runner: str = secrets.token_hex(16)
        """This process, as the store knows it."""
        self._keeper = Keeper(source, self._begin)
        self.store: Callable[[], Store] = self._keeper.store
        self._log = Log(self.store)
        self._far = FarLines(self._log.note)
        visits = self.presence = Visits(self, self.store, self.runner, self._stored, self._far)
        self._watch = [visits.tell_for_ever, Absences(self._all_stored, limits.abandon_after).look_for_ever]
        self._waiting = Waiting(self, self.store, self.runner, self._log.note, lambda: self.bench)
        self.shelf: Shelf = Shelf(self.store, self.runner, self.journals, self.host.spawn, visits.stays)
        self.signals: Signals = Signals(self.store, self._stored)
        self.following: Following = Following(self._look_up)
        self._endings = Endings(self.store, limits.lease, self.shelf.get, self.host.spawn)
        self.bench: Bench = Bench(
            self, self._log.note, self.shelf, self.signals, self.following, self._endings, self._ended, self.let_go
        )
        self.intake: Intake = Intake(self, self.store, self.runner, self._waiting.watch)
        self._recovery: Recovery | None = None

    # --- its life ---

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[None]:
        """See `Workshop.hold`; the store is open meanwhile.

        Raises:
            URIError, StoreError: it cannot be opened.
        """
        first = self.host.holders == 0
        async with super().hold():
            await (self._keeper.open(self.host.spawn) if first else self._keeper.opened())
            try:
                yield
            finally:
                if self.host.holders == 1:
                    with anyio.CancelScope(shield=True):
                        await self._close()

    async def _begin(self, store: Store) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """The store is open: look after what others have left, and go on doing so."""
        if self.duties.away and not store.shared:
            raise StoreRefused(
                f'run="worker" ({", ".join(self.duties.away)}) needs a store that processes share: {SHARED}'
            )
        recovery = self._recovery = Recovery(
            self.store,
            self.runner,
            self._all_stored,
            self._takeable,
            self.run_taken,
            self._endings,
            self.limits.lease,
        )
        await recovery.beat()
        await store.reap()
        tail = Tail(self.store, self._heard)
        return [
            self._log.run,
            recovery.beat_for_ever,
            recovery.claim_for_ever,
            recovery.look_for_ever,
            tail.listen_for_ever,
            tail.look_for_ever,
            self.shelf.read_for_ever,
            self.shelf.cursors.report_for_ever,
            self.following.tell_for_ever,
            *self._watch,
            self._waiting.look_for_ever,
            self._sweep_store_for_ever,
        ]

    async def _sweep_store_for_ever(self) -> None:
        while True:
            with suppress(StoreError):
                await self.store().sweep()
            await anyio.sleep(SWEEP_INTERVAL)

    async def _close(self) -> None:
        await self._give_back()
        self._end_all()
        await self._flush()
        await self._keeper.close()

    async def wind_down(self) -> None:
        """See `Workshop.wind_down`. Tasks that may run again are given back instead of stopped."""
        self.shutting_down = True
        await self._give_back()
        await super().wind_down()

    async def finish_followers(self) -> None:
        """See `Workshop.finish_followers`; what was said last has to land before."""
        await self._flush()
        await super().finish_followers()

    async def _give_back(self) -> None:
        """Let others run what may run again: what was said of it so far lands before."""
        for running in self._all_stored():
            claim = running.line.claim
            if running.may_run_again and claim is not None and not running.stop.is_set():
                running.lose()
                with anyio.move_on_after(self.limits.shutdown_grace), suppress(MCPCError):
                    await running.line.flushed()
                    await self.store().release(claim)

    async def let_go(self, running: StoredExecution, *, handed: bool = False) -> None:
        """Give one task back while the others go on; what was said of it so far lands before.

        Args:
            running: The task, whose worker is cancelled.
            handed: It waits for who knows its id.

        Raises:
            StoreRefused: it is handed off, and no other process could have it.
        """
        if handed and not self.store().shared:
            raise StoreRefused(f"no other process can have the tasks of this store: {SHARED}")
        claim = running.line.claim
        assert claim is not None
        running.lose()
        with anyio.move_on_after(self.limits.lease, shield=True):
            await running.line.flushed()
            while True:
                try:
                    return await self.store().release(claim, handed=handed)
                except StoreUnavailable as exc:
                    logger.warning("a task could not be given back; trying again: %s", exc)
                await anyio.sleep(RETRY)

    async def _flush(self) -> None:
        with anyio.move_on_after(max(0.1, self.limits.shutdown_grace)):
            await self._log.flushed()

    def _all_stored(self) -> list[StoredExecution]:
        return [running for running in self._executions.values() if isinstance(running, StoredExecution)]

    def _stored(self, task_id: str) -> StoredExecution | None:
        running = self._executions.get(task_id)
        return running if isinstance(running, StoredExecution) else None

    async def _heard(self, change: Change) -> None:
        """Another process has done something."""
        if change.kind == "channel":
            self.shelf.hear(change)
        elif change.kind == "task":
            self.following.changed(change.subject)
            self._waiting.changed(change.subject)
            if not change.last:  # what says something is at work
                self.look_for_work()
        elif change.kind == "look":
            await self._look()
        elif (running := self._stored(change.subject)) is not None:
            await self.signals.listen(running)

    async def _look(self) -> None:
        """Another process may have done anything."""
        self.look_for_work()
        self.following.look_at_all()
        self._waiting.all_changed()
        await self.signals.listen(*self._all_stored())
        await self.shelf.look_at_all()

    # --- journals ---

    def make_journal(self, key: str, principal: Hashable | None) -> Journal:
        """A journal of the store's; a connection in the direct form has one that lives with it."""
        if key.startswith(DIRECT):
            return super().make_journal(key, principal)
        return StoredJournal(key, principal, self.limits, self.clock.steady, self._log.note)

    async def announce(self, message: MCPCMessage) -> int:
        """See `Workshop.announce`: to every channel of the session in the store, wherever its client listens.

        Raises:
            StoreError: the store cannot tell which there are.
        """
        session = message.session_id or EVERY_SESSION
        names = await self.store().channels(session)
        return await self._far.post(encode_message(message), names, self.journals.of_session(session))

    # --- tasks ---

    async def _look_up(self, task_id: str) -> TaskState | None:
        stored = await self.store().task(task_id)
        return None if stored is None else state_of(stored)

    def make(self, start: dict[str, Any], terms: Terms) -> StoredExecution:
        """A new task, which the store does not know yet.

        Raises:
            TooManyTasks, DuplicateTask, MCPCError: see `Workshop.start`.
        """
        journal: StoredJournal | None = start.get("journal")
        self.check_room(journal)
        holders = self.check_share(start.get("principal"), journal, start.get("client"))
        state = self.registry.start(
            owner=f"{STATE_ONLY}{secrets.token_hex(16)}" if journal is None else journal.key,
            tool_name=start["tool_name"],
            session_id=start["session_id"],
            task_id=start.get("task_id"),
            principal=start.get("principal"),
        )
        state.arguments = terms.arguments
        return self.bench.make(state, journal, holders)

    def _ended(self, holders: tuple[Hashable, ...], execution: Execution) -> None:
        super()._ended(holders, execution)
        self._waiting.forget(execution.state.task_id)
        if isinstance(execution, StoredExecution) and execution.lost:
            self.registry.forget(execution.state)
        if self.duties.slots:
            self.look_for_work()  # there is room for one more

    def look_for_work(self) -> None:
        """There may be tasks to take here."""
        if self._recovery is not None:
            self._recovery.wake()

    def _takeable(self) -> set[str]:
        """The tools whose tasks may be taken now."""
        names = [execution.state.tool_name for execution in self._all_stored()]
        return set() if self.shutting_down else self.duties.tools(names)

    async def stop_stored(self, state: TaskState) -> None:
        """Ask a task to stop, wherever it runs. One that nobody runs ends here.

        Raises:
            UnknownTask, StoreError: it could not be asked.
        """
        await self.signals.stop(state)
        await self._waiting.end(state.task_id)

    async def run_taken(self, claim: Claim, stored: StoredTask) -> None:
        """Run a task that was claimed: one that waited for a worker, or that another process has begun before."""
        if self.shutting_down:
            await self.store().release(claim)
            return
        running = await self.bench.take_up(claim, stored)
        running.started.set()
        self.run(running, lambda: self._telemetry.below(running.state, self.duties.run(running)))
