"""Two frame channels joined in memory: real bytes, no sockets, any event loop.

The memory transport is made of these, and so is a `Client` of a server object.
Back-pressure is real: a direction holds at most `limit` bytes that nobody has
read (and always at least one frame).
"""

from collections import deque
from collections.abc import Callable

import anyio
from anyio.lowlevel import checkpoint

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE
from mcpc.wire.envelope import BEGINNING, END
from mcpc.wire.rpc import too_large

__all__ = ["MemoryChannel", "memory_pair"]

DEFAULT_BUFFER = 256 * 1024
"""Bytes that one direction holds before `send` waits."""


class _Pipe:
    """One direction: a bounded queue of frames with its two ends."""

    def __init__(self, limit: int, max_message_size: int) -> None:
        self.frames: deque[bytes] = deque()
        self.size: int = 0
        self.limit = limit
        self.max_message_size = max_message_size
        self.ended = False
        """The sender will send no more."""
        self.closed = False
        """The receiver will read no more."""
        self._changed: anyio.Event | None = None

    def put(self, frame: bytes) -> bool:
        """Queue a frame if there is room for it; there always is for one."""
        if self.size and self.size + len(frame) > self.limit:
            return False
        self.frames.append(bytes(frame))
        self.size += len(frame)
        return True

    def get(self) -> bytes:
        """Take the oldest frame.

        Raises:
            FrameTooLarge: it was over the limit.
        """
        frame = self.frames.popleft()
        self.size -= len(frame)
        self.change()
        if len(frame) > self.max_message_size:
            raise too_large(self.max_message_size, frame[:BEGINNING], frame[-END:])
        return frame

    def change(self) -> None:
        """Wake who waits."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    async def wait(self) -> None:
        """Wait for a change."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()


class MemoryChannel:
    """One end of a `memory_pair`."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self.tap: Callable[[bytes], bool] | None = None
        """See `ImmediateChannel.tap`. Shown nothing: the sender would run what the receiver makes of it."""
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False
        self._owed: list[bytes] = []
        """What `send_nowait` had no room for."""

    async def send(self, *frames: bytes) -> None:
        """See `FrameChannel.send`. Each frame is queued whole, so a cancelled send tears none."""
        await checkpoint()
        while not self.send_nowait(*frames):
            frames = ()
            await self._outgoing.wait()

    def send_nowait(self, *frames: bytes) -> bool:
        """See `ImmediateChannel.send_nowait`."""
        if self._closed:
            raise ChannelClosed("the channel is closed")
        pipe = self._outgoing
        if pipe.closed:
            raise ChannelBroken("the peer closed the channel")
        waiting = [*self._owed, *frames]
        count = 0
        while count < len(waiting) and pipe.put(waiting[count]):
            count += 1
        self._owed = waiting[count:]
        pipe.change()
        return not self._owed

    @property
    def is_read(self) -> bool:
        """Whether the peer has taken all that was sent."""
        return not self._owed and not self._outgoing.frames

    async def receive(self) -> bytes:
        """See `FrameChannel.receive`."""
        pipe = self._incoming
        if pipe.frames:
            await checkpoint()
        while not pipe.frames:
            if self._closed:
                raise ChannelClosed("the channel is closed")
            if pipe.ended:
                raise ChannelEnded("the peer closed the channel")
            await pipe.wait()
        if self._closed:
            raise ChannelClosed("the channel is closed")
        return pipe.get()

    async def aclose(self) -> None:
        """See `FrameChannel.aclose`. What was sent stays readable for the peer; what was not read is dropped."""
        if not self._closed:
            self._closed = True
            self._outgoing.ended = True
            self._incoming.closed = True
            self._incoming.frames.clear()
            self._incoming.size = 0
            self._outgoing.change()
            self._incoming.change()
        await checkpoint()


def memory_pair(
    *,
    buffer: int = DEFAULT_BUFFER,
    max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
    max_answer_size: int | None = None,
) -> tuple[MemoryChannel, MemoryChannel]:
    """Two connected channels; what one sends, the other receives.

    Args:
        buffer: Bytes that one direction holds before `send` waits.
        max_message_size: Bytes of the largest frame that `receive` lets through.
        max_answer_size: The same for the first of the two, where it is another.
    """
    there = _Pipe(buffer, max_message_size)
    back = _Pipe(buffer, max_message_size if max_answer_size is None else max_answer_size)
    return MemoryChannel(back, there), MemoryChannel(there, back)
