"""One connection of a bridge, framed or of the SDK's streams, seen alike from above.

A framed message keeps the bytes it came as: between two framed connections they
are passed on untouched. Which message goes where is not decided here.
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import CONNECTION_CLOSED, INTERNAL_ERROR
from pydantic_core import to_json

from mcpc.bridge.headers import HeaderBook
from mcpc.errors import ChannelBroken, ChannelEnded, FrameError
from mcpc.framing import Connection
from mcpc.logs import logger_of
from mcpc.sdk import request_of_item, request_scope
from mcpc.transport import URI, FrameChannel, ReadStream, WriteStream
from mcpc.uri import dial, prepare
from mcpc.wire.members import unknown_in, whole_message
from mcpc.wire.message import ERROR, Message, from_sdk
from mcpc.wire.rpc import decode_frame

__all__ = ["FrameLink", "Link", "Parcel", "StreamLink", "Target"]

logger: logging.Logger = logger_of(__name__)


@dataclass(slots=True)
class Parcel:
    """One message on its way through the bridge."""

    message: Message
    frame: bytes | None = None
    """The message as it came, where it came as a frame and nothing in it was changed."""
    headers: Mapping[str, str] | None = None
    """Those of the HTTP request that brought it, where HTTP did."""

    def encoded(self) -> bytes:
        """The message as a frame."""
        return to_json(self.message) if self.frame is None else self.frame


class Link(Protocol):
    """One connection: parcels in, parcels out."""

    async def receive(self) -> Parcel:
        """The next message.

        Raises:
            FrameError: one message was bad; call again.
            TransportError: there are no more.
        """
        ...

    async def send(self, parcel: Parcel) -> None:
        """Send one message; waits while the other end does not read.

        Raises:
            TransportError: the connection is gone.
        """
        ...


class FrameLink:
    """A framed connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def receive(self) -> Parcel:
        """See `Link.receive`."""
        frame = await self._connection.channel.receive()
        message = decode_frame(frame)
        # Between the members of a JSON text a line break is only space, but on a byte stream it ends the message.
        if b"\n" in frame or b"\r" in frame:
            frame = frame.replace(b"\n", b" ").replace(b"\r", b" ")
        return Parcel(message, frame)

    async def send(self, parcel: Parcel) -> None:
        """See `Link.send`."""
        await self._connection.send(parcel.encoded())


class StreamLink:
    """A pair of the SDK's streams.

    Args:
        read: Where messages come from.
        write: Where they go.
        book: Makes the HTTP headers of what is sent; None at the listening side.
        address: Where the server is, which clients are not to be told; empty at the listening side.
    """

    def __init__(
        self,
        read: ReadStream[Any],
        write: WriteStream[SessionMessage],
        book: HeaderBook | None = None,
        address: str = "",
    ) -> None:
        self._read = read
        self._write = write
        self._book = book
        self._address = address

    async def receive(self) -> Parcel:
        """See `Link.receive`."""
        try:
            item = await self._read.receive()
        except anyio.EndOfStream as exc:
            raise ChannelEnded("the streams have ended") from exc
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            raise ChannelBroken("the streams were closed") from exc
        if isinstance(item, Exception):
            raise FrameError(f"not an MCP message: {type(item).__name__}") from item
        message = from_sdk(item.message) | unknown_in(request_scope(request_of_item(item)))
        if self._book is not None:
            self._book.learn(message)
            self._hide_address(message)
        return Parcel(message)

    def _hide_address(self, message: Message) -> None:
        """Where a request failed on its way, the transport's own error names the server; that is for the log."""
        error: Any = message.get(ERROR)
        if error is None or error["code"] not in (CONNECTION_CLOSED, INTERNAL_ERROR):
            return
        if self._address in error["message"]:
            logger.warning("a bridged request failed: %s", error["message"])
            error["message"] = error["message"].replace(self._address, "the server behind the bridge")

    async def send(self, parcel: Parcel) -> None:
        """See `Link.send`."""
        metadata = None
        if self._book is not None:
            headers = self._book.headers(parcel.message, parcel.headers or {})
            metadata = ClientMessageMetadata(headers=headers) if headers else None
        try:
            await self._write.send(SessionMessage(whole_message(parcel.message), metadata))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            raise ChannelBroken("the streams were closed") from exc


class Target:
    """The server behind a bridge: where it is, checked, and how to open a connection to it.

    Raises:
        URIError: the address or an option cannot be used.
    """

    def __init__(self, uri: str | URI, options: Mapping[str, Any]) -> None:
        parsed, _ = prepare(uri, "connect", options)
        self.uri: URI = parsed
        self._options = dict(options)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Link]:
        """A connection of its own, for as long as the context lasts.

        Raises:
            ConnectFailed: nobody answered, or the server refused us.
        """
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(dial(self.uri, **self._options))
            if isinstance(opened, FrameChannel):
                connection = await stack.enter_async_context(Connection(opened, side="client").open())
                yield FrameLink(connection)
            else:
                yield StreamLink(*opened, HeaderBook(), str(self.uri))
