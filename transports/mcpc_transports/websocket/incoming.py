"""The bytes that come over a WebSocket connection, as messages: frames, fragments, limits, UTF-8.

The rules of the wire are those of `websockets`' protocol core (`frames` knows the one frame that need not go through
it); what is decided here is what a message may be. One that is over the limit is skipped, and an error stands in its
place; the connection goes on. No I/O: what has to be answered is handed on.
"""

from collections.abc import Callable, Iterable

from websockets.exceptions import PayloadTooBig
from websockets.frames import OK_CLOSE_CODES, CloseCode, Frame, Opcode
from websockets.protocol import OPEN, Protocol, Side

from mcpc.errors import ChannelBroken, ChannelEnded, FrameTooLarge
from mcpc_transports.websocket.ending import Ending
from mcpc_transports.websocket.frames import FrameSplitter
from mcpc_transports.websocket.partial import MAX_SKIPPED, Partial, Remains

__all__ = ["Incoming", "Message"]

Message = bytes | FrameTooLarge
"""A message, or what to raise in the place of one that is over the limit."""


class Incoming:
    """Makes messages of bytes, and notes how the connection ends where they say so.

    Args:
        protocol: The connection's protocol core.
        ending: Told of the end.
        post: Takes control frames to be written soon.
        max_message_size: Bytes of the largest message accepted.
    """

    __slots__ = ("_ending", "_max_message_size", "_partial", "_post", "_protocol", "_remains", "_splitter")

    def __init__(
        self, protocol: Protocol, ending: Ending, post: Callable[[Iterable[bytes]], None], max_message_size: int
    ) -> None:
        self._protocol = protocol
        self._ending = ending
        self._post = post
        self._max_message_size = max_message_size
        self._splitter = FrameSplitter(max_message_size, masked=protocol.side is Side.SERVER)
        self._remains: Remains | None = None
        """The payload of the frame that the core finds next."""
        self._partial: Partial | None = None
        """The message that has come in part."""

    def take(self, data: bytes) -> list[Message]:
        """The messages that are whole with `data`, up to the end where it has come."""
        if self._protocol.state is not OPEN:
            return self._from_core(data)
        messages: list[Message] = []
        for piece in self._splitter.split(data):
            if isinstance(piece, Remains):
                self._remains = piece
            elif not piece[0]:
                messages += self._from_core(piece[1])
            elif self._is_text(piece[1]):
                messages.append(piece[1])
            if not self._ending.is_heard:
                break  # the core reads no more after the end either
        return messages

    def finish(self) -> list[Message]:
        """The messages that are whole now that nothing more comes."""
        return self._from_core(b"", is_last=True)

    def forget(self) -> None:
        """What has come of a message is of no use any more."""
        self._partial = None

    def _from_core(self, data: bytes, *, is_last: bool = False) -> list[Message]:
        """The messages that the core finds with `data`, up to one that breaks a rule. What it answers is sent."""
        protocol = self._protocol
        if is_last or protocol.state is not OPEN:
            data = self._splitter.rest(data, is_last=is_last)  # from now on all is the core's
        if data:
            protocol.receive_data(data)
        if is_last:
            protocol.receive_eof()
        messages: list[Message] = []
        events = protocol.events_received()
        if self._ending.is_heard:
            messages = self._messages(frame for frame in events if isinstance(frame, Frame))
            self._note_end()
        self._post(protocol.data_to_send())
        return messages

    def _messages(self, frames: Iterable[Frame]) -> list[Message]:
        messages: list[Message] = []
        for frame in frames:
            message = self._message(frame)
            if message is not None and (isinstance(message, FrameTooLarge) or self._is_text(message)):
                messages.append(message)
            if not self._ending.is_heard:
                break
        return messages

    def _message(self, frame: Frame) -> Message | None:
        """The message that `frame` completes, if it completes one."""
        opcode = frame.opcode
        if opcode is Opcode.BINARY:
            self._violated(CloseCode.UNSUPPORTED_DATA, "messages must be text")
            return None
        if opcode is Opcode.TEXT:
            self._partial = Partial(self._max_message_size)
        elif opcode is not Opcode.CONT:
            return None
        if self._partial is None:
            return None
        return self._continued(self._partial, frame)

    def _continued(self, partial: Partial, frame: Frame) -> Message | None:
        partial.add(frame.data if self._remains is None else self._remains)
        self._remains = None
        if partial.size > MAX_SKIPPED:
            self._violated(CloseCode.MESSAGE_TOO_BIG, self._too_big())
            return None
        if not frame.fin:
            return None
        self._partial = None
        return partial.whole()

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
        return f"message is over {MAX_SKIPPED} bytes, and the limit is {self._max_message_size}"

    def _violated(self, code: CloseCode, text: str) -> None:
        """The peer sent something that may not be sent here: the connection ends with `code`."""
        self._partial = None
        self._protocol.fail(code, text)
        self._ending.end(ChannelBroken, text)
        self._post(self._protocol.data_to_send())

    def _note_end(self) -> None:
        """Keep how the connection ended, if it has: what came before is still to be handed out."""
        close, broken = self._protocol.close_rcvd, self._protocol.parser_exc
        if isinstance(broken, PayloadTooBig):
            self._ending.end(ChannelBroken, self._too_big(), broken)
        elif isinstance(broken, EOFError):
            middle = self._partial is not None or str(broken) != "unexpected end of stream"
            where = "in the middle of a message" if middle else "without a close frame"
            self._ending.end(ChannelBroken, f"the connection was cut {where}", broken)
        elif broken is not None:
            self._ending.end(ChannelBroken, f"the peer broke the WebSocket protocol: {broken}", broken)
        elif close is not None:
            good = close.code in OK_CLOSE_CODES
            self._ending.end(ChannelEnded if good else ChannelBroken, f"the peer closed the connection: {close}")
