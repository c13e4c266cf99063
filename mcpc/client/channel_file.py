"""The file in which a client keeps its channel: the secret key, and the last number that was handled.

Only its owner may read it (0600), and one client uses it at a time. Knows nothing of
connections: what a number means is the caller's affair.
"""

import json
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcpc.errors import ChannelFileRefused
from mcpc.wire.jsontext import as_object

try:
    import fcntl
except ImportError:  # Windows: two clients with one file are not told apart there
    fcntl = None  # type: ignore[assignment]

__all__ = ["ChannelFile", "Place"]

VERSION = 1
SIZE = 1024
"""Bytes of the file: it is written over in one go, so that whoever reads it finds the old or the new."""


@dataclass(frozen=True)
class Place:
    """Where a client is on its channel."""

    channel: str
    """The key: who has it is us, to the server."""
    epoch: str | None = None
    """The log in which the number counts; None before there was one."""
    last: int = 0
    """The highest number that was handled."""


class ChannelFile:
    """One client's file.

    Args:
        path: The file; made where there is none, in a folder that is there.

    Raises:
        ChannelFileRefused: it cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._descriptor: int | None = None
        self.place: Place = self._found() or Place(secrets.token_urlsafe(24))
        """As it was read or written last."""

    def _found(self) -> Place | None:
        try:
            _check_private(self._path, self._path.lstat())
            data = self._path.read_bytes()
            return _read(self._path, data) if data else None  # who made it was killed before it wrote
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise ChannelFileRefused(f"the channel file {self._path} cannot be read: {exc.strerror}") from exc

    def open(self) -> Place:
        """Use the file from now on, and nobody else: the place in it.

        Raises:
            ChannelFileRefused: it cannot be used, or another client uses it.
        """
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            self._descriptor = descriptor = os.open(self._path, flags, 0o600)
        except OSError as exc:
            raise ChannelFileRefused(f"the channel file {self._path} cannot be opened: {exc.strerror}") from exc
        try:
            _check_private(self._path, os.fstat(descriptor))
            self._lock(descriptor)
            data = os.pread(descriptor, SIZE, 0) if hasattr(os, "pread") else self._path.read_bytes()
            self.place = _read(self._path, data) if data else self.place
            self.save(self.place.epoch, self.place.last)
        except BaseException:
            self.close()
            raise
        return self.place

    def _lock(self, descriptor: int) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ChannelFileRefused(
                f"another client uses the channel file {self._path} now; each needs a file of its own"
            ) from None
        except OSError:
            pass  # a file system without locks

    def save(self, epoch: str | None, last: int) -> None:
        """Keep where we are.

        Raises:
            ChannelFileRefused: it cannot be written.
        """
        assert self._descriptor is not None, "it is open"
        self.place = replace(self.place, epoch=epoch, last=last)
        plain = {"version": VERSION, "channel": self.place.channel, "epoch": epoch, "last": last}
        data = json.dumps(plain).encode().ljust(SIZE - 1) + b"\n"
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, data)
        except OSError as exc:
            raise ChannelFileRefused(f"the channel file {self._path} cannot be written: {exc.strerror}") from exc

    def close(self) -> None:
        """Let others use it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)


def _check_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ChannelFileRefused(f"{path} is not an ordinary file; it was left alone")
    if not hasattr(os, "geteuid"):
        return
    if found.st_uid != os.geteuid():
        raise ChannelFileRefused(f"the channel file {path} belongs to another user")
    if found.st_mode & 0o077:
        raise ChannelFileRefused(
            f"others may read the channel file {path}, and who has its key is you, to the server: chmod 600 {path}"
        )


def _read(path: Path, data: bytes) -> Place:
    try:
        plain: dict[str, Any] = as_object(json.loads(data))
        version, channel, epoch, last = (plain.get(name) for name in ("version", "channel", "epoch", "last"))
    except ValueError:
        version = channel = epoch = last = None
    if isinstance(version, int) and version > VERSION:
        raise ChannelFileRefused(f"a newer mcpc made the channel file {path}; it was left as it is")
    is_place = isinstance(channel, str) and 16 <= len(channel) <= 256 and isinstance(epoch, str | None)
    if version != VERSION or not is_place or type(last) is not int or last < 0:
        raise ChannelFileRefused(f"{path} is no channel file; it was left as it is")
    return Place(str(channel), epoch, last)
