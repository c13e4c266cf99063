"""Who uses a SQLite store now: handles, the runners of each, and the bells by which one tells the others."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from mcpc.stored import Change
from mcpc_stores.sqlite.paths import HandleLock, boot_id, is_free

__all__ = ["FIRST_LEASE", "Bells", "Presence"]

FIRST_LEASE = 15.0
"""Seconds that a runner has before its first `beat`."""
MAX_BELLS = 10_000
"""Bells that are kept for those who look seldom; whoever has missed some looks at everything."""


class Presence:
    """This handle among the others.

    Args:
        db: The connection.
        path: The file.
        handle: The handle's name.
        steady: Gives the seconds since the machine's boot: a clock that all processes share, and nobody sets.
    """

    def __init__(
        self, db: sqlite3.Connection, path: Path, handle: str, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._path = path
        self._handle = handle
        self._steady = steady
        self._boot = boot_id()
        self._lock = HandleLock(path, handle)
        self.others = False
        """Whether there were others when that was last looked at."""

    def enter(self) -> None:
        """Be there."""
        self._db.execute("INSERT INTO handles VALUES (?)", (self._handle,))

    def leave(self) -> None:
        """Be gone: tasks of our runners are orphans from now on."""
        self._db.execute("DELETE FROM handles WHERE handle = ?", (self._handle,))
        self._db.execute("DELETE FROM runners WHERE handle = ?", (self._handle,))

    def release(self) -> None:
        """Give back the lock that shows that we live."""
        self._lock.release()

    def look(self) -> bool:
        """Whether there are others."""
        row = self._db.execute("SELECT 1 FROM handles WHERE handle <> ?", (self._handle,)).fetchone()
        self.others: bool = row is not None
        return self.others

    def beat(self, runner: str, ttl: float) -> None:
        """A runner of ours is alive, for so many seconds from now at the least."""
        self._db.execute(
            "INSERT INTO runners VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET handle = excluded.handle,"
            " boot = excluded.boot, expires = max(expires, excluded.expires)",
            (runner, self._handle, self._boot, self._steady() + ttl),
        )

    def seen(self, runner: str) -> None:
        """A runner takes a task: one without a lease gets its first."""
        now = self._steady()
        row = self._db.execute(
            "SELECT 1 FROM runners WHERE runner = ? AND expires > ? AND boot = ?", (runner, now, self._boot)
        ).fetchone()
        if row is None:
            self.beat(runner, FIRST_LEASE)

    def bury(self) -> list[str]:
        """Forget handles and runners that are gone; the names of runners that are, and have tasks that run."""
        for (handle,) in self._db.execute("SELECT handle FROM handles WHERE handle <> ?", (self._handle,)).fetchall():
            if is_free(self._path, handle):
                self._db.execute("DELETE FROM handles WHERE handle = ?", (handle,))
        self._db.execute(
            "DELETE FROM runners WHERE boot <> ? OR expires <= ? OR handle NOT IN (SELECT handle FROM handles)",
            (self._boot, self._steady()),
        )
        self._db.execute(
            "UPDATE channels SET listener = NULL WHERE listener IS NOT NULL"
            " AND listener NOT IN (SELECT runner FROM runners)"
        )
        rows = self._db.execute(
            "SELECT DISTINCT runner FROM tasks WHERE status = 'running' AND runner NOT IN (SELECT runner FROM runners)"
        )
        return [runner for (runner,) in rows]


class Bells:
    """What the others have to look at. Written only while there are any."""

    def __init__(self, db: sqlite3.Connection, handle: str, presence: Presence) -> None:
        self._db = db
        self._handle = handle
        self._presence = presence
        self._rung: dict[tuple[str, str], None] = {}

    def ring(self, kind: str, subject: str) -> None:
        """Something has changed in the transaction that runs."""
        self._rung[kind, subject] = None

    def hush(self) -> None:
        """A transaction begins."""
        self._rung.clear()

    def write(self) -> None:
        """The transaction is about to end."""
        if self._rung and self._presence.look():
            self._db.executemany(
                "INSERT INTO bells (handle, kind, subject) VALUES (?, ?, ?)",
                [(self._handle, kind, subject) for kind, subject in self._rung],
            )

    def last(self) -> int:
        """The number of the newest bell."""
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM bells").fetchone()
        return last

    def after(self, last: int) -> tuple[list[Change], int]:
        """The others' bells after one, and the number of the newest."""
        self._presence.look()
        (oldest,) = self._db.execute("SELECT coalesce(min(id), 0) FROM bells").fetchone()
        rows = self._db.execute(
            "SELECT id, handle, kind, subject FROM bells WHERE id > ? ORDER BY id", (last,)
        ).fetchall()
        newest = rows[-1][0] if rows else last
        if oldest > last + 1:
            return [Change("look")], newest
        rung = dict.fromkeys((kind, subject) for _, handle, kind, subject in rows if handle != self._handle)
        return [Change(kind, subject) for kind, subject in rung], newest

    def sweep(self) -> None:
        """Forget old ones."""
        self._db.execute("DELETE FROM bells WHERE id <= (SELECT max(id) FROM bells) - ?", (MAX_BELLS,))
