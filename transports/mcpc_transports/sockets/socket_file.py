"""The file of a unix socket: made, taken over from a listener that is gone, and removed.

Of two listeners that find the same stale file only one may replace it, and nobody's
file is removed but our own. It knows nothing of connections.
"""

import os
import socket
import stat
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio

from mcpc.errors import ListenFailed
from mcpc_transports.sockets.connection import POLL

if sys.platform != "win32":
    import fcntl

__all__ = ["bind_unix", "remove_if", "remove_stale", "starting_alone"]

LOCK_TIMEOUT = 2.0
"""Seconds to wait for another listener that starts in the same directory."""


@asynccontextmanager
async def starting_alone(directory: str) -> AsyncGenerator[None]:
    """Keep other listeners from starting in `directory`: of two that find the same stale file, only one may replace it.

    The lock leaves nothing behind. Where it cannot be had, the start goes on without: it only closes a narrow race.
    """
    descriptor = await _lock(directory)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


async def _lock(directory: str) -> int | None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        with anyio.move_on_after(LOCK_TIMEOUT):
            # A lock tells nobody when it is free.
            while not _try_lock(descriptor):  # noqa: ASYNC110
                await anyio.sleep(POLL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def remove_stale(path: str) -> None:
    """Make room for a new socket file.

    Raises:
        ListenFailed: what is there is in use, or is not ours to remove.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise ListenFailed(f"cannot serve {path}: it exists and is not a socket; it was left alone")
    if _answers(path):
        raise ListenFailed(f"{path} is already served")
    if found.st_uid != os.geteuid():
        raise ListenFailed(f"cannot serve {path}: the socket there belongs to another user")
    with suppress(FileNotFoundError):
        os.unlink(path)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True  # somebody listens, and is busy
        return True


def bind_unix(path: str, mode: int, backlog: int) -> tuple[socket.socket, tuple[int, int]]:
    """A listening socket, and which file it is.

    No other user can connect too early: until `listen` every connect is refused, and by then the mode is set. On
    Linux the file is even made with it, less the umask, as that is taken from the unbound socket: unix(7) and bind(2).
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with suppress(OSError):
            os.fchmod(sock.fileno(), mode)
        sock.bind(path)
        made = os.lstat(path)
        identity = made.st_dev, made.st_ino
        if stat.S_IMODE(made.st_mode) != mode:
            _change_mode(path, mode)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock, identity


def _change_mode(path: str, mode: int) -> None:
    """Change a file's mode, but never that of what a symbolic link points to: somebody may have put one there."""
    if os.chmod in os.supports_follow_symlinks:
        os.chmod(path, mode, follow_symlinks=False)
        return
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            os.chmod(f"/proc/self/fd/{descriptor}", mode)
    finally:
        os.close(descriptor)


def remove_if(path: str, identity: tuple[int, int]) -> None:
    """Remove a socket file if it is still the one. (While the socket is open, no other file gets its inode number.)"""
    with suppress(OSError):
        found = os.lstat(path)
        if (found.st_dev, found.st_ino) == identity:
            os.unlink(path)
