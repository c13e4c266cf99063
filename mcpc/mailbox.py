"""One channel's log of messages: numbered, bounded, and read again after any number.

Messages are bytes, encoded once. Numbers start at 1 and never repeat. When the
log is full the oldest message makes room. A terminal message (a task's last) is
set aside instead and stays readable, until its time to live ends or, once it has
been sent, until newer ones need the room.

No I/O and no clock: the time is passed in, in seconds.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["Batch", "Mailbox"]


COUNT_EVERY = 2048
"""Bytes by which a log grows before it is told to whoever counts all logs together."""


@dataclass(slots=True)  # not frozen: that makes one three times slower to make, and one is made for every write
class Batch:
    """Messages with contiguous numbers."""

    first: int
    messages: list[bytes]

    @property
    def last(self) -> int:
        """The number of the last message."""
        return self.first + len(self.messages) - 1


@dataclass(slots=True)
class _Kept:
    """A terminal message that the log has let go of."""

    data: bytes
    expires_at: float


class Mailbox:
    """A numbered, bounded log.

    Args:
        max_messages: How many messages the log holds.
        max_bytes: How many bytes of messages the log holds. A single larger message is still held, alone.
        max_kept: How many terminal messages are set aside when the log lets go of them.
        max_kept_bytes: How many bytes of them.
    """

    def __init__(
        self,
        *,
        max_messages: int = 10_000,
        max_bytes: int = 16 * 1024 * 1024,
        max_kept: int = 10_000,
        max_kept_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        if min(max_messages, max_bytes, max_kept, max_kept_bytes) < 1:
            raise ValueError("the bounds of a mailbox must be at least 1")
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.max_kept = max_kept
        self.max_kept_bytes = max_kept_bytes
        self.on_growth: Callable[[int], None] | None = None
        """Told how many bytes more are held than when it was told last; fewer where that is negative."""
        self.head: int = 0
        """The number of the newest message; 0 where there was none."""
        self.oldest: int = 1
        """The number from which the log is whole, up to `head`; `head + 1` where it is empty."""
        self.size: int = 0
        """Bytes of the messages in the log."""
        self.evicted: int = 0
        """How many messages were let go of (terminal ones set aside not counted)."""
        self.skipped: int = 0
        """How many numbers up to `head` never were a message's here (see `jump`)."""
        self._ring: list[bytes] = []
        """Message `n` is at `(n - 1) % max_messages`; it grows up to that length as messages come."""
        self._pins: dict[int, float] = {}  # terminal messages in the log: number -> when their time to live ends
        self.kept_size: int = 0
        """Bytes of the messages set aside."""
        self._counted = 0  # what was told to `on_growth`
        self._next_count = COUNT_EVERY  # the size of the log at which it is told again
        self._kept: dict[int, _Kept] = {}
        self._kept_numbers: list[int] = []

    @property
    def kept(self) -> int:
        """How many terminal messages are set aside."""
        return len(self._kept)

    def __len__(self) -> int:
        """How many messages the log holds (those set aside not counted)."""
        return self.head - self.oldest + 1

    def pushes_out(self, size: int, after: int) -> bool:
        """Whether appending a message of `size` bytes makes one go whose number is above `after`."""
        if after >= self.head:
            return False
        number = self.oldest
        surplus = self.size + size - self.max_bytes
        has_to_go = self.head - number + 1 >= self.max_messages
        # A message may be as large as many others, so more than one may have to go.
        while (has_to_go or surplus > 0) and number <= self.head:
            if number > after:
                return True
            surplus -= len(self._ring[(number - 1) % self.max_messages])
            has_to_go = False
            number += 1
        return False

    def append(self, data: bytes, sent: int = 0, *, expires_at: float | None = None) -> int:
        """Add a message and return its number.

        Args:
            data: The message, encoded.
            sent: The highest number that a listener was sent: set-aside messages up to it may be given up first.
            expires_at: For a terminal message: when its time to live ends. None for any other.
        """
        head, ring = self.head, self._ring
        place = head % self.max_messages
        if head - self.oldest + 1 >= self.max_messages and expires_at is None and not self._pins:
            # The usual case of a busy log, without a further call: the new one takes the place of the oldest.
            size = self.size + len(data) - len(ring[place])
            if size <= self.max_bytes:
                ring[place] = data
                self.size = size
                self.oldest += 1
                self.evicted += 1
                self.head = head = head + 1
                return head
        self._make_room(len(data), sent)
        if place == len(ring):
            ring.append(data)
        else:
            ring[place] = data
        self.size += len(data)
        self.head = head = head + 1
        if expires_at is not None:
            self._pins[head] = expires_at
        if self.size >= self._next_count:
            self.count()
        return head

    def count(self) -> None:
        """Tell how much more is held than when it was told last."""
        held = self.size + self.kept_size
        grown, self._counted = held - self._counted, held
        self._next_count = self.size + COUNT_EVERY
        if self.on_growth is not None and grown:
            self.on_growth(grown)

    def release(self) -> None:
        """Nobody counts it any more: what was told is taken back."""
        if self.on_growth is not None:
            self.on_growth(-self._counted)
            self.on_growth = None

    def clear(self) -> None:
        """Let go of all that it holds, terminal messages too: nobody reads it any more. Its numbers go on."""
        self.evicted += len(self) + self.kept
        self._ring, self._pins, self._kept, self._kept_numbers = [b""] * len(self._ring), {}, {}, []
        self.oldest, self.size, self.kept_size = self.head + 1, 0, 0

    def shrink(self, sent: int = 0) -> None:
        """Let go of the older half of the log."""
        goal = self.size // 2
        while self.size > goal:
            self._evict(sent)
        self.count()

    def jump(self, number: int, sent: int = 0) -> None:
        """Let the log go on above a number. What it holds makes room; what is between was never there."""
        if number <= self.head:
            return
        while len(self):
            self._evict(sent)
        self.skipped += number - self.head
        self.head, self.oldest = number, number + 1
        missing = number % self.max_messages - len(self._ring)
        self._ring.extend([b""] * missing)

    def keep(self, number: int, data: bytes, expires_at: float) -> None:
        """Set a terminal message aside that the log does not hold; numbers come in rising order."""
        if number < self.oldest and number not in self._kept:
            self._keep(number, _Kept(data, expires_at))

    def crowds_out(self, count: int, size: int, after: int) -> bool:
        """Whether appending `count` messages of `size` bytes in all makes one go whose number is above `after`.

        Also where they alone are more than a log.
        """
        unread = self.head - max(after, self.oldest - 1)
        if unread < 1:
            return count > self.max_messages
        if unread + count > self.max_messages:
            return True
        if self.size + size <= self.max_bytes:
            return False  # most often; else it is asked how much of what is here is unread
        ring, first = self._ring, self.head - unread
        kept = sum(len(ring[place % self.max_messages]) for place in range(first, self.head))
        return kept + size > self.max_bytes

    def _make_room(self, size: int, sent: int) -> None:
        if self.head - self.oldest + 1 >= self.max_messages:
            self._evict(sent)
        while self.size + size > self.max_bytes and len(self):
            self._evict(sent)

    def _evict(self, sent: int) -> None:
        number, ring = self.oldest, self._ring
        place = (number - 1) % self.max_messages
        data, ring[place] = ring[place], b""
        self.oldest = number + 1
        self.size -= len(data)
        if self._pins and (expires_at := self._pins.pop(number, None)) is not None:
            self._set_aside(number, _Kept(data, expires_at), sent)
        else:
            self.evicted += 1

    def _set_aside(self, number: int, message: _Kept, sent: int) -> None:
        self._keep(number, message)
        gone = 0
        while self._kept_is_full(gone) and gone < len(self._kept_numbers) and self._kept_numbers[gone] <= sent:
            self.kept_size -= len(self._kept.pop(self._kept_numbers[gone]).data)
            gone += 1
        del self._kept_numbers[:gone]
        self.evicted += gone

    def _keep(self, number: int, message: _Kept) -> None:
        self._kept[number] = message
        self._kept_numbers.append(number)  # they are set aside in rising order
        self.kept_size += len(message.data)

    def _kept_is_full(self, gone: int) -> bool:
        return len(self._kept_numbers) - gone > self.max_kept or self.kept_size > self.max_kept_bytes

    def crowded(self, sent: int) -> bool:
        """Whether as many terminal messages as may be set aside wait for a first reading; no task should start then.

        Args:
            sent: The highest number that a listener was sent.
        """
        unread = self._kept_numbers[bisect_right(self._kept_numbers, sent) :]
        if len(unread) >= self.max_kept:
            return True
        return self.kept_size >= self.max_kept_bytes <= sum(len(self._kept[number].data) for number in unread)

    def expire(self, now: float) -> None:
        """Let go of set-aside messages whose time to live has ended by `now`."""
        gone = [n for n, message in self._kept.items() if message.expires_at <= now]
        for number in gone:
            self.kept_size -= len(self._kept.pop(number).data)
        self.evicted += len(gone)
        self._kept_numbers = list(self._kept)
        self.count()

    def acknowledge(self, number: int) -> None:
        """The listener has everything up to `number`: set-aside messages up to it can go."""
        count = bisect_right(self._kept_numbers, number)
        for kept in self._kept_numbers[:count]:
            self.kept_size -= len(self._kept.pop(kept).data)
        del self._kept_numbers[:count]

    def read(self, after: int, *, max_messages: int, max_bytes: int) -> Batch | None:
        """The next messages after number `after`, or None where there are none.

        At least one message, at most `max_messages`, and no more than `max_bytes` unless the first alone is larger.
        A batch that does not start at `after + 1` follows a gap.
        """
        if self._kept_numbers and after < self._kept_numbers[-1]:  # seldom: a reader is ahead of all of them
            kept = self._kept_numbers[bisect_right(self._kept_numbers, after)]
            return Batch(kept, [self._kept[kept].data])
        start, head = max(after + 1, self.oldest), self.head
        if start > head:
            return None
        messages = self._slice(start, min(head, start + max_messages - 1))
        return Batch(start, messages if self.size <= max_bytes else self._within(messages, max_bytes))

    def _slice(self, first: int, last: int) -> list[bytes]:
        """The messages `first` to `last` of the log."""
        begin, end = (first - 1) % self.max_messages, (last - 1) % self.max_messages + 1
        return self._ring[begin:end] if begin < end else self._ring[begin:] + self._ring[:end]

    def _within(self, messages: list[bytes], max_bytes: int) -> list[bytes]:
        """As many of the first messages as `max_bytes` hold, but at least one."""
        if len(messages) == 1:
            return messages
        fit = bisect_right(list(accumulate(map(len, messages))), max_bytes)
        return messages if fit >= len(messages) else messages[: max(1, fit)]
