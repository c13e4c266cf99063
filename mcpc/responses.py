"""The open answer to an HTTP request, as whoever handles the request finds it: frames can be written to it."""

import contextvars
from typing import Protocol

__all__ = ["FrameResponse", "current_response"]


class FrameResponse(Protocol):
    """The open answer to a request, where frames can be written to it as they are."""

    @property
    def is_open(self) -> bool:
        """Whether something was sent on it. Until then it is for the SDK to send the first."""
        ...

    async def send(self, *frames: bytes) -> None:
        """Send frames that belong to the request, once it is open."""
        ...


current_response: contextvars.ContextVar[FrameResponse | None] = contextvars.ContextVar("mcpc_response", default=None)
"""In a request handler: the answer's stream, where the request came over HTTP and frames can be written to it."""
