"""Two frame channels joined in memory: real bytes, no sockets, any event loop.

The memory transport is made of these, and so is a `Client` of a server object.
Back-pressure is real: a direction holds at most `limit` bytes that nobody has
read (and always at least one frame).
"""

from collections import deque

import anyio
from anyio.lowlevel import checkpoint

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, FrameTooLarge
from mcpc.transport import DEFAULT_MAX_MESSAGE_SIZE

__all__ = ["MemoryChannel", "memory_pair"]

DEFAULT_BUFFER = 256 * 1024
"""Bytes that one direction holds before `send` waits."""


class _Pipe:
    """One direction: a bounded queue of frames with its two ends."""

    def __init__(self, limit: int, max_message_size: int) -> None:
        self.frames: deque[bytes] = deque()
        self.size = 0
        self.limit = limit
        self.max_message_size = max_message_size
        self.ended = False
        """The sender will send no more."""
        self.closed = False
        """The receiver will read no more."""
        self._changed = anyio.Event()

    def change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def wait(self) -> None:
        await self._changed.wait()


class MemoryChannel:
    """One end of a `memory_pair`."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False

    async def send(self, *frames: bytes) -> None:
        """See `FrameChannel.send`. Each frame is queued whole, so a cancelled send tears none."""
        await checkpoint()
        pipe = self._outgoing
        for frame in frames:
            while True:
                if self._closed:
                    raise ChannelClosed("the channel is closed")
                if pipe.closed:
                    raise ChannelBroken("the peer closed the channel")
                if pipe.size == 0 or pipe.size + len(frame) <= pipe.limit:
                    break
                await pipe.wait()
            pipe.frames.append(bytes(frame))
            pipe.size += len(frame)
            pipe.change()

    async def receive(self) -> bytes:
        """See `FrameChannel.receive`."""
        pipe = self._incoming
        await checkpoint()
        while not pipe.frames:
            if self._closed:
                raise ChannelClosed("the channel is closed")
            if pipe.ended:
                raise ChannelEnded("the peer closed the channel")
            await pipe.wait()
        if self._closed:
            raise ChannelClosed("the channel is closed")
        frame = pipe.frames.popleft()
        pipe.size -= len(frame)
        pipe.change()
        if len(frame) > pipe.max_message_size:
            raise FrameTooLarge(pipe.max_message_size)
        return frame

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
    *, buffer: int = DEFAULT_BUFFER, max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE
) -> tuple[MemoryChannel, MemoryChannel]:
    """Two connected channels; what one sends, the other receives.

    Args:
        buffer: Bytes that one direction holds before `send` waits.
        max_message_size: Bytes of the largest frame that `receive` lets through.
    """
    there, back = _Pipe(buffer, max_message_size), _Pipe(buffer, max_message_size)
    return MemoryChannel(back, there), MemoryChannel(there, back)
