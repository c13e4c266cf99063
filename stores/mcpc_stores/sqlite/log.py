"""Channels and their logs in SQLite. Runs inside a transaction that somebody else holds.

A row of the log is an entry's messages, joined by newlines: a row for each
message would cost ten times as much. Terminal messages are written twice, so that
nothing has to be taken apart when the log lets go of a row.
"""

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcpc.errors import StoreFull
from mcpc.stored import ChannelState, Page, StoreLimits

__all__ = ["Channels", "Place"]


WRITER_TTL = 600.0
"""Seconds for which a writer's last entry is remembered at the least: far longer than anybody tries again."""


@dataclass(slots=True)
class Place:
    """Where a channel's log stands."""

    id: int
    head: int
    oldest: int
    size: int
    cursor: int
    listener: str | None


class Channels:
    """The channels of one file.

    Args:
        db: The connection.
        limits: The bounds.
    """

    def __init__(self, db: sqlite3.Connection, limits: StoreLimits) -> None:
        self._db = db
        self._limits = limits

    # --- channels ---

    def find(self, channel: str) -> Place | None:
        """The channel of that name."""
        row = self._db.execute(
            "SELECT id, head, oldest, size, cursor, listener FROM channels WHERE channel = ?", (channel,)
        ).fetchone()
        return None if row is None else Place(*row)

    def open(
        self,
        channel: str,
        now: float,
        *,
        principal: str | None,
        session: str | None,
        listener: str | None,
        after: int,
        epoch: str | None,
    ) -> ChannelState | None:
        """See `Store.open`."""
        row = self._db.execute("SELECT principal, epoch FROM channels WHERE channel = ?", (channel,)).fetchone()
        if row is None:
            row = principal, self._make(channel, principal, now)
        elif row[0] != principal:
            return None
        place = self.find(channel)
        assert place is not None
        if epoch == row[1]:
            self.jump(place, after)
        self._db.execute(
            "UPDATE channels SET head = ?, oldest = ?, cursor = max(cursor, ?), listener = ?, touched = ? WHERE id = ?",
            (place.head, place.oldest, min(after, place.head), listener or place.listener, now, place.id),
        )
        if session is not None:
            self._name_session(place.id, session)
        return ChannelState(row[1], place.oldest, place.head, max(place.cursor, min(after, place.head)))

    def _make(self, channel: str, principal: str | None, now: float) -> str:
        (count,) = self._db.execute("SELECT count(*) FROM channels").fetchone()
        if count >= self._limits.max_channels:
            self._drop_idlest()
        epoch = secrets.token_hex(8)
        self._db.execute(
            "INSERT INTO channels (channel, principal, epoch, touched) VALUES (?, ?, ?, ?)",
            (channel, principal, epoch, now),
        )
        return epoch

    def _drop_idlest(self) -> None:
        row = self._db.execute(
            "SELECT id FROM channels WHERE listener IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM tasks WHERE tasks.channel = channels.id) ORDER BY touched LIMIT 1"
        ).fetchone()
        if row is None:
            raise StoreFull(f"the store holds {self._limits.max_channels} channels, which is the limit; none is idle")
        self.drop(row[0])

    def drop(self, channel: int) -> None:
        """Forget a channel and all that is in it."""
        for table in ("log", "kept", "writers", "sessions"):
            self._db.execute(f"DELETE FROM {table} WHERE channel = ?", (channel,))
        self._db.execute("DELETE FROM channels WHERE id = ?", (channel,))

    def _name_session(self, channel: int, session: str) -> None:
        made = self._db.execute(
            "INSERT INTO sessions (channel, session) VALUES (?, ?) ON CONFLICT DO NOTHING", (channel, session)
        )
        if made.rowcount:
            self._db.execute(
                "DELETE FROM sessions WHERE channel = ? AND id IN (SELECT id FROM sessions WHERE channel = ?"
                " ORDER BY id DESC LIMIT -1 OFFSET ?)",
                (channel, channel, self._limits.max_sessions),
            )

    def of_session(self, session: str) -> list[str]:
        """See `Store.channels`."""
        if session == "*":
            return [name for (name,) in self._db.execute("SELECT channel FROM channels ORDER BY id")]
        rows = self._db.execute(
            "SELECT channels.channel FROM sessions JOIN channels ON channels.id = sessions.channel"
            " WHERE sessions.session = ? ORDER BY sessions.id",
            (session,),
        )
        return [row[0] for row in rows]

    def leave(self, channel: str, listener: str, now: float) -> None:
        """See `Store.leave`."""
        self._db.execute(
            "UPDATE channels SET listener = NULL, touched = ? WHERE channel = ? AND listener = ?",
            (now, channel, listener),
        )

    def sent(self, listener: str, cursors: Mapping[str, int], now: float) -> None:
        """See `Store.sent`."""
        self._db.executemany(
            "UPDATE channels SET cursor = max(cursor, min(?, head)), touched = ? WHERE channel = ? AND listener = ?",
            [(cursor, now, channel, listener) for channel, cursor in cursors.items()],
        )

    # --- logs ---

    def jump(self, place: Place, known: int) -> None:
        """Let the log go on above a number that somebody knows. What is between was lost."""
        if known > place.head:
            place.head = known
            place.oldest = known + 1

    def add(self, place: Place, messages: Sequence[bytes], now: float) -> int:
        """Write messages to a log, let the oldest make room, and return the number of the first."""
        first = place.head + 1
        if messages:
            place.head += len(messages)
            held, size = self._that_fit(messages)
            added = self._db.execute(
                "INSERT INTO log (channel, last, count, size, data) VALUES (?, ?, ?, ?, ?)",
                (place.id, place.head, len(held), size, b"\n".join(held)),
            )
            place.size += size
            self._make_room(place, added.lastrowid)
            if len(held) < len(messages):
                place.oldest = place.head - len(held) + 1
        self._db.execute(
            "UPDATE channels SET head = ?, oldest = ?, size = ?, touched = ? WHERE id = ?",
            (place.head, place.oldest, place.size, now, place.id),
        )
        return first

    def _that_fit(self, messages: Sequence[bytes]) -> tuple[Sequence[bytes], int]:
        """The newest of the messages that a whole log has room for, at least one, and their size."""
        size = sum(map(len, messages))
        start = max(0, len(messages) - self._limits.max_messages)
        size -= sum(map(len, messages[:start]))
        while size > self._limits.max_bytes and start < len(messages) - 1:
            size -= len(messages[start])
            start += 1
        return messages[start:], size

    def _make_room(self, place: Place, newest: int | None) -> None:
        """Let go of rows that are beyond the bounds; the number of messages is kept to exactly by `oldest`."""
        bottom = place.head - self._limits.max_messages
        for row, last, size in self._db.execute(
            "SELECT id, last, size FROM log WHERE channel = ? ORDER BY last", (place.id,)
        ):
            if row == newest or (last > bottom and place.size <= self._limits.max_bytes):
                break
            self._db.execute("DELETE FROM log WHERE id = ?", (row,))
            place.size -= size
            place.oldest = max(place.oldest, last + 1)
        place.oldest = max(place.oldest, bottom + 1)

    def keep(self, place: Place, number: int, data: bytes, expires: float) -> None:
        """Keep a terminal message readable until its time is over; those that were sent go when there are too many."""
        self._db.execute("INSERT INTO kept VALUES (?, ?, ?, ?)", (place.id, number, expires, data))
        self._db.execute(
            "DELETE FROM kept WHERE channel = ? AND number <= ? AND number < ? AND number IN"
            " (SELECT number FROM kept WHERE channel = ? ORDER BY number DESC LIMIT -1 OFFSET ?)",
            (place.id, place.cursor, place.oldest, place.id, self._limits.max_kept),
        )

    def crowded(self, place: Place) -> bool:
        """Whether as many terminal messages as may be set aside wait for a first reading."""
        (count,) = self._db.execute(
            "SELECT count(*) FROM kept WHERE channel = ? AND number > ? AND number < ?",
            (place.id, place.cursor, place.oldest),
        ).fetchone()
        return count >= self._limits.max_kept

    def read(self, channel: str, after: int, max_messages: int, max_bytes: int, now: float) -> Page | None:
        """See `Store.read`."""
        place = self.find(channel)
        if place is None:
            return None
        start = max(after, place.head - self._limits.max_messages)
        first, messages = self._slice(place.id, start, max_messages, max_bytes)
        kept = self._db.execute(
            "SELECT number, data FROM kept WHERE channel = ? AND number > ? AND expires > ? ORDER BY number LIMIT 1",
            (place.id, after, now),
        ).fetchone()
        if kept is not None and (not messages or kept[0] < first):
            return Page(kept[0], [kept[1]], place.oldest, place.head)
        return Page(first, messages, place.oldest, place.head) if messages else None

    def _slice(self, channel: int, after: int, max_messages: int, max_bytes: int) -> tuple[int, list[bytes]]:
        """Contiguous messages after a number."""
        first, messages, size = 0, list[bytes](), 0
        for last, count, data in self._db.execute(
            "SELECT last, count, data FROM log WHERE channel = ? AND last > ? ORDER BY last", (channel, after)
        ):
            number = last - count + 1
            if messages and number != first + len(messages):
                break  # what was between is lost
            for message in data.split(b"\n")[max(0, after + 1 - number) :]:
                if messages and (len(messages) >= max_messages or size + len(message) > max_bytes):
                    return first, messages
                first = first or max(number, after + 1)
                messages.append(message)
                size += len(message)
        return first, messages

    # --- retries ---

    def written(self, place: Place, writer: str) -> tuple[int, int] | None:
        """The `seq` of a writer's last entry, and the number of its first message."""
        row = self._db.execute(
            "SELECT seq, first FROM writers WHERE channel = ? AND writer = ?", (place.id, writer)
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def wrote(self, place: Place, writer: str, seq: int, first: int, now: float) -> None:
        """Remember it."""
        self._db.execute("REPLACE INTO writers VALUES (?, ?, ?, ?, ?)", (place.id, writer, seq, first, now))

    # --- what has had its time ---

    def sweep(self, now: float, chunk: int) -> int:
        """Forget terminal messages, writers and channels whose time is over; how many channels."""
        ttl = self._limits.channel_ttl
        self._db.execute(
            "DELETE FROM kept WHERE rowid IN (SELECT rowid FROM kept WHERE expires <= ? LIMIT ?)", (now, chunk)
        )
        self._db.execute("DELETE FROM writers WHERE touched <= ?", (now - max(ttl, WRITER_TTL),))
        idle = self._db.execute(
            "SELECT id FROM channels WHERE touched <= ? AND listener IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM tasks WHERE tasks.channel = channels.id) LIMIT ?",
            (now - ttl, chunk),
        ).fetchall()
        for (channel,) in idle:
            self.drop(channel)
        return len(idle)
