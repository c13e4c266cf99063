"""Lines to channels that nobody uses in this process: what is said there is said to clients of other processes."""

from collections.abc import Callable, Iterable

from mcpc.server.journal import Journal
from mcpc.server.line import Line, Pool
from mcpc.server.stored_journal import StoredJournal

__all__ = ["FarLines"]

MAX_LINES = 10_000
"""Lines that are kept; beyond it the one that was used first goes, once all of it has landed."""


class FarLines:
    """The lines of one process to channels elsewhere.

    Args:
        note: Called when a line has something to take.
    """

    def __init__(self, note: Callable[[Line], None]) -> None:
        self._note = note
        self._lines: dict[str, Line] = {}

    def line(self, channel: str) -> Line:
        """The line to a channel."""
        line = self._lines.get(channel)
        if line is not None and not line.is_lost:
            return line
        if len(self._lines) >= MAX_LINES:
            self._lines = {name: kept for name, kept in self._lines.items() if kept.is_dirty}
        line = self._lines[channel] = Line(channel, Pool(), self._note, _nothing_to_show, lambda: 0)
        return line

    async def post(self, data: bytes, channels: Iterable[str], here: Iterable[Journal]) -> int:
        """Say something on channels of the store and in journals that are here, and wait until it has landed.

        Returns how many it went to. Whoever says something next, wherever, is later.
        """
        local = {journal.key: journal for journal in here}
        for journal in local.values():
            journal.post(data)
        lines = [self.line(name) for name in channels if name not in local]
        for line in lines:
            line.put(data)
        count = len(lines) + len(local)
        lines += [journal.line for journal in local.values() if isinstance(journal, StoredJournal)]
        for line in lines:
            await line.flushed()
        return count


def _nothing_to_show(first: int, messages: list[bytes], is_end: bool) -> None:
    """Nobody listens here: the process where the client does reads it from the store."""
