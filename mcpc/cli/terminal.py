"""Lines from standard input that can be waited for, and given up on, without blocking the event loop."""

import os

import anyio
import anyio.to_thread

__all__ = ["LineReader"]

CHUNK = 65536


class LineReader:
    """Reads lines from a file descriptor. A cancelled read loses nothing."""

    def __init__(self, fd: int = 0) -> None:
        self._fd = fd
        self._buffer = b""
        self._at_end = False

    async def read_line(self) -> str:
        """The next line, without its end.

        Raises:
            EOFError: there is none.
        """
        while b"\n" not in self._buffer and not self._at_end:
            data = await self._read()
            self._buffer += data
            self._at_end = not data
        if not self._buffer:
            raise EOFError("standard input has ended")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    async def _read(self) -> bytes:
        try:
            await anyio.wait_readable(self._fd)
        except (OSError, NotImplementedError):
            # A regular file is always readable, and says so by an error; on Windows only sockets can be waited for.
            return await anyio.to_thread.run_sync(self._read_now, abandon_on_cancel=True)
        return self._read_now()

    def _read_now(self) -> bytes:
        try:
            return os.read(self._fd, CHUNK)
        except OSError:  # it is closed, or its terminal is gone
            return b""
