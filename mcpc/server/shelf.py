"""The journals that are here of a store's channels: opened when they are used, and read up to date.

Knows nothing of tasks.
"""

import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Hashable, Sequence
from contextlib import contextmanager
from typing import Any

import anyio

from mcpc.errors import MCPCError, StoreError
from mcpc.logs import logger_of
from mcpc.server.cursors import Cursors
from mcpc.server.journals import JournalTable
from mcpc.server.stored_journal import StoredJournal
from mcpc.server.stored_states import principal_text
from mcpc.store import Store
from mcpc.stored import Change, ChannelState, Place

__all__ = ["Shelf"]

logger: logging.Logger = logger_of(__name__)

COMPARED_AT_ONCE = 100
"""Channels that the store is asked about in one call."""
READERS = 16
"""Channels that are read at the same time."""
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
        self.cursors: Cursors = Cursors(store, runner, journals)
        self._rang: dict[str, None] = {}
        """Channels that are to be read."""
        self._came = anyio.Event()
        self._expected: Counter[str] = Counter()
        """Listeners of each channel that are about to be here."""
        self._unleft: dict[str, StoredJournal] = {}
        """Journals that nobody listens to here any more, of which the store could not be told."""
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
        self.cursors.know({journal.key: state.cursor})
        await journal.catch_up(self._store())
        journal.mailbox.jump(state.head)

    @contextmanager
    def expecting(self, channel: str) -> Generator[None]:
        """Meanwhile somebody is about to listen here: who leaves the channel does not take their place with them."""
        self._expected[channel] += 1
        try:
            yield
        finally:
            self._expected[channel] -= 1
            if not self._expected[channel]:
                del self._expected[channel]

    def is_listened_to(self, channel: str) -> bool:
        """Whether somebody listens to it here, or is about to."""
        journal = self._journals.get(channel)
        return channel in self._expected or (journal is not None and journal.reader is not None)

    def left(self, journal: StoredJournal) -> None:
        """A listener has gone from here, or does not come although it was expected."""
        if not self.is_listened_to(journal.key):
            self.cursors.forget(journal)
            self._spawn(lambda: self._leave(journal))

    async def _leave(self, journal: StoredJournal) -> None:
        if await self._gave_up_place(journal):
            return
        self._unleft[journal.key] = journal
        if len(self._unleft) == 1:
            self._spawn(self._leave_the_rest)

    async def _leave_the_rest(self) -> None:
        """A place that is kept for nobody keeps its tasks running for nobody: the store is told once it listens."""
        while self._unleft:
            key, journal = next(iter(self._unleft.items()))
            if await self._gave_up_place(journal):
                self._unleft.pop(key, None)
            else:
                await anyio.sleep(RETRY)

    async def _gave_up_place(self, journal: StoredJournal) -> bool:
        """Tell the store that nobody listens here, if nobody does; False where it is to be told again."""
        try:
            if not self.is_listened_to(journal.key):
                await self._store().sent(self._runner, {journal.key: journal.sent})
            if not self.is_listened_to(journal.key) and not self._stays(journal.key):
                await self._store().leave(journal.key, self._runner)
        except StoreError as exc:
            logger.debug("the store was not told that a listener has gone: %s", exc)
            return False
        except MCPCError as exc:  # it is closed
            logger.debug("the store is told of no listener that has gone: %s", exc)
        return True

    # --- up to date ---

    def hear(self, bell: Change) -> None:
        """Another process has written to a channel, or waits for whoever listens to it."""
        journal = self.get(bell.subject)
        if journal is None:
            return
        if journal.hear(bell.last, bell.messages):
            self.cursors.fed(journal)
        else:
            self._rang[journal.key] = None
            self._came.set()

    async def read_for_ever(self) -> None:
        """Read the channels of which a bell has not brought all there is."""
        while True:
            await self._came.wait()
            self._came = anyio.Event()
            rang, self._rang = self._rang, {}
            readers = anyio.CapacityLimiter(READERS)
            async with anyio.create_task_group() as tasks:
                for channel in rang:
                    tasks.start_soon(self._look, channel, readers)

    async def _look(self, channel: str, readers: anyio.CapacityLimiter) -> None:
        """The store may have messages of a channel that are not here."""
        async with readers:
            journal = self.get(channel)
            if journal is None:
                return
            try:
                await journal.catch_up(self._store())
            except MCPCError as exc:
                logger.warning("a channel could not be read from the store: %s", exc)
            self.cursors.hurry(journal)

    async def look_at_all(self) -> None:
        """The store may have messages of any channel that somebody listens to here.

        Raises:
            StoreError: it cannot be read.
        """
        listened = [each for each in self._journals if each.reader is not None]
        known = [each for each in listened if isinstance(each, StoredJournal) and each.is_open]
        for start in range(0, len(known), COMPARED_AT_ONCE):
            await self._compare(known[start : start + COMPARED_AT_ONCE])

    async def _compare(self, journals: Sequence[StoredJournal]) -> None:
        """Say again who listens here, and that the store has the numbers that are known here: it may have lost them.

        Raises:
            StoreError: the store cannot be told.
        """
        places = {
            journal.key: Place(principal_text(journal.principal), journal.sent, journal.epoch) for journal in journals
        }
        heads = [journal.mailbox.head for journal in journals]
        states = await self._store().listen(self._runner, places)
        for journal, head in zip(journals, heads, strict=True):
            if self._journals.get(journal.key) is journal:
                self._settle(journal, head, states[journal.key])

    def _settle(self, journal: StoredJournal, head: int, state: ChannelState | None) -> None:
        """What the store has of a journal, and the number that was known here before it was asked."""
        reader = journal.reader
        if state is None or state.epoch != journal.epoch:
            self._journals.drop(journal)
            if reader is not None:
                journal.leave(reader)  # its client listens anew, and is told that the log is another
            return
        if reader is None:
            self.left(journal)  # it left while the store was told that it listens
            return
        self.cursors.know({journal.key: state.cursor})
        if state.head > journal.mailbox.head:
            self._rang[journal.key] = None
            self._came.set()
        elif state.head < head:
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
