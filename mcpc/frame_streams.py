"""The SDK's two streams over frames: what it pulls messages from, and what it sends them to.

They know nothing of channels, batches or sources: a connection is whatever gives messages and takes frames.
"""

import contextvars
import logging
from types import TracebackType
from typing import Protocol, Self

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import JSONRPCError, JSONRPCResponse

from mcpc.errors import ChannelBroken, ChannelClosed, ChannelEnded
from mcpc.logs import logger_of
from mcpc.pending import PendingRequests
from mcpc.taps import CallbackTap
from mcpc.wire.rpc import encode_rpc

__all__ = ["FrameReader", "FrameWriter", "Frames"]

logger: logging.Logger = logger_of(__name__)


class Frames(Protocol):
    """What the streams need of a connection."""

    tap: CallbackTap
    pending: PendingRequests

    async def next_message(self) -> SessionMessage: ...
    async def send(self, frame: bytes) -> None: ...
    async def flush(self) -> None: ...


class _Stream:
    """What both streams share: context management and closing."""

    def __init__(self, connection: Frames) -> None:
        self.connection = connection

    async def aclose(self) -> None:
        # Never cancelled, as with anyio's own: the SDK closes streams of its own after it, and in no `finally`.
        await cancel_shielded_checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class FrameReader(_Stream):
    """The SDK's read stream over a connection."""

    def __init__(self, connection: Frames, context: contextvars.Context) -> None:
        super().__init__(connection)
        self.last_context = context
        """What the SDK runs a message's handler in: it holds `current_connection`."""
        self.metadata: ServerMessageMetadata | None = None
        """What the SDK is told of each message: on a server, of the HTTP request that opened the connection."""
        self.tap: CallbackTap = connection.tap

    async def receive(self) -> SessionMessage:
        """The next message.

        Raises:
            TransportError: the channel has ended.
        """
        message = await self.connection.next_message()
        message.metadata = self.metadata
        return message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        try:
            return await self.receive()
        except (ChannelEnded, ChannelClosed) as exc:
            raise StopAsyncIteration from exc
        except ChannelBroken as exc:
            logger.debug("connection broken: %s", exc)
            raise StopAsyncIteration from exc


class FrameWriter(_Stream):
    """The SDK's write stream over a connection."""

    async def send(self, item: SessionMessage, /) -> None:
        """Queue one message for the writer.

        Raises:
            TransportError: the connection is closed or broken.
        """
        message = item.message
        try:
            await self.connection.send(encode_rpc(message))
        finally:
            if isinstance(message, JSONRPCResponse | JSONRPCError):
                self.connection.pending.answered(message.id)

    async def aclose(self) -> None:
        """Hand what is queued to the channel, within a second."""
        with anyio.move_on_after(1):
            await self.connection.flush()
