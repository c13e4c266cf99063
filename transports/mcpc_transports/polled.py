"""Bytes over non-blocking descriptors, on every event loop, without a thread or a task.

On asyncio the loop itself reads, when it sees that there is something, and hands
it on: that saves two system calls and a turn of the loop a read, against a task
that waits for readability and reads then. Knows no addresses, processes or frames.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

from mcpc.detached import callback_context

__all__ = ["CHUNK", "Consume", "PolledStream"]

CHUNK = 64 * 1024
"""Bytes asked for in one read: what a pipe holds."""


Consume = Callable[[bytes], bool]
"""Takes what was read, at once; True says that it is enough for now."""


class _LoopReader:
    """Reads a descriptor on asyncio. It stays registered from one `read_until` to the next, while there is one.

    Args:
        loop: The running loop.
        descriptor: What to read from.
        read: Reads from it once, without waiting; see `PolledStream`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, read: Callable[[Consume], bool]) -> None:
        self.registered = False
        self._loop = loop
        self._descriptor = descriptor
        self._read = read
        self._consume: Consume = bool
        self._waiter: asyncio.Future[None] | None = None

    async def read_until(self, consume: Consume) -> None:
        """See `PolledStream.read_until`.

        Raises:
            NotImplementedError: the loop cannot watch descriptors.
        """
        if not self.registered:
            callback_context().run(self._loop.add_reader, self._descriptor, self._on_readable)
            self.registered = True
        self._consume = consume
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _on_readable(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.unregister()  # nobody wants it now; the loop would call again and again
            return
        try:
            if self._read(self._consume):
                waiter.set_result(None)
        except BlockingIOError:
            return
        except Exception as exc:
            waiter.set_exception(exc)

    def unregister(self) -> None:
        """Watch the descriptor no more."""
        if self.registered:
            self.registered = False
            self._loop.remove_reader(self._descriptor)

    def close(self) -> None:
        """Wake who waits, with `ClosedResourceError`."""
        self.unregister()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(anyio.ClosedResourceError())


class PolledStream:
    """Bytes over non-blocking descriptors, which it owns: read or write first, wait for the descriptor only if need be.

    So a regular file, which never blocks and cannot be polled, needs no case of its own.

    Args:
        reader: The descriptor to read from.
        writer: The descriptor to write to; may be the same.
    """

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = reader
        self._writer = writer
        self._closing = False
        self._is_sending = False
        self._loop_reader: _LoopReader | None = None
        self._received: list[bytes] = []

    async def receive(self) -> bytes:
        """The next bytes, at most `CHUNK`; a cancelled call loses none."""
        if not self._received:
            await self.read_until(self._keep)
        return self._received.pop(0)

    def _keep(self, data: bytes) -> bool:
        self._received.append(data)
        return True

    async def read_until(self, consume: Consume) -> None:
        """Give all that is read to `consume`, at once, until it has enough; a cancelled call loses nothing.

        Raises:
            anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError: there is no more.
        """
        await checkpoint_if_cancelled()
        self._check_open()
        try:
            watching = self._loop_reader
            if watching is not None and watching.registered:
                await watching.read_until(consume)
            elif not await self._read_what_is_there(consume):
                await self._wait_and_read(consume)
        except OSError as exc:
            raise anyio.BrokenResourceError from exc

    async def _read_what_is_there(self, consume: Consume) -> bool:
        """Read while there is something, without waiting; whether it was enough."""
        with suppress(BlockingIOError):
            while True:
                enough = self._read_once(consume)
                await cancel_shielded_checkpoint()
                if enough:
                    return True
                self._check_open()
        return False

    def _read_once(self, consume: Consume) -> bool:
        data = self._read(CHUNK)
        if not data:
            raise anyio.EndOfStream
        return consume(data)

    async def _wait_and_read(self, consume: Consume) -> None:
        if self._loop_reader is None:
            with suppress(RuntimeError):  # no such loop runs: it is trio
                self._loop_reader = _LoopReader(asyncio.get_running_loop(), self._reader, self._read_once)
        if self._loop_reader is not None:
            with suppress(NotImplementedError):
                await self._loop_reader.read_until(consume)
                return
        while True:
            await anyio.wait_readable(self._reader)
            self._check_open()
            with suppress(BlockingIOError):
                if self._read_once(consume):
                    return

    async def send(self, item: bytes) -> None:
        """Write all of `item`.

        Raises:
            anyio.BusyResourceError: somebody else's `send` is under way.
            anyio.BrokenResourceError, anyio.ClosedResourceError: it cannot be written.
        """
        await checkpoint_if_cancelled()
        rest = self.send_nowait(item)
        if not rest:
            await cancel_shielded_checkpoint()
            return
        self._is_sending = True
        try:
            while rest:
                await anyio.wait_writable(self._writer)
                rest = self._write_some(rest)
        finally:
            self._is_sending = False

    def send_nowait(self, item: bytes) -> memoryview:
        """Write as much of `item` as goes at once; the rest is returned. Raises as `send` does."""
        if self._is_sending:
            raise anyio.BusyResourceError("writing to")
        return self._write_some(memoryview(item))

    def _write_some(self, rest: memoryview) -> memoryview:
        self._check_open()
        try:
            while rest:
                rest = rest[self._write(rest) :]
        except BlockingIOError:
            pass  # there is no room: the rest is the caller's to wait with
        except OSError as exc:
            raise anyio.BrokenResourceError from exc
        return rest

    async def aclose(self) -> None:
        """Wake who waits, then let go of the descriptors."""
        if self._closing:
            return
        self._closing = True
        if self._loop_reader is not None:
            self._loop_reader.close()
        for descriptor in {self._reader, self._writer}:
            anyio.notify_closing(descriptor)
        with anyio.CancelScope(shield=True):
            # Those who waited must have left before the descriptor's number can stand for another file: on asyncio
            # they drop the registration of that number as they leave, whoever it belongs to by then.
            await cancel_shielded_checkpoint()
            await self._release()

    def _check_open(self) -> None:
        if self._closing:
            raise anyio.ClosedResourceError

    def _read(self, max_bytes: int) -> bytes:
        return os.read(self._reader, max_bytes)

    def _write(self, data: memoryview) -> int:
        return os.write(self._writer, data)

    async def _release(self) -> None:
        for descriptor in {self._reader, self._writer}:
            os.close(descriptor)
