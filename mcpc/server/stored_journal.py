"""A client's journal whose truth is in the store: its mailbox is a cache of the newest messages.

What is posted waits in a line; a listener is shown it once the store has
acknowledged it, so no number is ever shown and lost.
"""

from collections.abc import Callable, Hashable, Sequence

import anyio
from anyio.lowlevel import checkpoint

from mcpc.mailbox import Mailbox
from mcpc.server.attendance import Attendance
from mcpc.server.journal import YIELD_EVERY, Journal
from mcpc.server.limits import Limits
from mcpc.server.line import Line, Pool
from mcpc.server.pressure import Pressure
from mcpc.server.reader import Reader
from mcpc.store import Store
from mcpc.stored import Appended, ChannelState, Page

__all__ = ["StoredJournal"]

MAX_WAITING = 2048
MAX_WAITING_BYTES = 4 * 1024 * 1024
"""Messages of a journal, and bytes, that may wait for the store; over it senders wait."""
PROBE_INTERVAL = 0.02
"""Seconds between two questions to the store, while somebody waits for a reader at another process."""
READ_MESSAGES = 2048
READ_BYTES = 4 * 1024 * 1024
"""Of one reading of the store."""

_TERMINAL = (b'"event":"complete"', b'"event":"failed"')
_HEAD = 80
"""Bytes of a message in which its event stands."""


class _Backlog:
    """A journal and who reads it, here or at another process."""

    def __init__(self, journal: "StoredJournal") -> None:
        self._journal = journal

    @property
    def mailbox(self) -> Mailbox:
        """What was sent."""
        return self._journal.mailbox

    @property
    def reader(self) -> Reader | None:
        """Who reads it now."""
        return self._journal.reader or self._journal.elsewhere


class _StoredPressure(Pressure):
    """The same rule, with what waits for the store added, and for readers at other processes too."""

    def __init__(self, journal: "StoredJournal", stall_timeout: float) -> None:
        super().__init__(_Backlog(journal), stall_timeout)
        self._journal = journal

    async def room_for(self, size: int) -> None:
        """See `Pressure.room_for`. How far a reader at another process has come is asked of the store."""
        if self._journal.reader is not None or self._journal.elsewhere is None:
            await super().room_for(size)
        elif self.waiting or self.must_wait(size):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._ask_for_ever)
                await super().room_for(size)
                tasks.cancel_scope.cancel()

    async def _ask_for_ever(self) -> None:
        while True:
            self._journal.line.probe()
            await anyio.sleep(PROBE_INTERVAL)

    def must_wait(self, size: int) -> bool:
        """Whether the reader would lose a message once this one, and those before it, have landed."""
        journal = self._journal
        reader = journal.reader or journal.elsewhere
        if reader is None or reader.stalled or reader.ended.is_set():
            return False
        return journal.mailbox.crowds_out(journal.pool.count + 1, journal.pool.size + size, reader.cursor)


class StoredJournal(Journal):
    """One channel of the store.

    Args:
        channel: The channel, as the store knows it.
        principal: Whose it is.
        limits: The server's.
        clock: Gives the time, in seconds; nobody sets it.
        note: Tells the log that a line has something to take.
    """

    def __init__(
        self,
        channel: str,
        principal: Hashable | None,
        limits: Limits,
        clock: Callable[[], float],
        note: Callable[[Line], None],
    ) -> None:
        super().__init__(channel, principal, limits, clock)
        self.elsewhere: Reader | None = None
        """Who listens at another process, as far as the store has told."""
        self.pressure: Pressure = _StoredPressure(self, limits.stall_timeout)
        self._waiting = self.pressure.waiting
        self.pool: Pool = Pool()
        """What waits for the store."""
        self.line: Line = Line(channel, self.pool, note, self.landed, self.head)
        """For what is no stored task's: server events, tasks in the originals' way."""
        self.line.on_receipt = self.told
        self.attendance: Attendance = Attendance(clock, self.line.probe, lambda: self.reader is not None)
        """Whether somebody is there for its tasks."""
        self.on_behind: Callable[[StoredJournal], None] = lambda journal: None
        """Called when the store has messages that are not here."""
        self.opening: anyio.Lock = anyio.Lock()
        """Held while it is read for the first time."""
        self.is_open = False
        """Whether it has been read."""
        self._ttl = limits.task_ttl
        self.is_here_only = False

    # --- what waits for the store ---

    def head(self) -> int:
        """The highest number that is known here."""
        return self.mailbox.head

    def post(self, data: bytes, *, expires_at: float | None = None) -> None:
        """Add a message that is no stored task's. Never waits."""
        self.line.put(data)

    def offer(self, data: bytes) -> bool:
        """The same, if nobody has to wait for that."""
        if not self.has_room(len(data)):
            return False
        self.line.put(data)
        return True

    async def post_with_pressure(self, data: bytes) -> None:
        """The same, when there is room."""
        await self.room(len(data))
        self.line.put(data)

    @property
    def _is_full(self) -> bool:
        return self.pool.count >= MAX_WAITING or self.pool.size > MAX_WAITING_BYTES

    def has_room(self, size: int) -> bool:
        """Whether a message of `size` bytes may be sent at once."""
        self._posted += 1
        if self._posted >= YIELD_EVERY or self._waiting:
            return False
        if self._is_full:
            return False
        return not self.pressure.must_wait(size)

    async def room(self, size: int) -> None:
        """Wait until a message of `size` bytes may be sent."""
        while self._is_full:
            await self.pool.shrinks()
        await self.pressure.room_for(size)
        if self._posted >= YIELD_EVERY:
            self._posted = 0
            await checkpoint()

    # --- what has landed ---

    def landed(self, first: int, messages: list[bytes], is_end: bool) -> None:
        """Messages of ours have landed; others' may be between."""
        self.touched: float = self._clock()
        if first != self.mailbox.head + 1:
            self.on_behind(self)
            return
        for message in messages[:-1] if is_end else messages:
            self.mailbox.append(message, self.sent)
        if is_end:
            self.mailbox.append(messages[-1], self.sent, expires_at=self._clock() + self._ttl)
        self._ring()

    def told(self, receipt: Appended) -> None:
        """How far the store says that those who listen have come: it counts where nobody listens here."""
        self.attendance.told(receipt)
        reader = self.elsewhere
        if self.reader is not None or not receipt.listening:
            if reader is not None:
                self.elsewhere = None
                self.pressure.give_all()
        elif reader is None:
            self.elsewhere = Reader(receipt.cursor)
        elif receipt.cursor > reader.cursor:
            reader.cursor = receipt.cursor
            reader.sent(more=True)
            self.pressure.made_room()

    def leave(self, reader: Reader) -> None:
        """See `Journal.leave`."""
        super().leave(reader)
        self.attendance.seen()

    def _ring(self) -> None:
        reader = self.reader
        if reader is not None and not reader.awake:
            reader.wake()

    def begin(self, state: ChannelState) -> None:
        """The channel as the store has it, before anything was read."""
        self.epoch: str = state.epoch
        self.sent: int = state.cursor
        self.elsewhere = Reader(state.cursor)  # perhaps: the first receipt tells

    def hear(self, last: int, messages: Sequence[bytes]) -> bool:
        """A bell told of messages up to `last`, and brought some; whether there is nothing to be read."""
        head = self.mailbox.head
        if not 0 < last <= head:
            if last - len(messages) > head or not messages:
                return False
            self._extend(messages[head + len(messages) - last :])
            self._ring()
        return True

    async def catch_up(self, store: Store) -> None:
        """Read what the store has and the mailbox has not.

        Raises:
            StoreError: it cannot be read now.
        """
        after = self.mailbox.head
        while True:
            page = await store.read(self.key, after, max_messages=READ_MESSAGES, max_bytes=READ_BYTES)
            if page is None:
                return
            after = page.last
            self._add(page)
            self._ring()

    def _add(self, page: Page) -> None:
        """A page of the store. What has landed here meanwhile is left out."""
        expires_at = self._clock() + self._ttl
        if page.first < page.oldest and page.last < page.oldest and len(page.messages) == 1:
            self.mailbox.jump(page.last)
            self.mailbox.keep(page.first, page.messages[0], expires_at)
            return
        skip = max(0, self.mailbox.head + 1 - page.first)
        self.mailbox.jump(page.first - 1, self.sent)
        self._extend(page.messages[skip:])

    def _extend(self, messages: Sequence[bytes]) -> None:
        """The next messages of the store's log."""
        expires_at = self._clock() + self._ttl
        for message in messages:
            head = message[:_HEAD]
            is_terminal = any(event in head for event in _TERMINAL)
            self.mailbox.append(message, self.sent, expires_at=expires_at if is_terminal else None)
