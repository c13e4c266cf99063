"""Newline framing: one JSON-RPC message a line, over any stream of bytes.

What the byte-stream adapters share: a splitter without I/O, the frame channel made
of it, and a byte stream over non-blocking descriptors that works on every event
loop without a thread or a task. It knows no addresses, sockets or processes.

The framing is the one the specification asks of stdio and of custom byte streams:
https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio
"""

import os
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Protocol

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, FrameTooLarge, MCPCError, TransportError
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE

__all__ = ["CHUNK", "Bytes", "LineChannel", "LineSplitter", "PolledStream"]

CHUNK = 64 * 1024
"""Bytes asked for in one read: what a pipe holds."""

CLOSE_TIMEOUT = 2.0
"""Seconds that closing a stream may take."""

BRACE = ord("{")


class Bytes(Protocol):
    """The part of an `anyio.abc.ByteStream` that a channel needs."""

    async def receive(self, max_bytes: int = ...) -> bytes: ...
    async def send(self, item: bytes) -> None: ...
    async def aclose(self) -> None: ...


class LineSplitter:
    """Chunks in, lines out, in order; each byte is searched once, and memory is bounded by the limit.

    Args:
        limit: Bytes of the longest line let through, its ending not counted.
        objects_only: Refuse a line that does not begin with `{` (after blanks), as soon as it begins.
    """

    def __init__(self, limit: int, *, objects_only: bool = False) -> None:
        self._limit = limit
        self._objects_only = objects_only
        self._ready: deque[bytes | MCPCError] = deque()
        self._tail = bytearray()
        self._discarding = False
        """The line that has begun is over the limit; the rest of it is dropped."""
        self._begun = False
        """The first byte that is not blank of the unfinished line has been seen."""

    @property
    def unfinished(self) -> bool:
        """A line has begun and not ended."""
        return self._discarding or bool(self._tail.strip())

    def feed(self, chunk: bytes) -> None:
        """Take what was read."""
        pieces = chunk.split(b"\n")
        if self._tail or self._discarding:
            self._extend(pieces[0])
            if len(pieces) == 1:
                return
            pieces[0] = self._finish()
        tail = pieces.pop()
        self._ready.extend(pieces)
        if tail:
            self._extend(tail)

    def pop(self) -> bytes | None:
        """The next whole line, without its ending; None where there is none yet. Blank lines are skipped.

        Raises:
            FrameTooLarge: this line was over the limit; call again.
            ChannelBroken: this line is no JSON object, and only objects are wanted.
        """
        while self._ready:
            line = self._ready.popleft()
            if isinstance(line, MCPCError):
                raise line
            if line.endswith(b"\r"):
                line = line[:-1]
            if not line or line.isspace():
                continue
            if self._objects_only and line[0] != BRACE and line.lstrip()[0] != BRACE:
                raise _foreign()
            if len(line) > self._limit:
                raise FrameTooLarge(self._limit)
            return line
        return None

    def _extend(self, piece: bytes) -> None:
        """More of the unfinished line."""
        if self._objects_only and not self._begun:
            self._look_at_beginning(piece)
        if self._discarding:
            return
        # One byte more than the limit may be the "\r" of the ending.
        if len(self._tail) + len(piece) > self._limit + 1:
            self._tail = bytearray()
            self._discarding = True
            self._ready.append(FrameTooLarge(self._limit))
        else:
            self._tail += piece

    def _look_at_beginning(self, piece: bytes) -> None:
        text = piece if piece[:1] == b"{" else piece.lstrip()
        if text:
            self._begun = True
            if text[0] != BRACE:
                self._ready.append(_foreign())

    def _finish(self) -> bytes:
        """The unfinished line is whole: hand it out. One that was discarded leaves a blank."""
        line = bytes(self._tail)
        self._tail.clear()
        self._discarding = False
        self._begun = False
        return line


def _foreign() -> ChannelBroken:
    return ChannelBroken("the peer does not speak newline-framed JSON-RPC; the connection was closed")


class LineChannel:
    """A frame channel whose frames are lines of a byte stream.

    Args:
        stream: The bytes; the channel closes it.
        max_message_size: Bytes of the largest frame that `receive` lets through.
        objects_only: Close the connection when a line does not begin with `{`. For servers without authentication:
            a web page can make a browser post to any port, and such a request must execute nothing.
    """

    def __init__(
        self, stream: Bytes, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE, *, objects_only: bool = False
    ) -> None:
        self._stream = stream
        self._splitter = LineSplitter(max_message_size, objects_only=objects_only)
        self._closed = False
        self._torn = False
        self._ending: TransportError | None = None

    async def send(self, *frames: bytes) -> None:
        """See `FrameChannel.send`. All frames go in one write.

        Raises:
            ValueError: a frame holds a newline; nothing was sent.
        """
        data = b"\n".join((*frames, b""))
        if data.count(b"\n") != len(frames):
            raise ValueError("a frame cannot hold a newline: it would be read as two")
        await checkpoint_if_cancelled()
        self._check_open()
        if self._torn:
            raise ChannelBroken("an earlier send did not finish")
        # Set ahead, so that whatever ends the write early, a cancellation above all, leaves it set.
        self._torn = True
        with _translated():
            await self._stream.send(data)
        self._torn = False

    async def receive(self) -> bytes:
        """See `FrameChannel.receive`. A line that is already here is handed out without waiting."""
        while True:
            self._check_open()
            line = await self._next_line()
            if line is not None:
                return line
            if self._ending is not None:
                raise type(self._ending)(*self._ending.args) from self._ending
            try:
                with _translated():
                    self._splitter.feed(await self._stream.receive(CHUNK))
            except (ChannelEnded, ChannelBroken) as exc:
                self._ending = self._judge(exc)

    async def _next_line(self) -> bytes | None:
        try:
            return self._splitter.pop()
        except ChannelBroken:
            await self.aclose()
            raise

    def _judge(self, ending: ChannelEnded | ChannelBroken) -> TransportError:
        if isinstance(ending, ChannelEnded) and self._splitter.unfinished:
            return ChannelBroken("the peer closed the connection in the middle of a message")
        return ending

    async def aclose(self) -> None:
        """See `FrameChannel.aclose`."""
        if self._closed:
            return
        self._closed = True
        with (
            anyio.move_on_after(CLOSE_TIMEOUT, shield=True),
            suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError),
        ):
            await self._stream.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise ChannelClosed("the channel is closed")


@contextmanager
def _translated() -> Generator[None]:
    """A stream's errors as a channel's."""
    try:
        yield
    except anyio.ClosedResourceError as exc:
        raise ChannelClosed("the channel is closed") from exc
    except anyio.EndOfStream as exc:
        raise ChannelEnded("the peer closed the connection") from exc
    except (anyio.BrokenResourceError, OSError) as exc:
        cause = exc.__cause__ if isinstance(exc.__cause__, OSError) else exc
        reason = getattr(cause, "strerror", None)
        raise ChannelBroken(f"the connection is broken: {reason}" if reason else "the connection is broken") from exc


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

    async def receive(self, max_bytes: int = CHUNK) -> bytes:
        """The next bytes, at most `max_bytes`; a cancelled call loses none."""
        await checkpoint_if_cancelled()
        waited = False
        while True:
            self._check_open()
            try:
                data = self._read(max_bytes)
                break
            except BlockingIOError:
                await anyio.wait_readable(self._reader)
                waited = True
            except OSError as exc:
                raise anyio.BrokenResourceError from exc
        if not waited:
            await cancel_shielded_checkpoint()
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        """Write all of `item`."""
        await checkpoint_if_cancelled()
        view = memoryview(item)
        waited = False
        while view:
            self._check_open()
            try:
                view = view[self._write(view) :]
            except BlockingIOError:
                await anyio.wait_writable(self._writer)
                waited = True
            except OSError as exc:
                raise anyio.BrokenResourceError from exc
        if not waited:
            await cancel_shielded_checkpoint()

    async def aclose(self) -> None:
        """Wake who waits, then let go of the descriptors."""
        if self._closing:
            return
        self._closing = True
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
