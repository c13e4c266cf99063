"""What is written to a WebSocket connection: messages, in order, and control frames between them.

Pongs, pings and close frames never interleave with a message: they wait in a place of
their own, at most one of each kind, and go out at once, with the next write, or by a short
task of their own where the peer does not read. Knows nothing of what is read.
"""

from collections.abc import Iterable
from contextlib import suppress

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint
from websockets.protocol import OPEN, Protocol, Side

from mcpc.errors import ChannelBroken, TransportError
from mcpc_transports.websocket.changes import Changes
from mcpc_transports.websocket.ending import Ending
from mcpc_transports.websocket.frames import text_head
from mcpc_transports.websocket.stream import Stream

__all__ = ["STREAM_ERRORS", "Outgoing", "reason"]

STREAM_ERRORS = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.BusyResourceError, OSError)
"""What a byte stream raises when the connection is gone. TLS errors are OSErrors; anyio's TLS stream is busy
where reading must answer the peer (a new key) while a write is under way, and is unusable then."""

SLICE = 256 * 1024
"""Bytes of one write. A longer one goes out in slices, each of which shows that the peer lives."""


class Outgoing:
    """The writing side of one connection.

    Args:
        stream: The connection.
        protocol: Its protocol core.
        tasks: Where a control frame is written from when nobody else writes.
        ending: Says whether something may be sent; told where it cannot.
        changes: Told when a write is over.
    """

    __slots__ = ("_changes", "_control", "_ending", "_protocol", "_rest", "_stream", "_tasks", "heard", "writing")

    def __init__(
        self,
        stream: Stream,
        protocol: Protocol,
        tasks: anyio.abc.TaskGroup,
        ending: Ending,
        changes: Changes,
    ) -> None:
        self.heard = False
        """Set when the peer shows that it lives, by taking a part of a long write, say; cleared by who looks at it."""
        self.writing = False
        """Somebody writes just now: who writes holds the turn."""
        self._stream = stream
        self._protocol = protocol
        self._tasks = tasks
        self._ending = ending
        self._changes = changes
        self._control: dict[int, bytes] = {}  # control frames not yet written, by their first byte
        self._rest = b""
        """What `send_nowait` could not write."""

    async def send(self, frames: Iterable[bytes]) -> None:
        """Send messages, all in one write.

        Raises:
            TransportError: they cannot be sent.
        """
        await self.until_free()
        self._ending.check_sendable()
        await self.write(self._take_control() + self._framed(frames))

    def send_nowait(self, frames: Iterable[bytes]) -> bool:
        """Send messages as far as they can be sent now; whether all were.

        Raises:
            TransportError: they cannot be sent.
        """
        self._ending.check_sendable()
        data = b"".join((self._rest, *self._take_control(), *self._framed(frames)))
        if self.writing:  # a control frame is on its way
            self._rest = data
            return False
        try:
            self._rest = bytes(self._stream.send_nowait(data))
        except STREAM_ERRORS as exc:
            raise self._lost(exc) from exc
        return not self._rest

    async def until_free(self) -> None:
        """Wait until nobody writes."""
        while self.writing:
            await self._changes.wait()

    def post(self, writes: Iterable[bytes]) -> None:
        """Have control frames written soon.

        A newer one replaces an older one of its kind that still waits: only the last ping has to be answered
        (RFC 6455, 5.5.3), and so a peer that pings and does not read cannot fill our memory.
        """
        waiting = bool(self._control)
        for data in writes:
            if data:  # an empty one asks for a half-close, which is left to who closes
                self._control[data[0]] = data
        if self._control and not (waiting or self.writing or self._ending.is_closed or self._written_at_once()):
            self._tasks.start_soon(self.flush)

    async def flush(self) -> None:
        """Write the control frames that wait, unless somebody else does."""
        if self.writing or self._ending.is_closed or self._ending.is_mute:
            return
        with suppress(TransportError):
            await self.write(self._take_control())

    async def close(self, code: int, reason: str) -> None:
        """Send the close frame, and what still waits.

        Raises:
            TransportError: the connection is gone.
        """
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
        await self.write(self._take_control() + self._protocol.data_to_send())

    async def write(self, parts: list[bytes]) -> None:
        """Write, and give the turn back.

        Raises:
            TransportError: the connection is gone.
        """
        data = b"".join((self._rest, *parts))
        self._rest = b""
        if not data:
            await checkpoint()
            return
        self.writing = True
        try:
            await self._write_sliced(data)
        except STREAM_ERRORS as exc:
            raise self._lost(exc) from exc
        except BaseException:
            self._ending.tear("an earlier send was cancelled half-way; the connection can no longer be written to")
            raise
        finally:
            self.writing: bool = False
            self._changes.tell()
            if self._control and not self._ending.is_closed:
                self._tasks.start_soon(self.flush)

    async def _write_sliced(self, data: bytes) -> None:
        if len(data) <= SLICE:
            await self._stream.send(data)
            return
        for start in range(0, len(data), SLICE):
            await self._stream.send(data[start : start + SLICE])
            self.heard: bool = True

    def _framed(self, messages: Iterable[bytes]) -> list[bytes]:
        """Messages as they stand on the wire, in pieces."""
        protocol = self._protocol
        if protocol.side is Side.SERVER and protocol.state is OPEN:
            return [piece for message in messages for piece in (text_head(len(message)), message)]
        for message in messages:
            protocol.send_text(message)
        return protocol.data_to_send()

    def _lost(self, exc: Exception) -> ChannelBroken:
        """The error for a write that failed.

        Raises:
            TransportError: where we know better why the connection is gone.
        """
        self._ending.check_sendable()
        why = f"the connection is lost{reason(exc)}"
        self._ending.tear(why)
        return ChannelBroken(why)

    def _written_at_once(self) -> bool:
        """Try to write the control frames without a task: most often there is room for the few bytes."""
        if self._rest or self._ending.is_mute:
            return False
        try:
            self._rest = bytes(self._stream.send_nowait(b"".join(self._take_control())))
        except STREAM_ERRORS as exc:
            with suppress(TransportError):
                self._lost(exc)
        return not self._rest

    def _take_control(self) -> list[bytes]:
        if not self._control:
            return []
        frames = list(self._control.values())
        self._control.clear()
        return frames


def reason(exc: BaseException) -> str:
    """What was said of a failure, to stand after what failed."""
    cause = exc.__cause__ or exc
    return f": {cause}" if str(cause) else ""
