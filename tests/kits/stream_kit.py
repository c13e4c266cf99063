"""For tests of frame transports: endpoints that echo or do not, and a raw end to misbehave with."""

import socket
from contextlib import AsyncExitStack
from typing import Any, cast

import anyio
from mcp.server import Server

from mcpc.errors import FrameTooLarge, TransportError
from mcpc.transport import FrameChannel, Peer
from mcpc.uri import dial, parse_uri

__all__ = ["Deaf", "Echo", "channel_at", "raw_socket"]


class Echo:
    """Sends back what it gets, and keeps how each connection ended. Subclasses behave worse."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.received: list[bytes] = []
        self.endings: list[Exception] = []
        self.ended = anyio.Event()

    @property
    def server(self) -> Server[Any]:
        raise AssertionError("these transports carry frames")

    async def serve_streams(self, read: Any, write: Any, peer: Peer) -> None:
        raise AssertionError("these transports carry frames")

    async def serve_channel(self, channel: FrameChannel, peer: Peer) -> None:
        self.peers.append(peer)
        try:
            await self.serve(channel)
        except TransportError as exc:
            self.endings.append(exc)
        finally:
            self.ended.set()

    async def serve(self, channel: FrameChannel) -> None:
        while True:
            try:
                frame = await channel.receive()
            except FrameTooLarge as exc:
                frame = b'{"limit": %d}' % exc.limit
            else:
                self.received.append(frame)
            await channel.send(frame)


class Deaf(Echo):
    """Never reads."""

    async def serve(self, channel: FrameChannel) -> None:
        await anyio.sleep_forever()


def raw_socket(uri: str) -> socket.socket:
    """A blocking socket connected to a listener."""
    parsed = parse_uri(uri)
    if parsed.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(parsed.path)
    else:
        sock = socket.create_connection((parsed.host, parsed.port))
    sock.settimeout(60)
    return sock


async def channel_at(stack: AsyncExitStack, uri: str, **options: Any) -> FrameChannel:
    """A channel dialled at `uri`, which the stack closes."""
    return cast(FrameChannel, await stack.enter_async_context(dial(uri, **options)))
