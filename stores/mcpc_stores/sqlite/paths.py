"""The files of a SQLite store: where they are, who may read them, and who uses them now.

Each handle holds a lock on a file of its own for as long as it lives, so that a
process which died is known for dead at once, whatever the clocks say.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from mcpc.errors import StoreRefused, StoreUnavailable, URIError
from mcpc.transport import URI

try:
    import fcntl
except ImportError:  # Windows: the lease alone tells who is gone
    fcntl = None  # type: ignore[assignment]

__all__ = ["HandleLock", "boot_id", "check_private", "is_free", "make_private", "path_of"]

READING = (
    "sqlite:///var/lib/tasks.db is the absolute path /var/lib/tasks.db, sqlite:tasks.db a relative one "
    "(write % as %25, ? as %3F)"
)


def path_of(uri: URI) -> Path:
    """The file that an address names.

    Raises:
        URIError: it names none, or one in a folder that does not exist.
    """
    rest = uri.rest.partition("?")[0]
    if rest.startswith("//"):
        if uri.host or uri.port is not None or uri.username is not None:
            raise URIError(f"a sqlite: address has no host; {READING}")
        rest = "/" + rest.lstrip("/")
    name = unquote(rest)
    if name in ("", "/") or "\0" in name:
        raise URIError(f"a sqlite: address needs the path of a file; {READING}")
    path = Path(os.path.abspath(name))
    if not path.parent.is_dir():
        raise URIError(f"there is no folder {path.parent} for the store {path.name}; {READING}")
    if path.is_dir():
        raise URIError(f"{path} is a folder, and a store is a file; {READING}")
    return path


def make_private(path: Path) -> None:
    """See to it that the file is there, and that nobody else can read, change or replace it.

    Raises:
        StoreRefused: somebody else could; the file was left as it is.
    """
    folder = path.parent.stat()
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise StoreRefused(f"everybody may replace files in {path.parent}: keep the store in a folder of its owner's")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StoreRefused(f"the folder {path.parent} cannot be written to by this user, and a store keeps files there")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600))
    except FileExistsError:
        check_private(path)
    except OSError as exc:
        raise StoreRefused(f"the store {path} cannot be made: {exc.strerror}") from exc


def check_private(path: Path) -> None:
    """Whether the file is for its owner alone.

    Raises:
        StoreRefused: it is not.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise StoreRefused(f"{path} is not an ordinary file; it was left alone")
    if not hasattr(os, "geteuid"):
        return
    if found.st_uid not in (os.geteuid(), 0):
        raise StoreRefused(f"the store {path} belongs to another user")
    if found.st_mode & 0o077:
        raise StoreRefused(f"others may read or change the store {path}: chmod 600 {path}")
    if not os.access(path, os.W_OK):
        raise StoreRefused(f"the store {path} cannot be written to by this user")


def boot_id() -> str:
    """Names this run of the machine, where that can be told: its steady clock means nothing after it."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


class HandleLock:
    """The sign that a handle lives.

    Args:
        path: The store's file.
        handle: The handle's name.

    Raises:
        StoreUnavailable: the folder takes no more files.
    """

    def __init__(self, path: Path, handle: str) -> None:
        self._path = _lock_path(path, handle)
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreUnavailable(f"no file can be made beside the store {path}: {exc.strerror}") from exc
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """The handle lives no more."""
        with suppress(OSError):
            self._path.unlink()
        os.close(self._descriptor)


def is_free(path: Path, handle: str) -> bool:
    """Whether a handle is certainly gone; its lock is then removed. False where that cannot be told."""
    lock = _lock_path(path, handle)
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if fcntl is None:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(OSError):
            lock.unlink()
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _lock_path(path: Path, handle: str) -> Path:
    return path.with_name(f"{path.name}-{handle}.lock")
