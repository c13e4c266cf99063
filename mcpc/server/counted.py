"""One client's streams of the SDK's, its requests counted: each id once, and no more than may wait.

For transports that carry the SDK's messages and no frames. Knows nothing of what is asked.
"""

import contextvars
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from mcpc.errors import FrameError, MessageError
from mcpc.pending import PendingRequests
from mcpc.taps import StreamWrapper
from mcpc.wire.jsontext import encode_json
from mcpc.wire.message import from_sdk

__all__ = ["CountedReader", "CountedWriter"]


class CountedReader(StreamWrapper):
    """A read stream whose refused requests are answered here.

    Args:
        inner: Where messages come from.
        write: Where refusals go.
        pending: Counts them.
    """

    def __init__(self, inner: Any, write: Any, pending: PendingRequests) -> None:
        super().__init__(inner)
        self._write = write
        self._pending = pending

    @property
    def last_context(self) -> contextvars.Context | None:
        """The sender's context, where the inner stream carries one."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> Any:
        """The next message that is let through."""
        while True:
            item = await self._inner.receive()
            refusal = self._refusal(item)
            if refusal is None:
                return item
            error = ErrorData(code=refusal.code, message=str(refusal), data=refusal.data)
            await self._write.send(SessionMessage(JSONRPCError(jsonrpc="2.0", id=refusal.request_id, error=error)))

    def _refusal(self, item: Any) -> FrameError | None:
        message: Any = getattr(item, "message", None)
        try:
            if isinstance(message, JSONRPCRequest | JSONRPCNotification):
                self._pending.see(from_sdk(message), _text(message))
        except FrameError as exc:
            return exc
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            raise StopAsyncIteration from exc


class CountedWriter(StreamWrapper):
    """The write stream beside it: who is answered waits no more."""

    def __init__(self, inner: Any, pending: PendingRequests) -> None:
        super().__init__(inner)
        self._pending = pending

    async def send(self, item: SessionMessage, /) -> None:
        """Send a message."""
        message = item.message
        try:
            await self._inner.send(item)
        finally:
            if isinstance(message, JSONRPCResponse | JSONRPCError):
                self._pending.answered(message.id)


def _text(message: JSONRPCRequest | JSONRPCNotification) -> bytes:
    """A message as JSON, as far as it is sound: what it takes is told by that."""
    try:
        return encode_json(message.params)
    except MessageError:
        return b""
