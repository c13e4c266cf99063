"""Tasks of a store that nobody is there for any more: found, and stopped, by the process that runs them.

Only who has a task's claim can end it, so of several processes one does, once. Knows no store.
"""

from collections.abc import Callable, Collection

import anyio

from mcpc.server.failures import ABANDONED
from mcpc.server.stored_execution import StoredExecution
from mcpc.server.visits import look_interval

__all__ = ["Absences"]


class Absences:
    """The watch over the tasks that run here.

    Args:
        running: Gives them.
        patience: Seconds without anybody after which one is stopped; None for never.
    """

    def __init__(self, running: Callable[[], Collection[StoredExecution]], patience: float | None) -> None:
        self._running = running
        self._patience = patience

    async def look_for_ever(self) -> None:
        """Look, now and then."""
        while self._patience is not None:
            await anyio.sleep(look_interval(self._patience))
            self._look(self._patience)
        await anyio.sleep_forever()

    def _look(self, patience: float) -> None:
        watched = [running for running in self._running() if not running.stop.is_set()]
        for running in watched:
            if running.attendance.absence >= patience:
                running.stopped_as = ABANDONED
                running.stops()
        for attendance in {running.attendance for running in watched}:
            attendance.look()
