"""What waits to be told: coalesced by task, in order, bounded, nothing left out without being counted.

A machine without I/O and without a clock. It knows nothing of models and of text budgets.

Of a running task the newest updates wait, the others are counted. When a task ends its waiting updates are counted
too, and its end waits. Questions and ends are never left out; a question goes when it is answered. Of server events
the newest wait. So what waits is bounded by the tasks that run, the ends that were not told, and the bounds given.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from mcpc.agents.items import Item, item_of
from mcpc.messages import MCPCMessage

__all__ = ["Pending"]


@dataclass(slots=True)
class _Updates:
    """The updates of one task that wait."""

    newest: deque[tuple[int, MCPCMessage]]
    left_out: int = 0


@dataclass(slots=True)
class Pending:
    """What waits to be told.

    Args:
        max_updates: The newest updates of a task that wait; at least 1.
        max_events: Server events that wait; at least 1.
        body_limit: Characters kept of what a tool or a server said.
    """

    max_updates: int
    max_events: int
    body_limit: int
    events_left_out: int = 0
    """Server events that had no room, since they were last told of."""
    _count: int = 0
    _updates: dict[str, _Updates] = field(default_factory=dict[str, _Updates])
    _questions: dict[str, dict[str, Item]] = field(default_factory=dict[str, dict[str, Item]])
    """By task and prompt id."""
    _ends: list[Item] = field(default_factory=list[Item])
    _events: deque[Item] = field(default_factory=deque[Item])

    def __len__(self) -> int:
        many = (each.newest for each in self._updates.values()), self._questions.values()
        return sum(len(each) for group in many for each in group) + len(self._ends) + len(self._events)

    def add(self, message: MCPCMessage, *, is_question: bool) -> None:
        """Take a message in.

        Args:
            message: The message.
            is_question: Whether it is one for the model to answer; a prompt that somebody else answers is an update.
        """
        self._count += 1
        if message.type == "task" and not message.terminal and not is_question:
            self._add_update(message)
            return
        item = item_of(message, self._count, self.body_limit, asks_model=is_question)
        if item.kind == "end":
            self._end(item)
        elif item.prompt is not None:
            self._questions.setdefault(item.task_id or "", {})[item.prompt.id] = item
        else:
            self._add_event(item)

    def _add_update(self, message: MCPCMessage) -> None:
        # Kept as it came: of ten thousand updates a second all but a few are never made into text.
        task_id = message.task_id or ""
        updates = self._updates.get(task_id)
        if updates is None:
            updates = self._updates[task_id] = _Updates(deque(maxlen=self.max_updates))
        if len(updates.newest) == self.max_updates:
            updates.left_out += 1
        updates.newest.append((self._count, message))

    def _add_event(self, item: Item) -> None:
        if len(self._events) >= self.max_events:
            self._events.popleft()
            self.events_left_out += 1
        self._events.append(item)

    def _end(self, item: Item) -> None:
        """The task is over: its updates and its questions are no news any more."""
        updates = self._updates.pop(item.task_id or "", None)
        if updates is not None:
            item.left_out = updates.left_out + len(updates.newest)
        self._questions.pop(item.task_id or "", None)
        self._ends.append(item)

    def answered(self, task_id: str, prompt_id: str) -> None:
        """A question was answered: it need not be told any more."""
        questions = self._questions.get(task_id, {})
        questions.pop(prompt_id, None)
        if not questions:
            self._questions.pop(task_id, None)

    def take(self) -> list[Item]:
        """Everything that waits, in the order of arrival; nothing waits then."""
        found = [*self._ends, *self._events]
        for questions in self._questions.values():
            found += questions.values()
        for updates in self._updates.values():
            items = [item_of(message, number, self.body_limit) for number, message in updates.newest]
            items[0].left_out = updates.left_out
            found += items
        self._ends, self._questions, self._events, self._updates = [], {}, deque(), {}
        return sorted(found, key=lambda item: item.number)

    def put_back(self, items: Sequence[Item]) -> None:
        """Let these wait again, ahead of what has come meanwhile: there was no room for them, or nobody read them.

        Updates are not put back: newer ones come, or the end.
        """
        ends = [item for item in items if item.kind == "end"]
        self._ends = sorted([*ends, *self._ends], key=lambda item: item.number)
        for item in items:
            if item.prompt is not None:
                self._questions.setdefault(item.task_id or "", {})[item.prompt.id] = item
        for item in reversed([item for item in items if item.kind == "event"]):
            if len(self._events) < self.max_events:
                self._events.appendleft(item)
            else:
                self.events_left_out += 1
