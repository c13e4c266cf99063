"""The journals of a server, by the secret keys of their clients: made, found, bounded, forgotten.

Knows nothing of what is in them. In texts for clients a journal is a *channel*, the protocol's word.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from mcpc.errors import MCPCError
from mcpc.server.journal import Journal
from mcpc.server.limits import Limits

__all__ = ["JournalTable"]


class JournalTable:
    """The journals of a server, by their secret keys.

    Args:
        limits: `max_channels` and `channel_ttl` count here.
        clock: Gives the time, in seconds.
        describe: Describes the tasks of a journal, for a listener that has missed some messages.
        make: Makes a journal; a plain one, where that is not given.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float],
        describe: Callable[[str], list[dict[str, Any]]],
        make: Callable[[str, Hashable | None], Journal] | None = None,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._describe = describe
        self._make: Callable[[str, Hashable | None], Journal] = self._plain if make is None else make
        self._journals: dict[str, Journal] = {}

    def __iter__(self) -> Iterator[Journal]:
        return iter(list(self._journals.values()))

    def __len__(self) -> int:
        return len(self._journals)

    def get(self, key: str) -> Journal | None:
        """The journal of that key, whoever's it is."""
        return self._journals.get(key)

    def find(self, key: str, principal: Hashable | None) -> Journal | None:
        """The journal of that key, if it is this principal's."""
        journal = self._journals.get(key)
        return journal if journal is not None and journal.principal == principal else None

    def open(self, key: str, principal: Hashable | None) -> Journal | None:
        """The journal of that key, made where there is none; None where it is another principal's.

        Raises:
            MCPCError: there are as many as may be, and each is in use or holds what was not read yet.
        """
        journal = self._journals.get(key)
        if journal is None:
            self._make_room()
            journal = self._make(key, principal)
            journal.describe_tasks = lambda: self._describe(key)
            self._journals[key] = journal
        elif journal.principal != principal:
            return None
        journal.touched = self._clock()
        return journal

    def _plain(self, key: str, principal: Hashable | None) -> Journal:
        return Journal(key, principal, self._limits, self._clock)

    def drop(self, journal: Journal) -> None:
        """Forget a journal."""
        self._journals.pop(journal.key, None)

    def _make_room(self) -> None:
        if len(self._journals) % 64 == 0 or len(self._journals) >= self._limits.max_channels:
            self.expire()
        if len(self._journals) < self._limits.max_channels:
            return
        # Made-up keys must not push out what another client is still to read.
        idle = [j for j in self._journals.values() if j.idle and j.mailbox.head <= j.sent]
        if not idle:
            raise MCPCError(f"{self._limits.max_channels} channels are open, which is the limit")
        self.drop(min(idle, key=lambda journal: journal.touched))

    def expire(self) -> None:
        """Forget the journals that were idle for too long, and last messages whose time is over."""
        now = self._clock()
        for journal in list(self._journals.values()):
            journal.mailbox.expire(now)
            if journal.idle and journal.touched + self._limits.channel_ttl <= now:
                self.drop(journal)
