"""`Queue`: messages that wait for one reader, bounded in count and bytes, with a policy for when it is full.

Bytes are those that the messages came in: who puts a row of them says how many each
has. They are summed by rows, so that taking a message costs nothing for it.

Knows nothing of who reads. Where the policy is to take no more, the `Flow` is
told that there is no room here, and when there is some again.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, get_args

from mcpc.flow import Flow
from mcpc.messages import MCPCMessage, prompt_of

__all__ = [
    "DEFAULT_CAPACITY",
    "DEFAULT_CAPACITY_BYTES",
    "ListenerStats",
    "Overflow",
    "Queue",
    "TaskQueue",
    "is_update",
]

DEFAULT_CAPACITY = 10_000
"""Messages that wait for one async listener before its policy decides."""
DEFAULT_CAPACITY_BYTES = 64 * 1024 * 1024
"""Bytes of them. A single larger message still waits, alone."""

Overflow = Literal["coalesce", "block", "drop_oldest", "disconnect"]
"""What a full queue does with the next message:

- `coalesce`: of each task keep the newest waiting update, and all else. Where that frees nothing, as `block`.
- `block`: have the server send no more on this channel until there is room; it keeps them for us, and its tasks wait.
- `drop_oldest`: the oldest waiting message goes.
- `disconnect`: the listener is removed.
"""


_Row = tuple[int, int, int]
"""Messages that were put together: how many had been put with them, how many they are, bytes of each."""


@dataclass(slots=True)
class ListenerStats:
    """What became of a listener's messages."""

    delivered: int = 0
    dropped: int = 0
    """Given up by the policy (`coalesce` and `drop_oldest`)."""
    errors: int = 0
    """Calls that raised."""
    waiting: int = 0
    """In the queue now."""
    waiting_bytes: int = 0
    """Bytes that those came in."""
    disconnected: bool = False


def is_update(message: MCPCMessage) -> bool:
    """Whether a message is a task's mere update: it ends nothing, and asks nothing."""
    result = message.result
    # A full queue is gone through as a whole: what tells most of its messages apart is asked here, without a call.
    if message.event != "update" or message.type != "task":
        return False
    return type(result) is not dict or "prompt" not in result or prompt_of(message) is None


class Queue:
    """A bounded queue of messages with a policy for when it is full.

    Args:
        capacity: Messages that may wait.
        overflow: What happens when that many wait.
        flow: Told when there is no room here, and when there is some again.
        capacity_bytes: Bytes of messages that may wait; a single larger one still may.

    Raises:
        ValueError: a bound is not positive, or there is no such policy.
    """

    def __init__(
        self, capacity: int, overflow: Overflow, flow: Flow, capacity_bytes: int = DEFAULT_CAPACITY_BYTES
    ) -> None:
        if capacity < 1 or capacity_bytes < 1:
            raise ValueError("the capacity of a queue must be at least 1")
        if overflow not in get_args(Overflow):
            raise ValueError(f"overflow must be one of {', '.join(get_args(Overflow))}; got {overflow!r}")
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        self.overflow: Overflow = overflow
        self.counts: ListenerStats = ListenerStats()
        self._flow = flow
        self._items: deque[MCPCMessage] = deque()
        self._rows: deque[_Row] = deque()
        """What was put, by rows; those that were taken are at its left until somebody looks."""
        self._put = 0
        """How many messages were ever put."""
        self._size = 0
        """Bytes of all rows."""
        self._missing = 0
        """Bytes of the message for which there was no room."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def stats(self) -> ListenerStats:
        """A reading of the counters, taken now."""
        self.counts.waiting = len(self._items)
        self.counts.waiting_bytes = self.size
        return self.counts

    @property
    def size(self) -> int:
        """Bytes of the messages that wait."""
        taken, rows = self._put - len(self._items), self._rows
        while rows and rows[0][0] <= taken:
            _, count, each = rows.popleft()
            self._size -= count * each
        if not rows:
            return 0
        end, count, each = rows[0]
        return self._size - max(0, taken - (end - count)) * each

    def room(self, each: int = 0) -> int:
        """How many messages of `each` bytes could be put before the policy has to decide."""
        room = self.capacity - len(self._items)
        if room < 1 or self._size + room * each <= self.capacity_bytes:  # most often, without looking
            return room
        if not self._items:
            return min(room, max(1, self.capacity_bytes // each))
        return max(0, min(room, (self.capacity_bytes - self.size) // each)) if each else room

    def has_room(self, each: int = 0) -> bool:
        """Whether a message of `each` bytes could be put, with what the policy would do. Nothing is done yet."""
        if self.room(each) > 0 or self.overflow in ("drop_oldest", "disconnect"):
            return True
        if self.overflow == "block":
            return False
        if self.size + each <= self.capacity_bytes:
            return self._has_surplus()
        items, sizes = list(self._items), self._sizes()
        return sum(sizes[at] for at in self._coalesced(items)) + each <= self.capacity_bytes

    def takes(self, each: int = 0) -> bool:
        """`has_room`; where there is none, the flow stops until there is some."""
        if self.has_room(each):
            return True
        self._missing = each
        self._flow.full(self)
        return False

    def _has_surplus(self) -> bool:
        """Whether an update waits that has a newer one of the same task behind it."""
        seen: set[str | None] = set()
        for message in self._items:
            if is_update(message):
                if message.task_id in seen:
                    return True
                seen.add(message.task_id)
        return False

    def put(self, message: MCPCMessage, each: int = 0) -> bool:
        """Add a message of `each` bytes, where `takes` says so; False where the policy is to disconnect instead."""
        if self.room(each) < 1:
            if self.overflow == "disconnect":
                return False
            self._make_room(each)
        self._count(1, each)
        self._items.append(message)
        return True

    def put_row(self, messages: Sequence[MCPCMessage], each: int = 0) -> None:
        """Add messages of `each` bytes, for which there is `room`."""
        self._count(len(messages), each)
        self._items.extend(messages)

    def _count(self, count: int, each: int) -> None:
        """As many messages are put."""
        rows = self._rows
        if not self._items:
            rows.clear()
            rows.append((count, count, each))
            self._put, self._size = count, count * each
            return
        taken = self._put - len(self._items)
        while rows[0][0] <= taken:
            _, gone, of = rows.popleft()
            self._size -= gone * of
        self._put += count
        self._size += count * each
        rows.append((self._put, count, each))

    def _make_room(self, each: int) -> None:
        if self.overflow == "drop_oldest":
            while self._items and self.room(each) < 1:
                self._drop_oldest()
        else:
            self._coalesce()

    def _drop_oldest(self) -> MCPCMessage:
        self.counts.dropped += 1
        return self._items.popleft()

    def _coalesce(self) -> None:
        items, sizes = list(self._items), self._sizes()
        kept = self._coalesced(items)
        self.counts.dropped += len(items) - len(kept)
        self._items = deque(items[at] for at in kept)
        self._rows = deque((number, 1, sizes[at]) for number, at in enumerate(kept, 1))
        self._put, self._size = len(kept), sum(sizes[at] for at in kept)

    def _coalesced(self, items: list[MCPCMessage]) -> list[int]:
        """Where those stand that are left where of each task only the newest update is kept."""
        kept: list[int] = []
        seen: set[str | None] = set()
        for at in range(len(items) - 1, -1, -1):
            message = items[at]
            if is_update(message):
                if message.task_id in seen:
                    continue
                seen.add(message.task_id)
            kept.append(at)
        kept.reverse()
        return kept

    def _sizes(self) -> list[int]:
        """Bytes of each message that waits."""
        sizes: list[int] = []
        for _, count, each in self._rows:
            sizes.extend(repeat(each, count))
        return sizes[len(sizes) - len(self._items) :]

    def get(self) -> MCPCMessage:
        """Take the oldest message. Once it is half empty, what had stopped for want of room here goes on."""
        message = self._items.popleft()
        if self._flow.stopped and len(self._items) <= self.capacity // 2 and self.size <= self.capacity_bytes // 2:
            self._flow.drained(self)
        return message

    def let_go(self, each: int = 0) -> None:
        """Nobody reads now, but somebody waits for what comes last: where there is no room, the oldest messages go."""
        each = max(each, self._missing)
        if not self.has_room(each):
            while self._items and self.room(each) < 1:
                self._drop_oldest()
        self._missing = 0
        self._flow.drained(self)

    def close(self) -> None:
        """Nobody reads any more: what waits is dropped, and nothing waits for room here."""
        self._items.clear()
        self._rows.clear()
        self._size = 0
        self._flow.drained(self)


class TaskQueue(Queue):
    """A `Queue` for the messages of one task: it knows how many are no updates, so it need not look for them."""

    def __init__(
        self, capacity: int, overflow: Overflow, flow: Flow, capacity_bytes: int = DEFAULT_CAPACITY_BYTES
    ) -> None:
        super().__init__(capacity, overflow, flow, capacity_bytes)
        self._firm = 0
        """How many messages wait that are no mere updates."""

    def put(self, message: MCPCMessage, each: int = 0) -> bool:
        """See `Queue.put`."""
        if not super().put(message, each):
            return False
        self._firm += not is_update(message)
        return True

    def put_task_row(self, messages: Sequence[MCPCMessage], firm: int, each: int = 0) -> None:
        """See `Queue.put_row`; `firm` of them are no mere updates."""
        self._firm += firm
        self.put_row(messages, each)

    def get(self) -> MCPCMessage:
        """See `Queue.get`."""
        message = super().get()
        if self._firm:
            self._firm -= not is_update(message)
        return message

    def close(self) -> None:
        """See `Queue.close`."""
        self._firm = 0
        super().close()

    def _drop_oldest(self) -> MCPCMessage:
        message = super()._drop_oldest()
        self._firm -= not is_update(message)
        return message

    def _coalesced(self, items: list[MCPCMessage]) -> list[int]:
        if not is_update(items[-1]):
            return super()._coalesced(items)
        kept: list[int] = []
        for at, message in enumerate(items):  # most often the few that are no updates came first
            if len(kept) == self._firm:
                break
            if not is_update(message):
                kept.append(at)
        return [*kept, len(items) - 1]
