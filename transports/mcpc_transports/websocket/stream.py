"""The bytes under a WebSocket connection: a socket, or TLS over one.

What the handshake and the channel need of either, and nothing of what they say.
"""

import ssl
from typing import Any, Protocol

from anyio.streams.tls import TLSStream

from mcpc_transports.polled import Consume

__all__ = ["SecureBytes", "Stream", "secured"]


class Stream(Protocol):
    """Bytes both ways. Its errors are anyio's."""

    async def receive(self) -> bytes: ...
    async def read_until(self, consume: Consume) -> None: ...
    async def send(self, item: bytes) -> None: ...
    def send_nowait(self, item: bytes) -> memoryview: ...
    async def send_eof(self) -> None: ...
    async def aclose(self) -> None: ...


class SecureBytes:
    """TLS. It writes nothing without waiting: a record may have to wait for an answer of the peer's.

    Args:
        stream: The connection, its TLS handshake done.
    """

    def __init__(self, stream: TLSStream) -> None:
        self._stream = stream
        self.receive = stream.receive
        self.send = stream.send
        self.aclose = stream.aclose

    async def read_until(self, consume: Consume) -> None:
        """Give all that is read to `consume` until it has enough."""
        while not consume(await self._stream.receive()):
            pass

    def send_nowait(self, item: bytes) -> memoryview:
        """Write nothing yet: all is returned."""
        return memoryview(item)

    async def send_eof(self) -> None:
        """TLS cannot half-close.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError


async def secured(sock: Stream, context: ssl.SSLContext | None, *, hostname: str | None = None) -> SecureBytes:
    """TLS over a connection, after the handshake: with a `hostname`, as the client of that server.

    Raises:
        ssl.SSLError, OSError: the handshake failed.
    """
    below: Any = sock  # all that TLS asks of a stream
    stream = await TLSStream.wrap(
        below,
        server_side=hostname is None,
        hostname=hostname,
        ssl_context=context,
        standard_compatible=False,  # the close frame is the end; a closing TLS handshake adds nothing
    )
    return SecureBytes(stream)
