"""The journals of a server, by the secret keys of their clients: made, found, bounded, forgotten.

Knows nothing of what is in them. In texts for clients a journal is a *channel*, the protocol's word.
"""

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from mcpc.errors import LimitReached, MCPCError
from mcpc.server.holders import Bound, holders_of
from mcpc.server.journal import Journal
from mcpc.server.limits import Limits
from mcpc.server.traffic import Traffic
from mcpc.shares import Shares

__all__ = ["EVERY_SESSION", "JournalTable"]

MIN_LOOK = 64
"""Journals below which it is not looked which were idle for too long."""

EVERY_SESSION = "*"
"""The `session_id` of a server event that is for every channel."""


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
        self.bytes: int = 0
        """Bytes that all logs hold together, to some KiB each."""
        self.shrunk: int = 0
        """How often a log lost its older half to the bound on all."""
        self._past = Traffic()
        self._look_at = MIN_LOOK
        """How many there have to be before it is looked again which were idle for too long."""
        self._holders: dict[str, tuple[Hashable, ...]] = {}
        """Whom each journal is counted for."""
        self.taken: Bound = Bound(Shares(limits.max_channels, limits.client_share), "max_channels", "channels are open")
        """Who has how many."""

    def __iter__(self) -> Iterator[Journal]:
        return iter(list(self._journals.values()))

    def __len__(self) -> int:
        return len(self._journals)

    @property
    def traffic(self) -> Traffic:
        """What has gone through the logs, those that are forgotten included."""
        return self._past.plus(self)

    @property
    def unsent(self) -> int:
        """Messages that no listener was sent yet."""
        return sum(max(0, journal.mailbox.head - journal.sent) for journal in self)

    def get(self, key: str) -> Journal | None:
        """The journal of that key, whoever's it is."""
        return self._journals.get(key)

    def find(self, key: str, principal: Hashable | None) -> Journal | None:
        """The journal of that key, if it is this principal's."""
        journal = self._journals.get(key)
        if journal is None or journal.principal != principal:
            return None
        journal.touched = self._clock()
        return journal

    def open(self, key: str, principal: Hashable | None, client: Hashable | None = None) -> Journal | None:
        """The journal of that key, made where there is none; None where it is another principal's.

        Args:
            key: The key.
            principal: Who asks, where the transport authenticates.
            client: The connection or the address that they came over: its key a client makes up itself.

        Raises:
            LimitReached: there are as many as may be, of this client or in all, and each of all is in use or holds
                what was not read yet.
        """
        journal = self._journals.get(key)
        if journal is None:
            holders = holders_of(principal, client=client)
            self._make_room(holders)
            journal = self._make(key, principal)
            journal.describe_tasks = lambda: self._describe(key)
            journal.mailbox.on_growth = self._grow
            self._add(journal, holders)
        elif journal.principal != principal:
            return None
        journal.touched = self._clock()
        return journal

    def of_session(self, session: str) -> list[Journal]:
        """The journals that a server event of that session is for; all of them, for `*`."""
        return [j for j in self._journals.values() if session == EVERY_SESSION or session in j.sessions]

    def _plain(self, key: str, principal: Hashable | None) -> Journal:
        return Journal(key, principal, self._limits, self._clock)

    def _add(self, journal: Journal, holders: tuple[Hashable, ...]) -> None:
        self._journals[journal.key] = journal
        self._holders[journal.key] = holders
        self.taken.shares.take(holders)

    def drop(self, journal: Journal) -> None:
        """Forget a journal. What it holds goes where nobody uses it: the object may stay for long, in the context of a
        timer that a worker has set and cancelled, say."""
        if self._journals.pop(journal.key, None) is not None:
            self._past = self._past.plus((journal,))
            journal.mailbox.release()
            if journal.idle:
                journal.mailbox.clear()
            self.taken.shares.give_back(self._holders.pop(journal.key))

    def _grow(self, grown: int) -> None:
        """A log holds so many bytes more. Beyond the bound on all, the largest that nobody reads loses its older half.

        Where each is read, the largest does. Terminal messages stay.
        """
        self.bytes += grown
        if grown <= 0 or self.bytes <= self._limits.max_total_bytes:
            return
        journals = list(self._journals.values())
        unread = [journal for journal in journals if journal.reader is None and journal.mailbox.size]
        largest = max(unread or journals, key=lambda journal: journal.mailbox.size, default=None)
        if largest is not None:
            self.shrunk += 1
            largest.mailbox.shrink(largest.sent)

    def check_unread(self, journal: Journal) -> None:
        """Whether there is room for the messages of one more task.

        Raises:
            MCPCError: too many results of this client were not read yet; `LimitReached` where those of all channels
                fill what they may hold together, and this client has many of them.
        """
        if journal.mailbox.crowded(journal.sent):
            raise MCPCError("too many results of this client wait to be read; it must listen before it starts more")
        limit, share = self._limits.max_total_bytes, self._limits.client_share
        if self.bytes <= limit:
            return
        holders = self._holders.get(journal.key)
        kept = {key: journal.mailbox.kept_size for key, journal in self._journals.items()}
        own = sum(size for key, size in kept.items() if self._holders[key] == holders)
        if own and own * (1 - share) >= share * max(0, limit - sum(kept.values())):
            text = f"results of this client that it has not read fill the {limit} bytes for all (max_total_bytes)"
            raise LimitReached(
                f"{text}; it must listen, or MCPCHelper(server, max_total_bytes=…) sets another limit",
                limit="max_total_bytes",
                value=limit,
            )

    def _make_room(self, holders: tuple[Hashable, ...]) -> None:
        if len(self._journals) >= min(self._look_at, self._limits.max_channels):
            self.expire()
            self._look_at = 2 * max(MIN_LOOK, len(self._journals))  # a look at all is paid for by as many new ones
        refusal = self.taken.refusal(holders)
        if refusal is None:
            return
        idle = self._may_go(holders)
        if not idle:
            text, limit, value = refusal
            raise LimitReached(text, limit=limit, value=value)
        self.drop(min(idle, key=lambda journal: journal.touched))

    def _may_go(self, holders: tuple[Hashable, ...]) -> list[Journal]:
        """Journals that can make room for a client: its own first, another's only where all are taken.

        Made-up keys must not push out what somebody is still to read.
        """
        idle = [journal for journal in self._journals.values() if journal.idle and journal.mailbox.head <= journal.sent]
        own = [journal for journal in idle if self._holders[journal.key] == holders]
        return own or (idle if len(self._journals) >= self._limits.max_channels else [])

    def kept_until(self) -> float:
        """When a terminal message that is sent now may be forgotten."""
        return self._clock() + self._limits.task_ttl

    def absent(self, longer_than: float) -> list[Journal]:
        """Those that tasks run for, and that nobody has listened to or asked about for so many seconds."""
        now = self._clock()
        return [
            journal
            for journal in self._journals.values()
            if journal.reader is None
            and journal.running
            and journal.is_here_only
            and now - journal.touched >= longer_than
        ]

    def expire(self) -> None:
        """Forget the journals that were idle for too long, and last messages whose time is over."""
        now = self._clock()
        for journal in list(self._journals.values()):
            journal.mailbox.expire(now)
            if journal.idle and journal.touched + self._limits.channel_ttl <= now:
                self.drop(journal)
