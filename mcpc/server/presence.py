"""Who is still there for a task: when it was last asked about, and who follows it now.

For tasks that no channel's listener stands for: those of the tasks extension, and those whose plain callers were given
a handle. Knows nothing of what becomes of tasks that nobody asks about.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

__all__ = ["Presence"]


class Presence:
    """When tasks were last asked about.

    Args:
        clock: Gives the time, in seconds; nobody sets it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._followers: dict[str, int] = {}

    def begin(self, task_id: str) -> None:
        """Know a task from now on."""
        self._seen[task_id] = self._clock()

    def seen(self, task_id: str) -> None:
        """Somebody has asked about a task."""
        if task_id in self._seen:
            self._seen[task_id] = self._clock()

    def forget(self, task_id: str) -> None:
        """A task has ended."""
        self._seen.pop(task_id, None)

    @contextmanager
    def following(self, task_ids: Iterable[str]) -> Generator[None]:
        """Somebody follows tasks for as long as the context lasts."""
        followed = list(task_ids)
        for task_id in followed:
            self._followers[task_id] = self._followers.get(task_id, 0) + 1
        try:
            yield
        finally:
            for task_id in followed:
                self._leave(task_id)

    def _leave(self, task_id: str) -> None:
        self.seen(task_id)
        self._followers[task_id] -= 1
        if not self._followers[task_id]:
            del self._followers[task_id]

    def absent(self, longer_than: float) -> list[str]:
        """The tasks that nobody follows, and nobody has asked about for so many seconds."""
        now = self._clock()
        return [
            task_id
            for task_id, seen in self._seen.items()
            if task_id not in self._followers and now - seen >= longer_than
        ]
