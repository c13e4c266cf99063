"""The event stream that answers a listener, written to directly: frames go out as they are, without the SDK.

The SDK would validate, copy and encode each message anew. It opens the stream with
the first event and ends it; between the two, whole events of ours go the same way
as its own. Knows nothing of what the frames say but which request listens.
"""

import contextvars
from typing import Any, Self

import anyio
from mcp_types import JSONRPCRequest
from starlette.types import Message, Send

from mcpc.responses import current_response
from mcpc.sdk import sender_context
from mcpc.taps import StreamWrapper
from mcpc.wire.names import LISTEN_METHOD
from mcpc_transports.http.event_tap import EVENT_END, EVENT_START

__all__ = ["AnsweringReader", "EventResponse"]


class EventResponse:
    """A `responses.FrameResponse` over ASGI.

    Args:
        send: The `send` of the request that opens the stream; whoever answers that is to use `relay` instead.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._opened = anyio.Event()

    @property
    def is_open(self) -> bool:
        """See `FrameResponse.is_open`."""
        return self._opened.is_set()

    async def relay(self, message: Message) -> None:
        """`send` for the one who answers: the stream is open once its first event has passed."""
        await self._send(message)
        if message["type"] == "http.response.body":
            self._opened.set()

    async def send(self, *frames: bytes) -> None:
        """Send the frames, an event each, in one write; waits until the stream is open."""
        await self._opened.wait()
        body = b"".join([EVENT_START + frame + EVENT_END for frame in frames])
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


class AnsweringReader(StreamWrapper):
    """A read stream of the SDK's whose listen requests are answered on an event stream that is there for all of them.

    Args:
        inner: Where messages come from, each with the context in which it is handled.
        response: The event stream.
    """

    def __init__(self, inner: Any, response: EventResponse) -> None:
        super().__init__(inner)
        self._response = response

    @property
    def last_context(self) -> contextvars.Context | None:
        """The sender's context."""
        return sender_context(self._inner)

    async def receive(self) -> Any:
        """The next message."""
        return self._shown(await self._inner.receive())

    def _shown(self, item: Any) -> Any:
        message: Any = getattr(item, "message", None)
        context = self.last_context
        if context is not None and isinstance(message, JSONRPCRequest) and message.method == LISTEN_METHOD:
            context.run(current_response.set, self._response)
        return item

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return self._shown(await self._inner.__anext__())
