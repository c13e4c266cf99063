"""One open WebSocket connection as a frame channel.

The shell that moves the bytes, written on anyio so that one shell serves every
event loop: what comes is digested by `incoming`, what goes out by `outgoing`, how it
ends is kept by `ending`. Knows nothing of handshakes, addresses, listeners or the time of day.

A connection owns no task. `receive` pulls: it reads a chunk, has all frames in it
parsed, and hands them out one by one, so pings are answered while somebody
receives (as the core of this library always does). `receive` is never held up by a
peer that does not read: what has to be answered waits with `outgoing`.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled
from websockets.frames import CloseCode
from websockets.protocol import OPEN, Protocol

from mcpc.errors import ChannelBroken, TransportError
from mcpc_transports.websocket.changes import Changes
from mcpc_transports.websocket.ending import Ending
from mcpc_transports.websocket.incoming import Incoming, Message
from mcpc_transports.websocket.outgoing import STREAM_ERRORS, Outgoing, reason
from mcpc_transports.websocket.stream import Stream

__all__ = ["WebSocketChannel", "background"]

CLOSE_TIMEOUT = 1.0
"""Seconds that `aclose` gives the peer to answer."""


@asynccontextmanager
async def background() -> AsyncGenerator[anyio.abc.TaskGroup]:
    """Tasks that end with the body. What the body raises leaves as it is, not wrapped into a group."""
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as exc:
            failure = exc
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


class WebSocketChannel:
    """A `FrameChannel` over one connection whose opening handshake is done.

    Args:
        stream: The connection; the channel closes it.
        protocol: Its protocol core, in the state OPEN and between two frames, made with
            `core.frame_limit(max_message_size)`.
        tasks: Where a control frame is written from when nobody else writes; must outlive the channel.
        max_message_size: Bytes of the largest message accepted.
    """

    __slots__ = (
        "_changes",
        "_close_reason",
        "_ending",
        "_eof",
        "_inbox",
        "_incoming",
        "_outgoing",
        "_protocol",
        "_stream",
        "_tasks",
        "close_code",
        "reading",
        "tap",
    )

    def __init__(
        self,
        stream: Stream,
        protocol: Protocol,
        tasks: anyio.abc.TaskGroup,
        *,
        max_message_size: int,
    ) -> None:
        self.close_code: int = CloseCode.NORMAL_CLOSURE
        """What `aclose` tells the peer."""
        self._close_reason = ""
        self.reading = False
        """Somebody waits for the peer just now."""
        self.tap: Callable[[bytes], bool] | None = None
        """See `ImmediateChannel.tap`."""
        self._stream = stream
        self._protocol = protocol
        self._tasks = tasks
        self._ending = Ending()
        self._changes = Changes()
        self._outgoing = Outgoing(stream, protocol, tasks, self._ending, self._changes)
        self._incoming = Incoming(protocol, self._ending, self._outgoing.post, max_message_size)
        self._inbox: list[Message] = []  # messages not yet taken, the next one last
        self._eof = False
        """Nothing more comes from the stream."""

    # --- the contract ---

    async def send(self, *frames: bytes) -> None:
        """See `FrameChannel.send`. All frames go out in one write."""
        await checkpoint_if_cancelled()
        await self._outgoing.send(frames)

    def send_nowait(self, *frames: bytes) -> bool:
        """See `ImmediateChannel.send_nowait`."""
        return self._outgoing.send_nowait(frames)

    async def receive(self) -> bytes:
        """See `FrameChannel.receive`. A single frame is bad here only by its size: what breaks a rule of the wire ends
        the connection."""
        while not self._inbox:
            self._ending.check_receivable()
            await self._pump()
        message = self._inbox.pop()
        if isinstance(message, bytes):
            return message
        raise message

    async def aclose(self) -> None:
        """See `FrameChannel.aclose`. Sends a close frame and gives the peer a second to answer it."""
        if not self._ending.close():
            await checkpoint()
            return
        self._inbox.clear()
        self._incoming.forget()
        try:
            with anyio.move_on_after(CLOSE_TIMEOUT), suppress(TransportError):
                await self._say_goodbye()
        finally:
            await self._shut()

    async def close(self, code: int, reason: str) -> None:
        """`aclose`, and say why."""
        self.close_code, self._close_reason = code, reason
        await self.aclose()

    # --- for the keep-alive ---

    @property
    def heard(self) -> bool:
        """Set whenever the peer gives a sign of life; the keep-alive clears it."""
        return self._outgoing.heard

    @heard.setter
    def heard(self, heard: bool) -> None:
        self._outgoing.heard = heard

    def ping(self) -> bool:
        """Send a ping; False where the connection is ending anyway."""
        if not self._ending.is_heard or self._protocol.state is not OPEN:
            return False
        self._protocol.send_ping(b"")
        self._outgoing.post(self._protocol.data_to_send())
        return True

    def give_up(self, why: str) -> None:
        """End the connection with an error, now."""
        if self._ending.is_closed:
            return
        self._ending.end(ChannelBroken, why)
        self._protocol.fail(CloseCode.INTERNAL_ERROR, why)
        self._outgoing.post(self._protocol.data_to_send())
        self._tasks.start_soon(self._drop)

    async def _drop(self) -> None:
        with anyio.move_on_after(CLOSE_TIMEOUT):
            await self._outgoing.flush()
        await self._shut()

    # --- reading ---

    async def _pump(self) -> None:
        """Read until there is something for `receive`, or the end."""
        self.reading = True
        try:
            await self._stream.read_until(self._take)
        except anyio.EndOfStream:
            self._eof = True
            self._hand_out(self._incoming.finish())
        except STREAM_ERRORS as exc:
            self._eof = True
            self._ending.end(ChannelBroken, f"the connection is lost{reason(exc)}", exc)
        finally:
            self.reading: bool = False
            self._changes.tell()

    def _take(self, data: bytes) -> bool:
        """Digest what was read; whether somebody waits for what it was."""
        self._outgoing.heard = True
        self.digest(data)
        return not self._ending.is_heard or bool(self._inbox)

    def digest(self, data: bytes) -> None:
        """Take what has come: messages into the inbox, answers to be written, or the end."""
        self._hand_out(self._incoming.take(data))

    def _hand_out(self, messages: list[Message]) -> None:
        if self._ending.is_closed:
            return
        messages.reverse()
        while messages and self.tap is not None and isinstance(messages[-1], bytes) and self.tap(messages[-1]):
            messages.pop()
        self._inbox = messages

    # --- closing ---

    async def _say_goodbye(self) -> None:
        """Send our close frame, and read on until the peer has answered it or is gone.

        Reading matters: a socket that is closed with unread bytes in it resets the connection, and the peer
        then loses what it has not read.
        """
        await self._outgoing.until_free()
        if self._ending.is_mute:
            return
        failed = self._protocol.close_sent is not None and self._protocol.close_rcvd is None
        await self._outgoing.close(self.close_code, self._close_reason)
        if failed:
            # The core reads no more close frames after an error, so the end of the stream has to do.
            with suppress(NotImplementedError, *STREAM_ERRORS):
                await self._stream.send_eof()
        while self._protocol.close_rcvd is None and not self._eof:
            await (self._changes.wait() if self.reading else self._pump())

    async def _shut(self) -> None:
        self._eof = True
        with anyio.CancelScope(shield=True), suppress(*STREAM_ERRORS):
            await self._stream.aclose()
        self._ending.shut()
        self._changes.tell()
