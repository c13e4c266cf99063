"""Whether anybody is there for tasks of a store: told by what this process sees, and by what the store says.

One for each channel, and one for each task that has none. Knows nothing of what becomes of tasks that nobody is
there for.
"""

from collections.abc import Callable

from mcpc.stored import Appended

__all__ = ["Attendance"]


class Attendance:
    """Who is there, at this process or another.

    Args:
        clock: Gives the time, in seconds; nobody sets it.
        probe: Asks the store; what it answers is `told`.
        is_here: Whether somebody is there at this process.
    """

    def __init__(self, clock: Callable[[], float], probe: Callable[[], None], is_here: Callable[[], bool]) -> None:
        self._clock = clock
        self._probe = probe
        self._is_here = is_here
        self._cursor = 0
        self._absent_since: float | None = None
        self._told_at = 0.0

    def seen(self) -> None:
        """Somebody was there, for a moment at the least."""
        self._absent_since = None

    def told(self, receipt: Appended) -> None:
        """What the store says: who listens anywhere, and what they were sent since it was told last."""
        self._told_at = self._clock()
        if receipt.listening or receipt.cursor > self._cursor:
            self._cursor = max(self._cursor, receipt.cursor)
            self.seen()
        elif self._absent_since is None:
            self._absent_since = self._told_at

    def look(self) -> None:
        """See who is here; where nobody is, ask the store who is elsewhere."""
        if self._is_here():
            self.seen()
        else:
            self._probe()

    @property
    def absence(self) -> float:
        """Seconds for which the store has said, again and again, that nobody is there. It counts up to its last word:
        a store that says nothing has not said that."""
        return 0.0 if self._absent_since is None else self._told_at - self._absent_since
