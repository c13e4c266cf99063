"""The journals that are here of a store's channels: opened when they are used, and read up to date.

Knows nothing of tasks.
"""

import logging
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any

import anyio

from mcpc.errors import MCPCError, StoreError
from mcpc.logs import logger_of
from mcpc.server.journal import Journal
from mcpc.server.journals import JournalTable
from mcpc.server.stored_journal import StoredJournal
from mcpc.server.stored_states import principal_text
from mcpc.store import Store

__all__ = ["Shelf"]

logger: logging.Logger = logger_of(__name__)

SENT_INTERVAL = 1.0
"""Seconds between two reports of what listeners were sent."""
FED_INTERVAL = 0.02
"""The same while other processes write what they are sent."""
LARGEST_NUMBER = 1 << 53
"""No message's number is above: JSON readers would round it. A listener that knows a larger one is mistaken."""
RETRY = 0.5
"""Seconds before the store is asked again for what it could not tell."""


class Shelf:
    """The journals of one process.

    Args:
        store: Gives the store.
        runner: The process, as the store knows it.
        journals: Where the journals stand.
        spawn: Runs something in the background.
        stays: Told when a listener has gone; whether its place is held for a while all the same.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        runner: str,
        journals: JournalTable,
        spawn: Callable[[Callable[[], Coroutine[Any, Any, None]]], None],
        stays: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._runner = runner
        self._journals = journals
        self._spawn = spawn
        self._stays = stays
        self._told: dict[str, int] = {}
        """What the store was told that listeners were sent, by channel."""
        self._fed: dict[StoredJournal, None] = {}
        """Journals whose readers are sent what other processes write: those wait for word of how far they have come."""
        self._hurry = anyio.Event()
        self._behind: set[StoredJournal] = set()
        """Journals that are being read up to date."""

    async def open(
        self, channel: str, principal: Hashable | None, session_id: str, client: Hashable | None = None
    ) -> StoredJournal | None:
        """The journal of a channel; None where it is another principal's.

        Raises:
            MCPCError, StoreError: there are too many; the store cannot tell.
        """
        journal = self._journals.open(channel, principal, client)
        if journal is None:
            return None
        assert isinstance(journal, StoredJournal)
        try:
            async with journal.opening:
                is_known = not session_id or session_id in journal.sessions
                if journal.is_open and is_known:
                    return journal
                if not await self._open(journal, session_id or None):
                    self._journals.drop(journal)
                    return None
        except BaseException:
            if not journal.is_open:
                self._journals.drop(journal)
            raise
        if session_id:
            journal.name_session(session_id)
        return journal

    def get(self, channel: str) -> StoredJournal | None:
        """The journal of a channel, if it is here and has been read."""
        journal = self._journals.get(channel)
        return journal if isinstance(journal, StoredJournal) and journal.is_open else None

    async def _open(self, journal: StoredJournal, session_id: str | None) -> bool:
        principal = principal_text(journal.principal)
        state = await self._store().open(journal.key, principal=principal, session=session_id)
        if state is None:
            return False
        if not journal.is_open:
            journal.begin(state)
            await journal.catch_up(self._store())
            journal.mailbox.jump(state.head)
            journal.on_behind = self._fell_behind
            journal.is_open = True
        return True

    async def expect_listener(self, journal: StoredJournal, after: int, epoch: str | None) -> None:
        """Somebody is about to listen here.

        Raises:
            StoreError: the store cannot be told.
        """
        after = after if after < LARGEST_NUMBER else 0
        principal = principal_text(journal.principal)
        state = await self._store().open(
            journal.key, principal=principal, listener=self._runner, after=after, epoch=epoch
        )
        if state is None:
            raise MCPCError("unknown channel")
        if state.epoch != journal.epoch:
            self._journals.drop(journal)
            raise StoreError("the store has lost this channel; listen again")
        await journal.catch_up(self._store())
        journal.mailbox.jump(state.head)

    def left(self, journal: StoredJournal) -> None:
        """A listener has gone from here."""
        if journal.reader is None:
            self._told.pop(journal.key, None)
            self._spawn(lambda: self._leave(journal))

    async def _leave(self, journal: StoredJournal) -> None:
        try:
            await self._store().sent(self._runner, {journal.key: journal.sent})
            if journal.reader is None and not self._stays(journal.key):
                await self._store().leave(journal.key, self._runner)
        except MCPCError as exc:
            logger.debug("the store was not told that a listener has gone: %s", exc)

    # --- up to date ---

    async def look(self, channel: str) -> None:
        """The store may have messages of a channel that are not here.

        Raises:
            StoreError: it cannot be read.
        """
        journal = self.get(channel)
        if journal is not None:
            await journal.catch_up(self._store())
            if journal.reader is not None:
                self._fed[journal] = None
                self._hurry.set()

    async def look_at_all(self) -> None:
        """It may have some of any channel that somebody listens to here.

        Raises:
            StoreError: it cannot be read.
        """
        for journal in [each for each in self._journals if each.reader is not None]:
            if isinstance(journal, StoredJournal) and journal.is_open:
                await self._compare(journal)

    async def _compare(self, journal: StoredJournal) -> None:
        """Say again who listens here, and that the store has the numbers that are known here: it may have lost them.

        Raises:
            StoreError: the store cannot be told.
        """
        state = await self._store().open(
            journal.key,
            principal=principal_text(journal.principal),
            listener=self._runner,
            after=journal.sent,
            epoch=journal.epoch,
        )
        if state is None or state.epoch != journal.epoch:
            self._journals.drop(journal)
            if journal.reader is not None:
                journal.leave(journal.reader)  # its client listens anew, and is told that the log is another
        elif state.head > journal.mailbox.head:
            await self.look(journal.key)
        elif state.head < journal.mailbox.head:
            journal.line.probe()  # which raises the store's head to the one here

    def _fell_behind(self, journal: StoredJournal) -> None:
        if journal not in self._behind:
            self._behind.add(journal)
            self._spawn(lambda: self._catch_up(journal))

    async def _catch_up(self, journal: StoredJournal) -> None:
        while True:
            try:
                await journal.catch_up(self._store())
                break
            except StoreError as exc:
                logger.warning("messages could not be read from the store; trying again: %s", exc)
            except MCPCError:
                break  # closed
            await anyio.sleep(RETRY)
        self._behind.discard(journal)

    async def report_for_ever(self) -> None:
        """Tell the store what listeners were sent: now and then, and often while others wait for that."""
        while True:
            if not self._fed:
                self._hurry = anyio.Event()
                with anyio.move_on_after(SENT_INTERVAL):
                    await self._hurry.wait()
            await self._report_while_fed(anyio.current_time() + SENT_INTERVAL)
            await self._report(self._journals)

    async def _report_while_fed(self, until: float) -> None:
        while self._fed and anyio.current_time() < until:
            await anyio.sleep(FED_INTERVAL)
            if not await self._report(self._fed):
                await anyio.sleep(RETRY)  # it is away: often is for a store that hears it
            self._fed = {journal: None for journal in self._fed if self._is_behind(journal)}

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
            self._told.update(cursors)
        except StoreError as exc:
            logger.debug("the store was not told what was sent: %s", exc)
            return False
        return True
