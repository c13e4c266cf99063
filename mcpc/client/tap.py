"""The client's streams, tapped: callbacks leave for the inbox, and tool calls and their answers are seen passing."""

from collections.abc import Callable
from typing import Any

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

from mcpc.client.inbox import Inbox
from mcpc.client.request_sizes import check_size, sendable
from mcpc.errors import MessageError
from mcpc.frame_streams import FrameReader, FrameWriter
from mcpc.taps import InterceptingReader, StreamWrapper, TappedReader
from mcpc.transport import StreamPair
from mcpc.wire.calls import call_meta, read_call
from mcpc.wire.message import META, meta_of, with_meta
from mcpc.wire.names import CHANNEL_META, LISTEN_METHOD
from mcpc.wire.requests import is_listen_to
from mcpc.wire.standard import CALL_TOOL_METHOD, DISCOVER_METHOD

__all__ = ["TapReader", "TapWriter", "tap"]


class TapReader(InterceptingReader):
    """The read stream: callbacks go to the inbox, answers to tool calls are shown to it on their way.

    Over our own transports the callbacks leave further down, before the SDK's messages are made.
    """

    def __init__(self, inner: Any, inbox: Inbox, on_end: Callable[[Exception], None] | None) -> None:
        super().__init__(inner, inbox.take, on_end)
        self._inbox = inbox
        if isinstance(inner, FrameReader | TappedReader):
            inner.tap.sink = inbox.take

    async def receive(self) -> Any:
        """The next message for the SDK."""
        item = await super().receive()
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, JSONRPCResponse):
            self._inbox.call_answered(message.id, message.result)
        elif isinstance(message, JSONRPCError) and message.id is not None:
            self._inbox.call_answered(message.id, None)
        return item


class TapWriter(StreamWrapper):
    """The write stream: the inbox learns of each tool call; metadata in mcpc 0.2's place gets our form beside it.

    Who asks what a server is offers it the channel, so that it is open before anything is sent on it.

    Args:
        inner: The stream.
        inbox: The inbox.
        channel: Gives our channel where the peer listens to it; None where it does not.
        limit: Gives the bytes of the largest message that the peer takes; None where it has not told.
    """

    def __init__(
        self, inner: Any, inbox: Inbox, channel: Callable[[], str | None], limit: Callable[[], int | None]
    ) -> None:
        super().__init__(inner)
        self._limit = limit
        self._encodes_later = not isinstance(inner, FrameWriter)
        self._inbox = inbox
        self._channel = channel

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message.

        Raises:
            LimitReached: it is larger than the peer takes. Nothing is sent.
            MessageError: it has no form in JSON. Nothing is sent.
        """
        message = item.message
        if isinstance(message, JSONRPCRequest):
            check_size(message, self._limit())
            if message.method == CALL_TOOL_METHOD:
                self._see_call(message)
            elif message.method == LISTEN_METHOD and is_listen_to(message.params, self._channel()):
                self._inbox.listen_sent(message.id)
            elif message.method == DISCOVER_METHOD and (channel := self._channel()) is not None:
                message.params = with_meta(message.params or {}, CHANNEL_META, channel)
        elif self._encodes_later:
            item.message = sendable(message)
        await self._inner.send(item)

    def _see_call(self, request: JSONRPCRequest) -> None:
        params: dict[str, Any] = dict(request.params or {})
        try:
            call = read_call(params)
        except MessageError:
            return  # the server will say so
        if call.form == "none":
            return
        channel = self._channel()
        if call.form != "meta" and channel is not None and call.task_id is not None:
            meta = call_meta(channel=channel, session_id=call.session_id, task_id=call.task_id)
            request.params = {**params, META: {**meta_of(params), **meta}}
        self._inbox.call_sent(request.id, call.task_id)


def tap(
    streams: StreamPair,
    inbox: Inbox,
    *,
    channel: Callable[[], str | None],
    on_end: Callable[[Exception], None] | None = None,
    limit: Callable[[], int | None] = lambda: None,
) -> StreamPair:
    """The same streams, tapped."""
    read, write = streams
    return TapReader(read, inbox, on_end), TapWriter(write, inbox, channel, limit)
