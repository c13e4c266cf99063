"""`Queue`: messages that wait for one reader, bounded, with a policy for when it is full.

Knows nothing of who reads. Where the policy is to take no more, the `Flow` is
told that there is no room here, and when there is some again.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from mcpc.flow import Flow
from mcpc.messages import MCPCMessage, prompt_of

__all__ = ["DEFAULT_CAPACITY", "ListenerStats", "Overflow", "Queue", "TaskQueue", "is_update"]

DEFAULT_CAPACITY = 10_000
"""Messages that wait for one async listener before its policy decides."""

Overflow = Literal["coalesce", "block", "drop_oldest", "disconnect"]
"""What a full queue does with the next message:

- `coalesce`: of each task keep the newest waiting update, and all else. Where that frees nothing, as `block`.
- `block`: have the server send no more on this channel until there is room; it keeps them for us, and its tasks wait.
- `drop_oldest`: the oldest waiting message goes.
- `disconnect`: the listener is removed.
"""


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

    Raises:
        ValueError: the capacity is not positive, or there is no such policy.
    """

    def __init__(self, capacity: int, overflow: Overflow, flow: Flow) -> None:
        if capacity < 1:
            raise ValueError("the capacity of a queue must be at least 1")
        if overflow not in get_args(Overflow):
            raise ValueError(f"overflow must be one of {', '.join(get_args(Overflow))}; got {overflow!r}")
        self.capacity = capacity
        self.overflow: Overflow = overflow
        self.counts: ListenerStats = ListenerStats()
        self._flow = flow
        self._items: deque[MCPCMessage] = deque()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def stats(self) -> ListenerStats:
        """A reading of the counters, taken now."""
        self.counts.waiting = len(self._items)
        return self.counts

    @property
    def room(self) -> int:
        """How many messages could be put before the policy has to decide."""
        return self.capacity - len(self._items)

    @property
    def has_room(self) -> bool:
        """Whether another message could be put, with what the policy would do about it. Nothing is done yet."""
        if len(self._items) < self.capacity or self.overflow in ("drop_oldest", "disconnect"):
            return True
        return self.overflow == "coalesce" and self._has_surplus()

    def takes(self) -> bool:
        """`has_room`; where there is none, the flow stops until there is some."""
        if self.has_room:
            return True
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

    def put(self, message: MCPCMessage) -> bool:
        """Add a message, where `takes` says so; False where the policy is to disconnect instead."""
        if len(self._items) >= self.capacity:
            if self.overflow == "disconnect":
                return False
            self._make_room()
        self._items.append(message)
        return True

    def put_row(self, messages: Iterable[MCPCMessage]) -> None:
        """Add messages for which there is `room`."""
        self._items.extend(messages)

    def _make_room(self) -> None:
        if self.overflow == "drop_oldest":
            self._drop_oldest()
        else:
            kept = self._coalesced()
            self.counts.dropped += len(self._items) - len(kept)
            self._items = deque(kept)

    def _drop_oldest(self) -> MCPCMessage:
        self.counts.dropped += 1
        return self._items.popleft()

    def _coalesced(self) -> list[MCPCMessage]:
        """What is left where of each task only the newest update is kept."""
        kept: list[MCPCMessage] = []
        seen: set[str | None] = set()
        for message in reversed(self._items):
            if is_update(message):
                if message.task_id in seen:
                    continue
                seen.add(message.task_id)
            kept.append(message)
        kept.reverse()
        return kept

    def get(self) -> MCPCMessage:
        """Take the oldest message. Once it is half empty, what had stopped for want of room here goes on."""
        message = self._items.popleft()
        if self._flow.stopped and len(self._items) <= self.capacity // 2:
            self._flow.drained(self)
        return message

    def let_go(self) -> None:
        """Nobody reads now, but somebody waits for what comes last: where there is no room, the oldest message goes."""
        if not self.has_room:
            self._drop_oldest()
            self._flow.drained(self)

    def close(self) -> None:
        """Nobody reads any more: what waits is dropped, and nothing waits for room here."""
        self._items.clear()
        self._flow.drained(self)


class TaskQueue(Queue):
    """A `Queue` for the messages of one task: it knows how many are no updates, so it need not look for them."""

    def __init__(self, capacity: int, overflow: Overflow, flow: Flow) -> None:
        super().__init__(capacity, overflow, flow)
        self._firm = 0
        """How many messages wait that are no mere updates."""

    def put(self, message: MCPCMessage) -> bool:
        """See `Queue.put`."""
        if not super().put(message):
            return False
        self._firm += not is_update(message)
        return True

    def put_task_row(self, messages: Iterable[MCPCMessage], firm: int) -> None:
        """See `Queue.put_row`; `firm` of them are no mere updates."""
        self._firm += firm
        self.put_row(messages)

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

    def _coalesced(self) -> list[MCPCMessage]:
        newest = self._items[-1]
        if not is_update(newest):
            return super()._coalesced()
        kept: list[MCPCMessage] = []
        for message in self._items:  # most often the few that are no updates came first
            if len(kept) == self._firm:
                break
            if not is_update(message):
                kept.append(message)
        return [*kept, newest]
