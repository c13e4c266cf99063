"""What one task, or the server itself, says on one channel, until the store has acknowledged it.

A line is one writer of the store's: its entries have a sequence of their own. It
collects without waiting; the log (`log`) takes what has come together as one
entry. Knows nothing of workers, listeners or the wire.
"""

import secrets
from collections.abc import Callable
from typing import Literal

import anyio

from mcpc.stored import Appended, Claim, Entry, Receipt, Refused

__all__ = ["BATCH_BYTES", "BATCH_MESSAGES", "Landed", "Line", "Pool"]

BATCH_MESSAGES = 512
"""Messages of one entry at the most."""
BATCH_BYTES = 128 * 1024
"""Bytes of messages of one entry at the most, unless the first message alone is larger."""

Landed = Callable[[int, list[bytes], bool], None]
"""Told of messages that landed: the number of the first, the messages, and whether the last one is a terminal one."""


class Pool:
    """What waits for the store on one channel, of all its lines together."""

    def __init__(self) -> None:
        self.count: int = 0
        """Messages, those in flight too."""
        self.size: int = 0
        """Bytes of them."""
        self._shrunk = anyio.Event()

    def add(self, count: int, size: int) -> None:
        """So many came, or, below nothing, went."""
        self.count += count
        self.size += size
        if count < 0 and not self._shrunk.is_set():
            self._shrunk.set()

    async def shrinks(self) -> None:
        """Wait until some have gone."""
        if self._shrunk.is_set():  # else others wait for it
            self._shrunk = anyio.Event()
        await self._shrunk.wait()


class Line:
    """One writer on one channel.

    Args:
        channel: The channel, as the store knows it.
        pool: What waits on the channel.
        note: Called when there is something to take.
        landed: Told what has landed.
        known: Gives the highest number of the channel that is known here.
    """

    def __init__(
        self,
        channel: str,
        pool: Pool,
        note: Callable[["Line"], None],
        landed: Landed,
        known: Callable[[], int],
    ) -> None:
        self.channel = channel
        self.claim: Claim | None = None
        """The right to write for a task; None for what is no task's."""
        self.on_lost: Callable[[], None] = lambda: None
        """Called once, if the store lets nothing more of it through."""
        self.on_receipt: Callable[[Appended], None] = lambda receipt: None
        """Called with what the store says of each entry that landed."""
        self._on_state: Callable[[], None] = lambda: None
        self.is_lost = False
        self.changed = False
        """Whether the task's state has changed since the last entry."""
        self.taken = 0
        """The number of the last signal that the worker has taken."""
        self._pool = pool
        self._note = note
        self._landed = landed
        self._known = known
        self._state: Callable[[], bytes] | None = None
        self._writer = secrets.token_hex(8)
        self._seq = 0
        self._messages: list[bytes] = []
        self._probes = False
        self._checkpoint: bytes | None = None
        self._end: Literal["complete", "failed"] | None = None
        self._taken_told = 0
        self._in_flight: Entry | None = None
        self._settled = anyio.Event()

    def follow(self, state: Callable[[], bytes], landed: Callable[[], None]) -> None:
        """The line is a task's: what gives its state, encoded, and what is called when one has landed."""
        self._state, self._on_state = state, landed

    def again(self) -> "Line":
        """A new writer in place of this one, which says nothing more, with the same claim."""
        line = Line(self.channel, self._pool, self._note, self._landed, self._known)
        line.claim, line.on_receipt = self.claim, self.on_receipt
        line._state, line._on_state = self._state, self._on_state
        return line

    # --- what is said ---

    def put(self, data: bytes) -> None:
        """A message."""
        self._messages.append(data)
        self._pool.add(1, len(data))
        self.changed = self._state is not None
        self._note(self)

    def end(self, data: bytes | None, event: Literal["complete", "failed"]) -> None:
        """The task ends, with this message if it has any."""
        if data is not None:
            self.put(data)
        self._end = event
        self.change()

    def probe(self) -> None:
        """Ask the store, by an entry without messages, how far those who listen have come."""
        self._probes = True
        self._note(self)

    def change(self) -> None:
        """The task's state has changed."""
        self.changed = self._state is not None
        self._note(self)

    async def checkpoint(self, value: bytes) -> None:
        """From here the task may be resumed; waits until that is durable, and all that was said before."""
        self._checkpoint = value
        self.change()
        await self.flushed()

    async def flushed(self) -> None:
        """Wait until all that was said has landed, or never will."""
        while not self.is_lost and self.is_dirty:
            if self._settled.is_set():  # else others wait for it
                self._settled = anyio.Event()
            await self._settled.wait()

    @property
    def is_dirty(self) -> bool:
        """Whether something has not landed."""
        waits = bool(self._messages) or self.changed or self._checkpoint is not None or self._end is not None
        return waits or self._in_flight is not None or self._probes or self.taken > self._taken_told

    # --- what lands ---

    def take(self) -> Entry | None:
        """What waits, as the next entry; None where nothing does, or an entry is in flight."""
        if self._in_flight is not None or self.is_lost or not self.is_dirty:
            return None
        messages = self._cut()
        is_last = not self._messages
        self._in_flight = Entry(
            self.channel,
            self._writer,
            self._seq + 1,
            messages,
            known=self._known(),
            claim=self.claim,
            state=self._state() if self.changed and self._state is not None else None,
            end=self._end if is_last else None,
            checkpoint=self._checkpoint if is_last else None,
            taken=self.taken,
        )
        self.changed: bool = False
        self._probes = False
        self._taken_told = self.taken
        if is_last:
            self._checkpoint = self._end = None
        return self._in_flight

    def _cut(self) -> list[bytes]:
        """The first of the messages that wait, as many as one entry may have."""
        size = 0
        for count, message in enumerate(self._messages):
            size += len(message)
            if count and (count >= BATCH_MESSAGES or size > BATCH_BYTES):
                cut, self._messages = self._messages[:count], self._messages[count:]
                return cut
        cut, self._messages = self._messages, []
        return cut

    def settle(self, receipt: Receipt) -> None:
        """What became of the entry in flight."""
        entry = self._in_flight
        assert entry is not None
        self._in_flight = None
        self._pool.add(-len(entry.messages), -sum(map(len, entry.messages)))
        if isinstance(receipt, Appended):
            self._seq = entry.seq
            self.on_receipt(receipt)
            if entry.messages:
                self._landed(receipt.first, list(entry.messages), entry.end is not None)
            if entry.state is not None:
                self._on_state()
        elif isinstance(receipt, Refused) and receipt.after is not None and receipt.after < self._seq:
            self._begin_anew(entry)
        else:
            self.lose()
        self._settled.set()
        if self.is_dirty and not self.is_lost:
            self._note(self)

    def _begin_anew(self, entry: Entry) -> None:
        """The store has lost entries of ours that had landed: what did not land is said again, by a new writer."""
        self._writer, self._seq = secrets.token_hex(8), 0
        self._messages[:0] = entry.messages
        self._pool.add(len(entry.messages), sum(map(len, entry.messages)))
        self.changed: bool = self.changed or entry.state is not None
        self._checkpoint = entry.checkpoint if self._checkpoint is None else self._checkpoint
        self._end = entry.end or self._end
        self._taken_told = 0
        self._probes = True  # also where the entry had nothing but what it knows

    def lose(self) -> None:
        """The store lets nothing more of it through."""
        if self.is_lost:
            return
        self.is_lost: bool = True
        self._pool.add(-len(self._messages), -sum(map(len, self._messages)))
        self._messages.clear()
        self._settled.set()
        self.on_lost()
