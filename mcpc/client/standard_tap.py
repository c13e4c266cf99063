"""The client's streams, tapped for what the standard has: the progress of calls, and who can be asked.

The SDK runs a task for each progress notification, and they may overtake each other. So the progress of a call that
a handle follows leaves the stream here, in the order of arrival.
"""

from collections.abc import Callable
from typing import Any

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest

from mcpc.taps import InterceptingReader, StreamWrapper
from mcpc.transport import StreamPair
from mcpc.wire.calls import without_elicitation
from mcpc.wire.standard import PROGRESS_METHOD

__all__ = ["tap_standard"]


def tap_standard(
    streams: StreamPair, take_progress: Callable[[dict[str, Any]], bool], can_be_asked: Callable[[], bool]
) -> StreamPair:
    """The same streams, tapped.

    Args:
        streams: The streams.
        take_progress: Takes the params of a progress notification; False where they are not for it.
        can_be_asked: Whether somebody could answer what the request leads to that is being sent. In the newer era
            each request says so.
    """
    read, write = streams
    return _Reader(read, take_progress), _Writer(write, can_be_asked)


class _Reader(InterceptingReader):
    """The read stream, without the progress of started calls."""

    def __init__(self, inner: Any, take_progress: Callable[[dict[str, Any]], bool]) -> None:
        super().__init__(inner, lambda message, size: None)
        self._take_progress = take_progress

    def _intercept(self, item: Any) -> bool:
        message: Any = getattr(item, "message", None)
        if not isinstance(message, JSONRPCNotification) or message.method != PROGRESS_METHOD:
            return False
        return self._take_progress(message.params or {})


class _Writer(StreamWrapper):
    """The write stream: a request that nobody would answer questions for does not say that it can be asked."""

    def __init__(self, inner: Any, can_be_asked: Callable[[], bool]) -> None:
        super().__init__(inner)
        self._can_be_asked = can_be_asked

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message."""
        message = item.message
        if isinstance(message, JSONRPCRequest) and message.params is not None and not self._can_be_asked():
            message.params = without_elicitation(message.params)
        await self._inner.send(item)
