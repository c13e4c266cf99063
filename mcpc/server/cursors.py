"""How far the listeners of a store's channels have come that listen here: told to the store, for who writes elsewhere.

A writer in another process waits while a listener is a whole log behind what it was told. So much is told seldom,
for all channels together, and at once where a writer may wait for it. Knows nothing of bells.
"""

import logging
from collections.abc import Callable, Iterable, Mapping

import anyio

from mcpc.errors import StoreError
from mcpc.logs import logger_of
from mcpc.server.journal import Journal
from mcpc.server.journals import JournalTable
from mcpc.server.stored_journal import StoredJournal
from mcpc.store import Store

__all__ = ["Cursors"]

logger: logging.Logger = logger_of(__name__)

SENT_INTERVAL = 5.0
"""Seconds between two reports of what listeners were sent."""
FED_INTERVAL = 0.02
"""The same while writers at other processes may wait for that."""
RETRY = 0.5
"""Seconds before a store that was not there is told again."""


class Cursors:
    """The cursors of one process.

    Args:
        store: Gives the store.
        runner: The process, as the store knows it.
        journals: Where the journals stand.
    """

    def __init__(self, store: Callable[[], Store], runner: str, journals: JournalTable) -> None:
        self._store = store
        self._runner = runner
        self._journals = journals
        self._told: dict[str, int] = {}
        """What the store knows that listeners were sent, by channel."""
        self._awaited: dict[StoredJournal, None] = {}
        """Journals of which somebody may wait for word."""
        self._hurry = anyio.Event()

    def know(self, cursors: Mapping[str, int]) -> None:
        """The store has these, by channel."""
        self._told.update(cursors)

    def forget(self, journal: StoredJournal) -> None:
        """Nobody listens to it here any more."""
        self._told.pop(journal.key, None)
        self._awaited.pop(journal, None)

    def fed(self, journal: StoredJournal) -> None:
        """Another process wrote something: with half a log that the store does not know to be sent, it is told."""
        mailbox = journal.mailbox
        told = self._told.get(journal.key, 0)
        if mailbox.crowds_out(mailbox.max_messages // 2, mailbox.max_bytes // 2, told):
            self.hurry(journal)

    def hurry(self, journal: StoredJournal) -> None:
        """Somebody may wait for word of a journal."""
        if journal.reader is not None:
            self._awaited[journal] = None
            self._hurry.set()

    async def report_for_ever(self) -> None:
        """Tell the store: now and then, and often while others wait for that."""
        while True:
            if not self._awaited:
                self._hurry = anyio.Event()
                with anyio.move_on_after(SENT_INTERVAL):
                    await self._hurry.wait()
            await self._report_while_awaited(anyio.current_time() + SENT_INTERVAL)
            await self._report(self._journals)

    async def _report_while_awaited(self, until: float) -> None:
        while self._awaited and anyio.current_time() < until:
            await anyio.sleep(FED_INTERVAL)
            if not await self._report(self._awaited):
                await anyio.sleep(RETRY)  # it is away: often is for a store that hears it
            self._awaited = {journal: None for journal in self._awaited if self._is_behind(journal)}

    def _is_behind(self, journal: StoredJournal) -> bool:
        """Whether the reader of a journal is still to be sent something, or the store to be told."""
        return journal.reader is not None and self._told.get(journal.key, 0) < journal.mailbox.head

    async def _report(self, journals: Iterable[Journal]) -> bool:
        """Tell it once; whether the store was there to hear it."""
        cursors = {
            journal.key: journal.sent
            for journal in journals
            if journal.reader is not None and journal.sent > self._told.get(journal.key, 0)
        }
        if not cursors:
            return True
        try:
            await self._store().sent(self._runner, cursors)
            self.know(cursors)
        except StoreError as exc:
            logger.debug("the store was not told what was sent: %s", exc)
            return False
        return True
