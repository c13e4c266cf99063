"""Newline framing: one JSON-RPC message a line, over any stream of bytes.

What the byte-stream adapters share: a splitter without I/O, and the frame channel
made of it. It knows no addresses, sockets or processes.

The framing is the one the specification asks of stdio and of custom byte streams:
https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio
"""

from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Protocol

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from pydantic_core import from_json

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, MCPCError, TransportError
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE
from mcpc.wire.envelope import BEGINNING, END, read_cut
from mcpc.wire.rpc import too_large
from mcpc_transports.polled import Consume

__all__ = ["Bytes", "LineChannel", "LineSplitter"]

CLOSE_TIMEOUT = 2.0
"""Seconds that closing a stream may take."""

BRACE = ord("{")

STREAM_ERRORS = (anyio.ClosedResourceError, anyio.EndOfStream, anyio.BrokenResourceError, OSError)
"""What a stream raises when it can be used no more."""


class Bytes(Protocol):
    """What a channel needs of a `PolledStream`."""

    async def read_until(self, consume: Consume) -> None: ...
    async def send(self, item: bytes) -> None: ...
    def send_nowait(self, item: bytes) -> memoryview: ...
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
        self._cut: bytes | None = None
        """The beginning of the line that is dropped, while its end is to tell what it was."""
        self._end = b""
        self._begun = False
        """The first byte that is not blank of the unfinished line has been seen."""

    @property
    def unfinished(self) -> bool:
        """A line has begun and not ended."""
        return self._discarding or bool(self._tail.strip())

    def end(self) -> None:
        """The stream has ended: a message that is whole but for its newline is a line all the same."""
        with suppress(ValueError):
            if self._tail and not self._discarding and isinstance(from_json(self._tail), dict):
                self.feed(b"\n")

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
                raise too_large(self._limit, line[:BEGINNING], line[-END:])
            return line
        return None

    @property
    def has_lines(self) -> bool:
        """Whether there is something for `pop` to look at."""
        return bool(self._ready)

    def offer(self, tap: Callable[[bytes], bool]) -> None:
        """Give whole lines to `tap`, in order, for as long as it takes them."""
        while self._ready:
            line = self._ready[0]
            if not isinstance(line, bytes) or len(line) > self._limit or not tap(line):
                return
            self._ready.popleft()

    def _extend(self, piece: bytes) -> None:
        """More of the unfinished line."""
        if self._objects_only and not self._begun:
            self._look_at_beginning(piece)
        if self._discarding:
            if self._cut is not None:
                self._end = (self._end + piece[-END:])[-END:]
            return
        # One byte more than the limit may be the "\r" of the ending.
        if len(self._tail) + len(piece) > self._limit + 1:
            self._discard(self._tail + piece[: max(BEGINNING, END)])
            self._end = piece[-END:]
        else:
            self._tail += piece

    def _look_at_beginning(self, piece: bytes) -> None:
        text = piece if piece[:1] == b"{" else piece.lstrip()
        if text:
            self._begun = True
            if text[0] != BRACE:
                self._ready.append(_foreign())

    def _discard(self, line: bytearray) -> None:
        """Drop the line that has begun. Its error waits for its end, where the beginning does not tell its id."""
        self._tail = bytearray()
        self._discarding = True
        error = too_large(self._limit, line[:BEGINNING])
        if error.kind is None and read_cut(line[:BEGINNING]) is not None:
            self._cut = bytes(line[:BEGINNING])
        else:
            self._ready.append(error)

    def _finish(self) -> bytes:
        """The unfinished line is whole: hand it out. One that was discarded leaves a blank."""
        line = bytes(self._tail)
        if self._cut is not None:
            self._ready.append(too_large(self._limit, self._cut, self._end))
        self._cut, self._end = None, b""
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
        self.tap: Callable[[bytes], bool] | None = None
        """See `ImmediateChannel.tap`."""
        self._rest = b""
        """What `send_nowait` could not write."""
        self._ending: TransportError | None = None

    async def send(self, *frames: bytes) -> None:
        """See `FrameChannel.send`. All frames go in one write.

        Raises:
            ValueError: a frame holds a newline; nothing was sent.
        """
        data = _lines(frames)
        await checkpoint_if_cancelled()
        self._check_sendable()
        # Set ahead, so that whatever ends the write early, a cancellation above all, leaves it set.
        self._torn = True
        rest, self._rest = self._rest, b""
        with _translated():
            await self._stream.send(rest + data if rest else data)
        self._torn = False

    def send_nowait(self, *frames: bytes) -> bool:
        """See `ImmediateChannel.send_nowait`.

        Raises:
            ValueError: a frame holds a newline; nothing was sent.
        """
        data = _lines(frames)
        self._check_sendable()
        try:
            self._rest = bytes(self._stream.send_nowait(self._rest + data))
        except STREAM_ERRORS as exc:
            self._torn = True
            raise _as_ending(exc) from exc
        return not self._rest

    def _check_sendable(self) -> None:
        self._check_open()
        if self._torn:
            raise ChannelBroken("an earlier send did not finish")

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
                    await self._stream.read_until(self._take)
            except (ChannelEnded, ChannelBroken) as exc:
                self._ending = self._judge(exc)

    def _take(self, chunk: bytes) -> bool:
        """What was read; whether there is something for `receive`."""
        splitter = self._splitter
        splitter.feed(chunk)
        if self.tap is not None:
            splitter.offer(self.tap)
        return splitter.has_lines

    async def _next_line(self) -> bytes | None:
        try:
            return self._splitter.pop()
        except ChannelBroken:
            await self.aclose()
            raise

    def _judge(self, ending: ChannelEnded | ChannelBroken) -> TransportError:
        if isinstance(ending, ChannelEnded):
            self._splitter.end()
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


def _lines(frames: tuple[bytes, ...]) -> bytes:
    data = b"\n".join((*frames, b""))
    if data.count(b"\n") != len(frames):
        raise ValueError("a frame cannot hold a newline: it would be read as two")
    return data


@contextmanager
def _translated() -> Generator[None]:
    """A stream's errors as a channel's."""
    try:
        yield
    except STREAM_ERRORS as exc:
        raise _as_ending(exc) from exc


def _as_ending(exc: Exception) -> TransportError:
    """A stream's error as a channel's."""
    if isinstance(exc, anyio.ClosedResourceError):
        return ChannelClosed("the channel is closed")
    if isinstance(exc, anyio.EndOfStream):
        return ChannelEnded("the peer closed the connection")
    cause = exc.__cause__ if isinstance(exc.__cause__, OSError) else exc
    reason = getattr(cause, "strerror", None)
    return ChannelBroken(f"the connection is broken: {reason}" if reason else "the connection is broken")
