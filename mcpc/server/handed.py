"""Tasks whose plain callers were given a handle, for hosts that wait only seconds: what they told, kept and numbered.

Whose such a task is: its principal's, where the transport authenticates; else whoever knows its unguessable id. A
foreign id looks exactly like an unknown one.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import anyio

from mcpc.errors import UnknownTask
from mcpc.server.execution import Execution
from mcpc.server.presence import Presence
from mcpc.tasks import TaskState
from mcpc.wire.jsontext import encode_json

__all__ = ["HandedTasks", "News", "Told"]

MAX_ENTRIES = 1000
"""Entries kept for each task; beyond it the oldest go."""
MAX_BYTES = 1024 * 1024
"""Bytes of entries kept for each task."""


@dataclass(frozen=True)
class Told:
    """One thing that a task told: an update, a log entry or a question."""

    number: int
    kind: str
    value: Any
    size: int

    def describe(self) -> dict[str, Any]:
        """As a companion tool shows it."""
        return {"number": self.number, "kind": self.kind, "value": self.value}


class News:
    """The last things that one task told."""

    def __init__(self) -> None:
        self.head: int = 0
        """The number of the newest."""
        self._entries: deque[Told] = deque()
        self._bytes = 0
        self._came = anyio.Event()

    def add(self, kind: str, value: Any) -> None:
        """Keep an entry; the oldest make room."""
        self.head += 1
        entry = Told(self.head, kind, value, len(encode_json(value)))
        self._entries.append(entry)
        self._bytes += entry.size
        while len(self._entries) > MAX_ENTRIES or (self._bytes > MAX_BYTES and len(self._entries) > 1):
            self._bytes -= self._entries.popleft().size
        self.wake()

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._came.set()
        self._came = anyio.Event()

    def after(self, number: int) -> list[Told]:
        """What was told after `number`, as far as it is kept."""
        return [entry for entry in self._entries if entry.number > number]

    async def wait(self) -> None:
        """Until something is told."""
        await self._came.wait()


@dataclass(frozen=True)
class _Handed:
    execution: Execution
    news: News


class HandedTasks:
    """The tasks of one server that were handed to plain callers.

    Args:
        time_to_live: Seconds for which one is known after its end.
        presence: Told when one is handed over, and asked about.
        stop: Stops a task.
    """

    def __init__(self, time_to_live: float, presence: Presence, stop: Callable[[TaskState], None]) -> None:
        self.stop = stop
        self._time_to_live = time_to_live
        self._presence = presence
        self._tasks: dict[str, _Handed] = {}

    def add(self, execution: Execution, news: News) -> None:
        """Know a task from now on. `expire` must run for it."""
        self._tasks[execution.state.task_id] = _Handed(execution, news)
        self._presence.begin(execution.state.task_id)

    async def expire(self, execution: Execution) -> None:
        """Forget a task some time after its end."""
        await execution.ended.wait()
        await anyio.sleep(self._time_to_live)
        self._tasks.pop(execution.state.task_id, None)

    def get(self, task_id: str, principal: Hashable | None) -> tuple[Execution, News]:
        """A task, and what it told.

        Raises:
            UnknownTask: there is none of that id for this caller.
        """
        found = self._tasks.get(task_id)
        if found is None or found.execution.state.principal != principal:
            raise UnknownTask("unknown task")
        self._presence.seen(task_id)
        return found.execution, found.news
