"""One open WebSocket connection as a frame channel.

The rules of the wire are those of `websockets`' protocol core, which does no I/O
(`frames` knows the one frame that need not go through it); here is the shell
that moves its bytes, written on anyio so that one shell serves every event loop.
Knows nothing of handshakes, addresses, listeners or the time of day.

A connection owns no task. `receive` pulls: it reads a chunk, has all frames in it
parsed, and hands them out one by one, so pings are answered while somebody
receives (as the core of this library always does). Pongs, pings and close frames
never interleave with a send: they wait in a place of their own, at most one of
each kind, and go out at once, with the next write, or by a short task of their own
where the peer does not read. So `receive` is never held up by a peer that does not read.
"""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled
from websockets.exceptions import PayloadTooBig
from websockets.frames import OK_CLOSE_CODES, CloseCode, Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded, TransportError
from mcpc_transports.websocket.frames import FrameSplitter, text_head
from mcpc_transports.websocket.stream import Stream

__all__ = ["STREAM_ERRORS", "WebSocketChannel", "background"]

STREAM_ERRORS = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.BusyResourceError, OSError)
"""What a byte stream raises when the connection is gone. TLS errors are OSErrors; anyio's TLS stream is busy
where reading must answer the peer (a new key) while a write is under way, and is unusable then."""

CLOSE_TIMEOUT = 1.0
"""Seconds that `aclose` gives the peer to answer."""

SLICE = 256 * 1024
"""Bytes of one write. A longer one goes out in slices, each of which shows that the peer lives."""


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
        "_changed",
        "_closed",
        "_control",
        "_ending",
        "_eof",
        "_inbox",
        "_max_message_size",
        "_partial",
        "_protocol",
        "_rest",
        "_splitter",
        "_stream",
        "_tasks",
        "_unsendable",
        "_writing",
        "close_code",
        "heard",
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
        self.close_code = CloseCode.NORMAL_CLOSURE
        """What `aclose` tells the peer."""
        self.heard = False
        """Set whenever the peer gives a sign of life; the keep-alive clears it."""
        self.reading = False
        """Somebody waits for the peer just now."""
        self._stream = stream
        self._protocol = protocol
        self._tasks = tasks
        self._max_message_size = max_message_size
        # What a client sends is masked, and rare: a server leaves all of it to the core.
        self._splitter = FrameSplitter(max_message_size) if protocol.side is Side.CLIENT else None
        self._inbox: list[bytes] = []  # messages not yet taken, the next one last
        self._partial: bytearray | None = None
        self._control: dict[int, bytes] = {}  # control frames not yet written, by their first byte
        self._writing = False
        self._closed = False
        self._eof = False
        self._ending: tuple[type[TransportError], str, BaseException | None] | None = None
        self._unsendable: str | None = None
        self._rest = b""
        """What `send_nowait` could not write."""
        self.tap: Callable[[bytes], bool] | None = None
        """See `ImmediateChannel.tap`."""
        self._changed: anyio.Event | None = None

    # --- the contract ---

    async def send(self, *frames: bytes) -> None:
        """See `FrameChannel.send`. All frames go out in one write."""
        await checkpoint_if_cancelled()
        while self._writing:
            await self._change()
        self._check_sendable()
        await self._write(self._take_control() + self._framed(frames))

    def send_nowait(self, *frames: bytes) -> bool:
        """See `ImmediateChannel.send_nowait`."""
        self._check_sendable()
        data = b"".join((self._rest, *self._take_control(), *self._framed(frames)))
        if self._writing:  # a control frame is on its way
            self._rest = data
            return False
        try:
            self._rest = bytes(self._stream.send_nowait(data))
        except STREAM_ERRORS as exc:
            raise self._lost(exc) from exc
        return not self._rest

    async def receive(self) -> bytes:
        """See `FrameChannel.receive`. No single frame is bad here: what breaks a rule ends the connection."""
        while True:
            if self._closed:
                raise ChannelClosed("the channel is closed")
            if self._inbox:
                return self._inbox.pop()
            if self._ending is not None:
                kind, text, cause = self._ending
                raise kind(text) from cause
            await self._pump()

    async def aclose(self) -> None:
        """See `FrameChannel.aclose`. Sends a close frame and gives the peer a second to answer it."""
        if self._closed:
            await checkpoint()
            return
        self._closed = True
        self._inbox.clear()
        self._partial = None
        try:
            with anyio.move_on_after(CLOSE_TIMEOUT), suppress(TransportError):
                await self._say_goodbye()
        finally:
            await self._shut()

    # --- for the keep-alive ---

    def ping(self) -> bool:
        """Send a ping; False where the connection is ending anyway."""
        if self._closed or self._ending is not None or self._protocol.state is not OPEN:
            return False
        self._protocol.send_ping(b"")
        self._post(self._protocol.data_to_send())
        return True

    def give_up(self, why: str) -> None:
        """End the connection with an error, now."""
        if self._closed:
            return
        self._end(ChannelBroken, why)
        self._protocol.fail(CloseCode.INTERNAL_ERROR, why)
        self._post(self._protocol.data_to_send())
        self._tasks.start_soon(self._drop)

    async def _drop(self) -> None:
        with anyio.move_on_after(CLOSE_TIMEOUT):
            await self._flush()
        await self._shut()

    # --- writing: who writes holds the turn (`_writing`) ---

    def _check_sendable(self) -> None:
        if self._closed:
            raise ChannelClosed("the channel is closed")
        if self._ending is not None:
            _, text, cause = self._ending
            raise ChannelBroken(text) from cause
        if self._unsendable is not None:
            raise ChannelBroken(self._unsendable)

    async def _write(self, parts: list[bytes]) -> None:
        """Write, and give the turn back.

        Raises:
            TransportError: the connection is gone.
        """
        data = b"".join((self._rest, *parts))
        self._rest = b""
        if not data:
            await checkpoint()
            return
        self._writing = True
        try:
            if len(data) <= SLICE:
                await self._stream.send(data)
            else:
                await self._write_sliced(data)
        except STREAM_ERRORS as exc:
            raise self._lost(exc) from exc
        except BaseException:
            self._unsendable = "an earlier send was cancelled half-way; the connection can no longer be written to"
            raise
        finally:
            self._writing = False
            self._notify()
            if self._control and not self._closed:
                self._tasks.start_soon(self._flush)

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
        self._check_sendable()
        self._unsendable = f"the connection is lost{_reason(exc)}"
        return ChannelBroken(self._unsendable)

    async def _write_sliced(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE):
            await self._stream.send(data[start : start + SLICE])
            self.heard = True

    def _post(self, writes: Iterable[bytes]) -> None:
        """Have control frames written soon.

        A newer one replaces an older one of its kind that still waits: only the last ping has to be answered
        (RFC 6455, 5.5.3), and so a peer that pings and does not read cannot fill our memory.
        """
        waiting = bool(self._control)
        for data in writes:
            if data:  # an empty one asks for a half-close, which is left to `aclose`
                self._control[data[0]] = data
        if self._control and not (waiting or self._writing or self._closed or self._written_at_once()):
            self._tasks.start_soon(self._flush)

    def _written_at_once(self) -> bool:
        """Try to write the control frames without a task: most often there is room for the few bytes."""
        if self._rest or self._unsendable is not None:
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

    async def _flush(self) -> None:
        """Write the control frames that wait, unless somebody else does."""
        if self._writing or self._closed or self._unsendable is not None:
            return
        with suppress(TransportError):
            await self._write(self._take_control())

    # --- reading ---

    async def _pump(self) -> None:
        """Read until there is something for `receive`, or the end."""
        self.reading = True
        try:
            await self._stream.read_until(self._take)
        except anyio.EndOfStream:
            self._eof = True
            self._hand_out(self._from_core(b"", is_last=True))
        except STREAM_ERRORS as exc:
            self._eof = True
            self._end(ChannelBroken, f"the connection is lost{_reason(exc)}", exc)
        finally:
            self.reading = False
            self._notify()

    def _take(self, data: bytes) -> bool:
        """Digest what was read; whether somebody waits for what it was."""
        self.heard = True
        self.digest(data)
        return self._closed or self._ending is not None or bool(self._inbox)

    def digest(self, data: bytes) -> None:
        """Take what has come: messages into the inbox, answers to be written, or the end."""
        splitter = self._splitter
        if splitter is None or self._protocol.state is not OPEN:
            self._hand_out(self._from_core(data))
            return
        messages: list[bytes] = []
        for is_message, piece in splitter.split(data):
            if not is_message:
                messages += self._from_core(piece)
            elif self._is_text(piece):
                messages.append(piece)
            if self._ending is not None:
                break  # the core reads no more after the end either
        self._hand_out(messages)

    def _hand_out(self, messages: list[bytes]) -> None:
        if self._closed:
            return
        messages.reverse()
        while messages and self.tap is not None and self.tap(messages[-1]):
            messages.pop()
        self._inbox = messages

    def _from_core(self, data: bytes, *, is_last: bool = False) -> list[bytes]:
        """The messages that the core finds with `data`, up to one that breaks a rule. What it answers is sent."""
        protocol = self._protocol
        if self._splitter is not None and (is_last or protocol.state is not OPEN):
            data = self._splitter.rest() + data  # from now on all is the core's
        if data:
            protocol.receive_data(data)
        if is_last:
            protocol.receive_eof()
        messages: list[bytes] = []
        events = protocol.events_received()
        if not self._closed and self._ending is None:
            for event in events:
                message = self._message(event) if isinstance(event, Frame) else None
                if message is not None and self._is_text(message):
                    messages.append(message)
                if self._ending is not None:
                    break
            self._note_end()
        self._post(protocol.data_to_send())
        return messages

    def _violated(self, code: CloseCode, text: str) -> None:
        """The peer sent something that may not be sent here: the connection ends with `code`."""
        self._partial = None
        self._protocol.fail(code, text)
        self._end(ChannelBroken, text)
        self._post(self._protocol.data_to_send())

    def _message(self, frame: Frame) -> bytes | None:
        """The message that `frame` completes, if it completes one."""
        opcode = frame.opcode
        if opcode is Opcode.TEXT:
            data = bytes(frame.data)
            if not self._is_small(data):
                return None
            if not frame.fin:
                self._partial = bytearray(data)
                return None
        elif opcode is Opcode.CONT and self._partial is not None:
            # One growing buffer: a list of the parts would let empty fragments fill the memory.
            self._partial += frame.data
            if not self._is_small(self._partial) or not frame.fin:
                return None
            data, self._partial = bytes(self._partial), None
        else:
            if opcode is Opcode.BINARY:
                self._violated(CloseCode.UNSUPPORTED_DATA, "messages must be text")
            return None
        return data

    def _is_small(self, data: bytes | bytearray) -> bool:
        if len(data) <= self._max_message_size:
            return True
        self._violated(CloseCode.MESSAGE_TOO_BIG, self._too_big())
        return False

    def _is_text(self, data: bytes) -> bool:
        if data.isascii():
            return True
        try:
            data.decode()
        except UnicodeDecodeError as exc:
            self._violated(CloseCode.INVALID_DATA, f"message is not UTF-8 at byte {exc.start}")
            return False
        return True

    def _too_big(self) -> str:
        return f"message is over the limit of {self._max_message_size} bytes"

    def _note_end(self) -> None:
        """Keep how the connection ended, if it has: what came before is still to be handed out."""
        close, broken = self._protocol.close_rcvd, self._protocol.parser_exc
        if isinstance(broken, PayloadTooBig):
            self._end(ChannelBroken, self._too_big(), broken)
        elif isinstance(broken, EOFError):
            middle = self._partial is not None or str(broken) != "unexpected end of stream"
            where = "in the middle of a message" if middle else "without a close frame"
            self._end(ChannelBroken, f"the connection was cut {where}", broken)
        elif broken is not None:
            self._end(ChannelBroken, f"the peer broke the WebSocket protocol: {broken}", broken)
        elif close is not None:
            good = close.code in OK_CLOSE_CODES
            self._end(ChannelEnded if good else ChannelBroken, f"the peer closed the connection: {close}")

    def _end(self, kind: type[TransportError], text: str, cause: BaseException | None = None) -> None:
        if self._ending is None:
            self._ending = kind, text, cause

    # --- closing ---

    async def _say_goodbye(self) -> None:
        """Send our close frame, and read on until the peer has answered it or is gone.

        Reading matters: a socket that is closed with unread bytes in it resets the connection, and the peer
        then loses what it has not read.
        """
        while self._writing:
            await self._change()
        if self._unsendable is not None:
            return
        failed = self._protocol.close_sent is not None and self._protocol.close_rcvd is None
        if self._protocol.state is OPEN:
            self._protocol.send_close(self.close_code)
        await self._write(self._take_control() + self._protocol.data_to_send())
        if failed:
            # The core reads no more close frames after an error, so the end of the stream has to do.
            with suppress(NotImplementedError, *STREAM_ERRORS):
                await self._stream.send_eof()
        while self._protocol.close_rcvd is None and not self._eof:
            await (self._change() if self.reading else self._pump())

    async def _shut(self) -> None:
        self._eof = True
        with anyio.CancelScope(shield=True), suppress(*STREAM_ERRORS):
            await self._stream.aclose()
        self._notify()

    # --- waiting for another task of this channel ---

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None


def _reason(exc: BaseException) -> str:
    cause = exc.__cause__ or exc
    return f": {cause}" if str(cause) else ""
