"""The clock of a SQLite store: one for all processes that use the file, and nobody sets it.

It runs with the machine's steady clock, from what the wall clock said when the file was first opened since the machine
was booted. So times to live survive a reboot, where nothing else tells how long it took; and a jump of the wall clock
later on, by whatever, forgets nothing and keeps nothing.
"""

import sqlite3
import time

from mcpc_stores.sqlite.paths import boot_id

__all__ = ["StoreClock"]

_TABLE = "CREATE TABLE IF NOT EXISTS clock (boot TEXT NOT NULL, ahead REAL NOT NULL)"


class StoreClock:
    """Gives the seconds since the epoch, as the store counts them.

    Where a run of the machine has no name (not on Linux), nothing tells whether the steady clock is still the one that
    it was: each connection then begins with the wall clock anew.

    Args:
        db: The file, in a transaction that may write.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        db.execute(_TABLE)
        boot = boot_id()
        row = db.execute("SELECT ahead FROM clock WHERE boot = ? AND boot <> ''", (boot,)).fetchone()
        if row is None:
            row = (time.time() - time.monotonic(),)
            db.execute("DELETE FROM clock")
            db.execute("INSERT INTO clock VALUES (?, ?)", (boot, *row))
        self._ahead: float = row[0]

    def __call__(self) -> float:
        """The time."""
        return time.monotonic() + self._ahead
