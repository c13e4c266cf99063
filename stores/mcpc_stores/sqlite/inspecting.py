"""What a SQLite store is like, for who looks after it: read from the file as it is, which is not made or changed."""

import sqlite3
import stat
from pathlib import Path
from typing import Any

from mcpc.errors import StoreRefused, StoreSchema, StoreUnavailable
from mcpc.stored import StoreReport
from mcpc_stores.sqlite.file import APPLICATION_ID, SCHEMA_VERSION, Sync, errors_of
from mcpc_stores.sqlite.paths import check_private

__all__ = ["inspect_file"]

_COUNTS = {
    "channels": "SELECT count(*) FROM channels",
    "messages": "SELECT coalesce(sum(count), 0) FROM log",
    "queued": "SELECT count(*) FROM tasks WHERE status = 'queued'",
    "handed off": "SELECT count(*) FROM tasks WHERE status = 'handed'",
    "running": "SELECT count(*) FROM tasks WHERE status = 'running'",
    "ended": "SELECT count(*) FROM tasks WHERE expires_at IS NOT NULL",
    "processes": "SELECT count(*) FROM handles",
}


def inspect_file(path: Path, sync: Sync) -> StoreReport:
    """The report on a file.

    Raises:
        StoreUnavailable: there is none yet, or it is locked.
        StoreSchema: it is another program's, or a newer mcpc made it.
        StoreRefused: it cannot be read.
    """
    if not path.exists():
        raise StoreUnavailable(f"there is no store {path} yet: the first server that uses it makes it")
    if not path.is_file():
        raise StoreRefused(f"{path} is not an ordinary file")
    with errors_of(path):
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1.0)
        try:
            return _report(db, path, sync)
        finally:
            db.close()


def _report(db: sqlite3.Connection, path: Path, sync: Sync) -> StoreReport:
    version = _number(db, "PRAGMA user_version")
    if _number(db, "PRAGMA application_id") != APPLICATION_ID:
        raise StoreSchema(f"{path} is no store of mcpc's, but a database of another program")
    if version > SCHEMA_VERSION:
        raise StoreSchema(f"{path} has schema {version}, and this mcpc knows {SCHEMA_VERSION}: a newer mcpc made it")
    (journal,) = db.execute("PRAGMA journal_mode").fetchone()
    return StoreReport(
        engine=f"SQLite {sqlite3.sqlite_version}",
        schema=version,
        settings={
            "file": str(path),
            "mode": f"{stat.S_IMODE(path.stat().st_mode):04o}",
            "journal": str(journal),
            "sync": sync,
            "bytes": str(path.stat().st_size),
        },
        problems=tuple(_problems(path)),
        notes=() if sync == "full" else ("a power cut may take the last commits; ?sync=full waits for the disk",),
        counts={name: _number(db, query) for name, query in _COUNTS.items()},
    )


def _problems(path: Path) -> list[str]:
    try:
        check_private(path)
    except StoreRefused as exc:
        return [str(exc)]
    return []


def _number(db: sqlite3.Connection, query: str) -> int:
    found: Any = db.execute(query).fetchone()
    return int(found[0])
