"""Where callbacks leave a stream: before the SDK makes objects of them, or by one cheap test of those it has made.

The SDK's own way for a vendor's notifications queues 256 of them, then drops the
oldest, and may reorder them; here they go to a sink, in the order of arrival.
"""

import contextvars
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage

from mcpc.errors import FrameError
from mcpc.garbage import collection_paused
from mcpc.sdk import sender_context
from mcpc.wire.arrivals import callback_in, is_callback
from mcpc.wire.callbacks import NOTIFICATION_HEAD
from mcpc.wire.jsontext import json_size
from mcpc.wire.rpc import decode_frame

__all__ = ["MANY", "CallbackTap", "InterceptingReader", "Sink", "StreamWrapper", "TappedReader"]

MANY = 4096
"""Bytes of a frame from which on it may hold so much that the garbage collector is paused for it."""

Sink = Callable[[dict[str, Any], int], None]
"""Takes a callback: the decoded JSON-RPC message, and its bytes. Called in the order of arrival; must not block."""


class CallbackTap:
    """Shows callbacks to a sink as soon as their frames are there, and leaves all other frames alone.

    Looks at frames in the spelling of our own servers only, so that none is decoded twice.
    """

    def __init__(self) -> None:
        self.sink: Sink | None = None
        """Where callbacks go; None lets them pass to the SDK."""

    def __call__(self, frame: bytes) -> bool:
        """Whether `frame` was a callback, and was taken."""
        if self.sink is None or not frame.startswith(NOTIFICATION_HEAD):
            return False
        try:
            return self.read(frame) is None
        except FrameError:
            return False  # whoever reads it next will say so

    def read(self, frame: bytes | bytearray) -> dict[str, Any] | None:
        """The message in any frame; None where it was a callback, and was taken.

        Raises:
            FrameError: it is no message.
        """
        if len(frame) < MANY:
            return self._read(frame)
        with collection_paused:
            return self._read(frame)

    def _read(self, frame: bytes | bytearray) -> dict[str, Any] | None:
        message = decode_frame(frame)
        if self.sink is None or not is_callback(message):
            return message
        self.sink(message, len(frame))
        return None


class StreamWrapper:
    """A stream around another one of the SDK's: it is entered, left and closed with it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def aclose(self) -> None:
        """Close the inner stream."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)


class TappedReader(StreamWrapper):
    """A read stream of the SDK's from whose transport callbacks leave before it: a `CallbackTap` sees the frames."""

    def __init__(self, inner: Any, tap: CallbackTap) -> None:
        super().__init__(inner)
        self.tap = tap

    @property
    def last_context(self) -> contextvars.Context | None:
        """The sender's context, where the inner stream carries one."""
        return sender_context(self._inner)

    async def receive(self) -> Any:
        """The next message."""
        return await self._inner.receive()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self._inner.__anext__()


class InterceptingReader(StreamWrapper):
    """A read stream of the SDK's (HTTP, or any other) whose callbacks leave for a sink: one cheap test a message."""

    def __init__(self, inner: Any, sink: Sink, on_end: Callable[[Exception], None] | None = None) -> None:
        super().__init__(inner)
        self._sink = sink
        self._on_end = on_end

    @property
    def last_context(self) -> contextvars.Context | None:
        """The sender's context, where the inner stream carries one."""
        return sender_context(self._inner)

    async def receive(self) -> Any:
        """The next message that is not a callback."""
        try:
            while True:
                item = await self._inner.receive()
                if not self._intercept(item):
                    return item
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            if self._on_end is not None:
                self._on_end(exc)
            raise

    def _intercept(self, item: Any) -> bool:
        callback = callback_in(item.message) if isinstance(item, SessionMessage) else None
        if callback is None:
            return False
        with collection_paused:
            self._sink(callback, json_size(callback))
        return True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            raise StopAsyncIteration from exc
