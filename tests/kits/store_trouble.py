"""What can happen to a SQLite store's file while a server uses it: another program's lock, a disk without room."""

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import pytest

__all__ = ["lock_held", "small_disk"]

LOCKER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
db.execute("ROLLBACK")
print("free", flush=True)
"""


@asynccontextmanager
async def lock_held(path: Path) -> AsyncGenerator[None]:
    """Another process holds the lock on the file that lets it write."""
    async with await anyio.open_process([sys.executable, "-c", LOCKER, str(path)]) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert (await process.stdout.receive()).strip() == b"locked"
        yield
        await process.stdin.aclose()
        await process.wait()


class SmallDisk:
    """A file system of 16 MiB.

    Args:
        folder: Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no room."""
        with suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """There is room again."""
        self._filler.unlink()


@contextmanager
def small_disk(folder: Path) -> Generator[SmallDisk]:
    """A small disk, mounted there; the test is skipped where that is not allowed."""
    folder.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(folder)]
    if (
        sys.platform != "linux"
        or os.geteuid() != 0
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("mounts a file system, which is not allowed here")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
