"""The one task that writes to the store: it takes what all lines have, appends it, and tells each what became of it.

One append is in flight at a time, so under load batches grow by themselves. What
has not landed is tried again for as long as it takes: the same entries, so
nothing lands twice. The writer never ends because of one bad batch.
"""

import logging
from collections.abc import Callable, Sequence

import anyio
from anyio.lowlevel import checkpoint

from mcpc.errors import StoreError
from mcpc.logs import logger_of
from mcpc.server.line import Line
from mcpc.store import Store
from mcpc.stored import Entry, Receipt

__all__ = ["Log"]

logger: logging.Logger = logger_of(__name__)

BATCH_ENTRIES = 256
"""Entries of one append at the most."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between two tries of the same append: the first, and at the most."""


class Log:
    """The writer of one process.

    Args:
        store: Gives the store.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._dirty: dict[Line, None] = {}
        self._came = anyio.Event()
        self._writing = anyio.Lock(fast_acquire=True)

    def note(self, line: Line) -> None:
        """A line has something to take."""
        self._dirty[line] = None
        if not self._came.is_set():
            self._came.set()

    async def flushed(self) -> None:
        """Wait until all that was said so far has landed, or never will."""
        while self._dirty:
            await next(iter(self._dirty)).flushed()
        async with self._writing:
            pass  # the append that was in flight has come back

    async def run(self) -> None:
        """Write, until cancelled."""
        while True:
            if not self._dirty:
                self._came = anyio.Event()
                await self._came.wait()
            await checkpoint()  # whoever else has something in this turn of the loop comes along
            async with self._writing:
                await self._write()

    async def _write(self) -> None:
        taken: list[tuple[Line, Entry]] = []
        while self._dirty and len(taken) < BATCH_ENTRIES:
            line = next(iter(self._dirty))
            del self._dirty[line]
            entry = line.take()
            if entry is not None:
                taken.append((line, entry))
        if not taken:
            return
        receipts = await self._append([entry for _, entry in taken])
        for (line, _), receipt in zip(taken, receipts, strict=True):
            try:
                line.settle(receipt)
            except Exception:
                logger.exception("what has landed could not be told")

    async def _append(self, batch: Sequence[Entry]) -> list[Receipt]:
        """Append, and again until the store says what became of it."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._store().append(batch)
            except StoreError as exc:
                if pause == FIRST_PAUSE:
                    logger.warning("the store took nothing; trying again: %s", exc)
            except Exception:
                logger.exception("the store took nothing; trying again")
            await anyio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)
