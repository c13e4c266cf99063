"""What a server that we run writes to its stderr: the end of it is kept, and all of it passed on.

The server is never held up: its pipe is read whatever becomes of the bytes. Where
they go may be a terminal that stands still, or a pipe that nobody reads; so much
waits for it, then the oldest are left out, and it is told so. It belongs to the
event loop itself, as the server may be let go of in any task. It knows bytes and
descriptors, and nothing of processes.
"""

import os
import select
import stat
from contextlib import suppress

import anyio
from anyio.lowlevel import checkpoint

from mcpc.detached import spawn_detached
from mcpc_transports.polled import CHUNK

__all__ = ["Stderr"]

TAIL, LINES = 8192, 10
"""Of what a server that died had written to stderr, so many bytes and lines are told."""

MAX_WAITING = 1024 * 1024
"""Bytes that wait for where they are passed on to."""

PIECE = 4096
"""Bytes that a pipe which can be written to takes without blocking (POSIX, `PIPE_BUF`)."""

PARTING = 0.5
"""Seconds that the last of it has to be passed on in."""

MAX_READS = 64
"""Reads of what is there at the end; somebody who goes on writing keeps nobody."""


class Stderr:
    """A pipe, read from now on until `end`.

    Args:
        reader: The end of it to read from; it is closed in the end.
        errlog: Where all of it goes; None for nowhere. Stays the caller's.
    """

    def __init__(self, reader: int, errlog: int | None) -> None:
        self._reader = reader
        self._onward = None if errlog is None else _Onward(errlog)
        self._tail = bytearray()
        self._reading = anyio.CancelScope()
        self._is_over = anyio.Event()
        os.set_blocking(reader, False)
        spawn_detached(self._run)

    def last_lines(self) -> str:
        """The last lines of what was written so far, control characters escaped."""
        self._read_what_is_there()
        lines = self._tail.decode(errors="replace").splitlines()[-LINES:]
        return "\n".join(f"  {_printable(line)}" for line in lines)

    async def end(self) -> None:
        """Pass on what is there still, within a moment, and let go."""
        self._read_what_is_there()
        if self._onward is not None:
            with anyio.move_on_after(PARTING):
                await self._onward.flushed()
        self._reading.cancel()
        await self._is_over.wait()
        os.close(self._reader)
        if self._onward is not None:
            self._onward.close()

    async def _run(self) -> None:
        try:
            with self._reading, suppress(OSError):
                async with anyio.create_task_group() as tasks:
                    if self._onward is not None:
                        tasks.start_soon(self._onward.run)
                    await self._read()
        finally:
            self._is_over.set()

    async def _read(self) -> None:
        while True:
            try:
                if not self._read_once():
                    return
                await checkpoint()
            except BlockingIOError:
                await anyio.wait_readable(self._reader)

    def _read_what_is_there(self) -> None:
        with suppress(OSError):
            for _ in range(MAX_READS):
                if not self._read_once():
                    return

    def _read_once(self) -> bool:
        data = os.read(self._reader, CHUNK)
        self._tail += data[-TAIL:]
        del self._tail[:-TAIL]
        if self._onward is not None:
            self._onward.add(data)
        return bool(data)


class _Onward:
    """Where bytes are passed on to, without ever blocking.

    Whether a file blocks is a property of what is open, so it is shared with everybody who has it, a shell for one. So
    a pipe or a terminal is opened anew, and nothing is written that would have to wait.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = _own(descriptor)
        self._waiting = bytearray()
        self._left_out = 0
        self._more = anyio.Event()
        self._empty = anyio.Event()
        self._empty.set()

    def add(self, data: bytes) -> None:
        """Write what goes at once; the rest waits."""
        self._waiting += data
        self._write()
        excess = len(self._waiting) - MAX_WAITING
        if excess > 0:
            del self._waiting[:excess]
            self._left_out += excess
        if self._waiting:
            self._empty = anyio.Event() if self._empty.is_set() else self._empty
            self._more.set()

    async def run(self) -> None:
        """Write what waits, whenever there is room."""
        while True:
            await self._more.wait()
            self._more = anyio.Event()
            while self._waiting:
                await anyio.wait_writable(self._descriptor)
                self._write()
            self._empty.set()

    async def flushed(self) -> None:
        """Wait until nothing waits."""
        await self._empty.wait()

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._descriptor)

    def _write(self) -> None:
        try:
            while self._waiting and _is_writable(self._descriptor):
                if self._left_out:
                    note = f"\n[{self._left_out} bytes of the server's stderr are left out here]\n".encode()
                    self._waiting[:0], self._left_out = note, 0
                del self._waiting[: os.write(self._descriptor, self._waiting[:PIECE])]
        except BlockingIOError:
            return
        except OSError:  # nobody reads it any more
            self._waiting.clear()
            self._left_out = 0


def _own(descriptor: int) -> int:
    """A descriptor of the same file that is ours alone, and does not block where that can be had."""
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor):
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return os.dup(descriptor)


def _is_writable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
