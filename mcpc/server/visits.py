"""Who is there at this process for tasks that run at another, so that they are not taken for abandoned there.

A listener has its place in the store. Who only asks, or listens for a moment, is given one for a while: the process
that runs the task looks at it now and then. Knows nothing of what becomes of tasks that nobody is there for.
"""

import logging
from collections import deque
from collections.abc import Callable

import anyio

from mcpc.errors import MCPCError
from mcpc.logs import logger_of
from mcpc.server.far_lines import FarLines
from mcpc.server.line import Line
from mcpc.server.presence import Presence
from mcpc.server.stored_execution import StoredExecution
from mcpc.server.workshop import Workshop
from mcpc.store import Store
from mcpc.stored import Appended, StoredTask

__all__ = ["Visits", "look_interval"]

logger: logging.Logger = logger_of(__name__)

LOOKS = 8
"""Looks in the time after which a task is abandoned, at the least."""
LONGEST_INTERVAL = 5.0
"""Seconds between two looks at the most."""
HELD_FOR = 2
"""Looks for which a place is held at the least: the process that runs the task must have looked meanwhile."""


def look_interval(patience: float) -> float:
    """Seconds between two looks for tasks that nobody is there for."""
    return max(0.01, min(LONGEST_INTERVAL, patience / LOOKS))


class Visits(Presence):
    """Who was here, for tasks that run anywhere.

    Args:
        workshop: Where the tasks of this process are done.
        store: Gives the store.
        runner: This process, as the store knows it.
        running: Gives what runs a task here, if anything does.
        lines: Ask the store who listens to a channel.
    """

    def __init__(
        self,
        workshop: Workshop,
        store: Callable[[], Store],
        runner: str,
        running: Callable[[str], StoredExecution | None],
        lines: FarLines,
    ) -> None:
        super().__init__(workshop.clock.steady)
        self._workshop = workshop
        self._store = store
        self._runner = runner
        self._running = running
        self._lines = lines
        patience = workshop.limits.abandon_after
        self._interval = None if patience is None else look_interval(patience)
        self._asked: dict[str, None] = {}
        """The tasks that were asked about since the last look."""
        self._held: dict[str, float] = {}
        """The channels on which a place is held, and since when."""

    def seen(self, task_id: str) -> None:
        """See `Presence.seen`."""
        super().seen(task_id)
        if self._interval is not None:
            self._asked[task_id] = None

    def stays(self, channel: str) -> bool:
        """A listener has gone from here; whether its place is held for a while. Where tasks of the channel run here,
        it was seen."""
        journal = self._workshop.journals.get(channel)
        runs_here = journal is not None and journal.running > 0
        if self._interval is None or runs_here or self._workshop.shutting_down:
            return False
        self._held[channel] = self._clock()
        return True

    async def tell_for_ever(self) -> None:
        """Tell the store, now and then, who was here."""
        while self._interval is not None:
            await anyio.sleep(self._interval)
            try:
                await self._tell()
                await self._let_go(self._clock() - HELD_FOR * self._interval)
            except MCPCError as exc:
                logger.debug("the store was not told who has asked about tasks: %s", exc)
        await anyio.sleep_forever()

    async def _tell(self) -> None:
        for task_id in [*self._asked, *(each for each in self._followers if each not in self._asked)]:
            if (running := self._running(task_id)) is not None:
                running.attendance.seen()
            elif (stored := await self._store().task(task_id)) is not None and not stored.ended:
                await self._hold(stored)
            self._asked.pop(task_id, None)

    async def _hold(self, stored: StoredTask) -> None:
        """Take the place of a listener on a task's channel, unless somebody has it."""
        receipt = await self._probed(self._lines.line(stored.channel))
        if receipt is None:
            return
        if receipt.listening and stored.channel not in self._held:
            return
        self._held[stored.channel] = self._clock()  # first: a place that is taken is given back, whatever happens
        if not receipt.listening:
            await self._store().open(stored.channel, principal=stored.principal, listener=self._runner)

    async def _probed(self, line: Line) -> Appended | None:
        """What the store says of a channel; None where it does not know it."""
        receipts = deque[Appended](maxlen=1)
        line.on_receipt = receipts.append
        line.probe()
        await line.flushed()
        return receipts[0] if receipts else None

    async def _let_go(self, before: float) -> None:
        """Give back the places that are held since then."""
        for channel, since in list(self._held.items()):
            if since <= before:
                journal = self._workshop.journals.get(channel)
                if journal is None or journal.reader is None:
                    await self._store().leave(channel, self._runner)
                if self._held.get(channel) == since:
                    del self._held[channel]
