"""A request that ends with the token that opened it: its app is told that the client has gone, which is how ASGI says
"stop", and its answer is completed.

Whoever's the server is. Tasks that were started go on: they are the principal's, who may come back with another token.
"""

import math

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcpc_transports.http.client import unwrapped
from mcpc_transports.http.hanging_up import HangUp

__all__ = ["ending_after"]

STEP = 0.5
"""Seconds that an app gets to end by itself."""


async def ending_after(seconds: float, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let `app` answer a request, for that long at the most."""
    if seconds == math.inf:
        await app(scope, receive, send)
        return
    request = _Request(receive, send)
    with unwrapped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(request.end_after, seconds, tasks.cancel_scope)
            await app(scope, request.receive, request.send)
            tasks.cancel_scope.cancel()
    if request.is_open:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Request:
    """One request, watched."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.is_open = False
        """Its answer has begun, and not ended."""
        self._line = HangUp(receive)
        self.receive = self._line.receive
        self._send = send

    async def end_after(self, seconds: float, everything: anyio.CancelScope) -> None:
        """Tell the app to end, and cancel it where it does not."""
        await anyio.sleep(seconds)
        self._line.end()
        await anyio.sleep(STEP)
        everything.cancel()

    async def send(self, message: Message) -> None:
        """The ASGI `send`."""
        self.is_open = message["type"] == "http.response.start" or message.get("more_body", False)
        await self._send(message)
