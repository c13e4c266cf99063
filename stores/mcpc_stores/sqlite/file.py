"""The file of a SQLite store: opening it, its schema, its transactions, and SQLite's errors as ours."""

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

from mcpc.errors import StoreError, StoreFull, StoreRefused, StoreSchema, StoreUnavailable
from mcpc_stores.sqlite.clock import StoreClock
from mcpc_stores.sqlite.paths import make_private

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "SqliteFile", "Sync", "errors_of"]

APPLICATION_ID = 0x6D637063
"""`mcpc`, in the file's head (PRAGMA application_id), so that no other program's file is taken for a store."""
SCHEMA_VERSION = 1
"""The newest step in `schema/`."""
PAGE_SIZE = 4096

T = TypeVar("T")

Sync = Literal["normal", "full"]


class SqliteFile:
    """One connection to the file. To be used by one thread at a time.

    Args:
        path: The file; it is made where there is none.
        sync: See `SqliteStores.open`.
        busy_timeout: See `SqliteStores.open`.
        max_size: See `SqliteStores.open`.
        clock: Gives the time, in seconds since the epoch; the file's own clock where there is none.

    Raises:
        StoreRefused: others may read the file, or we may not write to it.
        StoreSchema: it is another program's, or a newer mcpc made it.
        StoreUnavailable: it is locked.
    """

    def __init__(
        self, path: Path, sync: Sync, busy_timeout: float, max_size: int, clock: Callable[[], float] | None
    ) -> None:
        self.path = path
        self._given_clock = clock
        make_private(path)
        with errors_of(path):
            self.db: sqlite3.Connection = sqlite3.connect(
                path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(sync, max_size)
            except BaseException:
                self.db.close()
                raise
        self._identity = path.stat().st_ino

    def _prepare(self, sync: Sync, max_size: int) -> None:
        db = self.db
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        if tables and application != APPLICATION_ID:
            raise StoreSchema(f"{self.path} is a database of another program; it was left as it is")
        self._version()  # before anything is changed
        if not tables:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table, or never
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {sync}")
        if max_size:
            db.execute(f"PRAGMA max_page_count = {max(1, max_size // PAGE_SIZE)}")
        db.execute("BEGIN IMMEDIATE")
        try:
            self._migrate()
            self.now: Callable[[], float] = self._given_clock or StoreClock(db)
            """Gives the seconds since the epoch, by the store's clock."""
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _version(self) -> int:
        (version,) = self.db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreSchema(
                f"{self.path} has schema {version}, and this mcpc knows {SCHEMA_VERSION}: a newer mcpc made it"
            )
        return version

    def _migrate(self) -> None:
        for step in range(self._version() + 1, SCHEMA_VERSION + 1):
            text = (files("mcpc_stores.sqlite") / "schema" / f"{step:04}.sql").read_text(encoding="utf-8")
            for statement in _statements(text):
                self.db.execute(statement)
        self.db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self.db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close it."""
        self.db.close()

    def transact(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function` in a transaction that may write."""
        db = self.db
        with errors_of(self.path):
            self._check_there()
            db.execute("BEGIN IMMEDIATE")
            try:
                result = function(*args)
                db.execute("COMMIT")
                return result
            except BaseException:
                if db.in_transaction:  # SQLite itself rolls some back
                    db.execute("ROLLBACK")
                raise

    def look(self, function: Callable[..., T], *args: Any) -> T:
        """Run `function`, which only reads, and sees one state of the file."""
        with errors_of(self.path):
            self._check_there()
            self.db.execute("BEGIN")
            try:
                return function(*args)
            finally:
                if self.db.in_transaction:
                    self.db.execute("COMMIT")

    def _check_there(self) -> None:
        """A file that was removed under us can still be written to, and all of it would be lost."""
        try:
            if self.path.stat().st_ino == self._identity:
                return
        except OSError:
            pass  # it is gone, which is said below
        raise StoreUnavailable(f"the store {self.path} was removed or replaced; restart what uses it")

    def data_version(self) -> int:
        """A number that changes with what other connections commit."""
        (version,) = self.db.execute("PRAGMA data_version").fetchone()
        return version

    def tidy(self, pages: int) -> None:
        """Give free pages back to the file system, so many at the most."""
        with errors_of(self.path):
            self.db.executescript(f"PRAGMA incremental_vacuum({pages})")  # `execute` frees one page


def _statements(text: str) -> Iterator[str]:
    """The statements of a script, one by one: `executescript` would end our transaction."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def errors_of(path: Path) -> Generator[None]:
    """What SQLite raises as errors of ours (https://www.sqlite.org/rescode.html)."""
    try:
        yield
    except sqlite3.Error as exc:
        kind, text = _KINDS.get(getattr(exc, "sqlite_errorcode", 0) & 0xFF, (StoreUnavailable, "does not work"))
        raise kind(f"the store {path} {text}: {exc}") from exc


_KINDS: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (StoreUnavailable, "is locked by another program"),
    sqlite3.SQLITE_LOCKED: (StoreUnavailable, "is locked by another program"),
    sqlite3.SQLITE_FULL: (StoreFull, "has no room"),
    sqlite3.SQLITE_READONLY: (StoreRefused, "cannot be written to"),
    sqlite3.SQLITE_CANTOPEN: (StoreRefused, "cannot be opened"),
    sqlite3.SQLITE_PERM: (StoreRefused, "cannot be opened"),
    sqlite3.SQLITE_AUTH: (StoreRefused, "cannot be opened"),
    sqlite3.SQLITE_NOTADB: (StoreSchema, "is not a database"),
    sqlite3.SQLITE_CORRUPT: (StoreSchema, "is damaged"),
}
