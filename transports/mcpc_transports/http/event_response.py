"""The event stream that answers one request, written to directly: frames go out as they are, without the SDK.

The SDK would validate, copy and encode each message anew. It opens the stream with
the first event and ends it with the answer; between the two, whole events of ours
go the same way as its own. Knows nothing of what the frames say.
"""

import anyio
from starlette.types import Message, Send

from mcpc_transports.http.event_tap import EVENT_END, EVENT_START

__all__ = ["EventResponse"]


class EventResponse:
    """A `responses.FrameResponse` over ASGI.

    Args:
        send: The request's `send`; whoever answers the request is to use `relay` instead.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._opened = anyio.Event()

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
