"""Tasks that wait for a worker: the process that entered them ends those that nobody is there for any more.

Once a worker has one, that is its process's affair (`absences`). Knows nothing of who else may take one.
"""

import logging
from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.lowlevel

from mcpc.errors import MCPCError
from mcpc.logs import logger_of
from mcpc.server.attendance import Attendance
from mcpc.server.bench import Bench
from mcpc.server.failures import ABANDONED
from mcpc.server.line import Line, Pool
from mcpc.server.stored_execution import StoredExecution
from mcpc.server.visits import look_interval
from mcpc.server.workshop import Workshop
from mcpc.store import Store
from mcpc.stored import Claim, StoredTask

__all__ = ["Waiting"]

logger: logging.Logger = logger_of(__name__)


class Waiting:
    """What was entered here and no worker has, as far as is known.

    Args:
        workshop: Where the tasks of this process are done.
        store: Gives the store.
        runner: This process, as the store knows it.
        note: Tells the log that a line has something to take.
        bench: Gives the bench.
    """

    def __init__(
        self,
        workshop: Workshop,
        store: Callable[[], Store],
        runner: str,
        note: Callable[[Line], None],
        bench: Callable[[], Bench],
    ) -> None:
        self._workshop = workshop
        self._store = store
        self._runner = runner
        self._note = note
        self._bench = bench
        self._patience = workshop.limits.abandon_after
        self._channels: dict[str, _Channel] = {}
        self._watched: dict[str, str] = {}
        """The tasks, and the channel of each."""
        self._changed: set[str] = set()
        """Those that a worker may have taken."""

    def watch(self, task_id: str, channel: str) -> None:
        """A task waits from now on."""
        if self._patience is None:
            return
        self._watched[task_id] = channel
        if channel not in self._channels:
            self._channels[channel] = _Channel(channel, self._note, self._workshop.clock.steady)
        self._channels[channel].tasks.add(task_id)

    def forget(self, task_id: str) -> None:
        """A task waits no more."""
        self._changed.discard(task_id)
        channel = self._watched.pop(task_id, None)
        if channel is not None:
            tasks = self._channels[channel].tasks
            tasks.discard(task_id)
            if not tasks:
                del self._channels[channel]

    def changed(self, task_id: str) -> None:
        """Another process has done something with a task."""
        if task_id in self._watched:
            self._changed.add(task_id)

    def all_changed(self) -> None:
        """Other processes may have done anything."""
        self._changed.update(self._watched)

    async def look_for_ever(self) -> None:
        """Look, now and then."""
        while self._patience is not None:
            await anyio.sleep(look_interval(self._patience))
            try:
                await self._forget_taken()
                await self._look(self._patience)
            except MCPCError as exc:
                logger.debug("who is there for tasks that wait for a worker is not known: %s", exc)
        await anyio.sleep_forever()

    async def _forget_taken(self) -> None:
        for task_id in tuple(self._changed):
            stored = await self._store().task(task_id)
            if stored is None or stored.status != "queued":
                self.forget(task_id)
            self._changed.discard(task_id)

    async def _look(self, patience: float) -> None:
        for channel in tuple(self._channels.values()):
            if channel.attendance.absence < patience:
                channel.attendance.look()
                continue
            for task_id in tuple(channel.tasks):
                if (running := await self.end(task_id)) is not None:
                    running.stopped_as = ABANDONED
                    running.request_stop()
                self.forget(task_id)

    async def end(self, task_id: str) -> StoredExecution | None:
        """End a task here that was said to stop, if no worker has it; what ends it.

        Raises:
            MCPCError, StoreError: the store was not reached, or the task cannot be had here.
        """
        running: StoredExecution | None = None
        with anyio.CancelScope(shield=True):  # taken and not ended, it would be nobody's for as long as we live
            taken = await self._store().take(self._runner, task_id)
            if taken is not None:
                running = await self._taken_up(*taken)
        return running

    async def _taken_up(self, claim: Claim, stored: StoredTask) -> StoredExecution:
        try:
            running = await self._bench().take_up(claim, stored, is_restart=False)
        except Exception:
            with suppress(MCPCError):
                await self._store().release(claim)
            raise
        running.started.set()
        self._workshop.run(running, anyio.lowlevel.checkpoint)
        return running


class _Channel:
    """Who is there for the tasks of one channel."""

    def __init__(self, name: str, note: Callable[[Line], None], clock: Callable[[], float]) -> None:
        self.tasks: set[str] = set()
        self.attendance = Attendance(clock, self._probe, lambda: False)  # who is here has a place in the store
        self._name = name
        self._note = note
        self._line: Line | None = None

    def _probe(self) -> None:
        if self._line is None or self._line.is_lost:
            self._line = Line(self._name, Pool(), self._note, _nothing_landed, lambda: 0)
            self._line.on_receipt = self.attendance.told
        self._line.probe()


def _nothing_landed(first: int, messages: list[bytes], is_end: bool) -> None:
    """Nothing but questions to the store is sent."""
