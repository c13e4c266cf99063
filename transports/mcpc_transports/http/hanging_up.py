"""A request's ASGI `receive` that can be ended from our side: to the app its client seems gone, which is how ASGI says
"stop". Knows neither why it is ended, nor what becomes of the answer.
"""

import anyio
from starlette.types import Message, Receive

__all__ = ["HangUp"]


class HangUp:
    """One request's `receive`.

    Args:
        receive: The server's own.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._waits: set[anyio.CancelScope] = set()
        self._over = False

    async def receive(self) -> Message:
        """The ASGI `receive`; once it was ended, the client seems gone."""
        if not self._over:
            with anyio.CancelScope() as wait:
                self._waits.add(wait)
                try:
                    return await self._receive()
                finally:
                    self._waits.discard(wait)
        return {"type": "http.disconnect"}

    def end(self) -> None:
        """Tell the app, whether it waits now or asks later."""
        self._over = True
        for wait in self._waits:
            wait.cancel()
